#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The HTTP server over raw sockets: framing, pipelining, limits, smuggling, slow clients; and the limits of the registry."""
import os
import signal
import socket
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))
import roster  # noqa: E402
from roster import Server, wait_until  # noqa: E402

BEAT = "/nacos/v1/ns/instance/beat?serviceName=raw&ip=10.0.0.1&port=80"


def talk(server, data, timeout=roster.HUNG_S, pieces=None):
    """Sends bytes (or pieces one after the other), reads until the server closes or the answer is quiet for a while."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=timeout) as s:
        for piece in pieces or [data]:
            s.sendall(piece)
        s.shutdown(socket.SHUT_WR)
        got = b""
        while True:
            try:
                more = s.recv(65536)
            except ConnectionResetError:
                return got
            if not more:
                return got
            got += more


def statuses(raw):
    return [int(line.split(b" ")[1]) for line in raw.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]


class Http(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(**{"http.head": "8KiB", "http.line": "4KiB", "http.headers": "50", "http.body": "64KiB"})
        cls.server.__enter__()
        cls.server.register("raw", "10.0.0.1", 80)

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__(None, None, None)

    def get(self, path, extra="", version="1.1"):
        return ("GET %s HTTP/%s\r\nHost: x\r\n%s\r\n" % (path, version, extra)).encode()

    def test_pipelining_keeps_order(self):
        batch = b"".join(self.get("/nacos/v1/ns/instance/list?serviceName=raw%d" % n) for n in range(30))
        raw = talk(self.server, batch)
        self.assertEqual(statuses(raw), [200] * 30)
        order = [int(part.split(b'"')[0]) for part in raw.split(b"DEFAULT_GROUP@@raw")[1:] if part[:1].isdigit()]
        self.assertEqual(order, list(range(30)))

    def test_byte_by_byte(self):
        request = ("PUT %s HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n" % BEAT).encode()
        raw = talk(self.server, None, pieces=[bytes([b]) for b in request])
        self.assertEqual(statuses(raw), [200])

    def test_chunked_body(self):
        body = b"serviceName=raw&ip=10.0.0.1&port=80"
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(body[i:i + 7]), body[i:i + 7]) for i in range(0, len(body), 7)) + b"0\r\n\r\n"
        raw = talk(self.server, b"PUT /nacos/v1/ns/instance/beat HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
                   b"Content-Type: application/x-www-form-urlencoded\r\n\r\n" + chunks)
        self.assertEqual(statuses(raw), [200])
        self.assertIn(b'"code":10200', raw)

    def test_expect_continue(self):
        body = b"serviceName=raw&ip=10.0.0.1&port=80"
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=roster.HUNG_S) as s:
            s.sendall(b"PUT /nacos/v1/ns/instance/beat HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n"
                      b"Content-Type: application/x-www-form-urlencoded\r\n\r\n" % len(body))
            self.assertIn(b"100 Continue", s.recv(4096))
            s.sendall(body)
            self.assertIn(b'"code":10200', s.recv(4096))

    def test_http_1_0_closes(self):
        raw = talk(self.server, self.get("/nacos/v1/ns/operator/metrics", version="1.0"))
        self.assertTrue(raw.startswith(b"HTTP/1."), raw[:50])
        self.assertNotIn(b"Transfer-Encoding", raw)

    def test_empty_lines_before_a_request(self):
        get = self.get("/nacos/v1/ns/operator/metrics")
        for name, raw, expected in (("one", b"\r\n" + get, [200]), ("two", b"\r\n\r\n" + get, [200]),
                                    ("three", b"\r\n\r\n\r\n" + get, [400]), ("bare LF", b"\n" + get, [400]),
                                    ("between", get + b"\r\n" + get + b"\r\n\r\n" + get, [200, 200, 200])):
            with self.subTest(name):
                self.assertEqual(statuses(talk(self.server, raw)), expected)
                self.assertEqual(statuses(talk(self.server, None, pieces=[bytes([b]) for b in raw])), expected)

    def test_smuggling_set(self):
        """Every one of these is 400 (or closed without an answer) and the connection ends: nothing behind it is read as a request."""
        tail = self.get("/nacos/v1/ns/operator/metrics")
        for name, head in {
            "two lengths": b"PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n",
            "length and chunked": b"PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "bare LF": b"GET /nacos/v1/ns/operator/metrics HTTP/1.1\nHost: x\n\n",
            "bare LF in a header": b"GET / HTTP/1.1\r\nHost: x\nX: y\r\n\r\n",
            "obs-fold": b"GET / HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n",
            "blank before the colon": b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length : 4\r\n\r\n",
            "no host": b"GET / HTTP/1.1\r\n\r\n",
            "two hosts": b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
            "http 0.9": b"GET /\r\n\r\n",
            "huge chunk": b"PUT /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n",
            "negative length": b"PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: -4\r\n\r\n",
            "plus length": b"PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: +4\r\n\r\n",
            "chunked twice": b"PUT /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
            "chunked not last": b"PUT /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
            "zero byte": b"GET / HTTP/1.1\r\nHost: x\0y\r\n\r\n",
            "bare CR": b"GET / HTTP/1.1\r\nHost: x\rX: y\r\n\r\n",
        }.items():
            with self.subTest(name):
                found = statuses(talk(self.server, head + tail))
                self.assertEqual(len(found), 1, "%s: %r" % (name, found))
                self.assertIn(found[0], (400, 501), name)

    def test_limits(self):
        for name, raw, expected in (
                ("line", self.get("/nacos/" + "a" * 5000), (400, 414)),
                ("head", self.get("/", "X: %s\r\n" % ("a" * 9000)), (400, 431)),
                ("headers", self.get("/", "".join("X%d: y\r\n" % n for n in range(60))), (400, 431)),
                ("body", b"PUT /nacos/v1/ns/instance HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n", (413,))):
            with self.subTest(name):
                found = statuses(talk(self.server, raw))
                self.assertEqual(len(found), 1)
                self.assertIn(found[0], expected)

    def test_chunked_body_limit(self):
        raw = b"PUT /nacos/v1/ns/instance HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        raw += (b"2000\r\n" + b"x" * 0x2000 + b"\r\n") * 20
        self.assertEqual(statuses(talk(self.server, raw)), [413])

    def test_post_form(self):
        body = b"serviceName=form&ip=10.0.0.7&port=80&metadata=%7B%22a%22%3A%22b%22%7D"
        raw = talk(self.server, b"POST /nacos/v1/ns/instance HTTP/1.1\r\nHost: x\r\nUser-Agent: Nacos-Go-Client:v1.1.6\r\n"
                   b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        self.assertEqual(statuses(raw), [200])
        self.assertEqual(self.server.hosts("form")[0]["metadata"], {"a": "b"})


class Cors(unittest.TestCase):
    LIST = "/v1/ns/service/list"
    QUERY = {"pageNo": 1, "pageSize": 1}

    def simple(self, server, origin, path=LIST, query=None):
        """The origin that may read the answer."""
        reply = server.request("GET", path, self.QUERY if query is None else query, headers={"Origin": origin})
        self.assertEqual(len(reply.headers.get_all("Vary")), 3)
        allowed = reply.headers["Access-Control-Allow-Origin"]
        self.assertEqual(reply.headers["Access-Control-Allow-Credentials"], None if allowed is None else "true")
        return reply.status, allowed

    def preflight(self, server, origin):
        reply = server.request("OPTIONS", "/v1/ns/instance", headers={
            "Origin": origin, "Access-Control-Request-Method": "DELETE", "Access-Control-Request-Headers": "x-token"})
        return reply.status, {name[len("Access-Control-"):]: value for name, value in reply.headers.items()
                              if name.startswith("Access-Control-")}, reply.text

    def test_settings(self):
        """What the setting shows to whom, before and after reloads; an answer of an error like one of a list."""
        a, b = "https://a.example", "http://b.example:8080"
        refused = (403, {}, "Invalid CORS request")
        with tempfile.TemporaryDirectory() as folder:
            path = folder + "/roster.yaml"

            def configure(value):
                with open(path, "w", encoding="utf-8") as file:
                    file.write("http:\n  cors: %s\n" % value)
            configure("echo")
            with Server(args=["-c", path]) as server:
                self.assertEqual(self.simple(server, a), (200, a))
                self.assertEqual(self.simple(server, a, query={"pageNo": 1}), (400, a))
                self.assertEqual(self.preflight(server, a), refused)
                for value, shown in (("off", ()), ("https://a.example", (a,)), ('"https://a.example http://b.example:8080"', (a, b))):
                    configure(value)
                    server.proc.send_signal(signal.SIGHUP)
                    last = b if b in shown else a
                    wait_until(lambda: all(self.simple(server, last)[1] == (last if last in shown else None) for _ in range(20)), 10,
                               "both workers have %s" % value)
                    for origin in (a, b, "https://c.example", "null"):
                        allowed = origin if origin in shown else None
                        self.assertEqual(self.simple(server, origin), (200, allowed))
                        self.assertEqual(self.simple(server, origin, query={"pageNo": 1}), (400, allowed))
                        self.assertEqual(self.preflight(server, origin), refused if allowed is None else (200, {
                            "Allow-Origin": origin, "Allow-Credentials": "true", "Allow-Methods": "DELETE",
                            "Allow-Headers": "x-token", "Max-Age": "18000"}, ""))


class Timeouts(unittest.TestCase):
    def test_slow_and_silent_clients_are_dropped(self):
        with Server(**{"http.head_timeout": "500ms", "http.idle_timeout": "700ms", "http.body_timeout": "500ms"}) as server:
            for name, start in (("silent", b""), ("half a head", b"GET / HTTP/1.1\r\nHo"),
                                ("half a body", b"PUT /nacos/v1/ns/instance HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab")):
                with self.subTest(name), socket.create_connection(("127.0.0.1", server.port), timeout=roster.HUNG_S) as s:
                    s.sendall(start)
                    answer = s.recv(4096)
                    self.assertTrue(answer == b"" or b" 408 " in answer, answer)

    def test_connection_limit(self):
        with Server(workers=1, **{"http.connections": "20"}) as server:
            held = [socket.create_connection(("127.0.0.1", server.port), timeout=roster.HUNG_S) for _ in range(20)]
            for s in held:
                s.sendall(b"GET /nacos/v1/ns/operator/metrics HTTP/1.1\r\nHost: x\r\n\r\n")
                self.assertIn(b"200", s.recv(4096))
            with socket.create_connection(("127.0.0.1", server.port), timeout=roster.HUNG_S) as extra:
                extra.sendall(b"GET /nacos/v1/ns/operator/metrics HTTP/1.1\r\nHost: x\r\n\r\n")
                self.assertIn(b" 503 ", extra.recv(4096))
            for s in held:
                s.close()
            roster.wait_until(lambda: server.request("GET", "/v1/ns/operator/metrics").status == 200, 5, "room again")


class Limits(unittest.TestCase):
    def refused(self, server, query, status, key, number):
        reply = server.request("POST", "/v1/ns/instance", query)
        self.assertEqual((reply.status, reply.text), (status, "caused: %s reached: %d;" % (key, number)))

    def test_each_limit_says_its_key(self):
        with Server(**{"limits.instances": "5", "limits.services": "4", "limits.instances_per_service": "3",
                       "limits.clusters_per_service": "2", "limits.metadata": "100", "limits.name": "50"}) as server:
            base = {"serviceName": "a", "port": 80}
            for n in range(3):
                server.register("a", "10.0.0.%d" % n, 80)
            self.refused(server, dict(base, ip="10.0.0.9"), 503, "limits.instances_per_service", 3)
            server.register("a", "10.0.0.1", 80, weight="2")       # replacing is not adding
            self.refused(server, dict(base, serviceName="b", ip="1.1.1.1", metadata='{"k":"%s"}' % ("v" * 200)), 400,
                         "limits.metadata", 100)
            self.refused(server, dict(base, serviceName="n" * 80, ip="1.1.1.1"), 400, "limits.name", 50)
            server.register("c", "10.0.0.1", 80, clusterName="A")
            server.register("c", "10.0.0.2", 80, clusterName="B")
            self.refused(server, dict(base, serviceName="d", ip="1.1.1.1"), 503, "limits.instances", 5)
            server.deregister("c", "10.0.0.2", 80, clusterName="B")
            self.refused(server, dict(base, serviceName="c", clusterName="D", ip="1.1.1.1"), 503,
                         "limits.clusters_per_service", 2)
            self.assertEqual(server.metrics()["instanceCount"], 4)

    def test_subscriber_limit_keeps_the_answer(self):
        with Server(**{"limits.subscribers_per_service": "2"}) as server:
            server.register("s", "10.0.0.1", 80)
            subs = [roster.Subscriber(server, "s") for _ in range(3)]
            self.assertEqual([s.poll()["cacheMillis"] for s in subs], [10000, 10000, 3000])
            for s in subs:
                s.close()

    def test_full_segment_refuses_and_recovers(self):
        with Server(**{"segment.limit": "8MiB", "workers": 1}) as server:
            import http.client
            conn = http.client.HTTPConnection("127.0.0.1", server.port, timeout=roster.HUNG_S)
            count, refused = 0, None
            for n in range(200000):
                reply = server.request("POST", "/v1/ns/instance", {"serviceName": "full%d" % (n % 50), "ip": "10.%d.%d.%d" % (
                    n // 65536, n // 256 % 256, n % 256), "port": 80, "metadata": '{"k":"%s"}' % ("v" * 2000)}, conn=conn)
                if reply.status != 200:
                    refused = reply
                    break
                count += 1
            self.assertIsNotNone(refused)
            self.assertEqual(refused.status, 503)
            self.assertRegex(refused.text, r"^caused: segment\.limit reached: \d+;$")
            self.assertEqual(server.metrics()["instanceCount"], count)
            for n in range(count):
                server.deregister("full%d" % (n % 50), "10.%d.%d.%d" % (n // 65536, n // 256 % 256, n % 256), 80)
            self.assertEqual(server.metrics()["instanceCount"], 0)
            server.register("again", "10.0.0.1", 80, metadata='{"k":"%s"}' % ("v" * 2000))


if __name__ == "__main__":
    roster.main()
