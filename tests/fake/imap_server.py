"""A scripted IMAP server: what real servers do rarely, on demand.

It keeps its mailboxes in memory and really stores what is appended, so that a
test can compare what arrived with what was sent.

    with FakeServer(literal_plus=None, faults=[Fault("APPEND", 3, do="cut")]) as s:
        ... connect to 127.0.0.1 and s.port: user1 / secret ...
        s.box("user1", "INBOX").messages

What the server can do is set by keywords (see FakeServer).  What it does wrong
is a list of Fault; crashes() has the responses that crash careless clients.
From a shell: imap_server.py --set uidplus=no --fault 'APPEND 3 cut'; it prints
PORT=N, and what it holds in JSON at SIGTERM.
"""

import argparse
import base64
import calendar
import hashlib
import json
import re
import signal
import socket
import ssl
import struct
import sys
import threading
import time
import zlib
from collections import Counter

SYSTEM_FLAGS = {f.lower(): f for f in (r"\Seen", r"\Answered", r"\Flagged", r"\Deleted", r"\Draft")}
MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


class Fault:
    """One thing that goes wrong, `times' times from the nth match on (0: always).

    on     a command's name (UID FETCH is FETCH), "*" any, or "greeting"
    match  a regular expression; only commands whose line or appended messages
           hold it (bytes) are counted
    at     "command"   when its line is complete, before anything is done
           "literal"   when `bytes' bytes of its first literal have been read
                       (a synchronising one has been asked for)
           "+"         in place of the continuation request
           "answer"    when it has been done, before its tagged answer
    do     "answer"    answer with `text', do nothing: "NO [OVERQUOTA] Full", "BAD no".
                       At "answer": done all the same, but so answered
           "raw"       send `text' (bytes, lines ended by CRLF) as it is, go on
           "raw-answer" the same, and no tagged answer of our own
           "bye"       "* BYE text", then the end
           "cut"       the link ends (a reset); at "command" and "literal" nothing
                       has been stored, at "answer" everything
           "late"      the link ends now; the command is done `seconds' later
           "hang"      no more answer for ever; what has been read stays read
           "delay"     wait `seconds', go on
           "drip"      from now on one byte every `seconds' (1)
           "call"      `text' is a function that is called with the session
    """

    def __init__(self, on, nth=1, at="command", do="answer", text="", bytes=0, seconds=None, match=None, times=1):
        self.on, self.nth, self.at, self.do, self.text = on.upper(), nth, at, do, text
        self.bytes, self.times = bytes, times
        self.seconds = (1 if do == "drip" else 0) if seconds is None else seconds
        self.match = re.compile(match.encode() if isinstance(match, str) else match) if match else None
        self.seen = self.fired = 0

    def due(self, name, text):
        """Is this command the one? Counts it."""
        if self.on not in ("*", name) or (self.match and not self.match.search(text)):
            return False
        self.seen += 1
        return self.seen >= self.nth and (self.times == 0 or self.fired < self.times)

    def __repr__(self):
        return f"Fault({self.on} {self.nth} {self.at} {self.do} {self.text!r})"


def crashes():
    """name -> (settings, faults): the responses of which each has crashed, or
    made loop, some client library. None may do that to ours."""
    nest = b"(" * 20000 + b'"TEXT" "PLAIN" NIL NIL NIL "7BIT" 1 1' + b")" * 20000

    def raw(on, text):
        return Fault(on, at="answer", do="raw", text=text, times=0)

    return {
        "capability-missing": ({"announce": False}, [Fault("CAPABILITY", do="answer", text="OK done", times=0)]),
        "capability-empty": (
            {"announce": False},
            [Fault("CAPABILITY", do="raw-answer", text=b"* CAPABILITY\r\n%T OK done\r\n", times=0)],
        ),
        "alert-without-text": ({}, [raw("*", b"* OK [ALERT]\r\n")]),
        "parse-without-text": ({}, [raw("*", b"* NO [PARSE]\r\n")]),
        "tagged-alert-without-text": ({}, [Fault("SELECT", at="answer", text="OK [ALERT]", times=0)]),
        "permanentflags-unparsable": ({}, [raw("SELECT", b"* OK [PERMANENTFLAGS (\\Seen ^^^{\r\n")]),
        "greeting-code-quoted": ({}, [Fault("greeting", do="raw-answer", text=b'* OK [BADCHARSET ("x")] hello\r\n')]),
        "continuation-code-quoted": (
            {"literal_plus": None},
            [Fault("*", at="+", do="raw-answer", text=b'+ [BADCHARSET ("x")] go\r\n', times=0)],
        ),
        "badcharset-twice": ({}, [raw("*", b"* OK [BADCHARSET (a)] one\r\n* OK [BADCHARSET (b)] two\r\n")]),
        "namespace-cut-literal": (
            {},
            [
                Fault("NAMESPACE", do="raw", text=b'* NAMESPACE (("" {5000}\r\nab', times=0),
                Fault("NAMESPACE", do="cut", times=0),
            ],
        ),
        "namespace-bad-literal": (
            {},
            [Fault("NAMESPACE", do="raw-answer", text=b'* NAMESPACE (({3}\r\nab"\r\n%T OK done\r\n', times=0)],
        ),
        "namespace-empty": ({}, [Fault("NAMESPACE", do="raw-answer", text=b'* NAMESPACE (("" "")) NIL NIL\r\n%T OK done\r\n', times=0)]),
        "annotation-cut-literal": (
            {},
            [
                Fault("SELECT", do="raw", text=b'* ANNOTATION "INBOX" "/comment" ("value.priv" {9000}\r\nab', times=0),
                Fault("SELECT", do="cut", times=0),
            ],
        ),
        "deep-nesting": ({}, [raw("*", b"* 1 FETCH (BODYSTRUCTURE " + nest + b")\r\n")]),
        "long-line": ({}, [raw("*", b"* OK " + b"x" * 3_000_000 + b"\r\n")]),
        "huge-literal": ({}, [raw("LIST", b'* LIST () "/" {99999999999999999999}\r\n')]),
        "negative-numbers": ({}, [raw("SELECT", b"* -1 EXISTS\r\n* OK [UIDNEXT 99999999999999] x\r\n")]),
        "appenduid-nonsense": ({}, [Fault("APPEND", at="answer", text="OK [APPENDUID 1 1:4294967295] done", times=0)]),
    }


class Message:
    modseq = 1

    def __init__(self, uid, flags, date, body):
        self.uid, self.flags, self.date, self.body = uid, flags, date, body

    def digest(self):
        return hashlib.sha256(self.body).hexdigest()


class Mailbox:
    def __init__(self, uidvalidity):
        self.uidvalidity, self.uidnext = uidvalidity, 1
        self.modseq = 1
        self.messages = []
        self.use = set()

    def add(self, body, flags=(), date=1_000_000_000):
        """One more message, as if it had been there; with its own MODSEQ."""
        m = Message(self.uidnext, set(flags), date, body)
        self.messages.append(m)
        self.uidnext += 1
        self.touch(m)
        return m

    def touch(self, m=None):
        self.modseq += 1
        if m:
            m.modseq = self.modseq


class Account:
    def __init__(self, server):
        self.server = server
        self.boxes = {}
        self.subscribed = set()
        self.create("INBOX")

    def create(self, name):
        self.server.last_uidvalidity += 1
        self.boxes[name] = Mailbox(self.server.last_uidvalidity)
        return self.boxes[name]


class Gone(Exception):
    """The connection ends here."""


class Answer(Exception):
    """The command ends with this answer."""


class FakeServer:
    def __init__(self, faults=(), **settings):
        self.users = {"user1": "secret", "user2": "secret"}
        self.admins = {"admin": "adminsecret"}  # may act for any user
        self.greeting = "* OK fake server ready"  # "* PREAUTH ..." logs user1 in
        self.identity = '("name" "fake")'  # its answer to ID
        self.announce = True  # CAPABILITY in the greeting and after login
        self.capabilities = None  # the whole list as text, if not what follows from the settings
        self.uidplus = True  # APPENDUID, UID EXPUNGE
        self.literal_plus = "+"  # "+", "-" (4096) or None
        self.multiappend = True
        self.uidnext = True  # UIDNEXT in SELECT and STATUS
        self.list_extended = True
        self.special_use = True
        self.namespace = '(("" "/")) NIL NIL'
        self.separator = "/"
        self.appendlimit = None  # bytes of one message
        self.quota = None  # bytes of an account
        self.autocreate = False  # APPEND makes the mailbox
        self.keywords = True  # False: the server keeps no keywords
        self.login_disabled = False
        self.starttls = None  # an ssl.SSLContext; None: neither announced nor done
        self.starttls_inject = b""  # sent behind the OK of STARTTLS, in plain text
        self.implicit_tls = None  # an ssl.SSLContext: TLS from the first byte
        self.max_sessions = None  # at the same time
        self.max_user = None  # of one user, logged in
        self.over = "bye"  # what a session too many gets: "bye", "close" or "hang"
        self.latency = 0.0  # seconds before a command is done
        self.port = 0  # a free one
        self.munge = None  # a function: bytes of a message -> bytes stored
        # as a source
        self.condstore = False  # MODSEQ and HIGHESTMODSEQ
        self.esearch = False
        self.compress = False  # COMPRESS=DEFLATE
        self.list_status = None  # LIST-STATUS; None: with LIST-EXTENDED
        self.refuse = ()  # of CONDSTORE MODSEQ CHANGEDSINCE ESEARCH LIST-EXTENDED COMPRESS: announced, and then refused
        self.refusal = "BAD what is that"  # with these words
        self.size = None  # a function: a message -> the RFC822.SIZE that is told
        self.fetch_items = b""  # more items, in front of all others, in every FETCH response
        self.ghosts = set()  # bytes: messages that hold them are listed, but no body comes
        self.unreadable = {}  # bytes: the NO to a FETCH of bodies that meets a message with them
        self.deadly = set()  # bytes: the link ends where the body of such a message would come
        self.reverse = False  # bodies come last first
        self.idle = None  # seconds after which a silent session with an open mailbox ends
        for name, value in settings.items():
            if not hasattr(self, name):
                raise TypeError(f"no setting {name}")
            setattr(self, name, value)
        self.faults = list(faults)
        self.lock = threading.RLock()
        self.accounts = {}
        self.last_uidvalidity = 1000
        self.commands = Counter()
        self.log = []  # (connection, line without literals)
        self.connections = 0
        self.refused = []  # when sessions were too many
        self.most = 0  # sessions at the same time that were not
        self.sessions = set()
        self.late = []
        self.stopping = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        self.host, self.port = self.listener.getsockname()

    def __enter__(self):
        return self.start()

    def __exit__(self, *unused):
        self.stop()

    def start(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def stop(self):
        self.stopping.set()
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        with self.lock:
            sessions = list(self.sessions)
        for s in sessions:
            s.reset()

    def _accept(self):
        while not self.stopping.is_set():
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.connections += 1
                session = Session(self, sock, self.connections)
                self.sessions.add(session)
            threading.Thread(target=session.run, daemon=True).start()

    def account(self, user):
        with self.lock:
            if user not in self.accounts:
                self.accounts[user] = Account(self)
            return self.accounts[user]

    def box(self, user, name):
        return self.account(user).boxes[name]

    def contents(self, user):
        """{mailbox: Counter of SHA-256} of an account."""
        with self.lock:
            return {n: Counter(m.digest() for m in b.messages) for n, b in self.account(user).boxes.items()}

    def settle(self, seconds=60):
        """Wait until every late commit is done."""
        for t in list(self.late):
            t.join(seconds)

    def wait_stopped(self, seconds):
        return self.stopping.wait(seconds)


class Session:
    def __init__(self, server, sock, number):
        self.server, self.sock, self.number = server, sock, number
        self.buffer = b""
        self.user = self.selected = self.box = None
        self.read_only = False
        self.drip = 0
        self.tls = self.late = self.inside = False
        self.inflate = self.deflate = None
        self.parts = []
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    # -- the connection

    def run(self):
        try:
            if self.server.implicit_tls:
                self.begin_tls(self.server.implicit_tls)
            self.greet()
            while True:
                self.command()
        except (Gone, OSError, ssl.SSLError):
            pass
        finally:
            with self.server.lock:
                self.server.sessions.discard(self)
            self.sock.close()

    def begin_tls(self, context):
        self.sock = context.wrap_socket(self.sock, server_side=True)
        self.tls = True
        self.buffer = b""

    def reset(self):
        """End the link without a goodbye."""
        try:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.sock.shutdown(socket.SHUT_RD)
        except OSError:
            pass
        self.sock.close()

    def read_some(self):
        self.sock.settimeout(self.server.idle if self.box else None)
        try:
            data = self.sock.recv(1 << 16)
        except TimeoutError:
            self.sock.settimeout(None)
            self.line("* BYE Disconnected for inactivity")
            raise Gone from None
        self.sock.settimeout(None)
        if not data:
            raise Gone
        self.buffer += self.inflate.decompress(data) if self.inflate else data

    def read_line(self):
        while b"\n" not in self.buffer:
            self.read_some()
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line.rstrip(b"\r")

    def read_bytes(self, n):
        while len(self.buffer) < n:
            self.read_some()
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def send(self, data):
        if self.deflate:
            data = self.deflate.compress(data) + self.deflate.flush(zlib.Z_SYNC_FLUSH)
        if not self.drip:
            self.sock.sendall(data)
            return
        for i in range(len(data)):
            self.sock.sendall(data[i : i + 1])
            if self.server.wait_stopped(self.drip):
                raise Gone

    def line(self, text):
        self.send((text if isinstance(text, bytes) else text.encode("latin-1")) + b"\r\n")

    # -- faults

    def fault(self, at, name, tag=b"", text=b"", redo=None):
        """Do what the faults of this place say; True: do no more."""
        quiet = False
        with self.server.lock:
            due = [f for f in self.server.faults if f.at == at and f.due(name, text)]
            for f in due:
                f.fired += 1
        for f in due:
            quiet = self.act(f, tag, redo) or quiet
        return quiet

    def act(self, f, tag, redo):
        if f.do == "answer":
            raise Answer(f.text)
        if f.do in ("raw", "raw-answer"):
            data = f.text if isinstance(f.text, bytes) else f.text.encode("latin-1")
            self.send(data.replace(b"%T", tag))
            return f.do == "raw-answer"
        if f.do == "bye":
            self.line("* BYE " + (f.text or "so long"))
            self.sock.shutdown(socket.SHUT_WR)
            raise Gone
        if f.do == "cut":
            self.reset()
            raise Gone
        if f.do == "late":
            timer = threading.Timer(f.seconds, redo or (lambda: None))
            timer.daemon = True
            self.server.late.append(timer)
            timer.start()
            self.reset()
            raise Gone
        if f.do == "hang":
            # read on, so that the client can send, but say nothing
            while True:
                self.read_some()
                self.buffer = b""
        if f.do == "delay":
            if self.server.wait_stopped(f.seconds):
                raise Gone
        elif f.do == "drip":
            self.drip = f.seconds
        elif f.do == "call":
            f.text(self)
        return False

    # -- reading a command

    def too_many(self):
        """This session is one more than the server takes."""
        with self.server.lock:
            self.server.refused.append(time.monotonic())
        if self.server.over == "bye":
            self.line("* BYE Too many connections")
        elif self.server.over == "hang":
            while True:
                self.read_some()
                self.buffer = b""
        raise Gone

    def count(self, user=None):
        """Sessions that were let in (of one user)."""
        return sum(s is not self and s.inside and (user is None or s.user == user) for s in self.server.sessions)

    def greet(self):
        s = self.server
        with s.lock:
            n = self.count()
            self.inside = s.max_sessions is None or n < s.max_sessions
            if self.inside:
                s.most = max(s.most, n + 1)
        if not self.inside:
            self.too_many()
        if self.fault("command", "GREETING"):
            return
        text = self.server.greeting
        if text.startswith("* PREAUTH"):
            self.user = "user1"
        elif self.server.announce and text.startswith("* OK "):
            text = f"* OK [CAPABILITY {self.capability()}] " + text[5:]
        self.line(text)

    def literal(self, line):
        """The size of the literal at the end of the line, and whether the client waits."""
        m = re.search(rb"\{(\d+)(\+?)\}$", line)
        return (int(m.group(1)), not m.group(2)) if m else None

    def command(self):
        """Read one command with its literals, do it, answer it."""
        line = self.read_line()
        words = line.split(b" ", 2) + [b"", b""]
        tag, name = words[0], words[1].decode("latin-1").upper()
        if name == "UID":
            name = words[2].split(b" ", 1)[0].decode("latin-1").upper()
        self.parts = []  # str for text, bytes for a literal
        with self.server.lock:
            self.server.commands[name] += 1
            self.server.log.append((self.number, line.decode("latin-1")))
        if not re.fullmatch(rb"[!#$&',-~A-Z0-9^_`a-z|.:;<=>?@\[\]+/]+", tag):
            self.line("* BAD Invalid tag")
            return
        first = line
        if self.server.latency and self.server.wait_stopped(self.server.latency):
            raise Gone
        try:
            self.fault_unless_append(name, tag, line)
            n = 0
            while (found := self.literal(line)) is not None:
                size, waits = found
                n += 1
                self.parts.append(line[: line.rindex(b"{")].decode("latin-1"))
                limit = self.server.appendlimit
                if waits:
                    # a fault of the command hits before the literal is asked for
                    if n == 1 and name == "APPEND":
                        self.append_check()
                    if limit is not None and size > limit:
                        raise Answer("NO [TOOBIG] Message too large")
                    if not self.fault("+", name, tag):
                        self.line("+ OK")
                elif not self.server.literal_plus:
                    raise Answer("BAD no such literal")
                elif self.server.literal_plus == "-" and size > 4096:
                    self.line("* BYE literal too long")
                    raise Gone
                self.parts.append(self.read_literal(size, name, tag, n))
                if limit is not None and size > limit:
                    self.drain()
                    raise Answer("NO [TOOBIG] Message too large")
                line = self.read_line()
            self.parts.append(line.decode("latin-1"))
            whole = b"".join(p if isinstance(p, bytes) else p.encode("latin-1") for p in self.parts)
            if name == "APPEND" and self.fault("command", name, tag, whole, self.later(tag)):
                return
            if name == "APPEND":
                done = self.do_append()
            else:
                handler = getattr(self, "do_" + name.lower(), None)
                if handler is None:
                    raise Answer("BAD unknown command")
                if self.user is None and name not in self.BEFORE_LOGIN:
                    raise Answer("BAD log in first")
                done = handler(tag)
            if self.fault("answer", name, tag, whole):
                return
        except Quiet:
            return
        except Answer as e:
            done = str(e)
        if done is None:
            return
        self.line(tag + b" " + done.encode("latin-1"))
        if name == "LOGOUT":
            raise Gone
        if name == "COMPRESS" and done.startswith("OK"):
            self.inflate = zlib.decompressobj(-15)
            self.deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
            self.buffer = self.inflate.decompress(self.buffer)

    BEFORE_LOGIN = ("CAPABILITY", "NOOP", "LOGOUT", "ID", "STARTTLS", "LOGIN", "AUTHENTICATE")

    def fault_unless_append(self, name, tag, line):
        # an APPEND is judged when its messages have been read
        if name != "APPEND" and self.fault("command", name, tag, line):
            raise Quiet

    def read_literal(self, size, name, tag, n):
        if n > 1:
            return self.read_bytes(size)
        data = b""
        with self.server.lock:
            waiting = [f for f in self.server.faults if f.at == "literal" and f.due(name, b"")]
            for f in waiting:
                f.fired += 1
        for f in sorted(waiting, key=lambda f: f.bytes):
            data += self.read_bytes(max(0, min(f.bytes, size) - len(data)))
            self.act(f, tag, None)
        return data + self.read_bytes(size - len(data))

    def drain(self):
        """Read a refused command to its end."""
        while True:
            line = self.read_line()
            found = self.literal(line)
            if found is None:
                return
            self.read_bytes(found[0])

    def later(self, tag):
        parts, user = list(self.parts), self.user

        def redo():
            other = Session.__new__(Session)
            other.__dict__.update(self.__dict__)
            other.parts, other.user, other.late = parts, user, True
            with self.server.lock:
                try:
                    other.do_append()
                except Answer:
                    pass

        return redo

    # -- arguments

    def text(self):
        """The command as text, its literals replaced by quoted strings."""
        out = ""
        for part in self.parts:
            if isinstance(part, bytes):
                part = '"' + part.decode("latin-1").replace("\\", "\\\\").replace('"', '\\"') + '"'
            out += part
        return out

    def arguments(self):
        """What follows the name, as a list of str and (nested) lists."""
        text = self.text().split(" ", 2)
        text = text[2] if len(text) > 2 else ""
        if self.text().split(" ", 2)[1].upper() == "UID":
            text = text.partition(" ")[2]
        try:
            words, _ = parse(text, 0)
        except (IndexError, ValueError) as e:
            raise Answer("BAD syntax error") from e
        return words

    def is_uid(self):
        return self.text().split(" ", 2)[1].upper() == "UID"

    def account(self):
        return self.server.account(self.user)

    def mailbox(self, name, code=""):
        name = self.canonical(name)
        box = self.account().boxes.get(name)
        if box is None:
            raise Answer(f"NO {code}Mailbox does not exist")
        return box

    @staticmethod
    def canonical(name):
        return "INBOX" + name[5:] if name[:5].upper() == "INBOX" and name[5:6] in ("", "/", ".") else name

    # -- commands: each gives the text behind the tag

    def capability(self):
        s = self.server
        if s.capabilities is not None:
            return s.capabilities
        words = ["IMAP4rev1"]
        if s.literal_plus:
            words.append("LITERAL" + s.literal_plus)
        if self.user is None:
            if s.starttls and not self.tls:
                words.append("STARTTLS")
            words.append("LOGINDISABLED" if s.login_disabled and not self.tls else "AUTH=PLAIN")
            return " ".join(words + ["SASL-IR", "ID"])
        words += ["ID", "NAMESPACE", "UNSELECT", "CHILDREN"]
        for on, word in (
            (s.uidplus, "UIDPLUS"),
            (s.multiappend, "MULTIAPPEND"),
            (s.list_extended, "LIST-EXTENDED"),
            (s.list_extended if s.list_status is None else s.list_status, "LIST-STATUS"),
            (s.condstore, "CONDSTORE"),
            (s.esearch, "ESEARCH"),
            (s.compress, "COMPRESS=DEFLATE"),
            (s.special_use, "SPECIAL-USE CREATE-SPECIAL-USE"),
            (s.appendlimit is not None, f"APPENDLIMIT={s.appendlimit}"),
        ):
            if on:
                words.append(word)
        return " ".join(words)

    def do_capability(self, tag):
        self.line("* CAPABILITY " + self.capability())
        return "OK done"

    def do_noop(self, tag):
        return "OK done"

    do_check = do_noop

    def do_logout(self, tag):
        self.line("* BYE so long")
        return "OK done"

    def do_id(self, tag):
        self.line("* ID " + self.server.identity)
        return "OK done"

    def do_enable(self, tag):
        self.line("* ENABLED")
        return "OK done"

    def refuses(self, word):
        if word in self.server.refuse:
            raise Answer(self.server.refusal)

    def do_compress(self, tag):
        self.refuses("COMPRESS")
        if not self.server.compress or self.deflate:
            raise Answer("NO not here")
        return "OK begin"

    def do_starttls(self, tag):
        if not self.server.starttls or self.tls:
            raise Answer("BAD no TLS here")
        self.send(tag + b" OK begin TLS\r\n" + self.server.starttls_inject)
        self.begin_tls(self.server.starttls)

    def logged_in(self, user):
        with self.server.lock:
            full = self.server.max_user is not None and self.count(user) >= self.server.max_user
            if not full:
                self.user = user
        if full and self.server.over == "bye":
            with self.server.lock:
                self.server.refused.append(time.monotonic())
            raise Answer("NO [LIMIT] Maximum number of connections from user+IP exceeded")
        if full:
            self.too_many()
        return f"OK [CAPABILITY {self.capability()}] Logged in" if self.server.announce else "OK Logged in"

    def do_login(self, tag):
        if self.server.login_disabled and not self.tls:
            raise Answer("NO [PRIVACYREQUIRED] use TLS")
        user, password = self.arguments()[:2]
        return self.check(user, user, password)

    def do_authenticate(self, tag):
        words = self.arguments()
        if words[0].upper() != "PLAIN":
            raise Answer("NO no such mechanism")
        if len(words) > 1:
            response = words[1].encode()
        else:
            if not self.fault("+", "AUTHENTICATE", tag):
                self.line("+ ")
            response = self.read_line()
        try:
            authzid, user, password = base64.b64decode(response).decode().split("\0")
        except ValueError as e:
            raise Answer("BAD no PLAIN response") from e
        return self.check(authzid or user, user, password)

    def check(self, owner, user, password):
        s = self.server
        if s.users.get(user) == password and owner == user:
            return self.logged_in(user)
        if s.admins.get(user) == password and (owner in s.users or owner == user):
            return self.logged_in(owner)
        if "*" in user:  # a master: user*master
            owner, _, master = user.partition("*")
            if s.admins.get(master) == password and owner in s.users:
                return self.logged_in(owner)
        raise Answer("NO [AUTHENTICATIONFAILED] Authentication failed")

    def do_namespace(self, tag):
        self.line("* NAMESPACE " + self.server.namespace)
        return "OK done"

    def do_list(self, tag, word="LIST"):
        words = self.arguments()
        selected = words.pop(0) if words and isinstance(words[0], list) else []
        if "SUBSCRIBED" in selected:
            word = "SUBSCRIBED"
        reference, patterns = words[0], words[1]
        options = [w.upper() if isinstance(w, str) else w for w in (words[3] if len(words) > 3 else [])]
        if options:
            self.refuses("LIST-EXTENDED")
        account, sep = self.account(), self.server.separator
        if patterns == "":
            self.line(f'* {word} (\\Noselect) "{sep}" ""')
            return "OK done"
        for pattern in patterns if isinstance(patterns, list) else [patterns]:
            rx = re.escape(reference + pattern).replace(r"\*", ".*").replace("%", f"[^{re.escape(sep)}]*")
            with self.server.lock:
                names = sorted(account.boxes if word == "LIST" else account.subscribed)
            word = word.replace("SUBSCRIBED", "LIST")
            for name in names:
                if not re.fullmatch(rx, name, re.S):
                    continue
                box = account.boxes.get(name)
                attributes = sorted(box.use) if box and self.server.special_use else []
                if "SUBSCRIBED" in options and name in account.subscribed:
                    attributes.append("\\Subscribed")
                self.line(f'* {word} ({" ".join(attributes)}) "{sep}" {quoted(name)}')
                if "STATUS" in options and box:
                    self.status(name, box, options[options.index("STATUS") + 1])
        return "OK done"

    def do_lsub(self, tag):
        return self.do_list(tag, "LSUB")

    def do_create(self, tag):
        words = self.arguments()
        name = self.canonical(words[0]).rstrip(self.server.separator)
        with self.server.lock:
            if name in self.account().boxes:
                raise Answer("NO [ALREADYEXISTS] Mailbox exists")
            box = self.account().create(name)
        if len(words) > 1 and isinstance(words[1], list) and words[1][0].upper() == "USE":
            box.use = set(words[1][1])
        return "OK done"

    def do_delete(self, tag):
        name = self.canonical(self.arguments()[0])
        self.mailbox(name)
        del self.account().boxes[name]
        return "OK done"

    def do_rename(self, tag):
        old, new = map(self.canonical, self.arguments()[:2])
        box = self.mailbox(old)
        if new in self.account().boxes:
            raise Answer("NO [ALREADYEXISTS] Mailbox exists")
        self.account().boxes[new] = box
        del self.account().boxes[old]
        return "OK done"

    def do_subscribe(self, tag):
        self.account().subscribed.add(self.canonical(self.arguments()[0]))
        return "OK done"

    def do_unsubscribe(self, tag):
        self.account().subscribed.discard(self.canonical(self.arguments()[0]))
        return "OK done"

    def status(self, name, box, items):
        values = {
            "MESSAGES": len(box.messages),
            "RECENT": 0,
            "UNSEEN": sum(r"\Seen" not in m.flags for m in box.messages),
            "UIDVALIDITY": box.uidvalidity,
        }
        if self.server.uidnext:
            values["UIDNEXT"] = box.uidnext
        if self.server.condstore:
            values["HIGHESTMODSEQ"] = box.modseq
        pairs = " ".join(f"{i.upper()} {values[i.upper()]}" for i in items if i.upper() in values)
        self.line(f"* STATUS {quoted(name)} ({pairs})")

    def do_status(self, tag):
        name, items = self.arguments()[:2]
        with self.server.lock:
            self.status(name, self.mailbox(name), items)
        return "OK done"

    def do_select(self, tag, read_only=False):
        self.box = None
        words = self.arguments()
        if len(words) > 1:
            self.refuses("CONDSTORE")
        self.box = self.mailbox(words[0])
        self.read_only = read_only
        flags = " ".join(SYSTEM_FLAGS.values())
        with self.server.lock:
            self.line(f"* FLAGS ({flags})")
            star = r" \*" if self.server.keywords else ""
            self.line(f"* OK [PERMANENTFLAGS ({flags}{star})] flags")
            self.line(f"* {len(self.box.messages)} EXISTS")
            self.line("* 0 RECENT")
            self.line(f"* OK [UIDVALIDITY {self.box.uidvalidity}] uids")
            if self.server.condstore:
                self.line(f"* OK [HIGHESTMODSEQ {self.box.modseq}] changes")
            if self.server.uidnext:
                self.line(f"* OK [UIDNEXT {self.box.uidnext}] next")
        return "OK [READ-ONLY] done" if read_only else "OK [READ-WRITE] done"

    def do_examine(self, tag):
        return self.do_select(tag, True)

    def do_unselect(self, tag):
        self.box = None
        return "OK done"

    do_close = do_unselect

    def append_check(self):
        """What is told before a synchronising literal."""
        name = self.arguments_of_append()[0]
        if not self.server.autocreate:
            self.mailbox(name, "[TRYCREATE] ")

    def arguments_of_append(self):
        text = self.parts[0].split(" ", 2)
        words, _ = parse(text[2] if len(text) > 2 else "", 0)
        if not words and len(self.parts) > 1:  # the name itself is a literal
            words = [self.parts[1].decode("latin-1")]
        return words

    def do_append(self):
        if self.user is None:
            raise Answer("BAD log in first")
        parts = list(self.parts)
        # a mailbox name may be a literal too
        if not parts[0].split(" ", 2)[2:] or not parts[0].split(" ", 2)[2].strip():
            name = parts[1].decode("latin-1")
            heads, bodies = [parts[2]] + parts[4::2], parts[3::2]
        else:
            words, at = parse(parts[0].split(" ", 2)[2], 0)
            name = words[0]
            heads, bodies = [words[1:]] + parts[2::2], parts[1::2]
        if not bodies:
            raise Answer("BAD no message")
        s = self.server
        if len(bodies) > 1 and not s.multiappend:
            raise Answer("BAD one message at a time")
        new = []
        for head, body in zip(heads, bodies):
            words = head if isinstance(head, list) else parse(head, 0)[0]
            flags, date = [], None
            for word in words:
                if isinstance(word, list):
                    flags = [self.flag(f) for f in word]
                else:
                    date = parse_date(word)
            if not body:
                raise Answer("NO cannot save a zero byte message")
            new.append((set(flags) - {None}, time.time() if date is None else date, body))
        with s.lock:
            account, name = self.account(), self.canonical(name)
            if name not in account.boxes and s.autocreate:
                account.create(name)
            box = self.mailbox(name, "[TRYCREATE] ")
            if s.quota is not None:
                used = sum(len(m.body) for b in account.boxes.values() for m in b.messages)
                if used + sum(len(b) for _, _, b in new) > s.quota:
                    raise Answer("NO [OVERQUOTA] Quota exceeded")
            first = box.uidnext
            for flags, date, body in new:
                if s.munge:
                    body = s.munge(body)
                box.add(body, flags, date)
            last = box.uidnext - 1
        if box is self.box and not self.late:
            self.line(f"* {len(box.messages)} EXISTS")
        if not s.uidplus:
            return "OK done"
        uids = first if first == last else f"{first}:{last}"
        return f"OK [APPENDUID {box.uidvalidity} {uids}] done"

    def flag(self, word):
        if word.startswith("\\"):
            if word.lower() not in SYSTEM_FLAGS:
                raise Answer("BAD no such flag")
            return SYSTEM_FLAGS[word.lower()]
        return word if self.server.keywords else None

    def chosen(self, spec, uid=None):
        """The messages of a set, as (sequence number, message)."""
        if self.box is None:
            raise Answer("BAD no mailbox selected")
        messages, uid = self.box.messages, self.is_uid() if uid is None else uid
        top = (messages[-1].uid if messages else 0) if uid else len(messages)
        ranges = []
        for part in spec.split(","):
            ends = [top if x == "*" else int(x) for x in part.split(":")]
            ranges.append((min(ends), max(ends)))
        for number, message in enumerate(messages, 1):
            key = message.uid if uid else number
            if any(low <= key <= high for low, high in ranges):
                yield number, message

    def do_fetch(self, tag):
        words = self.arguments()
        items = words[1] if isinstance(words[1], list) else [words[1]]
        items = [i.upper() if isinstance(i, str) else i for i in items]
        if items == ["FAST"] or items == ["ALL"]:
            items = ["FLAGS", "INTERNALDATE", "RFC822.SIZE"]
        if self.is_uid() and "UID" not in items:
            items.insert(0, "UID")
        if "MODSEQ" in items:
            self.refuses("MODSEQ")
        with self.server.lock:
            chosen = list(self.chosen(words[0]))
        if len(words) > 2:
            self.refuses("CHANGEDSINCE")
            since = int(words[2][words[2].index("CHANGEDSINCE") + 1])
            chosen = [(n, m) for n, m in chosen if m.modseq > since]
            items.append("MODSEQ")
        bodies = any(isinstance(i, str) and i.startswith("BODY") for i in items)
        if bodies and self.server.reverse:
            chosen.reverse()
        done = "OK done"
        for number, m in chosen:
            if bodies and any(word in m.body for word in self.server.ghosts):
                continue
            if bodies and any(word in m.body for word in self.server.deadly):
                self.reset()
                raise Gone
            refusal = [text for word, text in self.server.unreadable.items() if bodies and word in m.body]
            if refusal:
                done = refusal[0]
                continue
            self.send(b"* %d FETCH (%s)\r\n" % (number, b" ".join(self.fetched(m, items))))
        return done

    def fetched(self, m, items):
        out = [self.server.fetch_items] if self.server.fetch_items else []
        for item in items:
            if item == "UID":
                out.append(b"UID %d" % m.uid)
            elif item == "FLAGS":
                out.append(b"FLAGS (" + " ".join(sorted(m.flags)).encode("latin-1") + b")")
            elif item == "INTERNALDATE":
                out.append(b'INTERNALDATE "' + format_date(m.date).encode() + b'"')
            elif item == "RFC822.SIZE":
                size = self.server.size
                out.append(b"RFC822.SIZE %d" % (size(m) if size else len(m.body)))
            elif item == "MODSEQ":
                out.append(b"MODSEQ (%d)" % m.modseq)
            elif isinstance(item, str) and item.startswith(("BODY", "RFC822")):
                name, data = section(item, m.body)
                out.append(b"%s {%d}\r\n%s" % (name.encode(), len(data), data))
                if "PEEK" not in item and not self.read_only:
                    m.flags = m.flags | {"\\Seen"}
        return out

    def do_store(self, tag):
        words = self.arguments()
        spec, how = words[0], words[1].upper()
        flags = words[2] if isinstance(words[2], list) else words[2:]
        flags = {self.flag(f) for f in flags} - {None}
        with self.server.lock:
            for number, m in list(self.chosen(spec)):
                if how.startswith("+"):
                    m.flags = m.flags | flags
                elif how.startswith("-"):
                    m.flags = m.flags - flags
                else:
                    m.flags = set(flags)
                self.box.touch(m)
                if "SILENT" not in how:
                    self.line(f"* {number} FETCH (UID {m.uid} FLAGS ({' '.join(sorted(m.flags))}))")
        return "OK done"

    def do_expunge(self, tag):
        with self.server.lock:
            if self.is_uid():
                wanted = {m.uid for _, m in self.chosen(self.arguments()[0])}
            elif self.box is None:
                raise Answer("BAD no mailbox selected")
            else:
                wanted = {m.uid for m in self.box.messages}
            for number, m in reversed(list(enumerate(self.box.messages, 1))):
                if m.uid in wanted and r"\Deleted" in m.flags:
                    self.box.messages.remove(m)
                    self.box.touch()
                    self.line(f"* {number} EXPUNGE")
        return "OK done"

    def do_search(self, tag):
        words = [w.upper() if isinstance(w, str) else w for w in self.arguments()]
        spec, by_uid = "1:*", "UID" in words
        if by_uid:
            spec = words[words.index("UID") + 1]
        else:
            spec = next((w for w in words if isinstance(w, str) and re.fullmatch(r"[\d:*,]+", w)), spec)
        uid = self.is_uid()
        since = -1
        if "MODSEQ" in words:
            self.refuses("CHANGEDSINCE")
            since = int(words[words.index("MODSEQ") + 1])
        found = [str(m.uid if uid else number) for number, m in self.chosen(spec, by_uid) if m.modseq >= since]
        if words[0] == "RETURN":
            self.refuses("ESEARCH")
            if words[1] == ["ALL"]:
                found = [",".join(found)] if found else []
            told = f" {words[1][0]} {found[0]}" if found else ""
            self.line(f'* ESEARCH (TAG "{tag.decode()}"){" UID" if uid else ""}{told}')
            return "OK done"
        self.line("* SEARCH " + " ".join(found))
        return "OK done"


class Quiet(Answer):
    """The fault has answered already."""


# -- grammar


def parse(text, at):
    """Words, strings and lists from text[at:]; stops behind a closing bracket."""
    out = []
    while at < len(text):
        c = text[at]
        if c == " ":
            at += 1
        elif c == "(":
            inner, at = parse(text, at + 1)
            out.append(inner)
        elif c == ")":
            return out, at + 1
        elif c == '"':
            word, at = "", at + 1
            while text[at] != '"':
                if text[at] == "\\":
                    at += 1
                word += text[at]
                at += 1
            at += 1
            out.append(word)
        else:
            m = re.compile(r"[^\s\[()\"]*(\[[^\]]*\](<[^>]*>)?)?").match(text, at)
            if m.end() == at:
                raise ValueError(text[at:])
            out.append(m.group())
            at = m.end()
    return out, at


def quoted(name):
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def parse_date(text):
    m = re.fullmatch(r" ?(\d{1,2})-(\w{3})-(\d{4}) (\d\d):(\d\d):(\d\d) ([-+])(\d\d)(\d\d)", text)
    if not m or m.group(2) not in MONTHS:
        raise Answer("BAD invalid date")
    day, month, year, h, mi, s, sign, zh, zm = m.groups()
    t = calendar.timegm((int(year), MONTHS.index(month) + 1, int(day), int(h), int(mi), int(s)))
    zone = int(zh) * 3600 + int(zm) * 60
    return t - zone if sign == "+" else t + zone


def format_date(t):
    g = time.gmtime(t)
    return f"{g.tm_mday:2d}-{MONTHS[g.tm_mon - 1]}-{g.tm_year} {g.tm_hour:02d}:{g.tm_min:02d}:{g.tm_sec:02d} +0000"


def section(item, body):
    """The name in the answer and the bytes of BODY[...]<...> and its like."""
    m = re.fullmatch(r"(?:BODY(?:\.PEEK)?\[([^\]]*)\]|RFC822(?:\.(HEADER|TEXT|PEEK))?)(?:<(\d+)\.(\d+)>)?", item)
    if not m:
        raise Answer("BAD no such item")
    what = (m.group(1) or m.group(2) or "").upper()
    name = f"BODY[{m.group(1) or ''}]" if item.startswith("BODY") else item
    header, blank, rest = body.partition(b"\r\n\r\n")
    data = body
    if what.startswith("HEADER.FIELDS"):
        inverse = what.startswith("HEADER.FIELDS.NOT")
        names = {w.lower().encode() for w in re.findall(r"[\w-]+", what.partition("(")[2])}
        fields = re.findall(rb"[^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*", header + b"\r\n")
        data = b"".join(f for f in fields if (f.split(b":")[0].lower() in names) != inverse) + b"\r\n"
    elif what == "HEADER":
        data = header + blank
    elif what == "TEXT":
        data = rest
    if m.group(3) is not None:
        start, length = int(m.group(3)), int(m.group(4))
        name += f"<{start}>"
        data = data[start : start + length]
    return name, data


# -- from a shell


def main():
    parser = argparse.ArgumentParser(description="scripted IMAP server; prints PORT=N, and at SIGTERM what it holds")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="yes, no, none, a number or text")
    parser.add_argument("--fault", action="append", default=[], metavar="'COMMAND NTH [AT] DO [key=value...] [text=...]'")
    parser.add_argument("--crash", help="one of: " + ", ".join(crashes()))
    parser.add_argument("--tls", metavar="CERT,KEY", help="offer STARTTLS with these files")
    options = parser.parse_args()
    settings, faults = {}, []
    if options.crash:
        settings, faults = crashes()[options.crash]
        settings, faults = dict(settings), list(faults)
    for item in options.set:
        name, _, value = item.partition("=")
        words = {"yes": True, "no": False, "none": None}
        settings[name.replace("-", "_")] = words[value] if value in words else int(value) if value.isdigit() else value
    for item in options.fault:
        head, _, text = item.partition(" text=")
        words = head.split()
        more = dict(w.split("=", 1) for w in words if "=" in w)
        plain = [w for w in words if "=" not in w]
        kind = {"bytes": int, "seconds": float, "times": int}
        more = {k: kind.get(k, str)(v) for k, v in more.items()}
        at = plain[2] if len(plain) > 3 else "command"
        faults.append(Fault(plain[0], int(plain[1]), at, plain[-1], text, **more))
    if options.tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*options.tls.split(","))
        settings["starttls"] = context
    server = FakeServer(faults, **settings).start()
    print(f"PORT={server.port}", flush=True)
    done = threading.Event()
    for sig in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sig, lambda *unused: done.set())
    done.wait()
    server.stop()
    json.dump(
        {
            "commands": server.commands,
            "accounts": {
                user: {
                    name: [{"uid": m.uid, "flags": sorted(m.flags), "date": int(m.date), "sha256": m.digest()} for m in b.messages]
                    for name, b in a.boxes.items()
                }
                for user, a in server.accounts.items()
            },
        },
        sys.stdout,
    )
    print()


if __name__ == "__main__":
    main()
