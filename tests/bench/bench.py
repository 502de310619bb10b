#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What rosterd costs, beside the floor: a static-reply server on the same loop and parser, measured in the same run.

    bench.py --rosterd PATH --floor PATH [--quick] [--long] [--rounds N] [--only WORD ...] [--json FILE] [--plots FOLDER]
    bench.py --rosterd PATH --floor PATH --check
    bench.py --rosterd PATH --floor PATH --against HOST:PORT --pid N
    bench.py --rosterd PATH --floor PATH --profile WORK ...

Both get the same requests from wrk, in turns, with one worker; a floor replies with as many bytes as rosterd does. What counts
is the CPU time of all server processes (master and children) divided by the requests answered, because the load generator shares
the machine. Shown is the median of the rounds. A wrong answer, a lost connection or a restarted process ends the run with an
error. The rows and their goals: tests/bench/goals. --long: the steady fleet beats for 10 minutes instead of one.

--check: the regression guard of the tests, the cheap rows only, up to three tries. A ratio fails above its goal + 25 %, the
memory of an idle server and lost ACKs above their goals; times are not judged.

--against: the same loads for another server that is running already (its process and its children are N), beside rosterd. It
is filled with 2,100 instances; registrations are left out.

--profile: what the CPU of a request goes into, by part of the program (light, full, list10, list1000, register, ...).

Needs wrk; --plots needs gnuplot, --profile perf. Python standard library only.
"""

import argparse
import json
import shutil
import signal
import subprocess
import sys

import anatomy
import report
import scale
import works
from goals import Goals
from servers import BenchError, Client, Foreign, Rosterd

CHECK_TRIES, CHECK_SLACK = 3, 1.25
READS = ["light", "light-new", "full", "list10", "list100", "list1000"]


class Run:
    def __init__(self, options):
        self.options, self.goals, self.rows = options, Goals(), []

    def wanted(self, *keys):
        return not self.options.only or any(word in key for key in keys for word in self.options.only)

    def add(self, rows):
        for row in rows if isinstance(rows, list) else [rows]:
            self.rows.append(row)
            self.goals.show(row)

    def all(self):
        options, goals = self.options, self.goals
        cheap = [key for key in works.CHEAP if self.wanted(key)]
        if "deregister" in cheap and "register" not in cheap:
            cheap.insert(cheap.index("deregister"), "register")
        if cheap:
            self.add(works.Comparison(options, cheap, goals).run())
        steps = [(("floor",), works.honest_floor), (("list-flip",), works.flipped_list), (("large-service",), scale.large_service),
                 (("million",), scale.million), (("memory-1", "memory-pss", "start-million"), scale.memory),
                 (("memory-left",), scale.memory_left), (("idle",), scale.idle),
                 (("start-empty",), scale.start_empty), (("push-1000", "push-10000", "push-cpu", "push-lost"), scale.pushes),
                 (("jvms",), scale.java_fleet), (("jvms-made",), scale.java_fleet_paced), (("sustained",), scale.sustained), (("p99", "max"), scale.latency)]
        for keys, step in steps:
            if self.wanted(*keys):
                self.add(step(options, goals))
        if self.wanted("shards", "workers"):
            print("\n".join(scale.workers(options) + scale.shards(options)))
        if self.wanted("paced"):
            print("\n".join(scale.paced(options)))
        over = [row["key"] for row in self.rows if not row["met"]]
        print(f"{len(self.rows) - len(over)} of {len(self.rows)} goals met" + (", over: " + " ".join(over) if over else ""))


def over_limit(row):
    return row["value"] > row["goal"] * CHECK_SLACK


def over_goal(row):
    return not row["met"]


def check(options):
    options.quick = True
    goals, left = Goals(), list(works.CHEAP)
    others = {"jvms": (scale.java_fleet, over_limit), "idle-pss": (scale.idle_memory, over_goal),
              "push-lost": (lambda *given: scale.pushes(*given, with_cost=False)[-1], over_goal)}
    total = len(left) + len(others)
    for _ in range(CHECK_TRIES):
        if left:
            wanted = left if "deregister" not in left or "register" in left else ["register"] + left
            rows = works.Comparison(options, wanted, goals).run()
            for row in rows:
                goals.show(row)
            left = [row["key"] for row in rows if over_limit(row) and row["key"] in left]
        for key, (step, is_over) in list(others.items()):
            row = step(options, goals)
            goals.show(row)
            if not is_over(row):
                del others[key]
        if not left and not others:
            break
    failed = left + list(others)
    for key in failed:
        print(f"over its limit in each of {CHECK_TRIES} tries: {key}")
    print(f"{total - len(failed)} passed, {len(failed)} failed")
    return 2 if failed else 0


def against(options):
    host, port = options.against.rsplit(":", 1)
    other, own = Foreign(host, int(port), options.pid), Rosterd(options.rosterd)
    try:
        for server in (own, other):
            works.fill(Client(server.port, host=server.host))
        print(f"{'work':<12}{'rosterd us':>12}{'other us':>12}{'other / rosterd':>18}")
        for work in READS:
            costs = {own: [], other: []}
            for _ in range(options.rounds):
                for server, values in costs.items():
                    values.append(works.measure(server, work, 0, 2, 0)[0])
            mine, theirs = (sorted(values)[len(values) // 2] for values in costs.values())
            print(f"{work:<12}{mine:>12.2f}{theirs:>12.2f}{theirs / mine:>18.1f}", flush=True)
    finally:
        own.stop()
    return 0


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rosterd", required=True)
    parser.add_argument("--floor", required=True)
    parser.add_argument("--quick", action="store_true", help="two rounds of 1 s, smaller fleets")
    parser.add_argument("--long", action="store_true", help="the steady fleet beats for 10 minutes")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", metavar="WORD", help="rows whose key contains one of the words")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--plots", metavar="FOLDER", help="draws the curves of doc/performance.md, nothing else")
    parser.add_argument("--check", action="store_true", help="the regression guard of the tests")
    parser.add_argument("--against", metavar="HOST:PORT", help="another server, running already")
    parser.add_argument("--pid", type=int, help="its process")
    parser.add_argument("--profile", nargs="+", metavar="WORK", help="what a request's CPU goes into")
    options = parser.parse_args()
    if options.against and not options.pid:
        parser.error("--against needs --pid")
    return options


def main():
    options = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the servers are stopped
    if shutil.which("wrk") is None:
        print("bench: wrk is missing (Debian: wrk)", file=sys.stderr)
        return 1
    run = Run(options)
    try:
        if options.check:
            return check(options)
        if options.against:
            return against(options)
        if options.profile:
            anatomy.show(options)
            return 0
        if options.plots:
            report.plots(options)
            return 0
        run.all()
    except (BenchError, OSError, subprocess.SubprocessError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(run.rows, file, indent=1)
            file.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
