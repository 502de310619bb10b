#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Started by root for an account: what the account can lay into root's way, and what root then must not touch."""
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import roster                                                               # noqa: E402
from roster import Server                                                   # noqa: E402

ACCOUNT = "nobody"
UID, GID = pwd.getpwnam(ACCOUNT).pw_uid, pwd.getpwnam(ACCOUNT).pw_gid
PRECIOUS = "precious"


class Stage:
    """A folder of the account, and beside it one of root with a file that has to stay as it is."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="roster-test-", dir=os.environ.get("ROSTER_TEST_TMP"))
        os.chmod(self.folder, 0o755)
        self.theirs, self.roots = self.folder + "/theirs", self.folder + "/roots"
        os.mkdir(self.theirs, 0o755)
        os.chown(self.theirs, UID, GID)
        os.mkdir(self.roots, 0o755)
        for name in ("victim", "pid", "port", "snapshot"):
            with open(os.path.join(self.roots, name), "w", encoding="ascii") as f:
                f.write(PRECIOUS)
            os.chmod(os.path.join(self.roots, name), 0o600)
        os.mkdir(self.folder + "/seg", 0o700)
        os.chown(self.folder + "/seg", UID, GID)
        self.before = self.look()

    def look(self):
        """Everything of root's: owner, rights, size."""
        paths = [self.roots] + [os.path.join(self.roots, name) for name in sorted(os.listdir(self.roots))]
        return [(path, st.st_uid, st.st_gid, st.st_mode, path == self.roots or st.st_size)
                for path, st in ((path, os.lstat(path)) for path in paths)]

    def server(self, **options):
        return Server(folder=self.folder, check=False, user=ACCOUNT,
                      **dict({"log.file": self.theirs + "/log", "runtime_dir": self.theirs + "/run"}, **options))


@unittest.skipIf(os.getuid() != 0, "only root can be led astray")
class RootTest(unittest.TestCase):
    def setUp(self):
        self.stage = Stage()
        self.addCleanup(shutil.rmtree, self.stage.folder, True)

    def untouched(self):
        self.assertEqual(self.stage.look(), self.stage.before)

    def refused(self, server, text):
        done = subprocess.run(server.command(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        log = self.stage.theirs + "/log"
        said = done.stderr
        if os.path.isfile(log) and not os.path.islink(log):
            with open(log, encoding="utf-8") as f:
                said += f.read()
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(text, said)
        self.untouched()

    def starts(self, server):
        server.options["log.file"] = self.stage.folder + "/log"      # where the harness reads
        with open(server.log_path, "w", encoding="ascii"):
            os.chown(server.log_path, UID, GID)
        with server:
            server.register("s", "10.0.0.1", 80)
            self.assertEqual(len(server.hosts("s")), 1)
        self.untouched()

    # -- the log -------------------------------------------------------------
    def test_log_in_a_folder_of_the_account(self):
        log, victim = self.stage.theirs + "/log", self.stage.roots + "/victim"
        cases = {
            "a link": (lambda: os.symlink(victim, log), "not a regular file"),
            "a link to nothing": (lambda: os.symlink(self.stage.roots + "/new", log), "not a regular file"),
            "a second name": (lambda: os.link(victim, log), "log.file"),
            "a pipe": (lambda: (os.mkfifo(log), os.chown(log, UID, GID)), "not a regular file"),
            "a folder": (lambda: os.mkdir(log), "not a regular file"),
            "a second name of a file of its own": (self.own_file_with_two_names, "not a regular file"),
        }
        for name, (lay, text) in cases.items():
            with self.subTest(name):
                lay()
                self.stage.before = self.stage.look()       # a second name counts in nothing we compare
                try:
                    self.refused(self.stage.server(), text)
                finally:
                    os.rmdir(log) if os.path.isdir(log) and not os.path.islink(log) else os.unlink(log)

    def own_file_with_two_names(self):
        with open(self.stage.theirs + "/other", "w", encoding="ascii"):
            os.chown(self.stage.theirs + "/other", UID, GID)
        os.link(self.stage.theirs + "/other", self.stage.theirs + "/log")

    def test_log_in_a_folder_of_root(self):
        self.refused(self.stage.server(**{"log.file": self.stage.roots + "/log"}), "as user " + ACCOUNT)

    # -- the runtime folder --------------------------------------------------------
    def test_folder_of_root_stays_roots(self):
        self.refused(self.stage.server(runtime_dir=self.stage.roots), "Permission denied")

    def test_link_to_a_folder(self):
        os.symlink(self.stage.roots, self.stage.theirs + "/run")
        self.refused(self.stage.server(), "Not a directory")

    def test_missing_folder_is_made_and_given(self):
        """Below a folder of root, which the account cannot write to."""
        made = self.stage.folder + "/made"
        server = self.stage.server(runtime_dir=made)
        self.starts(server)
        self.assertEqual((os.stat(made).st_uid, os.stat(made).st_mode & 0o777), (UID, 0o755))

    def test_missing_folder_is_made_by_the_account(self):
        self.starts(self.stage.server())
        self.assertEqual(os.stat(self.stage.theirs + "/run").st_uid, UID)

    def test_way_through_a_link(self):
        """The folder above is a link to one of root: nothing is made, and nothing removed, there."""
        os.symlink(self.stage.roots, self.stage.theirs + "/way")
        os.mkdir(self.stage.roots + "/run")
        self.stage.before = self.stage.look()
        self.refused(self.stage.server(runtime_dir=self.stage.theirs + "/way/run"), "Permission denied")

    def test_missing_folder_behind_a_link(self):
        """As above, but there is nothing yet: root makes no folder there to give away."""
        os.symlink(self.stage.roots, self.stage.theirs + "/way")
        self.refused(self.stage.server(runtime_dir=self.stage.theirs + "/way/run"), "Too many levels of symbolic links")
        self.refused(self.stage.server(runtime_dir=self.stage.theirs + "/way/run/"), "Too many levels of symbolic links")
        self.assertFalse(os.path.exists(self.stage.roots + "/run"))

    def test_links_in_the_folder(self):
        run = self.stage.theirs + "/run"
        os.mkdir(run)
        os.chown(run, UID, GID)
        for name in ("pid", "port", ".pid.new", ".port.new"):
            os.symlink(self.stage.roots + "/victim", os.path.join(run, name))
        self.starts(self.stage.server())

    # -- the configuration ----------------------------------------------------------
    def test_check_as_the_account(self):
        """The folder of the segment is judged as a start judges it, which opens it as the account."""
        server = self.stage.server()
        done = server.run_tool("-t")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "configuration ok\n", ""))
        self.starts(server)
        os.chown(self.stage.folder + "/seg", UID + 1, GID)
        os.chmod(self.stage.folder + "/seg", 0o755)
        done = server.run_tool("-t")
        self.assertEqual(done.returncode, 1)
        self.assertIn("belongs to user %d" % (UID + 1), done.stderr)
        self.refused(self.stage.server(), "belongs to user %d" % (UID + 1))

    # -- snapshots ------------------------------------------------------------------
    def test_export_and_import(self):
        server = self.stage.server()
        self.starts(server)
        os.symlink(self.stage.roots, self.stage.theirs + "/way")
        done = server.run_tool("--export", self.stage.theirs + "/way/export")
        self.assertNotEqual(done.returncode, 0)
        self.untouched()
        os.symlink(self.stage.roots + "/snapshot", self.stage.theirs + "/link")
        for path in (self.stage.theirs + "/link", self.stage.theirs + "/way/snapshot"):
            done = server.run_tool("--import", path, "--forget")
            self.assertNotEqual(done.returncode, 0)
            self.assertRegex(done.stderr, "Too many levels of symbolic links")
        self.untouched()
        # What is the operator's own is theirs to write and to read.
        for folder in (self.stage.roots, self.stage.theirs):
            path = folder + "/export"
            done = server.run_tool("--export", path)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
            done = server.run_tool("--import", path, "--forget")
            self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    roster.main()
