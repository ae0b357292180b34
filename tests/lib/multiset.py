"""The multiset of messages of a store, computed without anything of mailhaul.

    multiset.maildir(path)      {mailbox: Counter of SHA-256 of the CRLF form}
    multiset.imap(client)       the same, by imaplib
    multiset.differences(a, b)  (at a only, at b only), summed over all mailboxes

    multiset.py MAILDIR MAILDIR   prints both numbers for each mailbox
"""

import hashlib
import os
import re
import sys
from collections import Counter

import readback


def crlf(data):
    return re.sub(rb"(?<!\r)\n", b"\r\n", data)


def maildir(path):
    """A Maildir++; names as in the directory, without the first dot."""
    boxes = {}
    for name in ["INBOX"] + sorted(n[1:] for n in os.listdir(path) if n.startswith(".") and os.path.isdir(os.path.join(path, n, "cur"))):
        folder = path if name == "INBOX" else os.path.join(path, "." + name)
        boxes[name] = Counter()
        for part in "cur", "new":
            for file in os.listdir(os.path.join(folder, part)):
                with open(os.path.join(folder, part, file), "rb") as f:
                    boxes[name][hashlib.sha256(crlf(f.read())).hexdigest()] += 1
    return boxes


def imap(client):
    return {name: box.digests() for name, box in readback.account(client).boxes.items()}


def differences(a, b):
    here = there = 0
    for name in set(a) | set(b):
        one, other = a.get(name, Counter()), b.get(name, Counter())
        here += sum((one - other).values())
        there += sum((other - one).values())
    return here, there


def main():
    one, other = maildir(sys.argv[1]), maildir(sys.argv[2])
    for name in sorted(set(one) | set(other)):
        box = {name: one.get(name, Counter())}, {name: other.get(name, Counter())}
        print(name, *differences(*box))


if __name__ == "__main__":
    main()
