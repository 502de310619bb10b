# SPDX-License-Identifier: Apache-2.0
"""The harness of the black-box tests: starts a real rosterd in an empty folder on a free port, talks to it,
waits for conditions (never for time), and ends it by its own process id.

Environment: ROSTERD = the binary to test (default build/rosterd of this checkout).
Standard library only.
"""
import contextlib
import glob
import gzip
import http.client
import json
import os
import random
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.parse

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ROSTERD = os.environ.get("ROSTERD", os.path.join(TOP, "build", "rosterd"))
SANITIZED = "asan" in os.path.basename(os.path.dirname(ROSTERD))
LONG_TURN_MS = 10                       # of the processor, and what a build with sanitizers may take
LONG_TURN_SANITIZED_MS = 100
TRIES = 3                               # of a file in which nothing was wrong but that turns were too long
HUNG_S = 180 if SANITIZED else 60       # no wait ends earlier: it only ends what hangs, on the slowest machine too
JAVA = {"User-Agent": "Nacos-Java-Client:v1.4.2"}


class LongTurns(AssertionError):
    """Turns of a server used the processor for too long. A virtual machine counts as such what its host took: of memory that a
    process touches for the first time, above all. So main() asks again: a turn that is long by itself is long each time."""


def pause(seconds):
    """One step of a polling loop; the only place that lets time pass."""
    select.select([], [], [], seconds)


def wait_until(condition, timeout, what, step=0.01):
    """Polls condition() until it is true; returns its value. Fails loudly with `what`, after HUNG_S at the earliest."""
    end = time.monotonic() + max(timeout, HUNG_S)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("not within %.1f s: %s" % (max(timeout, HUNG_S), what))
        pause(step)


def wait_within(condition, limit, what, step=0.01):
    """wait_until for a limit that is under test. It counts polls, each for what the quickest took: time that a neighbour takes
    from this process and from the server's answers is not the server's delay."""
    polls, quickest = 0, float("inf")
    while True:
        begin = time.monotonic()
        value = condition()
        if value:
            return value
        if polls * quickest > limit:
            raise AssertionError("not within %.1f s: %s" % (limit, what))
        pause(step)
        polls, quickest = polls + 1, min(quickest, time.monotonic() - begin)


class Reply:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    @property
    def json(self):
        return json.loads(self.body)


class Server:
    """A running rosterd. with Server(workers=2, **{"push.delay": "100ms"}) as s: ...

    When it ends, the test fails if one of its processes was outside of its sandbox, or held its loop for too long (op=long-turn).
    long_turns: the test provokes that on purpose."""

    def __init__(self, folder=None, args=(), env=None, check=True, binary=None, long_turns=False, **options):
        self.own_folder = folder is None
        self.folder = folder or tempfile.mkdtemp(prefix="roster-test-", dir=os.environ.get("ROSTER_TEST_TMP"))
        self.args, self.env, self.check = list(args), env or {}, check
        self.binary, self.long_turns = binary or ROSTERD, long_turns
        self.options = {"listen.port": "0", "listen.address": "127.0.0.1", "runtime_dir": self.folder + "/run",
                        "segment.dir": self.folder + "/seg", "segment.limit": "256MiB", "workers": "2",
                        "log.file": self.folder + "/log"}
        self.context = options.get("context.path", "/nacos").rstrip("/")
        self.options.update({key.replace("__", "."): str(value) for key, value in options.items()})
        self.proc, self.port, self.push_port = None, 0, 0
        os.makedirs(self.folder + "/seg", mode=0o700, exist_ok=True)

    # -- life -----------------------------------------------------------------
    def tool(self, *args, binary=None):
        """The command line of a rosterd that does something else with the options of this server."""
        line = [binary or self.binary] + list(args)
        for key, value in self.options.items():
            line += ["-o", "%s=%s" % (key, value)]
        return line

    def run_tool(self, *args, binary=None, env=None, **more):
        # The leak checker cannot look into a process that gave rights up.
        return subprocess.run(self.tool(*args, binary=binary), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=2 * HUNG_S, env=dict(os.environ, ASAN_OPTIONS="detect_leaks=0", **(env or {})), **more)

    def command(self):
        return self.tool("-f", *self.args)

    def start(self, timeout=20, pass_fds=()):
        self.log_from = os.path.getsize(self.log_path) if os.path.exists(self.log_path) else 0
        self.stderr = open(self.folder + "/stderr", "ab")
        env = dict(os.environ, **self.env)
        self.proc = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=self.stderr, stderr=self.stderr,
                                     env=env, pass_fds=pass_fds)
        line = self.wait_log(r"op=ready .*", timeout)
        self.port = int(re.search(r"\bport=(\d+)", line).group(1))
        self.push_port = int(re.search(r"push_port=(\d+)", line).group(1))
        return self

    def stop(self, sig=signal.SIGTERM, timeout=20):
        if self.proc and self.proc.poll() is None:
            self.proc.send_signal(sig)
            self.proc.wait(max(timeout, HUNG_S))
        code = self.proc.returncode if self.proc else None
        if self.proc:
            self.stderr.close()
        self.proc = None
        return code

    def kill_all(self):
        """SIGKILL to the master and every child, as a power cut of the process table: the master stands still first, or it would
        put somebody in the place of a child that went before it."""
        os.kill(self.proc.pid, signal.SIGSTOP)
        pids = self.children() + [self.proc.pid]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.proc.wait(HUNG_S)
        for pid in pids:
            wait_until(lambda p=pid: not alive(p), 20, "process %d gone" % pid)
        self.stderr.close()
        self.proc = None

    def registry_audit(self):
        """rosterd --check on the segment left behind: every invariant of the registry."""
        done = self.run_tool("--check")
        if done.returncode != 0:
            raise AssertionError("registry check failed: " + done.stdout + done.stderr)
        return done.stdout

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise

    def __exit__(self, kind, value, trace):
        try:
            code = self.stop() if self.proc else None
            if kind is None and self.check:
                if code not in (0, None):
                    raise AssertionError("rosterd left with %r" % code)
                self.registry_audit()
            turns = self.report_log()
            if kind is None and turns and not self.long_turns:      # what failed otherwise stays the reason
                raise LongTurns("turns that were too long:\n" + "\n".join(turns))
        except BaseException:
            if self.proc and self.proc.poll() is None:
                self.kill_all()
            self.dump()
            raise
        else:
            if kind is not None:
                self.dump()
        finally:
            if self.own_folder:
                shutil.rmtree(self.folder, ignore_errors=True)

    def report_log(self):
        """Fails on what must not be in a log; returns the turns that were too long."""
        turns = []
        for name in ("stderr", "log"):
            path = os.path.join(self.folder, name)
            if os.path.exists(path):
                text = open(path, errors="replace").read()
                if "runtime error:" in text or "ERROR: AddressSanitizer" in text or "LeakSanitizer" in text:
                    raise AssertionError("sanitizer report:\n" + text[-4000:])
                # A child asked the kernel for what its role has no row for: the table lacks it, or something is wrong.
                if "op=sandbox-refused" in text:
                    raise AssertionError("outside the sandbox: %s" % set(re.findall(r"op=sandbox-refused .*", text)))
                turns += long_turns(text, "asan" in os.path.basename(os.path.dirname(self.binary)))
        return turns

    def dump(self):
        for name in ("log", "stderr"):
            path = os.path.join(self.folder, name)
            if os.path.exists(path):
                sys.stderr.write("---- %s\n%s\n" % (name, open(path, errors="replace").read()[-6000:]))

    # -- looking at it -----------------------------------------------------------
    @property
    def log_path(self):
        return self.folder + "/log"

    def log_text(self):
        if not os.path.exists(self.log_path):
            return ""
        with open(self.log_path, errors="replace") as f:
            f.seek(self.log_from)
            return f.read()

    def wait_log(self, pattern, timeout=20, count=1):
        """Waits for the count-th line that matches since the start; returns that match's text."""
        def look():
            found = list(re.finditer(pattern, self.log_text()))
            if len(found) >= count:
                return found[count - 1].group(0)
            if self.proc and self.proc.poll() is not None and len(found) < count:
                raise AssertionError("rosterd ended with %r: %s%s" % (self.proc.returncode, self.log_text(),
                                     open(self.folder + "/stderr", errors="replace").read()[-2000:]))
            return None
        return wait_until(look, timeout, "log line /%s/ #%d in:\n%s" % (pattern, count, self.log_text()[-3000:]))

    def children(self):
        path = "/proc/%d/task/%d/children" % (self.proc.pid, self.proc.pid)
        try:
            return [int(p) for p in open(path).read().split()]
        except FileNotFoundError:
            return []

    def child(self, title):
        """Pid of the living child with that title, e.g. "worker/0"."""
        def look():
            for pid in self.children():
                with contextlib.suppress(OSError):
                    line = open("/proc/%d/cmdline" % pid, errors="replace").read().replace("\0", " ").strip()
                    if line == "roster: " + title:
                        return pid
            return None
        return wait_until(look, 10, "a process titled roster: " + title)

    def wait_replaced(self, title, old, timeout=10):
        return wait_until(lambda: (lambda p: p if p != old else None)(self.child(title)), timeout,
                          "successor of %s" % title)

    def kill_child(self, title, timeout=10):
        """Kills the living child with that title; returns the pid of its successor."""
        pid = self.child(title)
        os.kill(pid, signal.SIGKILL)
        return self.wait_replaced(title, pid, timeout)

    # -- talking to it -------------------------------------------------------------
    @property
    def base(self):
        return "http://127.0.0.1:%d%s" % (self.port, self.context)

    def request(self, method, path, query=None, headers=None, body=None, conn=None, timeout=HUNG_S):
        target = self.context + path
        if query:
            target += "?" + (query if isinstance(query, str) else urllib.parse.urlencode(query))
        own = conn is None
        conn = conn or http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            conn.request(method, target, body=body, headers=headers or {})
            answer = conn.getresponse()
            return Reply(answer.status, answer.headers, answer.read())
        finally:
            if own:
                conn.close()

    @contextlib.contextmanager
    def from_source(self, n, timeout=10):
        """A connection from the n-th loopback address: another client to the server."""
        conn = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout,
                                          source_address=("127.9.%d.%d" % (n // 250, n % 250 + 1), 0))
        try:
            yield conn
        finally:
            conn.close()

    def register(self, service, ip, port, conn=None, **more):
        query = dict({"serviceName": service, "ip": ip, "port": port}, **more)
        reply = self.request("POST", "/v1/ns/instance", query, conn=conn)
        assert (reply.status, reply.text) == (200, "ok"), (reply.status, reply.text)

    def deregister(self, service, ip, port, **more):
        reply = self.request("DELETE", "/v1/ns/instance", dict({"serviceName": service, "ip": ip, "port": port}, **more))
        assert (reply.status, reply.text) == (200, "ok"), (reply.status, reply.text)

    def beat(self, service, ip, port, conn=None, **more):
        """A light beat; returns the code of the answer."""
        query = dict({"serviceName": service, "ip": ip, "port": port}, **more)
        return self.request("PUT", "/v1/ns/instance/beat", query, conn=conn).json["code"]

    def hosts(self, service, **more):
        reply = self.request("GET", "/v1/ns/instance/list", dict({"serviceName": service}, **more))
        assert reply.status == 200, (reply.status, reply.text)
        return reply.json["hosts"]

    def metrics(self):
        return self.request("GET", "/v1/ns/operator/metrics").json

    def counter(self, name, **more):
        """One figure of the page of metrics; name: with its labels, if it has any."""
        page = self.request("GET", "/actuator/prometheus", **more).text
        value = float(re.search(r"^%s (\S+)$" % re.escape(name), page, re.M).group(1))
        return int(value) if value.is_integer() else value


def long_turns(text, sanitized=False):
    """The lines of a log that name a turn which used the processor for too long."""
    limit = LONG_TURN_SANITIZED_MS if sanitized else LONG_TURN_MS
    return [match.group(0) for match in re.finditer(r"\S+ op=long-turn .* cpu_ms=(\d+) .*", text) if int(match.group(1)) >= limit]


def alive(pid):
    """Running, not a zombie."""
    try:
        return open("/proc/%d/stat" % pid).read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Subscriber:
    """A UDP socket that subscribes like a client and acknowledges what it gets."""

    def __init__(self, server, service, agent="Nacos-Java-Client:v1.4.2", ack=True, address="127.0.0.1", **more):
        self.server, self.service, self.agent, self.ack, self.more = server, service, agent, ack, more
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((address, 0))
        self.port = self.sock.getsockname()[1]
        self.packets = []
        self.poll()

    def poll(self):
        query = dict({"serviceName": self.service, "udpPort": self.port, "clientIP": "127.0.0.1"}, **self.more)
        reply = self.server.request("GET", "/v1/ns/instance/list", query, headers={"User-Agent": self.agent})
        assert reply.status == 200, (reply.status, reply.text)
        return reply.json

    def receive(self, timeout=HUNG_S):
        """The next datagram as (packet, data, sender); None when nothing came in time. Say how long only where none may come."""
        ready, _, _ = select.select([self.sock], [], [], timeout)
        if not ready:
            return None
        raw, sender = self.sock.recvfrom(65536)
        text = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
        packet = json.loads(text)
        if self.ack:
            self.acknowledge(packet, sender)
        self.packets.append(packet)
        return packet, json.loads(packet["data"]), sender

    def acknowledge(self, packet, sender):
        self.sock.sendto(json.dumps({"type": "push-ack", "lastRefTime": str(packet["lastRefTime"]), "data": ""}).encode(),
                         sender)

    def wait_for(self, condition, timeout, what):
        """Receives until condition(data) holds; returns that data."""
        end = time.monotonic() + max(timeout, HUNG_S)
        while True:
            got = self.receive(max(0.0, end - time.monotonic()))
            if got is None:
                raise AssertionError("no such push within %.1f s: %s" % (max(timeout, HUNG_S), what))
            if condition(got[1]):
                return got[1]

    def close(self):
        self.sock.close()


def lasting_port():
    """For who cannot let the server choose: free for TCP and UDP, and still so in a while, below the range from which the kernel
    gives ports to clients and to port 0."""
    for _ in range(1000):
        port = random.randrange(20000, 32000)
        with socket.socket() as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, contextlib.suppress(OSError):
            tcp.bind(("127.0.0.1", port))
            udp.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no free port")


def main():
    """Entry of every test file: runs its cases and closes with the line the runner reads."""
    program = unittest.main(exit=False, verbosity=2, buffer=False)
    result = program.result
    bad = result.failures + result.errors + result.skipped      # a missing tool is never a silent skip
    tried = int(os.environ.get("ROSTER_TRIED", "0")) + 1
    if bad and tried < TRIES and all("LongTurns: " in why and "During handling of the above" not in why for _, why in bad):
        print("once more: turns were too long", flush=True)
        sys.stderr.flush()
        os.execve(sys.executable, sys.orig_argv, dict(os.environ, ROSTER_TRIED=str(tried)))
    lost = {getattr(case, "test_case", case).id() for case, _ in bad if isinstance(case, unittest.TestCase)}  # not: the end of a class
    print("%d passed, %d failed" % (result.testsRun - len(lost), len(bad)))
    sys.exit(1 if bad or result.testsRun == 0 else 0)


__all__ = [name for name in dir() if not name.startswith("_")]
assert glob and signal
