#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Plays the recorded exchanges of a real 1.4.8 server against rosterd.

All of them but those that need users, which come later, and those in DIFFER: there Roster differs on purpose, each with
its place in doc/compatibility.md.

    run.py                  against a server of its own (ROSTERD, default build/rosterd)
    run.py --list           the cases chosen
    run.py ...              further arguments go to play.py (--only, --timing, --verbose)
"""
import glob
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "lib"))
import roster  # noqa: E402

SLACK_S = 10.0            # added to upper limits: they are in the recordings for the reader, lower ones are kept exactly

DIFFER = {
    "instance-write/patch-bad-weight": "quirk: a refused weight stays on the live instance; here it changes nothing",
    "push/retry-carries-old-state": "quirk: the resend of an older state after the newer one; here the newer push replaces it",
}


# Recorded with authentication on, and answered in the same way by a server without users.
WITHOUT_USERS = {"login", "login-users-path", "login-get", "login-query", "no-token-open", "token-param", "token-header",
                 "token-form-put", "credentials-as-params", "namespaces-with-token"}


def choose():
    chosen = {}
    for name in sorted(glob.glob(os.path.join(HERE, "cases", "*.json"))):
        with open(name, encoding="utf-8") as f:
            doc = json.load(f)
        cases = [case for case in doc["cases"] if case.get("server") != "auth" or case["name"] in WITHOUT_USERS]
        cases = [case for case in cases if doc["topic"] + "/" + case["name"] not in DIFFER]
        if cases:
            chosen[os.path.basename(name)] = dict(doc, cases=cases)
    return chosen


def main():
    chosen = choose()
    if "--list" in sys.argv:
        for doc in chosen.values():
            for case in doc["cases"]:
                print("%s/%s" % (doc["topic"], case["name"]))
        return 0
    print("%d cases chosen, %d differ on purpose: %s" % (sum(len(d["cases"]) for d in chosen.values()), len(DIFFER),
                                                         " ".join(sorted(DIFFER)) or "none"), flush=True)
    with tempfile.TemporaryDirectory(prefix="roster-cases-") as folder:
        for name, doc in chosen.items():
            with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
                json.dump(doc, f)
        with roster.Server() as server:
            line = [sys.executable, os.path.join(HERE, "play.py"), "--cases", folder, "--base", server.base,
                    "--private-base", server.base, "--auth-base", server.base, "--quiet", "--slack", str(SLACK_S)] + sys.argv[1:]
            return subprocess.run(line, stdin=subprocess.DEVNULL).returncode


if __name__ == "__main__":
    sys.exit(main())
