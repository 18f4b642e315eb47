import { defineEntity, p } from '@mikro-orm/core';
import type { TokenStatus } from '../token-set.js';
import { TokenKey } from './token-key.entity.js';

const SealedTokensSchema = defineEntity({
  name: 'SealedTokens',
  tableName: 'sealed_tokens',
  checks: [
    { name: 'sealed_tokens_status_check', expression: "status in ('ACTIVE', 'REAUTHENTICATION_REQUIRED')" },
    {
      name: 'sealed_tokens_data_key_check',
      expression: '(key_id is null) = (data_key is null) and (data_key is null) = (access_token is null)',
    },
  ],
  indexes: [
    { name: 'sealed_tokens_key_id_index', properties: ['key', 'accountId'] },
    {
      name: 'sealed_tokens_refresh_due_index',
      expression: `create index sealed_tokens_refresh_due_index
        on sealed_tokens (issuer, client_id, greatest(access_token_expires_at, retry_at))
        where status = 'ACTIVE' and refresh_token is not null`,
    },
  ],
  properties: {
    accountId: p.uuid().primary(),
    status: p.text().$type<TokenStatus>(),
    /** Scopes of the access token, space-separated as in the token (RFC 6749 §3.3). */
    scope: p.text(),
    /** Whom the tokens were issued by and to: they are of use nowhere else. */
    issuer: p.text(),
    clientId: p.text(),
    /** The key of the ring that wraps the data key. */
    key: () =>
      p.manyToOne(TokenKey).fieldName('key_id').nullable().updateRule('no action').deleteRule('restrict'),
    /** The data key of the account, wrapped. Without it the tokens do not open. */
    dataKey: p.text().nullable(),
    accessToken: p.text().nullable(),
    idToken: p.text().nullable(),
    refreshToken: p.text().nullable(),
    /** A response of the provider that could not be verified yet, sealed. */
    pendingResponse: p.text().nullable(),
    /** `iat` of the access token; null for one that an earlier version stored. */
    accessTokenIssuedAt: p.datetime(3).nullable(),
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
