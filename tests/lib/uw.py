"""UW's own programs (c-client), which rewrite a mailbox as Pine and imapd do.

    home = uw.Home(path)              a home directory whose owner is no root
    home.put("mail/box", text)        a file in it
    home.mailutil("prune", "box", "subject x")
"""

import os
import subprocess

ROOT = os.path.join(os.environ.get("MAILHAUL_SERVERS", "/opt/mailhaul-test"), "uw")
OWNER = 65534  # nobody: c-client does not work for root


def separator(i=0):
    return f"From a@b Thu Jan  4 05:{i // 60 % 60:02}:{i % 60:02} 2001\n".encode()


def message(name, lines=3, number=0):
    """One message with its separator and empty line, as it lies in a file."""
    body = "".join(f"line {k} of {name}\n" for k in range(lines))
    return separator(number) + f"Subject: {name}\nFrom: a@b\nMessage-ID: <{name}@x>\n\n{body}\n".encode()


class Home:
    def __init__(self, path):
        self.path = path
        os.makedirs(path, exist_ok=True)
        self.own(path)

    def own(self, path):
        if os.getuid() == 0:
            os.chown(path, OWNER, OWNER, follow_symlinks=False)

    def put(self, name, data):
        path = os.path.join(self.path, name)
        at = self.path
        for part in name.split("/")[:-1]:
            at = os.path.join(at, part)
            if not os.path.isdir(at):
                os.mkdir(at)
                self.own(at)
        with open(path, "wb") as f:
            f.write(data)
        self.own(path)
        return path

    def mailutil(self, *args, check=True):
        """What it prints; its exit code means nothing."""

        def become():
            if os.getuid() == 0:
                os.setgroups([])
                os.setgid(OWNER)
                os.setuid(OWNER)

        with open(os.path.join(ROOT, ".libraries"), encoding="utf-8") as f:
            environment = {"HOME": self.path, "PATH": "/usr/bin", "TZ": "UTC", "LD_LIBRARY_PATH": f.read().strip()}
        done = subprocess.run(
            [os.path.join(ROOT, "usr/bin/mailutil"), *args],
            env=environment,
            cwd=self.path,
            preexec_fn=become,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=60,
        )
        text = done.stdout.decode("utf-8", "replace")
        if check and ("Can't" in text or done.returncode < 0):
            raise AssertionError(f"mailutil {args}: {text}")
        return text
