"""kill -9 at the fault points of a run that writes a Maildir, and power cuts.

After one more run the tree must be the one that an undisturbed run writes, to
the UID, with nothing left in tmp/; a third run changes nothing.
MAILHAUL_KILLS=all takes every passing of every point.
"""

import hashlib
import os
import shutil
import sqlite3
import subprocess
import tempfile
import time
import unittest

import kills
import mail
import trees
from haul import DONE, Haul
from servers import Dovecot

BATCHES = 700  # messages of INBOX: more than one commit of several batches


def fill(path):
    """Sparse UIDs, twins, keywords, two further mailboxes."""
    boxes = {"": BATCHES, ".Sent": 40, ".Lists.a": 3}
    for number, (name, count) in enumerate(boxes.items()):
        box = trees.Box(uidvalidity=100 + number, uidnext=10_000)
        for i, m in enumerate(mail.messages(count, f"f{number}", 200)):
            body = b"From: twin@example.org\n\ntwin\n" if i % 50 == 7 else m.body.replace(b"\r\n", b"\n")
            letters = "".join(letter for _, letter in m.flags)
            box.add(body, uid=5 + 3 * i, flags=letters, keywords=["k"] if i % 7 == 3 else (), date=m.date, uidl=f"u{i}" if i % 5 == 0 else None)
        box.write(os.path.join(path, name))
    return path


def digest(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def facts(root):
    """Everything that a user could tell, by mailbox and UID."""
    told = {}
    for name in sorted(os.listdir(root)) + ["."]:
        path = os.path.join(root, name)
        if not os.path.exists(os.path.join(path, "dovecot-uidlist")):
            continue
        entries = trees.read(path)
        told[name] = trees.head(path), sorted(
            (e.uid, base, e.fields.get("P"), e.fields.get("G"), e.letters, digest(e.file), int(os.stat(e.file).st_mtime)) for base, e in entries.items()
        )
    return told


def contents(root):
    """What does not depend on numbers."""
    return {name: sorted((d, letters, date) for _, _, _, _, letters, d, date in rows) for name, (_, rows) in facts(root).items()}


class Job:
    """One account and its state, in memory: there are hundreds of them."""

    def __init__(self, source, root=None, options=""):
        fast = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.directory = tempfile.mkdtemp(prefix="mhh", dir=fast)
        self.haul = Haul(self.directory, faults=True)
        self.source = source
        self.root = root or self.haul.path("root")
        owner = "owner=0" if os.getuid() == 0 and root is None else ""
        words = "&".join(w for w in (owner, options) if w)
        self.words = ["maildir:" + source, "dovecot:" + self.root + ("?" + words if words else "")]

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.haul.destroy()
        shutil.rmtree(self.directory)

    def copy(self, fault=None, lanes=1, mutate=None, **env):
        if fault:
            env["MAILHAUL_FAULT"] = fault
        if mutate:
            env["MAILHAUL_MUTATE"] = mutate
        process = self.haul.start_copy(*self.words, "--lanes", str(lanes), "--min-free", "0", env=env)
        return self.haul.finish(process, 120, killed=fault is not None)

    def lose_state(self):
        for suffix in "", "-wal", "-shm":
            if os.path.exists(self.haul.state + suffix):
                os.unlink(self.haul.state + suffix)

    def tree(self):
        """Names, sizes and times of all files."""
        found = {}
        for directory, _, files in os.walk(self.root):
            for name in files:
                st = os.stat(os.path.join(directory, name))
                found[os.path.join(directory, name)] = st.st_ino, st.st_size, st.st_mtime_ns
        return found


class Kills(unittest.TestCase):
    options, cases_of = "", {"once": 60, "lost": 24}
    twice = ("file.renamed:300 list.appended:2 files.synced:2 lock.taken:5 uids.set:2",
             "lock.taken:1 box.numbered:1 list.appended:1 look.done:1 file.renamed:1 files.written:1")

    @classmethod
    def make_source(cls):
        return fill(cls.keep.path("source"))

    @classmethod
    def setUpClass(cls):
        cls.keep = Haul()
        cls.addClassCleanup(cls.keep.destroy)
        cls.source = cls.make_source()
        with Job(cls.source, options=cls.options) as job:
            log = job.haul.path("points")
            run = job.copy(MAILHAUL_FAULT_LOG=log)
            assert run.code == DONE, run
            cls.reference = facts(job.root)
            with open(log, encoding="ascii") as f:
                points = f.read().split()
        cls.points = {name: points.count(name) for name in sorted(set(points))}

    def cases(self, n):
        return kills.sample(self.points, None if kills.ALL else kills.how_many(n, 0))

    def judge(self, job, want=None):
        """What is wrong after the next run."""
        run = job.copy()
        if run.code != DONE:
            return [repr(run)]
        words = [f"left: {f}" for f in trees.leftovers(job.root)]
        if facts(job.root) != (want or self.reference):
            words.append("the tree differs")
        if run.totals["source"] != run.totals["copied"] + run.totals["present"]:
            words.append(f"told {run.totals}")
        before = job.tree()
        run = job.copy()
        if run.code != DONE or job.tree() != before:
            words.append("a third run changed something")
        return words

    def test_points_are_there(self):
        """The matrix is worth nothing without these."""
        for name in "files.written files.synced lock.taken file.renamed list.appended list.written uids.set append.answered".split():
            self.assertIn(name, self.points)
        self.assertGreaterEqual(self.points["files.synced"], 4)

    def test_killed_once(self):
        bad = []
        for name, number in self.cases(self.cases_of["once"]):
            with Job(self.source, options=self.options) as job:
                job.copy(f"kill@{name}:{number}", lanes=1 + number % 2)
                bad += [f"{name}:{number}: {w}" for w in self.judge(job)]
        self.assertEqual(bad, [])

    def test_killed_and_state_lost(self):
        bad = []
        for name, number in self.cases(self.cases_of["lost"]):
            with Job(self.source, options=self.options) as job:
                job.copy(f"kill@{name}:{number}")
                job.lose_state()
                bad += [f"{name}:{number}: {w}" for w in self.judge(job)]
        self.assertEqual(bad, [])

    def test_without_the_journal(self):
        """The tests see it when recovery does nothing."""
        with Job(self.source, options=self.options) as job:
            job.copy("kill@file.renamed:300")
            job.copy("kill@look.done:1", mutate="journal")
            self.assertEqual(self.judge(job), ["the tree differs"])

    def test_killed_twice(self):
        """The second kill hits the recovery from the first."""
        bad = []
        for first in self.twice[0].split():
            for second in self.twice[1].split():
                with Job(self.source, options=self.options) as job:
                    job.copy("kill@" + first)
                    job.copy("kill@" + second)
                    bad += [f"{first}, {second}: {w}" for w in self.judge(job)]
        self.assertEqual(bad, [])


def command(*words):
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


class PowerCuts(unittest.TestCase):
    """The mail lies on a file system in a file, whose bytes are copied at the
    moment of the kill: what was not synced by then is not in the copy.  The
    state lies elsewhere and loses nothing, which is the worst case."""

    @classmethod
    def setUpClass(cls):
        if os.getuid() != 0 or not os.path.exists("/dev/loop-control"):
            raise unittest.SkipTest("needs root and loop devices")
        cls.keep = Haul()
        cls.addClassCleanup(cls.keep.destroy)
        cls.source = fill(cls.keep.path("source"))
        cls.place = cls.keep.path("disk")
        os.mkdir(cls.place)
        cls.empty = cls.keep.path("empty.img")
        with open(cls.empty, "wb") as f:
            f.truncate(48 << 20)
        # times of seconds must not let the kernel write what nobody synced
        command("mkfs.ext4", "-q", "-m", "0", "-O", "^metadata_csum_seed", cls.empty)
        with Job(cls.source) as job:
            assert job.copy().code == DONE
            cls.reference = facts(job.root)

    def mounted(self, image):
        command("mount", "-o", "loop,commit=600", image, self.place)
        self.addCleanup(self.unmount)

    def unmount(self):
        if os.path.ismount(self.place):
            command("umount", self.place)

    def cut(self, job, fault, mutate=None):
        """One run up to the power cut; the disk is then what is left."""
        self.unmount()
        image, after = self.keep.path("before.img"), self.keep.path("after.img")
        command("cp", "--sparse=always", self.empty, image)
        self.mounted(image)
        job.copy(fault, mutate=mutate)
        command("cp", "--sparse=always", image, after)
        self.unmount()
        self.mounted(after)
        for lock in trees.leftovers(job.root):
            if lock.endswith(".lock"):  # the machine takes a while to come back
                os.utime(lock, (time.time() - 60, time.time() - 60))

    def lost(self, job):
        """Messages that the state calls done and that are not there."""
        db = sqlite3.connect(f"file:{job.haul.state}?mode=ro", uri=True)
        try:
            rows = db.execute("SELECT tgt_name, tgt_uid, hex(strict) FROM message JOIN mailbox ON mailbox.id = mailbox_id WHERE message.outcome = 1").fetchall()
        finally:
            db.close()
        there = set()
        for name, (_, entries) in facts(job.root).items() if os.path.exists(job.root) else ():
            for uid, base, *_ in entries:
                file = [f for f in os.listdir(os.path.join(job.root, name, "cur")) if f.startswith(base)][0]
                with open(os.path.join(job.root, name, "cur", file), "rb") as f:
                    data = f.read().replace(b"\n", b"\r\n")
                there.add(("INBOX" if name == "." else name[1:], uid, hashlib.sha256(data).hexdigest().upper()))
        return [row for row in rows if row not in there], len(rows)

    def job(self):
        job = Job(self.source, os.path.join(self.place, "root"))
        job.words[1] += "?owner=0"
        self.addCleanup(job.__exit__)
        return job

    def test_power_cuts(self):
        faults = ("files.written:2 files.synced:2 append.before_crlf:2 file.renamed:1 file.renamed:650 list.appended:1 list.appended:2 append.after_crlf:1"
                  " append.answered:1 done.posted:2 done.posted:4 state.after_commit:9 uids.set:1 uids.set:2 uids.set:4 create.after:2 subscribe.after:2")
        seen = 0
        for fault in faults.split():
            with self.subTest(fault):
                job = self.job()
                self.cut(job, "kill@" + fault)
                lost, rows = self.lost(job)
                self.assertEqual(lost, [])
                seen += rows
                run = job.copy()
                self.assertEqual(run.code, DONE, run)
                self.assertEqual(trees.leftovers(job.root), [])
                self.assertEqual(facts(job.root), self.reference)
                self.unmount()
        self.assertGreater(seen, 2 * BATCHES)

    def test_without_syncing(self):
        """The test sees it when files are not synced."""
        job = self.job()
        self.cut(job, "kill@done.posted:4", mutate="syncfs")
        self.assertNotEqual(self.lost(job)[0], [])


@unittest.skipUnless(os.access("/dev/shm", os.W_OK), "source and target on one file system in memory")
class LinkKills(Kills):
    """Hard links, which go into cur/ at once."""

    options, cases_of = "link=hard", {"once": 6, "lost": 3}
    twice = "file.renamed:300 list.appended:2", "box.numbered:1 file.renamed:1"

    @classmethod
    def make_source(cls):
        directory = tempfile.mkdtemp(prefix="mhl", dir="/dev/shm")
        cls.addClassCleanup(shutil.rmtree, directory)
        source = fill(os.path.join(directory, "source"))
        for place, _, files in os.walk(source):
            for name in files:
                os.chmod(os.path.join(place, name), 0o600)
        return source

    def judge(self, job, want=None):
        words = super().judge(job, want)
        inodes = {os.stat(e.file).st_ino for e in trees.read(job.root).values()}
        if inodes != {os.stat(e.file).st_ino for e in trees.read(self.source).values()}:
            words.append("not the same files")
        return words


class UnreadKills(LinkKills):
    """And no digest is known of them: which file it is has to be enough."""

    options = "link=hard&verify=no"


def delivered(root):
    """What lies in new/ of each mailbox: letters, time and bytes; no name twice."""
    told = {}
    for name in sorted(os.listdir(root)) + ["."]:
        path = os.path.join(root, name, "new")
        if not os.path.isdir(path) or name in ("new", "cur", "tmp"):
            continue
        files = os.listdir(path)
        assert len({f.partition(":")[0] for f in files}) == len(files)
        told[name] = sorted((f.partition(":2,")[2], int(os.stat(os.path.join(path, f)).st_mtime), digest(os.path.join(path, f))) for f in files)
    return told


class DeliverKills(unittest.TestCase):
    """via=new: names alone say what was delivered, also without the state."""

    def test_killed(self):
        with Haul() as keep:
            source = fill(keep.path("source"))
            with Job(source, options="via=new") as job:
                self.assertEqual(job.copy().code, DONE + 1)  # no letter for the keyword
                reference = delivered(job.root)
                self.assertEqual([len(v) for v in reference.values()], [3, 40, BATCHES])
                self.assertEqual(trees.leftovers(job.root), [])
                self.assertFalse(os.path.exists(os.path.join(job.root, "dovecot-uidlist")))
            for number, fault in enumerate("file.renamed:1 file.renamed:350 file.renamed:650 files.written:2 files.synced:2 append.after_crlf:1 done.posted:2".split()):
                for lose in False, True:
                    with self.subTest(fault, lose=lose), Job(source, options="via=new") as job:
                        job.copy("kill@" + fault, lanes=1 + number % 2)
                        if lose:
                            job.lose_state()
                        run = job.copy()
                        self.assertEqual(run.code, DONE + 1, run)
                        self.assertEqual(run.totals["copied"] + run.totals["present"], BATCHES + 43)
                        self.assertEqual(delivered(job.root), reference)
                        self.assertEqual(trees.leftovers(job.root), [])
                        before = job.tree()
                        job.copy()
                        self.assertEqual(job.tree(), before)


class KillsWithDovecot(unittest.TestCase):
    """A user looks between the kill and the next run: what lay in cur/ without
    a line gets some UID then, but no message is lost or doubled."""

    def test_opened_between(self):
        with Dovecot(USERS=12) as server, Haul() as keep:
            source = fill(keep.path("source"))
            with Job(source) as job:
                self.assertEqual(job.copy().code, DONE)
                reference = contents(job.root)
            faults = "file.renamed:1 file.renamed:350 file.renamed:601 list.appended:1 files.synced:1 append.after_crlf:2 uids.set:1 done.posted:2"
            for user, fault in enumerate(faults.split(), 1):
                with self.subTest(fault), Job(source, os.path.join(server.home(f"user{user}"), "mail")) as job:
                    job.copy("kill@" + fault)
                    client = server.login(f"user{user}")
                    client.select("INBOX")
                    client.close()
                    client.logout()
                    run = job.copy()
                    self.assertEqual(run.code, DONE, run)
                    self.assertEqual(trees.leftovers(job.root), [])
                    self.assertEqual({k: v for k, v in contents(job.root).items() if v}, reference)
            self.assertEqual([line for line in server.log().splitlines() if "Error" in line], [])


if __name__ == "__main__":
    unittest.main()
