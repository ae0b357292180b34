"""What tests of cyrus: share: a private Cyrus, accounts with numbers of their
own, and Cyrus' own tools as judges."""

import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import tempfile
import unittest

import nasty
import readback
import trees
from haul import DONE, Haul, balance
from servers import Cyrus

SYSTEM = {"S": "\\seen", "R": "\\answered", "F": "\\flagged", "T": "\\deleted", "D": "\\draft"}
WORDS = ["$Forwarded", "work", "NonJunk", "Mixed"]


class Case(unittest.TestCase):
    settings = {}

    @classmethod
    def setUpClass(cls):
        cls.server = Cyrus(CREATE="no", **cls.settings)
        cls.addClassCleanup(cls.server.destroy)
        cls.server.start()
        cls.last_user = 0

    def setUp(self):
        self.haul = Haul()
        self.addCleanup(self.haul.destroy)
        type(self).last_user += 1
        self.user = self.name(self.last_user)
        self.log_before = len(self.server.log())

    def name(self, number):
        return f"u{number}"

    def target(self, user=None, **options):
        """The private sync_server."""
        options = dict({"conf": self.server.vars["conf"], "libexec": self.server.vars["libexec"]}, **options)
        words = "&".join(f"{k.replace('_', '-')}={v}" for k, v in options.items() if v is not None)
        return f"cyrus:{user or self.user}?{words}"

    def remote(self, user=None, admin=None, password=None, **options):
        """An admin's IMAP session."""
        secret = self.haul.secret(password or self.server.admin_password)
        options = dict({"ca": self.server.ca, "secret-file": secret}, **options)
        words = "&".join(f"{k.replace('_', '-')}={v}" for k, v in options.items())
        return f"cyrus://{admin or self.server.admin}@{self.server.host}:{self.server.imap_port}/{user or self.user}?{words}"

    def copy(self, source, target, *options, **kwargs):
        return self.haul.copy("maildir:" + source, target, "--create-users", *options, **kwargs)

    def there(self, user=None, bodies=True):
        client = self.server.login_as(user or self.user)
        try:
            return readback.account(client, bodies=bodies)
        finally:
            client.logout()

    def logged(self):
        """What Cyrus complained of."""
        lines = self.server.log()[self.log_before :].splitlines()
        return [line for line in lines if re.search(r"IOERROR|DBERROR|SYNCERROR|Fatal|assert|abort", line)]

    def imap_name(self, name):
        """A mailbox of the tests (levels and "/") as its owner sees it."""
        return name if name == "INBOX" else "INBOX/" + name

    def admin_name(self, user=None):
        return "user/" + (user or self.user)

    def sound(self, user=None):
        """Cyrus' own tools find nothing, and leave nothing in the spool."""
        user = user or self.user
        out = self.server.tool("reconstruct", "-n", "-r", "-G", self.admin_name(user)).decode()
        top = re.escape(self.admin_name(user).split("@", maxsplit=1)[0])
        self.assertEqual([line for line in out.splitlines() if line and not re.match(top + r"\b", line)], [], out)
        self.assertEqual(self.server.tool("quota", "-f", "-n", self.admin_name(user)).decode().count("quota"), 0)
        examined = self.server.tool("mbexamine", self.admin_name(user), stderr=subprocess.STDOUT).decode("utf-8", "replace")
        # its own complaints begin a line; what messages hold does not
        if "@" not in user:  # of users with domains it tells nothing
            self.assertRegex(examined, r"(?m)^  Unique ID: \w+$")
        self.assertNotRegex(examined, r"(?mi)^(\S*: )?(fatal error|.*IOERROR|.*DBERROR)")
        listed = json.loads(self.server.tool("ctl_mboxlist", "-d"))
        known = {b["uniqueid"]: b for b in listed.values() if "d" not in b["mbtype"]}
        client = self.server.login_as(user)
        try:
            for name, attributes in readback.listing(client)[0].items():
                if b"\\noselect" in attributes:
                    continue
                answer = client.status(readback.quote(name), "(UIDVALIDITY MAILBOXID)")
                # by its id, since names differ inside
                validity = re.search(rb"UIDVALIDITY (\d+)", answer[1][0]).group(1).decode()
                answer = client.status(readback.quote(name), "(MAILBOXID)")
                box = known[re.search(rb"MAILBOXID \(([^)]+)\)", answer[1][0]).group(1).decode()]
                self.assertEqual(box["uidvalidity"], validity, name)
        finally:
            client.logout()
        self.assertEqual(self.staged(), [])

    def sync(self, *commands):
        """Commands of the replication protocol, by a sync_server of the test."""
        program = os.path.join(self.server.vars["libexec"], "sync_server")
        env = {"PATH": os.environ["PATH"], "CYRUS_SERVICE": "csync", "CYRUS_ID": "0"}
        words = [program, "-X", "-C", self.server.vars["conf"]]
        text = "".join(c + "\r\n" for c in (*commands, "EXIT"))
        run = subprocess.run(words, input=text.encode(), env=env, stdout=subprocess.PIPE, check=True, timeout=60)
        return run.stdout.decode("latin-1")

    def staged(self):
        """What connections that have ended left behind."""
        found = []
        for directory, names, _ in os.walk(self.server.vars["spool"]):
            if os.path.basename(directory) == "sync.":
                found += names
        return found

    def checked(self, run, code=DONE):
        self.assertEqual(run.code, code, run)
        self.assertEqual(balance(run.report), [])
        self.assertEqual(self.logged(), [])
        return run

    def equal(self, boxes, there=None, user=None):
        """The account has these boxes, with their numbers, and no other mail."""
        there = there or self.there(user)
        for name, box in boxes.items():
            got = there.boxes[self.imap_name(name)]
            self.assertEqual(got.uidvalidity, box.uidvalidity, name)
            self.assertEqual(got.uidnext, box.uidnext, name)
            self.assertEqual([tuple(m) for m in got.messages], expected(box), name)
        mail = {name for name, box in there.boxes.items() if box.messages}
        self.assertLessEqual(mail, {self.imap_name(name) for name in boxes})


def expected(box):
    """The messages of a trees.Box, as readback gives them."""
    uids = {line.split(" :", 1)[1].rstrip("\n"): uid for uid, line in box.lines}
    rows = []
    for base, letters, body, date, _ in box.messages:
        data = nasty.crlf(body)
        flags = frozenset(SYSTEM[c] for c in letters if c in SYSTEM)
        words = frozenset(box.keywords[ord(c) - ord("a")] for c in letters if c.islower())
        rows.append((uids[base], flags, words, date, len(data), hashlib.sha256(data).hexdigest()))
    return sorted(rows)


def fill(n, uidvalidity, seed=None, first=3, step=7, uidnext=0):
    """A mailbox of odd messages, gaps in its numbers, flags, keywords, dates."""
    rng = random.Random(seed or uidvalidity)
    box = trees.Box(uidvalidity=uidvalidity, uidnext=uidnext)
    odd = [body for _, body in sorted(nasty.MESSAGES.items()) if body and b"\0" not in body and (n > 50 or len(body) < 10_000)]
    for i in range(n):
        body = odd[i] if i < len(odd) else b"From: x@example.org\nSubject: \xe9t\xe9 %d\n\n%s\n" % (i, b"body\n" * rng.randrange(300))
        box.add(body, uid=first + step * i, flags="".join(rng.sample("DFRST", rng.randrange(4))), keywords=rng.sample(WORDS, rng.randrange(3)),
                date=1 + 86_399 * i if i % 3 else 1_000_000_000 + 7919 * i)
    return box


def write(path, boxes):
    """A Maildir++ of {name: Box}."""
    for name, box in boxes.items():
        folder = path if name == "INBOX" else os.path.join(path, "." + readback.encode_name(name.replace("/", ".")).decode())
        box.write(folder)
