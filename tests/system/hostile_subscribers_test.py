#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# runs alone
"""Subscribers that do their worst: others are pushed in time. An honest service changes all the time; how late its pushes come is
compared with a run of the same minute without the hostile subscribers. Whatever these ask for, they hold the pusher for no long
turn, it is not killed, and who is not pushed to is told so."""
import contextlib
import http.client
import json
import random
import re
import socket
import sys
import os
import threading
import time
import unittest
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))
import roster  # noqa: E402
from roster import Server, Subscriber, wait_until  # noqa: E402
from yardstick import TooSlow, best_of_three  # noqa: E402

DELAY_S = 0.2
PROBES = 15
LATER_MS = 50             # than without the hostile ones, at most
LARGE = 5000 if roster.SANITIZED else 50000
CALM = json.dumps({"preserved.heart.beat.timeout": "600000", "preserved.ip.delete.timeout": "900000"})
LIST, INSTANCE = "/v1/ns/instance/list", "/v1/ns/instance"


def request(method, path, agent="Nacos-Java-Client:v1.4.2", **query):
    return ("%s /nacos%s?%s HTTP/1.1\r\nHost: x\r\nUser-Agent: %s\r\n\r\n"
            % (method, path, urllib.parse.urlencode(query), agent)).encode()


def answer(stream):
    """(head, body) of one."""
    head = b""
    while (line := stream.readline()) != b"\r\n":
        assert line, "the connection ended within an answer: %r" % head
        head += line
    length = re.search(rb"(?i)content-length: *(\d+)", head)
    if length:
        return head, stream.read(int(length.group(1)))
    body = b""
    while size := int(stream.readline(), 16):       # in chunks
        body += stream.read(size + 2)[:-2]
    stream.readline()
    return head, body


def pipeline(server, requests, source="127.0.0.1"):
    """All of them on one connection; each is answered with 200."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=roster.HUNG_S, source_address=(source, 0)) as s:
        with s.makefile("rb") as stream:
            for at in range(0, len(requests), 100):
                batch = requests[at:at + 100]
                s.sendall(b"".join(batch))
                for _ in batch:
                    head, body = answer(stream)
                    assert head.startswith(b"HTTP/1.1 200"), (head, body[:200])


def fill(server, service, count, clusters=("DEFAULT",)):
    pipeline(server, [request("POST", INSTANCE, serviceName=service, ip="10.%d.%d.%d" % (n >> 16, n >> 8 & 255, n & 255), port=80,
                              clusterName=clusters[n % len(clusters)], metadata=CALM) for n in range(count)])


class Sink:
    """A socket that takes what comes and says nothing. The kernel drops what does not fit."""

    def __enter__(self):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.port = self.sock.getsockname()[1]
        return self

    def __exit__(self, kind, value, trace):
        self.sock.close()

    def subscribe(self, server, service, wishes, source="127.0.0.1", **more):
        """wishes: (clusters, agent) of each subscription. Before the service is there, so that answers are short."""
        pipeline(server, [request("GET", LIST, agent, serviceName=service, clusters=clusters, udpPort=self.port, clientIP=source, **more)
                          for clusters, agent in wishes], source)


class Changes:
    """Another change of each of the services a second, on a connection of its own."""

    def __init__(self, server, services, cluster="DEFAULT"):
        self.server, self.services, self.cluster = server, services, cluster
        self.over = threading.Event()
        self.made = 0
        self.thread = threading.Thread(target=self.run)

    def run(self):
        left = 0.0
        while not self.over.wait(left):
            begun = time.monotonic()
            pipeline(self.server, [request("POST", INSTANCE, serviceName=service, ip="10.0.0.0", port=80, clusterName=self.cluster,
                                           weight=1 + self.made % 2, metadata=CALM) for service in self.services])
            self.made += 1
            left = max(0.0, 1.0 - (time.monotonic() - begun))

    def __enter__(self):
        self.thread.start()
        wait_until(lambda: self.made > 0, 20, "a first change")
        return self

    def __exit__(self, kind, value, trace):
        self.over.set()
        self.thread.join(2 * roster.HUNG_S)


class Honest:
    """One service that changes all the time, and one subscriber."""

    def __init__(self, server):
        self.server, self.n = server, 0
        self.sub = Subscriber(server, "honest")
        self.conn = http.client.HTTPConnection("127.0.0.1", server.port, timeout=roster.HUNG_S)

    def latest_ms(self):
        """How long after the merge delay the latest of some pushes came. A change waits for the push of the one before."""
        late = []
        for _ in range(PROBES):
            self.n += 1
            self.server.register("honest", "10.9.0.1", 1000 + self.n % 60, conn=self.conn, weight=1 + self.n // 60, metadata=CALM)
            changed = time.monotonic()
            self.sub.wait_for(lambda d: any((h["port"], h["weight"]) == (1000 + self.n % 60, 1 + self.n // 60) for h in d["hosts"]),
                              roster.HUNG_S, "the honest push")
            late.append((time.monotonic() - changed - DELAY_S) * 1000)
        return max(late)

    def close(self):
        self.conn.close()
        self.sub.close()


def reasons(server, service):
    """{why: how many} of the subscribers of a service; None: pushed to."""
    got = {}
    rows = server.request("GET", "/v1/ns/service/subscribers", {"serviceName": service, "detail": "true", "pageNo": "1",
                                                                "pageSize": "100000"}).json["subscribers"]
    for row in rows:
        got[row.get("reason")] = got.get(row.get("reason"), 0) + 1
    return got


class HostileSubscribers(unittest.TestCase):
    @contextlib.contextmanager
    def attack(self, what, **options):
        """Yields (server, judge); judge(services, cluster) changes the services once a second and says how late others were pushed."""
        options = dict({"push.delay": "%dms" % (DELAY_S * 1000), "push.subscriber_life": "600s"}, **options)
        with Server(workers=2, **options) as server:
            honest, pusher = Honest(server), server.child("pusher")
            with Changes(server, ["small"]):
                control = honest.latest_ms()

            def judge(services, cluster="DEFAULT"):
                with Changes(server, services, cluster) as changes:
                    late = honest.latest_ms()
                print("   %s: latest push %.1f ms after the merge delay, without %.1f ms; %d changes" % (what, late, control, changes.made),
                      flush=True)
                self.assertEqual(server.child("pusher"), pusher, "killed")
                self.assertEqual([line for line in server.log_text().splitlines() if "pusher[" in line and "op=long-turn" in line], [])
                self.assertNotIn("op=child-busy name=pusher", server.log_text())
                if late > control + LATER_MS:
                    raise TooSlow("%s: %.1f ms, without %.1f ms" % (what, late, control))
            yield server, judge
            honest.close()

    @best_of_three
    def test_many_texts_of_a_large_service(self):
        """400 texts for a service that comes later, with 50,000 instances."""
        with self.attack("400 texts of %d instances" % LARGE) as (server, judge), Sink() as sink:
            sink.subscribe(server, "large", [("DEFAULT,c%d" % n, "Nacos-Java-Client:v1.4.2") for n in range(400)])
            fill(server, "large", LARGE)
            judge(["large"])
            wait_until(lambda: reasons(server, "large").get("views") == 400 - 32, 20, "who is not pushed to is told")

    @best_of_three
    def test_many_texts_of_many_sources(self):
        """The same of 20 sources, for a service that datagrams can hold: 256 views are rendered, a round takes a second and more."""
        with self.attack("20 sources, 40 texts of 3,000 instances each") as (server, judge), Sink() as sink:
            for n in range(20):
                sink.subscribe(server, "sources", [("DEFAULT,s%dc%d" % (n, k), "Nacos-Java-Client:v1.4.2") for k in range(40)], "127.0.1.%d" % (n + 1))
            fill(server, "sources", 3000)
            judge(["sources"])
            wait_until(lambda: reasons(server, "sources").get("views") == 20 * 40 - 256, 20, "who is not pushed to is told")

    @best_of_three
    def test_many_texts_on_one_port(self):
        """5,000 subscriptions on one port, a thousand instances, one change a second."""
        with self.attack("5,000 texts on one port") as (server, judge), Sink() as sink:
            sink.subscribe(server, "port", [("DEFAULT,c%d" % n, "Nacos-Java-Client:v1.4.2") for n in range(5000)])
            fill(server, "port", 1000)
            judge(["port"])

    @best_of_three
    def test_many_agents_on_one_port(self):
        """The same with one text: what one socket may be sent in a second is less, the rest stays behind all the time."""
        with self.attack("5,000 agents on one port") as (server, judge), Sink() as sink:
            sink.subscribe(server, "agents", [("", "Nacos-Java-Client:v1.4.2.%d" % n) for n in range(5000)])
            fill(server, "agents", 1000)
            judge(["agents"])
            wait_until(lambda: server.counter("roster_push_paced_total") > 1000, 20, "paced")

    @best_of_three
    def test_many_orders_of_many_clusters(self):
        """64 orders of 1,024 clusters: nothing of them can be shared."""
        names = ["%03x" % n for n in range(1024)]
        texts = []
        for n in range(64):
            random.Random(n).shuffle(names)
            texts.append((",".join(names)[:1019], "Nacos-Java-Client:v1.4.2"))
        with self.attack("64 orders of 1,024 clusters") as (server, judge), Sink() as sink:
            sink.subscribe(server, "orders", texts[:32])
            sink.subscribe(server, "orders", texts[32:], "127.0.0.9")
            fill(server, "orders", 20480, sorted(names))
            judge(["orders"], "000")
            self.assertEqual(reasons(server, "orders").get("views", 0), 0)

    @best_of_three
    def test_many_services(self):
        """100 services of 500 instances with 32 texts each: no round is long, all together take the pusher's whole time."""
        services = ["many%d" % n for n in range(20 if roster.SANITIZED else 100)]
        with self.attack("%d services with 32 texts of 500 instances" % len(services)) as (server, judge), Sink() as sink:
            for service in services:
                sink.subscribe(server, service, [("DEFAULT,c%d" % n, "Nacos-Java-Client:v1.4.2") for n in range(32)])
                fill(server, service, 500)
            rounds = server.counter("roster_push_rounds_total")
            judge(services)
            # They are pushed all the same.
            wait_until(lambda: server.counter("roster_push_rounds_total") > rounds + 2 * len(services), 60, "their turns")


class Limits(unittest.TestCase):
    def test_few_texts_of_many_clients_are_no_harm(self):
        """A fleet behind one address with a few texts: all are pushed, whatever push.views_per_source says about one more text. Who is
        beyond polls at the short interval, is shown, counted and named; and is pushed again when there is room."""
        with Server(**{"push.delay": "50ms", "push.views_per_source": "2", "push.views": "3"}) as server:
            fleet = [Subscriber(server, "s", clusters=text) for text in ("", "A", "B", "C") for _ in range(10)]
            beyond, other = Subscriber(server, "s", clusters="D"), Subscriber(server, "s", clusters="A,B")
            server.register("s", "10.0.0.1", 80, clusterName="A")
            for sub in fleet:
                sub.wait_for(lambda d, sub=sub: len(d["hosts"]) == (sub.more["clusters"] in ("", "A")), 5, "pushed")
            wait_until(lambda: server.counter("roster_push_views_refused_total") == 2, 10, "counted")
            self.assertEqual((beyond.poll()["cacheMillis"], fleet[0].poll()["cacheMillis"]), (3000, 10000))
            shown = server.request("GET", "/v1/ns/service/subscribers", {"serviceName": "s", "detail": "true", "pageSize": "100"}).json["subscribers"]
            self.assertEqual({row["clusters"]: (row["push"], row.get("reason")) for row in shown},
                             {"": (True, None), "A": (True, None), "B": (True, None), "C": (True, None), "D": (False, "views"), "A,B": (False, "views")})
            server.wait_log(r'warning pusher.*op=push-views result=refused limit=push\.views_per_source most=2 service="DEFAULT_GROUP@@s" '
                            r'source=127\.0\.0\.1')
            self.assertIsNone(beyond.receive(0))
            for sub in fleet:
                sub.close()
            other.close()
            beyond.close()

    def test_texts_that_name_nothing_take_nobodys_push(self):
        """8 sources with 32 texts each of nothing real, then 8 with one cluster and invented names: who names real clusters, also with
        a name that is none, is pushed to."""
        wishes = ("", "A", "B", "A,B", "B,A", "B,gone", "A,B,gone")
        with Server(**{"push.delay": "50ms", "push.subscriber_life": "600s"}) as server, Sink() as sink:
            for n in range(8):
                for text in ("x%dc%d", "A,y%dc%d"):
                    sink.subscribe(server, "popular", [(text % (n, k), "Nacos-Java-Client:v1.4.2") for k in range(32)],
                                   "127.0.%d.%d" % (1 + (text[0] == "A"), n + 1))
            honest = [Subscriber(server, "popular", clusters=text) for text in wishes]
            fill(server, "popular", 2, ("A", "B"))
            for sub in honest:
                sub.wait_for(lambda d, sub=sub: len(d["hosts"]) == (2 if sub.more["clusters"] in ("", "A,B", "B,A", "A,B,gone") else 1), 10, "pushed")
            server.register("popular", "10.0.0.9", 80, clusterName="A")
            for sub in honest[:2]:
                sub.wait_for(lambda d, sub=sub: any(host["ip"] == "10.0.0.9" for host in d["hosts"]), 10, "pushed again")
            self.assertEqual(reasons(server, "popular"), {None: 16 * 32 + len(wishes)})
            for sub in honest:
                sub.close()

    def test_a_view_that_no_datagram_holds_is_rendered_once(self):
        """A hundred times as many texts that pick the same hosts, too many for a datagram: not ten times the pusher's time."""
        def cost(service, texts):
            def cpu_ms():
                with open("/proc/%d/schedstat" % server.child("pusher")) as f:
                    return int(f.read().split()[0]) / 1e6
            fill(server, service, 20000)
            with Sink() as sink:
                sink.subscribe(server, service, [("DEFAULT,c%d" % n, "Nacos-Java-Client:v1.4.2") for n in range(texts)], isCheck="true")
            begun, oversize = cpu_ms(), server.counter("roster_push_oversize_total")
            for n in range(5):
                server.register(service, "10.9.9.%d" % n, 80, metadata=CALM)
                wait_until(lambda n=n: server.counter("roster_push_oversize_total") == oversize + (n + 1) * texts, 20, "too long for each")
            return cpu_ms() - begun
        with Server(workers=2, **{"push.delay": "50ms", "push.subscriber_life": "600s", "push.views_per_source": "256"}) as server:
            few, many = cost("few", 2), cost("many", 200)
            print("   2 texts: %.1f ms, 200 texts: %.1f ms" % (few, many), flush=True)
            if not roster.SANITIZED:
                self.assertLess(many, 10 * few)


if __name__ == "__main__":
    roster.main()
