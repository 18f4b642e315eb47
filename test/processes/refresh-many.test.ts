import { createGate, type Fault } from '../../src/dev/instruments/faults.js';
import { waitUntil } from '../kit/eventually.js';
import { useServers } from '../kit/hooks.js';
import { onPostgres } from '../kit/needs.js';
import { linkPeople, renewConcurrently, serverAt } from '../kit/renewals.js';
import { type LinkedPerson, type Server } from '../kit/servers.js';
import { IN_EVERY_PROCESS, ON_POSTGRES } from '../kit/test-database.js';

const MAX_IN_FLIGHT = 10;

describe('many expiries at once', () => {
  const count = ON_POSTGRES ? 1_000 : 200;
  const all = useServers(4, {
    env: {
      ROLLUP_MAX_IN_FLIGHT: String(MAX_IN_FLIGHT),
      ROLLUP_TIMEOUT_MS: '10000',
      REFRESH_WAIT_MS: '100000',
      // A busy machine may be slow: the calls are counted, not timed.
      DATABASE_TIMEOUT_MS: '60000',
      OPERATION_TIMEOUT_MS: '120000',
    },
  });

  test(`RFR-05 ${count} tokens that expire at once cost ${count} calls, never more than the limit concurrently`, async () => {
    const people = await linkPeople(all, count);
    await all
      .em()
      .execute("update sealed_tokens set access_token_expires_at = clock_timestamp() - interval '1 s'");
    const inFlight = countInFlight();
    all.rollup.switches.faults.refresh.standing = { delayMs: 100, ...inFlight.fault };
    const renewals = await Promise.all(
      people.map(({ bearer }, index) => all.renew(serverAt(all, index), bearer)),
    );
    expect(renewals.filter(({ token }, index) => !token || token === people[index]?.token)).toEqual([]);
    expect(all.rollup.calls.refresh).toBe(count);
    expect([...all.rollup.calls.refreshesBySub.values()].filter((calls) => calls !== 1)).toEqual([]);
    expect(all.rollup.calls.refreshesBySub.size).toBe(count);
    expect(inFlight.most()).toBeLessThanOrEqual(MAX_IN_FLIGHT * all.servers.length);
    expect(inFlight.most()).toBeGreaterThan(1);
  });

  test('RFR-06 callers who wait long enough all get the token of the one call', async () => {
    const { bearer, sub } = await all.linkExpired();
    all.rollup.switches.faults.refresh.standing = { delayMs: 1_000 };
    const renewals = await renewConcurrently(all, bearer, 40);
    expect(renewals[0]?.token).toBeTruthy();
    expect(new Set(renewals.map(({ token }) => token)).size).toBe(1);
    expect(all.rollup.calls.refreshesOf(sub)).toBe(1);
  });

  onPostgres('in several processes', () => {
    test('RFR-29 waiters in other processes get the result by polling, within their own timeout', async () => {
      const { bearer, sub } = await all.linkExpired();
      const gate = createGate();
      all.rollup.switches.faults.refresh.standing = gate.fault;
      const first = all.renew(all.server, bearer);
      await gate.arrived;
      const others = renewConcurrently(all, bearer, 40);
      await Promise.all(all.servers.map((server) => waitUntil(async () => (await waiters(server)) > 0)));
      gate.release();
      const tokens = [await first, ...(await others)].map(({ token }) => token);
      expect(tokens[0]).toBeTruthy();
      expect(new Set(tokens).size).toBe(1);
      expect(all.rollup.calls.refreshesOf(sub)).toBe(1);
      const listening = await all.em().execute("select 1 from pg_stat_activity where query ilike 'listen%'");
      expect(listening).toEqual([]);
    });
  });

  test(`RFR-30 once a caller got a newer token no caller gets an older one, ${IN_EVERY_PROCESS}`, async () => {
    const people = await Promise.all([all.linkPerson(), all.linkPerson()]);
    const order = new Map(people.map(({ token }) => [token, 0]));
    all.rollup.switches.faults.refresh.standing = {
      delayMs: 10,
      transform: (response) => {
        order.set(String(response['access_token']), order.size);
        return response;
      },
    };
    const histories = await Promise.all(people.map((person) => readThroughExpiries(person, 12)));
    for (const [index, history] of histories.entries()) {
      expect(history.filter(({ token }) => !order.has(token))).toEqual([]);
      expect(findOlderAfterNewer(history, order)).toEqual([]);
      expect(all.rollup.calls.refreshesOf(people[index]?.sub ?? '')).toBeLessThanOrEqual(12);
      expect(new Set(history.map(({ token }) => token)).size).toBeGreaterThan(3);
    }
  });

  /** Two readers on every server, while the token expires repeatedly. */
  async function readThroughExpiries(
    { accountId, bearer }: LinkedPerson,
    expiries: number,
  ): Promise<Reading[]> {
    const history: Reading[] = [];
    const end = new AbortController();
    let time = 0; // logical: it orders beginnings and ends
    const read = async (server: Server): Promise<void> => {
      for (let count = 0; !end.signal.aborted && count < 2_000; count += 1) {
        const begun = (time += 1);
        const { token, code } = await all.renew(server, bearer);
        history.push({ token: token ?? String(code), begun, ended: (time += 1) });
      }
    };
    const readers = [...all.servers, ...all.servers].map(read);
    for (let count = 0; count < expiries; count += 1) {
      await all.expire(accountId);
      const seen = history.length + readers.length;
      await waitUntil(() => history.length >= seen);
    }
    end.abort();
    await Promise.all(readers);
    return history;
  }
});

interface Reading {
  readonly token: string;
  readonly begun: number;
  readonly ended: number;
}

/** Readings that began after a newer token had been returned. */
function findOlderAfterNewer(history: readonly Reading[], order: ReadonlyMap<string, number>): Reading[] {
  const age = ({ token }: Reading): number => order.get(token) ?? -1;
  const byEnd = history.toSorted((one, other) => one.ended - other.ended);
  let newest = -1;
  let next = 0;
  return history
    .toSorted((one, other) => one.begun - other.begun)
    .filter((reading) => {
      for (let done = byEnd[next]; done && done.ended < reading.begun; done = byEnd[(next += 1)]) {
        newest = Math.max(newest, age(done));
      }
      return age(reading) < newest;
    });
}

/** Counts the calls in flight at the provider. */
function countInFlight(): { fault: Pick<Fault, 'onArrival' | 'transform'>; most: () => number } {
  let [now, most] = [0, 0];
  return {
    fault: {
      onArrival: () => void (most = Math.max(most, (now += 1))),
      transform: (response) => {
        now -= 1;
        return response;
      },
    },
    most: () => most,
  };
}

async function waiters({ url }: Server): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(/^rollup_accounts_refresh_waiters (\d+)/m.exec(text)?.[1] ?? 0);
}
