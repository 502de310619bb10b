#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# needs prometheus
"""/actuator/prometheus and /actuator/health: promtool reads the page, and each number moves with what it counts."""
import http.client
import os
import re
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))
import roster  # noqa: E402
from roster import Server, Subscriber, wait_until  # noqa: E402

BEAT = 'method="PUT",route="/v1/ns/instance/beat"'
SAMPLE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$")


def scrape(server):
    """The page as {name{labels}: value}; labels without the comma at the end."""
    reply = server.request("GET", "/actuator/prometheus")
    assert reply.status == 200, (reply.status, reply.text)
    assert reply.headers["Content-Type"] == "text/plain;version=0.0.4;charset=utf-8", reply.headers["Content-Type"]
    found = {}
    for line in reply.text.splitlines():
        if line.startswith("#"):
            continue
        match = SAMPLE.match(line)
        assert match, line
        name = match.group(1) + ("{%s}" % match.group(2).rstrip(",") if match.group(2) is not None else "")
        assert name not in found, "twice: " + name
        found[name] = float(match.group(3))
    return found


def monitor(page, name):
    return page['nacos_monitor{module="naming",name="%s"}' % name]


def route(page, labels, what="seconds_count"):
    return page.get("roster_route_%s{%s}" % (what, labels), 0)


class Metrics(unittest.TestCase):
    def expect(self, before, after, **steps):
        """Names of roster_ counters and by how much they moved."""
        for name, step in steps.items():
            self.assertEqual(after["roster_" + name] - before["roster_" + name], step, name)

    def wait_page(self, server, condition, what, timeout=10):
        """The first page for which the condition holds."""
        def look():
            page = scrape(server)
            return page if condition(page) else None
        return wait_until(look, timeout, what, step=0.05)

    def test_promtool(self):
        """No parse error; no lint except about the names of other servers."""
        with Server() as server:
            server.register("s", "10.0.0.1", 80)
            server.hosts("s")
            server.request("GET", "/v1/ns/nosuch")
            page = server.request("GET", "/actuator/prometheus").body
            done = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, timeout=60)
            said = done.stderr.decode()
            self.assertNotIn("parsing error", said)
            self.assertIn(done.returncode, (0, 3), said)      # 3: lints
            self.assertEqual([line for line in said.splitlines() if line and not line.startswith("nacos_")], [])
            broken = subprocess.run(["promtool", "check", "metrics"], input=page + b"x{\n", capture_output=True, timeout=60)
            self.assertEqual(broken.returncode, 1, "promtool says when a page is broken")

    def test_health(self):
        with Server() as server:
            reply = server.request("GET", "/actuator/health")
            self.assertEqual((reply.status, reply.text, reply.headers["Content-Type"]),
                             (200, '{"status":"UP"}', "application/vnd.spring-boot.actuator.v3+json"))
            self.assertEqual(server.request("HEAD", "/actuator/health").body, b"")
            self.assertEqual(server.request("GET", "/actuator/nosuch").status, 404)

    def test_registry_and_routes(self):
        with Server(workers=1) as server:
            conn = http.client.HTTPConnection("127.0.0.1", server.port, timeout=roster.HUNG_S)
            empty = scrape(server)
            self.assertEqual((empty["roster_services"], empty['roster_instances{kind="ephemeral"}']), (0, 0))
            self.assertEqual(route(empty, BEAT), 0)
            server.register("a", "10.0.0.1", 80, conn=conn)
            server.register("a", "10.0.0.2", 80, conn=conn)
            server.register("b", "10.0.0.3", 80, conn=conn, ephemeral="false")
            for _ in range(700):
                server.beat("a", "10.0.0.1", 80, conn=conn)
            self.assertEqual(server.beat("a", "10.0.0.9", 80), 20404)
            server.hosts("a")
            server.hosts("a")
            server.request("GET", "/v1/ns/nosuch")
            server.request("GET", "/v1/ns/instance")          # 400
            server.deregister("a", "10.0.0.2", 80)
            page = scrape(server)
            self.expect(empty, page, registers_total=3, beats_total=701, beats_unknown_total=1, lists_total=2,
                        list_cache_hits_total=1, list_cache_misses_total=1, deregisters_total=1, services=2,
                        healthy_instances=2, http_4xx_total=1, http_5xx_total=1)
            self.assertEqual(page['roster_instances{kind="ephemeral"}'], 1)
            self.assertEqual(page['roster_instances{kind="persistent"}'], 1)
            self.assertEqual(page['roster_slab_objects{kind="instance"}'], 2)
            self.assertEqual(page['roster_slab_objects{kind="service"}'], 2)
            self.assertGreaterEqual(page['roster_slab_bytes{kind="instance"}'], 4096)
            self.assertGreater(page["roster_registry_bytes"], 0)
            self.assertLess(page["roster_segment_free_pages"], page["roster_segment_backed_pages"])
            self.assertEqual(page["roster_segment_bytes"], 256 << 20)
            self.assertEqual((monitor(page, "serviceCount"), monitor(page, "ipCount")), (2, 2))
            # Routes: how often, how often wrong, how long, how much CPU.
            self.assertEqual(route(page, BEAT), 701)
            self.assertEqual(page['http_server_requests_seconds_count{method="PUT",uri="/v1/ns/instance/beat"}'], 701)
            self.assertEqual(route(page, 'method="any",route="none"'), 1)
            self.assertEqual(route(page, 'method="any",route="none"', "errors_total"), 1)
            self.assertEqual(route(page, 'method="GET",route="/v1/ns/instance"', "errors_total"), 1)
            self.assertEqual(route(page, BEAT, "errors_total"), 0)
            self.assertEqual(page['roster_route_seconds_bucket{%s,le="+Inf"}' % BEAT], 701)
            self.assertGreater(route(page, BEAT, "seconds_sum"), 0)
            self.assertGreater(route(page, BEAT, "cpu_seconds_total"), 0)
            busy = page['roster_process_busy_seconds_total{process="worker/0"}']
            self.assertGreater(busy, route(page, BEAT, "seconds_sum"), "handlers run inside the turns of the loop")
            self.assertGreaterEqual(busy, page['roster_process_turn_max_seconds{process="worker/0"}'])
            self.wait_page(server, lambda p: p['roster_process_connections{process="worker/0"}'] == 2, "ours and this one")
            conn.close()

    def test_histograms_are_cumulative(self):
        with Server() as server:
            for n in range(300):
                server.register("s%d" % n, "10.0.0.1", 80)
            page = scrape(server)
        groups = {}
        for name, value in page.items():
            match = re.match(r'(\w+)_bucket\{(?:(.*),)?le="(.*)"\}', name)
            if match:
                groups.setdefault((match.group(1), match.group(2) or ""), []).append((float(match.group(3)), value))
        self.assertGreaterEqual(len(groups), 3)
        for (name, labels), buckets in groups.items():
            self.assertEqual([bound for bound, _ in buckets], sorted(bound for bound, _ in buckets), name)
            self.assertEqual([value for _, value in buckets], sorted(value for _, value in buckets), name)
            count = page[name + "_count" + ("{%s}" % labels if labels else "")]
            self.assertEqual((buckets[-1][0], buckets[-1][1]), (float("inf"), count), name)

    def test_push(self):
        with Server(**{"push.delay": "100ms", "push.ack_wait": "2s"}) as server:
            server.register("s", "10.0.0.1", 80)
            sub = Subscriber(server, "s")
            if sub.receive(2) is not None:      # pushed at once, unless we came after the delay
                self.wait_page(server, lambda p: p["roster_push_ok_total"] == 1, "the first ACK counted")
            start = scrape(server)
            self.assertEqual(start["roster_subscribers"], 1)
            server.register("s", "10.0.0.2", 80)
            sub.wait_for(lambda d: len(d["hosts"]) == 2, 5, "the push")
            page = self.wait_page(server, lambda p: p["roster_push_ok_total"] > start["roster_push_ok_total"], "ACK counted")
            self.expect(start, page, push_total=1, push_ok_total=1, push_ack_seconds_count=1, push_failed_total=0)
            self.assertGreater(page["roster_push_bytes_total"], start["roster_push_bytes_total"])
            self.assertGreaterEqual(page["roster_push_send_seconds_count"], 1)
            self.assertEqual(page["roster_push_queue_services"], 0)
            self.assertEqual(monitor(page, "totalPush"), page["roster_push_total"])
            # Without an ACK: a second try, then given up.
            sub.ack = False
            server.register("s", "10.0.0.3", 80)
            sub.receive()
            self.wait_page(server, lambda p: monitor(p, "failedPush") == monitor(page, "failedPush") + 1, "what still waits counts as failed")
            late = self.wait_page(server, lambda p: p["roster_push_failed_total"] > page["roster_push_failed_total"], "given up")
            self.expect(page, late, push_total=1, push_retried_total=1, push_failed_total=1, push_ok_total=0)
            for name in ("maxPushCost", "avgPushCost"):
                self.assertGreaterEqual(monitor(late, name), -1)
            sub.close()

    def test_queue_depth(self):
        """A service waits in the list for the merge delay."""
        with Server(**{"push.delay": "60s"}) as server:
            for n in range(5):
                server.register("s%d" % n, "10.0.0.1", 80)
            self.assertEqual(scrape(server)["roster_push_queue_services"], 5)

    def test_expiry(self):
        with Server() as server:
            quick = '{"preserved.heart.beat.timeout":"1000","preserved.ip.delete.timeout":"5000"}'
            server.register("s", "10.0.0.1", 80, metadata=quick)
            page = self.wait_page(server, lambda p: p["roster_expiry_removals_total"] == 1, "removed", 30)
            self.assertEqual(page["roster_expiry_flips_total"], 1)
            self.assertEqual(page['roster_instances{kind="ephemeral"}'], 0)
            self.assertGreaterEqual(page["roster_keeper_ticks_total"], 2)

    def test_limit(self):
        with Server(**{"limits.instances": "2"}) as server:
            server.register("s", "10.0.0.1", 80)
            server.register("s", "10.0.0.2", 80)
            before = scrape(server)
            reply = server.request("POST", "/v1/ns/instance", {"serviceName": "s", "ip": "10.0.0.3", "port": 80})
            self.assertEqual(reply.status, 503)
            page = scrape(server)
            self.expect(before, page, limit_refused_total=1, http_5xx_total=1)
            self.assertEqual(page['roster_instances{kind="ephemeral"}'], 2)

    def test_death_of_a_worker(self):
        """Counters go on; the start is counted."""
        with Server() as server:
            server.register("s", "10.0.0.1", 80)
            for _ in range(50):
                server.beat("s", "10.0.0.1", 80)
            before = scrape(server)
            server.kill_child("worker/0")
            page = self.wait_page(server, lambda p: p['roster_process_ready{process="worker/0"}'] == 1, "worker/0 serves")
            self.assertEqual(page['roster_process_starts_total{process="worker/0"}'], 2)
            self.assertEqual(page['roster_process_starts_total{process="worker/1"}'], 1)
            self.expect(before, page, beats_total=0, registers_total=0, corrupt_references_total=0)
            self.assertEqual(route(page, BEAT), 50)
            self.assertGreaterEqual(page["roster_lock_rollbacks_total"], 0)
            server.beat("s", "10.0.0.1", 80)
            self.expect(page, scrape(server), beats_total=1)

    def test_restart(self):
        """A start begins to count anew and says that it took over."""
        server = Server()
        with server:
            server.register("s", "10.0.0.1", 80)
            self.assertEqual(scrape(server)["roster_segment_attaches_total"], 0)
            server.stop()
            server.start()
            page = scrape(server)
            self.assertEqual(page["roster_segment_attaches_total"], 1)
            self.assertEqual(page["roster_registers_total"], 0)
            self.assertEqual(route(page, 'method="POST",route="/v1/ns/instance"'), 0)
            self.assertEqual(page["roster_services"], 1)
            self.assertLess(page["process_uptime_seconds"], 60)
            version = subprocess.run([server.binary, "-v"], capture_output=True, text=True, check=True).stdout.split()
            self.assertEqual(page['roster_build_info{version="%s",layout="%s"}' % (version[1], version[3])], 1)

    def test_documented(self):
        """doc/metrics.md names each family of the page, and nothing else."""
        with Server() as server:
            server.hosts("s")
            text = server.request("GET", "/actuator/prometheus").text
        served = set(re.findall(r"^# TYPE (\S+)", text, re.M))
        printed = subprocess.run([roster.ROSTERD, "--print-metrics"], capture_output=True, text=True, check=True).stdout
        documented = set(re.findall(r"^\| `(\w+)` \| (?:counter|gauge|histogram|summary) \|", printed, re.M))
        self.assertEqual(served, documented)
        names = set(re.findall(r'^nacos_monitor\{module="naming",name="(\w+)"', text, re.M))
        printed = re.sub(r"^## Long turns$.*?(?=^## |\Z)", "", printed, flags=re.M | re.S)       # fields of a log line
        self.assertEqual(names, set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`[^|]*`) \|[^|]*\|$", printed, re.M)))))


class Lists(unittest.TestCase):
    def test_texts_that_pick_the_same(self):
        """Names that are doubled, or that nobody has, make another text of the answer and no other list to be rendered and kept."""
        with Server(workers=1) as server:
            for n in range(3):
                server.register("s", "10.0.0.%d" % n, 80, clusterName="c%d" % n)
            for texts, lists in ((["c1,c0", "c1,c0,", "c1,x,c0", ",c1,c1,c0,c1", "y,c1,,c0,z"], 1), (["c0,c1", "c0,c1,c0"], 1),
                                 (["x", "y,z", "nobody"], 1), (["", ",", ",,,"], 1)):
                before = server.counter("roster_list_cache_misses_total")
                for text in texts * 2:
                    reply = server.request("GET", "/v1/ns/instance/list", {"serviceName": "s", "clusters": text}).json
                    self.assertEqual(reply["clusters"], text)
                    names = [host["clusterName"] for host in reply["hosts"]]
                    known = list(dict.fromkeys(name for name in text.split(",") if name))
                    self.assertEqual(names, [name for name in known if name in ("c0", "c1", "c2")] if known else ["c0", "c1", "c2"])
                self.assertEqual(server.counter("roster_list_cache_misses_total") - before, lists, texts)


if __name__ == "__main__":
    roster.main()
