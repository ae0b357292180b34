"""mailhaul uidl against a scripted POP3 server: one that answers nonsense, hangs
up, allows few sessions; and lists that do not tell which message is which.
Whatever happens, no message is read there and none deleted."""

import os
import signal
import sqlite3
import unittest

from haul import ACCOUNTS, AGAIN, DIFFERS, DONE, MISUSE, Haul, wait_for
from pop3_server import SILENCE, Pop3


def message(n, extra=b""):
    return b"From: x@example.org\r\nSubject: %d\r\n\r\nbody of %d\r\n%s\r\n" % (n, n, extra)


class Case(unittest.TestCase):
    def setUp(self):
        self.haul = Haul()
        self.addCleanup(self.haul.destroy)
        self.haul.write("base/Settings/Main.settings", "{\n DomainName = example.org;\n}\n")
        self.users = []

    def account(self, messages, lf=True):
        """The next user's INBOX; messages as a server counts them."""
        user = f"user{len(self.users) + 1}"
        self.users.append(user)
        top = f"base/Accounts/{user}.macnt"
        self.haul.write(f"{top}/account.settings", "{\n RealName = X;\n}\n")
        self.haul.write(f"{top}/account.info", "{\n INBOX = {UIDNext=#900;UIDValidity=#1268557200;};\n}\n")
        os.mkdir(self.haul.path(f"{top}/INBOX.mdir"))
        for i, m in enumerate(messages):
            self.haul.write(f"{top}/INBOX.mdir/{i + 1}-S-20100314091502", m.replace(b"\r\n", b"\n") if lf else m)
        return user

    def uidl(self, server, *words, code=DONE, secret="secret", job="", limits=""):
        rows = "user\n" + "".join(u + "\n" for u in self.users)
        job = self.haul.job(f"cgp:{self.haul.path('base')}?account={{user}}", "null:", rows, job, limits=limits)
        uri = f"pop3://{{user}}@{server.host}:{server.port}?tls=none&timeout=20&secret-file={self.haul.secret(secret)}"
        run = self.haul.run("uidl", uri, *job, "--state", self.haul.state, "--format", "json", *words)
        self.assertEqual(run.code, code, run)
        self.assertEqual(set(server.commands) - set("CAPA USER PASS LIST UIDL TOP NOOP QUIT".split()), set())
        return {a["account"]: a for a in run.report["accounts"]}

    def known(self):
        """{UIDL: UID} of the state."""
        with sqlite3.connect(f"file:{self.haul.state}?mode=ro", uri=True) as db:
            return {uidl: int(key.split(b".")[1]) for uidl, key in db.execute("SELECT uidl, CAST(key AS BLOB) FROM uidl")}


class Server(Case):
    NONSENSE = {
        "UIDL": [b"+OK\r\n1 a\r\n1 b\r\n.\r\n", b"+OK\r\n7 a\r\n.\r\n", b"+OK\r\nx\r\n.\r\n", b"-ERR no\r\n", b"\r\n", b"+OKAY\r\n", b"+ go on\r\n", b"\0\r\n"],
        "LIST": [b"+OK\r\n1 2\r\n1 2\r\n.\r\n", b"+OK\r\n0 5\r\n.\r\n", b"+OK\r\n1 99999999999999999999\r\n.\r\n", b"+OK\r\n-1 5\r\n.\r\n", b"-ERR\r\n"],
        "CAPA": [b"nonsense\r\n", b"+OK\r\n" + b"X\r\n" * 2000 + b".\r\n"],
    }

    def test_nonsense(self):
        """The account that meets it fails in words, and the next goes on."""
        mail = [message(n) for n in range(3)]
        for word, answers in self.NONSENSE.items():
            for answer in answers:
                with self.subTest(word=word, answer=answer[:40]):
                    self.setUp()
                    for _ in range(2):
                        self.account(mail)
                    with Pop3({u: [(f"u{i}", m) for i, m in enumerate(mail)] for u in self.users}) as server:
                        server.says = {word: [answer, b""]}
                        told = self.uidl(server, "--lanes", "1", code=ACCOUNTS)
                    self.assertEqual(sorted(a["outcome"] for a in told.values()), ["done", "failed"])
                    self.assertEqual(len(self.known()), 3)

    def test_hangs_up(self):
        """Once at each step: tried again, and done in the end."""
        mail = [message(n) for n in range(3)] + [message(9)]
        self.account(mail[:3])
        for word in ("CAPA", "USER", "PASS", "LIST", "UIDL", "TOP", "QUIT"):
            with self.subTest(word=word), Pop3({"user1": [(f"u{i}", m) for i, m in enumerate(mail)]}) as server:
                server.says = {word: [None, b""]}
                told = self.uidl(server, code=DIFFERS)["user1"]
                self.assertEqual((told["joined"], [x["uidl"] for x in told["left"]]), (3, ["u3"]))
                self.assertEqual(self.known(), {"u0": 1, "u1": 2, "u2": 3})

    def few_sessions(self, refuse):
        mail = [message(n) for n in range(2)]
        for _ in range(8):
            self.account(mail)
        with Pop3({u: [(f"{u}-{i}", m) for i, m in enumerate(mail)] for u in self.users}) as server:
            server.most, server.refuse = 2, refuse
            self.uidl(server, "--lanes", "8", "--max-retries", "30")
            self.assertLessEqual(server.peak, 2)
        self.assertEqual(len(self.known()), 16)

    def test_few_sessions_refused(self):
        self.few_sessions("-ERR [IN-USE] too many connections")

    def test_few_sessions_hung_up(self):
        self.few_sessions(None)

    def test_limit(self):
        mail = [message(n) for n in range(2)]
        for _ in range(6):
            self.account(mail)
        with Pop3({u: [(f"{u}-{i}", m) for i, m in enumerate(mail)] for u in self.users}) as server:
            self.uidl(server, "--lanes", "6", limits="source-limit = 1 lane")
            self.assertEqual(server.peak, 1)
        self.assertEqual(len(self.known()), 12)

    def test_wrong_password(self):
        """One that all share is not tried on everybody."""
        for _ in range(8):
            self.account([message(1)])
        with Pop3({u: [("a", message(1))] for u in self.users}) as server:
            told = self.uidl(server, "--lanes", "8", code=ACCOUNTS, secret="wr0ng-one")
            self.assertEqual(server.commands.count("PASS"), 3)
        self.assertEqual({a["outcome"] for a in told.values()}, {"failed"})
        self.assertNotIn("wr0ng-one", repr(told))

    def test_stopped(self):
        """A signal ends it at once, whatever the server does; what was whole is known."""
        mail = [message(n) for n in range(3)]
        for _ in range(3):
            self.account(mail)
        with Pop3({u: [(f"{u}-{i}", m) for i, m in enumerate(mail)] for u in self.users}) as server:
            server.says = {"UIDL": [b"", SILENCE]}
            rows = "user\n" + "".join(u + "\n" for u in self.users)
            words = self.haul.job(f"cgp:{self.haul.path('base')}?account={{user}}", "null:", rows)
            uri = f"pop3://{{user}}@{server.host}:{server.port}?tls=none&secret-file={self.haul.secret()}"
            process = self.haul.start("uidl", uri, *words, "--state", self.haul.state, "--format", "json", "--lanes", "1")
            wait_for(lambda: server.commands.count("UIDL") == 2)
            process.send_signal(signal.SIGTERM)
            run = self.haul.finish(process)
            self.assertEqual(run.code, AGAIN, run)
            self.assertEqual([a["outcome"] for a in run.report["accounts"]], ["done", "stopped", "stopped"])
            self.assertEqual(len(self.known()), 3)
            server.says = {}
            self.assertEqual(self.haul.run("uidl", uri, *words, "--state", self.haul.state).code, DONE)
            self.assertEqual(len(self.known()), 9)

    def test_usage(self):
        self.account([message(1)])
        with Pop3({}) as server:
            for uri, words in (
                (f"imap://x@{server.host}", "no POP3 server"),
                (f"pop3://{server.host}?tls=none", "no user name"),
                (f"pop3://x@{server.host}?tls=never", "implicit, starttls or none"),
                (f"pop3s://x@{server.host}?tls=none", "contradict"),
                (f"pop3://x@{server.host}?auth=user&authzid=y", "cannot act"),
                (f"pop3://x@{server.host}?lnaes=1", "unknown option"),
            ):
                job = self.haul.job(f"cgp:{self.haul.path('base')}?account={{user}}", "null:", "user\nuser1\n")
                run = self.haul.run("uidl", uri, *job)
                self.assertEqual(run.code, MISUSE, run)
                self.assertIn(words, run.err)
            run = self.haul.run("uidl", *job)
            self.assertEqual((run.code, "which POP3 server" in run.err), (MISUSE, True), run)
            self.assertEqual(server.commands, [])


class Lists(Case):
    """Which message is which."""

    def join(self, disk, pop, code=DONE, **settings):
        self.account(disk)
        with Pop3({self.users[-1]: pop}) as server:
            for name, value in settings.items():
                setattr(server, name, value)
            told = self.uidl(server, "--only", self.users[-1], code=code)[self.users[-1]]
            told["tops"] = server.commands.count("TOP")
        return told

    def test_one_is_gone_here(self):
        mail = [message(n) for n in range(10)]
        told = self.join(mail[:4] + mail[5:], [(f"u{i}", m) for i, m in enumerate(mail)], DIFFERS)
        self.assertEqual((told["by"], told["joined"], [x["uidl"] for x in told["left"]]), ("headers", 9, ["u4"]))
        self.assertEqual(self.known(), {f"u{i}": i + 1 if i < 4 else i for i in range(10) if i != 4})

    def test_one_is_gone_there(self):
        mail = [message(n) for n in range(10)]
        told = self.join(mail, [(f"u{i}", m) for i, m in enumerate(mail) if i != 4])
        self.assertEqual((told["by"], told["joined"]), ("headers", 9))
        self.assertEqual(self.known(), {f"u{i}": i + 1 for i in range(10) if i != 4})

    def test_new_mail(self):
        """On either side: order tells, with few headers."""
        mail = [message(n, b"x" * n) for n in range(40)]
        told = self.join(mail[:35], [(f"u{i}", m) for i, m in enumerate(mail)], DIFFERS)
        self.assertEqual((told["by"], told["joined"], told["tops"]), ("order", 35, 8))
        told = self.join(mail, [(f"v{i}", m) for i, m in enumerate(mail[:35])])
        self.assertEqual((told["by"], told["joined"], told["tops"]), ("order", 35, 8))

    def test_another_order(self):
        mail = [message(n) for n in range(6)]
        told = self.join(mail, [(f"u{i}", mail[i]) for i in (5, 4, 3, 2, 1, 0)])
        self.assertTrue(told["reordered"])
        self.assertEqual(self.known(), {f"u{i}": i + 1 for i in range(6)})

    def test_sizes_of_another_kind(self):
        """A server that counts what it stores, with LF alone."""
        mail = [message(n, b"x" * n) for n in range(5)]
        sizes = b"+OK\r\n" + b"".join(b"%d %d\r\n" % (i + 1, len(m.replace(b"\r\n", b"\n"))) for i, m in enumerate(mail)) + b".\r\n"
        told = self.join(mail, [(f"u{i}", m) for i, m in enumerate(mail)], says={"LIST": [sizes]})
        self.assertEqual((told["by"], told["joined"]), ("order", 5))

    def test_equal_ones(self):
        """Two equal messages are two, in their order; of three and two none is chosen."""
        twin, triplet = message(1), message(2)
        disk = [twin, message(5), twin, triplet, triplet, message(6)]
        pop = [message(5), twin, twin, triplet, triplet, triplet, message(6)]
        told = self.join(disk, [(f"u{i}", m) for i, m in enumerate(pop)], DIFFERS)
        self.assertEqual(self.known(), {"u0": 2, "u1": 1, "u2": 3, "u6": 6})
        self.assertEqual({x["uidl"] for x in told["left"]}, {"u3", "u4", "u5"})
        self.assertIn("none was chosen", told["left"][0]["why"])

    def test_one_header(self):
        """Sizes tell messages apart that have it in common; what contradicts is left."""
        head = b"From: x@example.org\r\nSubject: cron\r\n\r\n"
        same = [head + b"x" * n + b"\r\n" for n in range(4)]
        others = [message(n) for n in range(8)]
        disk = others + [same[0], same[1], same[2]]
        pop = [(f"o{i}", m) for i, m in enumerate(others)] + [("s2", same[2]), ("s3", same[3]), ("s0", same[0])]
        told = self.join(disk, pop, DIFFERS)
        known = self.known()
        self.assertEqual((known["s0"], known["s2"], "s3" in known), (9, 11, False))
        self.assertEqual([x["uidl"] for x in told["left"]], ["s3"])

    def test_no_top(self):
        """Without headers only lists that agree from end to end are joined."""
        mail = [message(n, b"x" * n) for n in range(5)]
        pop = [(f"u{i}", m) for i, m in enumerate(mail)]
        told = self.join(mail, pop, capabilities=["UIDL", "USER"])
        self.assertEqual((told["joined"], told["by"], told["tops"]), (5, "order alone", 0))
        told = self.join(mail[1:], pop, DIFFERS, capabilities=["UIDL", "USER"])
        self.assertEqual((told["joined"], len(told["left"])), (0, 5))
        self.assertIn("does not give its header", told["left"][0]["why"])

    def test_no_capa(self):
        """An old server: what it does not announce it may have."""
        mail = [message(n) for n in range(5)]
        told = self.join(mail[1:], [(f"u{i}", m) for i, m in enumerate(mail)], DIFFERS, capabilities=None)
        self.assertEqual((told["joined"], told["by"]), (4, "headers"))

    def test_bad_uidls(self):
        """Those that two messages have, and those that no list could hold."""
        mail = [message(n) for n in range(5)]
        told = self.join(mail, list(zip(["a", "b", "a", "x" * 300, "c d"], mail)), DIFFERS)
        self.assertEqual(self.known(), {"b": 2})
        self.assertEqual([x["number"] for x in told["left"]], [1, 3, 4, 5])

    def test_added_fields(self):
        """What servers put into a header, or leave out, is no difference."""
        mail = [message(n) for n in range(4)]
        pop = [(f"u{i}", b"Return-Path: <a@b>\r\nX-UIDL: 5\r\nStatus: RO\r\n" + m) for i, m in enumerate(mail)]
        told = self.join(mail, pop)
        self.assertEqual((told["joined"], told["by"]), (4, "headers"))

    def test_empty(self):
        told = self.join([], [], DONE)
        self.assertEqual((told["listed"], told["inbox"], told["joined"]), (0, 0, 0))

    def test_again(self):
        """A later run adds, mends what another message has now, and forgets nothing that is gone there."""
        mail = [message(n) for n in range(4)]
        user = self.account(mail)
        with Pop3({user: [("a", mail[0]), ("b", mail[1])]}) as server:
            self.uidl(server)
            server.mail[user] = [("b", mail[1]), ("c", mail[2]), ("d", mail[3])]
            self.uidl(server)
            self.assertEqual(self.known(), {"a": 1, "b": 2, "c": 3, "d": 4})
            server.mail[user] = [("d", mail[1]), ("c", mail[2])]
            self.uidl(server)
            self.assertEqual(self.known(), {"a": 1, "d": 2, "c": 3})


if __name__ == "__main__":
    unittest.main()
