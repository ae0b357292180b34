"""The part "dsync" of the bench: a Maildir becomes an mdbox, by us through dsync's
protocol and by `doveadm backup` between the same two stores.  Both let Dovecot
write; both are timed with a sync of the file system at the end."""

import os
import re
import shutil

import dsyncs
import files as bench_files
import trees
from servers import Dovecot


def count(server, user):
    out = server.doveadm("mailbox", "status", "-u", user, "messages", "INBOX").decode()
    return int(re.search(r"messages=(\d+)", out).group(1))


def dsync(b, program, messages, runs):
    f = bench_files.Files(b, program, messages, runs)
    _, source = f.ours()
    f.check(source)
    server = b.start(Dovecot, 2 * runs + 2, FORMAT="mdbox", SEPARATOR="/")
    doveadm = dsyncs.program(server)
    ours, theirs = [], []
    for run in range(runs + 1):
        mine, other = server.users[2 * run], server.users[2 * run + 1]
        words = [program, "copy", "maildir:" + source, f"doveadm:{mine}?program={doveadm}", "--state", f.fresh("state"), "--quiet"]
        rate = messages / bench_files.timed(f.place, *words)
        copy = f.fresh("copy")  # dsync writes its indexes into the source
        shutil.copytree(source, copy, copy_function=shutil.copy2)
        if os.getuid() == 0:
            trees.own(copy, 8, 8)
        against = messages / bench_files.timed(f.place, doveadm, "backup", "-R", "-u", other, "maildir:" + copy)
        for user in mine, other:
            if count(server, user) != messages:
                raise OSError(f"{user}: {count(server, user)} messages, not {messages}")
        if run > 0:  # the first one warms up
            ours.append(rate)
            theirs.append(against)
    b.ratio("dsync", f"{messages} messages of a Maildir into mdbox, against doveadm backup", ours, theirs, 1)
    words[-2] = f.fresh("state")
    again = bench_files.timed(f.place, *words)
    b.row("dsync", "the same again with no state, all of it there: seconds", f"{again:.2f}", "", "", "", None)
    server.destroy()
