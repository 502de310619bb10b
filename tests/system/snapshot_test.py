#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""--export and --import: the registry of a stopped server, by way of a snapshot, in the segment of another."""
import os
import shutil
import stat
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from roster import *  # noqa: E402,F403

SHOWN = (
    ("/v1/ns/instance/list", {"serviceName": "a"}),
    ("/v1/ns/instance/list", {"serviceName": "b", "groupName": "G", "namespaceId": "n1"}),
    ("/v1/ns/instance", {"serviceName": "a", "ip": "10.0.0.1", "port": "1"}),
    ("/v1/ns/service", {"serviceName": "set", "groupName": "G"}),
    ("/v1/ns/catalog/instances", {"serviceName": "a", "clusterName": "DEFAULT", "pageNo": 1, "pageSize": 10}),
    ("/v1/ns/service/list", {"pageNo": 1, "pageSize": 100}),
    ("/v1/ns/service/subscribers", {"serviceName": "a", "pageNo": 1, "pageSize": 10}),
    ("/v1/ns/operator/switches", {}),
    ("/v1/console/namespaces", {}),
)
TIMES = {"lastRefTime", "lastBeat", "lastRefTimestamp"}


def without_times(value):
    if isinstance(value, dict):
        return {k: without_times(v) for k, v in value.items() if k not in TIMES}
    return [without_times(v) for v in value] if isinstance(value, list) else value


def shown(server):
    replies = [server.request("GET", path, query) for path, query in SHOWN]
    return [(r.status, without_times(r.json)) for r in replies]


def populate(s):
    for n in range(30):
        s.register("many-%d" % n, "10.1.0.%d" % n, 80)
    s.register("a", "10.0.0.1", 1, weight="0.5", metadata='{"k":"v","x":"é"}', enabled="false")
    s.register("a", "10.0.0.2", 2, ephemeral="false", clusterName="c1")
    s.register("b", "10.0.0.3", 3, groupName="G", namespaceId="n1", metadata='{"preserved.instance.id.generator":"snowflake"}')
    for method, path, query in (
            ("POST", "/v1/ns/service", {"serviceName": "set", "groupName": "G", "protectThreshold": "0.6", "metadata": "m=1"}),
            ("PUT", "/v1/ns/operator/switches", {"entry": "defaultCacheMillis", "value": "4321"}),
            ("POST", "/v1/console/namespaces", {"customNamespaceId": "n1", "namespaceName": "one", "namespaceDesc": "first"})):
        reply = s.request(method, path, query)
        assert reply.status == 200, (path, reply.status, reply.text)


class Snapshot(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="roster-test-", dir=os.environ.get("ROSTER_TEST_TMP"))
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.file = os.path.join(self.folder, "registry.snapshot")

    def export(self, server):
        done = server.run_tool("--export", self.file)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"^exported .*: \d+ services, \d+ instances, \d+ subscribers, \d+ bytes\n$")
        return done.stdout

    def refused(self, server, why, *args):
        done = server.run_tool(*args)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn(why, done.stderr)

    def test_everything_is_as_it_was(self):
        with Server() as first:
            populate(first)
            subscriber = Subscriber(first, "a", clusters="c1")
            self.addCleanup(subscriber.close)
            before = shown(first)
            first.stop()
            self.export(first)
            self.assertEqual(stat.S_IMODE(os.stat(self.file).st_mode), 0o600)
            second = Server()
            done = second.run_tool("--import", self.file)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("imported", done.stdout)
            self.assertIn("0 broken rules", second.registry_audit())
            with second:
                self.assertIn("origin=attached", second.wait_log("op=segment-open .*"))
                self.assertEqual(shown(second), before)
                self.assertEqual(second.beat("a", "10.0.0.1", 1), 10200)
                second.deregister("many-3", "10.1.0.3", 80)

    def test_an_owed_push_is_made_by_the_other(self):
        with Server(**{"push.delay": "60s"}) as first:
            first.register("a", "10.0.0.1", 1)
            subscriber = Subscriber(first, "a")
            self.addCleanup(subscriber.close)
            first.register("a", "10.0.0.2", 2)
            last = subscriber.poll()["lastRefTime"]
            first.stop()
            self.export(first)
            second = Server(**{"push.delay": "100ms"})
            self.assertEqual(second.run_tool("--import", self.file).returncode, 0)
            with second:
                data = subscriber.wait_for(lambda d: len(d["hosts"]) == 2, 20, "the push that the first server owed")
                self.assertEqual({h["ip"] for h in data["hosts"]}, {"10.0.0.1", "10.0.0.2"})
                self.assertGreater(int(subscriber.packets[0]["lastRefTime"]), last * 1000)

    def test_what_is_there_stays_without_forget(self):
        with Server() as first:
            first.register("a", "10.0.0.1", 1)
            first.stop()
            self.export(first)
            self.refused(first, "File exists", "--export", self.file)
            self.refused(first, "holds a registry", "--import", self.file)
            first.start()
            first.register("a", "10.0.0.2", 2)
            first.stop()
            done = first.run_tool("--forget", "--import", self.file)
            self.assertEqual(done.returncode, 0, done.stderr)
            first.start()
            self.assertEqual([h["ip"] for h in first.hosts("a")], ["10.0.0.1"])

    def test_damage_is_noticed_before_anything_is_lost(self):
        with Server() as first:
            first.register("a", "10.0.0.1", 1)
            first.stop()
            self.export(first)
            whole = open(self.file, "rb").read()
            for bytes_, why in ((whole[:-1], "checksum"), (whole[:40] + bytes([whole[40] ^ 1]) + whole[41:], "checksum"),
                                (whole[:5], "not a snapshot"), (b"", "not a snapshot"), (whole[:16] + b"\x02" + whole[17:], "later")):
                with open(self.file, "wb") as f:
                    f.write(bytes_)
                self.refused(first, why, "--forget", "--import", self.file)
            first.start()
            self.assertEqual(len(first.hosts("a")), 1)

    def test_too_little_room_leaves_no_half_registry(self):
        with Server() as first:
            conn = http.client.HTTPConnection("127.0.0.1", first.port, timeout=HUNG_S)
            self.addCleanup(conn.close)
            for n in range(900):
                first.register("a", "10.0.0.1", n + 1, conn=conn, metadata='{"k":"%s"}' % ("x" * 8000))
            first.stop()
            self.export(first)
            second = Server(check=False, **{"segment.limit": "8MiB"})
            self.refused(second, "full", "--import", self.file)
            self.assertEqual(os.listdir(second.folder + "/seg"), [])
            shutil.rmtree(second.folder)

    def test_a_look_at_no_registry_leaves_none(self):
        with Server(check=False) as first:
            first.stop()
            folder = first.folder + "/seg"
            for name in os.listdir(folder):
                os.unlink(folder + "/" + name)
            self.refused(first, "no registry to check: there is none", "--check")
            self.refused(first, "there is none", "--export", self.file)
            self.assertEqual(os.listdir(folder), [])
            os.rmdir(folder)
            self.refused(first, "segment.dir", "--check")
            self.assertFalse(os.path.exists(folder))

    def test_segment_of_another_layout_is_left_alone(self):
        with Server(check=False) as first:
            first.register("a", "10.0.0.1", 1)
            first.stop()
            path = first.folder + "/seg/segment"
            with open(path, "r+b") as f:
                f.seek(16)
                f.write(struct.pack("<Q", 0))      # the fingerprint
            self.refused(first, "of another layout", "--export", self.file)
            self.refused(first, "of another layout", "--check")
            self.assertEqual(os.listdir(first.folder + "/seg"), ["segment"])
            self.assertFalse(os.path.exists(self.file))


if __name__ == "__main__":
    main()
