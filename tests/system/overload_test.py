#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# runs alone
"""Overload: crowds, floods, slow clients, full memory, full disks, no descriptors. Each time: the others are served within a
bound, memory stays within a bound, refusals say why, and everything is as before when the load has gone, without a restart.
Bounds of time are pieces of work (tests/lib/yardstick.py): two to five times what is measured on a quiet machine.

Full disks are small memory file systems in a mount namespace of this process (needs root, as in CI)."""
import http.client
import json
import os
import re
import resource
import select
import shutil
import socket
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))
import disk  # noqa: E402
import roster  # noqa: E402
from roster import Server, Subscriber, wait_until  # noqa: E402
from yardstick import TooSlow, Yardstick, best_of_three  # noqa: E402

TOOLS = os.path.join(os.path.dirname(roster.ROSTERD), "tests", "system")
BEAT = "/nacos/v1/ns/instance/beat?serviceName=innocent&ip=10.0.0.1&port=80"
MIB = 1 << 20
HUNG_S = 60               # only ends a test that would stand for ever


def say(text, *values):
    print("   " + text % values, flush=True)


def pss(server):
    """Proportional memory of all processes of the server."""
    total = 0
    for pid in server.children() + [server.proc.pid]:
        with open("/proc/%d/smaps_rollup" % pid) as f:
            total += int(re.search(r"^Pss:\s+(\d+) kB", f.read(), re.M).group(1)) * 1024
    return total


def cpu_s(pid):
    fields = open("/proc/%d/stat" % pid).read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def counter(server, name):
    text = server.request("GET", "/actuator/prometheus", timeout=30).text
    return sum(float(v) for v in re.findall(r"^%s(?:\{[^}]*\})? (\S+)$" % name, text, re.M))


def tool(*args, **more):
    return subprocess.Popen([os.path.join(TOOLS, args[0])] + [str(a) for a in args[1:]], stdout=subprocess.PIPE, text=True, **more)


def fields(line):
    """"sent 5 ok 5" as a dict."""
    words = line.split()
    return dict(zip(words[::2], map(int, words[1::2])))


class Innocents:
    """Ten kept connections with a beat every 50 ms each, and a new connection every 20 ms, while something else goes on."""

    def __init__(self, server, seconds, bound):
        server.register("innocent", "10.0.0.1", 80)
        self.seconds, self.bound = seconds, bound
        self.yardstick = Yardstick()
        self.proc = tool("hammer", server.port, 10, 50, 20, seconds, BEAT)
        assert self.proc.stdout.readline() == "started\n"

    def kill(self):
        self.proc.kill()
        self.proc.communicate()
        self.yardstick.end()

    def check(self, case, what):
        out = self.proc.communicate(timeout=self.seconds + HUNG_S)[0].splitlines()
        self.yardstick.end()
        case.assertEqual(self.proc.returncode, 0, out)
        got = re.match(r"requests (\d+) slowest_us (\d+) new (\d+) slowest_new_us (\d+) bad (\d+) closed \d+$", out[-1])
        requests, slowest, new, slowest_new, bad = map(int, got.groups())
        broken = [line for line in out if line.startswith("broken")]
        say("%s: others: %d requests, slowest %.1f ms; %d new connections, slowest %.1f ms; %d pieces of work %.1f ms", what,
            requests, slowest / 1e3, new, slowest_new / 1e3, self.bound, self.yardstick.slowest_ms(self.bound))
        case.assertEqual((bad, broken), (0, []))
        if min(requests, new) == 0:
            raise TooSlow(what + ": nobody was answered")
        self.yardstick.judge(max(slowest, slowest_new) / 1e3, self.bound, what)


class Load(unittest.TestCase):
    def server(self, **options):
        s = Server(**dict({"workers": 2}, **options))
        s.__enter__()
        self.addCleanup(lambda: s.__exit__(None, None, None))
        return s

    def memory_back(self, server, before, allowed):
        wait_until(lambda: pss(server) < before + allowed, HUNG_S, "memory given back: %d, before %d" % (pss(server), before), 0.1)


class Crowd(Load):
    @best_of_three
    def test_idle_connections(self):
        """20,000 idle connections over two workers."""
        s = self.server()
        s.register("idle", "10.0.0.1", 80)
        before = pss(s)
        crowd = [tool("overload", "idle", s.port, 5000, n * 10, stdin=subprocess.PIPE) for n in range(4)]
        self.addCleanup(lambda: [c.kill() for c in crowd if c.poll() is None])
        self.assertEqual([c.stdout.readline() for c in crowd], ["open 5000 failed 0\n"] * 4)
        self.assertGreaterEqual(counter(s, "roster_process_connections"), 20000)
        each = (pss(s) - before) / 20000
        others = Innocents(s, 3, 50)
        others.check(self, "20,000 idle connections, %.0f bytes each" % each)
        self.assertLess(each, 1500)
        slowest = 0
        with Yardstick() as yardstick:
            for c in crowd:
                c.stdin.write("ask\n")
                c.stdin.flush()
                got = fields(c.stdout.readline())
                self.assertEqual((got["answered"], got["broken"]), (5000, 0))
                slowest = max(slowest, got["slowest_us"] / 1e3)
        say("5,000 of them ask at once: slowest %.1f ms", slowest)
        yardstick.judge(slowest, 150, "one of 5,000 that ask at once")
        for c in crowd:
            c.stdin.close()
        self.assertEqual([c.wait(HUNG_S) for c in crowd], [0] * 4)
        wait_until(lambda: counter(s, "roster_process_connections") < 10, HUNG_S, "all gone")
        self.memory_back(s, before, 16 * MIB)

    def test_connections_over_the_limit(self):
        """http.connections: 503 for each one more, and room again at once when one leaves."""
        s = self.server(workers=1, **{"http.connections": 100})
        held = [socket.create_connection(("127.0.0.1", s.port), 10) for _ in range(100)]
        wait_until(lambda: pss(s) > 0 and self.refused(s), HUNG_S, "the limit")
        held.pop().close()
        wait_until(lambda: not self.refused(s), HUNG_S, "room again")
        for sock in held:
            sock.close()
        self.assertGreater(counter(s, "roster_http_refused_total"), 0)

    def refused(self, server):
        try:
            return server.request("GET", "/v1/console/health/liveness").status == 503
        except (http.client.HTTPException, ConnectionError):
            return True


class Slow(Load):
    @best_of_three
    def test_slow_senders(self):
        """Heads and bodies that never end: 408 at http.head_timeout and http.body_timeout, however they trickle."""
        s = self.server(**{"http.head_timeout": "1500ms", "http.body_timeout": "1500ms"})
        before = pss(s)
        head = b"PUT %s HTTP/1.1\r\nHost: x\r\n" % BEAT.encode()
        begin = time.monotonic()
        socks = {socket.create_connection(("127.0.0.1", s.port), 10): n % 3 for n in range(600)}
        for sock, kind in socks.items():
            sock.sendall((head + b"X: ", head + b"Content-Length: 100000\r\n\r\nabc",
                          head + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab")[kind])
        others = Innocents(s, 3, 80)
        peak, answers = 0, {}
        while len(answers) < len(socks) and time.monotonic() < begin + HUNG_S:
            for sock in set(socks) - set(answers):
                if select.select([sock], [], [], 0)[0]:
                    answers[sock] = sock.recv(4096)[:12]
                elif socks[sock] == 0:
                    try:
                        sock.send(b"x")      # a head that goes on and on
                    except OSError:
                        answers[sock] = sock.recv(4096)[:12]
            peak = max(peak, pss(s))
        took = time.monotonic() - begin
        self.assertEqual(set(answers.values()), {b"HTTP/1.1 408"})
        self.assertEqual(len(answers), 600)
        for sock in socks:
            sock.close()
        others.check(self, "600 slow senders, all 408 after %.1f s, %.1f MiB more" % (took, (peak - before) / MIB))
        others.yardstick.judge(took * 1e3 - 1500, 3000, "600 slow senders told, after their 1.5 s")
        self.assertLess(peak - before, 32 * MIB)
        self.assertGreaterEqual(counter(s, "roster_http_timeouts_total"), 600)

    @best_of_three
    def test_slow_readers(self):
        """Large answers that nobody reads: bounded memory, cut off at http.write_timeout."""
        s = self.server(**{"http.write_timeout": "2s"})
        fill(s, "large", 3000)
        size = len(s.request("GET", "/v1/ns/instance/list", {"serviceName": "large"}).body)
        before = pss(s)
        socks = []
        for n in range(100):
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            sock.connect(("127.0.0.1", s.port))
            sock.sendall(b"GET /nacos/v1/ns/instance/list?serviceName=large HTTP/1.1\r\nHost: x\r\n\r\n" * 50)
            socks.append(sock)
        others = Innocents(s, 3, 50)
        peak = 0

        def all_cut_off():
            nonlocal peak
            peak = max(peak, pss(s))
            return counter(s, "roster_http_timeouts_total") >= 100
        wait_until(all_cut_off, HUNG_S, "cut off")
        others.check(self, "100 slow readers of %d KiB, 50 asked each, %.1f MiB more" % (size >> 10, (peak - before) / MIB))
        # One answer each is in memory, no more, whatever they asked for.
        self.assertLess(peak - before, 100 * size * 1.3 + 16 * MIB)
        for sock in socks:
            sock.close()
        self.memory_back(s, before, 16 * MIB)

    @best_of_three
    def test_memory_is_bounded(self):
        """http.memory: large answers that nobody takes and large bodies that never end, more than there may be."""
        s = self.server(workers=1, **{"http.memory": "32MiB", "http.body": "8MiB"})
        fill(s, "large", 1500)
        before, socks = pss(s), []
        self.addCleanup(lambda: [sock.close() for sock in socks])
        others = Innocents(s, 3, 600)
        for n in range(100):
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            sock.connect(("127.0.0.1", s.port))
            sock.sendall(b"GET /nacos/v1/ns/instance/list?serviceName=large HTTP/1.1\r\nHost: x\r\n\r\n" * 8)
            socks.append(sock)
        cut = wait_until(lambda: counter(s, "roster_http_memory_refused_total"), HUNG_S, "somebody cut off")
        peak = pss(s)
        for sock in socks:
            sock.close()
        self.memory_back(s, before, 16 * MIB)
        bodies = []
        for n in range(20):
            sock = socket.create_connection(("127.0.0.1", s.port), 10)
            bodies.append(sock)
            with_body = b"PUT %s HTTP/1.1\r\nHost: x\r\nContent-Length: 8000000\r\n\r\n" % BEAT.encode() + b"x" * 4000000
            try:
                sock.sendall(with_body)
            except OSError:
                pass
            peak = max(peak, pss(s))
        wait_until(lambda: counter(s, "roster_http_memory_refused_total") > cut, HUNG_S, "a sender cut off")
        told = [sock.recv(12) for sock in select.select(bodies, [], [], HUNG_S)[0]]
        self.assertIn(b"HTTP/1.1 503", told)
        for sock in bodies:
            sock.close()
        others.check(self, "more than http.memory: %d readers and %d senders cut off, %.1f MiB more" %
                     (cut, len(told), (peak - before) / MIB))
        self.assertLess(peak - before, 32 * MIB + 24 * MIB)
        self.memory_back(s, before, 16 * MIB)
        self.assertEqual(len(s.hosts("large")), 1500)


class Drip:
    """Readers of a long list that take a few bytes now and then."""
    def __init__(self, port):
        self.port, self.socks, self.over = port, [], threading.Event()
        self.thread = threading.Thread(target=self.read)
        self.thread.start()

    def add(self, count):
        for _ in range(count):
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            sock.settimeout(HUNG_S)
            sock.connect(("127.0.0.1", self.port))
            sock.sendall(b"GET /nacos/v1/ns/instance/list?serviceName=large HTTP/1.1\r\nHost: x\r\n\r\n")
            assert sock.recv(1) == b"H"
            self.socks.append(sock)

    def read(self):
        while not self.over.wait(0.02):
            for sock in list(self.socks):
                try:
                    sock.recv(256, socket.MSG_DONTWAIT)
                except OSError:
                    pass

    def end(self):
        self.over.set()
        self.thread.join()
        for sock in self.socks:
            sock.close()


class Hogs(Load):
    def test_who_holds_most_for_longest_is_cut(self):
        """More slow readers of a long list than http.memory has room for: whoever takes the list as it comes gets it whole."""
        s = self.server(workers=1, **{"http.memory": "64MiB", "http.write_timeout": "10m"})
        self.assertEqual(set(fill(s, "large", 18000)), {200})
        slow = Drip(s.port)
        self.addCleanup(slow.end)
        slow.add(20)
        for n in range(6):
            slow.add(4)
            conn = http.client.HTTPConnection("127.0.0.1", s.port, timeout=HUNG_S)
            conn.request("GET", "/nacos/v1/ns/instance/list?serviceName=large")
            answer = conn.getresponse()
            body = answer.read()        # IncompleteRead when it is cut
            conn.close()
            self.assertEqual((answer.status, len(json.loads(body)["hosts"])), (200, 18000))
        cut = counter(s, "roster_http_memory_refused_total")
        self.assertGreaterEqual(cut, 6)         # the kernel holds a part of each list, how much is its business
        self.assertLessEqual(cut, 44)
        s.wait_log(r"op=cut-connection cause=http\.memory source=127\.0\.0\.1 held=\d{7,} still_ms=\d+ waits_for=reader")
        say("lists of %.1f MiB: 6 of 6 whole, %d of 44 slow readers cut off", len(body) / MIB, cut)


def fill(server, service, count, first=0):
    """Registers instances, pipelined; returns the statuses."""
    with socket.create_connection(("127.0.0.1", server.port), 30) as sock:
        found = []
        for start in range(first, first + count, 500):
            batch = range(start, min(start + 500, first + count))
            sock.sendall(b"".join(b"POST /nacos/v1/ns/instance?serviceName=%s&ip=10.%d.%d.%d&port=80&metadata=k=%s HTTP/1.1\r\n"
                                  b"Host: x\r\nContent-Length: 0\r\n\r\n" %
                                  (service.encode(), n >> 16 & 255, n >> 8 & 255, n & 255, b"v" * 200) for n in batch))
            raw = b""
            while len(re.findall(rb"HTTP/1\.1 \d+", raw)) < len(batch):
                more = sock.recv(1 << 20)
                if not more:
                    break
                raw += more
            found += [int(x) for x in re.findall(rb"HTTP/1\.1 (\d+)", raw)]
            if found[-1] != 200:
                break
    return found


class Flood(Load):
    def flood(self, s, what, connections, depth, seconds, method, target, bound):
        others = Innocents(s, seconds, bound)
        before, peak = pss(s), 0
        proc = tool("overload", "flood", s.port, connections, depth, seconds, method, target)
        while proc.poll() is None:
            peak = max(peak, pss(s))
            roster.pause(0.05)
        got = fields(proc.stdout.read())
        others.check(self, "%s: %d requests/s, %.1f MiB more" % (what, got["per_second"], (peak - before) / MIB))
        self.assertEqual((got["other"], got["broken"], got["sent"]), (0, 0, got["ok"]))
        self.assertLess(peak - before, 64 * MIB)
        return got

    @best_of_three
    def test_pipelining(self):
        s = self.server()
        begin, sent = time.monotonic(), 100000
        s.register("innocent", "10.0.0.1", 80)
        before = pss(s)
        with socket.create_connection(("127.0.0.1", s.port), 30) as sock:
            sock.setblocking(False)
            data = b"PUT %s HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n" % BEAT.encode() * sent
            at = answers = peak = 0
            tail = b""
            while answers < sent:
                ready, writable, _ = select.select([sock], [sock] if at < len(data) else [], [], HUNG_S)
                self.assertTrue(ready or writable, "answers stand still")
                if writable:
                    at += sock.send(data[at:at + 1048576])
                if ready:
                    more = tail + sock.recv(1048576)
                    answers += more.count(b"HTTP/1.1 200")
                    tail = more[-11:]
                if answers % 7 == 0:
                    peak = max(peak, pss(s))
        say("100,000 requests ahead on one connection: %.2f s, %.1f MiB more", time.monotonic() - begin, (peak - before) / MIB)
        self.assertLess(peak - before, 16 * MIB)
        self.flood(s, "one connection, 1,000 ahead", 1, 1000, 3, "PUT", BEAT, 30)
        self.flood(s, "100 connections, 200 ahead", 100, 200, 3, "PUT", BEAT, 60)

    @best_of_three
    def test_pipelined_expensive_requests(self):
        """600 pages of metrics ahead on each of 20 connections: each has its turn."""
        s = self.server()
        self.flood(s, "20 connections, 600 pages ahead", 20, 600, 3, "GET", "/nacos/actuator/prometheus", 80)


class Change(Load):
    @best_of_three
    def test_storm_on_one_service(self):
        s = self.server()
        beats = fields(tool("overload", "flood", s.port, 4, 64, 1, "PUT", BEAT).communicate(timeout=HUNG_S)[0])
        subscriber = Subscriber(s, "storm")
        self.addCleanup(subscriber.close)
        others = Innocents(s, 6, 40)
        before = pss(s)
        storm = tool("overload", "storm", s.port, 4, 64, 5, "storm")
        begin, peak = time.monotonic(), 0
        while storm.poll() is None:
            subscriber.receive(0.2)
            peak = max(peak, pss(s))
        took = time.monotonic() - begin
        got = fields(storm.stdout.read())
        # When the server made them: on their way here they may wait for one another.
        pushes = [packet["lastRefTime"] / 1e6 for packet in subscriber.packets]
        gaps = [b - a for a, b in zip(pushes, pushes[1:])]
        say("change storm: %d changes/s on one service, %d beats/s before; %d pushes in %.1f s", got["per_second"],
            beats["per_second"], len(pushes), took)
        others.check(self, "change storm")
        self.assertEqual((got["other"], got["broken"], got["sent"]), (0, 0, got["ok"]))
        self.assertGreater(got["ok"], 0)
        if got["per_second"] * 30 < beats["per_second"]:
            raise TooSlow("%d changes/s, %d beats/s" % (got["per_second"], beats["per_second"]))
        self.assertGreaterEqual(len(gaps), 1)
        if min(gaps) <= 0.9:        # behind one that was late the next one is not; more often than that it would be the server
            raise TooSlow("pushes %s s apart" % gaps)
        others.yardstick.judge(max(gaps) * 1e3 - 1000, 500, "the next push, after the merge delay")
        self.assertLess(peak - before, 32 * MIB)
        # The last push has the last state.
        final = sorted((h["ip"], h["weight"]) for h in s.hosts("storm"))
        if sorted((h["ip"], h["weight"]) for h in subscriber.packets and self.last(subscriber) or []) != final:
            subscriber.wait_for(lambda data: sorted((h["ip"], h["weight"]) for h in data["hosts"]) == final, HUNG_S, "the last state")

    def last(self, subscriber):
        import json
        return json.loads(subscriber.packets[-1]["data"])["hosts"]


class Audience(Load):
    @best_of_three
    def test_subscribers(self):
        """100,000 subscribers of one service, from 100 addresses; then a change."""
        s = self.server(**{"segment.limit": "512MiB", "push.subscriber_life": "30s", "push.ack_wait": "3s"})
        s.register("crowd", "10.0.0.1", 80)
        before = pss(s)
        got = fields(tool("overload", "subscribe", s.port, 100, 1000, 20000, "crowd").communicate(timeout=120)[0])
        self.assertEqual((got["ok"], got["other"], got["broken"]), (100000, 0, 0))
        real = Subscriber(s, "crowd")
        self.addCleanup(real.close)
        self.assertEqual(counter(s, "roster_subscribers"), 100001)
        each = (pss(s) - before) / 100000
        others = Innocents(s, 6, 30)
        bystander = Subscriber(s, "bystander")
        self.addCleanup(bystander.close)
        wait_until(lambda: counter(s, "roster_push_queue_services") == 0, HUNG_S, "earlier changes pushed")
        pushed = counter(s, "roster_push_total")
        begin = time.monotonic()
        s.register("crowd", "10.0.0.2", 80)
        s.register("bystander", "10.0.0.3", 80)
        bystander.wait_for(lambda data: len(data["hosts"]) == 1, HUNG_S, "the bystander's push")
        near = time.monotonic() - begin
        real.wait_for(lambda data: len(data["hosts"]) == 2, HUNG_S, "the push")
        mine = time.monotonic() - begin
        wait_until(lambda: counter(s, "roster_push_total") >= pushed + 100002, HUNG_S, "all pushed", 0.02)
        done = time.monotonic() - begin
        peak = pss(s)
        say("100,000 subscribers: %d/s subscribed, %.0f bytes each; a change was with all after %.2f s (1 s of it merge delay), with "
            "one of another service after %.2f s, with the last to come after %.2f s; %.1f MiB in all", got["per_second"], each, done,
            near, mine, peak / MIB)
        others.check(self, "a push to 100,000")
        self.assertLess(each, 700)
        others.yardstick.judge(done * 1e3 - 1000, 3000, "all pushed, after the merge delay")
        others.yardstick.judge(near * 1e3 - 1000, 1500, "the bystander's push, after the merge delay")
        self.assertLess(peak - before, 200 * MIB)
        # Nobody acknowledges but one: they are dropped.
        wait_until(lambda: counter(s, "roster_subscribers") <= 2, 120, "the silent ones dropped", 0.2)


class Full(Load):
    @classmethod
    def setUpClass(cls):
        disk.own_mounts()

    def start_fails(self, **options):
        s = Server(check=False, **options)
        self.addCleanup(lambda: shutil.rmtree(s.folder, ignore_errors=True))
        done = subprocess.run(s.command(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=HUNG_S)
        self.assertNotEqual(done.returncode, 0)
        self.assertGreater(done.returncode, 0, "a signal")
        return done.stdout + done.stderr + s_log(s)

    @best_of_three
    def test_registry_full(self):
        s = self.server(**{"segment.limit": "8MiB"})
        s.register("innocent", "10.0.0.1", 80)
        before = pss(s)
        found = fill(s, "many", 100000)
        self.assertEqual(found[-1], 503)
        room = found.count(200)
        reply = s.request("POST", "/v1/ns/instance", {"serviceName": "many", "ip": "10.99.0.1", "port": 80, "metadata": "k=" + "v" * 200})
        self.assertEqual((reply.status, reply.text), (503, "caused: segment.limit reached: 8388608;"))
        self.assertGreaterEqual(counter(s, "roster_full_refused_total"), 2)
        # What exists is served, kept alive, pushed, changed in place and removed.
        others = Innocents(s, 3, 60)
        self.assertEqual(s.beat("many", "10.0.0.9", 80), 10200)
        self.assertEqual(len(s.hosts("many")), room)
        self.assertEqual(s.beat("nobody", "10.0.0.9", 80), 20404)
        others.check(self, "registry full at %d instances, %.1f MiB more" % (room, (pss(s) - before) / MIB))
        self.assertLess(pss(s) - before, 64 * MIB)
        for n in range(300):
            s.deregister("many", "10.0.%d.%d" % (n >> 8, n & 255), 80)
        s.register("many", "10.99.0.1", 80, metadata="k=" + "v" * 200)
        self.assertEqual(s.request("GET", "/v1/console/health/readiness").status, 200)

    @best_of_three
    def test_descriptors_used_up(self):
        s = self.server(workers=1)
        s.register("innocent", "10.0.0.1", 80)
        worker = s.child("worker/0")
        others = Innocents(s, 5, 40)       # ten kept connections; new ones come before and after
        used = len(os.listdir("/proc/%d/fd" % worker))
        limits = resource.prlimit(worker, resource.RLIMIT_NOFILE)
        kept = http.client.HTTPConnection("127.0.0.1", s.port, timeout=roster.HUNG_S)
        self.assertEqual(s.request("PUT", BEAT[6:], conn=kept).status, 200)
        others.kill()
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (used + 40, limits[1]))
        socks = [socket.create_connection(("127.0.0.1", s.port), 10) for _ in range(200)]
        refused = wait_until(lambda: (lambda ready: ready if len(ready) > 100 else None)(select.select(socks, [], [], 0)[0]),
                             HUNG_S, "those over the limit told")
        self.assertEqual({sock.recv(12) for sock in refused}, {b"HTTP/1.1 503"})
        self.assertEqual(s.request("PUT", BEAT[6:], conn=kept).status, 200)
        # Below what it has open: not even the spare one helps. The queue is full of connections all the time.
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (3, limits[1]))
        waiting = [socket.create_connection(("127.0.0.1", s.port), 10) for _ in range(50)]
        begin, cpu, slowest = time.monotonic(), cpu_s(worker), 0
        with Yardstick() as yardstick:
            while time.monotonic() < begin + 2:
                asked = time.monotonic()
                self.assertEqual(s.request("PUT", BEAT[6:], conn=kept).status, 200)
                slowest = max(slowest, time.monotonic() - asked)
                roster.pause(0.02)
        share = (cpu_s(worker) - cpu) / (time.monotonic() - begin)
        say("no descriptors: %d of 200 told 503, the worker takes %.1f %% of a core, a kept connection %.1f ms at most",
            len(refused), share * 100, slowest * 1e3)
        self.assertLess(share, 0.25)
        yardstick.judge(slowest * 1e3, 40, "a kept connection, without descriptors")
        resource.prlimit(worker, resource.RLIMIT_NOFILE, limits)
        for sock in socks:
            sock.close()
        self.assertEqual(s.request("GET", "/v1/console/health/liveness").status, 200)
        for sock in waiting:
            sock.sendall(b"GET /nacos/v1/console/health/liveness HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertEqual(sock.recv(12), b"HTTP/1.1 200")
            sock.close()
        self.assertGreater(counter(s, "roster_http_accept_pauses_total"), 0)
        self.assertEqual(s.child("worker/0"), worker)

    @best_of_three
    def test_log_disk_full(self):
        small = disk.small(self, 64)
        s = type("LogElsewhere", (Server,), {"log_path": small + "/log"})(
            **{"log.level": "debug", "log.file": small + "/log", "operator.allow": "10.0.0.1"})
        with s:
            ballast = disk.stuff(small)
            others = Innocents(s, 3, 40)
            # Each refusal of an operator's write is a line (debug); the source is not in operator.allow.
            conn = http.client.HTTPConnection("127.0.0.1", s.port, timeout=roster.HUNG_S)
            wait_until(lambda: self.noise(s, conn) and counter(s, "roster_log_lost_total") > 20, HUNG_S, "lines lost")
            s.kill_child("pusher")
            s.proc.send_signal(10)          # SIGUSR1: opens it again, still full
            others.check(self, "log disk full")
            conn.close()
            lost = counter(s, "roster_log_lost_total")
            os.unlink(ballast)
            old = s.child("pusher")
            os.kill(old, 9)
            s.wait_replaced("pusher", old)
            s.wait_log(r"op=child-exit name=pusher pid=%d " % old)
            say("log disk full: %d lines lost, the next ones were written", lost)

    def noise(self, server, conn):
        for _ in range(10):
            server.request("PUT", "/v1/ns/operator/log", {"logName": "x", "logLevel": "DEBUG"}, conn=conn)
        return True

    def test_log_to_a_full_device(self):
        """As standard error: a file of that kind is refused as log.file."""
        s = Server(**{"log.file": ""})
        s.stderr = open("/dev/full", "ab", buffering=0)
        s.proc = subprocess.Popen(s.command(), stdin=subprocess.DEVNULL, stdout=s.stderr, stderr=s.stderr)
        self.addCleanup(lambda: shutil.rmtree(s.folder, ignore_errors=True))
        try:
            s.port = int(wait_until(lambda: os.path.exists(s.folder + "/run/port") and open(s.folder + "/run/port").read().strip(), HUNG_S,
                                    "the port file"))
            wait_until(lambda: s.request("GET", "/v1/console/health/liveness").status == 200, HUNG_S, "serving")
        finally:
            self.assertEqual(s.stop(), 0)

    def test_run_full_at_the_start(self):
        run = disk.small(self, 9216)
        why = self.start_fails(**{"segment.dir": run, "segment.limit": "64MiB"})
        self.assertRegex(why, r"op=start what=segment why=\"segment.limit 64 MiB, but the file system has \d+ MiB free")
        disk.stuff(run)
        why = self.start_fails(**{"segment.dir": run, "segment.limit": "8MiB"})
        self.assertRegex(why, r"op=start what=segment why=\"segment.limit 8 MiB, but the file system has 0 MiB free")

    @best_of_three
    def test_run_full_while_serving(self):
        """segment.dir and runtime_dir on one full memory file system: refused is what needs room; nothing dies."""
        run = disk.small(self, 20480)
        s = Server(**{"segment.dir": run, "runtime_dir": run, "segment.limit": "16MiB"})
        with s:
            s.register("innocent", "10.0.0.1", 80)
            found = fill(s, "some", 500)
            self.assertEqual(set(found), {200})
            children = s.children()
            ballast = disk.stuff(run)
            others = Innocents(s, 3, 40)
            found = fill(s, "many", 100000)
            self.assertEqual(found[-1], 503)
            self.assertEqual(s.request("POST", "/v1/ns/instance", {"serviceName": "many", "ip": "10.99.0.1", "port": 80,
                                       "metadata": "k=" + "v" * 200}).text, "caused: segment.limit reached: 16777216;")
            self.assertEqual(len(s.hosts("some")), 500)
            s.kill_child("worker/0")          # a successor needs no room either
            self.assertEqual(len(s.hosts("some")), 500)
            others.kill()
            others = Innocents(s, 2, 40)
            others.check(self, "/run full: %d more instances found room" % found.count(200))
            os.unlink(ballast)
            self.assertEqual(set(fill(s, "many", 2000, first=200000)), {200})
            self.assertEqual(len([c for c in s.children() if c in children]), len(children) - 1)
            # A restart over a file system that is full again: what is there is taken over.
            self.assertEqual(s.stop(), 0)
            ballast = disk.stuff(run)
            s.start()
            self.assertEqual(len(s.hosts("some")), 500)
            self.assertIn("No space left on device", s.log_text())
            os.unlink(ballast)


def s_log(server):
    return open(server.log_path).read() if os.path.exists(server.log_path) else ""


if __name__ == "__main__":
    roster.main()
