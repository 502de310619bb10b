# SPDX-License-Identifier: Apache-2.0
"""Curves for doc/performance.md: data as measured, drawn by gnuplot as SVG."""

import os
import shutil
import statistics
import subprocess

from audience import Audience
from scale import PAIRS, beat_us, fleet, push, segment_pages
from servers import BenchError, Client, Rosterd
from works import METADATA

# file, title, label of x, label of y
CURVES = {
    "beats": ("CPU per light beat", "instances on the node, 10 per service", "us"),
    "pushes": ("Last datagram after the merge delay", "subscribers of one service", "ms"),
    "memory": ("Segment per instance", "instances on the node, 10 per service", "bytes"),
}


def beats_and_memory(options):
    beats, memory = [], []
    for count in (1_000, 10_000, 100_000, 1_000_000):
        server = Rosterd(options.rosterd)
        try:
            fleet(options, server, "register", n=count, p=10, m=PAIRS)
            memory.append((count, segment_pages(server) / count))
        finally:
            server.stop()
        server = Rosterd(options.rosterd)
        try:
            fleet(options, server, "register", n=count, p=10, m=METADATA)
            beats.append((count, statistics.median(beat_us(options, server, count, 10, "fleet") for _ in range(options.rounds))))
        finally:
            server.stop()
    return beats, memory


def pushes(options):
    points = []
    server = Rosterd(options.rosterd, **{"push.subscriber_life": "120s"})
    try:
        for count in (100, 300, 1_000, 3_000, 10_000):
            client, audience = Client(server.port), Audience(f"crowd-{count}")
            try:
                audience.subscribe(client, count)
                points.append((count, push(client, audience, count, options.rounds)[0]))
            finally:
                audience.close()
    finally:
        server.stop()
    return points


def draw(folder, name, points):
    title, x, y = CURVES[name]
    data = "".join(f"{a} {b:.3f}\n" for a, b in points)
    script = (f'set terminal svg size 640,360 font "sans,12" background rgb "white" name "{name}"\nset output "{folder}/{name}.svg"\n'
              f'set title "{title}"\nset xlabel "{x}"\nset ylabel "{y}"\nset logscale x\nset yrange [0:*]\nset format x "%.0f"\n'
              f'set grid\nset key off\nset rmargin 6\n$points << end\n{data}end\nplot $points with linespoints pt 7 lw 2\n')
    subprocess.run(["gnuplot"], input=script, text=True, check=True)


def plots(options):
    if shutil.which("gnuplot") is None:
        raise BenchError("gnuplot is missing (Debian: gnuplot-nox)")
    os.makedirs(options.plots, exist_ok=True)
    beats, memory = beats_and_memory(options)
    for name, points in (("beats", beats), ("memory", memory), ("pushes", pushes(options))):
        draw(options.plots, name, points)
        print(f"{options.plots}/{name}.svg: " + ", ".join(f"{a:,}: {b:.2f}" for a, b in points))
