"""POP3 clients keep their mail on the server and remember the UIDLs of what they
have: when the account has moved to dovecot:PATH, nothing is new to them."""

import hashlib
import os
import unittest

import offline
import trees
from getmail import Getmail

BODY = b"From: x@example.org\nSubject: %d\n\nbody of %d\n"


class Client:
    """Downloads what it does not know, as getmail and fetchmail do."""

    def __init__(self, server):
        self.server, self.known = server, {}

    def run(self, user):
        """How many were downloaded; the UIDLs in the server's order."""
        client, new, order = self.server.pop3(user), 0, []
        for line in client.uidl()[1]:
            number, uidl = line.split()
            order.append(uidl)
            if uidl not in self.known:
                self.known[uidl] = self.digest(client, number)
                new += 1
        client.quit()
        return new, order

    @staticmethod
    def digest(client, number):
        return hashlib.sha256(b"\n".join(client.retr(int(number))[1])).hexdigest()

    def check(self, case, user):
        """What the server has under a UIDL is what the client has under it."""
        client = self.server.pop3(user)
        for line in client.uidl()[1]:
            number, uidl = line.split()
            case.assertEqual(self.digest(client, number), self.known[uidl], uidl)
        client.quit()


class Pop3(offline.Case):
    settings = {"POP3": "yes"}

    def moved(self, source, original):
        """The client was in sync with original; user has the copy of source."""
        client, number = Client(self.server), len(os.listdir(self.haul.directory))
        real = Getmail(os.path.dirname(self.haul.write(f"getmail{number}/x", "")), b"Subject: ")
        new, order = client.run(original)
        self.assertEqual(new, len(set(order)))
        self.assertEqual(real.run(self.server, original), new)
        self.checked(self.haul.copy("maildir:" + source, self.target()))
        self.assertEqual(client.run(self.user), (0, order))
        client.check(self, self.user)
        self.assertEqual(real.run(self.server, self.user), 0)
        return client, new

    def test_from_dovecot(self):
        """UIDLs of the default form, others' and an order that is not UIDs'."""
        source, original = self.haul.path("src"), f"user{self.last_user + 20}"
        box = trees.Box(uidvalidity=1234567, uidnext=900)
        for i in range(24):
            box.add(BODY % (i, i), uid=5 * i + 2, flags="S" if i % 2 else "",
                    uidl=f"old-{i}.host" if i % 3 == 0 else None, order=50 - i if i % 4 == 0 else 0)
        box.write(source)
        self.serve(source, original)
        client, new = self.moved(source, original)
        self.assertEqual(new, 24)
        # later mail, and it alone, is new
        late = BODY % (99, 99)
        with open(os.path.join(source, "new", "1700000000.M1P1.example"), "wb") as f:
            f.write(late)
        self.checked(self.haul.copy("maildir:" + source, self.target()))
        self.assertEqual(client.run(self.user)[0], 1)
        # the test would see it if they were lost
        path = os.path.join(self.root(), "dovecot-uidlist")
        with open(path, encoding="ascii") as f:
            text = f.read()
        self.assertIn(" Pold-3.host ", text)
        with open(path + ".tmp", "w", encoding="ascii") as f:
            f.write(text.replace(" Pold-", " Pnew-"))
        if offline.ROOT:
            os.chown(path + ".tmp", *self.ids)
        os.rename(path + ".tmp", path)
        self.assertEqual(client.run(self.user)[0], 8)

    def test_from_courier(self):
        """Its POP3 server has a list of its own: what it said goes on."""
        source = self.haul.path("src")
        box = trees.Box()
        for i in range(4):
            box.add(BODY % (i, i), base=f"100{i}.M1P1V1I1_0.h,S={len(BODY % (i, i))}", flags="S")
        box.write(source)
        with open(os.path.join(source, "courierimapuiddb"), "w", encoding="ascii") as f:
            f.write("1 55 100\n")
            f.writelines(f"{10 * i + 7} {m[0]}\n" for i, m in enumerate(box.messages))
        with open(os.path.join(source, "courierpop3dsizelist"), "w", encoding="ascii") as f:
            f.write("/3 9 1234\n")
            for i, (base, letters, body, _, _) in enumerate(box.messages):
                f.write(f"{base}:2,{letters} {len(body)} {i + 3}:{0 if i == 3 else 1234}:0\n")
        self.checked(self.haul.copy("maildir:" + source, self.target()))
        _, order = Client(self.server).run(self.user)
        self.assertEqual(order, [b"UID3-1234", b"UID4-1234", b"UID5-1234", b"UID6"])
        self.assertEqual([m.uid for m in self.there().boxes["INBOX"].messages], [7, 17, 27, 37])


if __name__ == "__main__":
    unittest.main()
