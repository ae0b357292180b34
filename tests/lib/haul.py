"""Runs of mailhaul in a directory of their own.

    with Haul() as h:
        run = h.copy("maildir:/path", h.user(dovecot, "user1"))
        run.code, run.out, run.err, run.report["totals"]["copied"]

A run that dies of a signal, reports an internal error (70) or something that a
sanitizer found raises Crash, whatever the test expected; one that does not end
is killed and raises too.  Secrets are files that only the owner can read.
"""

import hashlib
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

import tls

ROOT = tls.ROOT
DONE, DIFFERS, ACCOUNTS, MISUSE, INTERNAL, AGAIN = 0, 1, 2, 64, 70, 75
OUTCOMES = "copied present excluded refused failed vanished".split()
# anything of a sanitizer, and our own words for a failed assertion
ALARMS = re.compile(r"(AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:|Assertion .* failed|mailhaul: internal error)")


class Crash(AssertionError):
    pass


class Run:
    """What a run gave; (code, out, err) when unpacked."""

    def __init__(self, args, code, out, err):
        self.args, self.code, self.out, self.err = args, code, out, err

    def __iter__(self):
        return iter((self.code, self.out, self.err))

    def __repr__(self):
        out = self.out if len(self.out) < 4000 else self.out[:4000] + " ..."
        return f"{' '.join(self.args)}\nexit code {self.code}\n{self.err}{out}"

    @property
    def report(self):
        """The JSON on standard output."""
        return json.loads(self.out)

    @property
    def totals(self):
        return self.report["totals"]


class Haul:
    def __init__(self, directory=None, faults=False):
        build = os.environ.get("B", "build")
        build = build if os.path.isabs(build) else os.path.join(ROOT, build)
        self.program = os.path.join(build, "faults/mailhaul" if faults else "mailhaul")
        self.own_directory = directory is None
        self.directory = directory or tempfile.mkdtemp(prefix="mhh", dir="/tmp")
        self.state = self.path("S.db")
        self.environment = {"PATH": os.environ["PATH"], "HOME": self.path("home"), "TZ": "UTC", "LC_ALL": "C.UTF-8"}
        for name, value in os.environ.items():
            if name.endswith("SAN_OPTIONS"):
                self.environment[name] = value
        self.secrets = 0
        self.running = []

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.destroy()

    def destroy(self):
        for process in self.running:
            if process.poll() is None:
                process.kill()
                process.communicate()
        if self.own_directory:
            shutil.rmtree(self.directory, True)

    def path(self, *names):
        return os.path.join(self.directory, *names)

    def write(self, name, text, mode=0o600):
        """A file of that content; its path."""
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            os.fchmod(f.fileno(), mode)
            f.write(text if isinstance(text, bytes) else text.encode())
        return path

    def secret(self, text="secret", mode=0o600):
        self.secrets += 1
        return self.write(f"secret{self.secrets}", text + "\n", mode)

    # -- runs

    def start(self, *args, env=None, **kwargs):
        """A run in the background: a Popen; see finish()."""
        environment = dict(self.environment, **(env or {}))
        kwargs.setdefault("stdin", subprocess.DEVNULL)
        process = subprocess.Popen(
            [self.program, *args],
            env=environment,
            cwd=self.directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # no terminal to ask at
            **kwargs,
        )
        self.running.append(process)
        return process

    def finish(self, process, timeout=120, killed=False):
        """The Run of a process; killed: we sent it a signal that may end it."""
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise Crash(f"{process.args} did not end within {timeout} s:\n{err.decode('utf-8', 'replace')}") from None
        finally:
            self.running.remove(process)
        run = Run(process.args, process.returncode, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"))
        dead = run.code < 0 and not (killed and -run.code == signal.SIGKILL)
        if dead or run.code == INTERNAL or ALARMS.search(run.err):
            raise Crash(repr(run))
        return run

    def run(self, *args, timeout=120, **kwargs):
        return self.finish(self.start(*args, **kwargs), timeout)

    def copy(self, *args, state=None, timeout=120, **kwargs):
        """copy with --state and --format json; source and target, or --job."""
        return self.run("copy", *self.copy_words(args, state), timeout=timeout, **kwargs)

    def plan(self, *args, state=None, timeout=120, **kwargs):
        """plan with the same words."""
        return self.run("plan", *self.copy_words(args, state), timeout=timeout, **kwargs)

    def start_copy(self, *args, state=None, **kwargs):
        return self.start("copy", *self.copy_words(args, state), **kwargs)

    def copy_words(self, args, state=None):
        return [*args, "--state", state or self.state, "--format", "json"]

    def report(self, state=None):
        run = self.run("report", "--state", state or self.state, "--format", "json")
        if run.code != DONE:
            raise AssertionError(repr(run))
        return run.report

    # -- where to

    def user(self, server, user, tls="starttls", port=None, host=None, password=None, **options):
        """The URI of a server's user, who logs in for himself.  tls="none" is
        what a counting proxy needs; options: as in a URI, _ for -."""
        secret = self.secret(server.password if password is None else password)
        return self.uri(server, user, secret, tls, port, host, options)

    def admin(self, server, user, tls="starttls", port=None, host=None, admin=None, password=None, **options):
        """The same, where an admin acts for the user (SASL PLAIN, authzid)."""
        secret = self.secret(server.admin_password if password is None else password)
        options["authzid"] = user
        return self.uri(server, admin or server.admin, secret, tls, port, host, options)

    @staticmethod
    def uri(server, login, secret, tls, port, host, options):
        words = {"secret-file": secret}
        if tls == "none":
            words["tls"] = "none"
        else:
            words["ca"] = server.ca
        words.update((k.rstrip("_").replace("_", "-"), v) for k, v in options.items())
        scheme = "imaps" if tls == "implicit" else "imap"
        port = port or (server.imaps_port if tls == "implicit" else server.imap_port)
        query = "&".join(f"{k}={v}" for k, v in words.items() if v is not None)
        return f"{scheme}://{login}@{host or server.host}:{port}?{query}"

    def job(self, source, target, accounts, job="", name="job.ini", **sections):
        """A job file and its list; the words for the command line."""
        text = f"[job]\n{job}\n[source]\nuri = {source}\n[target]\nuri = {target}\n"
        for section, lines in sections.items():
            text += f"[{section}]\n{lines}\n"
        path = self.write(name, text)
        return ["--job", path, "--accounts", self.write(name + ".csv", accounts)]


def tree(*paths):
    """What lies below: {path: (mode, size, mtime, hash of the bytes)}."""
    found = {}
    for top in paths:
        for name in [top] + [os.path.join(d, n) for d, ds, fs in os.walk(top) for n in ds + fs]:
            st = os.lstat(name)
            data = b""
            if stat.S_ISREG(st.st_mode):
                with open(name, "rb") as f:
                    data = f.read()
            found[name] = (st.st_mode, st.st_size, st.st_mtime_ns, hashlib.sha256(data).hexdigest())
    return found


def balance(report):
    """Complaints about a report's numbers, as it stands by itself."""
    bad = []

    def add(where, totals):
        if set(totals) != {"source", *OUTCOMES}:
            bad.append(f"{where}: fields {sorted(totals)}")
        elif totals["source"] != sum(totals[o] for o in OUTCOMES):
            bad.append(f"{where}: {totals}")

    add("totals", report["totals"])
    sums = dict.fromkeys(report["totals"], 0)
    for account in report["accounts"]:
        add(account["name"], account["totals"])
        inner = dict.fromkeys(report["totals"], 0)
        for box in account["mailboxes"]:
            add(f"{account['name']}/{box['name']}", box["totals"])
            for key, n in box["totals"].items():
                inner[key] += n
        if inner != account["totals"]:
            bad.append(f"{account['name']}: {account['totals']} but its mailboxes {inner}")
        for key, n in account["totals"].items():
            sums[key] += n
    if sums != report["totals"]:
        bad.append(f"totals {report['totals']} but the accounts {sums}")
    if report["balanced"] != (not bad):
        bad.append(f"balanced is {report['balanced']}")
    return bad


def wait_for(condition, seconds=20):
    """Until condition() is true; what it gave."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {condition}")


def together(jobs):
    """Run functions side by side (they mostly wait); their complaints in one."""
    errors = []
    with ThreadPoolExecutor(12) as pool:
        for name, future in [(name, pool.submit(job)) for name, job in jobs]:
            try:
                future.result()
            except Exception as e:  # pylint: disable=broad-except
                errors.append(f"{name}: {type(e).__name__}: {e}")
    if errors:
        raise AssertionError(f"{len(errors)} of {len(jobs)} failed\n" + "\n\n".join(errors))
