"""kill -9 at the fault points of a run into real servers; then it is started
again, and what is there must be what a run gives that nobody disturbs.

Each kill is a new user.  With MAILHAUL_KILLS=all every passing of every point
on both kinds of source and both servers; the suite prints how many kills fell
between an intent and its done.
"""

import unittest
from collections import Counter

import kills
from kills import Migration, Place


class TestKillPoints(unittest.TestCase):
    hits = Counter()
    not_reached = 0

    @classmethod
    def tearDownClass(cls):
        total = sum(cls.hits.values())
        if total:
            share = 100 * cls.hits["in doubt"] / total
            print(f"\n{total} kills at fault points, {cls.hits['in doubt']} between intent and done ({share:.0f} %), {cls.not_reached} points not reached")

    def setUp(self):
        self.maxDiff = None

    def matrix(self, server, kind):
        n = None if kills.ALL else (kills.how_many(60, 0) + 3) // 4
        with Migration(Place(server), kind) as m:
            points = m.points()
            self.assertEqual(m.wrong(), [])
            reference = kills.marks(m.there()), m.place.user
        cases = kills.sample(points, n)
        # in one lane the batches come one after the other, in two they overlap
        cases = [(name, number, 1 + i % 2) for i, (name, number) in enumerate(cases)]
        results = kills.in_parallel(lambda case: self.kill(server, kind, case, reference[0]), cases)
        bad = [f"kill@{name}:{number}, {lanes} lanes: {words}" for (name, number, lanes), words in zip(cases, results) if words != []]
        if bad:
            self.fail(f"{len(bad)} of {len(cases)} kills:\n" + "\n".join(bad))

    def kill(self, server, kind, case, reference):
        name, number, lanes = case
        options = ["--settle", "1", "--lanes", str(lanes)]
        with Migration(Place(server), kind, options=options) as m:
            run = m.copy(fault=f"kill@{name}:{number}")
            if run.code >= 0:
                type(self).not_reached += 1  # the writer put more into one transaction this time
            else:
                self.hits["in doubt" if m.open_intents() else "clear"] += 1
            run = m.copy()
            words = m.wrong(run, present=0)
            if kills.marks(m.there()) != reference:
                words.append(f"subscriptions and uses: {kills.marks(m.there())}, not {reference}")
            return words + m.again()

    def test_maildir_into_dovecot(self):
        self.matrix(kills.dovecot(), "maildir")

    def test_mbox_into_dovecot(self):
        self.matrix(kills.dovecot(), "mbox")

    def test_maildir_into_cyrus(self):
        self.matrix(kills.cyrus(), "maildir")

    def test_mbox_into_cyrus(self):
        self.matrix(kills.cyrus(), "mbox")

    def test_share(self):
        """Runs last (by name): enough of the kills must have hurt."""
        total = sum(self.hits.values())
        if not total:
            self.skipTest("no kill was made")
        self.assertGreaterEqual(self.hits["in doubt"], 0.3 * total)
