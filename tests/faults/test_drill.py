"""The overnight job: hundreds of accounts in one list, and a night in which
everything happens.

MAILHAUL_DRILL=3000 takes so many accounts (300 if it is not set) and leaves the
servers down for a minute.  A third of the sources are trees of mbox files, a
third Maildirs, a third are on an IMAP server; the targets are Dovecot and
Cyrus by turns.  At every point the report must add up, and at the end every
message must be there once.
"""

import os
import random
import signal
import time
import unittest
from collections import Counter

import mail
import readback
from haul import ACCOUNTS, AGAIN, DIFFERS, DONE, Haul, balance, wait_for
from servers import Cyrus, Dovecot

COUNT = int(os.environ.get("MAILHAUL_DRILL", "300"))
DOWN = 60 if COUNT > 300 else 6  # seconds
BROKEN = 4  # accounts whose target user is not there


class Place:
    """The servers, the list, and what every account must hold in the end."""

    def __init__(self, haul, stack):
        self.haul = haul
        per_server = COUNT // 2 + 1
        self.dovecot = stack(Dovecot(USERS=per_server))
        self.cyrus = stack(Cyrus(USERS=per_server))
        self.source = stack(Dovecot(USERS=COUNT // 3 + 1, FORMAT="maildir"))
        for server in self.dovecot, self.cyrus, self.source:
            server.start()
        self.names = [f"account{n}" for n in range(COUNT)]
        self.want, self.where = {}, {}
        rows = ["user,source,target"]
        rows += [self._account(n, name) for n, name in enumerate(self.names)]
        self.broken = [n for n in self.names if self.where[n][0] is self.cyrus][-BROKEN:]
        self.total = sum(sum(boxes.values()) for boxes in self.want.values())
        self.list = haul.write("users.csv", "\n".join(rows) + "\n")
        self.job = haul.write("job.ini", "[job]\nsettle = 2\nlanes = 8\n")

    def _account(self, number, name):
        rng = random.Random(number)
        count = rng.randrange(20, 200) if number % 100 else 1500
        mean = 800 if number % 10 else 6000
        path = self.haul.path("src", name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        kind = number % 3
        if kind == 0:
            os.mkdir(path)
            told = mail.write_mbox(os.path.join(path, "INBOX"), count - count // 3, name, mean)
            told.update(mail.write_mbox(os.path.join(path, "Old"), count // 3, name + "o", mean))
            uri = f"mbox:{path}"
        elif kind == 1:
            told = mail.write_maildir(path, {"INBOX": count - count // 3, "Old": count // 3}, name, mean)
            uri = f"maildir:{path}"
        else:
            user = self.source.users[number // 3]
            home = os.path.join(self.source.home(user), "mail")
            told = mail.write_maildir(home + ".new", {"INBOX": count - count // 3, "Old": count // 3}, name, mean)
            self._give(home, home + ".new")
            uri = self.haul.uri(self.source, user, self._secret(self.source), "starttls", None, None, {})
        self.want[name] = sum(told.values(), Counter())
        server = self.dovecot if number % 2 else self.cyrus
        user = server.users[number // 2]
        self.where[name] = (server, user)
        return f"{name},{uri},{self.haul.uri(server, user, self._secret(server), 'starttls', None, None, {})}"

    def _secret(self, server):
        if not hasattr(server, "secret"):
            server.secret = self.haul.secret(server.password)
        return server.secret

    @staticmethod
    def _give(home, new):
        """The tree goes to whoever owns the home."""
        owner = os.stat(os.path.dirname(home))
        for directory, _, files in os.walk(new):
            for path in [directory, *(os.path.join(directory, f) for f in files)]:
                if os.getuid() == 0:
                    os.chown(path, owner.st_uid, owner.st_gid)
        if os.path.isdir(home):
            os.rename(home, home + ".empty")
        os.rename(new, home)

    def differences(self, names):
        bad = []
        for name in names:
            server, user = self.where[name]
            client = server.login(user)
            there = Counter()
            for box in readback.account(client).boxes.values():
                there += box.digests()
            client.logout()
            if there != self.want[name]:
                missing, extra = self.want[name] - there, there - self.want[name]
                bad.append(f"{name} ({server.name}): {sum(missing.values())} missing, {sum(extra.values())} extra")
        return bad


class TestDrill(unittest.TestCase):
    def setUp(self):
        self.haul = Haul()
        self.addCleanup(self.haul.destroy)

        def stack(server):
            self.addCleanup(server.destroy)
            return server

        self.place = Place(self.haul, stack)

    def words(self, *more):
        p = self.place
        return ["--job", p.job, "--accounts", p.list, *more]

    def sent(self):
        return sum(self.report()["totals"][o] for o in ("copied", "present"))

    def report(self):
        """What the report says now; it must add up, also in the middle."""
        report = self.haul.report()
        self.assertEqual(balance_of_ended(report), [])
        return report

    def until(self, part, run):
        """Until so much of all mail is there."""

        def there():
            if run.poll() is not None:
                self.fail(repr(self.haul.finish(run)))
            state = self.haul.run("status", "--state", self.haul.state)
            return state.code == DONE and self.sent() >= part * self.place.total

        wait_for(there, 300)

    def without(self, server, seconds):
        """The server is away for some time."""
        server.stop()
        time.sleep(seconds)
        server.start()

    def outcomes(self, report):
        return Counter(a["outcome"] for a in report["accounts"])

    def none_failed(self):
        """But those without a user."""
        failed = {a["name"]: a for a in self.report()["accounts"] if a["outcome"] == "failed"}
        self.assertEqual([a for name, a in failed.items() if name not in self.place.broken], [])

    def test_night(self):
        p, haul = self.place, self.haul
        for name in p.broken:
            p.cyrus.delete_user(p.where[name][1])
        run = haul.start_copy(*self.words())
        self.until(0.1, run)
        self.without(p.dovecot, DOWN)
        self.until(0.25, run)
        self.without(p.source, DOWN)
        self.none_failed()
        self.until(0.4, run)
        run.send_signal(signal.SIGKILL)
        haul.finish(run, killed=True)
        self.report()
        run = haul.start_copy(*self.words())
        self.until(0.55, run)
        run.send_signal(signal.SIGKILL)
        haul.finish(run, killed=True)
        self.report()
        # the night is over, and it was a slow one
        code, _, words = haul.copy(*self.words("--max-time", "3s", "--target-limit", "100 messages/s"), timeout=300)
        report = self.report()
        reachable = p.total - sum(sum(p.want[name].values()) for name in p.broken)
        self.assertLess(self.sent(), reachable, "the night was long enough")
        self.assertEqual(code, AGAIN, words)
        self.none_failed()
        # the second night
        run = haul.copy(*self.words(), timeout=600)
        self.assertEqual(run.code, ACCOUNTS, run)
        report = self.report()
        self.none_failed()
        # only these
        for name in p.broken:
            p.cyrus.create_user(p.where[name][1])
        run = haul.copy(*self.words("--failed"), timeout=600)
        self.assertIn(run.code, (DONE, DIFFERS), run)
        self.assertIn(f"{BROKEN} of {COUNT} accounts", run.err)
        report = self.report()
        self.assertTrue(report["balanced"])
        self.assertEqual(self.outcomes(report), Counter(done=COUNT))
        self.assertEqual(report["totals"]["source"], p.total)
        self.assertEqual(p.differences(p.names), [])
        # and nothing is left to do
        before = self.sent()
        run = haul.copy(*self.words(), timeout=600)
        self.assertEqual(run.code, DONE, run)
        self.assertEqual(self.sent(), before)


def balance_of_ended(report):
    """balance() for the accounts that have ended: what is under way has no
    sums yet."""
    ended = [a for a in report["accounts"] if a["outcome"] in ("done",)]
    totals = {key: sum(a["totals"][key] for a in ended) for key in report["totals"]}
    return balance({"accounts": ended, "totals": totals, "balanced": True})


if __name__ == "__main__":
    unittest.main()
