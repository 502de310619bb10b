#!/usr/bin/env python3
# runs alone: two processors' worth of load for a minute
"""A share of tests/fault/chaos.py: the whole server under load while its processes are killed at random."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "fault"))
import chaos  # noqa: E402

if __name__ == "__main__":
    sys.exit(chaos.main(["--seconds", os.environ.get("CHAOS_SECONDS", "60")] + sys.argv[1:]))
