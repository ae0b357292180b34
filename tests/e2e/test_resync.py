"""Later passes: flags and keywords that change at the source, while the target's
users change theirs, at real servers, looked at with imaplib."""

import os
import threading
import unittest

import haul
import readback
import trees
from haul import DONE, MISUSE, Haul
from proxy import Proxy
from servers import Cyrus, Dovecot

COUNT = 24


def body(n):
    return f"From: a@example.org\nSubject: number {n}\nMessage-ID: <{n}@example.org>\n\nmessage {n}\n".encode()


class Source:
    """A Maildir whose flags change as a mail program changes them."""

    def __init__(self, path):
        self.path = path
        self.box = trees.Box(uidvalidity=17)
        self.flags = {}

    def add(self, n, flags="", keywords=()):
        self.box.add(body(n), uid=n + 1, flags=flags, keywords=keywords, date=1_000_000_000 + n, base=f"{1_000_000_000 + n}.M{n}.example")
        self.flags[n] = (flags, tuple(keywords))

    def write(self):
        self.box.write(self.path)

    def set(self, n, flags="", keywords=()):
        letters = "".join(sorted(flags)) + "".join(sorted(chr(ord("a") + self.box.keywords.index(w)) for w in keywords))
        cur = os.path.join(self.path, "cur")
        (old,) = [f for f in os.listdir(cur) if f.startswith(f"{1_000_000_000 + n}.M{n}.example")]
        os.rename(os.path.join(cur, old), os.path.join(cur, old.split(":")[0] + ":2," + letters))

    def remove(self, n):
        cur = os.path.join(self.path, "cur")
        (old,) = [f for f in os.listdir(cur) if f.startswith(f"{1_000_000_000 + n}.M{n}.example")]
        os.unlink(os.path.join(cur, old))


LETTERS = {"S": r"\seen", "F": r"\flagged", "R": r"\answered", "D": r"\draft", "T": r"\deleted"}


class Common:
    by_protocol = False  # another one than IMAP

    @classmethod
    def setUpClass(cls):
        cls.server = cls.kind(USERS=8)
        cls.addClassCleanup(cls.server.destroy)
        cls.server.start()
        cls.last_user = 0

    def setUp(self):
        self.haul = Haul()
        self.addCleanup(self.haul.destroy)
        type(self).last_user += 1
        self.user = f"user{self.last_user}"
        self.source = Source(self.haul.path("src"))
        self.proxy = Proxy(self.server.host, self.server.imap_port).start()
        self.addCleanup(self.proxy.stop)
        self.target = self.haul.user(self.server, self.user, tls="none", port=self.proxy.port)

    def copy(self, *options):
        before = haul.tree(self.source.path)
        self.proxy.reset()
        run = self.haul.copy("maildir:" + self.source.path, self.target, *options)
        self.assertEqual(run.code, DONE, run)
        self.assertEqual(haul.tree(self.source.path), before)
        return run

    def names(self):
        client = self.server.login(self.user)
        try:
            return list(readback.listing(client)[0])
        finally:
            client.logout()

    def now(self, name="INBOX"):
        """{n: (flags, keywords)} at the target."""
        client = self.server.login(self.user)
        try:
            box = readback.box(client, name, bodies=False)
        finally:
            client.logout()
        return {m.date - 1_000_000_000: (set(m.flags), set(m.keywords)) for m in box.messages}

    def store(self, n, what, flags):
        """As the target's user."""
        client = self.server.login(self.user)
        try:
            client.select("INBOX")
            self.assertEqual(client.uid("STORE", str(n + 1), what, flags)[0], "OK")
        finally:
            client.logout()

    def check(self, expected, name="INBOX"):
        want = {n: ({LETTERS[f] for f in flags}, set(words)) for n, (flags, words) in expected.items()}
        self.assertEqual(self.now(name), want)

    def test_merged(self):
        for n in range(COUNT):
            self.source.add(n, "S" if n % 2 else "", ["work"] if n % 3 == 0 else ["todo"] if n == 1 else [])
        self.source.write()
        self.copy()
        expected = dict(self.source.flags)
        self.check(expected)
        # nothing changed: no session looks at the target's flags, none changes them
        self.copy()
        self.assertEqual((self.proxy.writes(), self.proxy.commands["FETCH"]), (0, 0), self.proxy.log)

        def both(n, flags, words):
            self.source.set(n, flags, words)
            expected[n] = (flags, words)

        for n in range(0, 12, 2):
            both(n, "S", expected[n][1])  # one group
        both(1, "", [])  # cleared, with its keyword
        both(3, "FRS", ["todo"])
        # the user's own
        self.store(5, "+FLAGS", r"(\Flagged own)")
        expected[5] = ("FS", ["own"])
        self.store(6, "+FLAGS", r"(\Answered)")
        expected[6] = ("RS", expected[6][1])
        self.store(8, "+FLAGS", r"(\Seen)")  # both, alike
        self.store(15, "-FLAGS", r"(\Seen)")
        expected[15] = ("", expected[15][1])
        self.copy()
        self.check(expected)
        self.assertLessEqual(self.proxy.commands["STORE"], 5, self.proxy.log)
        # as the target has changed its last ones are looked at; then, twice, those that
        # have changed, by their UIDs
        looks = [str(args) for _, _, name, args in self.proxy.log if name == "FETCH" and "FLAGS" in str(args)]
        self.assertEqual(len(looks), 0 if self.by_protocol else 3, self.proxy.log)
        if looks:
            self.assertTrue(looks.pop(0).startswith(f"{COUNT - 2}:{COUNT} "), self.proxy.log)
        self.assertFalse([args for args in looks if str(COUNT) in args.split("(")[0]], looks)
        self.assertEqual(self.proxy.messages, 0)
        # what the user cleared stays so, whatever else the source has
        both(15, "F", expected[15][1])
        self.source.set(15, "FS", expected[15][1])
        self.copy()
        self.check(expected)
        self.assertEqual([i for i in self.haul.report()["issues"] if i["kind"] == "conflict"], [])
        self.copy()
        self.assertEqual((self.proxy.writes(), self.proxy.commands["FETCH"]), (0, 0), self.proxy.log)

    def test_conflict(self):
        self.source.add(0, "")
        self.source.write()
        self.copy()
        self.store(0, "+FLAGS", r"(\Seen)")
        self.source.set(0, "F")
        self.copy()
        self.check({0: ("FS", [])})
        self.store(0, "-FLAGS", r"(\Seen)")
        self.source.set(0, "FS")
        self.copy()
        self.check({0: ("F", [])})
        (issue,) = [i for i in self.haul.report()["issues"] if i["kind"] == "conflict"]
        self.assertIn(r"\Seen", issue["reason"])
        self.copy()
        self.check({0: ("F", [])})

    def test_no_flag_sync(self):
        self.source.add(0, "")
        self.source.write()
        self.copy()
        self.source.set(0, "S")
        self.copy("--no-flag-sync")
        self.assertEqual(self.proxy.writes(), 0)
        self.check({0: ("", [])})
        self.copy()
        self.check({0: ("S", [])})

    def test_stages(self):
        self.source.add(0, "")
        self.source.write()
        self.copy()
        stage = lambda *words: self.haul.run("stage", "--state", self.haul.state, *words)
        for words in ["--only", "*"], ["--set", "released"], ["--set", "gone", "--only", "*"], ["--set", "new", "--only", "*"], ["--set", "frozen", "--only", "nobody"]:
            run = stage(*words)
            self.assertEqual(run.code, MISUSE, run)
        for name in "frozen", "released":
            run = stage("--set", name, "--only", "*")
            self.assertEqual(run.code, DONE, run)
            self.assertIn(f": {name}, was ", run.out)
            self.assertEqual(self.haul.report()["accounts"][0]["stage"], name)
            for command in "report", "status":
                self.assertIn(f"1 {name}", self.haul.run(command, "--state", self.haul.state).out)
        # its user deletes, the source changes: only what came late arrives
        client = self.server.login(self.user)
        client.select("INBOX")
        client.uid("STORE", "1", "+FLAGS", r"(\Deleted)")
        client.expunge()
        client.logout()
        self.source.set(0, "S")
        self.source.add(1, "F")
        self.source.write()
        self.copy()
        self.check({1: ("F", [])})
        self.copy("--restore-deleted")
        self.check({0: ("S", []), 1: ("F", [])})

    def test_deleted(self):
        for n in range(30):
            self.source.add(n, "S" if n % 2 else "", ["work"] if n % 3 == 0 else [])
        self.source.write()
        self.copy()
        expected = dict(self.source.flags)
        for n in 3, 4, 5, 8:
            self.source.remove(n)
        self.copy()
        self.check(expected)
        self.store(4, "+FLAGS", r"(\Answered)")
        expected[4] = ("R", expected[4][1])
        run = self.copy("--delete")
        gone = {n: expected.pop(n) for n in (3, 5, 8)}
        self.check(expected)
        (name,) = [n for n in self.names() if "mailhaul-removed" in n and n[-2:].isdigit()]
        self.check(gone, name)
        (kept,) = [i for i in run.report["issues"] if i["kind"] == "kept"]
        self.assertIn("changed at the target", kept["reason"])
        # for good, and no more than allowed
        for n in range(10, 14):
            self.source.remove(n)
        run = self.copy("--delete=expunge", "--delete-limit", "4")
        self.assertIn("--delete-limit", [i["reason"] for i in run.report["issues"] if i["where"] == "delete"][0])
        self.check(expected)
        self.copy("--delete=expunge")
        for n in range(10, 14):
            del expected[n]
        self.check(expected)
        self.check(gone, name)
        self.copy("--delete")
        self.copy("--delete")
        self.assertEqual(self.proxy.messages, 0)

    def test_users_at_work(self):
        """Somebody changes keywords of the same messages all the time."""
        for n in range(COUNT):
            self.source.add(n, "")
        self.source.write()
        self.copy()
        stop, trouble = threading.Event(), []

        def work():
            try:
                client = self.server.login(self.user)
                client.select("INBOX")
                while not stop.is_set():
                    for sign in "+-":
                        client.uid("STORE", f"1:{COUNT}", sign + "FLAGS.SILENT", "(busy)")
                client.uid("STORE", f"1:{COUNT // 2}", "+FLAGS.SILENT", r"(\Answered)")
                client.logout()
            except Exception as e:
                trouble.append(e)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            for letters in "S", "FS", "F":
                for n in range(COUNT):
                    self.source.set(n, letters)
                self.copy()
        finally:
            stop.set()
            thread.join()
        self.assertEqual(trouble, [])
        self.copy()  # what was changed at each of its tries
        self.check({n: ("FR" if n < COUNT // 2 else "F", []) for n in range(COUNT)})


class TestDovecot(Common, unittest.TestCase):
    kind = Dovecot


class TestCyrus(Common, unittest.TestCase):
    kind = Cyrus


class TestCyrusSync(Common, unittest.TestCase):
    """By the replication protocol: records sent anew."""

    kind = Cyrus
    by_protocol = True
    test_conflict = test_no_flag_sync = test_stages = None

    def setUp(self):
        super().setUp()
        self.target = f"cyrus:{self.user}?conf={self.server.vars['conf']}&libexec={self.server.vars['libexec']}"


if __name__ == "__main__":
    unittest.main()
