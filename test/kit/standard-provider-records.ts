import { type Adapter, type AdapterPayload, errors } from 'oidc-provider';

/** Everything the provider remembers, by kind and id. */
export type Records = Map<string, AdapterPayload>;

/** oidc-provider's own words for the event log. */
export const REFRESH_TOKEN_USED = 'refresh token already used';

/** Removes the grants that match, and every token and code of theirs. */
export function revokeGrants(records: Records, matches: (grant: AdapterPayload) => boolean): void {
  for (const [key, grant] of records) {
    if (!key.startsWith('Grant:') || !matches(grant)) continue;
    records.delete(key);
    for (const [other, { grantId }] of records) if (grantId === grant.jti) records.delete(other);
  }
}

/** Keeps one kind of record. Expiry is checked by oidc-provider. */
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
    /** oidc-provider looks and consumes in two steps; two requests in between would both win. */
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

/** As through a database: nobody shares an object with the store. */
function copy<T extends AdapterPayload | undefined>(payload: T): T {
  return payload && (JSON.parse(JSON.stringify(payload)) as T);
}
