#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# runs alone
"""The keeper at its limits: 100,000 services with 300,000 instances whose beats all stop in the same second. Health flips, the
brake holds, is let go, everything is removed: in slices. The health clock ticks every second meanwhile, others are answered,
and the harness fails the test when any process logged a long turn."""
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))
import roster  # noqa: E402
from roster import Server, wait_until  # noqa: E402
from yardstick import Yardstick, best_of_three  # noqa: E402

BUILD = os.path.dirname(roster.ROSTERD)
BRAKE = "/v1/ns/operator/brake"
SERVICES, EACH, SOURCES = 100_000, 3, 50
SILENT = SERVICES * EACH
PACE = 30_000             # beats a second
BOUND = 40                # pieces of work that another's beat may take
TICKS_MISSED = 3          # by this process, between two looks at the metrics


def fleet(server, kind, **arguments):
    line = [os.path.join(BUILD, "tests", "bench", "fleet")]
    for key, value in dict(n=SILENT, p=EACH, c=SOURCES, a=SOURCES, **arguments).items():
        line += ["-" + key, str(value)]
    done = subprocess.run(line + [str(server.port), kind], capture_output=True, text=True, timeout=10 * roster.HUNG_S)
    words = done.stdout.split()
    assert done.returncode == 0 and words[words.index("bad") + 1] == "0", done.stdout + done.stderr


class Others:
    """Beats on kept connections and on new ones, while something else goes on."""

    def __init__(self, server, seconds, what):
        self.seconds, self.what = seconds, what
        self.yardstick = Yardstick()
        beat = "/nacos/v1/ns/instance/beat?serviceName=calm&ip=10.9.9.9&port=80"
        self.proc = subprocess.Popen([os.path.join(BUILD, "tests", "system", "hammer"), str(server.port), "10", "50", "20",
                                      str(seconds), beat], stdout=subprocess.PIPE, text=True)
        assert self.proc.stdout.readline() == "started\n"

    def check(self, case):
        out = self.proc.communicate(timeout=self.seconds + roster.HUNG_S)[0].splitlines()
        self.yardstick.end()
        words = out[-1].split()
        got = dict(zip(words[::2], map(int, words[1::2])))
        print("   %s: %d beats, slowest %.1f ms, on a new connection %.1f ms; %d pieces of work %.1f ms" % (
            self.what, got["requests"], got["slowest_us"] / 1e3, got["slowest_new_us"] / 1e3, BOUND, self.yardstick.slowest_ms(BOUND)),
            flush=True)
        case.assertEqual(got["bad"], 0, out)
        case.assertGreater(got["requests"], 0)
        self.yardstick.judge(max(got["slowest_us"], got["slowest_new_us"]) / 1e3, BOUND, self.what)


class Ticks:
    """The health clock goes on while the block runs."""

    def __init__(self, server):
        self.server = server

    def now(self):
        return time.monotonic(), self.server.counter("roster_keeper_ticks_total")

    def __enter__(self):
        self.began, self.ticks = self.now()

    def __exit__(self, kind, value, trace):
        if kind is None:
            now, ticks = self.now()
            assert ticks - self.ticks + TICKS_MISSED >= now - self.began, (ticks - self.ticks, now - self.began)


def silent_at_once(server):
    """All have beaten, by a clock that stands still: from now on nobody does."""
    keeper = server.child("keeper")
    os.kill(keeper, signal.SIGSTOP)
    fleet(server, "register")
    fleet(server, "beat", r=PACE, s=SILENT // PACE)
    server.register("calm", "10.9.9.9", 80)
    os.kill(keeper, signal.SIGCONT)


class Everything(unittest.TestCase):
    @best_of_three
    def test_silent_at_once(self):
        # On a disk the first touch of a page of the segment is work of the file system.
        with tempfile.TemporaryDirectory(prefix="roster-test-", dir="/dev/shm") as folder, \
                Server(workers=2, **{"segment.limit": "1GiB", "segment.dir": folder}) as server:
            silent_at_once(server)
            with Ticks(server):
                others = Others(server, 25, "flips")
                wait_until(lambda: server.counter("roster_expiry_flips_total") == SILENT, 60, "all unhealthy", 0.1)
                server.wait_log(r"op=brake state=holding lost=\d+", 60)
                others.check(self)
            with Ticks(server):
                others = Others(server, 20, "held")
                wait_until(lambda: server.counter("roster_brake_held_instances") == SILENT, 60, "all held", 0.1)
                self.assertEqual(server.counter("roster_expiry_removals_total"), 0)
                self.assertEqual(server.request("PUT", BRAKE).status, 200)
                wait_until(lambda: server.counter("roster_expiry_removals_total") == SILENT, 60, "all removed", 0.1)
                others.check(self)
            self.assertEqual(server.counter("roster_long_turns_total"), 0)


class Harness(unittest.TestCase):
    LINE = 'keeper/0[1]: op=long-turn kind=expiry what="shard=3" ms=%d cpu_ms=%d skipped=0\n'

    def ends_with(self, cpu_ms, **more):
        with Server(workers=1, **more) as server:
            with open(server.log_path, "a") as log:
                log.write(self.LINE % (1000, cpu_ms))

    def test_a_long_turn_fails_a_test(self):
        limit = roster.LONG_TURN_SANITIZED_MS if roster.SANITIZED else roster.LONG_TURN_MS
        self.ends_with(limit - 1)
        self.ends_with(limit, long_turns=True)
        with self.assertRaises(AssertionError) as caught:
            self.ends_with(limit)
        self.assertIn('what="shard=3"', str(caught.exception))


if __name__ == "__main__":
    roster.main()
