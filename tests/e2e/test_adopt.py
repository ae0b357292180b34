"""A target that imapsync has filled before, as far as it went: with Sent Items as
Sent, and messages that the user has moved, deleted or marked since."""

import time
import unittest

import readback
import trees
from haul import DONE, Haul
from proxy import Proxy
from servers import Cyrus, Dovecot

DATE = 1_000_000_000


def body(n):
    return f"From: a@example.org\nSubject: number {n}\nMessage-ID: <{n}@example.org>\n\nmessage {n}\n".encode()


def date(n):
    return DATE + 60 * n


def stamp(n):
    return time.strftime('"%d-%b-%Y %H:%M:%S +0000"', time.gmtime(date(n)))


class Common:
    @classmethod
    def setUpClass(cls):
        cls.server = cls.kind(USERS=2)
        cls.addClassCleanup(cls.server.destroy)
        cls.server.start()

    def setUp(self):
        self.haul = Haul()
        self.addCleanup(self.haul.destroy)
        self.path = self.haul.path("src")
        self.proxy = Proxy(self.server.host, self.server.imap_port).start()
        self.addCleanup(self.proxy.stop)
        self.client = self.server.login("user1")
        self.addCleanup(self.client.logout)
        self.below = "INBOX" + self.client.list('""', '""')[1][0].decode().split('"')[1] if self.kind is Cyrus else ""

    def put(self, box, n):
        name = '"%s"' % box if box == "INBOX" else '"%s%s"' % (self.below, box)
        self.assertEqual(self.client.append(name, None, stamp(n), body(n).replace(b"\n", b"\r\n"))[0], "OK")

    def there(self):
        boxes = readback.account(self.client).boxes
        return {name.removeprefix(self.below): sorted((m.date - DATE) // 60 for m in box.messages) for name, box in boxes.items() if box.messages}

    def test_adopted(self):
        inbox, sent = trees.Box(uidvalidity=17), trees.Box(uidvalidity=18)
        for n in range(12):
            inbox.add(body(n), uid=n + 1, date=date(n))
            sent.add(body(100 + n), uid=n + 1, date=date(100 + n))
        inbox.write(self.path)
        sent.write(self.path + "/.Sent Items")
        for box in ("Sent", "Kept"):
            self.assertEqual(self.client.create(self.below + box)[0], "OK")
        for n in range(10):
            if n not in (3, 4):  # 3 was moved, 4 deleted
                self.put("INBOX", n)
            self.put("Sent", 100 + n)
        self.put("Kept", 3)
        words = ["maildir:" + self.path, self.haul.user(self.server, "user1", tls="none", port=self.proxy.port)]
        words += ["--adopt-before", "2001-09-10"]
        run = self.haul.copy(*words)
        self.assertEqual(run.code, DONE, run)
        # 4, 10, 11, 110 and 111 are all of that day: listed, not copied
        self.assertEqual(self.proxy.messages, 0)
        self.assertEqual(run.totals, {"source": 24, "copied": 0, "present": 19, "excluded": 5, "refused": 0, "failed": 0, "vanished": 0})
        kinds = [i["kind"] for i in run.report["issues"]]
        self.assertEqual(kinds.count("missing"), 5, run)
        told = "\n".join(i["reason"] for i in run.report["issues"] if i["kind"] == "elsewhere")
        self.assertRegex(told, r"10 messages of Sent Items are in .*Sent at the target")
        self.assertRegex(told, r"1 messages of INBOX are in .*Kept at the target")
        before = self.there()
        self.proxy.reset()
        run = self.haul.copy(*words, "--fill")
        self.assertEqual(run.code, DONE, run)
        self.assertEqual((self.proxy.messages, run.totals["present"], run.totals["copied"]), (5, 19, 5), run)
        before["INBOX"] = sorted(before["INBOX"] + [4, 10, 11])
        before["Sent Items"] = [110, 111]
        self.assertEqual(self.there(), before)
        self.proxy.reset()
        self.assertEqual(self.haul.copy(*words, "--fill").code, DONE)
        self.assertEqual((self.proxy.messages, self.there()), (0, before))


class TestDovecot(Common, unittest.TestCase):
    kind = Dovecot


class TestCyrus(Common, unittest.TestCase):
    kind = Cyrus


if __name__ == "__main__":
    unittest.main()
