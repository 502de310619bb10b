#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Switches, gate, namespaces and the other operator routes, over several workers, a restart and refused sources."""
import os
import signal
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))
import roster  # noqa: E402
from roster import Server, Subscriber, wait_until  # noqa: E402

SWITCHES = "/v1/ns/operator/switches"
NAMESPACES = "/v1/console/namespaces"
PEER = {"User-Agent": "Nacos-Server:v1.4.8"}
TRIES = 24      # new connections: every one of four workers answers some of them


def put(server, entry, value, **more):
    return server.request("PUT", SWITCHES, {"entry": entry, "value": value}, **more)


class Operator(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(workers=4)
        cls.server.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__(None, None, None)

    def tearDown(self):
        put(self.server, "batch", "{}", headers=PEER)

    def set(self, entry, value, **more):
        reply = put(self.server, entry, value, **more)
        self.assertEqual((reply.status, reply.text), (200, "ok"))

    def test_every_worker_follows_at_once(self):
        for interval in (6000, 7000, 8000):
            self.set("clientBeatInterval", str(interval))
            self.set("masters", "a,%d" % interval)
            for _ in range(TRIES):
                shown = self.server.request("GET", SWITCHES).json
                self.assertEqual((shown["clientBeatInterval"], shown["masters"]), (interval, ["a", str(interval)]))
                reply = self.server.request("PUT", "/v1/ns/instance/beat", {"serviceName": "no", "ip": "1.1.1.1", "port": 1})
                self.assertEqual(reply.json["clientBeatInterval"], interval)

    def test_nothing_is_lost_between_workers(self):
        """Each change is made on top of all others, whoever stores it."""
        import threading
        entries = ["clientBeatInterval", "defaultCacheMillis", "pushCacheMillis", "healthCheckTimes"]
        shown = ["clientBeatInterval", "defaultCacheMillis", "defaultPushCacheMillis", "checkTimes"]
        refused = []

        def write(entry):
            for n in range(40):
                if put(self.server, entry, str(20000 + n)).status != 200:
                    refused.append(entry)
        threads = [threading.Thread(target=write, args=(entry,)) for entry in entries]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(refused, [])
        now = self.server.request("GET", SWITCHES).json
        self.assertEqual([now[name] for name in shown], [20039] * 4)

    def test_down_is_down_everywhere(self):
        self.set("overriddenServerStatus", "DOWN")
        for _ in range(TRIES):
            reply = self.server.request("GET", "/v1/ns/instance/list", {"serviceName": "x"})
            self.assertEqual((reply.status, reply.text), (503, "server is DOWNnow, please try again later!"))
            self.assertIsNone(reply.headers["Content-Type"])
        self.assertEqual(self.server.request("GET", "/v1/console/health/readiness").text, "OK")
        self.assertEqual(self.server.request("GET", "/v1/ns/operator/metrics", headers=PEER).json["status"], "DOWN")
        self.assertEqual(self.server.request("GET", "/v1/ns/nothing").status, 503)
        self.set("overriddenServerStatus", "null", headers=PEER)
        for _ in range(TRIES):
            self.assertEqual(self.server.metrics()["status"], "UP")

    def test_bad_status_is_refused(self):
        reply = put(self.server, "overriddenServerStatus", "SIDEWAYS")
        self.assertEqual(reply.status, 400)
        self.assertEqual(self.server.metrics()["status"], "UP")

    def test_limited_url(self):
        self.set("limitedUrlMap", "/nacos/v1/ns/instance/list?serviceName=hot:429")
        for _ in range(TRIES):
            reply = self.server.request("GET", "/v1/ns/instance/list", {"serviceName": "hotter"})
            self.assertEqual((reply.status, reply.text, reply.headers["Content-Length"]), (429, "", "0"))
            self.assertEqual(self.server.request("GET", "/v1/ns/instance/list", {"serviceName": "cold"}).status, 200)
        self.set("limitedUrlMap", ",")
        self.assertEqual(self.server.request("GET", "/v1/ns/instance/list", {"serviceName": "hotter"}).status, 200)

    def test_push_off_for_earlier_subscribers(self):
        self.server.register("pushed", "10.0.0.1", 80)
        watcher = Subscriber(self.server, "pushed")
        self.server.register("pushed", "10.0.0.2", 80)
        watcher.wait_for(lambda data: len(data["hosts"]) == 2, 5, "the second instance")
        self.set("pushEnabled", "false")
        self.server.register("pushed", "10.0.0.3", 80)
        self.assertIsNone(watcher.receive(1.6))
        self.set("pushEnabled", "true")
        self.server.register("pushed", "10.0.0.4", 80)
        watcher.wait_for(lambda data: len(data["hosts"]) == 4, 5, "all after pushes are on again")
        watcher.close()

    def test_push_state(self):
        self.server.register("counted", "10.0.0.1", 80)
        watcher = Subscriber(self.server, "counted")
        before = self.server.request("GET", "/v1/ns/operator/push/state").json
        self.server.register("counted", "10.0.0.2", 80)
        watcher.wait_for(lambda data: len(data["hosts"]) == 2, 5, "the push")

        def counted():
            now = self.server.request("GET", "/v1/ns/operator/push/state", {"detail": "true", "reset": "true"}).json
            return now if now["succeed"] == before["succeed"] + 1 else None
        now = wait_until(counted, 5, "the ACK is counted")
        self.assertEqual(now["total"], before["total"] + 1)
        self.assertEqual(list(now), ["succeed", "total", "ratio", "data", "reset"])
        self.assertIs(now["reset"], True)
        watcher.close()

    def test_default_ephemeral(self):
        self.set("defaultInstanceEphemeral", "false")
        self.server.register("kept", "10.0.0.1", 80)
        self.assertIs(self.server.hosts("kept")[0]["ephemeral"], False)

    def test_aliases(self):
        for path in ("/metrics", "/switches", "/push/state", "/servers", "/distro/status", "/cluster/state"):
            self.assertEqual(self.server.request("GET", "/v1/ns/operator" + path).status, 200, path)
            self.assertEqual(list(self.server.request("GET", "/v1/ns/operator" + path).json),
                             list(self.server.request("GET", "/v1/ns/ops" + path).json), path)
        one = {"serviceName": "alias", "ip": "10.0.0.1", "port": 80}
        self.assertEqual(self.server.request("POST", "/v1/ns/api", one).text, "ok")
        self.assertEqual(self.server.request("GET", "/v1/ns/api", one).json["ip"], "10.0.0.1")
        self.assertEqual(len(self.server.request("GET", "/v1/ns/api/list", one).json["hosts"]), 1)
        self.assertEqual(self.server.request("GET", "/v1/ns/api/srvIPXT", {"dom": "alias"}).json["dom"], "alias")
        beat = {"dom": "alias", "ip": "10.0.0.1", "port": 80}
        self.assertEqual(self.server.request("GET", "/v1/ns/api/clientBeat", beat).json["code"], 10200)
        self.assertEqual(self.server.request("GET", "/v1/ns/api/clientBeat").text, "caused: Param 'dom' is required.;")
        self.server.register("alias", "10.0.0.1", 80, groupName="other", namespaceId="zz")
        names = self.server.request("GET", "/v1/ns/api/allDomNames").json
        self.assertIn("alias", names["doms"]["public"])
        self.assertEqual(names["doms"]["zz"], ["alias"])
        self.assertEqual(names["count"], sum(len(doms) for doms in names["doms"].values()))
        old = self.server.request("GET", "/v1/ns/api/allDomNames", headers={"User-Agent": "Nacos-DNS:v1.0.1"}).json
        self.assertEqual(old["doms"], names["doms"]["public"])
        self.assertEqual(self.server.request("DELETE", "/v1/ns/api", one).text, "ok")

    def test_nodes(self):
        address = "127.0.0.1:%d" % self.server.port
        self.server.register("owned", "10.0.0.1", 80)
        get = self.server.request("GET", "/v1/ns/operator/distro/server", {"serviceName": "owned"})
        self.assertEqual(get.json, {"responsibleServer": address})
        get = self.server.request("GET", "/v1/ns/operator/distro/server", {"serviceName": "nobody"})
        self.assertEqual((get.status, get.text), (400, "caused: service not found;"))
        self.assertEqual(self.server.request("GET", "/v1/ns/operator/servers", {"healthy": "true"}).json["servers"][0]["address"],
                         address)
        self.assertEqual(self.server.request("GET", "/v1/ns/operator/distro/status", {"action": "x"}).json, {})
        self.assertEqual(self.server.request("GET", "/v1/ns/operator/server/status", {"serverStatus": "s"}).text, "ok")
        self.assertEqual(self.server.request("PUT", "/v1/ns/operator/log", {"logName": "naming-push", "logLevel": "DEBUG"}).text,
                         "ok")
        self.server.wait_log(r'op=log-level level=debug ')

    def test_log_level_of_every_worker(self):
        """Nobody says less important things than the operator wants, until the configuration is read again."""
        with Server(workers=2) as server:
            def say(value):
                for _ in range(TRIES):
                    put(server, "defaultCacheMillis", str(value))
                return server.log_text().count('value="%d"' % value)
            self.assertEqual(say(3001), TRIES)
            server.request("PUT", "/v1/ns/operator/log", {"logName": "naming-server", "logLevel": "ERROR"})
            self.assertEqual(say(3002), 0)
            server.proc.send_signal(signal.SIGHUP)
            server.wait_log(r"op=reload result=ok")
            wait_until(lambda: say(3003) >= TRIES, 10, "the level of the file again")

    def test_namespaces_are_everywhere(self):
        nasty = 'n"\\\n\x7f</script>'
        reply = self.server.request("POST", NAMESPACES, {"customNamespaceId": "", "namespaceName": nasty})
        self.assertEqual(reply.text, "true")
        for _ in range(TRIES):
            found = [row for row in self.server.request("GET", NAMESPACES).json["data"] if row["namespaceShowName"] == nasty]
            self.assertEqual(len(found), 1)
        self.assertRegex(found[0]["namespace"], r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")
        gone = self.server.request("DELETE", NAMESPACES, {"namespaceId": found[0]["namespace"]})
        self.assertEqual(gone.text, "true")
        for bad in ("a.b", "a b", "x" * 129, "\u540d"):
            reply = self.server.request("POST", NAMESPACES, {"customNamespaceId": bad, "namespaceName": "n"})
            self.assertEqual(reply.text, "false", bad)
        reply = self.server.request("GET", NAMESPACES, {"show": "all", "namespaceId": "none"})
        self.assertEqual(reply.status, 500)
        self.assertTrue(reply.text.startswith("caused: "))


class Sources(unittest.TestCase):
    def test_refused_sources(self):
        with Server(**{"operator.allow": "10.0.0.0/8"}) as server:
            for method, path in (("PUT", SWITCHES), ("PUT", "/v1/ns/ops/switches"), ("PUT", "/v1/ns/operator/log"),
                                 ("POST", NAMESPACES), ("PUT", NAMESPACES), ("DELETE", NAMESPACES)):
                reply = server.request(method, path, {"entry": "masters", "value": "x", "namespaceId": "x"})
                self.assertEqual((reply.status, reply.json["error"], reply.json["path"]), (403, "Forbidden", "/nacos" + path))
            for path in (SWITCHES, NAMESPACES, "/v1/ns/operator/servers"):
                self.assertEqual(server.request("GET", path).status, 200)
            self.assertIsNone(server.request("GET", SWITCHES).json["masters"])
            server.register("free", "10.0.0.1", 80)

    def test_restart_and_limit(self):
        server = Server(**{"limits.namespaces": "2"})
        with server:
            self.assertEqual(put(server, "limitedUrlMap", "/nacos/v1/ns/zzz:418").text, "ok")
            for name, answer in (("one", "true"), ("two", "true"), ("two", "false")):
                reply = server.request("POST", NAMESPACES, {"customNamespaceId": name, "namespaceName": name})
                self.assertEqual(reply.text, answer)
            reply = server.request("POST", NAMESPACES, {"customNamespaceId": "three", "namespaceName": "three"})
            self.assertEqual((reply.status, reply.text), (503, "caused: limits.namespaces reached: 2;"))
            server.stop()
            server.start()
            self.assertEqual(server.request("GET", SWITCHES).json["limitedUrlMap"], {"/nacos/v1/ns/zzz": 418})
            self.assertEqual(server.request("GET", "/v1/ns/zzz").status, 418)
            rows = server.request("GET", NAMESPACES).json["data"]
            self.assertEqual(sorted(row["namespace"] for row in rows), ["", "one", "two"])


if __name__ == "__main__":
    roster.main()
