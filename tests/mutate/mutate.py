#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Breaks the sources, one place at a time (mutants.py), and looks whether a unit test notices. ./dev mutate

    mutate.py [--seed S] [--count N] [--list] [WORD ...]

N mutants (20) of those sources of FOLDERS whose "path:line" contains one of the words; which, the seed (1) decides. --list names them.
A mutant that the compiler makes the same code of, or none, does not count. It works on a copy of the checkout, in build/mutate.

Tests run nearest first, as the links of the objects tell: those that call the module themselves, then those that get it by way of others,
then MORE; whoever has survived runs the nearest ones once more with sanitizers. A test that hangs has noticed.

tests/mutate/survivors explains those that no test can see, a block each, as this program prints it:

    pusher/drain.c
    - the line as it is
    + the line as it is broken
    why

A block is stale, and a failure, when there is no such line any more or a test does notice. The last line is "N passed, N failed".
"""
import argparse
import concurrent.futures
import ctypes
import functools
import hashlib
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.join(TOP, "tests", "lib"), os.path.join(TOP, "tests", "lint")]
import checkout  # noqa: E402
import graph  # noqa: E402
import mutants  # noqa: E402

FOLDERS = ("shared/registry", "shared/shm", "pusher", "keeper")
TREE = os.path.join(TOP, "build", "mutate", "tree")
TIMES = os.path.join(TOP, "build", "mutate", "times")
PLAIN, SANITIZED = "build", "build-asan"
CONFIGURE = {PLAIN: ["CFLAGS=-O2 -g0"], SANITIZED: ["--enable-asan", "--enable-ubsan", "CFLAGS=-O1 -g0"]}
CORRUPT = ["tests/fault/corrupt", "--cases", "100"]
MORE = {"shared/registry": [CORRUPT], "shared/shm": [CORRUPT]}
NEAR = 1                    # links from a test to a module that it calls itself
FAR_S = 30                  # a test that takes longer is asked by its own module only
MEMORY = 16 << 30           # a runaway loop ends there
FILE_BYTES = 1 << 30
LIMIT_S, LIMIT_TIMES = 20, 10
PR_SET_PDEATHSIG = 1


def quiet(command, folder, limit_s=3600):
    done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=limit_s)
    return done.returncode == 0, done.stdout + done.stderr


def must(command, folder):
    good, text = quiet(command, folder)
    if not good:
        sys.exit("%s\n%s" % (" ".join(command), text))


# ---- the copy ------------------------------------------------------------------------------------

def write(path, text):
    with open(os.path.join(TREE, path), "w", encoding="utf-8") as f:
        f.write(text)


@functools.lru_cache(None)
def files():
    """As they were at the start: the checkout may be worked on meanwhile."""
    return checkout.files()


@functools.lru_cache(None)
def source_of(path):
    with open(os.path.join(TOP, path), encoding="utf-8") as f:
        return f.read()


def copy_tree():
    """What differs is copied, what is gone removed. Returns a digest of what is compiled."""
    digest, kept = hashlib.sha256(), set()
    for path in files():
        with open(os.path.join(TOP, path), "rb") as f:
            content = f.read()
        if path.endswith((".c", ".h", ".mk", ".am", ".ac")):
            digest.update(path.encode() + b"\0" + content)
        kept.add(path)
        target = os.path.join(TREE, path)
        if os.path.exists(target):
            with open(target, "rb") as f:
                if f.read() == content:
                    continue
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copy(os.path.join(TOP, path), target)
    for folder, folders, names in os.walk(TREE):
        folders[:] = [name for name in folders if not name.startswith(("build", "autom4te", "."))]
        for name in names:
            path = os.path.relpath(os.path.join(folder, name), TREE)
            if path.endswith((".c", ".h", ".mk")) and path not in kept:
                os.unlink(os.path.join(TREE, path))
    return digest.hexdigest()


def configure(build):
    """Only when the build system changed."""
    parts = [path for path in files() if path.endswith((".mk", ".am", ".ac"))]
    want = hashlib.sha256("".join(source_of(path) for path in parts).encode()).hexdigest()
    folder, stamp = os.path.join(TREE, build), os.path.join(TREE, build, ".configured")
    if os.path.exists(stamp) and open(stamp, encoding="ascii").read() == want:
        return
    must(["autoreconf", "-i"], TREE)
    os.makedirs(folder, exist_ok=True)
    must(["../configure", "-q"] + CONFIGURE[build], folder)
    with open(stamp, "w", encoding="ascii") as f:
        f.write(want)


def make(build, targets, jobs):
    return quiet(["make", "-s", "-j", str(jobs), "-C", os.path.join(TREE, build)] + targets, TREE)


# ---- tests -----------------------------------------------------------------------------------------

def limits():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)      # one that hangs does not outlive this program
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))


def run_test(command, build, limit_s):
    """True: it passed; one that failed is asked again, as there are tests that a busy machine fails. A hang is none of these."""
    verdict = run_once(command, build, limit_s)
    return verdict == "passed" or (verdict == "failed" and run_once(command, build, limit_s) == "passed")


def run_once(command, build, limit_s):
    """What it forked ends with it."""
    def before():
        limits()
        if build == PLAIN:      # a sanitizer reserves more address space than there is
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))

    process = subprocess.Popen([os.path.join(TREE, build, command[0])] + command[1:], cwd=TREE, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, preexec_fn=before)
    try:
        return "passed" if process.wait(limit_s) == 0 else "failed"
    except subprocess.TimeoutExpired:
        return "hangs"
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)      # the group that it leads
        except ProcessLookupError:
            pass
        process.wait()


def unit_tests():
    return [path[:-2] for path in files() if re.fullmatch(r"tests/unit/\w+_test\.c", path)]


def distances(tests):
    """{module: [(links between, test)]}, from the objects of the plain build."""
    modules = graph.modules_of_the_tree()
    objects = graph.read(os.path.join(TREE, PLAIN), modules + tests)
    # A test may have a function of its own in the place of a module's: the others mean that of the module.
    objects.defined.update(graph.read(os.path.join(TREE, PLAIN), modules).defined)
    links = objects.links()
    found = {module: [] for module in modules}
    for test in tests:
        seen, edge, steps = {test}, [test], 0
        while edge:
            steps += 1
            edge = sorted({other for module in edge for other in links.get(module, ())} - seen)
            seen.update(edge)
            for module in edge:
                found.setdefault(module, []).append((steps, test))
    return found


class Bench:
    """Everything that one mutant after the other is tried on."""

    def __init__(self, jobs):
        self.jobs, self.digest, self.seconds = jobs, copy_tree(), {}
        configure(PLAIN)
        tests = unit_tests()
        print("building", flush=True)
        self.must_make([CORRUPT[0]] + [test + ".o" for test in tests])
        self.distance = distances(tests)
        if os.path.exists(TIMES):
            with open(TIMES, encoding="ascii") as f:
                known = json.load(f)
            if known["digest"] == self.digest:
                self.seconds = known["seconds"]

    def must_make(self, targets, build=PLAIN):
        good, text = make(build, targets, self.jobs)
        if not good:
            sys.exit(text)

    def measure(self, tests):
        """How long they take with nothing broken; None: fails even so. Kept for as long as the checkout is the same."""
        missing = [test for test in tests if test not in self.seconds]
        if not missing:
            return
        print("%d tests with nothing broken" % len(missing), flush=True)
        self.must_make(missing)

        def one(test):
            begin = time.monotonic()
            return time.monotonic() - begin if run_test([test], PLAIN, 900) else None

        with concurrent.futures.ThreadPoolExecutor(self.jobs) as pool:
            self.seconds.update(zip(missing, pool.map(one, missing)))
        for test in missing:
            if self.seconds[test] is None:
                print("%s fails with nothing broken: left out" % test, flush=True)
        with open(TIMES, "w", encoding="ascii") as f:
            json.dump({"digest": self.digest, "seconds": self.seconds}, f)

    def stages(self, module):
        """(build, commands), nearest and quickest first."""
        self.measure([test for _, test in self.distance[module]])
        known = sorted((steps, self.seconds[test], test) for steps, test in self.distance[module] if self.seconds[test] is not None)
        near = [[test] for steps, _, test in known if steps <= NEAR]
        far = [[test] for steps, seconds, test in known if steps > NEAR and seconds < FAR_S]
        return [(PLAIN, near), (PLAIN, far), (PLAIN, MORE.get(os.path.dirname(module), [])), (SANITIZED, near or far[:3])]

    def noticed(self, build, commands):
        """The first test that fails; None."""
        if build == SANITIZED:
            configure(SANITIZED)
        self.must_make(sorted({command[0] for command in commands}), build)

        def one(command):
            if found:
                return
            limit_s = LIMIT_S + LIMIT_TIMES * self.seconds.get(command[0], 10)
            if not run_test(command, build, limit_s * (1 if build == PLAIN else 4)):
                found.append(command[0])

        found = []
        with concurrent.futures.ThreadPoolExecutor(self.jobs) as pool:
            list(pool.map(one, commands))
        return found[0] if found else None

    def same_code(self, mutant):
        """True: the compiler makes the same of it, or nothing. The mutant stands in the copy."""
        target = mutant.path[:-2] + ".o"
        path = os.path.join(TREE, PLAIN, target)
        with open(path, "rb") as f:
            before = f.read()
        good, _ = make(PLAIN, [target], 1)
        if not good:
            return True
        with open(path, "rb") as f:
            return f.read() == before

    def restore(self, mutant, source):
        write(mutant.path, source)
        self.must_make([mutant.path[:-2] + ".o"])

    def judge(self, mutant):
        """None: it does not count. "": survived. Else who noticed."""
        source, stages = source_of(mutant.path), self.stages(mutant.path[:-2])
        write(mutant.path, mutants.apply(mutant, source))
        try:
            if self.same_code(mutant):
                return None
            for build, commands in stages:
                by = self.noticed(build, commands) if commands else None
                if by:
                    return by if build == PLAIN else by + " (sanitizers)"
            return ""
        finally:
            self.restore(mutant, source)


# ---- explained survivors -------------------------------------------------------------------------

def read_survivors():
    """{(path, lines before, lines after)} of tests/mutate/survivors."""
    with open(os.path.join(HERE, "survivors"), encoding="utf-8") as f:
        blocks = re.sub(r"^#.*\n", "", f.read(), flags=re.M).strip().split("\n\n")
    found = {}
    for block in blocks:
        lines = block.strip().split("\n")
        old = tuple(line[2:].strip() for line in lines[1:] if line.startswith("- "))
        new = tuple(line[2:].strip() for line in lines[1:] if line.startswith("+ "))
        if lines[0]:
            found[(lines[0], old, new)] = "\n".join(line for line in lines[1:] if line[:2] not in ("- ", "+ "))
    return found


def row_of(mutant):
    old, new = mutants.lines(mutant, source_of(mutant.path))
    return mutant.path, tuple(old), tuple(new)


def show(row):
    return "%s\n%s\n%s" % (row[0], "\n".join("- " + line for line in row[1]), "\n".join("+ " + line for line in row[2]))


def stale_rows(survivors):
    """Rows without a line that they speak of, or without a reason."""
    there = {row_of(mutant) for path in {row[0] for row in survivors} for mutant in all_of(path)}
    return [row for row, why in survivors.items() if row not in there or not why]


# ---- all -------------------------------------------------------------------------------------------

def all_of(path):
    return mutants.mutants(path, source_of(path)) if os.path.exists(os.path.join(TOP, path)) else []


def draw(mutant, seed):
    """Its place in the order. An edit elsewhere does not change it, so that the same seed tries the same mutants tomorrow."""
    return hashlib.sha256(repr((seed, mutant.kind, row_of(mutant))).encode()).digest()


def chosen(words, seed):
    """Of the sources in FOLDERS, in the order in which they are tried."""
    paths = [path for path in files() if path.endswith(".c") and os.path.dirname(path) in FOLDERS]
    found = [mutant for path in paths for mutant in all_of(path)
             if not words or any(word in "%s:%d" % (path, mutant.line) for word in words)]
    return sorted(found, key=lambda mutant: draw(mutant, seed))


def try_all(bench, candidates, count, survivors):
    """(killed, explained, rows that survived, rows of survivors that were killed)"""
    killed, explained, lived, stale = 0, 0, [], []
    for mutant in candidates:
        if killed + explained + len(lived) == count:
            break
        by, row = bench.judge(mutant), row_of(mutant)
        if by is None:
            continue
        if by:
            killed += 1
            stale += [row] if row in survivors else []
        elif row in survivors:
            explained += 1
        else:
            lived.append(row)
        print("%3d %s:%d: %s: %s" % (killed + explained + len(lived), mutant.path, mutant.line, mutant.kind,
                                     by or ("explained" if row in survivors else "SURVIVED")), flush=True)
        if not by and row not in survivors:
            print(show(row), flush=True)
    return killed, explained, lived, stale


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--list", action="store_true")
    parser.add_argument("words", nargs="*")
    arguments = parser.parse_args()
    candidates = chosen(arguments.words, arguments.seed)
    if arguments.list:
        for mutant in candidates[:arguments.count]:
            print("%s:%d: %s\n%s" % (mutant.path, mutant.line, mutant.kind, show(row_of(mutant))))
        return 0
    survivors = read_survivors()
    stale = stale_rows(survivors)
    killed, explained, lived, noticed = try_all(Bench(arguments.jobs), candidates, arguments.count, survivors)
    for row in stale + noticed:
        print("stale in tests/mutate/survivors:\n%s" % show(row))
    tried = killed + explained + len(lived)
    print("seed %d: %d mutants, %d noticed, %d explained, %d survived (%.1f %%)" %
          (arguments.seed, tried, killed, explained, len(lived), 100.0 * len(lived) / max(1, tried)))
    print("%d passed, %d failed" % (killed + explained, len(lived) + len(stale) + len(noticed)))
    return 1 if lived or stale or noticed or not tried else 0


if __name__ == "__main__":
    sys.exit(main())
