"""The part "cyrus" of the bench: Maildirs into Cyrus through private sync_servers,
against a client that streams prepared MULTIAPPENDs of 50 over as many plain
connections, and against one APPEND at a time; with the disk as it is, and with
every fsync of the server delayed by 4 ms (slow_sync.c)."""

import os

from servers import Cyrus

GOALS = {("native", 1): 1.3, ("4 ms", 1): 1.8}
SINGLES = 4


class Load:
    def __init__(self, b, speed, library):
        self.b = b
        settings = {"_FIXTURE_PRELOAD": library} if speed != "native" else {}
        users = 16 * len(b.accounts) + 40
        self.server = b.start(Cyrus, users, ALTNAMESPACE="yes", **settings)
        self.total = {n: sum(sum(a.boxes.values()) for a in b.accounts[:n]) for n in (1, len(b.accounts))}

    def ours(self, n, options=""):
        """Messages a second."""
        users = [self.server.fresh.pop() for _ in range(n)]
        target = f"cyrus:{{target_user}}?conf={self.server.vars['conf']}&libexec={self.server.vars['libexec']}{options}"
        sources = [f"maildir:{a.maildir}" for a in self.b.accounts[:n]]
        r = self.b.mailhaul(list(zip(sources, users)), target, n)
        self.b.check(self.server, users)
        return self.total[n] / r.seconds

    def raw(self, n):
        scripts = [a.fifties for a in self.b.accounts[:n]]
        (seconds, _), users = self.b.raw(self.server, scripts, self.server.imap_port, plain=True)
        self.b.check(self.server, users)
        return self.total[n] / seconds

    def singles(self, count):
        (_, seconds), users = self.b.raw(self.server, [self.b.accounts[0].singles], self.server.imap_port, plain=True)
        self.b.check(self.server, users, {"INBOX": count})
        return count / seconds


def cyrus(b, library, runs, singles, say):
    for speed in "native", "4 ms":
        load = Load(b, speed, library)
        for n in 1, len(b.accounts):
            say(f"cyrus: {speed}, {n} account(s), {runs} runs each")
            ours, raw, one = [], [], []
            for _ in range(runs):
                ours.append(load.ours(n))
                raw.append(load.raw(n))
                if n == 1:
                    one.append(load.singles(singles))
            what = f"{speed}, {n} account{'s' if n > 1 else ''}"
            b.ratio("cyrus", f"{what}, against {n} MULTIAPPEND 50", ours, raw, GOALS.get((speed, n)))
            if n == 1:
                b.ratio("cyrus", f"{what}, against one APPEND at a time", ours, one, SINGLES)
        load.server.destroy()
