#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""limits.per_source, limits.connections_per_source, limits.subscribers_per_source, limits.subscriber_bytes_per_source: what one
address may take, over all workers; what it is told; and that others do not notice."""
import http.client
import os
import signal
import socket
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))
import roster  # noqa: E402
from roster import Server, wait_until  # noqa: E402

LIVENESS = "/v1/console/health/liveness"


def connect(server, source):
    conn = http.client.HTTPConnection("127.0.0.1", server.port, timeout=roster.HUNG_S, source_address=(source, 0))
    conn.connect()
    return conn


def counter(server, name, source="127.0.0.1"):
    conn = connect(server, source)
    try:
        return server.counter(name, conn=conn)
    finally:
        conn.close()


def is_let_in(server, source):
    try:
        return ask(server, source).status == 200
    except (OSError, http.client.HTTPException):    # closed without a word
        return False


def ask(server, source, conn=None):
    own = conn is None
    conn = conn or connect(server, source)
    try:
        return server.request("GET", LIVENESS, conn=conn)
    finally:
        if own:
            conn.close()


class Rate(unittest.TestCase):
    def test_one_bucket_for_all_workers(self):
        with Server(workers=4, **{"limits.per_source": 2, "limits.per_source_burst": 30}) as s:
            begin = time.monotonic()
            replies = [ask(s, "127.0.0.2") for _ in range(120)]     # a connection each: they spread over the workers
            took = time.monotonic() - begin
            passed = sum(r.status == 200 for r in replies)
            self.assertGreaterEqual(passed, 30)
            self.assertLessEqual(passed, 30 + 2 * took + 1)
            refused = next(r for r in replies if r.status != 200)
            self.assertEqual((refused.status, refused.text), (429, "caused: limits.per_source reached: 2;"))
            self.assertEqual(refused.headers["Retry-After"], "1")
            self.assertEqual(refused.headers["Content-Type"], "text/plain;charset=UTF-8")
            self.assertEqual(ask(s, "127.0.0.3").status, 200)       # others do not notice
            self.assertEqual(counter(s, "roster_source_refused_total"), 120 - passed)
            wait_until(lambda: ask(s, "127.0.0.2").status == 200, 10, "room again")

    def test_refused_requests_change_nothing_and_the_connection_stays(self):
        with Server(workers=2, **{"limits.per_source": 1, "limits.per_source_burst": 2}) as s:
            conn = connect(s, "127.0.0.2")
            query = {"serviceName": "s", "ip": "10.0.0.1"}
            begin = time.monotonic()
            statuses = [s.request("POST", "/v1/ns/instance", dict(query, port=80 + n), conn=conn).status for n in range(20)]
            self.assertEqual((statuses[:2], set(statuses)), ([200, 200], {200, 429}))
            self.assertLessEqual(statuses.count(200), 2 + time.monotonic() - begin + 1)
            conn.close()
            other = connect(s, "127.0.0.3")
            self.assertEqual(len(s.request("GET", "/v1/ns/instance/list", {"serviceName": "s"}, conn=other).json["hosts"]),
                             statuses.count(200))
            other.close()

    def test_off_by_default_and_set_by_a_reload(self):
        path = None
        with Server(workers=2) as probe:
            self.assertEqual({ask(probe, "127.0.0.2").status for _ in range(300)}, {200})
        s = Server(workers=2)
        path = s.folder + "/roster.yaml"
        open(path, "w").write("limits:\n  per_source: 0\n")
        s.args = ["-c", path]
        with s:
            self.assertEqual({ask(s, "127.0.0.2").status for _ in range(50)}, {200})
            open(path, "w").write("limits:\n  per_source: 5\n")
            s.proc.send_signal(signal.SIGHUP)
            wait_until(lambda: ask(s, "127.0.0.2").status == 429, 10, "the new limit")
            open(path, "w").write("limits:\n  per_source: 0\n")
            s.proc.send_signal(signal.SIGHUP)
            wait_until(lambda: {ask(s, "127.0.0.2").status for _ in range(20)} == {200}, 10, "no limit again")


class Connections(unittest.TestCase):
    def test_counted_over_workers_and_given_back(self):
        with Server(workers=2, **{"limits.connections_per_source": 8}) as s:
            held = [connect(s, "127.0.0.2") for _ in range(8)]
            self.assertEqual([ask(s, None, c).status for c in held], [200] * 8)
            reply = ask(s, "127.0.0.2")
            self.assertEqual((reply.status, reply.text), (429, "caused: limits.connections_per_source reached: 8;"))
            self.assertEqual((reply.headers["Retry-After"], reply.headers["Connection"]), ("1", "close"))
            self.assertEqual(ask(s, "127.0.0.3").status, 200)
            self.assertGreaterEqual(counter(s, "roster_source_connections_refused_total"), 1)
            self.assertEqual([ask(s, None, c).status for c in held], [200] * 8)
            held.pop().close()
            wait_until(lambda: is_let_in(s, "127.0.0.2"), 10, "room after one has gone")
            for conn in held:
                conn.close()

    def test_many_over_the_limit_are_closed(self):
        with Server(workers=2, **{"limits.connections_per_source": 4}) as s:
            socks = [socket.create_connection(("127.0.0.1", s.port), timeout=roster.HUNG_S, source_address=("127.0.0.2", 0))
                     for _ in range(100)]
            wait_until(lambda: counter(s, "roster_source_connections_refused_total") == 96, 10, "96 refused")
            for sock in socks:
                sock.close()
            wait_until(lambda: is_let_in(s, "127.0.0.2"), 10, "room again")

    def test_a_dead_worker_holds_no_connection(self):
        with Server(workers=2, **{"limits.connections_per_source": 8}) as s:
            held = [connect(s, "127.0.0.2") for _ in range(8)]
            for conn in held:
                ask(s, None, conn)
            for title in ("worker/0", "worker/1"):
                s.kill_child(title)
            wait_until(lambda: ask(s, "127.0.0.2").status == 200, 10, "room after the deaths")
            for conn in held:
                conn.close()


class Subscribers(unittest.TestCase):
    def poll(self, s, source, service, port):
        conn = connect(s, source)
        try:
            reply = s.request("GET", "/v1/ns/instance/list", {"serviceName": service, "udpPort": port, "clientIP": source},
                              headers=roster.JAVA, conn=conn)
        finally:
            conn.close()
        self.assertEqual(reply.status, 200)
        return reply.json["cacheMillis"]

    def test_over_all_services_and_ports(self):
        with Server(workers=2, **{"limits.subscribers_per_source": 40, "push.subscriber_life": "10s"}) as s:
            for n in range(40):
                self.assertEqual(self.poll(s, "127.0.0.2", "s%d" % n, 40000 + n), 10000)
            for n in range(40, 50):
                # The list, but no push: the short poll interval.
                self.assertEqual(self.poll(s, "127.0.0.2", "s%d" % n, 40000 + n), 3000)
            self.assertEqual(self.poll(s, "127.0.0.3", "s1", 40000), 10000)
            self.assertEqual(counter(s, 'roster_subscribe_refused_total{reason="source_limit"}'), 10)
            self.assertEqual(counter(s, "roster_subscribers"), 41)
            wait_until(lambda: self.poll(s, "127.0.0.2", "late", 50000) == 10000, 30, "room when the silent ones are dropped")


class Bytes(unittest.TestCase):
    """Subscribers with the longest texts there may be, from one address, as fast as it can, within the limits of the default."""

    def flood(self, s, source, count, text):
        """Pipelined polls, each with another port: how many became subscribers (the list tells by its poll interval)."""
        head = "GET /nacos/v1/ns/instance/list?serviceName=s%d&udpPort=%d&clientIP=%s&app=%s HTTP/1.1\r\n" \
               "Host: x\r\nUser-Agent: Nacos-Java-Client:v1.4.8%s\r\n\r\n"
        taken = 0
        with socket.create_connection(("127.0.0.1", s.port), roster.HUNG_S, source_address=(source, 0)) as sock:
            for first in range(0, count, 20):
                batch = range(first, min(first + 20, count))
                sock.sendall("".join(head % (n % 50, 2000 + n, source, text, text[:-24]) for n in batch).encode())
                raw = b""
                while raw.count(b'"cacheMillis":') < len(batch):
                    more = sock.recv(1 << 20)
                    self.assertTrue(more, raw[-300:])
                    raw += more
                taken += raw.count(b'"cacheMillis":10000')
        return taken

    def test_one_source_leaves_room(self):
        text = "a" * 1017
        # The segment grows in a file of a disk here, and the file system takes its time.
        with Server(workers=1, long_turns=True,
                    **{"segment.limit": "64MiB", "push.subscriber_life": "10m", "log.level": "debug"}) as s:
            taken = self.flood(s, "127.0.0.2", 8000, text)
            limit = 64 << 20 >> 2
            used = counter(s, "roster_subscriber_bytes")
            self.assertGreater(taken, 1000)
            self.assertEqual(counter(s, 'roster_subscribe_refused_total{reason="source_bytes"}'), 8000 - taken)
            self.assertLessEqual(used, limit)
            self.assertGreater(used, limit * 0.8)
            # Three texts of 1,017 bytes share a page.
            self.assertGreater(taken, used / (2 * 4096 + 144) * 2.5)
            s.wait_log(r"op=subscribe result=refused reason=source_bytes source=127\.0\.0\.2")
            # Others subscribe and register, and so does the flood's own source.
            for source in ("127.0.0.2", "127.0.0.3"):
                conn = connect(s, source)
                reply = s.request("POST", "/v1/ns/instance", {"serviceName": "mine", "ip": "10.0.0.1", "port": 80,
                                                              "metadata": "k=" + "v" * 50000}, conn=conn)
                self.assertEqual((reply.status, reply.text), (200, "ok"))
                conn.close()
            self.assertEqual(self.flood(s, "127.0.0.3", 100, text), 100)
            # All of them together have half of the segment.
            taken = [self.flood(s, "127.0.1.%d" % n, 8000, text) for n in range(1, 4)]
            self.assertLessEqual(counter(s, "roster_subscriber_bytes"), 32 << 20)
            self.assertEqual(taken[-1], 0)
            self.assertGreater(counter(s, 'roster_subscribe_refused_total{reason="node_bytes"}'), 8000)
            s.register("mine", "10.0.0.2", 80, metadata="k=" + "v" * 50000)

    def test_services_have_a_limit_of_their_own(self):
        with Server(workers=1, **{"limits.service_bytes": "1MiB"}) as s:
            s.register("mine", "10.0.0.1", 80)
            place = {"serviceName": "s", "ip": "10.0.0.1", "metadata": "k=" + "v" * 50000}
            answers = [s.request("POST", "/v1/ns/instance", dict(place, port=n)) for n in range(1, 30)]
            refused = [a for a in answers if a.status != 200]
            self.assertGreater(len(refused), 5)
            self.assertEqual({(a.status, a.text) for a in refused}, {(503, "caused: limits.service_bytes reached: 1048576;")})
            self.assertLessEqual(counter(s, "roster_registry_bytes"), 1 << 20)
            self.assertEqual(counter(s, "roster_limit_refused_total"), len(refused))
            self.assertEqual(s.beat("mine", "10.0.0.1", 80), 10200)
            self.assertEqual(len(s.hosts("mine")), 1)
            s.request("DELETE", "/v1/ns/instance", {"serviceName": "s", "ip": "10.0.0.1", "port": 1})
            self.assertEqual(s.request("POST", "/v1/ns/instance", dict(place, port=1)).text, "ok")


if __name__ == "__main__":
    roster.main()
