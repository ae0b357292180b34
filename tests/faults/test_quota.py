"""A new user of Cyrus, killed between CREATE, SETQUOTA and the load; and disks
of servers that are full.
"""

import unittest
from collections import Counter

import kills
import mail
import nasty
import readback
from haul import AGAIN, DONE, Haul, balance
from servers import Cyrus, Dovecot
from tmpfs import Tmpfs, tmpfs


class TestNewUser(unittest.TestCase):
    """kill -9 at each step; the next run leaves what an undisturbed one leaves."""

    POINTS = [
        *((f"user.{w}", 1) for w in ("before", "made")),
        *((f"quota.{w}", n) for n in (1, 2, 3) for w in ("before", "set")),
        ("create.before", 1),
        ("append.after_crlf", 1),
        ("state.after_commit", 3),
        ("state.after_commit", 6),
    ]

    @classmethod
    def setUpClass(cls):
        cls.server = Cyrus(USERS=1, PARTITIONS="default fast")
        cls.addClassCleanup(cls.server.destroy)
        cls.server.start()

    def limit(self, user):
        admin = self.server.admin_login()
        answer = admin.getquota(f'"user/{user}"')
        admin.logout()
        return answer[1][0].decode() if answer[0] == "OK" else answer[0]

    def killed(self, number, point, nth):
        user = f"new{number}"
        with Haul(faults=True) as haul:
            told = mail.write_maildir(haul.path("src"), {"INBOX": 20, "Sent": 3}, seed=user, mean=200)
            target = haul.admin(self.server, user, partition="fast")
            words = ["maildir:" + haul.path("src"), target, "--create-users", "--quota", "fixed:20M", "--settle", "1"]
            run = haul.finish(haul.start_copy(*words, env={"MAILHAUL_FAULT": f"kill@{point}:{nth}"}), killed=True)
            reached = run.code < 0
            if reached:
                run = haul.copy(*words)
            bad = [] if (run.code, balance(run.report)) == (DONE, []) else [repr(run)]
            if self.limit(user).split("(")[1].split()[2] != "20480)":
                bad.append(self.limit(user))
            if b"/spool/fast/" not in self.server.tool("mbpath", f"user/{user}"):
                bad.append("not on its partition")
            client = self.server.login_as(user)
            there = readback.account(client)
            client.logout()
            total = sum((b.digests() for b in there.boxes.values()), Counter())
            if total != told["INBOX"] + told["Sent"]:
                bad.append(f"{sum(total.values())} messages")
            if not [i for i in run.report["issues"] if i["kind"] == "created"]:
                bad.append("the new user is not told")
            return reached, bad

    def test_killed(self):
        results = kills.in_parallel(lambda c: self.killed(c[0], *c[1]), list(enumerate(self.POINTS)))
        for result in results:
            if isinstance(result, Exception):
                raise result
        wrong = [f"kill@{point}: {bad}" for point, (_, bad) in zip(self.POINTS, results) if bad]
        self.assertEqual(wrong, [])
        reached = {point for point, (hit, _) in zip(self.POINTS, results) if hit}
        # no limit is lifted and none is too small here: it is given once
        for point in ("user.before", 1), ("user.made", 1), ("quota.before", 1), ("quota.set", 1), ("append.after_crlf", 1):
            self.assertIn(point, reached)


class TestFullTarget(unittest.TestCase):
    """The server's disk fills up: nothing is refused, no account is to blame,
    and with more room all goes on."""

    def setUp(self):
        disk = tmpfs(100)
        if disk is None:
            print("\nNOT TESTED: a full disk needs the right to mount a tmpfs ", end="")
            self.skipTest("no right to mount")
        with disk:
            pass

    def full(self, server, store):
        server.start()
        server.stop()
        users = server.users
        with Tmpfs(900, over=store(server)) as disk, Haul() as haul:
            server.start()
            try:
                told = {}
                for user in users:
                    boxes = mail.write_maildir(haul.path("mail", user), {"INBOX": 40, "Old": 40}, seed=user, mean=5000)
                    told[user] = boxes["INBOX"] + boxes["Old"]
                rows = "user\n" + "\n".join(users) + "\n"
                words = haul.job(
                    "maildir:" + haul.path("mail/{user}"),
                    haul.user(server, "{user}"),
                    rows,
                    "lanes = 3\nsettle = 1",
                    limits="patience = 3\nmax-retries = 3",
                )
                run = haul.copy(*words)
                self.assertEqual((run.code, run.totals["refused"]), (AGAIN, 0), run)
                self.assertRegex(run.err, r"(?i)(SERVERBUG|System I/O error).*disk")
                outcomes = Counter(a["outcome"] for a in run.report["accounts"])
                self.assertEqual(outcomes["failed"], 0, run)
                self.assertGreater(outcomes["stopped"], 0, run)
                disk.resize(40_000)  # only now can Dovecot open what it holds
                for user in users:
                    self.assertEqual(sum((self.there(server, user) - told[user]).values()), 0)
                run = haul.copy(*words)
                self.assertEqual((run.code, balance(run.report)), (DONE, []), run)
                for user in users:
                    self.assertEqual(self.there(server, user), told[user])
            finally:
                server.stop()
        server.destroy()

    def there(self, server, user):
        client = server.login(user)
        try:
            account = readback.account(client)
        finally:
            client.logout()
        return sum((b.digests() for b in account.boxes.values()), nasty.Counter())

    def test_dovecot(self):
        self.full(Dovecot(USERS=4), lambda s: s.vars["homes"])

    def test_cyrus(self):
        self.full(Cyrus(USERS=4), lambda s: s.directory + "/spool")


if __name__ == "__main__":
    unittest.main()
