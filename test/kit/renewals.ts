import type { LinkedPerson, Renewal, Server, Servers } from './servers.js';

/** Sends `count` concurrent renewals for one account, spread over all servers. */
export function renewConcurrently(all: Servers, bearer: string, count: number): Promise<Renewal[]> {
  return Promise.all(Array.from({ length: count }, (_, index) => all.renew(serverAt(all, index), bearer)));
}

/** Links `count` people in batches, so that requests do not time out while they wait for a database connection. */
export async function linkPeople(all: Servers, count: number): Promise<LinkedPerson[]> {
  const linked: LinkedPerson[] = [];
  while (linked.length < count) {
    const batch = Array.from({ length: Math.min(BATCH_SIZE, count - linked.length) }, (_, index) =>
      all.linkPerson(undefined, serverAt(all, index)),
    );
    linked.push(...(await Promise.all(batch)));
  }
  return linked;
}

const BATCH_SIZE = 20;

/** The servers, round robin. */
export function serverAt({ servers, server }: Servers, index: number): Server {
  return servers[index % servers.length] ?? server;
}

/** The distinct error codes of the renewals; `undefined` stands for a token. */
export function codesOf(renewals: readonly Renewal[]): unknown[] {
  return [...new Set(renewals.map(({ code }) => code))];
}

/** The database's clock in milliseconds. */
export async function databaseNow(all: Servers): Promise<number> {
  return readMs(all, 'select extract(epoch from clock_timestamp())::float8 * 1000 as ms');
}

/**
 * Milliseconds from `since` to the end of an account's back-off. `since` is read before the refresh fails, so that
 * the result is at least the back-off, however busy the machine is.
 */
export async function retryInMs(all: Servers, accountId: string, since: number): Promise<number> {
  const sql =
    'select extract(epoch from retry_at)::float8 * 1000 as ms from sealed_tokens where account_id = ?';
  return (await readMs(all, sql, accountId)) - since;
}

async function readMs(all: Servers, sql: string, ...parameters: string[]): Promise<number> {
  const [row] = await all.em().execute<{ ms: number | null }[]>(sql, parameters);
  return row?.ms ?? 0;
}

const LENGTHEN_BACK_OFF = `update sealed_tokens set retry_at = retry_at + interval '1 h' where account_id = ?`;

/**
 * Expects at most three calls in thirty seconds. The back-off is skipped instead of waited for: each failure returns
 * when the next call may be. `arrives`: whether calls reach the provider at all.
 */
export async function expectBackOff(
  all: Servers,
  { accountId, bearer, sub, token }: LinkedPerson,
  { leastMs, arrives }: { leastMs: number; arrives: boolean },
): Promise<void> {
  await all.expire(accountId, -30);
  const since = await databaseNow(all);
  await all.renew(all.server, bearer);
  let backOffMs = await retryInMs(all, accountId, since);
  expect(backOffMs).toBeGreaterThanOrEqual(leastMs);
  // On a busy machine many requests take longer than the first back-off.
  await all.em().execute(LENGTHEN_BACK_OFF, [accountId]);
  const fallbacks = await renewConcurrently(all, bearer, 100);
  expect([...new Set(fallbacks.map(({ token: served }) => served))]).toEqual([token]);
  await all.expire(accountId);
  expect(codesOf(await renewConcurrently(all, bearer, 40))).toEqual(['PROVIDER_UNAVAILABLE']);
  expect(await all.row(accountId)).toMatchObject({ failure_count: 1 });
  for (const failures of [2, 3]) {
    await all.elapse(accountId, 'retry_at');
    const renewals = await renewConcurrently(all, bearer, 40);
    expect(codesOf(renewals)).toEqual(['PROVIDER_UNAVAILABLE']);
    const retryAfterMs = Math.max(...renewals.map((renewal) => renewal.retryAfterMs));
    expect(retryAfterMs).toBeGreaterThanOrEqual(leastMs);
    expect(await all.row(accountId)).toMatchObject({
      status: 'ACTIVE',
      generation: 1,
      failure_count: failures,
      lease_id: null,
    });
    expect(all.rollup.calls.refreshesOf(sub)).toBe(arrives ? failures : 0);
    backOffMs += retryAfterMs;
  }
  expect(backOffMs).toBeGreaterThan(30_000);
}
