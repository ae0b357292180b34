"""undo with a login that is refused: it is not tried for every account."""

import base64
import shutil
import unittest

import mail
from haul import ACCOUNTS, DONE, Haul
from imap_server import FakeServer, Fault

USERS = [f"u{i}" for i in range(8)]
CAPABILITIES = "IMAP4rev1 AUTH=PLAIN SASL-IR LITERAL+ NAMESPACE UIDPLUS MULTIAPPEND"


def login(user):
    """As the server sees it, for a regular expression."""
    return base64.b64encode(f"{user}\0admin\0adminsecret".encode()).replace(b"+", b"\\+")


class TestUndoLogin(unittest.TestCase):
    def setUp(self):
        self.haul = Haul()
        self.addCleanup(self.haul.destroy)
        mail.write_maildir(self.haul.path("home/u0"), {"INBOX": 2}, seed=1, mean=300)
        for user in USERS[1:]:
            shutil.copytree(self.haul.path("home/u0"), self.haul.path("home", user))
        self.server = FakeServer(users={u: "secret" for u in USERS}, capabilities=CAPABILITIES).start()
        self.addCleanup(self.server.stop)
        self.secret = self.haul.secret("adminsecret")
        self.words = self.haul.job(
            f"maildir:{self.haul.path('home')}/{{user}}",
            f"imap://admin@127.0.0.1:{self.server.port}?tls=none&authzid={{user}}&secret-file={self.secret}",
            "user\n" + "\n".join(USERS) + "\n",
        )
        self.assertEqual(self.haul.copy(*self.words).code, DONE)

    def logins(self):
        return self.server.commands["LOGIN"] + self.server.commands["AUTHENTICATE"]

    def undo(self):
        return self.haul.run("undo", *self.words, "--state", self.haul.state, "--only", "*", "--yes")

    def test_wrong_admin_password(self):
        with open(self.secret, "w", encoding="ascii") as f:
            f.write("wrong\n")
        before = self.logins()
        run = self.undo()
        self.assertEqual((run.code, run.err.count("not tried")), (ACCOUNTS, len(USERS) - 3), run)
        self.assertEqual(self.logins() - before, 3)
        self.assertEqual([sum(self.server.contents(u)["INBOX"].values()) for u in USERS], [2] * len(USERS))

    def test_some_users_refused(self):
        """Four in a row, of a login that works."""
        self.server.faults.append(Fault("AUTHENTICATE", match=b"|".join(login(u) for u in USERS[2:6]), text="NO [AUTHENTICATIONFAILED] not you", times=0))
        run = self.undo()
        self.assertEqual((run.code, run.err.count("not tried")), (ACCOUNTS, 0), run)
        left = [sum(self.server.contents(u)["INBOX"].values()) for u in USERS]
        self.assertEqual(left, [0, 0, 2, 2, 2, 2, 0, 0])


if __name__ == "__main__":
    unittest.main()
