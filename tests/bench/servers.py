# SPDX-License-Identifier: Apache-2.0
"""Servers under measurement for the benchmark: rosterd, the floor, any other one; what they cost; one client connection."""

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TICKS = os.sysconf("SC_CLK_TCK")


class BenchError(Exception):
    pass


def cpu_sets():
    """One CPU for the server, the others for the load, so that neither wanders; None with a single one."""
    cpus = sorted(os.sched_getaffinity(0))
    return ({cpus[-1]}, set(cpus[:-1])) if len(cpus) > 1 else (None, None)


SERVER_CPUS, LOAD_CPUS = cpu_sets()


def pin(cpus):
    return (lambda: os.sched_setaffinity(0, cpus)) if cpus else None


def children(pid):
    """Direct children; they have none of their own."""
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
            found += [int(child) for child in file.read().split()]
    return found


def cpu_seconds(pid):
    """From the scheduler, in nanoseconds; a clock tick would be too coarse for a short work."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as file:
            total += int(file.read().split()[0])
    return total / 1e9


def wakeups(pid):
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)$", file.read(), re.M).group(1))


def pss_kib(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return int(re.search(r"^Pss: +(\d+) kB$", file.read(), re.M).group(1))


def name_of(pid):
    with open(f"/proc/{pid}/comm", encoding="ascii") as file:
        return file.read().strip()


class Server:
    """Any server: a port and processes."""

    host, port = "127.0.0.1", 0

    def pids(self):
        raise NotImplementedError

    def cpu(self):
        """CPU seconds so far, and of which processes."""
        pids = self.pids()
        return sum(cpu_seconds(pid) for pid in pids), pids

    def stop(self):
        pass


class Foreign(Server):
    """Somebody else's, already running: a process and its children."""

    def __init__(self, host, port, pid):
        self.host, self.port, self.pid = host, port, pid

    def pids(self):
        return [self.pid] + sorted(children(self.pid))

    def cpu(self):
        """In clock ticks: threads that have ended count too."""
        total = 0
        for pid in self.pids():
            with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
                fields = file.read().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        return total / TICKS, [self.pid]


class Own(Server):
    """Started here, ended by its own id."""

    def __init__(self, command, cpus=None, **options):
        self.process = subprocess.Popen(command, preexec_fn=pin(cpus or SERVER_CPUS), **options)

    def pids(self):
        return [self.process.pid] + sorted(children(self.process.pid))

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Floor(Own):
    def __init__(self, path, reply_bytes, blind=False):
        command = [path, "--port", "0", "--bytes", str(round(reply_bytes))] + ["--blind"] * blind
        super().__init__(command, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line.startswith("port="):
            raise BenchError("the floor did not start")
        self.port = int(line[5:])


class Rosterd(Own):
    def __init__(self, path, workers=1, folder=None, cpus=None, **more):
        self.folder = folder or tempfile.mkdtemp(prefix="roster-bench-", dir="/dev/shm")
        self.keep = folder is not None
        options = {"listen.address": "127.0.0.1", "listen.port": 0, "runtime_dir": f"{self.folder}/run",
                   "segment.dir": f"{self.folder}/segment", "workers": workers, "log.file": f"{self.folder}/log",
                   "segment.limit": "1GiB", "limits.instances": 10_000_000, "limits.services": 10_000_000, **more}
        with open(f"{self.folder}/roster.yaml", "w", encoding="ascii"):   # nothing of the machine's own
            pass
        command = [path, "-f", "-c", f"{self.folder}/roster.yaml"]
        for key, value in options.items():
            command += ["-o", f"{key}={value}"]
        if os.path.exists(f"{self.folder}/run/port"):
            os.unlink(f"{self.folder}/run/port")
        self.begun = time.monotonic()
        super().__init__(command, cpus)
        try:
            self.wait_ready(2 + workers)
        except BenchError:
            self.stop()
            raise

    def wait_ready(self, child_count):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            port = self.read_port()
            if port and len(children(self.process.pid)) == child_count and answers(port):
                self.ready_ms = (time.monotonic() - self.begun) * 1000
                self.port = port
                return
            time.sleep(0.0005)
        raise BenchError("rosterd did not become ready:\n" + self.log_tail())

    def read_port(self):
        try:
            with open(f"{self.folder}/run/port", encoding="ascii") as file:
                return int(file.read() or 0)
        except FileNotFoundError:
            return 0

    def log_tail(self):
        try:
            with open(f"{self.folder}/log", encoding="utf-8", errors="replace") as file:
                return "".join(file.readlines()[-10:])
        except FileNotFoundError:
            return ""

    def stop(self):
        super().stop()
        if not self.keep:
            shutil.rmtree(self.folder, ignore_errors=True)


def answers(port):
    try:
        Client(port, 2).ask("GET", "/v1/console/health/liveness", prefix="/nacos")
        return True
    except OSError:
        return False


class Client:
    def __init__(self, port, timeout=60, host="127.0.0.1"):
        self.socket = socket.create_connection((host, port), timeout)

    def ask(self, method, target, prefix="/nacos/v1/ns", more=""):
        """The whole reply as it is on the wire."""
        head = (f"{method} {prefix}{target} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: Nacos-Java-Client:v1.4.8\r\n"
                f"{more}Content-Length: 0\r\n\r\n")
        self.socket.sendall(head.encode())
        reply = b""
        while not complete(reply):
            data = self.socket.recv(1 << 20)
            if not data:
                raise BenchError(f"connection closed at {method} {target}: {reply[:300]!r}")
            reply += data
        if not reply.startswith(b"HTTP/1.1 200 "):
            raise BenchError(f"{method} {target}: {reply[:300]!r}")
        return reply


def complete(reply):
    head, separator, body = reply.partition(b"\r\n\r\n")
    if not separator:
        return False
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    return len(body) >= int(length.group(1)) if length else body.endswith(b"0\r\n\r\n")


def counter(client, name):
    text = client.ask("GET", "/actuator/prometheus", prefix="/nacos").decode()
    return int(re.search(rf"^{re.escape(name)} (\d+)$", text, re.M).group(1))
