"""Runs of uidl and of the copies that give UIDLs, killed in between: the next
ones leave what undisturbed ones leave."""

import os
import unittest

import kills
from haul import DONE, Haul
from pop3_server import Pop3
from servers import Dovecot

N = 12


def message(n):
    return b"From: x@example.org\r\nSubject: %d\r\n\r\nbody of %d\r\n" % (n, n)


class TestUidl(unittest.TestCase):
    # in which command, where, and whether the mail was there before
    POINTS = [
        ("uidl", "uidl.put:1", False),
        ("copy", "done.posted:1", False),
        ("copy", "list.appended:1", False),
        ("copy", "list.written:1", True),
        ("copy", "uidls.after:1", True),
    ]

    def killed(self, server, number, command, point, late):
        user = f"user{number + 1}"
        with Haul(faults=True) as haul, Pop3({user: [(f"old.{n}", message(n)) for n in range(N)]}) as old:
            haul.write("base/Settings/Main.settings", "{\n DomainName = example.org;\n}\n")
            top = f"base/Accounts/{user}.macnt"
            haul.write(f"{top}/account.info", "{\n INBOX = {UIDNext=#900;UIDValidity=#1268557200;};\n}\n")
            for n in range(N):
                haul.write(f"{top}/INBOX.mdir/{2 * n + 1}-S-20100314091502", message(n).replace(b"\r\n", b"\n"))
            words = haul.job(f"cgp:{haul.path('base')}?account={{user}}", f"dovecot:{server.home(user)}/mail", f"user\n{user}\n", "settle = 1")
            uidl = ["uidl", f"pop3://{user}@{old.host}:{old.port}?tls=none&secret-file={haul.secret()}", *words, "--state", haul.state]
            copy = ["copy", *haul.copy_words(words)]
            before = ([copy] if late else []) + ([uidl] if command == "copy" else [])
            for run in before:
                self.assertEqual(haul.run(*run).code, DONE)
            run = haul.finish(haul.start(*(uidl if command == "uidl" else copy), env={"MAILHAUL_FAULT": f"kill@{point}"}), killed=True)
            reached = run.code < 0
            bad = []
            for run in (uidl, copy) if command == "uidl" else (copy,):
                run = haul.run(*run)
                if run.code != DONE:
                    bad.append(repr(run))
            client = server.pop3(user)
            told = [line.split()[1].decode() for line in client.uidl()[1]]
            if told != [f"old.{n}" for n in range(N)]:
                bad.append(repr(told))
            heads = [b"Subject: %d" % n in client.top(n + 1, 0)[1] for n in range(N)]
            if not all(heads):
                bad.append(repr(heads))
            client.quit()
            again = haul.run(*copy)
            if again.code != DONE or again.totals["copied"] != N:
                bad.append(repr(again))
            left = os.listdir(os.path.join(server.home(user), "mail", "tmp"))
            if left:
                bad.append(repr(left))
            return reached, bad

    def test_killed(self):
        with Dovecot(USERS=len(self.POINTS), POP3="yes") as server:
            results = kills.in_parallel(lambda c: self.killed(server, c[0], *c[1]), list(enumerate(self.POINTS)))
        for result in results:
            if isinstance(result, Exception):
                raise result
        self.assertEqual([f"{p}: {bad}" for p, (_, bad) in zip(self.POINTS, results) if bad], [])
        self.assertEqual([p for p, (reached, _) in zip(self.POINTS, results) if not reached], [])


if __name__ == "__main__":
    unittest.main()
