#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# runs alone
"""Every route is asked the longest that the limits allow, over a registry at its limits, while another client beats: no turn of a
worker is a long one, nobody is killed, everything is answered or refused clearly, and no beat waits.

The table ROWS has a row for each route of `rosterd --print-api`; one that is missing fails. The registry is made as a snapshot
(tests/system/registry_file) and imported: 1,000,000 instances in 100,000 services, one service of 200,000 instances, one of
1,024 clusters, one with long metadata and one with many keys, 20,000 subscribers, 10,000 namespaces. With sanitizers a tenth of it.
LONG_REQUESTS=word asks only rows that contain the word."""
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))
import roster  # noqa: E402
from roster import HUNG_S, SANITIZED, LongTurns, Server, wait_until  # noqa: E402
from yardstick import RUNS, TooSlow, Yardstick  # noqa: E402
from routes_test import original, routes  # noqa: E402

TOOLS = os.path.join(os.path.dirname(roster.ROSTERD), "tests", "system")
BEAT = "/nacos/v1/ns/instance/beat?serviceName=innocent&ip=10.0.0.1&port=80"
BOUND = 40               # pieces of work, of a millisecond on a quiet machine, that the slowest beat may take
MOMENT_S = 0.3           # enough beats, and pieces of work to compare them with
SHARE = 10 if SANITIZED else 1
SERVICES, LARGE, CLUSTERS = 100_000 // SHARE, 200_000 // SHARE, 1024
BODY, LINE = 2_000_000, 60_000      # within http.body and http.line
FORM = "application/x-www-form-urlencoded"
ONLY = os.environ.get("LONG_REQUESTS", "")


# ---- texts that take long to read ------------------------------------------------------------------------------------

def text(head, middle, tail, length):
    return head + middle * ((length - len(head) - len(tail)) // len(middle)) + tail


# As they stand in a form, for any parameter: name -> (head, middle, tail).
TEXTS = {
    "letters": (b"", b"a", b""), "escaped letters": (b"", b"%41", b""), "blanks": (b"", b"+", b""), "ats": (b"", b"@", b""),
    "zeros": (b"", b"0", b""), "broken UTF-8": (b"", b"\xff", b""), "escaped broken UTF-8": (b"", b"%ff", b""),
    "signs of three bytes": (b"", "\u20ac".encode(), b""), "pairs": (b"", b"a=1,", b""), "commas": (b"", b",", b""),
    "JSON, one text": (b'{"type":"HTTP","expression":"', b"a", b'"}'),
    "JSON, escaped letters": (b'{"type":"HTTP","expression":"', rb"\u0041", b'"}'),
    "JSON, controls": (b'{"type":"HTTP","path":"', rb"\u0001", b'"}'),
    "JSON, half pairs": (b'{"type":"HTTP","a":"', rb"\ud800", b'"}'),
    "JSON, many members": (b'{"type":"HTTP"', b',"a":""', b"}"),
    "JSON, blanks": (b'{"type":"HTTP"', b" ", b"}"),
    "JSON, deep": (b"", b"[", b""), "JSON, a word": (b"", b"n", b""),
    "JSON, objects": (b"[{}", b",{}", b"]"),
}


class Ask:
    """One thing that is asked: `times` over on one connection ahead, on so many `connections` at once."""

    def __init__(self, what, method, path, query=b"", body=None, headers=(), times=1, connections=1, slowly=False, status=()):
        self.what, self.method, self.path, self.body, self.times = what, method, path, body, times
        self.connections, self.slowly, self.status = connections, slowly, status
        query = urllib.parse.urlencode(query).encode() if isinstance(query, dict) else query
        head = b"%s /nacos%s%s%s HTTP/1.1\r\nHost: localhost\r\n" % (method.encode(), path.encode(), b"?" if query else b"", query)
        for name, value in headers:
            head += b"%s: %s\r\n" % (name.encode(), value.encode())
        if body is not None or method not in ("GET",):
            head += b"Content-Length: %d\r\n" % len(body or b"")
        self.raw = (head + b"\r\n" + (body or b"")) * times


class Row:
    """A route: parameters that are right, those of them whose text may be anything, and what else takes long."""

    def __init__(self, given=None, texts=(), charset=False, body=False, more=()):
        self.given, self.texts, self.charset, self.body, self.more = given or {}, texts, charset, body, more

    def asks(self, method, path):
        for name in self.texts:
            others = urllib.parse.urlencode({k: v for k, v in self.given.items() if k != name}).encode()
            for what, (head, middle, tail) in TEXTS.items():
                yield self.ask("%s: %s" % (name, what), method, path, name, others, (head, middle, tail))
        if self.charset:
            yield self.ask("GBK", method, path, self.texts[0], b"", (b"", b"\x81", b""), "; charset=GBK")
            yield self.ask("encoding", method, path, self.texts[0], b"encoding=GBK", (b"", b"%81", b""))
        if method == "GET" or not self.texts:
            yield Ask("parameters", method, path, b"&".join(b"p%d=%s" % (n, b"v" * 200) for n in range(250)))
        else:
            yield Ask("parameters", method, path, body=b"&".join(b"p%d=%s" % (n, b"v" * 7000) for n in range(250)),
                      headers=[("Content-Type", FORM)])
            yield Ask("nothing but separators", method, path, body=b"&" * BODY, headers=[("Content-Type", FORM)])
        if method == "GET":
            yield Ask("a large body", method, path, self.given, body=b"b" * BODY)
        if not self.given and not self.texts:
            yield Ask("as it is", method, path)
        for ask in self.more:
            yield ask(method, path)

    def ask(self, what, method, path, name, others, parts, charset=""):
        if method == "GET":
            value = urllib.parse.quote_from_bytes(text(*parts, length=LINE // 3), safe="%+,=")
            return Ask(what, method, path, others + b"&" + name.encode() + b"=" + value.encode())
        return Ask(what, method, path, body=others + b"&" + name.encode() + b"=" + text(*parts, length=BODY),
                   headers=[("Content-Type", FORM + charset)])


def more(what, query=b"", **settings):
    return lambda method, path: Ask(what, method, path, query, **settings)


def form(what, fields, **settings):
    body = urllib.parse.urlencode(fields, quote_via=urllib.parse.quote, safe='"{}[]:,').encode()
    return more(what, body=body, headers=[("Content-Type", FORM)], **settings)


# ---- the table ----------------------------------------------------------------------------------------------------------

ONE = {"serviceName": "hostile", "ip": "10.9.9.9", "port": "80"}
PAGE = {"pageNo": "1", "pageSize": "10"}
SMALL = dict(PAGE, namespaceId="small")
ALL = {"pageNo": "1", "pageSize": "2147483647"}
LAST = '{"ip":"10.%d.%d.%d","port":80}' % (LARGE - 1 >> 16 & 255, LARGE - 1 >> 8 & 255, LARGE - 1 & 255)
SETTINGS = {"serviceName": "hostile", "protectThreshold": "0.5", "metadata": "a=1", "selector": ""}
CLUSTER = {"serviceName": "hostile", "clusterName": "DEFAULT", "checkPort": "80", "useInstancePort4Check": "true",
           "healthChecker": '{"type":"TCP"}', "metadata": "a=1"}
JAVA = [("User-Agent", "Nacos-Java-Client:v1.4.2")]


def named(count, instance):
    return "[%s]" % ",".join([instance] * count)


def unknown(count):
    return "[%s]" % ",".join('{"ip":"9.%d.%d.%d","port":80}' % (n >> 16, n >> 8 & 255, n & 255) for n in range(count))


def batch():
    return (
        form("the last of many, 40,000 times", {"serviceName": "large", "metadata": '{"a":"1"}', "instances": named(40000, LAST)}),
        form("40,000 unknown ones", {"serviceName": "clustered", "metadata": '{"a":"1"}', "instances": unknown(30000)}),
        form("all of many", {"serviceName": "large", "metadata": '{"a":"1"}', "consistencyType": "ephemeral"}),
        form("many keys", {"serviceName": "keys", "metadata": "{%s}" % ",".join('"n%x":""' % n for n in range(999)),
                           "consistencyType": "ephemeral"}),
        form("of long metadata", {"serviceName": "texts", "metadata": '{"a":"1"}', "consistencyType": "ephemeral"}),
    )


CLUSTER_NAMES = ",".join("c-%d" % n for n in range(CLUSTERS))
LIST = Row({"serviceName": "hostile"}, ("serviceName", "clusters", "clientIP", "udpPort", "app", "namespaceId", "env"), more=(
    more("many instances", {"serviceName": "large"}),
    more("many instances, healthy ones", {"serviceName": "large", "healthyOnly": "true"}, headers=JAVA),
    more("many instances on three connections", {"serviceName": "large"}, connections=3),
    more("a slow reader", {"serviceName": "large"}, slowly=True),
    more("from the cache", {"serviceName": "cached"}, times=5),
    more("100 at once", {"serviceName": "medium"}, connections=100),
    more("100 at once, a shorter one", {"serviceName": "short"}, connections=100),
    more("ahead", {"serviceName": "short"}, times=100),
    more("all clusters by name", {"serviceName": "clustered", "clusters": CLUSTER_NAMES}),
    more("unknown clusters", {"serviceName": "clustered", "clusters": ",".join("x-%d" % n for n in range(7000))}),
    more("one cluster again and again", {"serviceName": "clustered", "clusters": "c-1023," * 6000}),
    more("long metadata", {"serviceName": "texts"}),
    more("many keys", {"serviceName": "keys"}),
))

ROWS = {
    "POST /v1/ns/instance": Row(dict(ONE, metadata="a=1", weight="1"), ("serviceName", "ip", "port", "weight", "metadata", "app"),
                                charset=True),
    "PUT /v1/ns/instance": Row(dict(ONE, metadata="a=1"), ("serviceName", "metadata", "clusterName", "enabled"), more=(
        form("any port of many", {"serviceName": "large", "ip": "9.9.9.9", "port": "0"}),
        more("any port of many, Java", {"serviceName": "large", "ip": "9.9.9.9", "port": "0"}, headers=JAVA, times=20),
        more("any cluster, Java", {"serviceName": "clustered", "ip": "9.9.9.9", "port": "1"}, headers=JAVA, times=100),)),
    "PATCH /v1/ns/instance": Row(dict(ONE, metadata="a=1"), ("serviceName", "metadata", "weight", "app", "healthy"), more=(
        form("many keys", {"serviceName": "keys", "ip": "10.0.0.1", "port": "80", "weight": "2"}, times=50),)),
    "DELETE /v1/ns/instance": Row(ONE, ("serviceName", "ip", "clusterName")),
    "GET /v1/ns/instance": Row(ONE, ("serviceName", "clusterName"), more=(
        more("many keys", {"serviceName": "keys", "ip": "10.0.0.1", "port": "80"}, times=100),
        more("no such cluster of many", {"serviceName": "clustered", "ip": "9.9.9.9", "port": "1", "clusterName": "x"}, times=100))),
    "GET /v1/ns/instance/list": LIST,
    "PUT /v1/ns/instance/beat": Row(dict(ONE, beat="{}"), ("serviceName", "beat", "ip")),
    "GET /v1/ns/instance/statuses": Row({"key": "DEFAULT_GROUP@@large"}, ("key",), more=(
        more("many", {"key": "DEFAULT_GROUP@@large"}),)),
    "PUT /v1/ns/instance/metadata/batch": Row({"serviceName": "hostile", "metadata": "a=1", "instances": "[]"},
                                              ("serviceName", "metadata", "instances", "consistencyType"), more=batch()),
    "DELETE /v1/ns/instance/metadata/batch": Row({"serviceName": "hostile", "metadata": "a=1"}, ("metadata",), more=batch()),
    "GET /v1/ns/api/allDomNames": Row(more=(more("ahead", times=4), more("for DNS", headers=[("User-Agent", "Nacos-DNS:v1.0.0")]))),
    "GET /v1/ns/api/srvIPXT": Row({"dom": "large"}, ("dom",), more=(more("many instances", {"dom": "large"}),)),
    "GET /v1/ns/api/clientBeat": Row({"dom": "hostile", "beat": "{}"}, ("dom", "beat")),
    "GET /v1/ns/operator/metrics": Row(more=(more("ahead", times=200),)),
    "GET /v1/ns/operator/switches": Row(more=(more("ahead", times=200),)),
    "PUT /v1/ns/operator/switches": Row({"entry": "nobody", "value": "1"}, ("entry", "value"), more=tuple(
        more("%s: %s" % (entry, what), body=b"entry=%s&value=%s" % (entry.encode(), text(*parts, length=BODY)),
             headers=[("Content-Type", FORM)])
        for entry in ("batch", "masters", "limitedUrlMap", "pushVersion", "distroThreshold", "overriddenServerStatus")
        for what, parts in (("a batch", (b'{"masters":["a"', b',"a"', b"]}")), ("pairs", (b"", b"/a:500,", b"")),
                            ("letters", (b"", b"a", b""))))),
    "GET /v1/ns/operator/push/state": Row(more=(more("ahead", times=200),)),
    "GET /v1/ns/operator/servers": Row(),
    "GET /v1/ns/operator/server/status": Row({"serverStatus": "x"}, ("serverStatus",)),
    "GET /v1/ns/operator/distro/server": Row({"serviceName": "large"}, ("serviceName",)),
    "GET /v1/ns/operator/distro/status": Row({"action": "view"}, ("action",)),
    "GET /v1/ns/operator/cluster/state": Row(),
    "PUT /v1/ns/operator/log": Row({"logName": "nobody", "logLevel": "INFO"}, ("logName", "logLevel")),
    "GET /v1/ns/raft/state": Row(),
    "GET /v1/ns/raft/leader": Row(),
    "GET /v1/ns/raft/peer": Row(),
    "GET /v1/ns/operator/brake": Row(more=(more("ahead", times=200),)),
    "PUT /v1/ns/operator/brake": Row(),
    "POST /v1/ns/service": Row(dict(SETTINGS, serviceName="made"), ("serviceName", "metadata", "selector", "protectThreshold")),
    "PUT /v1/ns/service": Row(SETTINGS, ("serviceName", "metadata", "selector", "protectThreshold")),
    "GET /v1/ns/service": Row({"serviceName": "hostile"}, ("serviceName",), more=(
        more("many clusters", {"serviceName": "clustered"}, times=20), more("many instances", {"serviceName": "large"}, times=20))),
    "PUT /v1/ns/service/checksum": Row({"serviceName": "hostile"}, ("serviceName",), more=(
        more("many instances", {"serviceName": "large"}), more("many clusters", {"serviceName": "clustered"}),
        more("long metadata", {"serviceName": "texts"}))),
    "GET /v1/ns/service/names": Row({"namespaceId": "small"}, ("namespaceId", "expr"), more=(
        more("all", {"namespaceId": ""}), more("an everyday expression", {"namespaceId": "public", "expr": "many-1"}),
        more("a slow expression", {"namespaceId": "public", "expr": "(?:.*+Z|.)+Q"}),
        more("another one", {"namespaceId": "public", "expr": "(.*)*(.*)*Q"}),
        more("a large one", {"namespaceId": "public", "expr": "(((a{1,40}){1,40}){1,40}){1,40}"}))),
    "POST /v1/ns/service/status": Row({}, (), more=tuple(
        more(what, body=text(*parts, length=BODY), headers=[("Content-Type", "application/json")])
        for what, parts in TEXTS.items())),
    "GET /v1/ns/service/subscribers": Row({"serviceName": "watched"}, ("serviceName", "groupName"), more=(
        more("all", {"serviceName": "watched", "pageSize": "2147483647", "detail": "true"}),
        more("one of many", {"serviceName": "watched", "pageNo": "20000", "pageSize": "1"}))),
    "GET /v1/ns/catalog/service": Row({"serviceName": "hostile"}, ("serviceName",), more=(
        more("many instances", {"serviceName": "large"}), more("many clusters", {"serviceName": "clustered"}, times=10))),
    "GET /v1/ns/catalog/services": Row(SMALL, ("serviceNameParam", "groupNameParam", "instance", "pageSize"), more=(
        more("by address, 32 ahead", dict(PAGE, instance="9.9.9.9"), times=32),
        more("all", ALL),
        more("all with instances", dict(ALL, pageSize="10000000", withInstances="true")),
        more("many with instances", {"pageNo": "0", "pageSize": str(8000 // SHARE), "withInstances": "true", "serviceNameParam": "many"}),
        more("long metadata with instances", dict(PAGE, pageNo="0", withInstances="true", serviceNameParam="texts")),
        more("an everyday name", dict(PAGE, serviceNameParam="many-99")),
        more("filled ones", dict(PAGE, hasIpCount="true")))),
    "GET /v1/ns/catalog/instances": Row(dict(PAGE, serviceName="large", clusterName="DEFAULT"), ("serviceName", "clusterName"), more=(
        more("all", dict(ALL, serviceName="large", clusterName="DEFAULT")),
        more("half", dict(PAGE, serviceName="large", clusterName="DEFAULT", pageSize="100000")),
        more("the last page", {"serviceName": "large", "clusterName": "DEFAULT", "pageNo": str(LARGE // 10), "pageSize": "10"}, times=10),
        more("the last cluster", dict(PAGE, serviceName="clustered", clusterName="c-1023"), times=50),
        more("long metadata", dict(ALL, serviceName="texts", clusterName="DEFAULT")))),
    "GET /v1/ns/catalog/rt/service": Row({"serviceName": "large"}, ("serviceName",), more=(
        more("many instances", {"serviceName": "large"}), more("many clusters", {"serviceName": "clustered"}, times=20))),
    "PUT /v1/ns/cluster": Row(CLUSTER, ("serviceName", "clusterName", "healthChecker", "metadata", "checkPort")),
    "PUT /v1/ns/health": Row(dict(ONE, healthy="true"), ("serviceName", "ip", "clusterName", "healthy"), more=(
        form("many instances", {"serviceName": "large", "ip": "9.9.9.9", "port": "1", "healthy": "true"}, times=20),
        form("many clusters", {"serviceName": "clustered", "ip": "9.9.9.9", "port": "1", "healthy": "true", "clusterName": "c-1023"},
             times=20))),
    "GET /v1/ns/health/server": Row(more=(more("ahead", times=200),)),
    "GET /v1/ns/service/list": Row(SMALL, ("groupName", "selector", "pageSize", "namespaceId"), more=(
        more("all", ALL), more("all groups", dict(ALL, groupName="*")),
        more("by instance", dict(PAGE, selector='{"type":"label","expression":"INSTANCE.metadata.none = \'x\'"}')),
        more("by service", dict(PAGE, selector='{"type":"label","expression":"SERVICE.metadata.none = \'x\'"}')))),
    "GET /actuator/health": Row(),
    "GET /actuator/health/liveness": Row(),
    "GET /actuator/health/readiness": Row(),
    "GET /actuator/prometheus": Row(more=(more("ahead", times=100),)),
    "POST /v1/auth/login": Row({"username": "a", "password": "b"}, ("username", "password")),
    "POST /v1/auth/users/login": Row({"username": "a", "password": "b"}, ("username", "password")),
    "GET /v1/core/cluster/self": Row(),
    "GET /v1/core/cluster/node/self": Row(),
    "GET /v1/core/cluster/health": Row(),
    "GET /v1/core/cluster/node/self/health": Row(),
    "GET /v1/core/cluster/nodes": Row({"keyword": "a"}, ("keyword",)),
    "GET /v1/core/cluster/simple/nodes": Row(),
    "GET /v1/console/namespaces": Row({}, ("show", "namespaceId"), more=(
        more("all"), more("on ten connections", connections=10),
        more("one", {"show": "all", "namespaceId": "ns-9999"}, times=50))),
    "POST /v1/console/namespaces": Row({"customNamespaceId": "made", "namespaceName": "made", "namespaceDesc": "x"},
                                       ("customNamespaceId", "namespaceName", "namespaceDesc")),
    "PUT /v1/console/namespaces": Row({"namespace": "made", "namespaceShowName": "made", "namespaceDesc": "x"},
                                      ("namespace", "namespaceShowName", "namespaceDesc")),
    "DELETE /v1/console/namespaces": Row({"namespaceId": "made"}, ("namespaceId",)),
    "GET /v1/console/server/state": Row(),
    "GET /v1/console/health/liveness": Row(),
    "GET /v1/console/health/readiness": Row(),
    "GET /": Row(),
    "GET /index.html": Row(),
    "GET /api.html": Row(more=(more("ahead", times=100),)),
    "DELETE /v1/ns/service": Row({"serviceName": "made"}, ("serviceName",), more=(
        more("many clusters", {"serviceName": "clustered"}), more("many instances", {"serviceName": "large"}))),      # the last of all
}
SAME = {"PUT /v1/ns/health/instance": "PUT /v1/ns/health"}      # beside those of routes_test.original()


# ---- asking -------------------------------------------------------------------------------------------------------------

def read_answer(stream):
    """(status, length, the beginning of the body) of one answer."""
    line = stream.readline()
    if not line.startswith(b"HTTP/1.1 "):
        raise AssertionError("no answer: %r" % line[:100])
    length, chunked, begin, total = 0, False, b"", 0
    while (header := stream.readline().strip()):
        name, value = header.split(b":", 1)
        length = int(value) if name.lower() == b"content-length" else length
        chunked |= name.lower() == b"transfer-encoding"
    while chunked and (length := int(stream.readline(), 16)) > 0:
        begin, total = (begin + stream.read(length))[:200], total + length
        stream.readline()
    if chunked:
        stream.readline()
    else:
        begin, total = stream.read(length)[:200], length
    return int(line.split()[1]), total, begin


class Talk:
    """The answers to one thing asked."""

    def __init__(self, server, ask):
        self.ask, self.answers, self.socks = ask, [], []
        for _ in range(ask.connections):
            sock = socket.socket()
            if ask.slowly:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            sock.settimeout(HUNG_S)
            sock.connect(("127.0.0.1", server.port))
            self.socks.append(sock)

    def run(self):
        for sock in self.socks:
            sock.sendall(self.ask.raw)
        for sock in self.socks:
            if self.ask.slowly:
                self.read_slowly(sock)
            with sock.makefile("rb", 1 << 20) as stream:
                for _ in range(self.ask.times):
                    self.answers.append(read_answer(stream))
                    if self.answers[-1][0] not in (200, 403, 429):
                        break             # these end the connection
        self.close()

    def read_slowly(self, sock):
        """For a second; the rest as it comes."""
        end = time.monotonic() + 1
        while time.monotonic() < end:
            if len(sock.recv(16384, socket.MSG_PEEK)) == 0:
                return
            roster.pause(0.01)

    def close(self):
        for sock in self.socks:
            sock.close()


class Beats:
    """Ten connections with a beat every 10 ms each and a new one every 20 ms, until end()."""

    def __init__(self, server):
        self.yardstick = Yardstick()
        self.proc = subprocess.Popen([os.path.join(TOOLS, "hammer"), str(server.port), "10", "10", "20", "600", BEAT],
                                     stdout=subprocess.PIPE, text=True)
        assert self.proc.stdout.readline() == "started\n"

    def end(self):
        """(requests, slowest in ms, bad)"""
        self.proc.send_signal(signal.SIGTERM)
        out = self.proc.communicate(timeout=HUNG_S)[0].splitlines()
        self.yardstick.end()
        broken = [line for line in out if line.startswith(("broken", "stuck"))]
        got = [int(n) for n in re.findall(r"\d+", out[-1])]
        return got[0] + got[2], max(got[1], got[3]) / 1e3, got[4] + len(broken)


def start_filled(case, server, *what):
    """Starts the server of a class of tests with a registry of that (tests/system/registry_file), which stays although nobody beats."""
    folder = tempfile.mkdtemp(prefix="roster-test-", dir=os.environ.get("ROSTER_TEST_TMP"))
    case.addClassCleanup(shutil.rmtree, folder, True)
    file = folder + "/registry"
    subprocess.run([os.path.join(TOOLS, "registry_file"), file, *what], check=True, stdin=subprocess.DEVNULL, timeout=HUNG_S * 5)
    subprocess.run(server.tool("--import", file), check=True, stdin=subprocess.DEVNULL, timeout=HUNG_S * 5)
    os.unlink(file)
    server.__enter__()
    case.addClassCleanup(lambda: server.__exit__(None, None, None))
    reply = server.request("PUT", "/v1/ns/operator/switches", {"entry": "check", "value": "false"})
    assert reply.text == "ok", reply.text


class LongRequests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(workers=1, **{"segment.limit": "2GiB", "limits.instances_per_service": 200000})
        start_filled(cls, cls.server, "services=%d,10" % SERVICES, "instances=large,%d" % LARGE, "instances=medium,4500",
                     "instances=cached,40000", "instances=short,1500", "clusters=clustered,%d,20" % CLUSTERS, "instances=texts,500,60000",
                     "keys=keys,10000", "subscribers=watched,20000", "namespaces=10000,1000")
        cls.server.register("innocent", "10.0.0.1", 80)
        cls.server.register("hostile", "10.9.9.9", 80)
        cls.server.register("a" * 200, "10.9.9.9", 80, namespaceId="small")

    def rows(self):
        known = ["%s %s" % row for row in routes()]
        asked = [row for row in ROWS if ONLY in row]
        missing = [row for row in known if SAME.get(row, "%s %s" % (row.split()[0], original(row.split()[1]))) not in ROWS
                   and row not in ROWS]
        self.assertEqual(missing, [], "routes without a row here")
        self.assertEqual([row for row in ROWS if row not in known], [], "rows without a route")
        return asked

    def long_turns(self):
        return self.server.counter("roster_long_turns_total")

    def check_answer(self, ask, status, length, begin):
        what = "%s %s, %s: %d %r" % (ask.method, ask.path, ask.what, status, begin)
        self.assertIn(status, (200, 400, 403, 409, 429, 500, 503), what)
        if status != 200:
            self.assertGreater(length, 0, what)
            self.assertNotIn(b"out of memory", begin, what)
            self.assertNotIn(b"no answer", begin, what)

    def ask(self, ask):
        before, begin = self.long_turns(), time.monotonic()
        talk = Talk(self.server, ask)
        self.addCleanup(talk.close)
        talk.run()
        took = time.monotonic() - begin
        for answer in talk.answers:
            self.check_answer(ask, *answer)
        long_turns = self.long_turns() - before
        if long_turns:
            self.long.append("%s %s, %s: %d long turns" % (ask.method, ask.path, ask.what, long_turns))
        if took > 1 or long_turns:
            print("      %s: %.1f s, %d answers, %d, %.1f MiB%s" % (
                ask.what, took, len(talk.answers), talk.answers[0][0], sum(a[1] for a in talk.answers) / (1 << 20),
                ", %d LONG TURNS" % long_turns if long_turns else ""), flush=True)

    def row(self, row):
        """All of a route, again and again for a moment, while others beat."""
        method, path = row.split()
        asks = list(ROWS[row].asks(method, path))
        beats, begin, count = Beats(self.server), time.monotonic(), 0
        try:
            while count == 0 or time.monotonic() - begin < MOMENT_S:
                for ask in asks:
                    self.ask(ask)
                    count += 1
        finally:
            requests, slowest, bad = beats.end()
        print("   %-6s %-32s %4d asked in %4.1f s; %5d beats, slowest %5.1f ms; %d pieces of work %.1f ms" % (
            method, path, count, time.monotonic() - begin, requests, slowest, BOUND, beats.yardstick.slowest_ms(BOUND)), flush=True)
        self.assertEqual(bad, 0, row)
        beats.yardstick.judge(slowest, BOUND, "a beat, while %s was asked" % row)

    def test_every_route(self):
        self.long, slow = [], []
        for row in self.rows():
            for tried in range(RUNS):
                try:
                    self.row(row)
                    break
                except TooSlow as error:
                    print("   once more: %s" % error, flush=True)
                    if tried == RUNS - 1:
                        slow.append(str(error))
        text_ = self.server.log_text()
        self.assertEqual(re.findall(r".*op=(?:kill|child-busy|child-end).*", text_), [])
        self.assertEqual(slow, [])
        if self.long and not SANITIZED:          # else the harness looks, with a longer time
            raise LongTurns("\n".join(self.long + re.findall(r".*op=long-turn.*", text_)))


class LargeBodies(unittest.TestCase):
    """A body of more than 64 KiB makes a request a long one, whatever it asks for: then it has nothing in common with others that are
    worked on. Lists that are none by their size are asked for so, several at once."""
    NAMES, EACH, ROUNDS = ["list-%d" % n for n in range(6)], 1900, 12

    @classmethod
    def setUpClass(cls):
        cls.server = Server(workers=1, **{"http.long_requests": 16})
        start_filled(cls, cls.server, *("instances=%s,%d,100" % (name, cls.EACH) for name in cls.NAMES))

    def check_list(self, name, text_, count):
        hosts = json.loads(text_)["hosts"]
        self.assertEqual({host["serviceName"] for host in hosts}, {name})
        self.assertEqual(len({host["ip"] for host in hosts}), count)
        self.assertEqual(len(hosts), count)

    def ask_all(self, count):
        """All at once: each waits for its last byte."""
        body, socks = b"b" * 70_000, []
        for name in self.NAMES:
            sock = socket.create_connection(("127.0.0.1", self.server.port), timeout=HUNG_S)
            self.addCleanup(sock.close)
            sock.sendall(b"GET /nacos/v1/ns/instance/list?serviceName=%s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s" % (
                name.encode(), len(body), body[1:]))
            socks.append(sock)
        for sock in socks:
            sock.sendall(b"b")
        for name, sock in zip(self.NAMES, socks):
            with http.client.HTTPResponse(sock) as answer:
                answer.begin()
                self.assertEqual(answer.status, 200)
                self.check_list(name, answer.read(), count)
            sock.close()

    def test_lists_are_not_mixed(self):
        for n in range(1, self.ROUNDS + 1):
            for name in self.NAMES:
                self.server.register(name, "10.250.0.%d" % n, 80)       # so that no list is in the cache
            self.ask_all(self.EACH + n)
            self.ask_all(self.EACH + n)      # from the cache
            for name in self.NAMES:
                self.check_list(name, self.server.request("GET", "/v1/ns/instance/list", {"serviceName": name}).text, self.EACH + n)


if __name__ == "__main__":
    roster.main()
