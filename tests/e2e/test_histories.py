"""Random histories between real servers, held against a model (histories.py).

MAILHAUL_HISTORIES=N: so many of each pair of servers, not a few;
MAILHAUL_SEED=N: the first one's seed.
"""

import os
import unittest

import dsyncs
from haul import DONE, Haul, balance, together
from histories import History, Wrong
from servers import Cyrus, Dovecot

COUNT = int(os.environ.get("MAILHAUL_HISTORIES", "2"))
SEED = int(os.environ.get("MAILHAUL_SEED", "1"))
MUTATIONS = "merge-base", "merge-theirs", "look", "removal-unchanged", "since", "still"
USERS = 8 + COUNT


def history(seed, source, target, user="user1", mutate="", way=None):
    """way(target, user): how it is written to, if not over IMAP."""
    with Haul(faults=bool(mutate)) as haul:
        uris = haul.user(source, user, "none"), way(target, user) if way else haul.user(target, user, "none")
        clients = [server.login(user) for server in (source, target)]

        def copy(*options):
            run = haul.copy(*uris, "--settle", "1", "--lanes", "1", *options, env={"MAILHAUL_MUTATE": mutate})
            if run.code != DONE or balance(run.report):
                raise Wrong(f"seed {seed}\n{run}\n{balance(run.report)}")

        def stage(name):
            run = haul.run("stage", "--state", haul.state, "--set", name, "--only", "*")
            if run.code != DONE:
                raise Wrong(f"seed {seed}\n{run}")

        try:
            History(seed, *clients, copy, stage, moves=way is None).run()
        finally:
            for client in clients:
                client.logout()


def replication(server, user):
    return f"cyrus:{user}?conf={server.vars['conf']}&libexec={server.vars['libexec']}"


def doveadm(server, user):
    return f"doveadm:{user}?program={dsyncs.program(server)}"


class TestHistories(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dovecot, cls.mdbox, cls.cyrus = Dovecot(USERS=USERS), Dovecot(USERS=USERS, FORMAT="mdbox"), Cyrus(USERS=USERS, ALTNAMESPACE="yes")
        cls.plain = Dovecot(USERS=1, EXTRA="imap_capability = IMAP4rev1 UIDPLUS LIST-STATUS")
        for server in cls.dovecot, cls.mdbox, cls.cyrus, cls.plain:
            cls.addClassCleanup(server.destroy)
            server.start()

    def test_pairs(self):
        pairs = {
            "Dovecot to Cyrus": (self.dovecot, self.cyrus, "user1"),
            "Cyrus to Dovecot": (self.cyrus, self.dovecot, "user2"),
            "Dovecot to mdbox": (self.dovecot, self.mdbox, "user3"),
            "without CONDSTORE": (self.plain, self.mdbox, "user1"),
            "Dovecot to cyrus:": (self.dovecot, self.cyrus, "user4", "", replication),
            "Dovecot to doveadm:": (self.dovecot, self.mdbox, None, "", doveadm),
        }

        def job(source, target, user, *more):
            # what was deleted once dsync does not make again
            for n, seed in enumerate(range(SEED, SEED + COUNT), 8):
                history(seed, source, target, user or f"user{n}", *more)

        print(f"seeds {SEED} to {SEED + COUNT - 1}")
        together([(name, lambda pair=pair: job(*pair)) for name, pair in pairs.items()])

    def test_mutations(self):
        """A program with one rule missing does not pass."""

        def job(mutate, user):
            for seed in range(1, 9):
                try:
                    history(seed, self.dovecot, self.mdbox, user, mutate)
                except Wrong:
                    return
            raise AssertionError("was not caught")

        together([(mutate, lambda mutate=mutate, n=n: job(mutate, f"user{n}")) for n, mutate in enumerate(MUTATIONS, 1)])


if __name__ == "__main__":
    unittest.main()
