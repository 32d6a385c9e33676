// Public keys and certificates of the test process, as JSON Web Keys.

import { X509Certificate, createPublicKey } from 'node:crypto';

import { jose } from './packages.mjs';

/** The key of a PEM document; its id is its thumbprint (RFC 7638). */
export async function publicJwk(pem, algorithm) {
  const key = createPublicKey(pem).export({ format: 'jwk' });
  return { ...key, alg: algorithm, use: 'sig', kid: await jose.calculateJwkThumbprint(key) };
}

/** The key of a certificate, with the certificate (RFC 8705, section 2.2.2). */
export function certificateJwk(pem) {
  const certificate = new X509Certificate(pem);
  return {
    ...certificate.publicKey.export({ format: 'jwk' }),
    kid: 'self-signed',
    x5c: [certificate.raw.toString('base64')],
  };
}

/** The ids of the keys in `pems`, which is an object from algorithms to PEM documents. */
export async function thumbprints(pems) {
  const ids = {};
  for (const [algorithm, pem] of Object.entries(pems)) {
    ids[algorithm] = (await publicJwk(pem, algorithm)).kid;
  }
  return ids;
}
