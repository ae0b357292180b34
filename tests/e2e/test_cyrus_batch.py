"""cyrus: with fsync=batch: only into a Cyrus that does not run and has nothing of
others; what is copied is what any other copy leaves."""

import os
import subprocess
import unittest

import cysync
from cysync import fill, write
from haul import ACCOUNTS, DONE, MISUSE, ROOT


class Batch(cysync.Case):
    def setUp(self):
        super().setUp()
        self.boxes = {"INBOX": fill(40, 1234567), "Sent": fill(3, 99)}
        self.source = self.haul.path("src")
        write(self.source, self.boxes)

    def batch(self, user=None, **options):
        return self.target(user, fsync="batch", **options)

    def refused(self, target, words, code=ACCOUNTS, **kwargs):
        for run in self.haul.plan, self.haul.copy:
            got = run("maildir:" + self.source, target, "--create-users", **kwargs)
            self.assertEqual(got.code, code, got)
            self.assertIn(words, got.err + got.out)

    def test_all(self):
        """In one, for the order matters: the Cyrus has nothing at first."""
        self.refused(self.batch(), "Cyrus runs on")
        self.refused(self.target(fsync="never"), "fsync=never: each or batch", MISUSE)
        self.refused(self.remote() + "&fsync=batch", "fsync= means nothing", MISUSE)
        self.server.stop()
        plan = self.haul.plan("maildir:" + self.source, self.batch(), "--create-users")
        self.assertEqual(plan.code, DONE, plan)
        run = self.checked(self.copy(self.source, self.batch()))
        self.assertEqual(run.totals["copied"], 43, run)
        self.assertIn("file systems were synced after each batch", "".join(i["reason"] for i in run.report["issues"]))
        # more mail, and one more user of the same job
        self.boxes["INBOX"].add(b"From: x@example.org\n\nlate\n", uid=6000, flags="S")
        write(self.source, self.boxes)
        run = self.checked(self.copy(self.source, self.batch()))
        self.assertEqual(run.totals["copied"], 44, run)
        # another state knows nothing of that user
        self.refused(self.batch("other"), "was not made by this job", state=self.haul.path("other.db"))
        self.server.start()
        self.refused(self.batch(), "Cyrus runs on")
        self.equal(self.boxes)
        self.sound()
        self.checked(self.copy(self.source, self.target()))
        self.server.create_user("theirs")
        self.server.stop()
        try:
            self.refused(self.batch(), "user.theirs was not made by this job")
        finally:
            self.server.start()

    def test_a_list_of_users(self):
        users = [f"{self.user}{x}" for x in "ab"]
        rows = "user,target_user\n" + "".join(f"x{u},{u}\n" for u in users)
        for user in users:
            write(self.haul.path("x" + user), self.boxes)
        with type(self.server)(CREATE="no") as server:
            server.stop()
            target = f"cyrus:{{target_user}}?conf={server.vars['conf']}&libexec={server.vars['libexec']}&fsync=batch"
            words = self.haul.job("maildir:" + self.haul.path("{user}"), target, rows, "lanes = 2\ncreate-users = yes")
            for _ in range(2):
                run = self.haul.copy(*words)
                self.assertEqual((run.code, run.totals["copied"]), (DONE, 86), run)
            server.start()
            shared, type(self).server = self.server, server
            try:
                for user in users:
                    self.equal(self.boxes, user=user)
                    self.sound(user)
            finally:
                type(self).server = shared

    def test_installed(self):
        """The library is where "make install" puts it, and safe; else that is
        clear, and nothing is done."""
        build, place = os.path.dirname(self.haul.program), self.haul.path("dest")
        subprocess.run(["make", "-s", "-C", ROOT, "-o", "all", "B=" + build, "DESTDIR=" + place, "PREFIX=/usr", "install"], check=True, stdout=subprocess.DEVNULL)
        self.haul.program = os.path.join(place, "usr/bin/mailhaul")
        library = os.path.join(place, "usr/lib/mailhaul/mailhaul-nosync.so")
        self.refused(self.batch(), "Cyrus runs on")  # as far as that
        os.chmod(library, 0o777)
        self.refused(self.batch(), "there is no mailhaul-nosync.so")
        os.unlink(library)
        self.refused(self.batch(), "there is no mailhaul-nosync.so")


if __name__ == "__main__":
    unittest.main()
