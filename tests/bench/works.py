# SPDX-License-Identifier: Apache-2.0
"""CPU per request next to the floor: the same requests from wrk, in turns."""

import re
import statistics
import subprocess

from servers import HERE, LOAD_CPUS, BenchError, Client, Floor, Rosterd, counter, pin

CONNECTIONS = 32
SERVICES, PER_SERVICE, HUNDRED, LARGE = 100, 10, 100, 1000
METADATA = ("%7B%22preserved.heart.beat.timeout%22%3A%22600000%22%2C"
            "%22preserved.ip.delete.timeout%22%3A%22900000%22%7D")
INSTANCES = 'roster_instances{kind="ephemeral"}'
NEW_PER_ROUND = 2_000_000       # numbers set aside for the new instances of one round
CHEAP = ["light", "light-new", "full", "list10", "list100", "list1000", "register", "deregister", "mix"]
NEW_CONNECTIONS = "light-new"
KEPT = "Connection: Keep-Alive\r\n"
MIX = (("light", 0.75), ("list10", 0.24), ("register", 0.01))


def fill(client):
    """What bench.lua asks for. The timeouts keep everything alive without beats."""
    def register(service, ip):
        client.ask("POST", f"/instance?serviceName={service}&ip={ip}&port=8080&metadata={METADATA}")

    for service in range(SERVICES):
        for number in range(1, PER_SERVICE + 1):
            register(f"bench-{service}", f"10.1.{service}.{number}")
    for name, count, net in (("bench-hundred", HUNDRED, 3), ("bench-large", LARGE, 2)):
        for number in range(count):
            register(name, f"10.{net}.{number // 250}.{number % 250 + 1}")


def reply_sizes(client, port):
    """Bytes of one reply of each kind to what bench.lua sends; of the lists of 10 the mean, because names and addresses differ in
    length."""
    def beat(service, asked=client, more=KEPT):
        return len(asked.ask("PUT", f"/instance/beat?serviceName=bench-{service}&ip=10.1.{service}.1&port=8080", more=more))

    def listing(name):
        return len(client.ask("GET", f"/instance/list?serviceName={name}&clusters=&udpPort=0&healthyOnly=false", more=KEPT))

    sizes = {
        "light": beat(0),
        "full": beat(1),
        "list10": statistics.mean(listing(f"bench-{service}") for service in range(SERVICES)),
        "list100": listing("bench-hundred"),
        "list1000": listing("bench-large"),
        "register": len(client.ask("POST", f"/instance?serviceName=new-0&ip=11.0.0.0&port=8080&metadata={METADATA}", more=KEPT)),
        "deregister": len(client.ask("DELETE", "/instance?serviceName=new-0&ip=11.0.0.0&port=8080", more=KEPT)),
    }
    sizes["mix"] = sum(share * sizes[work] for work, share in MIX)
    sizes[NEW_CONNECTIONS] = beat(0, Client(port), "Connection: close\r\n")
    return sizes


def load(server, work, base, seconds, verify=False, count=0, connections=CONNECTIONS):
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", f"{HERE}/bench.lua",
               f"http://{server.host}:{server.port}", "--", work, str(base), "1" if verify else "0", str(count)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, preexec_fn=pin(LOAD_CPUS), check=False)
    result = re.search(r"^RESULT requests=(\d+) bytes=(\d+) errors=(\d+) wrong=(\d+)$", run.stdout, re.M)
    if run.returncode != 0 or not result:
        raise BenchError(f"wrk failed at {work}: {run.stdout}{run.stderr}")
    requests, size, errors, wrong = (int(text) for text in result.groups())
    if (errors and work != NEW_CONNECTIONS) or wrong:
        raise BenchError(f"{work}: {errors} errors and {wrong} wrong answers in {requests} requests")
    if requests == 0:
        raise BenchError(f"{work}: nothing was answered")
    return requests, size


def measure(server, work, base, seconds, reply_bytes, count=0, connections=CONNECTIONS):
    """CPU microseconds per request, and requests. Every reply must have the size of a good one: an error has another."""
    before, pids = server.cpu()
    requests, size = load(server, work, base, seconds, count=count, connections=connections)
    after, pids_after = server.cpu()
    if pids != pids_after:
        raise BenchError(f"{work}: a server process was replaced: {pids} {pids_after}")
    # wrk counts bytes of replies that had only begun; a list of 10 is a mean, and so is the mix.
    slack = (2 * connections + SERVICES) * reply_bytes + (0.02 * requests * reply_bytes if work == "mix" else 0)
    if reply_bytes and abs(size - requests * reply_bytes) > slack:
        raise BenchError(f"{work}: {size / requests:.1f} bytes a reply instead of {reply_bytes:.1f}")
    return (after - before) * 1e6 / requests, requests


class Comparison:
    """Rounds of the chosen works against rosterd and their floors."""

    def __init__(self, options, works, goals):
        self.options, self.works, self.goals = options, works, goals
        self.seconds, self.rounds = (1, 2) if options.quick else (2, options.rounds)
        self.samples = {work: ([], []) for work in works}
        self.servers = []

    def start(self, server):
        self.servers.append(server)
        return server

    def run(self):
        try:
            self.rosterd = self.start(Rosterd(self.options.rosterd))
            self.client = Client(self.rosterd.port)
            fill(self.client)
            self.sizes = reply_sizes(self.client, self.rosterd.port)
            floors = {work: self.start(Floor(self.options.floor, self.sizes[work])) for work in self.works}
            for work in self.works:
                load(self.rosterd, work, NEW_PER_ROUND, 1, verify=True)
            self.registered = 0
            for number in range(self.rounds):
                for work in self.works:
                    self.one(work, floors[work], (number + 2) * NEW_PER_ROUND)
        finally:
            for server in reversed(self.servers):
                server.stop()
        return [self.row(work) for work in self.works]

    def one(self, work, floor, base):
        count = self.registered if work == "deregister" else 0
        if work == "mix":
            base += NEW_PER_ROUND // 2
        self.samples[work][1].append(measure(floor, work, base, self.seconds, round(self.sizes[work]))[0])
        before = counter(self.client, INSTANCES)
        cost, requests = measure(self.rosterd, work, base, self.seconds, self.sizes[work], count)
        self.samples[work][0].append(cost)
        if work == "register":
            self.registered = requests
        if work == "deregister" and before - counter(self.client, INSTANCES) < 0.99 * requests:
            raise BenchError("deregister: the instances were not there")

    def row(self, work):
        own, floor = (statistics.median(values) for values in self.samples[work])
        return self.goals.row(work, own / floor, f"{own:.2f} us, floor {floor:.2f} us, {round(self.sizes[work]):,} bytes",
                              us=round(own, 3), floor_us=round(floor, 3), rounds_us=self.samples[work][0],
                              rounds_floor_us=self.samples[work][1])


def honest_floor(options, goals):
    """The floor against the same loop without a parser."""
    costs = {False: [], True: []}
    servers = {blind: Floor(options.floor, 200, blind) for blind in costs}
    try:
        for _ in range(options.rounds):
            for blind, server in servers.items():
                costs[blind].append(measure(server, "light", 0, 1 if options.quick else 2, 200)[0])
    finally:
        for server in servers.values():
            server.stop()
    own, blind = (statistics.median(costs[key]) for key in (False, True))
    return goals.row("floor", (own - 0.8) / blind, f"{own:.2f} us, without a parser {blind:.2f} us")


def flipped_list(options, goals):
    """What one flip between any two lists of 1,000 adds to a list; over one connection, because the order matters."""
    costs = {work: [] for work in ("list1000", "flip", "flip-list")}
    server = Rosterd(options.rosterd)
    try:
        client = Client(server.port)
        fill(client)
        client.ask("PUT", "/cluster?serviceName=bench-large&clusterName=DEFAULT&checkPort=80&useInstancePort4Check=true"
                          "&healthChecker=%7B%22type%22%3A%22NONE%22%7D")
        for _ in range(options.rounds):
            for work, values in costs.items():
                values.append(measure(server, work, 0, 1 if options.quick else 2, 0, connections=1)[0])
    finally:
        server.stop()
    same, flip, both = (statistics.median(values) for values in costs.values())
    changed = 2 * both - flip
    return goals.row("list-flip", changed - same, f"unchanged {same:.1f} us, changed {changed:.1f} us, the flip itself {flip:.1f} us")
