#!/usr/bin/env python3
"""CPU per request of rosterd beside the floor, a static-reply server on the same loop and parser.

    bench.py --rosterd PATH --floor PATH [--quick] [--rounds N] [--json FILE] [--check]

Both get the same requests from wrk, in turns, with one worker; a floor replies with as many bytes as rosterd does. What
counts is the CPU time of all server processes (master and children) divided by the requests answered, because the load
generator shares the machine. Shown is the median of the rounds. A wrong answer, a lost connection or a restarted process
ends the run with an error. Then pushes to many subscribers: when the last datagram came, counted from the end of the merge
delay, and how many ACKs were lost. Then the memory of an idle server: PSS of all its processes.

--check: quick, up to three tries. A ratio fails above its goal + 25 % (the light beat's above 2), a push by a lost ACK, the
memory above its goal; other times are not judged. Closes with "N passed, N failed".

Needs wrk. Python standard library only.
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

from audience import Audience

HERE = os.path.dirname(os.path.abspath(__file__))
CONNECTIONS = 16
SERVICES, PER_SERVICE, LARGE = 100, 10, 1000
METADATA = ("%7B%22preserved.heart.beat.timeout%22%3A%22600000%22%2C"
            "%22preserved.ip.delete.timeout%22%3A%22900000%22%7D")
INSTANCES = 'roster_instances{kind="ephemeral"}'
NEW_PER_ROUND = 2_000_000       # numbers set aside for the new instances of one round
CHECK_TRIES, CHECK_SLACK, CHECK_LIMITS = 3, 1.25, {"light": 2.0}
PSS_GOAL_KIB = 8 * 1024
PUSH_DELAY_S, PUSH_WAIT_S = 1, 5
# subscribers, goal of the design in ms
PUSHES = [(1_000, 10), (10_000, 80)]

# name in bench.lua, shown as, goal of the design
WORKS = [
    ("light", "light beat", 1.2),
    ("full", "full beat (JSON body)", 1.5),
    ("list10", "list of 10, unchanged", 1.5),
    ("list1000", "list of 1,000, unchanged", 1.2),
    ("register", "register (new instances)", 1.5),
    ("deregister", "deregister", 1.5),      # those that the row before registered
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
    def __init__(self, path, workers, **more):
        self.folder = tempfile.mkdtemp(prefix="roster-bench-", dir="/dev/shm")
        options = {"listen.address": "127.0.0.1", "listen.port": 0, "runtime_dir": f"{self.folder}/run",
                   "segment.dir": f"{self.folder}/segment", "workers": workers, "log.file": f"{self.folder}/log",
                   "segment.limit": "1GiB", "limits.instances": 10_000_000, **more}
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

    def ask(self, method, target, prefix="/nacos/v1/ns"):
        """The whole reply as it is on the wire."""
        head = (f"{method} {prefix}{target} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: Nacos-Java-Client:v1.4.8\r\n"
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


def counter(client, name):
    text = client.ask("GET", "/actuator/prometheus", prefix="/nacos").decode()
    return int(re.search(rf"^{re.escape(name)} (\d+)$", text, re.M).group(1))


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
        "deregister": len(client.ask("DELETE", "/instance?serviceName=new-0&ip=11.0.0.0&port=8080")),
    }


# ---- load ----------------------------------------------------------------------------------------------------------

def load(port, work, base, seconds, verify=False, count=0):
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", f"{HERE}/bench.lua", f"http://127.0.0.1:{port}",
               "--", work, str(base), "1" if verify else "0", str(count)]
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


def measure(server, work, base, seconds, reply_bytes, count=0):
    """CPU microseconds per request, and requests. Every reply must have the size of a good one: an error has another."""
    before, pids = server.cpu()
    requests, size = load(server.port, work, base, seconds, count=count)
    after, pids_after = server.cpu()
    if pids != pids_after:
        raise BenchError(f"{work}: a server process was replaced: {pids} {pids_after}")
    # wrk counts bytes of replies that had only begun; a list of 10 is a mean.
    slack = (2 * CONNECTIONS + SERVICES) * reply_bytes
    if abs(size - requests * reply_bytes) > slack:
        raise BenchError(f"{work}: {size / requests:.1f} bytes a reply instead of {reply_bytes:.1f}")
    return (after - before) * 1e6 / requests, requests


# ---- the run -------------------------------------------------------------------------------------------------------

def compare(options, works):
    """Rows of the table."""
    seconds, rounds = (1, 2) if options.quick else (2, options.rounds)
    samples = {work: ([], []) for work, _, _ in works}
    servers = []
    try:
        rosterd = Rosterd(options.rosterd, 1)
        servers.append(rosterd)
        client = Client(rosterd.port)
        fill(client)
        sizes = reply_sizes(client)
        floors = {}
        for work, _, _ in works:
            floors[work] = Floor(options.floor, round(sizes[work]))
            servers.append(floors[work])
        for work, _, _ in works:
            load(rosterd.port, work, NEW_PER_ROUND, 1, verify=True)
        registered = 0
        for number in range(rounds):
            base = (number + 2) * NEW_PER_ROUND
            for work, _, _ in works:
                count = registered if work == "deregister" else 0
                samples[work][1].append(measure(floors[work], work, base, seconds, round(sizes[work]))[0])
                before = counter(client, INSTANCES)
                cost, registered = measure(rosterd, work, base, seconds, sizes[work], count)
                samples[work][0].append(cost)
                if work == "deregister" and before - counter(client, INSTANCES) < 0.99 * registered:
                    raise BenchError("deregister: the instances were not there")
    finally:
        for server in reversed(servers):
            server.stop()
    rows = []
    for work, shown, goal in works:
        own, floor = (statistics.median(values) for values in samples[work])
        rows.append({"work": work, "shown": shown, "bytes": round(sizes[work]), "us": round(own, 3),
                     "floor_us": round(floor, 3), "ratio": round(own / floor, 3), "goal": goal,
                     "rounds_us": samples[work][0], "rounds_floor_us": samples[work][1]})
    return rows


def push(client, count, rounds):
    """Milliseconds from the end of the merge delay to the last datagram (the median), and ACKs lost."""
    audience, times, lost = Audience(f"crowd-{count}"), [], 0
    try:
        audience.subscribe(client, count)
        for number in range(rounds):
            before, begin = counter(client, "roster_push_ok_total"), time.time()
            client.ask("POST", f"/instance?serviceName={audience.service}&ip=10.3.0.1&port={8000 + number}&metadata={METADATA}")
            last = audience.hear(count, PUSH_DELAY_S + PUSH_WAIT_S)
            if last is None:
                raise BenchError(f"not all of {count} subscribers were pushed to")
            times.append((last - begin - PUSH_DELAY_S) * 1000)
            lost += count - acknowledged(client, before, count)
    finally:
        audience.close()
    return statistics.median(times), lost


def acknowledged(client, before, count):
    deadline = time.monotonic() + PUSH_WAIT_S
    while True:
        got = counter(client, "roster_push_ok_total") - before
        if got >= count or time.monotonic() > deadline:
            return got
        time.sleep(0.02)


def pushes(options):
    rows = []
    server = Rosterd(options.rosterd, 1, **{"push.delay": f"{PUSH_DELAY_S}s", "push.subscriber_life": "120s"})
    try:
        client = Client(server.port)
        for count, goal in PUSHES:
            ms, lost = push(client, count, 1 if options.quick else options.rounds)
            rows.append({"subscribers": count, "ms": round(ms, 1), "goal_ms": goal, "lost": lost})
    finally:
        server.stop()
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


def show_works(rows):
    print(f"{'work':<28}{'bytes':>9}{'us/request':>12}{'floor us':>10}{'ratio':>8}{'goal':>7}")
    for row in rows:
        missed = "" if row["ratio"] <= row["goal"] else "  over"
        print(f"{row['shown']:<28}{row['bytes']:>9,}{row['us']:>12.2f}{row['floor_us']:>10.2f}{row['ratio']:>8.2f}"
              f"{row['goal']:>7.1f}{missed}")


def show_pushes(rows):
    for row in rows:
        over = "  over" if row["ms"] > row["goal_ms"] or row["lost"] else ""
        print(f"push to {row['subscribers']:,} subscribers: last datagram {row['ms']:.1f} ms after the merge delay "
              f"(goal {row['goal_ms']}), {row['lost']} ACKs lost{over}")


def show_memory(memory):
    total = sum(kib for _, kib in memory)
    print(f"idle server, PSS in KiB: {total:,} (goal {PSS_GOAL_KIB:,})" + ("  over" if total > PSS_GOAL_KIB else ""))
    print("  " + ", ".join(f"{name} {kib:,}" for name, kib in memory))
    return total


def works_left(options, left):
    """Those of the works that are over their limits once more. What is deregistered must have been registered."""
    rows = compare(options, [row for row in WORKS if row[0] in left or (row[0] == "register" and "deregister" in left)])
    show_works(rows)
    return {row["work"] for row in rows if row["ratio"] > CHECK_LIMITS.get(row["work"], row["goal"] * CHECK_SLACK)} & left


def pushes_left(options, left):
    rows = pushes(options)
    show_pushes(rows)
    return {row["subscribers"] for row in rows if row["lost"]} & left


def check(options):
    """The regression guard: what is over its limit is tried again."""
    options.quick = True
    works, crowds, memory = {row[0] for row in WORKS}, {row[0] for row in PUSHES}, True
    total = len(works) + len(crowds) + 1
    for _ in range(CHECK_TRIES):
        if works:
            works = works_left(options, works)
        if crowds:
            crowds = pushes_left(options, crowds)
        memory = memory and show_memory(idle_memory(options.rosterd)) > PSS_GOAL_KIB
        if not works and not crowds and not memory:
            break
    failed = sorted(works) + [f"push to {count:,}" for count in sorted(crowds)] + ["idle memory"] * memory
    for name in failed:
        print(f"over its limit in each of {CHECK_TRIES} tries: {name}")
    print(f"{total - len(failed)} passed, {len(failed)} failed")
    return 2 if failed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rosterd", required=True)
    parser.add_argument("--floor", required=True)
    parser.add_argument("--quick", action="store_true", help="two rounds of 1 s, under 50 s in all")
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
        rows = compare(options, WORKS)
        show_works(rows)
        crowds = pushes(options)
        show_pushes(crowds)
        memory = idle_memory(options.rosterd)
        total = show_memory(memory)
    except (BenchError, OSError, subprocess.SubprocessError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"rows": rows, "pushes": crowds, "idle_pss_kib": total, "idle": memory}, file, indent=1)
            file.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
