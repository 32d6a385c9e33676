// A certified OpenID provider for the live tests, on ports of the loopback interface that the
// operating system chooses.
//
// The first line of standard input is a JSON object with the settings: certificates, client
// secrets and public keys, so that none of them is ever in a file. The first and only line of
// standard output is a JSON object that says where the server is. It ends when its input does,
// which also happens when the test process is killed.

import http from 'node:http';
import https from 'node:https';
import readline from 'node:readline';

import { handleAdmin } from './admin.mjs';
import { buildClients } from './clients.mjs';
import { Faults } from './faults.mjs';
import { KeyRing } from './keys.mjs';
import { buildProvider } from './provider.mjs';
import { thumbprints } from './jwk.mjs';

const HOST = '127.0.0.1';

const settings = await readSettings();
const plain = http.createServer();
const secure = https.createServer({
  ca: settings.tls.ca,
  cert: settings.tls.certificate,
  key: settings.tls.key,
  requestCert: true,
  // Most clients have no certificate; the provider decides about those that need one.
  rejectUnauthorized: false,
});
const admin = http.createServer();

// The provider must know its issuer, so the port comes first. Requests cannot arrive before the
// report, so nobody misses the handlers.
const issuer = `http://${HOST}:${await listen(plain)}`;
const report = {
  issuer,
  tls: `https://${HOST}:${await listen(secure)}`,
  admin: `http://${HOST}:${await listen(admin)}`,
  client_key_ids: await thumbprints(settings.client_public_keys),
};

const state = {
  clients: await buildClients(settings),
  faults: new Faults(),
  hits: new Map(),
  issuer,
  keys: await KeyRing.generate(),
  tokenLifetime: settings.token_lifetime,
  trustedAssertions: settings.trusted_assertions,
};
let handleRequest;
// oidc-provider takes its keys once, so every change of them makes a new instance. What it has
// issued is in a store that the instances share.
const rebuild = () => {
  handleRequest = buildProvider(state).callback();
};
rebuild();

const front = (request, response) => {
  const path = request.url.split('?')[0];
  state.hits.set(path, (state.hits.get(path) ?? 0) + 1);
  state.faults.apply(path, request, response, () => handleRequest(request, response));
};
plain.on('request', front);
secure.on('request', front);
admin.on('request', (request, response) => handleAdmin(state, rebuild, request, response));

process.stdout.write(`${JSON.stringify(report)}\n`);

function readSettings() {
  return new Promise((resolve) => {
    const lines = readline.createInterface({ input: process.stdin });
    lines.once('line', (line) => resolve(JSON.parse(line)));
    lines.once('close', () => process.exit(0));
  });
}

function listen(server) {
  // A connection that is closed when idle can be closed just as a client sends on it.
  server.keepAliveTimeout = 0;
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, HOST, () => resolve(server.address().port));
  });
}
