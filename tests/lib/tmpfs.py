"""Small file systems, for full disks.

    with Tmpfs(100) as disk:            # kB
        disk.directory, disk.free(), disk.fill(leave=4096), disk.make_room()
"""

import os
import shutil
import subprocess
import tempfile


class Tmpfs:
    """A file system of a few kB, below a temporary directory; over: in place of
    a directory that is there, with what that holds."""

    def __init__(self, kib, over=None):
        self.own = over is None
        self.directory = over or tempfile.mkdtemp(prefix="mht", dir="/tmp")
        if over:
            self.take_over(kib)
            return
        try:
            self.mount(f"size={kib}k,mode=700")
        except BaseException:
            os.rmdir(self.directory)
            raise

    def take_over(self, kib):
        aside = self.directory + ".aside"
        subprocess.run(["cp", "-a", self.directory, aside], check=True)
        st = os.stat(self.directory)
        self.mount(f"size={kib}k,mode={st.st_mode & 0o7777:o},uid={st.st_uid},gid={st.st_gid}")
        subprocess.run(["cp", "-a", aside + "/.", self.directory + "/"], check=True)
        shutil.rmtree(aside)

    def mount(self, options):
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", self.directory], check=True, capture_output=True)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        subprocess.run(["umount", self.directory], check=True)
        if self.own:
            os.rmdir(self.directory)

    def free(self):
        fs = os.statvfs(self.directory)
        return fs.f_bavail * fs.f_frsize

    def fill(self, leave):
        """Somebody else's file takes all but so many bytes."""
        with open(os.path.join(self.directory, "ballast"), "wb") as f:
            f.write(b"\0" * max(self.free() - leave, 0))

    def make_room(self):
        os.unlink(os.path.join(self.directory, "ballast"))

    def resize(self, kib):
        subprocess.run(["mount", "-o", f"remount,size={kib}k", self.directory], check=True, capture_output=True)


def tmpfs(kib):
    """None where nobody lets us mount one."""
    try:
        return Tmpfs(kib)
    except (OSError, subprocess.CalledProcessError):
        return None
