#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The table of routes: each one is documented, shown by the metrics once it was asked, and tried by a case or a test."""
import glob
import os
import re
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "lib"))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "conformance"))
import roster  # noqa: E402
import run as conformance  # noqa: E402

ROW = re.compile(r"^\| ([A-Z]+) \| `/nacos(/[^`]*)` \|.*\|$", re.M)


def printed():
    return subprocess.run([roster.ROSTERD, "--print-api"], capture_output=True, text=True, check=True).stdout


def routes():
    return ROW.findall(printed())


def recorded():
    """(method, path) of every request in the cases that are played."""
    found = set()
    for document in conformance.choose().values():
        for case in document["cases"]:
            for step in case["steps"]:
                if step.get("do") == "http":
                    path = step["path"].split("?")[0]
                    found.add((step.get("method", "GET"), path[:-1] if path.endswith("/") else path))
    return found


def named(method, path, texts):
    """A test asks for it: "METHOD", "path", maybe without /v1/ns; or a file has the method and the path, as a whole or as two
    texts that are put together."""
    short = path[len("/v1/ns"):] if path.startswith("/v1/ns") else path
    asked = re.compile(r"""["']%s["'],\s*["'](?:/v1/ns)?%s/?["'?]""" % (method, re.escape(short)))
    whole = re.compile(re.escape(path) + r"(?![\w/-])")
    parts = [(path[:match.start()], path[match.start():]) for match in re.finditer("/", path)][3:]

    def has(text):
        if asked.search(text):
            return True
        if not re.search(r"\b%s\b" % method, text):
            return False
        return whole.search(text) or any('"%s"' % begin in text and '"%s"' % end in text for begin, end in parts)
    return any(has(text) for text in texts)


def original(path):
    """Some routes have two names."""
    for alias, name in (("/v1/ns/api", "/v1/ns/instance"), ("/v1/ns/ops", "/v1/ns/operator")):
        if path == alias or path.startswith(alias + "/"):
            return name + path[len(alias):]
    return path


class Routes(unittest.TestCase):
    def test_documented(self):
        with open(os.path.join(roster.TOP, "doc", "api.md"), encoding="utf-8") as file:
            documented = file.read()
        rows = routes()
        self.assertGreaterEqual(len(rows), 20)
        self.assertEqual(len(rows), len(set(rows)), "a route stands there once")
        self.assertEqual(rows, ROW.findall(documented))

    def test_tried(self):
        """By a recorded case that is played, or by a test that names it."""
        cases, texts = recorded(), []
        for path in glob.glob(HERE + "/*.py"):
            if os.path.basename(path) != os.path.basename(__file__):
                with open(path, encoding="utf-8") as file:
                    texts.append(file.read())
        rows = routes()
        untried = []
        for method, path in rows:
            first = (method, original(path))        # test_aliases looks after the second name
            row = first if first in rows else (method, path)
            if row not in cases and not named(*row, texts):
                untried.append("%s %s" % row)
        self.assertEqual(untried, [])
        self.assertFalse(named("GET", "/v1/ns/nobody/asks/this", texts))

    def test_later_stages(self):
        """One answer for all of them and every method; both pages name them; none of them is a route."""
        later = re.findall(r"^- `/nacos(/[^`]+)`$", printed(), re.M)
        self.assertGreater(len(later), 5)
        self.assertEqual(set(later) & {path for _, path in routes()}, set())
        for page in ("api.md", "compatibility.md"):
            with open(os.path.join(roster.TOP, "doc", page), encoding="utf-8") as file:
                text = file.read().split("## Endpoints of later stages", 1)[1]
            self.assertEqual(re.findall(r"`/nacos(/v1/(?!cs|ns`)[^`]+)`", text), later, page)
        with roster.Server(workers=1) as server:
            for path in later:
                for method in ("GET", "POST", "PUT", "DELETE", "PATCH"):
                    for asked in (path, path + "/"):
                        reply = server.request(method, asked, {"a": "b"})
                        self.assertEqual(reply.status, 501, (method, asked))
                        body = reply.json
                        self.assertEqual((body["status"], body["error"], body["message"], body["path"]), (
                            501, "Not Implemented", "no such api:%s:/nacos%s" % (method, asked), "/nacos" + asked))
                        self.assertEqual(reply.headers["Connection"], "close")
            for path in ("/v1/auth/nothing", "/v1/core/cluster", "/v1/cs/configs"):
                self.assertEqual(server.request("GET", path).status, 404)

    def test_aliases(self):
        """Under both names the same answer; here to a request that says nothing."""
        rows = routes()
        with roster.Server(workers=1) as server:
            for method, path in rows:
                if path == original(path) or (method, original(path)) not in rows:
                    continue
                first, second = server.request(method, original(path)), server.request(method, path)
                shape = list(first.json) if "json" in (first.headers["Content-Type"] or "") else first.text
                self.assertEqual(list(second.json) if isinstance(shape, list) else second.text, shape, path)
                self.assertEqual(second.status, first.status, path)

    def test_counted(self):
        """Asked once, each has a line of its own."""
        rows = routes()
        with roster.Server() as server:
            for method, path in rows:
                reply = server.request(method, path)
                self.assertNotIn(reply.status, (404, 405, 501), "%s %s" % (method, path))
            page = server.request("GET", "/actuator/prometheus").text
        counted = dict(re.findall(r'^roster_route_seconds_count\{(method="\w+",route="[^"]*")\} (\d+)$', page, re.M))
        for method, path in rows:
            self.assertGreaterEqual(int(counted.get('method="%s",route="%s"' % (method, path), 0)), 1, "%s %s" % (method, path))
        self.assertNotIn('route="none"', page)


if __name__ == "__main__":
    roster.main()
