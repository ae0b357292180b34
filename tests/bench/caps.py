"""bench caps: servers that take only so many sessions, found out by running.

Two scripted servers whose commands take their time, so that sessions are what
counts: one refuses the sixth session of a user, one is silent at the sixth
connection.  mailhaul with eight lanes, which knows nothing, against the best
of the fixed numbers of lanes that stay below the cap.
"""

import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(os.path.dirname(HERE), "lib"), os.path.join(os.path.dirname(HERE), "fake")]

import mail  # noqa: E402
from imap_server import FakeServer  # noqa: E402

CAP = 5
LATENCY = 0.05  # seconds of a command; every message is one


class Caps:
    def __init__(self, program, directory, quick):
        self.program, self.directory = program, directory
        os.makedirs(directory)
        self.runs = 0
        n = 1 if quick else 2
        # one account of many mailboxes, and many accounts
        self.users = {"of a user": ["user0"], "of the host": [f"user{i}" for i in range(100 * n)]}
        boxes = {"INBOX": 5} | {f"box{i}": 80 for i in range(30 * n)}
        mail.write_maildir(self.path("of a user", "user0"), boxes, mean=200)
        for user in self.users["of the host"]:
            mail.write_maildir(self.path("of the host", user), {"INBOX": 20}, seed=user, mean=200)
        self.secret = self.path("secret")
        with open(self.secret, "w", encoding="ascii") as f:
            os.fchmod(f.fileno(), 0o600)
            f.write("adminsecret\n")

    def path(self, *names):
        return os.path.join(self.directory, *names)

    def run(self, kind, lanes):
        """Seconds, connections and refused ones after the first ten seconds, refused in all."""
        users = self.users[kind]
        settings = {"max_user": CAP, "over": "bye"} if kind == "of a user" else {"max_sessions": CAP, "over": "hang"}
        server = FakeServer(users={u: "secret" for u in users}, latency=LATENCY, multiappend=False, **settings).start()
        self.runs += 1
        job = self.path(f"job{self.runs}.ini")
        with open(job + ".csv", "w", encoding="ascii") as f:
            f.write("user\n" + "".join(u + "\n" for u in users))
        with open(job, "w", encoding="ascii") as f:
            f.write(
                f"[job]\naccounts = {job}.csv\nlanes = {lanes}\nlanes-per-account = {lanes}\nquiet = yes\n"
                f"[source]\nuri = maildir:{self.path(kind)}/{{user}}\n"
                f"[target]\nuri = imap://admin@127.0.0.1:{server.port}?tls=none&authzid={{user}}&timeout=5\nsecret-file = {self.secret}\n"
            )
        begun = time.monotonic()
        late = []
        try:
            with open(job + ".log", "w", encoding="ascii") as log:
                process = subprocess.Popen([self.program, "copy", "--job", job], stdout=log, stderr=log)
                while process.poll() is None:
                    if not late and time.monotonic() - begun > 10:
                        late = [server.connections]
                    time.sleep(0.02)
            seconds = time.monotonic() - begun
            if process.returncode != 0:
                raise RuntimeError(f"mailhaul ended with {process.returncode}, see {job}.log")
            refused = [t - begun for t in server.refused]
            return seconds, server.connections - (late or [server.connections])[0], sum(t > 10 for t in refused), len(refused)
        finally:
            server.stop()


def caps(b, program, directory, quick, say):
    work = Caps(program, directory, quick)
    for kind in work.users:
        best = None
        for lanes in range(CAP - 1, CAP + 1):
            seconds, _, _, refused = work.run(kind, lanes)
            say(f"caps: {kind}, {lanes} lanes: {seconds:.1f} s, {refused} refused")
            best = min(best or seconds, seconds)
        seconds, connections, late, refused = work.run(kind, 8)
        say(f"caps: {kind}, 8 lanes: {seconds:.1f} s, {refused} refused, {late} of {connections} after 10 s")
        ratio, share = best / seconds, late / max(connections, 1)
        b.row("caps", f"cap {kind}: throughput", f"{seconds:.1f} s", f"{best:.1f} s", f"{ratio:.2f}", ">= 0.80", ratio >= 0.8)
        b.row("caps", "  refused after 10 s", f"{late} of {connections}", "", f"{100 * share:.2f} %", "< 1 %", late == 0 or share < 0.01)
