"""README's recipes for the switch, each command as it is written there."""

import os
import re
import shlex
import unittest

import histories
import tls
from haul import DONE, Haul, balance
from histories import EPOCH
from servers import Cyrus, Dovecot

USERS = ["user1", "user2", "user3"]


def recipe(title):
    """The commands of a section."""
    with open(os.path.join(tls.ROOT, "README.md"), encoding="utf-8") as f:
        section = re.search(rf"^## {title}\n(.*?)^## ", f.read(), re.S | re.M).group(1)
    return [shlex.split(line)[1:] for line in re.findall(r"^ {4,}(mailhaul .*)$", section, re.M)]


class TestRecipes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.source, cls.target = Dovecot(USERS=3), Cyrus(USERS=3)
        for server in cls.source, cls.target:
            cls.addClassCleanup(server.destroy)
            server.start()

    def setUp(self):
        self.haul = Haul()
        self.addCleanup(self.haul.destroy)
        source = self.haul.user(self.source, "{user}", "none")
        target = self.haul.user(self.target, "{user}", "none")
        self.haul.job(source, target, "user\n" + "".join(f"{u}\n" for u in USERS), name="move.ini", job="accounts = move.ini.csv\nstate = move.db")
        self.sides = {}
        for user in USERS:
            clients = [server.login(user) for server in (self.source, self.target)]
            for client in clients:
                self.addCleanup(client.logout)
            self.sides[user] = [histories.Side(client) for client in clients]
            for side in self.sides[user]:
                side.clear()

    def follow(self, title):
        runs = {}
        for words in recipe(title):
            run = self.haul.run(*words)
            self.assertEqual(run.code, DONE, run)
            runs[" ".join(words)] = run
        self.assertTrue(runs)
        return runs

    def at_target(self, user):
        return {m.date - EPOCH: set(histories.words(m)) for m in self.sides[user][1].box("INBOX")}

    def test_switch(self):
        for user in USERS:
            for n in range(4):
                self.sides[user][0].append("INBOX", EPOCH + n, set())
        runs = self.follow("The week before the switch")
        self.assertTrue(any(words.startswith("copy") for words in runs))
        for user in USERS:
            self.sides[user][0].append("INBOX", EPOCH + 4, set())
            self.sides[user][0].flag("INBOX", EPOCH, {"\\seen"})
            self.sides[user][0].delete("INBOX", [EPOCH + 1])
        runs = self.follow("The night of the switch")
        told = [run.out for words, run in runs.items() if words.startswith("stage")]
        self.assertEqual(len(told), 2)
        for user in USERS:
            self.assertIn(f"{user}: frozen, was loading", told[0])
            self.assertIn(f"{user}: released, was frozen; last outcome done", told[1])
            self.assertEqual(self.at_target(user), {0: {"\\seen"}, 2: set(), 3: set(), 4: set()})
        (report,) = [run.report for words, run in runs.items() if words.startswith("report")]
        self.assertEqual((report["balanced"], balance(report)), (True, []))
        # in the days after
        for user in USERS:
            source, target = self.sides[user]
            source.append("INBOX", EPOCH + 5, set())
            source.delete("INBOX", [EPOCH + 2])
            target.delete("INBOX", [EPOCH + 3])
        self.follow("The week before the switch")
        for user in USERS:
            self.assertEqual(self.at_target(user), {0: {"\\seen"}, 2: set(), 4: set(), 5: set()})

    def test_from_imapsync(self):
        """What another tool has copied is found, and nothing comes twice."""
        for user in USERS:
            for n in range(4):
                for side in self.sides[user][: 1 if n == 2 else 2]:
                    side.append("INBOX", EPOCH + n, set())
        runs = self.follow("Coming from imapsync")
        self.assertEqual([words.split()[0] for words in runs], ["plan", "copy", "report"])
        for user in USERS:
            self.assertEqual(sorted(m.date - EPOCH for m in self.sides[user][1].box("INBOX")), [0, 1, 2, 3])
        totals = self.haul.run("report", "--job", "move.ini", "--format", "json").report["totals"]
        self.assertEqual((totals["present"], totals["copied"]), (9, 3))


if __name__ == "__main__":
    unittest.main()
