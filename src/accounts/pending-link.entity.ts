import { defineEntity, p } from '@mikro-orm/core';

const PendingLinkSchema = defineEntity({
  name: 'PendingLink',
  tableName: 'pending_link',
  indexes: [
    { name: 'pending_link_user_index', properties: ['userId', 'expiresAt'] },
    { name: 'pending_link_address_index', properties: ['addressHash', 'expiresAt'] },
  ],
  properties: {
    /** SHA-256 of `state`, hex. */
    stateHash: p.text().primary(),
    /** SHA-256 of the `linkToken` that the one who began holds, hex. */
    linkTokenHash: p.text(),
    /** SHA-256 of the `nonce` sent to the provider, hex. */
    nonceHash: p.text(),
    redirectUri: p.text(),
    /** The signed-in user who began, or null when it was begun anonymously. */
    userId: p.uuid().nullable(),
    /** SHA-256 of the address that it was begun from, hex. */
    addressHash: p.text().nullable(),
    expiresAt: p.datetime(3).index('pending_link_expires_at_index'),
  },
});

/** A link that was begun and not yet completed. Secrets are here only as hashes. */
export class PendingLink extends PendingLinkSchema.class {}
PendingLinkSchema.setClass(PendingLink);
