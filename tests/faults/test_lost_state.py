"""A state that is deleted, or older than what is at the target: the next run
finds what is there by content and sends only the rest.  And the mutations: with
a safeguard switched off the same checks must find the damage.
"""

import os
import unittest
from collections import Counter

import kills
from kills import Migration, Place
from proxy import Proxy


def deleted(server, kind, mutate=None):
    """All is there, the state is gone."""
    with Migration(Place(server), kind) as m:
        first = m.wrong(m.copy(), present=0)
        if first:
            return first
        m.drop_state()
        with Proxy(server.host, server.imap_port) as proxy:
            run = m.copy(port=proxy.port, mutate=mutate)
        _, refused = m.place.wanted(m.boxes)
        words = m.wrong(run, present=kills.count(m.boxes) - refused)
        if m.place.is_cyrus:
            words += bodies_read(proxy, m.boxes)
        if proxy.messages > refused:
            words.append(f"{proxy.messages} messages were sent")
        return words + m.again()


def bodies_read(proxy, boxes):
    """Cyrus tells SHA-1: only what it altered has to be read."""
    altered = sum(m in kills.MUNGED for box in boxes.values() for m in box)
    read = 0
    for _, _, name, arguments in proxy.log:
        if name == "FETCH" and "BODY" in arguments:
            for part in arguments.split()[0].split(","):
                first, _, last = part.partition(":")
                read += int(last or first) - int(first) + 1
    return [] if read == altered else [f"{read} bodies were read, {altered} were altered"]


def deleted_in_the_middle(server, kind, mutate=None):
    """Some is there, not all that was sent is known to us, the state is gone."""
    with Migration(Place(server), kind, options=["--settle", "1", "--lanes", "1"]) as m:
        m.copy(fault="kill@append.after_crlf:3")
        # what is under way arrives without us: no settle time knows of it
        if not server.wait_sessions(0, m.place.user):
            return ["the server holds on to the session"]
        m.drop_state()
        run = m.copy(mutate=mutate)
        return m.wrong(run) + m.again()


def yesterday(server, kind, mutate=None):
    """The state knows the half of what is there."""
    with Migration(Place(server), kind, kills.account("half")) as m:
        first = m.wrong(m.copy(), present=0)
        m.save_state("yesterday")
        m.grow(kills.account())
        second = m.wrong(m.copy(), present=0)
        if first or second:
            return first + second
        m.restore_state("yesterday")
        run = m.copy(mutate=mutate)
        return m.wrong(run) + m.again()


def before_the_crash(server, kind, mutate=None):
    """The state is from the time of a crash, with batches in doubt that have
    long been copied by a later run."""
    with Migration(Place(server), kind, options=["--settle", "1", "--lanes", "1"]) as m:
        m.copy(fault="kill@append.after_crlf:4")
        m.save_state("crashed")
        first = m.wrong(m.copy(), present=0)
        if first:
            return first
        m.restore_state("crashed")
        run = m.copy(mutate=mutate)
        return m.wrong(run) + m.again()


def without_its_journal(server, kind, mutate=None):
    """A backup that took S.db and not what SQLite keeps beside it."""
    with Migration(Place(server), kind, options=["--settle", "1", "--lanes", "1"]) as m:
        m.copy(fault="kill@append.answered:5")
        server.wait_sessions(0, m.place.user)
        os.unlink(m.haul.state + "-wal")
        run = m.copy(mutate=mutate)
        return m.wrong(run) + m.again()


def brought_by_others(server, kind, mutate=None):
    """One of two identical messages, two of three of the same size and date and
    one that the server alters are there before the first run."""
    with Migration(Place(server), kind) as m:
        there = [kills.TWINS[0], *kills.TRIPLE[1:], kills.MUNGED[0]]
        if not m.place.is_cyrus:
            there += kills.NUL
        for message in there:
            m.place.append("INBOX", message)
        run = m.copy(mutate=mutate)
        return m.wrong(run, present=len(there)) + m.again()


def killed(server, kind, mutate=None):
    """What arrived is not in the state."""
    with Migration(Place(server), kind, options=["--settle", "1", "--lanes", "1"]) as m:
        m.copy(fault="kill@append.after_crlf:1")
        server.wait_sessions(0, m.place.user)
        run = m.copy(mutate=mutate)
        return m.wrong(run, present=0) + m.again()


class TestLostState(unittest.TestCase):
    def test_deleted(self):
        kills.everywhere(self, deleted)

    def test_deleted_in_the_middle(self):
        kills.everywhere(self, deleted_in_the_middle)

    def test_yesterday(self):
        kills.everywhere(self, yesterday)

    def test_before_the_crash(self):
        kills.everywhere(self, before_the_crash)

    def test_without_its_journal(self):
        kills.everywhere(self, without_its_journal)

    def test_brought_by_others(self):
        kills.everywhere(self, brought_by_others)

    def test_killed(self):
        kills.everywhere(self, killed)


class TestMutations(unittest.TestCase):
    """Each safeguard is needed, and its absence seen."""

    def seen(self, scenario, mutation, sign):
        def found(server, kind):
            words = scenario(server, kind, mutation)
            return [] if any(f": {sign}: " in w for w in words) else [f"{mutation} off, and only this was seen: {words}"]

        kills.everywhere(self, found)

    def test_look(self):
        self.seen(killed, "look", "too much")

    def test_multiset(self):
        self.seen(brought_by_others, "multiset", "missing")

    def test_loose(self):
        self.seen(deleted, "loose", "too much")


class TestCheck(unittest.TestCase):
    """What the checks themselves can see."""

    def test_differences(self):
        a, b = ("one", 1, frozenset(), frozenset()), ("two", 1, frozenset(), frozenset())
        want = {"INBOX": Counter({a: 2}), "Sent": Counter({b: 1})}
        self.assertEqual(kills.differences(want, want), [])
        for got in (
            {"INBOX": Counter({a: 1}), "Sent": Counter({b: 1})},
            {"INBOX": Counter({a: 3}), "Sent": Counter({b: 1})},
            {"INBOX": Counter({a: 2})},
            {"INBOX": Counter({a: 2}), "Sent": Counter({b: 1}), "New": Counter({b: 1})},
            {"INBOX": Counter({a: 2}), "Sent": Counter({(*b[:2], frozenset({"\\seen"}), frozenset()): 1})},
            {"INBOX": Counter({a: 2}), "Sent": Counter({("two", 2, frozenset(), frozenset()): 1})},
        ):
            self.assertNotEqual(kills.differences(want, got), [])
