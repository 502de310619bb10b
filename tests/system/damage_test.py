#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A damaged segment: noticed at the start or by the keeper's check, set aside and not deleted; the node serves on."""
import glob
import os
import signal
import subprocess
import sys
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))
import roster  # noqa: E402
from roster import Server  # noqa: E402

POKE = os.path.join(os.path.dirname(roster.ROSTERD), "tests", "fault", "poke")


def segment(server):
    return server.folder + "/seg/segment"


def asides(server):
    return sorted(glob.glob(segment(server) + ".aside.*"))


def poke(server, way):
    subprocess.run([POKE, segment(server), way], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=roster.HUNG_S)


def overwrite(server, at, data):
    with open(segment(server), "r+b") as f:
        f.seek(at)
        f.write(data)


def fill(server, services=60):
    for n in range(services):
        server.register("s%d" % n, "10.0.0.1", 80, metadata='{"a":"%d"}' % n)


class Damage(unittest.TestCase):
    def at_rest(self, damage, why):
        """Damaged between two lives: set aside with a reason, and served."""
        with Server() as server:
            fill(server, 5)
            self.assertEqual(server.stop(), 0)
            size = os.path.getsize(segment(server))
            damage(server)
            damaged = os.path.getsize(segment(server))
            server.start()
            line = server.wait_log(r"op=segment-open .*")
            self.assertIn("origin=set-aside", line)
            self.assertRegex(line, why)
            self.assertEqual([os.path.getsize(path) for path in asides(server)], [damaged])
            self.assertEqual(os.path.getsize(segment(server)), size)
            self.assertEqual(server.hosts("s1"), [])
            self.assertEqual(server.beat("s1", "10.0.0.1", 80), 20404)
            server.register("s1", "10.0.0.1", 80)
            self.assertEqual(server.beat("s1", "10.0.0.1", 80), 10200)

    def test_another_fingerprint(self):
        self.at_rest(lambda s: overwrite(s, 16, b"\xff" * 8), "another layout")

    def test_truncated(self):
        self.at_rest(lambda s: os.truncate(segment(s), 1 << 20), "sizes contradict")

    def test_shorter_than_a_header(self):
        self.at_rest(lambda s: os.truncate(segment(s), 100), "shorter than a header")

    def test_zeroed_header(self):
        self.at_rest(lambda s: overwrite(s, 0, bytes(512)), "not a finished segment")

    def test_a_bit_of_the_header(self):
        # The secret seed: without the seal nothing would be found any more.
        self.at_rest(lambda s: overwrite(s, 99, b"\x5a"), "seal")

    def test_bitmaps(self):
        self.at_rest(lambda s: poke(s, "bitmap"), "bitmap")

    def test_tables(self):
        self.at_rest(lambda s: poke(s, "table"), "chain begins nowhere")

    def test_two_are_kept(self):
        with Server() as server:
            for n in range(5):
                fill(server, 1)
                self.assertEqual(server.stop(), 0)
                overwrite(server, 16, bytes([n]) * 8)
                server.start()
                self.assertEqual(len(asides(server)), min(n + 1, 2))
            self.assertEqual([path.rsplit(".", 1)[1] for path in asides(server)], ["4", "5"])

    def renewed(self, server):
        """The node notices, starts again as the same process, and serves."""
        server.wait_log(r"op=new-segment by=check result=all-restart", 30)
        server.wait_log(r"op=segment-open origin=set-aside .*the check found it damaged", 30)
        server.wait_log(r"op=ready", 30, count=2)
        roster.wait_until(lambda: self.answers(server), 20, "an answer")
        self.assertEqual(len(asides(server)), 1)

    @staticmethod
    def answers(server):
        try:
            return server.metrics()["status"]
        except OSError:
            return None

    def at_work(self, way, **options):
        with Server(**dict({"listen.port": roster.lasting_port()}, **options)) as server:
            fill(server)
            self.assertEqual(server.stop(), 0)
            server.start()
            self.assertEqual(len(server.hosts("s1")), 1)
            stop, codes = threading.Event(), []
            thread = threading.Thread(target=self.clients, args=(server, stop, codes))
            thread.start()
            try:
                roster.wait_until(lambda: 10200 in codes, 20, "beats are heard")
                poke(server, way)
                self.renewed(server)
                roster.wait_until(lambda: all(len(server.hosts("s%d" % n)) == 1 for n in range(60)), 30,
                                  "all came back")
            finally:
                stop.set()
                thread.join()
            self.assertIn("op=check-segment broken=", server.log_text())
            self.assertIn(20404, codes)

    @staticmethod
    def clients(server, stop, codes):
        """What clients do: a beat; not known: register again."""
        n = 0
        while not stop.is_set():
            name = "s%d" % (n % 60)
            n += 1
            try:
                code = server.beat(name, "10.0.0.1", 80)
                codes.append(code)
                if code != 10200:
                    server.register(name, "10.0.0.1", 80)
            except (OSError, AssertionError, ValueError, KeyError):
                roster.pause(0.01)       # it restarts, or the damage answers

    def test_tables_under_load(self):
        # Whoever meets them asks for a check.
        self.at_work("table")

    def test_lists_under_load(self):
        self.at_work("list", **{"segment.check_period": "1s"})

    def test_beats_of_the_future_under_load(self):
        self.at_work("beats", **{"segment.check_period": "1s"})

    def test_found_by_the_regular_check(self):
        """Nobody asks for anything: the period alone."""
        with Server(**{"segment.check_period": "1s", "listen.port": roster.lasting_port()}) as server:
            fill(server)
            self.assertEqual(server.stop(), 0)
            server.start()
            poke(server, "list")
            self.renewed(server)
            self.assertEqual(server.hosts("s1"), [])

    def test_a_new_segment_is_kept_for_a_while(self):
        """No restart at once after another, whatever the check says."""
        with Server(check=False) as server:
            fill(server)
            poke(server, "bitmap")
            os.kill(server.child("worker/0"), signal.SIGABRT)
            server.wait_log(r"op=new-segment by=check result=waits", 30)
            self.assertEqual(server.counter("roster_segment_condemned"), 1)
            self.assertGreater(server.counter("roster_segment_corrupt_rules_total"), 0)
            self.assertEqual(asides(server), [])

    def test_passes_are_counted(self):
        with Server() as server:
            fill(server)
            roster.wait_until(lambda: server.counter("roster_segment_check_passes_total") >= 1, 20, "the first pass")
            self.assertEqual(server.counter("roster_segment_check_parts"), 66)
            before = server.counter("roster_segment_check_passes_total")
            os.kill(server.child("worker/0"), signal.SIGABRT)
            roster.wait_until(lambda: server.counter("roster_segment_check_passes_total") > before, 20,
                              "a pass after the crash of a worker")
            self.assertEqual(server.counter("roster_segment_corrupt_rules_total"), 0)

    def crash(self, server, times):
        for n in range(times):
            pid = server.child("worker/1")
            os.kill(pid, signal.SIGABRT)
            server.wait_log(r"op=child-exit name=worker/1 pid=%d " % pid)

    def test_crashes_right_after_an_attach(self):
        with Server(**{"listen.port": roster.lasting_port()}) as server:
            fill(server)
            self.assertEqual(server.stop(), 0)
            server.start()
            self.assertEqual(len(server.hosts("s1")), 1)
            self.crash(server, 4)
            server.wait_log(r"op=new-segment by=crashes result=all-restart")
            server.wait_log(r"op=segment-open origin=set-aside", 30)
            server.wait_log(r"op=ready", 30, count=2)
            roster.wait_until(lambda: self.answers(server), 20, "an answer")
            self.assertEqual(len(asides(server)), 1)
            self.assertEqual(server.hosts("s1"), [])

    def test_crashes_do_not_empty_a_new_registry(self):
        with Server() as server:
            fill(server)
            self.crash(server, 6)
            server.child("worker/1")
            self.assertEqual(len(server.hosts("s1")), 1)
            self.assertEqual(asides(server), [])


if __name__ == "__main__":
    roster.main()
