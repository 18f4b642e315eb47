import type { Fault } from '../../src/dev/instruments/faults.js';
import { createPerson } from '../../src/dev/rollup-id/people.js';
import { knownError } from '../../src/dev/rollup-id/provider-errors.js';
import { waitUntil } from '../kit/eventually.js';
import { useServers } from '../kit/hooks.js';
import { codesOf, expectBackOff, linkPeople, renewConcurrently } from '../kit/renewals.js';
import { runProgram } from '../kit/processes.js';
import type { LinkedPerson } from '../kit/servers.js';

const PROBE_MS = 1_000;
const MAX_IN_FLIGHT = 5;
const invalidGrant: Fault = { status: 400, body: { error: 'invalid_grant' } };
const transient: [string, Fault][] = [
  ['500', { status: 500 }],
  ['502', { status: 502, body: '<html>Bad Gateway</html>' }],
  ['503', { status: 503 }],
  ['429 with Retry-After 7', { status: 429, headers: { 'retry-after': '7' } }],
  ['a reset before the headers', { reset: 'before-headers' }],
  ['a reset after the headers', { reset: 'after-headers' }],
];

describe('failures of the provider', () => {
  const all = useServers(4, {
    env: { ROLLUP_PROBE_MS: String(PROBE_MS), ROLLUP_MAX_IN_FLIGHT: String(MAX_IN_FLIGHT) },
  });

  test.each(transient)(
    'RFR-08 %s: backs off, keeps the link, and recovers automatically',
    async (_title, fault) => {
      const person = await all.linkPerson();
      all.rollup.switches.faults.refresh.standing = fault;
      const leastMs = fault.headers ? 7_000 : 5_000;
      await expectBackOff(all, person, { leastMs, arrives: true });
      all.rollup.switches.faults.refresh.standing = undefined;
      await all.elapse(person.accountId, 'retry_at');
      expect((await all.renew(all.server, person.bearer)).token).toBeTruthy();
      expect(await all.row(person.accountId)).toMatchObject({
        failure_count: 0,
        retry_at: null,
        generation: 2,
      });
    },
  );

  test.each([
    ['expired token', knownError('UNAUTHORIZED', 'expired token')],
    ['invalid token', knownError('UNAUTHORIZED', 'invalid token')],
    ['token verification failed', knownError('UNAUTHORIZED', 'token verification failed')],
    ['token claim validation failed', knownError('UNAUTHORIZED', 'token claim validation failed')],
    ['invalid_grant', invalidGrant],
  ])('RFR-09 "%s" ends the link after one call, until it is linked again', async (_title, fault) => {
    const person = createPerson();
    const { accountId, bearer, sub } = await all.linkExpired(person);
    all.rollup.switches.faults.refresh.standing = fault;
    expect(codesOf(await renewConcurrently(all, bearer, 40))).toEqual(['REAUTHENTICATION_REQUIRED']);
    expect(all.rollup.calls.refreshesOf(sub)).toBe(1);
    const logs = all.servers.map((server) => server.output()).join('');
    expect(
      logs.split('\n').filter((line) => line.includes(accountId) && line.includes('grant_dead')),
    ).toHaveLength(1);
    all.rollup.switches.faults.refresh.standing = undefined;
    expect(codesOf(await renewConcurrently(all, bearer, 40))).toEqual(['REAUTHENTICATION_REQUIRED']);
    expect(all.rollup.calls.refreshesOf(sub)).toBe(1);
    expect(await all.linkExpired(person)).toMatchObject({ accountId });
    expect(codesOf(await renewConcurrently(all, bearer, 40))).toEqual([undefined]);
    expect(all.rollup.calls.refreshesOf(sub)).toBe(2);
  });

  test.each<[string, Fault]>([
    ['invalid client credentials', knownError('BAD_REQUEST', 'invalid client credentials')],
    ['invalid_client', { status: 401, body: { error: 'invalid_client' } }],
  ])(
    '"%s" is a misconfiguration: no account changes, and the circuitOpen stays open until it is fixed',
    async (_title, fault) => {
      const [first, ...others] = await Promise.all(Array.from({ length: 6 }, () => all.linkExpired()));
      const before = await all.row(first?.accountId ?? '');
      all.rollup.switches.faults.refresh.standing = fault;
      const errorsBefore = errorLines();
      expect(await ask(first)).toBe('PROVIDER_MISCONFIGURED');
      expect(await Promise.all([first, ...others].map(ask))).toEqual(Array(6).fill('PROVIDER_MISCONFIGURED'));
      // On a slow machine there are half-open probes in between, one at a time.
      expect(all.rollup.calls.refresh).toBeLessThan(7);
      expect(await all.row(first?.accountId ?? '')).toEqual(before);
      expect(errorLines()).toBe(errorsBefore + all.rollup.calls.refresh);
      expect(await circuitOpen()).toBe('1');
      const { refresh } = all.rollup.calls;
      await waitUntil(async () => {
        await ask(others[0]);
        return all.rollup.calls.refresh > refresh;
      });
      expect(await Promise.all(others.map(ask))).toEqual(Array(5).fill('PROVIDER_MISCONFIGURED'));
      expect(all.rollup.calls.refresh).toBeLessThan(refresh + 6);
      all.rollup.switches.faults.refresh.standing = undefined;
      await waitUntil(async () => (await ask(first)) === undefined);
      expect(await Promise.all(others.map(ask))).toEqual(Array(5).fill(undefined));
      expect(await circuitOpen()).toBe('0');
    },
  );

  test('queued callers are rejected once the provider rejects the credentials', async () => {
    const people = await linkPeople(all, 60);
    await Promise.all(people.map(({ accountId }) => all.expire(accountId)));
    all.rollup.switches.faults.refresh.standing = {
      ...knownError('BAD_REQUEST', 'invalid client credentials'),
      delayMs: 50,
    };
    const renewals = await Promise.all(people.map(({ bearer }) => all.renew(all.server, bearer)));
    expect(codesOf(renewals)).toEqual(['PROVIDER_MISCONFIGURED']);
    // Those in flight by then, and half-open probes: the longer the machine takes, the more.
    expect(all.rollup.calls.refresh).toBeLessThan(people.length / 2);
    all.rollup.switches.faults.refresh.standing = undefined;
    await waitUntil(async () => (await ask(people[0])) === undefined);
  });

  test('RFR-17 a lease that is not longer than the timeout of the provider is rejected at start', async () => {
    const run = runProgram(['serve'], {
      ...all.env,
      REFRESH_LEASE_SECONDS: '5',
      ROLLUP_TIMEOUT_MS: '5000',
    });
    expect(await run.exited).toBe(1);
    expect(run.output()).toContain('REFRESH_LEASE_SECONDS must be longer than ROLLUP_TIMEOUT_MS');
  });

  const ask = async (person: LinkedPerson | undefined): Promise<unknown> =>
    (await all.renew(all.server, person?.bearer ?? '')).code;
  const errorLines = (): number =>
    all.server
      .output()
      .split('\n')
      .filter((line) => line.includes('misconfigured') && /"level":("error"|50)/.test(line)).length;
  const circuitOpen = async (): Promise<string | undefined> =>
    /^rollup_accounts_circuit_open (\d)/m.exec(await (await fetch(`${all.server.url}/metrics`)).text())?.[1];
});
