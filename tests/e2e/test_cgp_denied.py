"""Parts of a CommuniGate tree that may not be read: each is named, the rest goes
on; when they can be read, what was missing comes, and nothing twice."""

import csv
import ctypes
import io
import os
import unittest
from collections import Counter

from haul import ACCOUNTS, DONE, Haul

DAC = (1, 2)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
PR_CAPBSET_DROP = 24


def without_override():
    """For root, too, the mode of a file is what it says."""
    if os.getuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        for cap in DAC:
            if libc.prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0:
                raise OSError(ctypes.get_errno(), "prctl")


class Denied(unittest.TestCase):
    N = 3

    def setUp(self):
        self.haul = Haul()
        self.addCleanup(self.haul.destroy)
        self.addCleanup(self.allow)
        self.haul.write("base/Settings/Main.settings", "{\n DomainName = example.org;\n}\n")
        self.denied = []
        self.users = []

    def account(self, *deny):
        """INBOX.mdir, Work.mbox, Notes.mdir; these parts of it are shut."""
        user = f"user{len(self.users) + 1}"
        self.users.append(user)
        top = f"base/Accounts/{user}.macnt"
        self.haul.write(f"{top}/account.settings", "{\n RealName = X;\n}\n")
        self.haul.write(f"{top}/account.info", "{\n INBOX = {UIDNext=#900;UIDValidity=#1268557200;};\n}\n")
        for n in range(self.N):
            self.haul.write(f"{top}/INBOX.mdir/{n + 1}-S-20100314091502", f"Subject: {user} {n}\n\nINBOX\n")
            self.haul.write(f"{top}/Notes.mdir/{n + 1}-S-20100314091502", f"Subject: {user} {n}\n\nNotes\n")
        self.haul.write(f"{top}/Work.mbox", "".join(f"From <a@b>(S-{n + 1})  14-03-2010_09:15:02_0\nSubject: {user} {n}\n\nWork\n\n" for n in range(self.N)))
        for part in deny:
            self.denied.append((self.haul.path(top, part), os.stat(self.haul.path(top, part)).st_mode & 0o777))
        return user

    def deny(self):
        for path, _ in self.denied:
            os.chmod(path, 0)

    def allow(self):
        for path, mode in self.denied:
            if os.path.lexists(os.path.dirname(path)):
                os.chmod(path, mode)

    def job(self, job=""):
        rows = "user\n" + "".join(u + "\n" for u in self.users)
        return self.haul.job(f"cgp:{self.haul.path('base')}?account={{user}}", f"dovecot:{self.haul.path('out')}/{{user}}" + ("?owner=root" if os.getuid() == 0 else ""), rows, "settle = 1\n" + job)

    def run_as_said(self, *args):
        return self.haul.run(*args, preexec_fn=without_override)

    def stored(self):
        """How often each message is at the target."""
        seen = Counter()
        for path, _, names in os.walk(self.haul.path("out")):
            if os.path.basename(path) in ("cur", "new"):
                for name in names:
                    with open(os.path.join(path, name), "rb") as f:
                        seen[f.read()] += 1
        return seen

    def test_denied(self):
        whole = self.account("")
        inbox = self.account("INBOX.mdir")
        message = self.account("INBOX.mdir/2-S-20100314091502")
        mbox = self.account("Work.mbox")
        settings = self.account("account.settings", "account.info")
        healthy = self.account()
        self.deny()
        os.mkdir(self.haul.path("out"))
        words = self.haul.copy_words(self.job("create-users = yes"))
        run = self.run_as_said("copy", *words)
        self.assertEqual(run.code, ACCOUNTS, run)
        told = {a["name"]: a for a in run.report["accounts"]}
        want = {whole: "failed", inbox: "partial", message: "partial", mbox: "partial", settings: "done", healthy: "done"}
        self.assertEqual({u: told[u]["outcome"] for u in told}, want, run)
        copied = {u: told[u]["totals"]["copied"] for u in told}
        self.assertEqual(copied, {whole: 0, inbox: 6, message: 8, mbox: 6, settings: 9, healthy: 9})
        self.assertIn("Permission denied", told[whole]["error"])
        issues = {(i["account"], i["mailbox"], i["kind"]): i["reason"] for i in run.report["issues"]}
        self.assertIn("Permission denied", issues[message, "INBOX", "failed"])
        boxes = {(u, b["name"]): (b["outcome"], b.get("error")) for u in told for b in told[u]["mailboxes"]}
        for key in (inbox, "INBOX"), (mbox, "Work"):
            self.assertIn(boxes[key][0], ("unreadable", "failed"))
            self.assertIn("Permission denied", boxes[key][1] or "", key)
        self.assertTrue(any("Permission denied" in i["reason"] for i in run.report["issues"] if i["account"] == settings))
        # as before
        again = self.run_as_said("copy", *words)
        self.assertEqual((again.code, again.totals), (ACCOUNTS, run.totals))
        # and with all that was missing
        self.allow()
        rest = self.run_as_said("copy", *words)
        # one INBOX has its own UIDVALIDITY by now: known again by its content
        self.assertEqual((rest.code, rest.totals["copied"], rest.totals["present"]), (DONE, 6 * 9 - self.N, self.N), rest)
        self.assertEqual(set(self.stored().values()), {1})
        self.assertEqual(len(self.stored()), 6 * 9)
        # shut again, nothing is taken for deleted
        self.deny()
        last = self.run_as_said("copy", *words, "--delete=expunge")
        self.assertEqual(last.code, ACCOUNTS, last)
        self.assertEqual(len(self.stored()), 6 * 9)
        self.allow()

    def test_list_of_accounts(self):
        """One that cannot be read at all is named, and makes the list incomplete."""
        for parts in ((), ("",), ("INBOX.mdir",), ("account.settings",)):
            self.account(*parts)
        self.deny()
        run = self.run_as_said("plan", "--list-accounts", f"cgp:{self.haul.path('base')}")
        self.assertEqual(run.code, ACCOUNTS, run)
        rows = {row["user"].split("@")[0]: row for row in csv.DictReader(io.StringIO(run.out))}
        self.assertEqual({u: (r["messages"], r["unreadable"]) for u, r in rows.items()}, {"user1": ("9", "0"), "user3": ("6", "1"), "user4": ("9", "0")})
        self.assertRegex(run.err, r"user2\.macnt: cannot be read: Permission denied")
        self.assertRegex(run.err, r"user4.*account\.settings: Permission denied")
        # that one alone makes it incomplete
        for path, mode in self.denied[1:]:
            os.chmod(path, mode)
        for words in ([], ["--quiet"]):
            run = self.run_as_said("plan", "--list-accounts", f"cgp:{self.haul.path('base')}", *words)
            self.assertEqual((run.code, run.out.count("@example.org,user")), (ACCOUNTS, 3), run)
        self.allow()
        run = self.run_as_said("plan", "--list-accounts", f"cgp:{self.haul.path('base')}")
        self.assertEqual((run.code, run.out.count("@example.org,user"), run.err), (DONE, 4, ""), run)


if __name__ == "__main__":
    unittest.main()
