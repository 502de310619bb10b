#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Unmodified published clients that have credentials in their configuration, against a server without users: each logs in
once, and not again and again, and works as without. Then one under another context path."""
import os
import re
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "lib"))
import roster  # noqa: E402
from driver import Client  # noqa: E402

KINDS = ("java", "python")
BEATS = 4           # over more than ten seconds: the Java client looks after its token every five


def counted(server, path):
    """Requests of that path so far, whatever the method."""
    text = server.request("GET", "/actuator/prometheus").text
    found = re.findall(r'^roster_route_seconds_count\{method="\w+",route="([^"]*)"\} (\d+)$', text, re.M)
    return sum(int(count) for route, count in found if route.endswith(path))


class Login(unittest.TestCase):
    def test_once(self):
        servers, clients = {}, {}
        try:
            for kind in KINDS:
                servers[kind] = roster.Server(workers=2).__enter__()
                clients[kind] = Client(kind, servers[kind], credentials=("nacos", "whatever"))
                clients[kind].call("register", service="guarded", ip="10.8.0.1", port=80, metadata={"by": kind})
            for kind in KINDS:
                server, client = servers[kind], clients[kind]
                roster.wait_until(lambda s=server: counted(s, "/instance/beat") >= BEATS, 60, kind + " beats", 0.2)
                hosts = client.call("list", service="guarded")
                self.assertEqual([(h["ip"], h["port"], h["metadata"]) for h in hosts], [("10.8.0.1", 80, {"by": kind})])
                client.call("deregister", service="guarded", ip="10.8.0.1", port=80)
                self.assertEqual(server.hosts("guarded"), [])
                self.assertEqual(counted(server, "/login"), 1, kind)
        finally:
            for kind in servers:
                if kind in clients:
                    clients[kind].close()
                servers[kind].__exit__(*sys.exc_info())


class Context(unittest.TestCase):
    def test_moved(self):
        """The Java client under another context path: registers, subscribes, is pushed to, beats."""
        with roster.Server(workers=2, **{"context.path": "/registry"}) as server:
            one, two = (Client("java", server, credentials=("nacos", "nacos"), context="/registry") for _ in range(2))
            try:
                one.call("subscribe", service="moved")
                two.call("register", service="moved", ip="10.8.0.2", port=80)
                one.wait_hosts("moved", lambda hosts: [h["ip"] for h in hosts] == ["10.8.0.2"], 15, "told of the instance")
                roster.wait_until(lambda: counted(server, "/instance/beat") >= 1, 20, "a beat", 0.2)
                self.assertEqual(one.call("status"), "UP")
                self.assertEqual(counted(server, "/login"), 2)
            finally:
                one.close()
                two.close()


if __name__ == "__main__":
    roster.main()
