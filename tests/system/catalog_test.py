#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Services, catalog, clusters and subscribers beyond the recorded cases: odd names, bad and slow expressions, pages."""
import os
import socket
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))
import roster  # noqa: E402
from roster import Server  # noqa: E402


class Catalog(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.server.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__(None, None, None)

    def ask(self, method, path, query, status=200, **more):
        reply = self.server.request(method, "/v1/ns" + path, query, **more)
        self.assertEqual(reply.status, status, reply.text)
        return reply

    def make(self, ns, *names, **more):
        for name in names:
            self.ask("POST", "/service", dict({"namespaceId": ns, "serviceName": name}, **more))

    def names(self, query):
        return self.ask("GET", "/service/names", query).json

    def page(self, query):
        return [row["name"] for row in self.ask("GET", "/catalog/services", query).json["serviceList"]]

    # -- names ----------------------------------------------------------------------------
    def test_names_of_all_namespaces(self):
        self.make("all-1", "a", "b")
        self.make("all-1", "a", groupName="other")
        self.make("all-2", "c")
        got = self.names({"namespaceId": ""})
        self.assertEqual(got["services"]["all-1"], ["a", "b"])
        self.assertEqual(got["services"]["all-2"], ["c"])
        self.assertEqual(got["count"], len(got["services"]))
        got = self.names({"namespaceId": "all-1", "expr": "other@@.*|b:"})
        self.assertEqual(got, {"services": {"all-1": ["a"]}, "count": 1})
        got = self.names({"namespaceId": "all-1", "expr": "b:"})
        self.assertEqual(got, {"services": {"all-1": ["b"]}, "count": 1})

    def test_names_of_an_unknown_namespace(self):
        self.ask("GET", "/service/names", {"namespaceId": "nobody-knows"}, 500)

    def test_odd_names_break_nothing(self):
        self.make("odd", "g@@", "@@nogroup", "g@@a@@b")
        self.assertEqual(self.names({"namespaceId": "odd"})["services"]["odd"], ["", "a", "nogroup"])
        rows = self.ask("GET", "/catalog/services", {"namespaceId": "odd", "pageNo": 1, "pageSize": 10}).json["serviceList"]
        self.assertEqual([(row["groupName"], row["name"]) for row in rows], [("", "nogroup"), ("g", ""), ("g", "a")])
        self.ask("GET", "/catalog/services", {"namespaceId": "odd", "pageNo": 0, "pageSize": 10, "withInstances": "true"})
        for name in ("g@@", "@@nogroup", "g@@a@@b"):
            for path in ("/service", "/catalog/service"):
                self.ask("GET", path, {"namespaceId": "odd", "serviceName": name})
        self.ask("GET", "/service/list", {"namespaceId": "odd", "pageNo": 1, "pageSize": 10, "groupName": "*"})

    def test_bad_and_slow_expressions(self):
        self.make("slow", "a" * 60)
        for bad in ("(", "[", "*", "a" * 2000, "(a{1,1000}){1,1000}{1,1000}"):
            self.ask("GET", "/service/names", {"namespaceId": "slow", "expr": bad}, 400)
            self.ask("GET", "/catalog/services", {"namespaceId": "slow", "pageNo": 1, "pageSize": 1, "serviceNameParam": bad}, 400)
        began = time.monotonic()
        reply = self.ask("GET", "/service/names", {"namespaceId": "slow", "expr": "(a+)+[xy]"}, 400)
        self.assertEqual(reply.text, "caused: the regular expression takes too long;")
        self.ask("GET", "/catalog/services", {"namespaceId": "slow", "pageNo": 1, "pageSize": 1, "groupNameParam": "(_*A*.*)+[xy]"}, 400)
        self.assertLess(time.monotonic() - began, roster.HUNG_S)

    # -- catalog ---------------------------------------------------------------------------
    def test_pages_with_instances_count_from_zero(self):
        self.make("paged", *("p%d" % n for n in range(5)))
        query = {"namespaceId": "paged", "pageSize": 2, "withInstances": "true"}
        for number, want in ((0, ["p0", "p1"]), (1, ["p2", "p3"]), (2, ["p4"]), (3, [])):
            rows = self.ask("GET", "/catalog/services", dict(query, pageNo=number)).json
            self.assertEqual([row["serviceName"] for row in rows], want)
        query = {"namespaceId": "paged"}
        self.assertEqual(self.page(dict(query, pageNo=7, pageSize=5)), ["p0", "p1", "p2", "p3", "p4"])
        self.assertEqual(self.page(dict(query, pageNo=2, pageSize=-3)), ["p0"])
        self.assertEqual(self.page(dict(query, pageNo=2147483647, pageSize=2)), [])
        self.assertEqual(self.page(dict(query, pageNo=-2147483648, pageSize=2)), ["p0", "p1"])
        self.ask("GET", "/catalog/services", {"namespaceId": "paged", "pageNo": 1}, 500)

    def test_pages_of_limited_size(self):
        """limits.page: what counts are the rows that a page has, not those asked for."""
        with Server(workers=1, **{"limits.page": "5"}) as s:
            def ask(path, query):
                reply = s.request("GET", "/v1/ns" + path, query)
                return reply.json if reply.status == 200 else (reply.status, reply.text)
            refused, everything = (400, "caused: limits.page reached: 5;"), {"pageNo": 1, "pageSize": 2147483647}
            for n in range(4):
                s.register("s%d" % n, "10.0.0.1", 80)
            before = s.counter("roster_limit_refused_total")
            self.assertEqual(ask("/service/list", everything)["count"], 4)
            self.assertEqual(ask("/catalog/services", everything)["count"], 4)
            self.assertEqual(ask("/catalog/services", dict(everything, withInstances="true")), refused)    # 4 and their 4 instances
            self.assertEqual(len(ask("/catalog/services", {"pageNo": 0, "pageSize": 2, "withInstances": "true"})), 2)
            for n in range(4, 6):
                s.register("s%d" % n, "10.0.0.1", 80)
            for path in ("/service/list", "/catalog/services"):
                self.assertEqual(ask(path, everything), refused, path)
                self.assertEqual(ask(path, {"pageNo": 2, "pageSize": 5})["count"], 6, path)
            for n in range(2, 7):
                s.register("s0", "10.0.0.%d" % n, 80)
            of_one = {"serviceName": "s0", "clusterName": "DEFAULT"}
            self.assertEqual(ask("/catalog/instances", dict(of_one, **everything)), refused)
            self.assertEqual(ask("/catalog/instances", dict(of_one, pageNo=2, pageSize=4))["count"], 6)
            self.assertEqual(ask("/service/subscribers", {"serviceName": "s", "pageSize": 2147483647})["count"], 0)
            sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(6)]
            for n, udp in enumerate(sockets):
                udp.bind(("127.0.0.1", 0))
                s.request("GET", "/v1/ns/instance/list", {"serviceName": "s%d" % n, "udpPort": udp.getsockname()[1],
                                                          "clientIP": "127.0.0.1"}, headers=roster.JAVA)
            self.assertEqual(ask("/service/subscribers", {"serviceName": "s", "pageSize": 2147483647}), refused)
            self.assertEqual(ask("/service/subscribers", {"serviceName": "s", "pageNo": 2, "pageSize": 5})["count"], 6)
            for udp in sockets:
                udp.close()
            self.assertEqual(s.counter("roster_limit_refused_total"), before + 5)

    def test_answers_of_limited_length(self):
        """http.memory: an answer that could not be kept is not made."""
        with Server(workers=1, **{"http.memory": "64KiB"}) as s:
            for n in range(20):
                s.register("s%d" % n, "10.0.0.1", 80, metadata='{"k":"%s"}' % ("v" * 8000))
            reply = s.request("GET", "/v1/ns/catalog/services", {"pageNo": 0, "pageSize": 20, "withInstances": "true"})
            self.assertEqual((reply.status, reply.text), (503, "caused: http.memory reached: 65536;"))
            reply = s.request("GET", "/v1/ns/catalog/services", {"pageNo": 0, "pageSize": 5, "withInstances": "true"})
            self.assertEqual(len(reply.json), 5)
            for n in range(10):
                s.register("l", "10.0.0.%d" % n, 80, metadata='{"k":"%s"}' % ("v" * 8000))
                reply = s.request("GET", "/v1/ns/instance/list", {"serviceName": "l"})
                if n < 7:
                    self.assertEqual(len(reply.json["hosts"]), n + 1)
            for _ in range(2):
                reply = s.request("GET", "/v1/ns/instance/list", {"serviceName": "l"})
                self.assertEqual((reply.status, reply.text), (503, "caused: http.memory reached: 65536;"))

    def test_instances_named_again(self):
        """In a metadata batch: changed once, shown as often as named, unknown ones left out, persistent ones first."""
        for n in (1, 2, 3):
            self.server.register("batch", "10.0.2.%d" % n, 80, ephemeral=str(n != 2).lower())
        before = self.server.counter("roster_push_total")
        named = [(3, "true"), (9, "true"), (2, "false"), (3, "true"), (1, "true"), (2, "false"), (3, "false")]
        instances = ",".join('{"ip":"10.0.2.%d","port":80,"ephemeral":"%s"}' % row for row in named)
        reply = self.ask("PUT", "/instance/metadata/batch", {"serviceName": "batch", "metadata": '{"a":"1"}',
                                                             "instances": "[%s]" % instances})
        self.assertEqual(reply.json["updated"], ["10.0.2.%d:80:unknown:DEFAULT:%s" % row for row in (
            (2, "persist"), (2, "persist"), (3, "ephemeral"), (3, "ephemeral"), (1, "ephemeral"))])
        self.assertEqual({host["ip"]: host["metadata"] for host in self.server.hosts("batch")},
                         {"10.0.2.%d" % n: {"a": "1"} for n in (1, 2, 3)})
        self.assertEqual(self.server.counter("roster_push_total"), before)
        # Many, of which most are doubled: none is lost when the table grows.
        many = ",".join('{"ip":"10.0.2.%d","port":%d}' % (1 + n % 3, 80 + n % 1000) for n in range(20000))
        reply = self.ask("PUT", "/instance/metadata/batch", {}, body="serviceName=batch&metadata=a=2&instances=[%s]" % many,
                         headers={"Content-Type": "application/x-www-form-urlencoded"})
        self.assertEqual(sorted(set(reply.json["updated"])), ["10.0.2.%d:80:unknown:DEFAULT:ephemeral" % n for n in (1, 3)])
        self.assertEqual(len(reply.json["updated"]), sum(n % 3 != 1 and n % 1000 == 0 for n in range(20000)))

    def test_errors_repeat_no_whole_body(self):
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        for middle in ("\u20ac", "x"):
            reply = self.ask("POST", "/instance", {}, 400, headers=form, body=(
                "serviceName=long&ip=1.1.1.1&port=" + middle * 300000).encode())
            text = reply.body.decode("utf-8")        # whole characters
            self.assertTrue(text.startswith('caused: For input string: "' + middle * 100), text[:100])
            self.assertTrue(text.endswith(middle + '";'), text[-100:])
            self.assertIn(len(reply.body), range(65536, 65536 + 40))
        reply = self.ask("POST", "/instance", {}, 400, headers=form, body=b"serviceName=" + b"a" * 70000 + b"&ip=1.1.1.1&port=80")
        self.assertEqual(reply.text, "caused: limits.name reached: 1023;")
        for text in ("x" * 600000, "\\u0041" * 100000):
            reply = self.ask("POST", "/instance", {}, 400, headers=form, body=(
                'serviceName=long&ip=1.1.1.1&port=80&metadata={"a":"%s"}' % text).encode())
            self.assertEqual(reply.text, "caused: limits.metadata reached: 65536;")

    def test_instance_filter_of_odd_addresses(self):
        self.server.register("v6", "fd00::5", 80, namespaceId="addr")
        self.server.register("v4", "10.0.0.5", 81, namespaceId="addr")
        for text, want in (("fd00::5", ["v6"]), ("[fd00::5]:80", ["v6"]), ("[fd00::5]:81", []), ("10.0.0.5", ["v4"]),
                           ("10.0.0.5:81", ["v4"]), ("10.0.0.5:x", []), (":81", []), (":", []), ("10.0.0", [])):
            query = {"namespaceId": "addr", "pageNo": 1, "pageSize": 10, "instance": text}
            self.assertEqual(self.page(query), want, text)

    def test_pages_of_instances(self):
        for n in range(5):
            self.server.register("many", "10.0.1.%d" % n, 80, namespaceId="ins")
        query = {"namespaceId": "ins", "serviceName": "many", "clusterName": "DEFAULT"}
        seen = []
        for number in (1, 2, 3):
            got = self.ask("GET", "/catalog/instances", dict(query, pageNo=number, pageSize=2)).json
            self.assertEqual(got["count"], 5)
            seen += [host["ip"] for host in got["list"]]
        self.assertEqual(sorted(seen), ["10.0.1.%d" % n for n in range(5)])
        reply = self.ask("GET", "/catalog/instances", dict(query, pageNo=-1, pageSize=3), 400)
        self.assertEqual(reply.text, "caused: fromIndex(0) > toIndex(-3);")
        self.ask("GET", "/catalog/instances", dict(query, pageNo=1), 500)
        self.ask("GET", "/catalog/instances", dict(query, pageNo="x", pageSize=1), 500)

    def test_times_of_checks(self):
        self.server.register("rt", "10.0.0.1", 80)
        self.assertEqual(self.ask("GET", "/catalog/rt/service", {"serviceName": "rt"}).json, {"clusters": [
            {"name": "DEFAULT", "checkRTBest": 9223372036854775807, "checkRTWorst": 0, "checkRTNormalized": 2000}]})
        reply = self.ask("GET", "/catalog/rt/service", {"serviceName": "no-rt"}, 400)
        self.assertEqual(reply.text, "caused: request service doesn't exist;")

    # -- clusters ----------------------------------------------------------------------------
    def cluster(self, status=200, **more):
        query = {"serviceName": "conf", "clusterName": "DEFAULT", "checkPort": 81, "useInstancePort4Check": "true",
                 "healthChecker": '{"type":"NONE"}'}
        return self.ask("PUT", "/cluster", dict(query, **more), status)

    def shown(self):
        return self.ask("GET", "/catalog/service", {"serviceName": "conf"}).json["clusters"]

    def test_refused_settings_do_no_damage(self):
        self.make("public", "conf")
        self.cluster()
        before = self.shown()
        for port in ("0", "zz"):
            reply = self.cluster(500, checkPort=port, healthChecker='{"type":"TCP"}')
            self.assertEqual(reply.text, "caused: errCode: 101, errMsg: Nacos deserialize failed.  ;")
        self.cluster(400, healthChecker='{"type":"HTTP","path":"/x\\r\\nHost: y"}')
        self.cluster(400, healthChecker='{"type":"HTTP","headers":"a:b\\u0000"}')
        self.cluster(500, healthChecker="nonsense")
        self.cluster(400, healthChecker="")
        self.cluster(400, clusterName="a_b")
        self.assertEqual(self.shown(), before)
        self.ask("PUT", "/service", {"serviceName": "conf", "protectThreshold": "0.5"})
        self.cluster(checkPort=-1, healthChecker='{"type":"SOMETHING"}')
        self.assertEqual(self.shown()[0]["healthChecker"], {"type": "NONE"})
        self.assertEqual(self.shown()[0]["defCkport"], -1)

    def test_health_by_hand_needs_a_service_and_a_cluster(self):
        self.make("public", "hand")
        query = {"serviceName": "hand", "ip": "10.0.0.1", "port": 80, "healthy": "false"}
        self.ask("PUT", "/health", query, 500)
        self.ask("PUT", "/health", dict(query, serviceName="no-hand"), 500)
        self.ask("PUT", "/cluster", {"serviceName": "hand", "clusterName": "DEFAULT", "checkPort": 81,
                                     "useInstancePort4Check": "true", "healthChecker": '{"type":"NONE"}'})
        self.assertEqual(self.ask("PUT", "/health", query).text, "ok")

    def test_sign_of_life(self):
        text = self.ask("GET", "/health/server", {}).json["msg"]
        self.assertRegex(text, r"^Hello! I am Nacos-Naming and healthy! total services: raft \d+, local port:%d$" % self.server.port)

    # -- between servers --------------------------------------------------------------------
    def status(self, body, status):
        return self.server.request("POST", "/v1/ns/service/status", {}, body=body).status == status

    def test_status_of_a_stranger(self):
        body = '{"statuses":"{\\"namespaceId\\":\\"public\\",\\"serviceName2Checksum\\":{}}","clientIP":"1.1.1.1:8848"}'
        reply = self.server.request("POST", "/v1/ns/service/status", {}, body=body)
        self.assertEqual((reply.status, reply.text), (500, "caused: ip: 1.1.1.1:8848 is not in serverlist;"))
        for bad in ("", "nonsense", "[]", "{}", "%"):
            self.assertTrue(self.status(bad, 500), bad)

    # -- subscribers --------------------------------------------------------------------------
    def test_subscribers_page_by_page_and_fuzzy(self):
        sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(5)]
        try:
            for n, udp in enumerate(sockets):
                udp.bind(("127.0.0.1", 0))
                self.ask("GET", "/instance/list", {"namespaceId": "subs", "serviceName": "sub-%d" % n, "udpPort": udp.getsockname()[1],
                                                   "clientIP": "127.0.0.1"}, headers=roster.JAVA)
            query = {"namespaceId": "sub", "serviceName": "sub-"}
            got = self.ask("GET", "/service/subscribers", query).json
            self.assertEqual(got["count"], 5)
            ports = sorted(udp.getsockname()[1] for udp in sockets)
            self.assertEqual(sorted(int(s["addrStr"].split(":")[1]) for s in got["subscribers"]), ports)
            paged = []
            for number in (1, 2, 3):
                got = self.ask("GET", "/service/subscribers", dict(query, pageNo=number, pageSize=2)).json
                self.assertEqual(got["count"], 5)
                paged += [int(s["addrStr"].split(":")[1]) for s in got["subscribers"]]
            self.assertEqual(sorted(paged), ports)
            got = self.ask("GET", "/service/subscribers", dict(query, pageNo=4, pageSize=2)).json
            self.assertEqual(got, {"subscribers": [], "count": 0})
            got = self.ask("GET", "/service/subscribers", dict(query, serviceName="sub-3")).json
            self.assertEqual([s["serviceName"] for s in got["subscribers"]], ["DEFAULT_GROUP@@sub-3"])
            self.assertEqual(self.ask("GET", "/service/subscribers", dict(query, groupName="nope")).json["count"], 0)
        finally:
            for udp in sockets:
                udp.close()


if __name__ == "__main__":
    roster.main()
