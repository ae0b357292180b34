"""kill -9 while mail goes into an mdbox by dsync: one more run puts right what is
missing, nothing is there twice, and a third changes nothing.

MAILHAUL_KILLS=all takes every passing of every point.
"""

import os
import random
import signal
import time
import unittest

import dsyncs
import kills
from haul import DIFFERS, DONE, wait_for
from kills import Migration, Place, numbers
from servers import Dovecot

POINTS = kills.DOUBTFUL + "child.started dsync.open dsync.tree uids.set create.after".split()


class Mdbox(Place):
    def uri(self, haul, port=None):
        return f"doveadm:{self.user}?program={dsyncs.program(self.server)}"

    def name(self, box):
        return box


class Kills(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Dovecot(FORMAT="mdbox", USERS=600 if kills.ALL else 60)
        cls.addClassCleanup(cls.server.destroy)
        cls.server.start()
        cls.server.fresh = iter(cls.server.users)

    def migration(self):
        m = Migration(Mdbox(self.server), "maildir", options=("--settle", "0"))
        self.addCleanup(m.haul.destroy)
        return m

    def finished(self, m):
        run = m.copy()
        for _ in range(3):
            if run.code in (DONE, DIFFERS):
                break
            run = m.copy()
        self.assertIn(run.code, (DONE, DIFFERS), run)
        self.assertEqual(m.wrong(), [], run)
        before = numbers(m.place.read())
        self.assertIn(m.copy().code, (DONE, DIFFERS))
        self.assertEqual(numbers(m.place.read()), before)

    def test_points(self):
        seen = self.migration().points()
        missing = [p for p in POINTS if not seen[p]]
        self.assertEqual(missing, [], seen)
        cases = [(p, n) for p in POINTS for n in range(1, seen[p] + 1)]
        if not kills.ALL:
            rng = random.Random(kills.SEED)
            cases = [(p, rng.randrange(1, seen[p] + 1)) for p in POINTS]
        for point, n in cases:
            with self.subTest(point=point, n=n, seed=kills.SEED):
                m = self.migration()
                run = m.copy(fault=f"kill@{point}:{n}")
                self.assertEqual(run.code, -signal.SIGKILL, run)
                self.finished(m)

    def test_the_child_is_killed(self):
        """Not we, but the dsync-server: the run goes on by itself, or the next does."""
        m = self.migration()
        process = m.start()
        tag = f"[{m.place.user} "

        def children():
            found = []
            for pid in filter(str.isdigit, os.listdir("/proc")):
                try:
                    with open(f"/proc/{pid}/cmdline", "rb") as f:
                        words = f.read().replace(b"\0", b" ").decode("utf-8", "replace")
                except OSError:
                    continue
                if "doveadm" in words and (tag in words or f"-u {m.place.user} " in words):
                    found.append(int(pid))
            return found

        killed = 0
        while process.poll() is None and killed < 3:
            for pid in children()[:1]:
                try:
                    os.kill(pid, signal.SIGKILL)
                    killed += 1
                except ProcessLookupError:
                    pass
            time.sleep(0.05)
        m.haul.finish(process, 200)
        self.finished(m)
        # and we leave none behind
        wait_for(lambda: not children())


if __name__ == "__main__":
    unittest.main()
