#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Unmodified published clients against rosterd: the Node.js package and the Java client of the 1.4 line.

CLIENT=node or CLIENT=java chooses who registers; the other side watches, so each run crosses the two.
"""
import os
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "lib"))
import roster  # noqa: E402
from driver import Client  # noqa: E402

KIND = os.environ.get("CLIENT", "node")
OTHER = {"node": "java", "java": "node"}[KIND]
NEVER_LOST = 25.0           # seconds a beating client stays healthy, watched


def pairs(hosts):
    return sorted((h["ip"], h["port"]) for h in hosts)


class Clients(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = roster.Server(workers=2)
        cls.server.__enter__()
        cls.one, cls.two = Client(KIND, cls.server), Client(OTHER, cls.server)

    @classmethod
    def tearDownClass(cls):
        cls.one.close()
        cls.two.close()
        cls.server.__exit__(None, None, None)

    def listed(self, client, service, want, timeout=10, **args):
        return roster.wait_until(lambda: (lambda hosts: hosts if pairs(hosts) == sorted(want) else None)(
            client.call("list", service=service, **args)), timeout, "%s lists %r of %s" % (client.kind, want, service), 0.1)

    def test_status_is_up(self):
        self.assertEqual(self.one.call("status"), "UP")
        self.assertEqual(self.two.call("status"), "UP")

    def test_register_list_select_deregister(self):
        self.one.call("register", service="plain", ip="10.1.0.1", port=80)
        self.one.call("register", service="plain", ip="10.1.0.2", port=81)
        self.listed(self.two, "plain", [("10.1.0.1", 80), ("10.1.0.2", 81)])
        self.assertEqual(pairs(self.two.call("select", service="plain")), [("10.1.0.1", 80), ("10.1.0.2", 81)])
        self.assertEqual(self.two.call("select", service="plain", healthy=False), [])
        self.one.call("deregister", service="plain", ip="10.1.0.2", port=81)
        self.listed(self.two, "plain", [("10.1.0.1", 80)])

    def test_metadata_and_weight_cross(self):
        self.one.call("register", service="meta", ip="10.2.0.1", port=80, weight=2.5,
                      metadata={"zone": "é/\"x\"", "version": "1.10"})
        host = self.listed(self.two, "meta", [("10.2.0.1", 80)])[0]
        self.assertEqual((host["weight"], host["metadata"]), (2.5, {"zone": "é/\"x\"", "version": "1.10"}))
        self.assertIs(host["healthy"], True)

    def test_half_an_emoji(self):
        """A text cut between the halves of an emoji: the Node.js client sends the half, and both read the list."""
        node, other = sorted((self.one, self.two), key=lambda client: client.kind != "node")
        node.call("register", service="cut", ip="10.2.1.1", port=80, metadata={"title": "x\ud83d"})
        for client in (node, other):
            self.assertEqual(self.listed(client, "cut", [("10.2.1.1", 80)])[0]["metadata"]["title"], "x\ufffd")
        node.call("deregister", service="cut", ip="10.2.1.1", port=80)

    def test_groups_and_clusters_are_apart(self):
        self.one.call("register", service="same", group="G1", ip="10.3.0.1", port=80)
        self.one.call("register", service="same", group="G2", ip="10.3.0.2", port=80)
        self.listed(self.two, "same", [("10.3.0.1", 80)], group="G1")
        self.listed(self.two, "same", [("10.3.0.2", 80)], group="G2")
        self.one.call("register", service="zones", cluster="A", ip="10.3.1.1", port=80)
        self.one.call("register", service="zones", cluster="B", ip="10.3.1.2", port=80)
        self.listed(self.two, "zones", [("10.3.1.1", 80)], clusters="A")
        self.listed(self.two, "zones", [("10.3.1.1", 80), ("10.3.1.2", 80)], clusters="A,B")
        self.listed(self.two, "zones", [("10.3.1.1", 80), ("10.3.1.2", 80)])

    def test_namespaces_are_apart(self):
        left, right = Client(KIND, self.server, "space-left"), Client(OTHER, self.server, "space-right")
        try:
            left.call("register", service="spaced", ip="10.4.0.1", port=80)
            right.call("register", service="spaced", ip="10.4.0.2", port=80)
            self.listed(left, "spaced", [("10.4.0.1", 80)])
            self.listed(right, "spaced", [("10.4.0.2", 80)])
            self.assertEqual(self.two.call("list", service="spaced"), [])
        finally:
            left.close()
            right.close()

    def test_push_within_three_seconds(self):
        self.one.call("register", service="pushed", ip="10.5.0.1", port=80)
        for client in (self.one, self.two):
            client.call("subscribe", service="pushed")
            client.wait_hosts("pushed", lambda h: pairs(h) == [("10.5.0.1", 80)], 15, "first list of the subscription")
        self.assertLess(self.best_push("register", 2), 3.0)
        self.assertLess(self.best_push("deregister", 1), 3.0)

    def best_push(self, op, count):
        """How late the last of the clients heard of a change, the best of three: they have neighbours on this machine."""
        best = float("inf")
        for _ in range(3):
            begin = time.monotonic()
            self.two.call(op, service="pushed", ip="10.5.0.2", port=80)
            times = [client.wait_hosts("pushed", lambda h: len(h) == count, roster.HUNG_S, "told of " + op)[0] - begin
                     for client in (self.one, self.two)]
            print("%s: pushed after %s s" % (op, " and ".join("%.2f" % t for t in times)), flush=True)
            best = min(best, max(times))
            if best < 3.0:
                break
            back = "register" if op == "deregister" else "deregister"
            self.two.call(back, service="pushed", ip="10.5.0.2", port=80)
            for client in (self.one, self.two):
                client.wait_hosts("pushed", lambda h: len(h) == 3 - count, roster.HUNG_S, "told of " + back)
        return best

    def test_thousand_instances(self):
        for start in range(0, 1000, 50):
            numbers = [self.one.send("register", service="many", ip="10.9.%d.%d" % (n // 250, n % 250), port=80,
                                     metadata={"n": str(n)}) for n in range(start, start + 50)]
            for number in numbers:
                self.one.wait(number, 60)
        self.assertEqual(len(self.two.call("list", service="many")), 1000)
        self.assertEqual(len(self.one.call("select", service="many")), 1000)

    def test_life_beats_and_death(self):
        """Stays alive by beats for 25 s; after its death unhealthy at 15 to 20 s, gone by 35 s."""
        steady = Client(KIND, self.server)
        try:
            steady.call("register", service="mortal", ip="10.6.0.1", port=80)
            # A healthy neighbour that outlives it: a service with nobody healthy shows everybody as healthy.
            self.one.call("register", service="mortal", ip="10.6.0.2", port=80)
            end = time.monotonic() + NEVER_LOST
            while time.monotonic() < end:
                hosts = self.two.call("list", service="mortal")
                self.assertEqual(pairs(hosts), [("10.6.0.1", 80), ("10.6.0.2", 80)])
                self.assertTrue(all(h["healthy"] for h in hosts), hosts)
                roster.pause(0.5)
            last = time.monotonic()
            steady.kill()
        finally:
            steady.close()

        def sick():
            hosts = {h["ip"]: h for h in self.two.call("list", service="mortal")}
            return not hosts["10.6.0.1"]["healthy"]

        def gone():
            return pairs(self.two.call("list", service="mortal")) == [("10.6.0.2", 80)]
        roster.wait_within(sick, 20.5, "unhealthy", 0.05)
        sick_after = time.monotonic() - last
        roster.wait_within(gone, 35.5 - 15, "gone", 0.05)
        gone_after = time.monotonic() - last
        print("%s died: unhealthy after %.1f s, gone after %.1f s" % (KIND, sick_after, gone_after), flush=True)
        # The last beat was up to 5 s before the death.
        self.assertGreaterEqual(sick_after, 10.0)
        self.assertGreaterEqual(gone_after, 25.0)


class Restart(unittest.TestCase):
    def test_everything_killed(self):
        """Every process killed with SIGKILL and the service started again: both see their instances, no re-registration."""
        with roster.Server(workers=2, **{"listen.port": str(roster.lasting_port())}) as server:
            one, two = Client(KIND, server), Client(OTHER, server)
            try:
                one.call("register", service="again", ip="10.7.0.1", port=80, metadata={"kept": "yes"})
                two.call("register", service="again", ip="10.7.0.2", port=80)
                server.kill_all()
                server.start()
                hosts = server.hosts("again")
                self.assertEqual(pairs(hosts), [("10.7.0.1", 80), ("10.7.0.2", 80)])
                for client in (one, two):
                    seen = roster.wait_until(lambda c=client: listed(c), 20, "%s sees both again" % client.kind, 0.2)
                    self.assertEqual(pairs(seen), [("10.7.0.1", 80), ("10.7.0.2", 80)])
                    self.assertIn({"kept": "yes"}, [h["metadata"] for h in seen])
            finally:
                one.close()
                two.close()


def listed(client):
    """A client may meet the moment without a server: its error is an empty answer here."""
    try:
        hosts = client.call("list", service="again")
        return hosts if len(hosts) == 2 else None
    except AssertionError:
        return None


if __name__ == "__main__":
    roster.main()
