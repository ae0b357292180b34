"""Whole accounts into both servers: every byte, flag and date arrives, the
report says what is there, and the same command again sends nothing."""

import json
import os
import time
import unittest
from unittest import mock

import mail
import nasty
import readback
import reports
from haul import ACCOUNTS, DIFFERS, DONE, OUTCOMES, Haul, balance
from proxy import Proxy
from servers import Cyrus, Dovecot

SPECIAL = {"Sent": "\\sent", "Drafts": "\\drafts", "Trash": "\\trash", "Junk": "\\junk"}


class Common:
    @classmethod
    def setUpClass(cls):
        cls.server = cls.kind(USERS=32, EXTRA=cls.extra)
        cls.addClassCleanup(cls.server.destroy)
        cls.server.start()
        cls.last_user = 0

    def setUp(self):
        self.haul = Haul()
        self.addCleanup(self.haul.destroy)

    def fresh_user(self):
        type(self).last_user += 1
        return f"user{self.last_user}"

    def there(self, user):
        client = self.server.login(user)
        try:
            return readback.account(client)
        finally:
            client.logout()

    def proxy(self):
        proxy = Proxy(self.server.host, self.server.imap_port).start()
        self.addCleanup(proxy.stop)
        return proxy

    def box(self, name):
        """The server's own name of a source's mailbox."""
        return name if name == "INBOX" else self.below + name

    # -- one account with all that is nasty

    def same(self, got, wanted, content, repair=False):
        """Two Counters of readback.Account.contents(), with the names of what differs."""
        if got == wanted:
            return
        names = {}
        for item in content:
            what = nasty.arrives(item.name, item.data, self.server.name, repair)
            names[nasty.digest(what) if isinstance(what, bytes) else what] = item.name
        dates = {item.date: item.name for item in content}
        missing = [(names[k[0]], *k[1:]) for k in wanted - got]
        strange = [(names.get(k[0], f"{k[0]} of the date of {dates.get(k[1])}"), *k[1:]) for k in got - wanted]
        self.fail(f"missing: {missing}\nthere instead: {strange}")

    def check_account(self, user, boxes, run, repair=False):
        """boxes: {mailbox: [Item]}; what is there and what was reported."""
        account, report = self.there(user), run.report
        kind = self.server.name
        mailboxes = {m["name"]: m for m in report["accounts"][0]["mailboxes"]}
        self.assertEqual(set(mailboxes), set(boxes))
        refused, repaired = {}, set()
        for name, content in boxes.items():
            there, words = nasty.expected(content, kind, repair)
            self.same(account.contents()[self.box(name)], there, content, repair)
            refused.update({(name, n): w for n, w in words.items()})
            if repair:
                repaired |= {(name, i.name) for i in content if (i.name, kind) in nasty.REPAIRED}
            self.assertEqual(
                mailboxes[name]["totals"],
                dict.fromkeys(OUTCOMES, 0) | {"source": len(content), "copied": sum(there.values()), "refused": len(words)},
            )
        self.assertEqual(balance(report), [])
        listed = {(i["mailbox"], i["where"].split(".")[1]): i["reason"] for i in report["issues"] if i["kind"] == "refused"}
        self.assertEqual(set(listed), set(refused))
        for key, reason in listed.items():
            self.assertIn(refused[key], reason)
        for issue in report["issues"]:
            self.assertEqual(set(issue) - {"size", "message"}, {"account", "mailbox", "kind", "bad", "where", "message_id", "subject", "reason", "pass"})
            self.assertEqual(issue["account"], user)
            if issue["kind"] != "refused":
                continue
            name = issue["where"].split(".")[1]
            self.assertEqual(issue["size"], len(nasty.crlf(nasty.MESSAGES[name])))
            if name in ("nul-body", "no-colon", "blank-in-name", "binary"):
                self.assertEqual((issue["message_id"], issue["subject"]), ("<nasty@example.org>", "nasty"))
        self.assertEqual({(i["mailbox"], i["where"].split(".")[1]) for i in report["issues"] if i["kind"] == "repaired"}, repaired)
        self.assertEqual(run.code, DIFFERS if refused or repaired else DONE)

    def test_nasty_maildir(self):
        user = self.fresh_user()
        items = nasty.items()
        boxes = {"INBOX": items[::2], "Sent": items[1::2]}
        # both twins in one mailbox
        boxes["Archive"] = nasty.items(["twin-1", "twin-2", "sibling-1", "sibling-2", "sibling-3", "plain"])
        nasty.write_maildir(self.haul.path("src"), boxes)
        source = "maildir:" + self.haul.path("src")
        proxy = self.proxy()
        target = self.haul.user(self.server, user, tls="none", port=proxy.port)
        run = self.haul.copy(source, target)
        self.check_account(user, boxes, run)
        before = self.there(user).contents()
        # the same again, and then as if the state had been lost
        proxy.reset()
        again = self.haul.copy(source, target)
        self.assertEqual((proxy.writes(), proxy.messages), (0, 0), proxy.log)
        self.assertEqual(again.report["totals"], run.report["totals"])
        self.assertEqual(again.code, run.code)
        proxy.reset()
        lost = self.haul.copy(source, target, state=self.haul.path("lost.db"))
        self.assertEqual(proxy.commands["CREATE"], 0)
        totals = lost.totals
        self.assertEqual(
            (totals["present"], totals["copied"], totals["refused"]),
            (run.totals["copied"], 0, run.totals["refused"]),
            lost,
        )
        self.assertEqual(self.there(user).contents(), before)
        # with --repair the refused ones follow, and nothing else
        proxy.reset()
        mended = self.haul.copy(source, target, "--repair")
        self.check_account(user, boxes, mended, repair=True)
        self.assertEqual(proxy.messages >= mended.totals["copied"] - run.totals["copied"], True)
        proxy.reset()
        again = self.haul.copy(source, target, "--repair")
        self.assertEqual((proxy.writes(), again.totals), (0, mended.totals))

    def test_repair_at_once(self):
        user = self.fresh_user()
        boxes = {"INBOX": nasty.items()}
        nasty.write_maildir(self.haul.path("src"), boxes)
        source, target = "maildir:" + self.haul.path("src"), self.haul.user(self.server, user)
        run = self.haul.copy(source, target, "--repair")
        self.check_account(user, boxes, run, repair=True)
        before = self.there(user).contents()
        lost = self.haul.copy(source, target, "--repair", state=self.haul.path("lost.db"))
        self.assertEqual((lost.totals["copied"], self.there(user).contents()), (0, before), lost)

    def test_nasty_mbox(self):
        user = self.fresh_user()
        items = nasty.items(nasty.IN_MBOX)
        boxes = {"INBOX": items[::2], "Trash": items[1::2]}
        os.mkdir(self.haul.path("mail"))
        nasty.write_mbox(self.haul.path("spool"), boxes["INBOX"])
        nasty.write_mbox(self.haul.path("mail/Trash"), boxes["Trash"])
        source = f"mbox:{self.haul.path('mail')}?inbox={self.haul.path('spool')}"
        proxy = self.proxy()
        target = self.haul.user(self.server, user, tls="none", port=proxy.port)
        run = self.haul.copy(source, target)
        account, refused = self.there(user), {}
        for name, content in boxes.items():
            there, words = nasty.expected(content, self.server.name)
            self.same(account.contents()[self.box(name)], there, content)
            refused.update(words)
        self.assertEqual(balance(run.report), [])
        self.assertEqual(run.report["stripped"], len(items))
        listed = [i["reason"] for i in run.report["issues"] if i["kind"] == "refused"]
        self.assertEqual(len(listed), len(refused), run)
        proxy.reset()
        again = self.haul.copy(source, target)
        self.assertEqual((proxy.writes(), again.totals), (0, run.totals))

    # -- what a mailbox carries

    def test_subscriptions_and_special_use(self):
        user = self.fresh_user()
        boxes = {"INBOX": 3, "Sent": 2, "Drafts": 1, "Trash": 1, "Junk": 1, "Lists": 2, "Lists.debian": 2, "Old": 1}
        mail.write_maildir(self.haul.path("src"), boxes, mean=200)
        self.haul.write("src/subscriptions", "V\t2\n\nINBOX\nSent\nLists\tdebian\nGone\n")
        run = self.haul.copy("maildir:" + self.haul.path("src"), self.haul.user(self.server, user))
        self.assertEqual(run.code, DONE, run)
        account = self.there(user)
        # a server may show INBOX as subscribed or not; all others count
        self.assertEqual(account.subscribed - {"INBOX"}, {self.box("Sent"), self.box("Lists/debian".replace("/", self.sep))})
        for name, use in SPECIAL.items():
            self.assertEqual(account.boxes[self.box(name)].special_use, {use}, name)
        for name in "Lists", "Old":
            self.assertEqual(account.boxes[self.box(name)].special_use, set(), name)
        user = self.fresh_user()
        run = self.haul.copy(
            "maildir:" + self.haul.path("src"), self.haul.user(self.server, user), "--subscribe", "all", state=self.haul.path("2.db")
        )
        account = self.there(user)
        self.assertEqual(account.subscribed | {"INBOX"}, set(account.boxes))
        user = self.fresh_user()
        self.haul.copy(
            "maildir:" + self.haul.path("src"), self.haul.user(self.server, user), "--subscribe", "none", state=self.haul.path("3.db")
        )
        self.assertEqual(self.there(user).subscribed - {"INBOX"}, set())

    def test_dates(self):
        """INTERNALDATE to the second; what no server holds is moved and listed."""
        user = self.fresh_user()
        now = int(time.time())
        dates = {1: 1, 100: 100, 2**31 - 1: None, now + 10**8: None, 951_782_400: 951_782_400, 954_033_541: 954_033_541}
        dates.update({-1: 1, 0: 1, -(10**9): 1, 1_130_634_000: 1_130_634_000, now - 1: now - 1})
        items = [nasty.Item(f"d{i}", nasty.HEAD + b"\n%d\n" % i, frozenset(), frozenset(), d) for i, d in enumerate(dates)]
        nasty.write_maildir(self.haul.path("src"), {"INBOX": items})
        run = self.haul.copy("maildir:" + self.haul.path("src"), self.haul.user(self.server, user))
        got = {m.digest: m.date for m in self.there(user).boxes["INBOX"].messages}
        moved = set()
        for item in items:
            date, wanted = got[nasty.digest(nasty.crlf(item.data))], dates[item.date]
            if wanted is None:  # the future is now
                self.assertTrue(now <= date <= time.time(), (item.date, date))
            else:
                self.assertEqual(date, wanted)
            if wanted != item.date:
                moved.add(item.name)
        self.assertEqual({i["where"].split(".")[1] for i in run.report["issues"] if i["kind"] == "date"}, moved)
        self.assertEqual(run.code, DIFFERS)

    def test_selection(self):
        """What a rule leaves out is counted as excluded, and told with the rule."""
        user = self.fresh_user()
        items = nasty.items(["plain", "dots", "8bit-body", "1-MB", "sibling-1", "sibling-2"])
        items = [i._replace(flags=frozenset()) for i in items]
        items[4] = items[4]._replace(flags=frozenset({"\\deleted"}))
        items[5] = items[5]._replace(date=900_000_000)
        boxes = {"INBOX": items, "Sent Items": items[:2], "Trash": items[:3], "Old": items[:1], "Old.1999": items[:1]}
        nasty.write_maildir(self.haul.path("src"), boxes)
        words = ["--map", '"Sent Items" -> "Sent"', "--exclude", "\\Trash", "--exclude", "Old", "--special-use", "mark"]
        words += ["--max-size", "500K", "--deleted", "skip", "--newer-than", "2000-01-01"]
        proxy = self.proxy()
        target = self.haul.user(self.server, user, tls="none", port=proxy.port)
        run = self.haul.copy("maildir:" + self.haul.path("src"), target, *words)
        self.assertEqual(run.code, DONE, run)
        self.assertEqual(balance(run.report), [])
        account = self.there(user)
        contents = account.contents()
        for name, wanted in (("INBOX", items[:3]), ("Sent", items[:2])):
            self.same(contents.pop(self.box(name)), nasty.expected(wanted, self.server.name)[0], wanted)
        self.assertEqual({name for name, c in contents.items() if c}, set())
        self.assertEqual(account.boxes[self.box("Sent")].special_use, {"\\sent"})
        self.assertEqual((run.totals["source"], run.totals["copied"], run.totals["excluded"]), (13, 5, 8), run)
        reported = {m["name"]: m for m in run.report["accounts"][0]["mailboxes"]}
        self.assertEqual((reported["INBOX"]["totals"]["source"], reported["INBOX"]["totals"]["excluded"]), (6, 3))
        self.assertEqual({n for n, m in reported.items() if m["outcome"] == "excluded"}, {"Trash", "Old", "Old/1999"})
        told = str(run.report)
        for rule in "max-size", "deleted", "newer-than", "Old", "Trash":
            self.assertIn(rule, told)
        # another choice: what was left out comes, and nothing twice
        proxy.reset()
        run = self.haul.copy("maildir:" + self.haul.path("src"), target, *words[:8])
        self.assertEqual((run.code, proxy.messages), (DONE, 3), run)
        self.assertEqual(self.there(user).contents()[self.box("INBOX")], nasty.expected(items, self.server.name)[0])

    def test_only_the_new_ones(self):
        user = self.fresh_user()
        items = nasty.items(["plain", "8bit-body", "twin-1", "sibling-1"])
        path = self.haul.path("src")
        nasty.write_maildir(path, {"INBOX": items})
        proxy = self.proxy()
        source, target = "maildir:" + path, self.haul.user(self.server, user, tls="none", port=proxy.port)
        self.haul.copy(source, target)
        for name, data in (("new1", b"\nnew\n"), ("new2", b"\nnew\n")):
            with open(os.path.join(path, "new", f"1700000000.{name}.example"), "wb") as f:
                f.write(nasty.HEAD + data)
        proxy.reset()
        run = self.haul.copy(source, target)
        self.assertEqual((proxy.messages, run.totals["copied"], run.code), (2, len(items) + 2, DONE), run)
        self.assertEqual(len(self.there(user).boxes["INBOX"].messages), len(items) + 2)
        # an mbox that has grown
        user = self.fresh_user()
        mail.write_mbox(self.haul.path("mbox"), 20, seed=7, mean=300)
        with open(self.haul.path("mbox"), "rb") as f:
            whole = f.read()
        cut = whole.index(b"\nFrom someone@", len(whole) // 2) + 1
        self.haul.write("growing", whole[:cut])
        target = self.haul.user(self.server, user, tls="none", port=proxy.port)
        first = self.haul.copy("mbox:" + self.haul.path("growing"), target, state=self.haul.path("2.db"))
        self.haul.write("growing", whole)
        proxy.reset()
        run = self.haul.copy("mbox:" + self.haul.path("growing"), target, state=self.haul.path("2.db"))
        self.assertEqual((proxy.messages, run.totals["copied"]), (20 - first.totals["copied"], 20))
        (told,) = mail.digests([(20, 7)], mean=300)
        (box,) = [b for b in self.there(user).boxes.values() if b.messages]
        self.assertEqual(box.digests(), told)

    # -- many accounts

    def test_job(self):
        users = [self.fresh_user() for _ in range(6)]
        told = {}
        for n, user in enumerate(users):
            domain = "example.org" if n % 2 else "example.net"
            os.makedirs(self.haul.path("vmail", domain), exist_ok=True)
            boxes = {"INBOX": 60 + 10 * n, "Sent": 30, "Lists.debian": 20, "Drafts": 1}
            told[user] = mail.write_maildir(self.haul.path("vmail", domain, f"{n}.person"), boxes, seed=user, mean=1500)
        rows = "user,target_user,note\n" + "".join(
            f"{n}.person@{'example.org' if n % 2 else 'example.net'},{user},x\n" for n, user in enumerate(users)
        )
        proxy = self.proxy()
        target = self.haul.admin(self.server, "{target_user}", tls="none", port=proxy.port)
        words = self.haul.job(f"maildir:{self.haul.path('vmail')}/{{domain}}/{{local}}", target, rows, "lanes = 4\nlanes-per-account = 2")
        run = self.haul.copy(*words)
        self.assertEqual(run.code, DONE, run)
        for user in users:
            account = self.there(user)
            for name, digests in told[user].items():
                self.assertEqual(account.boxes[self.box(name.replace(".", self.sep))].digests(), digests, (user, name))
            self.assertEqual(account.total(), sum(sum(d.values()) for d in told[user].values()))
        self.check_report(run.report, users, told)
        # copy leaves out what takes a look at every message
        self.assertEqual(reports.within(self.haul.report(), run.report), dict(run.report, generated=mock.ANY))
        self.assertGreaterEqual(proxy.count, 4)
        proxy.reset()
        again = self.haul.copy(*words)
        self.assertEqual((proxy.writes(), again.code, again.totals), (0, DONE, run.totals))
        # the text form holds the same numbers
        text = self.haul.run("report", "--state", self.haul.state)
        self.assertIn(f"6 accounts, 24 mailboxes, {run.totals['source']} messages", text.out)
        self.assertIn("the books balance", text.out)

    def check_report(self, report, users, told):
        """Field by field."""
        reports.validate(json.dumps(report), "report")
        self.assertEqual(set(report), {"schema", "version", "generated", "running", "redacted", "balanced", "totals", "accounts_done", "bytes",
                                       "crlf_bytes", "stripped", "accounts", "issues"})
        self.assertEqual((report["schema"], report["balanced"], report["stripped"]), ("mailhaul-report-1", True, 0))
        # a plain connection is told, once for the host
        self.assertEqual([i["kind"] for i in report["issues"]], ["warn"])
        self.assertIn("tls=none", report["issues"][0]["reason"])
        self.assertEqual(balance(report), [])
        count = {u: sum(sum(d.values()) for d in told[u].values()) for u in users}
        zero = dict.fromkeys(OUTCOMES, 0)
        self.assertEqual(report["totals"], zero | {"source": sum(count.values()), "copied": sum(count.values())})
        self.assertEqual(len(report["accounts"]), 6)
        size = {"bytes": 0, "crlf_bytes": 0}
        for account in report["accounts"]:
            self.assertEqual(set(account), {"name", "target_user", "source", "target", "stage", "outcome", "error", "balanced", "totals", "mailboxes"})
            n = int(account["name"].split(".")[0])
            user = users[n]
            domain = "example.org" if n % 2 else "example.net"
            self.assertEqual((account["name"], account["target_user"]), (f"{n}.person@{domain}", user))
            self.assertEqual(account["source"], f"maildir:{self.haul.path('vmail', domain, f'{n}.person')}")
            self.assertIn(f"authzid={user}", account["target"])
            self.assertNotIn("secret", account["target"])
            self.assertEqual((account["outcome"], account["error"]), ("done", None))
            self.assertEqual(account["stage"], "loading")
            self.assertEqual(account["totals"], zero | {"source": count[user], "copied": count[user]})
            there = self.there(user)
            self.assertEqual(len(account["mailboxes"]), len(told[user]))
            for box in account["mailboxes"]:
                self.assertEqual(
                    set(box),
                    {"name", "target_name", "shown_name", "renamed", "outcome", "error", "balanced", "totals", "bytes", "crlf_bytes", "stripped",
                     "source_uidvalidity", "target_uidvalidity"},
                )
                name = box["name"].replace("/", ".")
                messages = sum(told[user][name].values())
                self.assertEqual(box["target_name"], self.box(box["name"].replace("/", self.sep)))
                self.assertEqual((box["outcome"], box["error"], box["stripped"]), ("done", None, 0))
                self.assertEqual(box["totals"], zero | {"source": messages, "copied": messages})
                real = there.boxes[box["target_name"]]
                self.assertEqual(box["target_uidvalidity"], real.uidvalidity)
                self.assertEqual(box["crlf_bytes"], sum(m.size for m in real.messages))
                folder = account["source"][len("maildir:") :] + ("" if name == "INBOX" else f"/.{name}") + "/cur"
                self.assertEqual(box["bytes"], sum(e.stat().st_size for e in os.scandir(folder)))
                for key in size:
                    size[key] += box[key]
        self.assertEqual({k: report[k] for k in size}, size)

    def test_job_of_mboxes_with_one_that_fails(self):
        users = [self.fresh_user() for _ in range(2)]
        for n, user in enumerate(users):
            os.mkdir(self.haul.path(user))
            mail.write_mbox(self.haul.path(user, "INBOX"), 50, seed=n, mean=500)
        rows = "user\n" + "".join(f"{u}\n" for u in [users[0], "nobody", users[1]])
        os.mkdir(self.haul.path("nobody"))
        mail.write_mbox(self.haul.path("nobody", "INBOX"), 5)
        target = self.haul.user(self.server, "{user}")
        words = self.haul.job("mbox:" + self.haul.path("{user}"), target, rows)
        run = self.haul.copy(*words)
        self.assertEqual(run.code, ACCOUNTS, run)
        outcomes = {a["name"]: a["outcome"] for a in run.report["accounts"]}
        self.assertEqual(outcomes, {users[0]: "done", users[1]: "done", "nobody": "failed"})
        for n, user in enumerate(users):
            (told,) = mail.digests([(50, n)], mean=500)
            self.assertEqual(self.there(user).boxes["INBOX"].digests(), told)


class TestDovecot(Common, unittest.TestCase):
    kind = Dovecot
    below, sep = "", "."
    # no pause for an address from which a login has failed
    extra = "service anvil {\n  unix_listener anvil-auth-penalty {\n    mode = 0\n  }\n}"


class TestCyrus(Common, unittest.TestCase):
    kind = Cyrus
    below, sep = "INBOX/", "/"
    extra = ""


if __name__ == "__main__":
    unittest.main()
