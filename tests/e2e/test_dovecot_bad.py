"""dovecot:PATH where it must not write: places that are no Maildir, owners that
lay traps, disks that are full, links that cannot be made."""

import contextlib
import hashlib
import json
import os
import shutil
import stat
import subprocess
import tempfile
import unittest

import trees
from haul import ACCOUNTS, AGAIN, DONE, MISUSE, Haul, wait_for

ROOT = os.getuid() == 0
USER = (8, 8) if ROOT else (os.getuid(), os.getgid())


def write_source(path, count=20, size=200, uidvalidity=5):
    box = trees.Box(uidvalidity=uidvalidity)
    for i in range(count):
        box.add(b"From: x@example.org\n\n%d " % i + b"x" * size + b"\n", uid=i + 1, keywords=["k"])
    box.write(path)
    box = trees.Box(uidvalidity=uidvalidity)
    box.add(b"From: x@example.org\n\nsent\n", uid=1)
    box.write(os.path.join(path, ".Sent"))
    return path


def picture(path):
    """Everything about a tree that a trap might change."""
    told = {}
    for directory, names, files in os.walk(path):
        for name in [""] + names + files:
            full = os.path.join(directory, name)
            st = os.lstat(full)
            data = None
            if stat.S_ISREG(st.st_mode):
                with open(full, "rb") as f:
                    data = hashlib.sha256(f.read()).hexdigest()
            told[full] = st.st_mode, st.st_uid, st.st_gid, st.st_nlink, data
    return told


class Case(unittest.TestCase):
    def setUp(self):
        self.haul = Haul()
        self.addCleanup(self.haul.destroy)
        os.chmod(self.haul.directory, 0o755)
        self.home = self.haul.path("home-of-user")
        os.mkdir(self.home, 0o755)
        self.root = os.path.join(self.home, "Maildir")
        if ROOT:
            os.chown(self.home, *USER)
        self.source = write_source(self.haul.path("src"))

    def make(self, *parts):
        path = os.path.join(self.root, *parts)
        os.makedirs(path)
        self.own()
        return path

    def own(self):
        if ROOT:
            trees.own(self.home, *USER)

    def copy(self, *options, query="", state=None, **kwargs):
        return self.haul.copy("maildir:" + self.source, "dovecot:" + self.root + query, *options, state=state, **kwargs)

    def refused(self, run, words, code=ACCOUNTS):
        self.assertEqual(run.code, code, run)
        self.assertIn(words, run.err + run.out)

    def arrived(self, path=None, count=20):
        path = path or self.root
        self.assertEqual(sorted(e.uid for e in trees.read(path).values()), list(range(1, count + 1)))
        self.assertEqual(trees.leftovers(path), [])
        for directory, names, files in os.walk(path):
            for name in names + files:
                st = os.lstat(os.path.join(directory, name))
                self.assertEqual((st.st_uid, st.st_gid), USER, name)


class Places(Case):
    def test_options(self):
        for query, words in (("?layout=auto", "layout=auto"), ("?separator=^", "separator"), ("?modes=600", "modes="), ("?modes=0400,0700", "modes="),
                             ("?link=soft", "link=soft"), ("?listescape=perhaps", "listescape"), ("?oner=x", "owner")):
            self.refused(self.copy(query=query), words, MISUSE)
        self.assertFalse(os.path.exists(self.root))

    def test_no_maildir(self):
        self.make()
        with open(os.path.join(self.root, "report.odt"), "w", encoding="ascii") as f:
            f.write("text")
        self.own()
        before = picture(self.home)
        self.refused(self.copy(), "is no Maildir and not empty")
        self.assertEqual(picture(self.home), before)

    def test_a_file(self):
        with open(self.root, "w", encoding="ascii") as f:
            f.write("text")
        self.refused(self.copy(), "is no directory")

    def test_missing_parent(self):
        self.root = os.path.join(self.home, "a", "b", "Maildir")
        self.refused(self.copy(), "create-users=yes")
        self.assertEqual(os.listdir(self.home), [])
        self.assertEqual(self.copy("--create-users").code, DONE)
        self.arrived()

    def test_a_tree_for_many(self):
        """What lies above the level that names the user is nobody's of them."""
        job = (f"[job]\naccounts = list.csv\nstate = job.db\ncreate-users = yes\n[source]\nuri = maildir:{self.haul.directory}/s/{{local}}\n[target]\n"
               f"uri = dovecot:{self.haul.directory}/v/{{domain}}/{{local}}/mail/Maildir\n")
        users = [("alice", 8), ("bob", 9)] if ROOT else [("alice", os.getuid()), ("bob", os.getuid())]
        self.haul.write("job.ini", job)
        for name, _ in users:
            shutil.copytree(self.source, self.haul.path("s", name))
        self.haul.write("list.csv", "user,owner\n" + "".join(f"{name}@example.com,{uid}:{os.getgid() if not ROOT else uid}\n" for name, uid in users))
        run = self.haul.run("copy", "--job", self.haul.path("job.ini"))
        self.assertEqual(run.code, DONE, run)
        for name, uid in users:
            home = self.haul.path("v", "example.com", name)
            self.assertEqual(len(trees.read(os.path.join(home, "mail", "Maildir"))), 20)
            for path in home, os.path.join(home, "mail"), os.path.join(home, "mail", "Maildir"):
                self.assertEqual((os.stat(path).st_uid, os.stat(path).st_mode & 0o777), (uid, 0o700))
        for path in self.haul.path("v"), self.haul.path("v", "example.com"):
            self.assertEqual(os.stat(path).st_uid, os.getuid())
            if ROOT:
                self.assertEqual(os.stat(path).st_mode & 0o777, 0o755)

    def test_modes(self):
        self.assertEqual(self.copy(query="?modes=0640,0750").code, DONE)
        self.arrived()
        for directory, _, files in os.walk(self.root):
            self.assertEqual(stat.S_IMODE(os.stat(directory).st_mode), 0o750)
            for name in files:
                self.assertEqual(stat.S_IMODE(os.stat(os.path.join(directory, name)).st_mode), 0o640, name)

    def test_plan_writes_nothing(self):
        def plan():
            before = picture(self.haul.directory)
            run = self.haul.run("plan", "maildir:" + self.source, "dovecot:" + self.root, "--state", self.haul.path("P.db"), "--existing", "merge")
            self.assertEqual(picture(self.haul.directory), before)
            return run

        self.assertEqual(plan().code, DONE)
        box = trees.Box()
        box.add(b"From: y@example.org\n\nunknown\n", where="new")
        box.write(self.root)
        with open(os.path.join(self.root, "tmp", "mailhaul.00000000"), "w", encoding="ascii") as f:
            f.write("left")
        os.rmdir(os.path.join(self.root, "cur"))
        os.makedirs(os.path.join(self.root, "cur"))
        self.own()
        self.assertEqual(plan().code, DONE)
        self.assertEqual(self.copy("--existing", "merge").code, DONE)
        self.assertEqual(len(trees.read(self.root)), 21)
        self.assertEqual(plan().code, DONE)

    def test_broken_uidlist(self):
        self.assertEqual(self.copy().code, DONE)
        good = os.path.join(self.root, "dovecot-uidlist")
        with open(good, "rb") as f:
            text = f.read()
        source = trees.Box(uidvalidity=5)
        for uid in range(1, 22):
            source.add(b"From: x@example.org\n\n%d " % (uid - 1) + b"x" * 200 + b"\n", uid=uid, keywords=["k"])
        shutil.rmtree(os.path.join(self.source, "cur"))
        source.write(self.source)
        lines = text.splitlines(True)
        for broken in (lines[0] + lines[2] + lines[1], b"nonsense\n" + text, b"1 5 21\n"):
            with open(good, "wb") as f:
                f.write(broken)
            self.refused(self.copy(), "dovecot-uidlist is broken")
            with open(good, "rb") as f:
                self.assertEqual(f.read(), broken)
            self.assertEqual(len(os.listdir(os.path.join(self.root, "cur"))), 20)
        # a last line that was torn is not: it is cut off, and its message numbered
        with open(good, "wb") as f:
            f.write(text[:-10])
        run = self.copy()
        self.assertEqual(run.code, DONE, run)
        self.arrived(count=21)

    def test_maildirsize(self):
        self.make()
        for part in "cur", "new", "tmp":
            self.make(part)
        with open(os.path.join(self.root, "maildirsize"), "w", encoding="ascii") as f:
            f.write("1000000S\n0 0\n")
        self.own()
        self.assertEqual(self.copy().code, DONE)
        with open(os.path.join(self.root, "maildirsize"), encoding="ascii") as f:
            lines = [line.split() for line in f.read().splitlines()[1:]]
        self.assertEqual(sum(int(n) for _, n in lines), 21)
        files = [e for path in (self.root, os.path.join(self.root, ".Sent")) for e in trees.read(path).values()]
        self.assertEqual(sum(int(size) for size, _ in lines), sum(os.path.getsize(e.file) for e in files))


class Links(Case):
    def setUp(self):
        super().setUp()
        if ROOT:
            trees.own(self.source, *USER)
        for directory, _, files in os.walk(self.source):
            for name in files:
                os.chmod(os.path.join(directory, name), 0o600)

    def inodes(self, path):
        return {os.stat(e.file).st_ino for e in trees.read(path).values()}

    def test_hard(self):
        odd = sorted(os.listdir(os.path.join(self.source, "cur")))[:3]
        os.chmod(os.path.join(self.source, "cur", odd[0]), 0o644)
        if ROOT:
            os.chown(os.path.join(self.source, "cur", odd[1]), 9, 9)
        before = picture(self.source)
        run = self.copy(query="?link=hard")
        self.assertEqual(run.code, DONE, run)
        self.arrived()
        shared = self.inodes(self.root) & self.inodes(self.source)
        self.assertEqual(len(shared), 18 if ROOT else 19)
        self.assertIn(f"{20 - len(shared)} were copied", " ".join(i["reason"] for i in run.report["issues"]))
        # nothing of the source changed but the number of names
        strip = lambda p: {k: v[:3] + v[4:] for k, v in p.items()}
        self.assertEqual(strip(picture(self.source)), strip(before))
        # a change of flags here is none there
        again = self.copy(query="?link=hard")
        self.assertEqual(again.totals, run.totals)

    def test_unread(self):
        """verify=no: which file it is tells it apart, and what cannot be linked is read."""
        import gzip

        odd = sorted(os.listdir(os.path.join(self.source, "cur")))[:3]
        os.chmod(os.path.join(self.source, "cur", odd[0]), 0o644)
        path = os.path.join(self.source, "cur", odd[1])
        with open(path, "rb") as f:
            plain = f.read()
        with open(path, "wb") as f:
            f.write(gzip.compress(plain))
        os.utime(path, (1_000_000_000, 1_000_000_000))
        query = "?link=hard&verify=no"
        self.refused(self.copy(query="?verify=no"), "goes with link=hard", MISUSE)
        run = self.copy(query=query)
        self.assertEqual(run.code, DONE, run)
        self.arrived()
        said = " ".join(i["reason"] for i in run.report["issues"])
        self.assertIn("18 messages were linked without having been read", said)
        self.assertIn("2 were copied", said)
        files = {e.uid: e.file for e in trees.read(self.root).values()}
        self.assertEqual(sum(",W=" in os.path.basename(f) for f in files.values()), 2)
        self.assertEqual(len(self.inodes(self.root) & self.inodes(self.source)), 18)
        self.assertEqual(sum(os.stat(f).st_nlink > 1 for f in files.values()), 18)
        with open(files[int(plain.split(b"\n\n")[1].split()[0]) + 1], "rb") as f:
            self.assertEqual(f.read(), plain)
        before = picture(self.root)
        for words in query, "":  # an audit reads
            audit = self.haul.run("audit", "maildir:" + self.source, "dovecot:" + self.root + words, "--level", "content", "--state", self.haul.state)
            self.assertEqual(audit.code, DONE, audit)
        # again; with another time of one; read or not; without the state
        self.assertEqual(self.copy(query=query).totals, run.totals)
        os.utime(os.path.join(self.source, "cur", odd[2]), (1_000_000_001, 1_000_000_001))
        for words in query, "?link=hard", "":
            again = self.copy(query=words)
            self.assertEqual((again.code, again.totals), (DONE, run.totals), words)
        for number, words in enumerate((query, "?link=hard", "")):
            lost = self.copy(query=words, state=self.haul.path(f"L{number}.db"))
            self.assertEqual((lost.code, lost.totals["present"]), (DONE, 21), lost)
        self.assertEqual(picture(self.root), before)
        # copies that an earlier run made are known, too
        shutil.rmtree(self.root)
        self.assertEqual(self.copy(state=self.haul.path("C.db")).code, DONE)
        lost = self.copy(query=query, state=self.haul.path("D.db"))
        self.assertEqual((lost.code, lost.totals["present"]), (DONE, 21), lost)
        # what was put there unread is taken back
        shutil.rmtree(self.root)
        words = ["maildir:" + self.source, "dovecot:" + self.root + query, "--state", self.haul.path("U.db")]
        self.assertEqual(self.haul.run("copy", *words).code, DONE)
        undone = self.haul.run("undo", *words, "--yes")
        self.assertIn("21 messages", undone.out)
        self.assertEqual(len(trees.read(self.root)), 0)

    def test_compressed_is_copied(self):
        import gzip

        name = sorted(os.listdir(os.path.join(self.source, "cur")))[0]
        path = os.path.join(self.source, "cur", name)
        with open(path, "rb") as f:
            plain = f.read()
        with open(path, "wb") as f:
            f.write(gzip.compress(plain))
        run = self.copy(query="?link=hard")
        self.assertEqual(run.code, DONE, run)
        self.arrived()
        bodies = set()
        for entry in trees.read(self.root).values():
            with open(entry.file, "rb") as f:
                bodies.add(f.read())
        self.assertIn(plain, bodies)

    @unittest.skipUnless(os.path.isdir("/dev/shm") and os.access("/dev/shm", os.W_OK), "needs a second file system")
    def test_another_file_system(self):
        with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
            os.chmod(directory, 0o755)
            if ROOT:
                os.chown(directory, *USER)
            self.root = os.path.join(directory, "Maildir")
            for kind in "hard", "reflink":
                self.refused(self.copy(query="?link=" + kind), f"link={kind}")
                self.assertEqual([f for d, _, files in os.walk(self.root) for f in files if "M" in f], [])
            self.assertEqual(self.copy().code, DONE)
            self.arrived()


def mount(kind, place, options):
    subprocess.run(["mount", "-t", kind, "-o", options, kind, place], check=True)


@unittest.skipUnless(ROOT, "needs root to mount")
class Disks(Case):
    def mounted(self, options):
        self.disk = self.haul.path("disk")
        os.mkdir(self.disk)
        mount("tmpfs", self.disk, options)
        self.addCleanup(subprocess.run, ["umount", self.disk], check=False)
        os.chown(self.disk, *USER)
        self.root = os.path.join(self.disk, "Maildir")

    def full(self, options, more):
        shutil.rmtree(self.source)
        write_source(self.source, count=500, size=4000)
        self.mounted(options)
        run = self.copy("--patience", "1", "--min-free", "0")
        self.assertIn(run.code, (ACCOUNTS, AGAIN), run)
        self.assertRegex(run.out + run.err, "No space left|no space|full")
        self.assertEqual(run.totals["refused"], 0)
        self.assertEqual([f for f in trees.leftovers(self.root) if "mailhaul" in f], [])
        there = len(trees.read(self.root)) if os.path.exists(os.path.join(self.root, "dovecot-uidlist")) else 0
        self.assertLess(there, 500)
        mount("tmpfs", self.disk, "remount," + more)
        run = self.copy("--min-free", "0")
        self.assertEqual((run.code, run.totals["copied"]), (DONE, 501), run)
        self.arrived(count=500)

    def test_plan_counts(self):
        """What does not fit is said before anything is done."""
        shutil.rmtree(self.source)
        write_source(self.source, count=500, size=4000)
        self.mounted("size=1m")

        def space(query=""):
            run = self.haul.run("plan", "--format", "json", "maildir:" + self.source, "dovecot:" + self.root + query, "--state", self.haul.path("P.db"))
            report = json.loads(run.out)
            told = [p["text"] for p in report["problems"] if p["kind"] == "space"]
            return told, [s for s in report["space"] if s["what"] == "target"]

        told, (disk,) = space()
        self.assertEqual(len(told), 1, told)
        self.assertRegex(told[0], "target: [0-9]+ bytes are free in .*disk, about [0-9]+ are needed")
        self.assertGreater(disk["need"], 500 * 4000)
        self.assertGreaterEqual(disk["need_inodes"], 501)
        self.assertFalse(os.path.exists(self.root))
        mount("tmpfs", self.disk, "remount,size=16m")
        self.assertEqual(space()[0], [])
        mount("tmpfs", self.disk, "remount,size=16m,nr_inodes=300")
        told = space("?link=reflink")[0]
        self.assertEqual(len(told), 1, told)
        self.assertRegex(told[0], "files can be made in .*disk, about [0-9]+ are needed")
        mount("tmpfs", self.disk, "remount,size=1m,nr_inodes=9000")
        self.assertEqual(space("?link=reflink")[0], [])

    def test_full(self):
        self.full("size=1200k", "size=20m")

    def test_out_of_inodes(self):
        self.full("size=20m,nr_inodes=150", "nr_inodes=5000")

    def test_read_only(self):
        self.mounted("size=5m")
        self.assertEqual(self.copy("--min-free", "0").code, DONE)
        shutil.rmtree(self.source)
        write_source(self.source, count=25)
        mount("tmpfs", self.disk, "remount,ro")
        run = self.copy("--patience", "1", "--min-free", "0")
        self.assertIn(run.code, (ACCOUNTS, AGAIN))
        self.assertIn("Read-only file system", run.out + run.err)
        mount("tmpfs", self.disk, "remount,rw")
        self.assertEqual(self.copy("--min-free", "0").code, DONE)
        self.arrived(count=25)


@unittest.skipUnless(ROOT, "needs root, who writes for others")
class Owners(Case):
    def test_whose(self):
        self.refused(self.copy(query="?owner=nobody-of-that-name"), "no user of that name")
        self.refused(self.copy(query="?owner=8:nogroup-of-that-name"), "no group of that name")
        os.chown(self.home, 0, 0)
        self.refused(self.copy(), "owner=USER")
        self.assertEqual(os.listdir(self.home), [])
        self.assertEqual(self.copy(query="?owner=8:8").code, DONE)
        self.arrived()
        self.refused(self.copy(query="?owner=9"), "belongs to the user 8")

    def test_a_parent_of_somebody_else(self):
        os.chown(self.home, 9, 9)
        self.refused(self.copy(query="?owner=8:8"), "make it beforehand")
        os.chown(self.home, 0, 0)
        os.chmod(self.home, 0o1777)
        self.refused(self.copy(query="?owner=8:8"), "make it beforehand")
        self.assertEqual(os.listdir(self.home), [])

    # -- traps

    def victims(self):
        """What must not change: root's and another user's Maildirs and files."""
        top = self.haul.path("victims")
        for name, ids in (("root", (0, 0)), ("other", (9, 9))):
            for part in "cur", "new", "tmp", ".Sent/cur", ".Sent/new", ".Sent/tmp":
                os.makedirs(os.path.join(top, name, part))
            for file in "file", "dovecot-uidlist", "tmp/mailhaul.00000000":
                with open(os.path.join(top, name, file), "w", encoding="ascii") as f:
                    f.write("3 V1 N1 G" + "0" * 32 + "\n")
            trees.own(os.path.join(top, name), *ids)
            os.chmod(os.path.join(top, name, "file"), 0o644)
        return top

    def test_planted_links(self):
        top = self.victims()
        traps = [("Maildir", "{v}"), ("Maildir/cur", "{v}/cur"), ("Maildir/tmp", "{v}/tmp"), ("Maildir/new", "{v}/new"), ("Maildir/.Sent", "{v}/.Sent"),
                 ("Maildir/.Sent/cur", "{v}/cur"), ("Maildir/dovecot-uidlist", "{v}/file"), ("Maildir/dovecot-uidlist.lock", "{v}/file"),
                 ("Maildir/dovecot-keywords", "{v}/file"), ("Maildir/subscriptions", "{v}/file"), ("Maildir/subscriptions.lock", "{v}/file"),
                 ("Maildir/maildirsize", "{v}/file"), ("Maildir/.Sent/maildirfolder", "{v}/file"), ("Maildir/tmp/mailhaul.journal", "{v}/file"),
                 ("Maildir/tmp/mailhaul.00000000", "{v}/file"), ("Maildir/tmp/mailhaul.uidlist", "{v}/file"), ("Maildir/tmp/mailhaul.new", "{v}/file")]
        before = picture(top)
        for victim in "root", "other":
            for number, (name, to) in enumerate(traps):
                with self.subTest(trap=name, victim=victim):
                    shutil.rmtree(self.home)
                    path = os.path.join(self.home, name)
                    for part in ["cur", "new", "tmp"] if name.count("/") else []:
                        os.makedirs(os.path.join(self.root, part))
                    os.makedirs(os.path.dirname(path), exist_ok=True)
                    if os.path.isdir(path):
                        os.rmdir(path)
                    os.symlink(to.format(v=os.path.join(top, victim)), path)
                    self.own()
                    # a lock that is a link is one that nobody gives back
                    process = self.haul.start_copy("maildir:" + self.source, "dovecot:" + self.root, state=self.haul.path(f"{victim}{number}.db"))
                    if "lock" in name:
                        with contextlib.suppress(subprocess.TimeoutExpired):
                            process.wait(2)
                        os.unlink(path)
                    run = self.haul.finish(process)
                    self.assertIn(run.code, (DONE, ACCOUNTS), run)
                    self.assertEqual(picture(top), before)
                    for directory, names, files in os.walk(self.home):
                        for entry in names + files:
                            self.assertEqual(os.lstat(os.path.join(directory, entry)).st_uid, 8, entry)

    def test_race(self):
        """The owner exchanges his directories for links all the time."""
        top = self.victims()
        before = picture(top)
        shutil.rmtree(self.source)
        write_source(self.source, count=300)
        for number in range(12):
            shutil.rmtree(self.home)
            os.mkdir(self.home, 0o755)
            os.chown(self.home, *USER)
            process = self.haul.start_copy("maildir:" + self.source, "dovecot:" + self.root, "--patience", "1", state=self.haul.path(f"r{number}.db"))
            pid = os.fork()
            if pid == 0:
                try:
                    self.play_tricks(os.path.join(top, "root" if number % 2 else "other"), number)
                finally:
                    os._exit(0)
            wait_for(lambda p=process: p.poll() is not None, 100)
            os.kill(pid, 9)
            os.waitpid(pid, 0)
            self.haul.finish(process)
            self.assertEqual(picture(top), before)
            for directory, names, files in os.walk(self.home):
                for entry in names + files:
                    self.assertEqual(os.lstat(os.path.join(directory, entry)).st_uid, 8, entry)

    def play_tricks(self, victim, number):
        os.setgroups([])
        os.setgid(USER[1])
        os.setuid(USER[0])
        names = [["cur"], ["tmp"], ["new"], [".Sent"], [""], ["cur", "tmp", ".Sent"]][number % 6]
        while True:
            for name in names:
                path = os.path.join(self.root, name).rstrip("/")
                with contextlib.suppress(OSError):
                    os.rename(path, path + ".away")
                with contextlib.suppress(OSError):
                    os.symlink(os.path.join(victim, name), path)
                with contextlib.suppress(OSError):
                    os.unlink(path)
                with contextlib.suppress(OSError):
                    os.rename(path + ".away", path)


if __name__ == "__main__":
    unittest.main()
