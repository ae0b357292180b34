"""The scripted server is a server, and breaks where it is told to."""

import hashlib
import imaplib
import socket
import ssl
import time
import unittest

import readback
import tls
from imap_server import FakeServer, Fault, crashes

MESSAGE = b"Subject: x\r\n\r\nbody\r\n"
DATE = '" 1-Feb-2003 04:05:06 +0100"'
BROKEN = (imaplib.IMAP4.abort, OSError)


class TestFake(unittest.TestCase):
    def serve(self, *faults, **settings):
        server = FakeServer(faults, **settings).start()
        self.addCleanup(server.stop)
        return server

    def login(self, server, user="user1", password="secret"):
        client = imaplib.IMAP4(server.host, server.port, timeout=10)
        client.login(user, password)
        return client

    def stored(self, server):
        return sum(server.contents("user1")["INBOX"].values())

    def test_is_a_server(self):
        server = self.serve()
        client = self.login(server)
        client.create(readback.quote("a/Gelöschte \"x\""))
        client.xatom("CREATE", "Sent", r"(USE (\Sent))")
        client.subscribe(readback.quote("a/Gelöschte \"x\""))
        client.append("INBOX", r"(\Seen key)", DATE, MESSAGE)
        client.append("INBOX", None, None, MESSAGE * 3)
        account = readback.account(client)
        self.assertEqual(account.subscribed, {'a/Gelöschte "x"'})
        self.assertEqual(account.boxes["Sent"].special_use, {"\\sent"})
        first, second = account.boxes["INBOX"].messages
        self.assertEqual((first.flags, first.keywords, first.date), ({"\\seen"}, {"key"}, 1044068706))
        self.assertEqual(second.digest, hashlib.sha256(MESSAGE * 3).hexdigest())
        client.select("INBOX")
        client.uid("STORE", "1", "+FLAGS", r"(\Deleted)")
        client.uid("EXPUNGE", "1:*")
        self.assertEqual(client.uid("SEARCH", "ALL")[1], [b"2"])
        self.assertEqual(client.uid("FETCH", "2", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1][0][1], b"Subject: x\r\n\r\n")
        client.rename("Sent", "Old")
        client.delete("Old")
        self.assertEqual(set(server.account("user1").boxes), {"INBOX", readback.encode_name('a/Gelöschte "x"').decode()})
        client.logout()
        self.assertEqual(server.commands["APPEND"], 2)

    def send_append(self, client, n=1, box="INBOX", tag="t1"):
        one = b" {%d+}\r\n%s" % (len(MESSAGE), MESSAGE)
        client.send(tag.encode() + b" APPEND " + box.encode() + one * n + b"\r\n")

    def answer(self, client):
        """The next tagged line."""
        while True:
            line = client.readline()
            if not line:
                raise OSError("end")
            if not line.startswith(b"* "):
                return line

    def test_multiappend(self):
        server = self.serve()
        client = self.login(server)
        self.send_append(client, 3)
        self.assertRegex(self.answer(client), rb"t1 OK \[APPENDUID \d+ 1:3\]")

    def test_less_able(self):
        server = self.serve(uidplus=False, multiappend=False, literal_plus=None, uidnext=False)
        client = self.login(server)
        words = client.capability()[1][0]
        for word in b"UIDPLUS", b"MULTIAPPEND", b"LITERAL":
            self.assertNotIn(word, words)
        client.append("INBOX", None, None, MESSAGE)
        self.assertEqual(readback.account(client).boxes["INBOX"].uidnext, None)
        self.assertNotIn("APPENDUID", client.untagged_responses)

    def test_literal_minus(self):
        server = self.serve(literal_plus="-")
        client = self.login(server)
        self.send_append(client)
        self.assertIn(b"t1 OK", self.answer(client))
        client.send(b"t2 APPEND INBOX {5000+}\r\n")
        self.assertIn(b"* BYE", client.readline())

    def test_refusals(self):
        server = self.serve(
            Fault("APPEND", 2, text="NO [OVERQUOTA] full"),
            Fault("APPEND", 1, match="poison", text="NO [LIMIT] not this one", times=0),
            Fault("APPEND", 5, text="BAD what"),
            appendlimit=500,
        )
        client = self.login(server)
        self.assertEqual(client.append("INBOX", None, None, MESSAGE)[0], "OK")
        self.assertIn(b"OVERQUOTA", client.append("INBOX", None, None, MESSAGE)[1][0])
        self.assertIn(b"LIMIT", client.append("INBOX", None, None, b"Subject: poison\r\n\r\n")[1][0])
        self.assertIn(b"TRYCREATE", client.append("nowhere", None, None, MESSAGE)[1][0])
        self.assertIn(b"TOOBIG", client.append("INBOX", None, None, MESSAGE * 50)[1][0])
        self.assertEqual(client.append("INBOX", None, None, MESSAGE)[0], "OK")
        with self.assertRaises(imaplib.IMAP4.error):
            client.append("INBOX", None, None, MESSAGE)
        self.assertEqual(self.stored(server), 2)

    def test_quota(self):
        client = self.login(self.serve(quota=3 * len(MESSAGE)))
        self.send_append(client, 3)
        self.assertIn(b"OK", self.answer(client))
        self.send_append(client, 1)
        self.assertIn(b"OVERQUOTA", self.answer(client))

    def cut(self, fault, expected):
        server = self.serve(fault)
        client = self.login(server)
        with self.assertRaises(BROKEN):
            self.send_append(client, 2)
            self.answer(client)
        self.assertEqual(self.stored(server), expected)
        return server

    def test_cut_in_literal(self):
        self.cut(Fault("APPEND", at="literal", bytes=5, do="cut"), 0)

    def test_bye_in_literal(self):
        server = self.serve(Fault("APPEND", at="literal", bytes=5, do="bye", text="[UNAVAILABLE] going"))
        client = self.login(server)
        self.send_append(client)
        self.assertIn(b"* BYE [UNAVAILABLE]", client.readline())
        self.assertEqual(client.readline(), b"")
        self.assertEqual(self.stored(server), 0)

    def test_cut_not_stored(self):
        self.cut(Fault("APPEND", do="cut"), 0)

    def test_cut_stored(self):
        self.cut(Fault("APPEND", at="answer", do="cut"), 2)

    def test_stored_late(self):
        server = self.cut(Fault("APPEND", do="late", seconds=0.3), 0)
        server.settle()
        self.assertEqual(self.stored(server), 2)

    def test_stored_but_refused(self):
        server = self.serve(Fault("APPEND", at="answer", text="NO sorry"))
        self.assertEqual(self.login(server).append("INBOX", None, None, MESSAGE)[0], "NO")
        self.assertEqual(self.stored(server), 1)

    def test_hang(self):
        for at in "command", "answer", "literal", "+":
            with self.subTest(at=at):
                client = self.login(self.serve(Fault("APPEND", at=at, do="hang")))
                client.socket().settimeout(0.3)
                with self.assertRaises(TimeoutError):
                    client.append("INBOX", None, None, MESSAGE)
        with self.assertRaises(TimeoutError):
            server = self.serve(Fault("greeting", do="hang"))
            imaplib.IMAP4(server.host, server.port, timeout=0.3)

    def test_drip(self):
        client = self.login(self.serve(Fault("NOOP", do="drip", seconds=0.02)))
        begin = time.monotonic()
        client.noop()
        self.assertGreater(time.monotonic() - begin, 0.2)

    def test_login_kinds(self):
        server = self.serve()
        self.login(server, "user2*admin", "adminsecret").logout()
        client = imaplib.IMAP4(server.host, server.port, timeout=10)
        client.authenticate("PLAIN", lambda unused: b"user1\0admin\0adminsecret")
        client.logout()
        for user, password in (("user1", "x"), ("nobody*admin", "adminsecret"), ("user1*user2", "secret")):
            with self.assertRaises(imaplib.IMAP4.error):
                self.login(server, user, password)

    def test_starttls(self):
        ca = tls.authority()
        server = self.serve(starttls=ca.server_context(), login_disabled=True)
        client = imaplib.IMAP4("localhost", server.port, timeout=10)
        self.assertIn("STARTTLS", client.capabilities)
        with self.assertRaises(imaplib.IMAP4.error):
            client.login("user1", "secret")
        client = imaplib.IMAP4("localhost", server.port, timeout=10)
        client.starttls(ca.client_context())
        client.login("user1", "secret")
        stripped = self.serve()
        client = imaplib.IMAP4("localhost", stripped.port, timeout=10)
        self.assertNotIn("STARTTLS", client.capabilities)
        injected = self.serve(starttls=ca.server_context(), starttls_inject=b"* CAPABILITY IMAP4rev1\r\n")
        client = imaplib.IMAP4("localhost", injected.port, timeout=10)
        client.send(b"s STARTTLS\r\n")
        self.assertIn(b"s OK", client.readline())
        self.assertIn(b"* CAPABILITY", client.readline())
        implicit = self.serve(implicit_tls=ca.server_context("expired"))
        with self.assertRaises(ssl.SSLCertVerificationError):
            imaplib.IMAP4_SSL("localhost", implicit.port, ssl_context=ca.client_context(), timeout=10)

    def test_crash_scripts_send_something(self):
        for name, (settings, faults) in crashes().items():
            with self.subTest(name=name):
                server = self.serve(*faults, **settings)
                with socket.create_connection((server.host, server.port), timeout=10) as s:
                    s.sendall(
                        b"a CAPABILITY\r\nb LOGIN user1 secret\r\nc NAMESPACE\r\nd LIST \"\" \"*\"\r\n"
                        b"e SELECT INBOX\r\nf NOOP\r\ng APPEND INBOX {3}\r\n"
                    )
                    data = b""
                    s.settimeout(0.3)
                    try:
                        while part := s.recv(1 << 16):
                            data += part
                    except OSError:
                        pass
                self.assertGreater(len(data), 20)
