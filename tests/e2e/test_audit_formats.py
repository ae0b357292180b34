"""Audits as JSON, NDJSON, CSV, JUnit XML and as a page: each tells what the text
tells, is by its schema, and is not broken by what stands in the messages."""

import csv
import glob
import html.parser
import io
import os
import re
import unittest
import xml.etree.ElementTree as ET

import audits
from browser import Browser
from haul import DIFFERS, DONE, Haul
from reports import HOSTILE, harmless, validate

MESSAGES = 60


class Words(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.words = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.words.append(data)


class Formats(unittest.TestCase):
    def setUp(self):
        self.haul = Haul()
        self.addCleanup(self.haul.destroy)
        source, self.target = self.haul.path("src"), self.haul.path("tgt")
        audits.maildir(source, MESSAGES)
        for i, (raw, _) in enumerate(HOSTILE):
            subject = re.sub(rb"[\r\n]", b" ", raw)
            data = b"From: x@example.org\nSubject: " + subject + b"\nMessage-ID: <" + subject[:80] + b">\n\nhostile %d\n" % i
            path = os.path.join(source, "cur", f"1800000000.M9{i:03}P9.host:2,S")
            with open(path, "wb") as f:
                f.write(data)
        self.uris = f"maildir:{source}", f"dovecot:{self.target}?owner={os.geteuid()}"
        self.assertEqual(self.haul.copy(*self.uris).code, DONE)

    def audit(self, *options, code):
        run = self.haul.run("audit", *self.uris, "--state", self.haul.state, "--quiet", *options)
        self.assertEqual((run.code, run.err), (code, ""), run)
        return run.out

    def plant(self):
        """What is hostile is missing; one more message is, and one has other bytes."""
        for path in glob.glob(os.path.join(self.target, "cur", "*")):
            data = open(path, "rb").read()
            if b"hostile" in data or b"Subject: number 7\n" in data:
                os.unlink(path)
            elif b"Subject: number 9\n" in data:
                times = os.stat(path)
                with open(path, "wb") as f:
                    f.write(data.replace(b"message 9", b"massage 9"))
                os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    def test_equal(self):
        told = validate(self.audit("--format", "json", code=DONE), "audit", "audit")
        n = MESSAGES + len(HOSTILE)
        self.assertEqual((told["verdict"], told["source"], told["target"], told["totals"]["equal"], told["differences"]), ("equal", n, n, n, []))
        self.assertEqual(len(self.audit("--format", "csv", code=DONE).splitlines()), 1)
        suites = ET.fromstring(self.audit("--format", "junit", code=DONE)).findall("testsuite")
        self.assertEqual([(s.get("tests"), s.get("failures"), s.get("errors")) for s in suites], [("3", "0", "0")])
        self.assertIn("Everything is there", self.audit("--format", "html", code=DONE))

    def test_differences(self):
        self.plant()
        text = self.audit(code=DIFFERS)
        told = audits.Told(text)
        doc = validate(self.audit("--format", "json", code=DIFFERS), "audit", "audit")
        self.assertEqual({k: v for k, v in doc["totals"].items() if v > 0 or k == "equal"}, told.counts)
        self.assertEqual((doc["verdict"], doc["totals"]["missing"], doc["totals"]["altered"]), ("different", len(HOSTILE) + 1, 1))
        self.assertEqual({m["name"]: m["outcome"] for m in doc["mailboxes"]}, {k: v for k, v in told.boxes.items() if k != "tgt"})
        self.assertEqual(len(doc["differences"]), len(HOSTILE) + 2)
        (altered,) = [d for d in doc["differences"] if d["verdict"] == "altered"]
        self.assertEqual((altered["mailbox"], altered["source_uid"], altered["subject"]), ("INBOX", 10, "number 9"))
        lines = [validate(line, "record", "audit") for line in self.audit("--format", "ndjson", code=DIFFERS).splitlines()]
        self.assertEqual((lines[0]["verdict"], lines[-1]), ("different", {"type": "end"}))
        for kind, key in ("account", "accounts"), ("mailbox", "mailboxes"), ("difference", "differences"):
            self.assertEqual([{k: v for k, v in r.items() if k != "type"} for r in lines if r["type"] == kind], doc[key])
        table = self.audit("--format", "csv", code=DIFFERS)
        csv.field_size_limit(1 << 22)
        rows = list(csv.DictReader(io.StringIO(table, newline=""), strict=True))
        self.assertEqual([(r["verdict"], r["source_uid"]) for r in rows], [(d["verdict"], str(d.get("source_uid", ""))) for d in doc["differences"]])
        for cell in (c for row in rows for c in row.values()):
            self.assertNotRegex(cell, r"^ *[=+\-@\t\r\n|]")
            self.assertTrue(harmless(cell))
        (suite,) = ET.fromstring(self.audit("--format", "junit", code=DIFFERS)).findall("testsuite")
        self.assertEqual((suite.get("tests"), suite.get("failures"), suite.get("errors")), ("3", "1", "0"))
        self.assertIn(f"{len(HOSTILE) + 1} missing", suite.find("testcase/failure").get("message"))

    def test_page(self):
        self.plant()
        text = self.audit("--format", "html", "--header-diff", code=DIFFERS)
        self.assertTrue(harmless(re.sub("<style>.*</style>|<script>.*</script>", "", text, flags=re.S)))
        page = Words(text)
        self.assertEqual([page.tags.count(t) for t in ("script", "style", "img", "svg", "article")], [1, 1, 0, 0, len(HOSTILE) + 2])
        path = self.haul.write("audit.html", text)
        with Browser() as browser:
            page = browser.open(path)
            self.assertEqual(page.eval("document.title"), "Mailbox audit")
            self.assertIn("differ in 1 of 1 accounts", page.eval("document.getElementById('verdict').textContent"))
            page.type("#differences-tools input", "altered")
            shown = "Array.from(document.querySelectorAll('#differences tbody tr')).filter(r => !r.hidden).map(r => r.cells[4].textContent)"
            self.assertEqual(page.eval(shown), ["number 9"])
            page.click("#differences tbody tr:not([hidden]) a")
            self.assertIn("number 9", page.until("(document.querySelector('article:target') || {}).textContent"))
            self.assertEqual(page.errors, [])
            self.assertEqual(page.requests, ["file://" + path])


if __name__ == "__main__":
    unittest.main()
