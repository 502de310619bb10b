#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A server under full load whose processes are killed at random; nothing acknowledged may be lost, nobody who beats may expire.

    chaos.py [--seconds N] [--seed TEXT] [--pause S] [--points] [--verbose]

Environment: ROSTERD, the binary. --points: its sibling with crash points (build-faults), whose processes also die by themselves
between the stores of an operation. Kinds of clients (chaos_clients.py, beater.c): registrars with a model of what was answered,
beaters, listers, subscribers with ACKs. The seed decides who is killed when and what the clients ask; the answers' order is up to
the machine. Ends with "N passed, N failed": one for each property below.
"""
import argparse
import collections
import json
import multiprocessing
import os
import queue
import re
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "lib"))
import roster  # noqa: E402
from chaos_clients import LONG, Lister, Registrar, Watcher, stubborn  # noqa: E402
from chaos_model import FIRST_VERSION, PLACES, Book, Service  # noqa: E402
from chaos_monkey import Monkey  # noqa: E402

BEATER = os.path.join(os.path.dirname(roster.ROSTERD), "tests", "fault", "beater")
WORKERS = 3
BUSY, LASTING, CALM = 8, 2, 40      # services that change all the time, persistent ones, and those that hardly change
LIVING, LIVING_INSTANCES = 10, 400
BEATS = (LIVING, LIVING_INSTANCES, 60, 250)     # services, instances, connections, interval in ms
CHURN = (30, 2000, 6, 0)
# Passages of crash points between two deaths, on average.
POINTS = {"worker": 100000, "pusher": 1500, "keeper": 400}
QUICK = json.dumps({"preserved.heart.beat.timeout": "8000", "preserved.ip.delete.timeout": "12000"})
PROPERTIES = {
    "kept": "what was acknowledged is there at the end, and nothing else",
    "lists": "every list agrees with what was acknowledged before it was asked for",
    "refused": "no request was answered with an error",
    "living": "who beats is listed and healthy all the time",
    "beats": "no beat was told that its instance is gone",
    "expired": "no instance was flipped or removed by the keeper",
    "pushed": "every acknowledged change was pushed in time, polls aside",
    "order": "pushes never go backwards",
    "storm": "services that did not change were not pushed",
    "final": "at the end every subscriber was pushed the final state",
    "orphans": "children end with their master",
    "start": "every start took the registry over and served",
    "deaths": "no process died by itself",
    "clients": "every client ran to its end, and was served",
    "check": "the registry left behind is sound",
}


class Run:
    """What all processes share; made before they are forked."""

    def __init__(self, arguments, server):
        self.server, self.seed, self.pace_s, self.bound_s = server, arguments.seed, arguments.pace, arguments.bound
        self.registrars, self.listers = 2, 2
        services = [Service(n, "busy-%d" % n) for n in range(BUSY)]
        services += [Service(n, "lasting-%d" % n, True) for n in range(BUSY, BUSY + LASTING)]
        # Few instances: these are often empty, and removed as services, too.
        services += [Service(n, "calm-%d" % n, places_used=2) for n in range(BUSY + LASTING, BUSY + LASTING + CALM)]
        self.book = Book(services)
        self.living = [("live-%d" % n, {living(i): True for i in range(n, LIVING_INSTANCES, LIVING)}) for n in range(LIVING)]
        self.reports = multiprocessing.Queue()
        # In this order: watching (subscribed), started (kills begin), stopping (no new work), calm (nobody is stopped or
        # missing), resolved (the model knows everything).
        self.watching, self.started, self.stopping, self.calm, self.resolved = (multiprocessing.Event() for _ in range(5))


def living(number):
    return "10.9.%d.%d" % (number // 200, number % 200 + 1), 9000


def prepare(run):
    server = run.server
    for name, members in run.living:
        for ip, port in members:
            stubborn(lambda: server.register(name, ip, port, metadata=QUICK))
    for service in run.book.services:
        if not service.persistent:
            continue
        place = PLACES - 1
        instance = dict(service.key(place), metadata=json.dumps(dict(LONG, v=str(FIRST_VERSION))))
        cluster = {"serviceName": service.name, "clusterName": "DEFAULT", "checkPort": 80, "useInstancePort4Check": "true",
                   "healthChecker": '{"type":"NONE"}'}
        for method, path, query in (("POST", "/v1/ns/instance", instance), ("PUT", "/v1/ns/cluster", cluster)):
            reply = stubborn(lambda: server.request(method, path, query))
            assert reply.text == "ok", reply.text
        run.book.settle(service, place, FIRST_VERSION)


class Findings:
    def __init__(self, verbose):
        self.differences, self.counts, self.lags, self.verbose = collections.Counter(), collections.Counter(), None, verbose
        self.shown = collections.Counter()

    def differ(self, what, text):
        self.differences[what] += 1
        self.shown[what] += 1
        if self.shown[what] <= 5 or self.verbose:
            print("difference: %s: %s" % (what, text), flush=True)

    def take(self, reports):
        """Until nothing more comes for a moment."""
        while True:
            try:
                kind, *rest = reports.get(timeout=0.1)
            except queue.Empty:
                return
            if kind == "differ":
                self.differ(*rest)
            elif kind == "counts":
                self.counts.update(rest[0])
            else:
                self.lags = rest


class Beater:
    """A run of beater.c: the first kind beats, the second registers and takes away as fast as it is answered."""

    def __init__(self, server, what, services, instances, connections, interval_ms):
        self.what = what
        line = [BEATER] + [str(n) for n in (server.port, services, instances, connections, interval_ms)]
        self.proc = subprocess.Popen(line + (["churn"] if what == "churn" else []), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     text=True)
        self.lines = []
        self.reader = threading.Thread(target=lambda: self.lines.extend(self.proc.stdout))
        self.reader.start()

    def finish(self, findings):
        self.proc.stdin.close()
        if self.proc.wait(30) != 0:
            findings.differ("clients", "the beater (%s) left with %d" % (self.what, self.proc.returncode))
        self.reader.join(30)
        self.proc.stdout.close()
        for line in self.lines:
            if line.startswith(("lost", "bad")):
                findings.differ("beats" if self.what == "beats" else "refused", line.strip())
        found = re.match(r"beats (\d+) full \d+ retried (\d+) lost \d+ bad \d+ gap_ms (\d+)", self.lines[-1] if self.lines else "")
        if found is None:
            findings.differ("clients", "the beater (%s) said nothing at its end" % self.what)
            return
        count, retried, gap_ms = (int(n) for n in found.groups())
        findings.counts[self.what] = count
        print("%s: %d answered, %d asked again%s" % (
            self.what, count, retried, ", longest time between two answers of one instance %d ms" % gap_ms
            if self.what == "beats" else ""), flush=True)


def start_clients(run):
    context = multiprocessing.get_context("fork")
    lives = [lambda: Watcher(run).live()]
    lives += [lambda n=n: Registrar(run, n).live() for n in range(run.registrars)]
    lives += [lambda n=n: Lister(run, n).live() for n in range(run.listers)]
    processes = [context.Process(target=life) for life in lives]
    processes[0].start()
    run.watching.wait(30)
    for process in processes[1:]:
        process.start()
    return processes


def join(run, processes, findings, seconds, what):
    end = time.monotonic() + seconds
    while any(p.is_alive() for p in processes):
        findings.take(run.reports)
        if time.monotonic() > end:
            for process in processes:
                process.kill()
            findings.differ("clients", "%s did not end" % what)
    for process in processes:
        process.join()
        if process.exitcode != 0:
            findings.differ("clients", "one of the %s left with %r" % (what, process.exitcode))
    findings.take(run.reports)


def look_at_log(server, monkey, findings):
    """No signal but ours, no exit code, no assert; each start attached."""
    text = open(server.log_path, errors="replace").read()
    for line in text.splitlines():
        if re.search(r"op=child-exit .*(signal=(?!9 )\d+|exit=[1-9]|last_words=\"?[^\" ])", line):
            findings.differ("deaths", line)
        if "origin=set-aside" in line or "op=corrupt" in line or "not-a-child" in line:
            findings.differ("start", line)
    attached = len(re.findall(r"op=segment-open origin=attached", text))
    if attached < monkey.restarts:
        findings.differ("start", "%d restarts, %d times attached" % (monkey.restarts, attached))
    print("deaths: %d of children by SIGKILL" % len(re.findall(r"op=child-exit .*signal=9 ", text)))
    rolled = sum(int(n) for n in re.findall(r"rolled_back=(\d+)", text))
    print("server: %d of its kills were the master's (%s), %d locks rolled back at starts" % (
        len(re.findall("op=kill ", text)), ", ".join(sorted(set(re.findall(r"op=kill .*why=(\S+)", text)))) or "none", rolled))


def look_at_metrics(server, findings):
    text = stubborn(lambda: server.request("GET", "/actuator/prometheus").text)
    if metric(text, "roster_corrupt_references_total") != 0:
        findings.differ("check", "corrupt references")
    print("registry: %d instances, %d subscribers, %d locks rolled back since the segment was made" % (
        sum(int(float(n)) for n in re.findall(r"^roster_instances\{[^}]*\} (\S+)", text, re.M)),
        metric(text, "roster_subscribers"), metric(text, "roster_lock_rollbacks_total")))


def metric(text, name):
    found = re.search(r"^%s (\S+)" % name, text, re.M)
    if found is None:
        raise AssertionError("no metric " + name)
    return int(float(found.group(1)))


def chaos(run, monkey, findings, arguments):
    watcher, *others = processes = start_clients(run)
    beaters = [Beater(run.server, "beats", *BEATS), Beater(run.server, "churn", *CHURN)]
    try:
        # The registrations before the subscriptions may still be pushed.
        begin = time.monotonic()
        roster.wait_until(lambda: time.monotonic() - begin > 2, 5, "a merge delay")
        run.started.set()
        monkey.run(arguments.seconds, arguments.pause)
        run.stopping.set()
        beaters.pop().finish(findings)
        monkey.wait_whole(WORKERS)
        run.calm.set()
        join(run, others, findings, 60, "registrars and listers")
        run.resolved.set()
        join(run, [watcher], findings, 60, "watchers")
        look_at_metrics(run.server, findings)
    finally:
        for process in processes:
            if process.is_alive():
                process.kill()
        for beater in beaters:
            beater.finish(findings)


def report(monkey, findings):
    counts = findings.counts
    print("kills: " + ", ".join("%s %d" % item for item in sorted(monkey.kills.items())) + "; restarts %d" % monkey.restarts)
    kinds = ("writes", "churn", "beats", "lists", "polls")
    print("acknowledged: %d (%s); unanswered %d, connections refused %d" % (
        sum(counts[kind] for kind in kinds), ", ".join("%d %s" % (counts[kind], kind) for kind in kinds),
        counts["unanswered"], counts["refused connections"]))
    print("pushes: %d taken and checked, %d of them once more; %d looks for overdue ones; subscribers forgotten %d" % (
        counts["pushes"], counts["pushes again"], counts["push checks"], counts["forgotten"]))
    print("flips of live instances: %d (counters read %d times)" % (
        findings.differences["expired"] + findings.differences["living"], counts["counters read"]))
    if findings.lags:
        print("from the acknowledged change to its push: median %d ms, longest %d ms, of %d" % tuple(findings.lags))
    if min(counts["writes"], counts["beats"], counts["lists"], counts["pushes"], counts["counters read"]) == 0 or sum(monkey.kills.values()) == 0:
        findings.differ("clients", "nothing happened")
    print("differences: %d" % sum(findings.differences.values()))
    for what, text in PROPERTIES.items():
        print("%-4s %s" % ("FAIL" if findings.differences[what] else "ok", text))
    failed = sum(1 for what in PROPERTIES if findings.differences[what])
    print("%d passed, %d failed" % (len(PROPERTIES) - failed, failed), flush=True)
    return failed


def binary_with_points():
    path = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(roster.ROSTERD))), "build-faults", "rosterd")
    with open(path, "rb") as file:
        assert b"ROSTER_FAULT_MEAN_" in file.read(), path + " has no crash points"
    return path


def parse(argv):
    parser = argparse.ArgumentParser(description="Kills processes of a loaded server at random.")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", default=str(time.time_ns()))
    parser.add_argument("--pause", type=float, default=0.2, help="mean time between two kills, in seconds")
    parser.add_argument("--pace", type=float, default=0.002, help="pause of a client between two requests, in seconds")
    parser.add_argument("--bound", type=float, default=20, help="a change is pushed within this, in seconds")
    parser.add_argument("--points", action="store_true", help="die at crash points, too")
    parser.add_argument("--verbose", action="store_true")
    return parser.parse_args(argv)


def options(arguments):
    found = {"listen.port": roster.lasting_port(), "push.delay": "200ms", "push.ack_wait": "1s", "empty_service.delay": "1s",
             "empty_service.period": "1s", "workers": WORKERS}
    if arguments.points:
        found["binary"] = binary_with_points()
        found["env"] = {"ROSTER_FAULT_MEAN_" + role: str(mean) for role, mean in POINTS.items()}
    return found


def campaign(argv=None):
    """Returns how many properties failed."""
    arguments = parse(argv)
    print("seed %s, %g s%s" % (arguments.seed, arguments.seconds, ", with crash points" if arguments.points else ""), flush=True)
    findings = Findings(arguments.verbose)
    with roster.Server(check=False, **options(arguments)) as server:
        run = Run(arguments, server)
        monkey = Monkey(server, arguments.seed, findings.differ)
        prepare(run)
        chaos(run, monkey, findings, arguments)
        look_at_log(server, monkey, findings)
        if server.stop() != 0:
            findings.differ("deaths", "the server did not end well")
        try:
            print(server.registry_audit().strip())
        except AssertionError as error:
            findings.differ("check", str(error))
    return report(monkey, findings)


if __name__ == "__main__":
    sys.exit(1 if campaign() else 0)
