import type { SqlEntityManager } from '@mikro-orm/sql';
import type { ClientRegistration } from '../token-set.js';
import type { LeaseClaim, SealedRefresh } from './refresh-steps.js';
import { CONTENT_COLUMNS, type SealedContent } from './sealed-row.repository.js';
import { of } from './sealed-tokens.repository.js';
import { itemsAs, type ItemTypes } from './statement-items.js';

/** New tokens of one account. See `RefreshLeaseRepository.putRefreshed`. */
export interface Refreshed {
  readonly accountId: string;
  /** For which they were requested. */
  readonly generation: number;
  readonly tokens: SealedRefresh;
}

/** The place of an item among those of its statement: an account may be among them twice, and is changed once. */
interface Placed {
  readonly n: number;
}

/** What becomes of a row that another transaction holds. */
type OnHeld = 'wait' | 'skip';

/**
 * The row of each of `count` items, unless it is another client's or of another generation. Two parameters, see `of`.
 *
 * Of one item the row is looked up before anything else; of several, each is.
 */
function lockedRow(count: number, onHeld: OnHeld, condition = ''): string {
  const row = `from sealed_tokens
    where account_id = item."accountId" and issuer = ? and client_id = ? and generation = item.generation ${condition}`;
  const lock = `for update ${onHeld === 'skip' ? 'skip locked' : ''}`;
  return count === 1
    ? `where sealed_tokens.account_id = (select account_id ${row} ${lock})`
    : `cross join lateral (select account_id as id ${row} limit 1 ${lock}) locked
       where sealed_tokens.account_id = locked.id`;
}

const CLAIM: ItemTypes<LeaseClaim & Placed> = {
  n: 'int',
  accountId: 'uuid',
  generation: 'int',
  leaseId: 'uuid',
  leaseMs: 'float8',
  takeOver: 'boolean',
  madeAtMs: 'float8',
};
const REFRESH: ItemTypes<SealedRefresh & Placed & Omit<Refreshed, 'tokens'>> = {
  n: 'int',
  accountId: 'uuid',
  generation: 'int',
  scope: 'text',
  accessToken: 'text',
  idToken: 'text',
  refreshToken: 'text',
  accessTokenIssuedAt: 'timestamptz',
  accessTokenExpiresAt: 'timestamptz',
  refreshTokenRotates: 'boolean',
  delayMs: 'float8',
};

/** Nobody is refreshing the row, and it may be refreshed now. */
const CLAIMABLE = `and status = 'ACTIVE'
  and (lease_id is null
    or (lease_expires_at <= clock_timestamp() and (item."takeOver" or pending_response is not null)))
  and (retry_at is null or retry_at <= clock_timestamp())
  and clock_timestamp() < to_timestamp((item."madeAtMs" + item."leaseMs") / 1000)`;

/**
 * Claims that may be taken over are committed without waiting for the disk: when the database crashes within the second,
 * their refresh tokens are used once more, which a provider that does not rotate them allows. All processes see a claim
 * at once.
 */
const COMMIT = `set_config('synchronous_commit',
  case when ? then 'off' else current_setting('synchronous_commit') end, true)`;

/** `RefreshLeaseRepository.claim` for several accounts in one statement: what each claim claimed, in their order. */
export async function claimAll(
  em: SqlEntityManager,
  client: ClientRegistration,
  claims: readonly LeaseClaim[],
): Promise<(SealedContent | undefined)[]> {
  const items = claims.map((claim, n) => ({ ...claim, n }));
  const { sql, params } = itemsAs(CLAIM, items);
  const rows: (SealedContent & Placed)[] = await em.execute(
    `update sealed_tokens
     set lease_id = item."leaseId", lease_expires_at = clock_timestamp() + item."leaseMs" * interval '1 millisecond'
     from ${sql} ${lockedRow(claims.length, 'skip', CLAIMABLE)}
     returning ${CONTENT_COLUMNS}, item.n, ${COMMIT}`,
    [...params, ...of(client), claims.every(({ takeOver }) => takeOver)],
  );
  const claimed = new Map(rows.map(({ n, ...content }) => [n, content]));
  return claims.map((_, n) => claimed.get(n));
}

/** `RefreshLeaseRepository.putRefreshed` for several accounts in one statement: which of them were stored, in their order. */
export async function putAllRefreshed(
  em: SqlEntityManager,
  client: ClientRegistration,
  refreshed: readonly Refreshed[],
  onHeld: OnHeld,
): Promise<boolean[]> {
  const items = refreshed.map(({ tokens, ...item }, n) => ({ ...tokens, ...item, n }));
  const { sql, params } = itemsAs(REFRESH, items);
  const rows: Placed[] = await em.execute(
    `update sealed_tokens set ${REFRESHED}
     from ${sql} ${lockedRow(refreshed.length, onHeld)} returning item.n`,
    [...params, ...of(client)],
  );
  const stored = new Set(rows.map(({ n }) => n));
  return refreshed.map((_, n) => stored.has(n));
}

const REFRESHED = `status = 'ACTIVE', scope = item.scope, access_token = item."accessToken",
  id_token = coalesce(item."idToken", id_token), refresh_token = coalesce(item."refreshToken", refresh_token),
  access_token_issued_at = item."accessTokenIssuedAt", access_token_expires_at = item."accessTokenExpiresAt",
  refresh_token_rotates = item."refreshTokenRotates", generation = sealed_tokens.generation + 1,
  last_refreshed_at = clock_timestamp(), pending_response = null, lease_id = null, lease_expires_at = null,
  failure_count = 0, retry_at = clock_timestamp() + nullif(item."delayMs", 0) * interval '1 millisecond'`;
