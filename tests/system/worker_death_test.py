#!/usr/bin/env python3
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

KILLS = 20
SLOWER_MS = 20.0            # allowed above the slowest request of the control run
REPLACED_MS = 50.0


def client_ports(pid):
    """Client ports of the connections that process holds."""
    inodes = set()
    for fd in os.listdir("/proc/%d/fd" % pid):
        try:
            found = re.match(r"socket:\[(\d+)\]", os.readlink("/proc/%d/fd/%s" % (pid, fd)))
        except FileNotFoundError:
            continue
        if found:
            inodes.add(found.group(1))
    ports = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in open(table).read().splitlines()[1:]:
            part = line.split()
            if part[9] in inodes and part[3] == "01":
                ports.add(int(part[2].split(":")[1], 16))
    return ports


class WorkerDeath(unittest.TestCase):
    def kills(self, server, control):
        """One round of kills under load; returns what was slower than allowed."""
        load = Load(server, 12)
        held, took = set(), []
        for number in range(KILLS):
            title = "worker/%d" % (number % 2)
            pid = server.child(title)
            held |= client_ports(pid)
            ready = len(re.findall(r"op=child-ready name=%s " % title, server.log_text()))
            begin = time.monotonic()
            os.kill(pid, signal.SIGKILL)
            server.wait_log(r"op=child-ready name=%s " % title, 5, count=ready + 1)
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
        limit = max(control.slowest_ms, control.slowest_new_ms) + SLOWER_MS
        slower = {"kept": load.slowest_ms - limit, "new": load.slowest_new_ms - limit,
                  "replaced": sorted(took)[len(took) // 2] - REPLACED_MS}
        return {name: over for name, over in slower.items() if over > 0}

    def test_kills_under_load(self):
        with roster.Server(workers=2) as server:
            server.register("load", "10.0.0.1", 80)
            control = Load(server, 12).finish()
            print("control: %d requests, slowest %.1f ms; %d new connections, slowest %.1f ms" % (
                control.requests, control.slowest_ms, control.fresh, control.slowest_new_ms), flush=True)
            self.assertEqual((control.broken, control.bad), ([], 0))
            self.assertEqual(self.kills(server, control), {}, "slower than allowed, by so many ms")

    def answer_times(self, server, count):
        worst = 0.0
        for _ in range(count):
            begin = time.monotonic()
            self.assertEqual(server.beat("load", "10.0.0.1", 80), 10200)
            worst = max(worst, time.monotonic() - begin)
        return worst

    def test_stopped_idle_worker(self):
        with roster.Server(workers=2) as server:
            server.register("load", "10.0.0.1", 80)
            pid = server.child("worker/0")
            os.kill(pid, signal.SIGSTOP)
            try:
                worst = self.answer_times(server, 60)
                print("idle worker stopped: slowest of 60 new connections %.3f s" % worst, flush=True)
                self.assertLess(worst, 1.5)
            finally:
                os.kill(pid, signal.SIGCONT)
            self.assertLess(self.answer_times(server, 60), 1.5)

    def test_stopped_busy_worker(self):
        """Stopped in the middle of its work: it is busy for too long, and killed after 5 s."""
        with roster.Server(workers=2) as server:
            server.register("load", "10.0.0.1", 80)
            load = Load(server, 8)
            pid = server.child("worker/1")
            os.kill(pid, signal.SIGSTOP)
            worst = self.answer_times(server, 60)
            print("busy worker stopped: slowest of 60 new connections %.3f s" % worst, flush=True)
            self.assertLess(worst, 1.5)
            resume(pid)
            load.finish()
            self.assertEqual(load.bad, 0)


def resume(pid):
    try:
        os.kill(pid, signal.SIGCONT)
    except ProcessLookupError:
        pass


if __name__ == "__main__":
    roster.main()
