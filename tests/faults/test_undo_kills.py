"""kill -9 of an undo, and of the copy before it, at real servers: the next undo
leaves exactly what was there before the copy."""

import os
import unittest

import mail
from haul import ACCOUNTS, DONE, Haul
from kills import Place, cyrus, dovecot, open_intents

OURS = b"From: boss@example.org\r\nSubject: x\r\n\r\nNot of the migration\r\n"
DATE = '"17-Jul-2009 02:44:25 -0700"'
BOXES = {"INBOX": 20, "Sent": 8, "Lists.debian": 5}

UNDO = "undo.planned:1 flags.after:1 flags.after:3 expunge.after:1 expunge.after:2 undo.taken:3 rename.before:1 undo.aside:1 delete.after:1 subscribe.after:2 state.before_commit:6 state.after_commit:7".split()
COPY = "append.before_crlf:1 append.after_crlf:1 append.after_crlf:3 append.answered:2 done.posted:2 create.after:1 look.done:1".split()


class TestUndoKills(unittest.TestCase):
    def setUp(self):
        self.haul = Haul(faults=True)
        self.addCleanup(self.haul.destroy)

    def new_place(self, server):
        """A user with a mail of his own; the words of his migration."""
        self.place = Place(server)
        client = self.place.login()
        client.append("INBOX", r"(\Flagged)", DATE, OURS)
        client.logout()
        source = self.haul.path(self.place.user)
        mail.write_maildir(source, BOXES, self.place.user, 600)
        words = [f"maildir:{source}", self.place.uri(self.haul), "--settle", "1"]
        return words, ["--state", self.haul.path(self.place.user + ".db")]

    def there(self):
        account = self.place.read()
        boxes = {name: [tuple(m) for m in box.messages] for name, box in account.boxes.items()}
        return boxes, account.subscribed - {"INBOX"}

    def killed(self, command, words, fault):
        process = self.haul.start(command, *words, env={"MAILHAUL_FAULT": f"kill@{fault}"})
        return self.haul.finish(process, killed=True).code < 0

    def undone(self, words, before, what):
        run = self.haul.run("undo", *words, "--yes")
        self.assertEqual((run.code, self.there()), (DONE, before), (what, run))

    def test_forget_in_doubt(self):
        """A batch may still arrive: without the state nobody would know."""
        words, state = self.new_place(dovecot())
        self.assertTrue(self.killed("copy", [*words, *state, "--existing", "merge"], "append.after_crlf:1"))
        self.assertGreater(open_intents(state[1]), 0)
        run = self.haul.run("forget", "--only", "*", *state)
        self.assertNotEqual(run.code, DONE, run)
        self.assertIn("may still arrive", run.err)
        run = self.haul.run("copy", *words, *state, "--existing", "merge")
        self.assertEqual(run.code, DONE, run)
        run = self.haul.run("forget", "--only", "*", *state)
        self.assertEqual(run.code, DONE, run)

    def undo_killed(self, server):
        hit = 0
        for fault in UNDO:
            with self.subTest(server=server.name, fault=fault):
                words, state = self.new_place(server)
                before = self.there()
                run = self.haul.run("copy", *words, *state, "--existing", "merge")
                self.assertEqual(run.code, DONE, run)
                copied = {name: len(box) for name, box in self.there()[0].items()}
                hit += self.killed("undo", [*words, *state, "--yes"], fault)
                # nobody works on it in between
                if fault.startswith(("flags", "expunge", "delete")):
                    for command in ["copy", *words, *state], ["forget", "--only", "*", *state]:
                        run = self.haul.run(*command)
                        self.assertIn("undo", run.err, run)
                        self.assertNotEqual(run.code, DONE, run)
                self.undone([*words, *state], before, fault)
                # it is new, and whose mail is there is asked again
                run = self.haul.run("copy", *words, *state)
                self.assertEqual((run.code, "none of them is the source's" in run.err), (ACCOUNTS, True), run)
                run = self.haul.run("copy", *words, *state, "--existing", "merge")
                self.assertEqual(run.code, DONE, run)
                self.assertEqual({name: len(box) for name, box in self.there()[0].items()}, copied)
        self.assertGreaterEqual(hit, len(UNDO) - 2)

    def copy_killed(self, server):
        hit = doubts = 0
        for fault in COPY:
            with self.subTest(server=server.name, fault=fault):
                words, state = self.new_place(server)
                before = self.there()
                hit += self.killed("copy", [*words, *state, "--existing", "merge", "--lanes", "1"], fault)
                doubts += open_intents(state[1]) > 0
                self.undone([*words, *state], before, fault)
        self.assertGreaterEqual(hit, len(COPY) - 1)
        self.assertGreaterEqual(doubts, 3)

    def test_undo_killed_dovecot(self):
        self.undo_killed(dovecot())

    def test_undo_killed_cyrus(self):
        self.undo_killed(cyrus())

    def test_copy_killed_dovecot(self):
        self.copy_killed(dovecot())

    def test_copy_killed_cyrus(self):
        self.copy_killed(cyrus())

    def put_aside(self, server):
        """What was delivered just before a mailbox was put aside is in it, under
        its own name again; and nothing is left over of an undo that was cut."""
        words, state = self.new_place(server)
        self.assertEqual(self.haul.run("copy", *words, *state, "--existing", "merge").code, DONE)
        boxes = set(self.there()[0])
        self.assertTrue(self.killed("undo", [*words, *state, "--yes"], "undo.aside:1"))
        (aside,) = set(self.there()[0]) - boxes
        self.assertIn("-mailhaul-", aside)
        (name,) = boxes - set(self.there()[0])
        client = self.place.login()
        client.append(aside, None, DATE, OURS)
        client.logout()
        run = self.haul.run("undo", *words, *state, "--yes")
        there = self.there()[0]
        self.assertEqual((run.code, set(there), len(there[name])), (DONE, {"INBOX", name}, 1), run)

    def test_put_aside_dovecot(self):
        self.put_aside(dovecot())

    def test_put_aside_cyrus(self):
        self.put_aside(cyrus())

    def test_forget_killed(self):
        """Before it is dropped, the account is in the state and in its copy."""
        words, state = self.new_place(dovecot())
        self.assertEqual(self.haul.run("copy", *words, *state, "--existing", "merge").code, DONE)
        before = self.haul.report(state[1])
        self.assertTrue(self.killed("forget", ["--only", "*", *state], "state.copied:1"))
        self.assertEqual(self.haul.report(state[1]), before)
        (kept,) = [n for n in os.listdir(self.haul.directory) if ".before-forget-" in n]
        self.assertEqual(self.haul.report(self.haul.path(kept)), before)
        self.assertEqual(self.haul.run("forget", "--only", "*", *state).code, DONE)
        self.assertEqual(self.haul.report(state[1])["accounts"], [])

    def test_copy_after_a_cut(self):
        """Copy keeps away from what is half undone."""
        words, state = self.new_place(dovecot())
        run = self.haul.run("undo", *words, *state, "--yes")
        self.assertNotEqual(run.code, DONE, run)
        self.assertEqual(self.haul.run("copy", *words, *state, "--existing", "merge").code, DONE)
        self.assertTrue(self.killed("undo", [*words, *state, "--yes"], "expunge.after:1"))
        run = self.haul.run("copy", *words, *state)
        self.assertEqual((run.code, "cut off" in run.err), (ACCOUNTS, True), run)
