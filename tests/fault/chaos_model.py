# SPDX-License-Identifier: Apache-2.0
"""What the clients of chaos.py know for sure, in memory that all of them share.

One 64-bit word an instance: microseconds of CLOCK_MONOTONIC at which its state was settled, and 20 bits of state. Only the
registrar that owns the service writes it: UNKNOWN before a request leaves, the new state once it was answered. A reader that finds
the same settled word before and after a question of its own may hold the answer against it; what was UNKNOWN in between
may or may not have happened.
"""
import mmap
import time

UNKNOWN, ABSENT, FIRST_VERSION = 0, 1, 2
STATE_BITS = 20
VERSIONS = 1000000
PLACES = 24               # instances a service may have


def now_us():
    return time.monotonic_ns() // 1000


class Service:
    def __init__(self, number, name, persistent=False, places_used=PLACES):
        self.number, self.name, self.persistent, self.places_used = number, name, persistent, places_used

    def ip(self, place):
        return "10.8.%d.%d" % (self.number, place + 1)

    def key(self, place):
        return {"serviceName": self.name, "ip": self.ip(place), "port": 8000 + place,
                "ephemeral": "false" if self.persistent else "true"}

    def places(self, hosts):
        """hosts of a list or push -> {place: version}; None for one that nobody registered here, or that is there twice."""
        found = {}
        for host in hosts:
            place = host["port"] - 8000
            if not 0 <= place < PLACES or host["ip"] != self.ip(place) or place in found:
                return None
            found[place] = int(host["metadata"]["v"])
        return found


class Book:
    def __init__(self, services):
        self.services = services
        self.memory = mmap.mmap(-1, max(4096, 8 * PLACES * len(services)))
        self.words = memoryview(self.memory).cast("Q")
        for service in services:
            for place in range(PLACES):
                self.settle(service, place, ABSENT)

    def unsettle(self, service, place):
        self.words[service.number * PLACES + place] = UNKNOWN

    def settle(self, service, place, state):
        self.words[service.number * PLACES + place] = now_us() << STATE_BITS | state

    def read(self, service):
        begin = service.number * PLACES
        return self.words[begin:begin + PLACES].tolist()

    @staticmethod
    def state(word):
        return word & ((1 << STATE_BITS) - 1)

    @staticmethod
    def settled_us(word):
        return word >> STATE_BITS


def contradictions(before, after, found, oldest_us=None):
    """Places whose state was settled all the time (and before oldest_us) and that `found` shows otherwise."""
    wrong = []
    for place, word in enumerate(before):
        state = Book.state(word)
        if state == UNKNOWN or word != after[place] or (oldest_us is not None and Book.settled_us(word) > oldest_us):
            continue
        shown = found.get(place, ABSENT)
        if shown != state:
            wrong.append("place %d is %d, shown %d" % (place, state, shown))
    return wrong
