"""The state's disk is full, or fails: the run ends with 75 and says why, and
the next one goes on as if nothing had been.
"""

import os
import re
import time
import unittest

import kills
from haul import AGAIN
from kills import Migration, Place
from tmpfs import Tmpfs, tmpfs


class TestFull(unittest.TestCase):
    def full(self, server, kind, leave):
        """So many bytes are left when it begins."""
        with Tmpfs(2000) as disk, Migration(Place(server), kind, options=["--settle", "1", "--min-free", "0"]) as m:
            m.haul.state = os.path.join(disk.directory, "S.db")
            disk.fill(leave)
            run = m.copy()
            words = []
            if run.code != AGAIN:
                words.append(repr(run))
            if not re.search(r"(?i)(disk.*full|no space left)", run.err):
                words.append(f"it does not say that the disk is full: {run.err}")
            disk.make_room()
            run = m.copy()
            return words + m.wrong(run, present=0) + m.again()

    def test_full(self):
        disk = tmpfs(100)
        if disk is None:
            print("\nNOT TESTED: a full disk needs the right to mount a tmpfs ", end="")
            self.skipTest("no right to mount")
        with disk:
            pass
        kib = [0, 8, 20, 40, 100, 160, 220] if not kills.ALL else range(0, 300, 4)
        cases = [(server, kind, n * 1024) for i, n in enumerate(kib) for server, kind in [self.pairs()[i % 2]]]
        results = kills.in_parallel(lambda case: self.full(*case), cases)
        bad = [f"{leave} bytes left, {kind} into {s.name}: {words!r}" for (s, kind, leave), words in zip(cases, results) if words != []]
        if bad:
            self.fail("\n".join(bad))

    @staticmethod
    def pairs():
        return (kills.dovecot(), "maildir"), (kills.cyrus(), "mbox")

    def test_min_free(self):
        """A disk that is nearly full is not written to at all; the run waits for room, and goes on."""
        disk = tmpfs(1000)
        if disk is None:
            self.skipTest("no right to mount")
        with disk, Migration(Place(kills.dovecot()), "maildir", options=["--settle", "1", "--min-free", "100M"]) as m:
            m.haul.state = os.path.join(disk.directory, "S.db")
            run = m.copy("--patience", "1", timeout=30)
            self.assertEqual(run.code, AGAIN, run)
            self.assertIn("min-free", run.err)
            self.assertEqual(m.place.read().total(), 0)
            run = m.copy("--min-free", "0")
            self.assertEqual(m.wrong(run, present=0), [])

    def test_min_free_for_a_while(self):
        disk = tmpfs(4000)
        if disk is None:
            self.skipTest("no right to mount")
        with disk, Migration(Place(kills.dovecot()), "maildir", options=["--settle", "1", "--min-free", "1M"]) as m:
            m.haul.state = os.path.join(disk.directory, "S.db")
            disk.fill(600 * 1024)
            process = m.start()
            time.sleep(3)
            self.assertEqual(m.place.read().total(), 0)
            disk.make_room()
            run = m.haul.finish(process)
            self.assertIn("on hold", run.err)
            self.assertEqual(m.wrong(run, present=0), [])


class TestFailing(unittest.TestCase):
    def failing(self, server, kind, number):
        """That write of the state fails, once."""
        with Migration(Place(server), kind) as m:
            run = m.copy(fault=f"eio@state.write:{number}")
            words = []
            if run.code != AGAIN or "state database" not in run.err:
                words.append(repr(run))
            run = m.copy()
            return words + m.wrong(run, present=0) + m.again()

    def test_failing(self):
        pairs = TestFull.pairs()
        with Migration(Place(kills.dovecot()), "maildir") as m:
            total = m.points()["state.write"]
        # transactions come in other portions each time: not up to the last one
        numbers = range(1, total * 3 // 4, 1 if kills.ALL else total // 8)
        cases = [(*pairs[i % 2], n) for i, n in enumerate(numbers)]
        results = kills.in_parallel(lambda case: self.failing(*case), cases)
        bad = [f"write {n}, {kind} into {s.name}: {words!r}" for (s, kind, n), words in zip(cases, results) if words != []]
        if bad:
            self.fail("\n".join(bad))
