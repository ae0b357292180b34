"""cyrus: beside people who use the account, and for clients that were in sync
with the old server."""

import os
import re
import subprocess
import threading
import unittest

import cysync
import nasty
import offline
import readback
import trees
from cysync import write
from haul import ACCOUNTS, AGAIN, DIFFERS, DONE
from servers import Cyrus


class Live(cysync.Case):
    def source(self, n):
        box = trees.Box(uidvalidity=4711)
        for i in range(n):
            box.add(b"From: x@example.org\nSubject: ours %d\n\n%s\n" % (i, b"x" * 200), uid=2 * i + 1, flags="F" if i % 2 else "", date=86_400 + i)
        source = self.haul.path("src")
        write(source, {"INBOX": box})
        return source, box

    def use(self, ended, log):
        """Mail comes, is flagged and deleted, until the copy has ended."""
        client = self.server.login_as(self.user)
        client.select("INBOX")
        number = 0
        while not ended.is_set() and number < 400:
            # what comes all the time leaves no moment to begin
            if number % 16 == 0:
                body = b"From: other@example.org\r\nSubject: theirs %d\r\n\r\nbody\r\n" % number
                answer = client.append("INBOX", None, None, body)
                uid = re.search(rb"APPENDUID \d+ (\d+)", answer[1][0]).group(1).decode()
                log["kept"].add(body)
                if number % 48 == 0:
                    client.uid("STORE", uid, "+FLAGS", "(\\Deleted)")
                    client.uid("EXPUNGE", uid)
                    log["kept"].discard(body)
            client.noop()
            ended.wait(0.02)
            # one of ours, whichever is there
            found = client.uid("SEARCH", "SUBJECT", '"ours"', "NOT", "KEYWORD", "touched")[1][0].split()
            if found:
                uid = found[number % len(found)].decode()
                client.uid("STORE", uid, "+FLAGS", "(touched)")
                log["touched"] += 1
            number += 1
        client.logout()
        log["number"] = number

    def go(self, n, *options):
        source, box = self.source(n)
        ended, log = threading.Event(), {"kept": set(), "touched": 0}
        user = threading.Thread(target=self.use, args=(ended, log))
        user.start()
        try:
            for state in range(10):
                run = self.copy(source, self.target(), *options, state=self.haul.path("live.db"))
                if run.code not in (ACCOUNTS, AGAIN):
                    break
        finally:
            ended.set()
            user.join()
        self.assertIn(run.code, (DONE, DIFFERS), (state, run))
        got = self.there().boxes["INBOX"].messages
        want = [cysync.hashlib.sha256(nasty.crlf(body)).hexdigest() for _, _, body, _, _ in box.messages]
        theirs = [cysync.hashlib.sha256(body).hexdigest() for body in log["kept"]]
        self.assertEqual(sorted(m.digest for m in got), sorted(want + theirs))
        touched = [m for m in got if "touched" in m.keywords]
        self.assertEqual(len(touched), log["touched"])
        self.assertGreater(log["number"], 0)
        self.sound()
        return run, got

    def test_mail_in_use(self):
        """Into an INBOX with mail of its own."""
        self.server.create_user(self.user)
        client = self.server.login_as(self.user)
        client.append("INBOX", None, None, b"From: other@example.org\r\n\r\nfirst\r\n")
        client.select("INBOX")
        client.store("1", "+FLAGS", "(\\Deleted)")
        client.expunge()
        client.logout()
        self.go(420, "--existing", "merge")

    def test_plan_tells(self):
        source, _ = self.source(2)
        before = self.server.tool("ctl_mboxlist", "-d")
        run = self.haul.plan("maildir:" + source, self.target(), "--create-users")
        self.assertEqual(run.code, DONE, run)
        self.assertIn("delete_mode: delayed", run.out)
        self.assertIn("UIDVALIDITY.UID", run.out)
        self.assertNotIn("MBOXNAME", self.sync(f"GET USER {self.user}"))
        self.assertEqual(self.server.tool("ctl_mboxlist", "-d"), before)


class Clients(offline.Case):
    """mbsync, in sync with the Dovecot whose Maildir is then migrated."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.cyrus = Cyrus(USERS=8, CREATE="no", ALTNAMESPACE="yes")
        cls.addClassCleanup(cls.cyrus.destroy)
        cls.cyrus.start()

    def mbsync(self, server, user, local):
        """One sync of everything into a Maildir; only the server is another."""
        text = (f"IMAPAccount a\nHost localhost\nPort {server.imaps_port}\nUser {user}\nPass {server.password}\nSSLType IMAPS\n"
                f"SystemCertificates no\nCertificateFile {server.ca}\n\nIMAPStore far\nAccount a\n\n"
                f"MaildirStore near\nInbox {local}\nSubFolders Maildir++\n\nChannel c\nFar :far:\nNear :near:\nPatterns *\nCreate Near\n"
                "Sync Pull Push\nCopyArrivalDate yes\nSyncState *\n")
        config = self.haul.write("mbsyncrc", text)
        run = subprocess.run(["mbsync", "-c", config, "-a"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False)
        self.assertEqual(run.returncode, 0, run.stdout)

    @staticmethod
    def messages(local):
        """The files; levels that are mailboxes at Cyrus become some here."""
        return {f for f in trees.pictures(local) if "/cur/" in f or "/new/" in f}

    @unittest.skipUnless(offline.shutil.which("mbsync"), "needs mbsync (package isync)")
    def test_nothing_is_downloaded(self):
        source = self.haul.path("src")
        boxes = {"": trees.Box(uidvalidity=1234567), ".Sent": trees.Box(uidvalidity=89), ".Lists.a": trees.Box(uidvalidity=90)}
        for i in range(30):
            boxes[""].add(b"From: x@example.org\nSubject: %d\n\nbody\n" % i, uid=2 * i + 1, flags="S" if i % 2 else "")
        boxes[".Sent"].add(b"From: x@example.org\n\nsent\n", uid=70, flags="S")
        boxes[".Lists.a"].add(b"From: x@example.org\n\nlist\n", uid=7)
        for name, box in boxes.items():
            box.write(os.path.join(source, name))
        self.serve(source, self.user)
        local = self.haul.path("local")
        self.mbsync(self.server, self.user, local)
        before = self.messages(local)
        self.assertEqual(len(before), 32)
        target = f"cyrus:{self.user}?conf={self.cyrus.vars['conf']}&libexec={self.cyrus.vars['libexec']}"
        run = self.haul.copy("maildir:" + self.root(), target, "--create-users")
        self.assertEqual((run.code, run.totals["copied"]), (DONE, 32), run)
        client = self.cyrus.login_as(self.user)
        ours = offline.numbers(readback.account(client))
        self.mbsync(self.cyrus, self.user, local)
        self.assertEqual(self.messages(local), before)
        self.assertEqual(offline.numbers(readback.account(client)), ours)
        client.logout()


if __name__ == "__main__":
    unittest.main()
