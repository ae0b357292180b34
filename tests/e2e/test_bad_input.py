"""What is wrong is named, with what to do and the documented exit code; and
nothing is started, written or lost because of it."""

import os
import shutil
import sqlite3
import stat
import subprocess
import unittest

import mail
import readback
from haul import ACCOUNTS, AGAIN, DIFFERS, DONE, MISUSE, Haul, wait_for
from imap_server import FakeServer, Fault
from servers import Dovecot

MESSAGE = b"Subject: another\r\n\r\nNot from the source.\r\n"


class Case(unittest.TestCase):
    def setUp(self):
        self.haul = Haul()
        self.addCleanup(self.haul.destroy)

    def source(self, name="src", seed=1, count=10):
        path = self.haul.path(name)
        if not os.path.exists(path):
            mail.write_maildir(path, {"INBOX": count}, seed=seed, mean=300)
        return "maildir:" + path

    def refuse(self, code, *words, run):
        """It ended with that code and said these words."""
        self.assertEqual(run.code, code, run)
        for word in words:
            self.assertIn(word, run.err, run)

    def fake(self, *faults, **settings):
        server = FakeServer(faults, **settings).start()
        self.addCleanup(server.stop)
        return server

    def target(self, server, user="user1", **options):
        secret = self.haul.secret("adminsecret" if user == "admin" else "secret")
        more = "".join(f"&{k.replace('_', '-')}={v}" for k, v in options.items())
        return f"imap://{user}@127.0.0.1:{server.port}?tls=none&secret-file={secret}{more}"

    def fresh(self):
        """Another state for what comes next."""
        self.states = getattr(self, "states", 0) + 1
        self.haul.state = self.haul.path(f"S{self.states}.db")

    def misuse(self, *args, words=(), server=None):
        """Nothing is started: no state, no connection."""
        self.fresh()
        run = self.haul.run(*args, *(["--state", self.haul.state] if "--state" not in args else []))
        self.refuse(MISUSE, *words, run=run)
        self.assertFalse(os.path.exists(self.haul.state), run)
        if server:
            self.assertEqual(server.connections, 0, run)
        return run


class TestCommandLine(Case):
    def test_nonsense(self):
        source = self.source()
        for args, words in (
            (["frob"], ["'frob'", "--help"]),
            (["--frob"], ["--frob"]),
            (["copy"], ["SOURCE", "--job"]),
            (["copy", source], ["no TARGET"]),
            (["copy", source, "null:", "third"], ["'third'"]),
            (["copy", "/path", "null:"], ["'/path'", "maildir:"]),
            (["copy", source, "maildir:/x"], ["'maildir:'", "imap:"]),
            (["copy", "null:", "null:"], ["'null:'", "mbox:"]),
            (["copy", source, "null:", "--lanse", "3"], ["--lanse", "--lanes"]),
            (["copy", source, "null:", "--lanes", "0"], ["lanes", "0", "1 to 256"]),
            (["copy", source, "null:", "--lanes", "99999999999999999999"], ["lanes"]),
            (["copy", source, "null:", "--lanes"], ["lanes"]),
            (["copy", source, "null:", "--settle", "soon"], ["settle", "soon"]),
            (["copy", source, "null:", "--subscribe", "some"], ["some", "auto"]),
            (["copy", source, "null:", "--newer-than", "2024-02-30"], ["newer-than", "2024-02-30"]),
            (["copy", source, "null:", "--set", "job.nothing=1"], ["nothing"]),
            (["copy", source, "null:", "--set", "nothing"], ["nothing"]),
            (["copy", source, "null:?x=y"], ["'x'"]),
            (["copy", source + "?layuot=fs", "null:"], ["layuot", "layout"]),
            (["copy", source, "imap://user:password@host"], ["password", "secret-file="]),
            (["copy", source, "imap://user@host"], ["no password", "secret-file="]),
            (["copy", "--job", self.haul.path("none.ini")], ["none.ini", "No such file"]),
            (["copy", source, "null:", "--state", ""], ["state"]),
        ):
            with self.subTest(args=args):
                run = self.misuse(*args, words=words)
                # no secret is ever repeated
                self.assertNotIn("user:password", run.err)
        run = self.haul.run()
        self.refuse(MISUSE, "usage:", run=run)
        self.assertEqual(self.haul.run("--help").code, DONE)
        for command in "copy", "report", "status":
            run = self.haul.run(command, "--help")
            self.assertEqual(run.code, DONE)
            self.assertIn("usage: mailhaul " + command, run.out)

    def test_store_options(self):
        source = self.source()
        server = self.fake()
        base = self.target(server)
        plain = base.replace("tls=none&", "")
        missing = self.haul.path("none.pem")
        for uri, words in (
            (base.replace("tls=none", "tls=sometimes"), ["tls=sometimes", "starttls"]),
            (base.replace("imap:", "imaps:"), ["imaps", "tls=none"]),
            (plain + "&tls-min=9", ["tls-min=9"]),
            (plain + "&pin=zz", ["pin"]),
            (plain + "&ca=" + missing, ["none.pem", "No such file"]),
            (plain + "&verify=maybe", ["verify"]),
            (base + "&timeout=soon", ["timeout=soon"]),
            (base + "&auth=magic", ["auth", "magic"]),
            (base.replace("?", "/folder?"), ["after the host"]),
            (base.replace(f":{server.port}", ":99999"), ["port"]),
            (base.replace("user1@", ""), ["user"]),
        ):
            with self.subTest(uri=uri):
                self.misuse("copy", source, uri, words=words, server=server)

    def test_standard_output(self):
        with open("/dev/full", "wb") as full:
            run = subprocess.run(
                [self.haul.program, "copy", self.source(), "null:", "--state", self.haul.state],
                stdout=full,
                stderr=subprocess.PIPE,
                env=self.haul.environment,
                check=False,
            )
        self.assertEqual(run.returncode, AGAIN)
        self.assertIn(b"standard output", run.stderr)
        # what was done is done
        self.assertEqual(self.haul.report()["totals"]["copied"], 10)


class TestSource(Case):
    def copy(self, source, *args):
        self.fresh()
        return self.haul.copy(source, "null:", *args)

    def test_missing(self):
        for source in ("maildir:" + self.haul.path("none"), "mbox:" + self.haul.path("none"), "mbox:/dev/null/x"):
            with self.subTest(source=source):
                run = self.copy(source)
                self.refuse(ACCOUNTS, source.partition(":")[2], run=run)
                self.assertEqual(run.totals["source"], 0)

    def test_no_maildir(self):
        os.makedirs(self.haul.path("home/docs"))
        run = self.copy("maildir:" + self.haul.path("home"))
        self.refuse(ACCOUNTS, self.haul.path("home"), "no Maildir", run=run)
        self.assertEqual(run.report["accounts"][0]["outcome"], "empty")
        # one level too high: what lies below is named
        self.source("home/Maildir")
        run = self.copy("maildir:" + self.haul.path("home"))
        self.refuse(ACCOUNTS, self.haul.path("home/Maildir"), run=run)
        self.assertEqual(run.report["accounts"][0]["outcome"], "empty")
        # and a file, a device
        for path in self.haul.write("file", "x"), "/dev/null", "/dev/zero":
            run = self.copy("maildir:" + path)
            self.refuse(ACCOUNTS, path, run=run)

    def test_no_mbox(self):
        for name, text in (("text", "Dear all,\nFrom here on\n"), ("elf", b"\x7fELF\0\0\0\n"), ("blank", "\n\n\n x")):
            path = self.haul.write(name, text)
            run = self.copy("mbox:" + path)
            self.refuse(ACCOUNTS, path, "not an mbox", run=run)
        os.mkfifo(self.haul.path("fifo"))
        for path in self.haul.path("fifo"), "/dev/zero":
            self.refuse(ACCOUNTS, path, run=self.copy("mbox:" + path))

    @unittest.skipUnless(shutil.which("setpriv") or os.getuid(), "root reads everything")
    def test_unreadable(self):
        self.source("src")
        self.haul.write("mboxes/INBOX", b"From a@b Thu Jan  4 05:06:07 2001\nSubject: x\n\nx\n")
        self.haul.write("mboxes/bad", b"From a@b Thu Jan  4 05:06:07 2001\nSubject: x\n\nx\n", mode=0)
        os.mkdir(self.haul.path("closed"))
        os.chmod(self.haul.path("closed"), 0)
        one = sorted(os.scandir(self.haul.path("src/cur")), key=lambda e: e.name)[3]
        os.chmod(one.path, 0)
        if os.getuid() == 0:
            # without the capability to read what it may not
            wrapper = f"#!/bin/sh\nexec setpriv --bounding-set=-dac_override,-dac_read_search '{self.haul.program}' \"$@\"\n"
            self.haul.program = self.haul.write("unprivileged", wrapper, mode=0o700)
        run = self.copy("maildir:" + self.haul.path("closed"))
        self.refuse(ACCOUNTS, "Permission denied", self.haul.path("closed"), run=run)
        run = self.haul.copy("maildir:" + self.haul.path("src"), "null:", state=self.haul.path("2.db"))
        self.assertEqual(run.code, DIFFERS, run)
        self.assertEqual((run.totals["copied"], run.totals["failed"]), (9, 1))
        (issue,) = [i for i in run.report["issues"] if i["kind"] == "failed"]
        self.assertIn(one.name, issue["where"])
        self.assertIn("Permission denied", issue["reason"])
        run = self.haul.copy("mbox:" + self.haul.path("mboxes"), "null:", state=self.haul.path("3.db"))
        self.assertIn(run.code, (DIFFERS, ACCOUNTS), run)
        self.assertEqual(run.totals["copied"], 1)
        self.assertIn("bad", str(run.report["issues"]) + str(run.report["accounts"][0]["mailboxes"]))
        # when it can be read, the rest follows
        os.chmod(one.path, 0o600)
        run = self.haul.copy("maildir:" + self.haul.path("src"), "null:", state=self.haul.path("2.db"))
        self.assertEqual((run.code, run.totals["copied"]), (DONE, 10), run)

    def test_empty(self):
        path = self.haul.path("empty")
        for sub in "cur", "new", "tmp":
            os.makedirs(os.path.join(path, sub))
        server = self.fake()
        run = self.haul.copy("maildir:" + path, self.target(server))
        self.refuse(ACCOUNTS, "no message", "empty=ok", run=run)
        self.assertEqual(run.report["accounts"][0]["outcome"], "empty")
        self.assertEqual(server.commands["CREATE"] + server.commands["APPEND"], 0)
        run = self.haul.copy("maildir:" + path, self.target(server), "--empty", "ok")
        self.assertEqual((run.code, run.report["accounts"][0]["outcome"]), (DONE, "done"), run)

    def test_shrunken(self):
        server = self.fake()
        source = self.source()
        self.haul.copy(source, self.target(server))
        for entry in list(os.scandir(self.haul.path("src/cur")))[:6]:
            os.unlink(entry.path)
        before = server.commands.copy()
        run = self.haul.copy(source, self.target(server))
        self.refuse(ACCOUNTS, "4 messages", "10", run=run)
        for name in "APPEND", "CREATE", "STORE", "EXPUNGE":
            self.assertEqual(server.commands[name], before[name])
        self.assertEqual(sum(server.contents("user1")["INBOX"].values()), 10)
        run = self.haul.copy(source, self.target(server), "--empty", "ok")
        self.assertEqual(run.code, DONE, run)
        self.assertEqual(sum(server.contents("user1")["INBOX"].values()), 10)


class TestTarget(Case):
    def test_holds_other_mail(self):
        """existing=adopt: a target that shares nothing with the source is somebody else's."""
        with Dovecot(USERS=1) as server:
            client = server.login("user1")
            client.append("INBOX", None, None, MESSAGE)
            target = self.haul.user(server, "user1")
            run = self.haul.copy(self.source(), target)
            self.refuse(ACCOUNTS, "1 messages", "existing=merge", run=run)
            self.assertEqual(len(readback.account(client).boxes["INBOX"].messages), 1)
            run = self.haul.copy(self.source(), target, "--existing", "merge")
            self.assertEqual(run.code, DONE, run)
            self.assertEqual(len(readback.account(client).boxes["INBOX"].messages), 11)
            client.logout()

    def test_holds_some_of_it(self):
        with Dovecot(USERS=1) as server:
            client = server.login("user1")
            some = list(mail.messages(10, seed="1.0", mean=300))[:4]
            for m in some:
                client.append("INBOX", None, None, m.body)
            client.append("INBOX", None, None, MESSAGE)
            run = self.haul.copy(self.source(), self.haul.user(server, "user1"))
            self.assertEqual((run.code, run.totals["present"], run.totals["copied"]), (DONE, 4, 6), run)
            self.assertEqual(len(readback.account(client).boxes["INBOX"].messages), 11)
            client.logout()

    def test_unknown_host(self):
        run = self.haul.copy(self.source(), f"imaps://user1@no-such-host.invalid?secret-file={self.haul.secret()}")
        self.refuse(ACCOUNTS, "no-such-host.invalid", run=run)
        self.assertEqual(run.report["accounts"][0]["outcome"], "failed")

    def test_nobody_listens(self):
        server = self.fake()
        target = self.target(server)
        server.stop()
        run = self.haul.copy(self.source(), target, "--patience", "1")
        self.refuse(AGAIN, "127.0.0.1", "refused", run=run)


class TestState(Case):
    def copied(self):
        run = self.haul.copy(self.source(), "null:")
        self.assertEqual(run.code, DONE, run)

    def test_newer_version(self):
        self.copied()
        db = sqlite3.connect(self.haul.state)
        db.execute("PRAGMA user_version = 9999")
        db.commit()
        db.close()
        with open(self.haul.state, "rb") as f:
            before = f.read()
        for run in self.haul.copy(self.source(), "null:"), self.haul.run("report", "--state", self.haul.state):
            self.refuse(MISUSE, self.haul.state, "newer", run=run)
        with open(self.haul.state, "rb") as f:
            self.assertEqual(f.read(), before)

    def test_no_state(self):
        text = self.haul.write("text", "this is no database\n" * 100)
        other = self.haul.path("other.db")
        db = sqlite3.connect(other)
        db.execute("CREATE TABLE mine (x)")
        db.commit()
        db.close()
        for path in text, other:
            with open(path, "rb") as f:
                before = f.read()
            for args in (["copy", self.source(), "null:"], ["report"], ["status"]):
                with self.subTest(path=path, args=args):
                    run = self.haul.run(*args, "--state", path)
                    self.refuse(MISUSE, path, run=run)
            with open(path, "rb") as f:
                self.assertEqual(f.read(), before)
        for path in self.haul.path("none"), self.haul.path("no/such/dir/S.db"):
            for command in "report", "status":
                self.refuse(MISUSE, path, "No such file", run=self.haul.run(command, "--state", path))
        self.refuse(MISUSE, "no/such/dir", run=self.haul.copy(self.source(), "null:", state=self.haul.path("no/such/dir/S.db")))
        self.refuse(MISUSE, self.haul.directory, run=self.haul.copy(self.source(), "null:", state=self.haul.directory))

    def test_place(self):
        """Private, and not where others could put something in its place."""
        self.copied()
        self.assertEqual(stat.S_IMODE(os.stat(self.haul.state).st_mode), 0o600)
        os.mkdir(self.haul.path("open"))
        os.chmod(self.haul.path("open"), 0o777)
        self.refuse(MISUSE, self.haul.path("open"), "others", run=self.haul.copy(self.source(), "null:", state=self.haul.path("open/S.db")))
        self.assertEqual(os.listdir(self.haul.path("open")), [])
        if os.getuid() == 0:
            os.mkdir(self.haul.path("theirs"))
            os.chown(self.haul.path("theirs"), 65534, 65534)
            run = self.haul.copy(self.source(), "null:", state=self.haul.path("theirs/S.db"))
            self.refuse(MISUSE, self.haul.path("theirs"), "another user", run=run)
            self.assertEqual(os.listdir(self.haul.path("theirs")), [])

    def test_other_accounts(self):
        """None of its accounts is one of ours: surely the wrong file."""
        one = self.source("anna")
        self.haul.copy(one, "null:")
        run = self.haul.copy(self.source("bob", seed=2), "null:")
        self.refuse(MISUSE, self.haul.state, "other accounts", "--state", run=run)
        self.assertEqual([a["name"] for a in self.haul.report()["accounts"]], ["anna"])

    def test_another_store(self):
        """The account's name is known, but the store is not that of the last pass."""
        server = self.fake()
        self.haul.copy(self.source("a/Maildir"), self.target(server))
        appends = server.commands["APPEND"]
        run = self.haul.copy(self.source("b/Maildir", seed=2), self.target(server))
        self.refuse(ACCOUNTS, "last pass", run=run)
        self.assertEqual(server.commands["APPEND"], appends)
        # moved, it is the same store all the same
        shutil.copytree(self.haul.path("a"), self.haul.path("c"))
        run = self.haul.copy("maildir:" + self.haul.path("c/Maildir"), self.target(server))
        self.assertEqual((run.code, run.totals["copied"], server.commands["APPEND"]), (DONE, 10, appends), run)

    def test_second_process(self):
        server = self.fake(Fault("APPEND", do="delay", seconds=1.5))
        first = self.haul.start_copy(self.source(), self.target(server))
        try:
            wait_for(lambda: server.commands["APPEND"])
            run = self.haul.copy(self.source(), self.target(server))
            self.refuse(MISUSE, self.haul.state, str(first.pid), run=run)
            # readers work beside it
            run = self.haul.run("status", "--state", self.haul.state, "--format", "json")
            self.assertEqual((run.code, run.report["pid"]), (DONE, first.pid), run)
            self.assertEqual(self.haul.report()["accounts"][0]["outcome"], "running")
        finally:
            run = self.haul.finish(first)
        self.assertEqual((run.code, run.totals["copied"]), (DONE, 10))
        self.assertEqual(sum(server.contents("user1")["INBOX"].values()), 10)
        # a lock file that a dead process left is no lock
        self.assertEqual(self.haul.copy(self.source(), self.target(server)).code, DONE)


class TestJob(Case):
    def job(self, rows, source="maildir:{0}/{{user}}", **sections):
        server = self.fake()
        source = source.format(self.haul.directory)
        return server, self.haul.job(source, self.target(server, "admin", authzid="{target_user}"), rows, **sections)

    def test_list_with_five_errors(self):
        rows = (
            "user,target_user,source_password,quota\n"
            "good,user1,,\n"
            "anna,user2,,12 bananas\n"  # 3: no quota
            ",user3,,\n"  # 4: no user
            "carl,user4\n"  # 5: too few fields
            "dora,user1,,\n"  # 6: the target of line 2
            'erik,"user5,,\n'  # 7: a quote without end
        )
        for user in "good", "anna", "carl", "dora", "erik":
            self.source(user)
        server, words = self.job(rows)
        run = self.misuse("copy", *words, server=server)
        for line in 3, 4, 5, 6, 7:
            self.assertRegex(run.err, rf"csv:{line}: ", run)
        self.assertNotIn("csv:2: ", run.err)
        self.assertIn("nothing was started", run.err)

    def test_list_of_another_kind(self):
        server, words = self.job("")
        self.misuse("copy", *words, words=["csv"], server=server)
        for text, word in (
            ("name;mail\nx;y\n", "user"),
            ("user,usr\nx,y\n", "usr"),
            ("user,user\nx,y\n", "two columns"),
            ("user\n../../etc\n", "/"),
            ("user\nanna\nanna\n", "line 2"),
            ("user\nanna \n", "blank"),
            (b"user\nanna\xff\n", "UTF-8"),
            (b"user\nan\0na\n", "NUL"),
            ("user\n", "no account"),
            ("user\nanna\n".encode("utf-16"), "UTF-16"),
        ):
            with self.subTest(text=text):
                self.haul.write("job.ini.csv", text)
                self.misuse("copy", *words, words=[word], server=server)
        self.misuse("copy", *words[:3], self.haul.path("no.csv"), words=["no.csv"], server=server)

    def test_list_with_passwords_is_private(self):
        self.source("anna")
        server = self.fake()
        words = self.haul.job(
            f"maildir:{self.haul.directory}/{{user}}", f"imap://{{target_user}}@127.0.0.1:{server.port}?tls=none", ""
        )
        rows = "user,target_user,target_password\nanna,user1,secret\n"
        self.haul.write("job.ini.csv", rows, mode=0o644)
        run = self.misuse("copy", *words, words=["job.ini.csv", "chmod 600"], server=server)
        self.assertNotIn("secret\n", run.err)
        self.haul.write("job.ini.csv", rows, mode=0o600)
        run = self.haul.copy(*words)
        self.assertEqual((run.code, run.totals["copied"]), (DONE, 10), run)
        self.assertNotIn('"secret"', run.out)

    def test_job_file(self):
        self.source("anna")
        for text, words in (
            ("[job]\nlanse = 3\n", ["job.ini:2", "lanse", "lanes"]),
            ("[job]\nlanes = 3\nlanes = 4\n", ["job.ini:3", "lanes"]),
            ("[jbo]\nlanes = 3\n", ["job.ini:1", "jbo"]),
            ("lanes = 3\n", ["job.ini:1"]),
            ("[job]\nlanes\n", ["job.ini:2"]),
            ("[job]\nlanes = many\n", ["job.ini:2", "many"]),
            ("[job]\n[job]\n", ["job.ini:2"]),
            ("[source]\nuri = maildir:/{usr}\n[target]\nuri = null:\n", ["usr"]),
            ("[target]\nuri = null:\n", ["source"]),
            ("[folders]\nmap = \"a\" - \"b\"\n", ["job.ini:2", "map"]),
        ):
            with self.subTest(text=text):
                path = self.haul.write("job.ini", text)
                rows = self.haul.write("l.csv", "user\nanna\n")
                self.misuse("copy", "--job", path, "--accounts", rows, words=words)

    def test_all_mistakes_at_once(self):
        path = self.haul.write("job.ini", "[job]\nlanse = 3\nsettle = soon\n[source]\nuri = what:ever\n[target]\nuri = null:?a=b\n")
        run = self.misuse("copy", "--job", path, "--accounts", self.haul.write("l.csv", "user\nx\n"))
        for word in "job.ini:2", "job.ini:3", "job.ini:5", "job.ini:7":
            self.assertIn(word, run.err)

    def test_selection(self):
        self.source("anna")
        server, words = self.job("user,target_user\nanna,user1\nbob,user2\n")
        self.misuse("copy", *words, "--only", "carl", words=["carl"], server=server)
        run = self.haul.copy(*words, "--only", "an*")
        self.assertEqual([a["name"] for a in run.report["accounts"]], ["anna"], run)
        self.assertEqual(set(server.accounts), {"user1"})


if __name__ == "__main__":
    unittest.main()
