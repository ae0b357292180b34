"""For scripts/demo: what its servers hold against what its sources held."""

import imaplib
import json
import os
import shlex
import sys
from collections import Counter

import mail
import readback


# accounts of scripts/cgp-tree and their users
COMMUNIGATE = {"user9": "bob@example.org", "user10": "carol@example.org"}


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
            boxes = [box for box in account.boxes.values() if not box.name.startswith("user/")]  # others'
            for box in boxes:
                there += box.digests()
            wanted = Counter()
            for told in sources(work, short, user):
                wanted += told
            state = "equal" if there == wanted else "DIFFERENT"
            bad += there != wanted
            told = ", ".join(f"{b.name} {len(b.messages)}" for b in boxes)
            print(f"{name.lower():8} {user}: {sum(wanted.values())} sent, {sum(there.values())} there, {state} ({told})")
    sys.exit(1 if bad else 0)


def sources(work, short, user):
    """Counters of the digests that were written for the user."""
    n = user[len("user") :]
    if user == "anna":
        yield from mail.digests([(800, "a")])
    elif user == "berta":
        yield from mail.digests([(400, "b.0"), (200, "b.1"), (200, "b.2")])
    elif short == "d":
        yield from mail.digests([(750, f"{n}.0"), (375, f"{n}.1"), (375, f"{n}.2")])
    elif user in COMMUNIGATE:
        with open(os.path.join(work, "cgp/manifest.json"), encoding="utf-8") as f:
            account = json.load(f)["accounts"][COMMUNIGATE[user]]
        for box in account["mailboxes"].values():
            if not box["class"]:  # contacts stay behind
                yield Counter(m["sha256"] for m in box["messages"])
    else:
        yield from mail.digests([(250, f"{n}INBOX"), (250, f"{n}archive")])


if __name__ == "__main__":
    main()
