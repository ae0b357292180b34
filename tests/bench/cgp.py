"""The part "cgp": reading CommuniGate's mailboxes into null:, against the same
messages in a Maildir and in an mbox of the usual kind, by turns.  Both forms of
the large text mailbox are sparse: most of each message is a hole."""

import os
import time

MIB = 1 << 20
LIMIT = 68 * MIB  # as for other sources: 64 MiB and 4 MiB more
DATE = 1_000_000_000


def mdir(path, maildir, count, messages):
    """count messages as files of both kinds; the bytes are the same."""
    for sub in "new", "tmp", "cur":
        os.makedirs(os.path.join(maildir, sub))
    os.makedirs(path)
    for i in range(count):
        when = time.strftime("%Y%m%d%H%M%S", time.gmtime(DATE + i))
        text = messages(i)
        for name in f"{maildir}/cur/{DATE + i}.M{i}.host:2,S", f"{path}/{i + 1}-S-{when}":
            fd = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            os.write(fd, text)
            os.close(fd)


def mbox(path, plain, size, messages):
    """Text mailboxes of both kinds with messages of 1 MiB."""
    os.makedirs(os.path.dirname(path))
    count = size // MIB
    with open(path, "wb") as ours, open(plain, "wb") as theirs:
        for i in range(count):
            when = time.gmtime(DATE + i)
            ours.write(time.strftime(f"From <a@b>(S-{i + 1})  %d-%m-%Y_%H:%M:%S_1\n", when).encode())
            theirs.write(time.strftime("From a@b %a %b %e %H:%M:%S %Y\n", when).encode())
            for f in ours, theirs:
                f.write(messages(i) + b"\n")
                f.seek(MIB, os.SEEK_CUR)
                f.write(b"\nlast line\n\n")
    return count


def turns(b, what, count, ours, theirs, runs):
    """Two sources of the same messages; rates and peaks."""
    rates, peaks = {ours: [], theirs: []}, []
    for _ in range(runs):
        for source in ours, theirs:
            r = b.mailhaul([(source, "user1")], "null:", 1, watch=source is ours)
            if r.totals["copied"] != count:
                raise OSError(f"{r.totals} of {count} messages")
            rates[source].append(count / r.seconds)
            if source is ours:
                peaks.append(r.peak)
    b.ratio("cgp", what, rates[ours], rates[theirs], 0.7)
    peak = max(peaks)
    b.row("cgp", "  its memory", f"{peak / MIB:.0f} MiB", "", "", f"< {LIMIT // MIB} MiB", peak < LIMIT)


def cgp(b, quick, runs, messages, say):
    count, size = (20_000, 512 * MIB) if quick else (100_000, 5 << 30)
    top, maildir = b.path("cgp"), b.path("maildir")
    say(f"cgp: making {count} messages in a MailDir mailbox, and a Maildir")
    mdir(f"{top}/u.macnt/INBOX.mdir", maildir, count, messages)
    turns(b, f"{count} messages of .mdir, against a Maildir", count, f"cgp:{top}/u.macnt", f"maildir:{maildir}", runs)
    top, plain = b.path("cgp"), b.path("mbox")
    say(f"cgp: making a text mailbox of {size // MIB} MiB, twice")
    count = mbox(f"{top}/u.macnt/INBOX.mbox", plain, size, messages)
    turns(b, f"{size // MIB} MiB of .mbox, against an mbox", count, f"cgp:{top}/u.macnt", f"mbox:{plain}", runs)
