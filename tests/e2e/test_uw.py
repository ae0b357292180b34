"""UW's and Pine's mail: files that their programs rewrite while we read, locks,
homes, and the rights of their owner."""

import fcntl
import hashlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
import unittest
from collections import Counter

import readback
import uw
from haul import ACCOUNTS, DONE, Haul, balance
from servers import Dovecot

PASSES = 50


def digest(stored):
    """Of the CRLF form of a message as uw.message() writes it into a file."""
    text = stored[stored.index(b"\n") + 1 : -1]
    return hashlib.sha256(text.replace(b"\n", b"\r\n")).hexdigest()


class Live(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Dovecot(USERS=6)
        cls.addClassCleanup(cls.server.destroy)
        cls.server.start()

    def setUp(self):
        self.haul = Haul()
        self.addCleanup(self.haul.destroy)
        os.chmod(self.haul.directory, 0o755)
        self.home = uw.Home(self.haul.path("anna"))

    def there(self, user, box="INBOX"):
        client = self.server.login(user)
        try:
            return readback.box(client, box).digests()
        finally:
            client.logout()

    def test_expunge_in_a_loop(self):
        """c-client expunges and appends all the time during 50 passes."""
        self.expunge("user1", PASSES, "", 0.03)

    def test_expunge_without_locks(self):
        """The same where its locks do not reach us: what is torn is found."""
        self.expunge("user4", 25, "?lock=none", 0.05)

    def expunge(self, user, passes, option, pause):
        names = {}  # digest: name
        made = Counter()

        def make(name, lines, copies=1):
            text = uw.message(name, lines)
            names[digest(text)] = name
            made[digest(text)] += copies
            return text * copies

        # what is kept; what goes; twins of both kinds; some that are streamed
        text = b""
        for i in range(700):
            text += make(f"keep{i}.", 20 + i % 90)
            if i % 2 == 0:
                text += make(f"go{i % 80}.n{i}", 10 + i % 50)
            if i % 100 == 7:
                text += make(f"keeptwin{i}.", 5, 3)
                text += make(f"go{i % 80}.twin{i}", 8, 2)
            if i % 233 == 5:
                text += make(f"keeplarge{i}.", 20000)
                text += make(f"go{i % 80}.large{i}", 9000)
        box = self.home.put("box", text)
        inode = os.stat(box).st_ino
        source, target = "mbox:" + box + option, self.haul.user(self.server, user)
        stop, broken, rounds = threading.Event(), [], [0]

        def disturb():
            try:
                while not stop.is_set():
                    n = rounds[0]
                    rounds[0] += 1
                    if n % 2 == 0:
                        self.home.mailutil("prune", "box", f'subject "go{n % 80}."')
                    else:
                        feed = make(f"keepfeed{n}.", 12, 2) + make(f"go{(n + 41) % 80}.feed{n}", 12)
                        self.home.put("feed", feed)
                        self.home.mailutil("append", "feed", "box")
                    time.sleep(pause)
            except Exception as e:  # told below
                broken.append(e)

        thread = threading.Thread(target=disturb)
        thread.start()
        moved = again = 0
        try:
            for number in range(passes):
                before = os.stat(box).st_ctime_ns
                run = self.haul.copy(source, target)
                if option and run.code == ACCOUNTS:
                    # who respects no lock may be too fast for us, and is told so
                    self.assertIn("rewritten while it was read", repr(run))
                    continue
                self.assertEqual((run.code, balance(run.report)), (DONE, []), f"pass {number}: {run}")
                moved += os.stat(box).st_ctime_ns != before
                again += any("rewritten while it was read" in i["reason"] for i in run.report["issues"])
        finally:
            stop.set()
            thread.join()
        self.assertEqual(broken, [])
        # it was that file all the time, and it was really disturbed
        self.assertEqual(os.stat(box).st_ino, inode)
        self.assertGreater(moved, passes // 3)
        if not option:
            self.assertGreater(again, 0)
        last = self.haul.copy(source, target)
        self.assertEqual(last.code, DONE, last)
        there = self.there(user)
        strange = [d for d in there if d not in names]
        self.assertEqual(strange, [], "merged or torn")
        doubled = {names[d]: n for d, n in there.items() if n > made[d]}
        self.assertEqual(doubled, {})
        kept = Counter({d: n for d, n in made.items() if names[d].startswith("keep")})
        lost = {names[d]: n for d, n in (kept - there).items()}
        self.assertEqual(lost, {})
        # what the file holds, by c-client's own count, is what the last pass met
        held = int(re.search(r"(\d+) total", self.home.mailutil("check", "box")).group(1))
        self.assertEqual(last.totals["source"], held)
        self.assertLess(held, sum(made.values()))
        final = self.haul.copy(source, target)
        self.assertEqual((final.code, final.totals, self.there(user)), (DONE, last.totals, there))

    # -- locks

    def holder(self, path, how):
        """A process that keeps the file locked until it is killed."""
        code = (
            "import fcntl, sys, time\n"
            "f = open(sys.argv[1], 'r+b')\n"
            f"fcntl.{how}(f, fcntl.LOCK_EX)\n"
            "print('locked', flush=True)\n"
            "time.sleep(600)\n"
        )
        process = subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE)

        def end():
            process.kill()
            process.wait()
            process.stdout.close()

        self.addCleanup(end)
        self.assertEqual(process.stdout.readline(), b"locked\n")
        return process

    def test_locks_of_others(self):
        tree = uw.Home(self.haul.path("tree"))
        for name in "inbox", "by-fcntl", "by-flock", "by-file":
            tree.put(name, uw.message(name))
        held = self.holder(tree.path + "/by-fcntl", "lockf")
        flocked = self.holder(tree.path + "/by-flock", "flock")
        tree.put("by-file.lock", b"1\n")
        source = "mbox:" + tree.path
        run = self.haul.copy(source, "null:", "--lanes-per-account", "4")
        self.assertEqual(run.code, ACCOUNTS, run)
        boxes = {b["name"]: b for b in run.report["accounts"][0]["mailboxes"]}
        self.assertEqual(boxes["INBOX"]["outcome"], "done")
        for name, word in (
            ("by-fcntl", f"an fcntl lock of process {held.pid}"),
            ("by-flock", "an flock lock"),
            ("by-file", "the lock file by-file.lock"),
        ):
            self.assertEqual(boxes[name]["outcome"], "failed", boxes[name])
            self.assertRegex(repr(boxes[name]) + run.err, f"locked for 10 seconds .{word}")
        # without locks nobody is asked, and nobody waited for
        start = time.monotonic()
        run = self.haul.copy(source + "?lock=none", "null:", state=self.haul.path("none.db"))
        self.assertEqual((run.code, run.totals["copied"]), (DONE, 4), run)
        self.assertLess(time.monotonic() - start, 9)
        # one that goes away is waited for
        os.unlink(tree.path + "/by-file.lock")
        held.kill()
        process = self.haul.start_copy(source, "null:", state=self.haul.path("later.db"))
        time.sleep(2)
        self.assertIsNone(process.poll())
        flocked.kill()
        run = self.haul.finish(process)
        self.assertEqual((run.code, run.totals["copied"]), (DONE, 4), run)

    def test_our_lock_is_taken(self):
        """A program that wants to write waits while we read."""
        text = b"".join(uw.message(f"m{i}.", 400) for i in range(4000))
        box = self.home.put("box", text)
        process = self.haul.start_copy("mbox:" + box, "null:")
        refused = Counter()
        with open(box, "r+b") as f:
            while process.poll() is None:
                try:
                    fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    fcntl.flock(f, fcntl.LOCK_UN)
                except OSError:
                    refused["flock"] += 1
                try:
                    fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    fcntl.lockf(f, fcntl.LOCK_UN)
                except OSError:
                    refused["fcntl"] += 1
        run = self.haul.finish(process)
        self.assertEqual((run.code, run.totals["copied"]), (DONE, 4000), run)
        self.assertGreater(min(refused["flock"], refused["fcntl"]), 0)

    def test_lock_files(self):
        self.home.put("mail/box", b"".join(uw.message(f"m{i}.", 400) for i in range(3000)))
        directory = os.path.join(self.home.path, "mail")
        source = "mbox:" + directory + "/box"
        os.utime(directory, ns=(10**18, 10**18))
        run = self.haul.copy(source, "null:", state=self.haul.path("1.db"))
        self.assertEqual((run.code, os.stat(directory).st_mtime_ns), (DONE, 10**18), run)
        run = self.haul.copy(source + "?lock=dot", "null:", state=self.haul.path("2.db"))
        self.assertEqual((run.code, os.listdir(directory)), (DONE, ["box"]), run)
        self.assertNotEqual(os.stat(directory).st_mtime_ns, 10**18)
        # it is there while we read, and goes when we are told to stop
        seen = False
        for i in range(20):
            if seen:
                break
            process = self.haul.start_copy(source + "?lock=fcntl,flock,dot", "null:", state=self.haul.path(f"3.{i}.db"))
            while process.poll() is None and not seen:
                seen = "box.lock" in os.listdir(directory)
            process.send_signal(signal.SIGTERM)
            self.haul.finish(process)
            self.assertEqual(os.listdir(directory), ["box"])
        self.assertTrue(seen)
        # somebody else's old one counts for nothing, and stays
        self.home.put("mail/box.lock", b"")
        os.utime(directory + "/box.lock", (10**9, 10**9))
        run = self.haul.copy(source + "?lock=dot", "null:", state=self.haul.path("4.db"))
        self.assertEqual((run.code, sorted(os.listdir(directory))), (DONE, ["box", "box.lock"]), run)

    # -- homes

    def fill_home(self):
        put = self.home.put
        put(".pinerc", b"# settings\n")
        put(".hidden-mail", uw.message("hidden"))
        put("mbox", uw.message("read1") + uw.message("read2"))
        put("top", uw.message("top"))
        put("notes.txt", b"From the beginning, this was no mailbox.\n")
        put("empty", b"")
        put("a.out", b"\x7fELF")
        put("src/project/mail", uw.message("not looked at"))
        put("src/lists/deep", uw.message("deep"))
        put("mail/sent-mail", uw.message("sent"))
        put("mail/2001/jan", uw.message("january"))
        put("mail/.index", b"x")
        put("mail/readme", b"no mailbox\n")
        put("mail/readme2", b"no mailbox\n")
        put("mail/empty", b"")
        put("Mail/drafts", uw.message("draft"))
        put(".mailboxlist", b"mail/sent-mail\nsrc/lists/deep\ntop\nmail/2001/jan\n../../etc/passwd\n/etc/passwd\n.hidden-mail\n")
        os.symlink("mail", self.home.path + "/inbox-folders")
        os.symlink("top", self.home.path + "/top-link")
        os.symlink("/etc/passwd", self.home.path + "/mail/passwd")
        return {
            "INBOX": ["read1", "read2", "new"],
            "top": ["top"],
            "src/lists/deep": ["deep"],
            "mail/sent-mail": ["sent"],
            "mail/2001/jan": ["january"],
            "mail/empty": [],
            "Mail/drafts": ["draft"],
        }

    def test_home(self):
        wanted = self.fill_home()
        spool = uw.Home(self.haul.path("spool")).put("anna", uw.message("new"))
        source = f"mbox:{self.home.path}?layout=uw&inbox={spool}"
        target = self.haul.user(self.server, "user2")
        run = self.haul.copy(source, target)
        self.assertEqual((run.code, balance(run.report)), (DONE, []), run)
        boxes = {b["name"]: b["totals"]["copied"] for b in run.report["accounts"][0]["mailboxes"]}
        self.assertEqual(boxes, {name: len(messages) for name, messages in wanted.items()})
        client = self.server.login("user2")
        account = readback.account(client)
        client.logout()
        # this Dovecot's separator is a dot or a slash
        there = {name.replace(".", "/"): box for name, box in account.boxes.items()}
        for name, messages in wanted.items():
            self.assertEqual(there[name].digests(), Counter(digest(uw.message(m)) for m in messages), name)
        subscribed = {n.replace(".", "/") for n in account.subscribed}
        self.assertEqual(subscribed & set(wanted), {"mail/sent-mail", "src/lists/deep", "top", "mail/2001/jan"} | subscribed & {"INBOX"})
        words = {i["where"]: i["reason"] for i in run.report["issues"]}
        self.assertEqual(words["./"], "3 files that are not mailboxes and 2 symbolic links left out")
        self.assertEqual(words["mail/"], "2 files that are not mailboxes and 1 symbolic links left out")
        self.assertIn("hidden name", words[".hidden-mail"])
        # c-client moves the spool's mail into ~/mbox, and shows what we did
        self.home.put("mbox", uw.message("read1") + uw.message("read2") + uw.message("new"))
        os.unlink(spool)
        run = self.haul.copy(source, target)
        self.assertEqual((run.code, run.totals["copied"]), (DONE, sum(map(len, wanted.values()))), run)
        self.assertEqual(self.there("user2"), there["INBOX"].digests())
        # both again, with twins of what has been copied
        self.home.put("mbox", uw.message("read1"))
        uw.Home(self.haul.path("spool")).put("anna", uw.message("new") + uw.message("read1") + uw.message("newer"))
        run = self.haul.copy(source, target)
        self.assertEqual(run.code, DONE, run)
        self.assertEqual(self.there("user2"), Counter({digest(uw.message(m)): n for m, n in (("read1", 2), ("read2", 1), ("new", 1), ("newer", 1))}))

    def test_home_names(self):
        """To the top by a rule, and the usual spool, which need not be there."""
        self.home.put("mail/sent-mail", uw.message("sent"))
        self.home.put("mbox", uw.message("1"))
        name = f"mh-{os.getpid()}"
        os.rename(self.home.path, self.haul.path(name))
        run = self.haul.copy(f"mbox:{self.haul.path(name)}/?layout=uw", self.haul.user(self.server, "user3"), "--map", "mail/ -> /")
        self.assertEqual(run.code, DONE, run)
        self.assertEqual(self.there("user3", "sent-mail"), Counter([digest(uw.message("sent"))]))
        run = self.haul.copy(f"mbox:{self.haul.path('nowhere')}/..?layout=uw", "null:", state=self.haul.path("2.db"))
        self.assertEqual(run.code, 64, run)
        self.assertIn("does not tell whose home", run.err)

    # -- as=

    @unittest.skipUnless(os.getuid() == 0, "only root may read as another user")
    def test_as_user(self):
        self.home.put("mbox", uw.message("1"))
        self.home.put("mail/mine", uw.message("mine"))
        os.chmod(self.home.path, 0o700)
        os.chmod(self.home.path + "/mail", 0o700)
        source = f"mbox:{self.home.path}?layout=uw&inbox={self.haul.path('no-spool')}"
        run = self.haul.copy(source + "&as=nobody&lock=fcntl,flock,dot", "null:", state=self.haul.path("1.db"))
        self.assertEqual((run.code, run.totals["copied"]), (DONE, 2), run)
        # root alone may read this: a right that as= gives up
        secret = self.home.put("mail/secret", uw.message("root's"))
        os.chown(secret, 0, 0)
        os.chmod(secret, 0o600)
        run = self.haul.copy(source + "&as=nobody", "null:", state=self.haul.path("2.db"))
        boxes = {b["name"]: b for b in run.report["accounts"][0]["mailboxes"]}
        self.assertEqual((run.code, boxes["mail/secret"]["outcome"]), (ACCOUNTS, "unreadable"), run)
        self.assertIn("Permission denied", repr(run))
        self.assertEqual((boxes["mail/mine"]["outcome"], run.totals["copied"]), ("done", 2))
        run = self.haul.copy(source, "null:", state=self.haul.path("3.db"))
        self.assertEqual((run.code, run.totals["copied"]), (DONE, 3), run)
        # a home that only root may enter
        os.chown(self.home.path, 0, 0)
        run = self.haul.copy(source + "&as=nobody", "null:", state=self.haul.path("4.db"))
        self.assertEqual(run.code, ACCOUNTS, run)
        self.assertIn("Permission denied", repr(run))
        run = self.haul.copy(source + "&as=no.such.user", "null:", state=self.haul.path("5.db"))
        self.assertEqual(run.code, ACCOUNTS, run)
        self.assertIn("no such user", repr(run))
