import { createGate } from '../../src/dev/instruments/faults.js';
import { RenewAccessTokenDocument } from '../generated/graphql.js';
import { waitUntil } from '../kit/eventually.js';
import { useServers } from '../kit/hooks.js';
import { renewConcurrently, serverAt } from '../kit/renewals.js';
import type { Server } from '../kit/servers.js';

const WAIT_MS = 700;
const TIMEOUT_MS = 10_000;
const PATIENT = { ROLLUP_TIMEOUT_MS: '60000', REFRESH_LEASE_SECONDS: '90', REFRESH_WAIT_MS: '100000' };

describe('one expiry, one call', () => {
  const all = useServers(4, {
    env: { ROLLUP_TIMEOUT_MS: String(TIMEOUT_MS), REFRESH_WAIT_MS: String(WAIT_MS) },
  });

  test.each([1_500, 3_500])(
    'RFR-06 a provider that takes %d ms is called once, and callers wait up to their own timeout',
    async (delayMs) => {
      const { accountId, bearer, sub } = await all.linkExpired();
      all.rollup.switches.faults.refresh.standing = { delayMs };
      const first = await all.renew(all.server, bearer);
      expect(first).toMatchObject({ token: undefined, code: 'PROVIDER_UNAVAILABLE' });
      expect(first.retryAfterMs).toBeGreaterThan(0);
      const renewals = await renewConcurrently(all, bearer, 40);
      expect(renewals.filter(({ token, retryAfterMs }) => !token && retryAfterMs <= 0)).toEqual([]);
      await untilGeneration(accountId, 2);
      expect((await all.renew(all.server, bearer)).token).toBeTruthy();
      expect(all.rollup.calls.refreshesOf(sub)).toBe(1);
    },
  );

  test('RFR-07 a provider that hangs is aborted at the timeout: retryable, lease released, link active', async () => {
    const { accountId, bearer, sub } = await all.linkPerson();
    const shortTimeout = await all.add({ ROLLUP_TIMEOUT_MS: '500' });
    const gate = createGate();
    all.rollup.switches.faults.refresh.standing = gate.fault;
    await all.expire(accountId);
    const before = await all.row(accountId);
    expect(await all.renew(shortTimeout, bearer)).toMatchObject({
      token: undefined,
      code: 'PROVIDER_UNAVAILABLE',
    });
    await waitUntil(async () => (await all.row(accountId))['lease_id'] === null);
    const { retry_at: retryAt, ...row } = await all.row(accountId);
    expect({ ...before, ...row }).toEqual({ ...before, retry_at: null, failure_count: 1 });
    expect(retryAt).not.toBeNull();
    const renewals = await renewConcurrently(all, bearer, 40);
    expect(
      renewals.every(({ code, retryAfterMs }) => code === 'PROVIDER_UNAVAILABLE' && retryAfterMs > 1_000),
    ).toBe(true);
    expect(all.rollup.calls.refreshesOf(sub)).toBe(1);
    gate.release();
    await all.elapse(accountId, 'retry_at');
    expect((await all.renew(all.server, bearer)).token).toBeTruthy();
    expect(all.rollup.calls.refreshesOf(sub)).toBe(2);
  });

  test('RFR-28 ten refreshes whose callers disconnect are still finished and stored', async () => {
    // They wait for as long as the test takes: none of them may get a response before its caller disconnects.
    const patient = [await all.add(PATIENT), await all.add(PATIENT)] as const;
    const people = await Promise.all(Array.from({ length: 10 }, () => all.linkExpired()));
    const gate = createGate();
    all.rollup.switches.faults.refresh.standing = gate.fault;
    const callers = new AbortController();
    const calls = people.map(({ bearer }, index) =>
      renewUntilAborted(patient[index % 2] ?? patient[0], bearer, callers.signal),
    );
    await waitUntil(async () => all.rollup.calls.refresh === people.length);
    callers.abort();
    expect(await Promise.all(calls)).toEqual(people.map(() => 'AbortError'));
    gate.release();
    await Promise.all(people.map(({ accountId }) => untilGeneration(accountId, 2)));
    const renewals = await Promise.all(
      people.map(({ bearer }, index) => all.renew(serverAt(all, index + 1), bearer)),
    );
    expect(
      renewals.filter(({ token }, index) => token === undefined || token === people[index]?.token),
    ).toEqual([]);
    expect(all.rollup.calls.refresh).toBe(people.length);
  });

  async function untilGeneration(accountId: string, generation: number): Promise<void> {
    await waitUntil(async () => (await all.row(accountId))['generation'] === generation);
  }
});

/** Sends a renewal that the signal aborts; returns the response, or the name of the error. */
async function renewUntilAborted({ url }: Server, bearer: string, signal: AbortSignal): Promise<string> {
  const query = RenewAccessTokenDocument.toString();
  try {
    const response = await fetch(`${url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${bearer}` },
      body: JSON.stringify({ query, variables: { input: {} } }),
      signal,
    });
    return await response.text();
  } catch (error) {
    return (error as Error).name; // `instanceof Error` fails for errors of another realm
  }
}
