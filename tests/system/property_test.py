#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Random sequences of API calls: the server and a plain model of the specification (model.py) give the same answers.

Every answer is compared, status and body, and after every change the list of the service that it was about. A sequence
that fails is made short by leaving steps out while it still fails, and printed in a form that --replay takes.

    PROPERTY_SEQUENCES=300  how many; sequence n is made from the seed PROPERTY_SEED + n (default 1)
    PROPERTY_SECONDS=300    no new sequence after that
    property_test.py --replay FILE     a printed sequence, step by step
"""
import json
import os
import random
import socket
import sys
import time
import unittest
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import model  # noqa: E402
import roster  # noqa: E402

SEQUENCES = int(os.environ.get("PROPERTY_SEQUENCES", "300"))
SECONDS = float(os.environ.get("PROPERTY_SECONDS", "300"))
SEED = int(os.environ.get("PROPERTY_SEED", "1"))
STEPS = (5, 40)
JAVA, CURL, GO, NODE = "Nacos-Java-Client:v1.4.2", "curl/7.88", "Nacos-Go-Client:v1.1.6", "Nacos-Java-Client:v1.0.0"


# ---- talking -----------------------------------------------------------------------------------------------------------


class Wire:
    """A few kept connections, so that all workers are asked; no library, because there are many requests."""

    def __init__(self, port, connections=4):
        self.port, self.at = port, 0
        self.open = [None] * connections

    def ask(self, step):
        """(status, body): a dict or list when it is JSON, else a text."""
        self.at = (self.at + 1) % len(self.open)
        if self.open[self.at] is None:
            self.open[self.at] = socket.create_connection(("127.0.0.1", self.port), timeout=30).makefile("rwb")
        stream = self.open[self.at]
        query, body = urllib.parse.urlencode(step["params"]), b""
        head = "%s /nacos%s" % (step["method"], step["path"])
        if step.get("form"):
            body = query.encode()
            head += " HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d" % len(body)
        else:
            head += ("?" + query if query else "") + " HTTP/1.1"
        stream.write(("%s\r\nHost: x\r\nUser-Agent: %s\r\n\r\n" % (head, step["agent"])).encode() + body)
        stream.flush()
        return self.read(stream)

    def read(self, stream):
        status = int(stream.readline().split()[1])
        headers = {}
        while True:
            line = stream.readline().strip()
            if not line:
                break
            name, value = line.split(b":", 1)
            headers[name.lower()] = value.strip()
        if headers.get(b"transfer-encoding") == b"chunked":
            body = b""
            while True:
                size = int(stream.readline(), 16)
                body += stream.read(size)
                stream.readline()
                if size == 0:
                    break
        else:
            body = stream.read(int(headers[b"content-length"]))
        if headers.get(b"connection") == b"close":
            stream.close()
            self.open[self.at] = None
        text = body.decode("utf-8", "replace")
        return status, json.loads(text) if headers.get(b"content-type") == b"application/json" else text

    def close(self):
        for stream in self.open:
            if stream is not None:
                stream.close()


# ---- making sequences --------------------------------------------------------------------------------------------------

METADATA = ['{"a":"1"}', "a=1,b=2", '{"b":"2","c":"\\u00e9\\"x"}', "{}", "", '{"n":7,"t":true}', '{"a":null,"b":"3"}', "null",
            '{"preserved.instance.id.generator":"snowflake"}', '{"preserved.heart.beat.interval":"3000"}',
            '{"preserved.heart.beat.interval":"x","preserved.heart.beat.timeout":"20000"}']
CHECKERS = ['{"type":"NONE"}', '{"type":"NONE"}', '{"type":"NONE"}', '{"type":"NONE"}', '{"type":"TCP"}',
            '{"type":"HTTP","path":"/x","headers":"a:b","expectedResponseCode":200}',
            '{"type":"MYSQL","user":"u","pwd":"p","cmd":"select 1"}']
SELECTORS = ["", '{"type":"none"}', '{"type":"label","expression":"CONSUMER.label.A=PROVIDER.label.A"}',
             '{"type":"label","expression":""}', '{"type":"label","expression":" "}']
BAD = {
    "port": ["x", "", "99999999999", "8.0"], "weight": ["x", "-1", "10000.5"],
    "metadata": ["a", "a=b=c", "a=", '{"a":{"b":"1"}}'],
    "serviceName": ["", "g@@", "@@c", "bad name{id}", "g@@sl/ash{id}"], "ip": [""], "clusterName": ["c_1", "c 1"],
    "protectThreshold": ["abc", ""],
    "selector": ['{"type":"label","expression":"x"}', '{"type":"unknown"}', '{"type":"zz"}'],
    "healthy": [""], "key": ["{id}", "@@x"], "checkPort": [""], "healthChecker": [""], "useInstancePort4Check": [""],
}


class Maker:
    """One sequence from one seed. Names are few and most steps are about one service, so that they meet."""

    def __init__(self, seed, served):
        self.random = random.Random(seed)
        self.kinds = [(weight, make) for weight, route, make in self.KINDS if route in served]
        self.legacy = "GET /v1/ns/api" in served
        self.favourite = self.any_service()

    def sequence(self):
        weights = [weight for weight, _ in self.kinds]
        begin = [self.step(make) for make in (Maker.register, Maker.unchecked)] if self.chance(0.4) else []
        return begin + [self.step(self.random.choices(self.kinds, weights)[0][1]) for _ in range(self.random.randint(*STEPS))]

    def step(self, make):
        method, path, params = make(self)
        params = {name: value for name, value in params.items() if value is not None}
        if self.chance(0.07):
            self.spoil(params)
        if self.legacy and self.chance(0.1):
            path = path.replace("/v1/ns/instance", "/v1/ns/api")
        form = method in ("POST", "PUT", "DELETE", "PATCH") and self.chance(0.2)
        return {"method": method, "path": path, "params": params, "form": form,
                "agent": self.pick(JAVA, JAVA, CURL, CURL, GO, NODE)}

    def chance(self, part):
        return self.random.random() < part

    def pick(self, *choices):
        return self.random.choice(choices)

    def spoil(self, params):
        """One parameter only: the order of complaints is a matter of the recorded cases."""
        names = [name for name in params if name in BAD]
        if names:
            name = self.pick(*names)
            params[name] = self.pick(*BAD[name])

    # -- parts -----------------------------------------------------------------------------------------------------------
    def of_namespace(self):
        return {"namespaceId": self.pick(None, "n{id}")}

    def service(self):
        return self.favourite if self.chance(0.75) else self.any_service()

    def any_service(self):
        name = self.pick("a{id}", "a{id}", "a{id}", "b{id}", "g@@a{id}", "DEFAULT_GROUP@@a{id}")
        return dict(self.of_namespace(), serviceName=name, groupName=self.pick(None, None, None, None, "g"))

    def address(self):
        """Ports 0 and below are one entry (2.5); there its id keeps the first port, here it has the last: only 0 is used."""
        return {"ip": "10.0.0.%d" % self.random.randint(1, 3), "port": self.pick("80", "80", "80", "81", "81", "0")}

    def cluster(self):
        name = self.pick("clusterName", "clusterName", "clusterName", "cluster")
        return {name: self.pick(None, None, None, "DEFAULT", "c1", "c2")}

    def kind(self):
        return {"ephemeral": self.pick(None, None, None, "true", "false", "false", "no")}

    def fields(self):
        return {"weight": self.pick(None, None, "2.5", "0", "0.001", "10000", "1e2", "NaN", "3f"),
                "metadata": self.pick(None, *METADATA), "enabled": self.pick(None, None, None, None, "false", "yes"),
                "enable": self.pick(None, None, None, None, None, "false"), "app": self.pick(None, None, "x"),
                "healthy": self.pick(None, None, None, None, "false", "true")}

    # -- kinds -----------------------------------------------------------------------------------------------------------
    def register(self):
        return "POST", "/v1/ns/instance", {**self.service(), **self.address(), **self.cluster(), **self.kind(), **self.fields()}

    def update(self):
        return "PUT", "/v1/ns/instance", {**self.service(), **self.address(), **self.cluster(), **self.kind(), **self.fields()}

    def deregister(self):
        return "DELETE", "/v1/ns/instance", {**self.service(), **self.address(), **self.cluster(), **self.kind(),
                                       "weight": self.pick(None, None, "1.0")}

    def patch(self):
        return "PATCH", "/v1/ns/instance", {**self.service(), **self.address(), **self.cluster(), **self.fields(), **self.kind()}

    def get(self):
        cluster = self.pick(None, None, "c1", "DEFAULT")
        return "GET", "/v1/ns/instance", {**self.service(), **self.address(), "clusterName": cluster}

    def list(self):
        return "GET", "/v1/ns/instance/list", {
            **self.service(), "clusters": self.pick(None, None, "", "c1", "c2,c1", "DEFAULT,,c1", "zz"),
            "healthyOnly": self.pick(None, None, "true", "false"), "env": self.pick(None, None, "e"),
            "isCheck": self.pick(None, None, None, None, None, "true"), "clientIP": self.pick(None, "10.1.1.1")}

    def light_beat(self):
        cluster = self.pick(None, None, "c1", "DEFAULT")
        return "PUT", "/v1/ns/instance/beat", {**self.service(), **self.address(), "clusterName": cluster}

    def full_beat(self):
        beat = {"ip": "10.0.0.%d" % self.random.randint(1, 3), "port": self.pick(80, 80, 81),
                "weight": self.pick(1.0, 2, 0.001, -3.0, 20000.0),
                "metadata": self.pick({}, {"a": "1"}, {"preserved.heart.beat.interval": "2000"}, None),
                "cluster": self.pick("DEFAULT", "c1", "", "c2"), "ephemeral": self.pick(True, True, False),
                "serviceName": "ignored", "scheduled": True}
        for name in ("weight", "metadata", "cluster", "ephemeral"):
            if self.chance(0.2):
                del beat[name]
        cluster = self.pick(None, None, "c1")
        return "PUT", "/v1/ns/instance/beat", {**self.service(), "beat": json.dumps(beat), "clusterName": cluster}

    def statuses(self):
        namespace = self.pick("", "public##", "n{id}##")
        name = self.pick("DEFAULT_GROUP", "g") + "@@" + self.pick("a{id}", "b{id}")
        return "GET", "/v1/ns/instance/statuses", {"key": namespace + name}

    def batch(self):
        some = [dict({"ip": "10.0.0.%d" % self.random.randint(1, 3), "port": self.pick(80, 81)},
                     **self.pick({}, {"clusterName": "c1"}, {"ephemeral": False}, {"ephemeral": True, "clusterName": "DEFAULT"}))
                for _ in range(self.random.randint(0, 3))]
        # The same instance twice is named twice in the reply or not: nobody does that.
        keys = [json.dumps([e["ip"], e["port"], e.get("clusterName", "DEFAULT"), e.get("ephemeral", True)]) for e in some]
        some = [entry for at, entry in enumerate(some) if keys[at] not in keys[:at]]
        return self.pick("PUT", "PUT", "DELETE"), "/v1/ns/instance/metadata/batch", {
            **self.service(), "metadata": self.pick('{"a":"9"}', "x=1,y=2", '{"b":"2","n":"0"}'),
            "consistencyType": self.pick(None, None, "ephemeral", "persist", "other"),
            "instances": self.pick(json.dumps(some), json.dumps(some), json.dumps(some), None, "[{")}

    def settings(self):
        return {"protectThreshold": self.pick("0", "0.5", "0.8", "1", "0.34"), "metadata": self.pick(None, *METADATA[:6]),
                "selector": self.pick(None, *SELECTORS)}

    def create(self):
        return "POST", "/v1/ns/service", {**self.service(), **self.settings()}

    def change(self):
        return "PUT", "/v1/ns/service", {**self.service(), **self.settings()}

    def delete(self):
        return "DELETE", "/v1/ns/service", self.service()

    def show(self):
        return "GET", "/v1/ns/service", self.service()

    def names(self):
        return "GET", "/v1/ns/service/list", {"namespaceId": "n{id}", "pageNo": self.pick("1", "1", "2"),
                                              "pageSize": self.pick("1", "2", "10"), "groupName": self.pick(None, "g", "*")}

    def recompute(self):
        return "PUT", "/v1/ns/service/checksum", self.service()

    def catalog(self):
        cluster = self.pick("DEFAULT", "DEFAULT", "c1")
        return "GET", "/v1/ns/catalog/instances", {**self.service(), "clusterName": cluster, "pageNo": "1", "pageSize": "100"}

    def cluster_update(self):
        return "PUT", "/v1/ns/cluster", {
            **self.service(), "clusterName": self.pick("DEFAULT", "DEFAULT", "DEFAULT", "c1", "c3"),
            "checkPort": self.pick("80", "8080", "-5"), "useInstancePort4Check": self.pick("true", "false"),
            "healthChecker": self.pick(*CHECKERS),
            "metadata": self.pick(None, '{"a":"1"}', "k=v")}

    def unchecked(self):
        """Then PUT /health has an effect."""
        method, path, params = self.cluster_update()
        return method, path, dict(params, clusterName="DEFAULT", healthChecker=CHECKERS[0])

    def health(self):
        return "PUT", self.pick("/v1/ns/health", "/v1/ns/health/instance"), {
            **self.service(), **self.address(), "clusterName": self.pick(None, None, "c1"),
            self.pick("healthy", "valid"): self.pick("true", "false", "false")}

    def catalog_service(self):
        return "GET", "/v1/ns/catalog/service", self.service()

    def namespaces(self):
        key, name, about = self.pick("n{id}", "m{id}"), self.pick("One", "Zwei \u00e9"), self.pick(None, "", "text")
        return self.pick(
            ("POST", {"customNamespaceId": self.pick(key, key, key, "not {id}"), "namespaceName": name, "namespaceDesc": about}),
            ("PUT", {"namespace": key, "namespaceShowName": name, "namespaceDesc": about}),
            ("DELETE", {"namespaceId": key}),
            ("GET", {"checkNamespaceIdExist": "true", "customNamespaceId": key}), ("GET", {"show": "all", "namespaceId": key}),
            ("GET", {}))

    def namespace(self):
        method, params = self.namespaces()
        return method, "/v1/console/namespaces", params

    KINDS = [
        (10, "POST /v1/ns/instance", register), (4, "PUT /v1/ns/instance", update), (4, "DELETE /v1/ns/instance", deregister),
        (5, "PATCH /v1/ns/instance", patch), (2, "GET /v1/ns/instance", get), (4, "GET /v1/ns/instance/list", list),
        (3, "PUT /v1/ns/instance/beat", light_beat), (4, "PUT /v1/ns/instance/beat", full_beat),
        (1, "GET /v1/ns/instance/statuses", statuses), (4, "PUT /v1/ns/instance/metadata/batch", batch),
        (2, "POST /v1/ns/service", create), (3, "PUT /v1/ns/service", change), (1, "DELETE /v1/ns/service", delete),
        (2, "GET /v1/ns/service", show), (1, "GET /v1/ns/service/list", names), (1, "PUT /v1/ns/service/checksum", recompute),
        (2, "GET /v1/ns/catalog/instances", catalog), (1, "GET /v1/ns/catalog/service", catalog_service),
        (4, "PUT /v1/ns/cluster", cluster_update), (4, "PUT /v1/ns/health", health),
        (2, "POST /v1/console/namespaces", namespace),
    ]


# ---- comparing ---------------------------------------------------------------------------------------------------------


class Runner:
    """Plays sequences against one server, each with names of its own."""

    def __init__(self, wire, make_model=model.Model):
        self.wire, self.make_model, self.runs = wire, make_model, 0

    def named(self, step):
        text = json.dumps(step).replace("{id}", "%d-%d" % (os.getpid(), self.runs))
        return json.loads(text)

    def compare(self, machine, step):
        expected = machine.answer(model.Request(step["method"], step["path"], step["params"], step["agent"]))
        status, body = self.wire.ask(step)
        if status != expected.status:
            return "status: expected %d %r, got %d %r" % (expected.status, expected.body, status, body)
        return model.differs(expected.body, body)

    def look(self, machine, step):
        """The list of the service that the step was about, as both kinds of client see it in turns."""
        asked = {name: value for name, value in step["params"].items() if name in ("namespaceId", "serviceName", "groupName")}
        agent = (JAVA, CURL)[self.wire.at % 2]
        return self.compare(machine, {"method": "GET", "path": "/v1/ns/instance/list", "params": asked, "agent": agent})

    def run(self, steps):
        """None, or (number of the step, what differs)."""
        self.runs += 1
        machine = self.make_model()
        try:
            for number, step in enumerate(map(self.named, steps)):
                wrong = self.compare(machine, step)
                if not wrong and step["method"] != "GET" and "serviceName" in step["params"]:
                    wrong = self.look(machine, step)
                    wrong = wrong and "the list afterwards: " + wrong
                if wrong:
                    return number, wrong
        finally:
            self.clean(machine)
        return None

    def clean(self, machine):
        for namespace, name in machine.services:
            self.wire.ask({"method": "DELETE", "path": "/v1/ns/service", "agent": CURL,
                           "params": {"namespaceId": namespace, "serviceName": name}})
        for key in machine.namespaces:
            self.wire.ask({"method": "DELETE", "path": "/v1/console/namespaces", "agent": CURL, "params": {"namespaceId": key}})

    def shorten(self, steps):
        """Leaves out as many steps as it can while it still fails, first in large pieces."""
        number, _ = self.run(steps)
        steps = steps[:number + 1]
        size = len(steps) // 2
        while size >= 1:
            begin = 0
            while begin < len(steps):
                fewer = steps[:begin] + steps[begin + size:]
                failed = self.run(fewer) if fewer else None
                if failed:
                    steps = fewer[:failed[0] + 1]
                else:
                    begin += size
            size //= 2
        return self.thin(steps)

    def thin(self, steps):
        """Then parameters; the model does not know what happens without some of them."""
        for number in range(len(steps)):
            for name in list(steps[number]["params"]):
                fewer = json.loads(json.dumps(steps))
                del fewer[number]["params"][name]
                try:
                    failed = self.run(fewer)
                except (KeyError, ValueError):
                    continue
                if failed and failed[0] == len(fewer) - 1:
                    steps = fewer
        return steps

    def report(self, seed, steps):
        short = self.shorten(steps)
        number, wrong = self.run(short)
        lines = ["seed %d, %d steps of %d; step %d: %s" % (seed, len(short), len(steps), number + 1, wrong)]
        lines += ["  %-6s %-32s %s %s%s" % (s["method"], s["path"], json.dumps(s["params"]), s["agent"],
                                            " form" if s.get("form") else "") for s in short]
        return "\n".join(lines + ["for --replay:", json.dumps(short)])


def served_routes(wire):
    """Routes that the server has; 501, and 404 outside /v1/ns: not there."""
    found = set()
    for route in list(model.Model.ROUTES) + ["GET /v1/ns/api"]:
        method, path = route.split(" ")
        if wire.ask({"method": method, "path": path, "params": {}, "agent": CURL})[0] not in (404, 501):
            found.add(route)
    return found


class Property(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = roster.Server(workers=2)
        cls.server.__enter__()
        cls.wire = Wire(cls.server.port)
        cls.served = served_routes(cls.wire)
        # Nothing may change by itself meanwhile.
        cls.wire.ask({"method": "PUT", "path": "/v1/ns/operator/switches", "params": {"entry": "check", "value": "false"},
                      "agent": CURL})

    @classmethod
    def tearDownClass(cls):
        cls.wire.close()
        cls.server.__exit__(None, None, None)

    def test_sequences(self):
        runner, end, steps, done = Runner(self.wire), time.monotonic() + SECONDS, 0, 0
        for seed in range(SEED, SEED + SEQUENCES):
            sequence = Maker(seed, self.served).sequence()
            if runner.run(sequence):
                self.fail(runner.report(seed, sequence))
            steps, done = steps + len(sequence), done + 1
            if time.monotonic() > end:
                break
        print("%d sequences of %d, %d steps, seeds %d to %d, %d routes" % (done, SEQUENCES, steps, SEED, SEED + done - 1,
                                                                           len(self.served)), flush=True)
        left = self.server.metrics()
        self.assertEqual((left["serviceCount"], left["instanceCount"]), (0, 0), "everything was cleaned up")

    def check_found(self, mutant, most):
        """A model with an error: found, and the sequence that shows it is short."""
        runner = Runner(self.wire, mutant)
        for seed in range(1000000, 1001000):
            sequence = Maker(seed, self.served).sequence()
            if runner.run(sequence):
                short = runner.shorten(sequence)
                self.assertTrue(runner.run(short))
                self.assertLessEqual(len(short), most, short)
                return
        self.fail("the error of the model was not found")

    def test_finds_a_lost_health(self):
        class Mutant(model.Model):
            def put(self, service, instance):
                healthy = instance.healthy
                super().put(service, instance)
                instance.healthy = healthy
        self.check_found(Mutant, 3)

    def test_finds_a_wrong_checksum(self):
        class Mutant(model.Model):
            def health(self):
                answer = super().health()
                for service in self.services.values():
                    service.apply()
                return answer
            ROUTES = dict(model.Model.ROUTES, **{"PUT /v1/ns/health": health, "PUT /v1/ns/health/instance": health})
        self.check_found(Mutant, 4)

    def test_finds_a_wrong_text(self):
        class Mutant(model.Model):
            def answer(self, request):
                answer = super().answer(request)
                if answer.status == 500 and request.method == "GET":
                    answer.body = answer.body.replace("found!", "found") if isinstance(answer.body, str) else answer.body
                return answer
        self.check_found(Mutant, 1)


def replay(path):
    with open(path, encoding="utf-8") as file:
        steps = json.load(file)
    with roster.Server(workers=2) as server:
        wire = Wire(server.port)
        runner, machine = Runner(wire), model.Model()
        for step in map(runner.named, steps):
            wrong = runner.compare(machine, step) or runner.look(machine, step)
            print(step["method"], step["path"], json.dumps(step["params"]), "--", wrong or "as expected")
        wire.close()


if __name__ == "__main__":
    if "--replay" in sys.argv:
        replay(sys.argv[-1])
    else:
        roster.main()
