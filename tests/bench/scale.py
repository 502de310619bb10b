# SPDX-License-Identifier: Apache-2.0
"""Size: large services, a million instances, memory, starts, a steady fleet, the idle server, pushes."""

import os
import re
import shutil
import statistics
import subprocess
import tempfile
import time

from audience import Audience
from servers import LOAD_CPUS, SERVER_CPUS, BenchError, Client, Rosterd, counter, cpu_seconds, name_of, pin, pss_kib, wakeups
from works import CONNECTIONS, INSTANCES, METADATA, fill, measure

PAIRS = "%7B%22version%22%3A%221.0.7%22%2C%22zone%22%3A%22eu-west-1a%22%7D"     # two of everyday length
MILLION = 1_000_000
PUSH_DELAY_S, PUSH_WAIT_S = 1, 60
PUSHES = (1_000, 10_000)
IDLE_S = 10
PACES = (5_000, 10_000, 20_000, 40_000, 70_000, 100_000)    # beats/s
PAGE = 4096


def program(options, name):
    return os.path.join(os.path.dirname(options.floor), name)


class Load:
    """tests/bench/fleet at work: with Load(...) as load: ...; load.numbers afterwards."""

    def __init__(self, options, server, kind, **arguments):
        self.command, self.kind = [program(options, "fleet")], kind
        for key, value in arguments.items():
            self.command += [f"-{key}", str(value)]
        self.command += [str(server.port), kind]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                        preexec_fn=pin(LOAD_CPUS))
        return self

    def __exit__(self, kind, error, trace):
        if error:
            self.process.terminate()
        out, text = self.process.communicate()
        if error:
            return
        words = out.split()
        self.numbers = {name: float(value) for name, value in zip(words[::2], words[1::2])}
        if self.process.returncode != 0 or self.numbers["bad"]:
            raise BenchError(f"fleet {self.kind}: {out}{text}")


def fleet(options, server, kind, **arguments):
    """Runs tests/bench/fleet; returns its numbers."""
    with Load(options, server, kind, **arguments) as load:
        pass
    return load.numbers


def wait_until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise BenchError("waited in vain")
        time.sleep(0.02)


def metrics(server):
    return Client(server.port).ask("GET", "/actuator/prometheus", prefix="/nacos").decode()


def beat_us(options, server, count, per_service, prefix):
    """CPU per light beat, scattered over all instances; each connection waits for its answer. The load polls: one that sleeps
    has to be woken three times as often by a server that is a fifth slower, and the server pays."""
    before = server.cpu()[0]
    done = fleet(options, server, "beat", n=count, p=per_service, x=prefix, c=32, d=1, b=1,
                 s=1 if options.quick else 5)["requests"]
    return (server.cpu()[0] - before) * 1e6 / done


def compare_beats(options, key, goals, sides):
    """sides: (count, per_service, prefix) of the first and of the second."""
    costs = ([], [])
    server = Rosterd(options.rosterd, **{"segment.limit": "2GiB", "limits.instances_per_service": 0})
    try:
        for count, per_service, prefix in sides:
            fleet(options, server, "register", n=count, p=per_service, x=prefix, m=METADATA)
        for _ in range(options.rounds):
            for (count, per_service, prefix), values in zip(sides, costs):
                values.append(beat_us(options, server, count, per_service, prefix))
    finally:
        server.stop()
    first, second = (statistics.median(values) for values in costs)
    return goals.row(key, first / second, f"{first:.2f} us against {second:.2f} us")


def large_service(options, goals):
    return compare_beats(options, "large-service", goals, ((100_000, 100_000, "one"), (100_000, 10, "many")))


def million(options, goals):
    return compare_beats(options, "million", goals, ((MILLION, 10, "many"), (1_000, 10, "few")))


# ---- memory and starts -----------------------------------------------------------------------------------------------

def segment_pages(server):
    """Pages with an owner, and what describes them."""
    client = Client(server.port, 60)
    used = counter(client, "roster_segment_backed_pages") - counter(client, "roster_segment_free_pages")
    return used * (PAGE + 64 + 1)


def compacted(server):
    """Bytes once the keeper has emptied what it can: it looks every 10 s."""
    fewest, deadline = segment_pages(server), time.monotonic() + 25
    while time.monotonic() < deadline:
        time.sleep(0.5)
        fewest = min(fewest, segment_pages(server))
    return fewest


def memory(options, goals):
    """Rows of memory, and of a start with a million instances."""
    rows = []
    for per_service in (10, 1):
        folder = tempfile.mkdtemp(prefix="roster-bench-", dir="/dev/shm")
        server = Rosterd(options.rosterd, folder=folder)
        try:
            fleet(options, server, "register", n=MILLION, p=per_service, m=PAIRS)
            used = segment_pages(server)
            pss = sum(pss_kib(pid) for pid in server.pids()) * 1024
            rows.append(goals.row(f"memory-{per_service}", used / MILLION))
            if per_service == 10:
                rows.append(goals.row("memory-pss", pss / used, f"PSS {pss >> 20} MiB, segment {used >> 20} MiB"))
                server.stop()
                server = Rosterd(options.rosterd, folder=folder)
                rows.append(goals.row("start-million", server.ready_ms))
        finally:
            server.stop()
            shutil.rmtree(folder, ignore_errors=True)
    return rows


def settled(server):
    """(name, KiB) of each process, once two looks agree."""
    previous, deadline = None, time.monotonic() + 5
    while True:
        processes = [(name_of(pid), pss_kib(pid)) for pid in server.pids()]
        if processes == previous or time.monotonic() > deadline:
            return processes
        previous = processes
        time.sleep(0.2)


def pss_row(goals, processes):
    return goals.row("idle-pss", sum(kib for _, kib in processes), ", ".join(f"{name} {kib:,}" for name, kib in processes))


def memory_left(options, goals):
    """Nine of ten leave at random; the others live on without beats."""
    server = Rosterd(options.rosterd)
    try:
        fleet(options, server, "register", n=MILLION, p=10, m=METADATA)
        before = segment_pages(server) / MILLION
        fleet(options, server, "deregister", n=MILLION, p=10, k=10)
        left = counter(Client(server.port), INSTANCES)
        after = compacted(server) / left
        if counter(Client(server.port), INSTANCES) != left:
            raise BenchError("instances expired meanwhile")
    finally:
        server.stop()
    return goals.row("memory-left", after / before, f"{after:.0f} bytes each of {left:,}, {before:.0f} before")


def idle_memory(options, goals):
    server = Rosterd(options.rosterd, 2)
    try:
        return pss_row(goals, settled(server))
    finally:
        server.stop()


def idle(options, goals):
    """Memory, then wake-ups over some seconds."""
    server = Rosterd(options.rosterd, 2)
    try:
        processes = settled(server)
        before = {pid: wakeups(pid) for pid in server.pids()}
        time.sleep(IDLE_S)
        rates = {name_of(pid): (wakeups(pid) - count) / IDLE_S for pid, count in before.items()}
    finally:
        server.stop()
    quiet = [rate for name, rate in rates.items() if "worker" in name or "pusher" in name]
    ticking = [rate for name, rate in rates.items() if "worker" not in name and "pusher" not in name]
    listed = ", ".join(f"{name} {rate:.1f}" for name, rate in rates.items())
    return [pss_row(goals, processes), goals.row("idle-wakeups", max(quiet), listed),
            goals.row("idle-ticks", round(max(ticking), 1), listed)]


def start_empty(options, goals):
    times = []
    for _ in range(options.rounds):
        server = Rosterd(options.rosterd)
        times.append(server.ready_ms)
        server.stop()
    return goals.row("start-empty", statistics.median(times), "first answer of the liveness probe; process start included")


# ---- a steady fleet --------------------------------------------------------------------------------------------------

def sustained(options, goals):
    """500,000 instances at 5 s beats, default timeouts: nothing may flip. The load polls: to wake it would be charged to the
    server, and no client in the field sleeps on the server's cores."""
    count, seconds = (35_000, 20) if options.quick else (500_000, 600 if options.long else 60)
    server = Rosterd(options.rosterd)
    try:
        fleet(options, server, "register", n=count, p=10, m=PAIRS)
        flips = counter(Client(server.port, 60), "roster_expiry_flips_total")
        cpu, begin = server.cpu()[0], time.monotonic()
        done = fleet(options, server, "beat", n=count, p=10, c=64, r=count // 5, s=seconds, b=1)
        used = (server.cpu()[0] - cpu) / (time.monotonic() - begin)
        flips = counter(Client(server.port, 60), "roster_expiry_flips_total") - flips    # the first connection was idle too long
    finally:
        server.stop()
    detail = f"{count:,} instances, {done['requests']:,.0f} beats in {done['seconds']:.0f} s, p99 {done['p99_us'] / 1000:.2f} ms"
    return [goals.row("sustained", flips, detail), goals.row("sustained-idle", (1 - used) * 100, detail)]


def turns(server):
    """Of the worker's loop, and how often it slept."""
    worker = next(pid for pid in server.pids() if "worker" in name_of(pid))
    return sum(per_worker(metrics(server), "roster_process_turns_total")), wakeups(worker)


def paced(options):
    """What a beat costs at a steady rate, where the worker sleeps between two of them. us = beat + sleep * sleeps per beat."""
    lines, points, seconds = [], [], 1 if options.quick else 4
    server = Rosterd(options.rosterd)
    try:
        fleet(options, server, "register", n=100_000, p=10, m=METADATA)
        for rate in PACES:
            for polls in (0, 1):
                (turned, slept), cpu = turns(server), server.cpu()[0]
                done = fleet(options, server, "beat", n=100_000, p=10, c=64, r=rate, s=seconds, b=polls)
                us = (server.cpu()[0] - cpu) * 1e6 / done["requests"]
                turned, slept = (after - before for after, before in zip(turns(server), (turned, slept)))
                points.append((polls, slept / done["requests"], us))
                lines.append(f"paced: {rate:,} beats/s, the load {'polls' if polls else 'sleeps'}: {us:.2f} us a beat, "
                             f"{turned / done['requests']:.2f} turns and {slept / done['requests']:.2f} sleeps a beat, "
                             f"p50 {done['p50_us']:.0f} us, p99 {done['p99_us']:.0f} us")
        dense = beat_us(options, server, 100_000, 10, "fleet")
    finally:
        server.stop()
    for polls in (0, 1):
        sleeps, costs = zip(*[point[1:] for point in points if point[0] == polls])
        slope, base = statistics.linear_regression(sleeps, costs)
        lines.append(f"paced: the load {'polls' if polls else 'sleeps'}: {base:.2f} us + {slope:.2f} us for each sleep of the worker")
    return lines + [f"paced: {dense:.2f} us a beat of 32 connections without a pause"]


# ---- Java clients -----------------------------------------------------------------------------------------------------------

def jvms(options, server, *arguments):
    """Runs tests/bench/jvms; returns CPU microseconds per beat, and its numbers."""
    command = [program(options, "jvms"), str(server.port)] + [str(argument) for argument in arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=pin(LOAD_CPUS)) as process:
        begun, before = process.stdout.readline(), server.cpu()[0]
        line, used = process.stdout.readline(), server.cpu()[0] - before
        text = process.stderr.read()
    words = line.split()
    numbers = {name: float(value) for name, value in zip(words[::2], words[1::2])}
    if begun != "begin\n" or process.returncode != 0 or numbers["bad"]:
        raise BenchError(f"jvms: {line}{text}")
    return used * 1e6 / numbers["beats"], numbers


def java_fleet(options, goals):
    """Beats of clients that keep a connection as long as the answers say, against the light beats of clients that always do."""
    seconds, rounds, costs, made = (1, 2, [], 0) if options.quick else (2, options.rounds, [], 0)
    server = Rosterd(options.rosterd)
    try:
        fill(Client(server.port))
        fleet(options, server, "register", n=CONNECTIONS, p=10, x="jvms", m=METADATA)
        for _ in range(rounds):
            light = measure(server, "light", 0, seconds, 0)[0]
            us, numbers = jvms(options, server, "skipped", CONNECTIONS, seconds)
            costs.append((us / light, us, light))
            made += numbers["connections"]
    finally:
        server.stop()
    ratio, us, light = (statistics.median(values) for values in zip(*costs))
    return goals.row("jvms", ratio, f"{us:.2f} us against {light:.2f} us, {made:,.0f} connections made meanwhile")


def java_fleet_paced(options, goals):
    """The same in real seconds: a service's worth of JVMs, each with its connection."""
    count, seconds = (1_500, 6) if options.quick else (15_000, 15)
    server = Rosterd(options.rosterd)
    try:
        fleet(options, server, "register", n=count, p=10, x="jvms", m=METADATA)
        us, numbers = jvms(options, server, "paced", count, seconds)
    finally:
        server.stop()
    return goals.row("jvms-made", numbers["connections"],
                     f"{numbers['beats']:,.0f} beats of {count:,} clients in {numbers['seconds']:.0f} s, {us:.2f} us each")


def latency(options, goals):
    """Half of the maximum rate of single beats while one service fills to 200,000."""
    server = Rosterd(options.rosterd)
    fill_count = 20_000 if options.quick else 200_000
    try:
        fleet(options, server, "register", n=10_000, p=10, m=METADATA)
        # One beat at a time on each connection: what the server does without batches.
        before, begin = server.cpu()[0], time.monotonic()
        done = fleet(options, server, "beat", n=10_000, p=10, c=32, r=20_000, s=2)["requests"]
        us = (server.cpu()[0] - before) * 1e6 / done
        rate = int(0.5e6 / us)
        seconds = 2 + fill_count / 20_000
        with Load(options, server, "register", n=fill_count, p=fill_count, x="filling", m=METADATA, r=20_000, c=4):
            numbers = fleet(options, server, "beat", n=10_000, p=10, c=32, r=rate, s=seconds)
        full = time.monotonic() - begin
    finally:
        server.stop()
    detail = f"{rate:,} beats/s, {fill_count:,} registrations meanwhile, {full:.0f} s"
    return [goals.row("p99", numbers["p99_us"] / 1000, detail), goals.row("max", numbers["max_us"] / 1000, detail)]


# ---- pushes ------------------------------------------------------------------------------------------------------------

def counted(client, name, before, count):
    """How far a counter of the pusher has come, once that is far enough or the time is over."""
    deadline = time.monotonic() + PUSH_DELAY_S + PUSH_WAIT_S
    while True:
        got = counter(client, name) - before
        if got >= count or time.monotonic() > deadline:
            return got
        time.sleep(0.02)


def pusher_of(server):
    return next(pid for pid in server.pids() if "pusher" in name_of(pid))


def change(client, audience, number):
    """One more instance in the service of the audience."""
    client.ask("POST", f"/instance?serviceName={audience.service}&ip=10.3.0.1&port={number}&metadata={METADATA}")


def push(client, audience, count, rounds):
    """Milliseconds from the end of the merge delay to the last datagram (the median), and ACKs lost."""
    times, lost = [], 0
    for number in range(rounds):
        before, begin = counter(client, "roster_push_ok_total"), time.time()
        change(client, audience, 8000 + number)
        last = audience.hear(count, PUSH_DELAY_S + PUSH_WAIT_S)
        if last is None:
            raise BenchError(f"not all of {count} subscribers were pushed to")
        times.append((last - begin - PUSH_DELAY_S) * 1000)
        lost += count - counted(client, "roster_push_ok_total", before, count)
    return statistics.median(times), lost


def push_cost(options, goals, client, server, audience, count):
    """CPU of the pusher per datagram, and of sendmmsg() to the same sockets. Nobody reads meanwhile: to wake a reader costs the
    sender, and how often depends on both."""
    pid, costs = pusher_of(server), []
    for number in range(options.rounds):
        before, sent = cpu_seconds(pid), counter(client, "roster_push_total")
        change(client, audience, 9000 + number)
        if counted(client, "roster_push_total", sent, count) != count:
            raise BenchError(f"not all of {count} subscribers were pushed to")
        costs.append((cpu_seconds(pid) - before) * 1e6 / count)
        audience.drain()
    own = statistics.median(costs)
    output = subprocess.run([program(options, "datagrams"), str(count), str(audience.datagram_bytes), "15"] +
                            [str(port) for port in audience.ports], capture_output=True, text=True, check=True,
                            preexec_fn=pin(SERVER_CPUS)).stdout
    audience.drain()
    bare = float(output.split()[1])
    return goals.row("push-cpu", own / bare, f"{own:.2f} us without ACKs, sendmmsg alone {bare:.2f} us, "
                                             f"{audience.datagram_bytes} bytes")


def pushes(options, goals, with_cost=True):
    rows, lost = [], 0
    server = Rosterd(options.rosterd, **{"push.delay": f"{PUSH_DELAY_S}s", "push.subscriber_life": "120s"})
    try:
        client = Client(server.port)
        for count in PUSHES:
            audience = Audience(f"crowd-{count}")
            try:
                audience.subscribe(client, count)
                ms, gone = push(client, audience, count, 1 if options.quick else options.rounds)
                rows.append(goals.row(f"push-{count}", ms))
                lost += gone
                if with_cost and count == PUSHES[0]:
                    rows.append(push_cost(options, goals, client, server, audience, count))
            finally:
                audience.close()
    finally:
        server.stop()
    rows.append(goals.row("push-lost", lost))
    return rows


# ---- processes -----------------------------------------------------------------------------------------------------------

def shards(options):
    """Waits for locks, from one process to sixteen; more cores than two would tell more."""
    lines = []
    for count in (1, 2, 16):
        run = subprocess.run([program(options, "shards"), str(count), "1" if options.quick else "3"], capture_output=True, text=True,
                             check=True)
        numbers = re.match(r"operations (\d+) waits (\d+) waits_per_million ([\d.]+)", run.stdout)
        lines.append(f"{count} processes on the shards alone: {int(numbers[1]):,} operations, {numbers[3]} waits per million")
    return lines


def per_worker(text, name):
    """The values of a family, a worker each."""
    return [float(value) for value in re.findall(rf'^{name}\{{process="worker/\d+"\}} ([\d.]+)$', text, re.M)]


def workers(options):
    """One and two workers, each pinned to a core of its own, 256 connections; the load has no core to itself."""
    lines, cores = [], sorted(os.sched_getaffinity(0))
    for count in (1, 2):
        if count > len(cores):
            raise BenchError("fewer cores than workers")
        server = Rosterd(options.rosterd, count, cpus=set(cores))
        try:
            for core, pid in zip(cores, (pid for pid in server.pids() if "worker" in name_of(pid))):
                os.sched_setaffinity(pid, {core})
            fleet(options, server, "register", n=10_000, p=10, m=METADATA)
            with Load(options, server, "beat", n=10_000, p=10, c=256, s=2 if options.quick else 5) as load:
                wait_until(lambda: sum(per_worker(metrics(server), "roster_process_connections")) >= 256)
                split = per_worker(metrics(server), "roster_process_connections")
            done, text = load.numbers, metrics(server)
        finally:
            server.stop()
        busy = per_worker(text, "roster_process_busy_seconds_total")
        waits = int(re.search(r"^roster_lock_waits_total (\d+)$", text, re.M).group(1))
        lines.append(f"{count} worker{'s' * (count > 1)}, 256 connections, {len(cores)} cores shared with the load: "
                     f"{done['requests'] / done['seconds']:,.0f} beats/s; connections " + " + ".join(f"{n:.0f}" for n in split) +
                     "; busy " + " + ".join(f"{s:.1f} s" for s in busy) +
                     f"; {waits} waits for a lock in {done['requests'] / 1e6:.1f} million requests")
    return lines
