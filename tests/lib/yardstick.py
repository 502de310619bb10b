# SPDX-License-Identifier: Apache-2.0
"""Bounds for times that hold on any machine and beside any neighbour.

A test says what a server may take in pieces of work (tests/system/yardstick.c, about a millisecond each on a quiet machine of
2022), and the yardstick, which works at the same time as the server does, says how long as many pieces took at the most. Where
a time still passes its bound, the best of three runs counts: a neighbour comes and goes, a fault of the server stays.
"""
import functools
import os
import subprocess

import roster

PROGRAM = os.path.join(os.path.dirname(roster.ROSTERD), "tests", "system", "yardstick")
RUNS = 3


class TooSlow(AssertionError):
    """The one failure that another run may mend."""


class Yardstick:
    """Works from its making to its end(); then slowest_ms() answers."""

    def __init__(self):
        self.proc = subprocess.Popen([PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.took_us = []

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.end()

    def end(self):
        if self.proc.poll() is None:
            self.took_us = [int(line) for line in self.proc.communicate(timeout=60)[0].split()]
        return self

    def slowest_ms(self, pieces):
        """What that many pieces in a row took at the most."""
        self.end()
        took = self.took_us
        if len(took) < pieces:       # it was given less time than that by the neighbours, or worked for a moment only
            return max(sum(took), 1) * pieces / max(len(took), 1) / 1000
        now = most = sum(took[:pieces])
        for old, new in zip(took, took[pieces:]):
            now += new - old
            most = max(most, now)
        return most / 1000

    def judge(self, took_ms, pieces, what):
        """Fails when something took longer than so many pieces of work."""
        pieces = int(pieces)
        limit = self.slowest_ms(pieces)
        if took_ms > limit:
            raise TooSlow("%s: %.1f ms, and %d pieces of work took %.1f ms at the most" % (what, took_ms, pieces, limit))


def best_of_three(case):
    """For a test method: one that was too slow runs again, on what its cleanups left."""
    @functools.wraps(case)
    def runs(self):
        for _ in range(RUNS - 1):
            try:
                return case(self)
            except TooSlow as slow:
                print("   once more: %s" % slow, flush=True)
                self.doCleanups()
        return case(self)
    return runs
