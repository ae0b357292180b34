"""The link to the server is cut, once, at a chosen place; the same run goes on,
ends well, and what is there is exact.
"""

import glob
import os
import threading
import unittest

import kills
from haul import DIFFERS, DONE, wait_for
from kills import Mail, Migration, Place
from proxy import Proxy
from servers import Dovecot

# larger than what is kept in memory and than what goes without a continuation
LARGE = Mail(kills.text("large", b"0123456789abcdef\r\n" * 80_000), "S", False, 1_250_000_000)


def account():
    boxes = kills.account()
    boxes["Archiv/2001"].insert(9, LARGE)
    return boxes


class TestLinks(unittest.TestCase):
    def cut(self, server, kind, arm):
        with Migration(Place(server), kind, account()) as m, Proxy(server.host, server.imap_port) as proxy:
            arm(proxy)
            run = m.copy(port=proxy.port)
            words = ["the link was never cut"] if proxy.rules or proxy.byte_rules else []
            if run.code not in (DONE, DIFFERS):
                words.append(repr(run))
            return words + m.wrong(run, present=0) + m.again()

    def cuts(self, *arms):
        def everything(server, kind):
            return [(n, words) for n, arm in enumerate(arms) if (words := self.cut(server, kind, arm)) != []]

        kills.everywhere(self, everything)

    def test_in_a_literal(self):
        """At bytes of the connection: greeting, login, literals of a batch, the large one."""
        at = (3_000, 20_000, 900_000) if not kills.ALL else [1, 200, *range(400, 45_000, 900), 500_000, 1_400_000]
        self.cuts(*[lambda p, n=n: p.cut_bytes("up", n) for n in at])

    def test_in_an_answer(self):
        at = (700,) if not kills.ALL else range(1, 2_000, 50)
        self.cuts(*[lambda p, n=n: p.cut_bytes("down", n) for n in at])

    def test_before_the_final_crlf(self):
        """The last literal has passed: nothing may be stored."""
        where = ((1, 2), (2, 1)) if not kills.ALL else [(b, i) for b in range(1, 9) for i in (1, 2, 3) if b in (1, 3, 5) or i == 1]
        self.cuts(*[lambda p, b=b, i=i: p.cut_append(b, "literal", i) for b, i in where])

    def test_after_the_final_crlf(self):
        """The server stores it, and we do not know."""
        self.cuts(*[lambda p, b=b: p.cut_append(b, "end") for b in ((1, 3) if not kills.ALL else range(1, 9))])

    def test_answer_lost(self):
        """The server has stored it, and we do not know."""
        self.cuts(*[lambda p, b=b: p.cut_append(b, "answer") for b in ((1, 4) if not kills.ALL else range(1, 9))])

    def test_other_commands(self):
        """The answers to making and subscribing mailboxes are lost."""
        arms = [lambda p, n=n: p.on("answer", n) for n in ("CREATE", "SUBSCRIBE")]
        if kills.ALL:
            more = ("SELECT", 1), ("SELECT", 3), ("CREATE", 2), ("CREATE", 3), ("SUBSCRIBE", 4)
            arms += [lambda p, n=n, k=k: p.on("answer", n, k) for n, k in more]
        self.cuts(*arms)

    def test_again_and_again(self):
        """Every third batch's answer is lost."""

        def arm(proxy):
            for n in (1, 3, 6):
                proxy.cut_append(n, "answer")

        self.cuts(arm)

    def test_server_dies(self):
        """The process of the server that has our batch is killed."""

        def everything(server, kind):
            words = []
            for n in (1, 3) if not kills.ALL else range(1, 9):
                for where in ("literal", "end"):
                    words += self.session_killed(server, kind, n, where)
            return words

        kills.everywhere(self, everything)

    def session_killed(self, server, kind, n, where):
        # one lane, so that the user's only session is the one that is meant
        options, killed = ["--settle", "1", "--lanes", "1"], []
        with Migration(Place(server), kind, account(), options) as m, Proxy(server.host, server.imap_port) as proxy:

            def kill(*unused):
                killed.append(server.kill_session(m.place.user))
                wait_for(lambda: killed[0] not in server.sessions())
                if server.name == "dovecot":  # it waits 2 minutes for the lock of a dead process
                    for file in glob.glob(server.maildir(m.place.user) + "/**/dovecot-uidlist.lock", recursive=True, include_hidden=True):
                        os.unlink(file)

            proxy.cut_append(n, where, action=kill)
            run = m.copy(port=proxy.port)
            words = [] if killed and killed[0] else ["no session was killed"]
            return words + m.wrong(run, present=0) + m.again()

    def test_server_goes_away(self):
        """The server is stopped in the middle, and started again."""
        with Dovecot(USERS=1) as server:
            server.fresh = iter(server.users)
            with Migration(Place(server), "maildir", account()) as m, Proxy(server.host, server.imap_port) as proxy:
                stopped = threading.Event()

                def stop(*unused):
                    server.stop()
                    stopped.set()

                proxy.cut_append(3, "end", action=stop)
                process = m.start(port=proxy.port)
                self.assertTrue(stopped.wait(60))
                server.start()
                run = m.haul.finish(process)
                self.assertEqual(m.wrong(run, present=0), [])
                self.assertEqual(m.again(), [])
