"""Mail to migrate, made up from a seed: the same call makes the same bytes.

    for m in mail.messages(100, seed=1): m.body (CRLF), m.flags, m.date
    mail.write_maildir(path, {"INBOX": 50, "Sent": 20}, seed)
    mail.write_mbox(path, 50, seed)
Each writer returns {mailbox: Counter of SHA-256 of the CRLF form}.
"""

import hashlib
import os
import random
import sys
import time
from collections import Counter, namedtuple

Mail = namedtuple("Mail", "body flags date")

WORDS = "time year people way day man thing woman life child world school state family student group".split()
FLAGS = ((r"\Seen", "S"), (r"\Answered", "R"), (r"\Flagged", "F"), (r"\Draft", "D"))


def messages(count, seed=0, mean=4000):
    rng = random.Random(seed)
    date = 1_000_000_000 + rng.randrange(100_000_000)
    for i in range(count):
        date += rng.randrange(1, 50_000)
        stamp = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(date))
        lines = [
            f"From: {rng.choice(WORDS)} <{rng.choice(WORDS)}@example.org>",
            "To: someone@example.net",
            f"Subject: {' '.join(rng.choices(WORDS, k=5))}",
            f"Date: {stamp}",
            f"Message-ID: <{seed}.{i}@example.org>",
            "MIME-Version: 1.0",
            "Content-Type: text/plain; charset=utf-8",
            "Content-Transfer-Encoding: 8bit",
            "",
        ]
        size = int(rng.expovariate(1 / mean))
        while size > 0:
            line = " ".join(rng.choices(WORDS, k=rng.randrange(4, 14)))
            lines.append(line)
            size -= len(line)
        lines.append("-- \r\nGrüße")
        flags = [f for f in FLAGS if rng.random() < 0.3]
        yield Mail("\r\n".join(lines).encode() + b"\r\n", flags, date)


def digests(parts, mean=4000):
    """Of (count, seed) pairs, as the writers use them."""
    for count, seed in parts:
        yield Counter(hashlib.sha256(m.body).hexdigest() for m in messages(count, seed, mean))


def write_maildir(path, boxes, seed=0, mean=4000):
    """A Maildir++ with the mailboxes and so many messages in each."""
    told = {}
    os.makedirs(path)
    for number, (name, count) in enumerate(boxes.items()):
        folder = path if name == "INBOX" else os.path.join(path, "." + name)
        for sub in "cur", "new", "tmp":
            os.makedirs(os.path.join(folder, sub))
        told[name] = Counter()
        for i, m in enumerate(messages(count, f"{seed}.{number}", mean)):
            body = m.body.replace(b"\r\n", b"\n")
            letters = "".join(sorted(letter for _, letter in m.flags))
            base = f"{m.date}.M{i}P{number}.example,S={len(body)}"
            file = os.path.join(folder, "cur", f"{base}:2,{letters}")
            with open(file, "wb") as f:
                f.write(body)
            os.utime(file, (m.date, m.date))
            told[name][hashlib.sha256(m.body).hexdigest()] += 1
    return told


def write_mbox(path, count, seed=0, mean=4000):
    """An mboxo file; no line of its messages begins with "From "."""
    told = Counter()
    with open(path, "wb") as f:
        for m in messages(count, seed, mean):
            stamp = time.strftime("%a %b %e %H:%M:%S %Y", time.gmtime(m.date))
            f.write(f"From someone@example.org {stamp}\n".encode())
            f.write(m.body.replace(b"\r\n", b"\n") + b"\n")
            told[hashlib.sha256(m.body).hexdigest()] += 1
    return {os.path.basename(path): told}


def main():
    """mail.py maildir|mbox PATH COUNT SEED"""
    kind, path, count, seed = sys.argv[1:5]
    if kind == "maildir":
        n = int(count)
        write_maildir(path, {"INBOX": n // 2, "Sent": n // 4, "Lists.debian": n - n // 2 - n // 4}, seed)
    else:
        write_mbox(path, int(count), seed)


if __name__ == "__main__":
    main()
