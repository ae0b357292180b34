"""doveadm:USER: mail goes into mdbox, sdbox and Maildir through dsync's protocol;
doveadm and imaplib have to show what the source has, and nothing of what was
there before may be touched."""

import os
import random
import re
import shlex
import socket
import subprocess
import time
import unittest

import dsyncs
import nasty
import trees
from dsyncs import numbers
from haul import ACCOUNTS, DIFFERS, MISUSE

LONG = os.environ.get("MAILHAUL_KILLS") == "all"
GUID = "0123456789abcdef" * 2
SAVED = re.compile(r"date\.saved\.unixtime: \d+\n")


def body(text):
    return f"From: x@example.org\nSubject: {text}\n\n.{text}\n..\n.\nend".encode()


def message(number, count=0):
    return body(f"number {number} " + "x" * count)


class Formats(dsyncs.Case):
    """Everything that is kept, in one format."""

    def fill(self, path):
        box = trees.Box(uidvalidity=1234567890, uidnext=5000, guid=GUID)
        rng = random.Random(1)
        for i, (_, data) in enumerate(sorted(nasty.MESSAGES.items())):
            if not data:
                continue
            words = rng.sample(["$Forwarded", "work", "NonJunk", "a.b/c", "k" * 50], rng.randrange(4))
            # UIDLs and orders are no function of UIDs
            box.add(data, uid=3 + 7 * i, flags=rng.sample("DFRST", rng.randrange(4)), keywords=words, date=1_000_000_000 + 86_399 * i,
                    uidl=f"UIDL<{i * 7 % 31}>" if i % 3 == 0 else None, order=100 - i if i % 4 == 0 else 0, guid=f"{1 + i * 7919:032x}")
        box.write(path)
        other = trees.Box(uidvalidity=4294967295, uidnext=4294967290)
        other.add(b"From: x@example.org\n\none\n", uid=1)
        other.add(b"From: x@example.org\n\ntwo\n", uid=4294967200, flags="S")
        other.write(os.path.join(path, ".Work.Old &- M&APw-ll"))
        trees.Box(uidvalidity=9, uidnext=77).write(os.path.join(path, ".Empty"))
        return box

    def test_everything_is_kept(self):
        source = self.haul.path("src")
        box = self.fill(source)
        run = self.checked(self.haul.copy("maildir:" + source, self.target()))
        self.assertEqual(run.totals["copied"], len(box.messages) + 2)
        self.assertEqual(run.report["issues"], [])
        there = self.there()
        old = next(n for n in there.boxes if n.startswith("Work") and len(n) > 4)
        self.assertEqual(old[5:], "Old & Müll")
        self.assertEqual({n: v[:2] for n, v in numbers(there).items() if v[0]},
                         {"INBOX": (1234567890, 5000), old: (4294967295, 4294967290), "Empty": (9, 77)})
        self.assertEqual([m.uid for m in there.boxes[old].messages], [1, 4294967200])
        self.assertEqual(self.status("INBOX")["guid"], GUID)
        # what Dovecot gives back; it keeps no CR before CR LF and shows no NUL
        # and the letters of the source are keywords in the order they came
        names = {"D": r"\draft", "F": r"\flagged", "R": r"\answered", "S": r"\seen", "T": r"\deleted"}
        names.update((chr(ord("a") + i), w) for i, w in enumerate(box.keywords))
        got = {m.uid: m for m in there.boxes["INBOX"].messages}
        self.assertEqual(sorted(got), [uid for uid, _ in box.lines])
        fetched = {int(t.split("uid: ")[1].split()[0]): t for t in self.fetch("INBOX")}
        for (uid, line), (_, letters, data, date, _) in zip(box.lines, box.messages):
            m = got[uid]
            self.assertEqual((m.date, m.flags | m.keywords), (date, {names[c] for c in letters}), uid)
            if b"\r\r\n" not in data and not data.endswith(b"\r"):
                self.assertEqual(m.digest, nasty.digest(nasty.crlf(data).replace(b"\0", b"\x80")), uid)
            fields = {w[0]: w[1:] for w in line.split(" :")[0].split()[1:]}
            text = fetched[uid]
            self.assertIn(f"guid: {fields['G']}\n", text)
            # Dovecot 2.3 shows those that its sdbox got with the first message
            if self.settings["FORMAT"] != "sdbox":
                self.assertIn(f"pop3.uidl: {fields.get('P', '')}\n", text)
                self.assertIn(f"pop3.order: {fields.get('O', '')}\n", text)
        # a second run asks, and sends nothing; a third without a state neither
        before = numbers(there), self.fetch("INBOX")
        self.checked(self.haul.copy("maildir:" + source, self.target()))
        self.assertEqual((numbers(self.there()), self.fetch("INBOX")), before)
        self.server.doveadm("force-resync", "-u", self.user, "*", stderr=subprocess.DEVNULL)
        self.assertEqual((numbers(self.there()), self.fetch("INBOX")), before)

    def test_more_mail_and_lost_state(self):
        source = self.haul.path("src")
        box = trees.Box(uidvalidity=7, uidnext=50)
        for i in range(30):
            box.add(message(i), uid=3 + i)
        box.write(source)
        self.checked(self.haul.copy("maildir:" + source, self.target()))
        for uid in 50, 61:
            box.add(message(uid), uid=uid, keywords=["late"])
        box.write(source)
        run = self.checked(self.haul.copy("maildir:" + source, self.target()))
        self.assertEqual(run.totals["copied"], 32)
        inbox = self.there().boxes["INBOX"]
        self.assertEqual([m.uid for m in inbox.messages], [3 + i for i in range(30)] + [50, 61])
        self.assertEqual((inbox.uidvalidity, inbox.uidnext), (7, 62))
        lost = self.checked(self.haul.copy("maildir:" + source, self.target(), state=self.haul.path("L.db")))
        self.assertEqual((lost.totals["present"], lost.totals["copied"]), (32, 0))
        self.assertEqual(numbers(self.there())["INBOX"][2], inbox.messages)


class Sdbox(Formats):
    settings = {"FORMAT": "sdbox"}


class Maildir(Formats):
    settings = {"FORMAT": "maildir"}


class CompressedMaildir(Formats):
    settings = {"FORMAT": "maildir", "PLUGINS": "zlib", "EXTRA": "plugin {\n  zlib_save = gz\n}"}

    def test_more_mail_and_lost_state(self):
        """Once more, and Dovecot has compressed what it got."""
        super().test_more_mail_and_lost_state()
        for entry in trees.read(self.server.maildir(self.user)).values():
            with open(entry.file, "rb") as f:
                self.assertEqual(f.read(2), b"\x1f\x8b")


class Traps(dsyncs.Case):
    """What would go wrong if it were done the plain way."""

    def source(self, count, uidvalidity=7, name="src", **options):
        box = trees.Box(uidvalidity=uidvalidity)
        for i in range(count):
            box.add(message(i), uid=1 + i, **options)
        box.write(self.haul.path(name))
        return box, "maildir:" + self.haul.path(name)

    def test_other_mail_stays(self):
        """The same UIDs, another mailbox: a plain backup would delete them all."""
        for i in range(3):
            self.deliver(b"From: mine@example.org\n\nmine %d\n" % i)
        self.server.doveadm("mailbox", "create", "-u", self.user, "Mine")
        self.deliver(b"From: mine@example.org\n\nthere\n", "Mine")
        before = self.there()
        _, source = self.source(20)
        run = self.haul.copy(source, self.target(), "--existing", "merge")
        self.assertEqual(run.totals["copied"], 20, run)
        after = self.there()
        self.assertEqual(numbers(after)["Mine"], numbers(before)["Mine"])
        inbox = after.boxes["INBOX"]
        self.assertEqual(inbox.uidvalidity, before.boxes["INBOX"].uidvalidity)
        self.assertEqual(inbox.messages[:3], before.boxes["INBOX"].messages)
        self.assertEqual([m.uid for m in inbox.messages], list(range(1, 24)))

    def test_a_uid_that_is_taken(self):
        """Mail came in between: it keeps its UID, ours is another, and clients hear of it."""
        box, source = self.source(5)
        self.checked(self.haul.copy(source, self.target()))
        self.deliver(b"From: mine@example.org\n\nmine\n")
        box.add(message(99), uid=6)
        box.write(self.haul.path("src"))
        run = self.haul.copy(source, self.target())
        self.assertEqual(run.totals["copied"], 6, run)
        inbox = self.there().boxes["INBOX"]
        self.assertEqual(len(inbox.messages), 7)
        self.assertEqual(inbox.messages[5].digest, nasty.digest(b"From: mine@example.org\r\n\r\nmine\r\n"))
        self.assertNotEqual(inbox.uidvalidity, 7)
        again = self.haul.copy(source, self.target())
        self.assertEqual(again.totals["copied"], 6)
        self.assertEqual(self.there().boxes["INBOX"].messages, inbox.messages)

    def test_keywords(self):
        """One that Dovecot does not hold would cost the message all of them."""
        box = trees.Box(uidvalidity=7)
        box.add(body("a"), uid=1, keywords=["good", "k" * 51, "p%q", "fine"])
        box.write(self.haul.path("src"))
        run = self.checked(self.haul.copy("maildir:" + self.haul.path("src"), self.target()), DIFFERS)
        self.assertEqual([i["kind"] for i in run.report["issues"]], ["keywords"])
        self.assertEqual(self.there().boxes["INBOX"].messages[0].keywords, {"good", "fine"})

    def test_one_guid_twice(self):
        """dsync takes two messages of one GUID for one: here they are others."""
        box = trees.Box(uidvalidity=7)
        for i in range(250):
            box.add(message(i), uid=1 + i, guid="%032x" % (i // 2 + 1) if i < 240 else "0" * 32)
        box.write(self.haul.path("src"))
        self.checked(self.haul.copy("maildir:" + self.haul.path("src"), self.target()))
        digests = [m.digest for m in self.there().boxes["INBOX"].messages]
        self.assertEqual(digests, [nasty.digest(nasty.crlf(message(i))) for i in range(250)])
        guids = re.findall(r"guid: ([0-9a-f]{32})\n", "".join(self.fetch("INBOX")))
        self.assertEqual(len(set(guids)), 250)
        self.assertEqual(guids[:240:2], ["%032x" % (i + 1) for i in range(120)])
        self.assertNotIn("0" * 32, guids)

    def test_names(self):
        source = self.haul.path("src")
        names = ["a.b", "~x", "Entwürfe & mehr", "x=41", "..", "100%", "a'b\"c", "inbox", "tmp"]
        for i, name in enumerate(names):
            box = trees.Box(uidvalidity=100 + i)
            box.add(message(i), uid=5)
            box.write(os.path.join(source, "INBOX" if i < 0 else name))
            child = trees.Box(uidvalidity=200 + i)
            child.add(message(50 + i), uid=6)
            child.write(os.path.join(source, name, "K.1"))
        trees.Box(uidvalidity=1).write(source)
        run = self.haul.copy(f"maildir:{source}?layout=fs", self.target())
        self.assertEqual(run.totals["copied"], run.totals["source"], run)
        self.assertGreaterEqual(run.totals["copied"], 2 * (len(names) - 2))
        got = numbers(self.there())
        for name, number in ("a.b", 0), ("Entwürfe & mehr", 2), ("a'b\"c", 6):
            self.assertEqual([m.digest for m in got[name][2]], [nasty.digest(nasty.crlf(message(number)))])
            self.assertEqual(got[name][:2], (100 + number, 6))
            self.assertIn(name + "/K.1", got)
        before = got
        self.haul.copy(f"maildir:{source}?layout=fs", self.target())
        self.assertEqual(numbers(self.there()), before)

    def test_many_lanes(self):
        """A user has one session at a time, however many lanes there are."""
        for i in range(12):
            box = trees.Box(uidvalidity=50 + i)
            for k in range(20):
                box.add(message(100 * i + k), uid=1 + k)
            box.write(self.haul.path("src") if i == 0 else self.haul.path("src", f".box{i}"))
        with open(self.haul.path("src", "subscriptions"), "w", encoding="ascii") as f:
            f.write("box3\nbox7\n")
        self.checked(self.haul.copy("maildir:" + self.haul.path("src"), self.target(), "--lanes", "6", "--lanes-per-account", "6"))
        there = self.there()
        self.assertEqual(there.subscribed & set(there.boxes), {"box3", "box7"})
        got = numbers(there)
        for i in range(12):
            self.assertEqual(got["INBOX" if i == 0 else f"box{i}"][:2], (50 + i, 21))

    def test_undo(self):
        """What is ours goes, by IMAP, and what was there stays."""
        self.deliver(b"From: mine@example.org\n\nmine\n")
        before = numbers(self.there())["INBOX"][2]
        box, source = self.source(7)
        box.write(self.haul.path("src", ".Sent"))
        words = [source, self.target(), "--state", self.haul.state]
        run = self.haul.run("copy", *words, "--existing", "merge", "--format", "json")
        self.assertEqual(run.totals["copied"], 14, run)
        self.assertEqual(len(self.there().boxes["Sent"].messages), 7)
        run = self.haul.run("undo", *words, "--yes")
        self.assertEqual(run.code, 0, run)
        after = self.there()
        self.assertEqual(numbers(after)["INBOX"][2], before)
        self.assertNotIn("Sent", after.boxes)

    def test_mail_comes_in_meanwhile(self):
        """Deliveries all the time: nothing is lost on either side."""
        box, source = self.source(1500)
        process = self.haul.start_copy(source, self.target(), "--existing", "merge")
        mine = 0
        while process.poll() is None and mine < 40:
            self.deliver(b"From: mine@example.org\n\nmine %d\n" % mine)
            mine += 1
        run = self.haul.finish(process)
        for _ in range(4):
            if run.code in (0, DIFFERS) and run.totals["copied"] + run.totals["present"] == 1500:
                break
            run = self.haul.copy(source, self.target(), "--existing", "merge", "--settle", "0")
        want = {nasty.digest(nasty.crlf(data)): 1 for _, _, data, _, _ in box.messages}
        want.update((nasty.digest(b"From: mine@example.org\r\n\r\nmine %d\r\n" % i), 1) for i in range(mine))
        self.assertEqual(dict(self.there().boxes["INBOX"].digests()), want, run)


# so many bytes of its input, and then no more; doveadm makes the socket that is
# its output, and the input here, nonblocking
RELAY = """
import os, select, sys
left = int(sys.argv[1])
while left:
    select.select([0], [], [])
    data = os.read(0, min(left, 65536))
    if not data:
        break
    left -= len(data)
    while data:
        data = data[os.write(1, data):]
"""


class Prefixed(dsyncs.Case):
    """A namespace as Courier had it."""

    settings = {"FORMAT": "maildir", "PREFIX": "INBOX.", "SEPARATOR": "."}

    def test_below_inbox(self):
        for number, name in (7, ""), (8, ".Work.Old"):
            box = trees.Box(uidvalidity=number, uidnext=40)
            box.add(message(number), uid=5)
            box.write(self.haul.path("src", name))
        self.checked(self.haul.copy("maildir:" + self.haul.path("src"), self.target()))
        got = {n: v[:2] for n, v in numbers(self.there()).items() if v[0]}
        self.assertEqual(got, {"INBOX": (7, 40), "INBOX.Work.Old": (8, 40)})


class Broken(dsyncs.Case):
    """Programs that are none, or that end."""

    def setUp(self):
        super().setUp()
        box = trees.Box(uidvalidity=7, uidnext=5000)
        for i in range(900):
            box.add(message(i, 200), uid=1 + 2 * i)
        box.write(self.haul.path("src"))
        self.source = "maildir:" + self.haul.path("src")

    def wrapper(self, text):
        path = self.haul.write("wrapper", f"#!/bin/sh\nd={shlex.quote(dsyncs.program(self.server))}\n{text}\n", 0o700)
        return self.target(program=path)

    def test_a_server_that_ends(self):
        """The dsync-server is cut off after so many bytes; the next one goes on."""
        cuts = [0, 300, 700, 800, 900, *range(60_000, 340_000, 20_000)] if LONG else [700, *[150_000] * 5]
        kept = self.haul.path("counter")
        relay = self.haul.write("relay.py", RELAY)
        target = self.wrapper(
            f"case \" $* \" in *dsync-server*)\n n=$(cat {kept} 2>/dev/null || echo 0); echo $((n + 1)) >{kept}\n"
            f" i=0; for cut in {' '.join(map(str, cuts))}; do\n"
            f"  [ $i = $n ] && {{ /usr/bin/python3 {relay} $cut | $d \"$@\"; exit; }}\n  i=$((i + 1))\n done;;\nesac\nexec $d \"$@\"")
        said = ""
        for _ in range(20):
            run = self.haul.copy(self.source, target, "--settle", "0", "--set", "limits.patience=1")
            said += run.err
            if run.code == 0:
                break
        self.assertEqual(run.totals["copied"], 900, run)
        inbox = self.there().boxes["INBOX"]
        self.assertEqual([m.uid for m in inbox.messages], [1 + 2 * i for i in range(900)])
        self.assertEqual((inbox.uidvalidity, inbox.uidnext), (7, 5000))
        self.assertEqual([m.digest for m in inbox.messages], [nasty.digest(nasty.crlf(message(i, 200))) for i in range(900)])
        # before the mail, and in the middle of it
        self.assertRegex(said, r"doveadm ended with 75: .*EOF \((handshake|last sent=(handshake|mailbox_))")
        self.assertRegex(said, r"doveadm ended with 75: .*\(last sent=mail_request")

    def test_no_such_user(self):
        self.user = "nobody-there"
        run = self.haul.copy(self.source, self.target())
        self.assertEqual(run.code, ACCOUNTS, run)
        self.assertRegex(run.err.lower(), "user doesn't exist")

    def test_no_program(self):
        run = self.haul.copy(self.source, self.target(program="/nonexistent/doveadm"), "--set", "limits.patience=1")
        self.assertNotEqual(run.code, 0)
        self.assertIn("/nonexistent/doveadm", run.err)

    def test_imap_instead(self):
        """No dsync: IMAP, and the report says so; unless dsync was asked for."""
        no = 'case " $* " in *dsync-server*) echo "Fatal: unknown command" >&2; exit 64;; esac\nexec $d "$@"'
        target = self.wrapper(no)
        run = self.haul.copy(self.source, target + "&transport=dsync")
        self.assertEqual(run.code, ACCOUNTS, run)
        self.assertIn("unknown command", run.err)
        run = self.haul.copy(self.source, target)
        self.assertEqual(run.totals["copied"], 900, run)
        self.assertIn("not by dsync, but by IMAP", repr(run.report["issues"]))
        self.assertEqual(len(self.there().boxes["INBOX"].messages), 900)
        self.next_user()
        run = self.haul.copy(self.source, self.target(transport="imap"), state=self.haul.path("I.db"))
        self.assertEqual(run.totals["copied"], 900, run)

    def test_options(self):
        for target, words in (("doveadm:", "needs a user"), ("doveadm:u?transport=smtp", "transport=smtp"), ("doveadm:u?tls=none", "means nothing"),
                              ("doveadm://h/u?config=x", "means nothing"), ("doveadm://h/u?read=mbox:/x", "read="), ("doveadm://h/u?tls=x", "tls=x")):
            run = self.haul.copy(self.source, target)
            self.assertIn(words, run.err, target)
            self.assertIn(run.code, (MISUSE, ACCOUNTS), target)

    def test_lost_state_and_deleted_mail(self):
        """What is at the target proves itself ours by its GUID."""
        self.checked(self.haul.copy(self.source, self.target()))
        before = numbers(self.there())["INBOX"]
        os.unlink(next(e.file for e in trees.read(self.haul.path("src")).values() if e.uid == 11))
        run = self.checked(self.haul.copy(self.source, self.target(), state=self.haul.path("L.db")))
        self.assertEqual(run.totals["present"], 899)
        self.assertEqual(numbers(self.there())["INBOX"], before)

    def test_from_imap(self):
        """UIDs, UIDVALIDITY and the date of saving of an IMAP source, and by
        doveadm GUIDs too, are kept in files and in any format."""
        self.checked(self.haul.copy(self.source, self.target()))
        first, want = self.user, numbers(self.there())["INBOX"]
        self.server.doveadm("mailbox", "update", "-u", first, "--min-next-uid", "6000", "INBOX")
        saved = re.findall(r"date.saved.unixtime: (\d+)\n", "".join(self.fetch("INBOX", "date.saved.unixtime")))
        guids = re.findall(r"guid: (\w+)\n", "".join(self.fetch("INBOX", "guid")))
        imap = f"imaps://{first}@{self.server.host}:{self.server.imaps_port}?ca={self.server.ca}&secret-file={self.haul.secret(self.server.password)}"
        by_doveadm = self.target()
        while int(time.time()) <= int(max(saved)):  # now would be told from then
            time.sleep(0.05)
        for number, source in enumerate((imap, by_doveadm)):
            self.next_user()
            run = self.checked(self.haul.copy(source, self.target(), state=self.haul.path(f"{number}.db")))
            self.assertEqual(run.report["issues"], [])
            got = numbers(self.there())["INBOX"]
            self.assertEqual((got[0], got[1], got[2]), (want[0], 6000, want[2]))
            self.assertEqual(re.findall(r"date.saved.unixtime: (\d+)\n", "".join(self.fetch("INBOX", "date.saved.unixtime"))), saved)
            theirs = re.findall(r"guid: (\w+)\n", "".join(self.fetch("INBOX", "guid")))
            self.assertEqual(theirs == guids, source is by_doveadm)
            path = self.haul.path(f"files{number}")
            os.mkdir(path)
            run = self.haul.copy(source, f"dovecot:{path}?owner={os.getuid()}", state=self.haul.path(f"f{number}.db"))
            self.assertEqual(run.code, 0, run)
            entries = sorted((e.uid, e.fields["G"]) for e in trees.read(path).values())
            self.assertEqual([uid for uid, _ in entries], [m.uid for m in want[2]])
            self.assertEqual([guid for _, guid in entries] == guids, source is by_doveadm)
            self.assertEqual((trees.head(path)["V"], trees.head(path)["N"]), (str(want[0]), "6000"))

    def test_as_a_source(self):
        self.checked(self.haul.copy(self.source, self.target()))
        path = self.haul.path("back")
        os.mkdir(path)
        run = self.haul.copy(self.target(), f"dovecot:{path}?owner={os.getuid()}", state=self.haul.path("B.db"))
        self.assertEqual((run.code, run.totals["copied"]), (0, 900), run)
        entries = trees.read(path)
        self.assertEqual(sorted(e.uid for e in entries.values()), [1 + 2 * i for i in range(900)])
        self.assertEqual(trees.head(path)["V"], "7")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Tcp(dsyncs.Case):
    """doveadm://: the doveadm port, with TLS and its password."""

    @classmethod
    def setUpClass(cls):
        cls.port, cls.tls_port = free_port(), free_port()
        cls.settings = {"FORMAT": "mdbox", "EXTRA": (
            "doveadm_password = supersecret\nservice doveadm {\n"
            f"  inet_listener {{\n    port = {cls.port}\n  }}\n  inet_listener {{\n    port = {cls.tls_port}\n    ssl = yes\n  }}\n}}")}
        super().setUpClass()

    def target(self, port=None, password="supersecret", read=True, **options):
        words = {"ca": self.server.ca, "secret-file": self.haul.secret(password)}
        if read:
            words["read"] = f"imaps://{self.user}@{self.server.host}:{self.server.imaps_port}"
            words["read-secret-file"] = self.haul.secret(self.server.password)
        words.update((k.replace("_", "-"), v) for k, v in options.items())
        return f"doveadm://{self.server.host}:{port or self.port}/{self.user}?" + "&".join(f"{k}={v}" for k, v in words.items())

    def fill(self):
        box = trees.Box(uidvalidity=77, uidnext=3000)
        for i in range(700):
            box.add(message(i), uid=2 + 2 * i, keywords=["work"] if i % 5 == 0 else ())
        box.write(self.haul.path("src"))
        sent = trees.Box(uidvalidity=78)
        sent.add(body("sent"), uid=9)
        sent.write(self.haul.path("src", ".Sent"))
        return "maildir:" + self.haul.path("src")

    def is_there(self):
        got = numbers(self.there())
        self.assertEqual(got["INBOX"][:2], (77, 3000))
        self.assertEqual([m.uid for m in got["INBOX"][2]], [2 + 2 * i for i in range(700)])
        self.assertEqual(got["Sent"][:2], (78, 10))

    def test_starttls_and_again(self):
        source = self.fill()
        self.checked(self.haul.copy(source, self.target()))
        self.is_there()
        run = self.checked(self.haul.copy(source, self.target(), state=self.haul.path("L.db")))
        self.assertEqual((run.totals["present"], run.totals["copied"]), (701, 0))
        self.is_there()

    def test_implicit_tls_without_eyes(self):
        """Without read= an empty account can be filled, and a full one is not judged."""
        source = self.fill()
        run = self.haul.copy(source, self.target(self.tls_port, read=False, tls="implicit"), "--subscribe", "none")
        self.assertEqual(run.totals["copied"], 701, run)
        self.is_there()
        run = self.haul.copy(source, self.target(read=False), state=self.haul.path("L.db"))
        self.assertEqual(run.code, ACCOUNTS, run)
        self.assertIn("read=imaps://", run.err)
        self.is_there()

    def test_refused(self):
        source = self.fill()
        for words, options in (("refuses the password", {"password": "wrong"}), ("certificate", {"ca": "/dev/null"}), ("doesn't exist|NOUSER", {"user": "nobody-there"})):
            if "user" in options:
                self.user = options.pop("user")
            run = self.haul.copy(source, self.target(**options), "--set", "limits.patience=1", state=self.haul.path(words[:4] + ".db"))
            self.assertNotEqual(run.code, 0)
            self.assertRegex(run.err, words)
            self.assertNotIn("supersecret", run.err + run.out)


if __name__ == "__main__":
    unittest.main()
