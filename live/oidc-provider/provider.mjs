// The configuration of oidc-provider.

import { X509Certificate, randomBytes } from 'node:crypto';

import { CLAIMS, extraTokenClaims, findAccount } from './accounts.mjs';
import { registerGrants } from './grants.mjs';
import { Provider } from './packages.mjs';
import { resourceServerInfo } from './resources.mjs';
import { Store } from './store.mjs';

const HOUR = 3600;
const DAY = 24 * HOUR;

// One for all instances: a login survives a rotation of keys.
const cookieKeys = [randomBytes(32).toString('hex')];

/** A provider with the clients, keys and settings of `state`, which is that of server.mjs. */
export function buildProvider(state) {
  const accessTokenLifetime = () => state.tokenLifetime;
  const provider = new Provider(state.issuer, {
    adapter: Store,
    claims: CLAIMS,
    clientAuthMethods: [
      'client_secret_basic',
      'client_secret_jwt',
      'client_secret_post',
      'none',
      'private_key_jwt',
      'self_signed_tls_client_auth',
      'tls_client_auth',
    ],
    clients: state.clients,
    // ID tokens carry the claims of all scopes, as those of most providers do.
    conformIdTokenClaims: false,
    cookies: { keys: cookieKeys },
    extraTokenClaims,
    features: {
      backchannelLogout: { enabled: true },
      clientCredentials: { enabled: true },
      devInteractions: { enabled: true },
      deviceFlow: { enabled: true },
      introspection: { enabled: true, allowedPolicy: () => true },
      jwtIntrospection: { enabled: true },
      mTLS,
      pushedAuthorizationRequests: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => undefined,
        getResourceServerInfo: (context, resource) => resourceServerInfo(resource, state.tokenLifetime),
        useGrantedResource: () => true,
      },
      revocation: { enabled: true },
    },
    fetch: fetchFromLoopback,
    findAccount,
    issueRefreshToken: (context, client, code) => (
      client.grantTypeAllowed('refresh_token') && code.scopes.has('offline_access')
    ),
    jwks: state.keys.jwks,
    pkce: { required: () => true },
    rotateRefreshToken: true,
    scopes: ['openid', 'offline_access', 'email', 'profile', 'groups'],
    ttl: {
      AccessToken: accessTokenLifetime,
      AuthorizationCode: 60,
      ClientCredentials: accessTokenLifetime,
      DeviceCode: 600,
      Grant: DAY,
      IdToken: HOUR,
      Interaction: HOUR,
      RefreshToken: DAY,
      Session: DAY,
    },
  });
  registerGrants(provider, state);
  logErrors(provider);
  return provider;
}

const mTLS = {
  enabled: true,
  certificateBoundAccessTokens: true,
  selfSignedTlsClientAuth: true,
  tlsClientAuth: true,
  getCertificate: (context) => peerCertificate(context)?.toString(),
  certificateAuthorized: (context) => context.socket.authorized === true,
  certificateSubjectMatches: (context, property, expected) => {
    if (property !== 'tls_client_auth_subject_dn') return false;
    // Node writes one attribute a line in the order of the certificate, which RFC 4514 reverses.
    const subject = peerCertificate(context)?.subject.split('\n').reverse().join(',');
    return subject === expected;
  },
};

function peerCertificate(context) {
  // The plain socket has no such function, and an object without `raw` is no certificate.
  const raw = context.socket.getPeerCertificate?.().raw;
  return raw && new X509Certificate(raw);
}

/** oidc-provider gives `fetch` a dispatcher that refuses loopback addresses. */
function fetchFromLoopback(url, options = {}) {
  const { dispatcher, ...rest } = options;
  return fetch(url, rest);
}

/** The true reasons of refusals, which the answers do not tell. */
function logErrors(provider) {
  for (const event of ['backchannel.error', 'grant.error', 'introspection.error', 'server_error']) {
    provider.on(event, (context, error) => {
      console.error(event, error.message, error.error_detail ?? error.cause?.message ?? '');
    });
  }
}
