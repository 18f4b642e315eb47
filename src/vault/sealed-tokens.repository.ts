import type { SqlEntityManager } from '@mikro-orm/sql';
import type { TokenStatus } from './sealed-tokens.entity.js';

/** The clear columns of an account's tokens: all that a profile read needs. */
export interface TokenState {
  readonly accountId: string;
  readonly status: TokenStatus;
  readonly scope: string;
  readonly accessTokenExpiresAt: Date;
  readonly lastRefreshedAt: Date | null;
}

/** A row as the refresh reads it. Every duration was computed by the clock of the database. */
export interface SealedRow extends TokenState, SealedColumns {
  readonly generation: number;
  readonly refreshTokenRotates: boolean;
  readonly leaseId: string | null;
  /** Milliseconds until the lease ends; zero or less when it has ended or there is none. */
  readonly leaseRemainingMs: number;
  readonly failureCount: number;
  /** Milliseconds until the provider may be asked again; zero or less when it may be now. */
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

/** Ciphertexts and clear columns of a refresh. `null` keeps what the row holds. */
export interface SealedRefresh extends SealedLink {
  readonly refreshTokenRotates: boolean;
  /** Milliseconds before the provider may be asked again; 0 for none. */
  readonly pauseMs: number;
}

const STATE_COLUMNS = `account_id as "accountId", status, scope,
  extract(epoch from access_token_expires_at)::float8 * 1000 as "expiresMs",
  extract(epoch from last_refreshed_at)::float8 * 1000 as "refreshedMs"`;

type Raw<T> = Omit<T, 'accessTokenExpiresAt' | 'lastRefreshedAt'> & {
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
  return rows.map(withDates);
}

/** Accounts whose access token ends within so many seconds, or has ended, and that may be refreshed now. */
export async function findExpiring(
  em: SqlEntityManager,
  withinSeconds: number,
  limit: number,
): Promise<string[]> {
  const rows: { accountId: string }[] = await em.execute(
    `select account_id as "accountId" from sealed_tokens
     where status = 'ACTIVE' and refresh_token is not null and lease_id is null
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
  return rows.map(withDates)[0];
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

/** What a claim of the right to refresh says. */
export interface LeaseClaim {
  readonly accountId: string;
  readonly generation: number;
  readonly leaseId: string;
  readonly leaseMs: number;
  /** Whether an expired claim of somebody else may be taken over. */
  readonly takeOver: boolean;
}

/**
 * Claims the right to refresh one generation for `leaseMs`. One statement, no lock outlives it.
 *
 * False when somebody else holds the lease, when the generation moved, or when it is too early to ask again.
 */
export async function claimLease(em: SqlEntityManager, claim: LeaseClaim): Promise<boolean> {
  return changed(
    em,
    `update sealed_tokens
     set lease_id = ?, lease_expires_at = clock_timestamp() + ? * interval '1 millisecond'
     where account_id = ? and generation = ? and status = 'ACTIVE'
       and (lease_id is null or (lease_expires_at <= clock_timestamp() and ?))
       and (retry_at is null or retry_at <= clock_timestamp())`,
    [claim.leaseId, claim.leaseMs, claim.accountId, claim.generation, claim.takeOver],
  );
}

/**
 * Writes a provider's answer, only over the generation it was asked for.
 *
 * A holder that wakes late still writes when nothing newer is there: its answer may be the only live token.
 */
export async function putRefreshed(
  em: SqlEntityManager,
  accountId: string,
  generation: number,
  tokens: SealedRefresh,
): Promise<boolean> {
  return changed(
    em,
    `update sealed_tokens set
       status = 'ACTIVE', scope = ?, access_token = ?, id_token = coalesce(?, id_token),
       refresh_token = coalesce(?, refresh_token), key_ids = ?, access_token_expires_at = ?,
       refresh_token_rotates = ?, generation = generation + 1, last_refreshed_at = clock_timestamp(),
       lease_id = null, lease_expires_at = null, failure_count = 0,
       retry_at = clock_timestamp() + nullif(?::float8, 0) * interval '1 millisecond'
     where account_id = ? and generation = ?`,
    [
      tokens.scope,
      tokens.accessToken,
      tokens.idToken,
      tokens.refreshToken,
      tokens.keyIds,
      tokens.accessTokenExpiresAt,
      tokens.refreshTokenRotates,
      tokens.pauseMs,
      accountId,
      generation,
    ],
  );
}

/** Ends the claim of `leaseId` without new tokens; `pauseMs` keeps the provider from being asked again at once. */
export async function releaseLease(
  em: SqlEntityManager,
  accountId: string,
  leaseId: string,
  pauseMs: number,
): Promise<boolean> {
  return changed(
    em,
    `update sealed_tokens set lease_id = null, lease_expires_at = null,
       failure_count = failure_count + case when ?::float8 > 0 then 1 else 0 end,
       retry_at = clock_timestamp() + nullif(?::float8, 0) * interval '1 millisecond'
     where account_id = ? and lease_id = ?`,
    [pauseMs, pauseMs, accountId, leaseId],
  );
}

/** The provider ended the grant: final for this generation, so the generation moves and no late answer revives it. */
export async function markDead(
  em: SqlEntityManager,
  accountId: string,
  generation: number,
): Promise<boolean> {
  return changed(
    em,
    `update sealed_tokens set status = 'REAUTHENTICATION_REQUIRED', generation = generation + 1,
       lease_id = null, lease_expires_at = null, retry_at = null
     where account_id = ? and generation = ?`,
    [accountId, generation],
  );
}

/**
 * A rotating provider's answer was lost with its holder. The generation stays and so does the intent: should
 * the holder wake after all, `putRefreshed` brings the account back.
 */
export async function markAnswerLost(
  em: SqlEntityManager,
  accountId: string,
  generation: number,
): Promise<boolean> {
  return changed(
    em,
    `update sealed_tokens set status = 'REAUTHENTICATION_REQUIRED'
     where account_id = ? and generation = ? and status = 'ACTIVE'
       and lease_id is not null and lease_expires_at <= clock_timestamp()`,
    [accountId, generation],
  );
}

/** Erases the tokens of an account. True when there were any. */
export async function eraseSealed(em: SqlEntityManager, accountId: string): Promise<boolean> {
  return changed(em, 'delete from sealed_tokens where account_id = ?', [accountId]);
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

async function changed(em: SqlEntityManager, sql: string, params: unknown[]): Promise<boolean> {
  const result = await em.execute<{ affectedRows: number }>(sql, params, 'run');
  return result.affectedRows > 0;
}

function withDates<T extends TokenState>(row: Raw<T>): T {
  const { expiresMs, refreshedMs, ...rest } = row;
  return {
    ...rest,
    accessTokenExpiresAt: new Date(expiresMs),
    lastRefreshedAt: refreshedMs === null ? null : new Date(refreshedMs),
  } as unknown as T;
}
