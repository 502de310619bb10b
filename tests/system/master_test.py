#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# needs systemd
"""The master: start, signals, reload, children, files, privileges, systemd."""
import os
import re
import signal
import socket
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))
import roster  # noqa: E402
from roster import ROSTERD, Server, wait_until  # noqa: E402


def run(*args, timeout=roster.HUNG_S):
    return subprocess.run([ROSTERD] + list(args), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout)


def write(path, text):
    with open(path, "w") as f:
        f.write(text)


def uid_of(pid):
    return int(re.search(r"^Uid:\s+(\d+)", open("/proc/%d/status" % pid).read(), re.M).group(1))


class Commands(unittest.TestCase):
    def test_version_names_the_layout(self):
        done = run("-v")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r"(?i)roster.* \d+\.\d+\.\d+")
        self.assertRegex(done.stdout, r"[0-9a-f]{16}")

    def test_check_configuration(self):
        server = Server(check=False)
        path = server.folder + "/roster.yaml"
        options = server.tool()[1:]
        write(path, "listen:\n  port: 18848\npush:\n  delay: 500ms\n")
        self.assertEqual(run("-t", "-c", path, *options).returncode, 0)
        for text, expected in (("listen:\n  prot: 1\n", r"%s:2: listen\.prot" % path),
                               ("listen:\n  port: many\n", r"%s:2: listen\.port" % path),
                               ("listen:\n  port: 70000\n", r"%s:2: listen\.port" % path),
                               ("a: [\n", r"%s:\d+" % path), ("workers: 2\nworkers: 3\n", r"%s:2: workers" % path)):
            write(path, text)
            done = run("-t", "-c", path, *options)
            self.assertNotEqual(done.returncode, 0, text)
            self.assertRegex(done.stderr + done.stdout, expected)
        self.assertNotEqual(run("-t", "-c", server.folder + "/none.yaml").returncode, 0)
        self.assertNotEqual(run("-t", "-o", "no.such.key=1").returncode, 0)
        subprocess.run(["rm", "-rf", server.folder], check=True)

    def test_segment_limit_is_checked(self):
        server = Server(check=False, **{"segment.limit": "900TiB"})
        done = run("-t", *server.command()[2:])
        self.assertNotEqual(done.returncode, 0)
        self.assertRegex(done.stdout + done.stderr, r"segment\.limit|segment")
        subprocess.run(["rm", "-rf", server.folder], check=True)


class Signals(unittest.TestCase):
    def test_reload(self):
        server = Server()
        path = server.folder + "/roster.yaml"
        write(path, "push:\n  delay: 1s\n")
        server.args = ["-c", path]
        with server:
            pids = server.children()
            write(path, "push:\n  delay: 50ms\nlimits:\n  metadata: 100\n")
            server.proc.send_signal(signal.SIGHUP)
            server.wait_log(r"op=reload result=ok.*")
            wait_until(lambda: server.request("POST", "/v1/ns/instance", {"serviceName": "r", "ip": "1.1.1.1", "port": 1,
                                              "metadata": '{"a":"%s"}' % ("x" * 200)}).status == 400, 5, "new limit in force")
            write(path, "push:\n  delay: soon\n")
            server.proc.send_signal(signal.SIGHUP)
            line = server.wait_log(r"op=reload result=(?!ok)\w+.*")
            self.assertIn("push.delay", line)
            write(path, "segment:\n  limit: 1GiB\n")
            server.options.pop("segment.limit")
            self.assertEqual(server.children(), pids, "no child was replaced")
            self.assertEqual(server.metrics()["status"], "UP")

    def test_fixed_key_refuses_the_reload(self):
        server = Server()
        path = server.folder + "/roster.yaml"
        write(path, "limits:\n  metadata: 1000\n")
        server.args = ["-c", path]
        with server:
            write(path, "limits:\n  metadata: 100\nlisten:\n  backlog: 7\n")
            server.proc.send_signal(signal.SIGHUP)
            line = server.wait_log(r"op=reload result=(?!ok)\w+.*")
            self.assertIn("listen.backlog", line)
            server.register("r", "1.1.1.1", 1, metadata='{"a":"%s"}' % ("x" * 200))

    def test_reopen_logs(self):
        with Server() as server:
            os.rename(server.log_path, server.log_path + ".1")
            server.log_from = 0
            server.proc.send_signal(signal.SIGUSR1)
            wait_until(lambda: os.path.exists(server.log_path), 5, "a new log file")
            pid = server.child("keeper")
            os.kill(pid, signal.SIGKILL)
            server.wait_log(r"keeper")

    def test_more_and_fewer_workers(self):
        with Server(workers=1) as server:
            server.proc.send_signal(signal.SIGTTIN)
            server.child("worker/1")
            for _ in range(40):
                self.assertEqual(server.metrics()["status"], "UP")
            gone = server.child("worker/1")
            server.proc.send_signal(signal.SIGTTOU)
            wait_until(lambda: not roster.alive(gone), 10, "one worker less")
            for _ in range(40):
                self.assertEqual(server.metrics()["status"], "UP")

    def test_stop_finishes_requests(self):
        for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            with Server() as server:
                server.register("s", "10.0.0.1", 80)
                self.assertEqual(server.stop(sig), 0)
                self.assertFalse(os.path.exists(server.folder + "/run/port"))

    def test_children_die_with_the_master(self):
        with Server(check=False) as server:
            pids = server.children()
            self.assertGreaterEqual(len(pids), 4)
            server.proc.kill()
            server.proc.wait(10)
            for pid in pids:
                wait_until(lambda p=pid: not roster.alive(p), 10, "child %d gone" % pid)
            server.start()
            self.assertEqual(server.metrics()["status"], "UP")

    def test_every_child_is_replaced(self):
        with Server() as server:
            server.register("s", "10.0.0.1", 80)
            for title in ("worker/0", "worker/1", "pusher", "keeper"):
                server.kill_child(title)
                wait_until(lambda: [h["ip"] for h in server.hosts("s")] == ["10.0.0.1"], 5, "the instance is still there")

    def test_last_words(self):
        """The log says who died of what."""
        with Server() as server:
            pid = server.child("worker/0")
            os.kill(pid, signal.SIGABRT)
            line = server.wait_log(r"op=child-exit .*pid=%d .*" % pid)
            self.assertIn("signal=6", line)


class Files(unittest.TestCase):
    def test_pid_and_port_files(self):
        with Server() as server:
            self.assertEqual(int(open(server.folder + "/run/port").read()), server.port)
            names = os.listdir(server.folder + "/run")
            pid_file = [n for n in names if n.endswith("pid")]
            self.assertEqual(len(pid_file), 1, names)
            self.assertEqual(int(open(server.folder + "/run/" + pid_file[0]).read()), server.proc.pid)
            segment = [os.path.join(server.folder, "seg", n) for n in os.listdir(server.folder + "/seg")]
            self.assertEqual([oct(os.stat(p).st_mode & 0o777) for p in segment], ["0o600"])

    def test_port_in_use(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            server = Server(check=False, **{"listen.port": taken.getsockname()[1]})
            with self.assertRaises(AssertionError):
                server.start()
            self.assertIn(str(taken.getsockname()[1]), server.log_text() + open(server.folder + "/stderr").read())
            server.stop()
            subprocess.run(["rm", "-rf", server.folder], check=True)

    @unittest.skipIf(os.getuid() != 0, "only root can give privileges up")
    def test_privileges_are_dropped(self):
        import pwd
        nobody = pwd.getpwnam("nobody").pw_uid
        server = Server(user="nobody")
        os.chmod(server.folder, 0o777)
        os.chown(server.folder + "/seg", nobody, -1)
        with server:
            for pid in [server.proc.pid] + server.children():
                self.assertEqual(uid_of(pid), nobody)
            for pid in server.children():
                self.assertIn("NoNewPrivs:\t1", open("/proc/%d/status" % pid).read())
            server.register("s", "10.0.0.1", 80)
            pid = server.kill_child("worker/0")
            wait_until(lambda: uid_of(pid) == nobody, 5, "the successor gives its privileges up")

    def test_titles(self):
        with Server() as server:
            title = open("/proc/%d/cmdline" % server.proc.pid).read().replace("\0", " ").strip()
            self.assertEqual(title, "roster: master")
            for name in ("worker/0", "worker/1", "pusher", "keeper"):
                server.child(name)


class Systemd(unittest.TestCase):
    def notify_socket(self, folder):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        sock.bind(folder + "/notify")
        sock.settimeout(roster.HUNG_S)
        return sock

    def wait_state(self, sock, word):
        seen = []
        while True:
            seen.append(sock.recv(4096).decode())
            if word in seen[-1]:
                return seen

    def test_notify_reload_watchdog_stop(self):
        server = Server()
        path = server.folder + "/roster.yaml"
        write(path, "push:\n  delay: 1s\n")
        server.args = ["-c", path]
        with self.notify_socket(server.folder) as sock:
            server.env = {"NOTIFY_SOCKET": server.folder + "/notify", "WATCHDOG_USEC": "400000"}
            with server:
                self.wait_state(sock, "READY=1")
                for _ in range(3):
                    self.wait_state(sock, "WATCHDOG=1")
                server.proc.send_signal(signal.SIGHUP)
                self.wait_state(sock, "RELOADING=1")
                self.wait_state(sock, "READY=1")
                server.proc.send_signal(signal.SIGTERM)
                self.wait_state(sock, "STOPPING=1")

    def test_manager_that_does_not_read(self):
        """Nobody waits for it: who dies is replaced, and the end comes when it is asked for."""
        server = Server()
        with self.notify_socket(server.folder) as sock:
            server.env = {"NOTIFY_SOCKET": server.folder + "/notify", "WATCHDOG_USEC": "4000"}
            with server:
                server.wait_log(r"op=notify what=lost .*", roster.HUNG_S)
                server.kill_child("worker/0")
                self.assertEqual(server.log_text().count("op=notify"), 1)
                sock.settimeout(0.)
                with self.assertRaises(BlockingIOError):
                    while True:
                        sock.recv(4096)
                sock.settimeout(roster.HUNG_S)
                self.wait_state(sock, "WATCHDOG=1")

    def test_socket_activation(self):
        """systemd-socket-activate listens; the master takes its socket over and opens the others itself."""
        server = Server(workers=2)
        port = roster.lasting_port()
        server.options["listen.port"] = str(port)
        line = ["systemd-socket-activate", "-l", "127.0.0.1:%d" % port] + server.command()
        server.log_from = 0
        with open(server.folder + "/stderr", "ab") as stderr:
            server.stderr = stderr
            server.proc = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr)
            try:
                server.port = port
                wait_until(lambda: connects(port), 10, "systemd-socket-activate listens")
                server.wait_log(r"op=ready .*")
                for _ in range(20):
                    self.assertEqual(server.metrics()["status"], "UP")
                line = server.wait_log(r"op=ready .*")
                self.assertIn("port=%d" % port, line)
                server.proc.send_signal(signal.SIGTERM)
                self.assertEqual(server.proc.wait(roster.HUNG_S), 0)
            finally:
                if server.proc.poll() is None:
                    server.proc.kill()
        subprocess.run(["rm", "-rf", server.folder], check=True)

    def test_unit_is_hardened(self):
        unit = os.path.join(roster.TOP, "etc", "roster.service")
        done = subprocess.run(["systemd-analyze", "security", "--offline=true", unit], capture_output=True, text=True)
        found = re.search(r"exposure level for \S+: ([0-9.]+)", done.stdout)
        self.assertIsNotNone(found, done.stdout + done.stderr)
        print("exposure", found.group(1), flush=True)
        self.assertLess(float(found.group(1)), 2.0)


class Through(Server):
    """Is started by another program, which leaves something odd to it."""

    def __init__(self, *before, **more):
        super().__init__(**more)
        self.before = list(before)

    def command(self):
        return self.before + super().command()


# Allows the calls that are named up to "--", as systemd does it, and runs what stands behind.
FILTER = """import ctypes, os, sys
seccomp = ctypes.CDLL("libseccomp.so.2")
seccomp.seccomp_init.restype = ctypes.c_void_p
refuse, allow, end = 0x00050001, 0x7fff0000, sys.argv.index("--")
calls = ctypes.c_void_p(seccomp.seccomp_init(refuse))
for name in sys.argv[1:end]:
    seccomp.seccomp_rule_add(calls, allow, seccomp.seccomp_syscall_resolve_name(name.encode()), 0)
assert seccomp.seccomp_load(calls) == 0
os.execv(sys.argv[end + 1], sys.argv[end + 1:])
"""


def calls_of(word):
    """The calls that a word of SystemCallFilter means."""
    if not word.startswith("@"):
        return {word}
    shown = subprocess.run(["systemd-analyze", "syscall-filter", word], capture_output=True, text=True, check=True).stdout
    return {call for line in re.findall(r"^    ([-@\w]+)$", shown, re.M) for call in calls_of(line)}


class Unit(unittest.TestCase):
    def test_serves_with_the_calls_of_the_unit(self):
        calls = calls_of("@default")
        with open(os.path.join(roster.TOP, "etc", "roster.service"), encoding="utf-8") as unit:
            for refused, words in re.findall(r"^SystemCallFilter=(~?)(.*)$", unit.read(), re.M):
                for word in words.split():
                    calls = calls - calls_of(word) if refused else calls | calls_of(word)
        self.assertNotIn("chroot", calls)
        # The leak checker stops the threads of its process by a call that the unit does not allow.
        with Through(sys.executable, "-c", FILTER, *sorted(calls), "--", env={"ASAN_OPTIONS": "detect_leaks=0"}, workers=1) as server:
            server.register("s", "10.0.0.1", 80)
            server.proc.send_signal(signal.SIGUSR2)
            server.wait_log("op=upgrade result=done")
            server.proc.send_signal(signal.SIGHUP)
            server.wait_log("op=reload")
            self.assertEqual(len(server.hosts("s")), 1)


CLOSED = ["sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-']


class Inherited(unittest.TestCase):
    def standard(self, pid):
        return [os.readlink("/proc/%d/fd/%d" % (pid, fd)) for fd in range(3)]

    def test_closed_descriptors(self):
        """The first start: nothing is written over the new segment."""
        for log in ("", "log"):
            server = Through(*CLOSED)
            server.options["log.file"] = log and server.log_path
            server.log_from, port = 0, server.folder + "/run/port"
            with self.subTest(log=log), open(server.folder + "/stderr", "ab") as server.stderr:
                server.proc = subprocess.Popen(server.command())
                try:
                    wait_until(lambda p=port: os.path.exists(p) or server.proc.poll() is not None, roster.HUNG_S, "the port")
                    server.port = int(open(port).read())
                    self.assertEqual(self.standard(server.proc.pid), ["/dev/null"] * 3)
                    server.register("s", "1.1.1.1", 80, ephemeral="false")
                    self.assertEqual(server.stop(), 0)
                    self.assertRegex(server.registry_audit(), "0 broken")
                finally:
                    server.__exit__(*sys.exc_info())

    def test_closed_descriptors_in_the_background(self):
        server = Through(*CLOSED)
        line = server.command()
        line.remove("-f")
        try:
            code = subprocess.run(line, timeout=roster.HUNG_S).returncode
            pid, server.port = (int(open(server.folder + "/run/" + name).read()) for name in ("pid", "port"))
            try:
                self.assertEqual(code, 0)
                self.assertEqual(self.standard(pid), ["/dev/null"] * 3)
                server.register("s", "1.1.1.1", 80)
            finally:
                os.kill(pid, signal.SIGTERM)
                wait_until(lambda: not roster.alive(pid), roster.HUNG_S, "the end")
            server.registry_audit()
        finally:
            subprocess.run(["rm", "-rf", server.folder], check=True)

    def test_closed_descriptors_of_an_import(self):
        """It is refused, and the registry that is there is whole."""
        with Server() as server:
            server.register("s", "1.1.1.1", 80, ephemeral="false")
            server.stop()
            snapshot = server.folder + "/snapshot"
            subprocess.run(server.tool("--export", snapshot), check=True, stdout=subprocess.DEVNULL)
            done = subprocess.run(CLOSED + server.tool("--import", snapshot), timeout=roster.HUNG_S)
            self.assertEqual(done.returncode, 1)
            server.registry_audit()
            server.start()
            self.assertEqual(len(server.hosts("s")), 1)

    def test_ignored_signals(self):
        """Deaths are noticed, and each signal does what it should, although all are ignored, or blocked."""
        for how in ("--ignore-signal=CHLD", "--ignore-signal", "--block-signal"):
            with self.subTest(how), Through("env", how) as server:
                for title in ("worker/0", "pusher", "keeper"):
                    server.kill_child(title)
                server.proc.send_signal(signal.SIGHUP)
                server.wait_log("op=reload result=ok")
                server.proc.send_signal(signal.SIGUSR2)
                server.wait_log("op=upgrade result=done", roster.HUNG_S)
                server.kill_child("worker/0")
                self.assertEqual(server.stop(), 0)

    def test_limit_of_the_file_size(self):
        """A log that has reached it loses lines; a segment beyond it is refused."""
        limit = 16 << 20
        server = Through("prlimit", "--fsize=%d" % limit, **{"segment.limit": "8MiB"})
        with open(server.log_path, "wb") as log:
            log.write(b"\n" * (limit - (16 << 10)))
        with server:
            pids = server.children()

            def lost():
                server.request("PUT", "/v1/ns/operator/switches", {"entry": "pushEnabled", "value": "true"})
                return server.counter("roster_log_lost_total")
            wait_until(lost, roster.HUNG_S, "lines that are lost")
            for _ in range(2):
                server.proc.send_signal(signal.SIGHUP)
            server.register("s", "1.1.1.1", 80)
            self.assertEqual(server.children(), pids)
            os.rename(server.log_path, server.log_path + ".1")
            server.log_from = 0
            server.proc.send_signal(signal.SIGUSR1)
            wait_until(lambda: os.path.exists(server.log_path), 10, "a new log file")
            wait_until(lambda: lost() and "op=log what=lost lines=" in server.log_text(), roster.HUNG_S, "how many they were")
        server = Through("prlimit", "--fsize=%d" % limit, **{"segment.limit": "32MiB", "log.file": ""})
        try:
            done = subprocess.run(server.command(), capture_output=True, text=True, timeout=roster.HUNG_S)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertRegex(done.stderr, r"segment\.limit 32 MiB: File too large")
            self.assertEqual([name for name in os.listdir(server.folder + "/seg") if "new" in name], [])
        finally:
            subprocess.run(["rm", "-rf", server.folder], check=True)


def connects(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    roster.main()
