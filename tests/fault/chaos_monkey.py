# SPDX-License-Identifier: Apache-2.0
"""Who kills: at random times, random processes of one server, while others are stopped; the master, too, and everything at once.

A dead master is started again with the same options, as a service manager would do it: at once, without a look at what is
left of the predecessor.
"""
import collections
import contextlib
import os
import random
import re
import signal
import threading
import time

import roster

CHILD_GONE_S = 60.0       # children of a dead master
STARTS = 3                # a service manager tries again


class Monkey:
    def __init__(self, server, seed, differ):
        self.server, self.differ = server, differ
        self.random = random.Random("%s monkey" % seed)
        self.kills = collections.Counter()
        self.stopped = {}         # pid -> when it may go on
        self.restarts = 0

    # -- looking ---------------------------------------------------------------

    def titles(self):
        """pid -> role of the children there are now."""
        found = {}
        for pid in self.server.children():
            with contextlib.suppress(OSError):
                line = open("/proc/%d/cmdline" % pid, errors="replace").read().replace("\0", " ").strip()
                match = re.match(r"roster: (worker|pusher|keeper)\b", line)
                if match:
                    found[pid] = match.group(1)
        return found

    def signal(self, pid, number):
        """To our own master, or to a child it still has."""
        if self.server.proc is not None and (pid == self.server.proc.pid or pid in self.server.children()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    # -- stopping and continuing -----------------------------------------------------

    def stop_some(self, children):
        for pid in self.random.sample(sorted(children), min(len(children), self.random.randint(1, 2))):
            self.signal(pid, signal.SIGSTOP)
            self.stopped[pid] = time.monotonic() + self.random.uniform(0.05, 2.0)
            self.kills["stopped"] += 1
        if self.random.random() < 0.2:
            self.signal(self.server.proc.pid, signal.SIGSTOP)
            self.stopped[self.server.proc.pid] = time.monotonic() + self.random.uniform(0.05, 0.5)

    def continue_due(self, everything=False):
        for pid, due in list(self.stopped.items()):
            if everything or due <= time.monotonic():
                self.signal(pid, signal.SIGCONT)
                del self.stopped[pid]

    # -- killing -----------------------------------------------------------------------

    def kill_child(self, children, role):
        chosen = [pid for pid, name in children.items() if name == role]
        if chosen:
            self.signal(self.random.choice(chosen), signal.SIGKILL)
            self.kills[role] += 1

    def kill_master(self, everything):
        children = self.server.children()
        if everything:
            for pid in children:
                self.signal(pid, signal.SIGKILL)
        self.server.proc.kill()
        self.server.proc.wait(20)
        self.server.stderr.close()
        self.stopped.clear()
        self.kills["everything" if everything else "master"] += 1
        begin = time.monotonic()
        self.start()
        while any(roster.alive(pid) for pid in children):
            if time.monotonic() - begin > CHILD_GONE_S:
                self.differ("orphans", "children that outlive their master: %s" % [p for p in children if roster.alive(p)])
                break
            roster.pause(0.01)

    def start(self):
        for attempt in range(STARTS):
            disturber = None
            if self.random.random() < 0.3:
                disturber = threading.Thread(target=self.kill_while_starting, args=(self.random.random(),))
                disturber.start()
            try:
                self.server.start(30)
                self.restarts += 1
                return
            except AssertionError as error:
                self.differ("start", "start %d: %s" % (attempt + 1, str(error)[-600:]))
                if self.server.proc is not None and self.server.proc.poll() is None:
                    self.server.kill_all()
                elif self.server.proc is not None:
                    self.server.stderr.close()
            finally:
                if disturber is not None:
                    disturber.join()
        raise RuntimeError("the server cannot be started again")

    def kill_while_starting(self, draw):
        old, end = self.server.proc, time.monotonic() + 2
        while time.monotonic() < end:
            proc = self.server.proc
            if proc is not None and proc is not old:
                children = self.titles()
                if children:
                    pid = sorted(children)[int(draw * len(children))]
                    self.kills["starting"] += 1
                    self.signal(pid, signal.SIGKILL)
                    return
            roster.pause(0.002)

    # -- the whole -----------------------------------------------------------------------

    def step(self):
        self.continue_due()
        children = self.titles()
        if self.random.random() < 0.15:
            self.stop_some(children)
        draw = self.random.random()
        if draw < 0.5:
            self.kill_child(children, "worker")
        elif draw < 0.72:
            self.kill_child(children, "pusher")
        elif draw < 0.90:
            self.kill_child(children, "keeper")
        elif draw < 0.97:
            self.kill_master(False)
        else:
            self.kill_master(True)

    def run(self, seconds, pause_s):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.step()
            due = time.monotonic() + self.random.expovariate(1 / pause_s)
            while time.monotonic() < min(due, end):
                roster.pause(0.02)
                self.continue_due()
        self.continue_due(everything=True)

    def wait_whole(self, workers):
        """Every child is there, and says that it serves."""
        def whole():
            if collections.Counter(self.titles().values()) != {"worker": workers, "pusher": 1, "keeper": 1}:
                return False
            with contextlib.suppress(OSError, ValueError):
                text = self.server.request("GET", "/actuator/prometheus", timeout=2).text
                return len(re.findall(r"^roster_process_ready\{.*\} 1", text, re.M)) == workers + 2
            return False
        roster.wait_until(whole, 30, "every child is ready", 0.05)
