#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Hostile use of the registry and of its configuration: attack cases A-28, A-29, A-33, A-38."""
import os
import signal
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))
import roster  # noqa: E402
from hostile import INSTANCE, ask, counter, form  # noqa: E402
from roster import Server, Subscriber, wait_until  # noqa: E402

OWNER, STRANGER, OPERATOR = "127.0.0.2", "127.0.0.3", "127.0.0.9"
PLACE = {"serviceName": "mine", "ip": "10.0.0.1", "port": "80"}
CLAMPED = "roster_timings_clamped_total"
REFUSED = (403, "caused: instances.owner: the instance was registered from another address;")


class A28Hijack(unittest.TestCase):
    def every_write(self, server, source, place=None):
        """(name, reply) of each way to change the instance, from that address; the deregistration comes last."""
        place = place or PLACE
        java = {"User-Agent": "Nacos-Java-Client:v1.4.2"}
        beat = '{"serviceName":"DEFAULT_GROUP@@mine","ip":"10.0.0.1","port":80,"cluster":"DEFAULT","weight":1}'
        batch = dict(serviceName="DEFAULT_GROUP@@mine", metadata='{"x":"y"}', consistencyType="ephemeral")
        yield "register", ask(server, "POST", INSTANCE, dict(place, weight="0"), source)
        yield "update", ask(server, "PUT", INSTANCE, dict(place, enabled="false"), source)
        yield "update of Java", ask(server, "PUT", INSTANCE, dict(place, enabled="false"), source, java)
        yield "patch", ask(server, "PATCH", INSTANCE, dict(place, healthy="false", weight="0"), source)
        yield "light beat", ask(server, "PUT", INSTANCE + "/beat", place, source)
        yield "full beat", ask(server, "PUT", INSTANCE + "/beat", {"serviceName": "mine"}, source, **form(beat=beat))
        yield "beat of /api", ask(server, "PUT", "/v1/ns/api/clientBeat", {"dom": "mine", "ip": "10.0.0.1", "port": "80"}, source)
        yield "batch", ask(server, "PUT", INSTANCE + "/metadata/batch", batch, source)
        yield "batch delete", ask(server, "DELETE", INSTANCE + "/metadata/batch", dict(batch, metadata='{"k":""}'), source)
        yield "deregister", ask(server, "DELETE", INSTANCE, place, source)

    def test_only_the_owner_changes_it(self):
        with Server(**{"instances.owner": "source", "operator.allow": OPERATOR, "push.delay": "50ms"}) as server:
            self.assertEqual(ask(server, "POST", INSTANCE, dict(PLACE, metadata="k=v"), OWNER).text, "ok")
            sub = Subscriber(server, "mine")
            while sub.receive(0.3) is not None:
                pass
            before, refused = server.hosts("mine"), 0
            for name, reply in self.every_write(server, STRANGER):
                if reply.status == 501:
                    continue        # not an endpoint of this stage
                with self.subTest(name):
                    self.assertEqual((reply.status, reply.text), REFUSED)
                    self.assertEqual(server.hosts("mine"), before)
                    refused += 1
            self.assertEqual(counter(server, "roster_owner_refused_total"), refused)
            self.assertIsNone(sub.receive(0.5), "a refused change is no change")
            # A name that is not taken is free; unknown ones tell nothing; reading is for all.
            self.assertEqual(ask(server, "POST", INSTANCE, dict(PLACE, port="81"), STRANGER).text, "ok")
            self.assertEqual(ask(server, "PUT", INSTANCE + "/beat", dict(PLACE, port="99"), STRANGER).json["code"], 20404)
            for name, reply in self.every_write(server, OWNER):
                if name.startswith("batch"):
                    continue        # names the stranger's instance too
                with self.subTest("owner: " + name):
                    self.assertIn(reply.status, (200, 501), reply.text)
            self.assertEqual([h["port"] for h in server.hosts("mine")], [81])
            sub.close()

    def test_operators_and_everybody_when_it_is_off(self):
        server = Server(**{"operator.allow": OPERATOR})
        path = server.folder + "/roster.yaml"
        open(path, "w").write("instances: {owner: source}\n")
        server.args = ["-c", path]
        with server:
            ask(server, "POST", INSTANCE, PLACE, OWNER)
            self.assertEqual(ask(server, "POST", INSTANCE, dict(PLACE, weight="2"), OPERATOR).text, "ok")
            self.assertEqual(ask(server, "DELETE", INSTANCE, PLACE, STRANGER).status, 403, "the operator took nothing over")
            # The owner is in the segment: another worker, another start.
            for title in ("worker/0", "worker/1"):
                server.kill_child(title)
            self.assertEqual(ask(server, "DELETE", INSTANCE, PLACE, STRANGER).status, 403)
            server.stop()
            server.start()
            self.assertEqual(ask(server, "DELETE", INSTANCE, PLACE, STRANGER).status, 403)
            open(path, "w").write("instances: {owner: none}\n")
            server.proc.send_signal(signal.SIGHUP)
            wait_until(lambda: ask(server, "DELETE", INSTANCE, PLACE, STRANGER).status == 200, 5, "off again")
            self.assertEqual(server.hosts("mine"), [])

    def test_default_is_off(self):
        with Server(**{"operator.allow": OPERATOR}) as server:
            ask(server, "POST", INSTANCE, PLACE, OWNER)
            self.assertEqual(ask(server, "DELETE", INSTANCE, PLACE, STRANGER).text, "ok")
            self.assertEqual(server.hosts("mine"), [])


class A29Timeouts(unittest.TestCase):
    """Each value within its limits, none against another; the text stays as it was sent."""

    def metadata(self, interval, timeout, delete):
        return {"preserved.heart.beat.interval": str(interval), "preserved.heart.beat.timeout": str(timeout),
                "preserved.ip.delete.timeout": str(delete)}

    def interval(self, server, service):
        return ask(server, "PUT", INSTANCE + "/beat", {"serviceName": service, "ip": "10.0.0.1", "port": 80}).json["clientBeatInterval"]

    def test_each_is_clamped(self):
        """Texts as they come: the interval that is told, and how many values were clamped (tests/unit has the rest)."""
        day = 24 * 3600 * 1000
        rows = (("1", "1", "1", 1000, 3), ("0", "0", "0", 1000, 3), (2**31, 2**31, 2**31, day, 3),
                (2**63 - 1, 2**63 - 1, 2**63 - 1, day, 3), (2**63, "1e9", "-5", 5000, 0), ("", " 1", "1 ", 5000, 0),
                (60000, 2000, 1000, 60000, 0), (1000, day, 1000, 1000, 0))
        with Server() as server:
            for number, (interval, timeout, delete, expected, clamped) in enumerate(rows):
                service = "t%d" % number
                texts = self.metadata(interval, timeout, delete)
                with self.subTest(str(texts)):
                    before = counter(server, CLAMPED)
                    server.register(service, "10.0.0.1", 80, metadata=str(texts).replace("'", '"'))
                    self.assertEqual(server.hosts(service)[0]["metadata"], texts)
                    self.assertEqual(self.interval(server, service), expected)
                    self.assertEqual(counter(server, CLAMPED) - before, clamped)

    def test_every_way_in(self):
        """By a beat that registers, a patch and a batch as well."""
        one = '{"preserved.heart.beat.interval":"1","preserved.heart.beat.timeout":"1","preserved.ip.delete.timeout":"9999999999"}'
        with Server() as server:
            answer = ask(server, "PUT", INSTANCE + "/beat", {"serviceName": "b"},
                         **form(beat='{"ip":"10.0.0.1","port":80,"metadata":%s}' % one)).json
            self.assertEqual(answer["clientBeatInterval"], 1000)
            server.register("p", "10.0.0.1", 80)
            ask(server, "PATCH", INSTANCE, {"serviceName": "p", "ip": "10.0.0.1", "port": 80, "metadata": one})
            self.assertEqual(self.interval(server, "p"), 1000)
            server.register("m", "10.0.0.1", 80)
            ask(server, "PUT", INSTANCE + "/metadata/batch", {"serviceName": "DEFAULT_GROUP@@m", "metadata": one,
                                                              "consistencyType": "ephemeral"})
            self.assertEqual(self.interval(server, "m"), 1000)
            self.assertEqual(counter(server, CLAMPED), 3 + 3 + 3)

    def test_a_short_one_does_not_flicker(self):
        """timeout=1: a client that beats twice a second stays healthy; one that stops is gone after about a second."""
        with Server(**{"push.delay": "50ms"}) as server:
            texts = str(self.metadata(1, 1, 1)).replace("'", '"')
            server.register("f", "10.0.0.1", 80, metadata=texts)
            server.register("f", "10.0.0.2", 80)
            sub, steady, last = Subscriber(server, "f"), 0.0, time.monotonic()
            while steady < 4:
                code, now = server.beat("f", "10.0.0.1", 80), time.monotonic()
                late = now - last > 0.9       # we, not the server; what is removed by that comes back
                steady, last = 0.0 if late else steady + now - last, now
                if late and code != 10200:
                    server.register("f", "10.0.0.1", 80, metadata=texts)
                self.assertTrue(late or code == 10200, "removed between two beats")
                sub.receive(0.1)
            wait_until(lambda: [h["ip"] for h in server.hosts("f")] == ["10.0.0.2"], 10, "gone once the beats stop")
            sub.close()


class A33Quota(unittest.TestCase):
    def test_what_is_there_stays(self):
        """Each quota filled by a stranger: refused with its key, counted, and the data of others is served and beats on."""
        limits = {"limits.services": "20", "limits.instances": "60", "limits.instances_per_service": "30",
                  "limits.namespaces": "5", "limits.metadata": "1KiB", "limits.clusters_per_service": "5"}
        with Server(**limits) as server:
            server.register("mine", "10.0.0.1", 80, metadata="k=v")
            before = server.hosts("mine")

            def fill(count, method, path, query):
                last = None
                for n in range(count):
                    last = ask(server, method, path, {k: v.replace("%", str(n)) for k, v in query.items()}, STRANGER)
                return last.status, last.text
            self.assertEqual(fill(40, "POST", INSTANCE, {"serviceName": "s", "ip": "1.1.1.%", "port": "1"}),
                             (503, "caused: limits.instances_per_service reached: 30;"))
            self.assertEqual(fill(9, "POST", INSTANCE, {"serviceName": "c", "clusterName": "c%", "ip": "1.1.1.1", "port": "1"}),
                             (503, "caused: limits.clusters_per_service reached: 5;"))
            self.assertEqual(fill(40, "POST", INSTANCE, {"serviceName": "s%", "ip": "1.1.1.1", "port": "1"}),
                             (503, "caused: limits.services reached: 20;"))
            self.assertEqual(fill(40, "POST", INSTANCE, {"serviceName": "s1", "ip": "1.1.1.%", "port": "1"})[0], 503)
            self.assertEqual(fill(1, "POST", INSTANCE, {"serviceName": "s", "ip": "1.1.1.1", "port": "1", "metadata": "k=" + "v" * 2000}),
                             (400, "caused: limits.metadata reached: 1024;"))
            self.assertEqual(server.hosts("mine"), before)
            self.assertEqual(server.beat("mine", "10.0.0.1", 80), 10200)
            self.assertEqual(server.hosts("mine")[0]["metadata"], {"k": "v"})
            server.register("mine", "10.0.0.1", 80, metadata="k=w")
            self.assertGreater(counter(server, "roster_limit_refused_total"), 60)


class A38Configuration(unittest.TestCase):
    LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join("%s: &%s [%s]\n" % (b, b, ",".join(["*" + a] * 9))
                                                     for a, b in zip("abcdefgh", "bcdefghi"))
    HOSTILE = {
        "alias bomb": LAUGHS,
        "self reference": "push: &a\n  delay: *a\n",
        "anchor": "push: {delay: &x 1s}\n",
        "tag": "push: {delay: !!python/object/apply:os.system ['touch /tmp/owned']}\n",
        "local tag": "push: !include /etc/passwd\n",
        "binary tag": "push: {delay: !!binary MXM=}\n",
        "merge key": "push: {<<: {delay: 1s}}\n",
        "two documents": "push: {delay: 1s}\n---\npush: {delay: 2s}\n",
        "huge": "#" * (1 << 20) + "\npush: {delay: 1s}\n",
        "huge value": "log: {level: %s}\n" % ("x" * 900000),
        "deep flow": "push: " + "[" * 200000,
        "deep map": "a: {" * 100000,
        "deep block": "".join(" " * n + "a:\n" for n in range(1000)),
        "deep complex keys": "? " * 200000,
        "deep list": "- " * 200000,
        "NUL": "push: {delay: \"1s\0\"}\n",
        "not UTF-8": "push: {delay: \"\\xff\"}\n".encode().replace(b"\\xff", b"\xff"),
        "UTF-16": "push: {delay: 50ms, bad: 1}\n".encode("utf-16"),
        "control bytes": b"push: \x01\x02\x03\x1b[31m\n",
        "directive": "%YAML 9.9\n---\npush: {delay: 1s}\n",
        "key twice": "push: {delay: 1s, delay: 2s}\n",
        "number beyond 64 bits": "workers: 99999999999999999999999\n",
        "negative": "workers: -1\n",
        "many entries": "push: {trusted: [%s]}\n" % ",".join(['"10.0.0.1 10.0.0.0/8"'] * 5000),
        "empty list of a number": "workers: []\n",
        "traversal": "runtime_dir: ../../tmp/x\n",
    }

    def reload(self, server, count):
        server.proc.send_signal(signal.SIGHUP)
        return server.wait_log(r"op=reload result=.*", count=count)

    def test_hostile_files_keep_the_old_configuration(self):
        server = Server()
        path = server.folder + "/roster.yaml"
        open(path, "w").write("limits: {metadata: 1000}\n")
        server.args = ["-c", path]
        with server:
            pids, calm = server.children(), 0.0
            for harmless in range(1, 4):
                begun = time.monotonic()
                self.assertIn("result=ok", self.reload(server, harmless))
                calm = max(calm, time.monotonic() - begun)

            def refused(name, count):
                begun = time.monotonic()
                line = self.reload(server, count)
                self.assertNotIn("result=ok", line, name)
                self.assertLess(len(line), 1200, name)
                self.assertLess(time.monotonic() - begun, 100 * calm, name)
                self.assertNotRegex(line, r"[\x00-\x08\x0b-\x1f]")
                server.register("s", "10.0.0.1", 80, metadata="k=" + "v" * 500)
                self.assertEqual(ask(server, "POST", INSTANCE, {"serviceName": "s", "ip": "1.1.1.1", "port": 1,
                                                                "metadata": "k=" + "v" * 1100}).status, 400, name)
            for count, (name, text) in enumerate(self.HOSTILE.items(), harmless + 1):
                with self.subTest(name):
                    open(path, "wb").write(text if isinstance(text, bytes) else text.encode())
                    refused(name, count)
            for name, make in (("gone", lambda: None), ("folder", lambda: os.mkdir(path)), ("pipe", lambda: os.mkfifo(path)),
                               ("endless", lambda: os.symlink("/dev/zero", path)), ("loop", lambda: os.symlink(path, path))):
                count += 1
                with self.subTest(name):
                    os.rmdir(path) if os.path.isdir(path) else os.unlink(path)
                    make()
                    refused(name, count)
                    if name == "gone":
                        open(path, "w").close()
            os.unlink(path)
            open(path, "w").write("limits: {metadata: 100}\n")
            self.assertIn("result=ok", self.reload(server, count + 1))
            self.assertEqual(server.children(), pids)
            self.assertFalse(os.path.exists("/tmp/owned"))


if __name__ == "__main__":
    roster.main()
