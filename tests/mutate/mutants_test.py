#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mutants.py over a made-up source, and tests/mutate/survivors over the sources of today."""
import os
import sys
import unittest
import unittest.mock

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(TOP, "tests", "mutate"), os.path.join(TOP, "tests", "lib")]
import mutants  # noqa: E402
import mutate  # noqa: E402
import roster  # noqa: E402

SOURCE = """/* if (a < b) */
#include "a.h"
#define MOST 64U
#define NAME "if (a < b)"

static const struct row rows[] = {
	{ .at = 1 },
};

int run(struct thing *thing, int n)
{
	int left = n;
	const char *text = "a < b && c";

	if (n < MOST &&
	    thing->on)
		left = n - 1;
	while (left-- > 0) {
		thing->sum += left;
		thing->count++;
		step(thing);
		(void)note(thing,
		           n);
	}
	if (left > thing->sum)
		left = thing->sum;
	n = n < left ? n : left;
	ROSTER_ASSERT(n < 3);
	log_info("op=run n=%d", n < 3);
	thing_free(&thing);
	return thing->sum == 0 ? left : n;
}
"""


class MutantsTest(unittest.TestCase):
    def test_each_place_once(self):
        found = [(m.line, m.kind, " ".join(mutants.apply(m, SOURCE).split("\n")[m.line - 1].split())) for m in mutants.mutants("a.c", SOURCE)]
        self.assertEqual(sorted(found), sorted([
            (3, "bound", "#define MOST (64U + 1)"), (3, "bound", "#define MOST (64U - 1)"),
            (15, "negated", "if (!(n < MOST &&"), (15, "bound", "if (n <= MOST &&"), (15, "bound", "if (n < MOST ||"),
            (17, "store", ";"), (17, "bound", "left = n - 0;"),
            (18, "negated", "while (!(left-- > 0)) {"), (18, "bound", "while (left-- >= 0) {"),
            (19, "store", ";"), (20, "store", ";"), (21, "call", ";"), (22, "call", ";"),
            (25, "negated", "if (!(left > thing->sum))"), (26, "store", ";"), (27, "store", ";"),
            (31, "bound", "return thing->sum != 0 ? left : n;"),
        ]))

    def test_lines_stay_where_they_are(self):
        for mutant in mutants.mutants("a.c", SOURCE):
            self.assertEqual(mutants.apply(mutant, SOURCE).count("\n"), SOURCE.count("\n"), mutant)

    def test_lines_shown(self):
        shown = {mutant.line: mutants.lines(mutant, SOURCE) for mutant in mutants.mutants("a.c", SOURCE) if mutant.kind in ("negated", "call")}
        self.assertEqual(shown[15], (["if (n < MOST &&", "thing->on)"], ["if (!(n < MOST &&", "thing->on))"]))
        self.assertEqual(shown[22], (["(void)note(thing,", "n);"], [";"]))


class SurvivorsTest(unittest.TestCase):
    def test_each_speaks_of_a_line_of_today(self):
        self.assertEqual([mutate.show(row) for row in mutate.stale_rows(mutate.read_survivors())], [])


class DistanceTest(unittest.TestCase):
    NAMES = {                   # module: what it defines, what it takes
        "shared/thing": ({"thing_run"}, {"log_info"}),
        "shared/log": ({"log_info"}, set()),
        "tests/unit/thing_test": ({"main"}, {"thing_run"}),
        "tests/unit/user_test": ({"main", "thing_run"}, {"log_info"}),
    }

    def read(self, _, modules):
        return mutate.graph.Objects(modules, {name: module for module in modules for name in self.NAMES[module][0]},
                                    {module: self.NAMES[module][1] for module in modules})

    def test_a_function_of_a_test_is_nobody_elses(self):
        modules, tests = [[name for name in self.NAMES if name.startswith(folder)] for folder in ("shared/", "tests/")]
        with unittest.mock.patch.object(mutate.graph, "read", self.read), \
                unittest.mock.patch.object(mutate.graph, "modules_of_the_tree", lambda: modules):
            found = mutate.distances(tests)
        self.assertEqual(found["shared/thing"], [(1, "tests/unit/thing_test")])
        self.assertEqual(found["shared/log"], [(2, "tests/unit/thing_test"), (1, "tests/unit/user_test")])


class ChoiceTest(unittest.TestCase):
    def test_the_seed_decides(self):
        first, again, other = mutate.chosen(["pusher/"], 1), mutate.chosen(["pusher/"], 1), mutate.chosen(["pusher/"], 2)
        self.assertEqual(first, again)
        self.assertNotEqual(first, other)
        self.assertEqual(sorted(first), sorted(other))
        self.assertTrue(all(mutant.path.startswith("pusher/") for mutant in first))


if __name__ == "__main__":
    roster.main()
