#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# needs openssl
"""Ways to log in that a MySQL peer asks a check for: those of the list work in the keeper's sandbox, and a peer that names another
one, or a file, makes it map no code."""
import contextlib
import json
import os
import shutil
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))
import roster  # noqa: E402
from mysql_peer import Key, Peer, anything, ed25519, native, sha2_known, sha2_whole  # noqa: E402
from roster import Server, wait_until  # noqa: E402

NATIVE, SHA2, ED25519 = "mysql_native_password", "caching_sha2_password", "client_ed25519"
# greeting, asked for, what the peer thinks of the answer
GOOD = ((NATIVE, NATIVE, native), (SHA2, SHA2, sha2_known), (SHA2, SHA2, sha2_whole), (NATIVE, SHA2, sha2_known),
        (NATIVE, SHA2, sha2_whole), (SHA2, NATIVE, native), (NATIVE, ED25519, ed25519), (SHA2, ED25519, ed25519))
# In the package of the library; beside it; nowhere; no name; longer than a path.
NAMES = ("dialog", "mysql_clear_password", "sha256_password", "mysql_old_password", "auth_gssapi_client", "nothing", "password", "", "a" * 600)


def code(pid):
    """The files of which parts are mapped executable."""
    with open("/proc/%d/maps" % pid) as maps:
        return {line.split()[-1] for line in maps if "x" in line.split()[1]}


def check(server, service, port, **more):
    """A persistent instance with a check of its own."""
    checker = dict({"type": "MYSQL", "user": "probe", "pwd": "secret", "cmd": "SELECT 1"}, **more)
    server.request("POST", "/v1/ns/service", {"serviceName": service})
    reply = server.request("PUT", "/v1/ns/cluster", {"serviceName": service, "clusterName": "DEFAULT", "checkPort": 80,
                                                     "useInstancePort4Check": "true", "healthChecker": json.dumps(checker)})
    assert (reply.status, reply.text) == (200, "ok"), (reply.status, reply.text)
    server.register(service, "127.0.0.1", port, ephemeral="false")


def first_check(server):
    """A keeper has no modules until it meets such a check; then one with modules takes its place. Its pid and what it maps."""
    without = server.child("keeper")
    before = code(without)
    assert not [name for name in before if name.endswith((SHA2 + ".so", ED25519 + ".so"))], before
    check(server, "first", roster.lasting_port())
    server.wait_replaced("keeper", without, 60)
    keeper = server.child("keeper")

    def has_its_filter():
        with open("/proc/%d/status" % keeper) as status:
            return "Seccomp:\t2" in status.read()
    wait_until(has_its_filter, 60, "modules are loaded before the filter")
    return keeper, code(keeper)


class Logins(unittest.TestCase):
    def peers(self, rows, key=None):
        peers = [Peer(greeting, login, judge, key=key) for greeting, login, judge in rows]
        for peer in peers:
            self.addCleanup(peer.close)
        return peers

    @contextlib.contextmanager
    def told_of(self, peers):
        try:
            yield
        except AssertionError:
            print([peer.outcomes for peer in peers], flush=True)
            raise

    def test_of_the_list(self):
        peers = self.peers(GOOD, Key())
        # The first hash and the first key of a process cost OpenSSL some milliseconds in one call.
        with Server(workers=1, long_turns=True) as server:
            keeper, before = first_check(server)
            self.assertTrue({SHA2 + ".so", ED25519 + ".so"} <= {os.path.basename(name) for name in before}, before)
            for n, peer in enumerate(peers):
                check(server, "s%d" % n, peer.port)
            # A check that takes longer than it may is made again.
            with self.told_of(peers):
                wait_until(lambda: all("SELECT 1" in peer.outcomes for peer in peers), 60, "everybody was asked")
            for row, peer in zip(GOOD, peers):
                self.assertNotIn("refused", peer.outcomes, row)
                self.assertEqual(peer.users, {b"probe"}, row)
            self.assertEqual((server.child("keeper"), code(keeper)), (keeper, before))
            self.assertEqual(server.counter("roster_sandbox_refused_total"), 0)

    def test_of_the_peers_choice(self):
        """A name that is no way of a check, in the greeting or later: the check fails, and no file of that name is opened for it."""
        with tempfile.TemporaryDirectory(prefix="roster-test-") as folder, Server(workers=1) as server:
            keeper, before = first_check(server)
            module = next(name for name in before if name.endswith(SHA2 + ".so"))
            shutil.copy(module, folder + "/evil.so")
            names = NAMES + ("../" * 20 + folder[1:] + "/evil",)
            peers = self.peers([(name, name, anything) for name in names] + [(NATIVE, name, anything) for name in names])
            for n, peer in enumerate(peers):
                check(server, "s%d" % n, peer.port)
            wait_until(lambda: all(peer.outcomes for peer in peers), 60, "everybody was asked")
            wait_until(lambda: server.counter("roster_checks_failed_total") > len(peers), 60, "all have failed")
            self.assertEqual({outcome for peer in peers for outcome in peer.outcomes} - {"hung up", "refused"}, set())
            self.assertEqual((server.child("keeper"), code(keeper)), (keeper, before))
            self.assertEqual(server.counter("roster_sandbox_refused_total"), 0)

    def test_without_a_user(self):
        """The library would look up our own account and send its name: nobody is connected to."""
        peer = self.peers([(NATIVE, NATIVE, native)])[0]
        server = Server(workers=1, user="nobody")
        os.chmod(server.folder, 0o777)
        shutil.chown(server.folder + "/seg", "nobody")
        with server:
            check(server, "s", peer.port, user="")
            wait_until(lambda: server.counter("roster_checks_flips_total") == 1, 60, "unhealthy with the first check")
            self.assertEqual(peer.outcomes, [])
            self.assertEqual(server.counter("roster_sandbox_refused_total"), 0)

    def test_modules_that_the_machine_configures(self):
        """OpenSSL reads its configuration when it is first asked for a hash; what that names is mapped before the filter."""
        peer = self.peers([(SHA2, SHA2, sha2_known)])[0]
        with tempfile.NamedTemporaryFile("w", suffix=".cnf") as file:
            file.write("openssl_conf = init\n[init]\nproviders = list\n[list]\ndefault = on\nlegacy = on\n[on]\nactivate = 1\n")
            file.flush()
            with Server(workers=1, env={"OPENSSL_CONF": file.name}) as server:
                keeper, before = first_check(server)
                self.assertIn("legacy.so", {os.path.basename(name) for name in before})
                check(server, "s", peer.port)
                wait_until(lambda: "SELECT 1" in peer.outcomes, 60, "logged in")
                self.assertEqual(code(keeper), before)
                self.assertEqual(server.counter("roster_sandbox_refused_total"), 0)


if __name__ == "__main__":
    roster.main()
