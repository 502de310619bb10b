#!/usr/bin/env python3
"""Plays the recorded exchanges of a real 1.4.8 server against rosterd.

Which cases: every one whose requests are all among SERVED (one trailing slash allowed), or on a console health path,
or expected to be 501 or 404. LATER names cases that pass this rule but need a later stage to verify, each with why;
DIFFER those where Roster differs on purpose, each with its place in doc/compatibility.md.

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

SERVED = {
    "/v1/ns/instance": "POST PUT PATCH DELETE GET",
    "/v1/ns/instance/list": "GET",
    "/v1/ns/instance/beat": "PUT",
    "/v1/ns/instance/statuses": "GET",
    "/v1/ns/instance/metadata/batch": "PUT DELETE",
    "/v1/ns/operator/metrics": "GET",
    "/v1/ns/operator/switches": "GET PUT",
    "/v1/ns/operator/push/state": "GET",
    "/v1/ns/operator/servers": "GET",
    "/v1/ns/operator/distro/server": "GET",
    "/v1/ns/ops/metrics": "GET",
    "/v1/ns/api/srvIPXT": "GET",
    "/v1/console/namespaces": "GET POST PUT DELETE PATCH",
    "/v1/console/server/state": "GET",
    "/v1/ns/service": "POST PUT DELETE GET",
    "/v1/ns/service/checksum": "PUT",
    "/v1/ns/service/list": "GET",
    "/v1/ns/service/names": "GET",
    "/v1/ns/service/status": "POST",
    "/v1/ns/service/subscribers": "GET",
    "/v1/ns/catalog/service": "GET",
    "/v1/ns/catalog/services": "GET",
    "/v1/ns/catalog/instances": "GET",
    "/v1/ns/catalog/rt/service": "GET",
    "/v1/ns/cluster": "PUT",
    "/v1/ns/health": "PUT",
    "/v1/ns/health/instance": "PUT",
    "/v1/ns/health/server": "GET",
}
LATER = {
    "cluster-health/tcp-checker-down": "active checks come with clusters and health",
}
DIFFER = {
    "instance-write/patch-bad-weight": "quirk: a refused weight stays on the live instance; here it changes nothing",
    "push/retry-carries-old-state": "quirk: the resend of an older state after the newer one; here the newer push replaces it",
}


def served(step):
    if step.get("do") != "http":
        return True
    if (step.get("expect") or {}).get("status") in (404, 501):
        return True
    path = step["path"].split("?")[0]
    if path.startswith("/v1/console/health"):
        return True
    if path.endswith("/"):
        path = path[:-1]
    return step.get("method", "GET") in SERVED.get(path, "").split()


def choose():
    chosen = {}
    for name in sorted(glob.glob(os.path.join(HERE, "cases", "*.json"))):
        with open(name, encoding="utf-8") as f:
            doc = json.load(f)
        cases = []
        for case in doc["cases"]:
            case_id = doc["topic"] + "/" + case["name"]
            if case.get("server") == "auth" or case_id in LATER or case_id in DIFFER:
                continue
            if all(served(step) for step in case["steps"]):
                cases.append(case)
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
                    "--private-base", server.base, "--quiet"] + sys.argv[1:]
            return subprocess.run(line, stdin=subprocess.DEVNULL).returncode


if __name__ == "__main__":
    sys.exit(main())
