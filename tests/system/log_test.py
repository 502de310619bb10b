#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Nobody waits for whoever reads the log: standard error as something that takes nothing any more."""
import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import roster                                                               # noqa: E402
from roster import Server, wait_until                                       # noqa: E402

STRANGER = 65534
LIMIT_S = 60        # of a hang; nothing here is measured


def pipe_of(owner):
    """A full pipe (reading end, writing end) that belongs to that account."""
    os.seteuid(owner)
    try:
        reading, writing = os.pipe()
    finally:
        os.seteuid(0)
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    return reading, writing


def stream():
    reading, writing = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    writing.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4608)
    return reading.detach(), writing.detach()


KINDS = {
    "a pipe": lambda: pipe_of(0),
    "a pipe of another account": lambda: pipe_of(STRANGER),
    "a socket, as of journald": stream,
    "a terminal": pty.openpty,
}


class Talker(Server):
    """Logs to a descriptor of ours, everything it can say."""

    def __init__(self, kind, plain_account=False):
        super().__init__(check=not plain_account, **{"log.file": "", "log.level": "debug"})
        self.reading, self.writing = KINDS[kind]()
        self.plain_account = plain_account
        self.text = b""

    def start(self, timeout=20, pass_fds=()):
        command = self.command()
        if self.plain_account:
            os.chmod(self.folder, 0o777)
            os.chown(self.folder + "/seg", STRANGER, STRANGER)
            command = ["setpriv", "--reuid=%d" % STRANGER, "--regid=%d" % STRANGER, "--clear-groups"] + command
        self.stderr = open(self.folder + "/stderr", "ab")
        self.proc = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.stderr, stderr=self.writing,
                                     env=dict(os.environ, **self.env))
        self.port = int(wait_until(self.port_text, timeout, "the port"))
        return self

    def port_text(self):
        with contextlib.suppress(FileNotFoundError), open(self.folder + "/run/port", encoding="ascii") as f:
            return f.read().strip()
        return None

    def close(self):
        os.close(self.reading)
        os.close(self.writing)

    def lost(self):
        return self.counter("roster_log_lost_total")

    def say(self):
        """One line of a worker."""
        reply = self.request("PUT", "/v1/ns/operator/switches", {"entry": "pushEnabled", "value": "true"})
        assert reply.status == 200, reply.text

    def fill(self):
        begin = self.lost()

        def more():
            self.say()
            return self.lost() > begin + 20
        wait_until(more, LIMIT_S, "lines that were lost")

    def read(self):
        while select.select([self.reading], [], [], 0)[0]:
            self.text += os.read(self.reading, 65536)
        return self.text.decode("utf-8", "replace").replace("\r\n", "\n")


class LogTest(unittest.TestCase):
    def play(self, kind, **more):
        server = Talker(kind, **more)
        try:
            with server:
                server.register("s", "10.0.0.1", 80)
                server.fill()
                self.serves(server)
                self.speaks_again(server)
                server.fill()
                # Ends as told to, although nobody reads what it says about that.
                self.assertEqual(server.stop(timeout=LIMIT_S), 0)
        finally:
            server.close()

    def serves(self, server):
        """Answers, replaces who died, reads its configuration again."""
        for title in ("worker/0", "pusher", "keeper"):
            server.kill_child(title, LIMIT_S)
        server.proc.send_signal(signal.SIGHUP)
        server.proc.send_signal(signal.SIGUSR1)
        server.beat("s", "10.0.0.1", 80)
        self.assertEqual(len(server.hosts("s")), 1)

    def speaks_again(self, server):
        """The reader goes on: the next line says how many there were not, and no line is torn."""
        server.read()

        def heard():
            server.say()
            return re.search(r" warning \S+: op=log what=lost lines=[1-9][0-9]*$", server.read(), re.M)
        wait_until(heard, LIMIT_S, "how many lines were lost")
        whole = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z (?:error|warning|info|debug) \S+\[\d+\]: op=\S+.*")
        # A terminal may take part of a line, and two processes may both end it: that leaves an empty one.
        # The sanitizer says once what it thinks of fibers.
        for line in server.read().split("\n")[:-1]:
            if line and not (roster.SANITIZED and line.startswith("==")):
                self.assertRegex(line, whole)

    def test_takes_nothing(self):
        for kind in KINDS:
            with self.subTest(kind):
                self.play(kind)

    def test_not_ours_to_open(self):
        """A server without rights cannot open the pipe or the terminal of root a second time."""
        for kind in ("a pipe", "a terminal"):
            with self.subTest(kind):
                self.play(kind, plain_account=True)


if __name__ == "__main__":
    roster.main()
