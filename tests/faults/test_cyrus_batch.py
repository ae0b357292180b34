"""cyrus: with fsync=batch, and the power goes: what the state calls done is there.

The whole Cyrus lies on a file system in a file, whose bytes are copied at the
moment of the kill: what was not synced by then is not in the copy.  The state
lies elsewhere and loses nothing, which is the worst case."""

import os
import sqlite3
import subprocess
import unittest

import cysync
import kills
import trees
from cysync import write
from haul import DONE, Haul, wait_for
from servers import Cyrus


def command(*words):
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def plain(n, uidvalidity):
    """Nothing that would go alone: batches of 200."""
    box = trees.Box(uidvalidity=uidvalidity)
    for i in range(n):
        box.add(b"From: x@example.org\nSubject: %d\n\n%s\n" % (i, b"body\n" * (i % 90)), uid=2 * i + 1, flags="S" if i % 3 else "F", date=86_400 + i)
    return box


class PowerCuts(cysync.Case):
    @classmethod
    def setUpClass(cls):
        if os.getuid() != 0 or not os.path.exists("/dev/loop-control"):
            raise unittest.SkipTest("needs root and loop devices")
        cls.keep = Haul()
        cls.addClassCleanup(cls.keep.destroy)
        cls.boxes = {"INBOX": plain(450, 1234567), "Sent": plain(30, 77), "a/b": plain(3, 78)}
        cls.source = cls.keep.path("source")
        write(cls.source, cls.boxes)
        cls.place = cysync.tempfile.mkdtemp(prefix="mhp", dir="/tmp")
        cls.addClassCleanup(os.rmdir, cls.place)
        os.chmod(cls.place, 0o755)
        cls.before, cls.image, cls.after = (cls.keep.path(n) for n in ("before.img", "now.img", "after.img"))
        with open(cls.before, "wb") as f:
            f.truncate(64 << 20)
        # times of seconds must not let the kernel write what nobody synced
        command("mkfs.ext4", "-q", "-m", "0", "-O", "^metadata_csum_seed", cls.before)
        cls.mount(cls.before)
        try:
            cls.server = Cyrus(os.path.join(cls.place, "c"), CREATE="no")
            os.mkdir(cls.server.directory)
            cls.server.start()
            cls.server.stop()
        finally:
            cls.unmount()
        cls.last_user = 0

    def setUp(self):
        super(cysync.Case, self).setUp()
        self.user, self.log_before = "anna", 0
        self.haul = Haul(faults=True)
        self.addCleanup(self.haul.destroy)
        self.addCleanup(self.unmount)

    @classmethod
    def mount(cls, image):
        command("mount", "-o", "loop,commit=600", image, cls.place)

    @classmethod
    def unmount(cls):
        if os.path.ismount(cls.place):
            cls.server.stop()
            # a sync_server that lost its mailhaul takes a while to end
            wait_for(lambda: subprocess.run(["umount", cls.place], stderr=subprocess.DEVNULL, check=False).returncode == 0)

    def run_job(self, haul, fault=None, **env):
        if fault:
            env["MAILHAUL_FAULT"] = fault
        words = "maildir:" + self.source, self.target(fsync="batch"), "--create-users", "--lanes", "1", "--min-free", "0"
        return haul.finish(haul.start_copy(*words, env=env), 120, killed=fault is not None)

    def cut(self, haul, fault, **env):
        """One run up to the power cut; the disk is then what is left."""
        self.unmount()
        command("cp", "--sparse=always", self.before, self.image)
        self.mount(self.image)
        run = self.run_job(haul, fault, **env)
        command("cp", "--sparse=always", self.image, self.after)
        self.unmount()
        self.mount(self.after)
        return run

    def lost(self, haul):
        """Messages that the state calls done and that are not there; all of them."""
        db = sqlite3.connect(f"file:{haul.state}?mode=ro", uri=True)
        try:
            rows = db.execute("SELECT tgt_name, tgt_uid, hex(strict) FROM message JOIN mailbox ON mailbox.id = mailbox_id WHERE message.outcome = 1").fetchall()
        finally:
            db.close()
        self.server.start()
        try:
            boxes = self.there().boxes if rows else {}
        except cysync.readback.imaplib.IMAP4.error:
            boxes = {}
        finally:
            self.server.stop()
        there = {(name.removeprefix("INBOX/"), m.uid, m.digest.upper()) for name, box in boxes.items() for m in box.messages}
        return [row for row in rows if row not in there], len(rows)

    def test_power_cuts(self):
        faults = (
            "cyrus.marked:1 cyrus.files:2 uids.set:2 cyrus.after_box:2 cyrus.anew:1 cyrus.before_sync:7 cyrus.synced:7 done.posted:2 state.after_commit:11 done.posted:4"
        ).split()
        seen = 0
        for fault in faults if kills.ALL else faults[1::2]:
            with self.subTest(fault), Haul(faults=True) as haul:
                run = self.cut(haul, "kill@" + fault)
                self.assertLess(run.code, 0, run)
                lost, rows = self.lost(haul)
                self.assertEqual(lost, [])
                seen += rows
                run = self.run_job(haul)
                self.assertEqual(run.code, DONE, run)
                self.server.start()
                self.equal(self.boxes)
                self.sound()
                self.unmount()
        self.assertGreater(seen, 600)

    def test_without_syncing(self):
        """The test sees it when file systems are not synced, so that nothing else
        syncs the files."""
        self.cut(self.haul, "kill@done.posted:4", MAILHAUL_MUTATE="syncfs")
        lost, rows = self.lost(self.haul)
        self.assertGreater(rows, 200)
        self.assertNotEqual(lost, [])


if __name__ == "__main__":
    unittest.main()
