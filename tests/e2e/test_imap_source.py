"""IMAP as a source: a server that does what real ones do rarely.

Whatever it does, every message ends as one outcome, the books balance, what was
copied is at the target once, and the source has seen no command that changes
anything.
"""

import re
import unittest
from collections import Counter

from haul import ACCOUNTS, DIFFERS, DONE, Haul, balance, together
from imap_server import FakeServer, Fault
from proxy import Proxy

READING = "CAPABILITY STARTTLS LOGIN AUTHENTICATE ID NAMESPACE LIST LSUB STATUS EXAMINE FETCH SEARCH COMPRESS NOOP LOGOUT".split()
FLAGS = ("\\Seen", "\\Answered", "\\Flagged", "\\Draft", "$Label1", "work")


def body(n, size=200, more=b""):
    return b"Subject: number %d\r\nMessage-ID: <%d@example.org>\r\n%s\r\n%s\r\n" % (n, n, more, b"x" * (size + 13 * n % 97))


def fill(server, boxes, user="user1"):
    """Mailboxes with so many messages each, no two alike; UIDs have gaps."""
    account, number = server.account(user), 0
    for name, count in boxes.items():
        box = account.boxes.get(name) or account.create(name)
        for i in range(count):
            number += 1
            if i % 7 == 3:
                box.uidnext += i % 5
            box.add(body(number), [f for k, f in enumerate(FLAGS) if number >> k & 1], 1_000_000_000 + 977 * number)


class Pull:
    """Two servers, and runs from one into the other."""

    def __init__(self, *faults, boxes=None, target=None, **settings):
        self.haul = Haul()
        self.source = FakeServer(faults, **settings)
        fill(self.source, boxes or {"INBOX": 60, "Sent": 15, "Lists/debian": 5})
        self.source.start()
        self.target = FakeServer(**(target or {})).start()
        self.secret = self.haul.secret()
        self.allowed = set()  # commands of the source that change something

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.source.stop()
        self.target.stop()
        self.haul.destroy()

    def uri(self, server, port=None, **options):
        words = "".join(f"&{k}={v}" for k, v in options.items())
        return f"imap://user1@127.0.0.1:{port or server.port}?tls=none&secret-file={self.secret}&timeout=10{words}"

    def copy(self, *args, port=None, timeout=120, **options):
        source = self.uri(self.source, port, **options)
        return self.haul.copy(source, self.uri(self.target), "--settle", "1", *args, timeout=timeout)

    @staticmethod
    def contents(server):
        with server.lock:
            return {
                name: Counter((m.digest(), int(m.date), frozenset(m.flags)) for m in box.messages)
                for name, box in server.account("user1").boxes.items()
            }

    def complaints(self, without=()):
        """What is wrong at the target; without: words of messages that cannot be there."""
        want, got, words = self.contents(self.source), self.contents(self.target), []
        if without:
            for name, box in self.source.account("user1").boxes.items():
                for m in box.messages:
                    if any(w in m.body for w in without):
                        want[name] -= Counter([(m.digest(), int(m.date), frozenset(m.flags))])
        for name in sorted(set(want) | set(got)):
            missing = want.get(name, Counter()) - got.get(name, Counter())
            double = got.get(name, Counter()) - want.get(name, Counter())
            if missing or double:
                words.append(f"{name}: {sum(missing.values())} missing, {sum(double.values())} too many")
        return words

    def touched(self):
        """Commands of the source's log that are not reading."""
        with self.source.lock:
            bad = [name for name in self.source.commands if name not in READING]
            bad += [line for _, line in self.source.log if "BODY[" in line.upper()]
        return bad

    def check(self, run, codes=(DONE,), without=(), **totals):
        words = self.complaints(without) + balance(run.report) + self.touched()
        words += [f"{k} is {run.totals[k]}, not {n}" for k, n in totals.items() if run.totals[k] != n]
        if run.code not in codes or words:
            raise AssertionError(f"{words}\n{run}\n{run.report['issues']}")
        return run

    def again(self, codes=(DONE,), options=(), **counts):
        """Nothing is left to do: no message is read, the target is not touched."""
        before, there = self.source.commands.copy(), self.target.commands.copy()
        with self.source.lock:
            lines = len(self.source.log)
        self.check(self.copy("--lanes", "1", *options), codes)
        changed = [c for c in ("APPEND", "CREATE", "STORE", "EXPUNGE") if self.target.commands[c] != there[c]]
        if changed or any("BODY.PEEK" in line for _, line in self.source.log[lines:]):
            raise AssertionError(f"the last run did something: {changed} {self.source.log[lines:]}")
        for name, n in counts.items():
            if self.source.commands[name] - before[name] != n:
                raise AssertionError(f"{self.source.commands[name] - before[name]} x {name}, not {n}")


def issues(run, kind):
    return [i for i in run.report["issues"] if i["kind"] == kind]


EVERYTHING = {"condstore": True, "esearch": True, "compress": True}
NOTHING = {
    "uidplus": False, "literal_plus": None, "multiappend": False, "list_extended": False, "special_use": False,
    "announce": False, "namespace": "NIL NIL NIL",
}  # fmt: skip


class TestServers(unittest.TestCase):
    def test_more_and_less_able(self):
        """Unchanged mailboxes are told by one number each, where there is one;
        they are not opened.  Without modseqs none tells of flags."""

        def job(settings, status, opened):
            with Pull(**settings) as p:
                p.check(p.copy(), copied=80)
                p.again(EXAMINE=opened, STATUS=status)
                p.again(options=["--no-flag-sync"], EXAMINE=0, STATUS=status)

        together(
            [
                ("everything", lambda: job(EVERYTHING, 0, 0)),
                ("no CONDSTORE", lambda: job({"esearch": True}, 0, 3)),
                ("no LIST-STATUS", lambda: job({"condstore": True, "list_status": False}, 3, 0)),
                ("RFC 3501", lambda: job(NOTHING, 3, 3)),
                ("bare", lambda: job({"capabilities": "IMAP4rev1"}, 3, 3)),
            ]
        )

    def test_plan(self):
        """It looks, and that is all."""
        with Pull(**EVERYTHING) as p:
            run = p.haul.plan(p.uri(p.source), p.uri(p.target))
            self.assertEqual((run.code, run.report["totals"]["messages"]), (DONE, 80), run)
            self.assertEqual(p.touched() + [c for c in p.source.commands if c == "FETCH"], [])

    def test_no_lsub(self):
        """IMAP4rev2 has none; one broken mailbox hides no other."""
        gone = Fault("LSUB", text="BAD what is that", times=0)
        for faults, settings in (
            ([gone], {"capabilities": "IMAP4rev2"}),
            ([gone, Fault("STATUS", match=b"Sent", text="NO [SERVERBUG] Internal error", times=0)], {"list_status": False}),
        ):
            with Pull(*faults, **settings) as p:
                p.source.account("user1").subscribed.add("Sent")
                p.check(p.copy(), copied=80)
                self.assertEqual(p.target.account("user1").subscribed, {"Sent"})
                p.again()

    def test_without_uidnext(self):
        """No number tells; it is listed again, and no message is read."""
        with Pull(uidnext=False) as p:
            p.check(p.copy(), copied=80)
            p.again()

    def test_new_ones_only(self):
        """Of a mailbox with news only these are listed, whatever is gone."""

        def listed(p, flags, check=True):
            with p.source.lock:
                lines = len(p.source.log)
            run = p.copy("--lanes", "1", *([] if flags else ["--no-flag-sync"]))
            if check:
                p.check(run)
            found = [re.search(r"FETCH (\S+) .*INTERNALDATE.*\)$", line.replace(" (CHANGEDSINCE", "")) for _, line in p.source.log[lines:]]
            return run, [m.group(1) for m in found if m]

        def job(flags, **settings):
            with Pull(boxes={"INBOX": 2500, "Sent": 5}, **settings) as p:
                p.check(p.copy(), copied=2505)
                box = p.source.box("user1", "INBOX")
                since = ["1:%d" % (box.uidnext - 1)] if flags else []
                first = box.uidnext
                for n in range(3):
                    box.add(body(9000 + n))
                run, ranges = listed(p, flags)
                self.assertEqual((run.totals["copied"], run.totals["source"], ranges), (2508, 2508, since + ["2501:2503"]), run)
                before = {k: v for k, v in run.report.items() if k in ("bytes", "crlf_bytes", "stripped")}
                # one came and went: another UIDNEXT
                with p.source.lock:
                    box.uidnext += 1
                run, ranges = listed(p, flags)
                self.assertEqual((run.totals["copied"], ranges), (2508, []), run)
                self.assertEqual({k: run.report[k] for k in before}, before)
                # some have gone, another came, flags have changed
                with p.source.lock:
                    gone = [box.messages.pop(n) for n in (17, 1700)]
                    box.touch()
                    for n in 5, 2000:
                        box.messages[n].flags = {"\\Answered", "other"}
                        box.touch(box.messages[n])
                box.add(body(9100))
                since = ["1:%d" % (first + 3)] if flags else []
                run, ranges = listed(p, flags, check=False)
                self.assertEqual((run.code, run.totals["copied"], balance(run.report), ranges), (DONE, 2507, [], since + ["2502:2502"]), run)
                with p.target.lock:
                    there = {m.digest(): m.flags for m in p.target.box("user1", "INBOX").messages}
                self.assertEqual([m.digest() in there for m in gone], [True, True])
                with p.source.lock:
                    changed = [box.messages[n].digest() for n in (5, 2000)]
                self.assertEqual([there[d] == {"\\Answered", "other"} for d in changed], [flags, flags])
                self.assertEqual(sum(sum(c.values()) for c in p.contents(p.target).values()), 2509)
                # who asks for them later has all of them
                run = p.copy("--delete=expunge")
                self.assertEqual((run.code, p.complaints(), balance(run.report)), (DONE, [], []), run)
                # and then each pass has only its own
                with p.source.lock:
                    for n in 3, 2100:
                        box.messages.pop(n)
                    box.touch()
                run = p.copy("--delete=expunge")
                self.assertEqual((run.code, p.complaints(), balance(run.report)), (DONE, [], []), run)

        together(
            [
                ("CONDSTORE", lambda: job(True, condstore=True, esearch=True)),
                ("no ESEARCH", lambda: job(True, condstore=True)),
                ("no flags", lambda: job(False, condstore=True, esearch=True)),
                ("without", lambda: job(False)),
            ]
        )

    def test_all_flags(self):
        """Whatever a server tells of changed flags, they are taken over."""

        def job(**settings):
            with Pull(boxes={"INBOX": 60, "Sent": 5}, **settings) as p:
                p.check(p.copy(), copied=65)
                box = p.source.box("user1", "INBOX")
                with p.source.lock:
                    for n in 5, 50:
                        box.messages[n].flags = {"\\Answered", "other"}
                        box.touch(box.messages[n])
                p.check(p.copy(), copied=65)
                p.again()

        refused = dict(EVERYTHING, refuse=("CHANGEDSINCE",))
        together(
            [
                ("CONDSTORE", lambda: job(condstore=True)),
                ("refused", lambda: job(**refused, refusal="BAD what is that")),
                ("not today", lambda: job(**refused, refusal="NO [CANNOT] not today")),
                ("without", lambda: job()),
                ("RFC 3501", lambda: job(**NOTHING)),
            ]
        )

    def test_rules_see_all(self):
        """What rules leave out is counted anew when something is new."""
        with Pull() as p:
            for n in range(2):
                p.source.box("user1", "INBOX").add(body(9000 + n, 5000))
            for more in 0, 1:
                for _ in range(more):
                    p.source.box("user1", "INBOX").add(body(9500, 5000))
                run = p.copy("--max-size", "3000")
                self.assertEqual((run.totals["copied"], run.totals["excluded"]), (80, 2 + more), run)
                (told,) = issues(run, "excluded")
                self.assertTrue(told["reason"].startswith(f"{2 + more} messages"), told)

    def test_announced_and_refused(self):
        def job(refuse, refusal):
            settings = dict(EVERYTHING, refuse=refuse, refusal=refusal)
            with Pull(**settings) as p:
                p.check(p.copy(compress="yes"), copied=80)
                with p.source.lock:
                    box = p.source.box("user1", "Sent")
                    box.add(body(999))
                    box.messages[3].flags = {"\\Answered"}
                    box.touch(box.messages[3])
                p.check(p.copy(compress="yes"), copied=81)
                p.again()

        words = "CONDSTORE", "MODSEQ", "CHANGEDSINCE", "ESEARCH", "LIST-EXTENDED", "COMPRESS"
        jobs = [((w,), r) for w in words for r in ("BAD what is that", "NO [CANNOT] not today")]
        jobs.append((words, "BAD never heard"))
        together([(f"{refuse} {refusal}", lambda refuse=refuse, refusal=refusal: job(refuse, refusal)) for refuse, refusal in jobs])

    def test_many_mailboxes(self):
        """The list of all costs some round trips, however many there are."""
        boxes = {"INBOX": 3, **{f"box{n}": n % 2 for n in range(250)}}

        def job(settings, most):
            with Pull(boxes=boxes, **settings) as p, Proxy("127.0.0.1", p.source.port) as proxy:
                p.check(p.copy(port=proxy.port), copied=128)
                proxy.reset()
                p.check(p.copy("--lanes", "1", "--no-flag-sync", port=proxy.port), copied=128)
                self.assertEqual((proxy.commands["EXAMINE"], proxy.commands["FETCH"]), (0, 0))
                self.assertLessEqual(proxy.turns, most, proxy.commands)
                with p.source.lock:
                    p.source.box("user1", "box7").add(body(999))
                proxy.reset()
                p.check(p.copy("--lanes", "1", "--no-flag-sync", port=proxy.port), copied=129)
                self.assertEqual(proxy.commands["EXAMINE"], 1)

        # pipelined STATUS: a server may answer while we are still sending
        together([("LIST-STATUS", lambda: job({}, 12)), ("STATUS", lambda: job({"list_status": False}, 60))])

    def test_namespaces(self):
        space = '(("" "/")) (("~" "/")) (("shared/" "/"))'
        boxes = {"INBOX": 2, "~bob/INBOX": 3, "shared/news": 4, "sharedness": 1}
        with Pull(boxes=boxes, namespace=space) as p:
            run = p.copy()
            self.assertEqual((run.code, run.totals["source"]), (DONE, 3), run)
            (told,) = [i["reason"] for i in issues(run, "warn") if "other users" in i["reason"]]
            self.assertRegex(told, r"^2 mailboxes .*: shared/news, ~bob/INBOX$")
            self.assertEqual(set(p.contents(p.target)), {"INBOX", "sharedness"})
            run = p.copy(namespaces="all")
            self.assertEqual((run.code, run.totals["source"]), (DONE, 10), run)
            self.assertEqual(sum(sum(c.values()) for c in p.contents(p.target).values()), 10)
        with Pull() as p:
            self.assertIn("personal or all", p.copy(namespaces="some").err)
            self.assertIn("auto, yes or no", p.copy(compress="a-bit").err)

    def test_compressed(self):
        """Far fewer bytes, and the same mail; not unless it is asked for, when near."""
        with Pull(compress=True) as p, Proxy("127.0.0.1", p.source.port, parse=False) as proxy:
            p.source.box("user1", "INBOX").add(body(7777, 3_000_000))
            p.check(p.copy(port=proxy.port, compress="yes"), copied=81)
            self.assertLess(sum(c.bytes["down"] for c in proxy.connections), 200_000)
            self.assertTrue(p.source.commands["COMPRESS"])
        with Pull(compress=True) as p:
            p.check(p.copy(), copied=80)
            self.assertFalse(p.source.commands["COMPRESS"])


ODD_ITEMS = (
    b'X-GM-MSGID 1278455344230334865 X-GM-LABELS (\\Inbox "a b" {4}\r\n)(\r\n ~{2}\r\n\0\0) PREVIEW NIL EMAILID (M1) '
    b'BODY[HEADER.FIELDS (Date {3}\r\nTo)] {5}\r\na\r\nb) BODY[1.MIME]<0> "x" BINARY.SIZE[1] 7 ENVELOPE (NIL (("a" NIL)) "\\"")'
)


class TestOdd(unittest.TestCase):
    def test_unknown_items(self):
        with Pull(fetch_items=ODD_ITEMS.replace(b"{3}\r\nTo", b"To")) as p:
            p.check(p.copy(), copied=80)
            p.again()

    def test_last_first(self):
        with Pull(reverse=True, boxes={"INBOX": 400}) as p:
            p.check(p.copy(), copied=400)
            p.again()

    def test_wrong_sizes(self):
        """What counts is what came; it is told once a mailbox."""
        for size in (lambda m: 0), (lambda m: len(m.body) + 5), (lambda m: 4_000_000_000):
            with Pull(size=size) as p:
                run = p.check(p.copy(), copied=80)
                told = [i["reason"] for i in issues(run, "warn") if "RFC822.SIZE" in i["reason"]]
                self.assertEqual(sorted(t.split()[0] for t in told), ["15", "5", "60"])
                p.again()

    def test_bodies_nobody_asked_for(self):
        def more(session):
            session.send(b"* 1 FETCH (UID 1 BODY[] {5}\r\nwrong)\r\n* 2 FETCH (BODY[] {5}\r\nwrong UID 2)\r\n")
            session.send(b"* 9 FETCH (UID 4294967295 BODY[] {7}\r\nno mail)\r\n* 9 FETCH (FLAGS (\\Seen))\r\n")

        with Pull(Fault("FETCH", do="call", at="answer", text=more, match=b"BODY", times=0)) as p:
            p.check(p.copy(), copied=80)

    def test_no_body(self):
        """Listed, and nothing comes: vanished, and looked for in the next run."""
        with Pull(ghosts={b"<17@", b"<44@", b"<70@"}) as p:
            p.check(p.copy(), (DONE, DIFFERS), p.source.ghosts, copied=77, vanished=3)
            p.source.ghosts = set()
            p.check(p.copy(), copied=80)
            p.again()

    def test_no_to_some(self):
        """A NO to many is a NO to those alone that cannot be read."""

        def job(text, without, outcome):
            words = {b"<3@": text, b"<31@": text, b"<62@": text}
            with Pull(unreadable=words) as p:
                run = p.check(p.copy(), (DIFFERS, ACCOUNTS), words, copied=77, **{outcome: 3})
                self.assertEqual(len(issues(run, outcome)), 3, run)
                if outcome == "failed":
                    self.assertIn(without, issues(run, outcome)[0]["reason"])
                p.source.unreadable = {}
                p.check(p.copy(), copied=80)
                p.again()

        together(
            [
                ("failed", lambda: job("NO [SERVERBUG] Internal error occurred", "Internal error occurred", "failed")),
                ("deleted", lambda: job("NO some of the messages have been deleted", "", "vanished")),
                ("expungeissued", lambda: job("NO [EXPUNGEISSUED] Some are gone", "", "vanished")),
            ]
        )

    def test_listing_refused_for_some(self):
        """What cannot be listed in full is listed as far as it can."""

        part = b"* 1 FETCH (UID 1 FLAGS () INTERNALDATE \"01-Jan-2001 00:00:00 +0000\" RFC822.SIZE 1)\r\n%T NO [SERVERBUG] a file\r\n"
        refused = Fault("FETCH", do="raw-answer", text=part, match=b"1:60 .UID FLAGS INTERNALDATE", times=0)
        with Pull(refused) as p:
            # dates are not told then: the target's own
            run = p.copy()
            self.assertEqual((run.totals["source"], run.totals["copied"], balance(run.report)), (80, 80, []), run)

    def test_deadly_message(self):
        """A server that hangs up at a message, each time: the others come."""
        with Pull(deadly={b"<20@", b"<66@"}, boxes={"INBOX": 60, "Sent": 15}) as p:
            run = p.check(p.copy(timeout=200), (DIFFERS, ACCOUNTS), p.source.deadly, copied=73, failed=2)
            self.assertIn("hung up", issues(run, "failed")[0]["reason"])
            p.source.deadly = set()
            p.check(p.copy(), copied=75)
            p.again()

    def test_link_cut_now_and_then(self):
        faults = [Fault("FETCH", n, at="answer", do=do, match=b"BODY") for n, do in ((1, "cut"), (2, "bye"), (4, "cut"))]
        faults.append(Fault("EXAMINE", 5, do="cut"))
        with Pull(*faults, boxes={"INBOX": 300, "Sent": 20, "a": 3, "b": 3}) as p:
            p.check(p.copy(timeout=200), copied=326)
            p.again()


def expunger(*numbers):
    """Takes away messages of the open mailbox, and says so."""

    def call(session):
        for n in sorted(numbers, reverse=True):
            with session.server.lock:
                if n <= len(session.box.messages):
                    del session.box.messages[n - 1]
                    session.box.touch()
            session.line(f"* {n} EXPUNGE")

    return call


class TestChanges(unittest.TestCase):
    def test_expunged_between(self):
        """While bodies come: those that were listed vanish, the others are met."""
        for at in "command", "answer":
            with self.subTest(at=at), Pull(
                Fault("FETCH", 1, at, "call", expunger(3, 4, 290, 2100, 2150), match=b"BODY"), boxes={"INBOX": 2200}
            ) as p:
                run = p.copy()
                self.assertEqual(balance(run.report), [], run)
                got, want = p.contents(p.target)["INBOX"], p.contents(p.source)["INBOX"]
                self.assertEqual(want - got, Counter(), run)
                self.assertLessEqual(max(got.values()), 1)
                self.assertEqual(run.totals["copied"] + run.totals["vanished"], run.totals["source"])
                self.assertEqual(run.totals["copied"], sum(got.values()))
                p.source.faults.clear()
                run = p.copy()
                self.assertEqual((run.code, run.totals["failed"]), (DONE, 0), run)

    def test_expunged_in_the_listing(self):
        """Against the rules, and some do it."""

        def middle(session):
            # in front of the listing's own lines, which are numbered anew
            expunger(1, 5, 2000, 2100)(session)

        with Pull(Fault("FETCH", 1, "command", "call", middle, match=b"INTERNALDATE"), boxes={"INBOX": 2200}) as p:
            run = p.copy()
            self.assertEqual(balance(run.report), [], run)
            p.source.faults.clear()
            p.check(p.copy(), copied=2196)
            p.again()

    def renumber(self, session, say=True):
        with session.server.lock:
            box = session.server.account("user1").boxes["INBOX"]
            box.uidvalidity += 1000
            for n, m in enumerate(box.messages):
                m.uid = 5000 + n
            box.uidnext = 5000 + len(box.messages)
            box.touch()
        if say:
            session.line(f"* OK [UIDVALIDITY {box.uidvalidity}] changed")

    def test_uidvalidity_changes(self):
        """In the middle of reading, and between list and reading: nothing twice."""

        def job(name, nth, match, say, at="command"):
            fault = Fault(name, nth, at, "call", lambda session: self.renumber(session, say), match=match)
            with Pull(fault, boxes={"INBOX": 600, "Sent": 5}) as p:
                run = p.copy("--lanes", "1")
                self.assertEqual((balance(run.report), p.complaints()), ([], []), run)
                self.assertEqual(run.code, DONE, run)
                self.assertEqual(fault.fired, 1)
                p.again()

        together(
            [
                ("reading", lambda: job("FETCH", 2, b"BODY", True)),
                ("behind an answer", lambda: job("FETCH", 2, b"BODY", True, "answer")),
                ("the listing", lambda: job("FETCH", 1, b"INTERNALDATE", True, "answer")),
                ("before it is opened", lambda: job("EXAMINE", 1, b"INBOX", False)),
            ]
        )

    def test_uidvalidity_changes_between_runs(self):
        with Pull(condstore=True) as p:
            p.check(p.copy(), copied=80)
            p.source.faults.append(Fault("ID", 1, do="call", text=lambda session: self.renumber(session, False)))
            run = p.check(p.copy())
            self.assertTrue([i for i in issues(run, "warn") if "paired by content" in i["reason"]])
            p.again()


class TestLimits(unittest.TestCase):
    def test_caps(self):
        """Sessions are refused in three ways; what is allowed is enough."""

        def job(over, **settings):
            boxes = {"INBOX": 300, **{f"box{n}": 30 for n in range(12)}}
            with Pull(boxes=boxes, over=over, **settings) as p:
                p.check(p.copy("--lanes", "6", "--lanes-per-account", "6", "--patience", "60", timeout=300), copied=660)
                self.assertLessEqual(p.source.most, settings.get("max_sessions") or 6)

        together(
            [
                ("NO", lambda: job("bye", max_user=2)),
                ("BYE", lambda: job("bye", max_sessions=2)),
                ("hang up", lambda: job("close", max_sessions=2)),
            ]
        )

    def test_throttled(self):
        """NO for a while, to whatever is asked: it waits and goes on."""

        def job(name, text, match):
            with Pull(Fault(name, 2, text=text, match=match, times=2)) as p:
                p.check(p.copy("--patience", "60"), copied=80)

        words = "NO [LIMIT] slow down", "NO [UNAVAILABLE] later", "NO [THROTTLED] try again", "NO Account exceeded bandwidth limits"
        together([(text, lambda text=text: job("FETCH", text, b"BODY")) for text in words])
        together([("listing", lambda: job("FETCH", words[0], b"INTERNALDATE")), ("EXAMINE", lambda: job("EXAMINE", words[1], None))])

    def test_idle_sessions_end(self):
        """The target takes its time, and the source does not wait for it."""
        slow = {"latency": 0.3, "multiappend": False, "literal_plus": None}
        with Pull(idle=1, boxes={"INBOX": 8, "Sent": 2}, target=slow) as p:
            run = p.check(p.copy("--patience", "60", "--lanes", "1", timeout=300), copied=10)
            self.assertEqual(issues(run, "failed"), [])
            self.assertGreater(p.source.connections, 1)

    def test_bulk_is_pipelined(self):
        """Many bodies with one command, and few round trips."""
        with Pull(boxes={"INBOX": 1000}) as p, Proxy("127.0.0.1", p.source.port) as proxy:
            p.check(p.copy("--lanes", "1", port=proxy.port), copied=1000)
            bodies = [args for _, _, name, args in proxy.log if name == "FETCH" and re.search(r"BODY\.PEEK", args)]
            self.assertLessEqual(len(bodies), 8, bodies)


if __name__ == "__main__":
    unittest.main()
