"""The part "audit" of the bench: an audit by content against programs that read
the same bytes and know nothing of mail.

Local: sha256sum over the files of both trees, on the same processor.  IMAP: a
client that sends the very FETCHes that the audit sent, all at once, and throws
the answers away.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))

import mail  # noqa: E402
from servers import Cyrus, Dovecot  # noqa: E402

MEAN = 8000


def run(program, *words, cpu=None):
    """Seconds; the audit has to find everything equal."""
    wrap = ["taskset", "-c", str(cpu)] if cpu is not None else []
    start = time.perf_counter()
    done = subprocess.run([*wrap, program, "audit", *words, "--quiet"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    seconds = time.perf_counter() - start
    if done.returncode != 0:
        raise OSError(f"audit: {done.returncode}: {done.stdout.decode()[:2000]}{done.stderr.decode()}")
    return seconds


def local(b, program, count, runs, say):
    place = b.path("audit")
    os.makedirs(place)
    source, target = os.path.join(place, "source"), os.path.join(place, "target")
    mail.write_maildir(source, {"INBOX": count // 2, "Sent": count - count // 2}, 1, MEAN)
    shutil.copytree(source, target, copy_function=shutil.copy2)
    uris = f"maildir:{source}", f"dovecot:{target}?owner={os.getuid()}", "--state", os.path.join(place, "none.db")
    cpu = max(os.sched_getaffinity(0))
    # both read the same bytes, which are in memory by then
    say(f"audit: {count} messages in two Maildirs, {runs} runs each")
    run(program, *uris, cpu=cpu)
    ours, sums = [], []
    for _ in range(runs):
        ours.append(2 * count / run(program, *uris, cpu=cpu))
        start = time.perf_counter()
        subprocess.run(f"find '{source}' '{target}' -type f -print0 | xargs -0 taskset -c {cpu} sha256sum >/dev/null", shell=True, check=True)
        sums.append(2 * count / (time.perf_counter() - start))
    b.ratio("audit", "two Maildirs, against sha256sum", ours, sums, 0.7)


class Recorder:
    """A way to a server that keeps what clients said after their login."""

    def __init__(self, port):
        self.server = port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.said = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.server))
            said = bytearray()
            self.said.append(said)
            threading.Thread(target=self.pipe, args=(client, server, said), daemon=True).start()
            threading.Thread(target=self.pipe, args=(server, client, None), daemon=True).start()

    @staticmethod
    def pipe(source, sink, said):
        try:
            while data := source.recv(1 << 16):
                if said is not None:
                    said += data
                sink.sendall(data)
        except OSError:
            pass
        try:
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def scripts(self):
        """For each session that fetched something: what came after its login."""
        self.listener.close()
        found = []
        for said in self.said:
            if b"FETCH" not in said:
                continue
            lines = bytes(said).split(b"\r\n")
            after = next(i for i, line in enumerate(lines) if re.search(rb" (LOGIN|AUTHENTICATE) ", line))
            # what belongs to the login has no tag
            while after + 1 < len(lines) and not re.match(rb"\S+ (?:[A-Z]+\b)", lines[after + 1]):
                after += 1
            found.append([line for line in lines[after + 1 :] if line and not line.endswith(b" LOGOUT")])
        return found


def replay(port, login, lines):
    """Sends them all at once and reads to the last answer."""
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        s.recv(1 << 16)
        s.sendall(b"first " + login + b"\r\n")
        data = b""
        while b"\r\nfirst " not in b"\r\n" + data:
            data += s.recv(1 << 16)
        threading.Thread(target=s.sendall, args=(b"\r\n".join(lines) + b"\r\nlast NOOP\r\n",), daemon=True).start()
        tail = b""
        view = bytearray(1 << 20)
        while b"\r\nlast OK" not in tail:
            n = s.recv_into(view)
            if n == 0:
                raise OSError("the server hung up: " + tail.decode("latin-1"))
            tail = (tail + bytes(view[max(0, n - 200) : n]))[-200:]


def over_imap(b, program, server, count, runs, say):
    path = b.path("imap")
    mail.write_maildir(path, {"INBOX": count // 2, "Sent": count - count // 2}, 2, MEAN)
    user, state = server.fresh.pop(), b.path("state.db")
    say(f"audit: {count} messages in {server.name}, {runs} runs each")

    def words(port):
        return f"maildir:{path}", f"imap://{user}@127.0.0.1:{port}?tls=none&compress=no&secret-file={server.secret}", "--state", state

    subprocess.run([program, "copy", *words(server.imap_port), "--quiet"], stdout=subprocess.DEVNULL, check=True)
    recorder = Recorder(server.imap_port)
    run(program, *words(recorder.port))
    scripts = recorder.scripts()
    login = f"LOGIN {user} {server.password}".encode()
    ours, theirs = [], []
    for _ in range(runs):
        ours.append(count / run(program, *words(server.imap_port)))
        start = time.perf_counter()
        for lines in scripts:
            replay(server.imap_port, login, lines)
        theirs.append(count / (time.perf_counter() - start))
    b.ratio("audit", f"{server.name}, against the same FETCHes", ours, theirs, 0.6)


def peak(b, program, path, count, watch, say):
    """Memory: a large mailbox against itself, with an index as Dovecot has it."""
    say(f"audit: {count} messages of one Maildir")
    target = b.path("target")
    subprocess.run([program, "copy", f"maildir:{path}", f"dovecot:{target}?owner={os.getuid()}&link=hard", "--state", target + ".db", "--quiet"], stdout=subprocess.DEVNULL, check=True)
    start = time.perf_counter()
    with open(os.devnull, "wb") as null:
        child = b.spawn(program, "audit", f"maildir:{path}", f"dovecot:{target}?owner={os.getuid()}", "--state", target + ".none", "--quiet", stdout=null)
    most = watch(child.pid) / (1 << 20)
    if child.wait() != 0:
        raise OSError(f"audit ended with {child.returncode}")
    b.row("audit", f"memory for {count} messages", f"{most:.0f} MiB", "", f"in {time.perf_counter() - start:.0f} s", "< 96 MiB", most < 96)
    subprocess.run(["rm", "-rf", target], check=True)


def audit(b, program, count, runs, big, say):
    """big: path and number of messages of a large Maildir, and who watches."""
    local(b, program, count, runs, say)
    for kind in Dovecot, Cyrus:
        over_imap(b, program, b.server(kind), count, runs, say)
    peak(b, program, *big, say)
