#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a packager does: distribution archive, configure, make, check, install into a folder, run what was installed."""
import glob
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import checkout  # noqa: E402
import roster  # noqa: E402


def run(command, folder, timeout=400):
    done = subprocess.run(command, cwd=folder, shell=True, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=timeout)
    if done.returncode != 0:
        raise AssertionError("%s: %s%s" % (command, done.stdout[-3000:], done.stderr[-3000:]))
    return done.stdout


class Package(unittest.TestCase):
    def test_archive_builds_installs_and_serves(self):
        with tempfile.TemporaryDirectory(prefix="roster-package-") as folder:
            # A configure of its own: two makes must not share a build folder.
            run("%s/configure -q" % roster.TOP, folder)
            run("make -s dist-xz", folder)
            archive = glob.glob(folder + "/roster-*.tar.xz")
            self.assertEqual(len(archive), 1)
            run("tar xf %s" % archive[0], folder)
            tree = [p for p in glob.glob(folder + "/roster-*") if os.path.isdir(p)][0]
            run("./configure -q --prefix=/usr --sysconfdir=/etc CFLAGS='-O1'", tree)
            run("make -s -j2", tree)
            run("make -s install DESTDIR=%s/root" % folder, tree)
            for path in ("usr/sbin/rosterd", "etc/roster.yaml", "usr/lib/systemd/system/roster.service", "usr/lib/systemd/system/roster.socket",
                         "usr/lib/sysusers.d/roster.conf", "usr/lib/sysctl.d/60-roster.conf", "etc/logrotate.d/roster"):
                self.assertTrue(os.path.exists(os.path.join(folder, "root", path)), path)
            with open(os.path.join(roster.TOP, "etc/roster.service"), encoding="utf-8") as unit:
                with open(os.path.join(folder, "root/usr/lib/systemd/system/roster.service"), encoding="utf-8") as installed:
                    self.assertEqual(installed.read(), unit.read())
            binary = os.path.join(folder, "root", "usr/sbin/rosterd")
            with roster.Server(binary=binary, args=["-c", os.path.join(folder, "root", "etc/roster.yaml")]) as server:
                server.register("s", "10.0.0.1", 80)
                self.assertEqual(len(server.hosts("s")), 1)

    def test_unit_names_where_it_was_installed(self):
        with tempfile.TemporaryDirectory(prefix="roster-package-") as folder:
            run("%s/configure -q && make -s roster.service" % roster.TOP, folder)
            with open(folder + "/roster.service", encoding="utf-8") as unit:
                self.assertIn("ExecStart=/usr/local/sbin/rosterd -f -c /usr/local/etc/roster.yaml\n", unit.read())

    def test_check_without_cmocka_fails(self):
        """Nothing tested is no success. What pkg-config knows but cmocka is what the machine has."""
        with tempfile.TemporaryDirectory(prefix="roster-package-") as folder:
            hiding = os.path.join(folder, "pkg-config")
            with open(hiding, "w", encoding="ascii") as f:
                f.write('#!/bin/sh\ncase "$*" in *cmocka*) exit 1;; esac\nexec %s "$@"\n' % shutil.which("pkg-config"))
            os.chmod(hiding, 0o755)
            run("%s/configure -q PKG_CONFIG=%s" % (roster.TOP, hiding), folder)
            done = subprocess.run(["make", "-s", "check-local"], cwd=folder, stdin=subprocess.DEVNULL,
                                  capture_output=True, text=True, timeout=400)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("cmocka", done.stderr)

    def test_generated_files_are_current(self):
        """The sample file and some pages of doc/ come from the tables of keys, routes and metrics."""
        for options, path in ((("--print-config", "sample"), "etc/roster.yaml"), (("--print-config", "doc"), "doc/configuration.md"),
                              (("--print-api",), "doc/api.md"), (("--print-metrics",), "doc/metrics.md")):
            printed = subprocess.run((roster.ROSTERD,) + options, capture_output=True, text=True, check=True).stdout
            self.assertEqual(printed, open(os.path.join(roster.TOP, path)).read(), path)

    def test_every_source_is_listed(self):
        """Every source in the tree is built or distributed by some local.mk."""
        listed = "".join(open(p).read() for p in glob.glob(roster.TOP + "/*/local.mk") + glob.glob(roster.TOP + "/*/*/local.mk")
                         + [roster.TOP + "/Makefile.am"])
        folders = tuple(folder + "/" for folder in checkout.folders() + ["tests/unit", "tests/system", "tests/bench"])
        for path in checkout.files():
            if path.startswith(folders) and path.endswith((".c", ".h")):
                self.assertIn(path, listed.split())


if __name__ == "__main__":
    roster.main()
