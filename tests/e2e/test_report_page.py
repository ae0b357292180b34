"""The HTML report in headless Chromium: it runs without an error, asks for nothing,
sorts, filters, prints, obeys no hostile text, and takes 10,000 accounts.

Pictures of it stay in $B/artefacts."""

import os
import unittest

from browser import Browser
from haul import Haul
from reports import HOSTILE, USERS, Reports

VISIBLE = "Array.from(document.querySelectorAll('#%s tbody tr')).filter(r => !r.hidden)"


def artefact(name):
    directory = os.path.join(os.environ.get("B", "build"), "artefacts")
    os.makedirs(directory, exist_ok=True)
    return os.path.join(directory, name)


def setUpModule():
    global reports, browser
    reports = Reports(Haul())
    reports.keep()
    browser = Browser()


def tearDownModule():
    browser.__exit__()
    reports.haul.destroy()


class Pages(unittest.TestCase):
    def setUp(self):
        reports.restore()

    def open(self, *words):
        run = reports.report("--format", "html", *words)
        self.assertEqual((run.code, run.err), (0, ""))
        self.path = reports.haul.write("page.html", run.out)
        return browser.open(self.path, 1000, 1180)

    def well(self, page):
        """Nothing was logged, nothing was asked for but the page itself."""
        self.assertEqual(page.errors, [])
        self.assertEqual(page.requests, ["file://" + self.path])

    def column(self, page, table, n, attribute="textContent"):
        return page.eval(f"{VISIBLE % table}.map(r => r.cells[{n}].{attribute})")

    def test_sorts_filters_and_prints(self):
        reports.plant(USERS[1], "Pictures from Rome", reason="the server says NO: 8 bit")
        reports.crowd(37)
        page = self.open()
        self.assertEqual(page.eval("document.querySelector('#accounts-tools output').textContent"), "40 of 40")
        # numbers by their size, then the other way round
        header = "#accounts th:nth-child(3) button"
        for ascending in (True, False):
            page.click(header)
            page.until(f"document.querySelector('#accounts th:nth-child(3)').ariaSort === '{'ascending' if ascending else 'descending'}'")
            got = [int(v) for v in self.column(page, "accounts", 2)]
            self.assertEqual(got, sorted(got, reverse=not ascending))
        # bytes by what they are, not by their words: 1.0 kB is more than 300 B
        page.click("#accounts th:nth-child(10) button")
        page.until("document.querySelector('#accounts th:nth-child(10)').ariaSort")
        got = [int(v) for v in self.column(page, "accounts", 9, "dataset.v")]
        self.assertEqual((got, len(set(got)) > 30), (sorted(got), True))
        page.click("#accounts th:nth-child(1) button")
        page.until("document.querySelector('#accounts th:nth-child(1)').ariaSort")
        got = self.column(page, "accounts", 0)
        self.assertEqual(got, sorted(got))
        # typing filters, and so does the choice
        page.type("#accounts-tools input", "ExAmPlE.org")
        self.assertEqual(self.column(page, "accounts", 0), USERS)
        self.assertEqual(page.eval("document.querySelector('#accounts-tools output').textContent"), "3 of 40")
        page.type("#accounts-tools input", "")
        self.assertEqual(len(self.column(page, "accounts", 0)), 40)
        page.eval("(() => { const s = document.querySelector('#accounts-tools select'); s.value = '!'; s.dispatchEvent(new Event('input', { bubbles: true })); })()")
        self.assertEqual(set(self.column(page, "accounts", 1)), {"partial"})
        page.eval("(() => { const s = document.querySelector('#accounts-tools select'); s.value = 'done'; s.dispatchEvent(new Event('input', { bubbles: true })); })()")
        self.assertEqual(len(self.column(page, "accounts", 1)), 36)
        # from an account to its problems, from a problem to the facts
        page.click(f"#accounts a[data-filter='{USERS[1]}']")
        page.until("document.querySelector('#problems-tools input').value")
        self.assertEqual([v.strip() for v in self.column(page, "problems", 3)], ["Pictures from Rome"])
        page.click("#problems tbody tr:not([hidden]) a")
        self.assertIn("Pictures from Rome", page.until("(document.querySelector('article:target') || {}).textContent"))
        self.assertTrue(page.pdf().startswith(b"%PDF"))
        page.eval("window.scrollTo(0, 0)")
        page.screenshot(artefact("report.png"))
        self.assertGreater(os.path.getsize(artefact("report.png")), 20000)
        self.well(page)

    def test_hostile_texts_do_nothing(self):
        for i, (raw, _) in enumerate(HOSTILE):
            reports.plant(USERS[i % 3], raw, reason=raw[:5000], message_id=raw[:300], where=raw[:100])
        names = [raw for raw, _ in HOSTILE if len(raw) < 1000]
        for i, user in enumerate(USERS):
            reports.sql(("UPDATE account SET name = cast(? AS text), error = cast(? AS text), outcome = cast(? AS text) WHERE name = ?", (names[i], names[i], names[i], user)))
        for i, raw in enumerate(names):
            reports.sql(("UPDATE mailbox SET src_name = cast(? AS text), tgt_name = cast(? AS text) WHERE id = ?", (raw, raw[::-1], i + 1)))
        page = self.open()
        self.assertEqual(page.eval("document.title"), "Mailbox migration report")
        self.assertEqual(page.eval("document.querySelectorAll('script, img, iframe, object, [onerror], [onload]').length"), 1)
        subjects = page.eval("Array.from(document.querySelectorAll('dt')).filter(t => t.textContent === 'Subject').map(t => t.nextSibling.textContent)")
        self.assertEqual(len(subjects), len(HOSTILE))
        self.assertIn(HOSTILE[1][1], subjects)
        self.assertIn(HOSTILE[2][1], subjects)
        page.type("#problems-tools input", "<script>")
        self.assertGreater(len(self.column(page, "problems", 0)), 0)
        page.eval("document.querySelectorAll('th button').forEach(b => b.click())")
        self.well(page)

    def test_picture_for_the_manual(self):
        """The page of a migration as one would show it: fixtures/report has its picture."""
        reports.show()
        page = self.open()
        self.assertIn("All accounts are complete; 3 of ", page.eval("document.getElementById('verdict').textContent"))
        self.assertEqual(page.eval("document.querySelectorAll('svg .cut').length"), 3)
        self.assertGreater(page.eval("document.querySelectorAll('svg .bar').length"), 100)
        self.assertEqual(page.eval("document.querySelectorAll('#mailboxes tbody tr').length"), 63)
        self.well(page)
        page.screenshot(artefact("show.png"))

    def test_ten_thousand_accounts(self):
        reports.crowd(10000)
        page = self.open()
        self.assertEqual(page.eval("document.querySelectorAll('#accounts tbody tr').length"), 10003)
        page.click("#accounts th:nth-child(3) button")
        page.until("document.querySelector('#accounts th:nth-child(3)').ariaSort")
        got = [int(v) for v in self.column(page, "accounts", 2)]
        self.assertEqual(got, sorted(got))
        page.type("#accounts-tools input", "user00420@")
        self.assertEqual([v.strip() for v in self.column(page, "accounts", 0)], ["user00420@example.net"])
        page.click("#accounts tbody tr:not([hidden]) a")
        page.until("document.querySelector('#problems-tools input').value")
        self.assertEqual(self.column(page, "problems", 1), ["user00420@example.net"])
        self.assertIn("1000 of 10003 accounts are not complete.", page.eval("document.getElementById('verdict').textContent"))
        self.well(page)


if __name__ == "__main__":
    unittest.main()
