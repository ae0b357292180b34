"""Maildir trees with Dovecot's metadata, written and read without any server.

    box = trees.Box(uidvalidity=17, uidnext=100)
    box.add(body, uid=7, flags="FS", keywords=["work"], date=..., uidl="abc", order=3)
    box.write(path)
    trees.leftovers(path)       files below any tmp/
    trees.read(path)            {base name: Entry} of one mailbox
"""

import os
import re
from collections import namedtuple

Entry = namedtuple("Entry", "uid fields letters file")


class Box:
    def __init__(self, uidvalidity=0, uidnext=0, guid=None):
        self.uidvalidity, self.uidnext, self.guid = uidvalidity, uidnext, guid
        self.keywords, self.messages, self.lines = [], [], []

    def add(self, body, uid=0, flags="", keywords=(), date=1_000_000_000, uidl=None, order=0, guid=None, base=None, where="cur"):
        for word in keywords:
            if word not in self.keywords:
                self.keywords.append(word)
        letters = "".join(sorted(flags)) + "".join(sorted(chr(ord("a") + self.keywords.index(w)) for w in keywords))
        base = base or f"{date}.M{len(self.messages)}P1.example,S={len(body)}"
        self.messages.append((base, letters, body, date, where))
        if uid:
            fields = (f" P{uidl}" if uidl else "") + (f" O{order}" if order else "") + (f" G{guid}" if guid else "")
            self.lines.append((uid, f"{uid}{fields} :{base}\n"))
            self.uidnext = max(self.uidnext, uid + 1)

    def write(self, path):
        for part in "cur", "new", "tmp":
            os.makedirs(os.path.join(path, part), exist_ok=True)
        for base, letters, body, date, where in self.messages:
            file = os.path.join(path, where, f"{base}:2,{letters}" if where == "cur" or letters else base)
            if os.path.exists(file):
                continue
            with open(file, "wb") as f:
                f.write(body)
            os.utime(file, (date, date))
        if self.keywords:
            with open(os.path.join(path, "dovecot-keywords"), "w", encoding="ascii") as f:
                f.writelines(f"{i} {w}\n" for i, w in enumerate(self.keywords))
        if self.uidvalidity:
            with open(os.path.join(path, "dovecot-uidlist"), "w", encoding="ascii") as f:
                f.write(f"3 V{self.uidvalidity} N{self.uidnext}" + (f" G{self.guid}" if self.guid else "") + "\n")
                f.writelines(line for _, line in sorted(self.lines))


def leftovers(path):
    """Everything in any tmp/ below path, and locks."""
    found = []
    for directory, _, files in os.walk(path):
        if os.path.basename(directory) == "tmp":
            found += [os.path.join(directory, f) for f in files]
        found += [os.path.join(directory, f) for f in files if f.endswith(".lock")]
    return found


def head(path):
    """The letters of the first line of a dovecot-uidlist."""
    with open(os.path.join(path, "dovecot-uidlist"), encoding="ascii") as f:
        words = f.readline().split()
    return {w[0]: w[1:] for w in words[1:]}


def read(path):
    """{base name: Entry}; a file without a line has uid 0."""
    lines = {}
    last = 0
    with open(os.path.join(path, "dovecot-uidlist"), encoding="ascii") as f:
        f.readline()
        for line in f:
            uid, fields, base = re.fullmatch(r"(\d+)((?: [A-Z][^ ]*)*) :(.*)\n", line).groups()
            assert int(uid) > last, (uid, last)
            last = int(uid)
            assert base not in lines, base
            lines[base] = (int(uid), {w[0]: w[1:] for w in fields.split()})
    found = {}
    for part in "new", "cur":
        for name in os.listdir(os.path.join(path, part)):
            base, _, info = name.partition(":2,")
            assert base not in found, name
            uid, fields = lines.get(base, (0, {}))
            found[base] = Entry(uid, fields, info, os.path.join(path, part, name))
    return found


def pictures(path):
    """Inode, size and time of every file below path."""
    found = {}
    for directory, _, files in os.walk(path):
        for name in files:
            st = os.stat(os.path.join(directory, name))
            found[os.path.join(directory, name)] = st.st_ino, st.st_size, st.st_mtime_ns
    return found


def own(path, uid, gid):
    """The whole tree belongs to that user."""
    os.chown(path, uid, gid)
    for directory, names, files in os.walk(path):
        for name in names + files:
            os.lchown(os.path.join(directory, name), uid, gid)
