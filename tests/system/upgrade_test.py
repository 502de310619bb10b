#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# runs alone: measures times
"""Twenty upgrades under load: no client notices."""
import os
import re
import signal
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))
import roster  # noqa: E402
from load import Load  # noqa: E402
from roster import Server, Subscriber  # noqa: E402
from yardstick import Yardstick, best_of_three  # noqa: E402

UPGRADES, EVERY_S, SECONDS = 20, 3.0, 64
FULL = {"connections": 200, "interval_ms": 25, "new_ms": 10}     # 8,000 beats a second, 100 new connections
SLOWEST, PUSHED = 60, 3000       # pieces of work (tests/lib/yardstick.py): an answer; a push after its delay
QUICK = '{"preserved.heart.beat.timeout":"6000","preserved.ip.delete.timeout":"60000"}'
BEATING = 20


class Repeat(threading.Thread):
    """Calls a function again and again until it is told to stop; keeps what went wrong."""

    def __init__(self, what, every_s):
        super().__init__()
        self.what, self.every_s, self.done, self.error, self.times = what, every_s, threading.Event(), None, 0
        self.start()

    def run(self):
        try:
            while not self.done.wait(self.every_s):
                self.what()
                self.times += 1
        except Exception as error:
            self.error = error

    def stop(self):
        self.done.set()
        self.join(30)
        if self.error:
            raise self.error


def title_of(pid):
    try:
        return open("/proc/%d/cmdline" % pid).read().replace("\0", " ").strip()
    except OSError:
        return ""


class Census:
    """How many of each role live at once."""

    def __init__(self, server):
        self.server, self.most, self.seen = server, {}, set()

    def look(self):
        count = {}
        for pid in self.server.children():
            name = title_of(pid)
            self.seen.add(pid)
            if name in ("roster: pusher", "roster: keeper") and roster.alive(pid):
                count[name] = count.get(name, 0) + 1
        for name, n in count.items():
            self.most[name] = max(self.most.get(name, 0), n)


class Changes:
    """Registers one instance after the other and waits until the subscriber was pushed each of them."""

    def __init__(self, server):
        self.server, self.made, self.slowest = server, 0, 0.0
        server.register("watched", "10.1.0.1", 1, metadata='{"preserved.heart.beat.timeout":"90000","preserved.ip.delete.timeout":"99000"}')
        self.sub = Subscriber(server, "watched")

    def one(self):
        self.made += 1
        ip = "10.1.1.%d" % self.made
        begin = time.monotonic()
        self.server.register("watched", ip, 1,
                             metadata='{"preserved.heart.beat.timeout":"90000","preserved.ip.delete.timeout":"99000"}')
        self.sub.wait_for(lambda data: any(h["ip"] == ip for h in data["hosts"]), 5, "the change that added " + ip)
        self.slowest = max(self.slowest, time.monotonic() - begin)


class Upgrade(unittest.TestCase):
    def upgrade(self, server, number):
        server.proc.send_signal(signal.SIGUSR2)
        line = server.wait_log(r"op=upgrade result=\S+.*", 30, count=number)
        self.assertIn("result=done", line)
        return int(re.search(r"ms=(\d+)", line).group(1))

    @best_of_three
    def test_twenty_under_load(self):
        with Server(workers=2, **{"push.delay": "100ms"}) as server, Yardstick() as yardstick:
            server.register("load", "10.0.0.1", 80)
            control = Load(server, 10, **FULL).finish()
            print("control: %s" % control, flush=True)
            for n in range(BEATING):
                server.register("beating", "10.2.0.%d" % (n + 1), 80, metadata=QUICK)
            master, changes, census = server.proc.pid, Changes(server), Census(server)
            threads = [Repeat(lambda: [server.beat("beating", "10.2.0.%d" % (n + 1), 80) for n in range(BEATING)], 1.0),
                       Repeat(changes.one, 0.4), Repeat(census.look, 0.02)]
            load, took, begin = Load(server, SECONDS, **FULL), [], time.monotonic()
            try:
                for number in range(UPGRADES):
                    roster.wait_until(lambda n=number: time.monotonic() - begin >= n * EVERY_S, 30, "time for the next one")
                    took.append(self.upgrade(server, number + 1))
                total = time.monotonic() - begin
            finally:
                load.finish()
                for thread in threads:
                    thread.stop()
            print("%d upgrades in %.1f s, the longest %d ms: %s" % (UPGRADES, total, max(took), load), flush=True)
            print("%d changes pushed, the slowest after %.0f ms; %d beats rounds; most at once: %s" % (
                changes.made, changes.slowest * 1000, threads[0].times, census.most), flush=True)
            page = server.request("GET", "/actuator/prometheus").text
            count = {name: int(float(value)) for name, value in re.findall(r"^(roster_\w+_total) (\S+)$", page, re.M)}
            flips = count["roster_expiry_flips_total"]
            print("pushes: %s" % {key: count["roster_push_%s_total" % key] for key in ("ok", "failed", "retried", "ack_unknown")})
            print("flips %d, children seen %d, alive %d" % (flips, len(census.seen), len(server.children())), flush=True)
            self.assertEqual(server.proc.pid, master)
            self.assertEqual((load.broken, load.bad), ([], 0))
            self.assertGreater(load.closed, 0, "no connection of an old worker was ended politely")
            self.assertEqual((flips, count["roster_push_failed_total"]), (0, 0))
            self.assertTrue(all(h["healthy"] for h in server.hosts("beating")))
            self.assertEqual(census.most, {"roster: pusher": 1, "roster: keeper": 1})
            self.assertEqual(len(server.children()), 4, "old children that nobody reaped")
            self.assertGreater(changes.made, UPGRADES)
            self.assertRegex(page, r'roster_upgrades_total\{result="done"\} %d\n' % UPGRADES)
            changes.sub.close()
            yardstick.judge(max(control.slowest_ms, control.slowest_new_ms), SLOWEST, "the control run")
            yardstick.judge(max(load.slowest_ms, load.slowest_new_ms), SLOWEST, "upgrades")
            yardstick.judge(changes.slowest * 1e3 - 100, PUSHED, "a push")

    def test_slow_connections_are_waited_for(self):
        """A connection that is idle for a while is not cut off: it ends with its next answer, or at upgrade.drain."""
        import http.client
        with Server(workers=2, **{"upgrade.drain": "4s"}) as server:
            server.register("load", "10.0.0.1", 80)
            patient, late = (http.client.HTTPConnection("127.0.0.1", server.port, timeout=roster.HUNG_S) for _ in range(2))
            for conn in (patient, late):
                self.assertEqual(server.beat("load", "10.0.0.1", 80, conn=conn), 10200)
            server.proc.send_signal(signal.SIGUSR2)
            server.wait_log(r"op=upgrade step=proven")
            server.proc.send_signal(signal.SIGUSR2)
            server.wait_log(r"op=upgrade result=refused why=\"the last one is not over\"")
            sock = patient.sock
            patient.request("PUT", "/nacos/v1/ns/instance/beat?serviceName=load&ip=10.0.0.1&port=80")
            self.assertIs(patient.sock, sock, "the old connection")
            answer = patient.getresponse()
            self.assertEqual((answer.status, answer.headers["Connection"]), (200, "close"))
            server.wait_log(r"op=upgrade result=done", 10)
            self.assertEqual(late.sock.recv(1), b"", "closed while idle, at the end of upgrade.drain")
            for conn in (patient, late):
                conn.close()


if __name__ == "__main__":
    roster.main()
