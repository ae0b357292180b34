"""The fixtures themselves: can the other suites rely on them?"""

import imaplib
import os
import ssl
import time
import unittest

import readback
import tls
from servers import Cyrus, Dovecot

MESSAGE = b"From: a@example.org\r\nSubject: one\r\n\r\nHello\r\n"
DATE = '"17-Jul-2009 02:44:25 -0700"'


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Common:
    """Tests that run on both servers."""

    @classmethod
    def setUpClass(cls):
        cls.server = cls.kind()
        cls.addClassCleanup(cls.server.destroy)
        cls.server.start()

    def test_append_and_read_back(self):
        client = self.server.login("user1")
        self.addCleanup(client.logout)
        client.create(readback.quote(self.sub + "Entwürfe & Co"))
        client.append("INBOX", r"(\Seen $Label1)", DATE, MESSAGE)
        client.append(readback.quote(self.sub + "Entwürfe & Co"), r"(\Flagged)", DATE, MESSAGE * 2)
        account = readback.account(client)
        (message,) = account.boxes["INBOX"].messages
        self.assertEqual(message.flags, {"\\seen"})
        self.assertEqual(message.keywords, {"$Label1"})
        self.assertEqual(message.date, 1247823865)
        self.assertEqual(message.size, len(MESSAGE))
        client.select("INBOX", readonly=True)
        self.assertEqual(readback.content(client, message.uid), MESSAGE)
        client.unselect()
        (message,) = account.boxes[self.sub + "Entwürfe & Co"].messages
        self.assertEqual(message.flags, {"\\flagged"})
        self.assertEqual(account.boxes["INBOX"].uidnext, 2)
        self.assertGreater(account.boxes["INBOX"].uidvalidity, 0)

    def test_tls_is_verified(self):
        for security in "starttls", "implicit":
            for host in "localhost", "127.0.0.1":
                with self.subTest(security=security, host=host):
                    client = self.server.connect(security, host)
                    client.login("user2", self.server.password)
                    client.logout()

    def test_admin_acts_for_user(self):
        client = self.server.login_as("user2", security="starttls")
        self.assertEqual(client.select("INBOX")[0], "OK")
        client.logout()

    def test_wrong_password(self):
        with self.assertRaises(imaplib.IMAP4.error):
            self.server.login("user1", "wrong")

    def test_kill_one_session(self):
        one, two = self.server.login("user3"), self.server.login("user4")
        one.select("INBOX")
        self.assertEqual(len(self.server.sessions("user3")), 1)
        self.assertIsNotNone(self.server.kill_session("user3"))
        with self.assertRaises((imaplib.IMAP4.abort, OSError)):
            one.noop()
        self.assertEqual(two.noop()[0], "OK")
        two.logout()

    def test_log(self):
        self.server.login("user4").logout()
        self.assertIn("user4", self.server.log())

    def test_stop_and_start(self):
        with self.kind() as server:
            client = server.login("user1")
            client.append("INBOX", None, None, MESSAGE)
            pids = server.pids()
            self.assertGreaterEqual(len(pids), 2)
            port = server.imap_port
            server.stop()
            self.assertEqual([p for p in pids if alive(p)], [])
            self.assertEqual(server.pids(), [])
            begin = time.monotonic()
            server.start()
            self.assertLess(time.monotonic() - begin, 5)
            self.assertEqual(server.imap_port, port)
            client = server.login("user1")
            self.assertEqual(client.select("INBOX")[1], [b"1"])
            client.logout()
            directory = server.directory
        self.assertFalse(os.path.exists(directory))

    def test_bad_certificates(self):
        for kind in "expired", "wronghost", "unknown":
            with self.subTest(kind=kind), self.kind(_MAILHAUL_TEST_CERT=kind, USERS=1) as server:
                for security in "starttls", "implicit":
                    with self.assertRaises(ssl.SSLCertVerificationError):
                        server.connect(security)


class TestDovecot(Common, unittest.TestCase):
    kind = Dovecot
    sub = ""

    def test_special_use(self):
        client = self.server.login("user2")
        for name in "Sent", "Junk":
            client.create(name)
        account = readback.account(client)
        client.logout()
        self.assertEqual(account.boxes["Sent"].special_use, {"\\sent"})
        self.assertEqual(account.boxes["Junk"].special_use, {"\\junk"})

    def test_master(self):
        client = self.server.login_master("user1", "implicit")
        self.assertEqual(client.select("INBOX")[0], "OK")
        client.logout()

    def test_formats_and_namespace(self):
        for mail in "mdbox", "sdbox", "mbox":
            with self.subTest(mail=mail), Dovecot(FORMAT=mail, USERS="a b", PREFIX="INBOX.", SEPARATOR=".") as server:
                client = server.login("b")
                client.append("INBOX", None, None, MESSAGE)
                client.create("INBOX.x.y")
                self.assertIn("INBOX.x.y", readback.account(client).boxes)
                client.logout()

    def test_quota_and_connection_limit(self):
        with Dovecot(QUOTA="storage=10k", MAXCONN=1) as server:
            client = server.login("user1")
            answer = client.append("INBOX", None, None, MESSAGE + b"x" * 20000)
            self.assertEqual(answer[0], "NO")
            self.assertIn(b"OVERQUOTA", answer[1][0])
            with self.assertRaisesRegex(imaplib.IMAP4.error, "Maximum number of connections"):
                server.login("user1")
            client.logout()

    def test_doveadm_and_new_user(self):
        self.server.add_user("late")
        self.server.login("late").logout()
        self.assertIn(b"late", self.server.doveadm("user", "late"))

    def test_uidlist_lock_holds_a_commit_back(self):
        client = self.server.login("user4")
        client.append("INBOX", None, None, MESSAGE)
        release = self.server.lock_uidlist("user4")
        client.send(b"x APPEND INBOX {%d+}\r\n%s\r\n" % (len(MESSAGE), MESSAGE))
        client.socket().settimeout(1)
        with self.assertRaises(TimeoutError):
            client.socket().recv(1)
        release()
        client.socket().settimeout(10)
        self.assertIn(b"x OK", client.socket().recv(1000))
        client.shutdown()


class TestCyrus(Common, unittest.TestCase):
    kind = Cyrus
    sub = "INBOX/"

    def test_proxy_acts_for_user(self):
        client = self.server.login_as("user2", self.server.proxy)
        self.assertEqual(client.select("INBOX")[0], "OK")
        client.logout()

    def test_create_user_with_quota(self):
        self.server.create_user("first.last", quota_kib=1)
        client = self.server.login_as("first.last")
        answer = client.append("INBOX", None, None, MESSAGE + b"x" * 2000 + b"\r\n")
        self.assertEqual(answer[0], "NO", answer)
        client.logout()
        self.server.delete_user("first.last")
        client = self.server.login_as("first.last")
        self.assertEqual(client.select("INBOX")[0], "NO")
        client.logout()

    def test_special_use(self):
        client = self.server.login("user2")
        client.xatom("CREATE", '"INBOX/Sent"', r"(USE (\Sent))")
        account = readback.account(client)
        client.logout()
        self.assertEqual(account.boxes["INBOX/Sent"].special_use, {"\\sent"})

    def test_header_bytes_are_munged(self):
        client = self.server.login("user3")
        client.append("INBOX", None, None, b"Subject: \xfc\r\n\r\n\xfc\r\n")
        client.select("INBOX")
        self.assertEqual(readback.content(client, 1), b"Subject: X\r\n\r\n\xfc\r\n")
        client.logout()

    def test_settings_and_tools(self):
        with Cyrus(ALTNAMESPACE="yes", EXTRA="munge8bit: no\nreject8bit: no", PARTITIONS="default fast", CREATE="no") as server:
            server.create_user("user1", partition="fast")
            client = server.login("user1")
            client.create("Sent")
            client.append("Sent", None, None, b"Subject: \xfc\r\n\r\n\r\n")
            client.select("Sent")
            self.assertIn(b"\xfc", readback.content(client, 1))
            client.logout()
            self.assertIn(b"/spool/fast/", server.tool("mbpath", "user/user1"))
            self.assertEqual(server.login("user2").select("INBOX")[0], "NO")


class TestAuthority(unittest.TestCase):
    def test_pin(self):
        self.assertEqual(len(tls.authority().pin), 64)
