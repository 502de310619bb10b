#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The rules of the house that no tool knows. Each file is one check; the last line is "N passed, N failed".

    sizes       a function of at most 80 lines, a file of at most 700 (not in tests)
    direction   who may include whom is the table of folders in doc/architecture.md, read from there
    locks       functions of pthread_mutex_*, and of its relatives, are named in shared/shm/lock.c only
    origins     of clients' writes are made in the guard of shared/naming only, which asks for the right and the owner; a worker has none,
                and the one write that needs none, naming_keep_checksum(), is behind shared/naming too
    plans       whoever sees what happens to children names no member of a plan: what a plan does about a child is a hook (master/plan.h)
    http        knows neither what is stored nor who may ask for it: worker/http includes and names nothing of registry, view, naming, agents
    clocks      nothing waits by it, and it is read in shared/base only
    unfinished  no words that say so, in any file of text
    license     each source file names it (SPDX) in its first three lines
    comments    of C: a line of at most 100 columns, which clang-format leaves to us
"""
import os
import re
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests", "lib"))
import checkout  # noqa: E402

FOLDERS = tuple(checkout.folders())
LINES_OF_A_FILE = 700
LINES_OF_A_FUNCTION = 80
COLUMNS_OF_A_COMMENT = 100
LOCK_FILE = "shared/shm/lock.c"
LOCK_CALL = re.compile(r"\bpthread_(?:mutex|mutexattr|rwlock|cond|spin)\w*_[a-z]+\s*\(")
GUARD_FILE = "shared/naming/guard.c"
ORIGIN_HELD = re.compile(r"\bstruct origin\b|\bguard_origin\b")
KEPT_CHECKSUM = re.compile(r"\bregistry_store_checksum\b")
ORIGIN = re.compile(r"\(struct origin\)\s*\{|\bstruct origin \w+\s*(?:=\s*\{|;)")
PLANLESS = ("master/plan.c", "master/reap.c", "master/watch.c", "master/spawn.c", "master/stop.c")
PLAN_MEMBER = re.compile(r"\bm->(?:convert|upgrade|freeze|stale|crashes|condemned)\b")
STORED = re.compile(r"\bshared/(?:registry|view|naming)/|\bshared/net/agent\.h|"
                    r"\b(?:registry|naming|service|instance|switches)(?:_\w+)?\b|\b(?:agent|v1)_\w+")
WALL_CLOCK = re.compile(r"\bCLOCK_REALTIME\w*|\bgettimeofday\s*\(|\btime\s*\(\s*(?:NULL|&|0)|\bev_(?:time|now|periodic)\b|\b\w+_timed(?:lock|wait)\b")
UNFINISHED = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|X" r"XX)\b")
INCLUDE = re.compile(r'\s*#\s*include\s+"([^"]+)"')
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.S)
LICENSE = "SPDX-License-Identifier: Apache-2.0"
SOURCES = (".c", ".h", ".py", ".mk", ".am", ".ac", ".lua", ".js", ".java", ".xml", "dev", "run", "setup")
TEXTS = (".c", ".h", ".py", ".md", ".mk", ".am", ".ac", ".yaml", ".lua", ".js", ".java", ".xml", ".service", ".socket", "dev", "run", "setup")


def read(path):
    with open(os.path.join(TOP, path), encoding="utf-8", errors="replace") as f:
        return f.read()


def may_include():
    """Rows `| `shared/x` | holds | base, shm |`: the set of folders each folder may include, itself among them."""
    table = {}
    for line in read("doc/architecture.md").splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) != 3 or not cells[2]:
            continue
        folders = re.findall(r"`([a-z0-9/]+)`", cells[0])
        if cells[2] == "nothing":
            allowed = set()
        elif cells[2].startswith("everything under shared"):
            allowed = {"shared/"} | set(re.findall(r"`([a-z0-9/]+)`", cells[2]))
        elif re.fullmatch(r"[a-z]+(?:, [a-z]+)*", cells[2]):
            allowed = {"shared/" + name for name in cells[2].split(", ")}
        else:
            continue
        for folder in folders:
            if folder.split("/")[0] in FOLDERS:
                table[folder] = allowed | {folder}
    return table


def functions(lines):
    """(number of the first line, name, length) of each function: its braces stand in the first column."""
    start = None
    for number, line in enumerate(lines):
        if line == "{":
            start = number
        elif line == "}" and start is not None:
            head = start - 1
            while head > 0 and not re.match(r"[A-Za-z_].*\(", lines[head]):
                head -= 1
            named = re.search(r"(\w+)\(", lines[head])
            yield head + 1, named.group(1) if named else "?", number - start - 1
            start = None


def blank(match):
    return re.sub(r"[^\n]", " ", match.group())


def direction(path, number, target, table):
    folder = os.path.dirname(path)
    if ".." in target or "/" not in target:
        return "%d: \"%s\" is not named from the top folder" % (number, target)
    other = os.path.dirname(target)
    if folder not in table:
        return "%d: doc/architecture.md does not say what %s may include" % (number, folder)
    if other in table[folder] or ("shared/" in table[folder] and other.startswith("shared/")):
        return None
    return "%d: %s may not include %s" % (number, folder, other)


def check(path, table):
    text = read(path)
    found = ["%d: unfinished" % number for number, line in enumerate(text.splitlines(), 1) if UNFINISHED.search(line)]
    if path.endswith(SOURCES) and not any(LICENSE in line for line in text.splitlines()[:3]):
        found.append("1: no line with " + LICENSE)
    if path.endswith((".c", ".h")):
        found += ["%d: a comment of %d columns" % (number, len(line.expandtabs(8))) for number, line in enumerate(text.splitlines(), 1)
                  if re.match(r"\s*(?:/\*|\*) ", line) and len(line.expandtabs(8)) > COLUMNS_OF_A_COMMENT]
    if not path.endswith((".c", ".h")) or not path.startswith(tuple(folder + "/" for folder in FOLDERS)):
        return found
    lines = text.splitlines()
    if len(lines) > LINES_OF_A_FILE:
        found.append("1: %d lines" % len(lines))
    found += ["%d: %s: %d lines" % f for f in functions(lines) if f[2] > LINES_OF_A_FUNCTION]
    for number, line in enumerate(COMMENT.sub(blank, text).splitlines(), 1):
        include = INCLUDE.match(line)
        wrong = include and direction(path, number, include.group(1), table)
        if wrong:
            found.append(wrong)
        if path != LOCK_FILE and LOCK_CALL.search(line):
            found.append("%d: locks are taken in %s only" % (number, LOCK_FILE))
        if path.startswith("shared/naming/") and path != GUARD_FILE and ORIGIN.search(line):
            found.append("%d: origins are made in %s only" % (number, GUARD_FILE))
        if path.startswith("worker/") and ORIGIN_HELD.search(line):
            found.append("%d: a worker has no origins: it writes through shared/naming" % number)
        if path in PLANLESS and PLAN_MEMBER.search(line):
            found.append("%d: a member of a plan: it takes a hook" % number)
        if path.startswith("worker/http/") and STORED.search(line):
            found.append("%d: HTTP knows nothing of the registry: that is its protocol's (worker/http/protocol.h)" % number)
        if path.startswith("worker/") and KEPT_CHECKSUM.search(line):
            found.append("%d: a worker keeps checksums through shared/naming" % number)
        if WALL_CLOCK.search(line) and not path.startswith("shared/base/"):
            found.append("%d: the wall clock" % number)
    return found


def jobs():
    """(name, a function that returns the findings as text) of each check."""
    table = may_include()

    def whole():
        top = "|".join(FOLDERS)
        missing = [f for f in sorted({os.path.dirname(p) for p in checkout.files() if re.match(rf"(?:{top})/.*\.[ch]$", p)}) if f not in table]
        return "".join("doc/architecture.md: no row for %s\n" % folder for folder in missing)

    def of(path):
        return lambda: "".join("%s:%s\n" % (path, line) for line in check(path, table))

    yield "style folders", whole
    for path in checkout.files():
        if path.endswith(TEXTS):
            yield "style " + path, of(path)


def main():
    passed = failed = 0
    for _, job in jobs():
        text = job()
        passed, failed = passed + (not text), failed + bool(text)
        sys.stdout.write(text)
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
