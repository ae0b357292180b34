"""kill -9 while --apply-renames renames at real servers: what was copied is
found again, under one name, and nothing is copied a second time."""

import unittest

import kills
from haul import DIFFERS, DONE
from kills import Migration, Place

# a circle, and a parent whose children go along
MAPS = ["--map", "Sent -> Drafts", "--map", "Drafts -> Sent", "--map", "Archiv/ -> Alt/"]
POINTS = ["rename.before", "rename.after", "rename.noted", "subscribe.after", "state.before_commit", "state.after_commit"]


class TestRenameKills(unittest.TestCase):
    def once(self, server, kind, case):
        point, number = case
        with Migration(Place(server), kind, options=["--settle", "1"]) as m:
            if m.copy().code not in (DONE, DIFFERS):
                return ["the first run failed"]
            stored = kills.rows(m.haul.state)
            m.options += MAPS
            run = m.copy("--apply-renames", fault=f"kill@{point}:{number}")
            reached = run.code < 0
            # a run without the option settles what was begun, and stops
            m.copy()
            m.options.append("--apply-renames")
            run = m.copy()
            m.boxes = {self.renamed(name): mails for name, mails in m.boxes.items()}
            words = m.wrong(run)
            if kills.rows(m.haul.state) != stored:
                words.append("the state knows another number of messages")
            words += m.again()
            return words if words else reached

    @staticmethod
    def renamed(name):
        swap = {"Sent": "Drafts", "Drafts": "Sent"}
        return swap.get(name, name.replace("Archiv", "Alt"))

    def matrix(self, server, kind):
        numbers = range(1, 13) if kills.ALL else (1, 2)
        cases = [(p, n * (1 if p.startswith("rename") or kills.ALL else 5)) for p in POINTS for n in numbers]
        results = kills.in_parallel(lambda case: self.once(server, kind, case), cases)
        bad = [f"kill@{p}:{n}: {r}" for (p, n), r in zip(cases, results) if not isinstance(r, bool)]
        self.assertEqual(bad, [])
        self.assertGreater(sum(r is True for r in results), len(cases) // 2)

    def test_dovecot(self):
        self.matrix(kills.dovecot(), "maildir")

    def test_cyrus(self):
        """It numbers what it renames anew."""
        self.matrix(kills.cyrus(), "maildir")


if __name__ == "__main__":
    unittest.main()
