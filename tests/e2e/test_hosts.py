"""Hosts that go away and come back, take only so many sessions, or are to be
spared; the end by the clock; stop, pause and resume from another shell."""

import os
import signal
import time
import unittest

import mail
import readback
from haul import ACCOUNTS, AGAIN, DONE, MISUSE, Haul, balance, wait_for
from imap_server import FakeServer
from servers import Cyrus, Dovecot

BOXES = {"INBOX": 20, "Sent": 10}


class Case(unittest.TestCase):
    def setUp(self):
        self.haul = Haul()
        self.addCleanup(self.haul.destroy)

    def sources(self, users, boxes=None):
        """A Maildir for each user; {user: Counter of digests}."""
        told = {}
        for user in users:
            boxes_told = mail.write_maildir(self.haul.path("src", user), boxes or BOXES, seed=user, mean=600)
            told[user] = sum(boxes_told.values(), start=mail.Counter())
        return told

    def words(self, target, users, job="lanes = 8\nsettle = 1", **sections):
        rows = "user\n" + "".join(u + "\n" for u in users)
        return self.haul.job("maildir:" + self.haul.path("src", "{user}"), target, rows, job, **sections)

    def status(self):
        run = self.haul.run("status", "--state", self.haul.state, "--format", "json")
        self.assertEqual(run.code, DONE, run)
        return run.report

    def host(self, name, side="target"):
        return [h for h in self.status()["hosts"] if h["name"] == name and h["side"] == side][0]

    def order(self, word, code=DONE):
        run = self.haul.run(word, "--state", self.haul.state)
        self.assertEqual(run.code, code, run)
        return run

    def sent(self, n):
        """Waits until so many messages have been sent."""

        def enough():
            run = self.haul.run("status", "--state", self.haul.state, "--format", "json")
            return run.code == DONE and run.report["sent"] >= n  # at first there is no state

        wait_for(enough, 60)

    def all_done(self, run, users):
        self.assertEqual((run.code, balance(run.report)), (DONE, []), run)
        self.assertEqual([a["outcome"] for a in run.report["accounts"]], ["done"] * len(users))
        self.assertEqual([i for i in run.report["issues"] if i["kind"] in ("failed", "doubled")], [])


class Away:
    """A real server is stopped in the middle of 20 accounts."""

    def setUp(self):
        super().setUp()
        self.server = self.kind(USERS=20)
        self.addCleanup(self.server.destroy)
        self.server.start()
        self.users = [f"user{n}" for n in range(1, 21)]
        self.told = self.sources(self.users)
        self.job = self.words(self.haul.admin(self.server, "{user}"), self.users, limits="target-limit = 80 messages/s\npatience = 120")

    def check(self, run):
        self.all_done(run, self.users)
        for user in self.users:
            client = self.server.login(user)
            account = readback.account(client)
            client.logout()
            got = sum((b.digests() for b in account.boxes.values()), start=mail.Counter())
            self.assertEqual(got, self.told[user], user)

    def test_away_for_a_while(self):
        process = self.haul.start_copy(*self.job)
        self.sent(100)
        self.server.stop()
        wait_for(lambda: any(h["held_seconds"] for h in self.status()["hosts"]), 30)
        time.sleep(3)
        self.server.start()
        run = self.haul.finish(process)
        self.check(run)
        self.assertIn("on hold", run.err)
        self.assertIn("answers again", run.err)
        again = self.haul.copy(*self.job)
        self.all_done(again, self.users)
        self.assertEqual(self.status()["sent"], 0)

    def test_killed_while_it_is_away(self):
        process = self.haul.start_copy(*self.job)
        self.sent(100)
        self.server.stop()
        wait_for(lambda: any(h["held_seconds"] for h in self.status()["hosts"]), 30)
        process.kill()
        self.haul.finish(process, killed=True)
        self.server.start()
        self.check(self.haul.copy(*self.job))


class TestDovecotAway(Away, Case):
    kind = Dovecot


class TestCyrusAway(Away, Case):
    kind = Cyrus


class Fake(Case):
    def fake(self, users, **settings):
        server = FakeServer(users={u: "secret" for u in users}, **settings).start()
        self.addCleanup(server.stop)
        return server

    def target(self, server, **options):
        more = "".join(f"&{k}={v}" for k, v in options.items())
        return f"imap://admin@127.0.0.1:{server.port}?tls=none&authzid={{user}}&secret-file={self.haul.secret('adminsecret')}{more}"

    def check(self, server, told):
        for user, digests in told.items():
            self.assertEqual(sum(server.contents(user).values(), start=mail.Counter()), digests, user)


class TestAwayForGood(Fake):
    def test_patience(self):
        """No account has failed when the run gives up, and the next goes on."""
        users = [f"user{n}" for n in range(6)]
        told = self.sources(users)
        server = self.fake(users, latency=0.01)
        job = self.words(self.target(server), users, limits="patience = 2")
        process = self.haul.start_copy(*job)
        self.sent(40)
        port = server.port
        server.stop()
        run = self.haul.finish(process)
        self.assertEqual(run.code, AGAIN, run)
        self.assertTrue({a["outcome"] for a in run.report["accounts"]} <= {"done", "stopped"}, run)
        again = FakeServer(users=server.users, port=port)
        again.accounts, again.last_uidvalidity = server.accounts, server.last_uidvalidity
        with again:
            self.all_done(self.haul.copy(*job), users)
            self.check(again, told)


class TestCaps(Fake):
    """How many connections are refused, not how long it takes."""

    def check_cap(self, users, job, cap, boxes=None, **settings):
        told = self.sources(users, boxes)
        server = self.fake(users, latency=0.02, **settings)
        words = self.words(self.target(server, timeout=2), users, job)
        run = self.haul.copy(*words)
        self.all_done(run, users)
        self.check(server, told)
        # one; one more where a look's second session meets it; and one to be sure
        self.assertIn(len(server.refused), (1, 2, 3), run.err)
        # a session that was just closed may still have been counted
        self.assertIn(self.host(f"127.0.0.1:{server.port}")[cap], (4, 5), run.err)
        # the next run begins with it
        server.refused.clear()
        self.all_done(self.haul.copy(*words), users)
        self.assertEqual(len(server.refused), 0)
        return server

    def test_of_the_host(self):
        for over in "bye", "close", "hang":
            with self.subTest(over=over):
                self.haul = Haul()
                self.addCleanup(self.haul.destroy)
                server = self.check_cap([f"user{n}" for n in range(60)], "lanes = 8", "cap", max_sessions=5, over=over)
                self.assertIn(server.most, (4, 5))

    def test_of_a_user(self):
        for over in "bye", "close", "hang":
            with self.subTest(over=over):
                self.haul = Haul()
                self.addCleanup(self.haul.destroy)
                boxes = {"INBOX": 20} | {f"box{n}": 20 for n in range(12)}
                self.check_cap(["user1"], "lanes = 8\nlanes-per-account = 8", "user_cap", boxes, max_user=5, over=over)


class TestSecrets(Fake):
    def test_wrong_admin_password(self):
        users = [f"user{n}" for n in range(12)]
        self.sources(users, {"INBOX": 1})
        server = self.fake(users, latency=0.02)
        server.admins["admin"] = "another"
        run = self.haul.copy(*self.words(self.target(server), users))
        self.assertEqual(run.code, ACCOUNTS, run)
        self.assertEqual(server.commands["AUTHENTICATE"] + server.commands["LOGIN"], 3)
        self.assertEqual([a["outcome"] for a in run.report["accounts"]], ["failed"] * 12)
        self.assertEqual(sum("not tried" in a["error"] for a in run.report["accounts"]), 9)
        self.assertIn("not tried any more", run.err)

    def test_right_with_many_missing_users(self):
        """A login that works is not given up for users that are not there."""
        users = [f"user{n}" for n in range(12)]
        self.sources(users, {"INBOX": 1})
        server = self.fake(users[:3] + users[8:])
        run = self.haul.copy(*self.words(self.target(server), users, "lanes = 1\norder = list"))
        self.assertEqual(run.code, ACCOUNTS, run)
        self.assertEqual([a["outcome"] for a in run.report["accounts"]].count("done"), 7, run)


class TestOrders(Fake):
    def setUp(self):
        super().setUp()
        self.users = [f"user{n}" for n in range(8)]
        self.told = self.sources(self.users)
        self.server = self.fake(self.users)
        self.job = self.words(self.target(self.server), self.users, limits="target-limit = 40 messages/s")

    def appended(self):
        return sum(sum(sum(c.values()) for c in self.server.contents(u).values()) for u in self.users)

    def test_none_is_running(self):
        for word in "stop", "pause", "resume":
            run = self.order(word, MISUSE)
            self.assertRegex(run.err, "no such file|No such file")
        self.haul.copy(*self.job, "--set", "limits.target-limit=900 messages/s")
        for word in "stop", "pause", "resume":
            self.assertIn("no copy is running", self.order(word, MISUSE).err)

    def test_stop_twice(self):
        process = self.haul.start_copy(*self.job)
        self.sent(20)
        self.assertIn(str(process.pid), self.order("stop").out)
        # it is the same once more, or it is over
        self.assertIn(self.haul.run("stop", "--state", self.haul.state).code, (DONE, MISUSE))
        run = self.haul.finish(process)
        self.assertEqual(run.code, AGAIN, run)
        self.assertLess(self.appended(), 240)
        self.assertEqual({a["outcome"] for a in run.report["accounts"]} - {"done", "stopped"}, set())
        run = self.haul.copy(*self.job, "--set", "limits.target-limit=900 messages/s")
        self.all_done(run, self.users)
        self.check(self.server, self.told)

    def test_pause_and_resume(self):
        process = self.haul.start_copy(*self.job)
        self.sent(20)
        self.order("pause")
        wait_for(lambda: self.status()["mode"] == "paused")
        wait_for(lambda: not self.server.sessions)
        before = self.appended()
        time.sleep(2)
        self.assertEqual((self.appended(), len(self.server.sessions)), (before, 0))
        self.assertLess(before, 240)
        self.order("pause")
        self.order("resume")
        run = self.haul.finish(process)
        self.all_done(run, self.users)
        self.check(self.server, self.told)

    def test_killed_while_paused(self):
        """A pause ends with its run."""
        process = self.haul.start_copy(*self.job)
        self.sent(20)
        self.order("pause")
        wait_for(lambda: self.status()["mode"] == "paused")
        process.send_signal(signal.SIGKILL)
        self.haul.finish(process, killed=True)
        self.assertIn("no copy is running", self.order("resume", MISUSE).err)
        run = self.haul.copy(*self.job, "--set", "limits.target-limit=900 messages/s")
        self.all_done(run, self.users)
        self.check(self.server, self.told)

    def test_stop_while_paused(self):
        process = self.haul.start_copy(*self.job)
        self.sent(20)
        self.order("pause")
        self.order("stop")
        self.assertEqual(self.haul.finish(process, timeout=30).code, AGAIN)

    def test_max_time(self):
        run = self.haul.copy(*self.job, "--max-time", "3")
        self.assertEqual(run.code, AGAIN, run)
        self.assertIn("the time is over", run.err)
        self.assertEqual({a["outcome"] for a in run.report["accounts"]} - {"done", "stopped"}, set())
        self.assertTrue(0 < self.appended() < 240)
        run = self.haul.copy(*self.job, "--set", "limits.target-limit=900 messages/s")
        self.all_done(run, self.users)
        self.check(self.server, self.told)

    def test_stop_at(self):
        """The local clock of this zone is three seconds before a full minute."""
        now = time.time()
        behind = int(now - 57) % 60
        minute = time.strftime("%H:%M", time.gmtime(now - behind + 60))
        run = self.haul.copy(*self.job, "--stop-at", minute, env={"TZ": f"ZON+00:00:{behind:02d}"}, timeout=30)
        self.assertEqual(run.code, AGAIN, run)
        self.assertIn("the time is over", run.err)
        self.assertTrue(0 < self.appended() < 240)

    def test_time_left(self):
        """It tells how long it will take, and why it thinks so."""
        self.haul.copy(*self.job, "--set", "limits.target-limit=900 messages/s", "--only", "user0,user1")
        process = self.haul.start_copy(*self.job, "--set", "limits.target-limit=8 messages/s")
        status = wait_for(lambda: next((s for s in [self.status()] if "measured" in s.get("left_basis", "")), None), 60)
        self.assertTrue(status["left_seconds"] <= 60, status)
        self.assertRegex(status["left_basis"], r"messages left at [0-9.]+/s of \S+, measured over \d+ s")
        text = self.haul.run("status", "--state", self.haul.state).out
        self.assertRegex(text, r"left +about 0:00:\d\d \(")
        process.kill()
        self.haul.finish(process, killed=True)


class TestOrderOfAccounts(Fake):
    def logins(self, server):
        return [line for _, line in server.log if "AUTHENTICATE" in line]

    def test_by_a_column(self):
        users = {"user1": "5M", "user2": "300", "user3": "", "user4": "2G"}
        self.sources(users, {"INBOX": 1})
        server = self.fake(users)
        rows = "user,size\n" + "".join(f"{u},{size}\n" for u, size in users.items())
        job = self.haul.job("maildir:" + self.haul.path("src", "{user}"), self.target(server), rows, "lanes = 1\norder = size")
        self.assertEqual(self.haul.copy(*job).code, DONE)
        names = list(server.accounts)
        self.assertEqual(names, ["user4", "user1", "user2", "user3"])

    def test_mistakes(self):
        self.sources(["user1"], {"INBOX": 1})
        server = self.fake(["user1"])
        for job, limits, words in (
            ("order = biggest", "", ["job.ini:2", "order", "biggest", "column"]),
            ("", "stop-at = 6", ["job.ini", "stop-at", "06:00"]),
            ("", "target-limit = fast", ["job.ini", "target-limit", "fast"]),
            ("", "target-limit = 2 lanes\ntarget-limit = 3 lanes", ["job.ini", "target-limit", "already"]),
            ("", "source-limit = 07:00-19:00 = 2 lanes\nsource-limit = 18:00-20:00 = 1 lane", ["source-limit", "overlap"]),
        ):
            with self.subTest(limits=limits):
                run = self.haul.copy(*self.words(self.target(server), ["user1"], job, limits=limits))
                self.assertEqual(run.code, MISUSE, run)
                for word in words:
                    self.assertIn(word, run.err)
        self.assertEqual(server.connections, 0)
