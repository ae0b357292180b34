"""TLS: whom mailhaul talks to is proved before anything secret is said."""

import base64
import hashlib
import ssl
import subprocess
import unittest

import mail
import tls
from haul import ACCOUNTS, AGAIN, DONE, Haul
from imap_server import FakeServer, Fault
from servers import Cyrus, Dovecot

SECRET = "secret"


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.ca = tls.authority()

    def setUp(self):
        self.haul = Haul()
        self.addCleanup(self.haul.destroy)
        mail.write_maildir(self.haul.path("src"), {"INBOX": 3}, mean=200)

    def serve(self, *faults, **settings):
        server = FakeServer(faults, **settings).start()
        self.addCleanup(server.stop)
        return server

    def copy(self, port, host="127.0.0.1", scheme="imap", *args, **options):
        self.runs = getattr(self, "runs", 0) + 1
        words = {"secret-file": self.haul.secret(SECRET), "ca": self.ca.ca, **options}
        query = "&".join(f"{k.replace('_', '-')}={v}" for k, v in words.items() if v is not None)
        uri = f"{scheme}://user1@{host}:{port}?{query}"
        state = self.haul.path(f"S{self.runs}.db")
        return self.haul.copy("maildir:" + self.haul.path("src"), uri, "--settle", "1", *args, state=state)

    def works(self, server, run):
        self.assertEqual(run.code, DONE, run)
        stored = server.contents("user1")["INBOX"]
        self.assertEqual(sum(stored.values()), 3)
        server.accounts.clear()

    def refused(self, server, run, *words):
        """It ends with 2 and those words; nothing about us has been said."""
        self.assertEqual(run.code, ACCOUNTS, run)
        for word in words:
            self.assertIn(word, run.err, run)
        self.silent(server)
        # one try an account is enough: it will not get better
        self.assertLessEqual(server.connections, 2)

    def silent(self, server):
        told = "\n".join(line for _, line in server.log)
        for word in SECRET, base64.b64encode(b"\0user1\0secret").decode().rstrip("="), "user1", "LOGIN", "AUTHENTICATE":
            self.assertNotIn(word, told)
        self.assertEqual(server.accounts, {})


class TestCertificates(Case):
    def both(self, kind):
        """A server with that certificate for each way to begin."""
        context = self.ca.server_context(kind)
        yield "imap", self.serve(starttls=context)
        yield "imaps", self.serve(implicit_tls=context)

    def test_good(self):
        for host in "127.0.0.1", "localhost":
            for scheme, server in self.both("good"):
                with self.subTest(scheme=scheme, host=host):
                    self.works(server, self.copy(server.port, host, scheme))

    def test_starttls_over_plain_words(self):
        """tls= may be said; imaps means implicit."""
        server = self.serve(starttls=self.ca.server_context())
        self.works(server, self.copy(server.port, tls="starttls"))
        server = self.serve(implicit_tls=self.ca.server_context())
        self.works(server, self.copy(server.port, tls="implicit"))

    def test_refused(self):
        for kind, host, word in (
            ("expired", "127.0.0.1", "expired"),
            ("wronghost", "127.0.0.1", "elsewhere.example"),
            ("wronghost", "localhost", "elsewhere.example"),
            ("unknown", "127.0.0.1", "not accepted"),
        ):
            for scheme, server in self.both(kind):
                with self.subTest(kind=kind, scheme=scheme, host=host):
                    self.refused(server, self.copy(server.port, host, scheme), "certificate", word)

    def test_authority_of_the_system(self):
        """Without ca= a private authority is an unknown one."""
        for scheme, server in self.both("good"):
            with self.subTest(scheme=scheme):
                self.refused(server, self.copy(server.port, scheme=scheme, ca=None), "certificate", "ca=FILE")

    def test_not_verified(self):
        for kind in "expired", "wronghost", "unknown":
            for scheme, server in self.both(kind):
                with self.subTest(kind=kind, scheme=scheme):
                    self.works(server, self.copy(server.port, scheme=scheme, ca=None, verify="no"))

    def test_pin(self):
        self.assertEqual(self.pin_of("good"), self.ca.pin)
        colons = ":".join(self.ca.pin[i : i + 2] for i in range(0, 64, 2)).upper()
        other = self.pin_of("expired")
        for scheme, server in self.both("good"):
            with self.subTest(scheme=scheme):
                self.works(server, self.copy(server.port, scheme=scheme, ca=None, pin=self.ca.pin))
                self.works(server, self.copy(server.port, scheme=scheme, ca=None, pin="sha256:" + colons))
                self.works(server, self.copy(server.port, scheme=scheme, pin=self.ca.pin))
                server.log.clear()
                server.connections = 0
                # what it really is stands in the message
                self.refused(server, self.copy(server.port, scheme=scheme, ca=None, pin=other), "pinned", self.ca.pin)
                server.connections = 0
                self.refused(server, self.copy(server.port, scheme=scheme, pin=other), "pinned")
                server.connections = 0
                self.refused(server, self.copy(server.port, scheme=scheme, ca=None, verify="no", pin=other), "pinned")
        # a pin replaces chain and name, unless there is an authority too
        for kind in "expired", "wronghost", "unknown":
            pin = self.pin_of(kind)
            for scheme, server in self.both(kind):
                with self.subTest(kind=kind, scheme=scheme):
                    self.works(server, self.copy(server.port, scheme=scheme, ca=None, pin=pin))
                    server.log.clear()
                    server.connections = 0
                    self.refused(server, self.copy(server.port, scheme=scheme, pin=pin), "certificate")

    def pin_of(self, kind):
        der = subprocess.run(
            ["openssl", "x509", "-in", self.ca.cert(kind), "-outform", "DER"], check=True, stdout=subprocess.PIPE
        ).stdout
        return hashlib.sha256(der).hexdigest()

    def test_client_certificate(self):
        context = self.ca.server_context()
        context.load_verify_locations(self.ca.ca)
        context.verify_mode = ssl.CERT_REQUIRED
        server = self.serve(implicit_tls=context)
        run = self.copy(server.port, "127.0.0.1", "imaps", "--patience", "2")
        self.refused(server, run, "certificate required")
        self.works(server, self.copy(server.port, scheme="imaps", cert=self.ca.cert("client"), key=self.ca.key("client")))

    def test_old_version(self):
        context = self.ca.server_context()
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.maximum_version = ssl.TLSVersion.TLSv1_1
        server = self.serve(implicit_tls=context)
        run = self.copy(server.port, scheme="imaps")
        self.assertEqual(run.code, ACCOUNTS, run)
        self.silent(server)
        self.works(server, self.copy(server.port, scheme="imaps", tls_min="1.0"))
        # lowered it must still be the right server
        context = self.ca.server_context("unknown")
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.maximum_version = ssl.TLSVersion.TLSv1_1
        server = self.serve(implicit_tls=context)
        self.refused(server, self.copy(server.port, scheme="imaps", tls_min="1.0"), "certificate")


class TestStarttls(Case):
    def test_stripped(self):
        server = self.serve()  # offers none, and would take a login
        self.refused(server, self.copy(server.port), "STARTTLS", "tls=none")

    def test_none_must_be_said(self):
        server = self.serve()
        self.works(server, self.copy(server.port, tls="none", ca=None))

    def test_answer_is_no(self):
        for answer in "NO not today", "BAD what":
            server = self.serve(Fault("STARTTLS", do="answer", text=answer, times=0), starttls=self.ca.server_context())
            with self.subTest(answer=answer):
                self.refused(server, self.copy(server.port))

    def test_injected(self):
        """What came behind the OK in the clear is never read as if it were protected."""
        for text in (
            b"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n",
            b"* OK [ALERT] hello\r\n",
            b"m1 OK done\r\n",
            b"* BYE go away\r\n",
            b"x",
        ):
            with self.subTest(text=text):
                server = self.serve(starttls=self.ca.server_context(), starttls_inject=text)
                run = self.copy(server.port)
                self.assertEqual(run.code, ACCOUNTS, run)
                self.silent(server)

    def test_preauth(self):
        for security in "starttls", "none":
            server = self.serve(greeting="* PREAUTH welcome", starttls=self.ca.server_context())
            with self.subTest(security=security):
                run = self.copy(server.port, tls=security, ca=None if security == "none" else self.ca.ca)
                self.refused(server, run, "PREAUTH")

    def test_capabilities_are_asked_again(self):
        """LOGINDISABLED and the missing AUTH of before the handshake count no more."""
        server = self.serve(starttls=self.ca.server_context(), login_disabled=True)
        self.works(server, self.copy(server.port))

    def test_other_port(self):
        server = self.serve(starttls=self.ca.server_context())
        self.refused(server, self.copy(server.port, scheme="imaps"), "starttls")
        server = self.serve(implicit_tls=self.ca.server_context())
        run = self.copy(server.port, "127.0.0.1", "imap", "--patience", "1", timeout=1)
        self.assertIn(run.code, (ACCOUNTS, AGAIN), run)
        self.silent(server)


class TestRealServers(Case):
    def check(self, server, words, **options):
        for scheme, port in (("imap", server.imap_port), ("imaps", server.imaps_port)):
            with self.subTest(server=server.name, scheme=scheme):
                run = self.copy(port, scheme=scheme, **options)
                if words:
                    self.assertEqual(run.code, ACCOUNTS, run)
                    self.assertIn(words, run.err)
                    self.assertNotIn("user1", server.log())
                else:
                    self.assertEqual(run.code, DONE, run)

    def test_dovecot(self):
        for kind in "expired", "wronghost", "unknown":
            with Dovecot(_MAILHAUL_TEST_CERT=kind, USERS=1) as server:
                self.check(server, "certificate")
                self.check(server, None, ca=None, verify="no")

    def test_cyrus(self):
        for kind in "expired", "wronghost", "unknown":
            with Cyrus(_MAILHAUL_TEST_CERT=kind, USERS=1) as server:
                self.check(server, "certificate")
                self.check(server, None, ca=None, verify="no")


if __name__ == "__main__":
    unittest.main()
