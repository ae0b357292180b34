"""The systemd units and the logrotate snippet, with the programs they are for.

These are the system's own, else those that scripts/setup has unpacked."""

import glob
import os
import re
import shutil
import subprocess
import threading
import unittest

import mail
import tls
from haul import DONE, Haul

TOOLS = os.path.join(os.environ.get("MAILHAUL_SERVERS", "/opt/mailhaul-test"), "tools")
UNITS = os.path.join(tls.ROOT, "scripts/systemd")
SNIPPET = os.path.join(tls.ROOT, "scripts/logrotate/mailhaul")


def tool(name):
    """Where a program is, and the environment it needs."""
    environment = dict(os.environ, LC_ALL="C", PATH=os.environ["PATH"] + ":/usr/sbin")
    path = shutil.which(name, path=environment["PATH"])
    if path is not None:
        return path, environment
    for directory in "usr/bin", "usr/sbin":
        path = os.path.join(TOOLS, directory, name)
        if os.path.exists(path):
            with open(os.path.join(TOOLS, ".libraries"), encoding="ascii") as f:
                environment["LD_LIBRARY_PATH"] = f.read().strip()
            environment["SYSTEMD_UNIT_PATH"] = os.path.join(TOOLS, "lib/systemd/system")
            return path, environment
    raise AssertionError(f"there is no {name}: run scripts/setup")


class TestUnits(unittest.TestCase):
    def setUp(self):
        self.haul = Haul()
        self.addCleanup(self.haul.destroy)
        self.program, self.environment = tool("systemd-analyze")
        for name in glob.glob(UNITS + "/*"):
            with open(name, encoding="ascii") as f:
                text = f.read()
            # the program that was built, and an instance
            text = text.replace("/usr/local/bin/mailhaul", self.haul.program)
            self.haul.write("units/" + os.path.basename(name).replace("@", "@move"), text, 0o644)

    def analyze(self, *args):
        return subprocess.run(
            [self.program, *args], env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=60
        )

    def test_verify(self):
        units = sorted(glob.glob(self.haul.path("units/*")))
        self.assertEqual([os.path.basename(u) for u in units], ["mailhaul@move.service", "mailhaul@move.timer"])
        run = self.analyze("verify", "--man=no", "--recursive-errors=no", *units)
        self.assertEqual((run.returncode, run.stdout), (0, ""))
        # and a mistake would be found
        text = open(units[0], encoding="ascii").read()
        self.haul.write("units/mailhaul@move.service", text.replace("ProtectSystem=strict", "ProtectSytem=strict"), 0o644)
        self.assertIn("ProtectSytem", self.analyze("verify", "--man=no", "--recursive-errors=no", *units).stdout)

    def test_security(self):
        """The sandbox as a whole, by systemd's own measure (0 best, 10 none)."""
        run = self.analyze("security", "--offline=yes", "--no-pager", self.haul.path("units/mailhaul@move.service"))
        found = re.search(r"Overall exposure level .*: ([\d.]+)", run.stdout)
        self.assertIsNotNone(found, run.stdout)
        self.assertLess(float(found.group(1)), 4, run.stdout)

    def test_calendar(self):
        timer = open(os.path.join(UNITS, "mailhaul@.timer"), encoding="ascii").read()
        when = re.search(r"^OnCalendar=(.*)$", timer, re.M).group(1)
        run = self.analyze("calendar", when)
        self.assertEqual(run.returncode, 0, run.stdout)
        self.assertRegex(run.stdout, r"Normalized form: Fri \*-\*-\* 20:00:00")

    def test_options(self):
        """The command line of the unit is one that the program takes."""
        unit = open(os.path.join(UNITS, "mailhaul@.service"), encoding="ascii").read()
        words = re.search(r"^ExecStart=\S+ (.*)$", unit, re.M).group(1).replace("%i", "move").split()
        job = self.haul.write("move.ini", "[source]\nuri = mbox:x\n[target]\nuri = null:\n")
        words = [w.replace("/etc/mailhaul/move.ini", job).replace("/var/lib/mailhaul", self.haul.directory) for w in words]
        run = self.haul.run(*words, "--show-config")
        self.assertEqual(run.code, DONE, run)
        self.assertIn(f"state = {self.haul.directory}/move.db", re.sub(" +", " ", run.out))

    @unittest.skipUnless(os.geteuid() == 0, "NOT TESTED: capabilities are root's")
    def test_capabilities(self):
        """What the unit leaves to root is enough to read a home of somebody else."""
        with open(os.path.join(UNITS, "mailhaul@.service"), encoding="ascii") as f:
            names = re.search(r"^CapabilityBoundingSet=(.*)$", f.read(), re.M).group(1).lower().replace("cap_", "").split()
        source = self.haul.path("home/anna")
        mail.write_maildir(source, {"INBOX": 3}, mean=100)
        for root, dirs, files in os.walk(self.haul.path("home")):
            for name in dirs + files:
                os.chown(os.path.join(root, name), 4711, 4711)
                os.chmod(os.path.join(root, name), 0o700 if name in dirs else 0o600)
        caps = "-all," + ",".join("+" + n for n in names)
        words = ["setpriv", f"--bounding-set={caps}", "--inh-caps=-all", "--no-new-privs", self.haul.program, "copy"]
        words += self.haul.copy_words(self.haul.job("maildir:" + self.haul.path("home/{user}"), "null:", "user\nanna\n"))
        run = subprocess.run(words, env=self.haul.environment, capture_output=True, text=True, check=False, timeout=60)
        self.assertEqual(run.returncode, DONE, run.stderr)
        self.assertIn('"copied":3', run.stdout)


class TestLogrotate(unittest.TestCase):
    def setUp(self):
        self.haul = Haul()
        self.addCleanup(self.haul.destroy)
        self.program, self.environment = tool("logrotate")

    def rotate(self, *args):
        with open(SNIPPET, encoding="ascii") as f:
            text = f.read().replace("/var/lib/mailhaul", self.haul.directory)
        text = text.replace("rotate 12", "rotate 1000")  # none is to be dropped here
        self.haul.write("logrotate.conf", text, 0o644)
        args = [self.program, "-s", self.haul.path("logrotate.state"), *args, self.haul.path("logrotate.conf")]
        return subprocess.run(args, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=60)

    def test_snippet(self):
        run = self.rotate("-d")
        self.assertEqual(run.returncode, 0, run.stdout)
        self.assertNotRegex(run.stdout, "(?i)error|warning: .*(?<!Anything)$")
        for name in "*.log", "*.logs/*.log", "*.logs/*.trace":
            self.assertIn(os.path.join(self.haul.directory, name), run.stdout)

    def test_while_it_runs(self):
        """Forced again and again under a run: no line is lost, all are whole."""
        os.mkdir(self.haul.path("src"))
        rows = "user\n"
        for n in range(20):
            mail.write_maildir(self.haul.path(f"src/u{n}"), {f"f{k}" if k else "INBOX": 1 for k in range(10)}, mean=100)
            rows += f"u{n}\n"
        self.haul.state = self.haul.path("move.db")
        words = self.haul.job(f"maildir:{self.haul.path('src')}/{{user}}", "null:", rows)
        over = threading.Event()
        runs = []

        def rotating():
            # fewer than the snippet keeps
            while not over.is_set() and len(runs) < 6:
                runs.append(self.rotate("-f"))
                over.wait(0.05)

        thread = threading.Thread(target=rotating)
        thread.start()
        run = self.haul.copy(*words)
        over.set()
        thread.join()
        self.assertEqual(run.code, DONE, run)
        self.assertEqual(run.err.count("cannot be written"), 0, run)
        self.assertGreater(len(runs), 0)
        for r in runs:
            self.assertEqual(r.returncode, 0, r.stdout)
        text = ""
        for name in glob.glob(self.haul.state + ".log*") + glob.glob(self.haul.state + ".logs/u*"):
            if name.endswith(".logs"):
                continue
            text += subprocess.run(["zcat", "-f", name], stdout=subprocess.PIPE, check=True, text=True).stdout
        lines = text.splitlines()
        for line in lines:
            self.assertRegex(line, r"^\d{4}-\d\d-\d\dT[\d:.]+[+-]\d\d:\d\d (info|warn) [a-z-]+[: ]")
        self.assertEqual(sum(" mailbox-end " in line for line in lines), 20 * 10)
        self.assertEqual(sum(" account-end " in line for line in lines), 2 * 20)
        self.assertEqual(sum(" run-end" in line for line in lines), 1)


if __name__ == "__main__":
    unittest.main()
