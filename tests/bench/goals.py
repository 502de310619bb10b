# SPDX-License-Identifier: Apache-2.0
"""The table of goals, and what a measured row looks like."""

import os

HERE = os.path.dirname(os.path.abspath(__file__))


class Goals:
    def __init__(self):
        self.table = {}
        with open(os.path.join(HERE, "goals"), encoding="utf-8") as file:
            for line in file:
                if line.strip() and not line.startswith("#"):
                    key, goal, unit, what = line.split(None, 3)
                    self.table[key] = (float(goal), unit, what.strip())

    def row(self, key, value, detail="", **more):
        """A row is met when its value is not above the goal; of "at least" rows not below."""
        goal, unit, what = self.table[key]
        at_least = what.endswith("(at least)")
        met = value >= goal if at_least else value <= goal
        return dict({"key": key, "what": what, "value": round(value, 3), "unit": unit, "goal": goal, "met": met,
                     "detail": detail}, **more)

    def show(self, row):
        number = f"{row['value']:,.2f}" if row["unit"] in ("x", "ms") else f"{row['value']:,.0f}"
        goal = f"{row['goal']:,g}"
        print(f"{row['what']:<72} {number:>9} {row['unit']:<6} goal {goal:>7}  {'' if row['met'] else 'OVER  '}{row['detail']}",
              flush=True)
