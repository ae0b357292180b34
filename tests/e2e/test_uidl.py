"""mailhaul uidl: a Dovecot whose UIDLs have another form stands in for
CommuniGate's POP3 server; POP3 clients that were in sync with it download
nothing from the target, whether it learnt the UIDLs with the mail or later."""

import hashlib
import os
import re
import shutil
import sqlite3
import unittest

import dsyncs
from getmail import Getmail
from haul import ACCOUNTS, DIFFERS, DONE, MISUSE, Haul
from servers import Dovecot


def body(n, size=0):
    return b"From: x@example.org\nSubject: %d\nMessage-ID: <%d@example.org>\n\nbody of %d\n" % (n, n, n) + b"x" * size + b"\n"


class Client:
    """Downloads what it does not know (the program's own UIDLs)."""

    def __init__(self):
        self.known = {}

    def run(self, server, user):
        client, new = server.pop3(user), 0
        for line in client.uidl()[1]:
            number, uidl = line.split()
            digest = hashlib.sha256(b"\n".join(client.retr(int(number))[1])).hexdigest()
            if uidl in self.known:
                assert self.known[uidl] == digest, f"{uidl} is another message now"
            else:
                self.known[uidl] = digest
                new += 1
        client.quit()
        return new


class Account:
    """An account of CommuniGate and what its POP3 server shows of it."""

    def __init__(self, case, number):
        self.case, self.user = case, f"user{number}"
        self.top = case.haul.path("base", "Accounts", f"{self.user}.macnt")
        self.inbox = os.path.join(self.top, "INBOX.mdir")
        os.makedirs(self.inbox)
        with open(os.path.join(self.top, "account.settings"), "w", encoding="ascii") as f:
            f.write("{\n RealName = X;\n}\n")
        with open(os.path.join(self.top, "account.info"), "w", encoding="ascii") as f:
            f.write("{\n INBOX = {UIDNext=#900;UIDValidity=#1268557200;};\n}\n")
        self.client = case.old.login(self.user)

    def disk(self, uid, data, letters="S"):
        with open(os.path.join(self.inbox, f"{uid}-{letters}-20100314091502"), "wb") as f:
            f.write(data)

    def pop(self, data):
        self.client.append("INBOX", r"(\Seen)", '"14-Mar-2010 09:15:02 +0000"', data.replace(b"\n", b"\r\n"))

    def both(self, uid, data):
        self.disk(uid, data)
        self.pop(data)

    def unpop(self, *numbers):
        self.client.select("INBOX")
        for number in numbers:
            self.client.store(str(number), "+FLAGS", r"(\Deleted)")
        self.client.expunge()
        self.client.close()


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.old = Dovecot(USERS=30, POP3="yes", EXTRA="pop3_uidl_format = cgp-%v-%u")
        cls.new = Dovecot(USERS=30, POP3="yes")
        for server in cls.old, cls.new:
            cls.addClassCleanup(server.destroy)
            server.start()
        cls.last = 0

    def setUp(self):
        self.haul = Haul()
        self.addCleanup(self.haul.destroy)
        settings = self.haul.path("base", "Settings")
        os.makedirs(settings)
        with open(os.path.join(settings, "Main.settings"), "w", encoding="ascii") as f:
            f.write("{\n DomainName = example.org;\n}\n")
        self.accounts = []

    def account(self):
        type(self).last += 1
        self.accounts.append(Account(self, self.last))
        return self.accounts[-1]

    def job(self, target=None, extra="", source="", name="job.ini", **sections):
        target = target or f"dovecot:{self.new.vars['homes']}/{{user}}/mail"
        rows = "user\n" + "".join(a.user + "\n" for a in self.accounts)
        return self.haul.job(f"cgp:{self.haul.path('base')}?account={{user}}{source}", target, rows, "settle = 1\n" + extra, name=name, **sections)

    def server(self, tls="", port=None, user="{user}", password=None, options=""):
        """The old server as pop3:// or pop3s://."""
        secret = self.haul.secret(self.old.password if password is None else password)
        port = port or self.old.vars["pop3s_port" if tls == "s" else "pop3_port"]
        return f"pop3{tls}://{user}@{self.old.host}:{port}?ca={self.old.ca}&secret-file={secret}{options}"

    def uidl(self, job, *words, server=None, code=DONE, timeout=120, **kwargs):
        run = self.haul.run("uidl", server or self.server(), *job, "--state", self.haul.state, "--format", "json", *words, timeout=timeout, **kwargs)
        self.assertEqual(run.code, code, run)
        return run.report["accounts"] if run.out else run

    def copied(self, job, code=DONE):
        run = self.haul.copy(*job)
        self.assertEqual(run.code, code, run)
        return run.report

    @staticmethod
    def notes(report):
        return {i["where"]: i["reason"] for i in report["issues"] if i["kind"] == "pop3"}


class Join(Case):
    def test_before_the_copy(self):
        """And mail that came later is new; nothing at the server has changed."""
        a = self.account()
        for n in range(12):
            a.both(3 * n + 5, body(n, 10 * n))
        client, real = Client(), Getmail(os.path.dirname(self.haul.write("getmail/x", "")))
        self.assertEqual((client.run(self.old, a.user), real.run(self.old, a.user)), (12, 12))
        job = self.job()
        (told,) = self.uidl(job, server=self.server("s"))
        self.assertEqual((told["listed"], told["inbox"], told["joined"], told["by"], told["left"]), (12, 12, 12, "order", []))
        self.copied(job)
        self.assertEqual((client.run(self.new, a.user), real.run(self.new, a.user)), (0, 0))
        a.disk(800, body(99))
        self.copied(job)
        self.assertEqual((client.run(self.new, a.user), real.run(self.new, a.user)), (1, 1))
        self.assertEqual(a.client.select("INBOX", True)[1], [b"12"])

    def test_after_the_copy(self):
        """Also to clients of the target's IMAP, and a POP3 client that has looked in between only knows more."""
        a = self.account()
        for n in range(9):
            a.both(n + 1, body(n, n))
        client, curious = Client(), Client()
        client.run(self.old, a.user)
        job = self.job()
        self.copied(job)
        curious.run(self.new, a.user)
        self.uidl(job)
        report = self.copied(job)
        self.assertEqual(report["totals"]["copied"], 9)
        self.assertEqual(self.notes(report), {})
        self.assertEqual(client.run(self.new, a.user), 0)
        imap = self.new.login(a.user)
        self.assertEqual(imap.select("INBOX", True)[1], [b"9"])
        imap.logout()
        # nothing is left to be done
        path = os.path.join(self.new.home(a.user), "mail", "dovecot-uidlist")
        before = os.stat(path)
        self.copied(job)
        self.assertEqual((os.stat(path).st_ino, os.stat(path).st_mtime_ns), (before.st_ino, before.st_mtime_ns))

    def test_somebody_elses(self):
        """A UIDL that the target has given to a message itself is not taken away."""
        a = self.account()
        for n in range(5):
            a.both(n + 1, body(n))
        job = self.job()
        self.copied(job)
        path = os.path.join(self.new.home(a.user), "mail", "dovecot-uidlist")
        with open(path, encoding="ascii") as f:
            text = re.sub("^3 ", "3 Pits-own ", f.read(), flags=re.M).replace("3 Pits-own V", "3 V")
        with open(path, "w", encoding="ascii") as f:
            f.write(text)
        self.uidl(job)
        self.assertIn("1 messages have another UIDL", self.notes(self.copied(job))["kept"])
        with open(path, encoding="ascii") as f:
            lines = f.read().splitlines()[1:]
        self.assertEqual([re.search(r" P(\S*)", line).group(1).split("-")[-1] for line in lines], ["1", "2", "own", "4", "5"])

    def test_doveadm(self):
        """dsync gives UIDLs to new messages; for others the report says that it cannot."""
        for late in False, True:
            a = self.account()
            for n in range(6):
                a.both(n + 1, body(n, n))
            client = Client()
            client.run(self.old, a.user)
            job = self.job(f"doveadm:{{user}}?program={dsyncs.program(self.new)}", "only = " + a.user)
            if late:
                self.copied(job)
            self.uidl(job)
            notes = self.notes(self.copied(job))
            self.assertEqual(list(notes), ["late"] if late else [])
            self.assertEqual(client.run(self.new, a.user), 6 if late else 0)
        self.assertIn("6 messages were copied before", notes["late"])

    def test_imap(self):
        """A target that gives its own: said once, and nothing else."""
        a = self.account()
        a.both(1, body(1))
        secret = self.haul.secret(self.new.password)
        job = self.job(f"imap://{{user}}@{self.new.host}:{self.new.imap_port}?ca={self.new.ca}&secret-file={secret}")
        self.uidl(job)
        self.assertIn("this target gives its own", self.notes(self.copied(job))["target"])

    def test_what_is_left(self):
        """A message that could not be joined is in the report of later copies."""
        a = self.account()
        for n in range(4):
            a.both(n + 1, body(n))
        a.pop(body(50))
        job = self.job()
        (told,) = self.uidl(job, code=DIFFERS)
        self.assertEqual([x["number"] for x in told["left"]], [5])
        for _ in range(2):
            self.assertIn("1 messages of the POP3 server", self.notes(self.copied(job))["left"])
        run = self.haul.run("uidl", self.server(), *job, "--state", self.haul.state)
        self.assertEqual(run.code, DIFFERS)
        self.assertIn("5 messages at the server, 4 in INBOX; 4 joined by order\n  message 5 cgp-", run.out)

    def test_another_order(self):
        """A server that sorts otherwise: clients see its order again."""
        a = self.account()
        order = [3, 1, 5, 2, 4]
        for n in range(1, 6):
            a.disk(n, body(n, n))
        for n in order:
            a.pop(body(n, n))
        job = self.job()
        (told,) = self.uidl(job)
        self.assertTrue(told["reordered"])
        self.copied(job)
        client = self.new.pop3(a.user)
        told = [line.split()[1].split(b"-")[-1] for line in client.uidl()[1]]
        subjects = [int(re.search(rb"Subject: (\d+)", b"\n".join(client.top(i + 1, 0)[1])).group(1)) for i in range(5)]
        client.quit()
        self.assertEqual((told, subjects), ([b"1", b"2", b"3", b"4", b"5"], order))
        with sqlite3.connect(f"file:{self.haul.state}?mode=ro", uri=True) as db:
            kept = db.execute("SELECT number, size, ord FROM uidl ORDER BY 1").fetchall()
        self.assertEqual(kept, [(i + 1, len(body(n, n).replace(b"\n", b"\r\n")), i + 1) for i, n in enumerate(order)])
        # mail that comes later is behind them all
        a.disk(800, body(99))
        self.copied(job)
        client = self.new.pop3(a.user)
        self.assertEqual([line.split()[1].split(b"-")[-1] for line in client.uidl()[1]][:5], told)
        self.assertIn(b"Subject: 99", client.top(6, 0)[1])
        client.quit()


class Logins(Case):
    def test_ways(self):
        """STARTTLS, TLS, a master who acts for the user, and the list's passwords."""
        a, b = self.account(), self.account()
        for n in range(3):
            a.both(n + 1, body(n))
            b.both(n + 1, body(n + 10))
        job = self.job()
        master = self.old.admin_password
        for tls in "", "s":
            self.uidl(job, server=self.server(tls))
            self.uidl(job, server=self.server(tls, user="master", password=master, options="&authzid={user}"))
            self.uidl(job, server=self.server(tls, user="{user}*master", password=master))
            self.uidl(job, server=self.server(tls, options="&auth=plain"))
        plain = f"pop3s://{{user}}@{self.old.host}:{self.old.vars['pop3s_port']}?ca={self.old.ca}"
        listed = self.haul.write("list.csv", "user,source_password,pop3_password\n" f"{a.user},{self.old.password},\n{b.user},nonsense,{self.old.password}\n")
        words = [*job[:2], "--accounts", listed]
        self.uidl(words, server=plain)
        # what is in the job file is relative to it
        secret = os.path.basename(self.haul.secret(self.old.password))
        job = self.job(extra=f"uidl-server = {plain}&secret-file={secret}\n", name="sub/job.ini")
        shutil.copy2(self.haul.path(secret), self.haul.path("sub", secret))
        os.unlink(self.haul.path(secret))
        run = self.haul.run("uidl", *job, "--state", self.haul.state)
        self.assertEqual((run.code, run.out.count("3 joined by order")), (DONE, 2), run)
        os.chmod(listed, 0o644)
        run = self.haul.run("uidl", plain, *words)
        self.assertEqual((run.code, "the list holds passwords" in run.err), (MISUSE, True), run)
        with open(self.haul.state, "rb") as f:
            self.assertNotIn(master.encode(), f.read())

    def test_refused(self):
        """A certificate of nobody, and a password that is wrong: of these accounts nothing is known."""
        a, b = self.account(), self.account()
        a.both(1, body(1))
        b.both(1, body(1))
        job = self.job()
        untrusted = f"pop3s://{{user}}@{self.old.host}:{self.old.vars['pop3s_port']}?secret-file={self.haul.secret('x')}"
        for told in self.uidl(job, server=untrusted, code=ACCOUNTS):
            self.assertIn("certificate", told["error"])
        listed = self.haul.write("list.csv", f"user,pop3_password\n{a.user},{self.old.password}\n{b.user},nonsense\n")
        told = self.uidl([*job[:2], "--accounts", listed], server=untrusted.split("?", maxsplit=1)[0] + f"?ca={self.old.ca}", code=ACCOUNTS)
        self.assertEqual([x["outcome"] for x in told], ["done", "failed"])
        self.assertIn(f"login as {b.user}", told[1]["error"])
        self.assertNotIn("nonsense", repr(told))


if __name__ == "__main__":
    unittest.main()
