#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# runs alone: measures times
"""A worker dies or is stopped under load: who notices, and for how long?"""
import os
import re
import signal
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))
import roster  # noqa: E402
from load import Load  # noqa: E402
from yardstick import Yardstick, best_of_three  # noqa: E402

KILLS = 20
# In pieces of work (tests/lib/yardstick.py):
CALM = 40                   # the slowest request of the control run
SLOWER = 20                 # what is allowed above it while workers die
REPLACED = 50               # half of the successors are ready by then
NOTICED = 400               # above the second after which a worker that stands still gets no new connections


def kill(pid):
    """Kills it; returns when, and the client ports of the connections it held. It is stopped first, for a moment: what it accepted
    between the look and its death would pass for a connection of somebody else."""
    os.kill(pid, signal.SIGSTOP)
    roster.wait_until(lambda: open("/proc/%d/stat" % pid).read().rsplit(")", 1)[1].split()[0] == "T", 5, "stopped", 0.0005)
    links = [os.readlink("/proc/%d/fd/%s" % (pid, fd)) for fd in os.listdir("/proc/%d/fd" % pid)]
    # Twice: a line may be missing when others open and close connections meanwhile.
    tables = [open(table).read() for table in ("/proc/net/tcp", "/proc/net/tcp6") * 2]
    begin = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    inodes = {link[len("socket:["):-1] for link in links if link.startswith("socket:[")}
    ports = set()
    for table in tables:
        for line in table.splitlines()[1:]:
            part = line.split()
            if part[9] in inodes and part[3] == "01":
                ports.add(int(part[2].split(":")[1], 16))
    return begin, ports


class WorkerDeath(unittest.TestCase):
    def kills(self, server, control, yardstick):
        """Kills under load: nobody waits much longer than in the control run."""
        load = Load(server, 12)
        held, took = set(), []
        for number in range(KILLS):
            title = "worker/%d" % (number % 2)
            pid = server.child(title)
            ready = len(re.findall(r"op=child-ready name=%s " % title, server.log_text()))
            begin, ports = kill(pid)
            held |= ports
            server.wait_log(r"op=child-ready name=%s " % title, count=ready + 1)
            took.append((time.monotonic() - begin) * 1000)
            roster.pause(0.4)
        load.finish()
        print("%d kills: %d requests, slowest %.1f ms; %d new connections, slowest %.1f ms; %d broken, %d with an open "
              "request; replaced in %.1f ms at most" % (
                  KILLS, load.requests, load.slowest_ms, load.fresh, load.slowest_new_ms, len(load.broken),
                  sum(1 for b in load.broken if b[2] == "open"), max(took)), flush=True)
        self.assertEqual(load.bad, 0)
        strangers = [b for b in load.broken if b[0] not in held and b[1] == "kept"]
        self.assertEqual(strangers, [], "connections of a living worker were broken")
        usual = max(control.slowest_ms, control.slowest_new_ms)
        yardstick.judge(usual, CALM, "the control run")
        yardstick.judge(load.slowest_ms - usual, SLOWER, "a kept connection, above the control run")
        yardstick.judge(load.slowest_new_ms - usual, SLOWER, "a new connection, above the control run")
        yardstick.judge(sorted(took)[len(took) // 2], REPLACED, "half of the successors")

    @best_of_three
    def test_kills_under_load(self):
        with roster.Server(workers=2) as server, Yardstick() as yardstick:
            server.register("load", "10.0.0.1", 80)
            control = Load(server, 12).finish()
            print("control: %d requests, slowest %.1f ms; %d new connections, slowest %.1f ms" % (
                control.requests, control.slowest_ms, control.fresh, control.slowest_new_ms), flush=True)
            self.assertEqual((control.broken, control.bad), ([], 0))
            self.kills(server, control, yardstick)

    def answer_times(self, server, count):
        worst = 0.0
        for _ in range(count):
            begin = time.monotonic()
            self.assertEqual(server.beat("load", "10.0.0.1", 80), 10200)
            worst = max(worst, time.monotonic() - begin)
        return worst

    @best_of_three
    def test_stopped_idle_worker(self):
        with roster.Server(workers=2) as server, Yardstick() as yardstick:
            server.register("load", "10.0.0.1", 80)
            pid = server.child("worker/0")
            os.kill(pid, signal.SIGSTOP)
            try:
                worst = self.answer_times(server, 60)
                print("idle worker stopped: slowest of 60 new connections %.3f s" % worst, flush=True)
            finally:
                os.kill(pid, signal.SIGCONT)
            after = self.answer_times(server, 60)
            yardstick.judge(worst * 1e3 - 1000, NOTICED, "a new connection beside a worker that stands still")
            yardstick.judge(after * 1e3 - 1000, NOTICED, "a new connection afterwards")

    @best_of_three
    def test_stopped_busy_worker(self):
        """Stopped in the middle of its work: it is busy for too long, and killed after 5 s."""
        with roster.Server(workers=2) as server, Yardstick() as yardstick:
            server.register("load", "10.0.0.1", 80)
            load = Load(server, 8)
            pid = server.child("worker/1")
            os.kill(pid, signal.SIGSTOP)
            worst = self.answer_times(server, 60)
            print("busy worker stopped: slowest of 60 new connections %.3f s" % worst, flush=True)
            resume(pid)
            load.finish()
            self.assertEqual(load.bad, 0)
            yardstick.judge(worst * 1e3 - 1000, NOTICED, "a new connection beside a worker that stands still")


def resume(pid):
    try:
        os.kill(pid, signal.SIGCONT)
    except ProcessLookupError:
        pass


if __name__ == "__main__":
    roster.main()
