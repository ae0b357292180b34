"""The tables of the man page that tell what a later pass does: each cell is
done, between real servers, and must be as it is written there."""

import os
import re
import unittest

import histories
import tls
from haul import DONE, Haul, balance, together
from servers import Cyrus, Dovecot

EPOCH = histories.EPOCH
SEEN, ANSWERED, FLAGGED = "\\seen", "\\answered", "\\flagged"
FLAG_ROWS = ("same", "same"), ("same", "changed"), ("changed", "same"), ("changed", "alike"), ("changed", "otherwise")
MESSAGE_ROWS = ("new", "not there"), ("new", "there"), ("there", "deleted"), ("deleted", "unchanged"), ("deleted", "changed")


def tables():
    """{(at source, at target): {stage: words}} of both."""
    with open(os.path.join(tls.ROOT, "cmd/mailhaul.1"), encoding="utf-8") as f:
        text = f.read()
    found = []
    for body in re.findall(r'^\.Bl -column "at source".*?\n(.*?)^\.El', text, re.S | re.M):
        lines = [[word.strip().removeprefix("Sy ").strip('"') for word in line[4:].split(" Ta ")] for line in body.splitlines()]
        found.append({(line[0], line[1]): dict(zip(lines[0][2:], line[2:])) for line in lines[1:]})
    return found


class Cells:
    """One account in one stage: row i of a table is message i."""

    def __init__(self, source, target, user, stage):
        self.haul, self.stage = Haul(), stage
        self.uris = self.haul.user(source, user, "none"), self.haul.user(target, user, "none")
        self.clients = [server.login(user) for server in (source, target)]
        self.source, self.target = (histories.Side(client) for client in self.clients)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        for client in self.clients:
            client.logout()
        self.haul.destroy()

    def copy(self, *options):
        run = self.haul.copy(*self.uris, "--settle", "1", *options)
        if run.code != DONE or balance(run.report):
            raise AssertionError(repr(run))
        return run

    def prepare(self, count):
        for n in range(count):
            self.source.append("INBOX", EPOCH + n, {SEEN} if n % 2 else set())
        for n in range(100, 120):  # so that no limit is met
            self.source.append("INBOX", EPOCH + n, set())
        self.copy()

    def set_stage(self):
        if self.stage != "new, loading":
            run = self.haul.run("stage", "--state", self.haul.state, "--set", self.stage, "--only", "*")
            if run.code != DONE:
                raise AssertionError(repr(run))

    def now(self, side):
        return {m.date - EPOCH: set(histories.words(m)) for m in side.box("INBOX")}

    def listed(self, run, kind):
        return {int(re.match(r"uid (\d+)", i["where"]).group(1)) - 1 for i in run.report["issues"] if i["kind"] == kind}

    def flags(self):
        self.prepare(len(FLAG_ROWS))
        last = len(FLAG_ROWS) - 1
        # a conflict wants that both had something else before
        self.source.flag("INBOX", EPOCH + last, {FLAGGED})
        self.target.flag("INBOX", EPOCH + last, {ANSWERED})
        self.copy()
        self.set_stage()
        self.target.flag("INBOX", EPOCH + 1, {SEEN, ANSWERED})
        self.source.flag("INBOX", EPOCH + 2, {FLAGGED, "work"})
        for side in self.source, self.target:
            side.flag("INBOX", EPOCH + 3, {FLAGGED})
        self.source.flag("INBOX", EPOCH + last, {FLAGGED, ANSWERED})
        self.target.flag("INBOX", EPOCH + last, {FLAGGED})
        source, before = self.now(self.source), self.now(self.target)
        run = self.copy()
        after, conflicts = self.now(self.target), self.listed(run, "conflict")
        told = {}
        for n, row in enumerate(FLAG_ROWS):
            if after[n] != before[n]:
                told[row] = "the source's" if after[n] == source[n] else "something else"
            else:
                told[row] = "stays" + (", listed" if n in conflicts else "")
        return told

    def messages(self):
        self.prepare(len(MESSAGE_ROWS) - 2)
        self.set_stage()
        # in the order of the table: 3, 4 (new), 0, 1, 2
        self.source.append("INBOX", EPOCH + 3, set())
        for side in self.source, self.target:
            side.append("INBOX", EPOCH + 4, set())
        self.target.delete("INBOX", [EPOCH])
        self.source.delete("INBOX", [EPOCH + 1, EPOCH + 2])
        self.target.flag("INBOX", EPOCH + 2, {ANSWERED})
        before = self.now(self.target)
        run = self.copy("--delete")
        after, kept = self.now(self.target), self.listed(run, "kept")
        removed = {m.date - EPOCH for name in self.target.names() if re.search(r"mailhaul-removed.\d", name) for m in self.target.box(name)}
        box = [b for b in run.report["accounts"][0]["mailboxes"] if b["name"] == "INBOX"][0]["totals"]
        told = {}
        for row, n in zip(MESSAGE_ROWS, (3, 4, 0, 1, 2)):
            if n in after:
                word = "stays" if n in before else "copied again" if row[0] == "there" else "copied"
                if n == 4 and box["present"] == 1:
                    word += ", counted"
                told[row] = word + (", listed" if n in kept else "")
            else:
                told[row] = "removed" if n in removed else "not there"
        return told


class TestTable(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.source, cls.target = Dovecot(USERS=6), Cyrus(USERS=6)
        for server in cls.source, cls.target:
            cls.addClassCleanup(server.destroy)
            server.start()

    def test_every_cell(self):
        flags, messages = tables()
        self.assertEqual((tuple(flags), tuple(messages)), (FLAG_ROWS, MESSAGE_ROWS))

        def job(user, stage, kind):
            with Cells(self.source, self.target, user, stage) as cells:
                table = flags if kind == "flags" else messages
                want = {row: columns[stage] for row, columns in table.items()}
                got = getattr(cells, kind)()
                self.assertEqual(got, want)

        stages = list(next(iter(flags.values())))
        self.assertEqual(stages, ["new, loading", "frozen", "released"])
        cells = [(stage, kind) for stage in stages for kind in ("flags", "messages")]
        together([(f"{stage} {kind}", lambda n=n, s=stage, k=kind: job(f"user{n}", s, k)) for n, (stage, kind) in enumerate(cells, 1)])


if __name__ == "__main__":
    unittest.main()
