# SPDX-License-Identifier: Apache-2.0
"""What the suites of hostile input share: raw bytes, requests from other loopback addresses, counters, CPU time."""
import http.client
import json
import re
import socket
import time
import urllib.parse

from roster import HUNG_S, Reply

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
INSTANCE = "/v1/ns/instance"


def talk(server, data, timeout=HUNG_S):
    """Sends bytes and reads until the server closes: (all it said, it closed while we could still have sent)."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=timeout) as s:
        got = b""
        try:
            s.sendall(data)
            while True:
                more = s.recv(65536)
                if not more:
                    return got, True
                got += more
        except (ConnectionResetError, BrokenPipeError):
            return got, True
        except socket.timeout:
            return got, False


def statuses(raw):
    return [int(n) for n in re.findall(rb"(?:^|\r\n)HTTP/1\.[01] (\d{3})", raw)]


def ask(server, method, path, query=None, source="127.0.0.1", headers=None, body=None, timeout=HUNG_S):
    """A request from that loopback address."""
    target = "/nacos" + path
    if query:
        target += "?" + (query if isinstance(query, str) else urllib.parse.urlencode(query))
    conn = http.client.HTTPConnection("127.0.0.1", server.port, timeout=timeout, source_address=(source, 0))
    try:
        conn.request(method, target, body=body, headers=headers or {})
        answer = conn.getresponse()
        return Reply(answer.status, answer.headers, answer.read())
    finally:
        conn.close()


def form(**fields):
    return {"headers": FORM, "body": urllib.parse.urlencode(fields)}


def judge_time(case, server, took):
    """One hostile request takes no longer than two hundred harmless ones of a megabyte; the slowest of three made now counts."""
    slowest = 0.0
    for _ in range(3):
        begun = time.monotonic()
        reply = ask(server, "GET", "/v1/ns/operator/metrics", **form(harmless="a" * 1000000))
        slowest = max(slowest, time.monotonic() - begun)
        case.assertEqual(reply.status, 200)
    case.assertLess(took, 200 * slowest)


def strict_json(reply):
    """Well-formed UTF-8 and JSON without NaN and Infinity: what the strictest client reads."""
    def refuse(word):
        raise ValueError("not JSON: " + word)
    return json.loads(reply.body.decode("utf-8"), parse_constant=refuse)


def counter(server, name):
    return server.counter(name)


def cpu_seconds(pid):
    return int(open("/proc/%d/schedstat" % pid).read().split()[0]) / 1e9
