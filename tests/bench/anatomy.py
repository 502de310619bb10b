# SPDX-License-Identifier: Apache-2.0
"""What a request's CPU goes into: samples of the worker under one work, added up by part of the program. Needs perf."""

import collections
import os
import re
import shutil
import signal
import subprocess
import tempfile

from servers import BenchError, Client, Rosterd, name_of
from works import fill, measure

SAMPLES_HZ = 5000

# What the sources and libraries of a sample belong to; the first pattern that fits.
PARTS = (
    ("system calls", r"^\[kernel"),
    ("HTTP parser", r"^lib(?:http_parser|llhttp)"),
    ("event loop", r"^libev|^\[vdso\]"),
    ("lock and log", r"shared/shm/(lock|undo|fault)|pthread_mutex"),
    ("look-up", r"shared/(shm|registry)/"),
    ("connection and framing", r"worker/http/(accept|connection|connection_state|memory|exchange|input|output|sender|request|head|head_scan|chunked|park|migrate)\."),
    ("route and parameters", r"worker/(v1/(v1|router|routes|params|bound|gate)|metrics/route_stats|http/source_limit)\.|shared/net/"),
    ("handler and answer", r"worker/|shared/(view|codec|config|metrics)/|libyajl|libmsgpack"),
    ("memory and text", r""),
)


def sources(binary):
    """The source file of each function of the program."""
    listed = subprocess.run(["nm", "--defined-only", "-l", binary], capture_output=True, text=True, check=True).stdout
    found = {}
    for line in listed.splitlines():
        match = re.match(r"[0-9a-f]+ [tTw] (\S+)\t(\S+):\d+$", line)
        if match:
            found.setdefault(match[1], match[2])
    return found


def part_of(dso, symbol, files):
    where = f"{dso} {symbol}"
    if dso == "rosterd":
        name = re.sub(r"\.(part|isra|constprop|cold)\b.*", "", symbol)
        where = files.get(name, files.get(symbol, symbol))
    return next(part for part, pattern in PARTS if re.search(pattern, where))


def samples(pid, work, server, seconds):
    """[(share, dso, symbol)], and microseconds per request."""
    with tempfile.TemporaryDirectory(prefix="roster-profile-") as folder:
        data = f"{folder}/perf.data"
        with subprocess.Popen(["perf", "record", "-q", "-F", str(SAMPLES_HZ), "-e", "cpu-clock", "-o", data, "-p", str(pid)],
                              stderr=subprocess.DEVNULL) as perf:
            us = measure(server, work, 4_000_000, seconds, 0)[0]
            perf.send_signal(signal.SIGINT)
        text = subprocess.run(["perf", "report", "-i", data, "--stdio", "--no-children", "--sort", "dso,sym", "-g", "none",
                               "--percent-limit", "0"], capture_output=True, text=True, check=True).stdout
    rows = re.findall(r"^ +([\d.]+)% +(\S+) +\[[.k]\] (\S+)", text, re.M)
    if not rows:
        raise BenchError("perf has seen nothing")
    return [(float(share), dso, symbol) for share, dso, symbol in rows], us


def show(options):
    if shutil.which("perf") is None or shutil.which("nm") is None:
        raise BenchError("perf or nm is missing (Debian: linux-perf, binutils)")
    server = Rosterd(options.rosterd)
    try:
        fill(Client(server.port))
        worker = next(pid for pid in server.pids() if "worker" in name_of(pid))
        files = sources(os.path.realpath(options.rosterd))
        for work in options.profile:
            rows, us = samples(worker, work, server, 2 if options.quick else 6)
            shares, total = collections.Counter(), sum(share for share, _, _ in rows)
            for share, dso, symbol in rows:
                shares[part_of(dso, symbol, files)] += share / total
            print(f"{work}: {us:.2f} us of CPU a request, perf at work")
            for part, _ in PARTS:
                print(f"  {part:<24}{shares[part] * us:>8.2f} us {shares[part] * 100:>6.1f} %")
    finally:
        server.stop()
