"""The proxy counts, delays and cuts as it says."""

import imaplib
import time
import unittest

import readback
from proxy import Proxy
from servers import Dovecot

MESSAGE = b"Subject: x\r\n\r\nA1 APPEND INBOX {3}\r\n"


class TestProxy(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Dovecot(USERS=12)
        cls.addClassCleanup(cls.server.destroy)
        cls.server.start()
        cls.next_user = 0

    def setUp(self):
        type(self).next_user += 1
        self.user = f"user{self.next_user}"
        self.proxy = Proxy(self.server.host, self.server.imap_port).start()
        self.addCleanup(self.proxy.stop)

    def client(self):
        client = imaplib.IMAP4(self.proxy.host, self.proxy.port, timeout=10)
        client.login(self.user, self.server.password)
        return client

    def stored(self):
        self.assertTrue(self.server.wait_sessions(0, self.user))
        client = self.server.login(self.user)
        try:
            return len(readback.account(client).boxes["INBOX"].messages)
        finally:
            client.logout()

    def multiappend(self, n):
        one = b" {%d+}\r\n%s" % (len(MESSAGE), MESSAGE)
        return b"m1 APPEND INBOX" + one * n + b"\r\n"

    def test_counts(self):
        client = self.client()
        client.append("INBOX", None, None, MESSAGE)
        client.send(self.multiappend(3))
        self.assertIn(b"m1 OK", client.readline())
        client.create("one")
        client.select("INBOX")
        client.uid("STORE", "1:*", "+FLAGS", r"(\Seen)")
        # refused before the literal: what follows is a command again
        client.send(b"n1 APPEND nowhere {5}\r\n")
        self.assertIn(b"n1 NO", client.readline())
        client.noop()
        client.logout()
        p = self.proxy
        self.assertEqual((p.commands["APPEND"], p.messages), (3, 4))
        self.assertEqual((p.commands["CREATE"], p.commands["STORE"], p.commands["NOOP"]), (1, 1, 1))
        self.assertEqual(p.commands["A1"], 0)
        self.assertEqual(p.writes(), 5)
        p.reset()
        self.client().logout()
        self.assertEqual((p.writes(), p.count), (0, 1))

    def test_authenticate_is_no_command(self):
        client = imaplib.IMAP4(self.proxy.host, self.proxy.port, timeout=10)
        secret = b"\0" + self.user.encode() + b"\0secret"
        client.authenticate("PLAIN", lambda unused: secret)
        client.noop()
        client.logout()
        self.assertEqual(set(self.proxy.commands), {"CAPABILITY", "AUTHENTICATE", "NOOP", "LOGOUT"})

    def test_delay_leaves_pipelining(self):
        client = self.client()
        self.proxy.delay = 0.05
        begin = time.monotonic()
        client.send(b"".join(b"p%d NOOP\r\n" % i for i in range(20)))
        for _ in range(20):
            client.readline()
        spent = time.monotonic() - begin
        self.assertGreater(spent, 0.1)
        self.assertLess(spent, 0.3)
        begin = time.monotonic()
        for _ in range(3):
            client.noop()
        self.assertGreater(time.monotonic() - begin, 0.3)

    def cut(self, where, client=None):
        client = client or self.client()
        self.proxy.cut_append(1, where, literal=2)
        client.send(self.multiappend(2))
        with self.assertRaises((imaplib.IMAP4.abort, OSError)):
            if not client.readline():
                raise OSError
        return self.stored()

    def test_cut_before_final_crlf(self):
        self.assertEqual(self.cut("literal"), 0)

    def test_cut_after_final_crlf(self):
        self.assertEqual(self.cut("end"), 2)

    def test_cut_before_answer(self):
        self.assertEqual(self.cut("answer"), 2)

    def test_lose_answers(self):
        client = self.client()
        self.proxy.cut_append(1, "end", action="lose-answers")
        client.socket().settimeout(0.5)
        client.send(self.multiappend(1))
        with self.assertRaises(TimeoutError):
            client.socket().recv(1)
        client.shutdown()
        self.assertEqual(self.stored(), 1)

    def test_stall(self):
        client = self.client()
        self.proxy.cut_append(1, "literal", action="stall")
        client.socket().settimeout(0.5)
        client.send(self.multiappend(1))
        with self.assertRaises(TimeoutError):
            client.socket().recv(1)
        self.proxy.cut_all()
        self.assertEqual(self.stored(), 0)

    def test_cut_at_byte(self):
        for direction in "up", "down":
            self.proxy.cut_bytes(direction, 100)
            with self.assertRaises((imaplib.IMAP4.abort, imaplib.IMAP4.error, OSError)):
                client = self.client()
                for _ in range(20):
                    client.noop()


if __name__ == "__main__":
    unittest.main()
