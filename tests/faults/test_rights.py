"""Rights and subscriptions to mailboxes of others, killed in between, at a real
server: the next run leaves what an undisturbed one leaves."""

import json
import os
import subprocess
import unittest

import kills
import readback
from haul import DONE, ROOT, Haul
from servers import Cyrus


class TestRights(unittest.TestCase):
    # over IMAP, and (the last ones) by the replication protocol
    POINTS = [("acl.before", 1), ("acl.set", 1), ("acl.set", 3), ("subscribe.after", 3), ("cyrus.before_acl", 2), ("acl.set", 2)]
    IMAP = 4

    def killed(self, server, number, point, nth):
        users = [f"user{2 * number + 1}", f"user{2 * number + 2}"]
        with Haul(faults=True) as haul:
            tree = haul.path("tree")
            subprocess.run([os.path.join(ROOT, "scripts/cgp-tree"), tree], check=True)
            with open(os.path.join(tree, "manifest.json"), encoding="utf-8") as f:
                self.assertIn("bob@example.org", json.load(f)["accounts"])
            rows = f"user,target_user\nbob@example.org,{users[0]}\ncarol@example.org,{users[1]}\n"
            target = haul.admin(server, "{target_user}")
            if number >= self.IMAP:
                target = f"cyrus:{{target_user}}?conf={server.vars['conf']}&libexec={server.vars['libexec']}"
            words = haul.job(f"cgp:{tree}/base?account={{user}}", target, rows, "lanes = 1\nsettle = 1")
            run = haul.finish(haul.start_copy(*words, env={"MAILHAUL_FAULT": f"kill@{point}:{nth}"}), killed=True)
            reached = run.code < 0
            run = haul.copy(*words)
            bad = [] if run.code == DONE else [repr(run)]
            bob, carol = server.login(users[0]), server.login(users[1])
            for client, name, who, letters in (
                (bob, "INBOX", users[1], "lrswi"), (bob, "INBOX/Work/2009/Q1", "anyone", "lr"), (carol, "INBOX", users[0], "lr")
            ):
                told = client.getacl(readback.quote(name))[1][0].decode().split()
                if (who, letters) not in zip(told[1::2], told[2::2]):
                    bad.append(f"{name}: {told}")
            if f"user/{users[1]}" not in readback.listing(bob)[1]:
                bad.append("not subscribed")
            bob.logout()
            carol.logout()
            again = haul.copy(*words)
            if (again.code, again.totals) != (DONE, run.totals):
                bad.append(repr(again))
            return reached, bad

    def test_killed(self):
        with Cyrus(USERS=2 * len(self.POINTS)) as server:
            results = kills.in_parallel(lambda c: self.killed(server, c[0], *c[1]), list(enumerate(self.POINTS)))
        for result in results:
            if isinstance(result, Exception):
                raise result
        self.assertEqual([f"{p}: {bad}" for p, (_, bad) in zip(self.POINTS, results) if bad], [])
        self.assertEqual([p for p, (reached, _) in zip(self.POINTS, results) if not reached], [])


if __name__ == "__main__":
    unittest.main()
