#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What is asked before the first naming call: the pages, this node as a cluster of one, is it ready?"""
import html.parser
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))
import roster  # noqa: E402


class Page(html.parser.HTMLParser):
    """Every element is closed in the right order; remembers what it saw."""
    VOID = ("meta", "br", "hr", "link", "img")

    def __init__(self, text):
        super().__init__()
        self.open, self.seen, self.links, self.text = [], [], [], ""
        self.declaration = None
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_decl(self, decl):
        assert not self.seen
        self.declaration = decl

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.links += [value for name, value in attrs if name == "href"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, (tag, self.open)
        self.open.pop()

    def handle_data(self, data):
        self.text += data


class Pages(unittest.TestCase):
    def looks_right(self, text):
        page = Page(text)
        self.assertEqual(page.declaration, "doctype html")
        for tag in ("html", "head", "title", "body", "meta"):
            self.assertEqual(page.seen.count(tag), 1, tag)
        self.assertNotIn("script", page.seen)
        return page

    def test_pages(self):
        version = subprocess.run([roster.ROSTERD, "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
        for context in ("/nacos", "/a/b", "/"):
            with roster.Server(workers=1, **{"context.path": context}) as server:
                pages = [server.request("GET", path) for path in ("/", "/index.html")]
                for reply in pages:
                    self.assertEqual((reply.status, reply.headers["Content-Type"]), (200, "text/html;charset=UTF-8"))
                self.assertEqual(pages[0].body, pages[1].body)
                page = self.looks_right(pages[0].text)
                self.assertIn(version, page.text)
                self.assertGreaterEqual(len(page.links), 3)
                for link in page.links:
                    self.assertNotRegex(link, "^/|^[a-z]+:")
                    self.assertEqual(server.request("GET", "/" + link).status, 200, link)
                for path in ("/", "/index.html", "/api.html"):
                    whole, head = server.request("GET", path), server.request("HEAD", path)
                    self.assertEqual((head.status, head.body, int(head.headers["Content-Length"])), (200, b"", len(whole.body)))

    def test_api_page(self):
        """All routes, each as the node answers it."""
        printed = subprocess.run([roster.ROSTERD, "--print-api"], capture_output=True, text=True, check=True).stdout
        rows = re.findall(r"^\| ([A-Z]+) \| `/nacos(/[^`]*)` \|", printed, re.M)
        for context, prefix in (("/registry", "/registry"), ("/", "")):
            with roster.Server(workers=1, **{"context.path": context}) as server:
                text = server.request("GET", "/api.html").text
            self.looks_right(text)
            self.assertEqual(re.findall(r"<tr><td>([A-Z]+)</td><td>%s(/[^<]*)</td>" % prefix, text), rows)
            self.assertEqual(re.findall(r"<li>%s(/[^<]*)</li>" % prefix, text), re.findall(r"^- `/nacos(/[^`]*)`$", printed, re.M))

    def test_redirect(self):
        with roster.Server(workers=1) as server:
            for method in ("GET", "HEAD", "POST"):
                for query in (None, "a=b&c=%20"):
                    reply = server.request(method, "", query)
                    self.assertEqual((reply.status, reply.body, reply.headers["Content-Length"]), (302, b"", "0"))
                    self.assertEqual(reply.headers["Location"], "/nacos/" + ("?" + query if query else ""))
            # The container's, from before the application.
            self.assertIsNone(server.request("GET", "").headers["Content-Security-Policy"])


def everything(value):
    """All texts in it; one that holds JSON is looked into."""
    if isinstance(value, str) and value.startswith("{"):
        value = json.loads(value)
    if isinstance(value, (dict, list)):
        return [text for inner in (value.values() if isinstance(value, dict) else value) for text in everything(inner)]
    return [value] if isinstance(value, str) else []


class Node(unittest.TestCase):
    """One node, and it is up."""
    @classmethod
    def setUpClass(cls):
        cls.server = roster.Server(workers=1, **{"node.address": "192.0.2.7"})
        cls.server.__enter__()
        cls.address = "192.0.2.7:%d" % cls.server.port

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__(None, None, None)

    def data(self, path, query=None):
        reply = self.server.request("GET", path, query)
        self.assertEqual((reply.status, reply.headers["Content-Type"]), (200, "application/json"), path)
        answer = reply.json
        self.assertEqual(list(answer), ["code", "message", "data"])
        self.assertEqual((answer["code"], answer["message"]), (200, None))
        return answer["data"]

    def is_self(self, member):
        self.assertEqual(list(member), ["ip", "port", "state", "extendInfo", "address", "failAccessCnt"])
        self.assertEqual(list(member["extendInfo"]), ["lastRefreshTime", "raftPort", "version"])
        self.assertEqual((member["ip"], member["port"], member["state"], member["address"], member["failAccessCnt"]),
                         ("192.0.2.7", self.server.port, "UP", self.address, 0))
        self.assertEqual(member["extendInfo"]["raftPort"], str(self.server.port - 1000))

    def test_self(self):
        for path in ("/v1/core/cluster/self", "/v1/core/cluster/node/self"):
            self.is_self(self.data(path))

    def test_health(self):
        for path in ("/v1/core/cluster/health", "/v1/core/cluster/node/self/health"):
            self.assertEqual(self.data(path), "UP")

    def test_nodes(self):
        for query in (None, "withInstances=false&pageNo=1&pageSize=10&keyword=", "withInstances=true&pageNo=9&pageSize=1",
                      "keyword=%20", "keyword=192.", "keyword=" + self.address):
            members = self.data("/v1/core/cluster/nodes", query)
            self.assertEqual(len(members), 1, query)
            self.is_self(members[0])
        for query in ("keyword=2.7", "keyword=192x", "keyword=%s0" % self.address):
            self.assertEqual(self.data("/v1/core/cluster/nodes", query), [])

    def test_any_text_as_address(self):
        """node.address is a text of the operator's: whatever it is, the answers are JSON."""
        text = 'a "quoted" \\name'
        with roster.Server(workers=1, **{"node.address": text}) as server:
            server.register("s", "10.0.0.1", 80)
            for path in ("/v1/core/cluster/nodes", "/v1/core/cluster/self", "/v1/core/cluster/simple/nodes", "/v1/ns/raft/peer",
                         "/v1/ns/raft/leader", "/v1/ns/raft/state", "/v1/ns/operator/servers", "/v1/ns/operator/cluster/state",
                         "/v1/ns/operator/distro/server?serviceName=s"):
                self.assertIn("%s:%d" % (text, server.port), everything(server.request("GET", path).json), path)

    def test_simple_nodes(self):
        self.assertEqual(self.data("/v1/core/cluster/simple/nodes"), [self.address])

    def test_not_there(self):
        """What the original answers to members only, or not at all."""
        for method, path in (("GET", "/v1/core/cluster/server/list"), ("GET", "/v1/cs/configs"), ("POST", "/v1/cs/configs/listener"),
                             ("GET", "/v2/core/cluster/node/self")):
            self.assertEqual(self.server.request(method, path).status, 404, path)
        for path in ("/v1/core/cluster/report", "/v1/ns/raft/vote"):
            self.assertEqual(self.server.request("POST", path).status, 501)

    def test_election(self):
        """The one peer leads itself."""
        peer = {"ip": self.address, "voteFor": self.address, "term": 1, "leaderDueMs": 15000, "heartbeatDueMs": 5000,
                "state": "LEADER"}
        self.assertEqual(self.server.request("GET", "/v1/ns/raft/peer").json, peer)
        leader = self.server.request("GET", "/v1/ns/raft/leader").json
        self.assertEqual(list(leader), ["leader"])
        self.assertEqual(json.loads(leader["leader"]), peer)
        self.server.register("elected", "10.0.0.1", 80)
        reply = self.server.request("GET", "/v1/ns/raft/state")
        self.assertEqual(reply.headers["Content-Type"], "application/json;charset=UTF-8")
        self.assertEqual(reply.json, {"services": 1, "peers": [peer]})

    def test_probes(self):
        for path in ("/actuator/health", "/actuator/health/liveness", "/actuator/health/readiness"):
            reply = self.server.request("GET", path)
            self.assertEqual((reply.status, reply.json), (200, {"status": "UP"}))


class Stopping(unittest.TestCase):
    @staticmethod
    def in_hand(server, path):
        """A connection with a request that is not whole yet: a worker that stops still answers it."""
        conn = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        conn.connect()
        conn.sock.sendall(("GET /nacos%s HTTP/1.1\r\nHost: a\r\n" % path).encode())
        return conn

    @staticmethod
    def finish(conn):
        conn.sock.sendall(b"\r\n")
        answer = http.client.HTTPResponse(conn.sock)
        answer.begin()
        answer.read()
        conn.close()
        return answer.status

    def test_not_ready(self):
        """Nobody should come here any more; the process is alive."""
        with roster.Server(workers=1) as server:
            spare = [self.in_hand(server, "/v1/console/health/readiness") for _ in range(200)]
            conns = [self.in_hand(server, path) for path in ("/actuator/health/readiness", "/actuator/health/liveness",
                                                             "/v1/console/health/liveness")]
            server.request("GET", "/v1/console/health/liveness")
            server.proc.send_signal(signal.SIGQUIT)
            roster.wait_until(lambda: self.finish(spare.pop()) == 500, 10, "the worker stops", 0.05)
            self.assertEqual([self.finish(conn) for conn in conns], [503, 200, 200])
            for conn in spare:
                conn.close()


if __name__ == "__main__":
    roster.main()
