// The people who can log in, with any password, and what tokens say of them.

const ACCOUNTS = {
  alice: {
    email: 'alice@corp.test',
    groups: ['platform-admins', 'bni-editors'],
    roles: ['domain-admin'],
    tenant: 'bni',
  },
  bob: {
    email: 'bob@corp.test',
    groups: ['auditors'],
    roles: ['compliance-auditor'],
    tenant: 'bnp',
  },
};

const STRANGER = { groups: [], roles: [], tenant: 'none' };

const SERVICE_CLAIMS = { namespace: 'bni', roles: ['bot-operator'] };

/** The claims that scopes release in ID tokens and at the userinfo endpoint. */
export const CLAIMS = {
  openid: ['sub'],
  email: ['email', 'email_verified'],
  profile: ['name'],
  groups: ['groups', 'roles', 'tenant'],
};

/** Any name is an account; those above have groups and roles. */
export function findAccount(context, id) {
  const account = ACCOUNTS[id] ?? { ...STRANGER, email: `${id}@corp.test` };
  const claims = async () => ({ sub: id, name: id, email_verified: true, ...account });
  return { accountId: id, claims };
}

/** What access tokens say beside the registered claims. */
export function extraTokenClaims(context, token) {
  const account = ACCOUNTS[token.accountId];
  if (!account) return SERVICE_CLAIMS;
  return { namespace: account.tenant, roles: account.roles, groups: account.groups };
}
