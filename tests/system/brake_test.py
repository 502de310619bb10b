#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# needs curl
"""The node brake: most sources fall silent, health flips, nothing is removed; the ways in which it lets go; and the everyday
deaths that it has nothing to do with."""
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))
import roster  # noqa: E402
from roster import Server, wait_until  # noqa: E402

BRAKE = "/v1/ns/operator/brake"
SILENT = 120        # instances whose beats stop, each from a source of its own
SERVICES = 6
# Silent after 2 s, removed after 7 s: all are known to be silent long before the first one could go.
QUICK = json.dumps({"preserved.heart.beat.timeout": "2000", "preserved.ip.delete.timeout": "7000"})
# So long that nothing of it ends in a test.
CALM = json.dumps({"preserved.heart.beat.timeout": "600000", "preserved.ip.delete.timeout": "900000"})
HOLDING = r"op=brake state=holding lost=\d+"


def address(n):
    return "10.9.%d.%d" % (n // 250, n % 250 + 1)


def fill(server, count=SILENT, metadata=QUICK, prefix="s", first=0):
    """Instances that have beaten once, each from a source of its own; the beats follow each other closely."""
    with contextlib.ExitStack() as stack:
        conns = [stack.enter_context(server.from_source(first + n)) for n in range(count)]
        where = [("%s%d" % (prefix, n % SERVICES), address(n), 80) for n in range(count)]
        for n in range(count):
            server.register(*where[n], conn=conns[n], metadata=metadata)
        for n in range(count):
            assert server.beat(*where[n], conn=conns[n]) == 10200


def fill_source(server, n, count, metadata=QUICK, beats=True, prefix="of"):
    """Instances that are all of the n-th source."""
    with server.from_source(n) as conn:
        for i in range(count):
            where = ("%s%d-%d" % (prefix, n, i % SERVICES), address(i), 80)
            server.register(*where, conn=conn, metadata=metadata)
            if beats:
                assert server.beat(*where, conn=conn) == 10200


def beat_all(server, which):
    codes = set()
    for n in which:
        with server.from_source(n) as conn:
            codes.add(server.beat("s%d" % (n % SERVICES), address(n), 80, conn=conn))
    return codes


def count(server):
    return server.metrics()["instanceCount"]


def unhealthy(server):
    """As the console sees it: a list shows all as healthy when none is."""
    return count(server) - server.counter("roster_healthy_instances")


def metric(server, name):
    page = server.request("GET", "/actuator/prometheus").text
    found = re.search(r"^%s (\d+)$" % re.escape(name), page, re.M)
    return int(found.group(1)) if found else None


def shown(server):
    reply = server.request("GET", BRAKE)
    assert reply.status == 200, (reply.status, reply.text)
    return reply.json


def holding(server, held=SILENT):
    """Waits until the brake holds so many whose time is over."""
    wait_until(lambda: shown(server)["state"] == "holding", 20, "the brake holds")
    server.wait_log(HOLDING)
    wait_until(lambda: shown(server)["held"] == held, 40, "%d held" % held, step=0.1)


class Brake(unittest.TestCase):
    def test_holds_and_is_released_by_command(self):
        with Server(workers=2) as server:
            self.assertEqual(shown(server)["state"], "open")
            self.assertEqual(server.request("PUT", BRAKE).status, 409)
            fill(server)
            wait_until(lambda: unhealthy(server) == SILENT, 20, "all unhealthy")
            holding(server)
            self.assertEqual(count(server), SILENT)
            seen = shown(server)
            self.assertEqual((seen["lost"], seen["instances"], seen["removed"]), (SILENT, SILENT, 0))
            self.assertEqual((seen["beating"], seen["sources"], seen["silentSources"]), (SILENT, SILENT, SILENT))
            self.assertEqual((seen["carried"], seen["resting"]), (SILENT, False))
            self.assertLessEqual(seen["leftMs"], seen["holdMs"])
            self.assertEqual(metric(server, "roster_brake_active"), 1)
            self.assertEqual(metric(server, "roster_brake_held_instances"), SILENT)
            self.assertEqual(metric(server, "roster_brake_engaged_total"), 1)
            # As a script does it.
            done = subprocess.run(["curl", "-sS", "-X", "PUT", server.base + BRAKE], capture_output=True, text=True, timeout=20)
            self.assertEqual((done.returncode, done.stdout), (0, "ok"))
            wait_until(lambda: count(server) == 0, 10, "removed")
            server.wait_log(r"op=brake state=released cause=command")
            wait_until(lambda: shown(server)["state"] == "open", 15, "armed again")
            self.assertEqual(metric(server, "roster_brake_active"), 0)
            self.assertEqual(metric(server, "roster_brake_held_instances"), 0)
            self.assertEqual(metric(server, 'roster_brake_released_total{cause="command"}'), 1)
            self.assertEqual(len(re.findall(HOLDING, server.log_text())), 1)

    def test_lets_go_when_beats_return(self):
        with Server(workers=2) as server:
            fill(server)
            holding(server)
            back = range(SILENT - 20)

            def released():
                self.assertEqual(beat_all(server, back), {10200})
                return "cause=beats" in server.log_text()
            wait_until(released, 20, "let go", step=0.5)
            # Those that are really gone are removed now, the others stay.
            wait_until(lambda: beat_all(server, back) and count(server) == len(back), 15, "twenty removed", step=0.5)
            self.assertEqual(unhealthy(server), 0)
            self.assertEqual(metric(server, 'roster_brake_released_total{cause="beats"}'), 1)

    def test_lets_go_after_a_time_that_outlives_the_keeper_and_the_server(self):
        with Server(workers=2, **{"brake.hold": "14s"}) as server:
            fill(server)
            wait_until(lambda: shown(server)["state"] == "holding", 20, "the brake holds")
            begin = time.monotonic()
            left = shown(server)["leftMs"]
            server.kill_child("keeper")
            server.wait_log(r'op=brake state=holding note="taken over"')
            wait_until(lambda: shown(server)["held"] == SILENT, 20, "the new keeper holds")
            self.assertEqual(count(server), SILENT)
            server.kill_all()
            server.start()
            server.wait_log(r'op=brake state=holding note="taken over"')
            self.assertEqual(count(server), SILENT)
            self.assertEqual(shown(server)["state"], "holding")
            server.wait_log(r"op=brake state=released cause=time", 30)
            self.assertGreaterEqual(time.monotonic() - begin, left / 1000 - 1.5)
            wait_until(lambda: count(server) == 0, 10, "removed")

    def test_keeper_killed_before_it_noticed(self):
        """A new keeper looks at everything before it removes anything."""
        with Server(workers=2) as server:
            fill(server)
            pid = server.child("keeper")
            os.kill(pid, signal.SIGSTOP)
            begin = time.monotonic()
            # The clock stands with the keeper: what follows needs the whole time again.
            wait_until(lambda: time.monotonic() - begin > 3, 10, "stopped for a while")
            os.kill(pid, signal.SIGKILL)
            server.wait_replaced("keeper", pid)
            holding(server)
            self.assertEqual(count(server), SILENT)

    def test_small_nodes_and_small_shares_go_on(self):
        with Server(workers=2) as server:
            fill(server, 30)
            fill(server, 40, CALM, "calm", 1000)
            wait_until(lambda: count(server) == 40, 25, "removed: fewer than brake.minimum")
            fill(server, 60, CALM, "more", 2000)
            fill(server, 40)
            wait_until(lambda: count(server) == 100, 25, "removed: less than brake.share")
            self.assertEqual(metric(server, "roster_brake_engaged_total"), 0)

    def test_settings_are_followed(self):
        with Server(workers=2, **{"brake.minimum": 10, "brake.share": 20, "brake.minimum_sources": 52}) as server:
            fill(server, 40, CALM, "calm", 1000)
            fill(server, 12)
            wait_until(lambda: shown(server)["state"] == "holding", 20, "more than a fifth of 52")
            self.assertEqual((shown(server)["minimum"], shown(server)["share"], shown(server)["minimumSources"]), (10, 20, 52))
            self.assertEqual(count(server), 52)
        with Server(workers=2, **{"brake.enabled": "false"}) as server:
            fill(server)
            wait_until(lambda: count(server) == 0, 25, "removed")
            self.assertEqual(metric(server, "roster_brake_engaged_total"), 0)

    def test_only_operators_release(self):
        with Server(workers=1, **{"operator.allow": "10.0.0.0/8"}) as server:
            self.assertEqual(server.request("PUT", BRAKE).status, 403)
            self.assertEqual(server.request("GET", BRAKE).status, 200)


class Sources(unittest.TestCase):
    """What is evidence and what is not."""
    def never_held(self, server):
        self.assertEqual(metric(server, "roster_brake_engaged_total"), 0)
        self.assertNotIn("state=holding", server.log_text())

    def test_many_sources_cut_off_together(self):
        with Server(workers=2) as server:
            for n in range(200):
                fill_source(server, n, 5, json.dumps({"preserved.heart.beat.timeout": "5000", "preserved.ip.delete.timeout": "25000"}))
            holding(server, 1000)
            self.assertEqual(count(server), 1000)
            seen = shown(server)
            self.assertEqual((seen["sources"], seen["silentSources"], seen["carried"], seen["removed"]), (200, 200, 1000, 0))
            self.assertEqual(metric(server, "roster_brake_silent_sources"), 200)

    def test_one_source_dies_with_most_of_the_instances(self):
        with Server(workers=2) as server:
            for n in range(40):
                fill_source(server, n, 5, CALM)
            fill_source(server, 99, 1000)
            wait_until(lambda: count(server) == 200, 25, "the dead ones expire in time")
            self.never_held(server)
            seen = shown(server)
            self.assertEqual((seen["state"], seen["resting"], seen["sources"]), ("open", False, 41))
            self.assertIn("op=brake state=passed", server.log_text())

    def test_what_never_beat_is_no_evidence(self):
        """Registered by a script, never beaten for; published clients that die beside them."""
        with Server(workers=2) as server:
            fill(server, 120, CALM, "calm", 1000)
            fill(server, 20)
            for n in range(200):
                fill_source(server, n, 5, beats=False, prefix="script")
            wait_until(lambda: count(server) == 120, 25, "all of the dead ones expire in time")
            self.never_held(server)
            self.assertNotIn("state=passed", server.log_text())
            wait_until(lambda: metric(server, "roster_brake_beating_instances") == 120, 10, "the rest is counted")

    def test_a_test_process_ends_beside_others(self):
        with Server(workers=2) as server:
            fill(server, 40, CALM, "calm", 1000)
            fill_source(server, 0, 100)
            wait_until(lambda: count(server) == 40, 25, "the hundred expire in time")
            self.never_held(server)

    def test_everybody_behind_one_address(self):
        with Server(workers=2) as server:
            fill_source(server, 0, 150)
            wait_until(lambda: shown(server)["sources"] == 1, 25, "counted")
            seen = shown(server)
            self.assertEqual((seen["state"], seen["resting"], seen["minimumSources"]), ("open", True, 10))
            self.assertEqual(metric(server, "roster_brake_resting"), 1)
            self.assertEqual(metric(server, "roster_brake_sources"), 1)
            wait_until(lambda: count(server) == 0, 25, "all expire in time")
            self.never_held(server)

    def test_removed_ones_count_for_their_sources_after_the_death_of_the_keeper(self):
        with Server(workers=2) as server:
            fill(server, 60)
            fill(server, 20, CALM, "late", 1000)
            fill(server, 70, CALM, "calm", 2000)
            wait_until(lambda: count(server) == 90, 25, "60 of 150 are removed")
            server.kill_child("keeper")
            fill(server, 20, QUICK, "late", 1000)
            wait_until(lambda: shown(server)["state"] == "holding", 25, "20 more: together more than half")
            line = server.wait_log(HOLDING + ".*")
            self.assertRegex(line, r" removed=60 instances=90 silent=\d+ sources=150 ")
            self.assertGreater(int(re.search(r"silent=(\d+)", line).group(1)), 75)
            self.assertEqual(count(server), 90)


class Deregistrations(unittest.TestCase):
    def test_alarm(self):
        with Server(workers=2, **{"brake.period": "8s"}) as server:
            fill(server, 120, CALM)
            for n in range(60):
                server.deregister("s%d" % (n % SERVICES), address(n), 80)
                server.deregister("s%d" % (n % SERVICES), address(n), 80)     # not there any more: does not count
            self.assertEqual(shown(server)["deregisterAlarms"], [])
            for n in range(60, 100):
                server.deregister("s%d" % (n % SERVICES), address(n), 80)
            line = server.wait_log(r"op=deregister-alarm state=begin .*")
            self.assertRegex(line, r"source=127\.0\.0\.1 deregistered=(6[1-9]|[789]\d|100) of=1?\d\d")
            self.assertEqual(metric(server, "roster_deregister_alarms_total"), 1)
            server.wait_log(r"op=deregister-alarm state=end source=127\.0\.0\.1", 20)
            self.assertEqual(metric(server, "roster_deregister_alarm_sources"), 0)
            self.assertEqual(shown(server)["deregisterAlarms"], [])
            self.assertEqual(count(server), 20)

    def test_a_deleted_service_counts_with_its_instances(self):
        with Server(workers=2) as server:
            for n in range(110):
                server.register("big", address(n), 80, metadata=CALM)
            reply = server.request("DELETE", "/v1/ns/service", {"serviceName": "big"})
            self.assertEqual(reply.status, 200, reply.text)
            # The period slides: at its seam a little of the count is already behind it.
            line = server.wait_log(r"op=deregister-alarm state=begin .*")
            self.assertRegex(line, r"source=127\.0\.0\.1 deregistered=(9\d|1[01]\d) of=(9\d|1[01]\d)$")
            alarms = shown(server)["deregisterAlarms"]
            self.assertEqual([alarm["source"] for alarm in alarms], ["127.0.0.1"])
            self.assertTrue(80 <= alarms[0]["deregistered"] <= 110, alarms)
            self.assertEqual(metric(server, "roster_deregister_alarm_sources"), 1)

    def test_limit(self):
        with Server(workers=2, **{"brake.deregister": 5, "brake.period": "3s"}) as server:
            fill(server, 12, CALM)
            for n in range(5):
                server.deregister("s%d" % (n % SERVICES), address(n), 80)
            query = {"serviceName": "s5", "ip": address(5), "port": 80}
            reply = server.request("DELETE", "/v1/ns/instance", query)
            self.assertEqual((reply.status, reply.text), (429, "caused: brake.deregister reached: 5;"))
            reply = server.request("DELETE", "/v1/ns/service", {"serviceName": "s5"})
            self.assertEqual(reply.status, 429)
            self.assertEqual(count(server), 7)
            self.assertEqual(metric(server, "roster_deregister_refused_total"), 2)
            wait_until(lambda: server.request("DELETE", "/v1/ns/instance", query).status == 200, 10, "the period slides on")
            self.assertEqual(count(server), 6)
            self.assertEqual(server.beat("s0", address(6), 80), 10200)


if __name__ == "__main__":
    roster.main()
