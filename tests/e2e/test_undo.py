"""Taking back, forgetting and choosing accounts, on both servers: what was
there before a copy is there after its undo, as imaplib sees it."""

import contextlib
import fcntl
import os
import re
import sqlite3
import stat
import unittest
from collections import Counter

import mail
import readback
from haul import ACCOUNTS, DIFFERS, DONE, MISUSE, Haul, balance
from proxy import Proxy
from kills import written
from servers import Cyrus, Dovecot

OURS = b"From: boss@example.org\r\nSubject: %s\r\n\r\nNot of the migration\r\n"
DATE = '"17-Jul-2009 02:44:25 -0700"'
BOXES = {"INBOX": 30, "Sent": 12, "Lists": 3, "Lists.debian": 8, "Leer": 0}


def snapshot(account):
    """What must be equal, UIDs and all."""
    return {
        "messages": {name: [tuple(m) for m in box.messages] for name, box in account.boxes.items()},
        "uidvalidity": {name: box.uidvalidity for name, box in account.boxes.items()},
        "subscribed": account.subscribed - {"INBOX"},  # it stays, and so does that
        "uses": {name: box.special_use for name, box in account.boxes.items()},
    }


class Common:
    @classmethod
    def setUpClass(cls):
        cls.server = cls.kind(USERS=40)
        cls.addClassCleanup(cls.server.destroy)
        cls.server.start()
        cls.last_user = 0

    def setUp(self):
        self.haul = Haul()
        self.addCleanup(self.haul.destroy)

    def there(self, user):
        client = self.server.login(user)
        try:
            return readback.account(client)
        finally:
            client.logout()

    def users(self, n):
        """New users of the server, with Maildirs for them; the words of a job."""
        first = type(self).last_user
        type(self).last_user += n
        self.names = [f"user{first + i + 1}" for i in range(n)]
        rows = "user,target_user,team\n"
        for i, name in enumerate(self.names):
            path = self.haul.path("mail", f"acct{i}")
            mail.write_maildir(path, BOXES, f"{name}.{self.server.name}", 800)
            # one with a keyword, and one that waits to be expunged
            base = os.path.join(path, "cur")
            with open(os.path.join(path, "dovecot-keywords"), "w", encoding="ascii") as f:
                f.write("0 $Label1\n")
            files = sorted(os.listdir(base))
            os.rename(os.path.join(base, files[0]), os.path.join(base, files[0].split(":")[0] + ":2,Sa"))
            os.rename(os.path.join(base, files[1]), os.path.join(base, files[1].split(":")[0] + ":2,ST"))
            rows += f"acct{i},{name},{'ab'[i % 2]}\n"
        target = self.haul.admin(self.server, "{target_user}")
        return self.haul.job(f"maildir:{self.haul.directory}/mail/{{user}}", target, rows)

    def run_it(self, command, job, *args):
        return self.haul.run(command, *job, "--state", self.haul.state, *args)

    def put(self, user, box, subject, flags=r"(\Flagged)"):
        client = self.server.login(user)
        self.assertEqual(client.append(readback.quote(box), flags, DATE, OURS % subject.encode())[0], "OK")
        client.logout()

    def ask(self, question):
        db = sqlite3.connect(self.haul.state)
        try:
            return db.execute(question).fetchone()[0]
        finally:
            db.close()

    @contextlib.contextmanager
    def held(self):
        """The state is another process's."""
        with open(self.haul.state + ".lock", "r+b") as f:
            fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield

    # -- undo

    def test_undo(self):
        job = self.users(2)
        one, two = self.names
        self.put(one, "INBOX", "was here before")
        before = snapshot(self.there(one))
        self.assertEqual(self.haul.copy(*job, "--existing", "merge").code, DONE)
        copied, other = snapshot(self.there(one)), snapshot(self.there(two))
        self.assertEqual(len(copied["messages"]["INBOX"]), 31)

        # which accounts has to be said, and on the command line
        run = self.run_it("undo", job, "--yes")
        self.assertEqual((run.code, "which accounts?" in run.err), (MISUSE, True), run)
        run = self.run_it("undo", [*job, "--set", "job.yes=yes"], "--only", "acct0")
        self.assertEqual((run.code, "command line" in run.err), (MISUSE, True), run)

        # the listing writes nothing
        with Proxy(self.server.host, self.server.imap_port) as proxy:
            words = [re.sub(r"(@[^/?]*):\d+", rf"\1:{proxy.port}", w) for w in self.job_past(job, proxy)]
            # a target that it was not copied to
            run = self.run_it("undo", words, "--only", "acct0", "--yes")
            self.assertEqual(run.code, ACCOUNTS, run)
            self.assertRegex(run.err, rf"it was copied to imap:.*:{self.server.imap_port}\?.*is now imap:.*:{proxy.port}\?")
            self.assertNotIn("secret", run.err)
            with self.moved(self.server.imap_port, proxy.port):
                run = self.run_it("undo", words, "--only", "acct0")
        self.assertEqual(run.code, DONE, run)
        self.assertEqual(written(proxy), [])
        self.assertIn("53 messages and 4 mailboxes would be taken back; nothing was done", run.out)
        self.assertRegex(run.out, r"INBOX: 30 messages would be taken back; 1 are not ours and stay; the mailbox stays")
        self.assertEqual(snapshot(self.there(one)), copied)

        run = self.run_it("undo", job, "--only", "acct0", "--yes")
        self.assertEqual(run.code, DONE, run)
        self.assertIn("53 messages and 4 mailboxes were taken back\n", run.out)
        text = ""
        for directory, _, files in os.walk(self.haul.directory):
            text += "".join(open(os.path.join(directory, n), encoding="utf-8").read() for n in files if n.endswith(".log"))
        self.assertRegex(text, r"undo\b.*takes back 30 messages; changed 0, present 0, not ours 1, gone 0")
        self.assertEqual(snapshot(self.there(one)), before)
        self.assertEqual(snapshot(self.there(two)), other)
        report = self.haul.report()
        self.assertEqual(balance(report), [])
        self.assertEqual(report["totals"]["source"], 53)  # what of the copy is left
        self.assertNotIn("cut off", self.haul.run("status", "--state", self.haul.state).out)
        self.assertEqual({a["name"]: a["outcome"] for a in report["accounts"]}, {"acct0": "undone", "acct1": "done"})

        # whose the mail is that was there before is asked again
        run = self.haul.copy(*job)
        self.assertEqual(run.code, ACCOUNTS, run)
        self.assertEqual(snapshot(self.there(one)), before)
        # it can be copied again, as it was; the other one needs nothing
        run = self.haul.copy(*job, "--existing", "merge")
        self.assertEqual(run.code, DONE, run)
        again = self.there(one)
        self.assertEqual({name: box.digests() for name, box in again.boxes.items()}, self.digests(copied))
        self.assertEqual(again.subscribed - {"INBOX"}, copied["subscribed"])
        self.assertEqual([i for i in run.report["issues"] if i["kind"] == "lost"], [])
        self.assertEqual(snapshot(self.there(two)), other)

    @contextlib.contextmanager
    def moved(self, port, to):
        """What was copied is at another port of the server, says the state."""
        sql = "UPDATE account SET target = replace(target, ?, ?)"
        for old, new in (port, to), (to, port):
            db = sqlite3.connect(self.haul.state)
            db.execute(sql, (f":{old}?", f":{new}?"))
            db.commit()
            db.close()
            if old == port:
                yield

    @staticmethod
    def digests(taken):
        return {name: Counter(m[5] for m in box) for name, box in taken["messages"].items()}

    def job_past(self, job, proxy):
        """The same job with its target behind a proxy, which sees no TLS."""
        target = self.haul.admin(self.server, "{target_user}", tls="none", port=proxy.port)
        rows = open(job[3], encoding="utf-8").read()
        return self.haul.job(f"maildir:{self.haul.directory}/mail/{{user}}", target, rows, name="past.ini")

    def test_what_was_changed_stays(self):
        job = self.users(1)
        (user,) = self.names
        sub = self.sub
        self.assertEqual(self.haul.copy(*job).code, DONE)
        client = self.server.login(user)
        client.select("INBOX")
        client.uid("STORE", "3", "+FLAGS", r"(\Answered \Draft)")
        client.uid("STORE", "4", "+FLAGS", "($Junk)")
        client.uid("STORE", "5", "+FLAGS", r"(\Deleted)")
        client.create(readback.quote(sub + "Moved"))
        client.uid("COPY", "6", readback.quote(sub + "Moved"))
        client.uid("STORE", "6", "+FLAGS", r"(\Deleted)")
        client.uid("EXPUNGE", "6")
        client.create(readback.quote(sub + "Leer" + self.sep + "Mine"))
        client.logout()
        self.put(user, sub + "Sent", "sent by the user")
        uids = {m.uid for m in self.there(user).boxes["INBOX"].messages}
        self.assertEqual(uids, set(range(1, 31)) - {6})

        run = self.run_it("undo", job, "--only", "acct*", "--yes")
        self.assertEqual(run.code, DIFFERS, run)
        self.assertRegex(run.out, r"INBOX: 26 messages taken back; 3 were changed since and stay; 1 of ours are no longer there")
        there = self.there(user)
        self.assertEqual({m.uid for m in there.boxes["INBOX"].messages}, {3, 4, 5})
        self.assertIn("\\deleted", {m.uid: m.flags for m in there.boxes["INBOX"].messages}[5])
        self.assertEqual(len(there.boxes[sub + "Moved"].messages), 1)
        self.assertEqual([m.size for m in there.boxes[sub + "Sent"].messages], [len(OURS % b"sent by the user")])
        self.assertIn(sub + "Leer" + self.sep + "Mine", there.boxes)
        self.assertNotIn(sub + "Lists" + self.sep + "debian", there.boxes)
        self.assertNotIn(sub + "Lists", there.boxes)

        # what is missing comes again, nothing twice
        run = self.haul.copy(*job)
        self.assertEqual(run.code, DONE, run)
        there = self.there(user)
        self.assertEqual(len(there.boxes["INBOX"].messages), 30)
        self.assertEqual(max(there.boxes["INBOX"].digests().values()), 1)
        self.assertEqual(len(there.boxes[sub + "Sent"].messages), 13)

    def test_another_user(self):
        """A list that was changed: nobody loses mail to another's undo."""
        job = self.users(2)
        self.assertEqual(self.haul.copy(*job, "--only", "acct0").code, DONE)
        one, two = self.names
        taken = [snapshot(self.there(name)) for name in self.names]
        rows = open(job[3], encoding="utf-8").read().splitlines(True)
        self.haul.write("job.ini.csv", rows[0] + rows[1].replace(one, two))
        run = self.run_it("undo", job, "--only", "acct0", "--yes")
        self.assertEqual(run.code, ACCOUNTS, run)
        self.assertIn(f"copied to the user {one}, and the target user is now {two}", run.err)
        self.assertEqual([snapshot(self.there(name)) for name in self.names], taken)

    def test_released(self):
        job = self.users(1)
        self.assertEqual(self.haul.copy(*job).code, DONE)
        copied = snapshot(self.there(self.names[0]))
        db = sqlite3.connect(self.haul.state)
        db.execute("UPDATE account SET stage = 'released'")
        db.commit()
        db.close()
        run = self.run_it("undo", job, "--only", "acct0", "--yes")
        self.assertEqual((run.code, "released" in run.err), (ACCOUNTS, True), run)
        self.assertEqual(snapshot(self.there(self.names[0])), copied)

    # -- forget

    def test_forget(self):
        job = self.users(2)
        self.assertEqual(self.haul.copy(*job).code, DONE)
        copied = [snapshot(self.there(name)) for name in self.names]
        messages = self.ask("SELECT count(*) FROM message")
        run = self.haul.run("forget", "--state", self.haul.state)
        self.assertEqual((run.code, "which accounts?" in run.err), (MISUSE, True), run)
        run = self.haul.run("forget", "--state", self.haul.state, "--only", "acct3")
        self.assertEqual((run.code, "did you mean 'acct" in run.err), (MISUSE, True), run)
        run = self.haul.run("forget", "--state", self.haul.path("none.db"), "--only", "acct0")
        self.assertEqual((run.code, os.path.exists(self.haul.path("none.db"))), (MISUSE, False), run)
        with self.held():
            for command in ["forget", "--state", self.haul.state, "--only", "acct0"], ["undo", *job, "--state", self.haul.state, "--only", "acct0"]:
                run = self.haul.run(*command)
                self.assertEqual((run.code, "is in use by process" in run.err), (MISUSE, True), run)
        self.assertEqual(self.ask("SELECT count(*) FROM message"), messages)
        self.assertEqual([n for n in os.listdir(self.haul.directory) if ".before-" in n], [])

        run = self.haul.run("forget", "--state", self.haul.state, "--only", "acct0")
        self.assertEqual(run.code, DONE, run)
        self.assertIn("acct0: 5 mailboxes, 53 messages", run.out)
        kept = re.search(r"^the state as it was: (.*)$", run.out, re.M).group(1)
        self.assertRegex(os.path.basename(kept), r"^S\.db\.before-forget-\d{8}T\d{6}Z$")
        self.assertEqual(stat.S_IMODE(os.stat(kept).st_mode), 0o600)
        self.assertEqual([a["name"] for a in self.haul.report()["accounts"]], ["acct1"])
        self.assertEqual([a["name"] for a in self.haul.report(kept)["accounts"]], ["acct0", "acct1"])
        self.assertEqual(self.ask("SELECT count(*) FROM message"), messages - 53)

        # everything is recognised, nothing is stored
        run = self.haul.copy(*job)
        self.assertEqual(run.code, DONE, run)
        totals = {a["name"]: a["totals"] for a in run.report["accounts"]}
        self.assertEqual((totals["acct0"]["present"], totals["acct0"]["copied"]), (53, 0))
        self.assertEqual((totals["acct1"]["present"], totals["acct1"]["copied"]), (0, 53))
        self.assertEqual([snapshot(self.there(name)) for name in self.names], copied)
        # and what is present is nobody's to take back
        run = self.run_it("undo", job, "--only", "acct0", "--yes")
        self.assertEqual(run.code, DONE, run)
        self.assertEqual(snapshot(self.there(self.names[0])), copied[0])

    # -- the choice of accounts

    def test_choice(self):
        job = self.users(4)
        run = self.haul.copy(*job, "--where", "team=b")
        self.assertEqual(run.code, DONE, run)
        self.assertEqual([a["name"] for a in run.report["accounts"]], ["acct1", "acct3"])
        run = self.haul.copy(*job, "--where", "team=b", "--only", "acct0,acct1")
        self.assertEqual([a["name"] for a in run.report["accounts"]], ["acct1"], run)
        self.assertIn("1 of 4 accounts", run.err)
        names = self.haul.write("names", "# of today\n\n acct1 \r\nacct[03]\n")
        run = self.haul.copy(*job, "--only-file", names, "--where", "team=a")
        self.assertEqual([a["name"] for a in run.report["accounts"]], ["acct0"], run)
        for args, words in (
            (["--only", "acct7"], "no account is called 'acct7'; did you mean 'acct"),
            (["--only-file", self.haul.write("bad", "acct0\nacct9\n")], "bad:2: no account is called 'acct9'"),
            (["--where", "tema=a"], "did you mean 'team'?"),
            (["--where", "team=c"], "no account has team=c"),
            (["--where", "team"], "is not COLUMN=VALUE"),
            (["--where", "team=a", "--only", "acct1"], "no account fits all of the selection"),
        ):
            with self.subTest(args=args):
                run = self.haul.copy(*job, *args)
                self.assertEqual((run.code, words in run.err), (MISUSE, True), run)
        # the state alone, without a list
        words = ["--state", self.haul.state, "--format", "json"]
        run = self.haul.run("report", *words, "--only", "acct[13]")
        self.assertEqual([a["name"] for a in run.report["accounts"]], ["acct1", "acct3"], run)
        self.assertEqual(run.report["totals"]["source"], 106)
        self.assertEqual(balance(run.report), [])
        run = self.haul.run("status", *words, "--only", "acct1")
        self.assertEqual(run.report["accounts"], 1)
        run = self.haul.run("report", *words, "--where", "team=a")
        self.assertEqual((run.code, "needs the account list" in run.err), (MISUSE, True), run)
        run = self.haul.run("report", *words, "--accounts", job[3], "--where", "team=a")
        self.assertEqual([a["name"] for a in run.report["accounts"]], ["acct0"], run)
        run = self.haul.run("report", *words, "--only", "acct2")
        self.assertEqual((run.code, "no account is called 'acct2'" in run.err), (MISUSE, True), run)

    def test_failed(self):
        job = self.users(3)
        os.rename(self.haul.path("mail", "acct1"), self.haul.path("away"))
        run = self.haul.copy(*job)
        self.assertEqual(run.code, ACCOUNTS, run)
        outcomes = {a["name"]: a["outcome"] for a in run.report["accounts"]}
        self.assertEqual(outcomes, {"acct0": "done", "acct1": "empty", "acct2": "done"})
        run = self.haul.run("report", "--state", self.haul.state, "--failed", "--format", "json")
        self.assertEqual([a["name"] for a in run.report["accounts"]], ["acct1"], run)
        # the exit code of a run is about its own accounts
        self.assertEqual(self.haul.copy(*job, "--only", "acct0,acct2").code, DONE)
        # new mail for all; the second night does only what failed
        os.rename(self.haul.path("away"), self.haul.path("mail", "acct1"))
        for i in range(3):
            with open(self.haul.path("mail", f"acct{i}", "cur", "1500000000.new:2,"), "wb") as f:
                f.write((OURS % b"new").replace(b"\r\n", b"\n"))
        run = self.haul.copy(*job, "--failed")
        self.assertEqual(run.code, DONE, run)
        self.assertEqual([a["name"] for a in run.report["accounts"]], ["acct1"])
        counts = [len(self.there(name).boxes["INBOX"].messages) for name in self.names]
        self.assertEqual(counts, [30, 31, 30])
        run = self.haul.copy(*job, "--failed")
        self.assertEqual((run.code, "nothing to do" in run.err), (DONE, True), run)
        self.assertEqual(self.haul.copy(*job).code, DONE)
        counts = [len(self.there(name).boxes["INBOX"].messages) for name in self.names]
        self.assertEqual(counts, [31, 31, 31])

    def test_rows_that_come_and_go(self):
        job = self.users(3)
        rows = open(job[3], encoding="utf-8").read().splitlines(True)
        self.haul.write("job.ini.csv", "".join(rows[:3]))
        self.assertEqual(self.haul.copy(*job).code, DONE)
        copied = snapshot(self.there(self.names[0]))
        # acct0 goes, acct2 comes
        self.haul.write("job.ini.csv", rows[0] + "".join(rows[2:]))
        run = self.haul.copy(*job)
        self.assertEqual(run.code, DONE, run)
        self.assertEqual(run.err.count("no longer in the list"), 1)
        self.assertIn("no longer in the list, left as they are: acct0\n", run.err)
        unlisted = [(i["account"], i["reason"]) for i in run.report["issues"] if i["kind"] == "unlisted"]
        self.assertEqual(unlisted, [("acct0", "no longer in the list: left as it is")])
        self.assertEqual({a["name"]: a["outcome"] for a in run.report["accounts"]}, dict.fromkeys(["acct0", "acct1", "acct2"], "done"))
        self.assertEqual(snapshot(self.there(self.names[0])), copied)
        text = self.haul.run("report", "--state", self.haul.state).out
        self.assertRegex(text, r"acct0: no longer in the list")
        # and comes back
        self.haul.write("job.ini.csv", "".join(rows))
        run = self.haul.copy(*job)
        self.assertEqual((run.code, "no longer" in run.err + run.out), (DONE, False), run)


class TestDovecot(Common, unittest.TestCase):
    kind = Dovecot
    sub, sep = "", "."


class TestCyrus(Common, unittest.TestCase):
    kind = Cyrus
    sub, sep = "INBOX/", "/"
