"""audit after copy, for each kind of server as source and as target, and again
after something was done to the target behind our back."""

import os
import re
import time
import unittest
from collections import Counter

import audits
import dsyncs
import multiset
import nasty
import readback
from haul import ACCOUNTS, DIFFERS, DONE, Haul
from proxy import Proxy
from servers import Cyrus, Dovecot

BOXES = {"INBOX": nasty.items(), "Sent": nasty.items(["plain", "twin-1", "twin-2"])}


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dovecot, cls.cyrus = Dovecot(FORMAT="mdbox", USERS=12), Cyrus(CREATE="no")
        for server in cls.dovecot, cls.cyrus:
            cls.addClassCleanup(server.destroy)
            server.start()
        cls.number = 0

    def setUp(self):
        self.haul = Haul()
        self.addCleanup(self.haul.destroy)

    def next_user(self):
        type(self).number += 1
        return f"user{self.number}"

    # -- targets: a URI and who reads it with other eyes

    def to_dovecot(self):
        user = self.next_user()
        return self.haul.user(self.dovecot, user), lambda: self.dovecot.login(user)

    def to_doveadm(self):
        user = self.next_user()
        return f"doveadm:{user}?program={dsyncs.program(self.dovecot)}", lambda: self.dovecot.login(user)

    def cyrus_user(self):
        """One whose UIDVALIDITY is no other's: Cyrus takes the second for it."""
        time.sleep(1.1)
        user = self.next_user()
        self.cyrus.create_user(user)
        return user

    def to_cyrus(self):
        user = self.cyrus_user()
        return self.haul.admin(self.cyrus, user), lambda: self.cyrus.login_as(user)

    def to_sync(self):
        user = self.cyrus_user()
        return f"cyrus:{user}?conf={self.cyrus.vars['conf']}&libexec={self.cyrus.vars['libexec']}", lambda: self.cyrus.login_as(user)

    def read(self, login):
        client = login()
        try:
            return readback.account(client)
        finally:
            client.logout()

    def told(self, source, target, *options, code=None, state=None):
        run = self.haul.run("audit", source, target, "--state", state or self.haul.state, *options)
        if code is not None:
            self.assertEqual(run.code, code, run)
        return audits.Told(run.out)

    @staticmethod
    def by_name(boxes):
        return {re.sub(r"^INBOX[./]", "", name): c for name, c in boxes.items() if c}


class Pairs(Case):
    def check(self, source, target, login, want):
        """One copy, then what the audit tells against other eyes; the target."""
        run = self.haul.copy(source, target, "--settle", "1")
        self.assertIn(run.code, (DONE, DIFFERS), run)
        there = self.read(login)
        here, far = multiset.differences(want, self.by_name({n: b.digests() for n, b in there.boxes.items()}))
        total = sum(sum(c.values()) for c in want.values())
        for state in None, self.haul.path("none.db"):
            told = self.told(source, target, state=state)
            counts = Counter(told.counts)
            odd = counts["date"] + counts["flags"] + counts["keywords"] + counts["uid"] + counts["expected"]
            refused = sum(d.cause == "refused" for d in told.differences)
            self.assertEqual(odd, refused, told.text)
            self.assertEqual(counts["equal"], total - here, told.text)
            self.assertEqual(counts["altered"] + counts["missing"] + refused, here, told.text)
            self.assertEqual(counts["altered"] + counts["extra"], far, told.text)
            if state is None:
                self.assertEqual(counts["missing"] + counts["extra"], 0, told.text)
        return there

    def chain(self, *ways):
        """Files, then from each server to the next."""
        path = self.haul.path("src")
        nasty.write_maildir(path, BOXES)
        source = "maildir:" + path
        want = {box: Counter(nasty.digest(nasty.crlf(i.data)) for i in items) for box, items in BOXES.items()}
        for n, way in enumerate(ways):
            self.haul.state = self.haul.path(f"S{n}.db")
            target, login = way()
            there = self.check(source, target, login, want)
            want = self.by_name({name: box.digests() for name, box in there.boxes.items()})
            source = target

    def test_by_protocols(self):
        self.chain(self.to_doveadm, self.to_dovecot, self.to_cyrus, self.to_dovecot)

    def test_by_replication(self):
        self.chain(self.to_sync, self.to_cyrus, self.to_sync, self.to_doveadm)


class Released(Case):
    """What users do counts against the copy before the release, and not after."""

    ACTS = {"deleted": 1, "moved": 1, "flags": 1, "new": 2}

    def act(self, login):
        """As a user: deletes one, moves one, reads one, and gets two."""
        client = login()
        client.select("INBOX")
        client.uid("STORE", "1", "+FLAGS", r"(\Deleted)")
        client.expunge()
        client.uid("COPY", "2", readback.quote(self.sent(client)))
        client.uid("STORE", "2", "+FLAGS", r"(\Deleted)")
        client.expunge()
        client.uid("STORE", "3", "+FLAGS", r"(\Flagged)")
        client.append("INBOX", None, None, b"From: x@example.org\r\nSubject: fresh\r\n\r\nNews.\r\n")
        client.create(readback.quote(self.sent(client).replace("Sent", "Own")))
        client.append(readback.quote(self.sent(client).replace("Sent", "Own")), None, None, b"From: x@example.org\r\nSubject: kept\r\n\r\nOwn.\r\n")
        client.logout()

    def sent(self, client):
        return next(name for name in readback.listing(client)[0] if name.endswith("Sent"))

    def check(self, target, login):
        path = self.haul.path("src")
        audits.maildir(path, 60, uids=False)
        source = "maildir:" + path
        self.assertEqual(self.haul.copy(source, target).code, DONE)
        self.told(source, target, code=DONE)
        self.act(login)
        told = self.told(source, target, code=DIFFERS)
        self.assertEqual(Counter(d.verdict for d in told.differences), Counter({"missing": 1, "moved": 1, "flags": 1, "extra": 2}), told.text)
        run = self.haul.run("stage", "--set", "released", "--only", "*", "--state", self.haul.state)
        self.assertEqual(run.code, DONE, run)
        told = self.told(source, target, code=DONE)
        self.assertEqual(told.counts, {"equal": 57, "since": 5}, told.text)
        self.assertEqual(Counter(d.cause for d in told.differences), Counter({"deleted": 1, "moved": 1, "": 1, "new": 2}), told.text)
        told = self.told(source, target, "--as-of", "release", code=DONE)
        self.assertEqual(told.counts, {"equal": 60}, told.text)
        self.assertEqual(told.differences, [])
        self.told(source, target, "--fail-on", "since", code=DIFFERS)

    def test_dovecot(self):
        self.check(*self.to_dovecot())

    def test_cyrus(self):
        self.check(*self.to_sync())


class Polite(Case):
    def test_counts_cost_nothing(self):
        """Counts: nothing is selected, nor fetched; contents of Cyrus: none."""
        path = self.haul.path("src")
        audits.maildir(path, 60)
        user = self.next_user()
        self.cyrus.create_user(user)
        for server in self.dovecot, self.cyrus:
            proxy = Proxy(server.host, server.imap_port).start()
            self.addCleanup(proxy.stop)
            login = self.haul.user if server is self.dovecot else self.haul.admin
            target = login(server, user, tls="none", port=proxy.port)
            self.haul.state = self.haul.path(server.__class__.__name__ + ".db")
            self.assertEqual(self.haul.copy("maildir:" + path, target, "--settle", "0").code, DONE)
            proxy.reset()
            self.told("maildir:" + path, target, "--level", "counts", code=DONE)
            self.assertEqual(sum(proxy.commands[c] for c in ("SELECT", "EXAMINE", "FETCH", "UID")), 0, proxy.commands)
            proxy.reset()
            told = self.told("maildir:" + path, target, code=DIFFERS if server is self.cyrus else DONE)
            self.assertTrue(all(d.cause == "munged" for d in told.differences), told.text)
            self.assertEqual(proxy.writes(), 0)

    def test_facts(self):
        """A subscription that was lost, and another quota than copy has given."""
        path = self.haul.path("src")
        audits.maildir(path, 20, uids=False)
        user = self.next_user()
        self.cyrus.create_user(user)
        target = self.haul.admin(self.cyrus, user)
        more = "--quota", "fixed:10M"
        self.assertEqual(self.haul.copy("maildir:" + path, target, *more, "--exclude", "INBOX").code, DONE)
        self.told("maildir:" + path, target, *more, "--exclude", "INBOX", code=DONE)
        self.cyrus.set_quota(user, 5000)
        client = self.cyrus.login_as(user)
        client.unsubscribe("INBOX/Sent")
        client.logout()
        told = self.told("maildir:" + path, target, *more, "--exclude", "INBOX", code=DIFFERS)
        self.assertEqual(sorted((d.verdict, d.cause) for d in told.differences), [("altered", "quota"), ("missing", "subscription")], told.text)
        self.assertEqual(told.counts["equal"], 10)

    def test_mailbox_that_cannot_be_read(self):
        path = self.haul.path("src")
        audits.maildir(path, 60)
        target, _ = self.to_dovecot()
        self.assertEqual(self.haul.copy("maildir:" + path, target).code, DONE)
        os.rename(os.path.join(path, ".Sent", "cur"), os.path.join(path, ".Sent", "away"))
        with open(os.path.join(path, ".Sent", "cur"), "w", encoding="ascii"):
            pass
        told = self.told("maildir:" + path, target, code=ACCOUNTS)
        self.assertEqual(told.verdict, "incomplete")
        self.assertEqual(told.boxes["Sent"], "unreadable")
        self.assertEqual(told.boxes["INBOX"], "equal")
        self.assertEqual(told.counts, {"equal": 30})
        # what the store says of itself is told
        os.unlink(os.path.join(path, ".Sent", "cur"))
        os.rename(os.path.join(path, ".Sent", "away"), os.path.join(path, ".Sent", "cur"))
        os.rename(os.path.join(path, ".Sent"), os.path.join(path, "elsewhere"))
        os.symlink("elsewhere", os.path.join(path, ".Sent"))
        told = self.told("maildir:" + path, target, code=ACCOUNTS)
        self.assertIn("Sent: - (a symbolic link: not followed)", told.text)
        self.assertIn("elsewhere: a Maildir, but no folder", told.text)


if __name__ == "__main__":
    unittest.main()
