#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# needs iproute2
"""Text is text: one meaning in several spellings (halves of surrogate pairs, charsets, percent signs, paths, addresses)."""
import http.client
import json
import os
import shutil
import subprocess
import sys
import unittest
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))
import roster  # noqa: E402
from hostile import FORM, INSTANCE, ask, form, strict_json  # noqa: E402
from roster import Server, wait_until  # noqa: E402

CUT = "x\\ud83d"        # what JSON.stringify() makes of "x😀".slice(0, 2)
SHOWN = "x\ufffd"


class Text(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(**{"operator.allow": "127.0.0.9"})
        cls.server.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__(None, None, None)

    def ok(self, method, path, query=None, **more):
        reply = ask(self.server, method, path, query, **more)
        self.assertEqual((reply.status, reply.text[:200]), (200, "ok"))

    def list(self, name):
        """The list as the strictest client reads it."""
        return strict_json(ask(self.server, "GET", INSTANCE + "/list", {"serviceName": name}))["hosts"]

    def metadata(self, name):
        return [host["metadata"] for host in self.list(name)]


class HalfPairs(Text):
    """Half of a surrogate pair is a character that cannot be shown, in every JSON of a client."""

    def test_instances(self):
        place = {"serviceName": "instance", "ip": "10.0.0.1", "port": 80}
        for method, value in (("POST", CUT), ("PATCH", CUT + "2"), ("PUT", "\\ude00\\ud83d"), ("PATCH", "\\ud83d\\ude00\\ud83d")):
            with self.subTest(method + " " + value):
                self.ok(method, INSTANCE, dict(place, metadata='{"k":"%s"}' % value))
                shown = value.replace("\\ud83d\\ude00", "😀").replace("\\ud83d", "\ufffd").replace("\\ude00", "\ufffd")
                self.assertEqual(self.metadata("instance"), [{"k": shown}])
        self.ok("POST", INSTANCE, dict(place, metadata='{"%s":"v"}' % CUT))
        self.assertEqual(self.metadata("instance"), [{SHOWN: "v"}])
        # The same cut as bytes: CESU-8 in the query, and in a k=v text.
        for text in ("%7B%22k%22:%22x%ED%A0%BD%22%7D", "k=x%ED%A0%BD"):
            self.ok("PATCH", INSTANCE, "serviceName=instance&ip=10.0.0.1&port=80&metadata=" + text)
            self.assertEqual(self.metadata("instance"), [{"k": "x\ufffd"}])

    def test_beats(self):
        beat = '{"ip":"10.0.0.1","port":80,"weight":1,"cluster":"DEFAULT","metadata":{"k":"%s"},"x":"\\ude00"}' % CUT
        for _ in range(2):      # it comes into being, it goes on
            reply = ask(self.server, "PUT", INSTANCE + "/beat", {"serviceName": "beat"}, **form(beat=beat))
            self.assertEqual((reply.status, reply.json["code"]), (200, 10200))
        self.assertEqual(self.metadata("beat"), [{"k": SHOWN}])

    def test_batch(self):
        self.server.register("batch", "10.0.0.1", 80)
        named = '[{"ip":"10.0.0.1","port":80,"x":"%s"}]' % CUT
        for query in ({"instances": named}, {"consistencyType": "ephemeral"}):
            reply = ask(self.server, "PUT", INSTANCE + "/metadata/batch",
                        dict(query, serviceName="batch", metadata='{"%s":"%s"}' % (CUT, CUT)))
            self.assertEqual(reply.json, {"updated": ["10.0.0.1:80:unknown:DEFAULT:ephemeral"]})
            self.assertEqual(self.metadata("batch"), [{SHOWN: SHOWN}])

    def test_services_and_clusters(self):
        place = {"serviceName": "service"}
        self.ok("POST", "/v1/ns/service", dict(place, metadata='{"k":"%s"}' % CUT))
        self.assertEqual(strict_json(ask(self.server, "GET", "/v1/ns/service", place))["metadata"], {"k": SHOWN})
        label = "CONSUMER.label.%s=PROVIDER.label.%s" % (CUT, CUT)
        self.ok("PUT", "/v1/ns/service", dict(place, protectThreshold=0, metadata='{"k":"\\ude00"}',
                                              selector='{"type":"label","expression":"%s"}' % label))
        shown = strict_json(ask(self.server, "GET", "/v1/ns/service", place))
        self.assertEqual((shown["metadata"], shown["selector"]["labels"]), ({"k": "\ufffd"}, [SHOWN]))
        # Bytes that only the second decoding of a selector brings to light.
        self.ok("PUT", "/v1/ns/service", dict(place, protectThreshold=0, selector=(
            '{"type":"label","expression":"%s"}' % label).replace(CUT, "x%ED%A0%BD")))
        shown = strict_json(ask(self.server, "GET", "/v1/ns/service", place))
        self.assertEqual(shown["selector"]["labels"], ["x\ufffd"])
        self.ok("PUT", "/v1/ns/cluster", dict(place, clusterName="C", checkPort=80, useInstancePort4Check="true",
                                              healthChecker='{"type":"HTTP","path":"/%s","headers":""}' % CUT, metadata='{"k":"%s"}' % CUT))
        cluster = strict_json(ask(self.server, "GET", "/v1/ns/service", place))["clusters"][0]
        self.assertEqual((cluster["metadata"], cluster["healthChecker"]["path"]), ({"k": SHOWN}, "/" + SHOWN))

    def test_switches(self):
        batch = json.dumps({"masters": ["10.0.0.1"]})[:-1] + ',"name":"%s"}' % CUT
        self.ok("PUT", "/v1/ns/operator/switches", {"entry": "batch", "value": batch}, source="127.0.0.9")
        self.assertEqual(strict_json(ask(self.server, "GET", "/v1/ns/operator/switches"))["masters"], ["10.0.0.1"])

    def test_what_is_no_json_stays_none(self):
        for text in ('{"k":"\\ud83"}', '{"k":"\\ud83d\\u"}', '\ufeff{"k":"v"}', '{"k":"\\ud83d}'):
            with self.subTest(text):
                reply = ask(self.server, "POST", INSTANCE, {"serviceName": "none", "ip": "1.1.1.1", "port": 1, "metadata": text})
                self.assertEqual((reply.status, reply.text), (500, "caused: metadata format incorrect:%s;" % text))
        self.assertEqual(self.list("none"), [])


class Sizes(Text):
    """What is shown up to a size ends with a whole character, wherever the size falls."""

    @staticmethod
    def long(begin):
        return "xyz"[:begin] + "😀" * 60

    def test_subscribers(self):
        for begin in range(4):
            text, name = self.long(begin), "sizes%d" % begin
            query = {"serviceName": name, "udpPort": 40000, "clientIP": "127.0.0.1", "app": text}
            agent = ("Nacos-Java-Client:v1.4.8" + text).encode().decode("latin-1")
            self.assertEqual(ask(self.server, "GET", INSTANCE + "/list", query, headers={"User-Agent": agent}).status, 200)
            shown = strict_json(ask(self.server, "GET", "/v1/ns/service/subscribers", {"serviceName": name}))["subscribers"][0]
            self.assertEqual(shown["app"], "xyz"[:begin] + "😀" * ((128 - begin) // 4))
            self.assertEqual(shown["agent"], "Nacos-Java-Client:v1.4.8" + "xyz"[:begin] + "😀" * ((104 - begin) // 4))

    def test_bad_values(self):
        for begin in range(4):
            text = self.long(begin)
            shown = "xyz"[:begin] + "😀" * ((100 - begin) // 4)
            for method, path, query, want in (
                    ("GET", "/v1/ns/catalog/instances", {"serviceName": "s", "clusterName": "c", "pageNo": text, "pageSize": 1},
                     'For input string: "%s"' % shown),
                    ("PUT", "/v1/ns/operator/switches", {"entry": "clientBeatInterval", "value": text},
                     'For input string: "%s"' % shown),
                    ("GET", "/v1/console/namespaces", {"show": "all", "namespaceId": text},
                     "namespace %s is not stored" % ("xyz"[:begin] + "😀" * ((128 - begin) // 4)))):
                reply = ask(self.server, method, path, query, source="127.0.0.9")
                self.assertIn(want, reply.body.decode("utf-8"), path)


class Forms(Text):
    def send(self, method, path, body, charset=None, query=None):
        kind = FORM["Content-Type"] + ("; charset=" + charset if charset is not None else "")
        return ask(self.server, method, path, query, headers={"Content-Type": kind}, body=body)

    def test_charset(self):
        """Of the Content-Type, for every method that has a form, escaped or raw; the query is UTF-8 all the same."""
        for charset in ("GBK", "gbk", '"GBK"', "GB18030", "GB2312"):
            for method, value in (("POST", b"%D6%D0"), ("PUT", b"\xd6\xd0"), ("PATCH", b"%d6%D0100%")):
                with self.subTest(method + " " + charset):
                    reply = self.send(method, INSTANCE, b"ip=10.0.0.1&port=80&metadata=k%3D" + value, charset,
                                      "serviceName=gbk&app=%E4%B8%AD")
                    self.assertEqual((reply.status, reply.text), (200, "ok"))
                    self.assertEqual(self.metadata("gbk"), [{"k": "中100%" if method == "PATCH" else "中"}])
        shown = ask(self.server, "GET", "/v1/ns/catalog/instances",
                    {"serviceName": "gbk", "clusterName": "DEFAULT", "pageNo": 1, "pageSize": 9})
        self.assertEqual(strict_json(shown)["list"][0]["app"], "中")
        beat = '{"ip":"10.0.0.2","port":80,"cluster":"DEFAULT","metadata":{"k":"\\u4e2d 中 \\\\"}}'.encode("shift_jis")
        self.assertEqual(self.send("PUT", INSTANCE + "/beat", b"beat=" + beat, "Shift_JIS", "serviceName=sjis").json["code"], 10200)
        self.assertEqual(self.metadata("sjis"), [{"k": "中 中 \\"}])

    def test_unknown_charset(self):
        """Refused before anything is read: a text that is stored wrongly does not become right again."""
        self.server.register("unknown", "10.0.0.1", 80, metadata='{"k":"v"}')
        for charset in ("nosuch", "", '""', "UTF-16", "utf-7", "ISO-2022-JP", "GBK//TRANSLIT", "../GBK", "x" * 3000, "\xff\xfe"):
            for method, path in (("POST", INSTANCE), ("PUT", INSTANCE), ("PATCH", INSTANCE), ("DELETE", INSTANCE),
                                 ("PUT", INSTANCE + "/beat"), ("POST", "/v1/ns/service"), ("PUT", "/v1/ns/cluster")):
                with self.subTest("%s %s %s" % (method, path, charset[:20])):
                    reply = self.send(method, path, b"ip=10.0.0.1&port=80&metadata=k%3Dw", charset, "serviceName=unknown")
                    self.assertEqual(reply.status, 400)
                    self.assertIn('caused: Content-Type: the charset "', reply.text)
                    reply.body.decode("utf-8")
        self.assertEqual(self.metadata("unknown"), [{"k": "v"}])

    def last_beat(self, name):
        reply = ask(self.server, "GET", "/v1/ns/catalog/instances", {"serviceName": name, "clusterName": "DEFAULT", "pageNo": 1, "pageSize": 9})
        return [row["lastBeat"] for row in reply.json["list"]]

    def test_go_client(self):
        """It escapes what it registers and sends its beats as they are: a percent sign stands for itself."""
        for name, text in (("go", "100%"), ("go2", "%zz %4 50% %"), ("go3", "a=b%")):
            metadata = json.dumps({"load": text}, separators=(",", ":"))
            body = urllib.parse.urlencode({"serviceName": "DEFAULT_GROUP@@" + name, "ip": "10.0.0.1", "port": 80, "weight": 1.0,
                                           "metadata": metadata, "ephemeral": "true", "clusterName": "DEFAULT"})
            self.assertEqual(self.send("POST", INSTANCE, body.encode()).text, "ok")
            self.assertEqual(self.metadata(name), [{"load": text}])
            beat = '{"ip":"10.0.0.1","port":80,"weight":1,"serviceName":"DEFAULT_GROUP@@%s","cluster":"DEFAULT","metadata":%s,' \
                   '"scheduled":false}' % (name, metadata)
            beat = ("beat=%s&namespaceId=public&serviceName=DEFAULT_GROUP@@%s" % (beat, name)).encode()
            born = self.last_beat(name)

            def goes_on(beat=beat, name=name, born=born):
                reply = self.send("PUT", INSTANCE + "/beat", beat)
                self.assertEqual((reply.status, reply.json["code"]), (200, 10200))
                return self.last_beat(name) > born
            wait_until(goes_on, 10, "a later last beat")
            # And when the server has lost it.
            self.ok("DELETE", INSTANCE, {"serviceName": name, "ip": "10.0.0.1", "port": 80})
            self.assertEqual(self.send("PUT", INSTANCE + "/beat", beat).json["code"], 10200)
            self.assertEqual(self.metadata(name), [{"load": text}])

    def test_percent_in_a_query(self):
        """Where 1.4.8 leaves the parameter out: a request that does less than it says is refused."""
        for text in ("100%", "%zz", "%4", "%"):
            reply = ask(self.server, "POST", INSTANCE, "serviceName=query&ip=10.0.0.1&port=80&metadata=k%3D" + text)
            self.assertEqual((reply.status, reply.text), (400, "caused: Malformed percent escape in the parameters;"))
        self.assertEqual(self.list("query"), [])


LIST = "/v1/ns/instance/list"
MALICIOUS = 'The request was rejected because the URL contained a potentially malicious String "%s"'


class Paths(Text):
    """As recorded of a 1.4.8: its container decodes, the firewall behind it refuses what two programs could read differently."""

    READ = ("/nacos/v1/ns/%69nstance/list", "/nacos/%761/n%73/instance/lis%74/", "/%6Eacos/v1/ns/instance/list")
    UNKNOWN = ("/nacos/v1/ns/%49nstance/list", "/nacos/v1/ns/instance/list%20", "/nacos/v1/ns/instance/list%3fa", "/nacos/v1/%6es/nosuch")
    CONTAINER = ("/nacos/v1/ns/instance%2flist", "/nacos/v1/ns/instance%5Clist", "/nacos/v1/ns/instance\\list", "/nacos/v1/ns/instance%00",
                 "/nacos/v1/ns/instance%", "/nacos/v1/ns/instance%zz", "/../nacos/v1/ns/instance/list", "/zz%2F")
    OUTSIDE = ("/zz%2e", "/zz;a", "/zz//a", "/NACOS" + LIST, "/nacos%20" + LIST, "/nacos/../zz")
    FIREWALL = (("/nacos/v1/ns//instance/list", "//"), ("//nacos" + LIST, "//"), ("/nacos//", "//"),
                ("/nacos/v1/ns/instance;a=b/list", ";"),
                ("/nacos/v1/ns/instance/list%3b", "%3b"), ("/nacos/v1/ns/%2e/instance/list", "%2e"), ("/x/%2E./nacos" + LIST, "%2E"),
                ("/nacos/v1/ns/%2569nstance/list", "%25"), ("/nacos/v1/ns/instance%0D%0aX", "%0a"))
    DOTS = ("/nacos/v1/ns/./instance/list", "/nacos/v1/ns/x/../instance/list", "/x/../nacos" + LIST, "/nacos/v1/ns/instance/list/..")

    def get(self, target):
        conn = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=roster.HUNG_S)
        try:
            conn.putrequest("GET", target + "?serviceName=paths")
            conn.endheaders()
            answer = conn.getresponse()
            return answer.status, answer.read().decode("utf-8")
        finally:
            conn.close()

    def test_spellings(self):
        self.server.register("paths", "10.0.0.1", 80)
        for target in self.READ:
            status, text = self.get(target)
            self.assertEqual((status, len(json.loads(text)["hosts"])), (200, 1), target)
        for targets, status, said in ((self.UNKNOWN, 501, "no such api:GET:"), (self.CONTAINER, 400, "<h1>HTTP Status 400"),
                                      (self.OUTSIDE, 404, "<h1>HTTP Status 404"),
                                      (self.DOTS, 500, "The request was rejected because the URL was not normalized.")):
            for target in targets:
                with self.subTest(target):
                    got, text = self.get(target)
                    self.assertEqual(got, status)
                    self.assertIn(said, text)
        for target, what in self.FIREWALL:
            with self.subTest(target):
                status, text = self.get(target)
                self.assertEqual((status, json.loads(text)["message"], json.loads(text)["path"]), (500, MALICIOUS % what, target))

    def test_limits_hold_in_every_spelling(self):
        set_limit = {"entry": "batch", "value": json.dumps({"limitedUrlMap": {"/nacos" + LIST + "?serviceName=p": 429}})}
        self.ok("PUT", "/v1/ns/operator/switches", set_limit, source="127.0.0.9")
        try:
            for target in self.READ + ("/nacos" + LIST, "/nacos" + LIST + "/", "http://x/nacos" + LIST):
                self.assertEqual(self.get(target), (429, ""), target)
            self.assertEqual(ask(self.server, "GET", LIST, "serviceName=other").status, 200)
        finally:
            self.ok("PUT", "/v1/ns/operator/switches", {"entry": "batch", "value": "{}"}, source="127.0.0.9")

    def test_operators_in_every_spelling(self):
        for path in ("/v1/ns/%6fperator/switches", "/v1/ns/op%73/switches/", "/v1/ns/operator/%73witches"):
            query = {"entry": "pushEnabled", "value": "true"}
            self.assertEqual(ask(self.server, "PUT", path, query).status, 403, path)
            self.ok("PUT", path, query, source="127.0.0.9")


class Addresses(Text):
    PORT = 40000    # of nobody: what is asked here is how it is shown

    def subscribed(self, name):
        reply = strict_json(ask(self.server, "GET", "/v1/ns/service/subscribers", {"serviceName": name}))
        return [row["addrStr"] for row in reply["subscribers"]]

    def subscribe(self, name, text, source="127.0.0.1"):
        reply = ask(self.server, "GET", LIST, {"serviceName": name, "clientIP": text, "udpPort": self.PORT}, source=source, headers=roster.JAVA)
        return reply.json["cacheMillis"]

    def test_client_addresses(self):
        for n, (text, shown, interval) in enumerate((
                ("", "127.0.0.1", 10000), ("127.0.0.1", "127.0.0.1", 10000), ("127.0.0.7", "127.0.0.7", 10000), ("::1", "::1", 10000),
                ("[::1]", "::1", 10000), ("0:0:0:0:0:0:0:1%lo", "::1", 10000), ("::ffff:127.0.0.1", "127.0.0.1", 10000),
                ("[FD00::1]", "fd00::1", 3000), ("fd00:0::1%eth0", "fd00::1", 3000), ("fe80::1%eth0", "fe80::1", 3000),
                ("localhost", None, 3000), ("127.1", None, 3000), ("010.0.0.1", None, 3000), ("[127.0.0.1]", None, 3000), ("[::1", None, 3000))):
            with self.subTest(text):
                name = "client%d" % n
                self.assertEqual(self.subscribe(name, text), interval)
                self.assertEqual(self.subscribed(name), [] if shown is None else ["%s:%d" % (shown, self.PORT)])

    def test_one_address_is_one_subscriber(self):
        for text in ("::1", "[::1]", "0:0:0:0:0:0:0:1", "::1%lo"):
            self.subscribe("one", text)
        self.assertEqual(self.subscribed("one"), ["::1:%d" % self.PORT])

    def test_instances_are_texts(self):
        """As there: each spelling that was registered is an instance. The console finds it with brackets or without."""
        texts = ("fd00::1", "FD00::1", "fd00:0:0:0:0:0:0:1", "[fd00::1]", "1.2.3.4", "::ffff:1.2.3.4")
        for ip in texts:
            self.server.register("texts", ip, 80)
        self.server.register("texts", " 1.2.3.4 ", 80)
        self.assertEqual(sorted(host["ip"] for host in self.list("texts")), sorted(texts))
        self.server.register("bracket", "[fd00::9]", 80)
        self.server.register("bare", "fd00::9", 80)
        for text, count in (("fd00::9", 2), ("[fd00::9]", 2), ("[fd00::9]:80", 2), ("[fd00::9]:81", 0), ("FD00::9", 0), ("1.2.3.4:80", 1)):
            shown = ask(self.server, "GET", "/v1/ns/catalog/services", {"pageNo": 1, "pageSize": 9, "instance": text})
            self.assertEqual(strict_json(shown)["count"], count, text)

    def test_numbers(self):
        """As recorded, but for digits of other scripts, which are refused."""
        for field, value, status in (("port", "+80", 200), ("port", " 80 ", 200), ("port", "080", 200), ("port", "80.0", 400), ("port", "1e3", 400),
                                     ("port", "0x10", 400), ("port", "2147483648", 400), ("port", "8_0", 400), ("port", "８０", 400),
                                     ("port", "٨٠", 400), ("port", "\u00a080", 400), ("weight", "1e0", 200), ("weight", "0x1p0", 200),
                                     ("weight", "1d", 200), ("weight", " 1 ", 200), ("weight", "１", 400), ("weight", "1,0", 400)):
            with self.subTest(field + "=" + value):
                query = dict({"serviceName": "numbers", "ip": "1.1.1.1", "port": 80, "weight": 1}, **{field: value})
                self.assertEqual(ask(self.server, "POST", INSTANCE, query).status, status)
                if status == 200:
                    self.assertEqual([(h["port"], h["weight"]) for h in self.list("numbers")], [(80, 1.0)])


FAR = """
import http.client, json, socket, sys
host, port, me = sys.argv[1], int(sys.argv[2]), sys.argv[3]
push = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
push.bind(("0.0.0.0", 0))
push.settimeout(20)
conn = http.client.HTTPConnection(host, port, timeout=10)
conn.request("GET", "/nacos/v1/ns/instance/list?serviceName=far&clientIP=%s&udpPort=%d" % (me, push.getsockname()[1]),
             headers={"User-Agent": "Nacos-Java-Client:v1.4.2"})
interval = json.loads(conn.getresponse().read())["cacheMillis"]
conn.request("POST", "/nacos/v1/ns/instance?serviceName=far&ip=10.0.0.1&port=80")
conn.getresponse().read()
print(json.dumps([interval, push.recvfrom(65536)[1][0]]))
"""


@unittest.skipUnless(os.geteuid() == 0 and shutil.which("ip"), "needs root and iproute2")
class OtherHost(unittest.TestCase):
    """A client in a network namespace of its own, as good as another host."""

    def setUp(self):
        self.space, self.link = "roster-%d" % os.getpid(), "rt%d" % os.getpid()
        self.ip("netns", "add", self.space)
        self.addCleanup(self.ip, "netns", "del", self.space)
        self.ip("link", "add", self.link, "type", "veth", "peer", "name", "far", "netns", self.space)
        # A block for tests between networks (RFC 2544), and within it a pair of our own.
        self.here, self.there = ("198.18.%d.%d" % (os.getpid() >> 6 & 255, (os.getpid() & 63) * 4 + n) for n in (1, 2))
        self.ip("addr", "add", self.here + "/30", "dev", self.link)
        self.ip("link", "set", self.link, "up")
        self.ip("-n", self.space, "addr", "add", self.there + "/30", "dev", "far")
        self.ip("-n", self.space, "link", "set", "far", "up")

    @staticmethod
    def ip(*words):
        subprocess.run(("ip",) + words, check=True, stdin=subprocess.DEVNULL)

    def test_loopback_of_another_host(self):
        """No address, or one that only means "me": pushes go where the request came from."""
        with Server(**{"listen.address": "0.0.0.0", "push.delay": "100ms"}) as server:
            for me in ("", "127.0.0.1", "[::1]", self.there):
                with self.subTest(me):
                    done = subprocess.run(["ip", "netns", "exec", self.space, sys.executable, "-c", FAR, self.here, str(server.port), me],
                                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
                    self.assertEqual(done.returncode, 0, done.stderr)
                    self.assertEqual(json.loads(done.stdout), [10000, self.here])
            shown = ask(server, "GET", "/v1/ns/service/subscribers", {"serviceName": "far"}).json["subscribers"]
            self.assertEqual({row["ip"] for row in shown}, {self.there})


if __name__ == "__main__":
    roster.main()
