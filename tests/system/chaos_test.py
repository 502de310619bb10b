#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# runs alone: two processors' worth of load for a minute
"""A share of tests/fault/chaos.py, half a minute of each kind: the whole server under load while its processes are killed."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "fault"))
import chaos  # noqa: E402

SECONDS = os.environ.get("CHAOS_SECONDS", "30")

if __name__ == "__main__":
    failed = chaos.campaign(["--seconds", SECONDS]) + chaos.campaign(["--seconds", SECONDS, "--points"])
    print("%d passed, %d failed" % (2 * len(chaos.PROPERTIES) - failed, failed))
    sys.exit(1 if failed else 0)
