# SPDX-License-Identifier: Apache-2.0
"""Load for tests that change the server under it: tests/system/hammer, read while it runs."""
import os
import re
import subprocess
import threading

import roster

HAMMER = os.path.join(roster.TOP, os.path.dirname(roster.ROSTERD), "tests", "system", "hammer")
BEAT = "/nacos/v1/ns/instance/beat?serviceName=load&ip=10.0.0.1&port=80"


class Load:
    """Keep-alive connections that send a beat each interval_ms, and a new connection each new_ms."""

    def __init__(self, server, seconds, connections=200, interval_ms=50, new_ms=10, target=BEAT):
        self.proc = subprocess.Popen([HAMMER, str(server.port), str(connections), str(interval_ms), str(new_ms), str(seconds),
                                      target], stdout=subprocess.PIPE, text=True)
        assert self.proc.stdout.readline() == "started\n"
        # Read all the time: behind a full pipe the hammer would stand still, and blame the server.
        self.lines = []
        self.reader = threading.Thread(target=lambda: self.lines.extend(self.proc.stdout))
        self.reader.start()

    def finish(self):
        self.proc.wait(180)
        self.reader.join(180)
        self.proc.stdout.close()
        text = "".join(self.lines)
        found = re.search(r"requests (\d+) slowest_us (\d+) new (\d+) slowest_new_us (\d+) bad (\d+) closed (\d+)", text)
        assert found, text
        self.requests, slow, self.fresh, slow_new, self.bad, self.closed = (int(x) for x in found.groups())
        for line in re.findall(r"^slow .*$", text, re.M):
            print(line, flush=True)
        self.slowest_ms, self.slowest_new_ms = slow / 1000, slow_new / 1000
        self.broken = [(int(port), kind, state) for port, kind, state
                       in re.findall(r"^broken (\d+) \d+ (\w+) (\w+)$", text, re.M)]
        return self

    def __str__(self):
        return "%d requests, slowest %.1f ms; %d new connections, slowest %.1f ms; %d ended by \"Connection: close\", %d broken, " \
            "%d bad answers" % (self.requests, self.slowest_ms, self.fresh, self.slowest_new_ms, self.closed, len(self.broken),
                                self.bad)
