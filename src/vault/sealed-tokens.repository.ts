import type { SqlEntityManager } from '@mikro-orm/sql';
import { parseScope } from '../scope.js';
import type { ClientRegistration, TokenState } from '../token-set.js';
import type { WrappedKey } from './data-key.js';

/** A row as the refresh reads it. Every duration was computed by the clock of the database. */
export interface SealedRow extends TokenState, ClientRegistration, Ciphertexts {
  /** The key of the ring that wraps the data key; null once that one was given up, with all ciphertexts. */
  readonly keyId: string | null;
  readonly dataKey: string | null;
  readonly generation: number;
  readonly refreshTokenRotates: boolean;
  readonly leaseId: string | null;
  /** Milliseconds until the lease ends; zero or less when it has ended or there is none. */
  readonly leaseRemainingMs: number;
  readonly failureCount: number;
  /** Milliseconds until the back-off ends; zero or less when it has ended or there is none. */
  readonly retryInMs: number;
  /** When it was read, by the clock of the database: milliseconds since the epoch. */
  readonly readAtMs: number;
}

/** The ciphertexts of a row. */
export interface Ciphertexts {
  readonly accessToken: string | null;
  readonly idToken: string | null;
  readonly refreshToken: string | null;
}

/** Ciphertexts and clear columns of a token set, as they go into the row. */
export interface SealedColumns extends Ciphertexts {
  readonly scope: string;
  readonly accessTokenExpiresAt: Date;
}

/** The tokens of a link, with the data key that opens them and whom they were issued by and to. */
export interface SealedLink extends SealedColumns, WrappedKey, ClientRegistration {}

type Duration = 'leaseRemainingMs' | 'retryInMs' | 'readAtMs';

/** Numbers are texts: how many digits one of floating point has, a database may set. */
const STATE_COLUMNS = `account_id as "accountId", status, scope,
  (extract(epoch from access_token_expires_at) * 1000)::text as "expiresMs",
  (extract(epoch from last_refreshed_at) * 1000)::text as "refreshedMs"`;

type Raw<T> = Omit<T, 'scopes' | 'accessTokenExpiresAt' | 'lastRefreshedAt'> & {
  readonly scope: string;
  readonly expiresMs: string;
  readonly refreshedMs: string | null;
};

/** Clear state of several accounts in one statement. */
export async function findTokenStates(
  em: SqlEntityManager,
  accountIds: readonly string[],
): Promise<TokenState[]> {
  const rows: Raw<TokenState>[] = await em.execute(
    `select ${STATE_COLUMNS} from sealed_tokens where account_id = any(string_to_array(?, ',')::uuid[])`,
    [accountIds.join(',')],
  );
  return rows.map(toState);
}

/** Everything the refresh decides by, or undefined when the account is not linked. */
export async function readSealed(em: SqlEntityManager, accountId: string): Promise<SealedRow | undefined> {
  const [row]: (Raw<Omit<SealedRow, Duration>> & Record<Duration, string>)[] = await em.execute(
    `select ${STATE_COLUMNS}, issuer, client_id as "clientId", key_id as "keyId", data_key as "dataKey",
       access_token as "accessToken", id_token as "idToken", refresh_token as "refreshToken",
       generation, refresh_token_rotates as "refreshTokenRotates", lease_id as "leaseId", failure_count as "failureCount",
       coalesce(extract(epoch from lease_expires_at - clock_timestamp()) * 1000, 0)::text as "leaseRemainingMs",
       coalesce(extract(epoch from retry_at - clock_timestamp()) * 1000, 0)::text as "retryInMs",
       (extract(epoch from clock_timestamp()) * 1000)::text as "readAtMs"
     from sealed_tokens where account_id = ?`,
    [accountId],
  );
  if (!row) return undefined;
  const { leaseRemainingMs, retryInMs, readAtMs } = row;
  return {
    ...toState<Omit<SealedRow, Duration>>(row),
    leaseRemainingMs: Number(leaseRemainingMs),
    retryInMs: Number(retryInMs),
    readAtMs: Number(readAtMs),
  };
}

/**
 * Puts the tokens of a link in place, over earlier ones if there are any. Call it in the link's transaction.
 *
 * Whether the provider rotates is known of the provider, not of a link, and stays.
 */
export async function putSealed(em: SqlEntityManager, accountId: string, tokens: SealedLink): Promise<void> {
  await em.execute(
    `insert into sealed_tokens (account_id, issuer, client_id, key_id, data_key, access_token, id_token, refresh_token,
       scope, access_token_expires_at, status, generation)
     values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'ACTIVE', 1)
     on conflict (account_id) do update set
       issuer = excluded.issuer, client_id = excluded.client_id, key_id = excluded.key_id,
       data_key = excluded.data_key, access_token = excluded.access_token, id_token = excluded.id_token,
       refresh_token = excluded.refresh_token, scope = excluded.scope,
       access_token_expires_at = excluded.access_token_expires_at, status = 'ACTIVE',
       generation = sealed_tokens.generation + 1, last_refreshed_at = null,
       lease_id = null, lease_expires_at = null, failure_count = 0, retry_at = null`,
    [
      accountId,
      tokens.issuer,
      tokens.clientId,
      tokens.keyId,
      tokens.dataKey,
      tokens.accessToken,
      tokens.idToken,
      tokens.refreshToken,
      tokens.scope,
      tokens.accessTokenExpiresAt,
    ],
  );
}

/** Runs a statement that changes rows. True when it changed any. */
export async function changesRows(em: SqlEntityManager, sql: string, params: unknown[]): Promise<boolean> {
  const result = await em.execute<{ affectedRows: number }>(sql, params, 'run');
  return result.affectedRows > 0;
}

function toState<T extends TokenState>(row: Raw<T>): T {
  const { scope, expiresMs, refreshedMs, ...rest } = row;
  return {
    ...rest,
    scopes: parseScope(scope),
    accessTokenExpiresAt: new Date(Number(expiresMs)),
    lastRefreshedAt: refreshedMs === null ? null : new Date(Number(refreshedMs)),
  } as unknown as T;
}
