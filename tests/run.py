#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs every suite and adds up: the last line is "N passed, N failed" over everything.

    run.py              all suites
    run.py NAME ...     those whose name contains one of the words (unit/undo: in the plain build); @main: what tests/distro runs on
                        another Debian
    run.py --list [NAME ...]
    run.py --needs [NAME ...]    what those suites need, a line each, for ./dev: "make BUILD TARGET", "install WORD", "clients KIND",
                        "distro NAME WORD" (the suites of that word there)

A suite is a program that ends with a line "N passed, N failed", or a cmocka program. Suites that mostly wait run side
by side; those that measure time or CPU run alone, after the others. Output goes to build/test-logs/SUITE.
"""
import concurrent.futures
import glob
import os
import re
import signal
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LOGS = os.path.join(TOP, "build", "test-logs")
PYTHON = sys.executable
os.environ["PYTHONWARNINGS"] = "ignore::ResourceWarning"     # the output is read by people
SIDE_BY_SIDE = 5
LONG = ("upgrade_refused", "lint", "fault-campaign", "/time", "/restart", "/checks", "/brake")     # over 80 s


def debian():
    with open("/etc/os-release", encoding="utf-8") as f:
        found = re.search(r"^VERSION_CODENAME=(\w+)$", f.read(), re.M)
    return found[1] if found else "unknown"


DEBIAN, IN_ROOT = debian(), os.path.exists("/etc/debian_chroot")       # the file: tests/distro/run


class Suite:
    """needs: lines of --needs. main: it belongs to @main."""
    def __init__(self, name, command, env=None, alone=False, limit_s=900, needs=(), main=False):
        self.name, self.command, self.env, self.alone, self.limit_s = name, command, env or {}, alone, limit_s
        self.needs, self.main = needs, main

    def matches(self, word):
        return self.main if word == "@main" else word in self.name or word in self.name.replace("/build/", "/")

    def run(self):
        begin = time.monotonic()
        path = os.path.join(LOGS, self.name.replace("/", "-"))
        with open(path, "w+", errors="replace") as log:
            try:
                process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=TOP,
                                           env=dict(os.environ, **self.env), start_new_session=True)
                code = wait(process, self.limit_s)
            except OSError as error:
                log.write("\n%s\n" % error)
                code = -1
            if code is None:
                os.killpg(process.pid, signal.SIGKILL)      # the group that it leads: begun above, not reaped yet
                process.wait()
                log.write("\nhangs: not over within %d s of a machine of its own\n" % self.limit_s)
                code = -1
            log.seek(0)
            text = log.read()
        passed, failed = count(text)
        if code != 0 and failed == 0:
            failed = 1
        if passed + failed == 0:
            failed = 1
        return self, passed, failed, time.monotonic() - begin, path, text


def wait(process, limit_s):
    """Its exit code; None: it hangs. A second in which n tasks share a core counts as the n-th part of one, so that neighbours
    do not make a hanging suite of a slow one."""
    used, last = 0.0, time.monotonic()
    while used < limit_s:
        try:
            return process.wait(1)
        except subprocess.TimeoutExpired:
            now = time.monotonic()
            with open("/proc/loadavg") as file:
                runnable = int(file.read().split()[3].split("/")[0])
            used += (now - last) / max(1, runnable / os.cpu_count())
            last = now
    return None


def count(text):
    """Closing lines of unittest suites, the player and cmocka."""
    lines = re.findall(r"^(?:\w+: )?(\d+) passed, (\d+) failed$", text, re.M)
    if lines:
        return int(lines[-1][0]), int(lines[-1][1])
    passed = sum(int(n) for n in re.findall(r"\[  PASSED  \] (\d+) test", text))
    # What is not run here is not shown here: a right that is missing is a failure, as a tool is.
    failed = sum(int(n) for n in re.findall(r"\[  (?:FAILED |SKIPPED) \] [^\n]*?(\d+) test\(s\)", text))
    return passed, failed


def unit(build):
    sources = sorted(glob.glob(os.path.join(TOP, "tests", "unit", "*_test.c")))
    for source in sources:
        name = os.path.basename(source)[:-2]
        yield Suite("unit/%s/%s" % (build, name), [os.path.join(TOP, build, "tests", "unit", name)], limit_s=900,
                    needs=("make %s tests/unit/%s" % (build, name),), main=build == "build")


def fuzz_seeds(build):
    """build-clang is there for its warnings: they are errors."""
    targets = sorted(os.listdir(os.path.join(TOP, "tests", "fuzz", "seeds")))
    return Suite("fuzz-seeds/" + build, [PYTHON, "tests/fuzz/run.py", "--seeds", "--build", build],
                 needs=["make %s tests/fuzz/%s_seeds" % (build, target) for target in targets] + ["install clang"] * (build == "build-clang"),
                 main=build in ("build", "build-clang"))


def system():
    """One file, a suite with the plain and one with the sanitized binary. Its first lines may say "# runs alone" and
    "# needs WORD ...": packages by the words of ./dev, or faults, the build with crash points."""
    faults = ["make build-faults rosterd", "make build-faults tests/fault/other_layout"]
    for path in sorted(glob.glob(os.path.join(TOP, "tests", "system", "*_test.py"))):
        name = os.path.basename(path)[:-len("_test.py")]
        with open(path, encoding="utf-8") as f:
            head = f.read(400)
        alone = "\n# runs alone" in head
        found = re.search(r"^# needs (.*)$", head, re.M)
        needs = [line for word in (found[1].split() if found else ()) for line in (faults if word == "faults" else ["install " + word])]
        yield Suite("system/" + name, [PYTHON, path], binary("build"), alone=alone, needs=["make build all"] + needs, main=not alone)
        if not alone:
            yield Suite("system-asan/" + name, [PYTHON, path], binary("build-asan"), needs=["make build-asan all"] + needs)


def lint():
    """Judged by the tools of one release (HACKING.md). No other root can be made in a root."""
    needs = ("make build-clang all", "make build-clang check", "install lint") if DEBIAN == "bookworm" else ("distro bookworm lint",)
    if DEBIAN == "bookworm" or not IN_ROOT:
        yield Suite("lint", ["./dev", "lint"], limit_s=900, needs=needs)
    yield Suite("lint-rules", [PYTHON, "tests/lint/graph_test.py"], main=True)
    yield Suite("mutate-rules", [PYTHON, "tests/mutate/mutants_test.py"], main=True)


def distro():
    """The other release, in a root of its own."""
    other = "bookworm" if DEBIAN == "trixie" else "trixie"
    if not IN_ROOT:
        yield Suite("distro/" + other, ["./dev", "distro", other, "test", "@main"], alone=True, limit_s=900,
                    needs=("distro %s @main" % other,))


def binary(build):
    return {"ROSTERD": os.path.join(TOP, build, "rosterd")}


def suites():
    found = []
    for build in ("build", "build-asan", "build-faults"):
        found += list(unit(build))
    for build in ("build", "build-asan", "build-faults", "build-clang"):
        found.append(fuzz_seeds(build))
    for build in ("build", "build-asan"):
        found.append(Suite("conformance/" + build, [PYTHON, "tests/conformance/run.py"], binary(build),
                           needs=("make %s rosterd" % build,), main=build == "build"))
    found += list(system())
    for build, cases in (("build", 500), ("build-asan", 120)):
        found.append(Suite("fault/%s/corrupt" % build, [os.path.join(TOP, build, "tests", "fault", "corrupt"), "--cases",
                                                        str(cases)], needs=("make %s tests/fault/corrupt" % build,)))
    for kind in ("node", "java"):
        found.append(Suite("clients/" + kind, [PYTHON, "tests/clients/clients_test.py"], dict(binary("build"), CLIENT=kind),
                           needs=("make build rosterd", "clients node", "clients java")))
    found.append(Suite("clients/connections", [PYTHON, "tests/clients/connections_test.py"], binary("build"),
                       needs=("make build rosterd", "clients java")))
    found.append(Suite("clients/login", [PYTHON, "tests/clients/login_test.py"], binary("build"),
                       needs=("make build rosterd", "clients java", "clients python")))
    found += list(lint())
    found.append(Suite("fault-campaign", [PYTHON, "tests/fault/run.py", "--build", "build-faults", "--share"],
                       needs=("make build-faults tests/fault/campaign",)))
    found.append(Suite("package", [PYTHON, "tests/package_test.py"], needs=("make build rosterd", "install package")))
    found.append(Suite("bench", [PYTHON, "tests/bench/bench.py", "--rosterd", "build/rosterd", "--floor",
                                 "build/tests/bench/floor", "--check"], alone=True, needs=("make build all", "install bench")))
    return found + list(distro())


def report(result):
    suite, passed, failed, seconds, path, text = result
    print("%-4s %-40s %4d passed, %d failed  %6.1f s" % ("FAIL" if failed else "ok", suite.name, passed, failed, seconds),
          flush=True)
    if failed:
        print("---- %s (end of it)\n%s\n----" % (os.path.relpath(path, TOP), "\n".join(text.splitlines()[-60:])), flush=True)
    return passed, failed


OPTIONS = ("--needs", "--list")


def main():
    words = [word for word in sys.argv[1:] if not word.startswith("-")]
    unknown = [word for word in sys.argv[1:] if word.startswith("-") and word not in OPTIONS]
    if unknown:
        print("run.py: unknown option %s (%s)" % (unknown[0], ", ".join(OPTIONS)), file=sys.stderr)
        return 2
    every = list(suites())
    for word in words:
        if not any(s.matches(word) for s in every):
            print("run.py: no suite is called like that: %s" % word, file=sys.stderr)
            return 2
    chosen = [s for s in every if not words or any(s.matches(word) for word in words)]
    if "--needs" in sys.argv:
        for line in sorted({line for suite in chosen for line in suite.needs}):
            print(line)
        return 0
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
