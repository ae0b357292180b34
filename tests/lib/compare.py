"""For scripts/demo: what its servers hold against what its sources held."""

import imaplib
import os
import shlex
import sys
from collections import Counter

import mail
import readback


def main():
    work = sys.argv[1]
    bad = 0
    for short, name in (("d", "DOVECOT"), ("c", "CYRUS")):
        with open(os.path.join(work, short, "env"), encoding="utf-8") as f:
            variables = dict(w.split("=", 1) for w in shlex.split(f.read()))
        for user in variables[name + "_USERS"].split():
            client = imaplib.IMAP4(variables[name + "_HOST"], int(variables[name + "_IMAP_PORT"]))
            client.login(user, variables[name + "_PASSWORD"])
            account = readback.account(client)
            client.logout()
            there = Counter()
            for box in account.boxes.values():
                there += box.digests()
            wanted = Counter()
            for told in sources(short, user):
                wanted += told
            state = "equal" if there == wanted else "DIFFERENT"
            bad += there != wanted
            boxes = ", ".join(f"{b.name} {len(b.messages)}" for b in account.boxes.values())
            print(f"{name.lower():8} {user}: {sum(wanted.values())} sent, {sum(there.values())} there, {state} ({boxes})")
    sys.exit(1 if bad else 0)


def sources(short, user):
    """Counters of the digests that were written for the user."""
    n = user[len("user") :]
    if user == "anna":
        yield from mail.digests([(800, "a")])
    elif user == "berta":
        yield from mail.digests([(400, "b.0"), (200, "b.1"), (200, "b.2")])
    elif short == "d":
        yield from mail.digests([(750, f"{n}.0"), (375, f"{n}.1"), (375, f"{n}.2")])
    else:
        yield from mail.digests([(250, f"{n}INBOX"), (250, f"{n}archive")])


if __name__ == "__main__":
    main()
