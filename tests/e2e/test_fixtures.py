"""Every fixture of fixtures/ into both servers: what arrives is compared with
what a second, simple reader finds in the files."""

import bz2
import collections
import gzip
import lzma
import os
import re
import shutil
import subprocess
import unittest

import nasty
import readback
from haul import ACCOUNTS, DIFFERS, DONE, ROOT, Haul, balance
from servers import Cyrus, Dovecot

TORTURE = os.path.join(ROOT, "fixtures/mbox/torture")
DATE = 978584767  # Thu Jan  4 05:06:07 2001, UTC

# Where messages start, as numbers of lines, in the files for which "From " with
# a time behind an empty line is not the whole truth.  Decided by reading them.
STARTS = {
    "sep-no-year": [1, 13],
    "sep-too-long": [1, 13],
    "prose-year": [1, 10],
    "full-line-before-header": [1, 6, 11],
    "cl-right": [1, 16],
    "cl-right-last": [1, 7],
    "cl-right-no-end": [1, 7],
    "cl-right-crlf": [1, 7, 22],
    "cl-plus-1": [1, 16],
    "cl-two": [1, 16],
    "cl-doubtful": [1, 7],
    "cl-glued": [1, 15],
    "two-from-lines": [2],
    "moz-bare": [1, 9],
    "moz-bare-crlf": [1, 9],
    "moz-dash-then-bare": [1, 9],
    "moz-spool-then-bare": [1, 9],
    "moz-bare-glued": [1, 8],
    "moz-bare-in-text": [1, 12],
    "takeout-undated": [1, 7],
    "takeout-mixed": [1, 7, 13],
    "takeout-crlf": [1, 7],
    "takeout-prose": [1, 10],
    "word-first": [1, 7],
    "word-first-prose": [1, 10],
    "other-first": [1, 7],
    "weak-first": [1, 6],
    "mailman-glued": [1, 6, 11],
    "blank-leading": [4, 10],
    "nul-leading": [1, 7],
    "glued": [1, 6],
    "glued-text": [1, 6],
    "blank-before": [1, 7],
    "truncated-from": [1],
    "header-not-ended": [1, 3],
}
# Messages of those that are no mail: the internal one of c-client, and one
# that its user has removed.
NO_MAIL = {("pseudo", 0), ("pseudo-only", 0), ("moz-expunged", 1)}
# Files whose Content-Length was right, and so is no part of the message.
LENGTH_USED = {"cl-right", "cl-right-last", "cl-right-no-end", "cl-right-crlf", "cl-plus-1", "cl-two", "cl-doubtful", "cl-glued", "cl-zero"}
CONTAINER = {b"status", b"x-status", b"x-keywords", b"x-uid", b"x-imap", b"x-imapbase"}


def unpack(path):
    with open(path, "rb") as f:
        data = f.read()
    if path.endswith(".gz"):
        return gzip.decompress(data)
    if path.endswith(".bz2"):
        return bz2.decompress(data)
    if path.endswith(".xz"):
        return lzma.decompress(data)
    if path.endswith(".zst"):
        return subprocess.run(["zstd", "-dc"], input=data, stdout=subprocess.PIPE, check=True).stdout
    return data


def mbx_messages(data):
    at = 2048
    while at < len(data):
        end = data.index(b"\r\n", at) + 2
        size, flags = re.search(rb",(\d+);[0-9a-f]{8}([0-9a-f]{4})-", data[at:end]).groups()
        size = int(size)
        if not int(flags, 16) & 0x8000:  # removed, not yet cleared away
            yield data[end : end + size]
        at = end + size


Found = collections.namedtuple("Found", "data date flags")  # None: not looked at


def messages(name, data):
    """The messages of an mbox, without what belongs to the file."""
    if data.startswith(b"*mbx*"):
        for message in mbx_messages(data):
            yield Found(message, None, None)
        return
    lines = re.findall(rb"[^\n]*\n|[^\n]+\Z", data)
    starts = STARTS.get(name)
    if starts is None:
        starts = []
        for number, line in enumerate(lines, 1):
            first = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            empty = number == 1 or not lines[number - 2].strip(b"\r\n")
            if first.startswith(b"From ") and empty and re.search(rb"\d\d?:\d\d", line):
                starts.append(number)
    for i, start in enumerate(starts):
        end = starts[i + 1] - 1 if i + 1 < len(starts) else len(lines)
        body = lines[start:end]
        if name == "truncated-from":
            body = [x for x in body if not x.startswith(b"From ")]
        # an empty line more than the one that ends the header
        if body and not body[-1].strip(b"\r\n") and any(not x.strip(b"\r\n") for x in body[:-1]):
            body.pop()
        if (name, i) in NO_MAIL:
            continue
        date = DATE if lines[start - 1].rstrip().endswith(b"Thu Jan  4 05:06:07 2001") else None
        yield Found(b"".join(without_container(body, name in LENGTH_USED)), date, flags_of(body))


def flags_of(lines):
    """From Status and X-Status, as c-client and Dovecot keep them."""
    flags = set()
    letters = {b"status": {"R": "\\seen"}, b"x-status": {"D": "\\deleted", "F": "\\flagged", "A": "\\answered", "T": "\\draft"}}
    for line in lines:
        if not line.strip(b"\r\n"):
            break
        field, _, value = line.partition(b":")
        if field.lower() == b"x-mozilla-status":
            return None  # told by Thunderbird's bits
        known = letters.get(field.lower(), {})
        flags |= {known[c] for c in value.decode("latin-1") if c in known}
    return frozenset(flags)


def without_container(lines, length_used):
    out, skipping = [], False
    for number, line in enumerate(lines):
        if not line.strip(b"\r\n"):
            return out + lines[number:]
        if line[:1] not in b" \t":
            field = line.partition(b":")[0].lower()
            skipping = field in CONTAINER
            if field == b"content-length" and length_used:
                skipping, length_used = True, False  # the first one counts
        if not skipping:
            out.append(line)
    return out


def held(data, server):
    """What a server gives back; None: it refuses it."""
    data = nasty.crlf(data)
    if server == "dovecot":
        return nasty._dovecot_last_cr(nasty._dovecot_cr(nasty._dovecot_nul(data)))
    return nasty._cyrus_header(data)


class Common:
    @classmethod
    def setUpClass(cls):
        cls.server = cls.kind(USERS=12)
        cls.addClassCleanup(cls.server.destroy)
        cls.server.start()

    def setUp(self):
        self.haul = Haul()
        self.addCleanup(self.haul.destroy)

    def there(self, user):
        client = self.server.login(user)
        try:
            return readback.account(client)
        finally:
            client.logout()

    def test_mbox_torture(self):
        tree = self.haul.path("mail")
        shutil.copytree(TORTURE, tree)
        os.unlink(os.path.join(tree, "expected.tsv"))
        with open(os.path.join(TORTURE, "expected.tsv"), encoding="utf-8") as f:
            ours = {line.split("\t")[0]: line.split("\t")[1] for line in f}
        run = self.haul.copy("mbox:" + tree, self.haul.user(self.server, "user1"))
        self.assertEqual(run.code, ACCOUNTS, run)
        self.assertIn("no INBOX", run.err)
        run = self.haul.copy("mbox:" + tree, self.haul.user(self.server, "user1"), "--empty", "ok")
        # Cyrus refuses some, and some have no date anywhere
        self.assertEqual(run.code, DIFFERS, run)
        account = self.there("user1")
        boxes = {b["name"]: b for b in run.report["accounts"][0]["mailboxes"]}
        refused = collections.defaultdict(int)
        for issue in run.report["issues"]:
            if issue["kind"] == "refused":
                refused[issue["mailbox"]] += 1
        for name in sorted(os.listdir(tree)):
            with self.subTest(file=name):
                if ours[name] == "refused":
                    self.assertNotIn(name, {n for n, b in boxes.items() if b["totals"]["source"]})
                    self.assertIn(name, str(run.report["issues"]) + str(boxes.get(name)))
                    continue
                data = list(messages(name, unpack(os.path.join(tree, name))))
                self.assertEqual(str(len(data)), ours[name])
                box = boxes.get(name) or boxes[name.rpartition(".")[0]]
                name_there = box["name"]
                self.assertEqual(box["totals"]["source"], len(data))
                target = readback.decode_name(box["target_name"].encode())
                there = account.boxes[target].messages if data else []
                no = REFUSED.get((name, self.server.name), ())
                self.assertEqual((box["totals"]["refused"], refused[name_there]), (len(no), len(no)))
                wanted = [f for i, f in enumerate(data) if i not in no]
                digests = [nasty.digest(held(f.data, self.server.name)) for f in wanted]
                self.assertEqual(sorted(m.digest for m in there), sorted(digests))
                # in the order of the file, which a single lane keeps
                self.assertEqual([m.digest for m in there], digests)
                for found, message in zip(wanted, there):
                    if found.date is not None:
                        self.assertEqual(message.date, found.date)
                    if found.flags is not None:
                        self.assertEqual(message.flags, found.flags)
                self.assertEqual(box["totals"]["copied"], len(wanted))
        self.assertEqual(balance(run.report), [])

    # -- Maildirs

    def test_maildirs(self):
        top = self.haul.path("fixtures")
        os.mkdir(top)
        maker = os.path.join(ROOT, "fixtures/maildir/make-maildirs.py")
        subprocess.run(["/usr/bin/python3", "-B", maker, top], check=True)
        for number, name in enumerate(sorted(n for n in os.listdir(top) if n.endswith(".tsv")), 2):
            with self.subTest(case=name):
                self.check_maildir(name[:-4], os.path.join(top, name[:-4]), f"user{number}")

    def check_maildir(self, case, path, user):
        with open(path + ".tsv", encoding="ascii") as f:
            lines = [line.rstrip("\n").split("\t") for line in f]
        source = "maildir:" + path + ("?layout=fs" if case == "fs" else "")
        run = self.haul.copy(source, self.haul.user(self.server, user), state=self.haul.path(case + ".db"))
        account = self.there(user)
        folders = [x for x in lines if x[0] == "F"]
        mail = [x for x in lines if x[0] == "M"]
        boxes = {show(b["name"]): b for b in run.report["accounts"][0]["mailboxes"]}
        closed = {name for name, box in boxes.items() if box["outcome"] == "unreadable"}
        self.assertEqual(closed, {"self"} if case == "hostile" else set())
        boxes = {name: box for name, box in boxes.items() if name not in closed}
        self.assertEqual(set(boxes), {x[1] for x in folders}, run)
        plain = plain_files(path)
        wanted, refused, failed = collections.defaultdict(collections.Counter), 0, 0
        for _, name, key, _uid, flags, keywords, date, _size, _guid, _uidl, _order, sha in mail:
            if sha == "failed":
                failed += 1
                continue
            if (case, key.split(",")[0], self.server.name) in REFUSED:
                refused += 1
                continue
            if sha in plain:
                sha = nasty.digest(held(plain[sha], self.server.name))
            flags = frozenset("\\" + f for f in flags.split(",") if flags != "-")
            keywords = frozenset(k for k in keywords.split(",") if keywords != "-")
            wanted[name][sha, int(date), flags, keywords] += 1
        for name, box in boxes.items():
            target = account.boxes[readback.decode_name(box["target_name"].encode())]
            there = collections.Counter((m.digest, m.date, m.flags, m.keywords) for m in target.messages)
            self.assertEqual(there, wanted[name], name)
        self.assertEqual(account.total(), sum(sum(c.values()) for c in wanted.values()))
        totals = run.totals
        self.assertEqual((totals["source"], totals["refused"], totals["failed"]), (len(mail), refused, failed), run)
        # a mailbox that cannot be read keeps the account from being done
        self.assertEqual(run.code, ACCOUNTS if closed else DIFFERS if refused or failed else DONE, run)
        self.assertEqual(balance(run.report), ["balanced is False"] if closed else [])
        subscribed = {x[1] for x in folders if x[4] == "y"}
        if subscribed:
            told = {show(n) for n in account.subscribed} - {"INBOX"}
            real = {show(readback.decode_name(boxes[n]["target_name"].encode())) for n in subscribed} - {"INBOX"}
            self.assertEqual(told, real)


def show(name):
    """As the tables of make-maildirs.py spell a name."""
    return "".join(chr(c) if 0x20 <= c < 0x7F and c != 0x5C else f"\\{c:02x}" for c in name.encode())


def plain_files(path):
    """{SHA-256 of the CRLF form: bytes} of all files."""
    out = {}
    for top, _, names in os.walk(path):
        for name in names:
            file = os.path.join(top, name)
            if os.path.isfile(file) and not os.path.islink(file):
                with open(file, "rb") as f:
                    data = f.read()
                out[nasty.digest(nasty.crlf(data))] = data
    return out


# (file of the torture set, server) -> numbers of the messages that it refuses
# (case, base name, server) of the Maildirs
REFUSED = {
    ("cl-doubtful", "cyrus"): [1],
    ("from-quoted-in-header", "cyrus"): [0],
    ("full-line-after-empty", "cyrus"): [1],
    ("truncated-header", "cyrus"): [1],
    ("nul-in-body", "cyrus"): [0],
    ("nul-in-header", "cyrus"): [0],
    ("hostile", "1021.empty.h", "dovecot"): True,
    ("hostile", "1021.empty.h", "cyrus"): True,
    ("hostile", "1022.nul.h", "cyrus"): True,
    ("compressed", "1136214256.M1011P7.fix.example.org", "cyrus"): True,
}


class TestDovecot(Common, unittest.TestCase):
    kind = Dovecot


class TestCyrus(Common, unittest.TestCase):
    kind = Cyrus


if __name__ == "__main__":
    unittest.main()
