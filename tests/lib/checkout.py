#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The files of the checkout: everything that .gitignore does not name. Asks no git: an unpacked archive of the sources will do.

    checkout.py [SUFFIX ...]     prints them, one a line
"""
import fnmatch
import os
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def patterns():
    """(pattern, whether it is of the whole path, whether it is of a folder) of each line; .git besides."""
    with open(os.path.join(TOP, ".gitignore"), encoding="utf-8") as f:
        lines = [line.strip() for line in f]
    found = [(line.strip("/"), "/" in line.rstrip("/"), line.endswith("/")) for line in lines if line and not line.startswith("#")]
    return found + [(".git", True, False)]


def files():
    """Sorted paths, named from the top folder."""
    rules, found = patterns(), []

    def kept(path, is_folder):
        name = os.path.basename(path)
        return not any(fnmatch.fnmatchcase(path if whole else name, pattern) and (is_folder or not of_folder)
                       for pattern, whole, of_folder in rules)

    for folder, folders, names in os.walk(TOP):
        inside = os.path.relpath(folder, TOP)
        inside = "" if inside == "." else inside + "/"
        folders[:] = [name for name in folders if kept(inside + name, True)]
        found += [inside + name for name in names if kept(inside + name, False)]
    return sorted(found)


def folders():
    """The top folders of the product: those with sources, without the tests."""
    return sorted({path.split("/")[0] for path in files() if path.endswith(".c") and "/" in path} - {"tests"})


if __name__ == "__main__":
    for path in files():
        if len(sys.argv) == 1 or path.endswith(tuple(sys.argv[1:])):
            print(path)
