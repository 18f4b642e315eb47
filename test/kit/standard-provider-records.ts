import { type Adapter, type AdapterPayload, errors } from 'oidc-provider';

/** Everything that the provider stores, by kind and id. */
export type Records = Map<string, AdapterPayload>;

/** The error detail that oidc-provider emits. */
export const REFRESH_TOKEN_USED = 'refresh token already used';

/** Removes the grants that match, with their tokens and codes. */
export function revokeGrants(records: Records, matches: (grant: AdapterPayload) => boolean): void {
  for (const [key, grant] of records) {
    if (!key.startsWith('Grant:') || !matches(grant)) continue;
    records.delete(key);
    for (const [other, { grantId }] of records) if (grantId === grant.jti) records.delete(other);
  }
}

/** Stores one kind of record. oidc-provider checks the expiry. */
export function createAdapter(model: string, records: Records): Adapter {
  const keyOf = (id: string): string => `${model}:${id}`;
  return {
    find: async (id) => copy(records.get(keyOf(id))),
    findByUid: async (uid) =>
      copy([...records].find(([key, record]) => key.startsWith(keyOf('')) && record.uid === uid)?.[1]),
    findByUserCode: async () => undefined,
    upsert: async (id, payload) => void records.set(keyOf(id), copy(payload)),
    destroy: async (id) => void records.delete(keyOf(id)),
    revokeByGrantId: async (grantId) => revokeGrants(records, ({ jti }) => jti === grantId),
    /** Atomic, unlike oidc-provider, which checks and consumes in two steps: two concurrent requests would both succeed. */
    async consume(id) {
      const record = records.get(keyOf(id));
      if (!record || record.consumed !== undefined) {
        revokeGrants(records, ({ jti }) => jti === record?.grantId);
        throw new errors.InvalidGrant(model === 'RefreshToken' ? REFRESH_TOKEN_USED : 'code already used');
      }
      record.consumed = Math.floor(Date.now() / 1_000);
    },
  };
}

/** A deep copy, as from a database: callers share no object with the store. */
function copy<T extends AdapterPayload | undefined>(payload: T): T {
  return payload && (JSON.parse(JSON.stringify(payload)) as T);
}
