"""A synthetic base directory of CommuniGate (scripts/cgp-tree) into both
servers: what its manifest tells arrives, nothing comes twice whatever the
server does to its files between passes, and nothing there is touched."""

import csv
import glob
import hashlib
import io
import json
import os
import random
import re
import shutil
import sqlite3
import subprocess
import threading
import time
import unittest
from collections import Counter

import readback
from haul import ACCOUNTS, DIFFERS, DONE, MISUSE, ROOT, Haul, balance
from proxy import Proxy
from servers import Cyrus, Dovecot

# accounts in the order of their users
NAMES = "bob carol anna oldpop public dave erin frank grace heidi ivan pbx".split()


def make_tree(directory, *options):
    tree = os.path.join(directory, "tree")
    subprocess.run([os.path.join(ROOT, "scripts/cgp-tree"), *options, tree], check=True)
    with open(os.path.join(tree, "manifest.json"), encoding="utf-8") as f:
        return os.path.join(tree, "base"), json.load(f)["accounts"]


def footprint(top):
    """All that a trace would show in: names, sizes, times, also of access."""
    seen = {}
    for path, directories, files in os.walk(top):
        for name in [".", *directories, *files]:
            s = os.lstat(os.path.join(path, name))
            seen[os.path.join(path, name)] = (s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_nlink, s.st_mode)
            if not os.path.isdir(os.path.join(path, name)):
                seen[os.path.join(path, name)] += (s.st_atime_ns,)
    return seen


class Life:
    """An account that lives: INBOX.mdir and Work.mbox."""

    def __init__(self, top, seed):
        self.top, self.r = top, random.Random(seed)
        self.inbox, self.work = {}, []  # {uid: (flags, body)}, [(uid, flags, body)]
        self.ever = {"INBOX": Counter(), "Work": Counter()}
        self.uid = self.steps = self.pause = 0
        self.end = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.write_work()

    @staticmethod
    def digest(body):
        return hashlib.sha256(body.replace(b"\n", b"\r\n")).hexdigest()

    def name(self, uid):
        return f"{self.top}/INBOX.mdir/{uid}-{self.inbox[uid][0]}-20100314091502"

    def message(self, box):
        self.uid += 1
        body = b"Subject: %d\n\n" % self.uid + b"some text of it\n" * self.r.randrange(2, 3000)
        self.ever[box][self.digest(body)] += 1
        return body

    @staticmethod
    def text(uid, flags, body):
        return f"From <a@b>({flags}-{uid})  14-03-2010_09:15:02_{uid}\n".encode() + body + b"\n"

    def write_work(self):
        """Anew: in place, or a new file in the old one's place."""
        path = f"{self.top}/Work.mbox"
        whole = b"".join(self.text(*m) for m in self.work)
        if self.r.random() < 0.5:
            with open(path + ".new", "wb") as f:
                f.write(whole)
            os.rename(path + ".new", path)
            return
        with open(path, "wb", buffering=0) as f:
            for i in range(0, len(whole), 20000):
                f.write(whole[i : i + 20000])
                self.end.wait(self.pause)

    def step(self):
        self.steps += 1
        what = self.r.randrange(7)
        flags = "".join(x for x in "SAF" if self.r.random() < 0.4)
        if what < 2:
            body = self.message("INBOX")
            self.inbox[self.uid] = (flags, body)
            with open(f"{self.top}/INBOX.mdir/tmp{self.uid}", "wb") as f:
                f.write(body)
            os.rename(f"{self.top}/INBOX.mdir/tmp{self.uid}", self.name(self.uid))
        elif what == 2 and self.inbox:
            uid = self.r.choice(list(self.inbox))
            old = self.name(uid)
            self.inbox[uid] = (flags, self.inbox[uid][1])
            os.rename(old, self.name(uid))
        elif what == 3 and len(self.inbox) > 5:
            uid = self.r.choice(list(self.inbox))
            os.unlink(self.name(uid))
            del self.inbox[uid]
        elif what in (4, 5):
            body = self.message("Work")
            self.work.append((self.uid, flags, body))
            whole = self.text(*self.work[-1])
            with open(f"{self.top}/Work.mbox", "ab", buffering=0) as f:
                f.write(whole[: len(whole) // 2])
                self.end.wait(self.pause)
                f.write(whole[len(whole) // 2 :])
        elif what == 6 and len(self.work) > 5:
            i = self.r.randrange(len(self.work))
            if self.r.random() < 0.5:
                self.work[i] = (self.work[i][0], flags, self.work[i][2])
            else:
                del self.work[i]
            self.write_work()

    def run(self):
        """A burst of changes, then a pause."""
        while not self.end.wait(0.2 + self.r.random() * 0.5):
            for _ in range(self.r.randrange(1, 6)):
                self.step()

    def start(self):
        self.pause = 0.01  # torn for some time
        self.thread.start()

    def stop(self):
        self.end.set()
        self.thread.join()

    def told(self):
        """{mailbox: (what is there now, what was ever)}"""
        now = {"INBOX": Counter(self.digest(b) for _, b in self.inbox.values()), "Work": Counter(self.digest(m[2]) for m in self.work)}
        return {name: (now[name], self.ever[name]) for name in now}


class Common:
    SEED = int(os.environ.get("SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)

    @classmethod
    def setUpClass(cls):
        cls.server = cls.kind(USERS=60, **cls.settings)
        cls.addClassCleanup(cls.server.destroy)
        cls.server.start()
        cls.last_user = 0

    def setUp(self):
        self.haul = Haul()
        self.addCleanup(self.haul.destroy)

    def fresh_user(self):
        type(self).last_user += 1
        return f"user{self.last_user}"

    def there(self, user):
        client = self.server.login(user)
        try:
            return readback.account(client)
        finally:
            client.logout()

    def proxy(self):
        proxy = Proxy(self.server.host, self.server.imap_port).start()
        self.addCleanup(proxy.stop)
        return proxy

    def box(self, name):
        return name if name == "INBOX" else self.below + name

    def wanted(self, mailbox):
        """(Counter as of readback, how many the server refuses)"""
        there, refused = Counter(), 0
        for m in mailbox["messages"]:
            if m["odd"] in self.refused:
                refused += 1
                continue
            digest = "odd" if m["odd"] in self.altered else m["sha256"]
            there[digest, m["date"], frozenset(f.lower() for f in m["flags"]), frozenset()] += 1
        return there, refused

    def check(self, user, account, report):
        """What is at the server is what the manifest says."""
        there = self.there(user)
        contents = {name: c for name, c in there.contents().items() if not name.startswith("user/")}  # others'
        total = refused = 0
        for name, mailbox in account["mailboxes"].items():
            if mailbox["refused"] or mailbox["class"]:
                continue
            want, no = self.wanted(mailbox)
            total += sum(want.values())
            refused += no
            at = self.box(name if not name.endswith("#2") else name[:-2] + " (copy)")
            got = contents.pop(at)
            for m in mailbox["messages"]:
                if m["odd"] in self.altered:
                    for key in [k for k in got if k[1] == m["date"]]:
                        got["odd", *key[1:]] = got.pop(key)
            self.assertEqual(got, want, f"{user}: {name}")
            if mailbox["use"] and self.marks:
                self.assertEqual(there.boxes[at].special_use, {mailbox["use"].lower()}, name)
            if account["foreign_subscriptions"] and name != "INBOX":
                self.assertEqual(at in there.subscribed, mailbox["subscribed"], name)
        self.assertEqual({n for n, c in contents.items() if c}, set())
        self.assertEqual((report["totals"]["copied"] + report["totals"]["present"], report["totals"]["refused"]), (total, refused))
        unread = {n for n, m in account["mailboxes"].items() if m["refused"]}
        failed = {m["name"] for m in report["mailboxes"] if m["outcome"] in ("unreadable", "failed")}
        self.assertEqual(failed, unread)

    def job(self, base, accounts, target):
        """{name: user} and the words of a job over the whole base directory."""
        users, rows = {}, "user;target_user;source\n"
        for name in NAMES:
            full = next(a for a in accounts if a.split("@")[0] == name)
            users[full] = self.fresh_user()
            spool = os.path.join(os.path.dirname(base), "spool/heidi")
            own = f"cgp:{base}?account={full}&inbox={spool}" if name == "heidi" else ""
            rows += f"{full};{users[full]};{own}\n"
        return users, self.haul.job(f"cgp:{base}?account={{user}}", target, rows, "lanes = 4\nsettle = 1")

    def test_a_whole_server(self):
        base, accounts = make_tree(self.haul.directory)
        proxy = self.proxy()
        users, words = self.job(base, accounts, self.haul.admin(self.server, "{target_user}", tls="none", port=proxy.port))
        before = footprint(base)
        run = self.haul.copy(*words)
        self.assertEqual(run.code, ACCOUNTS, run)
        self.assertEqual(footprint(base), before)
        outcomes = {a["name"].split("@")[0]: a["outcome"] for a in run.report["accounts"]}
        self.assertEqual({n: o for n, o in outcomes.items() if o != "done"}, {"pbx": "empty", "grace": "partial", "frank": "partial"})
        told = {a["name"]: a for a in run.report["accounts"]}
        self.assertEqual(balance({**run.report, "balanced": True}), [])
        for name, user in users.items():
            if not name.startswith("pbx"):
                with self.subTest(name):
                    self.check(user, accounts[name], told[name])
        # what is left behind is named
        for words_of in (
            r"Rules.*2 mail rules", r"subscription ~public/Gone.*no such mailbox", *self.rights, r"Archive.mslc.*over IMAP",
            r"Trash.mbox.*there is Trash.mdir too", r"account.info.*line 3", r"flag letter X", r"7x-S-20060314091502.*is none",
            r"12-S.*is none", r"DeleteMessagesAfter.*30d", r"UIDs do not ascend", r"Aliases 2 other addresses", r"account.web 2 files of 12 bytes", r"RPOP 1 mailboxes", r"another message has this UID",
        ):
            self.assertRegex("\n".join(f"{i['where']} {i['reason']}" for i in run.report["issues"]), words_of)
        # what names end with is told once of each shape, wherever that is met
        ends = [i["reason"] for i in run.report["issues"] if "of that shape" in i["reason"]]
        shapes = [re.sub("[a-z]+", "a", re.sub("[0-9]+", "9", re.search(r"\((\S+)\)", end).group(1))) for end in ends]
        self.assertEqual(sorted(shapes), sorted(set(shapes)))
        self.assertLessEqual({"-9", "_9.a", ".a", "-9-9"}, set(shapes))
        # once more: nothing is written, and the numbers stand
        proxy.reset()
        again = self.haul.copy(*words)
        self.assertEqual((proxy.writes(), proxy.messages, again.totals), (0, 0, run.totals), proxy.log)
        # as if the state had been lost
        proxy.reset()
        lost = self.haul.copy(*words, state=self.haul.path("lost.db"))
        self.assertEqual((proxy.messages, lost.totals["copied"]), (len(self.refused), 0), lost)
        for name, user in users.items():
            if not name.startswith("pbx"):
                with self.subTest(name):
                    self.check(user, accounts[name], told[name])

    def one(self, name, base, more=""):
        """An account of its own to copy: function that copies, user, proxy."""
        user, proxy = self.fresh_user(), self.proxy()
        target = self.haul.user(self.server, user, tls="none", port=proxy.port)

        def copy(code=DONE, sent=None):
            proxy.reset()
            run = self.haul.copy(f"cgp:{base}?account={name}{more}", target, "--settle", "1", state=self.haul.path(user + ".db"))
            self.assertEqual(run.code, code, run)
            if sent is not None:
                self.assertEqual(proxy.messages, sent, run)
            return run

        return copy, user, proxy

    def total(self, user):
        """Without what others let anyone read."""
        return sum(len(b.messages) for name, b in self.there(user).boxes.items() if not name.startswith("user/"))

    def test_files_that_change_between_passes(self):
        """Other keys, other names, other flags: never a message twice."""
        base, accounts = make_tree(self.haul.directory)
        top = os.path.join(base, "Accounts/bob.macnt")
        copy, user, _ = self.one("bob", base, "&dialect=plain")
        n = copy().totals["copied"]
        # account.info is lost: every UIDVALIDITY is another one
        os.rename(f"{top}/account.info", f"{top}/saved.info")
        copy(sent=0)
        # it is back, and cut
        with open(f"{top}/saved.info", encoding="utf-8") as f:
            text = f.read()
        with open(f"{top}/account.info", "w", encoding="utf-8") as f:
            f.write(text[: text.index('"Sent Items" = {') + 30])
        copy(sent=0)
        os.rename(f"{top}/saved.info", f"{top}/account.info")
        copy(sent=0)
        # flags change: renames, separators written anew
        for name in os.listdir(f"{top}/INBOX.mdir"):
            uid, _, rest = name.split("-", 2)
            os.rename(f"{top}/INBOX.mdir/{name}", f"{top}/INBOX.mdir/{uid}-SA-{rest}")
        with open(f"{top}/Work.mbox", "rb") as f:
            text = f.read()
        with open(f"{top}/Work.mbox", "wb") as f:
            f.write(re.sub(rb"(?m)^(From <alice@example.net>\()\w*-", rb"\1SF-", text))
        copy(sent=0)
        # the last but one message is expunged, new mail comes
        parts = re.split(rb"(?m)^(?=From <alice@example.net>\()", text)
        new = b"From <>(-900)  15-03-2011_11:00:00_1\nSubject: new\n\nnew\n\n"
        with open(f"{top}/Work.mbox", "wb") as f:
            f.write(b"".join(parts[:-2] + parts[-1:]) + new)
        with open(f"{top}/INBOX.mdir/950--20110314091502", "wb") as f:
            f.write(b"Subject: new\n\nnew in INBOX\n")
        copy(sent=2)
        n += 2
        # another program appends: UIDs cannot be used any more
        with open(f"{top}/Work.mbox", "ab") as f:
            f.write(b"From x@example.com Sun Mar 14 09:15:02 2010\nSubject: foreign\n\nforeign\n\n")
        copy(sent=1)
        n += 1
        # and the server gives it one
        with open(f"{top}/Work.mbox", "rb") as f:
            text = f.read()
        with open(f"{top}/Work.mbox", "wb") as f:
            f.write(text.replace(b"From x@example.com Sun", b"From <x@example.com>(-901) Sun"))
        copy(sent=0)
        # the mailbox becomes one of the other kind, with the same UIDs
        os.mkdir(f"{top}/Work.mdir")
        for part in re.split(rb"(?m)^(?=From <)", text.replace(b"From x@example.com Sun", b"From <x@example.com>(-901) Sun"))[1:]:
            line, _, body = part.partition(b"\n")
            uid = re.search(rb"-(\d+)\)", line).group(1).decode()
            with open(f"{top}/Work.mdir/{uid}--20110101000000", "wb") as f:
                f.write(body[:-1])
        os.unlink(f"{top}/Work.mbox")
        copy(sent=0)
        self.assertEqual(self.total(user), n)

    def test_a_better_table(self):
        base, accounts = make_tree(self.haul.directory)
        copy, user, _ = self.one("carol", base, "&flag-letters=S:\\Draft A:$Forwarded F:- D:\\Seen")
        copy()
        want = Counter()
        for m in accounts["carol@example.org"]["mailboxes"]["INBOX"]["messages"]:
            flags = {{"S": "\\draft", "D": "\\seen"}[x] for x in m["letters"] if x in "SD"}
            want[m["sha256"], m["date"], frozenset(flags), frozenset(["$Forwarded"] if "A" in m["letters"] else [])] += 1
        self.assertEqual(self.there(user).contents()["INBOX"], want)

    def test_the_table_changes(self):
        """What was copied with another table gets other flags, three ways: what
        users have changed meanwhile stays, and no message is sent again."""
        known = {"S": r"\seen", "A": r"\answered", "F": r"\flagged"}
        better = {"S": r"\answered", "A": r"\seen", "X": r"\flagged", "Q": "$mdnsent"}
        letters = ["", "S", "A", "F", "X", "Q", "SA", "SF", "SX", "AXQ", "SAFXQ", "RS"]
        base, top = self.haul.path("base"), "base/Accounts/eve.macnt"
        bodies = {(box, i): f"Subject: {i}\n\nin {box}\n" for box in ("INBOX", "Work") for i in range(len(letters))}
        keys = {hashlib.sha256(b.replace("\n", "\r\n").encode()).hexdigest(): k for k, b in bodies.items()}
        self.haul.write("base/Settings/Main.settings", "{\n DomainName = example.org;\n}\n")
        self.haul.write(f"{top}/account.info", "{\n INBOX = {UIDValidity=#5;};\n Work = {UIDValidity=#6;};\n}\n")
        for i, x in enumerate(letters):
            self.haul.write(f"{top}/INBOX.mdir/{i + 1}-{x}-20100314091502", bodies["INBOX", i])
        self.haul.write(f"{top}/Work.mbox", "".join(f"From <a@b>({x}-{i + 1})  14-03-2010_09:15:02_0\n{bodies['Work', i]}\n" for i, x in enumerate(letters)))
        user, proxy = self.fresh_user(), self.proxy()
        target = self.haul.user(self.server, user, tls="none", port=proxy.port)

        def copy(table=""):
            proxy.reset()
            run = self.haul.copy(*self.haul.job(f"cgp:{base}?account=eve{table}", target, "user\neve@example.org\n", "settle = 1"))
            self.assertEqual((run.code, run.totals["copied"]), (DONE, len(bodies)), run)
            return run

        def there():
            """{key: (UID, flags)}"""
            boxes = self.there(user).boxes
            return {keys[m.digest]: (m.uid, {f.lower() for f in m.flags | m.keywords} - {r"\recent"}) for name in ("INBOX", self.box("Work")) for m in boxes[name].messages}

        def flags():
            return {k: f for k, (_, f) in there().items()}

        def by(table, i):
            return {table[c] for c in letters[i] if c in table}

        run = copy()
        self.assertEqual(flags(), {k: by(known, k[1]) for k in bodies})
        told = [i["reason"] for i in run.report["issues"] if i["where"] == "flag letter X"]
        self.assertEqual([re.search(r"on (\d+) messages", t).group(1) for t in told], ["4", "4"], told)
        with sqlite3.connect(f"file:{self.haul.state}?mode=ro", uri=True) as db:
            rows = db.execute("SELECT src_name, src_uid, raw_flags FROM message JOIN mailbox ON mailbox.id = mailbox_id").fetchall()
        self.assertEqual(sorted(rows), sorted((box, i + 1, letters[i]) for box, i in bodies))
        # what users do meanwhile
        touched = {("INBOX", 1): r"-\Seen", ("INBOX", 3): r"-\Flagged", ("INBOX", 0): r"+\Flagged", ("Work", 2): r"+\Seen", ("Work", 7): r"+\Answered", ("Work", 11): r"+\Draft"}
        now = there()
        client = self.server.login(user)
        for (box, i), change in touched.items():
            client.select(readback.quote(self.box(box)))
            client.uid("STORE", str(now[box, i][0]), change[0] + "FLAGS", change[1:])
        client.logout()
        now = flags()
        self.assertEqual([(change[1:].lower() in now[k]) for k, change in touched.items()], [c[0] == "+" for c in touched.values()])
        # what is the same by both tables is as users left it
        want = {k: (now[k] - (by(known, k[1]) - by(better, k[1]))) | (by(better, k[1]) - by(known, k[1])) for k in bodies}
        table = r"&flag-letters=S:\Answered A:\Seen F:- X:\Flagged Q:$MDNSent R:-"
        run = copy(table)
        self.assertEqual((proxy.messages, flags()), (0, want), run)
        self.assertEqual([i for i in run.report["issues"] if i["where"] == "flag letter X"], [])
        # once more: nothing is done; and back, with the old table
        copy(table)
        self.assertEqual((proxy.writes(), flags()), (0, want), proxy.log)
        copy()
        self.assertEqual(proxy.messages, 0)
        back = {k: (want[k] - (by(better, k[1]) - by(known, k[1]))) | (by(known, k[1]) - by(better, k[1])) for k in bodies}
        self.assertEqual(flags(), back)

    def test_from_disk_then_over_imap(self):
        """Another way to the same mail: known again by its content, and nothing is sent."""
        base, _ = make_tree(self.haul.directory)
        copy, old, _ = self.one("bob", base)
        copy()
        copy, user, proxy = self.one("bob", base)
        n = copy().totals["copied"]
        source, target = self.haul.user(self.server, old), self.haul.user(self.server, user, tls="none", port=proxy.port)
        words = [source, target, "--settle", "1"]
        proxy.reset()
        run = self.haul.copy(*words, state=self.haul.path(user + ".db"))
        self.assertEqual((run.code, proxy.messages), (DONE, 0), run)
        self.assertEqual(self.total(user), n)

    def test_mail_that_moves_while_it_is_read(self):
        """The server delivers, changes flags, expunges and writes text mailboxes
        anew during all passes but the last."""
        top = self.haul.path("base/Accounts/u.macnt")
        os.makedirs(top + "/INBOX.mdir")
        life = Life(top, self.SEED)
        copy, user, _ = self.one("u", self.haul.path("base"), "&server=live")
        for _ in range(200):
            life.step()
        life.start()
        try:
            for _ in range(10):
                self.haul.copy(
                    f"cgp:{self.haul.path('base')}?account=u&server=live",
                    self.haul.user(self.server, user), "--settle", "1", state=self.haul.path(user + ".db"),
                )
        finally:
            life.stop()
        copy()
        there = self.there(user)
        for name, (now, ever) in life.told().items():
            got = there.boxes[self.box(name)].digests()
            self.assertEqual(now - got, Counter(), f"{name}, seed {self.SEED}")
            self.assertEqual(got - ever, Counter(), f"{name}, seed {self.SEED}: {life.steps} steps")
        copy(sent=0)

    def test_a_running_server(self):
        base, _ = make_tree(self.haul.directory)
        self.haul.write("tree/base/ProcessID", "1")
        copy, user, _ = self.one("carol", base)
        run = copy(ACCOUNTS, sent=0)
        self.assertIn("is running", run.err)
        copy, user, _ = self.one("carol", base, "&server=live")
        self.assertIn("ProcessID", str(copy().report["issues"]))

    def test_bad_input(self):
        base, _ = make_tree(self.haul.directory)
        top = os.path.join(base, "Accounts")
        shutil.copytree(f"{top}/carol.macnt", f"{top}/x.sub/carol.macnt")
        copy, _, _ = self.one("carol", base)
        self.assertIn("lies in two places", copy(ACCOUNTS, sent=0).err)
        run = self.haul.run("plan", "--list-accounts", f"cgp:{base}")
        self.assertEqual((run.code, run.out.count("carol@example.org,mail")), (ACCOUNTS, 2), run)
        self.assertRegex(run.err, r"Accounts/\S*carol.macnt: carol@example.org lies in Accounts/\S*carol.macnt as well")
        for name in ("nobody", "bob@nowhere.example", "bob@sub.example.net"):
            copy, _, _ = self.one(name, base)
            self.assertRegex(copy(ACCOUNTS, sent=0).err, "there is no")
        copy, _, _ = self.one("bob/../carol", base)
        self.assertIn("is no account", copy(ACCOUNTS, sent=0).err)
        for text, code in ((f"cgp:{base}?account=bob&flag-letters=S", MISUSE), (f"cgp:{base}", ACCOUNTS), (f"cgp:{top}?account=x", ACCOUNTS)):
            run = self.haul.copy(text, "null:", state=self.haul.path(f"bad{len(text)}.db"))
            self.assertEqual(run.code, code, run)
        # an endless nesting costs metadata, never mail
        with open(f"{top}/dave.macnt/account.info", "w", encoding="ascii") as f:
            f.write("{a=" * 2_000_000)
        copy, user, _ = self.one("dave", base)
        run = copy()
        self.assertIn("nested too deep", str(run.report["issues"]))
        self.assertEqual(self.total(user), run.totals["source"])
        # what only the old server can read: named, and the pass ends with 2
        copy, _, _ = self.one("grace", base)
        run = copy(ACCOUNTS)
        self.assertRegex(str([i for i in run.report["issues"] if i["where"].endswith(".mslc")]), "over IMAP")
        # names that are one when they are read
        os.makedirs(f"{top}/pair.macnt")
        for name, text in (("&AOk-t\u00e9.mbox", "one"), ("&AOkAdADp-.mbox", "two"), ("INBOX.mbox", "three")):
            with open(f"{top}/pair.macnt/{name}", "w", encoding="utf-8") as f:
                f.write(f"From <a@b>(S-1)  14-03-2010_09:15:02_0\nSubject: {text}\n\nx\n")
        copy, user, _ = self.one("pair", base)
        self.assertEqual(copy().totals["copied"], 3)
        boxes = [b for b in self.there(user).boxes.values() if b.messages and not b.name.startswith("user/")]
        self.assertEqual(sorted(len(b.messages) for b in boxes), [1, 1, 1])
        # times of files that a copy has lost: said where a date depends on them
        os.makedirs(f"{top}/late.macnt/INBOX.mdir")
        for name, text in (("1-S-20100314091502", "Subject: 1\n\nx\n"), ("2-S-20101399000000", "Subject: 2\n\nx\n"), ("3-S-20101399000000", "Received: by x; Sun, 14 Mar 2010 09:15:02 +0000\nSubject: 3\n\nx\n")):
            self.haul.write(f"tree/base/Accounts/late.macnt/INBOX.mdir/{name}", text)
        now = int(time.time())
        copy, user, _ = self.one("late", base)
        told = [i["reason"] for i in copy().report["issues"] if i["where"] == "dates"]
        self.assertEqual([t.split(";")[0] for t in told], ["of 1 messages from Received, of 1 from the time of the file, of 0 from Date"])
        dates = sorted(m.date for m in self.there(user).boxes["INBOX"].messages)
        self.assertEqual(dates[:2], [1268558102] * 2)
        self.assertGreaterEqual(dates[2], now - 5)
        # a mailbox full of foreign files
        for i in range(3000):
            self.haul.write(f"tree/base/Accounts/erin.macnt/INBOX.mdir/{i}.eml", "x")
        copy, user, _ = self.one("erin", base)
        run = copy()
        issues = [i for i in run.report["issues"] if i["mailbox"] == "INBOX"]
        self.assertLess(len(issues), 30)
        self.assertIn("and 2980 more names", str(issues))


class TestCalibrate(unittest.TestCase):
    """A Dovecot stands in for the server; its files have a swapped table, a
    zone and tails of their own."""

    LETTERS = {"D": "\\Seen", "S": "\\Answered", "q": "\\Flagged", "A": "\\Deleted", "F": "\\Draft", "w": "$Forwarded"}
    ZONE = 5400

    def setUp(self):
        self.haul = Haul()
        self.addCleanup(self.haul.destroy)
        self.server = Dovecot(USERS=1, FORMAT="mdbox", SEPARATOR="/")
        self.addCleanup(self.server.destroy)
        self.server.start()

    def fill(self, n, wrong=0):
        """n messages in each mailbox, on both sides with the same UIDs; of so
        many the flags differ."""
        r = random.Random(7)
        top = self.haul.path("base/Accounts/u.macnt")
        os.makedirs(top + "/INBOX.mdir")
        client = self.server.login("user1")
        client.create("Work")
        text = b""
        for box in "INBOX", "Work":
            for uid in range(1, n + 1):
                letters = "".join(x for x in self.LETTERS if r.random() < 0.3) + "R" * (r.random() < 0.2)
                t = 1_200_000_000 + 1000 * uid
                body = b"Subject: %d\n\n%s" % (uid, b"text\n" * r.randrange(1, 50))
                if uid == 3:
                    body += b">From here\n"
                flags = [self.LETTERS[x] for x in letters if x in self.LETTERS]
                if box == "INBOX" and uid <= wrong:
                    flags = []
                date = time.strftime('"%d-%b-%Y %H:%M:%S +0000"', time.gmtime(t))
                self.assertEqual(client.append(box, f"({' '.join(flags)})", date, body.replace(b"\n", b"\r\n"))[0], "OK")
                if box == "INBOX":
                    stamp = time.strftime("%Y%m%d%H%M%S", time.gmtime(t))
                    with open(f"{top}/INBOX.mdir/{uid:06}-{letters}-{stamp}-{uid}", "wb") as f:
                        f.write(body)
                else:
                    stamp = time.strftime("%d-%m-%Y_%H:%M:%S", time.gmtime(t + self.ZONE))
                    text += f"From <a@b>({letters}-{uid})  {stamp}_{t}\n".encode() + body + b"\n"
        with open(f"{top}/Work.mbox", "wb") as f:
            f.write(text)
        client.logout()
        return f"cgp:{self.haul.path('base')}?account=u"

    def calibrate(self, source):
        return self.haul.run("calibrate", source, self.haul.user(self.server, "user1"))

    def test_learns_all(self):
        source = self.fill(60, wrong=1)
        before = footprint(self.haul.path("base"))
        run = self.calibrate(source)
        self.assertEqual(run.code, DONE, run)
        self.assertEqual(footprint(self.haul.path("base")), before)
        lines = run.out.splitlines()
        given = dict(line.split(" = ") for line in lines if not line.startswith(";"))
        self.assertEqual(set(given), {"flag-letters", "zone"})
        table = dict(word.split(":") for word in given["flag-letters"].split())
        self.assertEqual(table, self.LETTERS | {"R": "-"})
        self.assertEqual(given["zone"], "+0130")
        notes = "\n".join(lines)
        for told in (
            "learnt from 120 messages", r"R is on \d+ messages and agrees with no flag", r"D is \\Seen: \d+ messages say so, [01] contradict",
            "times of names in MailDir mailboxes are [+]0 minutes from UTC: 60 messages say so, 0 contradict",
            "times of separators in text mailboxes are [+]90 minutes from UTC: 60 messages say so, 0 contradict",
            "in names of files: 60 times the UID", "in separators: 60 times a time in seconds",
            "LF in 120 messages, in CR LF in 0, in both in 0", "120 have the size that the server tells, 0 another", '">From " are in 2 messages',
        ):
            self.assertRegex(notes, told)
        # pasted into a job, they give what the server has
        os.unlink(glob.glob(self.haul.path("base/Accounts/u.macnt/INBOX.mdir/000001-*"))[0])
        job = self.haul.job(f"cgp:{self.haul.path('base')}?account={{user}}\n" + run.out, "null:", "user\nu\n")
        self.assertEqual(self.haul.copy(*job).code, DONE)
        with sqlite3.connect(self.haul.state) as db:
            flags = Counter((f, bool(k), d) for f, k, d in db.execute("SELECT src_flags, src_kw, date FROM message"))
        client = self.server.login("user1")
        there = readback.account(client)
        client.logout()
        bits = {"\\seen": 1, "\\answered": 2, "\\flagged": 4, "\\deleted": 8, "\\draft": 16}
        want = Counter(
            (sum(bits[f] for f in m.flags), bool(m.keywords), m.date)
            for b in there.boxes.values() for m in b.messages if (b.name, m.uid) != ("INBOX", 1)
        )
        self.assertEqual(flags, want)

    def test_what_it_cannot_learn(self):
        source = self.fill(20)
        # letters that mean nothing any more; a mailbox the server lacks
        top = self.haul.path("base/Accounts/u.macnt")
        for i, name in enumerate(sorted(os.listdir(top + "/INBOX.mdir"))):
            uid, letters, rest = name.split("-", 2)
            os.rename(f"{top}/INBOX.mdir/{name}", f"{top}/INBOX.mdir/{uid}-{'D' * (i % 2)}-{rest}")
        os.unlink(top + "/Work.mbox")
        self.haul.write("base/Accounts/u.macnt/Gone.mbox", "")
        run = self.calibrate(source)
        self.assertEqual(run.code, DONE, run)
        self.assertIn("flag-letters = D:-\n", run.out)
        self.assertIn("and no letter stands for it", run.out)
        self.assertIn("Gone: is not at the server", run.err)
        shutil.rmtree(top + "/INBOX.mdir")
        os.mkdir(top + "/INBOX.mdir")
        self.assertEqual(self.calibrate(source).code, ACCOUNTS)
        self.assertEqual(self.haul.run("calibrate", source, "null:").code, MISUSE)
        run = self.haul.run("calibrate", source, self.haul.user(self.server, "user1", password="wrong"))
        self.assertEqual(run.code, ACCOUNTS, run)


class TestList(unittest.TestCase):
    def test_hidden(self):
        """The letter for what the server hides, and what becomes of it."""
        with Haul() as haul:
            base, accounts = make_tree(haul.directory)
            hidden = [m for b in accounts["bob@example.org"]["mailboxes"].values() if not b["class"] for m in b["messages"] if "F" in m["letters"]]
            self.assertGreater(len(hidden), 0)
            words = [f"cgp:{base}?account=bob&flag-letters=S:\\Seen F:$Hidden A:- D:-", "null:", "--hidden"]
            kept = haul.copy(*words, "copy", state=haul.path("a.db")).totals
            left = haul.copy(*words, "skip", state=haul.path("b.db")).totals
            self.assertEqual((left["copied"], left["excluded"]), (kept["copied"] - len(hidden), kept["excluded"] + len(hidden)))

    def test_list_of_accounts(self):
        """plan --list-accounts, and what it writes is a list for copy."""
        with Haul() as haul:
            base, accounts = make_tree(haul.directory)
            before = footprint(base)
            run = haul.run("plan", "--list-accounts", f"cgp:{base}", "--count-bytes")
            self.assertEqual(run.code, ACCOUNTS, run)  # Archive.mslc, Noise.mbox
            rows = {r["user"]: r for r in csv.DictReader(io.StringIO(run.out))}
            self.assertEqual(set(rows), set(accounts))
            for name, account in accounts.items():
                row = rows[name]
                self.assertEqual(row["kind"], account["kind"], name)
                self.assertEqual(row["source_quota"], str(account["quota"] or ""), name)
                boxes = [m for m in account["mailboxes"].values() if not m.get("external")]
                unread = sum(m["refused"] for m in boxes)
                messages = [x for m in boxes for x in m["messages"]]
                self.assertEqual(
                    (row["mailboxes"], row["messages"], row["unreadable"]), (str(len(boxes)), str(len(messages)), str(unread)), name
                )
                self.assertEqual(row["crlf_bytes"], "" if unread else str(sum(x["size"] for x in messages)), name)
            self.assertEqual(rows["bob@example.org"]["last_login"], "2010-03-14T10:00:01Z")
            self.assertEqual((rows["oldpop@example.org"]["pop"], rows["oldpop@example.org"]["imap"]), ("yes", "no"))
            self.assertIn("frank@example.org/Noise: no text mailbox", run.err)
            # the same without reading mail, of a job; nothing on standard error
            job = haul.job(f"cgp:{base}?account={{user}}", "null:", run.out)
            brief = haul.run("plan", "--list-accounts", "--job", job[1], "--quiet")
            self.assertEqual([r["messages"] for r in csv.DictReader(io.StringIO(brief.out))], [r["messages"] for r in rows.values()])
            self.assertEqual(brief.err, "")
            copied = haul.copy(*job, "--where", "kind=mail", "--lanes", "2")
            self.assertEqual(copied.code, ACCOUNTS, copied)
            self.assertEqual(len(copied.report["accounts"]), sum(a["kind"] == "mail" for a in accounts.values()))
            self.assertEqual(footprint(base), before)
            for words in (["maildir:/x"], [], [f"cgp:{base}", "null:"]):
                self.assertEqual(haul.run("plan", "--list-accounts", *words).code, MISUSE)
            self.assertEqual(haul.run("plan", "--list-accounts", f"cgp:{base}/Accounts").code, ACCOUNTS)


class TestTree(unittest.TestCase):
    def test_the_same_seed(self):
        """scripts/cgp-tree: the same bytes, names and times by seed, and others by another one."""
        with Haul() as haul:
            seen = []
            for seed in ("7", "7", "8"):
                place = haul.path(f"t{len(seen)}")
                os.mkdir(place)
                make_tree(place, "--seed", seed)
                files = {}
                for path, _, names in os.walk(place):
                    for name in names:
                        full = os.path.join(path, name)
                        if os.path.islink(full):
                            files[os.path.relpath(full, place)] = os.readlink(full)
                            continue
                        with open(full, "rb") as f:
                            files[os.path.relpath(full, place)] = (hashlib.sha256(f.read()).hexdigest(), os.stat(full).st_mtime if name != "manifest.json" else 0)
                seen.append(files)
            self.assertEqual(seen[0], seen[1])
            self.assertNotEqual(seen[0], seen[2])


class TestRecipe(unittest.TestCase):
    def test_readme(self):
        """What README tells a newcomer to do, word for word."""
        with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as f:
            text = re.search(r"(?m)^    scripts/cgp-tree synthetic\n(?:    .*\n)+", f.read()).group()
        with Haul() as haul:
            os.chmod(haul.directory, 0o755)  # the server's user goes through it
            os.symlink(os.path.join(ROOT, "scripts"), haul.path("scripts"))
            server = haul.path("c")
            steps = re.sub(r"(?m)^    ", "", text).replace("/tmp/c", server)
            self.assertTrue(steps.endswith(f"scripts/cyrus-server {server} stop\n"), steps)
            path = os.path.dirname(haul.program) + ":" + os.environ["PATH"]
            environment = {**os.environ, "PATH": path, "MAILHAUL_TEST_CA": haul.path("ca")}
            try:
                run = subprocess.run(["bash", "-c", steps], cwd=haul.directory, env=environment, capture_output=True, text=True, check=False)
            finally:
                subprocess.run([os.path.join(ROOT, "scripts/cyrus-server"), server, "stop"], check=False, capture_output=True)
            self.assertRegex(run.stdout, r"(?m)^not ready, because", run.stderr)
            self.assertRegex(run.stdout, r"(?m)^  copied    117$")
            outcomes = Counter(re.findall(r"(?m)^(done|partial|empty|failed) .* \S+@\S+", run.stdout))
            self.assertEqual(outcomes, {"done": 8, "partial": 2, "empty": 2}, run.stdout + run.stderr)
            self.assertRegex(run.stdout, r"(?m)^outcome   done: everything")


class TestDovecot(Common, unittest.TestCase):
    kind = Dovecot
    settings = {"FORMAT": "mdbox", "SEPARATOR": "/"}
    below = ""
    marks = False  # its configuration marks, by names
    rights = (r"subscription ~public/News.*no names", r"News not carried over: anyone lrs, bob@example.org lrswipkxtea: the server has no")
    refused = ()
    altered = ("nul",)


class TestCyrus(Common, unittest.TestCase):
    kind = Cyrus
    settings = {}
    below = "INBOX/"
    marks = True
    rights = (r"INBOX for alice@example.org lrs: not carried over: nobody", r"Q1 for team@example.org lrswipkxtea: not")
    refused = ("nul",)
    altered = ()


if __name__ == "__main__":
    unittest.main()
