#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# needs nginx iproute2
"""doc/migration.md, word for word: its nginx and its configuration, in network namespaces that have its addresses.

The fleet (10.1.0.0/16) reaches the machine of nginx (10.0.0.10), which also routes to the one of Roster (10.0.0.11) and
of the old server (10.0.0.12). Needs root, as in CI."""
import contextlib
import ctypes
import http.client
import http.server
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import unittest
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))
import roster  # noqa: E402

CLONE_NEWNET = 0x40000000
NGINX, ROSTER, OLD, CLIENT = "10.0.0.10", "10.0.0.11", "10.0.0.12", "10.1.0.5"
PORT = 8848
PUSHED, POLLS = 10000, 3000     # cacheMillis of a list: pushes are sent; the client has to ask
# Characters that a proxy which decodes and encodes again would spoil.
AWKWARD = {"a": "1+1=2&x", "b": "50%", "c": "a/b//c", "d": "{\"é\":[1]}", "e": "%2F%25"}


def blocks(kind):
    """The code blocks of that kind in the page, by the first word of their first line."""
    with open(os.path.join(roster.TOP, "doc", "migration.md"), encoding="utf-8") as f:
        found = re.findall(r"^```%s\n(.*?)^```$" % kind, f.read(), re.M | re.S)
    return {re.sub(r"\W", "", block.split()[0] if block[0] != "#" else block.split()[1]): block for block in found}


def run(*command):
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


class Networks:
    """Three machines: edge (nginx, the router), core (the servers), fleet (a client)."""

    def __init__(self):
        self.names = {word: "roster-%s-%d" % (word, os.getpid()) for word in ("edge", "core", "fleet")}
        self.libc = ctypes.CDLL(None, use_errno=True)

    def __enter__(self):
        try:
            for name in self.names.values():
                run("ip", "netns", "add", name)
                self.ip(name, "link", "set", "lo", "up")
            self.wire("core", [ROSTER + "/24", OLD + "/24"], NGINX + "/24", NGINX)
            self.wire("fleet", [CLIENT + "/16"], "10.1.0.1/16", "10.1.0.1")
            with self.inside("edge"), open("/proc/sys/net/ipv4/ip_forward", "w") as f:
                f.write("1")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for name in self.names.values():
            subprocess.run(["ip", "netns", "del", name], stdin=subprocess.DEVNULL)

    @staticmethod
    def ip(name, *command):
        run("ip", "-n", name, *command)

    def wire(self, word, addresses, other, gateway):
        """A cable from that machine to the edge."""
        here, edge = self.names[word], self.names["edge"]
        self.ip(here, "link", "add", "eth0", "type", "veth", "peer", "name", word, "netns", edge)
        for address in addresses:
            self.ip(here, "address", "add", address, "dev", "eth0")
        self.ip(edge, "address", "add", other, "dev", word)
        self.ip(here, "link", "set", "eth0", "up")
        self.ip(edge, "link", "set", word, "up")
        self.ip(here, "route", "add", "default", "via", gateway)

    def run_in(self, word):
        """Before a command: it runs on that machine, under the process id that was asked for."""
        return ["nsenter", "--net=/run/netns/" + self.names[word]]

    @contextlib.contextmanager
    def inside(self, word):
        """Sockets that this thread makes meanwhile belong to that machine."""
        with open("/proc/thread-self/ns/net") as back, open("/run/netns/" + self.names[word]) as there:
            self.set(there)
            try:
                yield
            finally:
                self.set(back)

    def set(self, file):
        if self.libc.setns(file.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")


class Machine(roster.Server):
    """rosterd at an address of the core."""

    def __init__(self, networks, address, config=None):
        super().__init__(**{"listen.address": address, "listen.port": str(PORT), "node.address": address, "push.delay": "10ms"})
        self.networks, self.address = networks, address
        if config is not None:
            with open(self.folder + "/roster.yaml", "w", encoding="utf-8") as f:
                f.write(config)
            self.args += ["-c", self.folder + "/roster.yaml"]

    def command(self):
        return self.networks.run_in("core") + super().command()

    def request(self, *args, **more):
        return ask(self.networks, "core", self.address, *args, **more)

    def subscribers(self, service, **more):
        return self.request("GET", "/v1/ns/service/subscribers",
                            dict({"serviceName": service, "pageNo": 1, "pageSize": 10}, **more)).json["subscribers"]


def ask(networks, word, host, method, path, query=None, headers=None, body=None):
    """A request on a connection of its own, from that machine."""
    target = "/nacos" + path
    if query:
        target += "?" + (query if isinstance(query, str) else urllib.parse.urlencode(query))
    with networks.inside(word):
        conn = http.client.HTTPConnection(host, PORT, timeout=10)
        conn.connect()
    with contextlib.closing(conn):
        conn.request(method, target, body=body, headers=headers or {})
        answer = conn.getresponse()
        return roster.Reply(answer.status, answer.headers, answer.read())


class Fleet:
    """A client of the fleet, which knows the address of nginx only."""

    def __init__(self, networks, host=NGINX):
        self.networks, self.host = networks, host

    def request(self, *args, **more):
        return ask(self.networks, "fleet", self.host, *args, **more)

    def subscribe(self, service, **more):
        with self.networks.inside("fleet"):
            return roster.Subscriber(self, service, address=CLIENT, **dict({"clientIP": CLIENT}, **more))

    def beat(self, service, ip):
        """A full one, as a form."""
        beat = json.dumps({"serviceName": "DEFAULT_GROUP@@" + service, "ip": ip, "port": 80, "cluster": "DEFAULT", "weight": 1,
                           "metadata": AWKWARD})
        query = {"serviceName": "DEFAULT_GROUP@@" + service, "ip": ip, "port": 80, "clusterName": "DEFAULT"}
        return self.request("PUT", "/v1/ns/instance/beat", query, {"Content-Type": "application/x-www-form-urlencoded"},
                            urllib.parse.urlencode({"beat": beat}))


class Stub:
    """The old server as far as it is kept: answers everything, and remembers what it was asked."""

    def __init__(self, networks):
        self.asked, asked = [], []
        self.asked = asked

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                asked.append((self.command, self.path))
                self.send_response(200)
                self.send_header("Content-Length", "3")
                self.end_headers()
                self.wfile.write(b"old")

            do_GET = do_POST = do_PUT = do_DELETE = answer

            def log_message(self, *_):
                pass

        with networks.inside("core"):
            self.server = http.server.ThreadingHTTPServer((OLD, PORT), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class Nginx:
    """With a block of the page in the place where /etc/nginx/conf.d is included."""
    FRAME = """worker_processes 1; daemon off; user root; pid %(f)s/pid; error_log %(f)s/error; events { }
http { access_log off; client_body_temp_path %(f)s/1; proxy_temp_path %(f)s/2; fastcgi_temp_path %(f)s/3; uwsgi_temp_path %(f)s/4;
scgi_temp_path %(f)s/5; include %(f)s/block; }
"""

    def __init__(self, networks, block):
        self.networks, self.block = networks, block

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="roster-nginx-")
        for name, text in (("conf", self.FRAME % {"f": self.folder}), ("block", self.block)):
            with open(os.path.join(self.folder, name), "w", encoding="utf-8") as f:
                f.write(text)
        self.proc = subprocess.Popen(self.networks.run_in("edge") + ["nginx", "-p", self.folder, "-c", self.folder + "/conf", "-e",
                                                                   self.folder + "/error"], stdin=subprocess.DEVNULL)
        try:
            roster.wait_until(self.answers, 10, "nginx answers")
        except BaseException:
            self.__exit__()
            raise
        return self

    def answers(self):
        if self.proc.poll() is not None:
            raise AssertionError("nginx ended: " + self.errors())
        with contextlib.suppress(OSError):
            return ask(self.networks, "fleet", NGINX, "GET", "/hello").status
        return None

    def errors(self):
        with open(self.folder + "/error", encoding="utf-8") as f:
            return f.read()

    def __exit__(self, *_):
        if self.proc.poll() is None:
            self.proc.terminate()
            self.proc.wait(20)
        shutil.rmtree(self.folder, ignore_errors=True)


class Migration(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.networks = Networks()
        cls.networks.__enter__()
        cls.nginx, cls.yaml = blocks("nginx"), blocks("yaml")

    @classmethod
    def tearDownClass(cls):
        cls.networks.__exit__()

    def test_split(self):
        """Naming goes to Roster, unspoilt, and everything else to the old server."""
        with Machine(self.networks, ROSTER) as server, Stub(self.networks) as stub, Nginx(self.networks, self.nginx["split"]):
            fleet = Fleet(self.networks)
            stub.asked.clear()
            rest = [("GET", "/v1/cs/configs?dataId=a&group=b"), ("POST", "/v1/cs/configs/listener"), ("POST", "/v1/auth/login"),
                    ("POST", "/v1/auth/users/login"), ("GET", "/v1/console/namespaces"), ("GET", "/"), ("GET", "/v1/nsx")]
            for method, path in rest:
                self.assertEqual(fleet.request(method, path).text, "old", path)
            self.assertEqual(stub.asked, [(method, "/nacos" + path) for method, path in rest])
            reply = fleet.request("POST", "/v1/ns/instance", {"serviceName": "G@@kept", "ip": "10.1.0.9", "port": 80,
                                                              "metadata": json.dumps(AWKWARD)})
            self.assertEqual(reply.text, "ok")
            self.assertEqual(fleet.beat("form", "10.1.0.8").status, 200)
            for service in ("G@@kept", "form"):
                hosts = fleet.request("GET", "/v1/ns/instance/list", {"serviceName": service}).json["hosts"]
                self.assertEqual([host["metadata"] for host in hosts], [AWKWARD])
            # Not escaped by the Go client.
            raw = fleet.request("GET", "/v1/ns/instance/list", 'serviceName=G@@kept&x={"a":[1]}')
            self.assertEqual(len(raw.json["hosts"]), 1)
            # As it came: nginx would make one slash of two.
            self.assertEqual(fleet.request("GET", "/v1/ns//instance/list", "serviceName=s").status, 500)
            self.assertEqual(len(stub.asked), len(rest))
            self.assertEqual(server.metrics()["instanceCount"], 2)

    def test_connections_are_kept(self):
        with Machine(self.networks, ROSTER) as server, Stub(self.networks), Nginx(self.networks, self.nginx["split"]):
            fleet = Fleet(self.networks)
            before = server.counter("roster_http_connections_total")
            for number in range(60):
                self.assertEqual(fleet.beat("kept", "10.1.1.%d" % number).status, 200)
            # One of nginx, and one that asks for the counter.
            self.assertLessEqual(server.counter("roster_http_connections_total") - before, 2)
            # The Java client closes after five seconds unless it is told more.
            reply = fleet.request("GET", "/v1/ns/operator/metrics", headers={"Connection": "keep-alive"})
            self.assertEqual(reply.headers["Keep-Alive"], "timeout=60")

    def pushed(self, server, fleet):
        """Does a change reach a subscriber that polls through nginx? Its poll says before whether it will."""
        subscriber = fleet.subscribe("pushed")
        promised = subscriber.poll()["cacheMillis"] == PUSHED
        rounds = server.counter("roster_push_rounds_total")
        reply = fleet.request("POST", "/v1/ns/instance", {"serviceName": "pushed", "ip": "10.1.0.9", "port": 80})
        self.assertEqual(reply.text, "ok")
        if promised:
            _, data, sender = subscriber.receive(10)
            self.assertEqual([host["ip"] for host in data["hosts"]], ["10.1.0.9"])
            self.assertEqual(sender, (ROSTER, PORT))
            roster.wait_until(lambda: server.counter("roster_push_ok_total") == 1, 10, "the ACK came in")
        else:
            rows = server.subscribers("pushed", detail="true")
            self.assertEqual([(row["source"], row["push"], row["reason"]) for row in rows], [(NGINX, False, "untrusted")])
            roster.wait_until(lambda: server.counter("roster_push_rounds_total") > rounds, 10, "the change was looked at")
            self.assertEqual(server.counter("roster_push_total"), 0)
        subscriber.close()
        return promised

    def test_pushes_need_trust(self):
        with Machine(self.networks, ROSTER) as server, Stub(self.networks), Nginx(self.networks, self.nginx["split"]):
            self.assertFalse(self.pushed(server, Fleet(self.networks)))

    def test_trusted(self):
        with Machine(self.networks, ROSTER, self.yaml["push"]) as server, Stub(self.networks), \
                Nginx(self.networks, self.nginx["split"]):
            fleet, direct = Fleet(self.networks), Fleet(self.networks, ROSTER)
            # Nginx may name addresses of the fleet only; the fleet itself only its own.
            for through, claimed in ((fleet, "10.2.0.5"), (fleet, NGINX[:-1] + "3"), (direct, "10.1.0.6")):
                subscriber = through.subscribe("other", clientIP=claimed)
                self.assertEqual(subscriber.poll()["cacheMillis"], POLLS, claimed)
                subscriber.close()
            self.assertTrue(self.pushed(server, fleet))

    def test_forwarded_for_is_not_believed(self):
        with Machine(self.networks, ROSTER) as server, Stub(self.networks), Nginx(self.networks, self.nginx["split"]):
            fleet = Fleet(self.networks)
            for header in ("X-Forwarded-For", "X-Real-IP", "Forwarded"):
                for address in ("127.0.0.1", "for=127.0.0.1"):
                    reply = fleet.request("PUT", "/v1/ns/operator/switches", "entry=checkTimes&value=5", {header: address})
                    self.assertEqual(reply.status, 403)
                reply = fleet.request("GET", "/v1/ns/instance/list",
                                      {"serviceName": "s", "clientIP": CLIENT, "udpPort": 54321},
                                      dict(roster.JAVA, **{header: CLIENT}))
                self.assertEqual(reply.json["cacheMillis"], POLLS)

    def test_without_a_gap(self):
        """The old server answers, Roster hears the writes; after the change-over every instance is there already."""
        fleet = Fleet(self.networks)
        with Machine(self.networks, ROSTER, self.yaml["push"]) as server, Machine(self.networks, OLD) as old:
            ask(self.networks, "core", OLD, "GET", "/hello")
            with Nginx(self.networks, self.nginx["mirror"]):
                for number in range(20):
                    self.assertEqual(fleet.beat("moved", "10.1.2.%d" % number).status, 200)
                self.assertEqual(fleet.request("POST", "/v1/ns/instance", {"serviceName": "moved", "ip": "10.1.2.99", "port": 80,
                                                                           "metadata": json.dumps(AWKWARD)}).text, "ok")
                self.assertEqual(fleet.request("DELETE", "/v1/ns/instance",
                                               {"serviceName": "moved", "ip": "10.1.2.0", "port": 80}).text, "ok")
                want = sorted("10.1.2.%d" % number for number in list(range(1, 20)) + [99])
                fleet.subscribe("moved").close()
                for machine in (old, server):
                    roster.wait_until(lambda m=machine: sorted(h["ip"] for h in m.hosts("moved")) == want, 10,
                                      "all of them at " + machine.address)
                self.assertEqual({json.dumps(h["metadata"], sort_keys=True) for h in server.hosts("moved")},
                                 {json.dumps(AWKWARD, sort_keys=True)})
                # Lists are the old server's business: nobody is subscribed twice.
                self.assertEqual(server.subscribers("moved"), [])
            with Nginx(self.networks, self.nginx["split"]):
                found = fleet.request("GET", "/v1/ns/instance/list", {"serviceName": "moved"}).json["hosts"]
                self.assertEqual(sorted(h["ip"] for h in found), want)
                self.assertTrue(self.pushed(server, fleet))

    def test_nobody_waits_for_the_copy(self):
        """A Roster that stands still takes no beat from the old server: nginx reads the next request when the copy is answered."""
        with Machine(self.networks, ROSTER) as server, Machine(self.networks, OLD) as old:
            with Nginx(self.networks, self.nginx["mirror"]), self.networks.inside("fleet"):
                conn = http.client.HTTPConnection(NGINX, PORT, timeout=20)     # the old server removes after 30 s
                conn.connect()
                stopped = [server.proc.pid] + server.children()
                for pid in stopped:
                    os.kill(pid, signal.SIGSTOP)
                try:
                    for number in range(4):
                        conn.request("POST", "/nacos/v1/ns/instance?serviceName=beside&ip=10.1.3.%d&port=80" % number)
                        self.assertEqual(conn.getresponse().read(), b"ok")
                finally:
                    for pid in stopped:
                        os.kill(pid, signal.SIGCONT)
                    conn.close()
            self.assertEqual(len(old.hosts("beside")), 4)

    def test_the_page_has_no_other_blocks(self):
        self.assertEqual(sorted(self.nginx), ["mirror", "split"])
        self.assertEqual(sorted(self.yaml), ["push"])


if __name__ == "__main__":
    roster.main()
