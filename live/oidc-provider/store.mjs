// What the provider has issued, in memory. All instances of this class share it, so that it
// outlives the provider instance that a change of keys replaces.

const entries = new Map();

const UIDS = 'uid';
const USER_CODES = 'user-code';
const GRANT_MEMBERS = 'grant-members';

const key = (kind, id) => `${kind}:${id}`;

/** Takes back what was granted so far, as somebody who administers the provider would. */
export function revokeGrants() {
  const granted = ['AccessToken:', 'Grant:', 'RefreshToken:'];
  for (const own of entries.keys()) {
    if (granted.some((kind) => own.startsWith(kind))) entries.delete(own);
  }
}

/** The adapter that oidc-provider asks for, one instance per model. */
export class Store {
  constructor(model) {
    this.model = model;
  }

  async upsert(id, payload) {
    const own = key(this.model, id);
    entries.set(own, payload);
    if (payload.uid) entries.set(key(UIDS, payload.uid), id);
    if (payload.userCode) entries.set(key(USER_CODES, payload.userCode), id);
    if (payload.grantId && this.model !== 'Grant') {
      const members = key(GRANT_MEMBERS, payload.grantId);
      entries.set(members, [...(entries.get(members) ?? []), own]);
    }
  }

  async find(id) {
    return entries.get(key(this.model, id));
  }

  async findByUid(uid) {
    return this.find(entries.get(key(UIDS, uid)));
  }

  async findByUserCode(userCode) {
    return this.find(entries.get(key(USER_CODES, userCode)));
  }

  async consume(id) {
    const payload = await this.find(id);
    if (payload) payload.consumed = Math.floor(Date.now() / 1000);
  }

  async destroy(id) {
    entries.delete(key(this.model, id));
  }

  async revokeByGrantId(grantId) {
    const members = key(GRANT_MEMBERS, grantId);
    for (const member of entries.get(members) ?? []) entries.delete(member);
    entries.delete(members);
  }
}
