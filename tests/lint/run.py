#!/usr/bin/env python3
"""clang-format, clang-tidy and the rules of the house over every source. Needs build-clang (./dev lint makes it).

Each file and tool is one check; the last line is "N passed, N failed".
"""
import concurrent.futures
import os
import re
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LINES_OF_A_FILE = 700
LINES_OF_A_FUNCTION = 80
# What a folder may include besides itself, in the order of doc/architecture.md.
BASE = ["shared/base"]
SHM = BASE + ["shared/shm"]
REGISTRY = SHM + ["shared/registry"]
MAY_INCLUDE = {
    "shared/base": BASE, "shared/shm": SHM, "shared/registry": REGISTRY, "shared/codec": BASE,
    "shared/net": BASE + ["shared/config"], "shared/config": BASE + ["shared/net", "shared/shm"],
    "shared/metrics": SHM, "shared/view": REGISTRY + ["shared/codec", "shared/net"],
    "shared/process": SHM + ["shared/config", "shared/metrics"],
}
LOCKS_LIVE_IN = ("shared/shm/lock.c", "shared/shm/lock.h", "shared/shm/shard.h", "shared/shm/segment.c")


def git_files():
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "*.c", "*.h"], cwd=TOP, capture_output=True,
                            text=True, check=True).stdout
    return sorted(path for path in listed.split() if os.path.exists(os.path.join(TOP, path)))


def run(command):
    done = subprocess.run(command, cwd=TOP, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def check_format(path):
    code, text = run(["clang-format", "--dry-run", "-Werror", path])
    return "clang-format " + path, "" if code == 0 else text


def check_tidy(path, flags):
    code, text = run(["clang-tidy", "--quiet", "--warnings-as-errors=*", path, "--"] + flags)
    return "clang-tidy " + path, "" if code == 0 else text


def functions(lines):
    """(name, length) of each function: a body that opens and closes in the first column."""
    start, name = None, ""
    for number, line in enumerate(lines):
        if line == "{" and start is None:
            start, name = number, lines[number - 1]
        elif line == "}" and start is not None:
            yield name, number - start - 1
            start = None


def check_house(path):
    """Sizes, direction of includes, who names locks, unfinished work."""
    with open(os.path.join(TOP, path), encoding="utf-8") as f:
        lines = f.read().split("\n")
    found = []
    folder = os.path.dirname(path)
    ours = not path.startswith("tests/")
    if ours and len(lines) > LINES_OF_A_FILE:
        found.append("%d lines" % len(lines))
    found += ["%s: %d lines" % item for item in functions(lines) if ours and item[1] > LINES_OF_A_FUNCTION]
    for number, line in enumerate(lines, 1):
        include = re.match(r'#include "((?:shared/)?[a-z]+)/', line)
        if include and ours:
            target = include.group(1)
            allowed = MAY_INCLUDE.get(folder)
            if target != folder and ((allowed is not None and target not in allowed)
                                     or (allowed is None and not target.startswith("shared/"))):
                found.append("%d: %s may not include %s" % (number, folder, target))
        if ours and "pthread_mutex_" in line and path not in LOCKS_LIVE_IN:
            found.append("%d: locks are taken in shared/shm/lock.c only" % number)
        if re.search(r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b", line):
            found.append("%d: unfinished" % number)
    return "house " + path, "\n".join(found)


def main():
    files = git_files()
    flags = ["-std=gnu11", "-I.", "-include", "build-clang/config.h", '-DSYSCONFDIR="/etc"']
    packages = ["yajl", "yaml-0.1", "msgpack", "libsystemd", "libxxhash", "libmd"]
    flags += subprocess.run(["pkg-config", "--cflags"] + packages, capture_output=True, text=True, check=True).stdout.split()
    jobs = [(check_format, path) for path in files] + [(check_house, path) for path in files]
    jobs += [(lambda path: check_tidy(path, flags), path) for path in files if path.endswith(".c") and not path.startswith("tests/")]
    passed = failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, text in pool.map(lambda job: job[0](job[1]), jobs):
            passed += not text
            failed += bool(text)
            if text:
                print("%s\n%s" % (name, text), flush=True)
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
