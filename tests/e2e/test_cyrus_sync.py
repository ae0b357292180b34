"""cyrus: as a target, through a private sync_server and through an admin's IMAP
session: an independent client sees the source's UIDs, UIDVALIDITY, UIDNEXT,
flags, keywords, dates, sizes and bytes, and Cyrus' own tools find nothing."""

import os
import shutil
import unittest

import cysync
import trees
from cysync import fill, write
from haul import ACCOUNTS, DIFFERS, DONE, MISUSE


class Sync(cysync.Case):
    settings = {"EXTRA": "conversations: no"}

    def boxes(self):
        sent = fill(12, 77)
        return {
            "INBOX": fill(90, 1234567890, uidnext=5000),
            "Sent": sent,
            "a/b/c": fill(3, 4294967295, first=2147483000, step=1),
            "M\u00fcll & mehr": fill(2, 5),
            "empty": trees.Box(uidvalidity=17, uidnext=44),
        }

    def copy_and_compare(self, target):
        source, boxes = self.haul.path("src"), self.boxes()
        write(source, boxes)
        with open(os.path.join(source, "subscriptions"), "w", encoding="ascii") as f:
            f.write("V\t2\n\nSent\na\tb\tc\n")
        run = self.checked(self.copy(source, target))
        self.assertEqual(run.totals["copied"], sum(len(b.messages) for b in boxes.values()))
        self.assertEqual([i for i in run.report["issues"] if i["kind"] not in ("created", "renamed")], [])
        there = self.there()
        self.equal(boxes, there)
        self.assertIn("\\sent", there.boxes["INBOX/Sent"].special_use)
        self.assertLessEqual({"INBOX/Sent", "INBOX/a/b/c"}, there.subscribed)
        self.sound()
        # nothing is left to do
        again = self.checked(self.copy(source, target))
        self.assertEqual(again.totals["copied"], run.totals["copied"])
        self.equal(boxes)
        # ... nor for somebody who knows nothing of it
        fresh = self.copy(source, target, state=self.haul.path("other.db"))
        self.assertEqual((fresh.totals["copied"], fresh.totals["present"]), (0, run.totals["copied"]), fresh)
        self.equal(boxes)
        # more mail, above what was there
        boxes["INBOX"].add(b"From: x@example.org\n\nlate\n", uid=6000, flags="S")
        write(source, boxes)
        more = self.checked(self.copy(source, target))
        self.assertEqual(more.totals["copied"], run.totals["copied"] + 1)
        self.equal(boxes)
        self.sound()

    def test_private_server(self):
        self.copy_and_compare(self.target())

    def test_admin_session(self):
        self.copy_and_compare(self.remote())

    def test_service_is_down(self):
        source, boxes = self.haul.path("src"), {"INBOX": fill(5, 99)}
        write(source, boxes)
        self.server.stop()
        try:
            self.checked(self.copy(source, self.target()))
        finally:
            self.server.start()
        self.equal(boxes)
        self.sound()

    def test_inbox_that_is_there(self):
        """An INBOX that never held a message gets the source's numbers, and
        keeps what hangs on it."""
        self.server.create_user(self.user, quota_kib=100_000)
        client = self.server.login_as(self.user)
        client.create("INBOX/Old")
        client.subscribe("INBOX/Old")
        before = client.status("INBOX", "(MAILBOXID)")
        client.logout()
        source, boxes = self.haul.path("src"), {"INBOX": fill(20, 1000)}
        write(source, boxes)
        self.checked(self.copy(source, self.target()))
        self.equal(boxes)
        client = self.server.login_as(self.user)
        self.assertEqual(client.status("INBOX", "(MAILBOXID)"), before)
        self.assertIn(b"100000", client.getquotaroot("INBOX")[1][1][0])
        client.logout()
        self.assertIn("INBOX/Old", self.there().subscribed)
        self.sound()

    def test_inbox_that_is_kept(self):
        """inbox=keep leaves it its UIDVALIDITY; other mailboxes get the source's."""
        self.server.create_user(self.user)
        client = self.server.login_as(self.user)
        before = client.status("INBOX", "(UIDVALIDITY)"), client.status("INBOX", "(MAILBOXID)")
        client.create("INBOX/Sent")
        source, boxes = self.haul.path("src"), {"INBOX": fill(20, 1000), "Sent": fill(3, 99)}
        write(source, boxes)
        for _ in range(2):
            run = self.checked(self.copy(source, self.target(inbox="keep")))
            self.assertEqual(run.totals["copied"], 23, run)
            self.assertEqual((client.status("INBOX", "(UIDVALIDITY)"), client.status("INBOX", "(MAILBOXID)")), before)
        client.logout()
        self.assertIn("a UIDVALIDITY of its own", "".join(i["reason"] for i in run.report["issues"]))
        there = self.there()
        self.assertEqual([m.uid for m in there.boxes["INBOX"].messages], list(range(1, 21)))
        there.boxes.pop("INBOX")
        self.equal({"Sent": boxes["Sent"]}, there)
        self.sound()

    def test_what_hangs_on_mailboxes(self):
        """Rights, annotations and limits that somebody has set stay; a limit of
        the source is set with room, and other limits beside it stay."""
        self.server.create_user(self.user)
        admin = self.server.admin_login()
        name = f'"{self.admin_name()}"'
        admin.setquota(name, "(STORAGE 77 MESSAGE 900)")
        client = self.server.login_as(self.user)
        client.create("INBOX/Sent")
        for box in "INBOX", "INBOX/Sent":
            client.setacl(box, "friend", "lr")
            client.xatom("SETMETADATA", box, '(/private/comment "a note" /shared/comment "a \\"shared\\" one")')

        def seen():
            rights = [client.getacl(box)[1] for box in ("INBOX", "INBOX/Sent")]
            notes = []
            for box in "INBOX", "INBOX/Sent":
                client.untagged_responses.pop("METADATA", None)
                client.xatom("GETMETADATA", box, "(/private/comment /shared/comment)")
                notes.append(client.response("METADATA")[1])
            return rights, notes

        before = seen()
        self.assertIn("shared", str(before[1]))
        self.assertIn(b"friend lr", before[0][0][0])
        source, boxes = self.haul.path("src"), {"INBOX": fill(20, 1000), "Sent": fill(3, 99)}
        write(source, boxes)
        for rule, want in ("300M", {"STORAGE": 300 * 1024, "MESSAGE": 900}), ("10", {"STORAGE": None, "MESSAGE": 900}), ("none", {"MESSAGE": 900}), ("keep", {"MESSAGE": 900}):
            self.checked(self.copy(source, self.target(), "--quota", rule))
            words = admin.getquota(name)[1][0].decode().split("(")[1].rstrip(")").split()
            limits = {words[i]: int(words[i + 2]) for i in range(0, len(words), 3)}
            used = {words[i]: int(words[i + 1]) for i in range(0, len(words), 3)}
            if want.get("STORAGE", 0) is None:  # what the mail needs, and 5 MiB
                self.assertGreaterEqual(limits["STORAGE"], used["STORAGE"] * 1.02 + 5 * 1024)
                self.assertLess(limits["STORAGE"], used["STORAGE"] * 1.02 + 5 * 1024 + 20)
                want["STORAGE"] = limits["STORAGE"]
            self.assertEqual((limits, used["MESSAGE"]), (want, 23), rule)
            self.equal(boxes)
            self.assertEqual(seen(), before)
        admin.setquota(name, "(STORAGE 77)")
        self.checked(self.copy(source, self.target(), "--quota", "none"))
        self.sound()
        client.logout()
        admin.logout()

    def test_as_a_source(self):
        """Rights and subscriptions to mailboxes of others are read, too."""
        users = [f"{self.user}{x}" for x in "abcd"]
        for user in users:
            self.server.create_user(user)
        one, two = self.server.login_as(users[0]), self.server.login_as(users[1])
        one.create("INBOX/News")
        one.setacl("INBOX/News", users[1], "lrs")
        one.setacl("INBOX/News", "anyone", "p")  # all of which no other test sees
        one.append("INBOX/News", None, None, b"Subject: x\r\n\r\nx\r\n")
        two.append("INBOX", None, None, b"Subject: y\r\n\r\ny\r\n")
        self.assertEqual(two.subscribe(f"user/{users[0]}/News")[0], "OK")
        rows = f"user,target_user\n{users[0]},{users[2]}\n{users[1]},{users[3]}\n"
        words = self.haul.job(self.target("{user}"), self.target("{target_user}"), rows, "settle = 1\nempty = ok")
        run = self.haul.copy(*words)
        self.assertEqual((run.code, run.totals["copied"]), (DONE, 2), run)
        three, four = self.server.login_as(users[2]), self.server.login_as(users[3])
        rights = dict(zip(*[iter(three.getacl("INBOX/News")[1][0].decode().split()[1:])] * 2))
        self.assertEqual((rights[users[3]], rights["anyone"]), ("lrs", "p"), rights)
        self.assertNotIn(users[1], rights)
        self.assertIn(f"user/{users[2]}/News", cysync.readback.listing(four)[1])
        self.assertEqual(four.select(f"user/{users[2]}/News", readonly=True)[1], [b"1"])
        for client in one, two, three, four:
            client.logout()

    def test_mail_that_is_there(self):
        """Other mail keeps its place; ours comes behind it with new numbers,
        and what is equal is not stored twice."""
        self.server.create_user(self.user)
        box = fill(10, 1000)
        client = self.server.login_as(self.user)
        client.append("INBOX", None, None, b"From: other@example.org\r\n\r\nother\r\n")
        client.append("INBOX", None, None, cysync.nasty.crlf(b"From: x@example.org\n\nequal\n"))
        before = client.status("INBOX", "(UIDVALIDITY)")
        client.logout()
        box.add(b"From: x@example.org\n\nequal\n", uid=5000)
        source = self.haul.path("src")
        write(source, {"INBOX": box})
        run = self.copy(source, self.target())
        self.assertEqual((run.code, run.totals["copied"], run.totals["present"]), (DONE, 10, 1), run)
        client = self.server.login_as(self.user)
        self.assertEqual(client.status("INBOX", "(UIDVALIDITY)"), before)
        client.logout()
        self.assertEqual([m.uid for m in self.there().boxes["INBOX"].messages], list(range(1, 13)))
        self.sound()

    def test_what_cyrus_must_not_get(self):
        """NUL bytes are refused and listed, or mended on request; keywords that
        are none are left out; dates are moved into what Cyrus holds."""
        box = trees.Box(uidvalidity=5)
        box.add(b"From: x@example.org\n\nplain\n", uid=1, keywords=["a(b", "ok"])
        box.add(b"From: x@example.org\n\nN\0L\n", uid=2)
        box.add(b"From: x@example.org\n\nold\n", uid=3, date=-86400)
        box.add(b"no header at all", uid=4)
        source = self.haul.path("src")
        write(source, {"INBOX": box})
        run = self.copy(source, self.target())
        self.assertEqual((run.code, run.totals["copied"], run.totals["refused"]), (DIFFERS, 3, 1), run)
        kinds = {i["kind"] for i in run.report["issues"]}
        self.assertLessEqual({"refused", "keywords", "date"}, kinds)
        got = self.there().boxes["INBOX"].messages
        self.assertEqual([(m.uid, m.date) for m in got], [(1, 1_000_000_000), (3, 1), (4, 1_000_000_000)])
        self.assertEqual(got[0].keywords, {"ok"})
        self.sound()
        other = self.name(self.last_user) + "r"
        run = self.copy(source, self.target(other), "--repair", state=self.haul.path("r.db"))
        self.assertEqual((run.totals["copied"], run.totals["refused"]), (4, 0), run)
        self.assertEqual([m.uid for m in self.there(other).boxes["INBOX"].messages], [1, 2, 3, 4])
        self.sound(other)

    def test_many_keywords(self):
        """A mailbox has room for 128."""
        box = trees.Box(uidvalidity=5)
        words = [f"word{i}" for i in range(26)]
        source = self.haul.path("src")
        for i in range(26):
            box.add(b"From: x@example.org\n\n%d\n" % i, uid=i + 1, keywords=[words[i]])
        write(source, {"INBOX": box})
        self.server.create_user(self.user)
        client = self.server.login_as(self.user)
        client.append("INBOX", "(" + " ".join(f"k{i}" for i in range(99)) + ")", None, b"From: other@example.org\r\n\r\nother\r\n")
        client.select("INBOX")
        client.store("1", "+FLAGS", "(\\Deleted)")
        client.expunge()
        client.logout()
        run = self.copy(source, self.target())
        self.assertEqual(run.totals["copied"], 26, run)
        kept = sum(bool(m.keywords) for m in self.there().boxes["INBOX"].messages)
        self.assertGreaterEqual(kept, 1)
        self.assertEqual(sum(i["kind"] == "keywords" for i in run.report["issues"]), 26 - kept, run)
        self.sound()

    def test_large_message(self):
        box = fill(2, 9)
        box.add(b"From: x@example.org\n\n" + b"0123456789abcdef\n" * 400_000, uid=100)
        source = self.haul.path("src")
        write(source, {"INBOX": box})
        for number, target in enumerate([self.target(), self.remote(self.user + "r")]):
            self.checked(self.copy(source, target, state=self.haul.path(f"{number}.db")))
        self.equal({"INBOX": box})
        self.equal({"INBOX": box}, user=self.user + "r")

    def test_numbers_that_search_does_not_know(self):
        """Cyrus 3.6 keeps and fetches them, and SEARCH does not find them."""
        box = trees.Box(uidvalidity=5)
        for i in range(3):
            box.add(b"From: x@example.org\n\n%d\n" % i, uid=4294967200 + i)
        source = self.haul.path("src")
        write(source, {"INBOX": box})
        run = self.checked(self.copy(source, self.target()))
        self.assertIn("SEARCH", "".join(i["reason"] for i in run.report["issues"]))
        client = self.server.login_as(self.user)
        client.select("INBOX", readonly=True)
        self.assertEqual(client.fetch("1:*", "(UID)")[1], [b"%d (UID %d)" % (i + 1, 4294967200 + i) for i in range(3)])
        client.logout()

    def test_undo(self):
        self.server.create_user(self.user)
        client = self.server.login_as(self.user)
        client.append("INBOX", None, None, b"From: other@example.org\r\n\r\nother\r\n")
        client.logout()
        source = self.haul.path("src")
        write(source, {"INBOX": fill(10, 9), "Sent": fill(3, 10)})
        self.checked(self.copy(source, self.target(), "--existing", "merge"))
        run = self.haul.run("undo", "maildir:" + source, self.target(), "--state", self.haul.state, "--yes")
        self.assertEqual(run.code, DONE, run)
        there = self.there()
        self.assertEqual(there.total(), 1)
        self.assertNotIn("INBOX/Sent", there.boxes)
        self.sound()


class Refused(cysync.Case):
    """Clear, early, and nothing half done."""

    settings = {}

    def refusal(self, target, words, code=ACCOUNTS, options=["--create-users"]):
        source = self.haul.path("src")
        write(source, {"INBOX": fill(2, 9)})
        for run in self.haul.plan, self.haul.copy:
            got = run("maildir:" + source, target, *options)
            self.assertEqual(got.code, code, got)
            self.assertIn(words, got.err + got.out)

    def test_no_configuration(self):
        self.refusal(self.target(conf="/nonexistent/imapd.conf"), "imapd.conf: No such file")

    def test_not_a_configuration(self):
        self.refusal(self.target(conf=self.haul.write("x.conf", "hello\n")), "names no configdirectory")

    def test_no_program(self):
        self.refusal(self.target(libexec="/nonexistent"), "sync_server: No such file")

    def test_no_user(self):
        self.refusal(self.target(), f"there is no user {self.user}", options=[])

    @unittest.skipUnless(os.getuid() == 0, "only root can be somebody else")
    def test_no_right_to_become_cyrus(self):
        source, place = self.haul.path("src"), self.haul.directory
        write(source, {"INBOX": fill(2, 9)})
        program = cysync.shutil.copy(self.haul.program, place)
        for directory, _, files in os.walk(place):
            for name in [directory] + [os.path.join(directory, f) for f in files]:
                os.chown(name, 65534, 65534)
        self.haul.program = program
        who = {"user": 65534, "group": 65534, "extra_groups": []}
        for run in self.haul.plan, self.haul.copy:
            got = run("maildir:" + source, self.target(), "--create-users", **who)
            self.assertEqual(got.code, ACCOUNTS, got)
            self.assertRegex(got.err + got.out, r"sync_server ended with \d+|Permission denied")
        self.assertNotIn("MBOXNAME", self.sync(f"GET USER {self.user}"))

    def test_no_partition(self):
        self.refusal(self.target(partition="elsewhere"), "has no such partition")

    def test_no_such_user_name(self):
        self.refusal(self.target("a*b"), "is no user name")

    def test_wrong_options(self):
        for words, target in (
            ("tls= means nothing", self.target(tls="none")),
            ("conf= means nothing", self.remote(conf="/etc/imapd.conf")),
            ("transport=x", self.target(transport="x")),
            ("inbox=x: anew or keep", self.target(inbox="x")),
            ("needs a host", self.target(transport="imap")),
        ):
            self.refusal(target, words, MISUSE)

    def test_not_an_admin(self):
        """Then it goes by IMAP, and that is said; or not at all."""
        source, box = self.haul.path("src"), trees.Box(uidvalidity=99)
        for i in range(5):
            box.add(b"From: x@example.org\n\n%d\n" % i, uid=3 * i + 1)
        write(source, {"INBOX": box})
        self.server.create_user(self.user)
        target = self.remote(admin=self.server.proxy)
        source = self.haul.path("src")
        self.refusal(target + "&transport=sync", "is no admin there")
        shutil.rmtree(source)
        write(source, {"INBOX": box})
        run = self.haul.copy("maildir:" + source, target, state=self.haul.path("imap.db"))
        self.assertEqual((run.code, run.totals["copied"]), (DONE, 5), run)
        self.assertIn("by IMAP, with UIDs of the target's own", run.out)
        self.assertEqual(len(self.there().boxes["INBOX"].messages), 5)

    def test_imap_on_request(self):
        source = self.haul.path("src")
        box = trees.Box(uidvalidity=99)
        box.add(b"From: x@example.org\n\n1\n", uid=30)
        write(source, {"INBOX": box})
        self.server.create_user(self.user)
        run = self.haul.copy("maildir:" + source, self.remote(transport="imap"))
        self.assertEqual((run.code, run.totals["copied"]), (DONE, 1), run)
        self.assertEqual([m.uid for m in self.there().boxes["INBOX"].messages], [1])


if __name__ == "__main__":
    unittest.main()
