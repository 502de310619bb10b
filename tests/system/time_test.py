#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# needs faketime faults
"""Time: processes that are stopped and continued, a lock whose holder is stopped, and a wall clock that is set. Nothing
that beats expires, what does not beat expires afterwards, pushes keep coming.

TIME_STOP=60 in the environment: everything is stopped for so many seconds (12 unless told)."""
import glob
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))
import roster  # noqa: E402
from roster import Server, Subscriber, wait_until, wait_within  # noqa: E402

STOP_S = float(os.environ.get("TIME_STOP", "12"))
TIMEOUT_S, DELETE_S = 2, 4
QUICK = json.dumps({"preserved.heart.beat.timeout": str(TIMEOUT_S * 1000), "preserved.ip.delete.timeout": str(DELETE_S * 1000)})
CALM = json.dumps({"preserved.heart.beat.timeout": "600000", "preserved.ip.delete.timeout": "900000"})
FAULTS = os.path.join(roster.TOP, "build-faults", "rosterd")
LATE_S = 8          # how late a tick, a push or a removal may be on a busy machine


def let_pass(seconds):
    """The time itself is what is tested here."""
    end = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() >= end, seconds + 5, "%.1f s" % seconds)


def state_of(pid):
    with open("/proc/%d/stat" % pid) as file:
        return file.read().rsplit(")", 1)[1].split()[0]


class Stopped:
    """with Stopped(pid, ...): those processes are stopped."""

    def __init__(self, *pids):
        self.pids = pids

    def __enter__(self):
        for pid in self.pids:
            os.kill(pid, signal.SIGSTOP)
        wait_until(lambda: all(state_of(pid) == "T" for pid in self.pids), 5, "stopped")
        return self

    def __exit__(self, kind, value, trace):
        for pid in self.pids:
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass


class Beats:
    """Somebody who beats twice a second, over a new connection each time. `wrong`: answers other than "known", and errors."""

    def __init__(self, server, service, ip, port=80):
        self.server, self.service, self.ip, self.port = server, service, ip, port
        self.sent, self.wrong, self.ended = 0, [], threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.ended.wait(0.5):
            try:
                code = self.server.beat(self.service, self.ip, self.port)
            except (OSError, ValueError) as error:
                code = repr(error)
            self.sent += 1
            if code != 10200:
                self.wrong.append(code)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, kind, value, trace):
        self.ended.set()
        self.thread.join()


class Watched:
    """A subscriber that reads all its pushes, acknowledges them, and looks at their lastRefTime."""

    def __init__(self, server, service):
        self.subscriber = Subscriber(server, service)
        self.hosts, self.times, self.ended = {}, [], threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.ended.is_set():
            got = self.subscriber.receive(0.2)
            if got is not None:
                self.times.append(int(got[0]["lastRefTime"]))
                self.hosts = {host["ip"]: host["healthy"] for host in got[1]["hosts"]}

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, kind, value, trace):
        self.ended.set()
        self.thread.join()
        self.subscriber.close()

    def rising(self):
        """No time twice, none backwards; a push that was sent again has the time it had."""
        return all(a < b for a, b in zip(self.times, self.times[1:]))


def health(server, service):
    """ip -> healthy, those of the calm neighbour left out: it keeps "nobody healthy shows all healthy" away."""
    return {host["ip"]: host["healthy"] for host in server.hosts(service) if host["ip"] != "10.0.0.9"}


def prepare(server, *ips):
    server.register("s", "10.0.0.9", 80, metadata=CALM)
    for ip in ips:
        server.register("s", ip, 80, metadata=QUICK)


def expires(case, server, ip, watched=None):
    """It was registered or has beaten just now, and is silent from now on. Pushes say what lists say."""
    begin = time.monotonic()
    wait_within(lambda: health(server, "s")[ip] is False, TIMEOUT_S + LATE_S, ip + " unhealthy")
    case.assertGreaterEqual(time.monotonic() - begin, TIMEOUT_S - 0.3)
    wait_within(lambda: ip not in health(server, "s"), DELETE_S + LATE_S, ip + " removed")
    case.assertGreaterEqual(time.monotonic() - begin, DELETE_S - 0.3)
    if watched is not None:
        wait_within(lambda: watched.hosts and ip not in watched.hosts, LATE_S, "a push without " + ip)


class ProcessesStopped(unittest.TestCase):
    def test_all(self):
        with Server() as server:
            prepare(server, "10.0.0.1", "10.0.0.2")
            conn = http.client.HTTPConnection("127.0.0.1", server.port, timeout=roster.HUNG_S)
            server.beat("s", "10.0.0.1", 80, conn=conn)
            pids = server.children()
            with Watched(server, "s") as watched:
                def beat_both():
                    return [server.beat("s", "10.0.0.1", 80, conn=conn), server.beat("s", "10.0.0.2", 80)]
                wait_until(lambda: beat_both() and server.counter("roster_keeper_ticks_total") > 1, 10, "the clock goes", 0.1)
                beat_both()
                with Stopped(server.proc.pid, *pids):
                    let_pass(STOP_S)
                # Nothing expired, and the connection lives.
                self.assertEqual(health(server, "s"), {"10.0.0.1": True, "10.0.0.2": True})
                self.assertEqual(server.beat("s", "10.0.0.1", 80, conn=conn), 10200)
                self.assertEqual(server.counter("roster_expiry_flips_total"), 0)
                with Beats(server, "s", "10.0.0.1") as beats:
                    server.beat("s", "10.0.0.2", 80)
                    expires(self, server, "10.0.0.2", watched)
                self.assertEqual(beats.wrong, [])
                self.assertEqual(health(server, "s"), {"10.0.0.1": True})
                self.assertTrue(watched.rising(), watched.times)
            conn.close()
            self.assertEqual(server.children(), pids, "nobody was killed for the time in which all stood still")
            self.assertNotIn("op=kill", server.log_text())

    def test_one_worker(self):
        with Server(workers=2) as server:
            prepare(server, "10.0.0.1", "10.0.0.2")
            pid = server.child("worker/0")
            with Beats(server, "s", "10.0.0.1") as beats, Watched(server, "s") as watched:
                with Stopped(pid):
                    expires(self, server, "10.0.0.2", watched)
                    let_pass(DELETE_S)
                self.assertEqual(health(server, "s"), {"10.0.0.1": True})
                let_pass(1)
            self.assertEqual(beats.wrong, [])
            self.assertGreater(beats.sent, 10)

    def test_keeper(self):
        """The clock stands with it."""
        with Server() as server:
            prepare(server, "10.0.0.1")
            pid = server.child("keeper")
            server.beat("s", "10.0.0.1", 80)
            with Stopped(pid):
                let_pass(DELETE_S + 3)
                self.assertEqual(health(server, "s"), {"10.0.0.1": True})
            server.beat("s", "10.0.0.1", 80)
            expires(self, server, "10.0.0.1")
            self.assertEqual(server.child("keeper"), pid)

    def test_pusher(self):
        with Server() as server:
            prepare(server)
            pid = server.child("pusher")
            with Watched(server, "s") as watched:
                server.register("s", "10.0.0.3", 80, metadata=CALM)
                wait_within(lambda: "10.0.0.3" in watched.hosts, LATE_S, "a push")
                with Stopped(pid):
                    for n in range(4, 8):
                        server.register("s", "10.0.0.%d" % n, 80, metadata=CALM)
                    let_pass(6)
                    self.assertNotIn("10.0.0.4", watched.hosts)
                wait_within(lambda: len(watched.hosts) == 6, LATE_S, "a push of all that was missed: %s" % watched.hosts)
                server.deregister("s", "10.0.0.7", 80)
                wait_within(lambda: "10.0.0.7" not in watched.hosts, LATE_S, "the next push")
                self.assertTrue(watched.rising(), watched.times)
            self.assertEqual(server.child("pusher"), pid)

    def test_master(self):
        """Its children go on, and it blames nobody for the time it did not look."""
        with Server() as server:
            prepare(server, "10.0.0.1", "10.0.0.2")
            pids = server.children()
            with Beats(server, "s", "10.0.0.1") as beats, Watched(server, "s") as watched:
                with Stopped(server.proc.pid):
                    expires(self, server, "10.0.0.2", watched)
                    let_pass(6 - DELETE_S)
                let_pass(3)
                self.assertEqual(health(server, "s"), {"10.0.0.1": True})
            self.assertEqual(beats.wrong, [])
            self.assertEqual(server.children(), pids)
            self.assertNotIn("op=kill", server.log_text())
            # It is at work again.
            os.kill(pids[0], signal.SIGKILL)
            wait_until(lambda: len(server.children()) == len(pids) and pids[0] not in server.children(), 10, "a successor")


class LockHolderStopped(unittest.TestCase):
    """A worker is stopped at a numbered point inside a change, when it holds a shard."""

    def stopped(self, server):
        return [pid for pid in server.children() if state_of(pid) == "T"]

    def stop_one(self, server):
        """Registers over one connection until its worker stops; returns how many were answered."""
        conn = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        answered = 0
        try:
            for n in range(200):
                server.register("lock", "10.3.0.%d" % (n + 1), 80, conn=conn, metadata=CALM)
                answered += 1
        except OSError:
            pass
        conn.close()
        self.assertGreater(answered, 0)
        self.assertLess(answered, 200, "the fault point was never reached")
        return answered

    def held(self, at):
        """True: the stopped worker held the shard; then it is killed, rolled back, and the others went on within their limit."""
        environment = {"ROSTER_FAULT": str(at), "ROSTER_FAULT_ROLE": "worker", "ROSTER_FAULT_STOP": "1"}
        with Server(workers=2, binary=FAULTS, env=environment) as server:
            answered = self.stop_one(server)
            code = server.beat("lock", "10.3.0.1", 80)
            found = re.search(r"op=kill name=worker/\d pid=\d+ why=lock-held", server.log_text()) is not None
            if found:
                self.assertEqual(code, 10200)
                self.assertIn(len(server.hosts("lock")), (answered, answered + 1))
                self.assertGreaterEqual(server.counter("roster_lock_rollbacks_total"), 1)
            for pid in self.stopped(server):
                os.kill(pid, signal.SIGCONT)
            self.assertEqual(server.beat("lock", "10.3.0.1", 80), 10200)
        return found

    def test_killed_and_rolled_back(self):
        found = [self.held(at) for at in (1000, 1007, 1014)]
        self.assertIn(True, found, "none of the points lies inside a hold")


class WallClock(unittest.TestCase):
    """Under libfaketime: CLOCK_REALTIME is what a file says, CLOCK_MONOTONIC and CLOCK_BOOTTIME are real."""

    def setUp(self):
        found = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")
        self.assertTrue(found, "libfaketime is missing: apt-get install faketime")
        # The preloaded library makes calls of its own, which the sandbox refuses and a test may not have.
        self.server = Server(check=not roster.SANITIZED, **{"sandbox.seccomp": "false"})
        self.stamp = self.server.folder + "/clock"
        self.set_clock(0)
        preload = found[0]
        if roster.SANITIZED:
            libraries = subprocess.run(["ldd", self.server.binary], capture_output=True, text=True, check=True).stdout
            preload = re.search(r"libasan\S* => (\S+)", libraries).group(1) + ":" + preload
        self.server.env = {"LD_PRELOAD": preload, "FAKETIME_TIMESTAMP_FILE": self.stamp, "FAKETIME_NO_CACHE": "1",
                           "FAKETIME_DONT_FAKE_MONOTONIC": "1"}

    def set_clock(self, offset):
        """In one step: a half written file would be another time."""
        self.offset = offset
        with open(self.stamp + ".new", "w") as file:
            file.write("%+d\n" % offset)
        os.rename(self.stamp + ".new", self.stamp)

    def last_beats(self):
        query = {"serviceName": "s", "clusterName": "DEFAULT", "pageNo": 1, "pageSize": 100}
        reply = self.server.request("GET", "/v1/ns/catalog/instances", query)
        return {row["ip"]: row["lastBeat"] / 1000 for row in reply.json["list"]}

    def server_time(self):
        return self.server.request("GET", "/v1/ns/instance/list", {"serviceName": "s"}).json["lastRefTime"] / 1000

    def test_steps(self):
        with self.server as server:
            prepare(server, "10.0.0.1")
            kept = http.client.HTTPConnection("127.0.0.1", server.port, timeout=roster.HUNG_S)
            server.beat("s", "10.0.0.1", 80, conn=kept)
            pids = server.children()
            with Beats(server, "s", "10.0.0.1") as beats, Watched(server, "s") as watched:
                for n, offset in enumerate((3600, 0, -3600, 0)):
                    ip = "10.0.1.%d" % n
                    server.register("s", ip, 80, metadata=QUICK)
                    self.set_clock(offset)
                    # The step is seen: times in answers follow it, and are those of a moment ago.
                    self.assertAlmostEqual(self.server_time(), time.time() + offset, delta=LATE_S)
                    for shown in self.last_beats().values():
                        self.assertAlmostEqual(shown, time.time() + offset, delta=40)
                    self.assertAlmostEqual(self.last_beats()["10.0.0.1"], time.time() + offset, delta=LATE_S)
                    server.beat("s", ip, 80)
                    expires(self, server, ip, watched)
                    self.assertTrue(health(server, "s")["10.0.0.1"])
                    # Neither idle for an hour, nor for minus one.
                    self.assertEqual(server.beat("s", "10.0.0.1", 80, conn=kept), 10200)
            self.assertEqual(beats.wrong, [])
            self.assertTrue(watched.rising(), watched.times)
            self.assertGreaterEqual(len(watched.times), 8)
            self.assertEqual(server.counter("roster_push_failed_total"), 0)
            self.assertEqual(server.counter("roster_push_retried_total"), 0)
            self.assertEqual(server.counter("roster_expiry_removals_total"), 4)
            kept.close()
            self.assertEqual(server.children(), pids)
            self.assertNotIn("op=kill", server.log_text())

    def test_step_before_a_start(self):
        """Nobody served for an hour, says the wall clock: that is no reason to drop what was served a second ago."""
        with self.server as server:
            prepare(server, "10.0.0.1")
            wait_until(lambda: server.counter("roster_keeper_ticks_total") > 1, 10, "a tick")
            with Watched(server, "s") as watched:
                server.register("s", "10.0.0.2", 80, metadata=CALM)
                wait_within(lambda: "10.0.0.2" in watched.hosts, LATE_S, "a push")
                before = watched.times[-1]
            for offset in (3600, -3600):
                server.stop()
                self.set_clock(offset)
                server.start()
                self.assertEqual(sorted(health(server, "s")), ["10.0.0.1", "10.0.0.2"])
                self.assertEqual(server.beat("s", "10.0.0.1", 80), 10200)
                with Watched(server, "s") as watched:
                    server.register("s", "10.0.0.2", 80 + (offset > 0), metadata=CALM)
                    wait_within(lambda w=watched: w.times, LATE_S, "a push")
                    self.assertGreater(watched.times[0], before, "lastRefTime rises, whatever the clock does")
                    before = watched.times[-1]


if __name__ == "__main__":
    roster.main()
