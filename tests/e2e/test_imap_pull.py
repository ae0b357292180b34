"""From one real IMAP server to another: what arrives, what it costs, and that
the source is left as it was."""

import imaplib
import re
import time
import unittest
from collections import Counter

import nasty
import offline
import readback
from haul import DONE, Haul, balance
from proxy import Proxy
from servers import Cyrus, Dovecot

READING = set("CAPABILITY LOGIN AUTHENTICATE ID NAMESPACE LIST LSUB STATUS EXAMINE FETCH SEARCH LOGOUT GETQUOTAROOT".split())
# what the target is told or refuses differently is the business of test_fixtures
# (and imaplib sends no bare CR)
NAMES = [
    n
    for n, data in nasty.MESSAGES.items()
    if not n.startswith("twin") and not {(n, "cyrus"), (n, "dovecot")} & set(nasty.ALTERED) and b"\r" not in data.replace(b"\r\n", b"")
]
BOXES = {
    "INBOX": NAMES,
    "Sent": NAMES[::7],
    "Drafts": NAMES[1::11],
    "Archive/2001/Müller & Söhne": NAMES[3::9],
    "Archive/empty": [],
    "日本": NAMES[:2] * 3,
    "it's odd": NAMES[4:6],
}
SUBSCRIBED = {"INBOX", "Archive/2001/Müller & Söhne", "日本"}


def stamp(t):
    return time.strftime('"%d-%b-%Y %H:%M:%S +0000"', time.gmtime(t))


def fill(client, separator):
    """An account, made with plain APPENDs; how many the server took."""
    count, at = 0, 1_000_000_000
    for name, wanted in BOXES.items():
        raw = readback.quote(name.replace("/", separator))
        if name != "INBOX":
            client.create(raw)
        for n, item in enumerate(nasty.items(wanted, at) if wanted else []):
            flags = " ".join(sorted(item.flags | item.keywords))
            answer = client.append(raw, f"({flags})", stamp(item.date), nasty.crlf(item.data))
            count += answer[0] == "OK"
            if n == 1:  # gaps in the UIDs
                client.append(raw, r"(\Deleted)", stamp(at), b"Subject: gone\r\n\r\ngone\r\n")
                client.select(raw)
                client.expunge()
                client.unselect()
        at += 10_000_000
        if name in SUBSCRIBED:
            client.subscribe(raw)
    return count


def state_of(client, names, separator):
    """What a reader could change: STATUS of every mailbox."""
    told = {}
    for name in names:
        _, (answer,) = client.status(readback.quote(name.replace("/", separator)), "(MESSAGES RECENT UNSEEN UIDNEXT UIDVALIDITY HIGHESTMODSEQ)")
        told[name] = re.search(rb"\(MESSAGES.*\)", answer).group()
    return told


def slashes(account, separator):
    """Contents, special uses and subscriptions, with names alike everywhere."""
    named = {name.replace(separator, "/"): box for name, box in account.boxes.items()}
    contents = {name: Counter((m.digest, m.date, m.flags, m.keywords) for m in box.messages) for name, box in named.items()}
    uses = {name: box.special_use for name, box in named.items() if box.special_use and box.messages}
    return contents, uses, {name.replace(separator, "/") for name in account.subscribed} & set(BOXES)


class Pair:
    source_separator = target_separator = "."
    source_settings = target_settings = {}

    @classmethod
    def setUpClass(cls):
        cls.source = cls.source_kind(USERS=2, **cls.source_settings)
        cls.source.start()
        cls.addClassCleanup(cls.source.destroy)
        cls.target = cls.target_kind(USERS=2, **cls.target_settings)
        cls.target.start()
        cls.addClassCleanup(cls.target.destroy)

    def setUp(self):
        self.haul = Haul()
        self.addCleanup(self.haul.destroy)

    def read(self, server, user):
        client = server.login(user)
        try:
            return readback.account(client)
        finally:
            client.logout()

    def test_everything(self):
        client = self.source.login("user1")
        count = fill(client, self.source_separator)
        self.assertGreater(count, 40)
        if isinstance(self.source, Cyrus):
            for box in "Sent", "Drafts":
                client.xatom("SETMETADATA", box, f'(/private/specialuse "\\\\{box}")')
        client.logout()
        want = self.read(self.source, "user1")
        self.assertEqual(set(slashes(want, self.source_separator)[1]), {"Sent", "Drafts"})
        watcher = self.source.login("user1")
        before = state_of(watcher, BOXES, self.source_separator)
        with Proxy(self.source.host, self.source.imap_port) as near, Proxy(self.target.host, self.target.imap_port) as far:
            uris = self.haul.user(self.source, "user1", "none", near.port), self.haul.user(self.target, "user1", "none", far.port)
            run = self.haul.copy(*uris)
            self.assertEqual((run.code, balance(run.report)), (DONE, []), run)
            self.assertEqual(run.totals["copied"], count, run)
            got = self.read(self.target, "user1")
            self.assertEqual(slashes(got, self.target_separator)[0].keys() >= set(BOXES), True, got.boxes)
            for w, g in zip(slashes(want, self.source_separator), slashes(got, self.target_separator)):
                self.assertEqual(g if isinstance(g, set) else {k: v for k, v in g.items() if v}, w if isinstance(w, set) else {k: v for k, v in w.items() if v})
            # a pass without news: the lists, and nothing of any mailbox
            near.reset()
            far.reset()
            run = self.haul.copy(*uris, "--lanes", "1")
            self.assertEqual((run.code, run.totals["copied"]), (DONE, count), run)
            seen = near.commands + far.commands
            self.assertEqual({n: seen[n] for n in ("EXAMINE", "SELECT", "FETCH", "APPEND") if seen[n]}, {})
            self.assertLessEqual(near.turns, 12, near.log)
            self.assertEqual(far.writes(), 0)
            # one new message: one mailbox is opened, one body read
            watcher.append(readback.quote("Sent"), r"(\Flagged)", stamp(1_200_000_000), b"Subject: new\r\n\r\nnew\r\n")
            near.reset()
            run = self.haul.copy(*uris, "--lanes", "1")
            self.assertEqual((run.code, run.totals["copied"]), (DONE, 1 + count), run)
            bodies = [args for _, _, name, args in near.log if name == "FETCH" and "BODY" in args]
            self.assertEqual((near.commands["EXAMINE"], len(bodies)), (1, 1), near.log)
            self.assertEqual(set(near.commands) - READING, set())
            self.assertEqual(near.writes(), 0)
        # nothing has been seen there
        after = state_of(watcher, BOXES, self.source_separator)
        del before["Sent"], after["Sent"]
        self.assertEqual(after, before)
        watcher.logout()

    def test_compressed(self):
        """COMPRESS on both sides, where they have it."""
        client = self.source.login("user2")
        for n, item in enumerate(nasty.items(NAMES[::3])):
            client.append("INBOX", None, stamp(item.date + n), nasty.crlf(item.data))
        client.logout()
        with Proxy(self.source.host, self.source.imap_port) as near, Proxy(self.target.host, self.target.imap_port) as far:
            ports = (self.source, near.port), (self.target, far.port)
            run = self.haul.copy(*(self.haul.user(s, "user2", "none", port, compress="yes") for s, port in ports))
            self.assertEqual((run.code, balance(run.report)), (DONE, []), run)
            # what follows is not to be read by a proxy
            for proxy in near, far:
                self.assertTrue(proxy.commands["COMPRESS"])
                self.assertFalse(proxy.commands["FETCH"] + proxy.commands["APPEND"])
        want, got = self.read(self.source, "user2"), self.read(self.target, "user2")
        self.assertEqual(got.contents()["INBOX"], want.contents()["INBOX"])


ZLIB = {"PLUGINS": "zlib", "EXTRA": "protocol imap {\n  mail_plugins = $mail_plugins imap_zlib\n}"}


class TestDovecotToCyrus(Pair, unittest.TestCase):
    source_kind, target_kind = Dovecot, Cyrus
    source_settings, target_settings = {"FORMAT": "mdbox", "SEPARATOR": "/", **ZLIB}, {"ALTNAMESPACE": "yes"}
    source_separator = target_separator = "/"


class TestCyrusToDovecot(Pair, unittest.TestCase):
    source_kind, target_kind = Cyrus, Dovecot
    source_settings, target_settings = {"ALTNAMESPACE": "yes"}, {"FORMAT": "mdbox", "SEPARATOR": "/", **ZLIB}
    source_separator = target_separator = "/"


class TestDovecotToDovecot(Pair, unittest.TestCase):
    source_kind = target_kind = Dovecot
    source_settings, target_settings = ZLIB, {"FORMAT": "mdbox", **ZLIB}

    def test_every_login(self):
        """All ways to log in that a target has, for a source."""
        self.source.restart(MECHS="plain login cram-md5 digest-md5 scram-sha-1 scram-sha-256")
        client = self.source.login("user2")
        client.append("INBOX", None, None, b"Subject: x\r\n\r\nx\r\n")
        client.logout()
        ways = [self.haul.user(self.source, "user2", auth=a) for a in ("login", "plain", "cram-md5", "digest-md5", "scram-sha-1", "scram-sha-256")]
        ways += [self.haul.admin(self.source, "user2"), self.haul.admin(self.source, "user2", "implicit")]
        ways.append(self.haul.uri(self.source, "user2*master", self.haul.secret(self.source.admin_password), "implicit", None, None, {}))
        for n, uri in enumerate(ways):
            with self.subTest(uri=uri):
                run = self.haul.copy(uri, "null:", state=self.haul.path(f"{n}.db"))
                self.assertEqual(run.code, DONE, run)
        wrong = self.haul.copy(self.haul.user(self.source, "user2", password="wrong"), "null:", state=self.haul.path("wrong.db"))
        self.assertNotEqual(wrong.code, DONE)
        self.assertNotIn("wrong.db", wrong.out)


class TestIntoFiles(offline.Case):
    """From IMAP into a Maildir that is written without a server: the UIDs are those of the source."""

    def numbers(self, user):
        there = self.there(user)
        return {b.name: (b.uidvalidity, b.uidnext, [(m.uid, m.digest, m.flags, m.keywords, m.date) for m in b.messages]) for b in there.boxes.values() if b.messages}

    def test_uids(self):
        client = self.server.login("user30")
        count = fill(client, ".")
        uris = self.haul.user(self.server, "user30", "implicit"), self.target()
        run = self.haul.copy(*uris)
        self.assertEqual((run.code, run.totals["copied"]), (DONE, count), run)
        self.assertEqual(self.numbers(self.user), self.numbers("user30"))
        client.append("INBOX", None, stamp(1_200_000_000), b"Subject: new\r\n\r\nnew\r\n")
        client.append("Sent", None, stamp(1_200_000_000), b"Subject: gone soon\r\n\r\n\r\n")
        client.select("Sent")
        client.uid("STORE", "*", "+FLAGS", r"(\Deleted)")
        client.expunge()
        client.logout()
        run = self.haul.copy(*uris)
        self.assertEqual((run.code, run.totals["copied"]), (DONE, count + 1), run)
        self.assertEqual(self.numbers(self.user), self.numbers("user30"))
        self.assertEqual(self.logged(), [])


imaplib._MAXLINE = 100_000_000

if __name__ == "__main__":
    unittest.main()
