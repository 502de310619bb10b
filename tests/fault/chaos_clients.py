# SPDX-License-Identifier: Apache-2.0
"""The clients of chaos.py: each function is the life of one process. They report counts and differences through a queue."""
import collections
import http.client
import json
import random
import re
import signal
import time

import roster
from chaos_model import ABSENT, FIRST_VERSION, PLACES, UNKNOWN, VERSIONS, Book, contradictions, now_us

LONG = {"preserved.heart.beat.timeout": "3600000", "preserved.ip.delete.timeout": "7200000"}
ANSWER_S = 1.5            # then a client gives up and asks again
HAUNTED_S = 15.0          # a request that timed out may still wait in front of a stopped worker
POLL_S = 3.0              # subscribers; they are forgotten after 10 s
FORGOTTEN_S = 8.0
CALM_S = 9.0              # mean time between two changes of a calm service
SHOWN_DIFFERENCES = 20


def stubborn(ask):
    """Asks until there is an answer: with crash points somebody may die at any time."""
    end = time.monotonic() + 30
    while True:
        try:
            return ask()
        except (OSError, http.client.HTTPException):
            if time.monotonic() > end:
                raise
            roster.pause(0.02)


class Lost(Exception):
    """No answer. waiting: nobody closed the connection, the request may still be served."""

    def __init__(self, waiting):
        super().__init__()
        self.waiting = waiting


class Client:
    """What all kinds share: one connection at a time, counts, differences."""

    def __init__(self, run, name):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self.run, self.server, self.book = run, run.server, run.book
        self.random = random.Random("%s %s" % (run.seed, name))
        self.counts = collections.Counter()
        self.conn = None

    def differ(self, what, text):
        self.counts["differences"] += 1
        if self.counts["differences"] <= SHOWN_DIFFERENCES:
            self.run.reports.put(("differ", what, text))

    def close(self):
        if self.conn is not None:
            self.conn.close()
        self.conn = None

    def connect(self):
        """False: nobody listens just now; nothing was sent."""
        if self.conn is not None and self.conn.sock is not None:
            return True
        self.close()
        self.conn = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=ANSWER_S)
        try:
            self.conn.connect()
            return True
        except OSError:
            self.counts["refused connections"] += 1
            roster.pause(0.02)
            return False

    def ask(self, method, path, query, headers=None):
        try:
            return self.server.request(method, path, query, headers=headers, conn=self.conn)
        except (OSError, http.client.HTTPException) as error:
            self.counts["unanswered"] += 1
            self.close()
            raise Lost(isinstance(error, TimeoutError)) from error

    def hosts(self, service, **more):
        """None: not answered."""
        if not self.connect():
            return None
        try:
            reply = self.ask("GET", "/v1/ns/instance/list", dict({"serviceName": service}, **more))
        except Lost:
            return None
        if reply.status != 200:
            self.differ("refused", "list of %s: %d %s" % (service, reply.status, reply.text[:200]))
            return None
        return reply.json["hosts"]

    def finish(self):
        self.close()
        self.run.reports.put(("counts", self.counts))
        self.run.reports.close()
        self.run.reports.join_thread()


# ---- registrars ------------------------------------------------------------------------

class Registrar(Client):
    def __init__(self, run, number):
        super().__init__(run, "registrar %d" % number)
        self.services = [s for s in run.book.services if s.number % run.registrars == number]
        self.busy = [s for s in self.services if s.places_used == PLACES]
        self.calm = [s for s in self.services if s.places_used < PLACES]
        self.version = FIRST_VERSION
        self.haunted = {}
        self.next_calm = 0.0

    def choose(self, service, place, state):
        """(method, state afterwards). The last place of a persistent service stays, or its settings would go with it."""
        self.version = self.version + 1 if self.version < VERSIONS else FIRST_VERSION
        if state == ABSENT or (service.persistent and place == PLACES - 1):
            return "POST", self.version
        if state == UNKNOWN:
            return self.random.choice((("POST", self.version), ("DELETE", ABSENT)))
        return self.random.choice((("DELETE", ABSENT), ("POST", self.version), ("PUT", self.version)))

    def choose_service(self):
        """A calm one now and then: where the next change is far away, no later push makes up for a lost one."""
        if time.monotonic() < self.next_calm:
            return self.random.choice(self.busy)
        self.next_calm = time.monotonic() + self.random.uniform(0, 2 * CALM_S / len(self.calm))
        return self.random.choice(self.calm)

    def step(self):
        service = self.choose_service()
        place = self.random.randrange(service.places_used)
        if self.haunted.get((service.number, place), 0) > time.monotonic() or not self.connect():
            return
        method, after = self.choose(service, place, Book.state(self.book.read(service)[place]))
        query = service.key(place)
        if after != ABSENT:
            query["metadata"] = json.dumps(dict(LONG, v=str(after)))
        self.book.unsettle(service, place)
        try:
            reply = self.ask(method, "/v1/ns/instance", query)
        except Lost as lost:
            if lost.waiting:
                self.haunted[(service.number, place)] = time.monotonic() + HAUNTED_S
            return
        self.counts["writes"] += 1
        if (reply.status, reply.text) == (200, "ok"):
            self.book.settle(service, place, after)
        else:
            self.differ("refused", "%s %s: %d %s" % (method, query, reply.status, reply.text[:200]))

    def resolve(self, service):
        """At the end: what was unknown is now what a list says; what was known must be there."""
        before = self.book.read(service)
        hosts = self.hosts(service.name)
        if hosts is None:
            return False
        found = service.places(hosts)
        if found is None:
            self.differ("kept", "%s has strange hosts: %s" % (service.name, hosts))
            return True
        for wrong in contradictions(before, before, found):
            self.differ("kept", "%s at the end: %s" % (service.name, wrong))
        for place, word in enumerate(before):
            if Book.state(word) == UNKNOWN:
                self.book.settle(service, place, found.get(place, ABSENT))
        return True

    def live(self):
        while not self.run.stopping.is_set():
            self.step()
            roster.pause(self.run.pace_s)
        self.close()
        self.run.calm.wait()
        for service in self.services:
            roster.wait_until(lambda s=service: self.resolve(s), 30, "an answer for %s" % service.name)
        self.finish()


# ---- listers ---------------------------------------------------------------------------

VARIANTS = ({}, {"healthyOnly": "true"}, {"clusters": "DEFAULT"})


class Lister(Client):
    def __init__(self, run, number):
        super().__init__(run, "lister %d" % number)

    def check_changing(self):
        service = self.random.choice(self.book.services)
        before = self.book.read(service)
        hosts = self.hosts(service.name, **self.random.choice(VARIANTS))
        after = self.book.read(service)
        if hosts is None:
            return
        found = service.places(hosts)
        wrong = contradictions(before, after, found) if found is not None else ["strange hosts %s" % hosts]
        if wrong:
            self.differ("lists", "%s: %s" % (service.name, "; ".join(wrong)))
        self.counts["lists"] += 1

    def check_living(self):
        name, members = self.random.choice(self.run.living)
        hosts = self.hosts(name)
        if hosts is None:
            return
        found = {(h["ip"], h["port"]): h["healthy"] for h in hosts}
        if found != members:
            gone = [m for m in members if not found.get(m)]
            self.differ("living", "%s: %d hosts, gone or unhealthy: %s" % (name, len(hosts), gone[:5]))
        self.counts["lists"] += 1

    def check_counters(self):
        """They begin at zero with each master: somebody has to look all the time."""
        if not self.connect():
            return
        try:
            text = self.ask("GET", "/actuator/prometheus", None).text
        except Lost:
            return
        for name, value in re.findall(r"^(roster_(?:expiry_flips|expiry_removals|stale_dropped)_total) (\S+)", text, re.M):
            if float(value) != 0:
                self.differ("expired", "%s %s" % (name, value))
        self.counts["counters read"] += 1

    def live(self):
        acts = (self.check_changing, self.check_living, self.check_counters)
        while not self.run.stopping.is_set():
            self.random.choices(acts, (70, 29, 1))[0]()
            roster.pause(self.run.pace_s)
        self.finish()


# ---- subscribers -----------------------------------------------------------------------

class Watch(roster.Subscriber):
    """One subscriber of one service. view: what the pushes said so far."""

    def __init__(self, server, name, service, careless):
        super().__init__(server, name)       # polls
        self.service_model, self.careless = service, careless
        self.key, self.view, self.polled, self.reported = 0, None, time.monotonic(), False


class Watcher(Client):
    """Subscribers of every service; each is the judge of what it is pushed."""

    def __init__(self, run):
        super().__init__(run, "watcher")
        self.watches = []
        for service in run.book.services:
            for careless in (False, True):
                self.watches.append(self.watch(service.name, service, careless))
        for name, _ in run.living:
            self.watches.append(self.watch(name, None, False))
        for watch in self.watches:
            watch.sock.setsockopt(roster.socket.SOL_SOCKET, roster.socket.SO_RCVBUF, 4 << 20)
            if watch.service_model is not None:
                watch.view = {}
        self.by_fd = {w.sock.fileno(): w for w in self.watches}
        self.poller = roster.select.poll()
        for fd in self.by_fd:
            self.poller.register(fd, roster.select.POLLIN)
        self.lags_ms = []

    def watch(self, *what):
        return stubborn(lambda: Watch(self.server, *what))

    # What a push says.

    def take(self, watch):
        watch.ack = not (watch.careless and self.random.random() < 0.1)
        packet, data, _ = watch.receive(0)
        watch.packets.clear()
        self.counts["pushes"] += 1
        key = packet["lastRefTime"]
        if key < watch.key:
            self.differ("order", "%s: push %d after %d" % (watch.service, key, watch.key))
            return
        again, watch.key = key == watch.key, key
        if watch.service_model is None:
            if self.run.started.is_set():
                self.differ("storm", "%s did not change and was pushed" % watch.service)
            return
        self.counts["pushes again"] += again
        self.judge(watch, data["hosts"])

    def judge(self, watch, hosts):
        found = watch.service_model.places(hosts)
        if found is None:
            self.differ("order", "%s pushed strange hosts: %s" % (watch.service, hosts))
            return
        words, now = self.book.read(watch.service_model), now_us()
        for place in set(found) | set(watch.view):
            new, old = found.get(place, ABSENT), watch.view.get(place, ABSENT)
            if ABSENT not in (new, old) and new < old < VERSIONS - 1000:
                self.differ("order", "%s place %d: version %d after %d" % (watch.service, place, new, old))
            if new != old and Book.state(words[place]) == new:
                self.lags_ms.append((now - Book.settled_us(words[place])) // 1000)
        watch.view, watch.reported = found, False

    def drain(self, wait_ms):
        ready = self.poller.poll(wait_ms)
        while ready:
            for fd, _ in ready:
                self.take(self.by_fd[fd])
            ready = self.poller.poll(0)

    # What it has not said yet.

    def overdue(self):
        """Everything settled longer than the bound ago must have been pushed."""
        oldest = now_us() - int(self.run.bound_s * 1e6)
        watches = [w for w in self.watches if w.service_model is not None]
        before = [self.book.read(w.service_model) for w in watches]
        self.drain(0)
        for watch, words in zip(watches, before):
            wrong = contradictions(words, self.book.read(watch.service_model), watch.view, oldest)
            if wrong and not watch.reported:
                watch.reported = True
                self.differ("pushed", "%s not pushed within %.0f s: %s" % (watch.service, self.run.bound_s, "; ".join(wrong)))
            self.counts["push checks"] += 1

    def poll(self, watch):
        if not self.connect():
            return
        query = {"serviceName": watch.service, "udpPort": watch.port, "clientIP": "127.0.0.1"}
        try:
            reply = self.ask("GET", "/v1/ns/instance/list", query, headers=roster.JAVA)
        except Lost:
            return
        now = time.monotonic()
        # Forgotten by the server and subscribed anew: what it missed was in this answer.
        if watch.service_model is not None and now - watch.polled > FORGOTTEN_S:
            self.counts["forgotten"] += 1
            watch.view = watch.service_model.places(reply.json["hosts"])
        watch.polled = now
        self.counts["polls"] += 1

    def poll_some(self):
        oldest = min(self.watches, key=lambda w: w.polled)
        if time.monotonic() - oldest.polled > POLL_S:
            self.poll(oldest)

    def agrees(self):
        """At the end: pushed state, list and model are one."""
        self.poll_some()
        self.drain(20)
        for watch in self.watches:
            if watch.service_model is None:
                continue
            words = self.book.read(watch.service_model)
            hosts = self.hosts(watch.service)
            listed = watch.service_model.places(hosts) if hosts is not None else None
            if listed is None or listed != watch.view or contradictions(words, words, listed):
                return False
        return True

    def disagreement(self):
        for watch in self.watches:
            if watch.service_model is not None:
                listed = watch.service_model.places(self.hosts(watch.service) or [])
                if listed != watch.view:
                    self.differ("final", "%s: list %s, pushed %s" % (watch.service, listed, watch.view))

    def live(self):
        looked = 0.0
        self.run.watching.set()
        while not self.run.stopping.is_set():
            self.drain(20)
            self.poll_some()
            if time.monotonic() - looked > 0.25:
                looked = time.monotonic()
                self.overdue()
        while not self.run.resolved.is_set():
            self.drain(20)
            self.poll_some()
        try:
            roster.wait_until(self.agrees, self.run.bound_s + 5, "pushed, listed and known state are one")
        except AssertionError as error:
            self.differ("final", str(error))
            self.disagreement()
        self.lags_ms.sort()
        if self.lags_ms:
            self.run.reports.put(("lags", self.lags_ms[len(self.lags_ms) // 2], self.lags_ms[-1], len(self.lags_ms)))
        self.finish()
