import type { SqlEntityManager } from '@mikro-orm/sql';
import type { ClientRegistration } from '../token-set.js';
import type { WrappedKey } from './data-key.js';

/** The ciphertexts of the tokens. */
export interface Ciphertexts {
  readonly accessToken: string | null;
  readonly idToken: string | null;
  readonly refreshToken: string | null;
}

/** Ciphertexts and clear columns of a token set, as they go into the row. */
export interface SealedColumns extends Ciphertexts {
  readonly scope: string;
  readonly accessTokenIssuedAt: Date;
  readonly accessTokenExpiresAt: Date;
}

/** The tokens of a link, with the data key that opens them and whom they were issued by and to. */
export interface SealedLink extends SealedColumns, WrappedKey, ClientRegistration {}

/** A part of a statement, with its parameters. */
export interface SqlPart {
  readonly sql: string;
  readonly params: readonly unknown[];
}

/** Issuer and client, in the order in which statements compare them. */
export function of({ issuer, clientId }: ClientRegistration): [string, string] {
  return [issuer, clientId];
}

const COLUMNS = `account_id, issuer, client_id, key_id, data_key, access_token, id_token, refresh_token, scope,
  access_token_issued_at, access_token_expires_at, status, generation`;
const VALUES = `?, ?, ?, ?, ?, ?, ?, ?, ?::timestamptz, ?::timestamptz, 'ACTIVE', 1`;

/**
 * Puts the tokens of a link in place, over earlier ones if there are any. Call it in the link's transaction.
 *
 * Whether the provider rotates is known of the provider, not of a link, and stays.
 */
export async function putSealed(em: SqlEntityManager, accountId: string, tokens: SealedLink): Promise<void> {
  await em.execute(
    `insert into sealed_tokens (${COLUMNS}) values (?, ${VALUES})
     on conflict (account_id) do update set
       issuer = excluded.issuer, client_id = excluded.client_id, key_id = excluded.key_id,
       data_key = excluded.data_key, access_token = excluded.access_token, id_token = excluded.id_token,
       refresh_token = excluded.refresh_token, scope = excluded.scope,
       access_token_issued_at = excluded.access_token_issued_at,
       access_token_expires_at = excluded.access_token_expires_at, pending_response = null, status = 'ACTIVE',
       generation = sealed_tokens.generation + 1, last_refreshed_at = null,
       lease_id = null, lease_expires_at = null, failure_count = 0, retry_at = null`,
    [accountId, ...valuesOf(tokens)],
  );
}

/** Stores the tokens of a first link, as a part of the statement that inserts the row `account`. */
export function firstSealed(tokens: SealedLink): SqlPart {
  return {
    sql: `insert into sealed_tokens (${COLUMNS}) select id, ${VALUES} from account`,
    params: valuesOf(tokens),
  };
}

function valuesOf(tokens: SealedLink): unknown[] {
  const { issuer, clientId, keyId, dataKey, accessToken, idToken, refreshToken, scope } = tokens;
  const texts = [issuer, clientId, keyId, dataKey, accessToken, idToken, refreshToken, scope];
  return [...texts, tokens.accessTokenIssuedAt, tokens.accessTokenExpiresAt];
}

/**
 * Puts an access token and an ID token in the place of others; the refresh token and the generation stay, so that a
 * refresh in flight goes on.
 */
export async function putAccessToken(
  em: SqlEntityManager,
  accountId: string,
  { accessToken, idToken, scope, accessTokenIssuedAt, accessTokenExpiresAt }: SealedColumns,
): Promise<void> {
  await em.execute(
    `update sealed_tokens set access_token = ?, id_token = coalesce(?, id_token), scope = ?,
       access_token_issued_at = ?, access_token_expires_at = ? where account_id = ?`,
    [accessToken, idToken, scope, accessTokenIssuedAt, accessTokenExpiresAt, accountId],
  );
}

/** Runs a statement that changes rows. True when it changed any. */
export async function changesRows(em: SqlEntityManager, sql: string, params: unknown[]): Promise<boolean> {
  const result = await em.execute<{ affectedRows: number }>(sql, params, 'run');
  return result.affectedRows > 0;
}

/** Runs a count, its column `accounts`, from an index alone, whatever the statistics say. */
export function countByIndex(em: SqlEntityManager, sql: string, params: unknown[]): Promise<number> {
  return em.transactional(async (tx) => {
    await tx.execute(
      `select set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true)`,
    );
    const [row] = await tx.execute<{ accounts: number }[]>(sql, params);
    return row?.accounts ?? 0;
  });
}
