// The services that access tokens are for, and how their tokens look.

import { errors } from './packages.mjs';

const SCOPES = 'secrets:read secrets:write identity:read';

/** Whom pipe-testkit's suites ask for, and with which scopes. */
const SUITE = 'pipe-testkit';
const SUITE_SCOPES = 'read';

/** From the resource to the algorithm of its JWTs; `null` is a resource with opaque tokens. */
const RESOURCES = {
  'https://api.pipe.local': 'RS256',
  'https://api.pipe.local/ps': 'PS256',
  'https://api.pipe.local/es': 'ES256',
  'https://api.pipe.local/ed': 'EdDSA',
  'https://api.pipe.local/opaque': null,
  [SUITE]: 'RS256',
};

/** What oidc-provider calls a resource server; `lifetime` is that of its tokens, in seconds. */
export function resourceServerInfo(resource, lifetime) {
  if (!Object.hasOwn(RESOURCES, resource)) throw new errors.InvalidTarget();
  const algorithm = RESOURCES[resource];
  const scope = resource === SUITE ? SUITE_SCOPES : SCOPES;
  const info = { scope, audience: resource, accessTokenTTL: lifetime };
  return algorithm
    ? { ...info, accessTokenFormat: 'jwt', jwt: { sign: { alg: algorithm } } }
    : { ...info, accessTokenFormat: 'opaque' };
}
