"""Accounts that are copied under kills and faults, and what must come of them.

    place = Place(dovecot())            one new user of a server all suites share
    m = Migration(place, "maildir")     the account below, a state, a program with fault points
    m.copy(fault="kill@done.posted:1")
    m.open_intents()                    what the dead process left behind
    m.copy()
    m.wrong()                           differences to what must be there: []
    m.again()                           what one more run changes: []

MAILHAUL_KILLS says how many kills a suite makes: a number, or all; SEED picks
the times of the random ones.
"""

import atexit
import contextlib
import hashlib
import os
import random
import re
import shutil
import sqlite3
import tempfile
import threading
import time
from collections import Counter, namedtuple
from concurrent.futures import ThreadPoolExecutor

import mail
import readback
from haul import DIFFERS, DONE, Haul, balance
from proxy import Proxy
from servers import Cyrus, Dovecot

KILLS = os.environ.get("MAILHAUL_KILLS", "")
ALL = KILLS == "all"
SEED = int(os.environ.get("SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
WORKERS = 2  # cases at a time; most of their time is settle time

# fault points between an intent that is durable and its done
DOUBTFUL = "intent.durable append.before_crlf append.after_crlf append.answered done.posted".split()


def how_many(default, everything):
    return everything if ALL else int(KILLS or default)


# -- what is copied

# body: the CRLF form; flags: (IMAP name, Maildir letter, mbox letter) of each
Mail = namedtuple("Mail", "body flags keyword date")

FLAGS = {"S": r"\seen", "R": r"\answered", "F": r"\flagged", "D": r"\draft"}
MBOX = {"R": "A", "F": "F", "D": "T"}  # X-Status


def text(subject, body=b"Hello", more=b""):
    return b"From: a@example.org\r\nSubject: %s\r\n%s\r\n%s\r\n" % (subject.encode(), more, body)


def plain(count, seed):
    for i, m in enumerate(mail.messages(count, seed, 500)):
        yield Mail(m.body, "".join(letter for _, letter in m.flags), i % 7 == 3, m.date)


TWINS = [Mail(text("twin"), "S", False, 1_100_000_000)] * 2
# equal to the byte, but not in flags and date
UNEQUAL = [Mail(text("other twin"), "F", False, 1_100_000_001), Mail(text("other twin"), "", True, 1_100_000_002)]
TRIPLE = [Mail(text("triple", b"number %d" % i), "", False, 1_200_000_000) for i in range(3)]
# one message at Cyrus, where header bytes become X
MUNGED = [Mail(text("raw", more=b"X-Name: M%cller\r\n" % c), f, False, 1_300_000_000) for c, f in ((0xFC, "S"), (0xE4, ""))]
NUL = [Mail(text("nul", b"before\0after"), "S", False, 1_400_000_000)]


def account(part="all"):
    """{mailbox: messages}; part: "half" is what was there yesterday."""
    half = part == "half"
    boxes = {
        "INBOX": [*plain(8, "a"), *TWINS[:1], *NUL, *plain(5, "b"), *TRIPLE[:2], *MUNGED[:1], *UNEQUAL[:1]],
        "Archiv/2001": [*plain(6, "c"), *TRIPLE, *TWINS[1:]],
        "Sent": [*plain(4, "d")],
    }
    if not half:
        boxes["INBOX"] += [*UNEQUAL[1:], *plain(6, "e"), *TRIPLE[2:], *TWINS[1:], *MUNGED[1:], *NUL, *plain(3, "f")]
        boxes["Archiv/2001"] += [*plain(5, "g"), *MUNGED, *UNEQUAL]
        boxes["Drafts"] = [*plain(3, "h"), *TWINS]
    return boxes


def count(boxes):
    return sum(len(mails) for mails in boxes.values())


def write_maildir(path, boxes):
    """Maildir++; adds to what is there already, which it expects to be a prefix."""
    for number, (name, mails) in enumerate(boxes.items()):
        folder = path if name == "INBOX" else os.path.join(path, "." + name.replace("/", "."))
        for sub in "cur", "new", "tmp":
            os.makedirs(os.path.join(folder, sub), exist_ok=True)
        with open(os.path.join(folder, "dovecot-keywords"), "w", encoding="ascii") as f:
            f.write("0 $Work\n")
        for i, m in enumerate(mails):
            body = m.body.replace(b"\r\n", b"\n")
            letters = "".join(sorted(m.flags)) + ("a" if m.keyword else "")
            base = f"15{i:08}.M{i}P{number}.example,S={len(body)}"
            file = os.path.join(folder, "cur", f"{base}:2,{letters}")
            if not os.path.exists(file):
                with open(file, "wb") as f:
                    f.write(body)
                os.utime(file, (m.date, m.date))
    return path


def write_mbox(path, boxes):
    for name, mails in boxes.items():
        file = os.path.join(path, name)
        os.makedirs(os.path.dirname(file), exist_ok=True)
        with open(file, "wb") as f:
            for m in mails:
                stamp = time.strftime("%a %b %e %H:%M:%S %Y", time.gmtime(m.date))
                fields = f"Status: {'R' * ('S' in m.flags)}O\nX-Status: {''.join(MBOX.get(x, '') for x in m.flags)}\n"
                if m.keyword:
                    fields += "X-Keywords: $Work\n"
                head, _, body = m.body.replace(b"\r\n", b"\n").partition(b"\n\n")
                f.write(f"From a@example.org {stamp}\n".encode() + head + b"\n" + fields.encode() + b"\n" + body + b"\n")
    return path


def write_cgp(path, boxes):
    """An account of CommuniGate: INBOX as files, the others as text."""
    top = os.path.join(path, "user.macnt")
    for name, mails in boxes.items():
        stem = os.path.join(top, name.replace("/", ".folder/"))
        os.makedirs(stem + ".mdir" if name == "INBOX" else os.path.dirname(stem), exist_ok=True)
        text = b""
        for uid, m in enumerate(mails, 1):
            body = m.body.replace(b"\r\n", b"\n")
            letters, t = m.flags + "k" * m.keyword, time.gmtime(m.date)
            text += f"From <a@example.org>({letters}-{uid})  {time.strftime('%d-%m-%Y_%H:%M:%S', t)}_{uid}\n".encode() + body + b"\n"
            file = f"{stem}.mdir/{uid}-{letters}-{time.strftime('%Y%m%d%H%M%S', t)}"
            if name == "INBOX" and not os.path.exists(file):
                with open(file, "wb") as f:
                    f.write(body)
        if name != "INBOX":
            with open(stem + ".mbox", "wb") as f:
                f.write(text)
    return path


def write_imap(path, boxes):
    """A user of Dovecot, who gets what is not there yet; path: a file with his name."""
    if not os.path.exists(path):
        with _lock, open(path, "w", encoding="ascii") as f:
            f.write(next(dovecot().fresh))
        with open(os.open(path + ".secret", os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="ascii") as f:
            f.write(dovecot().password + "\n")
    with open(path, encoding="ascii") as f:
        client = dovecot().login(f.read())
    try:
        for name, mails in boxes.items():
            raw = readback.quote(name.replace("/", "."))
            if name != "INBOX":
                client.create(raw)
            there = int(re.search(rb"MESSAGES (\d+)", client.status(raw, "(MESSAGES)")[1][0]).group(1))
            for m in mails[there:]:
                flags = " ".join([FLAGS[f] for f in m.flags] + ["$Work"] * m.keyword)
                stamp = time.strftime('"%d-%b-%Y %H:%M:%S +0000"', time.gmtime(m.date))
                answer = client.append(raw, f"({flags})", stamp, m.body)
                if answer[0] != "OK":
                    raise AssertionError(answer)
    finally:
        client.logout()
    return path


WRITERS = {"maildir": write_maildir, "mbox": write_mbox, "cgp": write_cgp, "imap": write_imap}


def source(kind, path):
    """The URI of what a writer has written there."""
    if kind == "cgp":
        return f"cgp:{path}/user.macnt?flag-letters=S:\\Seen R:\\Answered F:\\Flagged D:\\Draft k:$Work"
    if kind == "imap":
        with open(path, encoding="ascii") as f:
            return f"imap://{f.read()}@127.0.0.1:{dovecot().imap_port}?tls=none&secret-file={path}.secret"
    return f"{kind}:{path}"


# -- where to

_shared = {}
_lock = threading.RLock()


def _server(kind, **settings):
    with _lock:
        if kind not in _shared:
            server = kind(**settings)
            atexit.register(server.destroy)
            server.start()
            server.fresh = iter(server.users if kind is Dovecot else (f"k{i}" for i in range(1, 100_000)))
            _shared[kind] = server
        return _shared[kind]


def dovecot():
    return _server(Dovecot, USERS=2500 if ALL else 200)


def cyrus():
    return _server(Cyrus, USERS=1)


class Place:
    """A user of a server, who has no mail yet."""

    def __init__(self, server):
        self.server = server
        self.is_cyrus = isinstance(server, Cyrus)
        with _lock:
            self.user = next(server.fresh)
        if self.is_cyrus:
            server.create_user(self.user)

    def uri(self, haul, port=None):
        """With TLS, or for a proxy on that port without."""
        if self.is_cyrus:
            return haul.admin(self.server, self.user, "none" if port else "starttls", port)
        return haul.user(self.server, self.user, "none" if port else "implicit", port)

    def login(self):
        return self.server.login_as(self.user) if self.is_cyrus else self.server.login(self.user)

    def name(self, box):
        """The mailbox's name at this server."""
        if self.is_cyrus:
            return box if box == "INBOX" else "INBOX/" + box
        return box.replace("/", ".")

    def read(self):
        client = self.login()
        try:
            return readback.account(client)
        finally:
            client.logout()

    def stored(self, body):
        """What the server makes of a message; None: it refuses it."""
        if not self.is_cyrus:
            return body.replace(b"\0", b"\x80")
        if b"\0" in body:
            return None
        head, end, rest = body.partition(b"\r\n\r\n")
        return re.sub(rb"[\x80-\xff]", b"X", head) + end + rest

    def append(self, box, m):
        """Somebody else brings one message."""
        client = self.login()
        try:
            name = readback.quote(self.name(box))
            if box != "INBOX":
                client.create(name)
            flags = " ".join([FLAGS[f] for f in m.flags] + ["$Work"] * m.keyword)
            stamp = time.strftime('"%d-%b-%Y %H:%M:%S +0000"', time.gmtime(m.date))
            answer = client.append(name, f"({flags})", stamp, m.body)
            if answer[0] != "OK":
                raise AssertionError(answer)
        finally:
            client.logout()

    def wanted(self, boxes):
        """What readback's contents() must be, and how many are refused."""
        contents, refused = {}, 0
        for box, mails in boxes.items():
            there = contents[self.name(box)] = Counter()
            for m in mails:
                body = self.stored(m.body)
                if body is None:
                    refused += 1
                    continue
                flags = frozenset(FLAGS[f] for f in m.flags)
                keywords = frozenset(["$Work"] if m.keyword else [])
                there[hashlib.sha256(body).hexdigest(), m.date, flags, keywords] += 1
        return contents, refused


def differences(want, got):
    """Between two results of contents(), as words; mailboxes without mail that
    a server shows by itself do not count."""
    words = []
    for name in sorted(set(want) | set(got)):
        w, g = want.get(name), got.get(name)
        if w is None and not g:
            continue
        if g is None:
            words.append(f"{name}: is not there")
            continue
        for sign, rest in (("missing", (w or Counter()) - g), ("too much", g - (w or Counter()))):
            words += [f"{name}: {sign}: {n} x {key}" for key, n in rest.items()]
    return words if len(words) < 12 else words[:10] + [f"and {len(words) - 10} more"]


def numbers(there):
    """What no run may change when there is nothing to do: every UID and UIDNEXT."""
    return {
        b.name: (b.uidvalidity, b.uidnext, [(m.uid, m.digest, m.date, m.flags, m.keywords) for m in b.messages])
        for b in there.boxes.values()
    }


def marks(there):
    """What is not messages: subscriptions and special uses."""
    return there.subscribed, {b.name: b.special_use for b in there.boxes.values()}


class Migration:
    """One account into one place, by the program with fault points."""

    def __init__(self, place, kind, boxes=None, options=("--settle", "1")):
        self.place, self.kind, self.options = place, kind, list(options)
        self.boxes = boxes if boxes is not None else account()
        if kind == "imap":  # which keeps no NUL
            self.boxes = {name: [m for m in mails if b"\0" not in m.body] for name, mails in self.boxes.items()}
        self.haul = Haul(faults=True)
        self.source = self.haul.path("source")
        WRITERS[kind](self.source, self.boxes)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.haul.destroy()

    def grow(self, boxes):
        """The source has more mail now."""
        self.boxes = boxes
        WRITERS[self.kind](self.source, boxes)

    def words(self, port=None):
        return [source(self.kind, self.source), self.place.uri(self.haul, port), *self.options]

    @staticmethod
    def environment(fault=None, mutate=None, log=None):
        given = {"MAILHAUL_FAULT": fault, "MAILHAUL_MUTATE": mutate, "MAILHAUL_FAULT_LOG": log}
        return {k: v for k, v in given.items() if v}

    def start(self, *options, fault=None, mutate=None, log=None, port=None):
        env = self.environment(fault, mutate, log)
        return self.haul.start_copy(*self.words(port), *options, env=env)

    def copy(self, *options, timeout=120, **kwargs):
        process = self.start(*options, **kwargs)
        return self.haul.finish(process, timeout, killed="kill" in (kwargs.get("fault") or ""))

    def points(self):
        """Counter of the fault points that a run passes (it copies)."""
        log = self.haul.path("points")
        run = self.copy(log=log)
        if run.code not in (DONE, DIFFERS):
            raise AssertionError(repr(run))
        with open(log, encoding="ascii") as f:
            return Counter(f.read().split())

    def save_state(self, name):
        """A copy of the state's files, as a backup makes it."""
        copy = self.haul.path(name)
        os.makedirs(copy)
        for suffix in "", "-wal":
            if os.path.exists(self.haul.state + suffix):
                shutil.copy(self.haul.state + suffix, copy)
        return copy

    def drop_state(self):
        for suffix in "", "-wal", "-shm", ".lock":
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.haul.state + suffix)

    def restore_state(self, name):
        self.drop_state()
        for file in os.listdir(self.haul.path(name)):
            shutil.copy(self.haul.path(name, file), self.haul.directory)

    def open_intents(self):
        return open_intents(self.haul.state)

    def there(self):
        return self.place.read()

    def wrong(self, run=None, present=None):
        """Differences between what is there and what must be; with a run also
        what its report says wrongly.  present: so many were there before."""
        want, refused = self.place.wanted(self.boxes)
        words = differences(want, self.there().contents())
        if run is not None:
            words += told_wrongly(run, count(self.boxes), refused, present)
        return words

    def again(self, expect=(DONE, DIFFERS)):
        """One more run, past the counting proxy: what it changes."""
        before = numbers(self.there())
        with Proxy(self.place.server.host, self.place.server.imap_port) as proxy:
            run = self.copy(port=proxy.port)
            words = [f"the wire: {seen}" for seen in written(proxy)]
        if run.code not in expect:
            words.append(repr(run))
        if not proxy.commands["LIST"]:
            words.append("it never looked at the target")
        if numbers(self.there()) != before:
            words.append("the listing changed")
        return words


def told_wrongly(run, source, refused, present):
    if run.code not in (DONE, DIFFERS):
        return [repr(run)]
    report, words = run.report, balance(run.report)
    totals = report["totals"]
    want = {"source": source, "refused": refused, "failed": 0, "vanished": 0, "excluded": 0}
    if present is not None:
        want["present"] = present
    words += [f"the report says {k} {totals[k]}, not {n}" for k, n in want.items() if totals[k] != n]
    words += [f"the report says: {i}" for i in report["issues"] if i["kind"] in ("doubled", "removed")]
    words += [f"account {a['name']} is {a['outcome']}" for a in report["accounts"] if a["outcome"] != "done"]
    return words


CHANGING = "APPEND STORE CREATE DELETE RENAME EXPUNGE COPY MOVE SUBSCRIBE UNSUBSCRIBE SETMETADATA REPLACE".split()


def written(proxy):
    """The commands a proxy saw that change what is at the server."""
    with proxy.lock:
        return [f"{name} {args}" for _, _, name, args in proxy.log if name in CHANGING]


def _ask(state, question):
    """The number that a state gives.  Asked of a copy, so that its journal stays
    for the next run to deal with."""
    with tempfile.TemporaryDirectory(prefix="mhk", dir="/tmp") as directory:
        if not os.path.exists(state):
            return 0
        for suffix in "", "-wal":
            if os.path.exists(state + suffix):
                shutil.copy(state + suffix, directory)
        db = sqlite3.connect(os.path.join(directory, os.path.basename(state)))
        try:
            return db.execute(question).fetchone()[0]
        except sqlite3.OperationalError:
            return 0  # it died before it had made the tables
        finally:
            db.close()


def open_intents(state):
    """How many batches were begun and not ended when the process died."""
    return _ask(state, "SELECT count(*) FROM intent WHERE state = 0")


def rows(state):
    """How many messages it knows to be at the target."""
    return _ask(state, "SELECT count(*) FROM message WHERE outcome IN (1, 2)")


def sample(points, n):
    """n of the points as (name, number): each name at least once, evenly over
    its passings, every other one around a final CRLF; all when n is None."""
    if n is None:
        return [(name, i) for name, total in sorted(points.items()) for i in range(1, total + 1)]
    wanted = Counter()
    for i in range(max(n, 1)):
        names = [x for x in sorted(points) if (x in DOUBTFUL) == (i % 2 == 0)] or sorted(points)
        wanted[min(names, key=lambda x: (wanted[x] / points[x] if wanted[x] else 0, wanted[x]))] += 1
    chosen = []
    for name, k in sorted(wanted.items()):
        k = min(k, points[name])
        chosen += [(name, 1 + i * (points[name] - 1) // max(k - 1, 1)) for i in range(k)]
    return chosen


def in_parallel(function, cases):
    """[function(case)], some at a time; what one raises is its result."""

    def guarded(case):
        try:
            return function(case)
        except Exception as e:  # one broken case must not hide the others
            return e

    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(guarded, cases))


def everywhere(test, function):
    """function(server, kind) gives what is wrong, for both servers and kinds of
    source (in a short run: each once)."""
    pairs = [(dovecot(), "maildir"), (cyrus(), "mbox")]
    if ALL:
        pairs += [(dovecot(), "mbox"), (cyrus(), "maildir")]
    results = in_parallel(lambda pair: function(*pair), pairs)
    bad = [f"{kind} into {server.name}: {words!r}" for (server, kind), words in zip(pairs, results) if words != []]
    if bad:
        test.fail("\n".join(bad))
