#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""context.path: everything moves with it."""
import os
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))
import roster  # noqa: E402


class Context(unittest.TestCase):
    def everything_works(self, server, other):
        server.register("moved", "10.0.0.1", 80)
        self.assertEqual(server.beat("moved", "10.0.0.1", 80), 10200)
        subscriber = roster.Subscriber(server, "moved")
        server.register("moved", "10.0.0.2", 80)
        subscriber.wait_for(lambda data: len(data["hosts"]) == 2, 10, "push of the second instance")
        subscriber.close()
        self.assertEqual(server.metrics()["instanceCount"], 2)
        self.assertIn("roster_", server.request("GET", "/actuator/prometheus").text)
        self.assertEqual(server.request("GET", "/v1/ns/nosuch").json["message"],
                         "no such api:GET:%s/v1/ns/nosuch" % server.context)
        self.assertEqual(server.request("GET", "/v1/zz").json["path"], server.context + "/v1/zz")
        # One meaning, several spellings.
        if server.context:
            server.context, plain = "/%%%02x%s" % (ord(server.context[1]), server.context[2:]), server.context
            self.assertEqual(server.request("GET", "/v1/ns/instance/list", "serviceName=moved").status, 200)
            server.context = plain
        # A limited URL is the whole one.
        for path, status in (("/v1/ns/instance", 200), (server.context + "/v1/ns/instance", 418)):
            if path == "/v1/ns/instance" and server.context == "":
                continue
            reply = server.request("PUT", "/v1/ns/operator/switches", {"entry": "limitedUrlMap", "value": path + "/list:418"})
            self.assertEqual(reply.text, "ok")
            self.assertEqual(server.request("GET", "/v1/ns/instance/list", "serviceName=moved").status, status)
        server.context, here = other, server.context
        for path in ("/v1/ns/instance/list?serviceName=moved", "/v1/console/health/readiness", "/", ""):
            self.assertEqual(server.request("GET", path or "/").status, 404, other + path)
        server.context = here

    def test_everything_moves(self):
        for context, other in (("/registry", "/nacos"), ("/", "/nacos"), ("/a/b.c/d", "/a"), ("/nacos", "/registry")):
            with roster.Server(workers=2, **{"context.path": context, "push.delay": "10ms"}) as server:
                self.everything_works(server, other)

    def test_bad_ones(self):
        for value, what in (("", "must not be empty"), ("nacos", "does not begin with a slash"), ("/nacos/", "ends with a slash"),
                            ("/a//b", "has an empty segment"), ("/a/../b", "has a segment of dots"),
                            ("/a;b", "has another byte than letters, digits and -._~/"),
                            ("/a%2fb", "has another byte than letters, digits and -._~/"),
                            ("/a?b=c", "has another byte than letters, digits and -._~/")):
            for check in (["-t"], ["-f"]):
                done = subprocess.run([roster.ROSTERD] + check + ["-o", "context.path=" + value], capture_output=True, text=True,
                                      timeout=20)
                self.assertEqual(done.returncode, 1)
                self.assertIn("context.path: " + what, done.stderr)

    def test_reload_refuses(self):
        server = roster.Server(workers=1)
        path = server.folder + "/roster.yaml"
        with open(path, "w") as f:
            f.write("context:\n  path: /nacos\n")
        server.args += ["-c", path]
        with server:
            with open(path, "w") as f:
                f.write("context:\n  path: /other\n")
            server.proc.send_signal(signal.SIGHUP)
            server.wait_log(r"op=reload .*context\.path.*")
            self.assertEqual(server.request("GET", "/v1/console/health/liveness").text, "OK")


if __name__ == "__main__":
    roster.main()
