#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A worker less, by signal and by configuration: no connection that a client has just opened is reset.

Everything runs twice, in network namespaces of this test: net.ipv4.tcp_migrate_req says whether the kernel moves connections
from the queue of a listening socket that ends to another one, and nothing may hang on it."""
import contextlib
import ctypes
import fcntl
import os
import re
import select
import signal
import socket
import struct
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))
import roster  # noqa: E402
from roster import Server, wait_until  # noqa: E402

CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
MIGRATE = "/proc/sys/net/ipv4/tcp_migrate_req"

REQUEST = b"PUT /nacos/v1/ns/instance/beat?serviceName=one&ip=10.0.0.1&port=80 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
FORM = b"serviceName=held&ip=10.0.0.2&port=80"
HEAD = (b"POST /nacos/v1/ns/instance HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n"
        b"Content-Type: application/x-www-form-urlencoded\r\n\r\n" % len(FORM))
BURST, ROUNDS = 40, 8
# Before exec of the server: the socket becomes descriptor 3, and LISTEN_PID is the process that listens.
ACTIVATED = ("import os,sys; os.dup2(int(sys.argv[1]), 3); os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid())); "
             "os.execv(sys.argv[2], sys.argv[2:])")


class Activated(Server):
    """Started by a service manager that listens: with ReusePort= or without."""

    def __init__(self, reuse_port, **options):
        super().__init__(**options)
        self.socket = socket.socket()
        if reuse_port:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self.socket.bind(("127.0.0.1", roster.lasting_port()))
        self.socket.listen(4096)

    def command(self):
        return [sys.executable, "-c", ACTIVATED, str(self.socket.fileno())] + super().command()

    def start(self, timeout=20, pass_fds=()):
        super().start(timeout, (self.socket.fileno(),))
        self.socket.close()         # the server's alone, as when the manager forgets it
        return self


class Configured(Server):
    """Its number of workers stands in a file."""

    def __init__(self, workers, **options):
        super().__init__(**options)
        del self.options["workers"]
        self.args = ["-c", self.folder + "/roster.yaml"]
        self.write(workers)

    def write(self, workers):
        with open(self.folder + "/roster.yaml", "w") as file:
            file.write("workers: %d\n" % workers)

    def reload(self, workers):
        self.write(workers)
        signalled(self, signal.SIGHUP)


def changes(server):
    return server.log_text().count("op=workers before=")


def signalled(server, *numbers):
    """One after the other: signals that wait together are one each, and come in the order of their numbers."""
    for number in numbers:
        before = changes(server)
        server.proc.send_signal(number)
        wait_until(lambda n=before: changes(server) > n, 10, "the number of workers has changed")


class Fresh:
    """A connection with one request, sent at once or later; the answer ends it."""

    def __init__(self, server):
        self.sock = socket.socket()
        self.sock.settimeout(roster.HUNG_S)
        self.failed = self.sock.connect_ex(("127.0.0.1", server.port))

    def send(self):
        with contextlib.suppress(OSError):      # the reader sees it again
            self.sock.sendall(REQUEST)
        return self

    def status(self):
        """The status of the answer; None: reset, or closed without one; less than 0: not even connected, and why."""
        got = b""
        if self.failed:
            self.sock.close()
            return -self.failed
        try:
            while piece := self.sock.recv(65536):
                got += piece
        except ConnectionError:
            return None
        finally:
            self.sock.close()
        found = re.match(rb"HTTP/1\.1 (\d+) ", got)
        return int(found.group(1)) if found else None


def statuses(fresh):
    """How often each: {200: n} when everybody was served."""
    found = {}
    for status in [one.status() for one in fresh]:
        found[status] = found.get(status, 0) + 1
    return found


def waiting(port):
    """The lengths of the queues of the sockets that listen at that port."""
    with open("/proc/thread-self/net/tcp") as file:
        rows = [line.split() for line in file.read().splitlines()[1:]]
    return [int(row[4].split(":")[1], 16) for row in rows if row[3] == "0A" and row[1].endswith(":%04X" % port)]


def fill(server):
    """Fresh connections, until a quarter of a burst waits in each queue that there is."""
    fresh = []
    while min(waiting(server.port)) < BURST // 4:
        fresh.append(Fresh(server).send())
        assert len(fresh) < 20 * BURST, "somebody accepts: %r" % waiting(server.port)
    return fresh


class Queue(unittest.TestCase):
    """A connection that nobody has accepted yet when the worker of its socket is gone."""

    def leaves(self, server, act):
        """worker/1 goes while a request holds it, and its sibling stands still: who comes in meanwhile is in the queues."""
        with server:
            server.register("one", "10.0.0.1", 80)
            stopped, gone = server.child("worker/0"), server.child("worker/1")
            os.kill(stopped, signal.SIGSTOP)
            server.wait_log(r"op=child-stopped name=worker/0")
            # One of its own socket, or of the other that it now accepts from too.
            holder = socket.create_connection(("127.0.0.1", server.port), timeout=roster.HUNG_S)
            holder.sendall(HEAD)
            self.assertIn(b"100 Continue", holder.recv(4096))
            act(server)
            server.wait_log(r"op=workers before=2 now=1")
            wait_until(lambda: self.nobody_accepts(server), 10, "nobody accepts")
            fresh = fill(server)
            self.assertTrue(roster.alive(gone))
            holder.sendall(FORM)
            self.assertRegex(holder.recv(4096), rb"^HTTP/1\.1 200 ")
            holder.close()
            server.wait_log(r"op=child-exit name=worker/1 pid=\d+ exit=0")
            os.kill(stopped, signal.SIGCONT)
            self.assertEqual(statuses(fresh), {200: len(fresh)})
            # And for good: whatever socket the kernel chooses.
            self.assertEqual(statuses([Fresh(server).send() for _ in range(BURST)]), {200: BURST})

    def nobody_accepts(self, server):
        one = Fresh(server).send()
        answered = select.select([one.sock], [], [], 0.2)[0]
        if answered:
            self.assertEqual(one.status(), 200)
        else:
            one.sock.close()
        return not answered

    def test_by_signal(self):
        self.leaves(Server(workers=2), lambda server: signalled(server, signal.SIGTTOU))

    def test_by_configuration(self):
        self.leaves(Configured(2), lambda server: server.reload(1))

    def test_added_and_taken_away(self):
        """The one that leaves came by a signal too; then there is one more again, at the same socket."""
        server = Server(workers=1)
        with server:
            server.register("one", "10.0.0.1", 80)
            for _ in range(3):
                fresh = [Fresh(server) for _ in range(BURST // 2)]
                signalled(server, signal.SIGTTIN, signal.SIGTTOU, signal.SIGTTIN)
                fresh += [Fresh(server) for _ in range(BURST // 2)]
                self.assertEqual(statuses([one.send() for one in fresh]), {200: BURST})
                gone = server.child("worker/1")
                signalled(server, signal.SIGTTOU)
                wait_until(lambda pid=gone: not roster.alive(pid), 10, "one less")

    def test_a_socket_of_the_service_manager(self):
        for reuse_port in (False, True):
            with self.subTest(reuse_port=reuse_port):
                self.leaves(Activated(reuse_port, workers=2), lambda server: signalled(server, signal.SIGTTOU))

    def test_dead_when_it_is_taken_away(self):
        """Killed and taken away at once, whether its successor has begun or not: its queue is served by the others."""
        with Server(workers=2) as server:
            server.register("one", "10.0.0.1", 80)
            stopped = server.child("worker/0")
            os.kill(stopped, signal.SIGSTOP)
            server.wait_log(r"op=child-stopped name=worker/0")
            gone = server.child("worker/1")
            os.kill(gone, signal.SIGSTOP)
            server.wait_log(r"op=child-stopped name=worker/1")
            fresh = fill(server)
            os.kill(gone, signal.SIGKILL)
            signalled(server, signal.SIGTTOU)
            server.wait_log(r"op=workers before=2 now=1")
            os.kill(stopped, signal.SIGCONT)
            self.assertEqual(statuses(fresh), {200: len(fresh)})


class Bursts(unittest.TestCase):
    """Forty fresh connections, opened while the number of workers changes; nothing is stopped, whoever is quicker wins."""

    def burst(self, server, act):
        fresh = [Fresh(server) for _ in range(BURST // 2)]
        act(server)
        fresh += [Fresh(server) for _ in range(BURST // 2)]
        for one in fresh:
            one.send()
        self.assertEqual(statuses(fresh), {200: BURST})

    def rounds(self, server, acts):
        with server:
            server.register("one", "10.0.0.1", 80)
            for _ in range(ROUNDS):
                for act in acts:
                    self.burst(server, act)

    def test_one_less_and_one_more(self):
        self.rounds(Server(workers=4), [lambda s: signalled(s, signal.SIGTTOU), lambda s: signalled(s, signal.SIGTTIN)])

    def test_several_in_a_row(self):
        self.rounds(Server(workers=4), [lambda s: signalled(s, *[signal.SIGTTOU] * 3), lambda s: signalled(s, *[signal.SIGTTIN] * 3)])

    def test_more_and_less_at_once(self):
        self.rounds(Server(workers=2), [lambda s: signalled(s, signal.SIGTTIN, signal.SIGTTOU)])

    def test_by_configuration(self):
        self.rounds(Configured(4), [lambda s: s.reload(1), lambda s: s.reload(4)])

    def test_a_socket_of_the_service_manager(self):
        for reuse_port in (False, True):
            with self.subTest(reuse_port=reuse_port):
                self.rounds(Activated(reuse_port, workers=3), [lambda s: signalled(s, signal.SIGTTOU), lambda s: signalled(s, signal.SIGTTIN)])

    def test_in_an_upgrade(self):
        """The workers of the image before still leave; and a new image that reads of fewer than there were."""
        server = Configured(4)
        with server:
            server.register("one", "10.0.0.1", 80)
            for count, (before, during) in enumerate(((4, 2), (2, 1), (1, 3), (3, 1)), 1):
                held = Fresh(server)                    # somebody to wait for
                self.burst(server, lambda s, n=before: (s.write(n), s.proc.send_signal(signal.SIGUSR2)))
                server.wait_log(r"op=upgrade step=proven", 30, count=count)
                self.burst(server, lambda s, n=during: s.reload(n))
                self.assertEqual(held.send().status(), 200)
                server.wait_log(r"op=upgrade result=done", 30, count=count)
                self.burst(server, lambda s: None)


def loopback_up():
    """The loopback interface of the namespace we are in, without a tool."""
    with socket.socket() as s:
        name = struct.pack("16sH14x", b"lo", 0)
        flags = struct.unpack("16sH14x", fcntl.ioctl(s, SIOCGIFFLAGS, name))[1]
        fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | IFF_UP))


def in_a_namespace(migrate):
    """Of this process and its children, not of the machine."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare: needs root")
    loopback_up()
    with open(MIGRATE, "w") as file:
        file.write(migrate)


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] in ("migrate=0", "migrate=1"):
        in_a_namespace(sys.argv.pop(1)[-1])
        roster.main()
    import subprocess
    passed = failed = 0
    for value in "01":
        print("---- net.ipv4.tcp_migrate_req = " + value, flush=True)
        done = subprocess.run([sys.executable, os.path.abspath(__file__), "migrate=" + value] + sys.argv[1:], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, text=True)
        print(done.stdout, flush=True)
        lines = re.findall(r"^(\d+) passed, (\d+) failed$", done.stdout, re.M) or [(0, 1)]
        passed, failed = passed + int(lines[-1][0]), failed + int(lines[-1][1])
    print("%d passed, %d failed" % (passed, failed))
    sys.exit(1 if failed or not passed else 0)
