"""Messages that break careless programs, and what servers make of them.

MESSAGES: name -> bytes as a source stores them.  crlf() gives the form that
servers count in.  ALTERED: (name, server) -> the bytes that the server gives
back, or a string: the words with which it refuses.  What is not in ALTERED is
kept to the byte.  REPAIRED: the same after --repair.
"""

import hashlib
import os
import random
import re
import time
from collections import Counter, namedtuple

HEAD = b"From: a@example.org\nSubject: nasty\nMessage-ID: <nasty@example.org>\n"


def crlf(data):
    return re.sub(rb"(?<!\r)\n", b"\r\n", data)


def digest(data):
    return hashlib.sha256(data).hexdigest()


def _noise(n, seed, alphabet):
    rng = random.Random(seed)
    return bytes(rng.choices(alphabet, k=n))


_BYTES = bytes(range(256))
_NO_NUL = bytes(range(1, 256))

MESSAGES = {
    "plain": HEAD + b"\nText.\n",
    "plain-crlf": crlf(HEAD + b"\nText.\n"),
    "mixed-ends": HEAD + b"\nLF\nCRLF\r\nLF\n\r\n\n",
    "nul-body": HEAD + b"\none \0 two \0\0\n",
    "nul-header": HEAD + b"X-Nul: a\0b\n\nText.\n",
    "nul-first": b"\0" + HEAD + b"\nText.\n",
    "nul-last": HEAD + b"\nText.\n\0",
    "bare-cr": HEAD + b"\none\rtwo\r\rthree\n",
    "bare-cr-header": HEAD + b"X-Cr: a\rb\n\nText.\n",
    "bare-cr-last": HEAD + b"\nText.\r",
    "cr-only": (HEAD + b"\nText.\n").replace(b"\n", b"\r"),
    "crcrlf": HEAD + b"\none\r\r\ntwo\r\r\r\n",
    "crcrlf-all": (HEAD + b"\nText.\n").replace(b"\n", b"\r\r\n"),
    "lfcr": HEAD + b"\none\n\rtwo\n\r",
    # a CR and its LF on both sides of every likely buffer size
    "cr-at-edges": HEAD + b"\n" + b"".join(b"x" * (n - 2) + b"\r\n" for n in (4096, 8192, 16384, 32768, 65536, 65537)),
    "8bit-subject": HEAD + b"X-Name: J\xfcrgen\n\nText.\n",
    "utf8-subject": HEAD + "X-Name: Jürgen 中文\n\nText.\n".encode(),
    "8bit-field-name": HEAD + b"X-\xfc: x\n\nText.\n",
    "8bit-body": HEAD + b"\nGr\xfc\xdfe \x80\xff\xfe\n",
    "no-header": b"no header at all, just text\nand more\n",
    "no-colon": HEAD + b"this is no field\n\nText.\n",
    "blank-before-colon": HEAD + b"X-Blank : x\n\nText.\n",
    "blank-in-name": HEAD + b"X Blank: x\n\nText.\n",
    "colon-first": b": x\n" + HEAD + b"\nText.\n",
    "continuation-first": b" continued\n" + HEAD + b"\nText.\n",
    "quoted-from-first": b">From a@b Thu Jan  4 05:06:07 2001\n" + HEAD + b"\nText.\n",
    "from-first": b"From a@b Thu Jan  4 05:06:07 2001\n" + HEAD + b"\nText.\n",
    "controls-in-header": HEAD + b"X-Control: \x01\x07\x1b[31m\x7f\n\nText.\n",
    "blank-first": b"\nText without a header.\n",
    "header-only": HEAD,
    "header-and-blank": HEAD + b"\n",
    "header-not-ended": HEAD + b"X-Last: no line end",
    "no-final-newline": HEAD + b"\nText.",
    "many-final-newlines": HEAD + b"\nText." + b"\n" * 50,
    "one-newline": b"\n",
    "empty": b"",
    "long-header-lines": HEAD + b"".join(b"X-Long-%d: %s\n" % (i, b"y" * 5000) for i in range(6)) + b"\nText.\n",
    "header-line-100k": HEAD + b"X-Long: " + b"z" * 100_000 + b"\n\nText.\n",
    "field-name-300": HEAD + b"X-" + b"n" * 298 + b": x\n\nText.\n",
    "many-fields": HEAD + b"".join(b"X-%d: x\n" % i for i in range(3000)) + b"\nText.\n",
    "body-line-100k": HEAD + b"\n" + b"w" * 100_000 + b"\n",
    "imap-in-body": HEAD + b"\nA1 LOGOUT\n)\n{10+}\nm1 APPEND INBOX {3}\n\nDONE\n+ go\n* BYE\n",
    "from-in-body": HEAD + b"\nFrom a@b Thu Jan  4 05:06:07 2001\nSubject: no message\n\n>From x\n",
    "dots": HEAD + b"\n.\n..\n.\n",
    "1-MB": HEAD + b"\n" + b"0123456789abcdef" * 4 * 16_000 + b"\n",
    "1-MB-of-lines": HEAD + b"\n" + b"0123456789abcdef\n" * 60_000,
    "3-MB": HEAD + b"\n" + (b"3" * 71 + b"\n") * 42_000,
    "binary": HEAD + b"\n" + _noise(50_000, 1, _BYTES),
    "binary-no-nul": HEAD + b"\n" + _noise(50_000, 2, _NO_NUL),
    "fields-of-mbox": HEAD + b"Status: RO\nX-UID: 7\nX-Keywords: a\nContent-Length: 3\n\nText.\n",
    "twin-1": HEAD + b"\nThe twins are equal.\n",
    "twin-2": HEAD + b"\nThe twins are equal.\n",
    "sibling-1": HEAD + b"\nOne byte 1.\n",
    "sibling-2": HEAD + b"\nOne byte 2.\n",
    "sibling-3": HEAD + b"\nOne byte 3.\n",
}


def _header_end(data):
    if data.startswith(b"\r\n"):
        return 0
    at = data.find(b"\r\n\r\n")
    return len(data) if at < 0 else at + 2


def _cyrus_header(data):
    """munge8bit: each byte of the header that has the eighth bit is an X."""
    end = _header_end(data)
    return re.sub(rb"[\x80-\xff]", b"X", data[:end]) + data[end:]


def _dovecot_nul(data):
    return data.replace(b"\0", b"\x80")


def _dovecot_cr(data):
    """A Maildir keeps lines with LF: one CR before it goes, and comes back."""
    return re.sub(rb"\r\r\n", b"\r\n", data)


def _dovecot_last_cr(data):
    """A CR that nothing follows waits for its LF for ever."""
    return data.removesuffix(b"\r")


def _header_ended_before(line):
    """--repair: an empty line before what is no header line."""

    def repair(data):
        assert data.count(line) == 1
        return data.replace(line, b"\r\n" + line)

    return repair


NUL = "Message contains NUL characters"
HEADER = "Message contains invalid header"
EMPTY = "no byte at all"  # our own words: it is not even sent

ALTERED = {
    ("nul-body", "dovecot"): _dovecot_nul,
    ("nul-header", "dovecot"): _dovecot_nul,
    ("nul-first", "dovecot"): _dovecot_nul,
    ("nul-last", "dovecot"): _dovecot_nul,
    ("binary", "dovecot"): _dovecot_nul,
    ("bare-cr-last", "dovecot"): _dovecot_last_cr,
    ("cr-only", "dovecot"): _dovecot_last_cr,
    ("lfcr", "dovecot"): _dovecot_last_cr,
    ("crcrlf", "dovecot"): _dovecot_cr,
    ("crcrlf-all", "dovecot"): _dovecot_cr,
    ("empty", "dovecot"): EMPTY,
    ("nul-body", "cyrus"): NUL,
    ("nul-header", "cyrus"): NUL,
    ("nul-first", "cyrus"): NUL,
    ("nul-last", "cyrus"): NUL,
    ("binary", "cyrus"): NUL,
    ("cr-only", "cyrus"): HEADER,
    ("no-header", "cyrus"): HEADER,
    ("no-colon", "cyrus"): HEADER,
    ("blank-before-colon", "cyrus"): HEADER,
    ("blank-in-name", "cyrus"): HEADER,
    ("colon-first", "cyrus"): HEADER,
    ("quoted-from-first", "cyrus"): HEADER,
    ("header-not-ended", "cyrus"): HEADER,
    ("8bit-subject", "cyrus"): _cyrus_header,
    ("utf8-subject", "cyrus"): _cyrus_header,
    ("8bit-field-name", "cyrus"): _cyrus_header,
    ("empty", "cyrus"): EMPTY,
}

# With --repair; the header of nul-header and nul-first has no NUL elsewhere.
REPAIRED = {
    ("nul-body", "cyrus"): lambda b: b.replace(b"\0", b" "),
    ("nul-header", "cyrus"): lambda b: b.replace(b"\0", b"X"),
    ("nul-first", "cyrus"): lambda b: b.replace(b"\0", b"X"),
    ("nul-last", "cyrus"): lambda b: b.replace(b"\0", b" "),
    ("binary", "cyrus"): lambda b: b.replace(b"\0", b" "),
    ("cr-only", "cyrus"): lambda b: b + b"\r\n",
    ("no-header", "cyrus"): lambda b: b"\r\n" + b,
    ("no-colon", "cyrus"): _header_ended_before(b"this is no field"),
    ("blank-before-colon", "cyrus"): _header_ended_before(b"X-Blank :"),
    ("blank-in-name", "cyrus"): _header_ended_before(b"X Blank:"),
    ("colon-first", "cyrus"): lambda b: b"\r\n" + b,
    ("quoted-from-first", "cyrus"): lambda b: b"\r\n" + b,
    ("header-not-ended", "cyrus"): lambda b: b + b"\r\n",
}


def arrives(name, data, server, repair=False):
    """The bytes that the server must hold; a string: its refusal."""
    what = ALTERED.get((name, server), data)
    if repair:
        what = REPAIRED.get((name, server), what)
    return what(crlf(data)) if callable(what) else crlf(what) if isinstance(what, bytes) else what


# -- accounts that hold them

# flags: system flags in lower case; date: seconds since 1970
Item = namedtuple("Item", "name data flags keywords date")

LETTERS = {"\\draft": "D", "\\flagged": "F", "\\answered": "R", "\\seen": "S", "\\deleted": "T"}
KEYWORDS = ["$Label1", "Junk", "work-2", "Später".encode("punycode").decode(), "$MDNSent"]


def items(names=None, start=1_000_000_007):
    """All messages (or those named), each with its own flags and date."""
    out = []
    for i, name in enumerate(names or MESSAGES):
        flags = frozenset(f for k, f in enumerate(LETTERS) if i >> k & 1)
        keywords = frozenset(w for k, w in enumerate(KEYWORDS) if (i // 3) >> k & 1)
        out.append(Item(name, MESSAGES[name], flags, keywords, start + i * 86_461))
    # the twins differ in nothing
    for i, item in enumerate(out):
        if item.name == "twin-2":
            twin = next(x for x in out if x.name == "twin-1")
            out[i] = twin._replace(name="twin-2")
    return out


def write_maildir(path, boxes):
    """A Maildir++ as Dovecot keeps it, of {mailbox: [Item]}."""
    for box, content in boxes.items():
        folder = path if box == "INBOX" else os.path.join(path, "." + box)
        for sub in "cur", "new", "tmp":
            os.makedirs(os.path.join(folder, sub))
        words = sorted({w for item in content for w in item.keywords})
        with open(os.path.join(folder, "dovecot-keywords"), "w", encoding="ascii") as f:
            f.writelines(f"{i} {w}\n" for i, w in enumerate(words))
        for n, item in enumerate(content):
            letters = sorted(LETTERS[f] for f in item.flags) + [chr(97 + words.index(w)) for w in sorted(item.keywords)]
            file = os.path.join(folder, "cur", f"{1_600_000_000 + n}.{item.name}.example:2,{''.join(letters)}")
            with open(file, "wb") as f:
                f.write(item.data)
            os.utime(file, (item.date, item.date))


# What an mbox without quoting can hold: a header that ends, LF, a last line end.
IN_MBOX = (
    "plain bare-cr bare-cr-header 8bit-subject utf8-subject 8bit-body no-colon blank-before-colon controls-in-header"
    " header-and-blank many-final-newlines long-header-lines header-line-100k field-name-300 body-line-100k imap-in-body"
    " dots 1-MB 3-MB twin-1 twin-2 sibling-1 sibling-2 sibling-3 nul-body"
).split()


def write_mbox(path, content):
    """An mbox of LF lines with flags and keywords as c-client keeps them."""
    words = sorted({w for item in content for w in item.keywords})
    with open(path, "wb") as f:
        for n, item in enumerate(content):
            fields = ""
            if n == 0:
                fields = f"X-IMAPbase: 1000000000 {len(content):010d} {' '.join(words)}\n"
            fields += f"Status: {'R' if chr(92) + 'seen' in item.flags else ''}O\nX-Status: "
            fields += "".join({"\\deleted": "D", "\\flagged": "F", "\\answered": "A", "\\draft": "T"}.get(x, "") for x in item.flags)
            fields += f"\nX-Keywords: {' '.join(sorted(item.keywords))}\nX-UID: {n + 1}\n"
            f.write(time.strftime("From a@b.example %a %b %e %H:%M:%S %Y\n", time.gmtime(item.date)).encode())
            # behind the first line: where that is not the end of the header
            first, _, rest = item.data.partition(b"\n")
            f.write(first + b"\n" + fields.encode() + rest + b"\n")


def expected(content, server, repair=False):
    """What a mailbox must hold afterwards: Counter of (digest, date, flags,
    keywords); and {name: words} of what was refused."""
    there, refused = Counter(), {}
    for item in content:
        what = arrives(item.name, item.data, server, repair)
        if isinstance(what, str):
            refused[item.name] = what
        else:
            there[digest(what), item.date, item.flags, item.keywords] += 1
    return there, refused
