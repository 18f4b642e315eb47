import { defineEntity, p } from '@mikro-orm/core';

const PendingRevocationSchema = defineEntity({
  name: 'PendingRevocation',
  tableName: 'pending_revocation',
  indexes: [
    { name: 'pending_revocation_due_index', properties: ['issuer', 'clientId', 'retryAt'] },
    { name: 'pending_revocation_key_id_index', properties: ['keyId', 'id'] },
  ],
  properties: {
    id: p.uuid().primary(),
    /** Whose it was; the account may be gone. */
    accountId: p.uuid(),
    issuer: p.text(),
    clientId: p.text(),
    keyId: p.text(),
    /** The data key of the account as it was, wrapped. */
    dataKey: p.text(),
    /** Sealed, as it was in the row of the account. */
    refreshToken: p.text(),
    failureCount: p.integer().default(0),
    createdAt: p.datetime(3).defaultRaw('clock_timestamp()'),
    /** The next attempt, by the clock of the database. */
    retryAt: p.datetime(3).defaultRaw('clock_timestamp()'),
  },
});

/** A refresh token that is of no use here any more, until the provider has revoked it (transactional outbox). */
export class PendingRevocation extends PendingRevocationSchema.class {}
PendingRevocationSchema.setClass(PendingRevocation);
