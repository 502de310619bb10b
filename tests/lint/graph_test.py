#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""graph.py over made-up links: it finds every ring and invents none, and it reads objects as the linker does."""
import os
import subprocess
import sys
import tempfile
import unittest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(TOP, "tests", "lint"), os.path.join(TOP, "tests", "lib")]
import graph  # noqa: E402
import roster  # noqa: E402


def links(text):
    """"a>b b>c" as the table of links."""
    found = {}
    for word in text.split():
        module, other = word.split(">")
        found.setdefault(module, {})[other] = {other + "_run"}
        found.setdefault(other, {})
    return found


def rings(text):
    return [" ".join(sorted(ring)) for ring in graph.rings(links(text))]


def verdicts(text):
    return [what for _, what in graph.too_much(graph.rings(links(text)))]


class RingTest(unittest.TestCase):
    def test_none_is_invented(self):
        for text in ("", "a>b", "a>b b>c a>c", "a>b a>c b>d c>d", "d>c c>b b>a d>a"):
            self.assertEqual(rings(text), [], text)

    def test_each_is_found(self):
        for text, expected in (("a>b b>a", ["a b"]),
                               ("a>b b>c c>a", ["a b c"]),
                               ("x>a a>b b>c c>a c>y", ["a b c"]),
                               ("a>b b>a c>d d>c b>c", ["a b", "c d"]),
                               ("a>b b>a b>c c>b", ["a b c"]),
                               ("a>b b>c c>d d>b c>a e>a", ["a b c d"])):
            self.assertEqual(rings(text), expected, text)

    def test_a_long_chain_that_comes_back(self):
        chain = ["m%03d" % i for i in range(400)]
        text = " ".join("%s>%s" % pair for pair in zip(chain, chain[1:]))
        self.assertEqual(rings(text), [])
        self.assertEqual(rings(text + " m399>m000"), [" ".join(chain)])

    def test_where_they_may_be(self):
        none = "no ring is allowed here"
        for text, expected in (("master/a>master/b master/b>master/a", [none]),
                               ("master/a>master/upgrade/b master/upgrade/b>master/a", [none]),
                               ("worker/http/a>worker/v1/b worker/v1/b>worker/http/a", [none]),
                               ("shared/shm/a>shared/base/b shared/base/b>shared/shm/a", [none]),
                               ("pusher/a>pusher/b pusher/b>pusher/a", [none]),
                               ("keepers/a>keepers/b keepers/b>keepers/a", [none]),
                               ("worker/v1/a>worker/v1/b worker/v1/b>worker/v1/a", []),
                               ("shared/shm/a>shared/shm/b shared/shm/b>shared/shm/a", [])):
            self.assertEqual(verdicts(text), expected, text)

    def test_how_many_and_how_large(self):
        pair = "worker/{0}/a>worker/{0}/b worker/{0}/b>worker/{0}/a "
        self.assertEqual(verdicts(pair.format("v1")), [])
        self.assertEqual(verdicts(pair.format("v1") + pair.format("http")), ["1 rings at most in worker"])
        five = " ".join("worker/v1/%s>worker/v1/%s" % tuple(pair) for pair in ("ab", "bc", "cd", "de", "ea"))
        self.assertEqual(verdicts(five), ["2 modules at most"])


class ObjectsTest(unittest.TestCase):
    """Three sources, compiled: top calls middle, by name and by address in a table; middle and low call each other."""
    SOURCES = {
        "top": "int middle_run(void); int low_word; static int own(void) { return 1; }\n"
               "int (*const top_table[])(void) = { middle_run }; int top_run(void) { return own() + low_word; }",
        "middle": "int low_run(void); int middle_run(void) { return low_run(); } int middle_spare(void) { return 2; }",
        "low": "int middle_run(void); int low_run(void) { return middle_run(); } __attribute__((weak)) int low_weak;",
    }

    def read(self, modules):
        with tempfile.TemporaryDirectory(prefix="roster-graph-") as folder:
            for name, text in self.SOURCES.items():
                path = os.path.join(folder, name)
                with open(path + ".c", "w", encoding="ascii") as f:
                    f.write(text)
                subprocess.run(["cc", "-O1", "-c", path + ".c", "-o", path + ".o"], stdin=subprocess.DEVNULL, check=True)
            return graph.read(folder, modules)

    def test_links(self):
        objects = self.read(["low", "middle", "top"])
        self.assertEqual(objects.links(), {"top": {"middle": {"middle_run"}}, "middle": {"low": {"low_run"}}, "low": {"middle": {"middle_run"}}})
        self.assertEqual(graph.rings(objects.links()), [{"low", "middle"}])

    def test_names_without_a_user(self):
        objects = self.read(["low", "middle", "top"])
        unused = [("low", "low_weak"), ("middle", "middle_spare"), ("top", "low_word"), ("top", "top_run"), ("top", "top_table")]
        self.assertEqual(objects.unused(), unused)
        kept = {name: "" for _, name in unused}
        self.assertEqual(graph.check_exports(objects, kept), "")
        self.assertIn("middle.c: middle_spare", graph.check_exports(objects, {name: "" for name in kept if name != "middle_spare"}))
        self.assertIn("low_run", graph.check_exports(objects, dict(kept, low_run="")))

    def test_what_is_not_built_is_named(self):
        objects = self.read(["low", "other"])
        self.assertIn("other.c", graph.missing(objects, ["low", "other"]))
        self.assertEqual(graph.missing(objects, ["low"]), "")


if __name__ == "__main__":
    roster.main()
