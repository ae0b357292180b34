"""kill -9 of a later pass at real servers, while it takes over flags and removes
what was deleted: the next one comes to the end that an undisturbed one has."""

import os
import unittest

import kills
import readback
import trees
from haul import DONE, Haul
from kills import Place

COUNT = 12
POINTS = "merge.planned:1 flags.before:1 flags.after:1 merge.sent:1 merge.recorded:1 removal.planned:1 move.before:1 move.after:1 removal.done:1 removal.noted:1 expunge.after:1 removal.marked:1".split()


class TestResyncKills(unittest.TestCase):
    def setUp(self):
        self.haul = Haul(faults=True)
        self.addCleanup(self.haul.destroy)

    def there(self, place):
        client = place.login()
        try:
            names = sorted(n for n in readback.listing(client)[0] if n == "INBOX" or n[-2:].isdigit())
            return [[(m.date, sorted(m.flags), sorted(m.keywords)) for m in readback.box(client, n, bodies=False).messages] for n in names]
        finally:
            client.logout()

    def once(self, server, fault):
        """What is at the target after two passes, the first of them killed."""
        place = Place(server)
        path = self.haul.path(place.user)
        box = trees.Box(uidvalidity=17)
        for n in range(COUNT):
            body = f"From: a@example.org\nSubject: {n}\n\nnumber {n}\n".encode()
            box.add(body, uid=n + 1, flags="S" if n % 2 else "", keywords=["work"] if n % 3 == 0 else [], date=1_000_000_000 + n)
        box.write(path)
        words = ["copy", "maildir:" + path, place.uri(self.haul), "--state", path + ".db", "--delete=" + ("expunge" if fault.startswith(("expunge", "removal.marked")) else "move")]
        self.assertEqual(self.haul.run(*words).code, DONE)
        cur = os.path.join(path, "cur")
        for name in sorted(os.listdir(cur))[:6]:
            os.rename(os.path.join(cur, name), os.path.join(cur, name.split(":")[0] + ":2,Fa"))
        for name in sorted(os.listdir(cur))[8:10]:
            os.unlink(os.path.join(cur, name))
        killed = False
        if fault:
            process = self.haul.start(*words, env={"MAILHAUL_FAULT": f"kill@{fault}"})
            killed = self.haul.finish(process, killed=True).code < 0
        run = self.haul.run(*words)
        self.assertEqual(run.code, DONE, run)
        self.haul.run(*words)
        return killed, self.there(place)

    def matrix(self, server, first):
        _, moved = self.once(server, "")
        self.assertEqual([len(box) for box in moved], [COUNT - 2, 2])
        for fault in POINTS if kills.ALL else POINTS[first::2]:
            with self.subTest(server=server.name, fault=fault):
                killed, there = self.once(server, fault)
                self.assertTrue(killed)
                self.assertEqual(there, moved if len(there) > 1 else moved[:1])
                self.assertEqual(len(there) > 1, not fault.startswith(("expunge", "removal.marked")))

    def test_dovecot(self):
        self.matrix(kills.dovecot(), 0)

    def test_cyrus(self):
        self.matrix(kills.cyrus(), 1)


if __name__ == "__main__":
    unittest.main()
