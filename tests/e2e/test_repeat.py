"""--repeat-every and --newest-first, at a real server."""

import os
import signal
import time
import unittest

import readback
import trees
from haul import AGAIN, DONE, MISUSE, Haul
from servers import Dovecot

LIMIT = 120  # seconds until something must have happened


def body(n):
    return f"From: a@example.org\nSubject: number {n}\n\nmessage {n}\n".encode()


class TestRepeat(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Dovecot(USERS=4)
        cls.addClassCleanup(cls.server.destroy)
        cls.server.start()

    def setUp(self):
        self.haul = Haul()
        self.addCleanup(self.haul.destroy)
        self.box = trees.Box(uidvalidity=17)
        self.path = self.haul.path("src")

    def write(self, numbers):
        for n in numbers:
            self.box.add(body(n), date=1_000_000_000 + 86400 * n, base=f"{n}.M{n}.example")
        self.box.write(self.path)

    def days(self, user):
        """The days of the messages, in the order of their UIDs."""
        client = self.server.login(user)
        try:
            messages = readback.box(client, "INBOX", bodies=False).messages
        finally:
            client.logout()
        return [(m.date - 1_000_000_000) // 86400 for m in sorted(messages, key=lambda m: m.uid)]

    def wait(self, what):
        end = time.monotonic() + LIMIT
        while not what():
            self.assertLess(time.monotonic(), end)
            time.sleep(0.1)

    def test_repeated(self):
        self.write(range(3))
        process = self.haul.start_copy("maildir:" + self.path, self.haul.user(self.server, "user1"), "--repeat-every", "1")
        self.wait(lambda: len(self.days("user1")) == 3)
        # what comes later is in a later pass, of the same run
        with open(os.path.join(self.path, "cur", "9.M9.example:2,S"), "wb") as f:
            f.write(body(9))
        self.wait(lambda: len(self.days("user1")) == 4)
        process.send_signal(signal.SIGTERM)
        run = self.haul.finish(process)
        self.assertIn(run.code, (DONE, AGAIN), run)
        self.assertGreaterEqual(run.out.count('"schema":"mailhaul-report-1"'), 2, run)
        self.assertEqual(self.haul.report()["totals"]["copied"], 4)

    def test_between(self):
        """The next pass is far away: the state is free, and a signal ends it."""
        self.write(range(3))
        process = self.haul.start_copy("maildir:" + self.path, self.haul.user(self.server, "user4"), "--repeat-every", "1h")
        self.wait(lambda: len(self.days("user4")) == 3)
        self.wait(lambda: self.haul.run("stage", "--state", self.haul.state, "--set", "frozen", "--only", "user4").code == DONE)
        process.send_signal(signal.SIGTERM)
        run = self.haul.finish(process)
        self.assertEqual(run.code, DONE, run)

    def test_its_time_is_up(self):
        self.write(range(3))
        run = self.haul.copy("maildir:" + self.path, self.haul.user(self.server, "user2"), "--repeat-every", "1h", "--max-time", "2")
        self.assertIn(run.code, (DONE, AGAIN), run)

    def test_newest_first(self):
        self.write(range(8))
        words = ["maildir:" + self.path, self.haul.user(self.server, "user3"), "--newest-first", "2001-09-14"]
        run = self.haul.copy(*words)
        self.assertEqual(run.code, DONE, run)
        self.assertEqual(self.days("user3"), [5, 6, 7, 0, 1, 2, 3, 4])
        self.assertEqual(run.totals["copied"], 8)
        self.assertEqual(run.totals["excluded"], 0)
        self.assertEqual(run.out.count('"schema"'), 1)
        refused = self.haul.copy(words[0], "dovecot:" + self.haul.path("files"), *words[2:])
        self.assertEqual(refused.code, MISUSE, refused)
        self.assertIn("keeps UIDs", refused.err)
        run = self.haul.copy(*words)
        self.assertEqual((run.code, len(self.days("user3"))), (DONE, 8), run)


if __name__ == "__main__":
    unittest.main()
