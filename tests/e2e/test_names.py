"""Folder names of every kind into servers that each refuse other ones.

Every mailbox arrives under a name of its own, the same in every pass, and from
that name its path can be told: that is computed here, not asked of mailhaul.
"""

import os
import re
import unittest

import readback
from haul import DONE, Haul
from imap_server import FakeServer, Message
from names import PATHS, body, digest, write_tree
from proxy import Proxy
from servers import Cyrus, Dovecot

def undo(name, prefix, separator):
    """The path of a target's name (decoded from modified UTF-7)."""
    if name.upper() == "INBOX":
        return ("INBOX",)
    if prefix and name.startswith(prefix):
        name = name[len(prefix) :]
    levels = []
    for level in name.split(separator):
        data = re.sub(rb"=([0-9A-F]{2})", lambda m: bytes([int(m.group(1), 16)]), level.encode())
        levels.append("" if level == "=00" else data.decode())
    return tuple(levels)


class Common:
    """settings of the server; prefix of its personal namespace, its separator."""

    settings = {}
    prefix, separator = "", "."

    @classmethod
    def setUpClass(cls):
        cls.server = cls.kind(USERS=4, **cls.settings)
        cls.addClassCleanup(cls.server.destroy)
        cls.server.start()
        cls.create_users()

    @classmethod
    def create_users(cls):
        pass

    def setUp(self):
        self.haul = Haul()
        self.addCleanup(self.haul.destroy)

    def check(self, source, paths, user):
        proxy = Proxy(self.server.host, self.server.imap_port).start()
        self.addCleanup(proxy.stop)
        target = self.haul.user(self.server, user, tls="none", port=proxy.port)
        run = self.haul.copy(source, target, "--settle", "1")
        self.assertEqual(run.code, DONE, run)
        client = self.server.login(user)
        account = readback.account(client)
        client.logout()
        wanted = {path: digest(body(path)) for path in paths}
        self.assertEqual(run.totals["copied"], len(wanted), run)
        there = {}
        for name, box in account.boxes.items():
            if not box.messages:
                continue
            (one,) = box.messages
            there[name] = one.digest
        self.assertEqual(len(set(there.values())), len(there))
        names = {sha: name for name, sha in there.items()}
        self.assertEqual(set(names), set(wanted.values()))
        bad = []
        for path, sha in wanted.items():
            if undo(names[sha], self.prefix, self.separator) != path:
                bad.append((path, names[sha]))
        self.assertEqual(bad, [])
        # the report says where it is, in the server's own spelling
        told = {}
        for box in run.report["accounts"][0]["mailboxes"]:
            told[readback.decode_name(box["target_name"].encode())] = box["totals"]["copied"]
        self.assertEqual({name for name, n in told.items() if n}, set(there))
        # whoever got another name is told
        renamed = {i["where"] for i in run.report["issues"] if i["kind"] == "renamed"}
        for path, sha in wanted.items():
            plain = path == ("INBOX",) or names[sha] == self.prefix + self.separator.join(path)
            inbox = path[0] == "INBOX" and names[sha] == "INBOX" + self.separator + self.separator.join(path[1:])
            shown = [b["name"] for b in run.report["accounts"][0]["mailboxes"] if readback.decode_name(b["target_name"].encode()) == names[sha]]
            if not plain and not inbox:
                self.assertTrue(set(shown) & renamed, (path, names[sha], renamed))
        # again, and again with a lost state: the same names
        for state in None, self.haul.path("lost.db"):
            proxy.reset()
            again = self.haul.copy(source, target, "--settle", "1", state=state)
            self.assertEqual((again.code, again.totals["copied"] + again.totals["present"]), (DONE, len(wanted)), again)
            self.assertEqual((proxy.commands["APPEND"], proxy.commands["CREATE"]), (0, 0), again)
        client = self.server.login(user)
        self.assertEqual(set(readback.account(client, bodies=False).boxes), set(account.boxes))
        client.logout()

    def test_tree(self):
        """Directories below a Maildir with layout=fs, as Dovecot names them."""
        source = write_tree(self.haul.path("src"), [("INBOX",)] + PATHS, lambda level: readback.encode_name(level).decode())
        self.check(source, [("INBOX",)] + PATHS, "user1")

    def test_from_imap(self):
        """Levels with a slash, a dot, and both, from servers that divide levels by the other."""
        for user, separator, paths in (
            ("user2", ".", [("a/b",), ("a", "b"), ("/",), ("c/d/e", "f/"), ("//",), ("ü/中",), ("=2F",)]),
            ("user3", "/", [("a.b",), ("a", "b"), (".",), ("..",), (".a",), ("a.",), ("c.d.e", "f."), ("...", "x"), ("中.ü",)]),
        ):
            source = FakeServer(separator=separator, namespace=f'(("" "{separator}")) NIL NIL').start()
            self.addCleanup(source.stop)
            paths = [("INBOX",)] + paths
            with source.lock:
                account = source.account("user1")
                for path in paths:
                    name = separator.join(readback.encode_name(level).decode() for level in path)
                    box = account.boxes.get(name) or account.create(name)
                    box.messages.append(Message(1, set(), 1_000_000_000, body(path).replace(b"\n", b"\r\n")))
                    box.uidnext = 2
            uri = f"imap://user1@127.0.0.1:{source.port}?tls=none&secret-file={self.haul.secret()}"
            self.haul.state = self.haul.path(user + ".db")
            with self.subTest(separator=separator):
                self.check(uri, paths, user)
            if os.path.exists(self.haul.path("lost.db")):
                os.unlink(self.haul.path("lost.db"))


class TestDovecotDots(Common, unittest.TestCase):
    """Maildir++ as it is by default."""

    kind = Dovecot

    def test_utf8_tree(self):
        paths = [("INBOX",), ("Entwürfe", "中文"), ("é",), ("e\u0301",), ("R&D",), ("a.b",), ("😀",)]
        self.check(write_tree(self.haul.path("src"), paths, str), paths, "user4")


class TestDovecotOddities(unittest.TestCase):
    def everything_arrives(self, paths):
        with Dovecot(USERS=1) as server, Haul() as haul:
            source = write_tree(haul.path("src"), paths, str)
            run = haul.copy(source, haul.user(server, "user1"), "--settle", "1")
            self.assertEqual((run.code, run.totals["copied"]), (DONE, len(paths)), run)
            client = server.login("user1")
            account = readback.account(client)
            client.logout()
            there = [m.digest for box in account.boxes.values() for m in box.messages]
            self.assertEqual(sorted(there), sorted(digest(body(p)) for p in paths))
            self.assertTrue(all(len(box.messages) <= 1 for box in account.boxes.values()))

    def test_two_codings(self):
        """Modified UTF-7 and UTF-8 in one Maildir, one name that is another's spelling."""
        self.everything_arrives([("INBOX",), ("é",), ("&AOk-",), ("&",), ("&-",), ("&-", "x"), ("&", "x")])

    def test_beside_inbox(self):
        self.everything_arrives([("INBOX",), ("inbox",), ("Inbox", "x"), ("INBOX", "x")])

    def test_no_coding_at_all(self):
        """Bytes that are no UTF-8, and no modified UTF-7."""
        names = [("INBOX",)] + [(os.fsdecode(n),) for n in (b"latin\xe9", b"latin=E9", b"&bad", b"&AOk", b"\xff\xfe", b"new\nline")]
        with Dovecot(USERS=1) as server, Haul() as haul:
            source = write_tree(haul.path("src"), names, str)
            run = haul.copy(source, haul.user(server, "user1"), "--settle", "1")
            self.assertEqual((run.code, run.totals["copied"]), (DONE, len(names)), run)
            client = server.login("user1")
            self.assertEqual(readback.account(client).total(), len(names))
            self.assertEqual(len(readback.account(client).boxes), len(names))
            client.logout()


class TestDovecotSlashes(Common, unittest.TestCase):
    """Maildir++ on disk, slashes over IMAP: still no dot inside a level."""

    kind = Dovecot
    settings = {"SEPARATOR": "/"}
    separator = "/"


class TestDovecotPrefix(Common, unittest.TestCase):
    """As Courier had it."""

    kind = Dovecot
    settings = {"SEPARATOR": ".", "PREFIX": "INBOX."}
    prefix = "INBOX."


class TestDovecotFs(Common, unittest.TestCase):
    """Directories: slashes, and names that Dovecot keeps for itself."""

    kind = Dovecot
    settings = {"FORMAT": "maildir:~/mail:LAYOUT=fs"}
    separator = "/"


class TestDovecotMdbox(Common, unittest.TestCase):
    kind = Dovecot
    settings = {"FORMAT": "mdbox"}
    separator = "/"


class TestCyrus(Common, unittest.TestCase):
    kind = Cyrus
    prefix, separator = "INBOX/", "/"


class TestCyrusAlternative(Common, unittest.TestCase):
    kind = Cyrus
    settings = {"ALTNAMESPACE": "yes"}
    separator = "/"


class TestCyrusDots(Common, unittest.TestCase):
    kind = Cyrus
    settings = {"UNIXSEP": "no"}
    prefix, separator = "INBOX.", "."

    @classmethod
    def create_users(cls):
        admin = cls.server.admin_login()
        for user in cls.server.users:
            admin.create(f"user.{user}")
        admin.logout()


if __name__ == "__main__":
    unittest.main()
