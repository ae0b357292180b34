"""A server that commits after we are dead: no message may be there twice, or,
where nobody could know better, it is told and can be taken back.
"""

import os
import signal
import subprocess
import threading
import unittest

import kills
from haul import DIFFERS, DONE, wait_for
from kills import Migration, Place
from proxy import Proxy

SETTLE = 15 if kills.ALL else 4
HOLD = 10 if kills.ALL else 2


class TestLateCommit(unittest.TestCase):
    def place(self, server):
        place = Place(server)
        place.read()  # so that its INBOX is there
        return place

    def migration(self, place, settle=SETTLE):
        m = Migration(place, "maildir", options=["--lanes", "1", "--settle", str(settle)])
        self.addCleanup(m.haul.destroy)
        return m

    def proxy(self, server):
        proxy = Proxy(server.host, server.imap_port).start()
        self.addCleanup(proxy.stop)
        return proxy

    def die(self, m, proxy, hold):
        """hold() is called before the server sees the first final CRLF; then we die."""
        held = threading.Event()

        def at_crlf(*unused):
            hold()
            held.set()

        proxy.on("end", "APPEND", 1, at_crlf)
        run = m.copy(fault="kill@append.after_crlf:1", port=proxy.port)
        self.assertEqual(run.code, -signal.SIGKILL, run)
        self.assertGreaterEqual(m.open_intents(), 1)
        self.assertTrue(held.wait(20))

    def test_uidlist_lock(self):
        """Dovecot waits for a lock while we die and start again."""
        server = kills.dovecot()
        place = self.place(server)
        m, proxy, release = self.migration(place), self.proxy(server), []
        self.die(m, proxy, lambda: release.append(server.lock_uidlist(place.user)))
        self.assertEqual(len(server.sessions(place.user)), 1)
        proxy.reset()
        process = m.start(port=proxy.port)
        wait_for(lambda: proxy.commands["SELECT"])
        with self.assertRaises(subprocess.TimeoutExpired):
            process.wait(HOLD)
        release.pop()()
        run = m.haul.finish(process)
        self.assertEqual(m.wrong(run, present=0), [])
        self.assertEqual(m.again(), [])

    def stopped(self, server, settle):
        """A session that sleeps while it has our final CRLF; returns the
        migration, a proxy for the next run and what wakes the session."""
        place = self.place(server)
        m, proxy, pids = self.migration(place, settle), self.proxy(server), []

        def hold():
            pids.extend(server.sessions(place.user))
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)

        def wake(*unused):
            while pids:
                pid = pids.pop()
                os.kill(pid, signal.SIGCONT)
                wait_for(lambda: pid not in server.sessions(place.user))

        self.addCleanup(wake)
        self.die(m, proxy, hold)
        self.assertEqual(len(pids), 1)
        proxy.reset()
        return m, proxy, wake

    def within_the_settle_time(self, server):
        m, proxy, wake = self.stopped(server, SETTLE)
        process = m.start(port=proxy.port)
        # it has seen that nothing is there, and does other work until it looks again
        wait_for(lambda: proxy.messages)
        wake()
        run = m.haul.finish(process)
        self.assertEqual(m.wrong(run, present=0), [])
        self.assertEqual(m.again(), [])

    def test_dovecot_within_the_settle_time(self):
        self.within_the_settle_time(kills.dovecot())

    def test_cyrus_within_the_settle_time(self):
        self.within_the_settle_time(kills.cyrus())

    def after_the_settle_time(self, server, kind, *options):
        """It wakes when we have stored the batch again; how many issues of that
        kind are told."""
        m, proxy, wake = self.stopped(server, 0)
        proxy.on("answer", "APPEND", 1, wake)
        run = m.copy(*options, port=proxy.port)
        _, refused = m.place.wanted(m.boxes)
        told = [i for i in run.report["issues"] if i["kind"] in ("doubled", "removed")]
        self.assertEqual({i["kind"] for i in told}, {kind})
        self.assertEqual(run.code, DIFFERS if refused or kind == "doubled" else DONE, run)
        return m, len(told)

    def told(self, server):
        m, doubled = self.after_the_settle_time(server, "doubled")
        wrong = m.wrong()
        self.assertTrue(wrong and all(": too much: " in w for w in wrong), wrong)
        want, _ = m.place.wanted(m.boxes)
        there = m.there().contents()
        self.assertEqual(sum((there["INBOX"] - want["INBOX"]).values()), doubled)
        self.assertEqual(m.again(), [])

    def test_dovecot_doubles_are_told(self):
        self.told(kills.dovecot())

    def test_cyrus_doubles_are_told(self):
        self.told(kills.cyrus())

    def removed(self, server):
        m, doubled = self.after_the_settle_time(server, "removed", "--remove-doubles")
        self.assertGreater(doubled, 1)
        self.assertEqual(m.wrong(), [])
        self.assertEqual(m.again(), [])

    def test_dovecot_doubles_are_removed(self):
        self.removed(kills.dovecot())

    def test_cyrus_doubles_are_removed(self):
        self.removed(kills.cyrus())
