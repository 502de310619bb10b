#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What clients are told about how long an idle connection stays, on every kind of answer, and that it is kept."""
import http.client
import os
import select
import signal
import socket
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))
import roster  # noqa: E402
from roster import Server  # noqa: E402

NS = "/nacos/v1/ns"
LARGE = 400         # instances of a list that is written from where it lies
PROMISE = ("timeout=60", "keep-alive")
FOREIGN = {"Origin": "http://a.example"}

# name, method, target, further headers, status, does the connection stay?
ANSWERS = (
    ("unsupported method", "GET", NS + "/operator/server/status", {}, 500, False),
    ("text of a registration", "POST", NS + "/instance?serviceName=one&ip=10.0.0.2&port=80", {}, 200, True),
    ("beat", "PUT", NS + "/instance/beat?serviceName=one&ip=10.0.0.1&port=80", {}, 200, True),
    ("list", "GET", NS + "/instance/list?serviceName=one", {}, 200, True),
    ("list again", "GET", NS + "/instance/list?serviceName=one", {}, 200, True),
    ("long list", "GET", NS + "/instance/list?serviceName=large", {}, 200, True),
    ("empty list", "GET", NS + "/instance/list?serviceName=nobody", {}, 200, True),
    ("with an origin", "GET", NS + "/operator/metrics", FOREIGN, 200, True),
    ("refused preflight", "OPTIONS", NS + "/instance", dict(FOREIGN, **{"Access-Control-Request-Method": "PUT"}), 403, True),
    ("options", "OPTIONS", "/nacos/v1/console/server/state", {}, 200, True),
    ("options of the server", "OPTIONS", "*", {}, 200, True),
    ("operator", "GET", NS + "/operator/switches", {}, 200, True),
    ("health", "GET", "/nacos/v1/console/health/liveness", {}, 200, True),
    ("metrics", "GET", "/nacos/actuator/prometheus", {}, 200, True),
    ("head", "HEAD", "/nacos/v1/console/health/liveness", {}, 200, True),
    ("no such page", "GET", "/nacos/nothing", {}, 404, True),
    ("no such page in HTML", "GET", "/nacos/nothing", {"Accept": "text/html"}, 404, True),
    ("outside", "GET", "/elsewhere", {}, 404, True),
    ("trace", "TRACE", "/nacos/v1/ns/instance", {}, 405, True),
    ("bad parameter", "PUT", NS + "/instance/beat", {}, 400, False),
    ("no such call", "GET", NS + "/nothing", {}, 501, False),
)


class Conn:
    """A connection that says what it wants to each time, as HttpURLConnection does."""

    def __init__(self, server, connection="keep-alive"):
        self.http = http.client.HTTPConnection("127.0.0.1", server.port, timeout=roster.HUNG_S)
        self.connection = connection
        self.http.connect()
        self.sock = self.http.sock

    def ask(self, method, target, headers=None):
        """(status, the two headers); the same socket, or it fails."""
        if self.http.sock is not self.sock:
            raise AssertionError("the connection had ended before %s %s" % (method, target))
        headers = dict({"Connection": self.connection} if self.connection else {}, **headers or {})
        self.http.request(method, target, headers=headers)
        answer = self.http.getresponse()
        answer.read()
        return answer.status, (answer.headers["Keep-Alive"], answer.headers["Connection"])

    def beat(self):
        return self.ask("PUT", NS + "/instance/beat?serviceName=one&ip=10.0.0.1&port=80")

    def ended(self):
        """Closed by the server, as far as is known by now."""
        readable, _, _ = select.select([self.sock], [], [], 0)
        return bool(readable) and self.sock.recv(1, socket.MSG_PEEK) == b""

    def close(self):
        self.http.close()


class Answers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.server.__enter__()
        conn = http.client.HTTPConnection("127.0.0.1", cls.server.port, timeout=roster.HUNG_S)
        cls.server.register("one", "10.0.0.1", 80, conn=conn)
        for n in range(LARGE):
            cls.server.register("large", "10.1.%d.%d" % (n // 250, n % 250 + 1), 80, conn=conn)
        conn.close()

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__(None, None, None)

    def test_every_kind_of_answer(self):
        for name, method, target, headers, status, stays in ANSWERS:
            for connection, told in (("keep-alive", True), ("Keep-Alive", True), ("TE, keep-alive", True), (None, False), ("TE", False)):
                with self.subTest(name, connection=connection):
                    conn = Conn(self.server, connection)
                    expected = (None, "close") if not stays else PROMISE if told else (None, None)
                    self.assertEqual(conn.ask(method, target, headers), (status, expected))
                    if stays:
                        self.assertEqual(conn.beat()[0], 200, "on the same connection")
                    conn.close()

    def test_http_1_0(self):
        for connection, expected in (("keep-alive", True), ("close", False), (None, False)):
            with socket.create_connection(("127.0.0.1", self.server.port), timeout=roster.HUNG_S) as s:
                line = "Connection: %s\r\n" % connection if connection else ""
                request = "GET %s/instance/list?serviceName=one HTTP/1.0\r\n%s\r\n" % (NS, line)
                s.sendall(request.encode())
                head = b""
                while b"\r\n\r\n" not in head:
                    head += s.recv(65536)
                self.assertEqual(b"\r\nKeep-Alive: timeout=60\r\nConnection: keep-alive\r\n" in head, expected, head)
                self.assertEqual(b"\r\nConnection: close\r\n" in head, not expected, head)

    def test_refused_source(self):
        with Server(workers=1, **{"limits.per_source": 1, "limits.per_source_burst": 1}) as server:
            conn = Conn(server)
            found = roster.wait_until(lambda: (lambda got: got if got[0] == 429 else None)(conn.beat()), 10, "429")
            self.assertEqual(found, (429, PROMISE))
            conn.close()


class Kept(unittest.TestCase):
    def test_by_http_requests(self):
        with Server(workers=1, **{"http.requests": 3}) as server:
            server.register("one", "10.0.0.1", 80)
            conn = Conn(server)
            self.assertEqual([conn.beat() for _ in range(3)], [(200, PROMISE), (200, PROMISE), (200, (None, "close"))])
            conn.close()

    def test_idle_time_too_short_to_promise(self):
        for idle, told in (("1200ms", (None, "keep-alive")), ("1300ms", ("timeout=1", "keep-alive")), ("300s", ("timeout=240", "keep-alive"))):
            with Server(workers=1, **{"http.idle_timeout": idle}) as server:
                server.register("one", "10.0.0.1", 80)
                conn = Conn(server)
                self.assertEqual(conn.beat(), (200, told))
                conn.close()

    def test_a_shorter_time_is_for_the_next_answer(self):
        server = Server(workers=1)
        server.args = ["-c", server.folder + "/roster.yaml"]
        write(server, "http: {idle_timeout: 75s}\n")
        with server:
            server.register("one", "10.0.0.1", 80)
            told, fresh = Conn(server), Conn(server)
            self.assertEqual(told.beat(), (200, PROMISE))
            write(server, "http: {idle_timeout: 1500ms}\n")
            server.proc.send_signal(signal.SIGHUP)
            server.wait_log(r"op=reload result=ok.*")
            roster.wait_until(lambda: not fresh.ended() and fresh.beat()[1] == ("timeout=1", "keep-alive"), 10, "the new time is told")
            roster.wait_until(fresh.ended, 10, "who was told a second is closed")
            self.assertFalse(told.ended(), "who was told a minute is not")
            self.assertEqual(told.beat(), (200, ("timeout=1", "keep-alive")))
            roster.wait_until(told.ended, 10, "now it has been told")
            for conn in (told, fresh):
                conn.close()

    def crowd(self, server):
        """Connections with a promise, to all workers."""
        server.register("one", "10.0.0.1", 80)
        conns = [Conn(server) for _ in range(30)]
        for conn in conns:
            self.assertEqual(conn.beat(), (200, PROMISE))
        return conns

    def test_one_worker_less(self):
        """Those of the worker that leaves end with their next answer; it leaves when that is done."""
        with Server(workers=2) as server:
            conns, gone = self.crowd(server), server.child("worker/1")
            server.proc.send_signal(signal.SIGTTOU)
            server.wait_log(r"worker/1\[\d+\]: op=leave connections=\d+")
            answers = [conn.beat() for conn in conns]
            self.assertEqual({status for status, _ in answers}, {200})
            self.assertEqual({told for _, told in answers}, {PROMISE, (None, "close")})
            roster.wait_until(lambda: not roster.alive(gone), 10, "one worker less")
            self.assertEqual(server.metrics()["status"], "UP")
            for conn in conns:
                conn.close()

    def test_one_worker_less_and_more_again(self):
        """The one that leaves is waited for; meanwhile its sibling takes what comes in at its socket."""
        with Server(workers=2) as server:
            conns, gone = self.crowd(server), server.child("worker/1")
            server.proc.send_signal(signal.SIGTTOU)
            server.wait_log(r"op=leave connections=\d+")
            server.proc.send_signal(signal.SIGTTIN)
            server.wait_log(r"op=workers before=1 now=2")
            more = [Conn(server) for _ in range(30)]
            self.assertEqual({conn.beat() for conn in more}, {(200, PROMISE)})
            self.assertTrue(roster.alive(gone))
            self.assertEqual({status for status, _ in [conn.beat() for conn in conns]}, {200})
            server.wait_replaced("worker/1", gone)
            self.assertEqual({conn.beat() for conn in more}, {(200, PROMISE)})
            for conn in conns + more:
                conn.close()

    def test_a_worker_that_leaves_is_stopped(self):
        """Idle connections do not keep the whole server from stopping."""
        for number in (signal.SIGTERM, signal.SIGQUIT):
            with Server(workers=2) as server:
                conns = self.crowd(server)
                server.proc.send_signal(signal.SIGTTOU)
                server.wait_log(r"op=leave connections=\d+")
                self.assertEqual(server.stop(number), 0)
                self.assertNotIn("result=killed", server.log_text())
                for conn in conns:
                    roster.wait_until(conn.ended, 5, "closed")
                    conn.close()

    def test_upgrade(self):
        """Nobody who was told a minute is closed while idle, though all workers are replaced."""
        with Server(workers=2) as server:
            conns = self.crowd(server)
            server.proc.send_signal(signal.SIGUSR2)
            server.wait_log(r"op=leave connections=\d+", 30, count=2)
            self.assertEqual({conn.beat() for conn in conns}, {(200, (None, "close"))})
            server.wait_log(r"op=upgrade result=done", 10)
            for conn in conns:
                conn.close()


def write(server, text):
    with open(server.folder + "/roster.yaml", "w") as file:
        file.write(text)


if __name__ == "__main__":
    roster.main()
