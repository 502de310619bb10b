# SPDX-License-Identifier: Apache-2.0
"""A plain model of the naming API, written from the specification and nothing else: every request has an expected answer.

Model.answer(request) changes the model and returns an Answer; differs(answer.body, body) says where a real one differs.
State is a dict of services; nothing here is quick, clever or shared with the server. Section numbers are those of the
specification of the wire behaviour. Left out: time (expiry, pushes), who is asked first in a cluster, limits.
"""
import hashlib
import json
import math
import re
import struct

OK, ABSENT = "ok", None
CHARACTERS = "can only have these characters: "


class Request:
    """Method, path below /nacos, parameters (all texts), and what User-Agent says."""

    def __init__(self, method, path, params=(), agent="curl/7.88"):
        self.method, self.path, self.params, self.agent = method, path, dict(params), agent

    def __repr__(self):
        return "Request(%r, %r, %r, %r)" % (self.method, self.path, self.params, self.agent)


class Answer:
    def __init__(self, status, body):
        self.status, self.body = status, body


class Refused(Exception):
    def __init__(self, status, message):
        super().__init__(message)
        self.answer = Answer(status, "caused: %s;" % message if isinstance(message, str) else message)


# ---- what an answer may be ---------------------------------------------------------------------------------------------


class Pattern:
    """A text that matches; ANY: whatever it is."""

    def __init__(self, pattern):
        self.pattern = pattern

    def __repr__(self):
        return "/%s/" % self.pattern


class Number:
    def __repr__(self):
        return "a number"


class Among:
    """A list that has these elements; what others made is there too."""

    def __init__(self, items):
        self.items = items

    def __repr__(self):
        return "a list with %r" % (self.items,)


class Groups:
    """A list in parts: the order of the parts counts, that inside a part does not."""

    def __init__(self, *parts):
        self.parts = parts

    def __repr__(self):
        return " then ".join(repr(part) for part in self.parts)


ANY = Pattern("(?s).*")


def differs(expected, actual, where=""):
    """None, or where and how the actual value is not the expected one. Types are strict: 1 is not 1.0."""
    if isinstance(expected, Pattern):
        good = isinstance(actual, str) and re.fullmatch(expected.pattern, actual)
    elif isinstance(expected, Number):
        good = type(actual) is int
    elif isinstance(expected, Among):
        good = isinstance(actual, list) and all(any(differs(item, other) is None for other in actual) for item in expected.items)
    elif isinstance(expected, Groups):
        return differs_in_groups(expected, actual, where)
    elif isinstance(expected, dict):
        return differs_in_members(expected, actual, where)
    else:
        good = type(expected) is type(actual) and expected == actual
    return None if good else "%s: expected %r, got %r" % (where or "body", expected, actual)


def differs_in_members(expected, actual, where):
    if not isinstance(actual, dict) or set(expected) != set(actual):
        return "%s: expected members %r, got %r" % (where or "body", expected, actual)
    for name, value in expected.items():
        found = differs(value, actual[name], where + "." + name)
        if found:
            return found
    return None


def differs_in_groups(expected, actual, where):
    if not isinstance(actual, list) or len(actual) != sum(len(part) for part in expected.parts):
        return "%s: expected %r, got %r" % (where, expected, actual)
    begin = 0
    for part in expected.parts:
        left = actual[begin:begin + len(part)]
        begin += len(part)
        for item in part:
            for other in left:
                if differs(item, other) is None:
                    left.remove(other)
                    break
            else:
                return "%s: expected %r, not among %r" % (where, item, left)
    return None


# ---- Java --------------------------------------------------------------------------------------------------------------


def number_error(text):
    return Refused(400, 'For input string: "%s"' % text)


def parse_int(text):
    if re.fullmatch(r"[+-]?[0-9]+", text) and -2 ** 31 <= int(text) < 2 ** 31:
        return int(text)
    raise number_error(text)


def parse_double(text):
    if re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?[dDfF]?", text):
        return float(text.rstrip("dDfF"))
    if text in ("NaN", "Infinity", "-Infinity"):
        return float(text)
    raise number_error(text)


def lenient_float(text):
    try:
        return single(parse_double(text))
    except Refused:
        return 0.0


def single(value):
    """The shortest text of the nearest float, as a number."""
    narrow = struct.unpack("f", struct.pack("f", value))[0]
    for digits in range(1, 18):
        near = float("%.*g" % (digits, narrow))
        if struct.pack("f", near) == struct.pack("f", narrow):
            return near
    return narrow


def double_text(value):
    """Double.toString between 0.001 and 10,000,000, which is all that weights can be."""
    return "NaN" if math.isnan(value) else repr(float(value))


def loose_bool(text):
    return text.lower() in ("true", "on", "yes", "t", "y")


def strict_bool(text):
    return text.lower() == "true"


def split(text, separator):
    """String.split: empty parts at the end do not count."""
    parts = text.split(separator)
    while len(parts) > 1 and parts[-1] == "":
        parts.pop()
    return parts


def java_hash(text):
    value = 0
    for char in text:
        value = (value * 31 + ord(char)) & 0xffffffff
    return value ^ (value >> 16)


def parse_metadata(text):
    """2.6. None: the null map."""
    if text == "":
        return {}
    try:
        found = json.loads(text, parse_int=str, parse_float=str)
        if found is None:
            return None
        if isinstance(found, dict) and not any(isinstance(value, (dict, list)) for value in found.values()):
            return {key: {True: "true", False: "false"}.get(value, value) if isinstance(value, bool) else value
                    for key, value in found.items()}
    except ValueError:
        pass
    pairs = [split(piece, "=") for piece in split(text, ",")]
    if any(len(pair) != 2 for pair in pairs):
        raise Refused(500, "metadata format incorrect:" + text)
    return dict(pairs)


def shown(metadata):
    """Values that are null are kept and not shown."""
    return None if metadata is None else {key: value for key, value in metadata.items() if value is not None}


# ---- state -------------------------------------------------------------------------------------------------------------


class Instance:
    def __init__(self, ip, port, cluster, ephemeral):
        self.ip, self.port, self.cluster, self.ephemeral = ip, port, cluster, ephemeral
        self.weight, self.enabled, self.healthy, self.metadata, self.app, self.id = 1.0, True, True, {}, ABSENT, ""

    def datum_key(self):
        return datum_key(self.ip, self.port, self.cluster)

    def status_key(self):
        return "%s_%s_%s_false_%s" % (self.datum_key(), double_text(self.weight), str(self.healthy).lower(), self.cluster)


def datum_key(ip, port, cluster):
    return "%s:%d:unknown:%s" % (ip, port, cluster) if port > 0 else "%s:unknown:%s" % (ip, cluster)


class Cluster:
    def __init__(self, name):
        self.name, self.checker, self.metadata = name, {"type": "TCP"}, {}
        self.check_port, self.use_instance_port = 80, True


class Service:
    def __init__(self, namespace, name):
        self.namespace, self.name = namespace, name
        self.threshold, self.metadata, self.selector = 0.0, {}, {"type": "none"}
        self.clusters = {}
        self.instances = {}      # (ephemeral, datum key): Instance
        self.checksum = ""

    def bare(self):
        return self.name.split("@@")[1]

    def of(self, cluster=None, ephemeral=None):
        """Persistent ones first."""
        return [i for i in sorted(self.instances.values(), key=lambda i: i.ephemeral)
                if cluster in (None, i.cluster) and ephemeral in (None, i.ephemeral)]

    def find(self, cluster, ip, port):
        for instance in self.of(cluster):
            if (instance.ip, instance.port) == (ip, port):
                return instance
        return None

    def cluster(self, name):
        if name not in self.clusters:
            if not re.fullmatch("[0-9a-zA-Z-]+", name):
                raise Refused(400, "cluster name %s0-9a-zA-Z-, current: %s" % (CHARACTERS, name))
            self.clusters[name] = Cluster(name)
        return self.clusters[name]

    def apply(self):
        """7.4: the list was applied; later flips of health do not change the checksum."""
        def checker(cluster):
            return {key: value for key, value in cluster.checker.items() if key != "type" and value is not None}
        clusters = sorted(self.clusters.values(), key=lambda c: java_hash(c.name) & 15)
        ill = sum(not instance.healthy for instance in self.instances.values())
        head = {"invalidIPCount": ill, "name": self.name, "ipCount": len(self.instances), "owners": [],
                "protectThreshold": self.threshold,
                "clusters": [{"healthChecker": checker(c), "defIPPort": c.check_port, "defCkport": c.check_port, "name": c.name,
                              "useIPPort4Check": c.use_instance_port, "sitegroup": ""} for c in clusters]}
        text = json.dumps(head, separators=(",", ":"), ensure_ascii=False)
        for i in sorted(self.instances.values(), key=Instance.status_key):
            text += "%s:%d_%s_%s_%s," % (i.ip, i.port, double_text(i.weight), str(i.healthy).lower(), i.cluster)
        self.checksum = hashlib.md5(text.encode()).hexdigest()


def check_name(name):
    """2.2: what the entrances of instances look at."""
    parts = split(name, "@@")
    if len(parts) < 2:
        raise Refused(400, "Param 'serviceName' is illegal, it should be format as 'groupName@@serviceName'")
    if parts[0] == "":
        raise Refused(400, "Param 'serviceName' is illegal, groupName can't be empty")


def check_characters(name):
    if not re.fullmatch("[0-9a-zA-Z@.:_-]+", name):
        raise Refused(400, "dom name %s0-9a-zA-Z-._:, current: %s" % (CHARACTERS, name))


def clamp(weight):
    if weight > 10000:
        return 10000.0
    return 0.01 if 0 < weight < 0.01 else weight


class Model:
    def __init__(self):
        self.services = {}      # (namespace, grouped name): Service
        self.namespaces = {}    # id: (name, description); only for show, services do not need them

    # -- parameters (1.2, 1.3) -------------------------------------------------------------------------------------------
    def optional(self, name, fallback):
        value = self.params.get(name, "").strip()
        return value if value else fallback

    def required(self, name):
        value = self.params.get(name, "")
        if value == "":
            raise Refused(400, "Param '%s' is required." % name)
        return value.strip()

    def namespace(self):
        return self.optional("namespaceId", "public")

    def grouped(self):
        """None: absent; "" stays."""
        name = self.params.get("serviceName")
        if name is None or name.strip() == "":
            return name if name is None else ""
        name = name.strip()
        return name if "@@" in name else self.optional("groupName", "DEFAULT_GROUP") + "@@" + name

    def service_name(self, checked=True):
        name = self.grouped()
        if not name:
            raise Refused(400, "Param 'serviceName' is required.")
        if checked:
            check_name(name)
        return name

    def bound_name(self):
        name = self.grouped()
        if name is None:
            raise Refused(500, "Required request parameter 'serviceName' for method parameter type String is not present")
        return name

    def known(self, name):
        return self.services.get((self.namespace(), name))

    def make(self, name):
        check_characters(name)
        service = self.known(name)
        if service is None:
            service = self.services[self.namespace(), name] = Service(self.namespace(), name)
            service.apply()
        return service

    def java(self):
        """Java >= 1.0."""
        match = re.match(r"Nacos-Java-Client:v(\d+)", self.agent)
        return bool(match) and int(match.group(1)) >= 1

    def answer(self, request):
        self.params, self.agent = request.params, request.agent
        name = "%s %s" % (request.method, normal(request.path))
        try:
            return self.ROUTES[name](self)
        except Refused as refused:
            return refused.answer

    # -- instances (4) ---------------------------------------------------------------------------------------------------
    def address(self):
        ip, port = self.required("ip"), self.required("port")
        return ip, parse_int(port)

    def cluster_name(self):
        return self.optional("clusterName", self.optional("cluster", "DEFAULT"))

    def kind(self):
        return loose_bool(self.optional("ephemeral", "true"))

    def read_instance(self):
        name = self.service_name()
        ip, port = self.address()
        instance = Instance(ip, port, self.cluster_name(), self.kind())
        instance.weight = parse_double(self.optional("weight", "1"))
        instance.metadata = parse_metadata(self.optional("metadata", ""))
        instance.healthy = loose_bool(self.optional("healthy", "true"))
        instance.enabled = loose_bool(self.optional("enabled", self.optional("enable", "true")))
        instance.app = self.optional("app", "DEFAULT")
        if instance.weight < 0 or instance.weight > 10000:
            raise Refused(500, "instance format invalid: The weights range from 0.0 to 10000.0")
        return name, instance

    def put(self, service, instance):
        """2.5, 7.2: an entry of the same datum key keeps its id and its health."""
        service.cluster(instance.cluster)
        key = (instance.ephemeral, instance.datum_key())
        old = service.instances.get(key)
        instance.weight = clamp(instance.weight)
        if old:
            instance.id, instance.healthy = old.id, old.healthy
        else:
            instance.id = self.new_id(service, instance)
        service.instances[key] = instance
        service.apply()

    @staticmethod
    def new_id(service, instance):
        generator = (instance.metadata or {}).get("preserved.instance.id.generator")
        if generator is None or generator.lower() != "snowflake":
            return "%s#%d#%s#%s" % (instance.ip, instance.port, instance.cluster, service.name)
        used = {i.id for i in service.of(ephemeral=instance.ephemeral)}
        number = 0
        while str(number) in used:
            number += 1
        return str(number)

    def register(self):
        name, instance = self.read_instance()
        self.put(self.make(name), instance)
        return Answer(200, OK)

    def update(self):
        if not self.java():
            return self.register()
        name, instance = self.read_instance()
        service = self.known(name)
        if service is None:
            raise Refused(500, "service not found, namespace: %s, service: %s" % (self.namespace(), name))
        if not any(i.ip == instance.ip and instance.port in (0, i.port) and i.ephemeral == instance.ephemeral
                   for i in service.instances.values()):
            raise Refused(500, "instance not exist: " + instance.status_key())
        self.put(service, instance)
        return Answer(200, OK)

    def deregister(self):
        ip, port = self.address()
        parse_double(self.optional("weight", "1"))
        service = self.known(self.service_name())
        if service:
            service.cluster(self.cluster_name())
            service.instances.pop((self.kind(), datum_key(ip, port, self.cluster_name())), None)
            service.apply()
        return Answer(200, OK)

    def patch(self):
        """A refused one changes nothing (the real server may have changed a part)."""
        name = self.service_name()
        ip, port = self.address()
        service = self.known(name)
        found = service.find(self.cluster_name(), ip, port) if service else None
        if found is None:
            raise Refused(400, "instance not found")
        metadata, weight = self.optional("metadata", None), self.optional("weight", None)
        metadata = found.metadata if metadata is None else parse_metadata(metadata)
        weight = found.weight if weight is None else parse_double(weight)
        if self.optional("weight", None) is not None and (weight < 0 or weight > 10000):
            raise Refused(500, "instance format invalid: The weights range from 0.0 to 10000.0")
        found.metadata, found.weight, found.app = metadata, clamp(weight), self.optional("app", found.app)
        if self.optional("healthy", None) is not None:
            found.healthy = loose_bool(self.optional("healthy", ""))
        if self.optional("enabled", None) is not None:
            found.enabled = loose_bool(self.optional("enabled", ""))
        service.apply()
        return Answer(200, OK)

    def get(self):
        name = self.service_name()
        ip, port = self.address()
        cluster = self.optional("clusterName", "DEFAULT")
        service = self.known(name)
        if service is None:
            raise Refused(500, "no service %s found!" % name)
        if not service.of(cluster):
            raise Refused(500, "no ips found for cluster %s in service %s" % (cluster, name))
        found = service.find(cluster, ip, port)
        if found is None:
            raise Refused(500, "no matched ip found!")
        body = {"service": name, "ip": ip, "port": port, "clusterName": cluster, "weight": weight_json(found.weight),
                "healthy": found.healthy, "instanceId": found.id}
        if found.metadata is not None:
            body["metadata"] = shown(found.metadata)
        return Answer(200, body)

    def list(self):
        name, clusters = self.service_name(), self.optional("clusters", "")
        env, only = self.optional("env", ""), strict_bool(self.optional("healthyOnly", "false"))
        service = self.known(name)
        if service is None:
            return Answer(200, {"name": name, "clusters": clusters, "cacheMillis": 3000, "hosts": []})
        label = name if self.java() else service.bare()
        body = {"dom": label, "name": name, "cacheMillis": 3000, "lastRefTime": Number(), "checksum": service.checksum,
                "useSpecifiedURL": False, "clusters": clusters, "env": env, "hosts": [], "metadata": shown(service.metadata)}
        asked = [piece for piece in clusters.split(",") if piece]
        found = [i for c in asked for i in service.of(c)] if clusters else service.of()
        if not found:
            return Answer(200, body)
        healthy = [i for i in found if i.healthy]
        protected = single(len(healthy) / len(found)) <= service.threshold
        if strict_bool(self.optional("isCheck", "false")):
            return Answer(200, {})
        ill = [i for i in found if not i.healthy]
        groups = (healthy, ill) if protected else ([] if only else ill, healthy)
        body["hosts"] = Groups(*[[host(i, label, protected or i.healthy) for i in group if i.enabled] for group in groups])
        return Answer(200, body)

    def beat(self):
        """4.7."""
        beat = json.loads(self.optional("beat", "null"))
        ip, port = self.optional("ip", ""), parse_int(self.optional("port", "0"))
        cluster, kind = self.optional("clusterName", "DEFAULT"), True
        name = self.service_name()
        if beat:
            ip, port, kind = beat.get("ip"), int(beat.get("port", 0)), beat.get("ephemeral", True)
            cluster = beat.get("cluster") or cluster
        service = self.known(name)
        # Of both kinds: the text of 4.7 leaves open whose interval is told; who beats is the ephemeral one.
        both = [i for i in service.of(cluster) if (i.ip, i.port) == (ip, port)] if service else []
        found = both[-1] if both else None
        if found is None:
            if not beat:
                return Answer(200, {"clientBeatInterval": 5000, "code": 20404})
            found = Instance(ip, port, cluster, kind)
            found.weight, found.metadata = float(beat.get("weight", 0.0)), beat.get("metadata")
            self.put(self.make(name), found)
        else:
            for instance in both:
                instance.healthy |= instance.ephemeral
        interval = (found.metadata or {}).get("preserved.heart.beat.interval", "")
        return Answer(200, {"clientBeatInterval": int(interval) if interval and interval.isdigit() else 5000, "code": 10200,
                            "lightBeatEnabled": True})

    def statuses(self):
        if "key" not in self.params:
            raise Refused(500, "Required request parameter 'key' for method parameter type String is not present")
        namespace, _, name = self.params["key"].rpartition("##")
        check_name(name)
        service = self.services.get((namespace or "public", name))
        if service is None:
            raise Refused(500, "service: %s not found." % name)
        return Answer(200, {"ips": Groups(["%s:%d_%s" % (i.ip, i.port, str(i.healthy).lower()) for i in service.of()])})

    def batch(self, remove):
        """4.9."""
        name, metadata = self.service_name(checked=False), parse_metadata(self.required("metadata")) or {}
        service, kind = self.known(name), self.optional("consistencyType", "")
        chosen = []
        if service and kind in ("ephemeral", "persist"):
            chosen = service.of(ephemeral=kind == "ephemeral")
        elif service and kind == "":
            for entry in self.batch_entries():
                found = service.instances.get((entry[3], datum_key(entry[0], entry[1], entry[2])))
                chosen += [found] if found else []
        for instance in chosen:
            old = instance.metadata or {}
            instance.metadata = {k: v for k, v in old.items() if k not in metadata} if remove else dict(old, **metadata)
        if chosen:
            service.apply()
        keys = [["%s:%s" % (i.datum_key(), "ephemeral" if i.ephemeral else "persist") for i in chosen if i.ephemeral == which]
                for which in (False, True)]
        return Answer(200, {"updated": Groups(*keys)})

    def batch_entries(self):
        try:
            entries = json.loads(self.optional("instances", "[]"))
            return [(e["ip"], e["port"], e.get("clusterName", "DEFAULT"), e.get("ephemeral", True)) for e in entries]
        except ValueError:
            return []

    # -- services (5) ----------------------------------------------------------------------------------------------------
    def selector(self):
        text = self.optional("selector", "")
        if text == "":
            return {"type": "none"}
        asked = json.loads(text)
        if asked["type"] == "none":
            return {"type": "none"}
        if asked["type"] == "unknown":
            raise Refused(500, "not match any type of selector!")
        if asked["type"] != "label":
            raise Refused(400, "No enum constant com.alibaba.nacos.api.selector.SelectorType." + asked["type"])
        if asked["expression"].strip() == "":
            return {"type": "label", "expression": asked["expression"], "labels": []}
        labels = re.fullmatch(r"CONSUMER\.label\.(\w+)=PROVIDER\.label\.\1", asked["expression"])
        if not labels:
            raise Refused(500, "parse expression failed!")
        return {"type": "label", "expression": asked["expression"], "labels": Groups([labels.group(1)])}

    def create(self):
        name, threshold = self.bound_name(), self.optional("protectThreshold", "0.0")
        try:
            threshold = single(parse_double(threshold))
        except Refused as refused:
            raise Refused(500, Pattern("caused: Failed to convert value .*")) from refused
        if self.known(name):
            raise Refused(400, "specified service already exists, serviceName : " + name)
        metadata, selector = parse_metadata(self.optional("metadata", "")), self.selector()
        service = self.make(name)
        service.threshold, service.metadata, service.selector = threshold, metadata, selector
        service.apply()
        return Answer(200, OK)

    def delete(self):
        name = self.bound_name()
        if self.services.pop((self.namespace(), name), None) is None:
            raise Refused(400, "specified service not exist, serviceName : " + name)
        return Answer(200, OK)

    def show(self):
        name = self.bound_name()
        service = self.known(name)
        if service is None:
            raise Refused(500, "service %s is not found!" % name)
        clusters = [{"name": c.name, "healthChecker": c.checker, "metadata": shown(c.metadata)}
                    for c in service.clusters.values()]
        return Answer(200, {"name": service.bare(), "namespaceId": service.namespace, "protectThreshold": service.threshold,
                            "metadata": shown(service.metadata), "selector": service.selector,
                            "groupName": name.split("@@")[0], "clusters": Groups(clusters)})

    def change(self):
        name, threshold = self.service_name(checked=False), self.required("protectThreshold")
        service = self.known(name)
        if service is None:
            raise Refused(500, "service %s not found!" % name)
        metadata, selector = parse_metadata(self.optional("metadata", "")), self.selector()
        service.threshold, service.metadata, service.selector = lenient_float(threshold), metadata, selector
        service.apply()
        return Answer(200, OK)

    def names(self):
        """5.5."""
        page, size = int(self.required("pageNo")), int(self.required("pageSize"))
        group = self.optional("groupName", "DEFAULT_GROUP")
        names = sorted(name for namespace, name in self.services if namespace == self.namespace())
        if group != "*":
            names = [name[len(group) + 2:] for name in names if name.startswith(group + "@@")]
        start = max(0, (page - 1) * size)
        return Answer(200, {"doms": Groups(*[[name] for name in names[start:start + size]]), "count": len(names)})

    def recompute(self):
        name = self.service_name(checked=False)
        service = self.known(name)
        if service is None:
            raise Refused(500, "serviceName not found: " + name)
        service.apply()
        return Answer(200, {"checksum": service.checksum})

    # -- catalog, clusters, health (6) -----------------------------------------------------------------------------------
    def catalog_instances(self):
        name, cluster = self.bound_name(), self.params["clusterName"]
        service = self.known(name)
        if service is None:
            raise Refused(500, "service %s is not found!" % name)
        if cluster not in service.clusters:
            raise Refused(500, "cluster %s is not found!" % cluster)
        found = service.of(cluster)
        return Answer(200, {"list": Groups([full(i, service) for i in found]), "count": len(found)})

    def catalog_service(self):
        name = self.bound_name()
        service = self.known(name)
        if service is None:
            raise Refused(500, "service %s is not found!" % name)
        head = {"name": service.bare(), "protectThreshold": service.threshold, "groupName": name.split("@@")[0],
                "selector": service.selector, "metadata": shown(service.metadata)}
        clusters = [{"serviceName": name, "name": c.name, "healthChecker": c.checker, "defaultPort": 80, "defaultCheckPort": 80,
                     "useIPPort4Check": c.use_instance_port, "metadata": shown(c.metadata), "sitegroup": "",
                     "defCkport": c.check_port, "empty": not service.of(c.name), "defIPPort": c.check_port}
                    for c in service.clusters.values()]
        return Answer(200, {"service": head, "clusters": Groups(clusters)})

    def cluster_update(self):
        cluster, name, port = self.required("clusterName"), self.service_name(checked=False), self.required("checkPort")
        service = self.known(name)
        if service is None:
            raise Refused(500, "service not found:" + name)
        flag, checker = self.required("useInstancePort4Check"), json.loads(self.required("healthChecker"))
        metadata = parse_metadata(self.optional("metadata", ""))
        found = service.cluster(cluster)
        found.check_port, found.use_instance_port, found.checker = int(port), loose_bool(flag), checker
        found.metadata = metadata
        service.apply()
        return Answer(200, OK)

    def health(self):
        healthy = self.optional("healthy", self.optional("valid", ""))
        if healthy == "":
            raise Refused(400, "Param 'healthy' is required.")
        name = self.service_name(checked=False)
        ip, port = self.address()
        cluster = self.optional("clusterName", "DEFAULT")
        service = self.known(name)
        if service is None or cluster not in service.clusters:
            raise Refused(500, ANY)
        if service.clusters[cluster].checker["type"] != "NONE":
            raise Refused(400, "health check is still working, service: " + name)
        found = service.find(cluster, ip, port)
        if found:
            found.healthy = loose_bool(healthy)
        return Answer(200, OK)

    # -- namespaces of the console ---------------------------------------------------------------------------------------
    def namespace_entry(self, key, **more):
        return dict({"namespace": key, "namespaceShowName": self.namespaces[key][0], "quota": 200, "configCount": 0, "type": 2},
                    **more)

    def namespace_create(self):
        if "customNamespaceId" not in self.params:
            raise Refused(500, ANY)
        key = self.params["customNamespaceId"].strip()
        if not re.fullmatch(r"[\w-]+", key, re.A) or len(key) > 128 or key in self.namespaces:
            return Answer(200, False)
        self.namespaces[key] = (self.params["namespaceName"], self.params.get("namespaceDesc"))
        return Answer(200, True)

    def namespace_change(self):
        key = self.params["namespace"]
        if key in self.namespaces:
            self.namespaces[key] = (self.params["namespaceShowName"], self.params.get("namespaceDesc"))
        return Answer(200, True)

    def namespace_delete(self):
        self.namespaces.pop(self.params["namespaceId"], None)
        return Answer(200, True)

    def namespace_get(self):
        if self.params.get("show") == "all":
            key = self.params["namespaceId"]
            if key not in self.namespaces:
                raise Refused(500, ANY)
            return Answer(200, self.namespace_entry(key, namespaceDesc=self.namespaces[key][1]))
        if strict_bool(self.params.get("checkNamespaceIdExist", "")):
            return Answer(200, self.params["customNamespaceId"] in self.namespaces)
        public = {"namespace": "", "namespaceShowName": "public", "quota": 200, "configCount": 0, "type": 0}
        stored = [self.namespace_entry(key) for key in self.namespaces]
        return Answer(200, {"code": 200, "message": None, "data": Among([public] + stored)})

    ROUTES = {
        "POST /v1/ns/instance": register, "PUT /v1/ns/instance": update, "DELETE /v1/ns/instance": deregister,
        "PATCH /v1/ns/instance": patch, "GET /v1/ns/instance": get, "GET /v1/ns/instance/list": list,
        "PUT /v1/ns/instance/beat": beat, "GET /v1/ns/instance/statuses": statuses,
        "PUT /v1/ns/instance/metadata/batch": lambda self: self.batch(False),
        "DELETE /v1/ns/instance/metadata/batch": lambda self: self.batch(True),
        "POST /v1/ns/service": create, "DELETE /v1/ns/service": delete, "GET /v1/ns/service": show, "PUT /v1/ns/service": change,
        "GET /v1/ns/service/list": names, "PUT /v1/ns/service/checksum": recompute,
        "GET /v1/ns/catalog/instances": catalog_instances, "GET /v1/ns/catalog/service": catalog_service,
        "PUT /v1/ns/cluster": cluster_update, "PUT /v1/ns/health": health, "PUT /v1/ns/health/instance": health,
        "POST /v1/console/namespaces": namespace_create, "PUT /v1/console/namespaces": namespace_change,
        "DELETE /v1/console/namespaces": namespace_delete, "GET /v1/console/namespaces": namespace_get,
    }


def normal(path):
    """6.5: the old name of all of /instance."""
    return re.sub("^/v1/ns/api(?=/|$)", "/v1/ns/instance", path)


def weight_json(weight):
    return "NaN" if math.isnan(weight) else weight


def host(instance, label, healthy):
    """One element of 4.6 step 9."""
    return {"ip": instance.ip, "port": instance.port, "valid": healthy, "healthy": healthy, "marked": False,
            "instanceId": instance.id, "metadata": shown(instance.metadata), "enabled": True,
            "weight": weight_json(instance.weight), "clusterName": instance.cluster, "serviceName": label,
            "ephemeral": instance.ephemeral}


def full(instance, service):
    """The full instance of 6.1: what is null is left out."""
    metadata = instance.metadata or {}

    def period(key, fallback):
        value = metadata.get(key)
        return int(value) if value and value.isdigit() else fallback
    shape = {"instanceId": instance.id, "ip": instance.ip, "port": instance.port, "weight": weight_json(instance.weight),
             "healthy": instance.healthy, "enabled": instance.enabled, "ephemeral": instance.ephemeral,
             "clusterName": instance.cluster, "serviceName": service.name, "lastBeat": Number(), "marked": False,
             "instanceHeartBeatInterval": period("preserved.heart.beat.interval", 5000),
             "instanceHeartBeatTimeOut": period("preserved.heart.beat.timeout", 15000),
             "ipDeleteTimeout": period("preserved.ip.delete.timeout", 30000)}
    if instance.metadata is not None:
        shape["metadata"] = shown(instance.metadata)
    if instance.app is not ABSENT:
        shape["app"] = instance.app
    generator = metadata.get("preserved.instance.id.generator")
    if not metadata or generator is not None:
        shape["instanceIdGenerator"] = generator or "simple"
    return shape
