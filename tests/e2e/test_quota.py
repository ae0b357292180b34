"""Quotas: given to users of Cyrus by an admin, listed for all others; and users
that are made on a partition."""

import csv
import io
import os
import unittest

import mail
import nasty
import readback
from haul import ACCOUNTS, DONE, Haul, balance
from proxy import Proxy
from servers import Cyrus, Dovecot

ROOM = 5 << 20


class Case(unittest.TestCase):
    def setUp(self):
        self.haul = Haul()
        self.addCleanup(self.haul.destroy)

    def serve(self, kind, **settings):
        server = kind(**settings)
        self.addCleanup(server.destroy)
        server.start()
        return server

    def proxy(self, server):
        proxy = Proxy(server.host, server.imap_port).start()
        self.addCleanup(proxy.stop)
        return proxy

    def source(self, user, count=4, mean=200, quota=None):
        """A Maildir; what it holds."""
        told = mail.write_maildir(self.haul.path("mail", user), {"INBOX": count}, seed=user, mean=mean)
        if quota is not None:
            with open(self.haul.path("mail", user, "maildirsize"), "w", encoding="ascii") as f:
                f.write(f"{quota}S,1000C\n0 0\n")
        return told["INBOX"]

    def limits(self, server, user, sep="/"):
        """What an admin sees: {resource: limit}."""
        admin = server.admin_login()
        status, lines = admin.getquota(f'"user{sep}{user}"')
        admin.logout()
        if status != "OK":
            return None
        words = lines[0].decode().split("(")[1].rstrip(")").split()
        return {words[i]: int(words[i + 2]) for i in range(0, len(words), 3)}

    def there(self, server, user):
        client = server.login_as(user) if isinstance(server, Cyrus) else server.login(user)
        try:
            account = readback.account(client)
        finally:
            client.logout()
        total = nasty.Counter()
        for box in account.boxes.values():
            total += box.digests()
        return total

    def quotas(self):
        run = self.haul.run("report", "--state", self.haul.state, "--quotas", "--format", "csv")
        self.assertEqual(run.code, DONE, run)
        rows = list(csv.reader(io.StringIO(run.out)))
        self.assertEqual(rows[0], ["user", "limit_bytes"])
        return {user: limit for user, limit in rows[1:]}


class TestCyrus(Case):
    def test_rules(self):
        server = self.serve(Cyrus, USERS=4, PARTITIONS="default fast")
        users = ["user1", "user2", "user3", "user4", "spirit", "bare"]
        told = {u: self.source(u, quota=50_000_000 if u != "bare" else None) for u in users}
        admin = server.admin_login()
        admin.setquota('"user/user1"', "(STORAGE 77 MESSAGE 900)")
        admin.setquota('"user/user3"', "(STORAGE 78)")
        admin.setquota('"user/user4"', "(STORAGE 79)")
        admin.logout()
        proxy = self.proxy(server)
        rows = "user,quota,partition\nuser1,,\nuser2,300M,\nuser3,none,\nuser4,keep,\nspirit,,fast\nbare,,\n"
        target = self.haul.admin(server, "{user}", tls="none", port=proxy.port)
        words = self.haul.job("maildir:" + self.haul.path("mail/{user}"), target, rows, "quota = source\ncreate-users = yes")
        run = self.haul.copy(*words)
        self.assertEqual((run.code, balance(run.report)), (DONE, []), run)
        half = -(-50_000_000 // 1024)
        wanted = {
            "user1": {"STORAGE": half, "MESSAGE": 900},  # the other limits stay
            "user2": {"STORAGE": 300 * 1024},
            "user3": {},
            "user4": {"STORAGE": 79},
            "spirit": {"STORAGE": half},
            "bare": None,
        }
        self.assertEqual({u: self.limits(server, u) for u in users}, wanted)
        self.assertEqual({u: self.there(server, u) for u in users}, told)
        # Cyrus' own tool sees the same
        self.assertRegex(server.tool("quota", "user/spirit").decode(), rf"(?m)^\s*{half}\s.*STORAGE user/spirit")
        self.assertIn(b"/spool/fast/", server.tool("mbpath", "user/spirit"))
        # the owner has what Cyrus gives to owners, and nobody else anything
        admin = server.admin_login()
        acl = admin.getacl('"user/spirit"')[1][0].decode().split()
        admin.logout()
        self.assertEqual(acl, ["user/spirit", "spirit", "lrswipkxtecdan"])
        listed = self.quotas()
        self.assertEqual(listed, {"user1": str(half * 1024), "user2": str(300 << 20), "user3": "none", "spirit": str(half * 1024)})
        # a second pass has nothing to change, and does not even ask
        proxy.reset()
        run = self.haul.copy(*words)
        self.assertEqual(run.code, DONE, run)
        self.assertEqual([proxy.commands[c] for c in ("SETQUOTA", "GETQUOTA", "CREATE", "APPEND")], [0, 0, 0, 0])
        self.assertEqual({u: self.limits(server, u) for u in users}, wanted)

    def test_room(self):
        """More mail than the limit: it is set to what the mail needs, and that is told."""
        server = self.serve(Cyrus, USERS=1)
        told = self.source("user1", 400, 20_000)
        target = self.haul.admin(server, "user1")
        run = self.haul.copy("maildir:" + self.haul.path("mail/user1"), target, "--quota", "fixed:1M")
        self.assertEqual(run.code, DONE, run)
        size = run.report["crlf_bytes"]
        self.assertGreater(size, 5 << 20)
        need = -(-(size * 102 // 100 + 1 + ROOM) // 1024)
        self.assertIn(self.limits(server, "user1")["STORAGE"] - need, (0, -1))
        (issue,) = [i for i in run.report["issues"] if i["kind"] == "quota"]
        self.assertIn(str(1 << 20), issue["reason"])
        self.assertEqual(self.there(server, "user1"), told)

    def test_lifted(self):
        """Other mail fills the limit: it is lifted while ours is loaded, then set."""
        server = self.serve(Cyrus, USERS=1)
        client = server.login("user1")
        for _ in range(7):
            self.assertEqual(client.append("INBOX", None, None, nasty.HEAD.replace(b"\n", b"\r\n") + b"\r\n" + (b"x" * 70 + b"\r\n") * 14_000)[0], "OK")
        client.logout()
        before = self.there(server, "user1")
        told = self.source("user1", 200, 10_000)
        proxy = self.proxy(server)
        target = self.haul.admin(server, "user1", tls="none", port=proxy.port)
        words = ["maildir:" + self.haul.path("mail/user1"), target, "--quota", "fixed:6M", "--existing", "merge"]
        run = self.haul.copy(*words)
        self.assertEqual((run.code, run.totals["copied"]), (DONE, 200), run)
        self.assertIn("lifted", run.err)
        limits = [args.split("(")[1].rstrip(")\r\n ") for _, _, name, args in ((a, b, c, str(d)) for a, b, c, d in proxy.log) if name == "SETQUOTA"]
        self.assertEqual(len(limits), 3, limits)
        self.assertTrue(limits[0].startswith("STORAGE ") and limits[2].startswith("STORAGE "), limits)
        self.assertFalse(limits[1].startswith("STORAGE"), limits)
        self.assertEqual(self.there(server, "user1"), before + told)
        final = self.limits(server, "user1")["STORAGE"]
        self.assertLess(final, 9 * 1024)
        self.assertGreaterEqual(final, 6 * 1024)

    def test_keep_says_what_to_do(self):
        server = self.serve(Cyrus, USERS=1)
        server.set_quota("user1", 100)
        self.source("user1", 200, 3000)
        words = ["maildir:" + self.haul.path("mail/user1"), self.haul.admin(server, "user1")]
        run = self.haul.copy(*words)
        self.assertEqual((run.code, run.totals["refused"]), (ACCOUNTS, 0), run)
        self.assertRegex(run.err, "NO: Over quota; give the user more room")
        self.assertEqual(self.limits(server, "user1"), {"STORAGE": 100})
        # with a rule the same account goes through
        run = self.haul.copy(*words, "--quota", "fixed:50M")
        self.assertEqual((run.code, run.totals["copied"]), (DONE, 200), run)
        self.assertEqual(self.limits(server, "user1"), {"STORAGE": 50 * 1024})

    def test_dots_as_separators(self):
        """user.NAME, where a dot in a name is ^."""
        server = self.serve(Cyrus, USERS=1, UNIXSEP="no")
        told = {u: self.source(u) for u in ("user1", "first.last")}
        target = self.haul.admin(server, "{user}")
        words = self.haul.job("maildir:" + self.haul.path("mail/{user}"), target, "user,quota\nuser1,20M\nfirst.last,30M\n", "create-users = yes")
        run = self.haul.copy(*words)
        self.assertEqual(self.limits(server, "user1", "."), {"STORAGE": 20 * 1024}, run)
        self.assertEqual(self.limits(server, "first^last", "."), {"STORAGE": 30 * 1024}, run)
        self.assertEqual(self.there(server, "user1"), told["user1"])

    def test_most(self):
        """More than Cyrus' numbers hold is the most that they hold."""
        server = self.serve(Cyrus, USERS=1)
        self.source("user1")
        run = self.haul.copy("maildir:" + self.haul.path("mail/user1"), self.haul.admin(server, "user1"), "--quota", "fixed:9T")
        self.assertEqual(run.code, DONE, run)
        self.assertEqual(self.limits(server, "user1"), {"STORAGE": 2**31 - 1})

    def test_no_partition(self):
        """A partition that is not there: a clear word, and nothing was done."""
        server = self.serve(Cyrus, USERS=1, PARTITIONS="default fast")
        for user in "user1", "spirit":
            self.source(user)
        proxy = self.proxy(server)
        target = self.haul.admin(server, "{user}", tls="none", port=proxy.port)
        rows = "user,quota,partition\nuser1,20M,nowhere\nspirit,20M,nowhere\n"
        words = self.haul.job("maildir:" + self.haul.path("mail/{user}"), target, rows, "create-users = yes")
        run = self.haul.copy(*words)
        self.assertEqual(run.code, ACCOUNTS, run)
        self.assertEqual({a["name"]: a["outcome"] for a in run.report["accounts"]}, {"user1": "done", "spirit": "failed"})
        self.assertRegex(run.err, 'spirit: .*no partition "nowhere".*nothing was done')
        self.assertEqual(self.limits(server, "spirit"), None)
        admin = server.admin_login()
        self.assertEqual(admin.list('""', '"user/spirit"')[1], [None])
        admin.logout()

    def test_no_admin(self):
        """Who may not set quotas is told once, and gets the list."""
        server = self.serve(Cyrus, USERS=2)
        told = {u: self.source(u) for u in ("user1", "user2")}
        for name, target in (
            ("self", self.haul.user(server, "{user}")),
            ("proxy", self.haul.admin(server, "{user}", admin=server.proxy)),
        ):
            with self.subTest(login=name):
                self.haul.state = self.haul.path(name + ".db")
                rows = "user,target_user,quota\nuser1,user1,20M\nuser2,user2,none\n"
                words = self.haul.job("maildir:" + self.haul.path("mail/{user}"), target, rows)
                run = self.haul.copy(*words)
                self.assertEqual(run.code, DONE, run)
                self.assertEqual(run.err.count("no quota was set"), 1, run)
                self.assertEqual(self.quotas(), {"user1": str(20 << 20), "user2": "none"})
                self.assertEqual({u: self.there(server, u) for u in told}, told)
                self.assertIsNone(self.limits(server, "user1"))


class TestDovecot(Case):
    def test_list(self):
        """The limits of a Dovecot target: what its admin has to enter."""
        server = self.serve(Dovecot, USERS=2, QUOTA="storage=100M")
        self.source("user1", quota=1_000_000)
        self.source("user2", 400, 20_000, quota=1_000_000)
        words = self.haul.job("maildir:" + self.haul.path("mail/{user}"), self.haul.user(server, "{user}"), "user\nuser1\nuser2\n", "quota = source")
        run = self.haul.copy(*words)
        self.assertEqual(run.code, DONE, run)
        self.assertEqual(run.err.count("no quota was set"), 1, run)
        listed = self.quotas()
        self.assertEqual(set(listed), {"user1", "user2"})
        sizes = {a["name"]: sum(b["crlf_bytes"] for b in a["mailboxes"]) for a in run.report["accounts"]}
        for user, limit in listed.items():
            need = sizes[user] * 1.02 + ROOM
            self.assertTrue(need <= int(limit) <= need + 2048, (user, limit, need))
        text = self.haul.run("report", "--state", self.haul.state, "--quotas")
        self.assertIn("sets no quotas", text.out)
        data = self.haul.run("report", "--state", self.haul.state, "--quotas", "--format", "json").report
        self.assertEqual(data["schema"], "mailhaul-quotas-1")
        self.assertEqual({u["user"]: (u["source_bytes"], u["set"]) for u in data["users"]}, {u: (1_000_000, False) for u in listed})
        for words in (["report", "--state", self.haul.state, "--quotas", "--format", "junit"], ["copy", "maildir:/x", "null:", "--format", "csv"]):
            self.assertEqual(self.haul.run(*words).code, 64)

    def test_names_that_csv_quotes(self):
        self.source("user1")
        row = 'name,user,target_user,quota\n"a,b",user1,"u ""x"",1",20M\n'
        words = self.haul.job("maildir:" + self.haul.path("mail/{user}"), "null:", row)
        run = self.haul.copy(*words)
        self.assertEqual(run.code, DONE, run)
        self.assertEqual(self.quotas(), {'u "x",1': str(20 << 20)})

    def test_as_source(self):
        """What an IMAP source tells is taken over."""
        source = self.serve(Dovecot, USERS=1, QUOTA="storage=40M")
        client = source.login("user1")
        client.append("INBOX", None, None, b"Subject: x\r\n\r\nx\r\n")
        client.logout()
        server = self.serve(Cyrus, USERS=1)
        run = self.haul.copy(self.haul.user(source, "user1"), self.haul.admin(server, "user1"), "--quota", "source")
        self.assertEqual((run.code, run.totals["copied"]), (DONE, 1), run)
        self.assertEqual(self.limits(server, "user1"), {"STORAGE": 40 * 1024})


if __name__ == "__main__":
    unittest.main()
