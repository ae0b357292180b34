"""mailhaul report in all its formats, over a real state: what it says is compared
with the files of both sides, and read by other people's parsers; texts that break
terminals, spreadsheets and parsers are planted and must not."""

import csv
import glob
import html.parser
import io
import json
import os
import pty
import re
import select
import stat
import subprocess
import unittest
import xml.etree.ElementTree as ET

from haul import DONE, MISUSE, OUTCOMES, Haul
from reports import HOSTILE, USERS, Reports, harmless, validate

TABLES = "accounts mailboxes problems passes rate changes assumed hand".split()
csv.field_size_limit(1 << 22)


class Html(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.words = [], set(), []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes |= {k for k, _ in attrs}

    def handle_data(self, data):
        self.words.append(data)


def rows(text):
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def setUpModule():
    global reports
    reports = Reports(Haul())
    reports.keep()


def tearDownModule():
    reports.haul.destroy()


class Fresh(unittest.TestCase):
    """Each with the state as the two passes have left it."""

    def setUp(self):
        self.r, self.haul = reports, reports.haul
        self.r.restore()

    def out(self, *words):
        run = self.r.report(*words)
        self.assertEqual((run.code, run.err), (DONE, ""))
        return run.out


class Honest(Fresh):
    def test_sums_are_those_of_the_files(self):
        """Counts and bytes of both sides, by what lies on the disk."""
        source = {k: v for k, v in self.r.messages.items()}
        moved = [v for (_, box, _), v in source.items() if box != ".Archive"]
        stored, crlf = (sum(len(f(v)) for v in moved) for f in (bytes, lambda v: v.replace(b"\n", b"\r\n")))
        there = [open(p, "rb").read() for p in glob.glob(self.haul.path("tgt", "*", "cur", "*")) + glob.glob(self.haul.path("tgt", "*", ".*", "cur", "*"))]
        self.assertEqual(sorted(there), sorted(moved))
        report = validate(self.out("--format", "json"), "report")
        self.assertTrue(report["balanced"])
        self.assertEqual(report["totals"], dict.fromkeys(OUTCOMES, 0) | {"source": len(source), "copied": len(moved), "excluded": len(source) - len(moved)})
        self.assertEqual(report["before"], {"messages": len(moved), "stored_bytes": stored, "crlf_bytes": crlf})
        self.assertEqual(report["after"], {"messages": len(there), "crlf_bytes": crlf})
        self.assertEqual(report["others"], {"messages": 0, "crlf_bytes": 0})
        for account in report["accounts"]:
            mine = [v for (user, box, _), v in source.items() if user == account["name"] and box != ".Archive"]
            self.assertEqual(account["before"]["stored_bytes"], sum(map(len, mine)))
            self.assertEqual(account["after"]["messages"], len(mine))
            boxes = {m["name"]: m for m in account["mailboxes"]}
            self.assertEqual({n: (m["totals"]["copied"], m["renamed"], m["outcome"]) for n, m in boxes.items()}, {
                "INBOX": (10 if account["name"] == USERS[0] else 9, False, "done"), "Sent Items": (6, True, "done"),
                "Clients/Müller": (6, False, "done"), "Archive": (0, False, "excluded")})
            self.assertEqual(boxes["Clients/Müller"]["shown_name"], "Clients.Müller")
        text = self.out()
        self.assertIn(report["why"], text)
        self.assertIn("the end of a line is one byte in the source's files (LF), and two (CR LF)", text)
        self.assertRegex(text, r"\nafter, at the target +%d " % len(there))

    def test_every_format_tells_the_same(self):
        report = validate(self.out("--format", "json"), "report")
        lines = [validate(line, "record") for line in self.out("--format", "ndjson").splitlines()]
        self.assertEqual((lines[0]["type"], lines[-1]), ("head", {"type": "end"}))
        of = lambda kind: [{k: v for k, v in r.items() if k != "type"} for r in lines if r["type"] == kind]
        for key, kind in [("passes", "pass"), ("rate", "rate"), ("issues", "issue"), ("changes", "change"), ("assumed", "assumed"), ("by_hand", "by_hand")]:
            self.assertEqual(of(kind), report[key], key)
        self.assertEqual(of("account"), [{k: v for k, v in a.items() if k != "mailboxes"} for a in report["accounts"]])
        nested = [dict(m, account=a["name"]) for a in report["accounts"] for m in a["mailboxes"]]
        self.assertEqual(of("mailbox"), nested)
        tables = {t: rows(self.out("--format", "csv", "--table", t)) for t in TABLES}
        self.assertEqual(tables["accounts"], rows(self.out("--format", "csv")))
        for table, key in [("passes", "passes"), ("rate", "rate"), ("problems", "issues"), ("changes", "changes"), ("assumed", "assumed"), ("hand", "by_hand")]:
            self.assertEqual(len(tables[table]), len(report[key]), table)
        self.assertEqual([(m["account"], m["name"], int(m["copied"])) for m in tables["mailboxes"]],
                         [(m["account"], m["name"], m["totals"]["copied"]) for m in nested])
        for row, account in zip(tables["accounts"], report["accounts"], strict=True):
            self.assertEqual([int(row[o]) for o in ["source", *OUTCOMES]], [account["totals"][o] for o in ["source", *OUTCOMES]])
            self.assertEqual(int(row["target_crlf_bytes"]), account["after"]["crlf_bytes"])
        suites = ET.fromstring(self.out("--format", "junit")).findall("testsuite")
        self.assertEqual({s.get("name"): (s.get("tests"), s.get("failures"), s.get("skipped")) for s in suites}, {u: ("5", "0", "1") for u in USERS})
        page = Html(self.out("--format", "html"))
        self.assertTrue(set(USERS) <= set(page.words))

    def test_rate_and_passes(self):
        report = self.r.json()
        self.assertEqual([p["sent"] for p in report["passes"]], [9 * 3 + 6 * 6, 1])
        for p in report["passes"]:
            mine = [r for r in report["rate"] if r["pass"] == p["pass"]]
            self.assertEqual((sum(r["sent"] for r in mine), sum(r["sent_bytes"] for r in mine)), (p["sent"], p["sent_bytes"]))
        text = self.out()
        self.assertRegex(text, r"\nrate over time:\n  pass 1, .*: +63 messages")
        self.assertRegex(text, r"\npasses:\n  pass 1, .*63 messages.*\n  pass 2, .*1 messages")

    def test_changes_between_passes(self):
        (change,) = self.r.json()["changes"]
        self.assertEqual((change["account"], change["then"]["totals"]["copied"], change["now"]["totals"]["copied"]), (USERS[0], 21, 22))
        self.assertIn(f"changes since pass 1:\n  {USERS[0]}: done: source 27 -> 28, copied 21 -> 22\n", self.out())
        self.r.copy()
        self.assertEqual(self.r.json()["changes"], [])
        self.assertEqual([c["account"] for c in self.r.json("--since", "1")["changes"]], [USERS[0]])
        run = self.r.report("--since", "3")
        self.assertEqual((run.code, run.out), (MISUSE, ""))
        self.assertIn("no pass 3 before the last one", run.err)

    def test_what_was_assumed_and_what_is_left(self):
        report = self.r.json()
        settings = [a["text"] for a in report["assumed"]]
        self.assertIn("the last pass had folders.map = Sent Items -> Sent", settings)
        self.assertFalse([s for s in settings if "secret" in s])
        self.assertEqual([(h["count"], "--letters" in h["command"]) for h in report["by_hand"] if "another name" in h["text"]], [(3, True)])
        self.r.plant(USERS[1], "a subject")
        hand = {h["text"]: h for h in self.r.json()["by_hand"]}
        (refused,) = [h for text, h in hand.items() if "refused" in text]
        self.assertEqual((refused["count"], refused["command"]), (1, f"mailhaul copy --job {self.r.job} --repair"))

    def test_chosen_accounts(self):
        report = self.r.json("--only", USERS[2])
        self.assertEqual([a["name"] for a in report["accounts"]], [USERS[2]])
        self.assertEqual((report["totals"]["copied"], report["after"]["messages"]), (21, 21))
        self.assertIn("what to do next:", self.out("--only", USERS[2]))
        self.assertEqual({m["account"] for m in rows(self.out("--only", USERS[2], "--format", "csv", "--table", "mailboxes"))}, {USERS[2]})

    def test_a_missing_message_shows_everywhere(self):
        self.r.plant(USERS[1], "Pictures from Rome", reason="the server says NO: 8 bit", message_id="<7@x>")
        (issue,) = [i for i in self.r.json()["issues"] if i["kind"] == "refused"]
        self.assertEqual((issue["account"], issue["subject"], issue["message_id"], issue["size"], issue["bad"]), (USERS[1], "Pictures from Rome", "<7@x>", 77, True))
        self.assertRegex(issue["message"]["sha256"], "^[0-9a-f]{64}$")
        self.assertEqual(self.r.json()["after"]["messages"], 63)
        suite = ET.fromstring(self.out("--format", "junit")).find(f"testsuite[@name='{USERS[1]}']")
        self.assertEqual(suite.get("failures"), "1")
        self.assertIn("refused 1", suite.find("testcase/failure").get("message"))
        text = self.out()
        self.assertIn('says NO: 8 bit (77 bytes) "Pictures from Rome" <7@x>\n', text)
        page = self.out("--format", "html")
        anchor = re.search(r'<a href="#(m\d+)">Pictures from Rome</a>', page).group(1)
        self.assertIn(f'<article id="{anchor}">', page)
        self.assertIn("1 of 82 messages could not be moved", page)

    def test_options_that_contradict(self):
        for words in (["--table", "rate", "--format", "json"], ["--letters", "x", "--renames"], ["--redact", "--renames"],
                      ["--redact", "--letters", "x"], ["--quotas", "--format", "html"], ["--letters", "x", "--format", "csv"]):
            run = self.r.report(*words)
            self.assertEqual((run.code, run.out), (MISUSE, ""), words)
        run = self.haul.run("copy", "--job", self.r.job, "--format", "html")
        self.assertEqual(run.code, MISUSE)

    def test_colours_are_for_terminals(self):
        self.assertNotIn("\x1b", self.out())
        for more, coloured in ({"TERM": "xterm"}, True), ({"TERM": "dumb"}, False), ({"TERM": "xterm", "NO_COLOR": "1"}, False):
            ours, theirs = pty.openpty()
            process = subprocess.Popen([self.haul.program, "report", "--job", self.r.job], stdin=subprocess.DEVNULL, stdout=theirs,
                                       stderr=subprocess.DEVNULL, env=dict(self.haul.environment, **more))
            os.close(theirs)
            data = b""
            while select.select([ours], [], [], 120)[0]:
                try:
                    data += os.read(ours, 65536)
                except OSError:  # the other end is closed
                    break
            os.close(ours)
            self.assertEqual(process.wait(120), 0)
            self.assertIn(b"balance", data)
            self.assertEqual(b"\x1b[32mdone" in data, coloured, more)
            self.assertEqual(b"\x1b" in data, coloured, more)


class Hostile(Fresh):
    def setUp(self):
        super().setUp()
        for i, (raw, _) in enumerate(HOSTILE):
            self.r.plant(USERS[i % 3], raw, reason=raw[:5000], message_id=raw[:300], where=b"uid %d " % i + raw[:100])
        short = [raw for raw, _ in HOSTILE if len(raw) < 1000]
        for i, raw in enumerate(short[:3]):
            self.r.sql(("UPDATE account SET name = cast(? AS text), error = cast(? AS text), outcome = 'partial' WHERE name = ?", (b"u%d " % i + raw, raw, USERS[i])))
        for i, raw in enumerate(short):
            self.r.sql(("UPDATE mailbox SET src_name = cast(? AS text), tgt_name = cast(? AS text), error = cast(? AS text) WHERE id = ?", (raw, raw[::-1], raw, i + 1)))
        self.r.sql(("UPDATE pass SET settings = cast(? AS text)", (b"job.x = " + HOSTILE[0][0] + b"\njob.y = " + HOSTILE[1][0] + b"\n",)))

    def test_json(self):
        for text in (self.out("--format", "json"), self.out("--format", "ndjson")):
            self.assertFalse(re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", text))
        report = validate(self.out("--format", "json"), "report")
        self.assertEqual(sorted(i["subject"] for i in report["issues"]), sorted(text for _, text in HOSTILE))
        lines = self.out("--format", "ndjson").split("\n")
        self.assertEqual(lines.pop(), "")
        self.assertEqual(sorted(r["subject"] for r in map(json.loads, lines) if r["type"] == "issue"), sorted(text for _, text in HOSTILE))
        for line in lines:
            validate(line, "record")

    def test_terminal(self):
        for words in [[], ["--only", "u1 *"], *(["--table", t] for t in TABLES)]:
            text = self.out(*words)
            self.assertTrue(harmless(text), words)
        whole = self.out()
        self.assertIn("\\x1b[2J", whole)
        self.assertIn("... (1048579 bytes)", whole)
        self.assertLess(max(map(len, whole.splitlines())), 5000)

    def test_spreadsheet(self):
        for table in TABLES:
            text = self.out("--format", "csv", "--table", table)
            parsed = list(csv.reader(io.StringIO(text, newline=""), strict=True))
            self.assertEqual({len(row) for row in parsed}, {len(parsed[0])}, table)
            for cell in (c for row in parsed for c in row):
                self.assertNotRegex(cell, r"^ *[=+\-@\t\r\n|]", table)
                self.assertTrue(harmless(cell), cell[:200])
        subjects = {row["subject"] for row in rows(self.out("--format", "csv", "--table", "problems"))}
        self.assertIn("'=cmd|\"/c calc\"!A0", subjects)
        self.assertIn("A" * (1 << 20) + "<b>", subjects)

    def test_xml(self):
        text = self.out("--format", "junit")
        names = [s.get("name") for s in ET.fromstring(text.encode()).findall("testsuite")]
        self.assertIn("u1 " + HOSTILE[1][1], names)
        self.assertIn("u2 " + HOSTILE[2][1], names)
        cases = ET.fromstring(text.encode()).findall("testsuite/testcase")
        self.assertIn(HOSTILE[3][1], {c.get("name") for c in cases})
        self.assertTrue(harmless(text))

    def test_html(self):
        text = self.out("--format", "html")
        self.assertTrue(harmless(re.sub("<style>.*</style>|<script>.*</script>", "", text, flags=re.S)))
        page = Html(text)
        self.assertEqual([page.tags.count(t) for t in ("script", "style", "img", "svg", "iframe", "b")], [1, 1, 0, 1, 0, 10])
        self.assertFalse([a for a in page.attributes if a.startswith("on") or a in ("style", "src")])
        self.assertLess(len(text), 200000)
        self.assertIn(HOSTILE[1][1], {w for w in page.words})

    def test_letters(self):
        self.r.sql("UPDATE account SET name = '../../evil' || char(10) || '/x' WHERE name LIKE 'u0 %'", "UPDATE account SET name = '.' WHERE name LIKE 'u2 %'")
        victim = self.haul.write("victim", "mine")
        os.mkdir(self.haul.path("L"))
        os.symlink(victim, self.haul.path("L", "%2E.txt"))
        before = set(os.listdir(self.haul.directory))
        self.assertEqual(self.out("--letters", self.haul.path("L")), f"3 letters are in {self.haul.path('L')}\n")
        self.assertEqual(set(os.listdir(self.haul.directory)), before)
        names = sorted(os.listdir(self.haul.path("L")))
        self.assertEqual(len(names), 3)
        self.assertIn("%2E.%2F..%2Fevil%0A%2Fx.txt", names)
        self.assertIn("%2E.txt", names)
        for name in names:
            facts = os.lstat(self.haul.path("L", name))
            self.assertTrue(stat.S_ISREG(facts.st_mode))
            self.assertEqual(stat.S_IMODE(facts.st_mode), 0o600)
            self.assertTrue(harmless(open(self.haul.path("L", name), encoding="utf-8").read()))
        self.assertEqual(open(victim, encoding="utf-8").read(), "mine")


class Private(Fresh):
    def test_redacted(self):
        self.r.plant(USERS[0], "secretsubject", where="cur/1700.secretfile",
                     reason='mailbox user.anna.Clients.Müller and Clients.M&APw-ller: berta or "secretquote" of other@secret.example at /srv/secretpath said no')
        self.r.sql("UPDATE account SET error = 'carl has no mailbox Clients/Müller', outcome = 'partial' WHERE name LIKE 'carl%'",
                   "UPDATE mailbox SET error = 'anna: Müller is away' WHERE id = 1")
        outs = [self.out("--redact", *w) for w in ([], ["--format", "json"], ["--format", "ndjson"], ["--format", "junit"], ["--format", "html"],
                                                   ["--only", USERS[0]], *(["--format", "csv", "--table", t] for t in TABLES), *(["--table", t] for t in TABLES))]
        for out in outs:
            self.assertEqual(re.findall("(?i)anna|berta|carl|müller|apw-|secret|/srv|example", out), [], out)
        report = validate(outs[1], "report")
        self.assertTrue(report["redacted"])
        self.assertEqual(len({a["name"] for a in report["accounts"]}), 3)
        self.assertIn("said no", report["issues"][0]["reason"])
        names = {m["name"] for m in report["accounts"][0]["mailboxes"]}
        self.assertEqual({"INBOX", "Sent Items", "Archive"}, {n for n in names if "#" not in n})
        self.assertTrue(any(re.fullmatch(r"Clients/#\d+", n) for n in names))

    def test_letters(self):
        self.r.plant(USERS[0], "Pictures from Rome", reason="the server says NO: too large")
        self.out("--letters", self.haul.path("deep"))
        self.assertEqual(stat.S_IMODE(os.stat(self.haul.path("deep")).st_mode), 0o700)
        letters = {u: open(self.haul.path("deep", u + ".txt"), encoding="utf-8").read() for u in USERS}
        self.assertIn("  Sent Items\n    is now  Sent\n", letters[USERS[0]])
        self.assertNotIn("Clients", letters[USERS[1]])
        self.assertIn('"Pictures from Rome", 77 B\n    the server says NO: too large\n', letters[USERS[0]])
        self.assertIn("1 messages could not be moved", letters[USERS[0]])
        self.assertIn("21 messages in 3 mailboxes are at the new server.\nNothing is missing.\n", letters[USERS[1]])
        for user, letter in letters.items():
            self.assertFalse([u for u in USERS if u != user and u in letter])
            self.assertIn("What to do in your mail program", letter)
        # once more, one letter only
        self.out("--letters", self.haul.path("deep"), "--only", USERS[1])
        self.assertEqual(sorted(os.listdir(self.haul.path("deep"))), sorted(u + ".txt" for u in USERS))
        run = self.r.report("--letters", self.haul.path("users.csv"))
        self.assertEqual((run.code, run.out), (MISUSE, ""))


if __name__ == "__main__":
    unittest.main()
