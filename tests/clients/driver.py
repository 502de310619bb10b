# SPDX-License-Identifier: Apache-2.0
"""One running client program (node/driver.js, java Driver or python/driver.py), driven by lines of JSON."""
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "lib"))
import roster  # noqa: E402


def command(kind, server, namespace, context):
    """Only the Java client can be told a context path."""
    if kind == "python":
        return [sys.executable, os.path.join(HERE, "python", "driver.py"), server, namespace]
    if kind == "node":
        return ["node", os.path.join(HERE, "node", "driver.js"), server, namespace]
    target = os.path.join(HERE, "java", "target")
    return ["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx192m", "-cp",
            os.path.join(target, "classes") + ":" + os.path.join(target, "dependency", "*"), "Driver", server, namespace, context]


class Client:
    def __init__(self, kind, server, namespace="", credentials=(), context="/nacos"):
        self.kind, self.next_id = kind, 0
        self.home = tempfile.TemporaryDirectory(prefix="roster-client-")
        env = dict(os.environ, HOME=self.home.name, JAVA_TOOL_OPTIONS="-Duser.home=" + self.home.name)
        self.errors = open(os.path.join(self.home.name, "stderr"), "wb")
        line = command(kind, "127.0.0.1:%d" % server.port, namespace, context)
        self.proc = subprocess.Popen(line + list(credentials), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     stderr=self.errors, env=env, cwd=self.home.name)
        self.answers, self.hosts, self.lock = {}, [], threading.Condition()
        self.ready = False
        threading.Thread(target=self._read, daemon=True).start()
        self._wait(lambda: self.ready, 60, "%s client ready" % kind)

    def _read(self):
        for raw in self.proc.stdout:
            try:
                line = json.loads(raw)
            except ValueError:
                continue
            with self.lock:
                if line.get("event") == "ready":
                    self.ready = True
                elif line.get("event") == "hosts":
                    self.hosts.append((time.monotonic(), line["service"], line["hosts"]))
                elif "id" in line:
                    self.answers[line["id"]] = line
                self.lock.notify_all()

    def _wait(self, condition, timeout, what):
        timeout = max(timeout, roster.HUNG_S)
        with self.lock:
            if not self.lock.wait_for(lambda: condition() or self.proc.poll() is not None, timeout) or not condition():
                errors = open(os.path.join(self.home.name, "stderr"), errors="replace").read()[-2000:]
                raise AssertionError("%s: not within %.0f s: %s\n%s" % (self.kind, timeout, what, errors))
            return condition()

    def call(self, op, timeout=30, **args):
        return self.wait(self.send(op, **args), timeout)

    def send(self, op, **args):
        self.next_id += 1
        line = dict(args, op=op, id=self.next_id)
        self.proc.stdin.write((json.dumps(line) + "\n").encode())
        self.proc.stdin.flush()
        return self.next_id

    def wait(self, number, timeout=30):
        answer = self._wait(lambda: self.answers.get(number), timeout, "answer %d" % number)
        if not answer["ok"]:
            raise AssertionError("%s: %s" % (self.kind, answer["error"]))
        return answer["result"]

    def wait_hosts(self, service, condition, timeout, what):
        """Waits until the newest list the subscription was told meets the condition; returns (when, hosts)."""
        def look():
            for when, name, hosts in reversed(self.hosts):
                if name == service or name.endswith("@@" + service):
                    return (when, hosts) if condition(hosts) else None
            return None
        return self._wait(look, timeout, what)

    def kill(self):
        self.proc.kill()
        self.proc.wait(20)

    def close(self):
        if self.proc.poll() is None:
            self.kill()
        self.proc.stdin.close()
        self.proc.stdout.close()
        self.errors.close()
        self.home.cleanup()


assert queue and roster
