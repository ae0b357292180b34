"""Certificates for tests: a thin skin over scripts/test-ca.

One authority is enough for a run; it is made at the first use, below
$MAILHAUL_TEST_CA or a temporary directory that goes when the process ends.
"""

import atexit
import os
import shutil
import ssl
import subprocess
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Authority:
    """ca is the file to trust; cert(kind), key(kind) with kind one of good,
    expired, wronghost, unknown, client; pin is the SHA-256 of good.pem."""

    def __init__(self, directory):
        self.directory = directory
        subprocess.run([os.path.join(ROOT, "scripts/test-ca"), directory], check=True)
        self.ca = os.path.join(directory, "ca.pem")
        with open(os.path.join(directory, "good.pin"), encoding="ascii") as f:
            self.pin = f.read().strip()

    def cert(self, kind="good"):
        return os.path.join(self.directory, kind + ".pem")

    def key(self, kind="good"):
        return os.path.join(self.directory, kind + ".key")

    def server_context(self, kind="good"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert(kind), self.key(kind))
        return context

    def client_context(self):
        return ssl.create_default_context(cafile=self.ca)


_authority = None


def authority():
    global _authority
    if _authority is None:
        directory = os.environ.get("MAILHAUL_TEST_CA")
        if not directory:
            directory = tempfile.mkdtemp(prefix="mhca", dir="/tmp")
            os.chmod(directory, 0o755)
            atexit.register(shutil.rmtree, directory, True)
        _authority = Authority(directory)
    return _authority
