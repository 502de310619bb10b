#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fuzz targets.

    run.py --build FOLDER --seeds              every seed once through each target (any build)
    run.py --build build-fuzz [--seconds N]    libFuzzer, N seconds a target (60), on a copy of the seeds
    run.py ... --target NAME                   one target (may be given again)
    run.py ... --jobs N                        N targets side by side (1)

Inputs that broke something stay in FOLDER/fuzz-findings: put each into seeds/TARGET under a telling name.
The last line is "N passed, N failed": seeds, or targets without a finding.
"""
import argparse
import concurrent.futures
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TARGETS = ("http", "params", "beat", "metadata", "ack", "config", "address", "snapshot")
SHOWN = 4000            # bytes of output and of an input
SLOWEST_INPUT_S = 25


def run(command, limit_s):
    """Exit code (None: not started, or not ended in time) and output."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace", timeout=limit_s)
        return done.returncode, done.stdout
    except OSError as error:
        return None, str(error)
    except subprocess.TimeoutExpired as error:
        return None, "%s\nnot ended after %d s" % ((error.stdout or b"").decode(errors="replace"), limit_s)


def run_seeds(build, target):
    folder = os.path.join(HERE, "seeds", target)
    code, text = run([os.path.join(build, "tests", "fuzz", target + "_seeds"), folder], 300)
    closing = re.search(r"^(\d+) passed, (\d+) failed$", text, re.M)
    passed, failed = (int(closing[1]), int(closing[2])) if closing else (0, 1)
    if code != 0 or passed + failed != len(os.listdir(folder)):
        failed = max(failed, 1)
        print(text[-SHOWN:])
    print("%-10s %d passed, %d failed" % (target + ":", passed, failed), flush=True)
    return passed, failed


def keep(folder, build, target):
    """The inputs that libFuzzer left in the folder, moved to where they stay."""
    kept = os.path.join(build, "fuzz-findings", target)
    for path in sorted(glob.glob(os.path.join(folder, "*-*"))):
        os.makedirs(kept, exist_ok=True)
        with open(path, "rb") as f:
            print("%s: %r" % (os.path.join(kept, os.path.basename(path)), f.read(SHOWN)))
        shutil.move(path, os.path.join(kept, os.path.basename(path)))


def run_fuzzer(build, target, seconds):
    with tempfile.TemporaryDirectory(prefix="roster-fuzz-") as folder:
        corpus = os.path.join(folder, "corpus")
        shutil.copytree(os.path.join(HERE, "seeds", target), corpus)
        code, text = run([os.path.join(build, "tests", "fuzz", target), "-max_total_time=%d" % seconds, "-max_len=8192",
                          "-timeout=%d" % SLOWEST_INPUT_S, "-print_final_stats=1", "-artifact_prefix=%s/" % folder, corpus],
                         seconds + 120)
        executed = re.search(r"number_of_executed_units:\s*(\d+)", text)
        found = code != 0 or executed is None or int(executed[1]) == 0
        print("%-10s %s executions, %s" % (target + ":", executed[1] if executed else "no", "FINDING" if found else "no finding"),
              flush=True)
        if found:
            print(text[-SHOWN:])
            keep(folder, build, target)
    return (0, 1) if found else (1, 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--build", required=True)
    parser.add_argument("--seeds", action="store_true")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--target", choices=TARGETS, action="append")
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()

    def one(target):
        if options.seeds:
            return run_seeds(options.build, target)
        return run_fuzzer(options.build, target, options.seconds)

    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        results = list(pool.map(one, options.target or TARGETS))
    passed, failed = sum(p for p, _ in results), sum(f for _, f in results)
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
