"""kill -9 at random times over runs of accounts in parallel lanes, one from each
kind of source into Dovecot and one into Cyrus; started again and again until a run ends by
itself, and then every account must be exact.

SEED=N repeats the times (not what the servers do in them).
"""

import os
import random
import signal
import subprocess
import time
import unittest
from collections import Counter

import kills
from haul import DIFFERS, DONE, Haul
from kills import Place
from proxy import Proxy

KILLS_A_ROUND = 4
SETTLE = 1


class Crowd:
    """One list: a user from each kind of source for each server."""

    def __init__(self, boxes):
        self.haul = Haul(faults=True)
        self.rows = [(Place(s), kind) for s in (kills.dovecot(), kills.cyrus()) for kind in kills.WRITERS]
        self.boxes = {kind: kills.fit(kind, boxes) for kind in kills.WRITERS}
        for place, kind in self.rows:
            kills.WRITERS[kind](self.haul.path(place.user), self.boxes[kind])
        self.arguments = self.job()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.haul.destroy()

    def job(self, ports=(None, None)):
        """Through proxies: their ports for Dovecot and Cyrus."""
        lines = ["user,name,source,target"]
        for place, kind in self.rows:
            port = ports[place.is_cyrus]
            lines.append(f'{place.user},{kind} {place.user},{kills.source(kind, self.haul.path(place.user))},"{place.uri(self.haul, port)}"')
        words = self.haul.job("maildir:/nowhere/{user}", "null:", "\n".join(lines) + "\n", "lanes = 4\n")
        return [*words, "--settle", str(SETTLE)]

    def wrong(self, run):
        words, refused = [], 0
        for place, kind in self.rows:
            want, no = place.wanted(self.boxes[kind])
            refused += no
            words += [f"{place.user} from {kind}: {w}" for w in kills.differences(want, place.read().contents())]
        return words + kills.told_wrongly(run, sum(kills.count(self.boxes[kind]) for _, kind in self.rows), refused, 0)

    def again(self):
        before = [kills.numbers(place.read()) for place, _ in self.rows]
        dovecot, cyrus = kills.dovecot(), kills.cyrus()
        with Proxy(dovecot.host, dovecot.imap_port) as d, Proxy(cyrus.host, cyrus.imap_port) as c:
            run = self.haul.copy(*self.job((d.port, c.port)))
            words = [f"the wire: {seen}" for p in (d, c) for seen in kills.written(p)]
            words += ["no session came"] * (d.count < 2 or c.count < 2)
        if run.code not in (DONE, DIFFERS):
            words.append(repr(run))
        if [kills.numbers(place.read()) for place, _ in self.rows] != before:
            words.append("a listing changed")
        return words


class TestKillTimes(unittest.TestCase):
    def test_random_times(self):
        rng = random.Random(kills.SEED)
        boxes = kills.account()
        boxes["INBOX"] += kills.plain(300, "more")  # for a few batches at once
        with Crowd(boxes) as crowd:
            begin = time.monotonic()
            run = crowd.haul.copy(*crowd.arguments)
            spent = time.monotonic() - begin
            self.assertEqual(crowd.wrong(run), [])
        wanted = kills.how_many(60, 1000) // 5
        hits, rounds = Counter(), 0
        while hits["in doubt"] + hits["clear"] < wanted:
            rounds += 1
            with Crowd(boxes) as crowd:
                for again in range(KILLS_A_ROUND):
                    # then up to behind the settle time; a run that ends before its kill ends the round
                    run = self.killed(crowd, rng.uniform(0, spent + SETTLE if again else 0.9 * spent), hits)
                    if run is not None:
                        break
                else:
                    run = crowd.haul.copy(*crowd.arguments)
                self.assertEqual(crowd.wrong(run), [], f"SEED={kills.SEED}")
                self.assertEqual(crowd.again(), [], f"SEED={kills.SEED}")
        total = hits["in doubt"] + hits["clear"]
        share = 100 * hits["in doubt"] / total
        print(f"\n{total} kills at random times in {rounds} rounds (SEED={kills.SEED}), ", end="")
        print(f"{hits['in doubt']} between intent and done ({share:.0f} %)")

    @staticmethod
    def killed(crowd, seconds, hits):
        """None, or the run if it ended before."""
        process = crowd.haul.start_copy(*crowd.arguments)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
        run = crowd.haul.finish(process, killed=True)
        if run.code != -signal.SIGKILL:
            return run
        hits["in doubt" if kills.open_intents(crowd.haul.state) else "clear"] += 1
        return None
