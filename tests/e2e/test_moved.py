"""Mailboxes that are renamed at an IMAP source follow at the target, at real
servers both ways, looked at with imaplib: nothing is sent a second time."""

import unittest

import readback
from haul import DONE, Haul
from proxy import Proxy
from servers import Cyrus, Dovecot

NAMES = ("Work", "Work/Old", "Lists", "Sent")


def body(name, n):
    return f"From: a@example.org\r\nSubject: {name} {n}\r\n\r\nmessage {n} of {name}\r\n".encode()


class TestMoved(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.servers = {}
        for kind in (Dovecot, Cyrus):
            server = cls.servers[kind] = kind(USERS=4)
            cls.addClassCleanup(server.destroy)
            server.start()

    def contents(self, client):
        """{name with / between levels: sorted subjects}, of what holds mail."""
        account = readback.account(client)
        return {name.replace(client.sep, "/").removeprefix("INBOX/"): sorted(m.digest for m in box.messages) for name, box in account.boxes.items() if box.messages}

    def login(self, server, user):
        client = server.login(user)
        self.addCleanup(client.logout)
        line = client.list('""', '""')[1][0].decode()
        client.sep = line.split('"')[1]
        return client

    def way(self, source, target):
        haul = Haul()
        self.addCleanup(haul.destroy)
        old = self.login(source, "user1")

        def spell(name):
            below = "INBOX/" if isinstance(source, Cyrus) and name != "INBOX" else ""
            return (below + name).replace("/", old.sep)

        for name in NAMES:
            self.assertEqual(old.create(spell(name))[0], "OK")
        for name in ("INBOX",) + NAMES:
            for n in range(5):
                self.assertEqual(old.append(spell(name), None, None, body(name, n))[0], "OK")
        proxy = Proxy(target.host, target.imap_port).start()
        self.addCleanup(proxy.stop)
        words = [haul.user(source, "user1"), haul.user(target, "user2", tls="none", port=proxy.port)]
        new = self.login(target, "user2")

        def copy(messages):
            proxy.reset()
            run = haul.copy(*words)
            self.assertEqual(run.code, DONE, run)
            self.assertEqual({k: len(v) for k, v in self.contents(new).items()}, {k: len(v) for k, v in self.contents(old).items()}, run)
            self.assertEqual(self.contents(new), self.contents(old))
            self.assertEqual(proxy.messages, messages, proxy.log)
            return run

        copy(5 * 5)
        for was, name in (("Work", "Job"), ("Sent", "x"), ("Lists", "Sent"), ("x", "Lists")):
            self.assertEqual(old.rename(spell(was), spell(name))[0], "OK")
        old.append(spell("Job/Old"), None, None, body("Job", 77))
        copy(1)
        self.assertEqual(sorted(self.contents(new)), ["INBOX", "Job", "Job/Old", "Lists", "Sent"])
        copy(0)
        self.assertEqual(proxy.writes(), 0, proxy.log)

        # one is deleted: it is told, and goes only if it is asked for
        self.assertEqual(old.delete(spell("Lists"))[0], "OK")
        run = haul.copy(*words)
        self.assertEqual(run.code, DONE, run)
        self.assertEqual([i["where"] for i in run.report["issues"] if i["kind"] == "gone"], ["Lists"])
        self.assertIn("Lists", self.contents(new))
        words.extend(["--delete-mailboxes", "--delete-limit", "20%"])
        self.assertEqual(haul.copy(*words).code, DONE)
        now = self.contents(new)
        self.assertNotIn("Lists", readback.account(new).boxes)
        (removed,) = [name for name in now if name.startswith("mailhaul-removed/")]
        self.assertEqual(len(now.pop(removed)), 5)
        self.assertEqual(now, self.contents(old))

    def test_dovecot_to_cyrus(self):
        self.way(self.servers[Dovecot], self.servers[Cyrus])

    def test_cyrus_to_dovecot(self):
        self.way(self.servers[Cyrus], self.servers[Dovecot])


if __name__ == "__main__":
    unittest.main()
