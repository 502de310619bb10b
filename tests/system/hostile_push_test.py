#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Hostile input on the UDP plane: attack cases A-22 to A-26."""
import json
import os
import re
import signal
import socket
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))
import roster  # noqa: E402
from hostile import INSTANCE, ask, counter, cpu_seconds, strict_json  # noqa: E402
from roster import JAVA, Server, Subscriber, wait_until  # noqa: E402

UNKNOWN, FOREIGN, REPEATED = ("roster_push_ack_%s_total" % name for name in ("unknown", "foreign", "repeated"))
OVERFLOW, TOTAL = "roster_push_rxq_overflow_total", "roster_push_total"
FLOOD = 20000
# A junk datagram: received, looked at, counted. Ten times what it takes; a search through deliveries would be far beyond.
JUNK_CPU = 10           # times what a short ACK of nothing costs


def claim(server, service, address, port, source="127.0.0.1", **more):
    return ask(server, "GET", INSTANCE + "/list", dict({"serviceName": service, "clientIP": address, "udpPort": port}, **more),
               source=source, headers=JAVA)


def refused(server):
    """{reason: how many}, without those that never were."""
    text = server.request("GET", "/actuator/prometheus").text
    rows = re.findall(r'^roster_subscribe_refused_total\{reason="(\w+)"\} (\d+)$', text, re.M)
    return {reason: int(count) for reason, count in rows if count != "0"}


class A22Reflection(unittest.TestCase):
    CLAIMS = [("192.0.2.7", 40000), ("255.255.255.255", 40000), ("224.0.0.1", 40000), ("239.255.255.250", 1900), ("0.0.0.0", 40000),
              ("::", 40000), ("ff02::1", 40000), ("::ffff:192.0.2.7", 40000), ("::ffff:255.255.255.255", 40000),
              ("127.0.0.1", 53), ("127.0.0.1", 1), ("127.0.0.1", 1023), ("127.0.0.1", 65536), ("127.0.0.1", -1),
              ("2130706433", 40000), ("0x7f.0.0.1", 40000), ("127.1", 40000), ("0177.0.0.1", 40000), ("127.0.0.1 ", 40000 << 1)]

    # Of those claims; port -1 asks for no push.
    REASONS = {"untrusted": 2, "broadcast": 2, "multicast": 3, "unspecified": 2, "low_port": 3, "bad_port": 2, "unresolvable": 4}

    def test_nobody_else_is_sent_to(self):
        """Each such claim keeps the short poll interval and gets nothing, although the service changes; an honest one is pushed."""
        with Server(**{"push.delay": "50ms"}) as server:
            server.register("s", "10.0.0.1", 80)
            for address, port in self.CLAIMS:
                with self.subTest("%s:%s" % (address, port)):
                    reply = claim(server, "s", address, port)
                    self.assertEqual((reply.status, reply.json["cacheMillis"]), (200, 3000))
            self.assertEqual(refused(server), self.REASONS)
            # Who subscribes while a change waits is pushed that one too.
            wait_until(lambda: counter(server, "roster_push_rounds_total") > 0 and counter(server, "roster_push_queue_services") == 0, 5,
                       "the first change taken")
            good = Subscriber(server, "s")
            before = counter(server, TOTAL)
            server.register("s", "10.0.0.2", 80)
            good.wait_for(lambda d: len(d["hosts"]) == 2, 5, "the honest one is pushed")
            # Datagrams are counted once they have left.
            wait_until(lambda: counter(server, TOTAL) > before, 5, "the datagram counted")
            self.assertEqual(counter(server, TOTAL), before + 1)
            self.assertEqual(counter(server, "roster_push_send_errors_total"), 0)
            good.close()

    def test_who_is_not_pushed_to_is_shown_and_why(self):
        """service/subscribers?detail=true, which 1.x does not have; without it nothing is added. And one debug line a second and reason."""
        fields = {"addrStr", "agent", "app", "ip", "namespaceId", "serviceName"}
        with Server(workers=1, **{"push.delay": "50ms", "log.level": "debug", "limits.subscribers_per_service": "8"}) as server:
            want = {}
            for address, port, reason in (("127.0.0.1", 40000, None), ("192.0.2.7", 40000, "untrusted"), ("255.255.255.255", 40000, "broadcast"),
                                          ("ff02::1", 40000, "multicast"), ("224.0.0.1", 40000, "multicast"), ("0.0.0.0", 40000, "unspecified"),
                                          ("127.0.0.1", 53, "low_port"), ("192.0.2.8", 53, "low_port")):
                claim(server, "s", address, port, clusters="C1")
                want["%s:%d" % (address, port)] = reason
            claim(server, "s", "not an \"address\"", 40000)
            claim(server, "s", "127.0.0.1", 65536)
            claim(server, "s", "127.0.0.1", 40001)
            plain = server.request("GET", "/v1/ns/service/subscribers", {"serviceName": "s"}).json
            self.assertEqual({frozenset(row) for row in plain["subscribers"]}, {frozenset(fields)})
            shown = server.request("GET", "/v1/ns/service/subscribers", {"serviceName": "s", "detail": "true"}).json
            self.assertEqual(shown["count"], 8)
            self.assertEqual({row["addrStr"]: row.get("reason") for row in shown["subscribers"]}, want)
            for row in shown["subscribers"]:
                self.assertEqual(row["push"], "reason" not in row)
                self.assertEqual((row["source"], row["clusters"]), ("127.0.0.1", "C1"))
                self.assertEqual({key: row[key] for key in fields}, [r for r in plain["subscribers"] if r["addrStr"] == row["addrStr"]][0])
            self.assertEqual(refused(server), {"untrusted": 1, "broadcast": 1, "multicast": 2, "unspecified": 1, "low_port": 2,
                                               "unresolvable": 1, "bad_port": 1, "service_limit": 1})
            for reason, claimed, port in (("untrusted", "192.0.2.7", 40000), ("unresolvable", r"not an \\x22address\\x22", 40000),
                                          ("bad_port", "127.0.0.1", 65536), ("service_limit", "127.0.0.1", 40001)):
                server.wait_log(r'debug .*op=subscribe result=refused reason=%s source=127\.0\.0\.1 claimed="%s" port=%d '
                                r'service="DEFAULT_GROUP@@s" skipped=0' % (reason, claimed, port))
            for port in range(41000, 41100):
                claim(server, "flood", "192.0.2.7", port)
            self.assertEqual(refused(server)["untrusted"], 1 + 8)
            self.assertEqual(refused(server)["service_limit"], 1 + 92)
            wait_until(lambda: claim(server, "other", "192.0.2.9", 42000) and
                       re.search(r"reason=untrusted .*skipped=[1-9]", server.log_text()), 10, "a line that says how many were left out")
            self.assertLess(len(re.findall("reason=untrusted", server.log_text())), 20)

    def test_allowed_by_the_configuration_of_now(self):
        def reason(name):
            rows = server.request("GET", "/v1/ns/service/subscribers", {"serviceName": name, "detail": "true"}).json["subscribers"]
            return [row.get("reason") for row in rows]
        server = Server(workers=1, **{"push.delay": "10ms"})
        server.args = ["-c", server.folder + "/roster.yaml"]
        open(server.folder + "/roster.yaml", "w").close()
        with server:
            claim(server, "s", "192.0.2.7", 40000)
            self.assertEqual(reason("s"), ["untrusted"])
            with open(server.folder + "/roster.yaml", "w") as f:
                f.write("push: {trusted: [\"127.0.0.1 192.0.2.0/24\"]}\n")
            server.proc.send_signal(signal.SIGHUP)
            wait_until(lambda: reason("s") == ["next_poll"], 10, "read again")
            claim(server, "s", "192.0.2.7", 40000)
            self.assertEqual(reason("s"), [None])

    def test_a_listed_source_may_claim_its_range_only(self):
        with Server(**{"push.delay": "50ms", "push.trusted": "127.0.0.3 192.0.2.0/24"}) as server:
            for source, address, millis in (("127.0.0.3", "192.0.2.9", 10000), ("127.0.0.4", "192.0.2.9", 3000),
                                            ("127.0.0.3", "198.51.100.1", 3000), ("127.0.0.3", "192.0.2.9.", 3000)):
                self.assertEqual(claim(server, "s", address, 40000, source).json["cacheMillis"], millis, (source, address))
            self.assertEqual(claim(server, "s", "192.0.2.9", 53, "127.0.0.3").json["cacheMillis"], 3000)

    def test_datagrams_to_one_socket_have_a_rate(self):
        """Many services, one socket: what a claim can make the server send is bounded by push.rate."""
        with Server(**{"push.delay": "50ms", "push.rate": "100"}) as server:
            sub = Subscriber(server, "s0")
            for n in range(1, 150):
                claim(server, "s%d" % n, "127.0.0.1", sub.port)
            for n in range(150):
                server.register("s%d" % n, "10.0.0.1", 80)
            wait_until(lambda: counter(server, "roster_push_paced_total") > 0, 10, "datagrams held back")
            names = set()
            while len(names) < 150:
                got = sub.receive()
                self.assertIsNotNone(got, "only %d of 150" % len(names))
                names.add(got[1]["name"])
            sub.close()


class A23Names(unittest.TestCase):
    def test_no_name_is_resolved(self):
        """Not even one that is in /etc/hosts; the poll is answered at once, and nobody is subscribed."""
        with Server(**{"push.delay": "50ms"}) as server:
            server.register("s", "10.0.0.1", 80)
            for name in ("localhost", "host.invalid", "a" * 1000, "127.0.0.1.nip.invalid", "[::1", "::1%", "[127.0.0.1]", "127.0.0.1:80", "\xff"):
                with self.subTest(name[:20]):
                    self.assertEqual(claim(server, "s", name, 40000).json["cacheMillis"], 3000)
            good = Subscriber(server, "s")
            server.register("s", "10.0.0.2", 80)
            good.wait_for(lambda d: len(d["hosts"]) == 2, 5, "pushes of others go on")
            shown = strict_json(server.request("GET", "/v1/ns/service/subscribers", {"serviceName": "s", "pageNo": 1, "pageSize": 99}))
            self.assertEqual([s["ip"] for s in shown["subscribers"]], ["127.0.0.1"])
            good.close()


class A24Quota(unittest.TestCase):
    def test_one_source_cannot_fill_the_node(self):
        """Ports and services without end: beyond the limits polls are answered with the short interval, who is in stays in."""
        with Server(**{"push.delay": "50ms", "limits.subscribers": "300", "limits.subscribers_per_service": "100"}) as server:
            good = Subscriber(server, "mine")
            for n in range(150):
                self.assertEqual(claim(server, "one", "127.0.0.1", 20000 + n).json["cacheMillis"], 10000 if n < 100 else 3000)
            for n in range(250):
                self.assertEqual(claim(server, "many%d" % n, "127.0.0.1", 30000).json["cacheMillis"], 10000 if n < 199 else 3000)
            self.assertGreaterEqual(counter(server, "roster_limit_refused_total"), 50 + 51)
            self.assertEqual(good.poll()["cacheMillis"], 10000)
            server.register("mine", "10.0.0.1", 80)
            good.wait_for(lambda d: len(d["hosts"]) == 1, 5, "pushed as before")
            good.close()


class A25Acks(unittest.TestCase):
    def flood(self, server, stranger, pieces, count=FLOOD):
        """Sends count datagrams, never more than the counters have seen plus a batch; returns CPU microseconds a datagram."""
        pusher = server.child("pusher")
        total = lambda: sum(counter(server, name) for name in (UNKNOWN, FOREIGN, REPEATED, OVERFLOW))    # noqa: E731
        before, cpu = total(), cpu_seconds(pusher)
        # What the kernel drops is only heard of with the next datagram: a batch fits into its buffer.
        batch = min(1000, 2_000_000 // max(len(piece) for piece in pieces))
        for begin in range(0, count, batch):
            for n in range(begin, min(begin + batch, count)):
                stranger.sendto(pieces[n % len(pieces)], ("127.0.0.1", server.push_port))
            wait_until(lambda: total() >= before + min(begin + batch, count), 20, "datagrams counted")
        self.assertEqual(total(), before + count)
        return (cpu_seconds(pusher) - cpu) * 1e6 / count

    def test_junk_costs_little_and_changes_nothing(self):
        sip = (b"OPTIONS sip:100@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bK-1;rport\r\n"
               b"From: \"sipvicious\"<sip:100@1.1.1.1>\r\nTo: <sip:100@1.1.1.1>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n\r\n")
        dns = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07version\x04bind\x00\x00\x10\x00\x03"
        junk = [sip, dns, b"", b"\0" * 512, os.urandom(1400), b"{" * 2000, b'{"lastRefTime":' * 100, b'{"lastRefTime":"1"}',
                b'{"type":"push-ack","lastRefTime":"%d"}' % (1 << 63), b'{"lastRefTime":"-1"}', b'{"lastRefTime":"99999999999999999999"}',
                b'{"type":"dump"}', b'{"type":"push-ack","lastRefTime":"0","data":""}', b"\x1f\x8b" + os.urandom(60), b"stats\r\n"]
        with Server(**{"push.delay": "50ms", "push.ack_wait": "30s"}) as server:
            sub = Subscriber(server, "s", ack=False)
            server.register("s", "10.0.0.1", 80)
            packet, _, sender = sub.receive()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                short = self.flood(server, stranger, [b'{"type":"push-ack","lastRefTime":"1","data":""}'])
                cost = self.flood(server, stranger, junk)
                big = self.flood(server, stranger, [os.urandom(65507)], 500)
            print("junk: %.1f us of CPU a datagram, 64 KB: %.1f us, a short ACK: %.1f us" % (cost, big, short), flush=True)
            if not roster.SANITIZED:
                self.assertLess(cost, JUNK_CPU * short)
                self.assertLess(big, 10 * JUNK_CPU * short)
            # Nothing answered the stranger, nothing was taken for the ACK, and the real one still counts.
            self.assertEqual(counter(server, "roster_push_ok_total"), 0)
            sub.acknowledge(packet, sender)
            wait_until(lambda: counter(server, "roster_push_ok_total") == 1, 5, "the real ACK")
            pusher = server.child("pusher")
            before = cpu_seconds(pusher)
            self.assertIsNone(sub.receive(1.0))
            self.assertLess(cpu_seconds(pusher) - before, 0.2, "busy with nothing")
            sub.close()

    def test_forged_acks(self):
        """Numbers around the real one, the real one from another port and another address: none of them is an ACK."""
        with Server(**{"push.delay": "50ms", "push.ack_wait": "1s"}) as server:
            sub = Subscriber(server, "s", ack=False)
            server.register("s", "10.0.0.1", 80)
            packet, _, sender = sub.receive()
            guesses = [json.dumps({"type": "push-ack", "lastRefTime": str(packet["lastRefTime"] + n), "data": ""}).encode()
                       for n in range(-200, 201)]
            unknown, foreign = counter(server, UNKNOWN), counter(server, FOREIGN)
            for address in ("127.0.0.1", "127.0.0.2"):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                    stranger.bind((address, 0))
                    for guess in guesses:
                        stranger.sendto(guess, sender)
            wait_until(lambda: counter(server, UNKNOWN) >= unknown + 800, 5, "forgeries counted")
            self.assertEqual(counter(server, FOREIGN), foreign + 2, "the right number, twice from the wrong place")
            self.assertIsNotNone(sub.receive(), "still unacknowledged: sent again")
            wait_until(lambda: counter(server, "roster_push_failed_total") == 1, 10, "and given up")
            self.assertEqual(counter(server, "roster_push_ok_total"), 0)
            sub.close()

    def test_ack_flood_of_a_subscriber(self):
        """The right ACK ten thousand times: counts once."""
        with Server(**{"push.delay": "50ms"}) as server:
            sub = Subscriber(server, "s", ack=False)
            server.register("s", "10.0.0.1", 80)
            packet, _, sender = sub.receive()
            sub.acknowledge(packet, sender)
            wait_until(lambda: counter(server, "roster_push_ok_total") == 1, 5, "acknowledged")
            ack = json.dumps({"type": "push-ack", "lastRefTime": str(packet["lastRefTime"]), "data": ""}).encode()
            self.flood(server, sub.sock, [ack], 10000)
            self.assertEqual((counter(server, UNKNOWN), counter(server, FOREIGN)), (0, 0), "each of them a repeat")
            self.assertEqual(counter(server, "roster_push_ok_total"), 1)
            server.register("s", "10.0.0.2", 80)
            self.assertEqual(len(sub.receive()[1]["hosts"]), 2, "pushes go on")
            sub.close()


class A26Oversize(unittest.TestCase):
    def test_no_datagram_beyond_the_protocol(self):
        """A list over 65,507 bytes even packed: nothing is sent, the subscriber is told to poll, and counted; others are pushed."""
        with Server(**{"push.delay": "50ms", "limits.metadata": "64KiB"}) as server:
            sub, other = Subscriber(server, "big"), Subscriber(server, "small")
            for n in range(12):
                server.request("POST", INSTANCE, {"serviceName": "big", "ip": "10.0.0.%d" % n, "port": 80}, body="metadata=k%3D"
                               + os.urandom(6000).hex(), headers={"Content-Type": "application/x-www-form-urlencoded"})
            wait_until(lambda: counter(server, "roster_push_oversize_total") > 0, 10, "oversize counted")
            wait_until(lambda: sub.poll()["cacheMillis"] == 3000, 5, "the short poll interval")
            server.register("small", "10.0.0.1", 80)
            other.wait_for(lambda d: len(d["hosts"]) == 1, 5, "others are pushed")
            self.assertEqual(counter(server, "roster_push_send_errors_total"), 0)
            self.assertEqual(len(sub.poll()["hosts"]), 12)
            sub.close()
            other.close()


if __name__ == "__main__":
    roster.main()
