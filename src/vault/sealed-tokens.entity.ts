import { defineEntity, p } from '@mikro-orm/core';
import type { TokenStatus } from '../token-set.js';

const SealedTokensSchema = defineEntity({
  name: 'SealedTokens',
  tableName: 'sealed_tokens',
  checks: [
    { name: 'sealed_tokens_status_check', expression: "status in ('ACTIVE', 'REAUTHENTICATION_REQUIRED')" },
  ],
  properties: {
    accountId: p.uuid().primary(),
    status: p.text().$type<TokenStatus>(),
    /** Scopes of the access token, space-separated as in the token (RFC 6749 §3.3). */
    scope: p.text(),
    accessToken: p.text(),
    idToken: p.text().nullable(),
    refreshToken: p.text().nullable(),
    /** The kids that the three ciphertexts name, space-separated. */
    keyIds: p.text(),
    accessTokenExpiresAt: p.datetime(3),
    lastRefreshedAt: p.datetime(3).nullable(),
    /** Incremented by every change of the tokens: optimistic concurrency. */
    generation: p.integer(),
    /** Whether the provider replaced the refresh token in an earlier response. */
    refreshTokenRotates: p.boolean().default(false),
    /** The attempt that calls the provider now, or whose response was lost. */
    leaseId: p.uuid().nullable(),
    leaseExpiresAt: p.datetime(3).nullable(),
    failureCount: p.integer().default(0),
    /** No refresh before this moment, by the clock of the database. */
    retryAt: p.datetime(3).nullable(),
  },
});

/** The sealed tokens of one account. What a profile read needs is clear; the tokens are ciphertext. */
export class SealedTokens extends SealedTokensSchema.class {}
SealedTokensSchema.setClass(SealedTokens);
