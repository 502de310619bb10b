#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the children may do, and what other users of the machine can do to us: privileges, seccomp, files (A-37, A-38).

What each call outside the table gives is tested in tests/unit/sandbox_test.c; that the tables suffice, by every other suite:
a server that logged a refusal fails its test (tests/lib/roster.py)."""
import ctypes
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))
import roster  # noqa: E402
from hostile import FORM, INSTANCE, ask, counter  # noqa: E402
from roster import Server, wait_until  # noqa: E402

ROLES = ("worker/0", "worker/1", "pusher", "keeper")
NOBODY = 65534


def status(pid):
    return dict(re.findall(r"^(\w+):\s+(.*)$", open("/proc/%d/status" % pid).read(), re.M))


def failed_start(server):
    """Starts a server that must not come up; returns what it said."""
    done = subprocess.run(server.command(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=roster.HUNG_S)
    text = done.stderr + (open(server.log_path).read() if os.path.exists(server.log_path) else "")
    return done.returncode, text


def as_user(uid, body):
    """body() in a child with that user's rights; its return value must be true."""
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            os._exit(0 if body() else 1)
        except BaseException:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def denied(path, flags):
    try:
        os.close(os.open(path, flags))
        return False
    except PermissionError:
        return True


class Children(unittest.TestCase):
    def test_filter_rights_and_dump(self):
        with Server() as server:
            for role in ROLES:
                with self.subTest(role):
                    pid = server.child(role)
                    state = status(pid)
                    self.assertEqual((state["Seccomp"], state["NoNewPrivs"]), ("2", "1"))
                    # Not dumpable: its files in /proc are root's, whoever it is; no ptrace, no core.
                    self.assertEqual(os.stat("/proc/%d/mem" % pid).st_uid, 0)
            # Filters survive exec, and the master execs itself.
            self.assertEqual(status(server.proc.pid)["Seccomp"], "0")
            # It has its title before its filter.
            pid = server.kill_child("keeper")
            wait_until(lambda: status(pid)["Seccomp"] == "2", 5, "the filter of the successor")

    def test_every_right_is_given_up(self):
        """Started by root with `user`: no id, no group and no capability is left, and nobody can look into it."""
        server = Server(user="nobody")
        os.chmod(server.folder, 0o777)
        os.chown(server.folder + "/seg", NOBODY, -1)
        with server:
            for pid in [server.proc.pid] + [server.child(role) for role in ROLES]:
                state = status(pid)
                self.assertEqual(set(state["Uid"].split()), {str(NOBODY)})
                self.assertNotIn("0", state["Gid"].split() + state["Groups"].split())
                self.assertEqual({int(state[c], 16) for c in ("CapEff", "CapPrm", "CapInh", "CapAmb")}, {0})
            worker = server.child("worker/0")
            self.assertTrue(as_user(NOBODY, lambda: denied("/proc/%d/mem" % worker, os.O_RDONLY)), "its own user reads its memory")
            libc = ctypes.CDLL(None, use_errno=True)
            self.assertTrue(as_user(NOBODY, lambda: libc.ptrace(16, worker, 0, 0) == -1 and ctypes.get_errno() == 1))
            server.register("s", "10.0.0.1", 80)

    def test_charsets_are_there_before_the_filter(self):
        """Their converters are modules of libc: mapped before a worker may map no more code, and found there later."""
        with Server() as server:
            for role in ("worker/0", "worker/1"):
                with open("/proc/%d/maps" % server.child(role)) as maps:
                    self.assertRegex(maps.read(), r"gconv/GBK\.so")
            reply = ask(server, "PUT", INSTANCE, body=b"serviceName=s&ip=10.0.0.1&port=80&metadata=k%3D%D6%D0",
                        headers={"Content-Type": FORM["Content-Type"] + "; charset=GBK"})
            self.assertEqual((reply.status, server.hosts("s")[0]["metadata"]), (200, {"k": "中"}))
            for charset in ("GBK", "SHIFT_JIS", "EUC-KR", "UTF-16"):
                for n in range(8):
                    ask(server, "GET", INSTANCE + "/list", {"serviceName": "s", "clusters": "c%d" % n, "encoding": charset})
            self.assertEqual(counter(server, "roster_sandbox_refused_total"), 0)

    def test_long_work_needs_no_other_call(self):
        """The segment grows, logs are opened again, configuration is read anew, locks are taken over: all under the filter."""
        with Server(**{"push.delay": "50ms"}) as server:
            for n in range(3000):
                server.request("POST", INSTANCE, {"serviceName": "s%d" % (n % 50), "ip": "10.0.%d.%d" % (n // 250, n % 250), "port": 80,
                                                  "metadata": "k=" + "v" * 900})
            os.rename(server.log_path, server.log_path + ".1")
            server.log_from = 0
            server.proc.send_signal(signal.SIGUSR1)
            wait_until(lambda: os.path.exists(server.log_path), 5, "a new log file")
            server.proc.send_signal(signal.SIGHUP)
            for role in ROLES:
                server.kill_child(role)
            self.assertEqual(len(server.hosts("s1")), 60)
            self.assertEqual(counter(server, "roster_sandbox_refused_total"), 0)

    def test_switched_off(self):
        with Server(**{"sandbox.seccomp": "false"}) as server:
            for role in ROLES:
                state = status(server.child(role))
                self.assertEqual((state["Seccomp"], state["NoNewPrivs"]), ("0", "1"))
            server.register("s", "10.0.0.1", 80)

    def test_without_filters_in_the_kernel_it_does_not_start(self):
        """A filter of ours around the server refuses seccomp(2) and prctl(PR_SET_SECCOMP), as an old kernel would."""
        server = Server(check=False)
        self.addCleanup(shutil.rmtree, server.folder, True)
        code = ("import ctypes,os,sys; s=ctypes.CDLL('libseccomp.so.2'); s.seccomp_init.restype=ctypes.c_void_p; "
                "c=ctypes.c_void_p(s.seccomp_init(0x7fff0000)); "
                "n=[s.seccomp_syscall_resolve_name(x) for x in (b'seccomp',b'prctl')]; "
                "A=type('A',(ctypes.Structure,),{'_fields_':[('a',ctypes.c_uint),('o',ctypes.c_int),('x',ctypes.c_uint64),('y',ctypes.c_uint64)]}); "
                "v=(A*1)(A(0,4,22,0)); "
                "assert s.seccomp_rule_add_array(c,0x00050016,n[0],0,None)==0; "
                "assert s.seccomp_rule_add_array(c,0x00050016,n[1],1,v)==0; "
                "assert s.seccomp_load(c)==0; os.execv(sys.argv[1],sys.argv[1:])")
        done = subprocess.run([sys.executable, "-c", code] + server.command(), stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=roster.HUNG_S)
        text = done.stderr + (open(server.log_path).read() if os.path.exists(server.log_path) else "")
        self.assertNotEqual(done.returncode, 0)
        self.assertRegex(text, r"what=sandbox\.seccomp why=\"the kernel takes no filter for the worker: .*sandbox\.seccomp: false")
        server.options["sandbox.seccomp"] = "false"
        with server:
            self.assertEqual(server.metrics()["status"], "UP")


class Files(unittest.TestCase):
    """A-37: another local user."""

    def test_modes(self):
        server = Server()
        server.options["runtime_dir"] = server.folder + "/made"
        old = os.umask(0)       # what we make must not depend on it
        try:
            with server:
                modes = {name: os.stat(server.folder + name).st_mode & 0o777
                         for name in ("/seg", "/seg/segment", "/made", "/made/pid", "/made/port", "/log")}
        finally:
            os.umask(old)
        self.assertEqual(modes, {"/seg": 0o700, "/seg/segment": 0o600, "/made": 0o755, "/made/pid": 0o644, "/made/port": 0o644,
                                 "/log": 0o640})

    def test_default_segment_folder_is_private(self):
        """Without segment.dir, and a runtime folder on disk: a folder of ours in /dev/shm, not what somebody else made there."""
        with tempfile.TemporaryDirectory(prefix="roster-test-") as folder:
            ours = "/dev/shm/roster-%d" % NOBODY
            one_at_a_time = os.open("/dev/shm", os.O_RDONLY)        # the same suite may run for another build
            self.addCleanup(os.close, one_at_a_time)
            fcntl.flock(one_at_a_time, fcntl.LOCK_EX)
            self.assertFalse(os.path.lexists(ours), "somebody uses " + ours)
            os.chmod(folder, 0o777)
            for name, make in (("another's", lambda: os.mkdir(ours, 0o700)), ("a link", lambda: os.symlink(folder, ours)),
                               ("open to all", lambda: (os.mkdir(ours), os.chown(ours, NOBODY, -1), os.chmod(ours, 0o777)))):
                with self.subTest(name):
                    server = Server(folder=folder, check=False, user="nobody", **{"segment.dir": ""})
                    make()
                    try:
                        code, text = failed_start(server)
                        self.assertNotEqual(code, 0)
                        self.assertIn(ours, text)
                        self.assertNotIn("segment", os.listdir(ours))
                    finally:
                        os.unlink(ours) if os.path.islink(ours) else shutil.rmtree(ours)

    def test_links_in_the_place_of_the_segment(self):
        """The file a link points to is neither opened nor emptied; hard links, pipes and foreign files are refused as well."""
        for name in ("symlink", "hard link", "pipe", "another user's", "readable by all"):
            with self.subTest(name):
                server = Server(check=False)
                self.addCleanup(shutil.rmtree, server.folder, True)
                victim, place = server.folder + "/victim", server.folder + "/seg/segment"
                open(victim, "w").write("precious")
                os.chmod(victim, 0o600)
                if name == "symlink":
                    os.symlink(victim, place)
                elif name == "hard link":
                    os.link(victim, place)
                elif name == "pipe":
                    os.mkfifo(place, 0o600)
                else:
                    shutil.copy(victim, place)
                    os.chmod(place, 0o644 if name == "readable by all" else 0o600)
                    os.chown(place, NOBODY if name == "another user's" else os.getuid(), -1)
                code, text = failed_start(server)
                self.assertNotEqual(code, 0, text)
                self.assertIn("what=segment", text)
                self.assertEqual(open(victim).read(), "precious")

    def test_links_in_the_runtime_folder(self):
        """pid and port, and the names they are written under: what lies there is replaced, never followed."""
        for name in ("pid", "port", ".pid.new", ".port.new"):
            for kind in ("symlink", "hard link", "pipe"):
                with self.subTest("%s as %s" % (name, kind)):
                    server = Server()
                    os.mkdir(server.folder + "/run")
                    victim, place = server.folder + "/victim", server.folder + "/run/" + name
                    open(victim, "w").write("precious")
                    if kind == "symlink":
                        os.symlink(victim, place)
                    elif kind == "hard link":
                        os.link(victim, place)
                    else:
                        os.mkfifo(place)
                    with server:
                        wait_until(lambda: os.path.exists(server.folder + "/run/port"), 5, "files")
                        self.assertEqual(open(victim).read(), "precious")
                        self.assertEqual(open(server.folder + "/run/pid").read(), "%d\n" % server.proc.pid)
                        self.assertEqual(open(server.folder + "/run/port").read(), "%d\n" % server.port)
                        for path in ("pid", "port"):
                            self.assertFalse(os.path.islink(server.folder + "/run/" + path))
                        self.assertEqual(sorted(os.listdir(server.folder + "/run")), ["pid", "port"])

    def test_runtime_folder_of_others(self):
        """A link, or a folder that everybody may write to, is refused before anything is written."""
        for name in ("link", "open to all"):
            with self.subTest(name):
                server = Server(check=False)
                self.addCleanup(shutil.rmtree, server.folder, True)
                os.mkdir(server.folder + "/other")
                if name == "link":
                    os.symlink(server.folder + "/other", server.folder + "/run")
                else:
                    os.mkdir(server.folder + "/run")
                    os.chmod(server.folder + "/run", 0o777)
                code, text = failed_start(server)
                self.assertNotEqual(code, 0)
                self.assertIn(server.folder + "/run", text)
                self.assertEqual(os.listdir(server.folder + "/other") + os.listdir(server.folder + "/run"), [])

    def test_another_user_gets_nothing(self):
        """Neither the segment, nor a worker's sockets and memory, nor a signal."""
        with Server() as server:
            os.chmod(server.folder, 0o777)
            server.register("s", "10.0.0.1", 80)
            pids = [server.proc.pid] + [server.child(role) for role in ROLES]
            paths = [server.folder + "/seg/segment"] + ["/proc/%d/%s" % (pid, name) for pid in pids for name in ("mem", "maps", "environ")]
            for path in paths:
                self.assertTrue(as_user(NOBODY, lambda p=path: denied(p, os.O_RDONLY)), path)

            def cannot_kill():
                for pid in pids:
                    try:
                        os.kill(pid, signal.SIGTERM)
                        return False
                    except PermissionError:
                        pass
                return True
            self.assertTrue(as_user(NOBODY, cannot_kill))
            self.assertTrue(as_user(NOBODY, lambda: denied(server.folder + "/log", os.O_RDONLY)))
            self.assertTrue(all(roster.alive(pid) for pid in pids))

    def test_descriptors_of_a_child(self):
        """A child holds what its role needs: only the pusher the UDP socket, only workers the listening ones."""
        with Server() as server:
            # A line may be missing from the kernel's table when others open and close sockets meanwhile.
            inodes = wait_until(lambda: self.bound_both(server), 5, "the sockets of the server")
            for role, held in (("worker/0", {"tcp"}), ("pusher", {"udp"}), ("keeper", set())):
                pid = server.child(role)
                mine = set()
                for fd in os.listdir("/proc/%d/fd" % pid):
                    mine.add(os.readlink("/proc/%d/fd/%s" % (pid, fd)))
                found = {kind for kind, numbers in inodes.items() if mine & {"socket:[%s]" % n for n in numbers}}
                self.assertEqual(found, held, role)

    def bound_both(self, server):
        inodes = {"udp": self.bound("udp", server.push_port), "tcp": self.bound("tcp", server.port)}
        return inodes if all(inodes.values()) else None

    def bound(self, kind, port):
        lines = open("/proc/net/" + kind).read().splitlines()[1:]
        return {line.split()[9] for line in lines if line.split()[1].endswith(":%04X" % port)}


if __name__ == "__main__":
    roster.main()
