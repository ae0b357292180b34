"""Servers that break at single messages or mailboxes, or in an admin's own
session: nothing else is held up by that. And one that breaks at everything,
which makes no account fail.
"""

import base64
import unittest
from collections import Counter

import nasty
from haul import ACCOUNTS, AGAIN, DIFFERS, DONE, Haul, balance
from imap_server import FakeServer, Fault

BUG = "NO [SERVERBUG] Internal error occurred. Refer to server log for more information."


class Case(unittest.TestCase):
    def scene(self, faults, users, boxes, **settings):
        """users with boxes {name: subjects}; a server with faults."""
        haul = Haul()
        self.addCleanup(haul.destroy)
        for user in users:
            made = {
                name: [
                    nasty.Item(f"{name}{i}", f"Subject: {s}\nMessage-ID: <{name}.{i}@{user}>\n\n{i}\n".encode(), frozenset(), frozenset(), 1_000_000_000 + i)
                    for i, s in enumerate(subjects)
                ]
                for name, subjects in boxes.items()
            }
            nasty.write_maildir(haul.path("mail", user), made)
        server = FakeServer(faults, users={u: "secret" for u in users}, **settings).start()
        self.addCleanup(server.stop)
        return haul, server

    def words(self, haul, server, users, user="{user}", secret="secret", options="", limits="", more=""):
        target = f"imap://{user}@127.0.0.1:{server.port}?tls=none&timeout=2&secret-file={haul.secret(secret)}{options}"
        return haul.job("maildir:" + haul.path("mail/{user}"), target, "user\n" + "\n".join(users) + "\n", f"lanes = 2\nsettle = 1\n{more}", limits=limits)

    def there(self, server, user):
        with server.lock:
            return {name: len(box.messages) for name, box in server.account(user).boxes.items()}


class TestPoison(Case):
    def test_messages(self):
        """In two accounts at once, first and last, more of them than are taken for a sick account."""
        users = ["anna", "bert"]
        inbox = ["poison", "x", "x", "poison", "x", "x", "poison", "poison", "x", "poison"]
        for settings in {}, {"multiappend": False}:
            with self.subTest(**settings):
                haul, server = self.scene([Fault("APPEND", match=b"poison", text=BUG, times=0)], users, {"INBOX": inbox, "Sent": ["x"] * 5, "Z": ["poison"]}, **settings)
                words = self.words(haul, server, users, limits="patience = 60")
                for _ in range(2):  # the second pass has nothing but these
                    run = haul.copy(*words, timeout=120)
                    self.assertEqual((run.code, balance(run.report)), (DIFFERS, []), run)
                    self.assertEqual((run.totals["copied"], run.totals["failed"]), (20, 12), run)
                    self.assertEqual({a["outcome"] for a in run.report["accounts"]}, {"partial"})
                    for user in users:
                        self.assertEqual(self.there(server, user), {"INBOX": 5, "Sent": 5, "Z": 0})
                    told = Counter(i["account"] for i in run.report["issues"] if i["kind"] == "failed" and "SERVERBUG" in i["reason"])
                    self.assertEqual(told, {u: 6 for u in users})
                server.faults.clear()
                run = haul.copy(*words)
                self.assertEqual((run.code, run.totals["copied"]), (DONE, 32), run)

    def test_mailboxes(self):
        """One in each of two accounts that cannot be opened."""
        users = ["anna", "bert"]
        faults = [Fault("SELECT", match=b"Broken", text=BUG, times=0)]
        haul, server = self.scene(faults, users, {"Broken": ["x"] * 3, "INBOX": ["x"] * 5, "Sent": ["x"] * 5})
        words = self.words(haul, server, users, limits="patience = 60", more="existing = merge")
        for user in users:
            with server.lock:
                server.account(user).create("Broken")
        run = haul.copy(*words, timeout=120)
        self.assertEqual(run.totals["copied"], 20, run)
        self.assertIn(run.code, (DIFFERS, ACCOUNTS), run)
        self.assertEqual({a["outcome"] for a in run.report["accounts"]}, {"partial"})
        server.faults.clear()
        run = haul.copy(*words)
        self.assertEqual((run.code, run.totals["copied"]), (DONE, 26), run)

    def test_everything(self):
        """That is the host: nobody has failed when its patience is over, and then all goes on."""
        users = ["anna", "bert", "carl"]
        haul, server = self.scene([Fault("APPEND", 4, text=BUG, times=0)], users, {"INBOX": ["x"] * 30, "Sent": ["x"] * 30}, multiappend=False)
        words = self.words(haul, server, users, limits="patience = 4\nmax-retries = 3")
        run = haul.copy(*words, timeout=120)
        self.assertEqual((run.code, run.totals["refused"], run.totals["failed"]), (AGAIN, 0, 0), run)
        self.assertEqual({a["outcome"] for a in run.report["accounts"]}, {"stopped"})
        self.assertRegex(run.err, "SERVERBUG.*disk full")
        server.faults.clear()
        run = haul.copy(*words)
        self.assertEqual((run.code, run.totals["copied"], balance(run.report)), (DONE, 180, []), run)
        for user in users:
            self.assertEqual(self.there(server, user), {"INBOX": 30, "Sent": 30})


class TestAdmin(Case):
    """A login that may act for users, whose own session does not work: no quota
    can be set. That is said once, and the mail comes over."""

    OWN = base64.b64encode(b"\0admin\0adminsecret").replace(b"+", b"\\+")

    def quotas(self, faults, count=6):
        users = [f"user{i}" for i in range(count)]
        haul, server = self.scene(faults, users, {"INBOX": ["x"]}, announce=True)
        server.capabilities = "IMAP4rev1 AUTH=PLAIN SASL-IR LITERAL+ NAMESPACE UIDPLUS MULTIAPPEND QUOTA"
        words = self.words(haul, server, users, "admin", "adminsecret", "&authzid={user}", more="quota = 1G")
        run = haul.copy(*words, timeout=120)
        self.assertEqual((run.code, run.totals["copied"]), (DONE, count), run)
        self.assertEqual(run.err.count("no quota was set"), 1, run)
        listed = haul.run("report", "--state", haul.state, "--quotas", "--format", "json").report
        self.assertEqual([(u["user"], u["limit_bytes"], u["set"]) for u in listed["users"]], [(u, 1 << 30, False) for u in users])
        return run, server, listed

    def test_refused(self):
        """A proxy's own login; after three times it is left alone."""
        _, server, listed = self.quotas([Fault("AUTHENTICATE", match=self.OWN, text="NO [AUTHENTICATIONFAILED] not you", times=0)])
        self.assertIn("not you", listed["users"][0]["state"])
        tried = [line for _, line in server.log if self.OWN.decode().replace("\\", "") in str(line)]
        self.assertIn(len(tried), (3, 4))  # two lanes may be at it at once

    def test_away(self):
        _, _, listed = self.quotas([Fault("AUTHENTICATE", match=self.OWN, text="NO [UNAVAILABLE] try later", times=0)], 3)
        self.assertIn("try later", listed["users"][0]["state"])

    def test_bad(self):
        """QUOTA is announced, and is not there."""
        self.quotas([Fault("GETQUOTA", text="BAD what is that", times=0)])


if __name__ == "__main__":
    unittest.main()
