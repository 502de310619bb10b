#!/usr/bin/env python3
"""CPU per request of rosterd beside the floor, a static-reply server on the same loop and parser.

    bench.py --rosterd PATH --floor PATH [--quick] [--rounds N] [--json FILE] [--check]

Both get the same requests from wrk, in turns, with one worker; a floor replies with as many bytes as rosterd does. What
counts is the CPU time of all server processes (master and children) divided by the requests answered, because the load
generator shares the machine. Shown is the median of the rounds. A wrong answer, a lost connection or a restarted process
ends the run with an error. Then the memory of an idle server: PSS of all its processes.

--check: quick, up to three tries, ratios only; a row fails above its goal + 25 %; closes with "N passed, N failed". Needs wrk. Python standard library only.
"""

import argparse
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
CONNECTIONS = 16
SERVICES, PER_SERVICE, LARGE = 100, 10, 1000
METADATA = ("%7B%22preserved.heart.beat.timeout%22%3A%22600000%22%2C"
            "%22preserved.ip.delete.timeout%22%3A%22900000%22%7D")
NEW_PER_ROUND = 2_000_000       # numbers set aside for the new instances of one round
CHECK_TRIES, CHECK_SLACK = 3, 1.25
PSS_GOAL_KIB = 8 * 1024

# name in bench.lua, shown as, goal of the design
WORKS = [
    ("light", "light beat", 1.2),
    ("full", "full beat (JSON body)", 1.5),
    ("list10", "list of 10, unchanged", 1.5),
    ("list1000", "list of 1,000, unchanged", 1.2),
    ("register", "register (new instances)", 1.5),
]


class BenchError(Exception):
    pass


# ---- processes -----------------------------------------------------------------------------------------------------

def cpu_sets():
    """One CPU for the server, the others for wrk, so that neither wanders; None with a single one."""
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


def cpu_ticks(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


class Process:
    """A server under measurement; ended by its own id."""

    def __init__(self, command, **options):
        self.process = subprocess.Popen(command, preexec_fn=pin(SERVER_CPUS), **options)
        self.port = 0

    def pids(self):
        return [self.process.pid] + sorted(children(self.process.pid))

    def cpu(self):
        """CPU seconds so far, and of which processes."""
        pids = self.pids()
        return sum(cpu_ticks(pid) for pid in pids) / os.sysconf("SC_CLK_TCK"), pids

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Floor(Process):
    def __init__(self, path, reply_bytes):
        super().__init__([path, "--port", "0", "--bytes", str(reply_bytes)], stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line.startswith("port="):
            raise BenchError("the floor did not start")
        self.port = int(line[5:])


class Rosterd(Process):
    def __init__(self, path, workers):
        self.folder = tempfile.mkdtemp(prefix="roster-bench-", dir="/dev/shm")
        options = {"listen.address": "127.0.0.1", "listen.port": 0, "runtime_dir": f"{self.folder}/run",
                   "segment.dir": f"{self.folder}/segment", "workers": workers, "log.file": f"{self.folder}/log",
                   "segment.limit": "1GiB", "limits.instances": 10_000_000}
        command = [path, "-f", "-c", "/dev/null"]
        for key, value in options.items():
            command += ["-o", f"{key}={value}"]
        try:
            super().__init__(command)
        except OSError:
            shutil.rmtree(self.folder)
            raise
        try:
            self.wait_ready(f"{self.folder}/run/port", 2 + workers)
        except BenchError:
            self.stop()
            raise

    def wait_ready(self, port_file, child_count):
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and self.process.poll() is None:
            if os.path.exists(port_file) and len(children(self.process.pid)) == child_count:
                with open(port_file, encoding="ascii") as file:
                    self.port = int(file.read())
                return
            time.sleep(0.01)
        raise BenchError("rosterd did not become ready:\n" + self.log_tail())

    def log_tail(self):
        try:
            with open(f"{self.folder}/log", encoding="utf-8", errors="replace") as file:
                return "".join(file.readlines()[-10:])
        except FileNotFoundError:
            return ""

    def stop(self):
        super().stop()
        shutil.rmtree(self.folder, ignore_errors=True)


# ---- one connection, for setting up and for the size of a reply -------------------------------------------------------

class Client:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 10)

    def ask(self, method, target):
        """The whole reply as it is on the wire."""
        head = (f"{method} /nacos/v1/ns{target} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: Nacos-Java-Client:v1.4.8\r\n"
                "Content-Length: 0\r\n\r\n")
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


def fill(client):
    """What bench.lua asks for. The timeouts keep everything alive without beats."""
    def register(service, ip):
        client.ask("POST", f"/instance?serviceName={service}&ip={ip}&port=8080&metadata={METADATA}")

    for service in range(SERVICES):
        for number in range(1, PER_SERVICE + 1):
            register(f"bench-{service}", f"10.1.{service}.{number}")
    for number in range(LARGE):
        register("bench-large", f"10.2.{number // 250}.{number % 250 + 1}")


def reply_sizes(client):
    """Bytes of one reply of each kind; of the lists of 10 the mean, because names and addresses differ in length."""
    def beat(service):
        return len(client.ask("PUT", f"/instance/beat?serviceName=bench-{service}&ip=10.1.{service}.1&port=8080"))

    def listing(name):
        return len(client.ask("GET", f"/instance/list?serviceName={name}&clusters=&udpPort=0&healthyOnly=false"))

    return {
        "light": beat(0),
        "full": beat(1),
        "list10": statistics.mean(listing(f"bench-{service}") for service in range(SERVICES)),
        "list1000": listing("bench-large"),
        "register": len(client.ask("POST", f"/instance?serviceName=new-0&ip=11.0.0.0&port=8080&metadata={METADATA}")),
    }


# ---- load ----------------------------------------------------------------------------------------------------------

def load(port, work, base, seconds, verify):
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", f"{HERE}/bench.lua", f"http://127.0.0.1:{port}",
               "--", work, str(base), "1" if verify else "0"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30, preexec_fn=pin(LOAD_CPUS), check=False)
    result = re.search(r"^RESULT requests=(\d+) bytes=(\d+) errors=(\d+) wrong=(\d+)$", run.stdout, re.M)
    if run.returncode != 0 or not result:
        raise BenchError(f"wrk failed at {work}: {run.stdout}{run.stderr}")
    requests, size, errors, wrong = (int(text) for text in result.groups())
    if errors or wrong:
        raise BenchError(f"{work}: {errors} errors and {wrong} wrong answers in {requests} requests")
    if requests == 0:
        raise BenchError(f"{work}: nothing was answered")
    return requests, size


def measure(server, work, base, seconds, reply_bytes):
    """CPU microseconds per request. Every reply must have the size of a good one: an error has another."""
    before, pids = server.cpu()
    requests, size = load(server.port, work, base, seconds, verify=False)
    after, pids_after = server.cpu()
    if pids != pids_after:
        raise BenchError(f"{work}: a server process was replaced: {pids} {pids_after}")
    # wrk counts bytes of replies that had only begun; a list of 10 is a mean.
    slack = (2 * CONNECTIONS + SERVICES) * reply_bytes
    if abs(size - requests * reply_bytes) > slack:
        raise BenchError(f"{work}: {size / requests:.1f} bytes a reply instead of {reply_bytes:.1f}")
    return (after - before) * 1e6 / requests


# ---- the run -------------------------------------------------------------------------------------------------------

def compare(options):
    """Rows of the table."""
    seconds, rounds = (1, 2) if options.quick else (2, options.rounds)
    samples = {work: ([], []) for work, _, _ in WORKS}
    servers = []
    try:
        rosterd = Rosterd(options.rosterd, 1)
        servers.append(rosterd)
        client = Client(rosterd.port)
        fill(client)
        sizes = reply_sizes(client)
        floors = {}
        for work, _, _ in WORKS:
            floors[work] = Floor(options.floor, round(sizes[work]))
            servers.append(floors[work])
        base = NEW_PER_ROUND
        for work, _, _ in WORKS:
            load(rosterd.port, work, base, 1, verify=True)
        for _ in range(rounds):
            for work, _, _ in WORKS:
                base += NEW_PER_ROUND
                samples[work][1].append(measure(floors[work], work, base, seconds, round(sizes[work])))
                samples[work][0].append(measure(rosterd, work, base, seconds, sizes[work]))
    finally:
        for server in reversed(servers):
            server.stop()
    rows = []
    for work, shown, goal in WORKS:
        own, floor = (statistics.median(values) for values in samples[work])
        rows.append({"work": work, "shown": shown, "bytes": round(sizes[work]), "us": round(own, 3),
                     "floor_us": round(floor, 3), "ratio": round(own / floor, 3), "goal": goal,
                     "rounds_us": samples[work][0], "rounds_floor_us": samples[work][1]})
    return rows


def pss_kib(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return int(re.search(r"^Pss: +(\d+) kB$", file.read(), re.M).group(1))


def idle_memory(path):
    """KiB of each process of an idle server, once two looks agree."""
    server = Rosterd(path, 2)
    try:
        previous, deadline = None, time.monotonic() + 5
        while True:
            processes = []
            for pid in server.pids():
                with open(f"/proc/{pid}/comm", encoding="ascii") as file:
                    processes.append((file.read().strip(), pss_kib(pid)))
            if processes == previous or time.monotonic() > deadline:
                return processes
            previous = processes
            time.sleep(0.2)
    finally:
        server.stop()


def show(rows, memory):
    print(f"{'work':<28}{'bytes':>9}{'us/request':>12}{'floor us':>10}{'ratio':>8}{'goal':>7}")
    for row in rows:
        missed = "" if row["ratio"] <= row["goal"] else "  over"
        print(f"{row['shown']:<28}{row['bytes']:>9,}{row['us']:>12.2f}{row['floor_us']:>10.2f}{row['ratio']:>8.2f}"
              f"{row['goal']:>7.1f}{missed}")
    total = sum(kib for _, kib in memory)
    print(f"idle server, PSS in KiB: {total:,} (goal {PSS_GOAL_KIB:,})" + ("  over" if total > PSS_GOAL_KIB else ""))
    print("  " + ", ".join(f"{name} {kib:,}" for name, kib in memory))
    return total


def check(options):
    """The regression guard: each row must come under its goal + 25 % in one of three tries."""
    options.quick = True
    left, rows, memory = None, [], []
    for _ in range(CHECK_TRIES):
        rows = compare(options)
        memory = idle_memory(options.rosterd)
        total = show(rows, memory)
        over = {row["work"] for row in rows if row["ratio"] > row["goal"] * CHECK_SLACK}
        if total > PSS_GOAL_KIB:
            over.add("idle memory")
        left = over if left is None else left & over
        if not left:
            break
    for work in sorted(left):
        print(f"over its goal by more than 25 % in each try: {work}")
    print(f"{len(rows) + 1 - len(left)} passed, {len(left)} failed")
    return 2 if left else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rosterd", required=True)
    parser.add_argument("--floor", required=True)
    parser.add_argument("--quick", action="store_true", help="two rounds of 1 s, under 40 s in all")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--check", action="store_true", help="the regression guard of the tests")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the servers are stopped
    if shutil.which("wrk") is None:
        print("bench: wrk is missing (Debian: wrk)", file=sys.stderr)
        return 1
    try:
        if options.check:
            return check(options)
        rows = compare(options)
        memory = idle_memory(options.rosterd)
    except (BenchError, OSError, subprocess.SubprocessError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    total = show(rows, memory)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"rows": rows, "idle_pss_kib": total, "idle": memory}, file, indent=1)
            file.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
