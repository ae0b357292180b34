"""Kills and full disks while lines of the logs are written: the run's result is
what it is without logs, and the logs can be read."""

import glob
import re
import unittest

import kills
from haul import DIFFERS, DONE
from kills import Migration, Place

LOGS = ("--settle", "1", "--log", "on", "--trace", "*")
LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d ((info|warn) [a-z-]+[: ].*|s\d+ [<>-] .*)")


def unreadable(haul):
    words = []
    for name in [haul.state + ".log", *glob.glob(haul.state + ".logs/*")]:
        with open(name, "rb") as f:
            text = f.read()
        if not text.endswith(b"\n"):
            words.append(f"{name} does not end with a line")
        words += [f"{name}: {line}" for line in text.decode().splitlines() if not LINE.fullmatch(line)]
    return words


class TestLogFaults(unittest.TestCase):
    def killed(self, server, kind):
        words = []
        with Migration(Place(server), kind, options=LOGS) as m:
            points = m.points()["log.write"]
        if points < 30:
            return [f"only {points} lines were written"]
        # A little fewer: how the server's answers are cut into lines is not the same twice.
        for _, n in kills.sample({"log.write": points * 9 // 10}, 6):
            with Migration(Place(server), kind, options=LOGS) as m:
                died = m.copy(fault=f"kill@log.write:{n}")
                begun = kills._ask(m.haul.state, "SELECT count(*) FROM history WHERE pass = 1")
                run = m.copy()
                ended = kills._ask(m.haul.state, "SELECT count(*) FROM history WHERE ended IS NOT NULL")
                found = m.wrong(run) + unreadable(m.haul) + m.again()
                if died.code >= 0:
                    found.append("it was not killed")
                if ended < begun:
                    found.append(f"history: {begun} begun, {ended} ended")
                words += [f"killed at line {n}: {w}" for w in found]
        return words

    def test_killed(self):
        kills.everywhere(self, self.killed)

    def full(self, server, kind):
        """One line fails: it is told once, and the log says that it is missing."""
        with Migration(Place(server), kind, options=LOGS) as m:
            run = m.copy(fault="eio@log.write:5")
            words = m.wrong(run, present=0) + unreadable(m.haul)
            if run.code not in (DONE, DIFFERS):
                words.append(repr(run))
            if run.err.count("cannot be written: No space left on device") != 1:
                words.append(f"it does not tell: {run.err}")
            with open(m.haul.state + ".log", encoding="utf-8") as f:
                if "1 lines of the logs could not be written" not in f.read():
                    words.append("the log does not tell of the gap")
            return words + m.again()

    def test_full(self):
        kills.everywhere(self, self.full)


if __name__ == "__main__":
    unittest.main()
