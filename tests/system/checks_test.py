#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# needs mariadb
"""Active checks of persistent instances against real peers: listening sockets, an HTTP server, MariaDB. Peers are stopped
and started; health must follow within the times that the specification allows, and beats must not notice."""
import contextlib
import http.server
import json
import os
import re
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))
import roster  # noqa: E402
from roster import Server, Subscriber, wait_until, wait_within  # noqa: E402
from yardstick import TooSlow, Yardstick, best_of_three  # noqa: E402

SLACK = 10.0            # peers of these tests may be slow too: what they are late with is a failure that counts softly
FIRST = 7.0 + SLACK             # the first check comes 2 to 7 s after the registration
TCP_MAX, HTTP_MAX, MYSQL_MAX = 5.0, 5.0, 3.0
QUICK = '{"preserved.heart.beat.timeout":"2000","preserved.ip.delete.timeout":"4000"}'


def longest(count, most):
    """That many checks, the first of which is at most one interval away."""
    return count * most + SLACK


def page(server):
    text = server.request("GET", "/actuator/prometheus").text
    return {name: float(value) for name, value in re.findall(r"^(roster_checks_\w+) (\S+)$", text, re.M)}


def turn(server):
    """The longest time in which the keeper did not look at its clock."""
    text = server.request("GET", "/actuator/prometheus").text
    return float(re.search(r'^roster_process_turn_max_seconds\{[^}]*keeper[^}]*\} (\S+)$', text, re.M).group(1))


def healthy(server, service, ip="127.0.0.1", port=0, **more):
    reply = server.request("GET", "/v1/ns/instance", dict({"serviceName": service, "ip": ip, "port": port}, **more))
    return reply.json["healthy"]


def follow(server, service, port, want, within, **more):
    """Waits for the health and returns how long it took."""
    begin = time.monotonic()
    wait_within(lambda: healthy(server, service, port=port, **more) == want, within,
               "%s:%d healthy=%s" % (service, port, want), step=0.05)
    return time.monotonic() - begin


def all_seen(server, peer):
    """The kernel connects before the peer accepts: it counts a little later than the server. Returns how many it has seen."""
    return wait_until(lambda: peer.count if peer.count == page(server)["roster_checks_tcp_total"] else 0, 10,
                      "every check seen by the peer")


def set_checker(server, service, checker, port=80, use_port=True, cluster="DEFAULT"):
    query = {"serviceName": service, "clusterName": cluster, "checkPort": port,
             "useInstancePort4Check": str(use_port).lower(), "healthChecker": json.dumps(checker)}
    return server.request("PUT", "/v1/ns/cluster", query)


def persistent(server, service, port, checker=None, **more):
    """Service and cluster first, so that no other checker comes before the wanted one."""
    if checker is not None:
        server.request("POST", "/v1/ns/service", {"serviceName": service})
        reply = set_checker(server, service, checker)
        assert (reply.status, reply.text) == (200, "ok"), (reply.status, reply.text)
    server.register(service, more.pop("ip", "127.0.0.1"), port, ephemeral="false", **more)


class Listener:
    """Accepts and closes, on any number of loopback ports; counts."""

    def __init__(self, ports=1):
        self.selector, self.count, self.ending = selectors.DefaultSelector(), 0, False
        self.sockets = [self.listen(0) for _ in range(ports)]
        self.ports = [s.getsockname()[1] for s in self.sockets]
        self.port = self.ports[0]
        self.begin()

    def listen(self, port):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", port))
        sock.listen(64)
        sock.setblocking(False)
        self.selector.register(sock, selectors.EVENT_READ)
        return sock

    def begin(self):
        self.ending = False
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while not self.ending:
            for key, _ in self.selector.select(0.2):
                with contextlib.suppress(BlockingIOError, OSError):
                    while True:
                        key.fileobj.accept()[0].close()
                        self.count += 1

    def stop(self):
        """Nobody listens any more."""
        self.ending = True
        self.thread.join(10)
        for sock in self.sockets:
            self.selector.unregister(sock)
            sock.close()
        self.sockets = []

    def start(self):
        self.sockets = [self.listen(port) for port in self.ports]
        self.begin()


class Deaf:
    """Its queue is full: the kernel answers no new connection."""

    def __init__(self):
        self.sock = socket.socket()
        self.sock.bind(("127.0.0.1", 0))
        self.sock.listen(0)
        self.port = self.sock.getsockname()[1]
        self.waiting = []
        for _ in range(8):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", self.port))
            self.waiting.append(client)

    def close(self):
        for sock in self.waiting + [self.sock]:
            sock.close()


class Web:
    """An HTTP server whose status can be changed; keeps what it was asked."""

    def __init__(self, port=0):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked.append((self.path, dict(self.headers)))
                if outer.status is None:
                    self.close_connection = True
                    return
                self.send_response(outer.status)
                if outer.status == 302:
                    self.send_header("Location", "http://127.0.0.1:%d/followed" % outer.port)
                self.send_header("Content-Length", "4")
                self.end_headers()
                self.wfile.write(b"body")

            def log_message(self, *args):
                pass

        self.asked, self.status = [], 200
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self.http.server_address[1]
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def stop(self):
        self.http.shutdown()
        self.http.server_close()
        self.thread.join(10)


class Maria:
    """A MariaDB server in an empty folder on a free loopback port."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="roster-maria-", dir=os.environ.get("ROSTER_TEST_TMP"))
        self.port, self.proc = roster.lasting_port(), None
        self.user = ["--user=root"] if os.geteuid() == 0 else []
        self.install()
        self.start()
        self.sql("CREATE USER 'probe'@'%' IDENTIFIED BY 'secret'")

    def install(self):
        """Its program fails now and then on a busy machine: twice is no accident, and says why."""
        for last in (False, True):
            done = subprocess.run(["mariadb-install-db", "--no-defaults", "--datadir=" + self.folder + "/data", "--skip-test-db",
                                   "--auth-root-authentication-method=normal"] + self.user, stdin=subprocess.DEVNULL,
                                  capture_output=True, text=True, timeout=180)
            if done.returncode == 0:
                return
            if last:
                raise AssertionError("mariadb-install-db: " + done.stdout + done.stderr)
            shutil.rmtree(self.folder + "/data", ignore_errors=True)

    def start(self):
        binary = shutil.which("mariadbd", path=os.environ["PATH"] + ":/usr/sbin")
        self.log = open(self.folder + "/log", "ab")
        self.proc = subprocess.Popen([binary, "--no-defaults", "--datadir=" + self.folder + "/data", "--skip-networking=0",
                                      "--bind-address=127.0.0.1", "--port=%d" % self.port, "--skip-name-resolve",
                                      "--socket=" + self.folder + "/sock", "--pid-file=" + self.folder + "/pid",
                                      "--innodb-buffer-pool-size=8M", "--innodb-log-file-size=4M"] + self.user,
                                     stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        wait_until(lambda: self.try_sql("SELECT 1"), 60, "MariaDB answers")

    def try_sql(self, text):
        if self.proc.poll() is not None:
            raise AssertionError("MariaDB ended: " + open(self.folder + "/log", errors="replace").read()[-3000:])
        done = subprocess.run(["mariadb", "--no-defaults", "--socket=" + self.folder + "/sock", "-uroot", "-BNe", text],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=roster.HUNG_S)
        return done if done.returncode == 0 else None

    def sql(self, text):
        done = self.try_sql(text)
        assert done is not None, text
        return done.stdout.strip()

    def stop(self):
        self.proc.terminate()
        self.proc.wait(60)
        self.log.close()

    def remove(self):
        if self.proc.poll() is None:
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class TcpHealth(unittest.TestCase):
    def test_follows_a_peer_that_is_stopped_and_started(self):
        peer = Listener()
        with Server() as server:
            begin = time.monotonic()
            persistent(server, "s", peer.port, healthy="false")
            self.assertFalse(healthy(server, "s", port=peer.port))
            # Three successes, the first of which is 2 to 7 s away, the others at most 7 and 5.5 s.
            follow(server, "s", peer.port, True, FIRST + 7 + 5.5)
            self.assertGreaterEqual(time.monotonic() - begin, 2 + 2 * 1)
            before = all_seen(server, peer)
            self.assertGreaterEqual(before, 3)
            wait_within(lambda: peer.count >= before + 3, longest(3, 7), "checked on")
            peer.stop()
            # Refused: at once, with the next check.
            follow(server, "s", peer.port, False, longest(1, TCP_MAX))
            self.assertEqual(len(server.hosts("s")), 1)
            peer.start()
            from_here = peer.count
            follow(server, "s", peer.port, True, longest(3, TCP_MAX))
            wait_until(lambda: peer.count - from_here >= 3, 10, "three checks seen by the peer")
            self.assertEqual(page(server)["roster_checks_flips_total"], 3)
        peer.stop()

    def test_nobody_listens(self):
        """Unhealthy with the first check; and pushed."""
        port = roster.lasting_port()
        with Server() as server:
            begin = time.monotonic()
            persistent(server, "s", port)
            subscriber = Subscriber(server, "s")
            with contextlib.closing(subscriber):
                follow(server, "s", port, False, FIRST)
                self.assertGreaterEqual(time.monotonic() - begin, 1.9)
                subscriber.wait_for(lambda data: data["hosts"] and data["hosts"][0]["ip"] == "127.0.0.1", 5, "pushed")
            counts = page(server)
            self.assertEqual(counts["roster_checks_failed_total"], counts["roster_checks_tcp_total"])

    def test_confirmation_pushes_once(self):
        """A healthy persistent instance: one push more after the third success, then none."""
        peer = Listener()
        with Server() as server:
            subscriber = Subscriber(server, "s")
            with contextlib.closing(subscriber):
                persistent(server, "s", peer.port)
                self.assertIsNotNone(subscriber.receive())         # of the registration
                subscriber.poll()
                wait_within(lambda: (subscriber.poll(), peer.count >= 2)[1], FIRST + 7, "two checks", step=0.5)
                self.assertIsNone(subscriber.receive(0.0))
                wait_within(lambda: (subscriber.poll(), peer.count >= 3)[1], 7 + SLACK, "three checks", step=0.5)
                self.assertIsNotNone(subscriber.receive())
                at = peer.count
                wait_within(lambda: (subscriber.poll(), peer.count >= at + 2)[1], longest(2, 7), "two more", step=0.5)
                self.assertIsNone(subscriber.receive(1.5))
            self.assertEqual(page(server)["roster_checks_flips_total"], 0)
        peer.stop()

    def test_timeouts_are_soft(self):
        deaf = Deaf()
        with Server() as server, contextlib.closing(deaf):
            persistent(server, "s", deaf.port)
            wait_within(lambda: page(server)["roster_checks_failed_total"] >= 1, FIRST, "a check failed")
            self.assertTrue(healthy(server, "s", port=deaf.port))
            follow(server, "s", deaf.port, False, 7 + TCP_MAX + 2 * SLACK)
            self.assertGreaterEqual(page(server)["roster_checks_failed_total"], 3)


class TcpLife(unittest.TestCase):
    def test_check_port_of_the_cluster(self):
        peer, port = Listener(), roster.lasting_port()
        with Server() as server:
            server.request("POST", "/v1/ns/service", {"serviceName": "s"})
            reply = set_checker(server, "s", {"type": "TCP"}, port=peer.port, use_port=False)
            self.assertEqual((reply.status, reply.text), (200, "ok"))
            persistent(server, "s", port, healthy="false")
            follow(server, "s", port, True, FIRST + 7 + 5.5)
            # Back to its own port, where nobody is.
            self.assertEqual(set_checker(server, "s", {"type": "TCP"}).text, "ok")
            follow(server, "s", port, False, longest(1, 7))
        peer.stop()

    def test_first_persistent_instance_of_an_old_service(self):
        port = roster.lasting_port()
        with Server() as server:
            for n in range(20):
                server.register("s", "10.0.0.%d" % n, 80)
            # A visit of the keeper is over and the next one seconds away.
            begin = time.monotonic()
            wait_until(lambda: time.monotonic() - begin > 2.2, 10, "two ticks")
            persistent(server, "s", port)
            follow(server, "s", port, False, FIRST)

    def test_switch_stops_checks(self):
        peer = Listener()
        with Server() as server:
            persistent(server, "s", peer.port)
            wait_within(lambda: peer.count >= 1, FIRST, "checked")

            def switch(value):
                reply = server.request("PUT", "/v1/ns/operator/switches", {"entry": "check", "value": value})
                self.assertEqual((reply.status, reply.text), (200, "ok"))
            switch("false")
            begin = time.monotonic()
            wait_until(lambda: time.monotonic() - begin > 1.5, 10, "the next tick")
            at = all_seen(server, peer)
            wait_until(lambda: time.monotonic() - begin > 9.5, 12, "longer than any interval")
            self.assertEqual(peer.count, at)
            switch("true")
            wait_within(lambda: peer.count > at, 7 + SLACK, "checked again")
        peer.stop()

    def test_keeper_killed_checks_go_on(self):
        peer = Listener()
        with Server() as server:
            persistent(server, "s", peer.port)
            wait_within(lambda: peer.count >= 1, FIRST, "checked")
            server.kill_child("keeper")
            peer.stop()
            follow(server, "s", peer.port, False, FIRST)

    def test_deregistered_is_not_checked(self):
        peer = Listener()
        with Server() as server:
            persistent(server, "s", peer.port)
            wait_within(lambda: peer.count >= 1, FIRST, "checked")
            server.deregister("s", "127.0.0.1", peer.port, ephemeral="false")
            begin = time.monotonic()
            wait_until(lambda: time.monotonic() - begin > 1.0, 10, "what was under way ended")
            at = all_seen(server, peer)
            wait_until(lambda: time.monotonic() - begin > 8.5, 12, "longer than any interval")
            self.assertEqual(peer.count, at)
        peer.stop()


class Where(unittest.TestCase):
    def test_refused_addresses(self):
        """Never connected to; they fail softly, three times."""
        peer = Listener()
        with Server(**{"checks.refuse": "127.0.0.0/8,::ffff:10.0.0.0/104,100.100.100.200"}) as server:
            persistent(server, "s", peer.port)
            persistent(server, "s", 80, ip="::ffff:127.0.0.1")
            persistent(server, "s", 80, ip="100.100.100.200")
            wait_within(lambda: page(server)["roster_checks_refused_total"] >= 3, FIRST, "refused")
            self.assertTrue(healthy(server, "s", port=peer.port))
            follow(server, "s", peer.port, False, 2 * 7 + SLACK)
            self.assertFalse(healthy(server, "s", ip="100.100.100.200", port=80))
            self.assertEqual(peer.count, 0)
            self.assertEqual(page(server)["roster_checks_tcp_total"], 0)
        peer.stop()

    def test_default_refuses_metadata_services(self):
        with Server() as server:
            for ip in ("169.254.169.254", "fe80::1", "fd00:ec2::254", "100.100.100.200", "64:ff9b::a9fe:a9fe"):
                persistent(server, "s", 80, ip=ip)
            wait_within(lambda: page(server)["roster_checks_refused_total"] >= 5, FIRST, "refused")
            self.assertEqual(page(server)["roster_checks_tcp_total"], 0)

    def test_names_are_not_resolved(self):
        peer = Listener()
        with Server() as server:
            persistent(server, "s", peer.port, ip="localhost")
            wait_within(lambda: not healthy(server, "s", ip="localhost", port=peer.port), FIRST + 2 * 7, "unhealthy", step=0.1)
            self.assertEqual((peer.count, page(server)["roster_checks_tcp_total"]), (0, 0))
        peer.stop()


class Http(unittest.TestCase):
    def test_follows_a_server(self):
        web = Web()
        with Server() as server:
            persistent(server, "s", web.port, {"type": "HTTP", "path": "/up?x=1", "headers": "X-One:1|X-Two: b |bad|a:b:c"},
                       healthy="false")
            follow(server, "s", web.port, True, FIRST + 7 + 7)
            self.assertGreaterEqual(len(web.asked), 3)
            path, headers = web.asked[0]
            self.assertEqual(path, "/up?x=1")
            self.assertEqual((headers["User-Agent"], headers["X-One"], headers["X-Two"]), ("VIPServer", "1", "b"))
            self.assertEqual(headers["Host"], "127.0.0.1:%d" % web.port)
            self.assertEqual(set(headers), {"User-Agent", "Host", "X-One", "X-Two", "Connection"})
            port = web.port
            web.stop()
            follow(server, "s", port, False, longest(1, 7))
            web = Web(port)
            follow(server, "s", port, True, longest(3, HTTP_MAX))
            self.assertGreaterEqual(len(web.asked), 3)
        web.stop()

    def test_statuses(self):
        """404 at once; 302 and 503 after three, and nothing is followed."""
        webs = {status: Web() for status in (404, 204, 302, 503, None)}
        with Server() as server:
            for status, web in webs.items():
                web.status = status
                persistent(server, "s%s" % status, web.port, {"type": "HTTP", "path": "/up", "headers": ""})
            asked = {}
            for status, web in webs.items():
                follow(server, "s%s" % status, web.port, False, FIRST + 2 * 7)
                asked[status] = len(web.asked)
            for status in (302, 503, None):
                self.assertGreaterEqual(asked[status], 3, status)
            counts = page(server)
            self.assertEqual(counts["roster_checks_flips_total"], 5)
            self.assertGreaterEqual(counts["roster_checks_failed_total"], 3 * 3 + 2)
            for web in webs.values():
                self.assertEqual({path for path, _ in web.asked}, {"/up"})
                web.stop()

    def test_hard_status_needs_one_check(self):
        web = Web()
        web.status = 404
        with Server() as server:
            persistent(server, "s", web.port, {"type": "HTTP", "path": "/up", "headers": ""})
            follow(server, "s", web.port, False, FIRST)
            self.assertEqual(len(web.asked), 1)
        web.stop()

    def test_only_a_path(self):
        """A path that is an address of another server is a path all the same."""
        web, other = Web(), Web()
        with Server() as server:
            persistent(server, "s", web.port, {"type": "HTTP", "path": "http://127.0.0.1:%d/x" % other.port, "headers": ""})
            wait_within(lambda: web.asked, FIRST, "asked")
            self.assertEqual(web.asked[0][0], "/http://127.0.0.1:%d/x" % other.port)
            self.assertEqual(other.asked, [])
        web.stop()
        other.stop()

    def test_lines_cannot_be_injected(self):
        with Server() as server:
            server.request("POST", "/v1/ns/service", {"serviceName": "s"})
            for checker in ({"type": "HTTP", "path": "/\r\nX: y", "headers": ""},
                            {"type": "HTTP", "path": "/", "headers": "a:b\r\nc:d"}):
                self.assertEqual(set_checker(server, "s", checker).status, 400)


class Unchecked(unittest.TestCase):
    def test_health_is_what_was_set(self):
        """Checker NONE: nobody connects, PUT /health decides."""
        peer = Listener()
        with Server() as server:
            persistent(server, "s", peer.port, {"type": "NONE"})
            query = {"serviceName": "s", "ip": "127.0.0.1", "port": peer.port, "healthy": "false"}
            self.assertEqual(server.request("PUT", "/v1/ns/health/instance", query).text, "ok")
            begin = time.monotonic()
            wait_until(lambda: time.monotonic() - begin > 9, 12, "longer than any interval")
            self.assertFalse(healthy(server, "s", port=peer.port))
            self.assertEqual((peer.count, page(server)["roster_checks_tcp_total"]), (0, 0))
            # Once there is a checker it decides.
            self.assertEqual(set_checker(server, "s", {"type": "TCP"}).text, "ok")
            follow(server, "s", peer.port, True, 3 * 7 + SLACK)
        peer.stop()


class Mysql(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.maria = Maria()

    @classmethod
    def tearDownClass(cls):
        cls.maria.remove()

    def checker(self, **more):
        return dict({"type": "MYSQL", "user": "probe", "pwd": "secret", "cmd": "SELECT 1"}, **more)

    def test_follows_a_server(self):
        with Server() as server:
            persistent(server, "s", self.maria.port, self.checker(), healthy="false")
            follow(server, "s", self.maria.port, True, FIRST + 7 + 7)
            self.maria.stop()
            follow(server, "s", self.maria.port, False, longest(1, 7))
            self.maria.start()
            follow(server, "s", self.maria.port, True, longest(3, MYSQL_MAX))
            self.assertGreaterEqual(page(server)["roster_checks_mysql_total"], 7)

    def test_read_only(self):
        command = "show global variables where variable_name='read_only'"
        with Server() as server:
            persistent(server, "s", self.maria.port, self.checker(cmd=command))
            persistent(server, "any", self.maria.port, self.checker())
            # MariaDB may need longer than the half second of a check: such a failure is soft.
            wait_until(lambda: (lambda p: p["roster_checks_mysql_total"] - p["roster_checks_failed_total"] >= 4)(page(server)), FIRST + 7,
                       "four checks passed", step=0.1)
            wait_until(lambda: healthy(server, "s", port=self.maria.port), 21, "healthy")
            failed = page(server)["roster_checks_failed_total"]
            self.maria.sql("SET GLOBAL read_only=1")
            try:
                follow(server, "s", self.maria.port, False, longest(3, 7))
                self.assertGreaterEqual(page(server)["roster_checks_failed_total"] - failed, 3)
                self.assertTrue(healthy(server, "any", port=self.maria.port))
            finally:
                self.maria.sql("SET GLOBAL read_only=0")
            follow(server, "s", self.maria.port, True, longest(3, MYSQL_MAX))

    @best_of_three
    def test_sql_errors_are_hard(self):
        """Each on a server of its own: one check is enough."""
        wrong = {"password": {"pwd": "wrong"}, "command": {"cmd": "SELECT FROM nothing"}, "rows": {"cmd": "DO 1"},
                 "empty": {"cmd": ""}}
        with contextlib.ExitStack() as stack:
            servers = {name: stack.enter_context(Server(workers=1)) for name in wrong}
            for name, server in servers.items():
                persistent(server, name, self.maria.port, self.checker(**wrong[name]))
            waiting = set(wrong)

            def down():
                for name in list(waiting):
                    counts = page(servers[name])
                    if counts["roster_checks_flips_total"]:
                        if counts["roster_checks_failed_total"] != 1:        # the first may have been late: a soft one
                            raise TooSlow("%s: %d failures" % (name, counts["roster_checks_failed_total"]))
                        self.assertFalse(healthy(servers[name], name, port=self.maria.port))
                        waiting.remove(name)
                return not waiting
            wait_within(down, FIRST, "unhealthy after one check", step=0.05)

    def test_long_answers(self):
        with Server() as server:
            command = "SELECT 1 FROM information_schema.collations a, information_schema.collations b"
            persistent(server, "s", self.maria.port, self.checker(cmd=command), healthy="false")
            follow(server, "s", self.maria.port, True, FIRST + 7 + 7)

    def test_peer_that_says_nothing(self):
        """Connected, and then silence: a soft failure each time."""
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen(64)
            port = silent.getsockname()[1]
            with Server() as server:
                persistent(server, "s", port, self.checker())
                wait_within(lambda: page(server)["roster_checks_failed_total"] >= 1, FIRST, "a check failed")
                self.assertTrue(healthy(server, "s", port=port))
                follow(server, "s", port, False, longest(2, 7))


class Beats(unittest.TestCase):
    def test_persistent_never_expires_by_beats(self):
        peer = Listener()
        with Server() as server:
            persistent(server, "s", peer.port, metadata=QUICK)
            server.register("s", "10.0.0.1", 80, metadata=QUICK)
            wait_until(lambda: [h["ip"] for h in server.hosts("s")] == ["127.0.0.1"], 8, "the other one expired")
            wait_within(lambda: peer.count >= 3, FIRST + 14, "checked three times")
            self.assertTrue(healthy(server, "s", port=peer.port))
        peer.stop()

    @best_of_three
    def test_two_thousand_checks_delay_no_beat(self):
        """Half of the peers answer, half keep silent: all places are taken all the time. A lost beat is seen on its tick."""
        listener, deaf = Listener(100), Deaf()
        self.addCleanup(listener.stop)
        with Server() as server, contextlib.closing(deaf), Yardstick() as yardstick:
            ports = [listener.ports[n % 100] for n in range(1000)] + [deaf.port] * 1000
            for n, port in enumerate(ports):
                persistent(server, "p%d" % (n % 100), port, clusterName="c%d" % (n // 100))
            wait_until(lambda: page(server)["roster_checks_tcp_total"] >= 2000, 60, "every one checked", step=0.2)
            late = []
            for n in range(5):
                service, before = "e%d" % n, page(server)["roster_checks_tcp_total"]
                server.register(service, "10.0.0.9", 80, metadata='{"preserved.heart.beat.timeout":"60000",'
                                                                   '"preserved.ip.delete.timeout":"90000"}')
                server.register(service, "10.0.0.1", 80, metadata=QUICK)
                begin = time.monotonic()
                wait_until(lambda: not healthy(server, service, ip="10.0.0.1", port=80), 20, "unhealthy")
                late.append(time.monotonic() - begin - 2)
                self.assertGreater(page(server)["roster_checks_tcp_total"] - before, 500)
            # Ticks are a second apart; the rest is what this test needs to look.
            yardstick.judge((sorted(late)[len(late) // 2] - 1) * 1e3, 1000, "half of the lost beats seen, after their tick")
            yardstick.judge((max(late) - 1) * 1e3, 4000, "the last of the lost beats seen, after its tick")
            yardstick.judge(turn(server) * 1e3, 100 if not roster.SANITIZED else 500, "a turn of the keeper")


def side_by_side():
    """Each class is a process of its own: they mostly wait. The one that loads the machine comes last, alone."""
    passed = failed = 0
    for names in (("TcpHealth", "TcpLife", "Where", "Http", "Unchecked", "Mysql"), ("Beats",)):
        running = [subprocess.Popen([sys.executable, "-W", "ignore", os.path.abspath(__file__), name], stdin=subprocess.DEVNULL,
                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for name in names]
        for process in running:
            text = process.communicate()[0]
            print(text, flush=True)
            lines = re.findall(r"^(\d+) passed, (\d+) failed$", text, re.M) or [(0, 1)]
            passed, failed = passed + int(lines[-1][0]), failed + int(lines[-1][1])
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    if len(sys.argv) > 1:
        roster.main()
    sys.exit(side_by_side())
