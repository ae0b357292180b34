"""Folder names of every kind into servers that each refuse other ones.

Every mailbox arrives under a name of its own, the same in every pass, and from
that name its path can be told: that is computed here, not asked of mailhaul.
"""

import hashlib
import os
import re
import unittest

import readback
from haul import DONE, Haul
from imap_server import FakeServer, Message
from proxy import Proxy
from servers import Cyrus, Dovecot

DEEP = tuple(f"l{n}" for n in range(40))

PATHS = [
    ("a b",),
    (" blank",),
    ("blank ",),
    ("two  blanks",),
    (" ",),
    ("no\u00a0break",),
    ('quo"te"',),
    ("back\\slash",),
    ("apos'trophe",),
    ("R&D",),
    ("&",),
    ("&-",),
    ("&AOk-",),
    ("Entwürfe", "Gelöschte Objekte"),
    ("é",),
    ("e\u0301",),  # the same to the eye
    ("中文", "日本語"),
    ("😀",),
    ("Ünï.cödé",),
    ("a.b",),
    ("x.y", "z.w"),
    ("a", "b"),
    ("dot.",),
    ("~tilde",),
    ("x", "~tilde"),
    ("~",),
    ("100%",),
    ("%",),
    ("star*",),
    ("*",),
    ("(paren)",),
    ("[bracket]",),
    ("{3}",),
    ("{3+}",),
    ("#hash",),
    ("$dollar",),
    ("!",),
    ("semi;colon",),
    ("<x>",),
    ("`tick`",),
    ("^caret",),
    ("|pipe",),
    ("=3D",),
    ("a=41",),
    ("a=",),
    ("a=b=c",),
    ("?",),
    ("@",),
    ("Case",),
    ("case",),
    ("CASE",),
    ("case", "x"),
    ("Case", "X"),
    ("inbox",),
    ("Inbox", "x"),
    ("INBOX", "child"),
    ("INBOX", "INBOX"),
    ("NIL",),
    ("nil", "NIL"),
    ("Shared Folders",),
    ("Other Users", "x"),
    ("user",),
    ("DELETED",),
    ("Trash",),
    ("dovecot.index",),
    ("subscriptions",),
    ("dovecot-uidlist",),
    ("v" * 120,),
    DEEP,
]


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


def body(path):
    return f"Subject: {path!r}\n\nIn {'/'.join(path)}\n".encode()


class Common:
    """settings of the server; prefix of its personal namespace, its separator."""

    settings = {}
    prefix, separator = "", "."

    @classmethod
    def setUpClass(cls):
        cls.server = cls.kind(USERS=4, **cls.settings)
        cls.addClassCleanup(cls.server.destroy)
        cls.server.start()

    def setUp(self):
        self.haul = Haul()
        self.addCleanup(self.haul.destroy)

    def check(self, source, paths, user, message, skip=()):
        proxy = Proxy(self.server.host, self.server.imap_port).start()
        self.addCleanup(proxy.stop)
        target = self.haul.user(self.server, user, tls="none", port=proxy.port)
        run = self.haul.copy(source, target)
        self.assertEqual(run.code, DONE, run)
        client = self.server.login(user)
        account = readback.account(client)
        client.logout()
        wanted = {path: message(path) for path in paths}
        self.assertEqual(run.totals["copied"], len(wanted), run)
        there = {}
        for name, box in account.boxes.items():
            if not box.messages:
                continue
            (one,) = box.messages
            there[name] = one.digest
        self.assertEqual(len(set(there.values())), len(there))
        names = {digest: name for name, digest in there.items()}
        self.assertEqual(set(names), set(wanted.values()))
        bad = []
        for path, digest in wanted.items():
            if undo(names[digest], self.prefix, self.separator) != path:
                bad.append((path, names[digest]))
        self.assertEqual(bad, [])
        # the report says where it is, in the server's own spelling
        told = {}
        for box in run.report["accounts"][0]["mailboxes"]:
            told[readback.decode_name(box["target_name"].encode())] = box["totals"]["copied"]
        self.assertEqual({name for name, n in told.items() if n}, set(there))
        # whoever got another name is told
        renamed = {i["where"] for i in run.report["issues"] if i["kind"] == "renamed"}
        for path, digest in wanted.items():
            plain = path == ("INBOX",) or names[digest] == self.prefix + self.separator.join(path)
            inbox = path[0] == "INBOX" and names[digest] == "INBOX" + self.separator + self.separator.join(path[1:])
            shown = [b["name"] for b in run.report["accounts"][0]["mailboxes"] if readback.decode_name(b["target_name"].encode()) == names[digest]]
            if not plain and not inbox and path not in skip:
                self.assertTrue(set(shown) & renamed, (path, names[digest], renamed))
        # again, and again with a lost state: the same names
        for state in None, self.haul.path("lost.db"):
            proxy.reset()
            again = self.haul.copy(source, target, state=state)
            self.assertEqual((again.code, again.totals["copied"] + again.totals["present"]), (DONE, len(wanted)), again)
            self.assertEqual((proxy.commands["APPEND"], proxy.commands["CREATE"]), (0, 0), again)
        client = self.server.login(user)
        self.assertEqual(set(readback.account(client, bodies=False).boxes), set(account.boxes))
        client.logout()

    def test_tree(self):
        """Directories below a Maildir with layout=fs."""
        root = self.haul.path("src")
        for path in [()] + PATHS:
            folder = os.path.join(root, *path)
            for sub in "cur", "new", "tmp":
                os.makedirs(os.path.join(folder, sub))
            with open(os.path.join(folder, "cur", "1600000000.1.x:2,"), "wb") as f:
                f.write(body(path or ("INBOX",)))
        source = f"maildir:{root}?layout=fs"
        self.check(source, PATHS + [("INBOX",)], "user1", lambda p: digest(body(p)))

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
                self.check(uri, paths, user, lambda p: digest(body(p)))
            if os.path.exists(self.haul.path("lost.db")):
                os.unlink(self.haul.path("lost.db"))


def digest(data):
    return hashlib.sha256(data.replace(b"\n", b"\r\n")).hexdigest()


class TestDovecotDots(Common, unittest.TestCase):
    """Maildir++ as it is by default."""

    kind = Dovecot


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


if __name__ == "__main__":
    unittest.main()
