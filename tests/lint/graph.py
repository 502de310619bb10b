#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who uses whom among the objects of a build, as the linker sees it. Two rules:

    rings       modules that need each other, directly or by way of others, can only be understood together. None in master, none
                between folders; elsewhere those that a row of ROOM allows
    exports     a name that no other object of the product uses is static, or deleted, or has a row of KEPT that says who needs it

    graph.py [BUILD]     every ring with the names that close it, and every name without a user; BUILD: build-clang

A module is named by its source without the suffix: pusher/drain.
"""
import collections
import os
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests", "lib"))
import checkout  # noqa: E402

FOLDERS = checkout.folders()

# Rings: how many a folder may have (worker: with the folders in it), how many modules in each, and why it is bearable.
Room = collections.namedtuple("Room", "folder rings modules why")
ROOM = (
    Room("shared/registry", 1, 9, "services, clusters, instances and subscribers refer to each other: so do the functions that follow the references"),
    Room("shared/shm", 2, 2, "the undo log notes what the slab frees, and the slab frees what the log says; a lock is taken in the segment that makes it"),
    Room("shared/base", 1, 2, "a rule that is broken is named in the log, and the log has rules too"),
    Room("keeper", 1, 4, "each kind of probe is a row of the probe, and tells the probe how it ended"),
    Room("worker", 1, 2, "two modules of one thing may know each other, as a table of switches and the change of many at once do"),
)

# Exported names without a user in the product, and who needs them.
KEPT = {
    "clock_set_for_test": "tests: a clock of their own",
    "segment_close_for_test": "tests: many segments in one process",
    "segment_open_anonymous": "tests: a segment without a file",
    "sources_free_for_test": "tests: many mappings in one process",
    "lock_watch_for_test": "tests: how long a lock was held",
    "segment_cgroup_room": "tests: limits of memory read from files of their own",
    "slab_audit": "tests: a check in one call, which the product makes in pieces",
    "table_audit": "tests: a check in one call, which the product makes in pieces",
    "brake_holds": "tests: what the brake decided, beside what it stored",
    "checks_step": "tests: a step without an event loop",
    "expiry_count": "tests: services that the schedule knows",
    "encode_packet": "tests: packets of each size, without a view that would be as long",
    "inflight_count": "tests: deliveries that wait",
    "fallback_is_armed": "tests: whether there is a way back, which nobody but it decides by",
    "subscription_agent_can_push": "tests: each agent without a subscription around it",
    "registry_unsubscribe": "tests and the campaign at crash points: subscribers go whether they were silent or not",
    "config_yaml_text": "a fuzz target: a configuration without a file",
    "router_find": "tests: which row a path leads to",
    "router_prepare": "tests and a fuzz target: parameters without a handler",
    "ring_next": "readers of the event ring are to come",
}


class Objects:
    """modules: of those that have an object. defined: the module of a name. used: the set of names of a module."""

    def __init__(self, modules=(), defined=None, used=None):
        self.modules, self.defined, self.used = set(modules), defined or {}, used or {}

    def links(self):
        """{module: {other module: names it takes from there}}"""
        found = {module: {} for module in self.modules}
        for module, names in self.used.items():
            for name in names:
                other = self.defined.get(name, module)
                if other != module:
                    found[module].setdefault(other, set()).add(name)
        return found

    def unused(self):
        """(module, name) of those that no other module takes."""
        taken = {name for module, names in self.used.items() for name in names if self.defined.get(name) != module}
        return sorted((module, name) for name, module in self.defined.items() if name not in taken and name != "main")


def read(build, modules):
    """Of the objects in the folder. What has no object is left out."""
    paths = {os.path.join(build, module + ".o"): module for module in modules}
    there = [path for path in sorted(paths) if os.path.exists(path)]
    found = Objects(paths[path] for path in there)
    if not there:
        return found
    text = subprocess.run(["nm", "-P", "-A", "-g"] + there, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True).stdout
    for line in text.splitlines():
        path, rest = line.split(": ", 1)
        name, kind = rest.split()[:2]
        if kind in "Uwv":
            found.used.setdefault(paths[path], set()).add(name)
        else:
            found.defined[name] = paths[path]
    return found


def rings(links):
    """Sets of modules of which each needs every other one, the largest first (Tarjan)."""
    number, low, stack, found = {}, {}, [], []

    def visit(module):
        number[module] = low[module] = len(number)
        stack.append(module)
        for other in links.get(module, ()):
            if other not in number:
                visit(other)
            if other in stack:
                low[module] = min(low[module], low[other])
        if low[module] == number[module]:
            ring = set(stack[stack.index(module):])
            del stack[-len(ring):]
            if len(ring) > 1:
                found.append(ring)

    for module in sorted(links):
        if module not in number:
            visit(module)
    return sorted(found, key=lambda ring: (-len(ring), sorted(ring)))


def room_of(ring):
    """The row it falls under. None: there is none, or it goes over folders."""
    folders = {os.path.dirname(module) for module in ring}
    rows = [row for row in ROOM if len(folders) == 1 and (min(folders) + "/").startswith(row.folder + "/")]
    return rows[0] if rows else None


def too_much(found):
    """(ring, what is wrong with it) of each that is not allowed."""
    count = collections.Counter()
    for ring in found:
        row = room_of(ring)
        if row is None:
            yield ring, "no ring is allowed here"
            continue
        count[row] += 1
        if len(ring) > row.modules:
            yield ring, "%d modules at most" % row.modules
        elif count[row] > row.rings:
            yield ring, "%d rings at most in %s" % (row.rings, row.folder)


def describe(ring, links):
    lines = ["ring of %d: %s" % (len(ring), " ".join(sorted(ring)))]
    for module in sorted(ring):
        lines += ["    %s -> %s: %s" % (module, other, " ".join(sorted(names)))
                  for other, names in sorted(links[module].items()) if other in ring]
    return "\n".join(lines) + "\n"


def modules_of_the_tree():
    return [path[:-2] for path in checkout.files() if path.endswith(".c") and path.startswith(tuple(folder + "/" for folder in FOLDERS))]


def missing(objects, modules):
    return "".join("%s.c: no object: build first\n" % module for module in modules if module not in objects.modules)


def check_rings(objects):
    links = objects.links()
    return "".join("%s: %s" % (what, describe(ring, links)) for ring, what in too_much(rings(links)))


def check_exports(objects, kept):
    unused = objects.unused()
    text = "".join("%s.c: %s: no other object uses it\n" % row for row in unused if row[1] not in kept)
    stale = sorted(set(kept) - {name for _, name in unused})
    return text + "".join("KEPT: %s: used by the product, or gone: the row can go\n" % name for name in stale)


def jobs(build="build-clang"):
    """(name, a function that returns the findings as text) of each check."""
    modules = modules_of_the_tree()
    objects = read(os.path.join(TOP, build), modules)
    yield "graph objects", lambda: missing(objects, modules)
    yield "graph rings", lambda: check_rings(objects)
    yield "graph exports", lambda: check_exports(objects, KEPT)


def main():
    objects = read(os.path.join(TOP, sys.argv[1] if len(sys.argv) > 1 else "build-clang"), modules_of_the_tree())
    links = objects.links()
    for ring in rings(links):
        row = room_of(ring)
        print("%s%s" % (describe(ring, links), "    allowed: %s" % row.why if row else "    not allowed"))
    for module, name in objects.unused():
        print("%s.c: %s: %s" % (module, name, KEPT.get(name, "no other object uses it")))


if __name__ == "__main__":
    main()
