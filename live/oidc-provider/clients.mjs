// The registered clients. Services are named after how they authenticate.

import { certificateJwk, publicJwk } from './jwk.mjs';
import { JWT_BEARER, TOKEN_EXCHANGE } from './grants.mjs';

/** The subject of the client certificate that `svc-mtls` must show, as RFC 4514 writes it. */
const MTLS_SUBJECT = 'O=PIPE,CN=svc-mtls';

const DEVICE_CODE = 'urn:ietf:params:oauth:grant-type:device_code';

/** The clients as oidc-provider's configuration has them. */
export async function buildClients(settings) {
  const {
    client_public_keys: publicKeys,
    logout_uri: logoutUri,
    post_logout_uri: postLogoutUri,
    redirect_uri: redirectUri,
    secrets,
    self_signed_certificate: selfSignedCertificate,
  } = settings;

  const noRedirects = { redirect_uris: [], response_types: [] };
  const service = { grant_types: ['client_credentials'], ...noRedirects };
  const certificateBound = { tls_client_certificate_bound_access_tokens: true };
  const withCode = {
    grant_types: ['authorization_code', 'refresh_token'],
    redirect_uris: [redirectUri],
    response_types: ['code'],
  };
  const keys = Object.entries(publicKeys).map(([algorithm, pem]) => publicJwk(pem, algorithm));

  const clients = [
    { client_id: 'svc-basic', token_endpoint_auth_method: 'client_secret_basic', ...service },
    { client_id: 'svc-post', token_endpoint_auth_method: 'client_secret_post', ...service },
    { client_id: 'svc-sjwt', token_endpoint_auth_method: 'client_secret_jwt', ...service },
    {
      client_id: 'svc-pkjwt',
      token_endpoint_auth_method: 'private_key_jwt',
      jwks: { keys: await Promise.all(keys) },
      ...service,
    },
    {
      client_id: 'svc-mtls',
      token_endpoint_auth_method: 'tls_client_auth',
      tls_client_auth_subject_dn: MTLS_SUBJECT,
      ...certificateBound,
      ...service,
    },
    {
      client_id: 'svc-self',
      token_endpoint_auth_method: 'self_signed_tls_client_auth',
      jwks: { keys: [certificateJwk(selfSignedCertificate)] },
      ...certificateBound,
      ...service,
    },
    {
      client_id: 'svc-dpop',
      token_endpoint_auth_method: 'client_secret_basic',
      dpop_bound_access_tokens: true,
      ...service,
    },
    {
      client_id: 'svc-grants',
      token_endpoint_auth_method: 'client_secret_basic',
      grant_types: [JWT_BEARER, TOKEN_EXCHANGE],
      ...noRedirects,
    },
    {
      client_id: 'web',
      token_endpoint_auth_method: 'client_secret_basic',
      post_logout_redirect_uris: [postLogoutUri ?? redirectUri],
      ...(logoutUri && {
        backchannel_logout_session_required: true,
        backchannel_logout_uri: logoutUri,
      }),
      ...withCode,
    },
    // Native, so that a redirect to the loopback interface may have any port (RFC 8252).
    { client_id: 'spa', application_type: 'native', token_endpoint_auth_method: 'none', ...withCode },
    {
      client_id: 'cli',
      application_type: 'native',
      token_endpoint_auth_method: 'none',
      grant_types: [DEVICE_CODE, 'refresh_token'],
      ...noRedirects,
    },
    // A resource server: it only introspects.
    {
      client_id: 'rs',
      token_endpoint_auth_method: 'client_secret_basic',
      grant_types: [],
      ...noRedirects,
    },
  ];

  return clients.map((client) => {
    const secret = secrets[client.client_id];
    return secret ? { ...client, client_secret: secret } : client;
  });
}
