"""mailhaul against a server that does what real ones do rarely.

Whatever happens in the first run, it does not crash, it ends, and a second run
against the healed server leaves every message there exactly once.
"""

import os
import signal
import unittest
from collections import Counter

import nasty
from haul import ACCOUNTS, AGAIN, DIFFERS, DONE, Haul, balance, together, wait_for
from imap_server import FakeServer, Fault, Message, crashes

ENDED = (DONE, DIFFERS, ACCOUNTS, AGAIN)


def source(count=150):
    """{mailbox: [Item]}: twins that differ in nothing, siblings of one size and date."""
    inbox = []
    for i in range(count):
        text = b"twin" if i % 10 in (3, 4) else b"%06d" % i
        date = 1_000_000_000 + (0 if i % 10 in (3, 4, 5) else 1000 * i)
        data = b"Subject: x\nMessage-ID: <%s@example.org>\n\n%s\n" % (text, text * 20)
        flags = frozenset(f for k, f in enumerate(nasty.LETTERS) if i >> k & 1) if i % 10 not in (3, 4) else frozenset()
        inbox.append(nasty.Item(f"m{i}", data, flags, frozenset(), date))
    return {"INBOX": inbox, "Sent": inbox[: count // 10]}


class Scene:
    """A server, a source and the runs between them."""

    def __init__(self, *faults, boxes=None, **settings):
        self.haul = Haul()
        self.boxes = boxes or source()
        nasty.write_maildir(self.haul.path("src"), self.boxes)
        self.server = FakeServer(faults, **settings).start()
        self.secret = self.haul.secret()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.server.stop()
        self.haul.destroy()

    def words(self, *args, settle=1, timeout=2):
        target = f"imap://user1@127.0.0.1:{self.server.port}?tls=none&secret-file={self.secret}&timeout={timeout}"
        return ["maildir:" + self.haul.path("src"), target, "--settle", str(settle), *args]

    def copy(self, *args, **kwargs):
        return self.haul.copy(*self.words(*args, **kwargs))

    def expected(self):
        return {
            name: Counter((nasty.digest(nasty.crlf(i.data)), i.date, frozenset(i.flags)) for i in items)
            for name, items in self.boxes.items()
        }

    def there(self):
        with self.server.lock:
            return {
                name: Counter((m.digest(), int(m.date), frozenset(f.lower() for f in m.flags if f[0] == "\\")) for m in box.messages)
                for name, box in self.server.account("user1").boxes.items()
            }

    def check(self, run, codes=(DONE,)):
        there, expected = self.there(), self.expected()
        if there != expected:
            lines = []
            for name in expected:
                missing = sum((expected[name] - there.get(name, Counter())).values())
                double = sum((there.get(name, Counter()) - expected[name]).values())
                lines.append(f"{name}: {missing} missing, {double} too many")
            raise AssertionError(f"{lines}, boxes {sorted(there)}\n{run}")
        if run.code not in codes:
            raise AssertionError(f"exit code not in {codes}: {run}")
        bad = balance(run.report)
        if bad:
            raise AssertionError(f"{bad}\n{run}")

    def heal(self):
        self.server.faults.clear()
        self.server.settle()

    def resume(self, codes=(DONE,)):
        """The second run, on a server that is well again, and a third that has nothing to do."""
        self.heal()
        run = self.copy("--patience", "5")
        self.check(run, codes)
        before = self.server.commands.copy()
        third = self.copy("--patience", "5")
        self.check(third, codes)
        for name in "APPEND", "CREATE", "STORE", "EXPUNGE":
            if self.server.commands[name] != before[name]:
                raise AssertionError(f"the third run sent {name}: {third}")
        return run


MODES = {
    "all": {},
    "no MULTIAPPEND": {"multiappend": False},
    "no LITERAL+": {"literal_plus": None},
    "no LITERAL+, no MULTIAPPEND": {"literal_plus": None, "multiappend": False},
    "no UIDPLUS": {"uidplus": False},
    "no UIDPLUS, no MULTIAPPEND": {"uidplus": False, "multiappend": False},
    "LITERAL-": {"literal_plus": "-"},
    "no UIDNEXT": {"uidnext": False},
    "nothing": {
        "uidplus": False, "literal_plus": None, "multiappend": False, "uidnext": False,
        "list_extended": False, "special_use": False, "announce": False,
    },
}  # fmt: skip


class TestLessAble(unittest.TestCase):
    def test_modes(self):
        def job(settings):
            with Scene(**settings) as s:
                run = s.copy()
                s.check(run)
                if settings.get("multiappend", True):
                    assert s.server.commands["APPEND"] < 20, s.server.commands
                s.resume()

        together([(name, lambda settings=settings: job(settings)) for name, settings in MODES.items()])

    def test_bare_capabilities(self):
        def job(words):
            with Scene(capabilities=words) as s:
                s.check(s.copy())
                s.resume()

        lists = "IMAP4rev1", "IMAP4 IMAP4rev1 AUTH=PLAIN", "IMAP4rev1 LITERAL+ X-NEW=(1)"
        together([(words, lambda words=words: job(words)) for words in lists])

    def test_no_keywords(self):
        """A server that keeps none: left out, listed, and no reason to fail."""
        items = [i._replace(keywords=frozenset({"work"})) for i in source(10)["INBOX"]]
        with Scene(boxes={"INBOX": items}, keywords=False) as s:
            run = s.copy()
            s.check(run, (DIFFERS,))
            self.assertEqual(len([i for i in run.report["issues"] if i["kind"] == "keywords"]), 10)
            s.resume((DIFFERS,))

    def test_namespaces(self):
        for namespace, separator, name in (
            ('(("INBOX." ".")) NIL NIL', ".", "INBOX.Sent"),
            ('(("" ".")) NIL NIL', ".", "Sent"),
            ('(("mail/" "/")) (("~" "/")) (("#shared/" "/")("#public/" "/"))', "/", "mail/Sent"),
            ("NIL NIL NIL", "/", "Sent"),
        ):
            with self.subTest(namespace=namespace), Scene(namespace=namespace, separator=separator) as s:
                run = s.copy()
                self.assertEqual(run.code, DONE, run)
                there, expected = s.there(), s.expected()
                self.assertEqual(there, {"INBOX": expected["INBOX"], name: expected["Sent"]})

    def test_dead_names(self):
        """A mailbox that comes between our two looks is no reason to fail."""
        with Scene(Fault("CREATE", text="NO [ALREADYEXISTS] exists")) as s:
            run = s.copy()
            self.assertIn(run.code, ENDED)
            s.resume()


class TestRefusals(unittest.TestCase):
    def test_temporary(self):
        """NO that passes: it goes on by itself, or the next run does."""

        def job(settings, text):
            with Scene(Fault("APPEND", 2, text=text), **settings) as s:
                run = s.copy("--patience", "20")
                s.check(run)
                s.resume()

        together(
            [
                (f"{text}, {name}", lambda text=text, settings=settings: job(settings, text))
                for text in ("NO [LIMIT] slow down", "NO [UNAVAILABLE] later", "NO [INUSE] locked", "NO [SERVERBUG] internal error")
                for name, settings in list(MODES.items())[:2]
            ]
        )

    def test_for_ever(self):
        """It ends, with the server's words; when that is over, the rest follows."""

        def job(text, code):
            with Scene(Fault("APPEND", 2, text=text, times=0), multiappend=False) as s:
                run = s.copy("--patience", "1", "--max-retries", "1")
                assert run.code == code, run
                assert text.split("] ")[1] in run.err, run
                s.resume()

        together(
            [
                ("overquota", lambda: job("NO [OVERQUOTA] The quota is used up", ACCOUNTS)),
                ("trycreate", lambda: job("NO [TRYCREATE] Who has taken it away", ACCOUNTS)),
                ("noperm", lambda: job("NO [NOPERM] Not for you", ACCOUNTS)),
                ("disk", lambda: job("NO [SERVERBUG] System I/O error", ACCOUNTS)),
                # in so many words: the host's, which may be waited for
                ("full disk", lambda: job("NO [ALERT] No space left on device", AGAIN)),
            ]
        )

    def test_limit_for_ever(self):
        """A limit that has nothing to do with time: it ends, and nothing is unaccounted for."""
        with Scene(Fault("APPEND", 2, text="NO [LIMIT] Too many for me", times=0), boxes=source(20), multiappend=False) as s:
            run = s.copy("--patience", "1", "--max-retries", "1")
            self.assertIn(run.code, (DIFFERS, ACCOUNTS), run)
            self.assertIn("Too many for me", run.err + run.out)
            self.assertEqual(sum(sum(c.values()) for c in s.there().values()), run.totals["copied"], run)

    def test_poison(self):
        """One message that is refused stays the only one."""
        boxes = source(100)
        boxes["INBOX"][57] = boxes["INBOX"][57]._replace(data=b"Subject: poison\n\n.\n")
        for name, settings in MODES.items():
            with self.subTest(mode=name), Scene(
                Fault("APPEND", match=b"poison", text="NO [CANNOT] I do not like it", times=0), boxes=boxes, **settings
            ) as s:
                run = s.copy()
                self.assertEqual((run.code, run.totals["refused"], run.totals["copied"]), (DIFFERS, 1, 109), run)
                (issue,) = [i for i in run.report["issues"] if i["kind"] == "refused"]
                self.assertIn("I do not like it", issue["reason"])
                self.assertEqual(issue["subject"], "poison")
                wanted = s.expected()
                poison = boxes["INBOX"][57]
                wanted["INBOX"] -= Counter([(nasty.digest(nasty.crlf(poison.data)), poison.date, poison.flags)])
                self.assertEqual(s.there(), wanted)
                # refused once is enough
                before = s.server.commands["APPEND"]
                again = s.copy()
                self.assertEqual((again.code, again.totals, s.server.commands["APPEND"]), (DIFFERS, run.totals, before), again)

    def test_poison_again(self):
        """What was refused is tried again when the server is another one, or on demand."""
        boxes = source(20)
        boxes["INBOX"][7] = boxes["INBOX"][7]._replace(data=b"Subject: poison\n\n.\n")
        with Scene(
            Fault("APPEND", match=b"poison", text="NO [CANNOT] I do not like it", times=0), boxes=boxes, multiappend=False
        ) as s:
            server = s.server
            self.assertEqual(s.copy().totals["refused"], 1)

            def appends(*args):
                before = server.commands["APPEND"]
                run = s.copy(*args)
                self.assertEqual((run.code, run.totals["refused"]), (DIFFERS, 1), run)
                return server.commands["APPEND"] - before

            self.assertEqual(appends(), 0)
            self.assertEqual(appends("--retry-refused"), 1)
            self.assertEqual(appends(), 0)
            # what changes with every session says nothing
            for greeting in "* OK mx1.example.org fake ready <12.34@mx1> 10:11:12", "* OK mx2.example.org fake ready <56.78@mx2> 11:12:13":
                server.greeting = greeting
                count = appends()
            self.assertEqual(count, 0)
            server.identity = '("name" "fake" "version" "1.0")'
            self.assertEqual(appends(), 1)
            self.assertEqual(appends(), 0)
            server.identity = '("name" "fake" "version" "1.1")'
            self.assertEqual(appends(), 1)
            server.greeting = "* OK with a version nothing else counts"
            self.assertEqual(appends(), 0)
            server.appendlimit = 10_000_000
            self.assertEqual(appends(), 1)
            server.faults.clear()
            self.assertEqual(s.copy().totals["refused"], 1)  # nothing has changed
            run = s.copy("--retry-refused")
            s.check(run)

    def test_undo_without_uidplus(self):
        """Nothing is taken back where EXPUNGE would take what others have marked."""
        with Scene(boxes=source(20), uidplus=False) as s:
            s.check(s.copy())
            before = s.there()
            run = s.haul.run("undo", *s.words("--state", s.haul.state, "--yes"))
            self.assertEqual((run.code, "no UIDPLUS" in run.err), (ACCOUNTS, True), run)
            self.assertEqual(s.there(), before)
            self.assertEqual([c for c in ("STORE", "EXPUNGE", "DELETE") if s.server.commands[c]], [])

    def test_expunge_refused(self):
        """The server marks and then does not expunge: nothing stays marked."""
        with Scene(Fault("EXPUNGE", text="NO [NOPERM] not yours", times=0), boxes=source(20)) as s:
            s.check(s.copy())
            before = s.there()
            run = s.haul.run("undo", *s.words("--state", s.haul.state, "--yes"))
            self.assertEqual((run.code, "not yours" in run.err), (ACCOUNTS, True), run)
            self.assertEqual(s.there(), before)
            # nothing is left to end: copy goes on
            run = s.copy()
            s.check(run)
            s.heal()
            run = s.haul.run("undo", *s.words("--state", s.haul.state, "--yes"))
            self.assertEqual(run.code, DONE, run)
            self.assertEqual({name: len(c) for name, c in s.there().items()}, {"INBOX": 0})

    def test_all_refused(self):
        with Scene(Fault("APPEND", text="NO never", times=0), boxes=source(20)) as s:
            run = s.copy()
            self.assertEqual((run.code, run.totals["refused"]), (DIFFERS, 22), run)
            self.assertEqual(balance(run.report), [])

    def test_bad(self):
        """BAD: we and the server do not agree on what a command is; nothing is retried blindly."""

        def job(settings):
            with Scene(Fault("APPEND", 2, text="BAD what"), **settings) as s:
                run = s.copy("--patience", "20")
                assert run.code in ENDED, run
                s.resume()

        together([(name, lambda settings=settings: job(settings)) for name, settings in list(MODES.items())[:4]])

    def test_appendlimit(self):
        boxes = source(50)
        boxes["INBOX"][20] = boxes["INBOX"][20]._replace(data=b"Subject: big\n\n" + b"b" * 2000 + b"\n")
        with Scene(boxes=boxes, appendlimit=1000) as s:
            run = s.copy()
            self.assertEqual((run.code, run.totals["refused"], run.totals["copied"]), (DIFFERS, 1, 54), run)
            self.assertIn("1000", [i for i in run.report["issues"] if i["kind"] == "refused"][0]["reason"])
        # not announced: found out by the answer
        with Scene(boxes=boxes, appendlimit=1000, capabilities="IMAP4rev1 UIDPLUS MULTIAPPEND LITERAL+ AUTH=PLAIN") as s:
            run = s.copy()
            self.assertEqual((run.code, run.totals["refused"], run.totals["copied"]), (DIFFERS, 1, 54), run)

    def test_quota(self):
        with Scene(boxes=source(100), quota=6000, multiappend=False) as s:
            run = s.copy()
            self.assertEqual(run.code, ACCOUNTS, run)
            self.assertIn("Quota exceeded", run.err)
            self.assertGreater(sum(s.there()["INBOX"].values()), 0)
            s.server.quota = None
            s.resume()


def link_faults():
    """name -> (Fault, options): what may happen to the link around an APPEND."""
    for n in 1, 2:
        yield f"cut in literal {n}", [Fault("APPEND", n, at="literal", bytes=40, do="cut")], {}
        yield f"BYE in literal {n}", [Fault("APPEND", n, at="literal", bytes=40, do="bye", text="[UNAVAILABLE] going down")], {}
        yield f"cut, not stored {n}", [Fault("APPEND", n, do="cut")], {}
        yield f"cut, stored {n}", [Fault("APPEND", n, at="answer", do="cut")], {}
        yield f"BYE, stored {n}", [Fault("APPEND", n, at="answer", do="bye", text="too late")], {}
    yield "cut, stored late", [Fault("APPEND", 2, do="late", seconds=0.5)], {"settle": 3}
    yield "cut twice", [Fault("APPEND", 1, at="answer", do="cut"), Fault("APPEND", 3, do="cut")], {}
    yield "cut always for a while", [Fault("APPEND", 1, at="answer", do="cut", times=3)], {}


class TestLink(unittest.TestCase):
    def matrix(self, names):
        def job(faults, options, settings):
            with Scene(*faults, **settings) as s:
                run = s.copy("--patience", "30", **options)
                s.check(run)
                assert any(f.fired for f in faults), "nothing happened"
                s.resume()

        together(
            [
                (f"{name}, {mode}", lambda faults=faults, options=options, mode=mode: job(faults, options, MODES[mode]))
                for mode in names
                for name, faults, options in link_faults()
            ]
        )

    def test_batches(self):
        self.matrix(["all", "no LITERAL+"])

    def test_singles(self):
        self.matrix(["no MULTIAPPEND", "no LITERAL+, no MULTIAPPEND"])

    def test_blind(self):
        self.matrix(["no UIDPLUS", "nothing"])

    def test_elsewhere(self):
        """The link ends at any other command."""

        def job(on, do, at="command"):
            with Scene(Fault(on, do=do, at=at)) as s:
                run = s.copy("--patience", "30")
                s.check(run)
                s.resume()

        commands = "GREETING CAPABILITY AUTHENTICATE ID NAMESPACE STATUS SELECT CREATE SUBSCRIBE LIST EXAMINE FETCH LOGOUT".split()
        together([(f"{on} {do}", lambda on=on, do=do: job(on, do)) for on in commands for do in ("cut", "bye")])

    def test_killed_between(self):
        """Ended by signals at any time, gone on: exactly once."""
        with Scene(Fault("APPEND", 3, at="answer", do="delay", seconds=1.5), multiappend=False) as s:
            process = s.haul.start_copy(*s.words())
            wait_for(lambda: s.server.commands["APPEND"] >= 3)
            process.send_signal(signal.SIGTERM)
            run = s.haul.finish(process)
            self.assertEqual(run.code, AGAIN, run)
            self.assertIn("goes on", run.err)
            s.resume()

    def test_second_signal(self):
        with Scene(Fault("APPEND", 2, at="answer", do="hang")) as s:
            process = s.haul.start_copy(*s.words())
            wait_for(lambda: s.server.faults[0].fired)
            process.send_signal(signal.SIGINT)
            process.send_signal(signal.SIGHUP)
            wait_for(lambda: process.poll() is None)
            process.send_signal(signal.SIGTERM)
            run = s.haul.finish(process, timeout=10)
            self.assertEqual(run.code, AGAIN, run)
            s.resume()

    def test_stored_after_we_gave_up(self):
        """Later than --settle: the doubles are found, told, and taken away when asked."""

        def extra(s):
            there, expected = s.there(), s.expected()
            return sum(sum((there[name] - expected[name]).values()) for name in there)

        def issues(run, kind):
            return len([i for i in run.report["issues"] if i["kind"] == kind])

        def same_pass(remove):
            # the third one holds the pass open until the late ones are there
            late = [Fault("APPEND", 1, do="late", seconds=2.5), Fault("APPEND", 3, do="delay", seconds=4)]
            with Scene(*late) as s:
                run = s.copy("--patience", "30", *remove, settle=1)
                if remove:
                    assert issues(run, "removed") > 0, run
                    s.check(run)
                else:
                    assert run.code == DIFFERS, run
                    assert issues(run, "doubled") == extra(s) > 0, run

        def next_pass(remove):
            with Scene(Fault("APPEND", 2, do="late", seconds=5)) as s:
                s.check(s.copy("--patience", "30", settle=1))
                s.server.settle()
                doubles = extra(s)
                assert doubles > 0
                run = s.copy(*remove, settle=1)
                if remove:
                    assert issues(run, "removed") == doubles, run
                    s.check(run)
                else:
                    assert (run.code, issues(run, "doubled"), extra(s)) == (DIFFERS, doubles, doubles), run

        ways = [("told", []), ("removed", ["--remove-doubles"])]
        together(
            [(f"same pass, {name}", lambda args=args: same_pass(args)) for name, args in ways]
            + [(f"next pass, {name}", lambda args=args: next_pass(args)) for name, args in ways]
        )


class TestSilence(unittest.TestCase):
    def test_before_the_work(self):
        def job(on, times, **what):
            with Scene(Fault(on, times=times, **what)) as s:
                run = s.copy("--patience", "20" if times else "1", "--max-retries", "5" if times else "0", timeout=1)
                assert run.code in ENDED, run
                if times:
                    s.check(run)
                else:
                    assert run.code in (ACCOUNTS, AGAIN), run
                s.resume()

        jobs = [("drip", lambda: job("AUTHENTICATE", 0, do="drip", seconds=0.5))]
        for on in "GREETING", "AUTHENTICATE", "NAMESPACE", "SELECT":
            for times in 1, 0:
                jobs.append((f"{on} {times}", lambda on=on, times=times: job(on, times, do="hang")))
        together(jobs)

    def test_in_an_append(self):
        """It may commit any time: the wait is long; when the link ends, it is looked for."""

        def job(at, settings):
            with Scene(Fault("APPEND", 2, at=at, bytes=40, do="hang"), **settings) as s:
                process = s.haul.start_copy(*s.words())
                wait_for(lambda: s.server.faults[0].fired)
                for session in list(s.server.sessions):
                    session.reset()
                run = s.haul.finish(process)
                s.check(run)
                s.resume()

        together(
            [
                (f"{at}, {mode}", lambda at=at, mode=mode: job(at, MODES[mode]))
                for at, mode in (
                    ("command", "all"),
                    ("answer", "all"),
                    ("answer", "no MULTIAPPEND"),
                    ("literal", "all"),
                    ("+", "no LITERAL+, no MULTIAPPEND"),
                )
            ]
        )

    def test_drip(self):
        """One byte at a time, but in time."""
        with Scene(Fault("GREETING", do="drip", seconds=0.001, times=0), boxes=source(30)) as s:
            run = s.copy()
            s.check(run)


class TestCrashes(unittest.TestCase):
    def test_every_one(self):
        def job(settings, faults):
            with Scene(*faults, boxes=source(30), **settings) as s:
                run = s.copy("--patience", "1", "--max-retries", "1")
                assert run.code in ENDED, run
                s.resume()

        together([(name, lambda settings=settings, faults=faults: job(settings, faults)) for name, (settings, faults) in crashes().items()])

    def test_garbage(self):
        """Answers that are none, at every place."""
        garbage = [b"\0\0\0\0\r\n", b"\r\n\r\n", b"* \r\n", b"*\r\n", b"* OK\r\n", b"%T\r\n", b"+ \r\n", b"* 1 FETCH (\r\n", b"* LIST\r\n"]
        garbage += [b"* 4294967296 EXISTS\r\n", b"* 1 EXPUNGE\r\n", b"* BAD x\r\n", b"x OK\r\n", b"* ()(((\r\n"]
        garbage += [b'* STATUS "\r\n', b"\xff" * 70000 + b"\r\n"]

        def job(text):
            with Scene(Fault("*", at="answer", do="raw", text=text, times=0), boxes=source(20)) as s:
                run = s.copy("--patience", "1", "--max-retries", "1")
                assert run.code in ENDED, run
                s.resume()

        together([(repr(text[:30]), lambda text=text: job(text)) for text in garbage])


class TestTargetChanges(unittest.TestCase):
    """What others do to the target between two runs."""

    def test_lost(self):
        """Before release what is gone is a loss, and comes again."""
        with Scene() as s:
            s.check(s.copy())
            box = s.server.box("user1", "INBOX")
            del box.messages[10:13]
            run = s.copy()
            s.check(run)
            self.assertIn("3 messages", str([i for i in run.report["issues"] if i["kind"] == "warn"]))

    def test_emptied(self):
        with Scene() as s:
            s.check(s.copy())
            s.server.box("user1", "INBOX").messages.clear()
            s.check(s.copy())

    def test_new_uidvalidity(self):
        with Scene() as s:
            s.check(s.copy())
            s.server.box("user1", "INBOX").uidvalidity += 77
            before = s.server.commands["APPEND"]
            run = s.copy()
            s.check(run)
            self.assertEqual(s.server.commands["APPEND"], before)

    def test_rolled_back(self):
        with Scene() as s:
            s.check(s.copy())
            box = s.server.box("user1", "INBOX")
            del box.messages[-20:]
            box.uidnext -= 20
            s.check(s.copy())

    def test_rolled_back_and_other_mail(self):
        with Scene() as s:
            s.check(s.copy())
            box = s.server.box("user1", "INBOX")
            del box.messages[-20:]
            box.uidnext -= 20
            foreign = Message(box.uidnext, set(), 1, b"Subject: foreign\r\n\r\n\r\n")
            box.messages.append(foreign)
            box.uidnext += 1
            run = s.copy()
            self.assertEqual(run.code, DONE, run)
            there = s.there()
            there["INBOX"][foreign.digest(), 1, frozenset()] -= 1
            self.assertEqual(+there["INBOX"], s.expected()["INBOX"])

    def test_mailbox_is_gone(self):
        with Scene() as s:
            s.check(s.copy())
            del s.server.account("user1").boxes["Sent"]
            s.check(s.copy())

    def test_delivered_meanwhile(self):
        """New mail between ours is left alone, and not taken for ours."""
        with Scene(Fault("APPEND", 2, do="delay", seconds=1)) as s:
            process = s.haul.start_copy(*s.words())
            wait_for(lambda: s.server.faults[0].fired)
            foreign = []
            with s.server.lock:
                for box in s.server.account("user1").boxes.values():
                    foreign.append(Message(box.uidnext, set(), 1, b"Subject: foreign\r\n\r\n\r\n"))
                    box.messages.append(foreign[-1])
                    box.uidnext += 1
            run = s.haul.finish(process)
            self.assertEqual(run.code, DONE, run)
            run = s.copy()
            self.assertEqual(run.code, DONE, run)
            there, expected = s.there(), s.expected()
            for name in expected:
                self.assertEqual(sum((expected[name] - there[name]).values()), 0)
                self.assertLessEqual(sum((there[name] - expected[name]).values()), 1)
            self.assertEqual(sum(sum(c.values()) for c in there.values()), 165 + len(foreign))

    def test_lost_state(self):
        with Scene() as s:
            s.check(s.copy())
            before = s.server.commands["APPEND"]
            os.unlink(s.haul.state)
            run = s.copy()
            s.check(run)
            self.assertEqual((run.totals["present"], s.server.commands["APPEND"]), (165, before))


if __name__ == "__main__":
    unittest.main()
