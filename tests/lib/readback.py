"""What an IMAP account holds, read with imaplib and nothing of ours.

    account = readback.account(client)
    account.boxes["INBOX"].messages[0].digest

Mailbox names are decoded (UTF-8); one that is no modified UTF-7 stays as it is.
"""

import calendar
import hashlib
import imaplib
import re
from base64 import b64decode, b64encode
from collections import Counter, namedtuple

# flags: the system flags in lower case without \Recent; keywords as the server
# spells them; date: INTERNALDATE as seconds since 1970; digest: SHA-256 in hex
Message = namedtuple("Message", "uid flags keywords date size digest")

imaplib._MAXLINE = 100_000_000  # its own limit is meant for defence, and too low


class Box:
    def __init__(self, name):
        self.name = name
        self.uidvalidity = self.uidnext = None
        self.permanent_keywords = frozenset()
        self.attributes = frozenset()
        self.special_use = frozenset()
        self.messages = []

    def digests(self):
        return Counter(m.digest for m in self.messages)


class Account:
    def __init__(self):
        self.boxes = {}
        self.subscribed = set()

    def total(self):
        return sum(len(box.messages) for box in self.boxes.values())

    def contents(self):
        """{mailbox: Counter of (digest, date, flags, keywords)}: what has to be
        equal after two runs that may number messages differently."""
        return {
            name: Counter((m.digest, m.date, m.flags, m.keywords) for m in box.messages)
            for name, box in self.boxes.items()
        }


ROLES = {b"\\all", b"\\archive", b"\\drafts", b"\\flagged", b"\\junk", b"\\sent", b"\\trash", b"\\important"}


def decode_name(raw):
    """Modified UTF-7 to str; bytes that are none come back as latin-1."""

    def run(match):
        if match.group(1) == b"":
            return b"&"
        code = match.group(1).replace(b",", b"/")
        return b64decode(code + b"=" * (-len(code) % 4)).decode("utf-16-be").encode()

    try:
        return re.sub(rb"&([A-Za-z0-9+,]*)-", run, raw).decode()
    except (ValueError, UnicodeError):
        return raw.decode("latin-1")


def encode_name(name):
    """str to modified UTF-7 in bytes."""

    def run(match):
        if match.group() == "&":
            return "&-"
        code = b64encode(match.group().encode("utf-16-be")).rstrip(b"=").replace(b"/", b",")
        return "&" + code.decode() + "-"

    return re.sub(r"&|[^\x20-\x7e]+", run, name).encode()


def quote(name):
    """A mailbox name as imaplib wants it: encoded and quoted."""
    return '"' + encode_name(name).decode().replace("\\", "\\\\").replace('"', '\\"') + '"'


MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


def epoch(text):
    """INTERNALDATE to seconds since 1970."""
    m = re.fullmatch(r"\s*(\d+)-(\w{3})-(\d{4}) (\d\d):(\d\d):(\d\d) ([-+])(\d\d)(\d\d)", text)
    day, month, year, hour, minute, second, sign, zh, zm = m.groups()
    t = calendar.timegm((int(year), MONTHS.index(month) + 1, int(day), int(hour), int(minute), int(second)))
    offset = int(zh) * 3600 + int(zm) * 60
    return t - offset if sign == "+" else t + offset


def _ok(answer):
    if answer[0] != "OK":
        raise imaplib.IMAP4.error(answer[1])
    return answer[1]


def _unquote(text):
    if text[:1] == b'"':
        return re.sub(rb"\\(.)", rb"\1", text[1:-1])
    return text


def _list(lines):
    """LIST or LSUB answers as (attributes, raw name)."""
    for line in lines:
        if line is None:
            continue
        if isinstance(line, tuple):  # the name came as a literal
            attributes = re.match(rb"\(([^)]*)\)", line[0]).group(1)
            yield attributes.lower().split(), line[1]
            continue
        m = re.match(rb'\(([^)]*)\) (?:NIL|"(?:\\.|[^"\\])*") ("(?:\\.|[^"\\])*"|[^ ]+)', line)
        if m:
            yield m.group(1).lower().split(), _unquote(m.group(2))


def _groups(data):
    """FETCH answers of imaplib as (text without the literals, [literals])."""
    text, literals = b"", []
    for part in data:
        if isinstance(part, tuple):
            text += part[0]
            literals.append(part[1])
            continue
        if part is None:
            continue
        text += part
        yield text, literals
        text, literals = b"", []


def fetch(client, what="1:*", bodies=True):
    """The messages of the selected mailbox, by a UID set, in UID order."""
    items = "(UID FLAGS INTERNALDATE RFC822.SIZE" + (" BODY.PEEK[])" if bodies else ")")
    messages = {}
    for text, literals in _groups(_ok(client.uid("FETCH", what, items))):
        uid = re.search(rb"\bUID (\d+)", text)
        date = re.search(rb'INTERNALDATE "([^"]*)"', text)
        if not uid or not date:  # a change of flags that came between
            continue
        flags = re.search(rb"FLAGS \(([^)]*)\)", text).group(1).decode("latin-1").split()
        body = literals[-1] if literals else b""
        if bodies and not literals:
            quoted = re.search(rb'BODY\[\] "((?:\\.|[^"\\])*)"', text)
            body = _unquote(b'"' + quoted.group(1) + b'"') if quoted else b""
        messages[int(uid.group(1))] = Message(
            int(uid.group(1)),
            frozenset(f.lower() for f in flags if f[0] == "\\" and f.lower() != "\\recent"),
            frozenset(f for f in flags if f[0] != "\\"),
            epoch(date.group(1).decode()),
            int(re.search(rb"RFC822\.SIZE (\d+)", text).group(1)),
            hashlib.sha256(body).hexdigest() if bodies else None,
        )
    return [messages[uid] for uid in sorted(messages)]


def content(client, uid):
    """The bytes of one message of the selected mailbox."""
    for _, literals in _groups(_ok(client.uid("FETCH", str(uid), "(UID BODY.PEEK[])"))):
        if literals:
            return literals[-1]
    return None


def box(client, name, bodies=True):
    """One mailbox, by its decoded name."""
    result = Box(name)
    count = int(_ok(client.select(quote(name), readonly=True))[0])

    def number(code):
        value = client.response(code)[1][-1]
        return int(value) if value else None

    result.uidvalidity = number("UIDVALIDITY")
    result.uidnext = number("UIDNEXT")
    flags = client.response("PERMANENTFLAGS")[1][-1] or b""
    result.permanent_keywords = frozenset(f for f in flags.decode("latin-1").strip("()").split() if f[0] != "\\")
    if count:
        uids = [int(u) for u in _ok(client.uid("SEARCH", "ALL"))[0].split()]
        for i in range(0, len(uids), 200):
            part = uids[i : i + 200]
            result.messages += fetch(client, f"{part[0]}:{part[-1]}", bodies)
    client.unselect()
    return result


def listing(client):
    """{decoded name: lower-case attributes} and the set of subscribed names."""
    arguments = '"*"'
    capability = " ".join(client.capability()[1][0].decode().split()).upper()
    if "SPECIAL-USE" in capability and "LIST-EXTENDED" in capability:
        arguments += " RETURN (SPECIAL-USE)"
    boxes = {decode_name(raw): set(a) for a, raw in _list(_ok(client.list('""', arguments)))}
    subscribed = {decode_name(raw) for a, raw in _list(_ok(client.lsub('""', '"*"'))) if b"\\noselect" not in a}
    return boxes, subscribed


def account(client, only=None, bodies=True):
    """Everything; only: the names wanted, or a function that takes a name."""
    result = Account()
    names, result.subscribed = listing(client)
    for name, attributes in sorted(names.items()):
        if only is not None and not (only(name) if callable(only) else name in only):
            continue
        if attributes & {b"\\noselect", b"\\nonexistent"}:
            result.boxes[name] = Box(name)
        else:
            result.boxes[name] = box(client, name, bodies)
        result.boxes[name].attributes = frozenset(a.decode() for a in attributes)
        result.boxes[name].special_use = frozenset(a.decode() for a in attributes & ROLES)
    return result
