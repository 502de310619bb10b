#!/usr/bin/env python3
"""Fuzz targets.

    run.py --build FOLDER --seeds              every seed once through each target (any build)
    run.py --build build-fuzz [--seconds N]    libFuzzer, N seconds a target (60), on a copy of the seeds
    run.py ... --target NAME                   one target

The last line is "N passed, N failed".
"""
import argparse
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TARGETS = ("http", "params", "beat", "metadata", "ack", "config")


def seeds(target):
    return sorted(glob.glob(os.path.join(HERE, "seeds", target, "*")))


def run_seeds(program, target):
    """Each seed in a process of its own, so that one finding does not hide the next."""
    failed = 0
    for seed in seeds(target):
        done = subprocess.run([program, seed], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
        if done.returncode != 0:
            failed += 1
            print("%s: %s\n%s" % (target, seed, (done.stdout + done.stderr)[-3000:]))
    return len(seeds(target)) - failed, failed


def fuzz(program, target, seconds):
    with tempfile.TemporaryDirectory(prefix="roster-fuzz-") as folder:
        corpus = os.path.join(folder, "corpus")
        shutil.copytree(os.path.join(HERE, "seeds", target), corpus)
        done = subprocess.run([program, "-max_total_time=%d" % seconds, "-max_len=8192", "-timeout=5", "-print_final_stats=1",
                               "-artifact_prefix=%s/" % folder, corpus], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, errors="replace")
        executed = re.search(r"number_of_executed_units:\s*(\d+)", done.stderr)
        print("%-10s %s executions, %s" % (target, executed.group(1) if executed else "?",
                                           "no finding" if done.returncode == 0 else "FINDING"), flush=True)
        if done.returncode != 0:
            print(done.stderr[-4000:])
            for artifact in glob.glob(folder + "/crash-*") + glob.glob(folder + "/timeout-*"):
                print("input: %r" % open(artifact, "rb").read())
    return (1, 0) if done.returncode == 0 else (0, 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--build", required=True)
    parser.add_argument("--seeds", action="store_true")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--target", choices=TARGETS, action="append")
    options = parser.parse_args()
    passed = failed = 0
    for target in options.target or TARGETS:
        program = os.path.join(options.build, "tests", "fuzz", target)
        p, f = run_seeds(program, target) if options.seeds else fuzz(program, target, options.seconds)
        passed, failed = passed + p, failed + f
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
