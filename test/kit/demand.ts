import { setTimeout as pause } from 'node:timers/promises';
import type { LinkedPerson, Renewal, Server, Servers } from './servers.js';

/** `count` requests at once for one account's token, spread over all servers. */
export function demand(all: Servers, bearer: string, count: number): Promise<Renewal[]> {
  return Promise.all(Array.from({ length: count }, (_, index) => all.renew(serverAt(all, index), bearer)));
}

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

/** Looks every 25 ms, for five seconds at most. */
export async function until(condition: () => Promise<boolean> | boolean): Promise<void> {
  for (let tries = 0; tries < 200; tries += 1) {
    if (await condition()) return;
    await pause(25);
  }
  throw new Error('it never came to pass');
}

/** Three calls in thirty seconds at the most, shown without waiting: each failure says when the next call may be. */
export async function expectBackOff(
  all: Servers,
  { accountId, bearer, sub, token }: LinkedPerson,
  { leastMs, arrives }: { leastMs: number; arrives: boolean },
): Promise<void> {
  await all.expire(accountId, -30);
  const served = await demand(all, bearer, 100);
  expect([...new Set(served.map((answer) => answer.token))]).toEqual([token]);
  let pausedMs = await retryInMs(all, accountId);
  expect(pausedMs).toBeGreaterThan(leastMs - 2_000);
  await all.expire(accountId);
  expect(codesOf(await demand(all, bearer, 40))).toEqual(['PROVIDER_UNAVAILABLE']);
  expect(await all.row(accountId)).toMatchObject({ failure_count: 1 });
  for (const failures of [2, 3]) {
    await all.elapse(accountId, 'retry_at');
    const answers = await demand(all, bearer, 40);
    expect(codesOf(answers)).toEqual(['PROVIDER_UNAVAILABLE']);
    expect(Math.max(...answers.map(({ retryAfterMs }) => retryAfterMs))).toBeGreaterThanOrEqual(leastMs);
    expect(await all.row(accountId)).toMatchObject({
      status: 'ACTIVE',
      generation: 1,
      failure_count: failures,
      lease_id: null,
    });
    expect(all.rollup.calls.refreshesOf(sub)).toBe(arrives ? failures : 0);
    pausedMs += await retryInMs(all, accountId);
  }
  expect(pausedMs).toBeGreaterThan(30_000);
}
