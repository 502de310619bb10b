#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""instances.owner: source. Every route of the table is asked by a stranger, by the owner and by an operator: the stranger changes
nothing that is somebody else's, the other two do what they asked for."""
import json
import os
import re
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))
import roster  # noqa: E402
from hostile import INSTANCE, ask, counter, form  # noqa: E402
from roster import Server, wait_until  # noqa: E402

OWNER, STRANGER, OPERATOR, CONSOLE = "127.0.0.2", "127.0.0.3", "127.0.0.9", "127.0.0.8"
SERVICE, CLUSTER = "/v1/ns/service", "/v1/ns/cluster"
ROW = re.compile(r"^\| ([A-Z]+) \| `/nacos(/[^`]*)` \| (\w*) \|", re.M)
LASTING = {"preserved.heart.beat.timeout": "3600000", "preserved.ip.delete.timeout": "3600000"}
REFUSED = {
    "instances": "caused: instances.owner: the instance was registered from another address;",
    "services": "caused: instances.owner: an instance of the service was registered from another address;",
    "node": "operator.allow does not list %s" % STRANGER,
}


def place(service, port=80, **more):
    return dict({"serviceName": service, "ip": "127.0.0.1", "port": port}, **more)


def cluster_of(service, checker, **more):
    return dict({"serviceName": service, "clusterName": "DEFAULT", "checkPort": 80, "useInstancePort4Check": "true",
                 "healthChecker": '{"type":"%s"}' % checker}, **more)


def batch(service, **metadata):
    return {"serviceName": "DEFAULT_GROUP@@" + service, "metadata": json.dumps(metadata), "consistencyType": "ephemeral"}


class Write:
    """How a row is asked to change the service. shows: one can see afterwards that it was done. open: for all, on what is new."""

    def __init__(self, query, shows=True, open=False):
        self.query, self.shows, self.open = query, shows, open


# Each row that writes, by the first of its names.
WRITES = {
    ("POST", INSTANCE): Write(lambda s: place(s, weight=3)),
    ("PUT", INSTANCE): Write(lambda s: place(s, enabled="false")),
    ("PATCH", INSTANCE): Write(lambda s: place(s, weight=4)),
    ("DELETE", INSTANCE): Write(place),
    ("PUT", INSTANCE + "/beat"): Write(place, shows=False),
    ("PUT", INSTANCE + "/metadata/batch"): Write(lambda s: batch(s, x="y")),
    ("DELETE", INSTANCE + "/metadata/batch"): Write(lambda s: batch(s, k="")),
    ("GET", "/v1/ns/api/clientBeat"): Write(lambda s: dict(place(s), dom=s), shows=False),
    ("PUT", "/v1/ns/health"): Write(lambda s: place(s, healthy="false")),
    ("PUT", "/v1/ns/health/instance"): Write(lambda s: place(s, healthy="false")),
    ("POST", SERVICE): Write(lambda s: {"serviceName": s, "protectThreshold": "0.7"}, open=True),
    ("PUT", SERVICE): Write(lambda s: {"serviceName": s, "protectThreshold": "0.8", "metadata": "a=b"}),
    ("DELETE", SERVICE): Write(lambda s: {"serviceName": s}),
    ("PUT", SERVICE + "/checksum"): Write(lambda s: {"serviceName": s}, shows=False),
    ("PUT", CLUSTER): Write(lambda s: cluster_of(s, "TCP", metadata="a=b")),
}
# Rows of the operators, with what an operator gets.
NODE = {
    ("PUT", "/v1/ns/operator/switches"): ({"entry": "clientBeatInterval", "value": "6000"}, 200),
    ("PUT", "/v1/ns/operator/log"): ({"logName": "naming-main", "logLevel": "debug"}, 200),
    ("PUT", "/v1/ns/operator/brake"): ({}, 409),
    ("POST", "/v1/console/namespaces"): ({"customNamespaceId": "n", "namespaceName": "n"}, 200),
    ("PUT", "/v1/console/namespaces"): ({"namespace": "n", "namespaceShowName": "m"}, 200),
    ("DELETE", "/v1/console/namespaces"): ({"namespaceId": "n"}, 200),
}
# Rows that change nothing of this, however they are asked.
READS = {
    "GET": """/v1/ns/instance /v1/ns/instance/list /v1/ns/instance/statuses /v1/ns/api/allDomNames /v1/ns/api/srvIPXT
        /v1/ns/operator/metrics /v1/ns/operator/switches /v1/ns/operator/push/state /v1/ns/operator/servers
        /v1/ns/operator/server/status /v1/ns/operator/distro/server /v1/ns/operator/distro/status /v1/ns/operator/cluster/state
        /v1/ns/operator/brake /v1/ns/raft/state /v1/ns/raft/leader /v1/ns/raft/peer /v1/ns/service /v1/ns/service/names
        /v1/ns/service/subscribers /v1/ns/service/list /v1/ns/catalog/service /v1/ns/catalog/services /v1/ns/catalog/instances
        /v1/ns/catalog/rt/service /v1/ns/health/server /actuator/health /actuator/health/liveness /actuator/health/readiness
        /actuator/prometheus /v1/core/cluster/self /v1/core/cluster/node/self /v1/core/cluster/health
        /v1/core/cluster/node/self/health /v1/core/cluster/nodes /v1/core/cluster/simple/nodes /v1/console/namespaces
        /v1/console/server/state /v1/console/health/liveness /v1/console/health/readiness / /index.html /api.html""".split(),
    "POST": "/v1/ns/service/status /v1/auth/login /v1/auth/users/login".split(),
}


def rows():
    """(method, path, what it writes) of every route, as the table is printed."""
    done = subprocess.run([roster.ROSTERD, "--print-api"], capture_output=True, text=True, check=True)
    return ROW.findall(done.stdout)


def first_name(method, path):
    for alias, name in (("/v1/ns/api", INSTANCE), ("/v1/ns/ops", "/v1/ns/operator")):
        if (path == alias or path.startswith(alias + "/")) and (method, path) not in WRITES and path not in READS.get(method, ()):
            return method, name + path[len(alias):]
    return method, path


def owned_server(**more):
    return Server(**dict({"instances.owner": "source", "operator.allow": OPERATOR + "," + CONSOLE}, **more))


def ok(reply):
    assert (reply.status, reply.text) == (200, "ok"), (reply.status, reply.text)


def lay(server, service, source=OWNER):
    """A service of that address: made first, set up, then registered in."""
    ok(ask(server, "POST", SERVICE, {"serviceName": service, "protectThreshold": "0.1", "metadata": "set=up"}, source))
    ok(ask(server, "PUT", CLUSTER, cluster_of(service, "NONE"), source))
    ok(ask(server, "POST", INSTANCE, place(service, metadata=json.dumps(dict(LASTING, k="v"))), source))
    ok(ask(server, "POST", INSTANCE, place(service, 81, ephemeral="false"), source))


def state(server, service):
    """All that a client can see of it and that no clock changes."""
    listed = ask(server, "GET", INSTANCE + "/list", {"serviceName": service}).json
    shown = ask(server, "GET", SERVICE, {"serviceName": service})
    return listed["hosts"], listed.get("checksum"), listed.get("metadata"), shown.status, shown.text


def node_state(server):
    return [ask(server, "GET", path).text for path in ("/v1/ns/operator/switches", "/v1/console/namespaces")]


class EveryRoute(unittest.TestCase):
    """A new row without an entry above fails; an entry without a row too."""

    @classmethod
    def setUpClass(cls):
        cls.rows = rows()
        cls.server = owned_server()
        cls.server.__enter__()
        cls.services = 0

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__(None, None, None)

    def service(self, source=OWNER):
        type(self).services += 1
        lay(self.server, "s%d" % self.services, source)
        return "s%d" % self.services

    def of_kind(self, kind):
        return [row for row in self.rows if row[2] == kind]

    def test_every_row_has_an_entry(self):
        self.assertGreater(len(self.rows), 70)
        named = {(method, path) for method, paths in READS.items() for path in paths}
        entries = {"instances": set(), "services": set(), "node": set(NODE), "": named}
        for key in WRITES:
            entries["services" if key[1].startswith((SERVICE, CLUSTER)) else "instances"].add(key)
        for kind, keys in entries.items():
            self.assertEqual({first_name(method, path) for method, path, _ in self.of_kind(kind)}, keys, kind or "nothing")

    def ask_write(self, method, path, write, service, source):
        return ask(self.server, method, path, write.query(service), source)

    def test_writes(self):
        for method, path, kind in self.of_kind("instances") + self.of_kind("services"):
            write = WRITES[first_name(method, path)]
            for source in (STRANGER, OWNER, OPERATOR):
                with self.subTest("%s %s as %s" % (method, path, source)):
                    service = self.service()
                    before = state(self.server, service)
                    refused = counter(self.server, "roster_owner_refused_total")
                    reply = self.ask_write(method, path, write, service, source)
                    if write.open:      # what is there is nobody's to create, what is not there anybody's
                        self.assertEqual((reply.status, state(self.server, service)), (400, before))
                        self.assertEqual(self.ask_write(method, path, write, service + "-new", source).text, "ok")
                    elif source == STRANGER:
                        self.assertEqual((reply.status, reply.text), (403, REFUSED[kind]))
                        self.assertEqual(state(self.server, service), before)
                        self.assertEqual(counter(self.server, "roster_owner_refused_total"), refused + 1)
                    else:
                        self.assertEqual(reply.status, 200, reply.text)
                        self.assertEqual(state(self.server, service) != before, write.shows)

    def test_writes_to_what_an_operator_registered(self):
        """His as anybody's: for a stranger, and for the owner of something else."""
        for method, path, kind in self.of_kind("instances") + self.of_kind("services"):
            write = WRITES[first_name(method, path)]
            if write.open:
                continue
            service = self.service(OPERATOR)
            before = state(self.server, service)
            for source, status in ((STRANGER, 403), (CONSOLE, 200)):
                with self.subTest("%s %s as %s" % (method, path, source)):
                    reply = self.ask_write(method, path, write, service, source)
                    self.assertEqual(reply.status, status, reply.text)
                    if status == 403:
                        self.assertEqual((reply.text, state(self.server, service)), (REFUSED[kind], before))

    def test_operators(self):
        """What concerns the node is for them alone; whose instances there are does not matter."""
        order = ("POST", "PUT", "DELETE")
        service = self.service()
        for method, path, _ in sorted(self.of_kind("node"), key=lambda row: order.index(row[0])):
            query, status = NODE[first_name(method, path)]
            before, seen = state(self.server, service), node_state(self.server)
            for source in (STRANGER, OWNER):
                with self.subTest("%s %s as %s" % (method, path, source)):
                    reply = ask(self.server, method, path, query, source)
                    self.assertEqual((reply.status, node_state(self.server)), (403, seen))
                    self.assertIn("operator.allow does not list " + source, reply.text)
            self.assertEqual(ask(self.server, method, path, query, OPERATOR).status, status, "%s %s" % (method, path))
            self.assertEqual(state(self.server, service), before)

    def test_reads(self):
        """The same for everybody, and nothing has changed."""
        service = self.service()
        query = place(service, key="DEFAULT_GROUP@@" + service, dom=service, pageNo=1, pageSize=10, clusterName="DEFAULT",
                      udpPort=20000, clientIP="127.0.0.1", username="u", password="p")
        before, seen = state(self.server, service), node_state(self.server)
        for method, path, _ in self.of_kind(""):
            with self.subTest("%s %s" % (method, path)):
                found = {ask(self.server, method, path, query, source).status for source in (STRANGER, OWNER, OPERATOR)}
                self.assertEqual(len(found), 1)
                self.assertNotIn(found.pop(), (403, 404, 405, 501, 503))
                self.assertEqual((state(self.server, service), node_state(self.server)), (before, seen))


class Services(unittest.TestCase):
    def beat(self, server, service, source=OWNER):
        return ask(server, "PUT", INSTANCE + "/beat", place(service), source)

    def test_not_by_way_of_the_service(self):
        """To remove the service and to register in its place would have been to take the instance over."""
        with owned_server() as server:
            ok(ask(server, "POST", INSTANCE, place("mine"), OWNER))
            self.assertEqual(ask(server, "DELETE", SERVICE, {"serviceName": "mine"}, STRANGER).status, 403)
            self.assertEqual(ask(server, "POST", INSTANCE, place("mine"), STRANGER).status, 403)
            self.assertEqual(self.beat(server, "mine").json["code"], 10200)
            # The same after another start.
            server.stop()
            server.start()
            self.assertEqual(ask(server, "DELETE", SERVICE, {"serviceName": "mine"}, STRANGER).status, 403)
            self.assertEqual(ask(server, "DELETE", SERVICE, {"serviceName": "mine"}, OWNER).text, "ok")

    def test_whose_a_service_is(self):
        with owned_server() as server:
            def may(source):
                reply = ask(server, "PUT", SERVICE, {"serviceName": "s", "protectThreshold": "0"}, source)
                self.assertIn((reply.status, reply.text), ((200, "ok"), (403, REFUSED["services"])))
                return reply.status == 200
            ok(ask(server, "POST", SERVICE, {"serviceName": "s", "protectThreshold": "0"}, STRANGER))
            self.assertTrue(may(OWNER), "an empty one is free")
            ok(ask(server, "POST", INSTANCE, place("s"), OWNER))
            self.assertEqual((may(OWNER), may(STRANGER), may(OPERATOR)), (True, False, True))
            ok(ask(server, "POST", INSTANCE, place("s", 81), STRANGER))
            self.assertEqual((may(OWNER), may(STRANGER), may(OPERATOR)), (False, False, True))
            ok(ask(server, "DELETE", INSTANCE, place("s"), OWNER))
            self.assertEqual((may(OWNER), may(STRANGER)), (False, True))
            ok(ask(server, "DELETE", INSTANCE, place("s", 81), OPERATOR))
            self.assertTrue(may(OWNER))

    def test_to_deregister_nothing_is_nothing(self):
        """The answer is the same; the service of others gets neither a cluster nor a push."""
        with owned_server() as server:
            lay(server, "s")
            for source, changed in ((STRANGER, False), (OWNER, True)):
                before = state(server, "s")
                ok(ask(server, "DELETE", INSTANCE, place("s", 99, clusterName="of-" + source.replace(".", "-")), source))
                self.assertEqual(state(server, "s") != before, changed)

    def test_a_beat_that_registers_owns(self):
        with owned_server() as server:
            for service, source in (("a", OWNER), ("b", OPERATOR)):
                beat = form(beat=json.dumps({"ip": "127.0.0.1", "port": 80}))
                self.assertEqual(ask(server, "PUT", INSTANCE + "/beat", {"serviceName": service}, source, **beat).json["code"], 10200)
                self.assertEqual(self.beat(server, service, STRANGER).status, 403)
                self.assertEqual(ask(server, "DELETE", SERVICE, {"serviceName": service}, STRANGER).status, 403)
                self.assertEqual(self.beat(server, service, source).json["code"], 10200)


class SwitchedOn(unittest.TestCase):
    """What was registered before is nobody's."""

    def test_who_takes_it_over(self):
        server = Server(**{"operator.allow": OPERATOR})
        path = server.folder + "/roster.yaml"
        with open(path, "w", encoding="utf-8") as file:
            file.write("instances: {owner: none}\n")
        server.args = ["-c", path]
        with server:
            ok(ask(server, "POST", INSTANCE, place("client"), OWNER))
            ok(ask(server, "POST", INSTANCE, place("own"), OPERATOR))
            with open(path, "w", encoding="utf-8") as file:
                file.write("instances: {owner: source}\n")
            server.proc.send_signal(signal.SIGHUP)
            ok(ask(server, "POST", INSTANCE, place("probe"), OWNER))

            def is_on():
                ask(server, "POST", INSTANCE, place("probe"), OWNER)
                return all(ask(server, "PATCH", INSTANCE, place("probe", weight=1), STRANGER).status == 403 for _ in range(8))
            wait_until(is_on, 5, "the new rule, by every worker")
            # The console corrects a weight: the client goes on beating, and is its owner once it registers again.
            ok(ask(server, "PUT", INSTANCE, place("client", weight=5), OPERATOR))
            self.assertEqual(ask(server, "PUT", INSTANCE + "/beat", place("client"), OWNER).json["code"], 10200)
            ok(ask(server, "POST", INSTANCE, place("client"), OWNER))
            self.assertEqual(ask(server, "DELETE", INSTANCE, place("client"), STRANGER).status, 403)
            # Its own it takes.
            ok(ask(server, "POST", INSTANCE, place("own"), OPERATOR))
            self.assertEqual(ask(server, "DELETE", INSTANCE, place("own"), STRANGER).status, 403)


if __name__ == "__main__":
    roster.main()
