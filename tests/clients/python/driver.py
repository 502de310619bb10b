# SPDX-License-Identifier: Apache-2.0
"""Drives the published Python client: JSON commands in, JSON answers out, one a line.

driver.py SERVER NAMESPACE [USER PASSWORD]"""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "site"))
import nacos  # noqa: E402

client = None


def plain(hosts):
    return [{"ip": h["ip"], "port": h["port"], "healthy": h["healthy"], "weight": h["weight"], "metadata": h["metadata"],
             "cluster": h["clusterName"]} for h in hosts]


def run(c):
    # Without a cluster it registers into one named "None".
    where = {"cluster_name": c.get("cluster", "DEFAULT"), "group_name": c.get("group", "DEFAULT_GROUP")}
    if c["op"] == "register":
        return client.add_naming_instance(c["service"], c["ip"], c["port"], metadata=c.get("metadata"), heartbeat_interval=5,
                                          **where)
    if c["op"] == "deregister":
        return client.remove_naming_instance(c["service"], c["ip"], c["port"], **where)
    if c["op"] == "list":
        return plain(client.list_naming_instance(c["service"], group_name=where["group_name"])["hosts"])
    raise ValueError("unknown op")


def main():
    global client
    server, namespace, *credentials = sys.argv[1:]
    more = dict(zip(("username", "password"), credentials))
    client = nacos.NacosClient(server, namespace=namespace or None, logDir=os.environ["HOME"], **more)
    print(json.dumps({"event": "ready"}), flush=True)
    for text in sys.stdin:
        c = json.loads(text)
        try:
            line = {"id": c["id"], "ok": True, "result": run(c)}
        except Exception as error:      # whatever the client throws is the answer
            line = {"id": c["id"], "ok": False, "error": repr(error)}
        print(json.dumps(line), flush=True)
    os._exit(0)                         # its beats run in threads that never end


if __name__ == "__main__":
    main()
