#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Parameters that are absent, empty, blank or of a wrong kind, and pages around the end: each route answers what 1.4.8 does.

Two families of routes (specification 1.2): those that ask for a parameter say 400 `Param '<name>' is required.` when it is absent
or empty, and take a blank one as ""; those that have it bound say 500 when it is absent, and take it as it is."""
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))
import roster  # noqa: E402
from roster import JAVA, Server  # noqa: E402

NS = "parameters"
ABSENT = object()
FORMAT = "caused: Param 'serviceName' is illegal, it should be format as 'groupName@@serviceName';"
NAME = "caused: dom name can only have these characters: 0-9a-zA-Z-._:, current: %s;"


def required(name):
    return "caused: Param '%s' is required.;" % name


def missing(name, kind="String"):
    return "caused: Required request parameter '%s' for method parameter type %s is not present;" % (name, kind)


def malformed(kind, exception, cause):
    return ("caused: Failed to convert value of type 'java.lang.String' to required type '%s'; nested exception is java.lang.%s: %s;"
            "caused: %s;" % (kind, exception, cause, cause))


def no_number(text, kind="int"):
    return malformed(kind, "NumberFormatException", 'For input string: "%s"' % text)


def no_boolean(text):
    return malformed("boolean", "IllegalArgumentException", "Invalid boolean value [%s]" % text)


INSTANCE = {"serviceName": "s", "ip": "10.0.0.1", "port": "80"}
PAGE = {"pageNo": "1", "pageSize": "10"}
CLUSTER = {"serviceName": "s", "clusterName": "DEFAULT", "checkPort": "80", "useInstancePort4Check": "true",
           "healthChecker": '{"type":"TCP"}'}

# method, path, a good query, and what the service name gives: absent, empty, blank: (status, text)
NAMES = [
    ("POST", "/instance", INSTANCE, (400, required("serviceName")), (400, required("serviceName")), (400, FORMAT)),
    ("PUT", "/instance", INSTANCE, (400, required("serviceName")), (400, required("serviceName")), (400, FORMAT)),
    ("PATCH", "/instance", INSTANCE, (400, required("serviceName")), (400, required("serviceName")), (400, FORMAT)),
    ("DELETE", "/instance", INSTANCE, (400, required("serviceName")), (400, required("serviceName")), (400, FORMAT)),
    ("GET", "/instance", INSTANCE, (400, required("serviceName")), (400, required("serviceName")), (400, FORMAT)),
    ("GET", "/instance/list", {}, (400, required("serviceName")), (400, required("serviceName")), (400, FORMAT)),
    ("PUT", "/instance/beat", INSTANCE, (400, required("serviceName")), (400, required("serviceName")), (400, FORMAT)),
    ("PUT", "/instance/metadata/batch", {"metadata": "a=1"}, (400, required("serviceName")), (400, required("serviceName")),
     (200, '{"updated":[]}')),
    ("DELETE", "/instance/metadata/batch", {"metadata": "a=1"}, (400, required("serviceName")), (400, required("serviceName")),
     (200, '{"updated":[]}')),
    ("PUT", "/service", {"protectThreshold": "0"}, (400, required("serviceName")), (400, required("serviceName")),
     (500, "caused: service  not found!;")),
    ("PUT", "/service/checksum", {}, (400, required("serviceName")), (400, required("serviceName")),
     (500, "caused: serviceName not found: ;")),
    ("GET", "/service/subscribers", {}, (400, required("serviceName")), (400, required("serviceName")),
     (200, '{"subscribers":[],"count":0}')),
    ("GET", "/catalog/rt/service", {}, (400, required("serviceName")), (400, required("serviceName")),
     (400, "caused: request service doesn't exist;")),
    ("PUT", "/cluster", CLUSTER, (400, required("serviceName")), (400, required("serviceName")),
     (500, "caused: service not found:;")),
    ("PUT", "/health", dict(INSTANCE, healthy="true"), (400, required("serviceName")), (400, required("serviceName")), (500, None)),
    ("POST", "/service", {}, (500, missing("serviceName")), (400, NAME % ""), (400, NAME % " ")),
    ("DELETE", "/service", {}, (500, missing("serviceName")), (400, "caused: specified service not exist, serviceName : ;"),
     (400, "caused: specified service not exist, serviceName :  ;")),
    ("GET", "/service", {}, (500, missing("serviceName")), (500, "caused: service  is not found!;"),
     (500, "caused: service   is not found!;")),
    ("GET", "/catalog/service", {}, (500, "caused: service null is not found!;"), (500, "caused: service  is not found!;"),
     (500, "caused: service   is not found!;")),
    ("GET", "/catalog/instances", dict(PAGE, clusterName="DEFAULT"), (500, missing("serviceName")),
     (500, "caused: service  is not found!;"), (500, "caused: service   is not found!;")),
    ("GET", "/operator/distro/server", {}, (500, missing("serviceName")), (400, "caused: service not found;"),
     (400, "caused: service not found;")),
    ("GET", "/api/srvIPXT", {}, (400, required("dom")), (400, required("dom")), (400, required("dom"))),
]

# method, path, a good query, the parameter, its value, status, text
VALUES = [
    ("POST", "/instance", INSTANCE, "ip", ABSENT, 400, required("ip")),
    ("POST", "/instance", INSTANCE, "ip", "", 400, required("ip")),
    ("POST", "/instance", INSTANCE, "port", "", 400, required("port")),
    ("POST", "/instance", INSTANCE, "port", " ", 400, 'caused: For input string: "";'),
    ("POST", "/instance", INSTANCE, "port", "x", 400, 'caused: For input string: "x";'),
    ("POST", "/instance", INSTANCE, "weight", "x", 400, 'caused: For input string: "x";'),
    ("GET", "/instance/list", {"serviceName": "s"}, "udpPort", "x", 400, 'caused: For input string: "x";'),
    ("GET", "/instance/statuses", {}, "key", ABSENT, 500, missing("key")),
    ("GET", "/instance/statuses", {}, "key", "", 400, FORMAT),
    ("PUT", "/instance/metadata/batch", {"serviceName": "s"}, "metadata", "", 400, required("metadata")),
    ("PUT", "/service", {"serviceName": "s"}, "protectThreshold", "", 400, required("protectThreshold")),
    ("GET", "/service/list", PAGE, "pageNo", ABSENT, 400, required("pageNo")),
    ("GET", "/service/list", PAGE, "pageSize", "", 400, required("pageSize")),
    ("GET", "/service/list", PAGE, "pageNo", "x", 200, '{"doms":["s"],"count":1}'),
    ("GET", "/service/list", PAGE, "pageSize", " ", 200, '{"doms":[],"count":1}'),
    ("GET", "/catalog/instances", {"serviceName": "s", "clusterName": "DEFAULT", "pageSize": "1"}, "pageNo", ABSENT, 500,
     missing("pageNo", "int")),
    ("GET", "/catalog/instances", dict(PAGE, serviceName="s"), "clusterName", ABSENT, 500, missing("clusterName")),
    ("GET", "/catalog/instances", dict(PAGE, serviceName="s"), "clusterName", " ", 500, "caused: cluster   is not found!;"),
    ("GET", "/catalog/instances", dict(PAGE, serviceName="s", clusterName="DEFAULT"), "pageNo", "", 500, no_number("")),
    ("GET", "/catalog/instances", dict(PAGE, serviceName="s", clusterName="DEFAULT"), "pageSize", " ", 500, no_number("")),
    ("GET", "/catalog/services", PAGE, "pageNo", "", 500, no_number("")),
    ("GET", "/catalog/services", PAGE, "pageSize", " ", 500, no_number("")),
    ("GET", "/catalog/services", PAGE, "pageSize", "1.5", 500, no_number("1.5")),
    ("GET", "/catalog/services", PAGE, "hasIpCount", "", 500, no_boolean("")),
    ("GET", "/catalog/services", PAGE, "withInstances", " ", 500, no_boolean(" ")),
    ("GET", "/service/names", {}, "responsibleOnly", "t", 500, no_boolean("t")),
    ("GET", "/operator/servers", {}, "healthy", "", 500, no_boolean("")),
    ("GET", "/operator/push/state", {}, "reset", " ", 500, no_boolean(" ")),
    ("PUT", "/operator/switches", {"entry": "check", "value": "true"}, "debug", "", 500, no_boolean("")),
    ("POST", "/service", {"serviceName": "t"}, "protectThreshold", " ", 500,
     malformed("float", "NumberFormatException", "empty String")),
    ("POST", "/service", {"serviceName": "t"}, "protectThreshold", "x", 500, no_number("x", "float")),
    ("POST", "/service", {"serviceName": "blank"}, "namespaceId", " ", 200, "ok"),
    ("GET", "/service", {"serviceName": "s"}, "namespaceId", " ", 500, "caused: service DEFAULT_GROUP@@s is not found!;"),
    ("GET", "/catalog/services", PAGE, "namespaceId", " " + NS, 200, '{"serviceList":[],"count":0}'),
    ("GET", "/api/srvIPXT", {}, "dom", " ", 400, "caused: Param 'serviceName' is illegal, serviceName is blank;"),
    ("GET", "/api/clientBeat", INSTANCE, "dom", " ", 400, FORMAT),
    ("PUT", "/cluster", CLUSTER, "healthChecker", " ", 500,
     "caused: errCode: 101, errMsg: Nacos deserialize for class [com.alibaba.nacos.api.naming.pojo.healthcheck.AbstractHealthChecker] "
     "failed.  ;caused: No content to map due to end-of-input;"),
    ("PUT", "/cluster", CLUSTER, "clusterName", "", 400, required("clusterName")),
    ("PUT", "/cluster", CLUSTER, "checkPort", ABSENT, 400, required("checkPort")),
    ("PUT", "/cluster", CLUSTER, "useInstancePort4Check", "", 400, required("useInstancePort4Check")),
    ("PUT", "/cluster", CLUSTER, "healthChecker", ABSENT, 400, required("healthChecker")),
    ("PUT", "/health", dict(INSTANCE, healthy="true"), "healthy", " ", 400, required("healthy")),
    ("PUT", "/operator/switches", {"entry": "check", "value": "true"}, "entry", ABSENT, 500, missing("entry")),
    ("PUT", "/operator/log", {"logName": "x", "logLevel": "INFO"}, "logLevel", ABSENT, 500, missing("logLevel")),
    ("GET", "/operator/server/status", {}, "serverStatus", ABSENT, 500, missing("serverStatus")),
]

# the expression as JSON, and as it is shown; None: refused
SELECTORS = [
    ('""', ""), ('"  "', "  "), ("{}", ""), ("[]", ""), ('"zone = a"', None), ("5", None), ("null", None), ('"&"', None),
]


class Parameters(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(workers=1)
        cls.server.__enter__()
        cls.server.register("s", "10.0.0.1", 80, namespaceId=NS)

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__(None, None, None)

    def check(self, method, path, query, status, text):
        reply = self.server.request(method, "/v1/ns" + path, dict({"namespaceId": NS}, **query))
        self.assertEqual((reply.status, reply.text if text is not None else None), (status, text), (method, path, query))

    def with_value(self, query, name, value):
        rest = {key: query[key] for key in query if key != name}
        return rest if value is ABSENT else dict(rest, **{name: value})

    def test_service_names(self):
        for method, path, query, absent, empty, blank in NAMES:
            for value, (status, text) in ((ABSENT, absent), ("", empty), (" ", blank)):
                self.check(method, path, self.with_value(query, "serviceName", value), status, text)

    def test_dom_stands_for_a_blank_name(self):
        for name in (ABSENT, "", " "):
            for dom, status, text in (("s", 200, None), ("", 400, required("serviceName")), (" ", 400, FORMAT)):
                self.check("GET", "/instance/list", dict(self.with_value({}, "serviceName", name), dom=dom), status, text)

    def test_values(self):
        for method, path, query, name, value, status, text in VALUES:
            self.check(method, path, self.with_value(query, name, value), status, text)

    def test_selectors(self):
        for n, (expression, shown) in enumerate(SELECTORS):
            selector = '{"type":"label","expression":%s}' % expression
            name = "sel%d" % n
            for method, query in (("POST", {}), ("PUT", {"protectThreshold": "0"})):
                asked = dict({"serviceName": name, "namespaceId": NS + "-sel", "selector": selector}, **query)
                reply = self.server.request(method, "/v1/ns/service", asked)
                if shown is None:
                    self.assertEqual(reply.status, 500, (selector, reply.text))
                    continue
                self.assertEqual((reply.status, reply.text), (200, "ok"), selector)
                want = {"type": "label", "expression": shown, "labels": []}
                asked = {"serviceName": name, "namespaceId": NS + "-sel"}
                self.assertEqual(self.server.request("GET", "/v1/ns/service", asked).json["selector"], want)
                self.assertEqual(self.server.request("GET", "/v1/ns/catalog/service", asked).json["service"]["selector"], want)
        self.server.register("sel", "10.0.0.1", 80, namespaceId=NS + "-sel")
        self.server.request("PUT", "/v1/ns/service", {"serviceName": "sel", "namespaceId": NS + "-sel", "protectThreshold": "0",
                                                      "selector": '{"type":"label","expression":""}'})
        self.assertEqual(len(self.server.hosts("sel", namespaceId=NS + "-sel", clientIP="10.0.0.9")), 1)
        doms = self.server.request("GET", "/v1/ns/service/list", dict(
            PAGE, namespaceId=NS + "-sel", pageSize="100", selector='{"type":"label","expression":""}')).json
        self.assertIn("sel", doms["doms"])


    def test_filters_of_the_list(self):
        """What is about neither instances nor services selects all."""
        self.server.register("f", "10.0.0.1", 80, namespaceId=NS + "-list", metadata="a=1")
        for expression, status, doms in (
                ("INSTANCE.metadata.a='1'", 200, ["f"]), ("INSTANCE.metadata.a='2'", 200, []), ("SERVICE.metadata.a=1", 200, []),
                ("zone", 200, ["f"]), ("zone=a", 200, ["f"]), ("=", 200, ["f"]), ("", 200, ["f"]), ("INSTANCE.metadata.a", 500, None),
                ("INSTANCE.metadata.a=", 500, None), ("SERVICE", 500, None)):
            reply = self.server.request("GET", "/v1/ns/service/list", dict(
                PAGE, namespaceId=NS + "-list", selector='{"type":"label","expression":"%s"}' % expression))
            self.assertEqual((reply.status, reply.json["doms"] if status == 200 else None), (status, doms), expression)

    def test_a_cluster_without_metadata_has_none(self):
        def shown():
            clusters = self.server.request("GET", "/v1/ns/service", {"serviceName": "c", "namespaceId": NS + "-c"}).json["clusters"]
            return clusters[0]["metadata"]
        self.server.register("c", "10.0.0.1", 80, namespaceId=NS + "-c")
        for metadata, want in (({"metadata": "a=1"}, {"a": "1"}), ({}, {}), ({"metadata": "a=2"}, {"a": "2"}), ({"metadata": " "}, {})):
            query = dict(CLUSTER, serviceName="c", namespaceId=NS + "-c", **metadata)
            self.assertEqual(self.server.request("PUT", "/v1/ns/cluster", query).text, "ok")
            self.assertEqual(shown(), want)


class Pages(unittest.TestCase):
    """Five of each, pages of some size: what is on them, and the count. The page that begins exactly at the end is there."""
    NAMES = ["p%d" % n for n in range(5)]

    @classmethod
    def setUpClass(cls):
        cls.server = Server(workers=1)
        cls.server.__enter__()
        for n, name in enumerate(cls.NAMES):
            cls.server.register(name, "10.0.0.1", 80, namespaceId="page")
            cls.server.register("many", "10.0.0.%d" % n, 80, namespaceId="many")
            reply = cls.server.request("GET", "/v1/ns/instance/list", {
                "serviceName": "watched", "namespaceId": "page", "udpPort": 20000 + n, "clientIP": "127.0.0.1"}, headers=JAVA)
            assert reply.status == 200

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__(None, None, None)

    def page(self, path, number, size, **more):
        query = dict({"namespaceId": "page", "pageNo": number, "pageSize": size}, **more)
        return self.server.request("GET", "/v1/ns" + path, query)

    def test_subscribers(self):
        for number, size, on_page, count in (
                (1, 5, 5, 5), (2, 5, 0, 5), (3, 5, 0, 0), (1, 6, 5, 5), (2, 6, 0, 0), (3, 2, 1, 5), (4, 2, 0, 0), (6, 1, 0, 5),
                (7, 1, 0, 0), (1, 0, 0, 5), (9, 0, 0, 5), (0, 2, 2, 5), (-1, 2, 2, 5), (1, -1, 0, 0), (2, -1, 0, 0),
                (1, 2147483647, 5, 5), (2147483647, 2147483647, 0, 0)):
            got = self.page("/service/subscribers", number, size, serviceName="watched").json
            self.assertEqual((len(got["subscribers"]), got["count"]), (on_page, count), (number, size))

    def test_service_list(self):
        for number, size, on_page in ((1, 5, 5), (2, 5, 0), (3, 5, 0), (3, 2, 1), (4, 2, 0), (0, 2, 2), (1, 0, 0), (6, 1, 0), (7, 1, 0)):
            got = self.page("/service/list", number, size).json
            self.assertEqual((len(got["doms"]), got["count"]), (on_page, 5), (number, size))
        self.assertEqual(self.page("/service/list", 1, -1).text, "caused: fromIndex(0) > toIndex(-1);")

    def test_catalog_services(self):
        for number, size, on_page, count in ((1, 5, 5, 5), (2, 5, 5, 5), (3, 2, 1, 5), (4, 2, 0, 0), (5, 1, 1, 5), (6, 1, 0, 0)):
            got = self.page("/catalog/services", number, size).json
            self.assertEqual((len(got["serviceList"]), got["count"]), (on_page, count), (number, size))

    def test_catalog_instances(self):
        for number, size, on_page in ((1, 5, 5), (2, 5, 0), (3, 5, 0), (3, 2, 1), (4, 2, 0), (0, 2, 0), (1, 0, 0)):
            got = self.page("/catalog/instances", number, size, namespaceId="many", serviceName="many", clusterName="DEFAULT").json
            self.assertEqual((len(got["list"]), got["count"]), (on_page, 5), (number, size))


if __name__ == "__main__":
    roster.main()
