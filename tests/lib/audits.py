"""What an audit prints, as data, and stores with planted differences.

    told = audits.read(run.out)
    told.verdict, told.counts["missing"], told.differences
"""

import os
import re
from collections import namedtuple

import trees

# subject: None where the message has none, or was not read
Difference = namedtuple("Difference", "mailbox verdict cause uid target_uid subject text")

LINE = re.compile(r"  ([a-z]+) *(?:\[([a-z-]+)\])?(.*)")
DATE = 1_000_000_000


class Told:
    def __init__(self, text):
        self.text = text
        self.verdict = re.match(r"audit \(([^)]*)\): (\w+)\n", text).group(2)
        self.counts = {w: int(n) for w, n in re.findall(r"^  ([a-z]+) +(\d+)  \w", text, flags=re.M)}
        self.boxes = {}
        self.differences, self.warnings = [], []  # the words of stores apart
        mailbox = None
        for line in text.split("\n\n", 1)[1].splitlines() if "\n\n" in text else []:
            box = re.match(r"(equal|different|missing|extra|excluded|unreadable|moving) +(\d+) +(\d+) +(\d+)  (.*?): ", line)
            if box:
                self.boxes[box.group(5)] = box.group(1)
            head = re.match(r"\S.*, (.*):$|(\S.*):$", line)
            if head and not box:
                mailbox = head.group(1) or ""
            found = LINE.match(line)
            if found and mailbox is not None:
                one = self.difference(mailbox, *found.groups())
                (self.warnings if one.cause == "warn" else self.differences).append(one)

    @staticmethod
    def difference(mailbox, verdict, cause, rest):
        uid = re.match(r" ?uid (\d+)", rest)
        target = re.search(r"\(target uid (\d+)\)", rest)
        subject = re.search(r' "(.*?)"', rest)
        return Difference(mailbox, verdict, cause or "", int(uid.group(1)) if uid else 0, int(target.group(1)) if target else 0,
                          subject.group(1) if subject else None, rest)

    def short(self):
        """(mailbox, verdict, cause, subject), sorted."""
        return sorted((d.mailbox, d.verdict, d.cause, d.subject or "") for d in self.differences)


def body(i, extra="", text=None):
    text = text if text is not None else f"The text of message {i}.\n" * (i % 7 + 1)
    return f"From: someone@example.org\nSubject: number {i}\nMessage-ID: <{i}@example.org>\n{extra}\n{text}".encode("latin-1")


def maildir(path, count, uids=True, start=0):
    """INBOX and Sent with numbered messages, keywords and flags; among them
    what planted differences need: two equal ones, two of one size, one with
    8-bit bytes in its header."""
    for name, first in ("", start), (".Sent", start + count):
        box = trees.Box(uidvalidity=77 if uids else 0)
        for i in range(first, first + count // 2):
            at = i - first
            text, extra = None, ""
            if at in (10, 11):
                text = "Two of one size.\n"
            elif at == 20:
                extra = "X-Place: M\xfcnchen\n"
            data = body(first + 30 if at == 31 else i, extra, text)
            box.add(data, uid=at + 1 if uids else 0, flags="S" if i % 3 else "", keywords=["work"] if i % 4 == 0 else [], date=DATE + 3600 * 7 * (at - (at == 31)))
        box.write(os.path.join(path, name) if name else path)
