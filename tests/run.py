#!/usr/bin/env python3
"""Runs every suite and adds up: the last line is "N passed, N failed" over everything.

    run.py              all suites
    run.py NAME ...     those whose name contains one of the words
    run.py --list

A suite is a program that ends with a line "N passed, N failed", or a cmocka program. Suites that mostly wait run side
by side; those that measure time or CPU run alone, after the others. Output goes to build/test-logs/SUITE.
"""
import concurrent.futures
import glob
import os
import re
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LOGS = os.path.join(TOP, "build", "test-logs")
PYTHON = sys.executable
os.environ["PYTHONWARNINGS"] = "ignore::ResourceWarning"     # the output is read by people
SIDE_BY_SIDE = 5
LONG = ("upgrade_refused", "lint", "fault-campaign", "/time", "/restart", "/checks", "/brake")     # over 80 s


class Suite:
    def __init__(self, name, command, env=None, alone=False, limit_s=900):
        self.name, self.command, self.env, self.alone, self.limit_s = name, command, env or {}, alone, limit_s

    def run(self):
        begin = time.monotonic()
        path = os.path.join(LOGS, self.name.replace("/", "-"))
        with open(path, "w+", errors="replace") as log:
            try:
                done = subprocess.run(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=TOP,
                                      env=dict(os.environ, **self.env), timeout=self.limit_s)
                code = done.returncode
            except OSError as error:
                log.write("\n%s\n" % error)
                code = -1
            except subprocess.TimeoutExpired:
                log.write("\ntimed out after %d s\n" % self.limit_s)
                code = -1
            log.seek(0)
            text = log.read()
        passed, failed = count(text)
        if code != 0 and failed == 0:
            failed = 1
        if passed + failed == 0:
            failed = 1
        return self, passed, failed, time.monotonic() - begin, path, text


def count(text):
    """Closing lines of unittest suites, the player and cmocka."""
    lines = re.findall(r"^(?:\w+: )?(\d+) passed, (\d+) failed$", text, re.M)
    if lines:
        return int(lines[-1][0]), int(lines[-1][1])
    passed = sum(int(n) for n in re.findall(r"\[  PASSED  \] (\d+) test", text))
    failed = sum(int(n) for n in re.findall(r"\[  FAILED  \] [^\n]*?(\d+) test\(s\)", text))
    return passed, failed


def unit(build):
    sources = sorted(glob.glob(os.path.join(TOP, "tests", "unit", "*_test.c")))
    for source in sources:
        name = os.path.basename(source)[:-2]
        yield Suite("unit/%s/%s" % (build, name), [os.path.join(TOP, build, "tests", "unit", name)], limit_s=900)


def binary(build):
    return {"ROSTERD": os.path.join(TOP, build, "rosterd")}


def suites():
    found = []
    for build in ("build", "build-asan", "build-faults"):
        found += list(unit(build))
        found.append(Suite("fuzz-seeds/" + build, [PYTHON, "tests/fuzz/run.py", "--seeds", "--build", build]))
    for build in ("build", "build-asan"):
        found.append(Suite("conformance/" + build, [PYTHON, "tests/conformance/run.py"], binary(build)))
    for path in sorted(glob.glob(os.path.join(TOP, "tests", "system", "*_test.py"))):
        name = os.path.basename(path)[:-len("_test.py")]
        alone = open(path).readline().strip() != "" and "# runs alone" in open(path).read(400)
        found.append(Suite("system/" + name, [PYTHON, path], binary("build"), alone=alone))
        if not alone:
            found.append(Suite("system-asan/" + name, [PYTHON, path], binary("build-asan")))
    for build, cases in (("build", 500), ("build-asan", 120)):
        found.append(Suite("fault/%s/corrupt" % build, [os.path.join(TOP, build, "tests", "fault", "corrupt"), "--cases",
                                                        str(cases)]))
    for kind in ("node", "java"):
        found.append(Suite("clients/" + kind, [PYTHON, "tests/clients/clients_test.py"], dict(binary("build"), CLIENT=kind)))
    found.append(Suite("clients/connections", [PYTHON, "tests/clients/connections_test.py"], binary("build")))
    found.append(Suite("lint", ["./dev", "lint"], limit_s=900))
    found.append(Suite("fault-campaign", [PYTHON, "tests/fault/run.py", "--build", "build-faults", "--share"]))
    found.append(Suite("package", [PYTHON, "tests/package_test.py"]))
    found.append(Suite("bench", [PYTHON, "tests/bench/bench.py", "--rosterd", "build/rosterd", "--floor",
                                 "build/tests/bench/floor", "--check"], alone=True))
    return found


def report(result):
    suite, passed, failed, seconds, path, text = result
    print("%-4s %-40s %4d passed, %d failed  %6.1f s" % ("FAIL" if failed else "ok", suite.name, passed, failed, seconds),
          flush=True)
    if failed:
        print("---- %s (end of it)\n%s\n----" % (os.path.relpath(path, TOP), "\n".join(text.splitlines()[-60:])), flush=True)
    return passed, failed


def main():
    words = [word for word in sys.argv[1:] if not word.startswith("-")]
    chosen = [s for s in suites() if not words or any(word in s.name for word in words)]
    if "--list" in sys.argv:
        for suite in chosen:
            print(suite.name)
        return 0
    os.makedirs(LOGS, exist_ok=True)
    passed = failed = 0
    begin = time.monotonic()
    together, alone = [s for s in chosen if not s.alone], [s for s in chosen if s.alone]
    # Long ones first, so that the last to end is a short one.
    together.sort(key=lambda s: (s.name.startswith("unit/"), not any(s.name.endswith(name) for name in LONG)))
    with concurrent.futures.ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        results = concurrent.futures.as_completed([pool.submit(s.run) for s in together])
        for result in results:
            p, f = report(result.result())
            passed, failed = passed + p, failed + f
    for suite in alone:
        p, f = report(suite.run())
        passed, failed = passed + p, failed + f
    print("%.0f s" % (time.monotonic() - begin))
    print("%d passed, %d failed" % (passed, failed), flush=True)
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
