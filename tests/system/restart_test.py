#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The whole server dies and starts again: what is still there, what time did meanwhile, who is pushed, who may start."""
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))
import roster  # noqa: E402
from roster import Server, Subscriber, wait_until, wait_within  # noqa: E402
from yardstick import TooSlow, best_of_three  # noqa: E402

NS = "/v1/ns"
CALM = '{"preserved.heart.beat.timeout":"600000","preserved.ip.delete.timeout":"900000"}'
QUIET_S = 1.2             # longer than the merge delay of most, 1 s


def elapse(seconds):
    """Time itself is the condition here."""
    end = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() > end, seconds + 5, "time")


def ok(reply):
    assert reply.status == 200 and reply.text in ("ok", "true"), (reply.status, reply.text)


def fill(server):
    """Something of every kind."""
    for n in range(1, 61):
        server.register("s%d" % (n % 6), "10.1.0.%d" % n, 80, metadata=CALM.replace("{", '{"n":"%d",' % n, 1))
    server.register("grouped", "10.2.0.1", 81, groupName="G", namespaceId="space", clusterName="C", weight="2.5", metadata=CALM)
    server.register("lasting", "10.3.0.1", 82, ephemeral="false")
    ok(server.request("PUT", NS + "/cluster", {"serviceName": "lasting", "clusterName": "DEFAULT", "checkPort": 81,
                                               "useInstancePort4Check": "false", "healthChecker": '{"type":"NONE"}'}))
    ok(server.request("POST", NS + "/service", {"serviceName": "empty", "protectThreshold": "0.25", "metadata": '{"a":"b"}'}))
    ok(server.request("POST", "/v1/console/namespaces", {"customNamespaceId": "space", "namespaceName": "Space",
                                                        "namespaceDesc": "kept"}))
    ok(server.request("PUT", NS + "/operator/switches", {"entry": "pushCacheMillis", "value": "12000"}))
    ok(server.request("PUT", NS + "/operator/switches", {"entry": "masters", "value": "10.0.0.7,10.0.0.8"}))


def portrait(server):
    """All that must not change; without checksums and times of the answer."""
    lists = {}
    for name, more in [("s%d" % n, {}) for n in range(6)] + [("lasting", {}), ("grouped", {"groupName": "G", "namespaceId": "space"})]:
        lists[name] = sorted(str(sorted(h.items())) for h in server.hosts(name, **more))
    read = lambda path, **query: server.request("GET", path, query).json  # noqa: E731
    return {
        "lists": lists,
        "lasting": read(NS + "/instance", serviceName="lasting", ip="10.3.0.1", port=82, ephemeral="false"),
        "services": read(NS + "/service/list", pageNo=1, pageSize=100),
        "empty": read(NS + "/service", serviceName="empty"),
        "cluster": read(NS + "/service", serviceName="lasting"),
        "catalog": read(NS + "/catalog/service", serviceName="lasting"),
        "namespaces": read("/v1/console/namespaces"),
        "switches": read(NS + "/operator/switches"),
        "subscribers": read(NS + "/service/subscribers", serviceName="s1", pageNo=1, pageSize=100),
    }


def quiet(subs, seconds):
    """Datagrams that came within the time, as (service, packet)."""
    end, found = time.monotonic() + seconds, []
    while time.monotonic() < end:
        for sub in subs:
            got = sub.receive(0.01)
            if got is not None:
                found.append((sub.service, got[0]))
    return found


def counters(server):
    text = server.request("GET", "/actuator/prometheus").text
    return {name: int(float(value)) for name, value in re.findall(r"^(roster_\w+_total) (\S+)$", text, re.M)}


class State(unittest.TestCase):
    def test_everything_is_there_again(self):
        """Ephemeral, persistent, services, clusters, namespaces, switches, subscribers; after kills and after a stop."""
        with Server(**{"push.delay": "50ms"}) as server:
            fill(server)
            sub = Subscriber(server, "s1")
            quiet([sub], 0.3)
            before = portrait(server)
            self.assertEqual(before["subscribers"]["count"], 1)
            self.assertEqual(before["namespaces"]["data"][1]["namespace"], "space")
            self.assertEqual(before["switches"]["defaultPushCacheMillis"], 12000)
            for stop in (server.kill_all, server.kill_all, server.stop, server.kill_all):
                stop()
                server.start()
                self.assertIn("origin=attached", server.log_text())
                self.assertEqual(portrait(server), before)
            # The subscriber never polled again: it is pushed all the same.
            server.register("s1", "10.9.0.1", 80)
            sub.wait_for(lambda d: "10.9.0.1" in [h["ip"] for h in d["hosts"]], 5, "a push after the restarts")
            sub.close()

    def test_master_killed_while_children_are_stopped(self):
        """They die with it although they cannot move, and the next start does not wait for anybody to notice."""
        with Server(workers=3) as server:
            fill(server)
            before = portrait(server)
            for count in (1, 3, 5):
                children = server.children()
                for pid in children[:count]:
                    os.kill(pid, signal.SIGSTOP)
                server.proc.kill()
                server.proc.wait(10)
                server.stderr.close()
                server.start()
                self.assertEqual([pid for pid in children if roster.alive(pid)], [])
                self.assertEqual(portrait(server), before)

    def test_killed_while_it_starts(self):
        """At any moment between the first instruction and the ready line."""
        with Server() as server:
            fill(server)
            before = portrait(server)
            server.kill_all()
            for n in range(25):
                server.proc = subprocess.Popen(server.command(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                               stderr=subprocess.DEVNULL)
                elapse(0.002 * n)
                server.stderr = open(os.devnull, "w")
                server.kill_all()
            server.start()
            self.assertIn("origin=attached", server.log_text())
            self.assertEqual(portrait(server), before)

    def test_killed_while_it_stops(self):
        with Server() as server:
            fill(server)
            before = portrait(server)
            for n in range(8):
                server.proc.send_signal(signal.SIGTERM)
                elapse(0.002 * n)
                server.kill_all()
                server.start()
                self.assertEqual(portrait(server), before)


class Time(unittest.TestCase):
    @best_of_three
    def test_health_clock_goes_on_where_it_stood(self):
        """Served time counts, the rest does not: neither forgiven at a restart nor charged."""
        quick = '{"preserved.heart.beat.timeout":"4000","preserved.ip.delete.timeout":"600000"}'
        with Server() as server:
            server.register("s", "10.0.0.9", 80, metadata=CALM)
            server.register("s", "10.0.0.1", 80, metadata=quick)
            begin, down = time.monotonic(), 0.0
            healthy = lambda: {h["ip"]: h["healthy"] for h in server.hosts("s")}["10.0.0.1"]  # noqa: E731
            for _ in range(2):
                elapse(1.3)
                server.kill_all()
                stopped = time.monotonic()
                elapse(3)
                server.start()
                down += time.monotonic() - stopped
                self.assertTrue(healthy())
            wait_within(lambda: not healthy(), 10, "unhealthy at last")
            served = time.monotonic() - begin - down
            print("unhealthy after %.2f s of service, with %.2f s without" % (served, down), flush=True)
            self.assertGreaterEqual(served, 4.0 - 0.1)
            # Each kill costs what ran since the last tick of a second; then the grid of a second.
            if served > 4.0 + 2 * 1.0 + 1.0 + 2.0:
                raise TooSlow("unhealthy after %.2f s of service" % served)

    def test_who_beats_stays(self):
        """Restarts of every length; beats go on whenever somebody listens."""
        quick = '{"preserved.heart.beat.timeout":"3000","preserved.ip.delete.timeout":"5000"}'
        with Server(**{"listen.port": roster.lasting_port()}) as server:
            for n in range(30):
                server.register("s", "10.0.0.%d" % n, 80, metadata=quick)
            ended, codes = threading.Event(), []

            def beats():
                while not ended.wait(0.01):
                    for n in range(30):
                        try:
                            codes.append(server.beat("s", "10.0.0.%d" % n, 80))
                        except (OSError, roster.http.client.HTTPException, ValueError):
                            ended.wait(0.05)

            thread = threading.Thread(target=beats)
            thread.start()
            try:
                for down in (0.0, 0.5, 3.5, 6.0, 0.0, 0.2):
                    elapse(0.7)
                    before = counters(server)
                    server.kill_all()
                    elapse(down)
                    server.start()
                    self.assertEqual([h["ip"] for h in server.hosts("s") if not h["healthy"]], [])
                    self.assertEqual(len(server.hosts("s")), 30)
                    self.assertEqual((before["roster_expiry_flips_total"], before["roster_expiry_removals_total"]), (0, 0))
            finally:
                ended.set()
                thread.join()
            self.assertEqual(set(codes), {10200})

    def test_max_age_drops_ephemeral_ones_only(self):
        with Server(**{"segment.max_age": "2s", "push.delay": "50ms"}) as server:
            fill(server)
            sub = Subscriber(server, "s1")
            lasting = Subscriber(server, "lasting")
            quiet([sub, lasting], 0.3)
            before = portrait(server)
            elapse(1.1)       # a tick of the keeper since the last registration
            server.kill_all()
            elapse(3.5)
            server.start()
            self.assertIn("stale=1", server.wait_log("op=segment-open .*"))
            after = portrait(server)
            self.assertEqual({name: len(hosts) for name, hosts in after["lists"].items() if name != "lasting"},
                             dict.fromkeys(["s%d" % n for n in range(6)] + ["grouped"], 0))
            for what in ("lasting", "empty", "cluster", "catalog", "namespaces", "switches", "services", "subscribers"):
                self.assertEqual(after[what], before[what], what)
            self.assertEqual(after["lists"]["lasting"], before["lists"]["lasting"])
            self.assertEqual(counters(server)["roster_stale_dropped_total"], 61)
            sub.wait_for(lambda d: d["hosts"] == [], 5, "subscribers hear of it")
            self.assertEqual(quiet([lasting], QUIET_S), [])
            # And it is a registry like any other.
            server.register("s1", "10.9.0.1", 80)
            sub.wait_for(lambda d: [h["ip"] for h in d["hosts"]] == ["10.9.0.1"], 5, "the next change")
            sub.close()
            lasting.close()

    def test_younger_than_max_age_drops_nothing(self):
        with Server(**{"segment.max_age": "20s"}) as server:
            fill(server)
            before = portrait(server)
            server.kill_all()
            elapse(2)
            server.start()
            self.assertIn("stale=0", server.wait_log("op=segment-open .*"))
            self.assertEqual(portrait(server), before)


class Pushes(unittest.TestCase):
    def subscribe(self, server, services, delay):
        subs = [Subscriber(server, name) for name in services for _ in range(2)]
        quiet(subs, delay + 0.5)
        return subs

    def test_one_push_for_what_changed_none_for_the_rest(self):
        """A change that no pusher has seen yet, and everything dies."""
        delay = 2           # enough for two registrations and the kills on any machine
        with Server(**{"push.delay": "%ds" % delay, "push.subscriber_life": "60s"}) as server:
            names = ["s%d" % n for n in range(12)]
            for name in names:
                server.register(name, "10.0.0.1", 80, metadata=CALM)
            subs = self.subscribe(server, names, delay)
            for name in ("s3", "s7"):
                server.register(name, "10.0.0.2", 80, metadata=CALM)
            server.kill_all()
            server.start()
            got = []
            wait_until(lambda: got.extend(quiet(subs, 0.5)) or len(got) >= 4, 5, "what was owed")
            got += quiet(subs, 1.0)
            self.assertEqual(sorted(name for name, _ in got), ["s3", "s3", "s7", "s7"])
            self.assertTrue(all("10.0.0.2" in packet["data"] for _, packet in got))
            for stop in (server.kill_all, server.stop):
                stop()
                server.start()
                self.assertEqual(quiet(subs, delay + 0.5), [], "a push storm after a restart")
            for sub in subs:
                sub.close()

    def test_acknowledged_revisions_survive(self):
        """Of two subscribers of one service only the one that had not acknowledged is pushed again."""
        with Server(**{"push.delay": "50ms", "push.ack_wait": "30s", "push.subscriber_life": "120s"}) as server:
            good, silent = Subscriber(server, "s"), Subscriber(server, "s", ack=False)
            server.register("s", "10.0.0.1", 80, metadata=CALM)
            self.assertIsNotNone(good.receive())
            self.assertIsNotNone(silent.receive())
            wait_until(lambda: counters(server)["roster_push_ok_total"] == 1, 5, "the ACK is taken in")
            server.kill_all()
            server.start()
            silent.ack = True
            again = silent.receive()
            self.assertIsNotNone(again, "owed once more")
            self.assertEqual([h["ip"] for h in again[1]["hosts"]], ["10.0.0.1"])
            self.assertIsNone(good.receive(1.0), "had acknowledged")
            wait_until(lambda: counters(server)["roster_push_ok_total"] == 1, 5, "the second ACK is taken in")
            server.kill_all()
            server.start()
            self.assertEqual(quiet([good, silent], 1.5), [], "both had acknowledged")
            good.close()
            silent.close()

    def test_last_ref_time_rises(self):
        with Server(**{"push.delay": "20ms", "push.subscriber_life": "60s"}) as server:
            sub = Subscriber(server, "s")
            for n, stop in enumerate((server.kill_all, server.stop, server.kill_all, server.kill_all, server.stop)):
                for more in range(3):
                    ip = "10.0.%d.%d" % (n, more)
                    server.register("s", ip, 80, metadata=CALM)
                    sub.wait_for(lambda d, ip=ip: ip in [h["ip"] for h in d["hosts"]], 5, "a push of " + ip)
                stop()
                server.start()
            keys = [p["lastRefTime"] for p in sub.packets]
            self.assertGreaterEqual(len(set(keys)), 15)
            self.assertEqual(keys, sorted(keys))
            # Only the very same push may come twice: its ACK was lost with the server.
            self.assertTrue(all(a["lastRefTime"] < b["lastRefTime"] or a == b for a, b in zip(sub.packets, sub.packets[1:])))
            sub.close()


HOLDER = "import fcntl,sys,time\nf=open(sys.argv[1],'r+')\nfcntl.flock(f,fcntl.LOCK_EX)\nprint('held',flush=True)\ntime.sleep(600)"


class Start(unittest.TestCase):
    def hold(self, server):
        """A process that has the flock, and is stopped: what a child of a dead master would be if it could not die."""
        holder = subprocess.Popen([sys.executable, "-c", HOLDER, server.folder + "/seg/segment"], stdout=subprocess.PIPE)
        self.assertEqual(holder.stdout.readline(), b"held\n")
        os.kill(holder.pid, signal.SIGSTOP)
        return holder

    def release(self, holder):
        holder.kill()
        holder.wait(10)
        holder.stdout.close()

    def test_waits_for_the_flock(self):
        with Server() as server:
            fill(server)
            before = portrait(server)
            server.kill_all()
            holder = self.hold(server)
            began = time.monotonic()
            releaser = threading.Thread(target=lambda: (elapse(2), self.release(holder)))
            releaser.start()
            server.start()
            self.assertGreaterEqual(time.monotonic() - began, 1.9)
            releaser.join()
            self.assertIn("origin=attached", server.log_text())
            self.assertEqual(portrait(server), before)

    def test_gives_up_and_names_the_holder(self):
        with Server() as server:
            fill(server)
            before = portrait(server)
            server.kill_all()
            holder = self.hold(server)
            try:
                began = time.monotonic()
                done = subprocess.run(server.command(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=roster.HUNG_S)
                self.assertGreaterEqual(time.monotonic() - began, 9.9)
                self.assertEqual(done.returncode, 1)
                text = open(server.log_path).read().splitlines()[-1]
                self.assertRegex(text, r"what=segment .*is still held after \d+ ms by pid %d \(" % holder.pid)
            finally:
                self.release(holder)
            server.start()
            self.assertEqual(portrait(server), before)

    def test_refuses_beside_a_running_server(self):
        """Says who runs: the master and each child by pid and name. That one notices nothing."""
        with Server(workers=2) as server:
            server.register("s", "10.0.0.1", 80)
            pids = [server.proc.pid] + server.children()
            other = Server(folder=server.folder + "/other", check=False)
            other.options["segment.dir"] = server.options["segment.dir"]
            done = subprocess.run(other.command(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=roster.HUNG_S)
            self.assertEqual(done.returncode, 1)
            text = open(other.log_path).read()
            self.assertIn("is still held", text)
            self.assertIn("pid %d (roster: master)" % pids[0], text)
            for title in ("worker/0", "worker/1", "pusher", "keeper"):
                self.assertIn("pid %d (roster: %s)" % (server.child(title), title), text)
            self.assertEqual([server.proc.pid] + server.children(), pids)
            self.assertEqual(len(server.hosts("s")), 1)
            # --check does not look into a registry in use either.
            with self.assertRaisesRegex(AssertionError, "held"):
                server.registry_audit()

    def test_waits_for_a_port_that_is_being_freed(self):
        """Dying children free the flock before their sockets."""
        port = roster.lasting_port()
        server = Server(**{"listen.port": port})
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            taken = socket.socket(socket.AF_INET, kind)
            taken.bind(("127.0.0.1", port))
            if kind == socket.SOCK_STREAM:
                taken.listen()
            releaser = threading.Thread(target=lambda s=taken: (elapse(0.4), s.close()))
            releaser.start()
            try:
                server.start()
                self.assertEqual((server.port, server.metrics()["status"]), (port, "UP"))
                self.assertEqual(server.stop(), 0)
            finally:
                releaser.join()
        with server:
            pass


if __name__ == "__main__":
    roster.main()
