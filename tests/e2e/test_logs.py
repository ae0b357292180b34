"""Logs and traces of whole runs: they tell what happened, and nothing else.

Words are planted in every part of the messages and secrets in every place where
secrets come from; then all that a run leaves is searched for them.
"""

import csv
import glob
import io
import os
import re
import signal
import stat
import unittest

import mail
from haul import ACCOUNTS, AGAIN, DIFFERS, DONE, MISUSE, Haul, wait_for
from imap_server import FakeServer, Fault
from servers import Cyrus, Dovecot

PASSWORD = "Xq7-not-elsewhere"
ADMIN_PASSWORD = "Zr9-not-elsewhere"
PLANTED = [b"plantedsubject", b"plantedheader", b"plantedbody", b"plantedid", b"plantedname"]
MESSAGE = b"From: plantedname <a@example.org>\nSubject: plantedsubject %d\nMessage-ID: <plantedid%d@x>\nX-A: plantedheader\n\nplantedbody\n"
LINE = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d (?P<level>info|warn) (?P<event>[a-z-]+)"
    r"(?P<values>( [a-z]+=(\"([^\"\\]|\\.)*\"|[^\s:\"]+))*)(: (?P<text>.*))?"
)


def write_source(path, boxes):
    """{mailbox: [bytes]}"""
    for name, messages in boxes.items():
        folder = path if name == "INBOX" else os.path.join(path, "." + name)
        for sub in "cur", "new", "tmp":
            os.makedirs(os.path.join(folder, sub))
        for i, m in enumerate(messages):
            with open(os.path.join(folder, "cur", f"{1_000_000_000 + i}.M{i}.x:2,S"), "wb") as f:
                f.write(m)


def planted(n):
    return [MESSAGE % (i, i) for i in range(n)]


class Case(unittest.TestCase):
    def setUp(self):
        self.haul = Haul()
        self.addCleanup(self.haul.destroy)

    def log(self, name=None):
        """Its lines as matches; each must be whole."""
        path = self.haul.state + (".log" if name is None else f".logs/{name}.log")
        with open(path, encoding="utf-8") as f:
            text = f.read()
        self.assertTrue(text.endswith("\n"), path)
        lines = [(line, LINE.fullmatch(line)) for line in text.splitlines()]
        for line, match in lines:
            self.assertIsNotNone(match, line)
        return [match for _, match in lines]

    def events(self, name=None):
        return [m["event"] for m in self.log(name)]

    def trace(self, name):
        with open(f"{self.haul.state}.logs/{name}.trace", encoding="ascii") as f:
            return f.read()

    def search(self, *runs, keep=("secret", ".csv", "src")):
        """Nothing planted is anywhere but where we have put it; Message-ID and
        Subject of what was refused belong to the report and its state."""
        texts = {repr(run.args): (run.out + run.err).encode() for run in runs}
        seen = 0
        for root, _, files in os.walk(self.haul.directory):
            for name in files:
                path = os.path.join(root, name)
                if any(k in os.path.relpath(path, self.haul.directory) for k in keep):
                    continue
                with open(path, "rb") as f:
                    texts[path] = f.read()
                seen += name.endswith((".log", ".trace"))
        self.assertGreater(seen, 0)
        for where, text in texts.items():
            for secret in (PASSWORD, ADMIN_PASSWORD):
                self.assertNotIn(secret.encode(), text, where)
            for word in PLANTED:
                if where.endswith((".log", ".trace")):
                    self.assertNotIn(word, text, where)


class RealServers:
    @classmethod
    def setUpClass(cls):
        cls.server = cls.kind(USERS=16, PASSWORD=PASSWORD, **cls.settings)
        cls.addClassCleanup(cls.server.destroy)
        cls.server.start()
        cls.last_user = 0

    def user(self):
        type(self).last_user += 1
        return f"user{self.last_user}"

    def target(self, **options):
        server = self.server
        words = "".join(f"&{k.replace('_', '-')}={v}" for k, v in options.items())
        return f"imap://{{user}}@{server.host}:{server.imap_port}?ca={server.ca}{words}"

    def job(self, target, rows, *words, **sections):
        return [*self.haul.job("maildir:" + self.haul.path("src/{user}"), target, rows, **sections), *words]

    def test_secrets_and_contents(self):
        users = [self.user() for _ in range(3)]
        for user in users:
            write_source(self.haul.path("src", user), {"INBOX": planted(12), "Archive": planted(5)})
        rows = "user,target_password\n" + "".join(f"{u},{PASSWORD}\n" for u in users)
        runs = [self.haul.copy(*self.job(self.target(), rows), "--trace", "user*")]
        self.assertEqual(runs[0].code, DONE, runs[0])
        # without its state it has to read what is there
        for name in glob.glob(self.haul.state + "*"):
            if not name.endswith((".log", ".logs")):
                os.unlink(name)
        runs.append(self.haul.copy(*self.job(self.target(), rows), "--trace", users[0] + "," + users[1]))
        self.assertEqual(runs[1].totals["present"], 51, runs[1])
        # secrets from elsewhere
        secret = self.haul.secret(PASSWORD)
        rows = "user\n" + "\n".join(users) + "\n"
        for way in ({"secret_file": secret}, {"secret_env": "MHPW"}, {"secret_command": f"cat {secret}"}, {"auth": "login", "secret_file": secret}):
            run = self.haul.copy(*self.job(self.target(**way), rows, "--only", users[0]), "--trace", users[0], env={"MHPW": PASSWORD})
            self.assertEqual(run.code, DONE, run)
            runs.append(run)
        # as an admin, with the wrong password, without one
        secret = self.haul.secret(self.server.admin_password)
        target = f"imap://{self.server.admin}@{self.server.host}:{self.server.imap_port}?ca={self.server.ca}"
        run = self.haul.copy(*self.job(target + f"&authzid={{user}}&secret-file={secret}", rows, "--only", users[0], "--trace", "*"))
        self.assertEqual(run.code, DONE, run)
        runs.append(run)
        wrong = self.haul.secret(ADMIN_PASSWORD)
        run = self.haul.copy(*self.job(self.target(secret_file=wrong), rows, "--trace", "*"))
        self.assertEqual(run.code, ACCOUNTS, run)
        runs.append(run)
        runs.append(self.haul.run("report", "--state", self.haul.state))
        runs.append(self.haul.run("report", "--state", self.haul.state, "--only", users[0]))
        self.search(*runs)
        self.assertNotIn(self.server.admin_password.encode(), b"".join(self.files()))

        # what they do tell
        text = self.trace(users[0])
        for part in (
            "> m2 AUTHENTICATE PLAIN (cut)", " LOGIN (cut)\n", ' SELECT "', 'APPEND "', " bytes}\n", "< * 12 EXISTS",
            "- TLS\n", " FETCH ", "the session ends\n",
        ):  # fmt: skip
            self.assertIn(part, text)
        self.assertEqual(self.events(users[0])[:3], ["account-begin", "open", "login"])
        ends = [m for m in self.log(users[0]) if m["event"] == "mailbox-end" and "mailbox=INBOX " in m["values"]]
        self.assertIn(f"account={users[0]} mailbox=INBOX host={self.server.host}", ends[0]["values"])
        self.assertEqual(ends[0]["text"], "done, source 12 copied 12 present 0 excluded 0 refused 0 failed 0 vanished 0")
        errors = [m for m in self.log(users[2]) if m["event"] == "error"]
        self.assertRegex(errors[-1]["text"], r"(?i)login as user\d+ \(PLAIN\): the server says NO: .*authenticat")
        run = self.log()
        self.assertEqual([m["event"] for m in run].count("run-begin"), len(runs) - 2)
        self.assertIn(f"{self.haul.state} (created), pass 1, 3 of 3 accounts", run[0]["text"])
        self.assertIn("exit code 2; accounts done 0, partial 0, failed 3", run[-1]["text"])
        for name in glob.glob(self.haul.state + ".logs/*") + [self.haul.state + ".log"]:
            self.assertEqual(stat.S_IMODE(os.stat(name).st_mode), 0o600, name)

    def files(self):
        for name in glob.glob(self.haul.state + "*") + glob.glob(self.haul.state + ".logs/*"):
            if os.path.isfile(name):
                with open(name, "rb") as f:
                    yield f.read()

    def test_refused(self):
        """The server's own words, with mailbox and place."""
        user = self.user()
        write_source(self.haul.path("src", user), {"INBOX": planted(3), "Sent": [*planted(2), self.bad]})
        secret = self.haul.secret(PASSWORD)
        run = self.haul.copy(*self.job(self.target(secret_file=secret), f"user\n{user}\n", "--max-retries", "1"))
        self.assertNotEqual(run.code, DONE, run)
        told = [m for m in self.log(user) if m["level"] == "warn" and "mailbox=Sent" in m["values"] and self.words in (m["text"] or "")]
        self.assertTrue(told, "\n".join(m.string for m in self.log(user)))
        self.assertIn(f"host={self.server.host}", told[0]["values"])
        self.search(run)
        text = self.haul.run("report", "--state", self.haul.state, "--only", user).out
        self.assertIn(self.words, text)
        self.assertRegex(text, r"\ndone +3 +3 +0 +0 +0 +0 +0  INBOX -> INBOX\n")
        self.assertRegex(text, rf"what to do next:\n  - (.|\n)*mailhaul copy --state {self.haul.state} ")
        self.assertRegex(text, r"passes over it:\n  pass 1, ")

    def test_killed(self):
        """What was written before it died can be read, and the next run goes on behind it."""
        user = self.user()
        mail.write_maildir(self.haul.path("src", user), {"INBOX": 1500, "Sent": 1500}, mean=200)
        secret = self.haul.secret(PASSWORD)
        words = self.job(self.target(secret_file=secret), f"user\n{user}\n", "--settle", "1", "--trace", user)
        process = self.haul.start_copy(*words)
        wait_for(lambda: os.path.exists(f"{self.haul.state}.logs/{user}.trace") and ' APPEND "' in self.trace(user))
        os.kill(process.pid, signal.SIGKILL)
        self.haul.finish(process, killed=True)
        before = self.events(user)
        self.assertIn("mailbox-begin", before)
        self.assertNotIn("account-end", before)
        text = self.haul.run("report", "--state", self.haul.state, "--only", user).out
        self.assertIn("outcome   running: the last pass was cut off", text)
        self.assertIn(": begun, and has no end\n", text)
        run = self.haul.copy(*words)
        self.assertEqual((run.code, run.totals["copied"]), (DONE, 3000), run)
        self.assertEqual(self.events(user)[: len(before)], before)
        self.assertEqual([e for e in self.events() if e.startswith("run-")], ["run-begin", "run-begin", "run-end"])
        text = self.haul.run("report", "--state", self.haul.state, "--only", user).out
        self.assertRegex(text, r"pass 1, .*: begun, and has no end\n  pass 2, .*: done, source 3000, copied 3000\n")


class TestDovecot(RealServers, Case):
    kind = Dovecot
    settings = {"QUOTA": "storage=5M"}
    bad = b"Subject: big\n\n" + b"0123456789abcdef\n" * 400_000
    words = "Quota exceeded"

    def test_renames(self):
        user = self.user()
        names = {"INBOX": "INBOX", "Entw&APw-rfe": "Entwürfe", "=cmd": "=cmd", "a.b": "a/b", "Old": "Old"}
        write_source(self.haul.path("src", user), {name: planted(1) for name in names})
        secret = self.haul.secret(PASSWORD)
        run = self.haul.copy(*self.job(self.target(secret_file=secret), f"user\n{user}\n", folders='map = "Old" -> "New"\n'))
        self.assertEqual(run.code, DONE, run)
        text = self.haul.run("report", "--state", self.haul.state, "--renames", "--format", "csv").out
        rows = list(csv.reader(io.StringIO(text, newline="")))
        self.assertEqual(rows[0], ["account", "target_user", "old_name", "new_name", "changed"])
        told = {row[2].lstrip("'"): row for row in rows[1:]}
        self.assertEqual(set(told), {"INBOX", "Entwürfe", "=cmd", "a/b", "Old"})
        self.assertEqual(told["Entwürfe"], [user, user, "Entwürfe", "Entwürfe", "no"])
        self.assertEqual(told["=cmd"], [user, user, "'=cmd", "'=cmd", "no"])
        self.assertEqual(told["a/b"], [user, user, "a/b", "a.b", "no"])
        self.assertEqual(told["Old"], [user, user, "Old", "New", "yes"])
        # and as doveadm sees them
        there = self.server.doveadm("mailbox", "list", "-8", "-u", user, text=True).split("\n")
        for row in told.values():
            self.assertIn(row[3].lstrip("'"), there)
        self.assertEqual(self.haul.run("report", "--state", self.haul.state, "--renames").out, f"{user}: Old -> New\n")


class TestCyrus(RealServers, Case):
    kind = Cyrus
    settings = {}
    bad = b"Subject: x\n\nplantedbody\0\n"
    words = "Message contains NUL characters"


class TestFake(Case):
    """What only a server without manners does, and where the logs are."""

    def fake(self, *faults, **settings):
        server = FakeServer(faults, **settings).start()
        self.addCleanup(server.stop)
        return server

    def words(self, server, *words, n=5, secret="secret"):
        if not os.path.exists(self.haul.path("src")):
            write_source(self.haul.path("src"), {"INBOX": planted(n)})
        path = self.haul.secret(secret)
        return ["maildir:" + self.haul.path("src"), f"imap://user1@127.0.0.1:{server.port}?tls=none&secret-file={path}&timeout=2", *words]

    def test_echo(self):
        """Servers that say again what they were told."""
        for auth, text in (("plain", "NO user1 %s is wrong"), ("plain", "BAD AUTHENTICATE PLAIN %s"), ("login", "NO LOGIN user1 %s")):
            for what in PASSWORD, "AHVzZXIxAFhxNy1ub3QtZWxzZXdoZXJl":
                server = self.fake(Fault("AUTHENTICATE" if auth == "plain" else "LOGIN", do="answer", text=text % what, times=0))
                words = self.words(server, "--log", "on", "--trace", "user1", "--max-retries", "0", secret=PASSWORD)
                words[1] += "&auth=" + auth
                run = self.haul.copy(*words)
                self.assertEqual(run.code, ACCOUNTS, run)
                self.assertIn("(cut)", self.trace("user1"))
                if auth == "login" and what != PASSWORD:
                    continue
                self.search(run)
                for text_ in (run.err, run.out, self.trace("user1")):
                    self.assertNotIn("AHVzZXIxAF", text_)

    def test_fetch(self):
        """All that a look at the target reads is cut."""
        server = self.fake()
        self.assertEqual(self.haul.copy(*self.words(server, "--trace", "user1"), state=self.haul.path("other.db")).code, DONE)
        run = self.haul.copy(*self.words(server, "--trace", "user1", "--log", "on"))
        self.assertEqual(run.totals["present"], 5, run)
        self.assertRegex(self.trace("user1"), r"< \* \d+ FETCH \(.*BODY\[\] \{\d+ bytes\}")
        self.search(run)

    def test_pause(self):
        server = self.fake(Fault("APPEND", 1, do="cut"))
        run = self.haul.copy(*self.words(server, "--log", "on", "--trace", "user1", "--settle", "1"))
        self.assertEqual(run.code, DONE, run)
        pauses = [m["text"] for m in self.log("user1") if m["event"] == "pause"]
        self.assertTrue(any("connection" in t for t in pauses), pauses)
        self.assertRegex(self.trace("user1"), r"- .*connection")
        self.assertIn("pause", self.events())

    def test_stopped(self):
        server = self.fake(Fault("APPEND", do="delay", seconds=0.05, times=0), multiappend=False)
        process = self.haul.start_copy(*self.words(server, "--log", "on", n=300))
        wait_for(lambda: server.commands["APPEND"] > 0)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(self.haul.finish(process).code, AGAIN)
        self.assertEqual(self.events()[-1], "run-end")
        self.assertIn("signal", self.events())
        self.assertIn("account-end", self.events("user1"))

    def test_when(self):
        """Jobs have logs, single copies only when asked."""
        server = self.fake()

        def made():
            return sorted(os.path.basename(n) for n in glob.glob(self.haul.path("S.db.lo*")) if not n.endswith(".lock"))

        words = self.words(server)
        self.assertEqual(self.haul.copy(*words).code, DONE)
        self.assertEqual(made(), [])
        self.assertEqual(self.haul.copy(*words, "--trace", "user1").code, DONE)
        self.assertEqual(made(), ["S.db.logs"])
        self.assertEqual(os.listdir(self.haul.state + ".logs"), ["user1.trace"])
        job = self.haul.job(words[0], words[1], "user\nuser1\n")
        self.assertEqual(self.haul.copy(*job, "--log", "off").code, DONE)
        self.assertEqual(made(), ["S.db.logs"])
        os.mkdir(self.haul.path("other"))
        self.assertEqual(self.haul.copy(*job, "--log-dir", self.haul.path("other")).code, DONE)
        self.assertEqual(made(), ["S.db.logs"])
        self.assertEqual(sorted(os.listdir(self.haul.path("other"))), ["S.db.log", "S.db.logs"])
        self.assertEqual(self.haul.copy(*job).code, DONE)
        self.assertEqual(made(), ["S.db.log", "S.db.logs"])
        run = self.haul.copy(*job, "--trace", "user2")
        self.assertEqual(run.code, MISUSE, run)
        self.assertIn("no selected account is called 'user2'", run.err)

    def test_hostile_accounts(self):
        """Names that would be other files; and a log that is a link."""
        names = ["../../../x", "/etc/mhtest", ".", "..", "-rf", "a b;c", "é", "n" * 5000, "%2F"]
        server = self.fake()
        words = self.words(server)
        rows = "user,name,source\n"
        for i, n in enumerate(names):
            write_source(self.haul.path(f"src{i}"), {"INBOX": planted(1)})
            rows += f"user1,{n},maildir:{self.haul.path(f'src{i}')}\n"
        run = self.haul.copy(*self.haul.job(words[0], "null:", rows))
        self.assertEqual(run.code, DONE, run)
        made = os.listdir(self.haul.state + ".logs")
        self.assertEqual(len(made), len(names), made)
        for name in made:
            self.assertRegex(name, r"^[A-Za-z0-9@_+%][A-Za-z0-9@._+%~-]*\.log$")
            self.log(name[:-4])
        self.assertEqual(self.events().count("account-end"), len(names))
        # somebody's link is not followed, and the run goes on
        victim = self.haul.write("victim", "mine\n")
        os.unlink(self.haul.state + ".log")
        os.symlink(victim, self.haul.state + ".log")
        run = self.haul.copy(*self.haul.job(words[0], "null:", rows))
        self.assertEqual(run.code, DONE, run)
        self.assertEqual(run.err.count("cannot be written"), 1, run)
        with open(victim, encoding="ascii") as f:
            self.assertEqual(f.read(), "mine\n")

    def test_report_only(self):
        server = self.fake(Fault("APPEND", match="plantedid3@", do="answer", text="NO [CANNOT] not this one", times=0))
        words = self.words(server, "--log", "on")
        run = self.haul.copy(*words)
        self.assertEqual(run.code, DIFFERS, run)
        text = self.haul.run("report", *words[:2], "--state", self.haul.state, "--only", "user1").out
        self.assertRegex(text, r"not at the target, because it says no:\n  INBOX, .*M3.*not this one \(pass 1\)\n"
                         r"      \d+ bytes Subject: plantedsubject 3 Message-ID: <plantedid3@x>\n")  # fmt: skip
        self.assertIn("--repair", text)
        self.assertIn("messages  5 at the source, 4 copied, 1 refused\n", text)
        refused = [m for m in self.log("user1") if m["event"] == "refused"]
        self.assertEqual(len(refused), 1)
        self.assertIn("[CANNOT] not this one", refused[0]["text"])
        self.search(run)
        run = self.haul.run("report", "--state", self.haul.state, "--only", "nobody")
        self.assertEqual(run.code, MISUSE, run)


if __name__ == "__main__":
    unittest.main()
