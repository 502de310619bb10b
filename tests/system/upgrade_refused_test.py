#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# needs systemd faults
"""Upgrades that must not happen: each kind of broken new binary, before and after the exec. The old one serves on."""
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))
import roster  # noqa: E402
from load import Load  # noqa: E402
from roster import Server, wait_until  # noqa: E402

ROSTERD = os.path.join(roster.TOP, roster.ROSTERD)
FAULTS = os.path.join(roster.TOP, "build-faults", "rosterd")
SLOW = 2 if roster.SANITIZED else 1

# How the new binary ends after the exec: name of the place, how, what the old one says.
AFTER_EXEC = [
    ("upgrade-begin", "segv", "signal SEGV"),
    ("upgrade-adopt", "segv", "signal SEGV"),
    ("upgrade-adopt", "abort", "signal ABRT"),
    ("upgrade-adopt", "exit", "it ended"),
    ("upgrade-adopt", "hang", "not ready within upgrade.limit"),
    ("upgrade-reap", "segv", "signal SEGV"),
    ("upgrade-prove", "segv", "signal SEGV"),
    ("upgrade-prove", "hang", "not ready within upgrade.limit"),
    ("worker", "segv", r"its worker/\d ended, signal=11"),
    ("worker", "hang", "not ready within upgrade.limit"),
    ("pusher", "exit", "its pusher ended, exit=1"),
    ("keeper", "abort", "its keeper ended, signal=6"),
]


class Upgradable:
    """A server whose binary can be replaced, under load."""

    def __init__(self, **options):
        more = {"upgrade.trial_limit": "%ds" % (5 * SLOW), "upgrade.limit": "%ds" % (6 * SLOW), "upgrade.drain": "2s"}
        more.update(options)
        self.server = Server(workers=2, **more)
        self.config = self.server.folder + "/roster.yaml"
        self.write_config("limits:\n  metadata: 1000\n")
        self.server.args = ["-c", self.config]
        os.mkdir(self.server.folder + "/bin")
        self.path = self.server.binary = self.server.folder + "/bin/rosterd"
        self.good()
        self.asked = 0

    def write_config(self, text):
        with open(self.config, "w") as f:
            f.write(text)

    def put(self, text, mode=0o755):
        """A new file in the place of the old one, as a package manager does."""
        with open(self.path + ".new", "w") as f:
            f.write(text)
        os.chmod(self.path + ".new", mode)
        os.rename(self.path + ".new", self.path)

    def script(self, body):
        self.put("#!/bin/sh\n" + body + "\n")

    def good(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        shutil.copy(ROSTERD, self.path)

    def ask(self):
        self.asked += 1
        self.server.proc.send_signal(signal.SIGUSR2)
        return self.server.wait_log(r"op=upgrade result=(?!went-back-done)\S+.*", 30 * SLOW, count=self.asked)

    def workers(self):
        return [self.server.child("worker/0"), self.server.child("worker/1")]

    def one_of_each(self):
        """After a way back: the failed image's children are gone, ours are complete."""
        def look():
            pids = self.server.children()
            titles = sorted(open("/proc/%d/cmdline" % p).read().replace("\0", " ").strip() for p in pids)
            return titles == ["roster: keeper", "roster: pusher", "roster: worker/0", "roster: worker/1"] and pids
        return wait_until(look, 30, "one process of each role")


class Refused(unittest.TestCase):
    def refused(self, up, case, expected):
        server, before = up.server, up.server.children()
        with self.subTest(case=case):
            line = up.ask()
            print("%s: %s" % (case, line), flush=True)
            self.assertRegex(line, "result=refused .*" + expected)
            self.assertEqual(server.children(), before)
            self.assertEqual(server.beat("load", "10.0.0.1", 80), 10200)

    def test_before_the_exec(self):
        up = Upgradable()
        with up.server as server:
            server.register("load", "10.0.0.1", 80)
            load = Load(server, 14 * SLOW, connections=20)
            begin, pid = server.children(), server.proc.pid
            up.script("echo no good; exit 1")
            self.refused(up, "fails its trial", "exit=1: no good")
            up.script("exit 0")
            self.refused(up, "says nothing", "without saying that it passed")
            up.script("kill -SEGV $$")
            self.refused(up, "crashes in the trial", "signal=11")
            up.script("sleep 1000 & sleep 1000")
            self.refused(up, "hangs in the trial", "longer than upgrade.trial_limit")
            up.script('ROSTER_FAULT_AT=trial=abort exec %s "$@"' % FAULTS)
            self.refused(up, "aborts in the trial", "signal=6")
            up.put("not a program\n")
            self.refused(up, "is a text file", "Exec format error")
            up.put("", 0o644)
            self.refused(up, "is not executable", "Permission denied")
            os.unlink(up.path)
            self.refused(up, "is missing", "No such file")
            up.good()
            up.write_config("limits:\n  metadata: much\n")
            self.refused(up, "configuration broken", r"roster\.yaml:2: limits\.metadata")
            up.write_config("listen:\n  backlog: 7\n")
            self.refused(up, "key that needs a restart", r"listen\.backlog: changing it needs a restart")
            up.write_config("")
            load.finish()
            print("%d refused under load: %s" % (up.asked, load), flush=True)
            self.assertEqual((load.broken, load.bad), ([], 0))
            self.assertEqual((server.children(), server.proc.pid), (begin, pid))
            self.assertIn("result=done", up.ask())

    def test_after_the_exec(self):
        up = Upgradable()
        with up.server as server:
            server.register("load", "10.0.0.1", 80)
            load = Load(server, 60 * SLOW, connections=20)
            workers, pid = up.workers(), server.proc.pid
            for number, (place, how, expected) in enumerate(AFTER_EXEC):
                with self.subTest(place=place, how=how):
                    up.script('ROSTER_FAULT_AT=%s=%s exec %s "$@"' % (place, how, FAULTS))
                    line = up.ask()
                    print("%s %s: %s" % (place, how, line), flush=True)
                    self.assertRegex(line, 'result=went-back .*why="%s"' % expected)
                    server.wait_log(r"op=upgrade result=went-back-done", 30, count=number + 1)
                    self.assertEqual(up.one_of_each()[:2], workers, "the old workers went on")
                    self.assertEqual(server.beat("load", "10.0.0.1", 80), 10200)
            page = server.request("GET", "/actuator/prometheus").text
            self.assertRegex(page, r'roster_upgrades_total\{result="went-back"\} %d\n' % len(AFTER_EXEC))
            os.unlink(up.path)
            up.good()
            self.assertIn("result=done", up.ask())
            load.proc.wait(120 * SLOW)
            load.finish()
            print("%d times back, then done, under load: %s" % (len(AFTER_EXEC), load), flush=True)
            self.assertEqual((load.broken, load.bad), ([], 0))
            self.assertEqual(server.proc.pid, pid)

    def test_reload_after_the_way_back(self):
        """Children of the old image, the configuration they read and the file that broke meanwhile."""
        up = Upgradable(**{"push.delay": "1s"})
        with up.server as server:
            # The trial must still see it whole.
            up.script('case "$1" in --handover=*) echo "limits: [" >%s;; esac; exec %s "$@"' % (up.config, FAULTS))
            line = up.ask()
            self.assertRegex(line, r"result=went-back .*roster\.yaml")
            server.wait_log(r"op=upgrade result=went-back-done", 30)
            server.register("s", "1.1.1.1", 1, metadata='{"a":"%s"}' % ("x" * 500))
            server.proc.send_signal(signal.SIGHUP)
            server.wait_log(r"op=reload result=refused")
            up.write_config("limits:\n  metadata: 100\n")
            server.proc.send_signal(signal.SIGHUP)
            server.wait_log(r"op=reload result=ok")
            wait_until(lambda: server.request("POST", "/v1/ns/instance", {
                "serviceName": "s", "ip": "1.1.1.2", "port": 1, "metadata": '{"a":"%s"}' % ("x" * 200)}).status == 400,
                5, "the new limit in force in the old workers")

    def test_children_are_watched_after_an_upgrade(self):
        with Server(workers=2, **{"upgrade.drain": "1s"}) as server:
            descriptors = lambda: sorted(os.listdir("/proc/%d/fd" % server.proc.pid), key=int)  # noqa: E731
            before = descriptors()
            for number in range(2):
                server.proc.send_signal(signal.SIGUSR2)
                server.wait_log(r"op=upgrade result=done", 30, count=number + 1)
                self.assertEqual(len(descriptors()), len(before), "%s, then %s" % (before, descriptors()))
            for name in ("worker/0", "pusher", "keeper"):
                server.kill_child(name)
            server.proc.send_signal(signal.SIGTTIN)
            server.child("worker/2")
            server.proc.send_signal(signal.SIGUSR2)
            server.wait_log(r"op=upgrade result=done", 30, count=3)
            self.assertEqual(len(server.children()), 4, "as many workers as the configuration says")
            for _ in range(40):
                self.assertEqual(server.metrics()["status"], "UP")

    def test_in_the_background(self):
        """Without -f: nobody waits in a terminal any more."""
        server = Server(workers=2)
        line = [word for word in server.command() if word != "-f"]
        server.log_from = 0
        self.assertEqual(subprocess.run(line, stdin=subprocess.DEVNULL, timeout=roster.HUNG_S).returncode, 0)
        pid = int(open(server.folder + "/run/pid").read())
        try:
            for number in range(2):
                os.kill(pid, signal.SIGUSR2)
                server.wait_log(r"op=upgrade result=done", 30, count=number + 1)
            server.port = int(open(server.folder + "/run/port").read())
            self.assertEqual(server.metrics()["status"], "UP")
            self.assertEqual(int(open(server.folder + "/run/pid").read()), pid)
        finally:
            os.kill(pid, signal.SIGTERM)
            wait_until(lambda: not roster.alive(pid), 20, "the end")
        server.registry_audit()
        shutil.rmtree(server.folder)

    def test_activated_socket_comes_along(self):
        server = Server(workers=2)
        port = roster.lasting_port()
        server.options["listen.port"] = str(port)
        server.log_from = 0
        line = ["systemd-socket-activate", "-l", "127.0.0.1:%d" % port] + server.command()
        with open(server.folder + "/stderr", "ab") as server.stderr:
            server.proc = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=server.stderr, stderr=server.stderr)
            server.port = port
            try:
                wait_until(lambda: self.connected(port), 20, "the first connection, which starts it")
                server.wait_log(r"op=ready")
                for number in range(2):
                    server.proc.send_signal(signal.SIGUSR2)
                    server.wait_log(r"op=upgrade result=done", 30, count=number + 1)
                for _ in range(40):
                    self.assertEqual(server.metrics()["status"], "UP")
                self.assertEqual(server.stop(), 0)
            finally:
                server.stop()
        server.registry_audit()
        shutil.rmtree(server.folder)

    @staticmethod
    def connected(port):
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True

    def test_stop_in_the_middle(self):
        """SIGTERM during the trial and while the new image proves itself: everything ends, nothing comes back."""
        for pattern in (r"op=upgrade step=trial", r"op=upgrade step=exec"):
            with Server(workers=2) as server:
                server.proc.send_signal(signal.SIGUSR2)
                server.wait_log(pattern)
                self.assertEqual(server.stop(), 0)
                self.assertIn("op=stopped failed=0", server.log_text())
                self.assertNotIn("result=went-back", server.log_text())

    def test_options_are_not_for_people(self):
        for line in (["--handover=3"], ["--trial=0"], ["-f", "--handover=3"], ["--trial", "5"], ["--handover=x"], ["--trial=1"],
                     ["--handover=99"]):
            done = subprocess.run([ROSTERD] + line, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=roster.HUNG_S)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("only a running rosterd gives this option", done.stderr + done.stdout, line)

    def test_other_account(self):
        """The rights are gone for good: the sockets come along, and so do the descriptors of /proc."""
        import pwd
        nobody = pwd.getpwnam("nobody").pw_uid
        up = Upgradable(user="nobody")
        os.chmod(up.server.folder, 0o777)
        os.chown(up.server.folder + "/seg", nobody, -1)
        with up.server as server:
            server.register("load", "10.0.0.1", 80)
            self.assertIn("result=done", up.ask())
            for pid in [server.proc.pid] + server.children():
                self.assertEqual(re.search(r"^Uid:\s+(\d+)", open("/proc/%d/status" % pid).read(), re.M).group(1), str(nobody))
            self.assertEqual(server.beat("load", "10.0.0.1", 80), 10200)
            shutil.copytree(os.path.dirname(FAULTS), server.folder + "/faults", ignore=lambda d, names: [
                n for n in names if n != "rosterd" or d != os.path.dirname(FAULTS)])
            up.script('ROSTER_FAULT_AT=upgrade-adopt=segv exec %s/faults/rosterd "$@"' % server.folder)
            self.assertIn("result=went-back", up.ask())
            self.assertEqual(server.beat("load", "10.0.0.1", 80), 10200)

    def test_service_manager_hears_of_it(self):
        up = Upgradable()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            path = up.server.folder + "/notify"
            sock.bind(path)
            sock.settimeout(roster.HUNG_S)
            # Rarely: a full socket would block who writes to it, and nobody reads here meanwhile.
            up.server.env = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "4000000"}
            with up.server as server:
                self.expect(sock, r"READY=1\nMAINPID=%d\n" % server.proc.pid)
                up.script("exit 1")
                self.assertIn("result=refused", up.ask())
                self.expect(sock, r"RELOADING=1\nMONOTONIC_USEC=\d+")
                self.expect(sock, r"READY=1\nSTATUS=Upgrade refused")
                up.good()
                self.assertIn("result=done", up.ask())
                self.expect(sock, r"RELOADING=1\nMONOTONIC_USEC=\d+")
                self.expect(sock, r"READY=1\nMAINPID=%d\n" % server.proc.pid)
                self.expect(sock, r"WATCHDOG=1")

    def expect(self, sock, pattern):
        while True:
            text = sock.recv(4096).decode()
            if re.match(pattern, text):
                return
            self.assertEqual(text, "WATCHDOG=1")


if __name__ == "__main__":
    roster.main()
