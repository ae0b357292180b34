"""getmail6, a POP3 client that leaves mail on the server and remembers UIDLs; it is
unpacked by scripts/setup."""

import os
import subprocess
import sys

GETMAIL = os.path.join(os.environ.get("MAILHAUL_SERVERS", "/opt/mailhaul-test"), "pop3")


class Getmail:
    """The real one, which keeps its list by server, port and user."""

    def __init__(self, directory, marker=b"Message-ID: "):
        self.directory, self.marker = directory, marker
        self.got = os.path.join(directory, "got")
        with open(self.got, "wb"):
            pass
        self.last = None

    def count(self):
        with open(self.got, "rb") as f:
            return f.read().count(self.marker)

    def run(self, server, user):
        """How many it downloaded."""
        words = (server.host, server.vars["pop3_port"], user)
        rc = os.path.join(self.directory, "rc")
        with open(rc, "w", encoding="ascii") as f:
            f.write("[retriever]\ntype = SimplePOP3Retriever\nserver = %s\nport = %s\nusername = %s\npassword = " % words)
            f.write(f"{server.password}\n[destination]\ntype = MDA_external\npath = /usr/bin/tee\narguments = ('-a', '{self.got}')\nallow_root_commands = true\n[options]\nread_all = false\ndelete = false\n")
        name = os.path.join(self.directory, "oldmail-%s-%s-%s" % words)
        if self.last:
            for old in os.listdir(self.directory):
                if old.startswith(os.path.basename(self.last)):
                    os.rename(os.path.join(self.directory, old), name + old[len(os.path.basename(self.last)):])
        self.last = name
        before = self.count()
        subprocess.run(
            [sys.executable, os.path.join(GETMAIL, "usr/bin/getmail"), "-g", self.directory, "-r", rc, "-q"],
            env={"PATH": os.environ["PATH"], "HOME": self.directory, "PYTHONPATH": os.path.join(GETMAIL, "usr/lib/python3/dist-packages")},
            check=True,
            stdout=subprocess.DEVNULL,
        )
        return self.count() - before
