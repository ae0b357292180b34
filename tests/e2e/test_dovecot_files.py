"""dovecot:PATH: trees written without a server are opened by a private Dovecot,
which has to show what the source has: UIDVALIDITY, UIDNEXT, UIDs, flags,
keywords, dates, sizes, bytes, GUIDs and POP3 UIDLs, and to log nothing."""

import os
import random
import re
import shutil
import subprocess
import time
import unittest

import nasty
import offline
import readback
import trees
from haul import ACCOUNTS, DIFFERS, DONE
from offline import FIELDS, ROOT, numbers


class Kept(offline.Case):
    def fill(self, path):
        """Two mailboxes that Dovecot could have written."""
        box = trees.Box(uidvalidity=1234567890, uidnext=5000, guid="0123456789abcdef" * 2)
        rng = random.Random(1)
        for i, (name, body) in enumerate(sorted(nasty.MESSAGES.items())):
            if not body:
                continue
            words = rng.sample(["$Forwarded", "work", "NonJunk", "a.b/c"], rng.randrange(3))
            box.add(body, uid=3 + 7 * i, flags=rng.sample("DFRST", rng.randrange(4)), keywords=words, date=1_000_000_000 + 86_399 * i,
                    uidl=f"UIDL-{i}" if i % 3 == 0 else None, order=100 - i if i % 4 == 0 else 0, guid=f"{i:032x}" if i % 2 else None)
        box.write(path)
        other = trees.Box(uidvalidity=4294967295, uidnext=4294967290)
        other.add(b"From: x@example.org\n\none\n", uid=1)
        other.add(b"From: x@example.org\n\ntwo\n", uid=4294967200, flags="S")
        other.write(os.path.join(path, ".Work.Old &- M&APw-ll"))
        return box

    def test_everything_is_kept(self):
        source, original = self.haul.path("src"), f"user{self.last_user}o"
        self.server.add_user(original)
        box = self.fill(source)
        self.serve(source, original)
        run = self.checked(self.haul.copy("maildir:" + source, self.target()))
        self.assertEqual(run.totals["copied"], len(box.messages) + 2)
        self.assertEqual(run.report["issues"], [])
        got, want = self.there(), self.there(original)
        self.assertEqual(numbers(got), numbers(want))
        self.assertEqual(got.boxes["INBOX"].uidvalidity, 1234567890)
        self.assertEqual(got.boxes["INBOX"].uidnext, 5000)
        bodies = {nasty.digest(nasty.crlf(b).replace(b"\0", b"\x80")) for _, _, b, _, _ in box.messages}
        self.assertEqual({m.digest for m in got.boxes["INBOX"].messages}, bodies)
        # GUIDs that the source does not say are ours
        fields = FIELDS.replace("guid ", "")
        for name in want.boxes:
            self.assertEqual(self.fetch(name, fields=fields), self.fetch(name, original, fields))
        guids = set(re.findall(r"guid: ([0-9a-f]{32})\n", "".join(self.fetch("INBOX", fields="guid"))))
        self.assertEqual(len(guids), len(box.messages))
        self.assertLessEqual(set(re.findall(r" G([0-9a-f]{32})", "".join(line for _, line in box.lines))), guids)
        self.assertIn("guid=" + "0123456789abcdef" * 2, self.status("INBOX"))
        # nothing is left for Dovecot to put right, with or without its index
        before = trees.read(self.root())
        self.server.doveadm("force-resync", "-u", self.user, "*")
        self.assertEqual(numbers(self.there()), numbers(want))
        for directory, _, files in os.walk(self.root()):
            for name in files:
                if name.startswith("dovecot.index") or name.startswith("dovecot.list"):
                    os.unlink(os.path.join(directory, name))
        self.assertEqual(numbers(self.there()), numbers(want))
        self.assertEqual(trees.read(self.root()), before)
        self.assertEqual(self.logged(), [])

    def mbsync(self, user, local):
        """One sync of everything into a Maildir; the same channel for all."""
        text = (f"IMAPAccount a\nHost localhost\nPort {self.server.imaps_port}\nUser {user}\nPass {self.server.password}\nSSLType IMAPS\n"
                f"SystemCertificates no\nCertificateFile {self.server.ca}\n\nIMAPStore far\nAccount a\n\n"
                f"MaildirStore near\nInbox {local}\nSubFolders Maildir++\n\nChannel c\nFar :far:\nNear :near:\nPatterns *\nCreate Near\n"
                "Sync Pull Push\nCopyArrivalDate yes\nSyncState *\n")
        config = self.haul.write("mbsyncrc", text)
        run = subprocess.run(["mbsync", "-c", config, "-a"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False)
        self.assertEqual(run.returncode, 0, run.stdout)

    @unittest.skipUnless(shutil.which("mbsync"), "needs mbsync (package isync)")
    def test_a_client_downloads_nothing(self):
        """mbsync, in sync with the source's server, then with ours."""
        source, original = self.haul.path("src"), f"user{self.last_user}m"
        self.server.add_user(original)
        box = trees.Box(uidvalidity=1234567)
        for i in range(30):
            box.add(b"From: x@example.org\nSubject: %d\n\nbody\n" % i, uid=2 * i + 1, flags="S" if i % 2 else "")
        box.write(source)
        other = trees.Box(uidvalidity=89)
        other.add(b"From: x@example.org\n\nsent\n", uid=70)
        other.write(os.path.join(source, ".Sent"))
        self.serve(source, original)
        local = self.haul.path("local")
        self.mbsync(original, local)
        before = set(trees.pictures(local))
        self.assertEqual(len([f for f in before if "/cur/" in f or "/new/" in f]), 31)
        self.checked(self.haul.copy("maildir:" + source, self.target()))
        ours = numbers(self.there())
        self.mbsync(self.user, local)
        self.assertEqual(set(trees.pictures(local)), before)
        self.assertEqual(numbers(self.there()), ours)
        # the test would see it: with other numbers it does not go on
        path = os.path.join(self.root(), "dovecot-uidlist")
        with open(path, encoding="ascii") as f:
            text = f.read()
        with open(path, "w", encoding="ascii") as f:
            f.write(text.replace("V1234567 ", "V7654321 "))
        # as large as before: within a second Dovecot would not look into it
        os.utime(path, (time.time() - 100, time.time() - 100))
        with self.assertRaises(AssertionError):
            self.mbsync(self.user, local)

    def test_names_of_files(self):
        """S= and W= are right whatever the source's say; one base name twice."""
        source = self.haul.path("src")
        box = trees.Box(uidvalidity=7)
        body = b"From: x@example.org\n\nbody\n"
        box.add(body, uid=1, base="100.M1P1.h,S=999,W=7")
        box.add(body + b"2", uid=2, base="100.M2P1.h,W=1,X=y,S=2")
        box.add(body + b"3", uid=3, base="odd\x01name")
        box.add(body + b"4", uid=4, base="x" * 200)
        box.add(body + b"5\r\r\nCR", uid=5, base="100.M5P1.h")
        box.add(body + b"6", base="100.M6P1.h")
        box.add(body + b"7", base="100.M6P1.h", where="new")
        box.write(source)
        self.checked(self.haul.copy("maildir:" + source, self.target()))
        found = trees.read(self.root())
        by_uid = {e.uid: (base, e) for base, e in found.items()}
        self.assertEqual(sorted(by_uid), [1, 2, 3, 4, 5, 6, 7])
        for base, entry in found.items():
            with open(entry.file, "rb") as f:
                data = f.read()
            self.assertIn(f",S={len(data)},W={len(nasty.crlf(data))}", base)
            self.assertEqual(os.stat(entry.file).st_mode & 0o777, 0o600)
            if ROOT:
                self.assertEqual((os.stat(entry.file).st_uid, os.stat(entry.file).st_gid), self.ids)
        self.assertEqual(by_uid[1][0], f"100.M1P1.h,S={len(body)},W={len(nasty.crlf(body))}")
        self.assertTrue(by_uid[2][0].startswith("100.M2P1.h,X=y,S="))
        for uid in 3, 4:
            self.assertRegex(by_uid[uid][0], r"^1000000000\.G[0-9a-f]{32}\.mailhaul,")
        self.assertEqual({len(e.fields["G"]) for e in found.values()}, {32})
        self.assertEqual(len(self.there().boxes["INBOX"].messages), 7)

    def test_keywords_over_26(self):
        source = self.haul.path("src")
        box = trees.Box(uidvalidity=7)
        body = b"From: x@example.org\n\nbody\n"
        words = [f"word{i}" for i in range(26)]
        for i, word in enumerate(words):
            box.add(body, uid=i + 1, keywords=[word])
        box.write(source)
        os.makedirs(self.root())
        with open(os.path.join(self.root(), "dovecot-keywords"), "w", encoding="ascii") as f:
            f.write("0 mine\n3 WORD3\n")
        for part in "cur", "new", "tmp":
            os.makedirs(os.path.join(self.root(), part))
        if ROOT:
            trees.own(self.root(), *self.ids)
        run = self.checked(self.haul.copy("maildir:" + source, self.target()), DIFFERS)
        self.assertEqual([i["kind"] for i in run.report["issues"]], ["keywords"])
        got = {m.uid: m.keywords for m in self.there().boxes["INBOX"].messages}
        # a letter is taken already, and a name is known in another case
        want = {i + 1: frozenset([w] if w != "word3" else ["WORD3"]) for i, w in enumerate(words[:25])}
        self.assertEqual(got, {**want, 26: frozenset()})

    def test_mbox_keeps_uids(self):
        """X-UID and X-IMAPbase; what has no UID gets the next."""
        text = ""
        for i, fields in enumerate(["X-IMAPbase: 77 0000000300 $Work\nX-UID: 5\n", "X-UID: 200\nX-Keywords: $Work\n", ""]):
            text += f"From a@example.org Thu Jan  4 05:06:0{i} 2001\nFrom: a@example.org\n{fields}Status: RO\n\nnumber {i}\n\n"
        self.haul.write("mail/INBOX", text)
        self.checked(self.haul.copy("mbox:" + self.haul.path("mail"), self.target()))
        inbox = self.there().boxes["INBOX"]
        self.assertEqual((inbox.uidvalidity, [m.uid for m in inbox.messages][:2]), (77, [5, 200]))
        self.assertEqual(inbox.uidnext, inbox.messages[2].uid + 1)
        self.assertEqual([m.keywords for m in inbox.messages], [frozenset(), {"$Work"}, frozenset()])

    def test_again_and_lost_state(self):
        source = self.haul.path("src")
        self.fill(source)
        first = self.checked(self.haul.copy("maildir:" + source, self.target()))
        before = numbers(self.there())
        files = trees.read(self.root())
        again = self.checked(self.haul.copy("maildir:" + source, self.target()))
        self.assertEqual(again.totals, first.totals)
        lost = self.checked(self.haul.copy("maildir:" + source, self.target(), state=self.haul.path("L.db")))
        self.assertEqual((lost.totals["present"], lost.totals["copied"]), (first.totals["copied"], 0))
        self.assertEqual((numbers(self.there()), trees.read(self.root())), (before, files))

    def test_lost_state_and_deleted_mail(self):
        """Ours prove themselves, also when Dovecot has written its list anew."""
        source, place = self.haul.path("src"), self.haul.path("other")
        for number, path in enumerate((source, place)):
            box = trees.Box(uidvalidity=7 + number, uidnext=50)
            for uid in range(3, 13):
                box.add(b"From: x@example.org\n\nnumber %d\n" % uid, uid=uid, guid=f"{uid:032x}" if number else None)
            box.write(path)
        shutil.copytree(place, os.path.join(source, ".Guids"))
        self.checked(self.haul.copy("maildir:" + source, self.target()))
        # Dovecot gives a new message a UID and makes a list without gaps
        client = self.server.login(self.user)
        for name in "INBOX", "Guids":
            client.append(name, None, None, b"From: y@example.org\r\n\r\ntheirs\r\n")
            client.select(name)
            client.uid("STORE", "60:*", "+FLAGS", r"(\Deleted)")
            client.uid("STORE", "3", "+FLAGS", r"(\Deleted)")
            client.expunge()
        client.logout()
        self.server.doveadm("force-resync", "-u", self.user, "*")
        before = numbers(self.there())
        for name in "", ".Guids":
            entries = trees.read(os.path.join(source, name))
            os.unlink(next(e.file for e in entries.values() if e.uid == 7))
            fields = next(e.fields for e in trees.read(os.path.join(self.root(), name)).values() if e.uid == 7)
            self.assertEqual("X" in fields, name != "", fields)
        run = self.checked(self.haul.copy("maildir:" + source, self.target(), state=self.haul.path("L.db")))
        self.assertEqual(run.totals["present"], 16)
        self.assertNotIn("new UIDVALIDITY", " ".join(i["reason"] for i in run.report["issues"]))
        after = numbers(self.there())
        for name in before:
            self.assertEqual(after[name][0], before[name][0])
            uids = [m.uid for m in before[name][2]]
            self.assertEqual([m for m in after[name][2] if m.uid in uids], before[name][2])
        # other mail there is no proof of anything
        path = os.path.join(self.root(), ".Guids", "dovecot-uidlist")
        with open(path, encoding="ascii") as f:
            text = f.read()
        with open(path, "w", encoding="ascii") as f:
            f.write(re.sub(r" X[0-9a-f]{8} ", " ", text))
        run = self.haul.copy("maildir:" + source, self.target(), state=self.haul.path("M.db"))
        self.assertIn("new UIDVALIDITY", " ".join(i["reason"] for i in run.report["issues"]))

    def test_an_empty_message(self):
        """A Maildir can hold one, and Dovecot serves it."""
        source = self.haul.path("src")
        box = trees.Box(uidvalidity=7)
        box.add(b"", uid=1, flags="F")
        box.add(b"From: x@example.org\n\nnumber 2\n", uid=2)
        box.write(source)
        run = self.checked(self.haul.copy("maildir:" + source, self.target()))
        self.assertEqual((run.totals["copied"], run.totals["refused"]), (2, 0))
        inbox = self.there().boxes["INBOX"]
        self.assertEqual([(m.uid, m.digest) for m in inbox.messages][0], (1, nasty.digest(b"")))
        again = self.checked(self.haul.copy("maildir:" + source, self.target(), state=self.haul.path("L.db")))
        self.assertEqual((again.totals["present"], again.totals["copied"]), (2, 0))

    def test_without_the_lock(self):
        """via=new: Dovecot is on another host, whose lock says so, and gives UIDs."""
        source = self.haul.path("src")
        box = trees.Box(uidvalidity=7)
        for i in range(40):
            box.add(b"From: x@example.org\n\nnumber %d\n" % i, uid=3 + i, flags="S" if i % 2 else "", keywords=["known"] if i % 5 == 0 else (), date=1_000_000_000 + i)
        box.write(source)
        client = self.server.login(self.user)
        client.append("INBOX", "(known)", None, b"From: y@example.org\r\n\r\ntheirs\r\n")
        client.logout()
        before = self.there().boxes["INBOX"]
        lock = os.path.join(self.root(), "dovecot-uidlist.lock")
        with open(lock, "w", encoding="ascii") as f:
            f.write("1:elsewhere.example.org")
        words = ["maildir:" + source, self.target(via="new"), "--existing", "merge"]
        for number in range(3):  # again, and without the state, before Dovecot has looked
            run = self.haul.copy(*words, state=self.haul.path(f"{number // 2}.db"))
            self.assertEqual((run.code, run.totals["copied"] + run.totals["present"]), (DONE, 40), run)
            self.assertEqual(len(os.listdir(os.path.join(self.root(), "new"))), 40)
        self.assertEqual(trees.leftovers(self.root()), [lock])
        os.unlink(lock)
        inbox = self.there().boxes["INBOX"]
        self.assertEqual(inbox.uidvalidity, before.uidvalidity)
        self.assertEqual([m for m in inbox.messages if m.uid <= 1], before.messages)
        self.assertEqual([(m.uid, m.date, m.flags - {r"\recent"}, m.keywords) for m in inbox.messages[1:]],
                         [(2 + i, 1_000_000_000 + i, frozenset([r"\seen"] if i % 2 else []), frozenset(["known"] if i % 5 == 0 else [])) for i in range(40)])
        # now it has: known again, read by a user or not, with the state or not
        for state in self.haul.path("0.db"), self.haul.path("L.db"):
            run = self.haul.copy(*words, state=state)
            self.assertEqual((run.code, run.totals["copied"] + run.totals["present"]), (DONE, 40), run)
        self.assertEqual(self.there().boxes["INBOX"].messages, inbox.messages)
        self.assertEqual(self.logged(), [])
        # what needs the lock says so
        for options in {"link": "hard"}, {"link": "hard", "verify": "no"}:
            self.assertIn("via=new goes with", self.haul.copy("maildir:" + source, self.target(via="new", **options)).err)

    def test_more_mail_keeps_its_uids(self):
        source = self.haul.path("src")
        box = trees.Box(uidvalidity=7, uidnext=50)
        for uid in 3, 9:
            box.add(b"From: x@example.org\n\nnumber %d\n" % uid, uid=uid)
        box.write(source)
        self.checked(self.haul.copy("maildir:" + source, self.target()))
        self.assertEqual(self.there().boxes["INBOX"].uidnext, 50)
        for uid in 50, 61:
            box.add(b"From: x@example.org\n\nnumber %d\n" % uid, uid=uid, keywords=["late"])
        box.write(source)
        run = self.checked(self.haul.copy("maildir:" + source, self.target()))
        self.assertEqual(run.report["issues"], [])
        inbox = self.there().boxes["INBOX"]
        self.assertEqual((inbox.uidvalidity, inbox.uidnext, [m.uid for m in inbox.messages]), (7, 62, [3, 9, 50, 61]))
        # one that comes late gets a new UID, and that is said
        box.add(b"From: x@example.org\n\nlate\n", uid=20)
        box.write(source)
        run = self.checked(self.haul.copy("maildir:" + source, self.target()))
        self.assertIn("1 messages have other UIDs", " ".join(i["reason"] for i in run.report["issues"]))
        inbox = self.there().boxes["INBOX"]
        self.assertEqual((inbox.uidvalidity, [m.uid for m in inbox.messages]), (7, [3, 9, 50, 61, 62]))
        # and when the source gives that UID to another message, none is mixed up
        box.add(b"From: x@example.org\n\nnumber 62\n", uid=62)
        box.write(source)
        run = self.checked(self.haul.copy("maildir:" + source, self.target()), DONE)
        self.assertIn("new UIDVALIDITY", " ".join(i["reason"] for i in run.report["issues"]))
        inbox = self.there().boxes["INBOX"]
        self.assertGreater(inbox.uidvalidity, 7)
        self.assertEqual(len(inbox.messages), 6)
        self.assertRegex(" ".join(self.logged()), r"UIDVALIDITY changed \(7 -> \d+\)$")
        self.log_before = len(self.server.log())
        again = self.checked(self.haul.copy("maildir:" + source, self.target()))
        self.assertEqual((again.totals["copied"], self.there().boxes["INBOX"].uidvalidity), (6, inbox.uidvalidity))

    def test_other_mail_at_the_target(self):
        """An existing mailbox keeps its UIDs, and ours come above."""
        source = self.haul.path("src")
        box = trees.Box(uidvalidity=7)
        box.add(b"From: x@example.org\n\nours\n", uid=1000)
        box.write(source)
        client = self.server.login(self.user)
        client.append("INBOX", None, None, b"From: y@example.org\r\n\r\ntheirs\r\n")
        client.logout()
        there = self.there().boxes["INBOX"]
        run = self.haul.copy("maildir:" + source, self.target())
        self.assertEqual(run.code, ACCOUNTS)
        run = self.checked(self.haul.copy("maildir:" + source, self.target(), "--existing", "merge"))
        self.assertIn("UIDVALIDITY of its own", " ".join(i["reason"] for i in run.report["issues"]))
        inbox = self.there().boxes["INBOX"]
        self.assertEqual((inbox.uidvalidity, [m.uid for m in inbox.messages]), (there.uidvalidity, [1, 2]))

    def test_a_maildir_without_uids(self):
        """Files that no server has numbered are known, and stay as they are."""
        box = trees.Box()
        for i in range(5):
            box.add(b"From: x@example.org\n\nnumber %d\n" % i, base=f"{100 + i}.M1P1.h", where="new" if i % 2 else "cur")
        source = self.haul.path("src")
        box.write(source)
        box.add(b"From: x@example.org\n\nnumber 5\n", base="105.M1P1.h")
        box.messages.pop(0)
        box.write(self.root())
        if ROOT:
            trees.own(self.root(), *self.ids)
        run = self.checked(self.haul.copy("maildir:" + source, self.target()))
        self.assertEqual((run.totals["copied"], run.totals["present"]), (1, 4))
        self.assertEqual(len(self.there().boxes["INBOX"].messages), 6)

    def test_as_a_source(self):
        """What was written is read again, from one layout into another."""
        source, other = self.haul.path("src"), self.haul.path("home2", "Maildir")
        self.fill(source)
        os.makedirs(os.path.dirname(other))
        for directory in self.haul.directory, os.path.dirname(other):
            os.chmod(directory, 0o755)
        if ROOT:
            os.chown(os.path.dirname(other), *self.ids)
        first = self.haul.copy("maildir:" + source, f"dovecot:{other}?layout=fs")
        self.assertEqual(first.code, DONE, first)
        run = self.checked(self.haul.copy(f"dovecot:{other}?layout=fs", self.target(separator="/"), state=self.haul.path("2.db")))
        self.assertEqual(run.totals, first.totals)
        # a GUID that is the source's own has our mark (X) beside it
        strip = lambda path: sorted((e.uid, {k: v for k, v in e.fields.items() if k != "X"}, e.letters) for e in trees.read(path).values())
        for directory in "", ".Work.Old &- M&APw-ll":
            there = os.path.join(other, directory[1:].replace(".", "/"))
            self.assertEqual(strip(os.path.join(self.root(), directory)), strip(there))
            self.assertEqual(trees.head(os.path.join(self.root(), directory)), trees.head(there))
        again = self.checked(self.haul.copy(f"dovecot:{other}?layout=fs", self.target(separator="/"), state=self.haul.path("2.db")))
        self.assertEqual(again.totals, first.totals)

    def test_undo_and_again(self):
        """What undo takes away comes again, and Dovecot has no objection."""
        source = self.haul.path("src")
        self.fill(source)
        words = ["maildir:" + source, self.target()]
        first = self.checked(self.haul.copy(*words))
        self.there()
        undone = self.haul.run("undo", *words, "--state", self.haul.state, "--yes")
        self.assertIn(f"{first.totals['copied']} messages and 1 mailboxes were taken back", undone.out)
        self.assertEqual([len(b.messages) for b in self.there().boxes.values()], [0])
        again = self.checked(self.haul.copy(*words, state=self.haul.path("A.db")))
        self.assertEqual(again.totals["copied"], first.totals["copied"])
        self.assertEqual(self.there().total(), first.totals["copied"])
        self.assertEqual(self.logged(), [])

    def test_lost_messages_come_again(self):
        source = self.haul.path("src")
        box = trees.Box(uidvalidity=7)
        for uid in 1, 2, 3:
            box.add(b"From: x@example.org\n\nnumber %d\n" % uid, uid=uid)
        box.write(source)
        self.checked(self.haul.copy("maildir:" + source, self.target()))
        client = self.server.login(self.user)
        client.select("INBOX")
        client.uid("STORE", "2", "+FLAGS", r"(\Deleted)")
        client.expunge()
        client.logout()
        run = self.checked(self.haul.copy("maildir:" + source, self.target()))
        self.assertIn("lost", [i["kind"] for i in run.report["issues"]])
        self.assertEqual([m.uid for m in self.there().boxes["INBOX"].messages], [1, 3, 4])


LAYOUTS = {
    "plusplus": ({"FORMAT": "maildir"}, {}),
    "slash": ({"FORMAT": "maildir", "SEPARATOR": "/"}, {"separator": "/"}),
    "fs": ({"FORMAT": "maildir:~/mail:LAYOUT=fs"}, {"layout": "fs"}),
    "listescape": ({"FORMAT": "maildir", "SEPARATOR": "/", "PLUGINS": "listescape"}, {"separator": "/", "listescape": "yes"}),
}
# levels that some layout or server cannot hold, and some that all can
PATHS = ["Sent", "Entwürfe", "a.b", "x/y/z", "~home", "x/~y", "cur", "a/new/b", "tmp", ".", "..", ".hidden", "*%", '"q" \\', " blank ", "&", "=2E",
         "dovecot.index", "INBOX/child", "日本/文", "subscriptions", "/".join(["deep"] * 20)]


class Layouts(unittest.TestCase):
    """The same names in every layout, each with one message, as users see them."""

    def check(self, name):
        settings, options = LAYOUTS[name]

        class One(offline.Case):
            pass

        One.settings = settings
        One.setUpClass()
        self.addCleanup(One.doClassCleanups)
        case = One()
        case.setUp()
        self.addCleanup(case.doCleanups)
        # a source that can hold all of them: mbox files would not
        source = case.haul.path("src")
        for i, path in enumerate(["INBOX"] + PATHS):
            box = trees.Box(uidvalidity=10 + i)
            box.add(b"From: x@example.org\n\n%s\n" % path.encode(), uid=i + 1)
            levels = [level.replace("\\", "\\5c").replace(".", "\\2e") for level in path.split("/")]
            directory = "." + ".".join(readback.encode_name(level).decode() for level in levels)
            box.write(source if path == "INBOX" else os.path.join(source, directory))
        run = case.haul.copy(f"maildir:{source}?listescape=yes", case.target(**options), "--subscribe", "all")
        case.checked(run)
        self.assertEqual(run.totals["copied"], len(PATHS) + 1)
        told = {m["name"]: m["target_name"] for m in run.report["accounts"][0]["mailboxes"]}
        there = case.there()
        boxes = {b.uidvalidity: b for b in there.boxes.values() if b.messages}
        self.assertEqual(sorted(boxes), [10 + i for i in range(len(PATHS) + 1)])
        subscribed = {b.name for b in boxes.values()}
        self.assertEqual({s for s in there.subscribed if s in there.boxes}, subscribed)
        if not options.get("listescape"):
            self.assertEqual({readback.decode_name(t.encode()) for t in told.values()}, subscribed)
        else:
            self.assertLessEqual({"Sent", "a.b", "x/y/z", "~home", "x/~y", '"q" \\'}, subscribed)
        before = numbers(there)
        again = case.checked(case.haul.copy(f"maildir:{source}?listescape=yes", case.target(**options), "--subscribe", "all"))
        self.assertEqual(again.totals, run.totals)
        lost = case.checked(case.haul.copy(f"maildir:{source}?listescape=yes", case.target(**options), state=case.haul.path("L.db")))
        self.assertEqual(lost.totals["present"], len(PATHS) + 1)
        self.assertEqual(numbers(case.there()), before)

    def test_plusplus(self):
        self.check("plusplus")

    def test_slash(self):
        self.check("slash")

    def test_fs(self):
        self.check("fs")

    def test_listescape(self):
        self.check("listescape")


ALL = os.environ.get("MAILHAUL_LARGE") == "all"


class Large(offline.Case):
    """Many mailboxes, many accounts, one mailbox that is large.
    MAILHAUL_LARGE=all takes 500, 2,000 and 200,000."""

    def test_many_mailboxes(self):
        count = 500 if ALL else 150
        source = self.haul.path("src")
        trees.Box(uidvalidity=9).write(source)
        for i in range(count):
            box = trees.Box(uidvalidity=10 + i, uidnext=50)
            box.add(b"From: x@example.org\n\nbox %d\n" % i, uid=7)
            box.write(os.path.join(source, f".top{i % 7}.box{i}"))
        run = self.checked(self.haul.copy("maildir:" + source, self.target(), "--subscribe", "all", timeout=600))
        self.assertEqual(run.totals["copied"], count)
        there = self.there()
        told = sorted((b.uidvalidity, b.uidnext, len(b.messages)) for b in there.boxes.values() if b.messages)
        self.assertEqual(told, [(10 + i, 50, 1) for i in range(count)])
        self.assertEqual(len(there.subscribed), count + 1)
        before = trees.pictures(self.root())
        self.checked(self.haul.copy("maildir:" + source, self.target(), "--subscribe", "all", timeout=600))
        self.assertEqual({k: v for k, v in trees.pictures(self.root()).items() if "dovecot." not in k},
                         {k: v for k, v in before.items() if "dovecot." not in k})

    def test_many_accounts(self):
        count = 2000 if ALL else 60
        box = trees.Box(uidvalidity=77)
        for i in range(20):
            box.add(b"From: x@example.org\n\nmessage %d\n" % i, uid=3 * i + 1, keywords=["k"])
        names = [f"a{i}" for i in range(count)]
        homes = self.haul.path("homes")
        for name in names:
            os.makedirs(os.path.join(homes, name))
            box.write(self.haul.path("src", name))
        for directory in (self.haul.directory, homes):
            os.chmod(directory, 0o755)
        if ROOT:
            trees.own(homes, *self.ids)
        words = self.haul.job("maildir:" + self.haul.path("src", "{user}"), f"dovecot:{homes}/{{user}}/Maildir", "user\n" + "\n".join(names) + "\n",
                              "lanes = 4")
        run = self.haul.copy(*words, timeout=900)
        self.assertEqual((run.code, run.totals["copied"]), (DONE, 20 * count), run)
        for name in names:
            path = os.path.join(homes, name, "Maildir")
            self.assertEqual(sorted(e.uid for e in trees.read(path).values()), [3 * i + 1 for i in range(20)])
            self.assertEqual(trees.leftovers(path), [])
        again = self.haul.copy(*words, timeout=900)
        self.assertEqual((again.code, again.totals["copied"]), (DONE, 20 * count))

    def test_large_mailbox(self):
        count = 200_000 if ALL else 5000
        with open(self.haul.write("mail/INBOX", ""), "w", encoding="ascii") as f:
            f.write("From a@example.org Thu Jan  4 05:06:07 2001\nX-IMAPbase: 5 0000000000\n")
            for i in range(count):
                start = "" if i == 0 else "From a@example.org Thu Jan  4 05:06:07 2001\n"
                f.write(f"{start}From: a@example.org\nSubject: {i}\nStatus: RO\n\nbody {i}\n\n")
        run = self.checked(self.haul.copy("mbox:" + self.haul.path("mail"), self.target(), timeout=900))
        self.assertEqual(run.totals["copied"], count)
        client = self.server.login(self.user)
        self.assertEqual(int(client.select("INBOX")[1][0]), count)
        client.logout()
        self.assertEqual(self.logged(), [])


if __name__ == "__main__":
    unittest.main()
