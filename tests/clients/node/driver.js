// SPDX-License-Identifier: Apache-2.0
// Drives the published Node.js client: one JSON command a line on standard input, one JSON answer a line on
// standard output, and {"event":"hosts"} lines for a subscription. Arguments: server address, namespace.
'use strict';
const readline = require('readline');
const { NacosNamingClient } = require('nacos');

const quiet = { info() {}, warn() {}, debug() {}, error() {}, log() {}, write() {} };
const [server, namespace] = process.argv.slice(2);
const client = new NacosNamingClient({ logger: quiet, serverList: server, namespace: namespace || 'public' });

const say = line => process.stdout.write(JSON.stringify(line) + '\n');
const plain = h => ({ ip: h.ip, port: h.port, healthy: h.healthy, weight: h.weight, metadata: h.metadata, cluster: h.clusterName });
const instance = c => ({
  ip: c.ip, port: c.port, weight: c.weight === undefined ? 1 : c.weight, metadata: c.metadata || {},
  clusterName: c.cluster || 'DEFAULT', ephemeral: c.ephemeral !== false,
});
const group = c => c.group || 'DEFAULT_GROUP';

const ops = {
  register: c => client.registerInstance(c.service, instance(c), group(c)),
  deregister: c => client.deregisterInstance(c.service, instance(c), group(c)),
  list: async c => (await client.getAllInstances(c.service, group(c), c.clusters || '', false)).map(plain),
  select: async c => (await client.selectInstances(c.service, group(c), c.clusters || '', c.healthy !== false, false)).map(plain),
  subscribe: async c => client.subscribe({ serviceName: c.service, groupName: group(c), clusters: c.clusters },
    hosts => say({ event: 'hosts', service: c.service, hosts: hosts.map(plain) })),
  status: () => client.getServerStatus(),
};

(async () => {
  await client.ready();
  say({ event: 'ready' });
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const command = JSON.parse(line);
    Promise.resolve().then(() => ops[command.op](command)).then(
      result => say({ id: command.id, ok: true, result: result === undefined ? null : result }),
      error => say({ id: command.id, ok: false, error: String(error && error.message || error) }));
  }
  process.exit(0);
})();
