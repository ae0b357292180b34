"""Passes into a Maildir that a Dovecot serves meanwhile: deliveries, flags and
expunges of others beside ours.  MAILHAUL_ROUNDS says how many passes (25)."""

import hashlib
import os
import random
import threading
import time
import unittest
from collections import Counter

import offline
import readback
import trees
from haul import DONE

ROUNDS = int(os.environ.get("MAILHAUL_ROUNDS", "25"))


EMPTY = hashlib.sha256(b"").hexdigest()


def crlf_digest(body):
    return hashlib.sha256(body.replace(b"\n", b"\r\n")).hexdigest()


class Others:
    """What users and deliveries do, in threads of their own, until stop()."""

    def __init__(self, case):
        self.case, self.server, self.user = case, case.server, case.user
        self.ending = threading.Event()
        self.errors, self.added, self.gone, self.flagged = [], {}, set(), {}
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run, args=(f,)) for f in (self.append, self.deliver, self.flag, self.poll)]
        for thread in self.threads:
            thread.start()

    def run(self, function):
        try:
            function()
        except Exception as e:  # told by stop()
            self.errors.append(repr(e))

    def stop(self):
        self.ending.set()
        for thread in self.threads:
            thread.join()
        return self.errors

    def body(self, kind):
        with self.lock:
            n = len(self.added)
            body = b"From: other@example.org\nSubject: %s %d\n\nother %d\n" % (kind.encode(), n, n)
            self.added[crlf_digest(body)] = kind
        return body

    def append(self):
        client = self.server.login(self.user)
        while not self.ending.is_set():
            client.append("INBOX", None, None, self.body("append").replace(b"\n", b"\r\n"))
            time.sleep(random.random() / 20)
        client.logout()

    def deliver(self):
        """As qmail or Postfix do, without a lock."""
        number = 0
        while not self.ending.is_set():
            root, name = self.case.root(), f"{int(time.time())}.M{number}P7.mda"
            number += 1
            with open(os.path.join(root, "tmp", name), "wb") as f:
                f.write(self.body("deliver"))
                if os.getuid() == 0:
                    os.fchown(f.fileno(), *self.case.ids)
            os.rename(os.path.join(root, "tmp", name), os.path.join(root, "new", name))
            time.sleep(random.random() / 20)

    def flag(self):
        """Flags for anybody's mail, expunges for that of the appender."""
        client = self.server.login(self.user)
        client.select("INBOX")
        while not self.ending.is_set():
            client.noop()
            uids = client.uid("SEARCH", "ALL")[1][0].split()
            for uid in random.sample(uids, min(4, len(uids))):
                word = random.choice(["$Label1", "user-word", r"\Flagged"])
                if client.uid("STORE", uid.decode(), "+FLAGS", f"({word})")[1] != [None]:
                    self.flagged.setdefault(int(uid), set()).add(word)
            mine = client.uid("SEARCH", "SUBJECT", '"append"')[1][0].split()
            if mine and random.random() < 0.3:
                uid = random.choice(mine)
                body = readback.content(client, uid.decode())
                if body is not None:
                    client.uid("STORE", uid.decode(), "+FLAGS", r"(\Deleted)")
                    client.uid("EXPUNGE", uid.decode())
                    self.gone.add(hashlib.sha256(body).hexdigest())
            time.sleep(0.02)
        client.logout()

    def poll(self):
        """A client whose cache must stay true: a UID never means two messages."""
        client = self.server.login(self.user)
        client.select("INBOX", readonly=True)
        known, valid = {}, client.response("UIDVALIDITY")[1][0]
        while not self.ending.is_set():
            client.select("INBOX", readonly=True)
            if client.response("UIDVALIDITY")[1][0] != valid:
                raise AssertionError("UIDVALIDITY changed")
            for m in readback.fetch(client):
                # one that is expunged just then has no bytes any more
                if m.digest != EMPTY and known.setdefault(m.uid, m.digest) != m.digest:
                    raise AssertionError(f"uid {m.uid} was {known[m.uid]}, is {m}")
            time.sleep(0.1)
        client.logout()


class Live(offline.Case):
    def test_beside_a_server(self):
        source = self.haul.path("src")
        box, want = trees.Box(), Counter()
        self.server.login(self.user).logout()
        others, number = None, 0
        for turn in range(ROUNDS):
            for _ in range(5):
                body = b"From: x@example.org\n\nours %d\n" % number
                box.add(body, base=f"{1000 + number}.M1P1.h", keywords=["ours"] if number % 3 == 0 else (), flags="S" if number % 2 else "")
                want[crlf_digest(body)] += 1
                number += 1
            box.write(source)
            run = self.haul.copy("maildir:" + source, self.target(), "--existing", "merge")
            self.assertEqual((run.code, run.totals["source"]), (DONE, number), run)
            self.assertEqual(run.totals["copied"] + run.totals["present"], number)
            if others is None:
                others = Others(self)
                self.addCleanup(others.ending.set)
        self.assertEqual(others.stop(), [])
        inbox = self.there().boxes["INBOX"]
        got = inbox.digests()
        self.assertEqual({d: n for d, n in got.items() if d in want}, want)
        rest = {d: n for d, n in got.items() if d not in want}
        self.assertEqual(rest, {d: 1 for d in others.added if d not in others.gone})
        self.assertGreater(len(rest), ROUNDS)
        for m in inbox.messages:
            self.assertLessEqual({w.lower() if w[0] == "\\" else w for w in others.flagged.get(m.uid, ())}, m.flags | m.keywords)
        self.assertGreater(len(others.gone), 0)
        self.assertEqual(trees.leftovers(self.root()), [])
        self.assertEqual(self.logged(), [])
        before = [(m.uid, m.digest) for m in inbox.messages]
        self.server.doveadm("force-resync", "-u", self.user, "*")
        self.assertEqual([(m.uid, m.digest) for m in self.there().boxes["INBOX"].messages], before)
        self.assertEqual(self.logged(), [])

    def test_a_test_message_before(self):
        """Somebody tried the new server and tidied up: UIDs are kept all the
        same, and no client that was there sees one of them twice."""
        client = self.server.login(self.user)
        for _ in range(3):
            client.append("INBOX", None, None, b"Subject: try\r\n\r\ntry\r\n")
        client.select("INBOX")
        before = client.response("UIDVALIDITY")[1][0]
        client.store("1:*", "+FLAGS", r"(\Deleted)")
        client.expunge()
        client.logout()
        source = self.haul.path("src")
        box = trees.Box(uidvalidity=9, uidnext=20)
        for uid in 1, 2, 3, 7:
            box.add(b"From: x@example.org\n\n%d\n" % uid, uid=uid)
        box.write(source)
        run = self.checked(self.haul.copy("maildir:" + source, self.target()))
        self.assertNotIn("[uids]", run.err + run.out)
        inbox = self.there().boxes["INBOX"]
        self.assertEqual((inbox.uidvalidity, inbox.uidnext, [m.uid for m in inbox.messages]), (9, 20, [1, 2, 3, 7]))
        self.assertNotEqual(before, b"9")

    def test_lock_that_is_held(self):
        """A lock of a living process: nothing half done, and said so; one of a
        dead process is taken away."""
        source = self.haul.path("src")
        box = trees.Box(uidvalidity=9)
        box.add(b"From: x@example.org\n\none\n", uid=4)
        box.write(source)
        self.assertEqual(self.haul.copy("maildir:" + source, self.target()).code, DONE)
        box.add(b"From: x@example.org\n\ntwo\n", uid=6)
        box.write(source)
        lock = os.path.join(self.root(), "dovecot-uidlist.lock")
        host = os.uname().nodename
        with open(lock, "w", encoding="ascii") as f:
            f.write(f"{os.getpid()}:{host}")
        process = self.haul.start_copy("maildir:" + source, self.target())
        time.sleep(1.5)
        self.assertEqual(len(trees.read(self.root())), 1)
        os.unlink(lock)
        run = self.haul.finish(process)
        self.assertEqual(run.code, DONE, run)
        self.assertEqual([m.uid for m in self.there().boxes["INBOX"].messages], [4, 6])
        box.add(b"From: x@example.org\n\nthree\n", uid=8)
        box.write(source)
        dead = os.fork()
        if dead == 0:
            os._exit(0)
        os.waitpid(dead, 0)
        with open(lock, "w", encoding="ascii") as f:
            f.write(f"{dead}:{host}")
        self.assertEqual(self.haul.copy("maildir:" + source, self.target()).code, DONE)
        self.assertEqual([m.uid for m in self.there().boxes["INBOX"].messages], [4, 6, 8])
        self.checked(self.haul.copy("maildir:" + source, self.target()))


if __name__ == "__main__":
    unittest.main()
