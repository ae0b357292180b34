"""Reading IMAP as it passes on a wire, without asking the peers.

Splitter cuts one direction into lines and literals; Watch puts the two
directions of a connection together and finds the client's commands.
"""

import re
from collections import namedtuple

# kind is line (data: the line without CRLF), or literal (data: its size);
# start and end are offsets in the direction's bytes
Piece = namedtuple("Piece", "kind data start end")

# What Watch reports about the client's side.  kind:
#   command   its first line has been read (args: the rest of that line)
#   literal   its literal number `index' (from 1) has passed to the last byte
#   end       its last CRLF has passed
# and about the server's:
#   answer    a tagged answer (args: "OK ...")
#   greeting  the first line
# offset: in the bytes of its own direction; just behind what the client sent,
# just before what the server sent
Event = namedtuple("Event", "kind tag name args index offset")


class Splitter:
    def __init__(self, literal):
        self.literal = literal  # line -> size of the literal that follows, or None
        self.buffer = bytearray()
        self.offset = 0  # of what has been cut off already
        self.left = 0  # bytes of a literal still to come
        self.size = 0

    def feed(self, data):
        self.buffer += data
        at = 0
        while at < len(self.buffer):
            if self.left:
                n = min(self.left, len(self.buffer) - at)
                at += n
                self.left -= n
                if not self.left:
                    yield Piece("literal", self.size, self.offset + at - self.size, self.offset + at)
                continue
            end = self.buffer.find(b"\n", at)
            if end < 0:
                break
            start, at = at, end + 1
            line = bytes(self.buffer[start:at]).rstrip(b"\r\n")
            # what the receiver of the piece does with it decides how to go on
            yield Piece("line", line, self.offset + start, self.offset + at)
            size = self.literal(line)
            if size is not None:
                self.size = self.left = size
                if size == 0:
                    yield Piece("literal", 0, self.offset + at, self.offset + at)
        del self.buffer[:at]
        self.offset += at


class Watch:
    def __init__(self):
        self.up = Splitter(self._up_literal)
        self.down = Splitter(self._down_literal)
        self.tag = self.name = None  # of the command that is being read
        self.args = ""
        self.index = 0
        self.waiting = False  # for the answer to a synchronising literal
        self.free = None  # tag of a command whose further lines are its own (AUTHENTICATE, IDLE)
        self.open = {}  # tag -> name of commands without an answer
        self.greeted = False
        self.opaque = False  # TLS or compression has begun

    def _up_literal(self, line):
        if self.free and self.tag is None:
            return None
        m = re.search(rb"\{(\d+)(\+?)\}$", line)
        if not m:
            return None
        size = int(m.group(1))
        if not m.group(2):
            self.waiting = True
        return size

    @staticmethod
    def _down_literal(line):
        m = re.search(rb"\{(\d+)\}$", line)
        return int(m.group(1)) if m else None

    def client(self, data):
        """Bytes from the client: yields events."""
        if self.opaque:
            return
        for piece in self.up.feed(data):
            if piece.kind == "literal":
                self.index += 1
                self.waiting = False
                yield self._event("literal", piece.end)
                continue
            line = piece.data
            if self.tag is None:
                if self.free:  # DONE, a SASL response
                    if line.upper() == b"DONE":
                        self.free = None
                    continue
                words = line.decode("latin-1").split(" ", 2) + ["", ""]
                self.tag, self.name, self.args = words[0], words[1].upper(), words[2]
                if self.name == "UID":
                    name, _, self.args = self.args.partition(" ")
                    self.name = name.upper()
                self.index = 0
                self.open[self.tag] = self.name
                yield self._event("command", piece.end)
            if re.search(rb"\{\d+\+?\}$", line):
                continue
            if self.name in ("AUTHENTICATE", "IDLE"):
                self.free = self.tag
            yield self._event("end", piece.end)
            self.tag = None

    def _event(self, kind, offset):
        return Event(kind, self.tag, self.name, self.args, self.index, offset)

    def server(self, data):
        """Bytes from the server: yields events."""
        if self.opaque:
            return
        for piece in self.down.feed(data):
            if piece.kind == "literal":
                continue
            line = piece.data.decode("latin-1")
            if not self.greeted:
                self.greeted = True
                yield Event("greeting", None, None, line, 0, piece.start)
                continue
            tag, _, rest = line.partition(" ")
            name = self.open.pop(tag, None)
            if name is None:
                continue
            if tag == self.free:
                self.free = None
            if tag == self.tag and self.waiting:
                # the literal was refused before it was sent
                self.waiting = False
                self.up.left = 0
                self.tag = None
            if name in ("STARTTLS", "COMPRESS") and rest.startswith("OK"):
                self.opaque = True
            yield Event("answer", tag, name, rest, 0, piece.start)
