// Runs in a pod and passes connections on to a Service, for machines that cannot reach one directly.
// A port that kubectl forwards to the Service itself would end with the pod that it happens to pick.

import { connect, createServer } from 'node:net';
import process from 'node:process';

const { RELAY_HOST: host, RELAY_TO, RELAY_PORT } = process.env;

createServer({ noDelay: true }, (client) => {
  const service = connect({ host, port: Number(RELAY_TO), noDelay: true });
  client.pipe(service).pipe(client);
  const end = () => {
    client.destroy();
    service.destroy();
  };
  for (const socket of [client, service]) socket.on('error', end).on('close', end);
}).listen(Number(RELAY_PORT));
