#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Hostile input over HTTP: attack cases A-10 to A-14. What specification or recordings answer is answered so; the rest is 400."""
import json
import os
import socket
import sys
import threading
import time
import unittest
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))
import roster  # noqa: E402
from hostile import FORM, INSTANCE, ask, counter, form, judge_time, statuses, strict_json, talk  # noqa: E402
from roster import Server, wait_until  # noqa: E402

SWITCHES = "/v1/ns/operator/switches"
SET = "?entry=pushEnabled&value=false"

SMUGGLED = b"POST /nacos/v1/ns/instance?serviceName=smuggled&ip=6.6.6.6&port=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
PUT = b"PUT /nacos/v1/ns/instance/beat HTTP/1.1\r\n"


class Hostile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(**{"operator.allow": "127.0.0.9", "http.write_timeout": "2s"})
        cls.server.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__(None, None, None)

    def alive(self):
        self.assertEqual(self.server.metrics()["status"], "UP")
        self.assertNotIn("op=child-exit", self.server.log_text())


class A10Spellings(Hostile):
    SPELLINGS = (SWITCHES, SWITCHES + "/", "/" + SWITCHES, "/v1/ns//operator/switches", "/v1/ns/./operator/switches",
                 "/v1/ns/x/../operator/switches", "/v1/ns/..;/ns/operator/switches", "/v1/ns/operator;a=b/switches",
                 SWITCHES + ";jsessionid=1", "/v1/ns/%6fperator/switches", "/v1/ns/operator%2fswitches",
                 "/v1/ns/%2e/operator/switches", "/v1/ns/%2e%2e/ns/operator/switches", "/v1/ns/Operator/Switches",
                 "/V1/ns/operator/switches", SWITCHES + ".", SWITCHES + ".json", SWITCHES + "%00", SWITCHES + "%20",
                 SWITCHES + "//", "/v1/ns/operator\\switches", "/v1/ns/ops/switches", "/v1/ns/ops/switches/")

    def pushes(self):
        return self.server.request("GET", SWITCHES).json["pushEnabled"]

    def test_no_spelling_passes_the_gate(self):
        for spelling in self.SPELLINGS:
            with self.subTest(spelling):
                reply = ask(self.server, "PUT", spelling + SET)
                self.assertIn(reply.status, (400, 403, 404, 500, 501))
                self.assertTrue(self.pushes())

    def test_no_form_of_target_passes_the_gate(self):
        for target in ("http://x/nacos" + SWITCHES, "http://127.0.0.9/nacos" + SWITCHES, "HTTP://x/nacos" + SWITCHES,
                       "//nacos" + SWITCHES, "/nacos/../nacos" + SWITCHES, "nacos" + SWITCHES, "*", "/nacos" + SWITCHES + "?x" ):
            with self.subTest(target):
                raw, _ = talk(self.server, b"PUT %s%s HTTP/1.1\r\nHost: 127.0.0.9\r\nX-Forwarded-For: 127.0.0.9\r\n"
                              b"X-Real-IP: 127.0.0.9\r\nConnection: close\r\nContent-Length: 0\r\n\r\n" % (target.encode(), SET.encode()))
                self.assertNotIn(200, statuses(raw), raw[:200])
                self.assertTrue(self.pushes())

    def test_the_gate_opens_for_the_listed_source(self):
        """The same request from an allowed address: the refusals above are the gate's."""
        for value in ("false", "true"):
            reply = ask(self.server, "PUT", SWITCHES, {"entry": "pushEnabled", "value": value}, source="127.0.0.9")
            self.assertEqual((reply.status, reply.text), (200, "ok"))
            self.assertEqual(self.pushes(), value == "true")


class A11Smuggling(Hostile):
    HEADS = {
        "two lengths": PUT + b"Host: x\r\nContent-Length: 0\r\nContent-Length: %d\r\n\r\n" % len(SMUGGLED),
        "two equal lengths": PUT + b"Host: x\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
        "a list of lengths": PUT + b"Host: x\r\nContent-Length: 0, 0\r\n\r\n",
        "length and chunked": PUT + b"Host: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "chunked and length": PUT + b"Host: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        "xchunked": PUT + b"Host: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "chunked with a blank": PUT + b"Host: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        "chunked with a tab": PUT + b"Host: x\r\nTransfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
        "chunked quoted": PUT + b"Host: x\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
        "identity": PUT + b"Host: x\r\nTransfer-Encoding: identity\r\nContent-Length: 0\r\n\r\n",
        "chunked on a second line": PUT + b"Host: x\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "chunked on HTTP/1.0": b"PUT /nacos/v1/ns/instance/beat HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "bare LF": PUT.replace(b"\r\n", b"\n") + b"Host: x\nContent-Length: 0\n\n",
        "bare LF at the end": PUT + b"Host: x\r\nContent-Length: 0\r\n\n",
        "bare CR": PUT + b"Host: x\rContent-Length: 0\r\n\r\n",
        "obs-fold": PUT + b"Host: x\r\nX: a\r\n Content-Length: 7\r\n\r\n",
        "folded length": PUT + b"Host: x\r\nContent-Length:\r\n 0\r\n\r\n",
        "blank before the colon": PUT + b"Host: x\r\nContent-Length : 0\r\n\r\n",
        "blank before the name": PUT + b" Host: x\r\nContent-Length: 0\r\n\r\n",
        "NUL in a name": PUT + b"Host: x\r\nContent\0-Length: 3\r\n\r\n",
        "NUL in a value": PUT + b"Host: x\0y\r\nContent-Length: 0\r\n\r\n",
        "NUL in the target": b"PUT /nacos/v1/ns\0/instance/beat HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
        "no name": PUT + b"Host: x\r\n: 3\r\n\r\n",
        "hex length": PUT + b"Host: x\r\nContent-Length: 0x10\r\n\r\n",
        "signed length": PUT + b"Host: x\r\nContent-Length: +0\r\n\r\n",
        "length beyond 64 bits": PUT + b"Host: x\r\nContent-Length: 18446744073709551616\r\n\r\n",
        "chunk beyond 64 bits": PUT + b"Host: x\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n",
        "chunk of 2^63": PUT + b"Host: x\r\nTransfer-Encoding: chunked\r\n\r\n8000000000000000\r\n",
        "negative chunk": PUT + b"Host: x\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        "0x chunk": PUT + b"Host: x\r\nTransfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n",
        "chunk without a size": PUT + b"Host: x\r\nTransfer-Encoding: chunked\r\n\r\n\r\n\r\n",
        "chunk line by LF": PUT + b"Host: x\r\nTransfer-Encoding: chunked\r\n\r\n0\n\n",
        "chunk longer than said": PUT + b"Host: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
        "two hosts": PUT + b"Host: x\r\nHost: y\r\nContent-Length: 0\r\n\r\n",
        "HTTP/0.9": b"GET /nacos/v1/ns/operator/metrics\r\n\r\n",
        "HTTP/2.0": b"PUT /nacos/v1/ns/instance/beat HTTP/2.0\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
        "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    }

    def test_nothing_behind_it_is_a_request(self):
        """400 (413, 501 or 505 where they say it better) and the connection ends; what follows is not executed."""
        for name, head in self.HEADS.items():
            with self.subTest(name):
                raw, closed = talk(self.server, head + SMUGGLED)
                self.assertTrue(closed, "still open")
                found = statuses(raw)
                self.assertEqual(len(found), 1, raw[:300])
                self.assertIn(found[0], (400, 413, 501, 505))
                self.assertEqual(self.server.hosts("smuggled"), [])
        self.alive()

    def test_the_smuggled_request_would_count(self):
        """Behind a good head it is executed: the test above can fail."""
        raw, _ = talk(self.server, b"GET /nacos/v1/ns/operator/metrics HTTP/1.1\r\nHost: x\r\n\r\n" + SMUGGLED.replace(b"=smuggled", b"=honest")
                      .replace(b"Host: x", b"Host: x\r\nConnection: close"))
        self.assertEqual(len(statuses(raw)), 2, raw)
        self.assertEqual(len(self.server.hosts("honest")), 1)


class A12Slow(unittest.TestCase):
    def test_slow_heads_and_floods_stay_alone(self):
        """Drip-fed heads end at http.head_timeout; a client that asks and never reads is cut off; others are served meanwhile."""
        with Server(**{"http.head_timeout": "700ms", "http.write_timeout": "700ms", "workers": "1"}) as server:
            for n in range(50):
                server.register("slow", "10.0.1.%d" % n, 80)
            drips = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(50)]
            flood = socket.create_connection(("127.0.0.1", server.port))
            flood.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            flood.settimeout(0.2)
            begun, open_drips, flooding, worst = time.monotonic(), set(range(50)), True, 0.0
            while (open_drips or flooding) and time.monotonic() - begun < roster.HUNG_S:
                for n in sorted(open_drips):
                    try:
                        drips[n].send(b"G")
                        drips[n].setblocking(False)
                        if drips[n].recv(1000) == b"":
                            open_drips.discard(n)
                    except BlockingIOError:
                        pass
                    except OSError:
                        open_drips.discard(n)
                try:
                    if flooding:
                        flood.send(b"GET /nacos/v1/ns/instance/list?serviceName=slow HTTP/1.1\r\nHost: x\r\n\r\n" * 200)
                except socket.timeout:
                    pass
                except OSError:
                    flooding = False
                asked = time.monotonic()
                self.assertEqual(len(server.hosts("slow")), 50)
                worst = max(worst, time.monotonic() - asked)
            self.assertEqual((open_drips, flooding), (set(), False), "somebody is still connected")
            judge_time(self, server, worst)
            for s in drips + [flood]:
                s.close()


class A13Texts(Hostile):
    def refused(self, status, *args, **kwargs):
        reply = ask(self.server, *args, **kwargs)
        self.assertEqual(reply.status, status, reply.text[:200])
        return reply

    def test_too_much_of_anything(self):
        for name, raw, expected in (
                ("header", b"GET /nacos HTTP/1.1\r\nHost: x\r\nX: %s\r\n\r\n" % (b"a" * 70000), (431,)),
                ("target", b"GET /nacos?%s HTTP/1.1\r\nHost: x\r\n\r\n" % (b"a" * 70000), (414,)),
                ("headers", b"GET /nacos HTTP/1.1\r\nHost: x\r\n%s\r\n" % (b"X: y\r\n" * 101), (431,)),
                ("body", PUT + b"Host: x\r\nContent-Length: 2097153\r\n\r\n", (413,))):
            with self.subTest(name):
                got, closed = talk(self.server, raw)
                self.assertTrue(closed)
                self.assertEqual(len(statuses(got)), 1)
                self.assertIn(statuses(got)[0], expected)
        pairs = "&".join("k%d=v" % n for n in range(257))
        reply = self.refused(400, "GET", INSTANCE + "/list", pairs)
        self.assertIn("http.parameters reached: 256", reply.text)
        reply = self.refused(400, "PUT", INSTANCE + "/beat", headers=FORM, body=pairs)
        for field in ("serviceName", "ip", "clusterName", "app", "namespaceId"):
            query = dict({"serviceName": "long", "ip": "1.1.1.1", "port": 1}, **{field: "a" * 1100})
            self.assertIn("limits.name reached", self.refused(400, "POST", INSTANCE, query).text)
        self.assertEqual(self.server.hosts("long"), [])

    def test_many_equal_and_unequal_keys(self):
        """The last of equal parameters counts, as recorded; thousands of keys in metadata cost no quadratic time."""
        self.refused(200, "POST", INSTANCE, "serviceName=first&serviceName=last&ip=1.1.1.1&port=1&port=2")
        self.assertEqual([h["port"] for h in self.server.hosts("last")], [2])
        self.assertEqual(self.server.hosts("first"), [])
        for keys in ("k%d", "%d", "AaBB" * 20 + "%d"):
            text = json.dumps({keys % n: "v" for n in range(20000)}, separators=(",", ":"))
            begun = time.monotonic()
            reply = ask(self.server, "POST", INSTANCE, {"serviceName": "keys", "ip": "1.1.1.1", "port": 1}, **form(metadata=text))
            self.assertIn(reply.status, (400, 500))
            judge_time(self, self.server, time.monotonic() - begun)

    def test_zero_bytes_and_broken_utf8(self):
        """Names of services and clusters hold neither. What else is stored comes out as JSON that the strictest client reads."""
        for name in ("a%00b", "a%FFb", "%C0%80", "%ED%A0%80", "a%0D%0Ab", "a%20b"):
            self.refused(400, "POST", INSTANCE, "serviceName=%s&ip=1.1.1.1&port=1" % name)
            self.refused(400, "POST", INSTANCE, "serviceName=s&clusterName=x%sx&ip=1.1.1.1&port=1" % name)
            self.refused(400, "POST", INSTANCE, "serviceName=s&groupName=%s&ip=1.1.1.1&port=1" % name)
        self.refused(200, "POST", INSTANCE, "serviceName=odd&ip=%FF%0D%0AX:1&port=80&weight=NaN&app=%ED%A0%80%00x&"
                     "metadata=k%3D%01%FFv&namespaceId=n%FF%0Aop%3Dforged")
        # A client that asks for pushes, with bytes of its own in every text.
        raw, _ = talk(self.server, b"GET /nacos/v1/ns/instance/list?serviceName=odd&clientIP=127.0.0.1&udpPort=5555&app=%FF"
                      b"&namespaceId=n%FF%0Aop%3Dforged HTTP/1.1\r\nHost: x\r\nUser-Agent: Nacos-Java-Client:v1.4.2\xff\xfe\r\n"
                      b"Connection: close\r\n\r\n")
        self.assertEqual(statuses(raw), [200])
        place = "serviceName=odd&namespaceId=n%FF%0Aop%3Dforged"
        hosts = strict_json(ask(self.server, "GET", INSTANCE + "/list", place))["hosts"]
        self.assertEqual((hosts[0]["ip"], hosts[0]["metadata"]), ("\ufffd\r\nX:1", {"k": "\x01\ufffdv"}))
        for path, query in (("/v1/ns/service/subscribers", place), ("/v1/ns/api/allDomNames", ""), ("/v1/ns/service", place),
                            ("/v1/ns/catalog/instances", place + "&clusterName=DEFAULT&pageNo=1&pageSize=9"),
                            ("/v1/ns/service/names", "expr=x"), (INSTANCE, place + "&ip=%FF%0D%0AX:1&port=80")):
            with self.subTest(path):
                strict_json(self.refused(200, "GET", path, query))
        # The charset of `encoding` is applied to the bytes as they came; the result is well-formed all the same.
        for charset in ("GBK", "UTF-16", "SHIFT_JIS", "EUC-KR", "../../../etc/passwd", "ISO-2022-CN-EXT", "a" * 3000):
            self.refused(200, "POST", INSTANCE, "serviceName=enc&ip=1.1.1.1&port=1&metadata=k%%3D%%FF%%d6%%81&app=%%81&encoding=%s"
                         % charset if charset != "UTF-16" else "serviceName=enc&ip=1.1.1.1&port=1")
            strict_json(self.refused(200, "GET", INSTANCE + "/list", "serviceName=enc"))
        self.alive()

    def test_group_separators(self):
        """`@@` in a name is the group, as specified; it reaches no service of another group."""
        self.server.register("victim", "10.0.0.1", 80, groupName="g")
        for name, group in (("victim@@g", "g"), ("g@@@@victim", "x"), ("x@@g@@victim", "g"), ("@@g@@victim", "g")):
            ask(self.server, "DELETE", INSTANCE, {"serviceName": name, "groupName": group, "ip": "10.0.0.1", "port": 80})
        self.assertEqual(len(self.server.hosts("victim", groupName="g")), 1)
        for bad in ("@@x", "g@@", "@@", "@@@@"):
            self.refused(400, "POST", INSTANCE, {"serviceName": bad, "ip": "1.1.1.1", "port": 1})

    def test_no_lines_in_answers_and_logs(self):
        """CR LF in any text neither splits an answer nor begins a line of the log."""
        evil = "x\r\nSet-Cookie: a=b\r\n\r\nHTTP/1.1 200 OK\r\n\r\n2026-01-01T00:00:00.000Z error master[1]: op=forged"
        for method, path, query in (
                ("POST", INSTANCE, {"serviceName": evil, "ip": "1.1.1.1", "port": 1}),
                ("POST", INSTANCE, {"serviceName": "crlf", "ip": evil, "port": 1, "metadata": '{"k":%s}' % json.dumps(evil)}),
                ("POST", INSTANCE, {"serviceName": "crlf", "ip": "1.1.1.1", "port": evil}),
                ("GET", INSTANCE + "/list", {"serviceName": "crlf", "clusters": evil, "env": evil, "clientIP": evil, "udpPort": 9}),
                ("PUT", SWITCHES, {"entry": evil, "value": evil}), ("GET", "/v1/ns/service/names", {"expr": evil}),
                ("GET", "/v1/ns/" + urllib.parse.quote(evil), None), ("POST", "/v1/console/namespaces", {"namespaceName": evil})):
            reply = ask(self.server, method, path, query, headers={"User-Agent": "Nacos-Java-Client:v1.4.2"})
            self.assertIsNone(reply.headers["Set-Cookie"], path)
        raw, _ = talk(self.server, b"GET /nacos/v1/ns/x%0d%0aSet-Cookie:%20a HTTP/1.1\r\nHost: x\r\nOrigin: http://a\rSet-Cookie: b\r\n\r\n")
        self.assertNotIn(b"\nSet-Cookie", raw)
        for line in self.server.log_text().splitlines():
            self.assertNotIn("Z error master[1]: op=forged", line[20:] if line.startswith("2026-01-01") else "")
            self.assertRegex(line, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z \w+ [a-z/0-9]+\[\d+\]: op=")
        self.alive()


class A14Json(Hostile):
    """No crash, no long time, nothing half stored. Statuses are those of the recordings: a beat that cannot be read is 500."""

    BEATS = ("{" * 200000, "[" * 200000, '{"a":' * 100000, "[" * 100000 + "]" * 100000, '{"metadata":' + '{"a":' * 5000 + "1" + "}" * 5001,
             '{"metadata":{"a":{"b":1}}}', '{"port":1e400}', '{"port":99999999999999999999}', '{"port":NaN}', '{"weight":NaN}',
             '{"weight":Infinity}', "nul", '"x"', "12", "[]", "{", '{"ip":"a\nb"}', '{"ip":"\x00"}',
             '{"ip":"\\ud800\\u0000","port":x}', "\ufeff{}", "{'ip':'1'}", '{"ip":tru}', '{"port":01}', '{,}', '{"port":"many"}',
             '{"ip":' + '"' + "a" * 1100 + '","port":1}', '{"ip":"1.1.1.1","port":1,"cluster":"a b"}',
             json.dumps({"ip": "1.1.1.1", "port": 1, "metadata": {"k": "v" * 200000}}))

    def test_bombs_in_beats(self):
        for text in self.BEATS:
            with self.subTest(text[:40]):
                begun = time.monotonic()
                reply = ask(self.server, "PUT", INSTANCE + "/beat", {"serviceName": "bombs"}, **form(beat=text))
                self.assertIn(reply.status, (400, 500), reply.text[:200])
                judge_time(self, self.server, time.monotonic() - begun)
        self.assertEqual(self.server.hosts("bombs"), [])
        self.alive()

    def test_bombs_in_metadata(self):
        for text in ("{" * 200000, "[" * 200000, '{"a":' * 100000, '{"a":[1]}', '{"a":{"b":1}}', '{"a":NaN}', '{"a"', "a=b=c", "=,=,=",
                     '{"a":"%s"}' % ("v" * 200000), ",".join("a%d=b" % n for n in range(100000))):
            for path, query in ((INSTANCE, {"serviceName": "meta", "ip": "1.1.1.1", "port": 1}),
                                ("/v1/ns/service", {"serviceName": "meta-service"})):
                with self.subTest(path + " " + text[:30]):
                    begun = time.monotonic()
                    reply = ask(self.server, "POST", path, query, **form(metadata=text))
                    self.assertIn(reply.status, (400, 500), reply.text[:200])
                    judge_time(self, self.server, time.monotonic() - begun)
        self.assertEqual(self.server.hosts("meta"), [])

    def test_bombs_elsewhere(self):
        """Batches, selectors, checkers, switches, patterns."""
        self.server.register("else", "1.1.1.1", 1)
        many = "[" + ",".join(["{}"] * 600000) + "]"
        for method, path, fields in (
                ("PUT", INSTANCE + "/metadata/batch", {"serviceName": "g@@else", "metadata": '{"a":"b"}', "instances": "[" * 600000}),
                ("POST", "/v1/ns/service", {"serviceName": "sel", "selector": '{"type":"label","expression":"%s"}' % ("(" * 200000)}),
                ("POST", "/v1/ns/service", {"serviceName": "sel", "selector": "[" * 200000}),
                ("PUT", "/v1/ns/cluster", {"serviceName": "DEFAULT_GROUP@@else", "clusterName": "DEFAULT", "checkPort": 1,
                                           "useInstancePort4Check": "true", "healthChecker": '{"type":' * 50000}),
                ("PUT", SWITCHES, {"entry": "batch", "value": "{" * 200000})):
            with self.subTest(path):
                begun = time.monotonic()
                ask(self.server, method, path, source="127.0.0.9", **form(**fields))
                judge_time(self, self.server, time.monotonic() - begun)
        begun = time.monotonic()
        reply = ask(self.server, "PUT", INSTANCE + "/metadata/batch", headers=FORM,
                    body="serviceName=g@@else&metadata={\"a\":\"b\"}&instances=" + many)
        self.assertEqual(reply.status, 200)
        judge_time(self, self.server, time.monotonic() - begun)
        begun = time.monotonic()
        ask(self.server, "GET", "/v1/ns/service/names", {"expr": "(((a+)+)+)+$" + "?" * 900})
        judge_time(self, self.server, time.monotonic() - begun)
        self.assertEqual(self.server.hosts("else")[0]["metadata"], {})
        self.alive()

    def test_numbers(self):
        """Weights and ports, one row each: what 1.4.8 was recorded to take is taken, and comes out as JSON."""
        for field, value, status in (
                ("weight", "1e400", 500), ("weight", "Infinity", 500), ("weight", "-1", 500), ("weight", "10000.1", 500),
                ("weight", "1" * 400, 500), ("weight", "x", 400), ("weight", "NaN", 200), ("weight", "1e-400", 200),
                ("port", "65536", 200), ("port", "-1", 200), ("port", "99999999999", 400), ("port", "1e3", 400),
                ("port", "0x50", 400), ("port", "NaN", 400), ("port", "80.0", 400), ("port", "", 400)):
            with self.subTest(field + "=" + value[:10]):
                query = dict({"serviceName": "numbers", "ip": "1.1.1.1", "port": 80}, **{field: value})
                self.assertEqual(ask(self.server, "POST", INSTANCE, query).status, status)
                strict_json(ask(self.server, "GET", INSTANCE + "/list", {"serviceName": "numbers"}))
        for ip in ("fe80::1%eth0", "fe80::1%25lo", "::1", "[::1]", "::ffff:1.2.3.4", "1.2.3.4.5", "0x7f000001", "localhost"):
            self.server.register("addresses", ip, 80)
        self.assertEqual(len(strict_json(ask(self.server, "GET", INSTANCE + "/list", {"serviceName": "addresses"}))["hosts"]), 8)

    def test_duplicate_keys(self):
        """As recorded: the last one of a beat, and of metadata."""
        reply = ask(self.server, "PUT", INSTANCE + "/beat", {"serviceName": "twice"},
                    **form(beat='{"ip":"1.1.1.1","ip":"2.2.2.2","port":1,"port":2,"metadata":{"a":"1","a":"2"}}'))
        self.assertEqual(reply.json["code"], 10200)
        self.assertEqual([(h["ip"], h["port"], h["metadata"]) for h in self.server.hosts("twice")], [("2.2.2.2", 2, {"a": "2"})])

    def test_others_are_served_meanwhile(self):
        """Bombs on one connection after the other; beats on another are answered all the time."""
        self.server.register("calm", "10.0.0.1", 80)
        done, slow = threading.Event(), []

        def beat():
            while not done.is_set():
                begun = time.monotonic()
                self.server.beat("calm", "10.0.0.1", 80)
                slow.append(time.monotonic() - begun)
        thread = threading.Thread(target=beat)
        thread.start()
        try:
            before = counter(self.server, "roster_http_5xx_total")
            for text in self.BEATS:
                ask(self.server, "PUT", INSTANCE + "/beat", {"serviceName": "bombs"}, **form(beat=text))
            wait_until(lambda: counter(self.server, "roster_http_5xx_total") > before and len(slow) > 20, 10, "beats in between")
        finally:
            done.set()
            thread.join()
        judge_time(self, self.server, max(slow))


if __name__ == "__main__":
    roster.main()
