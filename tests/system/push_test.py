#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Pushes over real sockets: merge, retry, restart of the pusher, destination policy, ten thousand subscribers."""
import json
import os
import resource
import select
import socket
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))
import roster  # noqa: E402
from hostile import counter  # noqa: E402
from roster import Server, Subscriber, wait_until  # noqa: E402

MANY = 2000 if roster.SANITIZED else 10000


def ips(data):
    return sorted(host["ip"] for host in data["hosts"])



class Push(unittest.TestCase):
    def test_merge(self):
        """Changes within the delay become one push; a change after it makes a second one; nothing is lost."""
        with Server(**{"push.delay": "300ms"}) as server:
            server.register("s", "10.0.0.1", 80)
            sub = Subscriber(server, "s")
            sub.receive(1.0)        # of the change before the subscription, if it came in time
            begin = time.monotonic()
            for n in range(2, 12):
                server.register("s", "10.0.0.%d" % n, 80)
            delays = (time.monotonic() - begin) / 0.3
            data = sub.wait_for(lambda d: len(d["hosts"]) == 11, 5, "all ten")
            self.assertEqual(len(ips(data)), 11)
            seen = len(sub.packets)
            self.assertLessEqual(seen, 2 + delays, "one push, and one more for each delay that the changes took")
            server.deregister("s", "10.0.0.2", 80)
            sub.wait_for(lambda d: len(d["hosts"]) == 10, 5, "the removal")
            keys = [p["lastRefTime"] for p in sub.packets]
            self.assertEqual(keys, sorted(set(keys)), "lastRefTime rises strictly")
            self.assertTrue(all(k < 2 ** 53 for k in keys))
            sub.close()

    def test_resend_once(self):
        with Server(**{"push.delay": "50ms", "push.ack_wait": "500ms"}) as server:
            sub = Subscriber(server, "s", ack=False)
            server.register("s", "10.0.0.1", 80)
            first, again = sub.receive(), sub.receive()
            self.assertEqual(first[0], again[0], "the same bytes once more")
            self.assertIsNone(sub.receive(1.5), "a second resend")
            sub.close()

    def test_two_subscriptions_of_one_socket(self):
        """Clusters "" and "C1" at one port, as Spring Cloud asks: two pushes, each with its ACK; nothing foreign, nothing lost,
        nothing sent again. Somebody silent tells when the wait for ACKs is over."""
        names = ("ok", "retried", "ack_foreign", "ack_unknown", "ack_repeated", "failed")

        def counts():
            return {name: counter(server, "roster_push_%s_total" % name) for name in names}
        with Server(**{"push.delay": "50ms", "push.ack_wait": "2s"}) as server:
            sub, silent = Subscriber(server, "s"), Subscriber(server, "other", ack=False)
            reply = server.request("GET", "/v1/ns/instance/list", {
                "serviceName": "s", "clusters": "C1", "udpPort": sub.port, "clientIP": "127.0.0.1"}, headers=roster.JAVA)
            self.assertEqual(reply.status, 200)
            server.register("s", "10.0.0.1", 80)
            server.register("other", "10.0.0.1", 80)
            first, second = sub.receive(), sub.receive()
            self.assertEqual({data["clusters"]: len(data["hosts"]) for _, data, _ in (first, second)}, {"": 1, "C1": 0})
            self.assertNotEqual(first[0]["lastRefTime"], second[0]["lastRefTime"])
            self.assertEqual(silent.receive()[0], silent.receive()[0])
            wait_until(lambda: counts()["failed"] == 1, 5, "the silent one given up")
            self.assertEqual(counts(), {"ok": 2, "retried": 1, "ack_foreign": 0, "ack_unknown": 0, "ack_repeated": 0, "failed": 1})
            self.assertEqual(counter(server, "roster_push_total"), 3)
            self.assertIsNone(sub.receive(0))
            # Once more.
            sub.acknowledge(first[0], first[2])
            wait_until(lambda: counts()["ack_repeated"] == 1, 5, "the repeat")
            self.assertEqual(counts()["ack_foreign"], 0)
            sub.close()
            silent.close()

    def test_pusher_killed_before_the_push(self):
        with Server(**{"push.delay": "1500ms"}) as server:
            server.register("s", "10.0.0.1", 80)
            sub = Subscriber(server, "s")
            sub.wait_for(lambda d: len(d["hosts"]) == 1, 5, "first push")
            server.register("s", "10.0.0.2", 80)
            server.kill_child("pusher")
            sub.wait_for(lambda d: ips(d) == ["10.0.0.1", "10.0.0.2"], 6, "the change survives the pusher")
            sub.close()

    def test_pusher_killed_before_the_ack(self):
        """Sent and not acknowledged when the pusher dies: owed once more, with the state of now."""
        with Server(**{"push.delay": "50ms"}) as server:
            sub = Subscriber(server, "s", ack=False)
            server.register("s", "10.0.0.1", 80)
            self.assertIsNotNone(sub.receive())
            server.kill_child("pusher")
            sub.ack = True
            again = sub.receive()
            self.assertIsNotNone(again, "the successor pushes again")
            self.assertEqual(ips(again[1]), ["10.0.0.1"])
            self.assertIsNone(sub.receive(1.0), "acknowledged now")
            sub.close()

    def test_pusher_killed_after_the_ack_owes_nothing(self):
        with Server(**{"push.delay": "50ms"}) as server:
            sub = Subscriber(server, "s")
            server.register("s", "10.0.0.1", 80)
            self.assertIsNotNone(sub.receive())
            # A second change and its ACK: when its push came, the first ACK had been taken in.
            server.register("s", "10.0.0.2", 80)
            sub.wait_for(lambda d: len(d["hosts"]) == 2, 5, "second push")
            self.assertIsNone(sub.receive(0.3))
            server.kill_child("pusher")
            self.assertIsNone(sub.receive(1.5), "no push storm after a restart")
            sub.close()

    def test_foreign_ack_does_not_count(self):
        with Server(**{"push.delay": "50ms", "push.ack_wait": "500ms"}) as server:
            sub = Subscriber(server, "s", ack=False)
            server.register("s", "10.0.0.1", 80)
            packet, _, sender = sub.receive()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                stranger.sendto(json.dumps({"type": "push-ack", "lastRefTime": packet["lastRefTime"]}).encode(), sender)
            self.assertIsNotNone(sub.receive(), "still unacknowledged: sent again")
            sub.close()

    def test_claims_outside_the_policy_get_no_datagram(self):
        """Another host, a low port: accepted, shown a short poll interval, never pushed."""
        with Server(**{"push.delay": "50ms"}) as server:
            server.register("s", "10.0.0.1", 80)
            for claim in ({"clientIP": "192.0.2.7", "udpPort": 40000}, {"clientIP": "127.0.0.1", "udpPort": 53},
                          {"clientIP": "224.0.0.1", "udpPort": 40000}, {"clientIP": "host.invalid", "udpPort": 40000}):
                reply = server.request("GET", "/v1/ns/instance/list", dict({"serviceName": "s"}, **claim),
                                       headers=roster.JAVA)
                self.assertEqual(reply.status, 200)
                self.assertEqual(reply.json["cacheMillis"], 3000, claim)
            good = Subscriber(server, "s")
            self.assertEqual(good.poll()["cacheMillis"], 10000)
            server.register("s", "10.0.0.2", 80)
            good.wait_for(lambda d: len(d["hosts"]) == 2, 5, "the honest one is pushed")
            good.close()

    def test_zombie_gets_nothing(self):
        with Server(**{"push.delay": "50ms", "push.subscriber_life": "1s"}) as server:
            sub = Subscriber(server, "s")
            self.assertIsNone(sub.receive(2.5), "nothing to push, no poll")
            server.register("s", "10.0.0.1", 80)
            self.assertIsNone(sub.receive(2.0), "a subscriber that does not poll is forgotten")
            sub.close()

    def test_silent_subscriber_of_a_quiet_node_goes(self):
        with Server(**{"push.subscriber_life": "2s"}) as server:
            Subscriber(server, "never").close()
            server.stop()
            self.assertIn(" 1 subscribers", server.registry_audit())
            server.start()
            Subscriber(server, "other").close()
            begin = time.monotonic()
            roster.wait_until(lambda: time.monotonic() - begin > 6.5, 10, "two sweeps")
            server.stop()
            self.assertIn(" 0 subscribers", server.registry_audit())

    def test_oversize_keeps_the_short_interval(self):
        """The Go client reads 4,024 bytes: what is longer is not sent, and it polls sooner."""
        with Server(**{"push.delay": "50ms"}) as server:
            sub = Subscriber(server, "long", agent="Nacos-Go-Client:v1.1.6")
            for n in range(100):
                server.register("long", "10.0.0.%d" % n, 80, metadata='{"k":"%s"}' % os.urandom(60).hex())
            wait_until(lambda: sub.poll()["cacheMillis"] == 3000, 5, "the short poll interval")
            shown = server.request("GET", "/v1/ns/service/subscribers", {"serviceName": "long", "detail": "true"}).json
            self.assertEqual([(row["push"], row["reason"]) for row in shown["subscribers"]], [(False, "oversize")])
            while sub.receive(0.3) is not None:
                pass
            server.register("long", "10.0.0.1", 81)
            self.assertIsNone(sub.receive(1.0), "a datagram its client cannot read")
            for n in range(100):
                server.deregister("long", "10.0.0.%d" % n, 80)
            sub.wait_for(lambda d: len(d["hosts"]) == 1, 5, "short enough again")
            self.assertEqual(sub.poll()["cacheMillis"], 10000)
            sub.close()

    def test_many_subscribers(self):
        """Everybody is pushed once, every ACK is taken: nobody is sent anything again."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        with Server(**{"push.delay": "1s", "push.ack_wait": "6s", "push.subscriber_life": "120s"}) as server:
            import http.client
            conn = http.client.HTTPConnection("127.0.0.1", server.port, timeout=roster.HUNG_S)
            socks, poller = {}, select.epoll()
            for _ in range(MANY):
                sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                sock.bind(("127.0.0.1", 0))
                socks[sock.fileno()] = sock
                poller.register(sock.fileno(), select.EPOLLIN)
                query = "serviceName=big&clientIP=127.0.0.1&udpPort=%d" % sock.getsockname()[1]
                conn.request("GET", "/nacos/v1/ns/instance/list?" + query, headers=roster.JAVA)
                reply = conn.getresponse()
                assert json.loads(reply.read())["cacheMillis"] == 10000
            begin = time.monotonic()
            server.register("big", "10.0.0.1", 80, conn=conn)
            got, twice, first, last = set(), 0, None, None

            def received(seconds):
                """(socket, datagram, sender) of what our server sent: servers of other tests push to ports that they made up."""
                found = [(fd,) + socks[fd].recvfrom(65536) for fd, _ in poller.poll(seconds)]
                return found, [row for row in found if row[2][1] == server.push_port]

            # Until everybody was pushed, then on for longer than the ACK wait, in which no resend may come.
            while len(got) < MANY:
                found, ours = received(roster.HUNG_S)
                self.assertTrue(found, "%d of %d were pushed" % (len(got), MANY))
                for fd, raw, sender in ours:
                    last = time.monotonic()
                    first = first or last
                    twice += fd in got
                    got.add(fd)
                    text = json.loads(raw)
                    socks[fd].sendto(('{"type":"push-ack","lastRefTime":"%d","data":""}' % text["lastRefTime"]).encode(),
                                     sender)
            end = time.monotonic() + 8
            while time.monotonic() < end:
                twice += len(received(end - time.monotonic())[1])
            print("%d subscribers: first datagram after %.3f s, last %.0f ms later, %d sent twice" % (
                MANY, first - begin, (last - first) * 1000, twice), flush=True)
            self.assertEqual(twice, 0, "an ACK was lost")
            conn.close()
            for sock in socks.values():
                sock.close()
            poller.close()


if __name__ == "__main__":
    roster.main()
