"""What tests of doveadm: share: a private Dovecot of any format, and the doveadm
that belongs to it as a program for mailhaul to run."""

import os
import re
import shlex
import subprocess
import unittest

import readback
from haul import DONE, Haul, balance
from servers import Dovecot

FIELDS = "uid guid pop3.uidl pop3.order date.received date.saved.unixtime size.virtual flags"


def program(server):
    """A doveadm that finds the libraries of the unpacked Dovecot."""
    path = os.path.join(server.directory, "doveadm")
    if not os.path.exists(path):
        script = shlex.quote(os.path.join(os.path.dirname(__file__), "../../scripts/dovecot-server"))
        with open(path, "w", encoding="utf-8") as f:
            f.write(f'#!/bin/sh\nexec {script} {shlex.quote(server.directory)} doveadm "$@"\n')
        os.chmod(path, 0o755)
    return path


class Case(unittest.TestCase):
    settings = {"FORMAT": "mdbox"}

    @classmethod
    def setUpClass(cls):
        cls.server = Dovecot(**{"USERS": 40, **cls.settings})
        cls.addClassCleanup(cls.server.destroy)
        cls.server.start()
        cls.last_user = 0

    def setUp(self):
        self.haul = Haul()
        self.addCleanup(self.haul.destroy)
        self.next_user()

    def next_user(self):
        type(self).last_user += 1
        self.user = f"user{self.last_user}"
        self.log_before = len(self.server.log())
        return self.user

    def target(self, **options):
        options.setdefault("program", program(self.server))
        return f"doveadm:{self.user}?" + "&".join(f"{k}={v}" for k, v in options.items())

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

    def fetch(self, box, fields=FIELDS, user=None):
        """doveadm's view, a text for every message."""
        out = self.server.doveadm("fetch", "-u", user or self.user, fields, "mailbox", box, "all").decode("latin-1")
        return [line for line in out.split("\f") if line.strip()]

    def status(self, box):
        out = self.server.doveadm("mailbox", "status", "-u", self.user, "messages uidnext uidvalidity guid", box)
        return dict(word.split("=", 1) for word in out.decode().split() if "=" in word)

    def checked(self, run, code=DONE):
        self.assertEqual(run.code, code, run)
        self.assertEqual(balance(run.report), [])
        self.assertEqual(self.logged(), [])
        return run

    def deliver(self, text, box="INBOX"):
        """Mail that comes another way."""
        run = subprocess.run([program(self.server), "save", "-u", self.user, "-m", box], input=text, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(run.returncode, 0, run.stdout)


def numbers(account):
    return {b.name: (b.uidvalidity, b.uidnext, b.messages) for b in account.boxes.values() if "\\noselect" not in b.attributes}
