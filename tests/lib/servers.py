"""Private Dovecot and Cyrus instances for tests (scripts/*-server).

    with Dovecot(QUOTA="storage=1M") as d:
        m = d.login("user1")                  # an imaplib client

Settings are the environment of the script without its prefix: Dovecot(USERS=8,
FORMAT="mdbox"), Cyrus(ALTNAMESPACE="yes", EXTRA="munge8bit: no").  A setting
with an underscore in front goes in under its own full name:
Cyrus(_MAILHAUL_TEST_CERT="expired").
"""

import base64
import imaplib
import os
import poplib
import shlex
import shutil
import signal
import ssl
import subprocess
import tempfile
import time

import tls

ROOT = tls.ROOT


class Server:
    name = None  # dovecot or cyrus: the script and the prefix of its variables

    def __init__(self, directory=None, **settings):
        self.own_directory = directory is None
        self.directory = directory or tempfile.mkdtemp(prefix="mh" + self.name[0], dir="/tmp")
        self.authority = tls.authority()
        self.settings = settings
        self.vars = {}

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *unused):
        self.destroy()

    def _script(self, *args, **kwargs):
        environment = dict(os.environ, MAILHAUL_TEST_CA=self.authority.directory)
        for key, value in self.settings.items():
            key = key[1:] if key.startswith("_") else f"{self.name.upper()}_{key}"
            environment[key] = str(value)
        script = os.path.join(ROOT, "scripts", self.name + "-server")
        return subprocess.run([script, self.directory, *args], env=environment, check=True, **kwargs)

    def start(self):
        """Start, or start again on the same ports with what the directory holds."""
        self._script("start", stdin=subprocess.DEVNULL)
        self.vars = {}
        with open(os.path.join(self.directory, "env"), encoding="utf-8") as f:
            for word in shlex.split(f.read()):
                key, value = word.split("=", 1)
                self.vars[key.split("_", 1)[1].lower()] = value
        self.host = self.vars["host"]
        self.imap_port = int(self.vars["imap_port"])
        self.imaps_port = int(self.vars["imaps_port"])
        self.ca = self.vars["ca"]
        self.users = self.vars["users"].split()
        self.password = self.vars["password"]
        self.admin = self.vars["admin"]
        self.admin_password = self.vars["admin_password"]

    def stop(self):
        self._script("stop")

    def restart(self, **settings):
        self.stop()
        self.settings.update(settings)
        self.start()

    def destroy(self):
        self.stop()
        if self.own_directory:
            shutil.rmtree(self.directory, True)

    def log(self):
        with open(self.vars["log"], encoding="utf-8", errors="replace") as f:
            return f.read()

    def pids(self):
        """Every process of the instance."""
        out = self._script("pids", stdout=subprocess.PIPE, text=True).stdout
        return [int(p) for p in out.split()]

    def sessions(self, user=None):
        """The pids of the processes that serve IMAP sessions (of one user)."""
        return [pid for pid, owner in self._sessions() if user in (None, owner)]

    def kill_session(self, user=None, sig=signal.SIGKILL):
        """Kill one session; returns its pid, None if there was none."""
        for pid in self.sessions(user):
            os.kill(pid, sig)
            return pid
        return None

    def wait_sessions(self, count=0, user=None, seconds=10):
        """Wait until there are so many sessions; True if it came to that."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if len(self.sessions(user)) == count:
                return True
            time.sleep(0.02)
        return False

    def connect(self, security="starttls", host=None):
        """An imaplib client that has verified the server: starttls, implicit, none."""
        host = host or self.host
        context = ssl.create_default_context(cafile=self.ca)
        if security == "implicit":
            return imaplib.IMAP4_SSL(host, self.imaps_port, ssl_context=context, timeout=60)
        client = imaplib.IMAP4(host, self.imap_port, timeout=60)
        if security == "starttls":
            client.starttls(context)
        return client

    def login(self, user, password=None, security="none"):
        client = self.connect(security)
        client.login(user, self.password if password is None else password)
        return client

    def login_as(self, user, admin=None, password=None, security="none"):
        """Log in as the admin, acting for the user (SASL PLAIN with authzid)."""
        client = self.connect(security)
        admin = admin or self.admin
        password = self.admin_password if password is None else password
        plain = b"\0".join(s.encode() for s in (user, admin, password))
        client.authenticate("PLAIN", lambda unused: plain)
        return client

    def sasl_plain(self, user, admin=None):
        """The initial response that login_as() sends, in base64."""
        words = (user, admin or self.admin, self.admin_password)
        return base64.b64encode(b"\0".join(s.encode() for s in words)).decode()


class Dovecot(Server):
    name = "dovecot"

    def _sessions(self):
        for pid in self.pids():
            # verbose_proctitle: "dovecot/imap" and then "[user1 127.0.0.1 IDLE]"
            words = _cmdline(pid).split()
            if len(words) > 1 and words[0] == "dovecot/imap":
                yield pid, words[1].strip("[]")

    def login_master(self, user, security="none"):
        return self.login(f"{user}*{self.admin}", self.admin_password, security)

    def pop3(self, user):
        """A poplib client; settings have to say POP3=yes."""
        client = poplib.POP3(self.host, int(self.vars["pop3_port"]), timeout=60)
        client.user(user)
        client.pass_(self.password)
        return client

    def doveadm(self, *args, **kwargs):
        kwargs.setdefault("stdout", subprocess.PIPE)
        return self._script("doveadm", *args, **kwargs).stdout

    def home(self, user):
        return os.path.join(self.vars["homes"], user)

    def maildir(self, user, mailbox="INBOX"):
        """The directory of a mailbox under FORMAT=maildir."""
        top = os.path.join(self.home(user), "mail")
        return top if mailbox == "INBOX" else os.path.join(top, "." + mailbox)

    def add_user(self, user):
        """One more user, of the running server."""
        home = self.home(user)
        with open(os.path.join(self.directory, "users"), encoding="utf-8") as f:
            _, _, uid, gid, *_ = f.readline().split(":")
        os.mkdir(home, 0o700)
        if os.getuid() == 0:
            os.chown(home, int(uid), int(gid))
        with open(os.path.join(self.directory, "users"), "a", encoding="utf-8") as f:
            f.write(f"{user}:{{PLAIN}}{self.password}:{uid}:{gid}::{home}::\n")
        self.users.append(user)
        time.sleep(1.1)  # Dovecot looks at the file once a second

    def lock_uidlist(self, user, mailbox="INBOX"):
        """Hold the lock without which a Maildir takes no message; returns what
        releases it.  Dovecot waits for it, and commits when it gets it."""
        path = os.path.join(self.maildir(user, mailbox), "dovecot-uidlist.lock")
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        return lambda: os.unlink(path)


class Cyrus(Server):
    name = "cyrus"

    def start(self):
        super().start()
        self.proxy = self.vars["proxy"]

    def _sessions(self):
        # imapd leaves a file for each of its processes: service, host, user ...
        directory = os.path.join(self.directory, "run/proc")
        for pid in self.pids():
            try:
                with open(os.path.join(directory, str(pid)), encoding="utf-8") as f:
                    words = f.read().rstrip("\n").split("\t")
            except FileNotFoundError:
                continue
            if len(words) > 2 and words[2]:
                yield pid, words[2]

    def tool(self, name, *args, **kwargs):
        kwargs.setdefault("stdout", subprocess.PIPE)
        return self._script("tool", name, *args, **kwargs).stdout

    def admin_login(self):
        return self.login(self.admin, self.admin_password)

    def create_user(self, user, quota_kib=None, partition=None):
        """A mailbox for a user; a password entry is not made (use login_as)."""
        admin = self.admin_login()
        try:
            box = f'"user/{user}"'
            _ok(admin.xatom("CREATE", box, *([partition] if partition else [])))
            if quota_kib is not None:
                _ok(admin.setquota(box, f"(STORAGE {quota_kib})"))
        finally:
            admin.logout()

    def set_quota(self, user, quota_kib):
        admin = self.admin_login()
        try:
            _ok(admin.setquota(f'"user/{user}"', f"(STORAGE {quota_kib})"))
        finally:
            admin.logout()

    def delete_user(self, user):
        admin = self.admin_login()
        try:
            box = f'"user/{user}"'
            _ok(admin.setacl(box, self.admin, "lrswipkxtecda"))
            _ok(admin.delete(box))
        finally:
            admin.logout()


def _ok(answer):
    if answer[0] != "OK":
        raise imaplib.IMAP4.error(answer[1])
    return answer


def _cmdline(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            return f.read().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return ""
