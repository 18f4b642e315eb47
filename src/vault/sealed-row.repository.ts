import type { SqlEntityManager } from '@mikro-orm/sql';
import { parseScope } from '../scope.js';
import type { ClientRegistration, TokenState } from '../token-set.js';
import { type Ciphertexts, of, type SqlPart } from './sealed-tokens.repository.js';

/** What a refresh decides by: clear columns. Every duration was computed by the clock of the database. */
export interface RefreshState extends TokenState {
  readonly generation: number;
  /** Whether there is a refresh token. */
  readonly isRefreshable: boolean;
  /** Whether there is a response of the provider that could not be verified yet. */
  readonly hasPendingResponse: boolean;
  /** `iat` of the access token; null for one that an earlier version stored. */
  readonly accessTokenIssuedAt: Date | null;
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

/** What is sealed in a row, and the key for it. */
export interface SealedContent extends Ciphertexts {
  readonly accountId: string;
  /** The key of the ring that wraps the data key; null once that one was given up, with all ciphertexts. */
  readonly keyId: string | null;
  readonly dataKey: string | null;
  readonly pendingResponse: string | null;
}

/** A row as it is read for an access token. */
export interface SealedRow {
  /** Whether the tokens were issued by this issuer to this client. */
  readonly isOurs: boolean;
  readonly state: RefreshState;
  readonly content: SealedContent;
}

/** Two parameters, see `of`. Numbers are texts: how many digits one of floating point has, a database may set. */
const STATE_COLUMNS = `account_id as "accountId", status, issuer = ? and client_id = ? as "isOurs", scope,
  (extract(epoch from access_token_expires_at) * 1000)::text as "expiresMs",
  (extract(epoch from last_refreshed_at) * 1000)::text as "refreshedMs"`;
/** What is sealed in a row, as `SealedContent`. */
export const CONTENT_COLUMNS = `account_id as "accountId", key_id as "keyId", data_key as "dataKey",
  access_token as "accessToken", id_token as "idToken", refresh_token as "refreshToken",
  pending_response as "pendingResponse"`;

type RawState = Pick<TokenState, 'accountId' | 'status'> & {
  readonly isOurs: boolean;
  readonly scope: string;
  readonly expiresMs: string;
  readonly refreshedMs: string | null;
};
type Duration = 'leaseRemainingMs' | 'retryInMs' | 'readAtMs';
type RawRow = RawState &
  SealedContent &
  Pick<RefreshState, 'generation' | 'refreshTokenRotates' | 'leaseId' | 'failureCount'> &
  Record<Duration, string> & { readonly issuedMs: string | null };

/** The columns that `joinSealed` adds to the rows of a statement. */
export type SealedOf = RawRow | { readonly accountId: null };

/** Two parameters, see `of`. */
const ROW_COLUMNS = `${STATE_COLUMNS}, ${CONTENT_COLUMNS},
  generation, refresh_token_rotates as "refreshTokenRotates", lease_id as "leaseId", failure_count as "failureCount",
  (extract(epoch from access_token_issued_at) * 1000)::text as "issuedMs",
  coalesce(extract(epoch from lease_expires_at - clock_timestamp()) * 1000, 0)::text as "leaseRemainingMs",
  coalesce(extract(epoch from retry_at - clock_timestamp()) * 1000, 0)::text as "retryInMs",
  (extract(epoch from clock_timestamp()) * 1000)::text as "readAtMs"`;

/** Clear state of several accounts in one statement. */
export async function findTokenStates(
  em: SqlEntityManager,
  client: ClientRegistration,
  accountIds: readonly string[],
): Promise<TokenState[]> {
  const rows: RawState[] = await em.execute(
    `select ${STATE_COLUMNS} from sealed_tokens where account_id = any(string_to_array(?, ',')::uuid[])`,
    [...of(client), accountIds.join(',')],
  );
  return rows.map(toState);
}

/**
 * Everything that an access token needs, of several accounts in one statement; those that are not linked are left out.
 *
 * @param lock keeps every other change of the rows waiting until the transaction ends.
 */
export async function readSealed(
  em: SqlEntityManager,
  client: ClientRegistration,
  accountIds: readonly string[],
  lock = false,
): Promise<SealedRow[]> {
  const rows: RawRow[] = await em.execute(
    `select ${ROW_COLUMNS} from sealed_tokens
     where account_id = any(string_to_array(?, ',')::uuid[]) ${lock ? 'for update' : ''}`,
    [...of(client), accountIds.join(',')],
  );
  return rows.map(toRow);
}

/** Joins the row of the account `a`, if there is one, to a statement: see `toSealedRow`. */
export function joinSealed(client: ClientRegistration): SqlPart {
  const row = `select ${ROW_COLUMNS} from sealed_tokens where account_id = a.id`;
  return { sql: `left join lateral (${row}) as sealed on true`, params: of(client) };
}

/** The row that `joinSealed` joined; undefined when there was none. */
export function toSealedRow(raw: SealedOf): SealedRow | undefined {
  return raw.accountId === null ? undefined : toRow(raw);
}

function toState({ accountId, isOurs, status, scope, expiresMs, refreshedMs }: RawState): TokenState {
  return {
    accountId,
    // Tokens of another issuer or client are of no use here: only a new link helps.
    status: isOurs ? status : 'REAUTHENTICATION_REQUIRED',
    scopes: parseScope(scope),
    accessTokenExpiresAt: new Date(Number(expiresMs)),
    lastRefreshedAt: refreshedMs === null ? null : new Date(Number(refreshedMs)),
  };
}

function toRow(raw: RawRow): SealedRow {
  const { accountId, keyId, dataKey, accessToken, idToken, refreshToken, pendingResponse } = raw;
  const { generation, refreshTokenRotates, leaseId, failureCount, issuedMs } = raw;
  return {
    isOurs: raw.isOurs,
    content: { accountId, keyId, dataKey, accessToken, idToken, refreshToken, pendingResponse },
    state: {
      ...toState(raw),
      generation,
      refreshTokenRotates,
      leaseId,
      failureCount,
      isRefreshable: refreshToken !== null,
      hasPendingResponse: pendingResponse !== null,
      accessTokenIssuedAt: issuedMs === null ? null : new Date(Number(issuedMs)),
      leaseRemainingMs: Number(raw.leaseRemainingMs),
      retryInMs: Number(raw.retryInMs),
      readAtMs: Number(raw.readAtMs),
    },
  };
}
