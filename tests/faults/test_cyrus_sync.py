"""kill -9 into loads of cyrus:, at the fault points of our process and, at any
moment, of the sync_server that works for it.  After one more run the account is
what an undisturbed run makes, to the UID, Cyrus' own tools find nothing, and
nothing is staged; a third run changes nothing.

MAILHAUL_KILLS=all takes every passing of every point, and 200 servers.
"""

import os
import random
import signal
import threading
import time
import unittest
from collections import Counter

import cysync
import kills
from cysync import fill, write
from haul import DONE, Haul, wait_for


def children(pid):
    """The sync_servers of a process."""
    found = []
    for name in os.listdir("/proc"):
        try:
            if name.isdigit():
                with open(f"/proc/{name}/stat", "rb") as f:
                    words = f.read().rsplit(b")", 1)
                if int(words[1].split()[1]) == pid and b"sync_server" in words[0]:
                    found.append(int(name))
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


class Kills(cysync.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.keep = Haul()
        cls.addClassCleanup(cls.keep.destroy)
        # more than one batch, more than one mailbox, and a late message
        cls.boxes = {"INBOX": fill(230, 1234567, seed=1), "Sent": fill(30, 77), "a/b": fill(3, 78)}
        cls.source = cls.keep.path("source")
        write(cls.source, cls.boxes)
        cls.users = 0

    def setUp(self):
        super().setUp()
        self.haul = Haul(faults=True)
        self.addCleanup(self.haul.destroy)

    def fresh(self):
        type(self).users += 1
        return f"k{self.users}"

    def job(self, haul, user, fault=None, log=None, lanes=2, start=False):
        env = {k: v for k, v in (("MAILHAUL_FAULT", fault), ("MAILHAUL_FAULT_LOG", log)) if v}
        words = "maildir:" + self.source, self.target(user), "--create-users", "--lanes", str(lanes)
        process = haul.start_copy(*words, env=env)
        return process if start else haul.finish(process, 120, killed=fault is not None)

    def wrong(self, haul, user):
        """After the disturbance: one run, one look, one more run."""
        self.job(haul, user)
        run = self.job(haul, user)
        self.assertEqual(run.code, DONE, run)
        self.equal(self.boxes, user=user)
        self.assertEqual(run.totals["source"], 263, run)
        self.assertEqual(run.totals["copied"] + run.totals["present"], 263, run)
        self.assertEqual(kills.open_intents(haul.state), 0)

    def test_points(self):
        log = self.haul.path("points")
        self.assertEqual(self.job(self.haul, self.fresh(), log=log).code, DONE)
        with open(log, encoding="ascii") as f:
            points = Counter(f.read().split())
        for name in "cyrus.files", "cyrus.before_box", "cyrus.after_box", "cyrus.answered", "cyrus.marked", "cyrus.anew":
            self.assertGreater(points[name], 0)
        ours = {name: n for name, n in points.items() if name.startswith("cyrus.") or name in ("intent.durable", "uids.set", "create.after", "user.made", "done.posted")}
        hits = 0
        for number, (name, k) in enumerate(kills.sample(ours if not kills.ALL else points, None if kills.ALL else kills.how_many(8, 0))):
            with Haul(faults=True) as haul, self.subTest(point=name, passing=k):
                user = self.fresh()
                run = self.job(haul, user, fault=f"kill@{name}:{k}", lanes=1 + number % 2)
                hits += run.code < 0
                self.wrong(haul, user)
        self.assertGreater(hits, 0)
        wait_for(lambda: not self.staged())
        self.sound(user)

    def test_children(self):
        """One load, whose servers die again and again; in between it gets on."""
        rng = random.Random(kills.SEED)
        wanted, killed, user = 200 if kills.ALL else 3, 0, self.fresh()
        deadline = time.monotonic() + 600
        while killed < wanted and time.monotonic() < deadline:
            with Haul(faults=True) as haul:
                user = self.fresh()
                process = self.job(haul, user, start=True)
                ended = threading.Event()
                runs = []
                reader = threading.Thread(target=lambda p=process, h=haul, r=runs, e=ended: (r.append(h.finish(p, 120)), e.set()))
                reader.start()
                for _ in range(3):
                    ended.wait(rng.uniform(0.02, 0.4))
                    for pid in children(process.pid)[:1]:
                        os.kill(pid, signal.SIGKILL)
                        killed += 1
                reader.join()
                self.wrong(haul, user)
        self.assertGreaterEqual(killed, wanted, f"SEED={kills.SEED}")
        wait_for(lambda: not self.staged())
        self.sound(user)

    def test_user_who_lost_his_inbox(self):
        """A power cut between the two halves of an INBOX made anew: the next run
        puts it back under its own id."""
        user = self.fresh()
        self.server.create_user(user)
        client = self.server.login_as(user)
        before = client.status("INBOX", "(MAILBOXID)")
        client.logout()
        self.assertLess(self.job(self.haul, user, fault="kill@cyrus.marked:1", lanes=1).code, 0)
        self.sync(f"APPLY UNMAILBOX user.{user}")
        client = self.server.login_as(user)
        self.assertEqual(client.status("INBOX", "(MESSAGES)")[0], "NO")
        client.logout()
        self.wrong(self.haul, user)
        client = self.server.login_as(user)
        self.assertEqual(client.status("INBOX", "(MAILBOXID)"), before)
        client.logout()


if __name__ == "__main__":
    unittest.main()
