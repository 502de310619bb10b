#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""clang-tidy, clang-format, shellcheck, the rules of the house over every source (style.py) and over the links between the objects
(graph.py). Needs build-clang (./dev lint makes it).

    run.py              all files
    run.py WORD ...     the checks whose name contains one of the words: run.py "clang-tidy pusher/"

Each file and tool is one check; the last line is "N passed, N failed".
"""
import concurrent.futures
import os
import re
import subprocess
import sys
import time

import graph
import style

SHELL = ("dev", ".ci/run", "tests/clients/setup", "tests/distro/run")
TIDY_LIMIT_S = 900


def run(command, limit_s=300):
    """What it printed, "" when all is well. A tool that is missing or hangs is a finding, not a traceback."""
    try:
        done = subprocess.run(command, cwd=style.TOP, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=limit_s)
    except (OSError, subprocess.TimeoutExpired) as error:
        return "%s\n" % error
    if done.returncode == 0:
        return ""
    return done.stdout + done.stderr or "%s: status %d\n" % (command[0], done.returncode)


def flags():
    """What the clang build gives the compiler, from its Makefile."""
    with open(os.path.join(style.TOP, "build-clang", "Makefile"), encoding="utf-8") as f:
        makefile = f.read()
    own = ("AM_CFLAGS", "WARN_CFLAGS", "SAN_CFLAGS")
    found = ["-std=gnu11", "-I.", "-include", "build-clang/config.h", '-DSYSCONFDIR="/etc"']
    for name, value in re.findall(r"^([A-Z0-9_]+_CFLAGS) = (.*)$", makefile, re.M):
        found += [] if name in own else value.split()
    return found


def jobs():
    """(name, a function that returns the findings as text) of each check. What takes long comes first."""
    files = style.checkout.files()
    sources = [path for path in files if path.endswith((".c", ".h"))]
    compiler = flags()

    def tidy(path):
        return lambda: run(["clang-tidy", "--quiet", "--warnings-as-errors=*", path, "--"] + compiler, TIDY_LIMIT_S)

    for path in sources:
        if path.endswith(".c") and not path.startswith("tests/"):
            yield "clang-tidy " + path, tidy(path)
    for path in sources:
        yield "clang-format " + path, lambda path=path: run(["clang-format", "--dry-run", "-Werror", path])
    for path in SHELL:
        yield "shellcheck " + path, lambda path=path: run(["shellcheck", "--format=gcc", path])
    yield from style.jobs()
    yield from graph.jobs()


def main():
    words = sys.argv[1:]
    chosen = [job for job in jobs() if not words or any(word in job[0] for word in words)]
    begin = time.monotonic()
    passed = failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for (name, _), text in zip(chosen, pool.map(lambda job: job[1](), chosen)):
            passed, failed = passed + (not text), failed + bool(text)
            if text:
                print("== %s\n%s" % (name, text.rstrip("\n")), flush=True)
    print("%.0f s" % (time.monotonic() - begin))
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
