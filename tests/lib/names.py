"""Mailbox names that servers and file systems find hard, and a Maildir of them."""

import hashlib
import os

DEEP = tuple(f"l{n}" for n in range(40))

PATHS = [
    ("a b",),
    (" blank",),
    ("blank ",),
    ("two  blanks",),
    (" ",),
    ("no\u00a0break",),
    ('quo"te"',),
    ("back\\slash",),
    ("apos'trophe",),
    ("R&D",),
    ("&",),
    ("&-",),
    ("&AOk-",),
    ("Entwürfe", "Gelöschte Objekte"),
    ("é",),
    ("e\u0301",),  # the same to the eye
    ("中文", "日本語"),
    ("😀",),
    ("Ünï.cödé",),
    ("a.b",),
    ("x.y", "z.w"),
    ("a", "b"),
    ("dot.",),
    ("~tilde",),
    ("x", "~tilde"),
    ("~",),
    ("100%",),
    ("%",),
    ("star*",),
    ("*",),
    ("(paren)",),
    ("[bracket]",),
    ("{3}",),
    ("{3+}",),
    ("#hash",),
    ("$dollar",),
    ("!",),
    ("semi;colon",),
    ("<x>",),
    ("`tick`",),
    ("^caret",),
    ("|pipe",),
    ("=3D",),
    ("a=41",),
    ("a=",),
    ("a=b=c",),
    ("?",),
    ("@",),
    ("Case",),
    ("case",),
    ("CASE",),
    ("case", "x"),
    ("Case", "X"),
    ("INBOX", "child"),
    ("INBOX", "INBOX"),
    ("NIL",),
    ("nil", "NIL"),
    ("Shared Folders",),
    ("Other Users", "x"),
    ("user",),
    ("DELETED",),
    ("Trash",),
    ("dovecot.index",),
    ("subscriptions",),
    ("dovecot-uidlist",),
    ("v" * 120,),
    DEEP,
]


def body(path):
    return f"Subject: x\n\n{ascii(path)}\n".encode()


def write_tree(root, paths, encode):
    """A Maildir with layout=fs with a message in each mailbox; its URI."""
    for path in paths:
        folder = os.path.join(root, *[encode(level) for level in path if path != ("INBOX",)])
        for sub in "cur", "new", "tmp":
            os.makedirs(os.path.join(folder, sub))
        with open(os.path.join(folder, "cur", "1600000000.1.x:2,"), "wb") as f:
            f.write(body(path))
    return f"maildir:{root}?layout=fs"


def digest(data):
    return hashlib.sha256(data.replace(b"\n", b"\r\n")).hexdigest()
