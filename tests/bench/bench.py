"""make bench: what mailhaul costs, as ratios to other programs on the same data.

    scripts/bench [append] [mbsync] [pull] [delta] [many] [delay] [memory] [state] [plan] [trips] [caps] [files] [cgp]
                  [dsync] [cyrus] [audit]

Runs that are compared take turns (A B A B); the table shows medians and the
smallest and largest of the ratios of neighbours.  Every run goes to users that
nobody has used, and the server's own count of the messages is checked after it.
Exit status 1: a goal was missed.  Settings from the environment:
    BENCH=quick     fewer and smaller runs; their verdicts are hints
    BENCH_RUNS=5    runs of each side
    BENCH_DIR=/tmp  where mail, servers and states lie: a short name, 15 GB free
"""

import base64
import json
import os
import random
import re
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, "tests/lib"))

sys.path.insert(0, HERE)

import audits as bench_audits  # noqa: E402
import caps as capped  # noqa: E402
import cgp as communigate  # noqa: E402
import cyrus as bench_cyrus  # noqa: E402
import dsync as bench_dsync  # noqa: E402
import files as bench_files  # noqa: E402
from proxy import Proxy  # noqa: E402
from servers import Cyrus, Dovecot  # noqa: E402

QUICK = os.environ.get("BENCH") == "quick"
RUNS = int(os.environ.get("BENCH_RUNS", "3" if QUICK else "5"))
DIR = os.environ.get("BENCH_DIR", "/tmp")
BUILD = os.path.abspath(os.environ.get("B", "build"))
MAILHAUL = os.path.join(BUILD, "mailhaul")
RAW = os.path.join(BUILD, "bench/raw_append")

ACCOUNTS = 4
MESSAGES = 1000 if QUICK else 2500  # of an account
BOXES = {"INBOX": 0.6, "Sent": 0.24, "Archive": 0.16}
MEAN = 14000
SINGLES = 50 if QUICK else 150  # for clients that are slow
BATCH = 100
MANY = 100_000 if QUICK else 1_000_000
CROWD = 100 if QUICK else 300  # accounts
MAILBOXES, EACH, NEWS = (500, 20, 20) if QUICK else (4000, 40, 84)
HUGE = (128 if QUICK else 1024) << 20
MIB = 1 << 20
FLAGS = (("\\Seen", "S", 0.8), ("\\Answered", "R", 0.2), ("\\Flagged", "F", 0.05))


def say(text):
    print(text, file=sys.stderr, flush=True)


# What is moved.


class Text:
    """Lines of prose to cut bodies from, so that much mail is made quickly."""

    def __init__(self, seed, size=4 * MIB):
        rng = random.Random(seed)
        words = [f"{'bcdfglmnprst'[i % 12]}{'aeiou'[i % 5]}{i * 7919 % 9973:x}" for i in range(3000)]
        lines = []
        while size > 0:
            lines.append(" ".join(rng.choices(words, k=11)))
            size -= len(lines[-1]) + 1
        self.bytes = "\n".join(lines).encode() + b"\n"
        self.rng = rng

    def body(self, size):
        at = self.rng.randrange(len(self.bytes) - size)
        at = self.bytes.find(b"\n", at, -size) + 1
        end = self.bytes.rfind(b"\n", at, at + max(size, 200)) + 1
        return self.bytes[at:end]


def header(name, date):
    stamp = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(date))
    return (
        f"Return-Path: <sender@example.org>\n"
        f"Received: from mx.example.org (mx.example.org [192.0.2.1])\n"
        f"\tby mail.example.net with ESMTPS id {name}\n\tfor <someone@example.net>; {stamp}\n"
        f"From: Some Sender <sender@example.org>\nTo: someone@example.net\n"
        f"Subject: message {name}\nDate: {stamp}\nMessage-ID: <{name}@example.org>\n"
        f"MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\n"
    ).encode()


class Account:
    """A Maildir, and the same as scripts for raw_append."""

    def __init__(self, directory, number):
        self.directory = directory
        self.maildir = os.path.join(directory, "Maildir")
        self.stream = os.path.join(directory, "stream")
        self.boxes = {name: round(MESSAGES * part) for name, part in BOXES.items()}
        text, boxes = Text(number), {}
        for name, count in self.boxes.items():
            folder = self.maildir if name == "INBOX" else os.path.join(self.maildir, "." + name)
            for sub in "cur", "new", "tmp":
                os.makedirs(os.path.join(folder, sub))
            boxes[name] = [self._message(text, folder, f"{number}.{name}.{i}") for i in range(count)]
        script(self.stream, boxes, BATCH)
        self.fifties = script(os.path.join(directory, "fifties"), boxes, 50)
        self.singles = script(os.path.join(directory, "singles"), {"INBOX": boxes["INBOX"][:SINGLES]}, 0)

    @staticmethod
    def _message(text, folder, name):
        date = 1_000_000_000 + text.rng.randrange(500_000_000)
        body = header(name, date) + text.body(int(text.rng.expovariate(1 / MEAN)))
        flags = [f for f in FLAGS if text.rng.random() < f[2]]
        letters = "".join(sorted(f[1] for f in flags))
        path = os.path.join(folder, "cur", f"{date}.{name}.host,S={len(body)}:2,{letters}")
        with open(path, "wb") as f:
            f.write(body)
        os.utime(path, (date, date))
        when = time.strftime("%d-%b-%Y %H:%M:%S +0000", time.gmtime(date))
        return f'({" ".join(f[0] for f in flags)}) "{when}"'.encode(), body.replace(b"\n", b"\r\n")


def script(path, boxes, batch):
    """For raw_append: MULTIAPPENDs of so many messages without any wait, or
    (batch 0) one APPEND at a time with synchronising literals."""
    out, stops, size, tag = [], [], 0, 0

    def add(data):
        nonlocal size
        out.append(data)
        size += len(data)

    for name, messages in boxes.items():
        if name != "INBOX":
            add(f"c CREATE {name}\r\n".encode())
        add(f"s SELECT {name}\r\n".encode())
        for i, (facts, body) in enumerate(messages):
            if i % (batch or 1) == 0:
                tag += 1
                add(f"t{tag} APPEND {name}".encode())
            add(b" %s {%d%s}\r\n" % (facts, len(body), b"+" if batch else b""))
            if not batch:
                stops.append((size, "+"))
            add(body)
            if not batch or (i + 1) % batch == 0 or i + 1 == len(messages):
                add(b"\r\n")
            if not batch:
                stops.append((size, f"t{tag}"))
    if batch:
        stops.append((size, f"t{tag}"))
    with open(path, "wb") as f:
        f.write(" ".join([str(len(stops))] + [f"{at} {word}" for at, word in stops]).encode() + b"\n")
        f.writelines(out)
    return path


def many_mbox(path):
    text = Text("mbox")
    stamp = time.strftime("%a %b %e %H:%M:%S %Y", time.gmtime(1_000_000_000))
    with open(path, "wb") as f:
        for i in range(MANY):
            f.write(f"From sender@example.org {stamp}\n".encode() + header(i, 1_000_000_000 + i) + text.body(200) + b"\n")


def many_maildir(path):
    text = Text("maildir")
    for sub in "new", "tmp", "cur":
        os.makedirs(os.path.join(path, sub))
    os.chdir(os.path.join(path, "cur"))
    for i in range(MANY):
        fd = os.open(f"{1_000_000_000 + i}.M{i}.host:2,S", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        os.write(fd, header(i, 1_000_000_000 + i) + text.body(200))
        os.close(fd)
    os.chdir("/")


def huge_maildir(path):
    for sub in "new", "tmp", "cur":
        os.makedirs(os.path.join(path, sub))
    text, left = Text("huge").bytes, HUGE
    with open(os.path.join(path, "cur", "1000000000.huge.host:2,S"), "wb") as f:
        f.write(header("huge", 1_000_000_000))
        while left > 0:
            f.write(text[: min(left, len(text))])
            left -= len(text)


# Who moves it.


class Failed(Exception):
    pass


class Bench:
    def __init__(self):
        self.work = tempfile.mkdtemp(prefix="mhbench", dir=DIR)
        os.chmod(self.work, 0o755)
        self.children, self.servers, self.started = [], {}, []
        self.number = 0
        self._accounts = None
        self.rows = []
        self.load = os.getloadavg()
        self.missed = 0

    def close(self):
        for child in self.children:
            if child.poll() is None:
                child.kill()
        for server in self.started:
            server.destroy()
        shutil.rmtree(self.work, True)

    def path(self, name):
        """A new name below the work directory."""
        self.number += 1
        return os.path.join(self.work, f"{name}{self.number}")

    @property
    def accounts(self):
        if self._accounts is None:
            say(f"making {ACCOUNTS} accounts of {MESSAGES} messages, mean {MEAN // 1000} kB")
            self._accounts = [Account(self.path("account"), i) for i in range(ACCOUNTS)]
        return self._accounts

    def server(self, kind):
        if kind not in self.servers:
            users = ACCOUNTS * ((2 if kind is Cyrus else 12) * RUNS + 6) + 2 * RUNS
            settings = {"ALTNAMESPACE": "yes"} if kind is Cyrus else {}
            self.servers[kind] = self.start(kind, users, **settings)
        return self.servers[kind]

    def start(self, kind, users, **settings):
        """A server with so many fresh users."""
        server = kind(self.path(kind.name[0]), USERS=users, **settings)
        self.started.append(server)
        server.start()
        server.fresh = list(server.users)
        server.secret = self.path("secret")
        with open(os.open(server.secret, os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="ascii") as f:
            f.write(server.password + "\n")
        return server

    def spawn(self, *command, **kwargs):
        child = subprocess.Popen(command, **kwargs)
        self.children.append(child)
        return child

    def mailhaul(self, jobs, target, lanes, wrap=(), watch=False):
        """Copies (source, user) pairs; a Result."""
        state, users, job = self.path("state.db"), self.path("users.csv"), self.path("job.ini")
        with open(job, "w", encoding="utf-8") as f:
            f.write(f"[job]\nlanes = {lanes}\n[target]\nuri = {target}\n")
        with open(users, "w", encoding="utf-8") as f:
            f.write("user,source,target_user\n")
            f.writelines(f"{user},{source},{user}\n" for source, user in jobs)
        command = [*wrap, MAILHAUL, "copy", "--job", job, "--accounts", users, "--state", state]
        command += ["--quiet", "--verbose", "--format", "json"]
        report, log = self.path("report"), self.path("log")
        os.sync()
        used, start = cpu(), time.perf_counter()
        with open(report, "wb") as out, open(log, "wb") as err:
            child = self.spawn(*command, stdout=out, stderr=err)
        peak = watch_peak(child.pid) if watch else 0
        child.wait()
        r = Result(time.perf_counter() - start, cpu() - used)
        with open(report, encoding="utf-8") as out, open(log, encoding="utf-8") as err:
            answer, words = out.read(), err.read()
        if child.returncode != 0:
            raise Failed(f"mailhaul ended with {child.returncode}: {words[-2000:]}")
        r.totals = json.loads(answer)["totals"]
        r.commits = int(re.search(r"(\d+) commits", words).group(1))
        r.state_bytes, r.peak = os.path.getsize(state), peak
        return r

    def imap(self, server, jobs, lanes, port=None, options="", **kwargs):
        """mailhaul from Maildirs to fresh users, TLS unless options say else."""
        users = [server.fresh.pop() for _ in jobs]
        scheme, port = ("imap", port or server.imap_port) if "tls=none" in options else ("imaps", port or server.imaps_port)
        uri = f"{scheme}://{{target_user}}@127.0.0.1:{port}?ca={server.ca}&secret-file={server.secret}{options}"
        return self.mailhaul([(f"maildir:{path}", user) for path, user in zip(jobs, users)], uri, lanes, **kwargs), users

    def ours(self, server, **kwargs):
        r, users = self.imap(server, [a.maildir for a in self.accounts], ACCOUNTS, **kwargs)
        self.check(server, users)
        return r

    def raw(self, server, scripts, port=None, plain=False):
        users = [server.fresh.pop() for _ in scripts]
        command = [RAW, "127.0.0.1", str(port or server.imaps_port), "-" if plain else server.ca]
        for user, path in zip(users, scripts):
            command += [f"LOGIN {user} {server.password}", path]
        os.sync()
        child = self.spawn(*command, stdout=subprocess.PIPE)
        out, _ = child.communicate()
        if child.returncode != 0:
            raise Failed("raw_append failed")
        return [float(s) for s in out.split()], users

    def check(self, server, users, boxes=None):
        """The server's own count; boxes of the accounts, if none are given."""
        for n, user in enumerate(users):
            client = server.login(user)
            for box, count in (boxes or self.accounts[n].boxes).items():
                _, (answer,) = client.status(box, "(MESSAGES)")
                if f"MESSAGES {count})" not in (answer or b"").decode():
                    raise Failed(f"{user} should have {count} messages in {box}: {answer}")
            client.logout()

    def row(self, part, what, ours, theirs, value, goal, good):
        self.rows.append((part, what, ours, theirs, value, goal, "" if good is None else "ok" if good else "MISSED"))
        self.missed += good is False
        say(f"    {what}: {ours} {theirs} {value}")

    def ratio(self, part, what, ours, theirs, least):
        """ours, theirs: rates of runs that took turns."""
        ratios = [a / b for a, b in zip(ours, theirs)]
        median = statistics.median(ratios)
        digits = 2 if median < 10 else 0
        spread = f"{median:.{digits}f} ({min(ratios):.{digits}f} .. {max(ratios):.{digits}f})"
        goal = f">= {least}" if least else ""
        self.row(part, what, rate(ours), rate(theirs), spread, goal, median >= least if least else None)

    def table(self):
        head = ("part", "what", "mailhaul", "other", "ratio or value", "goal", "verdict")
        rows = [head, *self.rows]
        widths = [max(len(r[i]) for r in rows) for i in range(len(head))]
        load = " ".join(f"{n:.1f}" for n in self.load)
        print(f"\n{ACCOUNTS} accounts of {MESSAGES} messages, mean {MEAN // 1000} kB, TLS; medians of {RUNS} runs and the")
        print(f"extremes; {os.cpu_count()} processors, load before it {load}, files in {DIR}")
        for r in rows:
            print("  ".join(cell.ljust(w) for cell, w in zip(r, widths)).rstrip())


class Result:
    def __init__(self, seconds, cpu_seconds):
        self.seconds, self.cpu_seconds = seconds, cpu_seconds


def cpu():
    """Seconds used by the children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def rate(rates):
    return f"{statistics.median(rates):.0f}/s"


def watch_peak(pid):
    """VmHWM of a process in bytes, as last seen before its end."""
    peak = 0
    while True:
        try:
            with open(f"/proc/{pid}/status", encoding="ascii") as f:
                found = re.search(r"VmHWM:\s+(\d+) kB", f.read())
        except (FileNotFoundError, ProcessLookupError):
            return peak
        if not found:  # a zombie has no memory
            return peak
        peak = int(found.group(1)) * 1024
        time.sleep(0.01)


# The parts.


def append(b):
    """mailhaul against a client that streams prepared MULTIAPPENDs."""
    total = ACCOUNTS * MESSAGES
    for kind in Dovecot, Cyrus:
        say(f"append: into {kind.name}, {RUNS} runs each")
        server = b.server(kind)
        ours, raw = [], []
        for _ in range(RUNS):
            ours.append(total / b.ours(server).seconds)
            (seconds, _), users = b.raw(server, [a.stream for a in b.accounts])
            b.check(server, users)
            raw.append(total / seconds)
        b.ratio("append", f"into {kind.name}, against {ACCOUNTS} streams of MULTIAPPEND", ours, raw, 0.8)


def mbsync(b):
    """mailhaul against mbsync (as it is: one process, account after account;
    and one process for each account) and imapcopy."""
    total = ACCOUNTS * MESSAGES
    server = b.server(Dovecot)
    peers = [
        ("mbsync -a", 3, lambda: run_mbsync(b, server, False)),
        ("4 mbsync at once", 0, lambda: run_mbsync(b, server, True)),
    ]
    if shutil.which("imapcopy"):
        _, filled = b.raw(server, [a.stream for a in b.accounts])
        peers.append(("4 imapcopy at once, from IMAP, no TLS", 0, lambda: run_imapcopy(b, server, filled)))
    for name, goal, run in peers:
        say(f"mbsync: {name}, {RUNS} runs each")
        ours, theirs = [], []
        for _ in range(RUNS):
            ours.append(total / b.ours(server).seconds)
            theirs.append(total / run())
        b.ratio("mbsync", f"into dovecot, against {name}", ours, theirs, goal)


def small_accounts(b):
    """The accounts of the drill (tests/faults/test_drill.py): 20 to 200 messages,
    every hundredth 1,500; and the same messages in ACCOUNTS of them.  Two lists
    of (Maildir, {mailbox: messages})."""
    crowd, few, text = [], [(b.path("few"), Counter()) for _ in range(ACCOUNTS)], Text("many")
    for number in range(CROWD):
        count = 1500 if number % 100 == 0 else text.rng.randrange(20, 200)
        crowd.append((b.path("crowd"), {"INBOX": count - count // 3, "Old": count // 3}))
        other, total = few[number % ACCOUNTS]
        for name, messages in crowd[-1][1].items():
            total[name] += messages
            folders = [top if name == "INBOX" else os.path.join(top, "." + name) for top in (crowd[-1][0], other)]
            for folder in folders:
                for sub in "cur", "new", "tmp":
                    os.makedirs(os.path.join(folder, sub), exist_ok=True)
            for i in range(messages):
                word = f"{1_000_000_000 + i}.{number}-{name}-{i}.host:2,S"
                path = os.path.join(folders[0], "cur", word)
                with open(path, "wb") as f:
                    f.write(header(word, 1_000_000_000 + i) + text.body(int(text.rng.expovariate(1 / 4000))))
                os.link(path, os.path.join(folders[1], "cur", word))
    return crowd, few


# Dovecot's default starts a process for every login, which costs it more than
# the messages of a small account; its manual advises this for large sites
# (LoginProcess, "high-performance mode").
SHARED_LOGINS = """
service imap-login {
  service_count = 0
  process_min_avail = 2
}
"""


def many(b):
    """Many small accounts against the same messages in four."""
    say(f"many: making {CROWD} accounts of 20 to 200 messages")
    crowd, few = small_accounts(b)
    for kind, name, goal, settings in (
        (Dovecot, "dovecot, a process a login", None, {}),
        (Dovecot, "dovecot, login processes shared", 0.7, {"EXTRA": SHARED_LOGINS}),
        (Cyrus, "cyrus", 0.7, {"ALTNAMESPACE": "yes"}),
    ):
        server = b.start(kind, (CROWD + ACCOUNTS) * RUNS, **settings)
        rates = [], []
        for _ in range(RUNS):
            for rate, accounts in zip(rates, (crowd, few)):
                r, users = b.imap(server, [maildir for maildir, _ in accounts], 8)
                for user, (_, boxes) in list(zip(users, accounts))[:: max(1, len(users) // 20)]:
                    b.check(server, [user], boxes)
                rate.append(sum(sum(boxes.values()) for _, boxes in accounts) / r.seconds)
        what = f"{CROWD} accounts of 20 to 200 into {name}, against {ACCOUNTS} with the same messages"
        b.ratio("many", what, *rates, goal)
        server.destroy()


def timed(b, commands):
    """Seconds until all of them have ended well."""
    os.sync()
    start = time.perf_counter()
    children = [b.spawn(*c, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for c, cwd in commands]
    codes = [child.wait() for child in children]
    seconds = time.perf_counter() - start
    if any(codes):
        raise Failed(f"{commands[0][0][0]} ended with {codes}")
    return seconds


def run_mbsync(b, server, at_once):
    configs, users = [], []
    for account in b.accounts:
        user = server.fresh.pop()
        users.append(user)
        top = b.path("mbsync")
        # It renames files: names of its own for the same files.
        subprocess.run(["cp", "-al", account.maildir, top], check=True)
        configs.append(
            f"IMAPAccount {user}\nHost localhost\nPort {server.imaps_port}\nUser {user}\nPass {server.password}\n"
            f"SSLType IMAPS\nSystemCertificates no\nCertificateFile {server.ca}\n\n"
            f"IMAPStore far-{user}\nAccount {user}\n\n"
            f"MaildirStore near-{user}\nInbox {top}\nSubFolders Maildir++\n\n"
            f"Channel {user}\nFar :far-{user}:\nNear :near-{user}:\nPatterns *\nCreate Far\nSync Push\n"
            f"CopyArrivalDate yes\nSyncState *\n\n"
        )
    commands = []
    for text in configs if at_once else ["".join(configs)]:
        path = b.path("mbsyncrc")
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        commands.append((["mbsync", "-c", path, "-a"], b.work))
    seconds = timed(b, commands)
    b.check(server, users)
    return seconds


def run_imapcopy(b, server, filled):
    commands, users = [], []
    for source in filled:
        user = server.fresh.pop()
        users.append(user)
        top = b.path("imapcopy")
        os.mkdir(top)
        with open(os.path.join(top, "ImapCopy.cfg"), "w", encoding="utf-8") as f:
            for side in "Source", "Dest":
                f.write(f"{side}Server 127.0.0.1\n{side}Port {server.imap_port}\n")
            f.write(f'Copy "{source}" "{server.password}" "{user}" "{server.password}"\n')
        commands.append((["imapcopy"], top))
    seconds = timed(b, commands)
    b.check(server, users)
    return seconds


def run_mbsync_pull(b, source, target, names, far=0, near=0):
    """mbsync from IMAP to IMAP, account after account, as it is; ports of delays
    in place of the servers' own."""
    users = [target.fresh.pop() for _ in names]
    path = b.path("mbsyncrc")
    with open(path, "w", encoding="utf-8") as f:
        for name, user in zip(names, users):
            with open(mbsync_pull_config(b, source, target, name, user, far, near), encoding="utf-8") as one:
                f.write(one.read())
    seconds = timed(b, [(["mbsync", "-c", path, "-a"], b.work)])
    b.check(target, users)
    return seconds


def mbsync_pull_config(b, source, target, name, user, far=0, near=0):
    """Its configuration for one account."""
    text = ""
    for side, server, login, port in ("far", source, name, far), ("near", target, user, near):
        text += (
            f"IMAPAccount {side}-{user}\nHost localhost\nPort {port or server.imaps_port}\nUser {login}\n"
            f"Pass {server.password}\nSSLType IMAPS\nSystemCertificates no\nCertificateFile {server.ca}\n\n"
            f"IMAPStore {side}-{user}\nAccount {side}-{user}\n\n"
        )
    path, states = b.path("mbsyncrc"), b.path("syncstate")
    os.mkdir(states)
    with open(path, "w", encoding="utf-8") as f:
        f.write(
            f"{text}Channel {user}\nFar :far-{user}:\nNear :near-{user}:\nPatterns *\nCreate Near\nSync Pull\n"
            f"CopyArrivalDate yes\nSyncState {states}/\n\n"
        )
    return path


def run_pull(b, source, target, names, far=0, near=0):
    """The same by mailhaul; the seconds."""
    users = [target.fresh.pop() for _ in names]
    uris = [
        f"imaps://{name}@127.0.0.1:{far or source.imaps_port}?ca={source.ca}&secret-file={source.secret}" for name in names
    ]
    uri = f"imaps://{{target_user}}@127.0.0.1:{near or target.imaps_port}?ca={target.ca}&secret-file={target.secret}"
    r = b.mailhaul(list(zip(uris, users)), uri, 2 * ACCOUNTS)
    b.check(target, users)
    return r.seconds


def pull(b):
    """IMAP to IMAP against mbsync, on loopback and with 20 ms there and back."""
    server = b.server(Dovecot)
    total = ACCOUNTS * MESSAGES
    _, filled = b.raw(server, [a.stream for a in b.accounts])
    for what, milliseconds in ("loopback", 0), ("20 ms", 10):
        say(f"pull: {what}, {RUNS} runs each")
        proxy = Delay(b, server.imaps_port, milliseconds) if milliseconds else None
        ports = (proxy.port, proxy.port) if proxy else (0, 0)
        ours, theirs = [], []
        for _ in range(RUNS):
            ours.append(total / run_pull(b, server, server, filled, *ports))
            theirs.append(total / run_mbsync_pull(b, server, server, filled, *ports))
        if proxy:
            proxy.end()
        b.ratio("pull", f"dovecot to dovecot, {what}, against mbsync -a", ours, theirs, 3)


def new_mail(server, user, boxes):
    """One more message in some of the mailboxes, evenly; how many."""
    client, step = server.login(user), len(boxes) // min(NEWS, len(boxes))
    for i, name in enumerate(boxes[::step][:NEWS]):
        client.append(name, None, None, header(f"new{i}", 1_500_000_000).replace(b"\n", b"\r\n"))
    client.logout()
    return len(boxes[::step][:NEWS])


def full_listing(server, user, boxes):
    """UIDs and flags of all messages: what a tool without tokens has to ask for."""
    client = server.login(user)
    start = time.perf_counter()
    for name in boxes:
        client.select(name, readonly=True)
        client.uid("FETCH", "1:*", "(FLAGS)")
    seconds = time.perf_counter() - start
    client.logout()
    return seconds


def delta(b):
    """A pass over many mailboxes in which little is new, and one without news."""
    boxes = ["INBOX"] + [f"Projects.box{n}" for n in range(MAILBOXES - 1)]
    text = Text("delta")
    say(f"delta: {MAILBOXES} mailboxes of {EACH} messages")
    path = b.path("stream")
    facts = b'() "01-Jan-2010 00:00:00 +0000"'
    script(path, {name: [(facts, header(f"{name}.{i}", 1_000_000_000 + i).replace(b"\n", b"\r\n") + text.body(300)) for i in range(EACH)] for name in boxes}, EACH)
    server = b.start(Dovecot, 3)
    b.raw(server, [path])
    source, ours, theirs = server.users[-1], server.users[0], server.users[1]
    state_file, total = b.path("state.db"), MAILBOXES * EACH
    config = mbsync_pull_config(b, server, server, source, theirs)
    uri = f"imaps://{ours}@127.0.0.1:{server.imaps_port}?ca={server.ca}&secret-file={server.secret}"

    def copy(port=None):
        scheme, tls = ("imap", "tls=none") if port else ("imaps", f"ca={server.ca}")
        from_uri = f"{scheme}://{source}@127.0.0.1:{port or server.imaps_port}?{tls}&secret-file={server.secret}"
        start = time.perf_counter()
        run = subprocess.run([MAILHAUL, "copy", from_uri, uri, "--state", state_file, "--quiet", "--lanes", "1", "--format", "json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        if run.returncode != 0:
            raise Failed(run.stderr.decode()[-2000:])
        if json.loads(run.stdout)["totals"]["copied"] != total:
            raise Failed(run.stdout.decode()[:500])
        return time.perf_counter() - start

    copy()
    timed(b, [(["mbsync", "-c", config, "-a"], b.work)])
    total += (news := new_mail(server, source, boxes))
    mine, mbs, full = copy(), timed(b, [(["mbsync", "-c", config, "-a"], b.work)]), full_listing(server, source, boxes)
    for what, seconds in ("mbsync", mbs), ("UIDs and flags of all", full):
        ratio = seconds / mine
        b.row("delta", f"{news} new in {MAILBOXES} mailboxes, {total} messages, against {what}", f"{mine:.2f} s", f"{seconds:.2f} s", f"{ratio:.1f}", ">= 10", ratio >= 10)
    with Proxy(server.host, server.imap_port) as proxy:
        seconds = copy(proxy.port)
        sent = sum(sum(c.bytes.values()) for c in proxy.connections)
        b.row("delta", "  nothing new", f"{seconds:.2f} s", "", f"{proxy.turns} round trips at the source, {sent // 1000} kB", "", None)


class Delay:
    """tests/lib/proxy.py as a process; counts, if the links are plain."""

    def __init__(self, b, port, milliseconds, parse=False):
        command = ["/usr/bin/python3", os.path.join(ROOT, "tests/lib/proxy.py"), f"127.0.0.1:{port}"]
        command += ["--delay", str(milliseconds)] + ([] if parse else ["--no-parse"])
        self.child = b.spawn(*command, stdout=subprocess.PIPE, text=True)
        self.port = int(self.child.stdout.readline().split("=")[1])

    def end(self):
        self.child.send_signal(signal.SIGTERM)
        out, _ = self.child.communicate()
        return json.loads(out)


def delay(b):
    """One connection each, 20 ms there and back."""
    server = b.server(Dovecot)
    account = b.accounts[0]
    say(f"delay: {RUNS} runs each")
    proxy = Delay(b, server.imaps_port, 10)
    ours, theirs = [], []
    for _ in range(RUNS):
        r, users = b.imap(server, [account.maildir], 1, proxy.port)
        b.check(server, users)
        ours.append(MESSAGES / r.seconds)
        (_, seconds), users = b.raw(server, [account.singles], proxy.port)
        b.check(server, users, {"INBOX": SINGLES})
        theirs.append(SINGLES / seconds)
    proxy.end()
    b.ratio("delay", "into dovecot, 1 connection, 20 ms, against one APPEND at a time", ours, theirs, 30)


def many_over_imap(b, path):
    """The mbox, brought into Dovecot and read from there."""
    server = b.start(Dovecot, 1, FORMAT="mdbox")
    say(f"memory: {MANY} messages into dovecot, and from there")
    uri = f"imaps://user1@127.0.0.1:{server.imaps_port}?ca={server.ca}&secret-file={server.secret}"
    b.mailhaul([(f"mbox:{path}", "user1")], uri, 1)
    r = b.mailhaul([(uri, "user1")], "null:", 1, watch=True)
    if r.totals["copied"] != MANY:
        raise Failed(f"{r.totals} of {MANY} messages")
    server.destroy()
    return r


def memory(b):
    """Peaks, with one lane: 64 MiB and 4 MiB more are allowed."""
    limit = 68

    def judge(what, r):
        peak = r.peak / MIB
        b.row("memory", what, f"{peak:.0f} MiB", "", f"in {r.seconds:.0f} s", f"< {limit} MiB", peak < limit)

    for make, scheme, name in ((many_mbox, "mbox", "one mbox"), (many_maildir, "maildir", "one Maildir")):
        say(f"memory: {MANY} messages of {name}")
        path = b.path(scheme)
        make(path)
        r = b.mailhaul([(f"{scheme}:{path}", "user1")], "null:", 1, watch=True)
        if r.totals["copied"] != MANY:
            raise Failed(f"{r.totals} of {MANY} messages")
        judge(f"{MANY} messages of {name} into null:", r)
        b.row("memory", "  its state", f"{r.state_bytes / MANY:.0f} B/message", "", f"{MANY / r.seconds:.0f}/s", "", None)
        if scheme == "mbox":
            judge(f"{MANY} messages of one IMAP mailbox into null:", many_over_imap(b, path))
        subprocess.run(["rm", "-rf", path], check=True)
    path = b.path("huge")
    huge_maildir(path)
    for kind in Dovecot, Cyrus:
        say(f"memory: one message of {HUGE // MIB} MiB into {kind.name}")
        server = b.server(kind)
        r, users = b.imap(server, [path], 1, watch=True)
        b.check(server, users, {"INBOX": 1})
        judge(f"one message of {HUGE // MIB} MiB into {kind.name}", r)


def state(b):
    """What a message costs: untimed runs, one watched by strace, one on the wire."""
    server = b.server(Dovecot)
    total = ACCOUNTS * MESSAGES
    say("state: three runs")
    r = b.ours(server)
    b.row("state", "state database", f"{r.state_bytes / total:.0f} B/message", "", f"{r.state_bytes} B", "", None)
    b.row("state", "commits of the state", f"{r.commits / total:.4f}/message", "", str(r.commits), "", None)
    b.row("state", "processor time", f"{r.cpu_seconds / total * 1e6:.0f} us/message", "", f"{r.cpu_seconds:.2f} s", "", None)
    counts = b.path("strace")
    b.ours(server, wrap=("strace", "-f", "-c", "-o", counts))
    calls, syncs = strace_counts(counts)
    b.row("state", "system calls", f"{calls / total:.2f}/message", "", str(calls), "", None)
    b.row("state", "fsync and fdatasync", f"{syncs / total:.4f}/message", "", str(syncs), "", None)
    proxy = Delay(b, server.imap_port, 0, parse=True)
    b.ours(server, port=proxy.port, options="&tls=none")
    wire = proxy.end()
    commands = sum(wire["commands"].values())
    text = ", ".join(f"{name} {n}" for name, n in sorted(wire["commands"].items(), key=lambda i: -i[1])[:4])
    b.row("state", "IMAP commands", f"{commands / total:.4f}/message", "", text, "", None)


def caps(b):
    """Servers with a cap of sessions, which is found while it runs."""
    capped.caps(b, MAILHAUL, b.path("caps"), QUICK, say)


def cgp(b):
    """CommuniGate's mailboxes into null:."""
    text = Text("cgp")
    communigate.cgp(b, QUICK, RUNS, lambda i: header(i, 1_000_000_000 + i) + text.body(200), say)


def strace_counts(path):
    calls = syncs = 0
    with open(path, encoding="ascii") as f:
        for line in f:
            words = line.split()
            if len(words) >= 5 and words[3].isdigit() and words[-1] != "total":
                calls += int(words[3])
                syncs += int(words[3]) if words[-1] in ("fsync", "fdatasync") else 0
    return calls, syncs


def many_homes(b, count):
    """Small accounts, alike: a Maildir each."""
    top = b.path("homes")
    for i in range(count):
        home = os.path.join(top, f"user{i + 1}")
        for box, n in ("", 12), (".Sent", 5), (".Lists.debian", 3):
            for sub in "cur", "new", "tmp":
                os.makedirs(os.path.join(home, box, sub))
            for k in range(n):
                with open(os.path.join(home, box, "cur", f"{1500000000 + k}.M{k}P{n}.bench:2,S"), "wb") as f:
                    f.write(f"Subject: {i} {box} {k}\n\n{'x' * 70}\n".encode())
    return top


def plan(b):
    """All accounts of a list, logged in to and listed, before and after a copy."""
    count = 200 if QUICK else 1000
    goal = 120 * count / 1000
    say(f"plan: {count} accounts")
    top = many_homes(b, count)
    with Dovecot(b.path("p"), USERS=count) as server:
        secret = b.path("secret")
        with open(os.open(secret, os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="ascii") as f:
            f.write(server.admin_password + "\n")
        job, users, state_file = b.path("job.ini"), b.path("users.csv"), b.path("state.db")
        with open(job, "w", encoding="utf-8") as f:
            f.write(f"[source]\nuri = maildir:{top}/{{user}}\n[target]\n")
            f.write(f"uri = imaps://{server.admin}@127.0.0.1:{server.imaps_port}?authzid={{user}}&ca={server.ca}&secret-file={secret}\n")
        with open(users, "w", encoding="ascii") as f:
            f.write("user\n" + "".join(f"user{i + 1}\n" for i in range(count)))
        words = ["--job", job, "--accounts", users, "--state", state_file, "--quiet", "--format", "json"]
        for what in "a new job", "the job when it is done":
            start = time.perf_counter()
            run = subprocess.run([MAILHAUL, "plan", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
            seconds = time.perf_counter() - start
            if run.returncode != 0:
                raise Failed(f"plan ended with {run.returncode}: {run.stderr.decode()[-1000:]} {run.stdout.decode()[:1000]}")
            report = json.loads(run.stdout)
            if report["totals"]["messages"] != 20 * count or report["totals"]["ready"] != count:
                raise Failed(str(report["totals"]))
            b.row("plan", f"{count} accounts into dovecot, TLS, {what}", f"{seconds:.1f} s", "", f"{count / seconds:.0f} accounts/s", f"< {goal:.0f} s", seconds < goal)
            if what == "a new job":
                start = time.perf_counter()
                run = subprocess.run([MAILHAUL, "copy", *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
                if run.returncode != 0:
                    raise Failed(f"copy ended with {run.returncode}: {run.stderr.decode()[-1000:]}")
                b.row("plan", "  the copy of 20 messages each", f"{time.perf_counter() - start:.1f} s", "", "", "", None)


def trips(b):
    """What one account costs, apart from its mail: waits for the server."""
    home = os.path.join(many_homes(b, 1), "user1")
    for kind in Dovecot, Cyrus:
        server = b.server(kind)
        user = server.fresh.pop()
        state_file = b.path("state.db")
        with Proxy(server.host, server.imap_port) as proxy:
            uri = f"imap://{user}@127.0.0.1:{proxy.port}?tls=none&secret-file={server.secret}"
            for what, word in (("plan", "plan"), ("the first copy", "copy"), ("a copy without news", "copy"), ("plan, when it is done", "plan")):
                proxy.reset()
                run = subprocess.run([MAILHAUL, word, f"maildir:{home}", uri, "--state", state_file, "--quiet"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
                if run.returncode != 0:
                    raise Failed(run.stderr.decode())
                text = " ".join(f"{n}x{name}" if n > 1 else name for name, n in sorted(proxy.commands.items()))
                b.row("trips", f"{kind.name}: {what}, 3 mailboxes", f"{proxy.turns} round trips", f"{proxy.count} connections", text, "", None)


def files(b):
    """Local files against local files."""
    bench_files.files(b, MAILHAUL, 5000 if QUICK else 20_000, RUNS)


def dsync(b):
    """By dsync's protocol against dsync."""
    bench_dsync.dsync(b, MAILHAUL, 5000 if QUICK else 20_000, RUNS)


def cyrus(b):
    """By Cyrus' replication protocol against MULTIAPPEND."""
    bench_cyrus.cyrus(b, os.path.join(BUILD, "bench/slow_sync.so"), RUNS, SINGLES, say)


def audit(b):
    """Audits by content against who reads the same bytes."""
    path = b.path("maildir")
    many_maildir(path)
    bench_audits.audit(b, MAILHAUL, 4000 if QUICK else 20_000, RUNS, (path, MANY, watch_peak), say)


PARTS = {f.__name__: f for f in (append, mbsync, pull, delta, many, delay, memory, state, plan, trips, caps, files, cgp, dsync, cyrus, audit)}


def main():
    names = sys.argv[1:] or list(PARTS)
    if set(names) - set(PARTS):
        say(f"usage: scripts/bench [{'] ['.join(PARTS)}]")
        sys.exit(64)
    for sig in signal.SIGTERM, signal.SIGHUP:
        signal.signal(sig, lambda *unused: sys.exit(1))
    b = Bench()
    try:
        for name in names:
            try:
                PARTS[name](b)
            except (Failed, OSError) as e:
                b.row(name, f"failed: {e}", "", "", "", "", False)
        b.table()
    finally:
        b.close()
    sys.exit(1 if b.missed else 0)


if __name__ == "__main__":
    main()
