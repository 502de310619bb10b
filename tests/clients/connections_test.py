#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How many connections an unmodified Java provider makes in a minute of beats.

HttpURLConnection keeps an idle connection for 5 s unless the server says better, and beats come every 5 s. (The Node.js client asks
for "Connection: close" with each request.)
"""
import http.client
import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "lib"))
import roster  # noqa: E402
from driver import Client  # noqa: E402

BEATS, MOST = 12, 2         # a minute of beats, over so many connections


class Count:
    """Counters of a server, asked over one connection that is there before anything is counted."""

    def __init__(self, server):
        self.server, self.conn = server, http.client.HTTPConnection("127.0.0.1", server.port, timeout=roster.HUNG_S)
        self.before = self("roster_http_connections_total")

    def __call__(self, name):
        return self.server.counter(name, conn=self.conn)

    def connections(self):
        return self("roster_http_connections_total") - self.before


class Connections(unittest.TestCase):
    def provider(self, subscriptions):
        """A client with one instance, alone with its server."""
        server = roster.Server(workers=2)
        server.__enter__()
        self.addCleanup(server.__exit__, None, None, None)
        count = Count(server)
        self.addCleanup(count.conn.close)
        client = Client("java", server)
        self.addCleanup(client.close)
        client.call("register", service="kept", ip="10.8.0.1", port=80)
        for n in range(subscriptions):
            client.call("subscribe", service="watched-%d" % n)
        return count

    def test_a_minute_of_beats(self):
        providers = {"provider only": self.provider(0), "provider with subscriptions": self.provider(3)}

        def beaten():
            return all([count("roster_beats_total") >= BEATS for count in providers.values()])
        roster.wait_until(beaten, 150, "%d beats of each" % BEATS, 0.5)
        found = {name: (count.connections(), count("roster_beats_total")) for name, count in providers.items()}
        print("connections, beats: %r" % found, flush=True)
        for name, (connections, _) in found.items():
            self.assertLessEqual(connections, MOST, name)


if __name__ == "__main__":
    roster.main()
