"""Ways to log in, what goes wrong with them, and where secrets come from."""

import os
import re
import unittest

import mail
import readback
from haul import ACCOUNTS, DONE, MISUSE, Haul
from imap_server import FakeServer, Fault
from servers import Cyrus, Dovecot

PASSWORD = "Xq7-not-elsewhere"
ADMIN_PASSWORD = "Zr9-not-elsewhere"


class Case(unittest.TestCase):
    def setUp(self):
        self.haul = Haul()
        self.addCleanup(self.haul.destroy)
        mail.write_maildir(self.haul.path("src"), {"INBOX": 3, "Sent": 2}, mean=200)
        self.source = "maildir:" + self.haul.path("src")
        self.runs = 0

    def copy(self, target, *args, source=None, **kwargs):
        self.runs += 1
        self.haul.state = self.haul.path(f"S{self.runs}.db")
        run = self.haul.copy(source or self.source, target, *args, **kwargs)
        self.tell_nothing(run)
        return run

    def tell_nothing(self, run):
        """No secret in the output, nor in state and logs."""
        for secret in PASSWORD, ADMIN_PASSWORD:
            self.assertNotIn(secret, run.err + run.out)
        for root, _, names in os.walk(self.haul.directory):
            for name in (os.path.join(root, n) for n in names):
                if ".db" not in name:
                    continue
                with open(name, "rb") as f:
                    data = f.read()
                for secret in PASSWORD, ADMIN_PASSWORD:
                    self.assertNotIn(secret.encode(), data, name)

    def fake(self, *faults, **settings):
        server = FakeServer(faults, **settings).start()
        self.addCleanup(server.stop)
        return server

    def uri(self, server, secret, user="user1", scheme="imap", **options):
        more = "".join(f"&{k.replace('_', '-')}={v}" for k, v in options.items())
        return f"{scheme}://{user}@127.0.0.1:{server.port}?tls=none&{secret}{more}"

    def works(self, server, run, user="user1"):
        self.assertEqual(run.code, DONE, run)
        self.assertEqual(sum(server.contents(user)["INBOX"].values()), 3)
        server.accounts.clear()

    def logins(self, server):
        return server.commands["LOGIN"] + server.commands["AUTHENTICATE"]


class RealServers:
    @classmethod
    def setUpClass(cls):
        cls.server = cls.kind(USERS=8, PASSWORD=PASSWORD, **cls.settings)
        cls.addClassCleanup(cls.server.destroy)
        cls.server.start()
        cls.last_user = 0

    def setUp(self):
        super().setUp()
        type(self).last_user += 1
        self.user = f"user{self.last_user}"

    def arrived(self, run, user=None, admin=False):
        self.assertEqual(run.code, DONE, run)
        client = self.server.login_as(user or self.user) if admin else self.server.login(user or self.user)
        self.assertEqual(readback.account(client, bodies=False).total(), 5)
        client.logout()

    def test_as_the_user(self):
        user = self.user
        self.arrived(self.copy(self.haul.user(self.server, user)))
        for auth in "login", "plain":
            for tls in "starttls", "implicit", "none":
                with self.subTest(auth=auth, tls=tls):
                    run = self.copy(self.haul.user(self.server, user, tls, auth=auth))
                    self.assertEqual((run.code, run.totals["present"]), (DONE, 5), run)

    def test_as_an_admin(self):
        self.arrived(self.copy(self.haul.admin(self.server, self.user)))
        run = self.copy(self.haul.admin(self.server, self.user, "implicit"))
        self.assertEqual((run.code, run.totals["present"]), (DONE, 5), run)

    def test_one_who_is_no_admin(self):
        run = self.copy(self.haul.user(self.server, self.user, authzid="user1" if self.user != "user1" else "user2"))
        self.assertEqual(run.code, ACCOUNTS, run)
        self.assertIn(self.user, run.err)

    def test_wrong_password(self):
        for target in (
            self.haul.user(self.server, self.user, password="wrong"),
            self.haul.admin(self.server, self.user, password="wrong"),
            self.haul.user(self.server, "nobody"),
        ):
            with self.subTest(target=target):
                before = len(re.findall(self.failure, self.server.log()))
                run = self.copy(target)
                self.assertEqual(run.code, ACCOUNTS, run)
                self.assertRegex(run.err, r"(?i)authenticat")
                self.assertIn(self.user if "nobody" not in target and "authzid" not in target else "", run.err)
                self.assertEqual(run.report["accounts"][0]["outcome"], "failed")
                self.assertRegex(run.report["accounts"][0]["error"], r"(?i)authenticat")
                self.assertEqual(len(re.findall(self.failure, self.server.log())) - before, 1)

    def test_admin_for_many(self):
        """One secret that is wrong is tried three times at most, however many accounts it is for."""
        rows = "user\n"
        for n in range(1, 9):
            mail.write_maildir(self.haul.path(f"user{n}"), {"INBOX": 1})
            rows += f"user{n}\n"
        target = self.haul.admin(self.server, "{user}", password="wrong")
        words = self.haul.job("maildir:" + self.haul.path("{user}"), target, rows, "lanes = 8")
        before = len(re.findall(self.failure, self.server.log()))
        run = self.haul.copy(*words)
        self.assertEqual(run.code, ACCOUNTS, run)
        tries = len(re.findall(self.failure, self.server.log())) - before
        self.assertEqual(tries, 3)
        self.assertEqual([a["outcome"] for a in run.report["accounts"]], ["failed"] * 8)
        self.assertEqual(sum("not tried" in a["error"] for a in run.report["accounts"]), 5)


class TestDovecot(RealServers, Case):
    kind = Dovecot
    settings = {
        "_MASTER_PASSWORD": ADMIN_PASSWORD,
        "MECHS": "plain login cram-md5 digest-md5 scram-sha-1 scram-sha-256",
        # and no pause for an address that has failed before
        "EXTRA": "auth_verbose = yes\nservice anvil {\n  unix_listener anvil-auth-penalty {\n    mode = 0\n  }\n}",
    }
    failure = r"(?i)password mismatch|unknown user"

    def test_master(self):
        secret = self.haul.secret(ADMIN_PASSWORD)
        for tls in "starttls", "implicit":
            target = self.haul.uri(self.server, f"{self.user}*{self.server.admin}", secret, tls, None, None, {})
            self.arrived(self.copy(target))

    def test_mechanisms(self):
        self.arrived(self.copy(self.haul.user(self.server, self.user)))
        for auth in "cram-md5", "digest-md5", "scram-sha-1", "scram-sha-256":
            with self.subTest(auth=auth):
                run = self.copy(self.haul.user(self.server, self.user, auth=auth))
                self.assertEqual((run.code, run.totals["present"]), (DONE, 5), run)
                run = self.copy(self.haul.user(self.server, self.user, auth=auth, password="wrong"))
                self.assertEqual(run.code, ACCOUNTS, run)


class TestCyrus(RealServers, Case):
    kind = Cyrus
    settings = {"ADMIN_PASSWORD": ADMIN_PASSWORD, "PARTITIONS": "default fast"}
    failure = r"(?i)badlogin"

    def test_as_a_proxy(self):
        self.arrived(self.copy(self.haul.admin(self.server, self.user, admin=self.server.proxy)))

    def test_missing_user(self):
        """Cyrus lets an admin act for anybody: whether he exists has to be asked."""
        target = self.haul.admin(self.server, "ghost")
        run = self.copy(target)
        self.assertEqual(run.code, ACCOUNTS, run)
        self.assertIn("ghost", run.err)
        self.assertEqual(run.report["accounts"][0]["outcome"], "failed")
        client = self.server.login_as("ghost")
        self.assertEqual(client.select("INBOX")[0], "NO")
        client.logout()
        run = self.copy(target, "--create-users")
        self.arrived(run, "ghost", admin=True)
        self.assertIn("ghost", str([i for i in run.report["issues"] if i["kind"] == "created"]) + str(run.report["accounts"]))
        run = self.copy(target, "--create-users")
        self.assertEqual((run.code, run.totals["present"]), (DONE, 5), run)

    def test_only_an_admin_creates(self):
        run = self.copy(self.haul.user(self.server, self.user).replace(self.user + "@", "cyrus@"), "--create-users")
        self.assertEqual(run.code, ACCOUNTS, run)

    def test_list_of_missing_users(self):
        """All of them are told, the others are copied; created with what the list says."""
        users = [self.user, "spirit", "phantom"]
        for user in users:
            mail.write_maildir(self.haul.path("mail", user), {"INBOX": 4}, mean=200)
        rows = f"user,quota,partition\n{users[0]},,\nspirit,50M,fast\nphantom,none,\n"
        words = self.haul.job("maildir:" + self.haul.path("mail/{user}"), self.haul.admin(self.server, "{user}"), rows)
        run = self.haul.copy(*words)
        self.assertEqual(run.code, ACCOUNTS, run)
        for user in users[1:]:
            self.assertIn(user, run.err)
        outcomes = {a["name"]: a["outcome"] for a in run.report["accounts"]}
        self.assertEqual(outcomes, {users[0]: "done", "spirit": "failed", "phantom": "failed"})
        run = self.haul.copy(*words, "--create-users")
        self.assertEqual(run.code, DONE, run)
        for user in users:
            client = self.server.login_as(user)
            self.assertEqual(len(readback.account(client).boxes["INBOX"].messages), 4)
            client.logout()
        self.assertIn(b"/spool/fast/", self.server.tool("mbpath", "user/spirit"))
        self.assertIn(b"/spool/default/", self.server.tool("mbpath", "user/phantom"))
        admin = self.server.admin_login()
        self.assertIn(b"51200", b"".join(admin.getquota("user/spirit")[1]))
        self.assertEqual(admin.getquota("user/phantom")[0], "NO")
        admin.logout()


class TestSecrets(Case):
    def test_file(self):
        server = self.fake()
        for text in "secret\n", "secret", "secret\r\n", "secret\nsecond line\n":
            path = self.haul.write("pw", text)
            self.works(server, self.copy(self.uri(server, "secret-file=" + path)))
        server = self.fake()
        for mode in 0o644, 0o640, 0o660, 0o604, 0o602:
            os.chmod(path, mode)
            run = self.haul.run("copy", self.source, self.uri(server, "secret-file=" + path), "--state", self.haul.path("x.db"))
            self.assertEqual(run.code, MISUSE, run)
            self.assertIn(path, run.err)
            self.assertIn("chmod 600", run.err)
        for text, word in (("", "empty"), ("\nsecret\n", "empty"), ("a\0b\n", "NUL"), ("x" * 70000, "secret")):
            path = self.haul.write("pw", text)
            os.chmod(path, 0o600)
            run = self.haul.run("copy", self.source, self.uri(server, "secret-file=" + path), "--state", self.haul.path("x.db"))
            self.assertEqual(run.code, MISUSE, run)
            self.assertIn(word, run.err)
        for path, word in ((self.haul.path("none"), "No such file"), (self.haul.directory, "plain file"), ("", "empty")):
            run = self.haul.run("copy", self.source, self.uri(server, "secret-file=" + path), "--state", self.haul.path("x.db"))
            self.assertEqual(run.code, MISUSE, run)
            self.assertIn(word, run.err)
        self.assertFalse(os.path.exists(self.haul.path("x.db")))
        self.assertEqual(server.connections, 0)

    def test_environment(self):
        server = self.fake()
        self.works(server, self.copy(self.uri(server, "secret-env=MAIL_PW"), env={"MAIL_PW": "secret"}))
        run = self.copy_refused(self.uri(server, "secret-env=MAIL_PW"))
        self.assertIn("MAIL_PW", run.err)

    def copy_refused(self, target, **kwargs):
        run = self.haul.run("copy", self.source, target, "--state", self.haul.path("x.db"), **kwargs)
        self.assertEqual(run.code, MISUSE, run)
        self.assertFalse(os.path.exists(self.haul.path("x.db")))
        return run

    def test_descriptor(self):
        server = self.fake()
        for stdin in False, True:
            reading, writing = os.pipe()
            os.write(writing, b"secret\n")
            os.close(writing)
            kwargs = {"stdin": reading} if stdin else {"pass_fds": [reading]}
            self.works(server, self.copy(self.uri(server, f"secret-fd={0 if stdin else reading}"), **kwargs))
            os.close(reading)
        for fd in "999", "1", "x", "-1":
            self.copy_refused(self.uri(server, "secret-fd=" + fd))

    def test_command(self):
        server = self.fake()
        script = self.haul.write("give me", "#!/bin/sh\necho \"$1\"\n", mode=0o700)
        self.works(server, self.copy(self.uri(server, f"secret-command='{script}' secret")))
        self.works(server, self.copy(self.uri(server, "secret-command=/bin/echo secret")))
        for command, word in (
            ("/bin/false", "code 1"),
            ("/no/such/program", "/no/such/program"),
            ("/bin/true", "empty"),
            ("'/bin/echo", "quotes"),
        ):
            self.assertIn(word, self.copy_refused(self.uri(server, "secret-command=" + command)).err)

    def test_two_at_once(self):
        server = self.fake()
        run = self.copy_refused(self.uri(server, f"secret-env=X&secret-file={self.haul.secret()}"))
        self.assertIn("secret-env", run.err)
        self.assertIn("secret-file", run.err)

    def test_none_and_no_terminal(self):
        server = self.fake()
        run = self.copy_refused(self.uri(server, "auth=plain"))
        self.assertIn("secret-file", run.err)
        self.assertEqual(server.connections, 0)

    def test_characters(self):
        """Whatever is in a password arrives as it is."""
        for password in ('"', "\\", 'p"a\\s"\\', "a b", " a ", "{3}", "%s%n", "*", "(", "é中", "&amp;", "$(id)", "x" * 500):
            for capabilities in None, "IMAP4rev1 LITERAL+":
                with self.subTest(password=password, capabilities=capabilities):
                    given = password
                    if capabilities:  # LOGIN: the fake server reads it as latin-1
                        given = password.encode().decode("latin-1")
                    server = self.fake(users={"user1": given}, capabilities=capabilities)
                    path = self.haul.write("pw", password + "\n")
                    run = self.copy(self.uri(server, "secret-file=" + path))
                    self.works(server, run)

    def test_user_names(self):
        for user in "first.last", "o'neil", "user+tag", "user1@example.org", "a b", "ü":
            with self.subTest(user=user):
                server = self.fake(users={user: "secret"})
                secret = self.haul.secret()
                target = f"imap://{{target_user}}@127.0.0.1:{server.port}?tls=none&secret-file={secret}"
                words = self.haul.job(self.source, target, f"user,target_user\nx,{user}\n")
                self.runs += 1
                run = self.haul.copy(*words, state=self.haul.path(f"S{self.runs}.db"))
                self.works(server, run, user)


class TestRefusals(Case):
    def test_login_disabled(self):
        """A server that forbids passwords in the clear is not sent one."""
        server = self.fake(login_disabled=True)
        run = self.copy(self.uri(server, "secret-file=" + self.haul.secret()))
        self.assertEqual(run.code, ACCOUNTS, run)
        self.assertRegex(run.err, "(?i)no password without TLS")
        self.assertEqual(self.logins(server), 0)

    def test_disabled_login_but_a_mechanism(self):
        server = self.fake(capabilities="IMAP4rev1 LOGINDISABLED AUTH=PLAIN SASL-IR")
        self.works(server, self.copy(self.uri(server, "secret-file=" + self.haul.secret())))
        self.assertEqual(server.commands["LOGIN"], 0)

    def test_mechanism_without_initial_response(self):
        server = self.fake(capabilities="IMAP4rev1 AUTH=PLAIN")
        self.works(server, self.copy(self.uri(server, "secret-file=" + self.haul.secret())))

    def test_no_way_in(self):
        server = self.fake(capabilities="IMAP4rev1 LOGINDISABLED AUTH=GSSAPI")
        run = self.copy(self.uri(server, "secret-file=" + self.haul.secret()))
        self.assertEqual(run.code, ACCOUNTS, run)
        self.assertEqual(self.logins(server), 0)

    def test_wrong_password_is_not_repeated(self):
        server = self.fake()
        run = self.copy(self.uri(server, "secret-file=" + self.haul.secret("wrong")))
        self.assertEqual(run.code, ACCOUNTS, run)
        self.assertIn("Authentication failed", run.err)
        self.assertEqual(self.logins(server), 1)

    def test_temporary_failure_is_repeated(self):
        fault = Fault("AUTHENTICATE", text="NO [UNAVAILABLE] Temporary authentication failure")
        server = self.fake(fault)
        self.works(server, self.copy(self.uri(server, "secret-file=" + self.haul.secret())))
        self.assertEqual(self.logins(server) >= 2, True)

    def test_bye_in_place_of_an_answer(self):
        server = self.fake(Fault("AUTHENTICATE", do="bye", text="too many connections"))
        self.works(server, self.copy(self.uri(server, "secret-file=" + self.haul.secret())))


if __name__ == "__main__":
    unittest.main()
