"""The part "files" of the bench: an mbox becomes a Maildir that Dovecot serves,
against programs that do the same on this disk; Maildirs by links.

Ours are durable at every checkpoint.  Others are timed with a sync of the file
system at the end; dsync in its default is as durable as we are.  Trees of
earlier runs are removed long after, since a file system is slow where much was
removed just before.
"""

import os
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))

import mail  # noqa: E402
import trees  # noqa: E402
from servers import Dovecot  # noqa: E402

MEAN = 3100  # with headers 3.5 kB: 20,000 are 70 MB


def timed(directory, *command, **kwargs):
    """Seconds until the command has ended and its files are on the disk."""
    subprocess.run(["sync", "-f", directory], check=True)
    start = time.perf_counter()
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **kwargs)
    subprocess.run(["sync", "-f", directory], check=True)
    return time.perf_counter() - start


class Files:
    def __init__(self, b, program, count, runs):
        self.b, self.program, self.count, self.runs = b, program, count, runs
        self.number = 0
        self.place = b.path("files")
        os.makedirs(os.path.join(self.place, "mbox"))
        for directory in self.place, os.path.dirname(self.place):  # the server goes through them
            os.chmod(directory, 0o755)
        mail.write_mbox(os.path.join(self.place, "mbox", "INBOX"), count, 1, MEAN)
        self.owner = "8:8" if os.getuid() == 0 else str(os.getuid())
        self.mbox = os.path.join(self.place, "mbox")

    def fresh(self, name):
        self.number += 1
        return os.path.join(self.place, f"{name}{self.number}")

    def ours(self, source=None, options="", wrap=()):
        """Messages a second into a new tree; the tree."""
        root = self.fresh("ours")
        words = [f"{source or 'mbox:' + self.mbox}", f"dovecot:{root}?owner={self.owner}{options}", "--state", root + ".db", "--quiet"]
        seconds = timed(self.place, *wrap, self.program, "copy", *words)
        return self.count / seconds, root

    def check(self, root):
        n = len(trees.read(root))
        if n != self.count:
            raise OSError(f"{root}: {n} messages, not {self.count}")

    def dsync(self, server, user, *options):
        """An own copy: dsync writes into the source."""
        copy = self.fresh("dsync")
        shutil.copytree(self.mbox, copy)
        if os.getuid() == 0:
            trees.own(copy, 8, 8)
        script = os.path.join(os.path.dirname(trees.__file__), "../../scripts/dovecot-server")
        words = [script, server.directory, "doveadm", *options, "backup", "-R", "-u", user, f"mbox:{copy}:INBOX={copy}/INBOX"]
        seconds = timed(self.place, *words)
        self.check(server.maildir(user))
        return self.count / seconds


def compare(b, f):
    ours, tar, plain, never, mb2md = [], [], [], [], []
    server = b.start(Dovecot, 2 * f.runs, SEPARATOR="/")  # as an mbox has it
    rate, root = f.ours()
    f.check(root)
    archive = os.path.join(f.place, "tree.tar")
    subprocess.run(["tar", "-C", root, "-cf", archive, "."], check=True)
    for run in range(f.runs):
        rate, root = f.ours()
        f.check(root)
        ours.append(rate)
        there = f.fresh("tar")
        os.mkdir(there)
        tar.append(f.count / timed(f.place, "tar", "-C", there, "-xf", archive))
        plain.append(f.dsync(server, server.users[2 * run]))
        never.append(f.dsync(server, server.users[2 * run + 1], "-o", "mail_fsync=never"))
        if shutil.which("mb2md"):
            there = f.fresh("mb2md")
            mb2md.append(f.count / timed(f.place, "mb2md", "-s", os.path.join(f.mbox, "INBOX"), "-d", there))
    what = f"{f.count} messages of an mbox"
    b.ratio("files", f"{what}, against tar x and sync", ours, tar, 0.5)
    b.ratio("files", f"{what}, against dsync", ours, plain, 4)
    b.ratio("files", f"{what}, against dsync, fsync=never", ours, never, 1)
    if mb2md:
        b.ratio("files", f"{what}, against mb2md", ours, mb2md, 1)
    else:
        b.row("files", f"{what}, against mb2md: it is not installed", "", "", "", "", None)
    server.destroy()
    return root


def links(b, f, root):
    """The tree that was written, as a source."""
    hard, unread, copies = [], [], []
    for _ in range(f.runs):
        hard.append(f.ours("maildir:" + root, "&link=hard")[0])
        copies.append(f.ours("maildir:" + root)[0])
        unread.append(f.ours("maildir:" + root, "&link=hard&verify=no")[0])
    what = f"{f.count} messages of a Maildir by hard links"
    b.ratio("files", f"{what}, verify=no, against copies", unread, copies, 5)
    b.ratio("files", f"{what}, all of them read for their digests, against copies", hard, copies, 2.5)


def cost(b, f, root):
    """System calls, syncs and bytes written for each message, of us and of dsync."""
    if not shutil.which("strace"):
        b.row("files", "system calls a message: there is no strace", "", "", "", "", None)
        return
    ways = (("mbox to Maildir", None, ""), ("hard links", "maildir:" + root, "&link=hard"),
            ("hard links, verify=no", "maildir:" + root, "&link=hard&verify=no"))
    for what, source, options in ways:
        counts = f.fresh("counts")
        f.ours(source, options, wrap=("strace", "-f", "-c", "-o", counts))
        calls, syncs = count_calls(counts)
        written = f.fresh("written")
        f.ours(source, options, wrap=("strace", "-f", "-e", "trace=write,pwrite64,pwritev,copy_file_range", "-o", written))
        b.row("files", f"{what}: system calls and bytes written a message; syncs in all", f"{calls / f.count:.1f}", f"{bytes_written(written) / f.count:.0f}", f"{syncs}", "", None)


def count_calls(path):
    """What strace -c has counted: all, and those that wait for the disk."""
    calls = syncs = 0
    with open(path, encoding="ascii") as text:
        for line in text:
            words = line.split()
            if len(words) >= 5 and words[3].isdigit() and words[-1] != "total":
                calls += int(words[3])
                syncs += int(words[3]) if words[-1] in ("fsync", "fdatasync", "syncfs") else 0
    return calls, syncs


def bytes_written(path):
    total = 0
    with open(path, encoding="latin-1") as text:
        for line in text:
            result = line.rstrip().rpartition("= ")[2].split(" ")[0]
            total += int(result) if result.isdigit() else 0
    return total


def files(b, program, count, runs):
    f = Files(b, program, count, runs)
    root = compare(b, f)
    links(b, f, root)
    cost(b, f, root)
