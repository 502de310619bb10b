#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# runs alone: measures times
# needs faults
"""Upgrades to a binary with another layout of the segment: everybody stands still for a moment, nothing is lost."""
import os
import shutil
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))
import roster  # noqa: E402
from load import Load  # noqa: E402
from roster import Server, Subscriber  # noqa: E402

BUILD = os.path.join(roster.TOP, os.path.dirname(roster.ROSTERD))
SAME, OTHER = os.path.join(BUILD, "rosterd"), os.path.join(BUILD, "tests", "fault", "other_layout")
BROKEN = os.path.join(roster.TOP, "build-faults", "tests", "fault", "other_layout")
FLEET = os.path.join(BUILD, "tests", "bench", "fleet")
INSTANCES = 20000
LONG = '{"preserved.heart.beat.timeout":"90000","preserved.ip.delete.timeout":"99000"}'
# The places before the commit: there is a way back.
BEFORE_COMMIT = [("upgrade-begin", "segv"), ("upgrade-adopt", "abort"), ("upgrade-adopt", "exit"), ("worker", "segv"), ("keeper", "exit")]
# Those from the commit on: there is none any more, also before the commit is over.
AFTER_COMMIT = [("segment-renamed", "segv"), ("files-fresh", "segv"), ("files-fresh", "exit")]


class Upgradable:
    def __init__(self):
        self.server = Server(workers=2, **{"upgrade.trial_limit": "10s", "upgrade.limit": "10s", "upgrade.drain": "2s"})
        os.mkdir(self.server.folder + "/bin")
        self.path = self.server.binary = self.server.folder + "/bin/rosterd"
        shutil.copy(SAME, self.path)
        self.asked = 0

    def replace(self, source):
        os.unlink(self.path)
        shutil.copy(source, self.path)

    def script(self, body):
        with open(self.path + ".new", "w") as f:
            f.write("#!/bin/sh\n" + body + "\n")
        os.chmod(self.path + ".new", 0o755)
        os.rename(self.path + ".new", self.path)

    def ask(self):
        self.asked += 1
        self.server.proc.send_signal(signal.SIGUSR2)
        return self.server.wait_log(r"op=upgrade result=(?!went-back-done)\S+.*", 60, count=self.asked)


def content(server):
    """What must be the same on both sides."""
    listed = server.request("GET", "/v1/ns/instance/list", {"serviceName": "durable"}).json["hosts"]
    switches = server.request("GET", "/v1/ns/operator/switches").json
    spaces = server.request("GET", "/v1/console/namespaces").json["data"]
    metrics = server.metrics()
    return (sorted((h["ip"], h["port"], h["metadata"], h["healthy"], h["ephemeral"]) for h in listed), switches["defaultCacheMillis"],
            sorted(s["namespace"] for s in spaces), metrics["instanceCount"], metrics["serviceCount"])


def fill(server):
    server.register("load", "10.0.0.1", 80, metadata=LONG)
    server.register("durable", "10.2.0.1", 81, ephemeral="false", metadata='{"a":"b"}')
    server.request("PUT", "/v1/ns/cluster", {"serviceName": "durable", "clusterName": "DEFAULT", "checkPort": "80",
                                              "useInstancePort4Check": "true", "healthChecker": '{"type":"NONE"}'})
    server.request("PUT", "/v1/ns/operator/switches", {"entry": "defaultCacheMillis", "value": "4000"})
    server.request("POST", "/v1/console/namespaces", {"customNamespaceId": "space", "namespaceName": "a space"})
    subprocess.run([FLEET, "-n", str(INSTANCES), "-p", "10", "-m",
                    "%7B%22preserved.heart.beat.timeout%22%3A%22900000%22%2C%22preserved.ip.delete.timeout%22%3A%22990000%22%7D",
                    str(server.port), "register"], check=True, stdout=subprocess.DEVNULL, timeout=roster.HUNG_S)


class Convert(unittest.TestCase):
    def test_there_and_back_under_load(self):
        up = Upgradable()
        with up.server as server:
            fill(server)
            pid, before = server.proc.pid, content(server)
            watched = Subscriber(server, "watched")
            load = Load(server, 14, connections=50)
            for number, binary in enumerate((OTHER, SAME, OTHER)):
                up.replace(binary)
                self.assertIn("result=done", up.ask())
                self.assertEqual(content(server), before)
                server.register("watched", "10.3.0.1", 80 + number, metadata=LONG)
                watched.wait_for(lambda push, n=number: any(h["port"] == 80 + n for h in push["hosts"]), 10, "a push after it")
                watched.poll()
                before = content(server)
            load.finish()
            self.assertEqual(server.proc.pid, pid)
            self.assertEqual(server.log_text().count("op=convert result=committed"), 3)
            print("3 conversions of %d instances: %s" % (INSTANCES, load), flush=True)
            self.assertEqual((load.broken, load.bad, load.closed), ([], 0, 0))
            self.assertEqual(server.beat("load", "10.0.0.1", 80), 10200)
            server.binary = OTHER   # its layout is there for the check at the end

    def test_the_brake_knows_who_has_beaten(self):
        """An upgrade that cuts the node off: nobody beats after it, and the sources are those of before."""
        quick = '{"preserved.heart.beat.timeout":"5000","preserved.ip.delete.timeout":"15000"}'
        up = Upgradable()
        with up.server as server:
            for n in range(120):
                with server.from_source(n) as conn:
                    server.register("s", "10.4.0.%d" % (n + 1), 80, conn=conn, metadata=quick)
                    self.assertEqual(server.beat("s", "10.4.0.%d" % (n + 1), 80, conn=conn), 10200)
            up.replace(OTHER)
            self.assertIn("result=done", up.ask())
            server.wait_log(r"op=brake state=holding lost=\d+", 30)
            seen = server.request("GET", "/v1/ns/operator/brake").json
            self.assertEqual((seen["state"], seen["sources"], seen["removed"]), ("holding", 120, 0))
            self.assertEqual(server.metrics()["instanceCount"], 120)
            server.binary = OTHER

    def test_way_back(self):
        """The new image ends before the commit: the old one goes on, with its children, connections and segment."""
        up = Upgradable()
        with up.server as server:
            fill(server)
            before, workers = content(server), [server.child("worker/0"), server.child("worker/1")]
            load = Load(server, 40, connections=20)
            for place, how in BEFORE_COMMIT:
                with self.subTest(place=place, how=how):
                    up.script('ROSTER_FAULT_AT=%s=%s exec %s "$@"' % (place, how, BROKEN))
                    line = up.ask()
                    print("%s %s: %s" % (place, how, line), flush=True)
                    self.assertIn("result=went-back", line)
                    server.wait_log(r"op=upgrade result=went-back-done", 30, count=up.asked)
                    self.assertEqual(content(server), before)
                    self.assertEqual([server.child("worker/0"), server.child("worker/1")], workers)
                    self.assertFalse(os.path.exists(server.folder + "/seg/segment.new"))
            load.proc.wait(120)
            load.finish()
            self.assertEqual((load.broken, load.bad), ([], 0))
            server.binary = SAME

    def test_no_way_back(self):
        """The new image ends when its segment has the name: nobody serves the old one, and the next start finds everything."""
        for place, how in AFTER_COMMIT:
            with self.subTest(place=place, how=how):
                up = Upgradable()
                with up.server as server:
                    fill(server)
                    before, pids = content(server), server.children()
                    up.script('ROSTER_FAULT_AT=%s=%s exec %s "$@"' % (place, how, BROKEN))
                    server.proc.send_signal(signal.SIGUSR2)
                    code = server.proc.wait(roster.HUNG_S)
                    self.assertEqual(code, -signal.SIGSEGV if how == "segv" else 1)
                    self.assertNotIn("went-back", server.log_text())
                    for pid in pids:
                        roster.wait_until(lambda p=pid: not roster.alive(p), 20, "process %d gone" % pid)
                    server.stderr.close()
                    server.binary = OTHER
                    server.start()
                    self.assertIn("origin=attached", server.wait_log(r"op=segment-open .*"))
                    self.assertEqual(content(server), before)


if __name__ == "__main__":
    roster.main()
