"""plan: what it says, what it never does, and what it has in common with copy."""

import json
import os
import shutil
import unittest

import mail
import readback
from haul import ACCOUNTS, AGAIN, DONE, MISUSE, Haul, tree, wait_for
from imap_server import FakeServer, Fault, Message
from names import PATHS, body, digest, write_tree
from proxy import Proxy
from servers import Cyrus, Dovecot

# what a plan may say to a server
READING = set("CAPABILITY ID LOGIN AUTHENTICATE NAMESPACE LIST LSUB STATUS EXAMINE FETCH GETQUOTAROOT LOGOUT NOOP ENABLE".split())
STRANGER = b"Subject: another\r\n\r\nNot from the source.\r\n"


class Case(unittest.TestCase):
    def setUp(self):
        self.haul = Haul()
        self.addCleanup(self.haul.destroy)

    def server(self, kind, **settings):
        server = kind(**settings)
        self.addCleanup(server.destroy)
        server.start()
        return server

    def proxy(self, server, **settings):
        proxy = Proxy(server.host, server.imap_port, **settings).start()
        self.addCleanup(proxy.stop)
        return proxy

    def maildir(self, name="src", seed=1, **boxes):
        path = self.haul.path(name)
        mail.write_maildir(path, boxes or {"INBOX": 10, "Sent": 5, "Lists.debian": 3}, seed=seed, mean=300)
        return "maildir:" + path

    def account(self, run, name):
        (account,) = [a for a in run.report["accounts"] if a["name"] == name]
        return account

    def kinds(self, account):
        return [p["kind"] for p in account["problems"]]


class TestWritesNothing(Case):
    def only_read(self, proxy):
        self.assertTrue(proxy.commands["LIST"])
        self.assertEqual(set(proxy.commands) - READING, set())
        self.assertEqual(proxy.writes(), 0)

    def kept(self, function):
        """The same files with the same bytes and times after it."""
        before = tree(self.haul.directory)
        value = function()
        after = tree(self.haul.directory)
        for path in (self.haul.directory,):  # its own times: secrets are made in it
            before.pop(path), after.pop(path)
        self.assertEqual(before, after)
        return value

    def each_kind(self, server):
        proxy = self.proxy(server)
        self.maildir()
        os.mkdir(self.haul.path("mboxes"))
        mail.write_mbox(self.haul.path("mboxes/INBOX"), 10, 2, 300)
        mail.write_mbox(self.haul.path("mboxes/Sent"), 4, 3, 300)
        for kind, source, user in ("maildir", self.haul.path("src"), "user1"), ("mbox", self.haul.path("mboxes"), "user2"):
            with self.subTest(server=server.name, kind=kind):
                target = self.haul.user(server, user, tls="none", port=proxy.port)
                uri = f"{kind}:{source}"
                proxy.reset()
                self.haul.state = self.haul.path(kind + ".db")
                run = self.kept(lambda u=uri: self.haul.plan(u, target))
                self.assertEqual((run.code, run.report["verdict"]), (DONE, "ready"), run)
                self.kept(lambda u=uri: self.haul.plan(u, target, "--count-bytes"))
                self.only_read(proxy)
                # over a state, with the mail at the target
                copied = self.haul.copy(uri, target)
                self.assertEqual(copied.code, DONE, copied)
                proxy.reset()
                for options in [], ["--map", "Sent -> Gesendet"], ["--map", "INBOX -> Old", "--apply-renames"]:
                    run = self.kept(lambda u=uri, o=options: self.haul.plan(u, target, *o))
                    self.assertIn(run.code, (DONE, ACCOUNTS), run)
                    self.assertEqual(run.report["totals"]["done"], copied.totals["source"], run)
                self.only_read(proxy)

    def test_dovecot(self):
        self.each_kind(self.server(Dovecot, USERS=2))

    def test_cyrus(self):
        self.each_kind(self.server(Cyrus, USERS=2))

    def test_imap_source(self):
        """Both sides through proxies, a stranger's mail at the target to compare."""
        dovecot, cyrus = self.server(Dovecot, USERS=1), self.server(Cyrus, USERS=1)
        one, two = self.proxy(dovecot), self.proxy(cyrus)
        source = self.haul.user(dovecot, "user1", tls="none", port=one.port)
        target = self.haul.user(cyrus, "user1", tls="none", port=two.port)
        filled = self.haul.copy(self.maildir(), source, state=self.haul.path("fill.db"))
        self.assertEqual(filled.code, DONE, filled)
        client = cyrus.login("user1")
        client.append("INBOX", None, None, STRANGER)
        before = readback.account(client).contents()
        one.reset()
        run = self.kept(lambda: self.haul.plan(source, target, "--count-bytes"))
        self.assertEqual((run.code, self.kinds(self.account(run, "user1"))), (ACCOUNTS, ["strangers-mail"]), run)
        self.only_read(one)
        self.only_read(two)
        self.assertEqual(readback.account(client).contents(), before)
        self.assertEqual(run.report["totals"]["messages"], 18)
        client.logout()
        # sizes of messages at a server are what servers count
        self.assertTrue(run.report["totals"]["crlf_exact"])

    def test_after_a_kill(self):
        """A state with a log that nobody has read back keeps both as they are."""
        server = self.server(Dovecot, USERS=1)
        haul = Haul(faults=True)
        self.addCleanup(haul.destroy)
        mail.write_maildir(haul.path("src"), {"INBOX": 60, "Sent": 5}, seed=1, mean=300)
        words = ["maildir:" + haul.path("src"), haul.user(server, "user1"), "--settle", "1"]
        process = haul.start_copy(*words, env={"MAILHAUL_FAULT": "kill@done.posted:1"})
        self.assertEqual(haul.finish(process, killed=True).code, -9)
        self.assertTrue(os.path.getsize(haul.state + "-wal"))
        files = [haul.state, haul.state + "-wal", haul.state + ".lock"]
        before = tree(*files)
        run = haul.plan(*words)
        self.assertEqual(run.code, DONE, run)
        self.assertEqual(run.report["state"]["passes"], 1)
        self.assertEqual(tree(*files), before)
        copied = haul.copy(*words)
        self.assertEqual((copied.code, copied.totals["copied"], copied.totals["present"]), (DONE, 65, 0), copied)

    def test_beside_a_copy(self):
        server = self.server(Dovecot, USERS=2)
        slow = self.proxy(server, delay=0.02)
        source = self.maildir(INBOX=300, Sent=100)
        words = [source, self.haul.user(server, "user1", tls="none", port=slow.port)]
        process = self.haul.start_copy(*words)
        wait_for(lambda: slow.messages > 0)
        run = self.haul.plan(source, self.haul.user(server, "user1"))
        self.assertEqual(run.code, DONE, run)
        self.assertEqual(run.report["state"]["pid"], process.pid)
        self.assertIsNone(process.poll())
        copied = self.haul.finish(process)
        self.assertEqual((copied.code, copied.totals["copied"]), (DONE, 400), copied)

    def test_state_of_others(self):
        """The checks of the state are copy's."""
        server = self.server(Dovecot, USERS=2)
        source = self.maildir()
        self.assertEqual(self.haul.copy(source, self.haul.user(server, "user1")).code, DONE)
        run = self.haul.plan(source, self.haul.user(server, "user2"))
        self.assertEqual(run.code, MISUSE, run)
        self.assertIn("is of other accounts", run.err)
        self.haul.write("no.db", "this is no state")
        run = self.haul.plan(source, self.haul.user(server, "user2"), state=self.haul.path("no.db"))
        self.assertEqual(run.code, MISUSE, run)


class TestSays(Case):
    def test_sizes(self):
        """Counts and bytes are those that copy finds."""
        server = self.server(Dovecot, USERS=3)
        source = self.maildir()
        os.mkdir(self.haul.path("mboxes"))
        mail.write_mbox(self.haul.path("mboxes/INBOX"), 12, 2, 300)
        mail.write_mbox(self.haul.path("mboxes/Sent"), 5, 3, 300)
        for uri, user in (source, "user1"), ("mbox:" + self.haul.path("mboxes"), "user2"):
            self.haul.state = self.haul.path(user + ".db")
            target = self.haul.user(server, user)
            plain = self.haul.plan(uri, target).report["totals"]
            counted = self.haul.plan(uri, target, "--count-bytes").report["totals"]
            report = self.haul.copy(uri, target).report
            boxes = report["accounts"][0]["mailboxes"]
            self.assertEqual(counted["messages"], report["totals"]["source"])
            self.assertEqual(counted["bytes"], sum(b["bytes"] for b in boxes))
            self.assertEqual(counted["crlf_bytes"], sum(b["crlf_bytes"] for b in boxes))
            self.assertTrue(counted["crlf_exact"])
            self.assertEqual(counted["uncounted_mailboxes"], 0)
            # without reading: what the files tell, and an estimate
            self.assertFalse(plain["crlf_exact"])
            self.assertAlmostEqual(plain["crlf_bytes"] / counted["crlf_bytes"], 1, delta=0.2)
            if user == "user1":
                self.assertEqual((plain["messages"], plain["bytes"]), (counted["messages"], counted["bytes"]))
            else:
                self.assertEqual(plain["uncounted_mailboxes"], 2)
            # the state knows it all
            known = self.haul.plan(uri, target).report["totals"]
            self.assertEqual(known, dict(counted, done=counted["messages"]))

    def test_quota_and_what_is_there(self):
        server = self.server(Cyrus, USERS=2)
        server.set_quota("user1", 1000)
        server.set_quota("user2", 2)
        source = self.maildir()
        run = self.haul.plan(source, self.haul.admin(server, "user1"))
        account = self.account(run, "user1")
        self.assertEqual(run.code, DONE, run)
        self.assertEqual(account["quota"]["target"], 1000 * 1024)
        self.assertEqual((account["target_mailboxes"], account["target_messages"]), (1, 0))
        run = self.haul.plan(source, self.haul.admin(server, "user2"))
        self.assertEqual((run.code, self.kinds(self.account(run, "user2"))), (ACCOUNTS, ["quota"]), run)
        # where copy sets the limit, there will be room
        self.assertEqual(self.haul.plan(source, self.haul.admin(server, "user2"), "--quota", "fixed:1M").code, DONE)

    def test_users(self):
        """A mistyped user, one that is to be made, and nobody's password."""
        server = self.server(Cyrus, USERS=1)
        source = self.maildir()
        for options, code, kinds in ([], ACCOUNTS, ["missing-user"]), (["--create-users"], DONE, []):
            run = self.haul.plan(source, self.haul.admin(server, "usre1"), *options)
            account = self.account(run, "usre1")
            self.assertEqual((run.code, self.kinds(account)), (code, kinds), run)
            self.assertEqual(account["create"], code == DONE)
        admin = server.admin_login()
        self.assertNotIn(b"usre1", b" ".join(admin.list('""', '"*"')[1]))
        admin.logout()
        run = self.haul.plan(source, self.haul.admin(server, "user1", password="wrong"))
        self.assertEqual((run.code, self.kinds(self.account(run, "user1"))), (ACCOUNTS, ["login"]), run)

    def test_wrong_admin_password(self):
        """It is tried three times, not once for each account."""
        fake = FakeServer().start()
        self.addCleanup(fake.stop)
        users = [f"u{i}" for i in range(12)]
        for user in users:
            self.maildir("home/" + user, INBOX=1) if user == "u0" else shutil.copytree(self.haul.path("home/u0"), self.haul.path("home", user))
        secret = self.haul.secret("wrong")
        words = self.haul.job(
            self.haul.path("home") and f"maildir:{self.haul.path('home')}/{{user}}",
            f"imap://admin@127.0.0.1:{fake.port}?tls=none&authzid={{user}}&secret-file={secret}",
            "user\n" + "\n".join(users) + "\n",
        )
        run = self.haul.plan(*words, "--lanes", "8")
        self.assertEqual(run.code, ACCOUNTS, run)
        self.assertLessEqual(fake.commands["LOGIN"] + fake.commands["AUTHENTICATE"], 3)
        self.assertEqual({tuple(self.kinds(a)) for a in run.report["accounts"]}, {("login",)})

    def test_server_away(self):
        """What may pass ends with 75."""
        server = self.server(Dovecot, USERS=1)
        source = self.maildir()
        target = self.haul.user(server, "user1")
        server.stop()
        run = self.haul.plan(source, target)
        self.assertEqual((run.code, run.report["verdict"]), (AGAIN, "not ready"), run)

    def test_orphans(self):
        server = self.server(Dovecot, USERS=5)
        for i in (1, 2, 4, 5):
            self.maildir(f"homes/user{i}/Maildir", seed=i, INBOX=2)
        os.makedirs(self.haul.path("homes/lost+found"))
        os.makedirs(self.haul.path("homes/.snapshot/Maildir/cur"))
        words = self.haul.job(
            f"maildir:{self.haul.path('homes')}/{{user}}/Maildir",
            self.haul.user(server, "{user}"),
            "user\nuser1\nuser2\nuser3\n",
        )
        run = self.haul.plan(*words)
        self.assertEqual(run.code, ACCOUNTS, run)
        orphans = run.report["orphans"]
        self.assertEqual(sorted(orphans["trees"]), [self.haul.path("homes", u, "Maildir") for u in ("user4", "user5")])
        self.assertEqual((orphans["more_trees"], orphans["rows"]), (0, ["user3"]))
        self.assertEqual(self.kinds(self.account(run, "user3")), ["missing-source"])
        self.assertEqual((run.report["totals"]["accounts"], run.report["totals"]["ready"]), (3, 2))
        # with many, they are counted
        for i in range(70):
            os.makedirs(self.haul.path(f"homes/x{i}/Maildir"))
        orphans = self.haul.plan(*words).report["orphans"]
        self.assertEqual((len(orphans["trees"]), orphans["more_trees"]), (50, 22))

    def test_text(self):
        server = self.server(Dovecot, USERS=1)
        run = self.haul.run("plan", self.maildir(), self.haul.user(server, "user1"), "--state", self.haul.state, "--exclude", "Lists/*", "--map", "Sent -> Gesendet")
        self.assertEqual(run.code, DONE, run)
        self.assertTrue(run.out.endswith("\nready\n"), run)
        for words in "Sent -> Gesendet, 5 messages", "Lists/debian: excluded", "15 messages to copy", "nothing measured yet":
            self.assertIn(words, run.out)
        run = self.haul.run("plan", "maildir:" + self.haul.path("none"), self.haul.user(server, "user1"), "--state", self.haul.state)
        self.assertEqual(run.code, ACCOUNTS, run)
        self.assertIn("\nnot ready, because\n    user1: ", run.out)


class TestStops(Case):
    """Plan and copy stop at the same, before anything is changed."""

    def both(self, words, *, code, said, server, proxy, client=None, outcome=None):
        """Neither changes anything; both say that."""
        before = readback.account(client).contents() if client else None
        proxy.reset()
        plan = self.haul.plan(*words)
        self.assertEqual((plan.code, plan.report["verdict"]), (ACCOUNTS, "not ready"), plan)
        texts = [p["text"] for a in plan.report["accounts"] for p in a["problems"]]
        self.assertTrue(any(said in t for t in texts), plan)
        run = self.haul.copy(*words)
        self.assertEqual(run.code, code, run)
        self.assertIn(said, run.err)
        self.assertEqual(proxy.writes(), 0, run)
        if outcome:
            self.assertIn(outcome, [a["outcome"] for a in run.report["accounts"]])
        if client:
            self.assertEqual(readback.account(client).contents(), before)
        return plan, run

    def setUp(self):
        super().setUp()
        self.dovecot = self.server(Dovecot, USERS=2)
        self.between = self.proxy(self.dovecot)
        self.target = self.haul.user(self.dovecot, "user1", tls="none", port=self.between.port)
        self.client = self.dovecot.login("user1")
        self.addCleanup(lambda: self.client.logout())

    def stops(self, source, said, outcome=None, options=()):
        return self.both(
            [source, self.target, *options],
            code=ACCOUNTS,
            said=said,
            server=self.dovecot,
            proxy=self.between,
            client=self.client,
            outcome=outcome,
        )

    def test_strangers_mail(self):
        self.client.append("INBOX", None, None, STRANGER)
        plan, _ = self.stops(self.maildir(), "none of them is the source's", "failed")
        self.assertEqual(self.kinds(self.account(plan, "user1")), ["strangers-mail"])

    def test_shared_mail_is_fine(self):
        """One message of the source is there: plan sees that as copy does."""
        one = next(mail.messages(10, seed="1.0", mean=300))
        self.client.append("INBOX", None, None, STRANGER)
        self.client.append("INBOX", None, None, one.body)
        source = self.maildir()
        plan = self.haul.plan(source, self.target)
        self.assertEqual(plan.code, DONE, plan)
        kinds = [w["kind"] for w in self.account(plan, "user1")["warnings"]]
        self.assertEqual([k for k in kinds if k != "warn"], ["holds-mail", "reads"])  # warn: no TLS
        run = self.haul.copy(source, self.target)
        self.assertEqual((run.code, run.totals["present"]), (DONE, 1), run)

    def test_unmounted_home(self):
        os.makedirs(self.haul.path("mnt/anna"))
        self.stops("maildir:" + self.haul.path("mnt/anna"), "no Maildir", "empty")
        self.stops("mbox:" + self.haul.path("mnt/anna"), "INBOX", "empty")

    def test_skeleton_beside_the_real_one(self):
        for sub in "cur", "new", "tmp":
            os.makedirs(self.haul.path("home/Maildir", sub))
        self.maildir("home/mail")
        plan, _ = self.stops("maildir:" + self.haul.path("home/Maildir"), self.haul.path("home/mail"), "empty")
        self.assertEqual(self.kinds(self.account(plan, "user1")), ["empty"])

    def test_shrunk_to_nothing(self):
        source = self.maildir()
        self.assertEqual(self.haul.copy(source, self.target).code, DONE)
        for folder, _, files in os.walk(self.haul.path("src")):
            for name in files:
                if "S=" in name:
                    os.unlink(os.path.join(folder, name))
        plan, _ = self.stops(source, "in the last pass it had 18", "failed")
        self.assertEqual(self.kinds(self.account(plan, "user1")), ["changed-source"])

    def test_another_store(self):
        self.assertEqual(self.haul.copy(self.maildir(), self.target).code, DONE)
        self.stops(self.maildir("other", seed=77), "this is not the store of the last pass", "failed")

    def test_renames(self):
        source = self.maildir()
        self.assertEqual(self.haul.copy(source, self.target).code, DONE)
        plan, _ = self.stops(source, "--apply-renames", "failed", ["--map", "Sent -> Gesendet"])
        (box,) = [b for b in self.account(plan, "user1")["mailboxes"] if b["name"] == "Sent"]
        self.assertEqual((box["old_target_name"], box["target_name"]), ("Sent", "Gesendet"))

    def test_user_changes(self):
        """The list gives one row another target user."""
        self.maildir("src/anna")
        words = self.haul.job(
            f"maildir:{self.haul.path('src')}/{{user}}",
            self.haul.user(self.dovecot, "{target_user}", tls="none", port=self.between.port),
            "user,target_user\nanna,user1\n",
        )
        self.assertEqual(self.haul.copy(*words).code, DONE)
        self.haul.write("job.ini.csv", "user,target_user\nanna,user2\n")
        plan, _ = self.both(words, code=ACCOUNTS, said="the target user was user1 and is now user2", server=self.dovecot, proxy=self.between, outcome="failed")
        self.assertEqual(self.kinds(self.account(plan, "anna")), ["changed-user"])
        # nobody has renamed him at the server
        self.both([*words, "--apply-renames"], code=ACCOUNTS, said="who does not hold what was copied", server=self.dovecot, proxy=self.between)
        # now somebody has
        self.client.logout()
        self.client = self.dovecot.login("user2")
        self.dovecot.stop()
        for old, new in (("user2", "user0"), ("user1", "user2")):
            os.rename(os.path.join(self.dovecot.home(old), "mail"), os.path.join(self.dovecot.home(old), "gone") if old == "user2" else os.path.join(self.dovecot.home(new), "mail"))
        self.dovecot.start()
        self.client = self.dovecot.login("user2")
        self.between.reset()
        plan = self.haul.plan(*words, "--apply-renames")
        self.assertEqual(plan.code, DONE, plan)
        run = self.haul.copy(*words, "--apply-renames")
        self.assertEqual((run.code, run.totals["copied"], self.between.commands["APPEND"]), (DONE, 18, 0), run)
        self.assertEqual(readback.account(self.client).total(), 18)
        run = self.haul.copy(*words)
        self.assertEqual((run.code, self.between.commands["APPEND"]), (DONE, 0), run)

    def test_list_with_every_mistake(self):
        self.maildir("src/anna")
        source = f"maildir:{self.haul.path('src')}/{{user}}"
        target = self.haul.user(self.dovecot, "{target_user}", tls="none", port=self.between.port)
        rows = [
            "user,target_user",
            "anna,user1",
            "anna,user2",  # a name twice
            "berta,USER1",  # the target of anna, after folding
            "..,user2",  # no file name
            "caesar",  # too few fields
        ]
        words = self.haul.job(source, target, "\n".join(rows) + "\n")
        self.between.reset()
        for command in "plan", "copy":
            with self.subTest(command=command):
                run = self.haul.run(command, *words, "--state", self.haul.state)
                self.assertEqual(run.code, MISUSE, run)
                for line in 3, 4, 5, 6:
                    self.assertIn(f"job.ini.csv:{line}: ", run.err)
                self.assertIn("nothing was started", run.err)
                self.assertFalse(os.path.exists(self.haul.state))
        self.assertEqual(self.between.count, 0)


class TestNames(Case):
    """Doubles in case and language, 40 levels, names that servers refuse: plan
    shows what copy then makes, in every pass."""

    DOUBLES = [("Trash",), ("INBOX", "Trash"), ("Corbeille",), ("Drafts",), ("drafts",), ("DRAFTS", "x"), ("Entwürfe",), ("Sent",), ("sent-mail",)]

    def same_names(self, server, prefix=""):
        paths = [("INBOX",)] + [p for p in PATHS if p not in self.DOUBLES] + self.DOUBLES
        source = write_tree(self.haul.path("src"), paths, lambda level: readback.encode_name(level).decode())
        target = self.haul.user(server, "user1")
        for options in [], ["--inbox-children", "top", "--special-use", "rename"]:
            with self.subTest(server=server.name, options=options):
                self.haul.state = self.haul.path(f"S{len(options)}.db")
                if options:
                    target = self.haul.user(server, "user2")
                plan = self.haul.plan(source, target, *options)
                self.assertEqual(plan.code, DONE, plan)
                planned = {b["name"]: b["target_name"] for b in self.account(plan, plan.report["accounts"][0]["name"])["mailboxes"]}
                self.assertEqual(len(planned), len(paths))
                self.assertEqual(len(set(planned.values())), len(paths))
                run = self.haul.copy(source, target, "--settle", "1", *options)
                self.assertEqual(run.code, DONE, run)
                made = {b["name"]: b["target_name"] for b in run.report["accounts"][0]["mailboxes"]}
                self.assertEqual(made, planned)
                # at the server each holds its own message
                client = server.login("user2" if options else "user1")
                there = {name: box for name, box in readback.account(client).boxes.items() if box.messages}
                client.logout()
                self.assertEqual(set(there), {readback.decode_name(n.encode()) for n in planned.values()})
                self.assertEqual(sorted(m.digest for box in there.values() for m in box.messages), sorted(digest(body(p)) for p in paths))
                # and again
                for command in self.haul.plan, self.haul.copy:
                    again = command(source, target, "--settle", "1", *options)
                    self.assertEqual(again.code, DONE, again)
                    names = {b["name"]: b["target_name"] for b in again.report["accounts"][0]["mailboxes"]}
                    self.assertEqual(names, planned)

    def test_dovecot(self):
        self.same_names(self.server(Dovecot, USERS=2))

    def test_dovecot_fs(self):
        self.same_names(self.server(Dovecot, USERS=2, FORMAT="maildir:~/mail:LAYOUT=fs"))

    def test_cyrus(self):
        self.same_names(self.server(Cyrus, USERS=2))


class TestRename(Case):
    """--apply-renames on servers: one renumbers what it renames, one does not."""

    CHANGES = [
        ["--map", "Sent -> Gesendet"],
        ["--map", "Lists/ -> Mailing/"],
        ["--map", "Sent -> Work", "--map", "Work -> Sent"],
        ["--map", "Lists -> Lists/old", "--map", "Lists/debian -> Lists"],
        ["--map", "Work -> INBOX/Work"],
    ]

    def renames(self, server, login):
        source = self.maildir(INBOX=6, Sent=5, Work=4, **{"Lists": 3, "Lists.debian": 2})
        for number, options in enumerate(self.CHANGES, 1):
            user = f"user{number}"
            proxy = self.proxy(server)
            target = self.haul.user(server, user, tls="none", port=proxy.port)
            self.haul.state = self.haul.path(user + ".db")
            with self.subTest(server=server.name, options=options):
                self.assertEqual(self.haul.copy(source, target).code, DONE)
                client = login(user)
                was = {m.digest: m.uid for b in readback.account(client).boxes.values() for m in b.messages}
                stop = self.haul.copy(source, target, *options)
                self.assertEqual(stop.code, ACCOUNTS, stop)
                plan = self.haul.plan(source, target, *options, "--apply-renames")
                self.assertEqual(plan.code, DONE, plan)
                wanted = {b["target_name"]: b["messages"] for b in plan.report["accounts"][0]["mailboxes"]}
                proxy.reset()
                run = self.haul.copy(source, target, *options, "--apply-renames")
                self.assertEqual((run.code, run.totals["copied"]), (DONE, 20), run)
                self.assertGreater(proxy.commands["RENAME"], 0)
                self.assertEqual((proxy.commands["APPEND"], proxy.commands["CREATE"]), (0, 0))
                account = readback.account(client)
                there = {name: len(b.messages) for name, b in account.boxes.items() if b.messages}
                self.assertEqual(there, wanted)
                self.assertEqual({m.digest: m.uid for b in account.boxes.values() for m in b.messages}, was)
                # subscriptions to the old names are gone
                self.assertEqual(account.subscribed - {"INBOX"}, set(wanted) - {"INBOX"})
                # the books know the new numbers: nothing is read again
                proxy.reset()
                again = self.haul.copy(source, target, *options)
                self.assertEqual((again.code, again.totals["copied"]), (DONE, 20), again)
                self.assertEqual(proxy.writes(), 0)
                self.assertEqual([a for _, _, n, a in proxy.log if n == "FETCH" and "BODY" in a], [])
                self.assertEqual([i for i in again.report["issues"] if "UIDVALIDITY" in i["reason"]], [])
                client.logout()

    def test_dovecot(self):
        server = self.server(Dovecot, USERS=len(self.CHANGES))
        self.renames(server, server.login)

    def test_cyrus(self):
        server = self.server(Cyrus, USERS=len(self.CHANGES))
        self.renames(server, server.login)

    def test_taken_meanwhile(self):
        server = self.server(Dovecot, USERS=1)
        source, target = self.maildir(), self.haul.user(server, "user1")
        self.assertEqual(self.haul.copy(source, target).code, DONE)
        client = server.login("user1")
        client.create("Gesendet")
        client.append("Gesendet", None, None, STRANGER)
        before = readback.account(client).contents()
        run = self.haul.copy(source, target, "--map", "Sent -> Gesendet", "--apply-renames")
        self.assertEqual(run.code, ACCOUNTS, run)
        self.assertIn("there is a mailbox of that name already", run.err)
        self.assertEqual(readback.account(client).contents(), before)
        client.logout()


class TestPlainServers(Case):
    """Servers that list little, or nothing, or leave children behind."""

    def fake(self, *faults, **settings):
        server = FakeServer(faults, **settings).start()
        self.addCleanup(server.stop)
        self.secret = self.haul.secret()
        return server, f"imap://user1@127.0.0.1:{server.port}?tls=none&secret-file={self.secret}"

    def fill(self, server, name, body):
        with server.lock:
            account = server.account("user1")
            box = account.boxes.get(name) or account.create(name)
            box.messages.append(Message(box.uidnext, set(), 1_000_000_000, body))
            box.uidnext += 1

    def stranger(self, server, target):
        """It is seen, wherever it lies."""
        self.fill(server, "Sent", STRANGER)
        source = self.maildir()
        plan = self.haul.plan(source, target)
        self.assertEqual((plan.code, self.kinds(self.account(plan, "user1"))), (ACCOUNTS, ["strangers-mail"]), plan)
        run = self.haul.copy(source, target)
        self.assertEqual(run.code, ACCOUNTS, run)
        self.assertEqual(server.commands["APPEND"] + server.commands["CREATE"], 0)
        # and mail of the source is no stranger's
        one = next(mail.messages(10, seed="1.0", mean=300))
        self.fill(server, "INBOX", one.body)
        self.assertEqual(self.haul.plan(source, target).code, DONE)
        run = self.haul.copy(source, target)
        self.assertEqual((run.code, run.totals["present"], run.totals["copied"]), (DONE, 1, 17), run)

    def test_list_without_status(self):
        for number, settings in enumerate(({"list_extended": False}, {"capabilities": "IMAP4rev1"})):
            with self.subTest(settings=settings):
                self.haul.state = self.haul.path(f"S{number}.db")
                shutil.rmtree(self.haul.path("src"), True)
                self.stranger(*self.fake(**settings))

    def test_empty_list(self):
        """As Cyrus answers to users whose names have dots."""
        server, target = self.fake(Fault("LIST", do="answer", text="OK nothing", times=0))
        self.stranger(server, target)

    def test_children_stay(self):
        """A server that renames a mailbox alone."""
        server, target = self.fake()
        source = self.maildir(INBOX=2, Work=3, **{"Work.Old": 4})
        self.assertEqual(self.haul.copy(source, target).code, DONE)
        run = self.haul.copy(source, target, "--map", "Work/ -> Job/", "--apply-renames")
        self.assertEqual((run.code, run.totals["copied"]), (DONE, 9), run)
        self.assertEqual({n: sum(c.values()) for n, c in server.contents("user1").items()}, {"INBOX": 2, "Job": 3, "Job/Old": 4})
        self.assertEqual(self.haul.copy(source, target, "--map", "Work/ -> Job/").code, DONE)

    def test_rename_refused(self):
        """A clear no: the account stops, all stays, and a later run goes on."""
        server, target = self.fake(Fault("RENAME", do="answer", text="NO [NOPERM] not you"))
        source = self.maildir()
        self.assertEqual(self.haul.copy(source, target).code, DONE)
        before = server.contents("user1")
        words = [source, target, "--map", "Sent -> Gesendet", "--apply-renames"]
        run = self.haul.copy(*words)
        self.assertEqual((run.code, run.report["accounts"][0]["outcome"]), (ACCOUNTS, "failed"), run)
        self.assertIn("not you", run.err)
        self.assertEqual(server.contents("user1"), before)
        run = self.haul.copy(*words)
        self.assertEqual((run.code, run.totals["copied"]), (DONE, 18), run)
        self.assertIn("Gesendet", server.contents("user1"))

    def test_rename_answer_is_lost(self):
        """It was done, or it was not: looking tells."""
        for number, at in enumerate(("command", "answer")):
            with self.subTest(at=at):
                self.haul.state = self.haul.path(f"S{number}.db")
                shutil.rmtree(self.haul.path("src"), True)
                server, target = self.fake(Fault("RENAME", at=at, do="cut"))
                source = self.maildir()
                self.assertEqual(self.haul.copy(source, target).code, DONE)
                run = self.haul.copy(source, target, "--map", "Sent -> Gesendet", "--apply-renames")
                self.assertEqual((run.code, run.totals["copied"]), (DONE, 18), run)
                self.assertEqual({n: sum(c.values()) for n, c in server.contents("user1").items()}, {"INBOX": 10, "Gesendet": 5, "Lists/debian": 3})
                self.assertEqual(server.commands["RENAME"], 1 if at == "answer" else 2)


class TestJson(unittest.TestCase):
    def test_documented(self):
        """Every field of the schema is in the manual page."""
        with Dovecot(USERS=1) as server, Haul() as haul:
            mail.write_maildir(haul.path("src"), {"INBOX": 1}, seed=1, mean=300)
            run = haul.plan("maildir:" + haul.path("src"), haul.user(server, "user1"))
            report = json.loads(run.out)
            self.assertEqual(report["schema"], "mailhaul-plan-1")
            root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
            with open(os.path.join(root, "cmd/mailhaul.1"), encoding="utf-8") as f:
                words = set(f.read().replace(",", " ").split())
            account = report["accounts"][0]
            for name in [*report, *account["mailboxes"][0], "problems", "warnings", "quota", "ready"]:
                self.assertIn(name, words)


if __name__ == "__main__":
    unittest.main()
