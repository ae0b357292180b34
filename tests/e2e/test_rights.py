"""Access rights and mailboxes of others, from a synthetic base directory of
CommuniGate: what each user may do and sees at the target, by imaplib."""

import json
import os
import re
import subprocess
import unittest

import readback
from haul import ACCOUNTS, DONE, MISUSE, ROOT, Haul
from proxy import Proxy
from servers import Cyrus, Dovecot

NAMES = "bob carol public".split()
OLD = {"c": "kx", "d": "te"}  # RFC 2086, and what RFC 4314 made of it

SHARED = """
namespace {{
  type = shared
  separator = /
  prefix = shared/%%u/
  location = mdbox:%%h/mail
  subscriptions = no
  list = children
}}
protocol imap {{
  mail_plugins = $mail_plugins imap_acl
}}
plugin {{
  acl = vfile
  acl_user = %u
  acl_shared_dict = file:{0}/home/user1/shared.db
}}
"""


def newer(letters):
    return set("".join(OLD.get(x, x) for x in letters))


class Common:
    anyone = True  # may be given rights

    def setUp(self):
        self.haul = Haul()
        self.addCleanup(self.haul.destroy)
        self.server = self.kind(USERS=4, **self.settings)
        if "PLUGINS" in self.settings:
            self.server.settings["EXTRA"] = SHARED.format(self.server.directory)
        self.addCleanup(self.server.destroy)
        self.server.start()
        tree = self.haul.path("tree")
        subprocess.run([os.path.join(ROOT, "scripts/cgp-tree"), tree], check=True)
        with open(os.path.join(tree, "manifest.json"), encoding="utf-8") as f:
            self.accounts = json.load(f)["accounts"]
        self.base = os.path.join(tree, "base")
        self.users = {f"{name}@example.org": f"user{i + 1}" for i, name in enumerate(NAMES)}
        self.proxy = Proxy(self.server.host, self.server.imap_port).start()
        self.addCleanup(self.proxy.stop)
        target = self.target()
        rows = "user,target_user\n" + "".join(f"{k},{v}\n" for k, v in self.users.items())
        self.words = self.haul.job(f"cgp:{self.base}?account={{user}}", target, rows, "lanes = 2\nsettle = 1")

    def target(self):
        return self.haul.admin(self.server, "{target_user}", tls="none", port=self.proxy.port)

    def stored(self):
        """What has to be as it was when nothing is changed."""

    def login(self, user):
        client = self.server.login(user)
        self.addCleanup(client.logout)
        return client

    def acl(self, client, name):
        """{who: letters} without the owner, as the newer standard has them."""
        kind, data = client.getacl(readback.quote(name))
        self.assertEqual(kind, "OK", name)
        words = data[0].decode().split(readback.quote(name).strip('"'), 1)[1].lstrip('"').split()
        told = dict(zip(words[::2], words[1::2]))
        return {who: set(letters) - set("cdn") for who, letters in told.items()}

    def wanted(self, mailbox, owner):
        """{who at the target: letters} of the manifest."""
        want = {}
        for who, letters in mailbox["acl"].items():
            if who == "anyone" and not self.anyone:
                continue
            user = "anyone" if who == "anyone" else self.users.get(who if "@" in who else who + "@example.org")
            if user is not None and user != owner:
                want[user] = newer(letters)
        return want

    def box(self, name):
        return name if name == "INBOX" else self.below + name

    def check(self):
        for name, user in self.users.items():
            client = self.login(user)
            for box, mailbox in self.accounts[name]["mailboxes"].items():
                if mailbox["class"]:
                    continue
                got = self.acl(client, self.box(box))
                got.pop(user, None)
                got.pop("owner", None)
                self.assertEqual(got, self.wanted(mailbox, user), f"{name} {box}")

    def test_rights_and_subscriptions(self):
        run = self.haul.copy(*self.words)
        self.assertEqual(run.code, DONE, run)
        self.check()
        told = "\n".join(f"{i['account']} {i['where']}: {i['reason']}" for i in run.report["issues"] if i["kind"] == "access")
        for words in (
            r"bob@example.org INBOX for alice@example.org: lrs: not carried over: nobody of the account list",
            r"bob@example.org Work/2009/Q1 for team@example.org: lrswipkxtea: ",
            r"carol@example.org INBOX for dave@example.net: lr: ",
            r"bob@example.org subscription ~public/Gone: .*no such mailbox",
        ):
            self.assertRegex(told, words)
        if not self.anyone:
            self.assertEqual(len(re.findall(r"for anyone: \w+: not carried over: .* the server says BAD", told)), 2)
        self.assertEqual(told.count("\n"), 3 if self.anyone else 5, told)
        # bob sees what he was subscribed to, may read it, and change News
        bob = self.login("user1")
        subscribed = readback.listing(bob)[1]
        news, inbox = self.others("user3", "News"), self.others("user2", "INBOX")
        self.assertLessEqual({news, inbox}, subscribed)
        for name, messages in ((news, 4), (inbox, 4)):
            kind, data = bob.select(readback.quote(name), readonly=True)
            self.assertEqual((kind, data[0]), ("OK", b"%d" % messages))
        self.assertEqual(bob.append(readback.quote(news), None, None, b"Subject: x\r\n\r\nx\r\n")[0], "OK")
        self.assertEqual(bob.append(readback.quote(inbox), None, None, b"Subject: x\r\n\r\nx\r\n")[0], "NO")
        # carol was given bob's INBOX, but nothing of his other mail
        carol = self.login("user2")
        self.assertEqual(carol.select(readback.quote(self.others("user1", "INBOX")))[0], "OK")
        self.assertEqual(carol.select(readback.quote(self.others("user1", "Sent Items")))[0], "NO")
        # once more: nothing is changed
        self.proxy.reset()
        before = self.stored()
        again = self.haul.copy(*self.words)
        refused = 0 if self.anyone else 2  # asked for again
        self.assertEqual((again.code, self.proxy.writes()), (DONE, refused), self.proxy.log)
        self.assertEqual(self.stored(), before)

    def test_changed_since(self):
        """What somebody has changed stays; without messages; a new mailbox."""
        run = self.haul.copy(*self.words, "--acl", "no")
        self.assertEqual(run.code, DONE, run)
        self.assertRegex(str(run.report["issues"]), r"anyone lrs, bob@example.org lrswipkxtea: acl = no")
        public, bob = self.login("user3"), self.login("user1")
        self.assertEqual(self.acl(public, self.box("News")).keys() - {"user3", "owner"}, set())
        total = run.totals["copied"]
        # a message comes, which --only-metadata leaves where it is
        with open(os.path.join(self.base, "Accounts/bob.macnt/INBOX.mdir/950--20110314091502"), "wb") as f:
            f.write(b"Subject: new\n\nnew in INBOX\n")
        run = self.haul.copy(*self.words, "--only-metadata")
        self.assertEqual((run.code, run.totals["copied"]), (DONE, total), run)
        self.check()
        self.assertIn(self.others("user3", "News"), readback.listing(bob)[1])
        public.setacl(readback.quote(self.box("News")), "user1", "lr")
        if self.anyone:
            public.deleteacl(readback.quote(self.box("News")), "anyone")
        bob.unsubscribe(readback.quote(self.others("user3", "News")))
        # a mailbox that comes later has nothing of what others were given
        os.makedirs(os.path.join(self.base, "Accounts/bob.macnt/INBOX.folder/Private.mdir"))
        with open(os.path.join(self.base, "Accounts/bob.macnt/INBOX.folder/Private.mdir/1--20110314091502"), "wb") as f:
            f.write(b"Subject: secret\n\nsecret\n")
        run = self.haul.copy(*self.words)
        self.assertEqual((run.code, run.totals["copied"]), (DONE, total + 2), run)
        got = self.acl(public, self.box("News"))
        self.assertEqual((got.get("user1"), got.get("anyone")), (set("lr"), None))
        told = str(run.report["issues"])
        self.assertIn("lrswipkxtea was given, and somebody has changed that to lr ", told)
        if self.anyone:
            self.assertIn("lrs was given, and somebody has changed that to none ", told)
        self.assertNotIn(self.others("user3", "News"), readback.listing(bob)[1])
        private = self.acl(bob, self.private)
        self.assertEqual(private.keys() - {"user1", "owner"}, set())


class TestCyrus(Common, unittest.TestCase):
    kind = Cyrus
    settings = {}
    below = "INBOX/"
    private = "INBOX/INBOX/Private"
    shared = ""  # how users see what is nobody's

    def test_shared(self):
        """An account becomes shared mailboxes, of which others see what they may."""
        words = [*self.words, "--set", "shared.public=shared:/Board"]
        run = self.haul.copy(*words)
        self.assertEqual(run.code, DONE, run)
        admin = self.server.admin_login()
        self.addCleanup(admin.logout)
        for name, messages, want in (("Board", 1, {}), ("Board/News", 4, {"anyone": newer("lrs"), "user1": newer("lrswipcda")})):
            got = self.acl(admin, name)
            self.assertLessEqual(newer("lrswipcda"), got.pop("cyrus"))
            self.assertEqual(got, want, name)
            self.assertEqual(admin.select(readback.quote(name), readonly=True)[1], [b"%d" % messages])
        bob, carol = self.login("user1"), self.login("user2")
        self.assertLessEqual({self.shared + "Board/News", self.others("user2", "INBOX")}, readback.listing(bob)[1])
        self.assertEqual(carol.select(readback.quote(self.shared + "Board/News"), readonly=True)[0], "OK")
        self.assertEqual(carol.select(readback.quote(self.shared + "Board"))[0], "NO")
        self.assertEqual(readback.listing(self.login("user3"))[0].keys(), {"INBOX", self.shared + "Board/News"} | (
            {self.others("user1", "Work/2009/Q1")}))
        self.proxy.reset()
        again = self.haul.copy(*words)
        self.assertEqual((again.code, self.proxy.writes(), again.totals), (DONE, 0, run.totals), self.proxy.log)
        lost = self.haul.copy(*words, state=self.haul.path("lost.db"))
        self.assertEqual((lost.code, lost.totals["copied"]), (DONE, 0), lost)
        # taken back: what is there goes, others' mailboxes stay
        undo = self.haul.run("undo", *words, "--state", self.haul.state, "--only", "public@example.org", "--yes")
        self.assertEqual(undo.code, DONE, undo)
        self.assertEqual([n for n in readback.listing(admin)[0] if n.startswith("Board/")], [])
        self.assertIn("user/user1/Work", readback.listing(admin)[0])
        for rule, part in (("public = Board", "it must be"), ("public = shared:/user", None), ("public@example.org = user:x", "[shared] says user:x")):
            run = self.haul.copy(*self.words, "--shared", rule, "--only", "public@example.org", state=self.haul.path(f"{len(rule)}.db"))
            self.assertEqual(run.code, ACCOUNTS if part is None else MISUSE, run)
            self.assertIn(part or "no name that a shared mailbox", run.err)

    def test_user_elsewhere(self):
        """Subscriptions to an account that another job has copied."""
        owner = self.server.login("user3")
        owner.create(readback.quote(self.box("News")))
        owner.setacl(readback.quote(self.box("News")), "user1", "lrs")
        owner.logout()
        del self.users["public@example.org"]
        rows = "user,target_user\n" + "".join(f"{k},{v}\n" for k, v in self.users.items())
        words = self.haul.job(
            f"cgp:{self.base}?account={{user}}", self.haul.admin(self.server, "{target_user}"), rows, "settle = 1", shared="public = user:user3"
        )
        run = self.haul.copy(*words)
        self.assertEqual(run.code, DONE, run)
        self.assertIn(self.others("user3", "News"), readback.listing(self.login("user1"))[1])
        self.assertIn("public = user:user3", self.haul.run("copy", *words, "--show-config").out)

    def others(self, user, name):
        return f"user/{user}" + ("" if name == "INBOX" else f"/{name}")


class TestCyrusSync(TestCyrus):
    """By the replication protocol, with an admin's session for one of them."""

    test_shared = test_user_elsewhere = None

    def target(self):
        return f"cyrus:{{target_user}}?conf={self.server.vars['conf']}&libexec={self.server.vars['libexec']}"

    def stored(self):
        listed = json.loads(self.server.tool("ctl_mboxlist", "-d"))
        return {name: box for name, box in listed.items() if "d" not in box["mbtype"]}


class TestCyrusSyncRemote(TestCyrusSync):
    test_changed_since = None

    def target(self):
        secret = self.haul.secret(self.server.admin_password)
        return f"cyrus://{self.server.admin}@{self.server.host}:{self.server.imap_port}/{{target_user}}?ca={self.server.ca}&secret-file={secret}"


class TestCyrusOtherNames(TestCyrus):
    settings = {"ALTNAMESPACE": "yes"}
    below = ""
    test_changed_since = test_user_elsewhere = test_rights_and_subscriptions = None
    shared = "Shared Folders/"

    def others(self, user, name):
        return f"Other Users/{user}" + ("" if name == "INBOX" else f"/{name}")


class TestDovecot(Common, unittest.TestCase):
    anyone = False  # not unless it is configured for that
    kind = Dovecot
    settings = {"FORMAT": "mdbox", "SEPARATOR": "/", "PLUGINS": "acl"}
    below = ""
    private = "INBOX/Private"

    def others(self, user, name):
        return f"shared/{user}" + ("" if name == "INBOX" else f"/{name}")


if __name__ == "__main__":
    unittest.main()
