#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Expiry, the health clock, deaths of keeper and of everything: nothing lost, nothing expired that was beating."""
import os
import signal
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))
import roster  # noqa: E402
from roster import Server  # noqa: E402

QUICK = '{"preserved.heart.beat.timeout":"2000","preserved.ip.delete.timeout":"4000"}'
CALM = '{"preserved.heart.beat.timeout":"60000","preserved.ip.delete.timeout":"90000"}'


def state(server, service):
    """ip -> healthy. A calm neighbour keeps "nobody healthy shows everybody healthy" away."""
    return {h["ip"]: h["healthy"] for h in server.hosts(service) if h["ip"] != "10.0.0.9"}


def prepare(server, service="s"):
    server.register(service, "10.0.0.9", 80, metadata=CALM)
    server.register(service, "10.0.0.1", 80, metadata=QUICK)
    return time.monotonic()


class Life(unittest.TestCase):
    def test_expiry_with_overrides(self):
        with Server() as server:
            begin = prepare(server)
            roster.wait_within(lambda: state(server, "s") == {"10.0.0.1": False}, 8, "unhealthy")
            self.assertGreaterEqual(time.monotonic() - begin, 1.9)
            roster.wait_within(lambda: state(server, "s") == {}, 8, "removed")
            self.assertGreaterEqual(time.monotonic() - begin, 3.9)

    def test_beat_revives(self):
        with Server() as server:
            prepare(server)
            roster.wait_within(lambda: state(server, "s") == {"10.0.0.1": False}, 8, "unhealthy")
            self.assertEqual(server.beat("s", "10.0.0.1", 80), 10200)
            self.assertEqual(state(server, "s"), {"10.0.0.1": True})

    def test_keeper_killed_expiry_goes_on(self):
        with Server() as server:
            prepare(server)
            server.kill_child("keeper")
            roster.wait_within(lambda: state(server, "s") == {"10.0.0.1": False}, 10, "unhealthy after the keeper's death")
            pid = server.child("keeper")
            os.kill(pid, signal.SIGKILL)
            roster.wait_within(lambda: state(server, "s") == {}, 10, "removed after the keeper's second death")

    def test_everything_killed_nothing_lost(self):
        with Server() as server:
            for n in range(1, 201):
                server.register("s%d" % (n % 20), "10.1.0.%d" % n, 80, metadata='{"n":"%d"}' % n)
            server.register("grouped", "10.2.0.1", 81, groupName="G", namespaceId="space", clusterName="C", weight="2.5")
            before = [sorted((h["ip"], h["port"], h["instanceId"], str(h["metadata"])) for h in server.hosts("s%d" % n))
                      for n in range(20)]
            for _ in range(3):
                server.kill_all()
                server.start()
                after = [sorted((h["ip"], h["port"], h["instanceId"], str(h["metadata"])) for h in server.hosts("s%d" % n))
                         for n in range(20)]
                self.assertEqual(before, after)
                host = server.hosts("grouped", groupName="G", namespaceId="space")[0]
                self.assertEqual((host["ip"], host["clusterName"], host["weight"]), ("10.2.0.1", "C", 2.5))
                self.assertEqual(server.beat("s1", "10.1.0.1", 80), 10200)

    def test_clock_stands_while_nobody_serves(self):
        """The time in which no process ran does not count against an instance."""
        with Server() as server:
            prepare(server)
            server.kill_all()
            begin = time.monotonic()
            roster.wait_until(lambda: time.monotonic() - begin > 5, 10, "longer than the delete timeout")
            server.start()
            self.assertEqual(state(server, "s"), {"10.0.0.1": True})
            self.assertEqual(server.beat("s", "10.0.0.1", 80), 10200)

    def test_all_stopped_and_continued(self):
        with Server() as server:
            prepare(server)
            pids = [server.proc.pid] + server.children()
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            begin = time.monotonic()
            roster.wait_until(lambda: time.monotonic() - begin > 5, 10, "longer than the delete timeout")
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
            self.assertEqual(server.beat("s", "10.0.0.1", 80), 10200)
            self.assertEqual(state(server, "s"), {"10.0.0.1": True})

    def test_stale_segment_forgets_ephemeral_keeps_persistent(self):
        with Server(**{"segment.max_age": "1s"}) as server:
            server.register("s", "10.0.0.1", 80)
            server.register("p", "10.0.0.2", 80, ephemeral="false")
            # What was registered after the keeper's last tick counts as fresh.
            begin = time.monotonic()
            roster.wait_until(lambda: time.monotonic() - begin > 2.1, 10, "a tick of the keeper")
            server.kill_all()
            begin = time.monotonic()
            roster.wait_until(lambda: time.monotonic() - begin > 3.5, 10, "older than segment.max_age")
            server.start()
            roster.wait_until(lambda: server.hosts("s") == [], 5, "ephemeral instances dropped")
            self.assertEqual([h["ip"] for h in server.hosts("p")], ["10.0.0.2"])

    def test_normal_stop_keeps_forget_drops(self):
        with Server(check=False) as server:
            server.register("s", "10.0.0.1", 80)
            self.assertEqual(server.stop(), 0)
            server.start()
            self.assertEqual(len(server.hosts("s")), 1)
            self.assertEqual(server.stop(), 0)
            server.args.append("--forget")
            server.start()
            self.assertEqual(server.hosts("s"), [])
            self.assertEqual(server.stop(), 0)
            self.assertEqual(os.listdir(server.folder + "/seg"), [])

    def test_empty_service_goes(self):
        with Server(**{"empty_service.delay": "3s", "empty_service.period": "300ms"}) as server:
            server.register("e", "10.0.0.1", 80)
            server.register("kept", "10.0.0.1", 80, metadata=CALM)
            server.deregister("e", "10.0.0.1", 80)
            names = lambda: server.request("GET", "/v1/ns/service/list", {"pageNo": 1, "pageSize": 10}).json  # noqa: E731
            self.assertEqual(names(), {"doms": ["e", "kept"], "count": 2})
            roster.wait_until(lambda: names() == {"doms": ["kept"], "count": 1}, 15, "the empty service removed")

    def test_second_server_on_the_same_segment_is_refused(self):
        with Server() as server:
            other = Server(folder=server.folder + "/other", check=False)
            os.makedirs(other.folder, exist_ok=True)
            other.options["segment.dir"] = server.options["segment.dir"]
            with self.assertRaises(AssertionError):
                other.start(30)
            other.stop()
            self.assertEqual(server.metrics()["status"], "UP")


if __name__ == "__main__":
    roster.main()
