"""audit: planted differences are found and named, and nothing else is told."""

import os
import re
import shutil
import signal
import time
import unittest
from collections import Counter

import audits
import multiset
import readback
from haul import ACCOUNTS, DIFFERS, DONE, MISUSE, Haul, tree
from servers import Dovecot

# in the long form a million
MESSAGES = int(os.environ.get("AUDIT_MESSAGES", "300"))


class Case(unittest.TestCase):
    def setUp(self):
        self.haul = Haul()
        self.addCleanup(self.haul.destroy)
        self.temporary = self.haul.path("temporary")
        os.mkdir(self.temporary)
        self.haul.environment["SQLITE_TMPDIR"] = self.temporary

    def stores(self):
        """All that an audit must leave as it was: not where its database lies."""
        return {path: facts for path, facts in tree(self.haul.directory).items() if path != self.temporary}

    def audit(self, source, target, *options, state=None, code=None):
        run = self.haul.run("audit", source, target, "--state", state or self.haul.state, *options, timeout=3600)
        if code is not None:
            self.assertEqual(run.code, code, run)
        self.assertEqual(os.listdir(self.temporary), [])
        return audits.Told(run.out) if run.out.startswith("audit") else run


class Maildirs(Case):
    def setUp(self):
        super().setUp()
        self.source, self.copy = self.haul.path("src"), self.haul.path("tgt")
        self.uris = f"maildir:{self.source}", f"dovecot:{self.copy}?owner={os.geteuid()}"

    def fill(self, uids=True):
        audits.maildir(self.source, MESSAGES, uids)
        self.assertEqual(self.haul.copy(*self.uris, timeout=3600).code, DONE)

    def file(self, at, folder=""):
        """The target's file of message number "at" of a mailbox."""
        directory = os.path.join(self.copy, folder, "cur")
        mark = f".M{at}P1."
        (name,) = [n for n in os.listdir(directory) if mark in n]
        return os.path.join(directory, name)

    def change(self, path, function):
        """Other bytes under the same name, date and size."""
        times = os.stat(path)
        with open(path, "rb") as f:
            data = f.read()
        with open(path, "wb") as f:
            f.write(function(data))
        os.utime(path, (times.st_atime, times.st_mtime))

    def plant(self):
        flipped = lambda data: data[:-5] + bytes([data[-5] ^ 1]) + data[-4:]
        self.change(self.file(5), flipped)
        one, other = self.file(10), self.file(11)
        with open(one, "rb") as f, open(other, "rb") as g:
            texts = f.read(), g.read()
        self.change(one, lambda unused: texts[1])
        self.change(other, lambda unused: texts[0])
        keyword = self.file(16)
        os.rename(keyword, keyword[:-1])  # the letter of "work"
        date = self.file(18)
        os.utime(date, (os.stat(date).st_mtime + 3600,) * 2)
        self.change(self.file(20), lambda data: data.replace(b"\xfc", b"X"))
        os.unlink(self.file(31))
        extra = self.file(40)
        shutil.copy2(extra, extra.replace(".M40P1.", ".M40P2."))
        moved = self.file(50)
        os.rename(moved, moved.replace("/cur/", "/.Sent/cur/"))

    PLANTED = sorted([
        ("INBOX", "altered", "body", "number 5"),
        ("INBOX", "uid", "swapped", "number 10"),
        ("INBOX", "uid", "swapped", "number 11"),
        ("INBOX", "keywords", "", "number 16"),
        ("INBOX", "date", "", "number 18"),
        ("INBOX", "altered", "munged", "number 20"),
        ("INBOX", "missing", "", "number 30"),
        ("INBOX", "duplicated", "", "number 40"),
        ("INBOX", "moved", "", "number 50"),
    ])

    def agrees(self, told):
        """With the multisets that a script without mailhaul finds."""
        here, there = multiset.differences(multiset.maildir(self.source), multiset.maildir(self.copy))
        n = Counter(told.counts)
        self.assertEqual(here, n["altered"] + n["missing"] + n["moved"])
        self.assertEqual(there, n["altered"] + n["extra"] + n["duplicated"] + n["moved"])

    def test_planted_differences(self):
        self.fill()
        self.audit(*self.uris, code=DONE)
        self.plant()
        before = self.stores()
        for state in None, self.haul.path("none.db"):
            told = self.audit(*self.uris, state=state, code=DIFFERS)
            self.assertEqual(told.verdict, "different")
            self.assertEqual(told.short(), self.PLANTED, told.text)
            self.assertEqual(told.counts["equal"], MESSAGES - 8)  # and one that is there twice
            self.agrees(told)
            texts = {d.subject + d.verdict: d.text for d in told.differences}
            self.assertIn("number 5altered", texts)
            self.assertRegex(texts["number 5altered"], r"body: differs at its byte \d+ \(0x")
            self.assertIn("1:00 h later", texts["number 18date"])
            self.assertIn("keywords none, not work", texts["number 16keywords"])
            self.assertIn("X-Place", texts["number 20altered"])
            self.assertIn("it is in Sent", texts["number 50moved"].replace("INBOX.", ""))
            self.assertIn("one of 2 equal copies; the target has 1", texts["number 30missing"])
            self.assertIn("2 equal copies, the source 1", texts["number 40duplicated"])
        self.assertEqual(self.stores(), before)

    def test_without_uids(self):
        """A source without UIDs and no state: what is swapped shows by dates."""
        self.fill(uids=False)
        self.plant()
        told = self.audit(*self.uris, state=self.haul.path("none.db"), code=DIFFERS)
        want = sorted((m, "date" if v == "uid" else v, "" if v == "uid" else c, s) for m, v, c, s in self.PLANTED)
        self.assertEqual(told.short(), want, told.text)
        self.agrees(told)

    def test_levels(self):
        self.fill()
        self.plant()
        told = self.audit(*self.uris, "--level", "counts", code=DIFFERS)
        # one lost and one moved away, one twice; one moved there
        self.assertEqual((told.counts["missing"], told.counts["extra"]), (1, 1), told.text)
        told = self.audit(*self.uris, "--level", "meta", code=DIFFERS)
        self.assertEqual(Counter((m, v) for m, v, _, _ in told.short()),
                         Counter({("INBOX", "keywords"): 1, ("INBOX", "date"): 1, ("INBOX", "missing"): 2, ("INBOX", "extra"): 1, ("Sent", "extra"): 1}), told.text)
        told = self.audit(*self.uris, "--level", "sample=100%", code=DIFFERS)
        short = told.short()
        for mailbox, verdict, cause, subject in [("INBOX", "altered", "body", "number 5"), ("INBOX", "altered", "munged", "number 20")]:
            self.assertIn((mailbox, verdict, cause, subject), short, told.text)
        self.assertRegex(told.text, r"with 95 % confidence at most \S+ % of all differ")
        few = self.audit(*self.uris, "--level", "sample=5%")
        compared, of = map(int, re.search(r"the contents of (\d+) of (\d+) messages", few.text).groups())
        self.assertTrue(of * 0.01 < compared < of * 0.15, few.text)

    def test_what_fails(self):
        self.fill()
        date = self.file(18)
        os.utime(date, (os.stat(date).st_mtime + 3600,) * 2)
        self.audit(*self.uris, code=DIFFERS)
        self.audit(*self.uris, "--fail-on", "missing,altered", code=DONE)
        self.audit(*self.uris, "--fail-on", "date", code=DIFFERS)
        self.audit(*self.uris, "--fail-on", "none", code=DONE)
        self.audit(*self.uris, "--fail-on", "dates", code=MISUSE)
        self.audit(*self.uris, "--level", "sample", code=MISUSE)

    def test_zone(self):
        self.fill()
        for directory, _, files in os.walk(self.copy):
            if directory.endswith("/cur") and "Sent" not in directory:
                for name in files:
                    path = os.path.join(directory, name)
                    os.utime(path, (os.stat(path).st_mtime - 7200,) * 2)
        told = self.audit(*self.uris, code=DIFFERS)
        self.assertEqual(Counter((d.mailbox, d.verdict, d.cause) for d in told.differences),
                         Counter({("INBOX", "date", "zone"): min(MESSAGES // 2, 1000)}))
        self.assertEqual(told.counts["date"], MESSAGES // 2)
        self.assertEqual(told.counts["equal"], MESSAGES // 2)

    def test_whole_mailboxes(self):
        self.fill()
        shutil.copytree(os.path.join(self.copy, ".Sent"), os.path.join(self.copy, ".Other"))
        shutil.rmtree(os.path.join(self.copy, ".Sent"))
        told = self.audit(*self.uris, code=DIFFERS)
        self.assertEqual(told.counts["moved"], MESSAGES // 2)
        self.assertEqual(told.boxes["Sent"], "missing")
        shutil.rmtree(os.path.join(self.copy, ".Other"))
        told = self.audit(*self.uris, "--at-most", "10", code=DIFFERS)
        self.assertEqual(told.counts["missing"], MESSAGES // 2)
        self.assertEqual(len([d for d in told.differences if d.uid]), 10, told.text)
        told = self.audit(*self.uris, "--exclude", "Sent", code=DONE)
        self.assertEqual(told.counts["expected"], MESSAGES // 2)
        self.assertEqual(told.boxes["Sent"], "excluded")

    def test_another_store(self):
        """A state that belongs to other stores, and mailboxes that cannot be read."""
        self.fill()
        other = self.haul.path("other")
        audits.maildir(other, 40, start=100_000)
        for directory, _, files in os.walk(other):
            for name in files:
                if directory.endswith("cur"):
                    os.rename(os.path.join(directory, name), os.path.join(directory, "x" + name))
        told = self.audit("maildir:" + other, self.uris[1], "--empty", "ok", code=ACCOUNTS)
        self.assertEqual(told.verdict, "incomplete")
        self.assertIn("the state is of another store", told.text)

    def test_hostile(self):
        """Names and Subjects that would run on a terminal."""
        self.fill()
        evil = b"\x1b]0;owned\x07\x1b[2J =cmd|'/c'!A1 <script> \xff\xfe"
        for n, subject in enumerate([evil, b"x" * 1_000_000, b"a\rb\0c"]):
            with open(os.path.join(self.source, "cur", f"{audits.DATE}.M{n}Q1.example:2,"), "wb") as f:
                f.write(b"Subject: " + subject + b"\nMessage-ID: " + evil + b"\n\nText.\n")
        os.makedirs(os.path.join(self.source, ".a\x1b[31mb/cur"))
        os.makedirs(os.path.join(self.source, ".a\x1b[31mb/new"))
        os.makedirs(os.path.join(self.source, ".a\x1b[31mb/tmp"))
        run = self.haul.run("audit", *self.uris, "--state", self.haul.state, "--header-diff")
        self.assertEqual(run.code, DIFFERS, run)
        told = audits.Told(run.out)
        self.assertEqual(told.counts["missing"], 3)
        self.assertFalse(re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", run.out), run)
        self.assertLess(max(map(len, run.out.splitlines())), 3000)

    def test_header_diff(self):
        self.fill()
        self.change(self.file(7), lambda data: data.replace(b"Subject: ", b"X-UID: 12\nSubject: "))
        self.change(self.file(8), lambda data: data.replace(b"number 8", b"number  8"))
        self.change(self.file(9), lambda data: data.replace(b"\n\n", b"\n\n>From here\n"))
        told = self.audit(*self.uris, "--header-diff", code=DIFFERS)
        self.assertEqual([(v, c) for _, v, c, _ in told.short()], [("altered", "added-field"), ("altered", "body"), ("altered", "folding")])
        self.assertIn("      + X-UID: 12\n", told.text)
        self.assertIn("      - Subject: number 8\n      + Subject: number  8\n", told.text)

    def test_line_ends_and_quoting(self):
        for at, text in (7, "One\n\0two\n"), (8, "Hello\nFrom here\n>>From there\n"), (9, "The end"):
            with open(self.path_in_source(at, text), "rb") as f:
                self.assertTrue(f.read())
        self.assertEqual(self.haul.copy(*self.uris).code, DONE)
        self.change(self.file(7), lambda data: data.replace(b"\0", b"\x80"))
        self.change(self.file(8), lambda data: data.replace(b"\nFrom", b"\n>From"))
        self.change(self.file(9), lambda data: data + b"\n\n")
        told = self.audit(*self.uris, code=DIFFERS)
        self.assertEqual([(v, c, s) for _, v, c, s in told.short()],
                         [("altered", "from-quoting", "number 8"), ("altered", "line-ends", "number 9"), ("altered", "nul", "number 7")], told.text)
        # only the form of storage differs
        self.change(self.file(7), lambda data: data.replace(b"\x80", b"\0").replace(b"\n", b"\r\n"))
        told = self.audit(*self.uris, code=DIFFERS)
        self.assertEqual({s for _, _, _, s in told.short()}, {"number 8", "number 9"})

    def path_in_source(self, at, text):
        for part in "cur", "new", "tmp":
            os.makedirs(os.path.join(self.source, part), exist_ok=True)
        path = os.path.join(self.source, "cur", f"{audits.DATE}.M{at}P1.example:2,S")
        with open(path, "wb") as f:
            f.write(audits.body(at, "", text))
        os.utime(path, (audits.DATE,) * 2)
        return path

    def test_cut_off(self):
        """Killed or interrupted at whatever time, it leaves nothing behind."""
        self.fill()
        before = self.stores()
        for number, sig in enumerate([signal.SIGINT, signal.SIGKILL, signal.SIGTERM, signal.SIGKILL]):
            process = self.haul.start("audit", *self.uris, "--state", self.haul.state)
            time.sleep(0.01 * number)
            process.send_signal(sig)
            process.communicate(timeout=60)
            self.assertEqual(os.listdir(self.temporary), [])
            self.assertEqual(self.stores(), before)


class Substituted(Case):
    """dsync from mbox takes messages of equal headers for one: counts agree."""

    def test_dsync_from_mbox(self):
        server = Dovecot(FORMAT="sdbox", USERS=2)
        self.addCleanup(server.destroy)
        server.start()
        home = server.home("user1")
        mbox = self.haul.path("mbox")
        os.makedirs(mbox)
        texts = ["first", "second, quite another", "the third"]
        with open(os.path.join(mbox, "inbox"), "w", encoding="ascii") as f:
            for n, text in enumerate(texts):
                f.write(f"From a@example.org Sun Sep  9 01:46:4{n} 2001\nFrom: a@example.org\nTo: b@example.org\nSubject: note\n\n{text}\n\n")
        source = shutil.copytree(mbox, self.haul.path("source"))
        for directory, names, files in os.walk(mbox):
            shutil.chown(directory, *[os.stat(home).st_uid, os.stat(home).st_gid])
            for name in files:
                shutil.chown(os.path.join(directory, name), os.stat(home).st_uid, os.stat(home).st_gid)
        os.chmod(self.haul.directory, 0o755)
        server.doveadm("backup", "-u", "user1", "-R", f"mbox:{mbox}:INBOX={mbox}/inbox")
        client = server.login("user1")
        there = readback.account(client).boxes["INBOX"]
        client.logout()
        self.assertEqual(len(there.messages), 3)
        self.assertEqual(len(there.digests()), 1)
        uris = f"mbox:{source}/inbox", self.haul.user(server, "user1")
        told = self.audit(*uris, "--level", "counts", code=DONE)
        self.assertEqual(told.counts["equal"], 3)
        told = self.audit(*uris, code=DIFFERS)
        self.assertEqual(told.counts["equal"], 1)
        self.assertEqual(told.counts.get("altered", 0) + told.counts.get("missing", 0), 2, told.text)
        self.assertEqual(told.counts.get("altered", 0) + told.counts.get("duplicated", 0), 2, told.text)


if __name__ == "__main__":
    unittest.main()
