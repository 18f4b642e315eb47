import type { SqlEntityManager } from '@mikro-orm/sql';
import { parseScope } from '../scope.js';
import type { TokenState } from '../token-set.js';

/** A row as the refresh reads it. Every duration was computed by the clock of the database. */
export interface SealedRow extends TokenState, SealedColumns {
  readonly generation: number;
  readonly refreshTokenRotates: boolean;
  readonly leaseId: string | null;
  /** Milliseconds until the lease ends; zero or less when it has ended or there is none. */
  readonly leaseRemainingMs: number;
  readonly failureCount: number;
  /** Milliseconds until the back-off ends; zero or less when it has ended or there is none. */
  readonly retryInMs: number;
}

/** The ciphertexts of a row. */
export interface SealedColumns {
  readonly accessToken: string;
  readonly idToken: string | null;
  readonly refreshToken: string | null;
}

/** Ciphertexts and clear columns of a link, as they go into the row. */
export interface SealedLink extends SealedColumns {
  readonly scope: string;
  readonly keyIds: string;
  readonly accessTokenExpiresAt: Date;
}

const STATE_COLUMNS = `account_id as "accountId", status, scope,
  extract(epoch from access_token_expires_at)::float8 * 1000 as "expiresMs",
  extract(epoch from last_refreshed_at)::float8 * 1000 as "refreshedMs"`;

type Raw<T> = Omit<T, 'scopes' | 'accessTokenExpiresAt' | 'lastRefreshedAt'> & {
  readonly scope: string;
  readonly expiresMs: number;
  readonly refreshedMs: number | null;
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

/** Accounts whose access token ends within so many seconds, or has ended, and that may be refreshed now. */
export async function findExpiring(
  em: SqlEntityManager,
  withinSeconds: number,
  limit: number,
): Promise<string[]> {
  const rows: { accountId: string }[] = await em.execute(
    `select account_id as "accountId" from sealed_tokens
     where status = 'ACTIVE' and refresh_token is not null
       and (lease_id is null or (lease_expires_at <= clock_timestamp() and not refresh_token_rotates))
       and (retry_at is null or retry_at <= clock_timestamp())
       and access_token_expires_at < clock_timestamp() + ? * interval '1 second'
     order by access_token_expires_at limit ?`,
    [withinSeconds, limit],
  );
  return rows.map(({ accountId }) => accountId);
}

/** Everything the refresh decides by, or undefined when the account is not linked. */
export async function readSealed(em: SqlEntityManager, accountId: string): Promise<SealedRow | undefined> {
  const rows: Raw<SealedRow>[] = await em.execute(
    `select ${STATE_COLUMNS}, access_token as "accessToken", id_token as "idToken",
       refresh_token as "refreshToken", generation, refresh_token_rotates as "refreshTokenRotates", lease_id as "leaseId", failure_count as "failureCount",
       coalesce(extract(epoch from lease_expires_at - clock_timestamp())::float8 * 1000, 0) as "leaseRemainingMs",
       coalesce(extract(epoch from retry_at - clock_timestamp())::float8 * 1000, 0) as "retryInMs"
     from sealed_tokens where account_id = ?`,
    [accountId],
  );
  return rows.map(toState)[0];
}

/**
 * Puts the tokens of a link in place, over earlier ones if there are any. Call it in the link's transaction.
 *
 * Whether the provider rotates is known of the provider, not of a link, and stays.
 */
export async function putSealed(em: SqlEntityManager, accountId: string, tokens: SealedLink): Promise<void> {
  await em.execute(
    `insert into sealed_tokens (account_id, status, scope, access_token, id_token, refresh_token, key_ids,
       access_token_expires_at, generation)
     values (?, 'ACTIVE', ?, ?, ?, ?, ?, ?, 1)
     on conflict (account_id) do update set
       status = 'ACTIVE', scope = excluded.scope, access_token = excluded.access_token,
       id_token = excluded.id_token, refresh_token = excluded.refresh_token, key_ids = excluded.key_ids,
       access_token_expires_at = excluded.access_token_expires_at, generation = sealed_tokens.generation + 1,
       last_refreshed_at = null, lease_id = null, lease_expires_at = null,
       failure_count = 0, retry_at = null`,
    [
      accountId,
      tokens.scope,
      tokens.accessToken,
      tokens.idToken,
      tokens.refreshToken,
      tokens.keyIds,
      tokens.accessTokenExpiresAt,
    ],
  );
}

/** A row that names a kid, to try the key on. */
export interface CiphertextSample extends SealedColumns {
  readonly kid: string;
  readonly accountId: string;
}

/** For every kid that rows name: up to five of them. */
export async function sampleCiphertexts(em: SqlEntityManager): Promise<CiphertextSample[]> {
  return em.execute(
    `select kid, account_id as "accountId", access_token as "accessToken", id_token as "idToken",
       refresh_token as "refreshToken"
     from (select *, row_number() over (partition by kid order by account_id) as place
           from sealed_tokens cross join lateral regexp_split_to_table(key_ids, ' ') as kid) as named
     where place <= 5 order by kid`,
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
    accessTokenExpiresAt: new Date(expiresMs),
    lastRefreshedAt: refreshedMs === null ? null : new Date(refreshedMs),
  } as unknown as T;
}
