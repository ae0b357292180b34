"""kill -9 at the fault points of a run into real servers; then it is started
again, and what is there must be what a run gives that nobody disturbs.

Each kill is a new user.  With MAILHAUL_KILLS=all every passing of every point
on both kinds of source and both servers; the suite prints how many kills fell
between an intent and its done.
"""

import threading
import unittest
from collections import Counter

import kills
from haul import DIFFERS, DONE
from kills import Migration, Place

lock = threading.Lock()


class TestKillPoints(unittest.TestCase):
    hits, hits_again = Counter(), Counter()
    not_reached = 0

    @classmethod
    def tearDownClass(cls):
        for what, hits in (("runs", cls.hits), ("resumed runs", cls.hits_again)):
            total = sum(hits.values())
            if total:
                share = 100 * hits["in doubt"] / total
                print(f"\n{total} kills at fault points of {what}, {hits['in doubt']} between intent and done ({share:.0f} %)", end="")
        print(f"\n{cls.not_reached} points were not reached")

    def matrix(self, server, kind, n, first=None):
        """first: the run that is killed goes on after one that was."""
        with Migration(Place(server), kind, options=["--settle", "1"]) as m:
            self.assertEqual(m.copy().code in (DONE, DIFFERS), True)
            reference = kills.marks(m.there())
        with Migration(Place(server), kind, options=["--settle", "1"]) as m:
            if first:
                m.copy(fault=first)
            points = m.points()
            self.assertEqual(m.wrong(), [])
        cases = kills.sample(points, n)
        # in one lane the batches come one after the other, in two they overlap
        cases = [(name, number, 1 + i % 2) for i, (name, number) in enumerate(cases)]
        results = kills.in_parallel(lambda case: self.kill(server, kind, case, reference, first), cases)
        bad = [f"kill@{name}:{number}, {lanes} lanes: {words}" for (name, number, lanes), words in zip(cases, results) if words != []]
        if bad:
            self.fail(f"{len(bad)} of {len(cases)} kills:\n" + "\n".join(bad))

    def kill(self, server, kind, case, reference, first):
        name, number, lanes = case
        options = ["--settle", "1", "--lanes", str(lanes)]
        with Migration(Place(server), kind, options=options) as m:
            if first:
                m.copy(fault=first)
            self.killed(m, f"kill@{name}:{number}", self.hits_again if first else self.hits)
            run = m.copy()
            words = m.wrong(run, present=0)
            if kills.marks(m.there()) != reference:
                words.append(f"subscriptions and uses: {kills.marks(m.there())}, not {reference}")
            return words + m.again()

    def killed(self, m, fault, hits):
        run = m.copy(fault=fault)
        with lock:
            if run.code >= 0:
                type(self).not_reached += 1  # the writer put more into one transaction this time
            else:
                hits["in doubt" if m.open_intents() else "clear"] += 1

    def once(self, server, kind):
        self.matrix(server, kind, None if kills.ALL else (kills.how_many(40, 0) + 5) // 6)

    def twice(self, server, kind, first):
        self.matrix(server, kind, None if kills.ALL else (kills.how_many(40, 0) + 4) // 5, first)

    def test_maildir_into_dovecot(self):
        self.once(kills.dovecot(), "maildir")

    def test_mbox_into_dovecot(self):
        self.once(kills.dovecot(), "mbox")

    def test_maildir_into_cyrus(self):
        self.once(kills.cyrus(), "maildir")

    def test_mbox_into_cyrus(self):
        self.once(kills.cyrus(), "mbox")

    def test_communigate_into_dovecot(self):
        self.once(kills.dovecot(), "cgp")

    def test_communigate_into_cyrus(self):
        self.once(kills.cyrus(), "cgp")

    def test_imap_into_dovecot(self):
        self.matrix(kills.dovecot(), "imap", None if kills.ALL else 4)

    def test_imap_into_cyrus(self):
        """The second run is killed as well."""
        self.matrix(kills.cyrus(), "imap", None if kills.ALL else 4, "kill@append.after_crlf:2")

    def test_resumed_after_commit(self):
        """The second kill comes while the first one's batch is looked for and found."""
        self.twice(kills.dovecot(), "maildir", "kill@append.after_crlf:3")

    def test_resumed_before_commit(self):
        """The same where it is not there."""
        self.twice(kills.cyrus(), "mbox", "kill@append.before_crlf:3")

    def test_share(self):
        """Runs last (by name): enough of the kills must have hurt."""
        total = sum(self.hits.values())
        if not total:
            self.skipTest("no kill was made")
        self.assertGreaterEqual(self.hits["in doubt"], 0.3 * total)
