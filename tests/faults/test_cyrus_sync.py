"""kill -9 into loads of cyrus:, at the fault points of our process and, at any
moment, of the sync_server that works for it.  After one more run the account is
what an undisturbed run makes, to the UID, Cyrus' own tools find nothing, and
nothing is staged; a third run changes nothing.

MAILHAUL_KILLS=all takes every passing of every point, and 200 servers.
"""

import contextlib
import os
import random
import signal
import threading
import time
import unittest
from collections import Counter

import cysync
import kills
from cysync import fill, write
from haul import AGAIN, DONE, Haul, wait_for
from servers import Cyrus
from tmpfs import Tmpfs, tmpfs


def children(pid):
    """The sync_servers of a process."""
    found = []
    for name in os.listdir("/proc"):
        try:
            if name.isdigit():
                with open(f"/proc/{name}/stat", "rb") as f:
                    words = f.read().rsplit(b")", 1)
                fields = words[1].split()
                if int(fields[1]) == pid and fields[0] != b"Z" and b"sync_server" in words[0]:
                    found.append(int(name))
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


def stopped(pid):
    """A process that has stopped itself."""
    with open(f"/proc/{pid}/stat", "rb") as f:
        return f.read().rsplit(b")", 1)[1].split()[0] == b"T"


class Kills(cysync.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.keep = Haul()
        cls.addClassCleanup(cls.keep.destroy)
        # more than one batch, more than one mailbox, and a late message
        cls.boxes = {"INBOX": fill(230, 1234567, seed=1), "Sent": fill(30, 77), "a/b": fill(3, 78)}
        cls.source = cls.keep.path("source")
        write(cls.source, cls.boxes)
        cls.users = 0

    def setUp(self):
        super().setUp()
        self.haul = Haul(faults=True)
        self.addCleanup(self.haul.destroy)

    def fresh(self):
        type(self).users += 1
        return f"k{self.users}"

    def job(self, haul, user, fault=None, log=None, lanes=2, start=False):
        env = {k: v for k, v in (("MAILHAUL_FAULT", fault), ("MAILHAUL_FAULT_LOG", log)) if v}
        words = "maildir:" + self.source, self.target(user), "--create-users", "--lanes", str(lanes)
        process = haul.start_copy(*words, env=env)
        return process if start else haul.finish(process, 120, killed=fault is not None)

    def wrong(self, haul, user):
        """After the disturbance: one run, one look, one more run."""
        self.job(haul, user)
        run = self.job(haul, user)
        self.assertEqual(run.code, DONE, run)
        self.equal(self.boxes, user=user)
        self.assertEqual(run.totals["source"], 263, run)
        self.assertEqual(run.totals["copied"] + run.totals["present"], 263, run)
        self.assertEqual(kills.open_intents(haul.state), 0)

    def test_points(self):
        log = self.haul.path("points")
        self.assertEqual(self.job(self.haul, self.fresh(), log=log).code, DONE)
        with open(log, encoding="ascii") as f:
            points = Counter(f.read().split())
        for name in "cyrus.files", "cyrus.before_box", "cyrus.after_box", "cyrus.answered", "cyrus.marked", "cyrus.anew":
            self.assertGreater(points[name], 0)
        ours = {name: n for name, n in points.items() if name.startswith("cyrus.") or name in ("intent.durable", "uids.set", "create.after", "user.made", "done.posted")}
        hits = 0
        for number, (name, k) in enumerate(kills.sample(ours if not kills.ALL else points, None if kills.ALL else kills.how_many(8, 0))):
            with Haul(faults=True) as haul, self.subTest(point=name, passing=k):
                user = self.fresh()
                run = self.job(haul, user, fault=f"kill@{name}:{k}", lanes=1 + number % 2)
                hits += run.code < 0
                self.wrong(haul, user)
        self.assertGreater(hits, 0)
        wait_for(lambda: not self.staged())
        self.sound(user)

    def test_children(self):
        """One load, whose servers die again and again; in between it gets on."""
        rng = random.Random(kills.SEED)
        wanted, killed, user = 200 if kills.ALL else 3, 0, self.fresh()
        deadline = time.monotonic() + 600
        while killed < wanted and time.monotonic() < deadline:
            with Haul(faults=True) as haul:
                user = self.fresh()
                process = self.job(haul, user, start=True)
                ended = threading.Event()
                runs = []
                reader = threading.Thread(target=lambda p=process, h=haul, r=runs, e=ended: (r.append(h.finish(p, 120)), e.set()))
                reader.start()
                for _ in range(3):
                    ended.wait(rng.uniform(0.02, 0.4))
                    for pid in children(process.pid)[:1]:
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(pid, signal.SIGKILL)
                            killed += 1
                reader.join()
                self.wrong(haul, user)
        self.assertGreaterEqual(killed, wanted, f"SEED={kills.SEED}")
        wait_for(lambda: not self.staged())
        self.sound(user)

    def test_full_disk(self):
        """The spool is full: the copy waits for room, and ends when there is
        none; afterwards nothing is missing and nothing is there twice."""
        disk = tmpfs(100)
        if disk is None:
            self.skipTest("no right to mount")
        with disk:
            pass
        with Cyrus(CREATE="no") as server, Tmpfs(60_000, over=server.vars["spool"] + "/default") as disk:
            self.server, ours = server, self.server
            self.log_before = 0
            try:
                for leave in 150_000, 700_000:
                    user = self.fresh()
                    with Haul(faults=True) as haul:
                        disk.fill(leave)
                        words = "maildir:" + self.source, self.target(user), "--create-users", "--min-free", "0", "--patience", "1"
                        run = haul.copy(*words)
                        self.assertEqual(run.code, AGAIN, run)
                        self.assertRegex(run.err, r"(?i)disk.*full|no space left")
                        disk.make_room()
                        run = haul.copy(*words)
                        self.assertEqual((run.code, run.totals["copied"] + run.totals["present"]), (DONE, 263), run)
                        self.equal(self.boxes, user=user)
                        self.sound(user)
                        server.delete_user(user)
            finally:
                self.server = ours

    def test_lines_of_messages_are_no_commands(self):
        """A Cyrus whose disk is full takes what is left of a message for
        commands."""
        disk = tmpfs(100)
        if disk is None:
            self.skipTest("no right to mount")
        with disk:
            pass
        with Cyrus(CREATE="no") as server, Tmpfs(60_000, over=server.vars["spool"] + "/default") as disk:
            self.server, ours = server, self.server
            try:
                for number, kind in enumerate(("local", "remote")):
                    victim, user = f"victim{number}", self.fresh()
                    server.create_user(victim)
                    server.create_user(user)
                    box = cysync.trees.Box(uidvalidity=8)
                    lines = b"APPLY UNUSER %s\nx SYNCAPPLY UNUSER %s\n" % ((victim.encode(),) * 2)
                    for i in range(20):
                        box.add(b"From: x@example.org\n\n" + lines * 3000, uid=i + 1)
                    source = self.haul.path("hostile" + kind)
                    write(source, {"INBOX": box})
                    target = self.target(user) if kind == "local" else self.remote(user)
                    with Haul(faults=True) as haul:
                        words = "maildir:" + source, target, "--min-free", "0", "--patience", "1"
                        disk.fill(600_000)
                        run = haul.copy(*words)
                        self.assertEqual(run.code, AGAIN, run)
                        client = server.login_as(victim)
                        self.assertEqual(client.status("INBOX", "(MESSAGES)")[0], "OK")
                        client.logout()
                        disk.make_room()
                        run = haul.copy(*words)
                        self.assertEqual((run.code, run.totals["copied"] + run.totals["present"]), (DONE, 20), run)
                    self.equal({"INBOX": box}, user=user)
                    server.delete_user(user)
            finally:
                self.server = ours

    def test_mail_that_comes_in_before_the_inbox_is_made_anew(self):
        """An INBOX that held nothing when it was opened gets a message: it is
        not made anew then, and the message stays."""
        user = self.fresh()
        self.server.create_user(user)
        client = self.server.login_as(user)
        before = client.status("INBOX", "(UIDVALIDITY)")
        process = self.job(self.haul, user, fault="stop@cyrus.marked:1", lanes=1, start=True)
        try:
            wait_for(lambda: stopped(process.pid))
            client.append("INBOX", None, None, b"From: other@example.org\r\n\r\njust came\r\n")
        finally:
            process.send_signal(signal.SIGCONT)
        run = self.haul.finish(process, 120)
        self.assertEqual((run.code, run.totals["copied"]), (DONE, 263), run)
        client.select("INBOX", readonly=True)
        self.assertEqual(client.search(None, "FROM", "other@example.org")[1][0].split(), [b"1"])
        self.assertEqual(len(client.search(None, "ALL")[1][0].split()), len(self.boxes["INBOX"].lines) + 1)
        client.unselect()
        self.assertEqual(client.status("INBOX", "(UIDVALIDITY)"), before)
        self.assertNotIn("mailhaul-inbox", " ".join(self.there(user, bodies=False).boxes))
        client.logout()
        self.sound(user)

    def test_mail_that_comes_in_at_the_last_moment(self):
        """Into another empty mailbox, after the last look at it: it stays, and is
        alone with ours."""
        user = self.fresh()
        self.server.create_user(user)
        client = self.server.login_as(user)
        client.create("INBOX/Sent")
        process = self.job(self.haul, user, fault="stop@cyrus.before_exchange:1", lanes=1, start=True)
        try:
            wait_for(lambda: stopped(process.pid))
            client.append("INBOX/Sent", None, None, b"From: other@example.org\r\n\r\njust came\r\n")
        finally:
            process.send_signal(signal.SIGCONT)
        run = self.haul.finish(process, 120)
        self.assertEqual((run.code, run.totals["copied"]), (DONE, 263), run)
        client.select("INBOX/Sent", readonly=True)
        self.assertEqual(client.search(None, "FROM", "other@example.org")[1][0].split(), [b"1"])
        self.assertEqual(len(client.search(None, "ALL")[1][0].split()), len(self.boxes["Sent"].lines) + 1)
        client.logout()
        self.sound(user)

    def later_pass(self, haul, fault=None):
        """Flags change and mail goes at the source; what is at the target then."""
        user, source = self.fresh(), haul.path("src")
        box = cysync.trees.Box(uidvalidity=17)
        for n in range(12):
            box.add(b"From: x@example.org\n\n%d\n" % n, uid=n + 1, flags="S" if n % 2 else "", keywords=["work"] if n % 3 == 0 else [], date=1_000_000_000 + n)
        write(source, {"INBOX": box})
        words = "copy", "maildir:" + source, self.target(user), "--create-users", "--state", haul.state, "--delete=move"
        self.assertEqual(haul.run(*words).code, DONE)
        cur = os.path.join(source, "cur")
        names = sorted(os.listdir(cur))
        for name in names[:6]:
            os.rename(os.path.join(cur, name), os.path.join(cur, name.split(":")[0] + ":2,Fa"))
        for name in names[8:10]:
            os.unlink(os.path.join(cur, name))
        if fault:
            self.assertLess(haul.finish(haul.start(*words, env={"MAILHAUL_FAULT": "kill@" + fault}), killed=True).code, 0)
        for _ in range(2):
            self.assertEqual(haul.run(*words).code, DONE)
        self.sound(user)
        boxes = self.there(user).boxes
        return sorted([(m.date, m.digest, sorted(m.flags), sorted(m.keywords)) for m in box.messages] for box in boxes.values())

    def test_later_passes(self):
        with Haul(faults=True) as haul:
            want = self.later_pass(haul)
        self.assertEqual([len(box) for box in want if box], [10, 2])
        for fault in "cyrus.before_change:1", "cyrus.moved:1", "cyrus.before_change:2":
            with self.subTest(fault), Haul(faults=True) as haul:
                self.assertEqual(self.later_pass(haul, fault), want)

    def test_user_who_lost_his_inbox(self):
        """A power cut between the two halves of an INBOX made anew: the next run
        puts it back under its own id."""
        user = self.fresh()
        self.server.create_user(user)
        client = self.server.login_as(user)
        before = client.status("INBOX", "(MAILBOXID)")
        client.logout()
        self.assertLess(self.job(self.haul, user, fault="kill@cyrus.marked:1", lanes=1).code, 0)
        self.sync(f"APPLY UNMAILBOX user.{user}")
        client = self.server.login_as(user)
        self.assertEqual(client.status("INBOX", "(MESSAGES)")[0], "NO")
        client.logout()
        self.wrong(self.haul, user)
        client = self.server.login_as(user)
        self.assertEqual(client.status("INBOX", "(MAILBOXID)"), before)
        client.logout()


if __name__ == "__main__":
    unittest.main()
