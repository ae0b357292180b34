"""Signals to a running copy, a second process on its state, and what can be
asked beside it.
"""

import os
import signal
import threading
import unittest

import kills
from haul import AGAIN, DONE, MISUSE, wait_for
from kills import Migration, Place
from proxy import Proxy


class Held:
    """A copy whose n-th batch is held up before its final CRLF."""

    def __init__(self, test, n=2, server=None):
        server = server or kills.dovecot()
        self.m = Migration(Place(server), "maildir")
        test.addCleanup(self.m.haul.destroy)
        self.proxy = Proxy(server.host, server.imap_port).start()
        test.addCleanup(self.proxy.stop)
        self.there, self.go = threading.Event(), threading.Event()
        test.addCleanup(self.go.set)
        self.proxy.cut_append(n, "literal", action=self.hold)
        self.process = self.m.start(port=self.proxy.port)
        if not self.there.wait(60):
            raise AssertionError("it never came to that batch")

    def hold(self, *unused):
        self.there.set()
        self.go.wait()

    def signal(self, number):
        os.kill(self.process.pid, number)

    def finish(self):
        return self.m.haul.finish(self.process, 60)


class TestSignals(unittest.TestCase):
    def stops(self, number, server=None):
        """It finishes what it has in hand, knows all about it, and can go on."""
        held = Held(self, server=server)
        held.signal(number)
        held.go.set()
        run = held.finish()
        self.assertEqual(run.code, AGAIN, run)
        m = held.m
        there = m.there().total()
        self.assertGreater(there, 0)
        self.assertLess(there, kills.count(m.boxes) - 2)
        self.assertEqual(m.open_intents(), 0, "a batch is in doubt")
        self.assertEqual(kills.rows(m.haul.state), there)
        run = m.copy()
        self.assertEqual(m.wrong(run, present=0), [])
        self.assertEqual(m.again(), [])

    def test_term(self):
        self.stops(signal.SIGTERM)

    def test_interrupt(self):
        self.stops(signal.SIGINT, kills.cyrus())

    def test_twice(self):
        """The second one ends it in the middle of the batch."""
        held = Held(self)
        held.signal(signal.SIGTERM)
        # both are seen, not merged into one
        wait_for(lambda: not pending(held.process.pid, signal.SIGTERM))
        held.signal(signal.SIGTERM)
        run = held.finish()  # while the batch is still held
        self.assertEqual(run.code, AGAIN, run)
        self.assertGreaterEqual(held.m.open_intents(), 1)
        held.go.set()
        run = held.m.copy()
        self.assertEqual(held.m.wrong(run, present=0), [])
        self.assertEqual(held.m.again(), [])

    def test_hangup(self):
        held = Held(self)
        held.signal(signal.SIGHUP)
        held.go.set()
        run = held.finish()
        self.assertEqual(held.m.wrong(run, present=0), [])
        self.assertEqual(run.code, DONE)

    def test_while_it_settles(self):
        """A stop does not wait for the end of the settle time."""
        server = kills.dovecot()
        with Migration(Place(server), "maildir", options=["--lanes", "1"]) as m, Proxy(server.host, server.imap_port) as proxy:
            m.copy(fault="kill@append.before_crlf:1")
            process = m.start("--settle", "600", port=proxy.port)
            wait_for(lambda: proxy.messages == kills.count(m.boxes) - len(m.boxes["INBOX"]))
            os.kill(process.pid, signal.SIGTERM)
            run = m.haul.finish(process, 60)
            self.assertEqual(run.code, AGAIN, run)
            run = m.copy("--settle", "1")
            self.assertEqual(m.wrong(run, present=0), [])
            m.options += ["--settle", "1"]
            self.assertEqual(m.again(), [])


class TestBeside(unittest.TestCase):
    def test_second_process(self):
        held = Held(self)
        m = held.m
        run = m.copy()
        self.assertEqual(run.code, MISUSE, run)
        self.assertIn(f"process {held.process.pid}", run.err)
        self.assertIn(m.haul.state, run.err)
        held.go.set()
        run = held.finish()
        self.assertEqual(m.wrong(run, present=0), [])
        self.assertEqual(m.again(), [])

    def test_report_and_status(self):
        held = Held(self)
        m = held.m
        report = m.haul.report()
        self.assertEqual(report["schema"], "mailhaul-report-1")
        self.assertFalse(report["balanced"])
        run = m.haul.run("status", "--state", m.haul.state)
        self.assertEqual(run.code, DONE, run)
        self.assertIn(f"process {held.process.pid}", run.out)
        self.assertEqual(m.haul.run("report", "--state", m.haul.state).code, DONE)
        held.go.set()
        run = held.finish()
        self.assertEqual(m.wrong(run, present=0), [])
        run = m.haul.run("status", "--state", m.haul.state)
        self.assertEqual(run.code, DONE, run)
        self.assertNotIn("process", run.out)
        self.assertTrue(m.haul.report()["balanced"])

    def test_after_a_kill(self):
        """The lock of a dead process is none, and its end is told."""
        with Migration(Place(kills.dovecot()), "maildir") as m:
            m.copy(fault="kill@done.posted:2")
            run = m.haul.run("status", "--state", m.haul.state)
            self.assertEqual(run.code, DONE, run)
            self.assertIn("cut off", run.out)
            self.assertFalse(m.haul.report()["balanced"])
            run = m.copy()
            self.assertEqual(m.wrong(run, present=0), [])


def pending(pid, number):
    """A signal that was sent and not yet delivered."""
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        masks = dict(line.split(":", 1) for line in f)
    return any(int(masks[key], 16) >> (number - 1) & 1 for key in ("SigPnd", "ShdPnd"))
