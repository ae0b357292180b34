"""What tests of dovecot:PATH share: a user of a private Dovecot whose Maildir we
write while that server does, or does not, look."""

import os
import re
import shutil
import unittest

import readback
import trees
from haul import DONE, Haul, balance
from servers import Dovecot

ROOT = os.getuid() == 0
FIELDS = "uid guid pop3.uidl pop3.order date.received size.virtual flags"


class Case(unittest.TestCase):
    settings = {}

    @classmethod
    def setUpClass(cls):
        cls.server = Dovecot(USERS=40, **cls.settings)
        cls.addClassCleanup(cls.server.destroy)
        cls.server.start()
        cls.last_user = 0
        with open(os.path.join(cls.server.directory, "users"), encoding="utf-8") as f:
            _, _, uid, gid, *_ = f.readline().split(":")
        cls.ids = int(uid), int(gid)

    def setUp(self):
        self.haul = Haul()
        self.addCleanup(self.haul.destroy)
        type(self).last_user += 1
        self.user = f"user{self.last_user}"
        self.log_before = len(self.server.log())

    def root(self, user=None):
        return os.path.join(self.server.home(user or self.user), "mail")

    def target(self, user=None, **options):
        """The home belongs to the mail user, so nothing has to be said."""
        words = "&".join(f"{k}={v}" for k, v in options.items())
        return f"dovecot:{self.root(user)}" + ("?" + words if words else "")

    def there(self, user=None):
        client = self.server.login(user or self.user)
        try:
            return readback.account(client)
        finally:
            client.logout()

    def logged(self):
        """What Dovecot said apart from coming and going."""
        lines = self.server.log()[self.log_before :].splitlines()
        return [line for line in lines if re.search(r"Error|Warning|Panic|Fatal|Corrupt", line)]

    def fetch(self, box, user=None, fields=FIELDS):
        """doveadm's view, a text for every message."""
        out = self.server.doveadm("fetch", "-u", user or self.user, fields, "mailbox", box, "all").decode("latin-1")
        return out.split("\f")

    def status(self, box, user=None):
        out = self.server.doveadm("mailbox", "status", "-u", user or self.user, "messages uidnext uidvalidity guid vsize", box)
        return out.decode().split()

    def serve(self, source, user):
        """The source's own tree becomes a user's, for Dovecot to show."""
        shutil.copytree(source, self.root(user), copy_function=shutil.copy2)
        if ROOT:
            trees.own(self.root(user), *self.ids)

    def checked(self, run, code=DONE):
        self.assertEqual(run.code, code, run)
        self.assertEqual(balance(run.report), [])
        self.assertEqual(trees.leftovers(self.root()), [])
        self.assertEqual(self.logged(), [])
        return run


def numbers(account):
    return {b.name: (b.uidvalidity, b.uidnext, b.messages) for b in account.boxes.values() if "\\noselect" not in b.attributes}
