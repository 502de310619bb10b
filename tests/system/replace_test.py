#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# needs faults
"""Whatever takes the place of a file or of the segment, where there is no room, too little of it, or killed at each of its steps:
what was there serves on with all it had, and nothing is left lying about. doc/shared-memory.md has the table that these are of."""
import fcntl
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))
import disk  # noqa: E402
import roster  # noqa: E402
from roster import Server, wait_until  # noqa: E402

BUILD = os.path.join(roster.TOP, os.path.dirname(roster.ROSTERD))
SAME, OTHER = os.path.join(BUILD, "rosterd"), os.path.join(BUILD, "tests", "fault", "other_layout")
FAULTS = os.path.join(roster.TOP, "build-faults", "rosterd")
FAULTS_OTHER = os.path.join(roster.TOP, "build-faults", "tests", "fault", "other_layout")
POKE = os.path.join(BUILD, "tests", "fault", "poke")
CALM = '{"preserved.heart.beat.timeout":"600000","preserved.ip.delete.timeout":"900000"}'
MIB = 1 << 20
# The steps of a new segment: nothing has changed, the old one has a second name, the new one has taken its place.
BEFORE, ASIDE, AFTER = ("segment-made", "segment-whole"), "segment-two-names", "segment-renamed"


def setUpModule():
    disk.own_mounts()


def fill(server, count=30, first=1):
    for n in range(first, first + count):
        server.register("s%d" % (n % 5), "10.0.%d.%d" % (n >> 8, n & 255), 80, metadata=CALM)
    server.register("lasting", "10.9.0.1", 81, ephemeral="false")


def fill_big(server, mib):
    """That much memory, in instances with long metadata."""
    conn = roster.http.client.HTTPConnection("127.0.0.1", server.port, timeout=roster.HUNG_S)
    for n in range(mib * 120):
        server.register("big", "10.1.0.1", n + 1, conn=conn, metadata='{"k":"%s"}' % ("x" * 8000), ephemeral="false")
    conn.close()


def content(server):
    names = server.request("GET", "/v1/ns/service/list", {"pageNo": 1, "pageSize": 100}).json["doms"]
    return {name: sorted((h["ip"], h["port"], h["ephemeral"]) for h in server.hosts(name)) for name in sorted(names)}


def at(point):
    return {"ROSTER_FAULT_AT": point + "=kill"}


class Case(unittest.TestCase):
    def server(self, **more):
        """Not running; its folder goes with the test."""
        folder = tempfile.mkdtemp(prefix="roster-test-", dir=os.environ.get("ROSTER_TEST_TMP"))
        self.addCleanup(shutil.rmtree, folder, True)
        server = Server(folder=folder, **dict({"segment.limit": "64MiB"}, **more))
        self.addCleanup(lambda: server.proc and server.kill_all())
        return server

    def lived(self, server, binary=SAME, more=fill):
        """It has run with that binary; returns what was in it."""
        server.binary = binary
        with server:
            more(server)
            return content(server)

    def tool(self, server, *args, binary=SAME, env=None, **run):
        return server.run_tool(*args, binary=binary, env=env, **run)

    def exported(self, server, name="snapshot"):
        path = os.path.join(server.folder, name)
        done = self.tool(server, "--export", path, binary=server.binary)
        self.assertEqual(done.returncode, 0, done.stderr)
        return path

    def start(self, server, binary, *args, env=None):
        """A start that does not come to serving; returns its exit code and what it said."""
        old, server.binary = server.binary, binary
        before = os.path.getsize(server.log_path) if os.path.exists(server.log_path) else 0
        try:
            done = subprocess.run(server.command() + list(args), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                  timeout=roster.HUNG_S, env=dict(os.environ, ASAN_OPTIONS="detect_leaks=0", **(env or {})))
        finally:
            server.binary = old
        with open(server.log_path, encoding="utf-8") as f:
            f.seek(before)
            return done.returncode, done.stdout + done.stderr + f.read()

    def segments(self, server):
        return sorted(name for name in os.listdir(server.options["segment.dir"]) if name != "ballast")

    def serves(self, server, expected, binary=SAME, origin="attached", names=("segment",)):
        """The next start: all is there, and nothing else lies about."""
        server.binary, server.args = binary, []
        with server:
            self.assertIn("origin=" + origin, server.wait_log(r"op=segment-open .*"))
            self.assertEqual(content(server), expected)
            self.assertEqual(self.segments(server), list(names))
            self.assertEqual(sorted(os.listdir(server.options["runtime_dir"])), ["pid", "port"])


class Import(Case):
    def sources(self):
        """A snapshot, and what a server shows that has loaded it."""
        source = self.server()
        shown = self.lived(source, more=lambda s: fill(s, 20, 500))
        return self.exported(source), shown

    def big(self):
        source = self.server()
        self.lived(source, more=lambda s: fill_big(s, 10))
        return self.exported(source)

    def test_too_large(self):
        snapshot, server = self.big(), self.server(**{"segment.limit": "8MiB"})
        before = self.lived(server)
        done = self.tool(server, "--import", snapshot, "--forget")
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("full: it has 8 MiB (segment.limit)", done.stderr)
        self.assertEqual(self.segments(server), ["segment"])
        self.serves(server, before)

    def test_no_room(self):
        snapshot, folder = self.big(), disk.small(self, 40 << 10)
        server = self.server(**{"segment.dir": folder, "segment.limit": "24MiB"})
        before = self.lived(server, more=lambda s: fill_big(s, 10))
        disk.stuff(folder, 12 * MIB)       # with what the old one gives back enough for the limit, not for both
        done = self.tool(server, "--import", snapshot, "--forget")
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("full", done.stderr)
        self.assertEqual(self.segments(server), ["segment"])
        os.unlink(folder + "/ballast")
        disk.stuff(folder, 1 * MIB)
        done = self.tool(server, "--import", snapshot, "--forget")
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertRegex(done.stderr, "segment.limit 24 MiB, but the file system has")
        self.serves(server, before)

    def test_another_layout_and_too_large(self):
        """Without --forget: what cannot be attached is set aside, if what comes can be loaded."""
        snapshot, server = self.big(), self.server(**{"segment.limit": "8MiB"})
        before = self.lived(server, OTHER)
        done = self.tool(server, "--import", snapshot)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.serves(server, before, OTHER)

    def test_what_the_check_would_throw_away(self):
        """A checksum only says that the file is as it was written: what was broken before is no good registry either."""
        source, server = self.server(), self.server()
        self.lived(source)
        self.assertEqual(subprocess.run([POKE, source.folder + "/seg/segment", "beats"]).returncode, 0)
        snapshot, before = self.exported(source), self.lived(server)
        done = self.tool(server, "--import", snapshot, "--forget")
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("a beat in the future", done.stderr)
        self.assertEqual(self.segments(server), ["segment"])
        self.serves(server, before)
        shutil.rmtree(source.folder)

    def test_damaged_while_it_is_loaded(self):
        """What was loaded is checked as a whole before it takes the place."""
        (snapshot, _), server = self.sources(), self.server()
        before = self.lived(server)
        tool = subprocess.Popen(server.tool("--import", snapshot, "--forget", binary=FAULTS), stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                env=dict(os.environ, ASAN_OPTIONS="detect_leaks=0", ROSTER_FAULT_AT="import-loaded=stop"))
        self.addCleanup(tool.communicate)
        self.addCleanup(tool.kill)
        self.assertTrue(os.WIFSTOPPED(os.waitpid(tool.pid, os.WUNTRACED)[1]))
        self.assertEqual(subprocess.run([POKE, server.folder + "/seg/segment.new", "table"]).returncode, 0)
        tool.send_signal(signal.SIGCONT)
        out, err = tool.communicate(timeout=roster.HUNG_S)
        self.assertEqual(tool.returncode, 1, out)
        self.assertIn("is broken: registry: shard ", err)
        self.assertEqual(self.segments(server), ["segment"])
        self.serves(server, before)

    def test_killed_at_each_step(self):
        snapshot, shown = self.sources()
        for point in BEFORE + ("load-service", "import-loaded", AFTER):
            with self.subTest(point):
                server = self.server()
                before = self.lived(server)
                done = self.tool(server, "--import", snapshot, "--forget", binary=FAULTS, env=at(point))
                self.assertEqual(done.returncode, -signal.SIGKILL, done.stderr)
                self.assertEqual(self.segments(server), ["segment"] if point == AFTER else ["segment", "segment.new"])
                self.assertIn("0 broken rules", server.registry_audit())
                self.serves(server, shown if point == AFTER else before)

    def test_killed_over_another_layout(self):
        snapshot, shown = self.sources()
        for point in BEFORE + ("load-service", ASIDE, AFTER):
            with self.subTest(point):
                server = self.server()
                before = self.lived(server, OTHER)
                done = self.tool(server, "--import", snapshot, binary=FAULTS, env=at(point))
                self.assertEqual(done.returncode, -signal.SIGKILL, done.stderr)
                if point == AFTER:
                    self.serves(server, shown, names=("segment", "segment.aside.1"))
                    os.rename(server.folder + "/seg/segment.aside.1", server.folder + "/seg/segment")
                self.serves(server, before, OTHER)

    def test_killed_where_there_was_none(self):
        snapshot, shown = self.sources()
        for point in BEFORE + ("load-service", AFTER):
            with self.subTest(point):
                server = self.server()
                done = self.tool(server, "--import", snapshot, binary=FAULTS, env=at(point))
                self.assertEqual(done.returncode, -signal.SIGKILL, done.stderr)
                if point == AFTER:
                    self.serves(server, shown)
                else:
                    self.serves(server, {}, origin="new")


class Start(Case):
    def test_forget_where_the_port_is_taken(self):
        server = self.server()
        before = self.lived(server)
        with roster.socket.create_server(("127.0.0.1", 0)) as taken:
            server.options["listen.port"] = str(taken.getsockname()[1])
            code, said = self.start(server, SAME, "--forget")
        server.options["listen.port"] = "0"
        self.assertEqual(code, 1, said)
        self.assertIn("op=start what=sockets", said)
        self.serves(server, before)

    def test_forget_without_room(self):
        folder = disk.small(self, 40 << 10)
        server = self.server(**{"segment.dir": folder, "segment.limit": "16MiB"})
        before = self.lived(server, more=lambda s: fill_big(s, 10))
        disk.stuff(folder, 1 * MIB)
        server.options["segment.limit"] = "8MiB"
        code, said = self.start(server, SAME, "--forget")
        self.assertEqual(code, 1, said)
        self.assertIn("the file system refuses the first", said)
        self.assertEqual(self.segments(server), ["segment"])
        self.serves(server, before)

    def test_another_layout_without_room(self):
        """However often: it is not set aside for nothing, nor pushed out by what could not be made."""
        folder = disk.small(self, 32 << 10)
        server = self.server(**{"segment.dir": folder, "segment.limit": "16MiB"})
        before = self.lived(server, OTHER)
        disk.stuff(folder)
        for _ in range(4):
            code, said = self.start(server, SAME)
            self.assertEqual(code, 1, said)
            self.assertRegex(said, "segment.limit 16 MiB, but .*the old segment stays, and cannot be used: of another layout")
            self.assertEqual(self.segments(server), ["segment"])
        self.serves(server, before, OTHER)

    def test_killed_at_each_step(self):
        for point in BEFORE + (ASIDE, AFTER):
            with self.subTest(point):
                server = self.server()
                before = self.lived(server, OTHER)
                code, said = self.start(server, FAULTS, env=at(point))
                self.assertEqual(code, -signal.SIGKILL, said)
                if point == AFTER:
                    self.serves(server, {}, names=("segment", "segment.aside.1"))
                    os.rename(server.folder + "/seg/segment.aside.1", server.folder + "/seg/segment")
                self.serves(server, before, OTHER)

    def test_killed_and_started_by_the_same(self):
        """Who finds the half of it goes on with it: the old file is set aside once."""
        for point in BEFORE + (ASIDE, AFTER):
            with self.subTest(point):
                server = self.server()
                before = self.lived(server, OTHER)
                self.assertEqual(self.start(server, FAULTS, env=at(point))[0], -signal.SIGKILL)
                self.serves(server, {}, origin="attached" if point == AFTER else "set-aside", names=("segment", "segment.aside.1"))
                os.rename(server.folder + "/seg/segment.aside.1", server.folder + "/seg/segment")
                self.serves(server, before, OTHER)

    def test_forget_killed_at_each_step(self):
        for point in BEFORE + (AFTER,):
            with self.subTest(point):
                server = self.server()
                before = self.lived(server)
                code, said = self.start(server, FAULTS, "--forget", env=at(point))
                self.assertEqual(code, -signal.SIGKILL, said)
                self.serves(server, {} if point == AFTER else before)

    def test_first_start_killed_at_each_step(self):
        for point in BEFORE + (AFTER, "files-fresh"):
            with self.subTest(point):
                server = self.server()
                code, said = self.start(server, FAULTS, env=at(point))
                self.assertEqual(code, -signal.SIGKILL, said)
                self.serves(server, {}, origin="attached" if point in (AFTER, "files-fresh") else "new")

    def test_a_waiting_start_finds_the_new_one(self):
        """The other one waits for the lock of the old file, which meanwhile loses its name."""
        server = self.server()
        self.lived(server, OTHER)
        server.binary = SAME
        held = os.open(server.folder + "/seg/segment", os.O_RDWR)
        fcntl.flock(held, fcntl.LOCK_EX)
        first, second = [subprocess.Popen(server.command() + ["-o", "log.file=" + server.folder + "/log%d" % n],
                                          stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for n in range(2)]
        try:
            wait_until(lambda: all(self.holds(p.pid, "segment") for p in (first, second)), 20, "both wait")
            os.close(held)
            wait_until(lambda: any(os.path.exists(server.folder + "/log%d" % n) and "op=ready" in open(server.folder + "/log%d" % n).read()
                                   for n in range(2)), 20, "one serves")
            wait_until(lambda: first.poll() is not None or second.poll() is not None, 20, "the other one gives up")
            self.assertEqual(self.segments(server), ["segment", "segment.aside.1"])
        finally:
            for proc in (first, second):
                if proc.poll() is None:
                    proc.terminate()
                proc.wait(roster.HUNG_S)
        self.assertEqual({first.returncode, second.returncode}, {0, 1})

    @staticmethod
    def holds(pid, name):
        try:
            return any(os.path.basename(os.readlink("/proc/%d/fd/%s" % (pid, fd))) == name for fd in os.listdir("/proc/%d/fd" % pid))
        except FileNotFoundError:
            return False


class Renewal(Case):
    """Found damaged while it serves: everybody leaves, and the next image of the master makes a new one."""

    def condemned(self, server, folder=None, **env):
        """It starts over a sound segment, which then is damaged; returns when the master has ended. folder: no room
        is left there before."""
        server.options.update({"segment.check_period": "1s", "listen.port": str(roster.lasting_port())})
        self.lived(server, more=lambda s: [s.register("many%d" % n, "10.0.0.1", 80, metadata=CALM) for n in range(60)])
        if folder:
            disk.stuff(folder)
        server.binary, server.env = FAULTS, env
        server.start()
        subprocess.run([POKE, server.options["segment.dir"] + "/segment", "list"], check=True, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, timeout=roster.HUNG_S)
        code = server.proc.wait(roster.HUNG_S)
        server.stop()
        server.env = {}
        self.assertIn("op=new-segment by=check result=all-restart", server.log_text())
        return code

    def renewed(self, server):
        self.serves(server, {}, origin="set-aside", names=("segment", "segment.aside.1"))

    def test_without_room(self):
        folder = disk.small(self, 32 << 10)
        server = self.server(**{"segment.dir": folder, "segment.limit": "16MiB"})
        self.assertEqual(self.condemned(server, folder), 1)
        inode = os.stat(folder + "/segment").st_ino
        for _ in range(3):
            code, said = self.start(server, SAME)
            self.assertEqual(code, 1, said)
            self.assertIn("the old segment stays, and cannot be used: the check found it damaged", said)
        self.assertEqual(self.segments(server), ["segment"])
        self.assertEqual(os.stat(folder + "/segment").st_ino, inode)
        os.unlink(folder + "/ballast")
        self.renewed(server)
        self.assertEqual(os.stat(folder + "/segment.aside.1").st_ino, inode)

    def test_killed_at_each_step(self):
        for point in BEFORE + (ASIDE,):
            with self.subTest(point):
                server = self.server()
                self.assertEqual(self.condemned(server, **at(point)), -signal.SIGKILL)
                self.renewed(server)


class Upgrade(Case):
    """SIGUSR2 to a binary with another layout: the registry goes over into a segment beside."""
    def running(self, **more):
        server = self.server(workers=2, **dict({"upgrade.trial_limit": "20s", "upgrade.limit": "20s", "upgrade.drain": "2s"}, **more))
        os.mkdir(server.folder + "/bin")
        server.binary = server.folder + "/bin/rosterd"
        shutil.copy(SAME, server.binary)
        server.start()
        fill(server)
        return server, content(server)

    def upgrade(self, server, binary, fault=None):
        with open(server.binary + ".new", "w", encoding="ascii") as f:
            f.write('#!/bin/sh\n%s exec %s "$@"\n' % ("ROSTER_FAULT_AT=" + fault if fault else "", binary))
        os.chmod(server.binary + ".new", 0o755)
        os.rename(server.binary + ".new", server.binary)
        server.proc.send_signal(signal.SIGUSR2)

    def went_back(self, server, before, why, names=("segment",)):
        self.assertRegex(server.wait_log(r"op=upgrade result=(?!went-back-done)\S+.*", 60), "result=went-back .*" + why)
        server.wait_log(r"op=upgrade result=went-back-done", 60)
        self.assertEqual(content(server), before)
        self.assertEqual(self.segments(server), list(names))

    def test_without_room(self):
        folder = disk.small(self, 32 << 10)
        server, before = self.running(**{"segment.dir": folder, "segment.limit": "16MiB"})
        disk.stuff(folder)
        self.upgrade(server, OTHER)
        self.went_back(server, before, "segment.limit 16 MiB, but the file system has")
        server.stop()
        self.serves(server, before)

    def test_the_old_one_counts_as_room(self):
        """It goes once the new one has its place."""
        folder = disk.small(self, 28 << 10)
        server, before = self.running(**{"segment.dir": folder, "segment.limit": "16MiB"})
        fill_big(server, 6)
        before = content(server)
        disk.stuff(folder, 12 * MIB)
        self.upgrade(server, OTHER)
        self.assertIn("result=done", server.wait_log(r"op=upgrade result=\S+.*", 60))
        self.assertEqual(content(server), before)
        server.stop()
        self.serves(server, before, OTHER)

    def test_name_that_cannot_be_taken(self):
        server, before = self.running()
        seg = server.folder + "/seg/segment"
        os.rename(seg, seg + ".kept")
        os.mkdir(seg)
        self.upgrade(server, OTHER)
        self.went_back(server, before, "cannot be put in its place", names=("segment", "segment.kept"))
        os.rmdir(seg)
        os.rename(seg + ".kept", seg)
        server.stop()
        self.serves(server, before)

    def test_killed_at_each_step(self):
        for point in BEFORE + ("load-service", AFTER):
            with self.subTest(point):
                server, before = self.running()
                self.upgrade(server, FAULTS_OTHER, point + "=kill")
                server.proc.wait(roster.HUNG_S)
                children = server.children()
                server.stop()
                wait_until(lambda c=children: not any(roster.alive(pid) for pid in c), 20, "the children are gone")
                self.serves(server, before, OTHER if point == AFTER else SAME)

    def test_stopped_before_it_is_there(self):
        """The next start is one of the new binary."""
        server, before = self.running()
        keeper = server.child("keeper")
        self.upgrade(server, FAULTS_OTHER, "keeper=hang")
        # The new one, which does not become ready: all stand still, in two segments.
        wait_until(lambda: server.child("keeper") != keeper, 60, "a new keeper")
        self.assertEqual(self.segments(server), ["segment", "segment.new"])
        server.stop()
        self.serves(server, before, OTHER)


class Export(Case):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="roster-test-", dir=os.environ.get("ROSTER_TEST_TMP"))
        self.addCleanup(shutil.rmtree, self.folder, True)

    def again(self, server, path, shown):
        """The same command, once nothing is in the way."""
        done = self.tool(server, "--export", path)
        self.assertEqual(done.returncode, 0, done.stderr)
        other = self.server()
        done = self.tool(other, "--import", path)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.serves(other, shown)

    def test_name_that_is_taken(self):
        server, path = self.server(), self.folder + "/out"
        self.lived(server)
        for lay in (lambda: open(path, "w").write("mine") and None, lambda: os.symlink("/nowhere", path), lambda: os.mkdir(path)):
            lay()
            before = os.lstat(path)
            done = self.tool(server, "--export", path)
            self.assertEqual((done.returncode, "File exists" in done.stderr), (1, True), done.stderr)
            after = os.lstat(path)
            self.assertEqual((after.st_ino, after.st_size, after.st_mtime_ns), (before.st_ino, before.st_size, before.st_mtime_ns))
            os.rmdir(path) if os.path.isdir(path) else os.unlink(path)

    def test_full_disk(self):
        server, folder = self.server(), disk.small(self, 1024)
        shown = self.lived(server, more=lambda s: fill_big(s, 2))
        path = folder + "/out"
        done = self.tool(server, "--export", path)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("No space left", done.stderr)
        self.assertEqual(os.listdir(folder), [])
        self.again(server, self.folder + "/out", shown)

    def test_limit_of_the_file_size(self):
        server, path = self.server(), self.folder + "/out"
        shown = self.lived(server, more=lambda s: fill_big(s, 3))
        done = self.tool(server, "--export", path, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, MIB)))
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("File too large", done.stderr)
        self.assertEqual(os.listdir(self.folder), [])
        self.again(server, path, shown)

    def test_killed_at_each_step(self):
        server, path = self.server(), self.folder + "/out"
        shown = self.lived(server)
        for point in ("newfile-empty", "save-services", "newfile-whole", "newfile-named"):
            with self.subTest(point):
                done = self.tool(server, "--export", path, binary=FAULTS, env=at(point))
                self.assertEqual(done.returncode, -signal.SIGKILL, done.stderr)
                self.assertEqual(os.listdir(self.folder), ["out"] if point == "newfile-named" else [])
                if point == "newfile-named":
                    os.rename(path, path + ".killed")
                    path = path + ".killed"
                    other = self.server()
                    self.assertEqual(self.tool(other, "--import", path).returncode, 0)
                    self.serves(other, shown)
        self.serves(server, shown)


if __name__ == "__main__":
    roster.main()
