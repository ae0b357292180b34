"""cyrus: into servers that are set up otherwise.  After each load an independent
client sees the same account, and Cyrus' own tools find nothing."""

import os
import unittest

import cysync
import trees
from cysync import fill, write


class Settings(cysync.Case):
    """The defaults of the tests' server: unixhierarchysep, no altnamespace."""

    kinds = ("local",)

    def admin_name(self, user=None):
        user = user or self.user
        if self.settings.get("UNIXSEP") == "no":
            return "user." + user.replace(".", "^")
        return "user/" + user

    def imap_name(self, name):
        alt, sep = self.settings.get("ALTNAMESPACE") == "yes", "." if self.settings.get("UNIXSEP") == "no" else "/"
        name = name.replace("/", sep)
        return name if name == "INBOX" or alt else "INBOX" + sep + name

    def boxes(self):
        boxes = {"INBOX": trees.Box(uidvalidity=1234567), "Sent": trees.Box(uidvalidity=99), "a/b": fill(2, 100), "M\u00fcll": trees.Box(uidvalidity=5, uidnext=9)}
        boxes["Drafts"], boxes["Trash"] = trees.Box(uidvalidity=6, uidnext=3), trees.Box(uidvalidity=7, uidnext=3)
        for name, count in ("INBOX", 12), ("Sent", 3):
            for i in range(count):
                boxes[name].add(b"From: x@example.org\nSubject: \xe9 %d\n\n%s\n" % (i, name.encode()), uid=4 + 3 * i, flags="SF"[i % 2], keywords=["work"][i % 3:], date=86_400 * (i + 1))
        return boxes

    def look(self, user):
        """What else is different here."""

    def users(self, kind):
        return [self.name(self.last_user) + kind]

    def test_load(self):
        boxes = self.boxes()
        for kind in self.kinds:
            for user in self.users(kind):
                source = self.haul.path("src" + user)
                write(source, boxes)
                target = self.target(user, **self.options) if kind == "local" else self.remote(user, **self.options)
                state = self.haul.path(user + ".db")
                run = self.checked(self.copy(source, target, state=state))
                self.assertEqual(run.totals["copied"], 17, run)
                there = self.there(user)
                self.equal(boxes, there, user)
                for name in "Sent", "Drafts", "Trash":
                    self.assertIn("\\" + name.lower(), there.boxes[self.imap_name(name)].special_use)
                told = "".join(i["reason"] for i in run.report["issues"])
                if self.afterwards and kind == "local":
                    self.assertIn("still to be run by an administrator: " + self.afterwards.format(user), told)
                else:
                    self.assertNotIn("still to be run", told)
                self.look(user)
                self.sound(user)

    options = {}
    afterwards = ""  # what the report says is left to be done


class Dots(Settings):
    """unixhierarchysep: no"""

    settings = {"UNIXSEP": "no"}


class Alternative(Settings):
    """altnamespace: yes, and user names with dots"""

    settings = {"ALTNAMESPACE": "yes"}

    def users(self, kind):
        return [f"first.last{kind}"]


class Domains(Settings):
    """virtdomains: userid; one domain is the default"""

    kinds = "local", "remote"
    settings = {"EXTRA": "virtdomains: userid\ndefaultdomain: example.net"}

    def users(self, kind):
        users = [f"first.{kind}@example.org", f"plain{kind}"]
        # by its full name; another host's default domain is not known
        return users + ["full@example.net"] if kind == "local" else users


class Conversations(Settings):
    settings = {"EXTRA": "conversations: yes\nconversations_db: twoskip\nsync_log: yes"}
    afterwards = "ctl_conversationsdb -b {0}; sync_client -u {0}"


class Metapartition(Settings):
    settings = {"EXTRA": "metapartition_files: header index cache annotations\nmetapartition-default: @META@"}

    @classmethod
    def setUpClass(cls):
        directory = cysync.tempfile.mkdtemp(prefix="mhm", dir="/tmp")
        cls.addClassCleanup(cysync.shutil.rmtree, directory, True)
        os.chmod(directory, 0o777)
        cls.settings = {"EXTRA": cls.settings["EXTRA"].replace("@META@", directory)}
        super().setUpClass()
        cls.meta = directory

    def look(self, user):
        self.assertTrue(any("cyrus.index" in files for _, _, files in os.walk(self.meta)))


class OldLayout(Settings):
    settings = {"EXTRA": "mailbox_legacy_dirs: yes"}


class TwoPartitions(Settings):
    settings = {"PARTITIONS": "default fast"}
    options = {"partition": "fast"}

    def look(self, user):
        path = self.server.tool("mbpath", self.admin_name(user)).decode()
        self.assertIn("/spool/fast/", path)


if __name__ == "__main__":
    unittest.main()
