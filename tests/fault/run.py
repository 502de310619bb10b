#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The fault campaign: every operation killed at every crash point, and mutants that it has to notice. doc/fault-campaign.md.

    run.py --build FOLDER               everything: the campaign, which points of the sources it died at, the mutants
    run.py --build FOLDER --share       every third point and all mutants: what ./dev test has time for
    run.py --build FOLDER mutants       the mutants only
    run.py --build FOLDER OPERATION...  the campaign over operations with these words in their name

FOLDER is a build with --enable-faults. The last line is "N passed, N failed".
"""
import glob
import os
import re
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SHARE_STRIDE = "3"
LIMIT_S = 1800
# Points outside the operations of the registry: the keeper's clock has a test of its own.
ELSEWHERE = {"health-instant", "health-sum"}
# number, what is broken, the operations to look at (none: all)
MUTANTS = (
    (1, "no sweep of owned but unused pages", "register, new service"),
    (2, "roll-back frees what was pending", "register, replace"),
    (3, "freed inside the transaction", "patch, texts of one size"),
    (4, "log played forwards", "register, replace"),
    (5, "a counter without an entry", "deregister"),
    (6, "a store after the commit", "deregister"),
    (7, "the count falls before the word is restored", "register, replace"),
    (8, "a change is not queued", "set health"),
    (9, "nobody is told after a roll-back", "set health"),
)


def make(build, targets):
    subprocess.run(["make", "-s", "-j", str(os.cpu_count() or 1), "-C", build] + targets, cwd=TOP, check=True, stdin=subprocess.DEVNULL)


def campaign(build, arguments):
    """Runs it, shows what it says; (passed, failed, its text)."""
    done = subprocess.run([os.path.join(build, "tests/fault/campaign")] + arguments, cwd=TOP, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=LIMIT_S)
    sys.stdout.write(done.stdout + done.stderr)
    last = re.findall(r"^(\d+) passed, (\d+) failed$", done.stdout, re.M)
    if not last:
        print("the campaign ended with status %d" % done.returncode)
        return 0, 1, done.stdout
    return int(last[-1][0]), int(last[-1][1]), done.stdout


def points_in_sources():
    found = set()
    for path in glob.glob(os.path.join(TOP, "shared", "*", "*.c")):
        with open(path, encoding="utf-8") as f:
            found |= set(re.findall(r'FAULT\("([^"]+)"\)', f.read()))
    return found


def points_missed(text):
    """Crash points of the sources that no row of the table has."""
    seen = set(re.findall(r"^([a-z0-9-]+) +\d+(?: |$)", text, re.M))
    return sorted(points_in_sources() - seen - ELSEWHERE)


def mutants(build):
    make(build, ["tests/fault/mutants"])
    passed = failed = 0
    for number, broken, operation in MUTANTS:
        done = subprocess.run([os.path.join(build, "tests/fault/mutants"), "--first", operation], cwd=TOP,
                              env=dict(os.environ, ROSTER_MUTANT=str(number)), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=LIMIT_S)
        noticed = re.search(r"^difference: (.*)$", done.stdout, re.M)
        caught = done.returncode == 1 and noticed is not None
        passed, failed = passed + caught, failed + (not caught)
        print("mutant %d, %s: %s" % (number, broken, "noticed: " + noticed.group(1) if caught else "SURVIVES"), flush=True)
    return passed, failed


def main():
    arguments = sys.argv[1:]
    build = arguments[arguments.index("--build") + 1] if "--build" in arguments else "build-faults"
    build = os.path.join(TOP, build)
    words = [a for n, a in enumerate(arguments) if not a.startswith("--") and (n == 0 or arguments[n - 1] != "--build")]
    passed = failed = 0
    if words != ["mutants"]:
        make(build, ["tests/fault/campaign"])
        passed, failed, text = campaign(build, (["--stride", SHARE_STRIDE] if "--share" in arguments else []) + words)
        if not words and "--share" not in arguments:
            missed = points_missed(text)
            print("crash points of the sources that nobody died at: %s" % (", ".join(missed) or "none"))
            passed, failed = passed + (not missed), failed + bool(missed)
    if not words or words == ["mutants"]:
        more = mutants(build)
        passed, failed = passed + more[0], failed + more[1]
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
