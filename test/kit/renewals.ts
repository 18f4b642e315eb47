import type { LinkedPerson, Renewal, Server, Servers } from './servers.js';

/** `count` requests at once for one account's token, spread over all servers. */
export function renewConcurrently(all: Servers, bearer: string, count: number): Promise<Renewal[]> {
  return Promise.all(Array.from({ length: count }, (_, index) => all.renew(serverAt(all, index), bearer)));
}

/** Links `count` people, a few at a time: a server is not asked for more than its database has time for. */
export async function linkPeople(all: Servers, count: number): Promise<LinkedPerson[]> {
  const linked: LinkedPerson[] = [];
  while (linked.length < count) {
    const few = Array.from({ length: Math.min(LINKED_AT_ONCE, count - linked.length) }, (_, index) =>
      all.linkPerson(undefined, serverAt(all, index)),
    );
    linked.push(...(await Promise.all(few)));
  }
  return linked;
}

const LINKED_AT_ONCE = 20;

/** The servers in turn. */
export function serverAt({ servers, server }: Servers, index: number): Server {
  return servers[index % servers.length] ?? server;
}

/** The different codes among answers, `undefined` for a token. */
export function codesOf(answers: readonly Renewal[]): unknown[] {
  return [...new Set(answers.map(({ code }) => code))];
}

/** Milliseconds until the provider may be asked again for an account. */
export async function retryInMs(all: Servers, accountId: string): Promise<number> {
  const [row] = await all.em().execute<{ ms: number }[]>(
    `select extract(epoch from retry_at - clock_timestamp())::float8 * 1000 as ms
     from sealed_tokens where account_id = ?`,
    [accountId],
  );
  return row?.ms ?? 0;
}

/** Three calls in thirty seconds at the most, shown without waiting: each failure says when the next call may be. */
export async function expectBackOff(
  all: Servers,
  { accountId, bearer, sub, token }: LinkedPerson,
  { leastMs, arrives }: { leastMs: number; arrives: boolean },
): Promise<void> {
  await all.expire(accountId, -30);
  await all.renew(all.server, bearer);
  let pausedMs = await retryInMs(all, accountId);
  expect(pausedMs).toBeGreaterThan(leastMs - 2_000);
  const served = await renewConcurrently(all, bearer, 100);
  expect([...new Set(served.map((answer) => answer.token))]).toEqual([token]);
  await all.expire(accountId);
  expect(codesOf(await renewConcurrently(all, bearer, 40))).toEqual(['PROVIDER_UNAVAILABLE']);
  expect(await all.row(accountId)).toMatchObject({ failure_count: 1 });
  for (const failures of [2, 3]) {
    await all.elapse(accountId, 'retry_at');
    const answers = await renewConcurrently(all, bearer, 40);
    expect(codesOf(answers)).toEqual(['PROVIDER_UNAVAILABLE']);
    const toldMs = Math.max(...answers.map(({ retryAfterMs }) => retryAfterMs));
    expect(toldMs).toBeGreaterThanOrEqual(leastMs);
    expect(await all.row(accountId)).toMatchObject({
      status: 'ACTIVE',
      generation: 1,
      failure_count: failures,
      lease_id: null,
    });
    expect(all.rollup.calls.refreshesOf(sub)).toBe(arrives ? failures : 0);
    pausedMs += toldMs;
  }
  expect(pausedMs).toBeGreaterThan(30_000);
}
