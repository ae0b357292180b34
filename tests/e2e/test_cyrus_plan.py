"""cyrus: what plan tells of POP3 UIDLs, of scripts, and of imapd.conf."""

import os
import unittest

import cysync
import trees
from cysync import fill, write
from haul import DONE


class Plan(cysync.Case):
    settings = {"EXTRA": "uidl_format: dovecot\nautocreate_quota: 0"}

    def plan(self, source, target, *options):
        run = self.haul.plan(source, target, "--create-users", *options, state=self.haul.path("plan.db"))
        self.assertEqual(run.code, DONE, run)
        return run.out + run.err

    def maildir(self, name="src"):
        source = self.haul.path(name)
        write(source, {"INBOX": fill(4, 1234567), "Old": fill(2, 5)})
        return source

    def test_uidls(self):
        source = self.maildir()
        self.assertIn("become lower-case digits (uidl_format: dovecot)", self.plan("maildir:" + source, self.target()))
        self.assertIn('imapd.conf needs \\"uidl_format: dovecot\\" (they come in lower case then)', self.plan("maildir:" + source, self.remote()))
        # one with a UIDL of its own
        uidlist = os.path.join(source, "dovecot-uidlist")
        with open(uidlist, encoding="ascii") as f:
            text = f.read()
        with open(uidlist, "w", encoding="ascii") as f:
            f.write(text.replace(" :", " Pmine :", 1))
        self.assertIn("1 messages of INBOX have POP3 UIDLs of their own", self.plan("maildir:" + source, self.target()))
        # what nobody knows is not told
        os.unlink(uidlist)
        self.assertNotIn("UIDLs become", self.plan("maildir:" + source, self.target()))

    def test_from_cyrus(self):
        source = "maildir:" + self.maildir()
        self.checked(self.copy(source.split(":", 1)[1], self.target()))
        to = self.target(self.user + "b")
        self.assertIn("POP3 UIDLs stay as they are (16 lower-case digits, uidl_format: dovecot)", self.plan(self.target(), to))
        conf = self.haul.path("imapd.conf")
        with open(self.server.vars["conf"], encoding="ascii") as f:
            text = f.read()
        with open(conf, "w", encoding="ascii") as f:
            f.write(text.replace("uidl_format: dovecot", "uidl_format: uidonly"))
        os.chmod(conf, 0o644)
        os.chmod(self.haul.directory, 0o755)
        told = self.plan(self.target(), self.target(self.user + "b", conf=conf))
        self.assertIn('POP3 UIDLs change from 16 lower-case digits to the UID, and POP3 clients fetch everything again: set \\"uidl_format: dovecot\\"', told)
        told = self.plan(self.target(conf=conf), self.target(self.user + "b", conf=conf))
        self.assertIn("POP3 UIDLs stay as they are (the UID, uidl_format: uidonly)", told)

    def test_scripts(self):
        """Those that file into a mailbox that is called otherwise there."""
        self.server.create_user(self.user)
        script = b'require ["fileinto"];\r\nif true { fileinto "INBOX/Old"; } else { fileinto "INBOX/Kept"; }\r\n'
        head = f"APPLY SIEVE %(USERID {self.user} FILENAME rules.script LAST_UPDATE 1500000000 CONTENT {{{len(script)}+}}"
        self.assertNotIn("NO ", self.sync(head, script.decode() + ")"))
        source = self.haul.path("src")
        write(source, {"INBOX": fill(4, 1234567), "Old": fill(2, 5), "Kept": trees.Box(uidvalidity=7)})
        rule = "--map", '"Old" -> "New"'
        for target in self.target(), self.remote():
            told = self.plan("maildir:" + source, target, *rule)
            self.assertIn("Sieve script rules files into INBOX/Old, which is called New there", told)
            self.assertNotIn("files into INBOX/Kept", told)
            self.assertNotIn("files into", self.plan("maildir:" + source, target))

    def test_settings(self):
        source = self.maildir()
        told = self.plan("maildir:" + source, self.target())
        self.assertIn("autocreate_quota: 0: a user who logs in before", told)
        self.assertIn("put back", told)
        told = self.plan("maildir:" + source, self.remote())
        self.assertIn("cannot be read from here; what matters there: autocreate_quota", told)


if __name__ == "__main__":
    unittest.main()
