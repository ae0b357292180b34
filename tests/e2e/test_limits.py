"""Limits of real servers: quota, sizes, connections, keywords, and one message
in a hundred that nobody wants."""

import os
import unittest

import mail
import nasty
import readback
from haul import ACCOUNTS, DIFFERS, DONE, Haul, balance
from proxy import Proxy
from servers import Cyrus, Dovecot


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

    def there(self, server, user="user1"):
        client = server.login(user)
        try:
            return readback.account(client)
        finally:
            client.logout()

    def digests(self, account):
        total = nasty.Counter()
        for box in account.boxes.values():
            total += box.digests()
        return total

    def issues(self, run, kind):
        return [i for i in run.report["issues"] if i["kind"] == kind]


class Quota:
    """The account is full in the middle: it stops, the others do not, and with
    more room it goes on where it was."""

    def test_full(self):
        server = self.server()
        told = {}
        for user in "user1", "user2":
            told[user] = nasty.Counter()
            boxes = {"INBOX": 150, "Sent": 150, "Old": 150} if user == "user1" else {"INBOX": 10}
            for digests in mail.write_maildir(self.haul.path(user), boxes, seed=user, mean=2000).values():
                told[user] += digests
        proxy = self.proxy(server)
        target = self.haul.admin(server, "{user}", tls="none", port=proxy.port)
        words = self.haul.job("maildir:" + self.haul.path("{user}"), target, "user\nuser1\nuser2\n", "lanes = 4")
        run = self.haul.copy(*words)
        self.assertEqual(run.code, ACCOUNTS, run)
        accounts = {a["name"]: a for a in run.report["accounts"]}
        self.assertEqual((accounts["user1"]["outcome"], accounts["user2"]["outcome"]), ("failed", "done"))
        self.assertRegex(accounts["user1"]["error"], "(?i)quota")
        self.assertRegex(run.err, "user1: .*(?i:quota)")
        # nobody is to blame: no message is refused
        self.assertEqual((run.totals["refused"], self.issues(run, "refused")), (0, []))
        self.assertFalse(run.report["balanced"])
        # it stopped at once: two lanes, each with two batches under way
        refusals = [a for a in proxy.answers if a[2] == "APPEND" and a[3].startswith("NO")]
        self.assertTrue(1 <= len(refusals) <= 4, refusals)
        first = self.digests(self.there(server))
        self.assertEqual(sum((first - told["user1"]).values()), 0)
        self.assertTrue(0 < sum(first.values()) < 450, sum(first.values()))
        self.assertEqual(self.digests(self.there(server, "user2")), told["user2"])
        self.assertEqual(accounts["user1"]["totals"]["copied"], sum(first.values()), run)
        # still full: the same again, and still no double
        run = self.haul.copy(*words)
        self.assertEqual(run.code, ACCOUNTS, run)
        self.assertEqual(sum((self.digests(self.there(server)) - told["user1"]).values()), 0)
        self.more(server)
        proxy.reset()
        sent = sum(self.digests(self.there(server)).values())
        run = self.haul.copy(*words)
        self.assertEqual((run.code, balance(run.report)), (DONE, []), run)
        self.assertEqual(self.digests(self.there(server)), told["user1"])
        self.assertEqual(proxy.messages, 450 - sent)


class TestDovecotQuota(Quota, Case):
    def server(self):
        return self.serve(Dovecot, USERS=2, QUOTA="storage=400k")

    def more(self, server):
        server.restart(QUOTA="storage=100M")


class TestCyrusQuota(Quota, Case):
    def server(self):
        server = self.serve(Cyrus, USERS=2)
        server.set_quota("user1", 400)
        return server

    def more(self, server):
        server.set_quota("user1", 100_000)


class TestPoison(Case):
    """One message of a hundred is refused, alone."""

    def copy_with_poison(self, server, bad, position=57, *args):
        items = [nasty.Item(f"m{i}", nasty.HEAD + b"\n%d\n" % i, frozenset(), frozenset(), 1_000_000_000 + i) for i in range(100)]
        items[position] = items[position]._replace(name="poison", data=bad)
        nasty.write_maildir(self.haul.path("src"), {"INBOX": items})
        proxy = self.proxy(server)
        target = self.haul.user(server, "user1", tls="none", port=proxy.port)
        run = self.haul.copy("maildir:" + self.haul.path("src"), target, *args)
        self.assertEqual((run.code, run.totals["copied"], run.totals["refused"]), (DIFFERS, 99, 1), run)
        self.assertEqual(balance(run.report), [])
        (issue,) = self.issues(run, "refused")
        self.assertIn("poison", issue["where"])
        good = nasty.Counter(nasty.digest(nasty.crlf(i.data)) for i in items if i.name != "poison")
        self.assertEqual(self.digests(self.there(server)), good)
        self.assertLess(proxy.commands["APPEND"], 40)
        again = self.haul.copy("maildir:" + self.haul.path("src"), target)
        self.assertEqual((again.code, again.totals), (DIFFERS, run.totals), again)
        return issue["reason"], proxy

    def test_cyrus(self):
        server = self.serve(Cyrus, USERS=1)
        reason, _ = self.copy_with_poison(server, nasty.HEAD + b"\n\0\n")
        self.assertIn("NUL", reason)

    def test_cyrus_unforeseen(self):
        """A refusal that nothing in the message foretold: the batch is cut in halves."""
        server = self.serve(Cyrus, USERS=1, EXTRA="munge8bit: no\nreject8bit: yes")
        reason, proxy = self.copy_with_poison(server, nasty.HEAD + b"X-Name: J\xfcrgen\n\nx\n")
        self.assertIn("non-ASCII", reason)
        self.assertGreater(proxy.commands["APPEND"], 6)

    def test_dovecot_largest_mail(self):
        server = self.serve(Dovecot, USERS=1, QUOTA="storage=100M", EXTRA="plugin {\n  quota_max_mail_size = 100k\n}")
        reason, _ = self.copy_with_poison(server, nasty.HEAD + b"\n" + b"x" * 200_000 + b"\n")
        self.assertRegex(reason, "(?i)size")

    def test_cyrus_largest_mail(self):
        """APPENDLIMIT is heeded: what is too large is not sent at all."""
        server = self.serve(Cyrus, USERS=1, EXTRA="maxmessagesize: 102400")
        reason, _ = self.copy_with_poison(server, nasty.HEAD + b"\n" + b"x" * 200_000 + b"\n")
        self.assertIn("102400", reason)

    def test_cyrus_identical(self):
        """More than ten equal messages in one mailbox, where the server counts them."""
        server = self.serve(Cyrus, USERS=1, EXTRA="conversations: yes")
        items = [nasty.Item(f"m{i}", nasty.HEAD + b"\nequal\n", frozenset(), frozenset(), 1_000_000_000) for i in range(13)]
        items += [nasty.Item(f"n{i}", nasty.HEAD + b"\n%d\n" % i, frozenset(), frozenset(), 1_000_000_000) for i in range(20)]
        nasty.write_maildir(self.haul.path("src"), {"INBOX": items})
        run = self.haul.copy("maildir:" + self.haul.path("src"), self.haul.user(server, "user1"))
        there = self.digests(self.there(server))
        self.assertEqual(run.totals["copied"], sum(there.values()), run)
        self.assertEqual((run.code, run.totals["refused"]), (DIFFERS, 33 - run.totals["copied"]), run)
        self.assertGreaterEqual(run.totals["copied"], 30)
        self.assertIn("identical", self.issues(run, "refused")[0]["reason"])


class TestSizes(Case):
    def test_literal_minus_that_is_not_told(self):
        """Cyrus with literalminus announces LITERAL+, and hangs up on what is longer."""
        server = self.serve(Cyrus, USERS=1, EXTRA="literalminus: yes")
        told = mail.write_maildir(self.haul.path("src"), {"INBOX": 40, "Sent": 10}, mean=4000)
        run = self.haul.copy("maildir:" + self.haul.path("src"), self.haul.user(server, "user1"), "--settle", "1")
        self.assertEqual(run.code, DONE, run)
        self.assertEqual(self.digests(self.there(server)), told["INBOX"] + told["Sent"])

    def test_kept_eight_bits(self):
        server = self.serve(Cyrus, USERS=1, EXTRA="munge8bit: no\nreject8bit: no")
        items = nasty.items(["8bit-subject", "utf8-subject", "8bit-field-name", "plain"])
        nasty.write_maildir(self.haul.path("src"), {"INBOX": items})
        run = self.haul.copy("maildir:" + self.haul.path("src"), self.haul.user(server, "user1"))
        self.assertEqual(run.code, DONE, run)
        self.assertEqual(self.digests(self.there(server)), nasty.Counter(nasty.digest(nasty.crlf(i.data)) for i in items))

    def test_formats(self):
        """How Dovecot stores it is not our business."""
        for mail_format in "mdbox", "sdbox", "mbox":
            with self.subTest(format=mail_format):
                server = self.serve(Dovecot, USERS=1, FORMAT=mail_format)
                path = self.haul.path("src-" + mail_format)
                told = mail.write_maildir(path, {"INBOX": 40, "Sent": 10}, mean=1000)
                state = self.haul.path(mail_format + ".db")
                run = self.haul.copy("maildir:" + path, self.haul.user(server, "user1"), state=state)
                self.assertEqual(run.code, DONE, run)
                account = self.there(server)
                self.assertEqual(self.digests(account), told["INBOX"] + told["Sent"])
                run = self.haul.copy("maildir:" + path, self.haul.user(server, "user1"), state=state)
                self.assertEqual((run.code, run.totals["copied"]), (DONE, 50), run)
                self.assertEqual(self.digests(self.there(server)), told["INBOX"] + told["Sent"])


class TestConnections(Case):
    """Fewer sessions than lanes: it takes longer, and nothing else."""

    def check(self, server, *args):
        boxes = {"INBOX": 30} | {f"box{n}": 20 for n in range(5)}
        told = nasty.Counter()
        for digests in mail.write_maildir(self.haul.path("src"), boxes, mean=500).values():
            told += digests
        words = self.haul.job(
            "maildir:" + self.haul.path("src"), self.haul.user(server, "user1"), "user\nx\n", "lanes = 4\nlanes-per-account = 4\nsettle = 1"
        )
        run = self.haul.copy(*words, *args)
        self.assertEqual((run.code, balance(run.report)), (DONE, []), run)
        self.assertEqual(self.digests(self.there(server)), told)
        run = self.haul.copy(*words, *args, state=self.haul.path("lost.db"))
        self.assertEqual((run.code, run.totals["copied"]), (DONE, 0), run)
        self.assertEqual(self.digests(self.there(server)), told)

    def test_dovecot(self):
        self.check(self.serve(Dovecot, USERS=1, MAXCONN=2))

    def test_dovecot_one(self):
        """Not even a second one to look with."""
        self.check(self.serve(Dovecot, USERS=1, MAXCONN=1))

    def test_cyrus(self):
        self.check(self.serve(Cyrus, USERS=1, EXTRA="maxlogins_per_user: 2"))


class TestKeywords(Case):
    def source(self, count=130):
        words = [f"word{n:03d}" for n in range(count)]
        items = [
            nasty.Item(f"m{n}", nasty.HEAD + b"\n%d\n" % n, frozenset(), frozenset({w, words[0]}), 1_000_000_000)
            for n, w in enumerate(words)
        ]
        nasty.write_mbox(self.haul.path("INBOX"), items)
        return items

    def copy(self, server):
        items = self.source()
        run = self.haul.copy("mbox:" + self.haul.path("INBOX"), self.haul.user(server, "user1"))
        messages = {}
        for box in self.there(server).boxes.values():
            messages.update({m.digest: m.keywords for m in box.messages})
        self.assertEqual(len(messages), len(items), run)
        return run, [(i, messages[nasty.digest(nasty.crlf(i.data))]) for i in items]

    def test_cyrus_holds_a_hundred(self):
        run, there = self.copy(self.serve(Cyrus, USERS=1))
        lost = [i for i, keywords in there if keywords != i.keywords]
        self.assertEqual(len({w for _, keywords in there for w in keywords}), 100)
        self.assertEqual(len(lost), 30)
        self.assertEqual(run.code, DIFFERS)
        self.assertEqual(len(self.issues(run, "keywords")), 30)

    def test_dovecot_holds_them_all(self):
        run, there = self.copy(self.serve(Dovecot, USERS=1))
        self.assertEqual([i for i, keywords in there if keywords != i.keywords], [])
        self.assertEqual(run.code, DONE, run)

    def test_characters(self):
        """A keyword has to be an atom; what is none is left out and listed."""
        for kind in Dovecot, Cyrus:
            server = self.serve(kind, USERS=1)
            words = ["plain", "$Label", "a]b", "a(b", 'a"b', "a%b", "a*b", "a{b", "a\\b"]
            words += ["J\xfcrgen".encode().decode("latin-1"), "x" * 300]
            items = [nasty.Item(f"m{n}", nasty.HEAD + b"\n%d\n" % n, frozenset(), frozenset({w}), 1_000_000_000) for n, w in enumerate(words)]
            path = self.haul.path(kind.name)
            for sub in "cur", "new", "tmp":
                os.makedirs(f"{path}/{sub}")
            with open(path + "/dovecot-keywords", "w", encoding="latin-1") as f:
                f.writelines(f"{n} {w}\n" for n, w in enumerate(words))
            for n, item in enumerate(items):
                with open(f"{path}/cur/{1_600_000_000 + n}.x:2,{chr(97 + n)}", "wb") as f:
                    f.write(item.data)
            run = self.haul.copy("maildir:" + path, self.haul.user(server, "user1"), state=path + ".db")
            there = {m.digest: m.keywords for m in self.there(server).boxes["INBOX"].messages}
            self.assertEqual(len(there), len(items), run)
            listed = self.issues(run, "keywords")
            lost = [i for i in items if there[nasty.digest(nasty.crlf(i.data))] != i.keywords]
            self.assertEqual((len(listed), run.code), (len(lost), DIFFERS), run)
            for item in items[:2]:
                self.assertNotIn(item, lost)
            for item in items[3:10]:
                self.assertIn(item, lost)


if __name__ == "__main__":
    unittest.main()
