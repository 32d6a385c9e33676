// Two grants that oidc-provider lacks: the JWT bearer grant (RFC 7523) and token exchange
// (RFC 8693). Both trade a JWT of one trusted issuer for an access token of this provider.

import { createPublicKey } from 'node:crypto';

import { errors, jose } from './packages.mjs';
import { resourceServerInfo } from './resources.mjs';

export const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
export const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';

const TOKEN_TYPE = {
  accessToken: 'urn:ietf:params:oauth:token-type:access_token',
  jwt: 'urn:ietf:params:oauth:token-type:jwt',
};

/** `state` says which issuer is trusted, by its name and public key, and how long tokens live. */
export function registerGrants(provider, state) {
  const jwtBearer = async (context) => {
    const { assertion } = context.oidc.params;
    context.body = await trade(provider, state, context, JWT_BEARER, assertion);
  };
  provider.registerGrantType(JWT_BEARER, jwtBearer, ['assertion', 'audience', 'resource', 'scope']);

  const tokenExchange = async (context) => {
    const { params } = context.oidc;
    if (params.subject_token_type !== TOKEN_TYPE.jwt) {
      throw new errors.InvalidRequest(`subject_token_type must be ${TOKEN_TYPE.jwt}`);
    }
    const requested = params.requested_token_type ?? TOKEN_TYPE.accessToken;
    if (requested !== TOKEN_TYPE.accessToken) {
      throw new errors.InvalidRequest(`requested_token_type must be ${TOKEN_TYPE.accessToken}`);
    }
    if (params.actor_token !== undefined) {
      throw new errors.InvalidRequest('actor_token is not supported');
    }
    const body = await trade(provider, state, context, TOKEN_EXCHANGE, params.subject_token);
    context.body = { ...body, issued_token_type: TOKEN_TYPE.accessToken };
  };
  provider.registerGrantType(TOKEN_EXCHANGE, tokenExchange, [
    'actor_token',
    'actor_token_type',
    'audience',
    'requested_token_type',
    'resource',
    'scope',
    'subject_token',
    'subject_token_type',
  ]);
}

/** The token response for a JWT of the trusted issuer. */
async function trade(provider, state, context, grantType, jwt) {
  const { client, params, requestParamScopes } = context.oidc;
  const accountId = await subject(state, provider.issuer, jwt);
  const resource = params.resource ?? params.audience;
  if (typeof resource !== 'string') throw new errors.InvalidTarget();
  const info = resourceServerInfo(resource, state.tokenLifetime);
  const allowed = new Set(info.scope.split(' '));
  const scope = [...requestParamScopes].filter((name) => allowed.has(name)).join(' ');

  const grant = new provider.Grant({ accountId, clientId: client.clientId });
  grant.addResourceScope(resource, scope);
  const token = new provider.AccessToken({
    accountId,
    client,
    grantId: await grant.save(),
    gty: grantType,
    resourceServer: new provider.ResourceServer(resource, info),
    scope: scope || undefined,
  });
  context.oidc.entity('Grant', grant);
  context.oidc.entity('AccessToken', token);
  return {
    access_token: await token.save(),
    expires_in: token.expiration,
    token_type: token.tokenType,
    ...(scope && { scope }),
  };
}

/** The subject of a JWT that the trusted issuer has made for this provider. */
async function subject(state, audience, jwt) {
  const { issuer, public_key: key, algorithm } = state.trustedAssertions;
  if (jwt === undefined) throw new errors.InvalidRequest('the JWT is missing');
  try {
    const { payload } = await jose.jwtVerify(jwt, createPublicKey(key), {
      algorithms: [algorithm],
      audience,
      issuer,
      requiredClaims: ['exp', 'iat', 'sub'],
    });
    return payload.sub;
  } catch (error) {
    throw new errors.InvalidGrant('the JWT is not accepted', error.message);
  }
}
