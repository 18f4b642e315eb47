import { createPerson, type Person } from '../../src/dev/rollup-id/people.js';
import { acquireGalaxySlot } from '../../src/galaxy/galaxy-budget.repository.js';
import { createGate } from '../../src/dev/instruments/faults.js';
import { ConsentedDataDocument } from '../generated/graphql.js';
import { useWorld } from '../kit/hooks.js';
import { startWorld } from '../kit/world.js';

const SCOPES = ['openid', 'profile', 'connected_accounts', 'erc_4337'];
const PROFILE = `{ me { rollupAccounts { profile { displayName } galaxyFreshness { ageSeconds stale } } } }`;

interface Freshness {
  readonly ageSeconds: number;
  readonly stale: boolean;
}

interface ProfileData {
  me: { rollupAccounts: { profile: { displayName: string }; galaxyFreshness: Freshness }[] };
}

describe('the budget of Galaxy', () => {
  const world = useWorld();
  let mira: Person;
  let token: string;
  beforeEach(async () => {
    world.clock.advance(4_000_000);
    [mira] = world.people;
    token = (await world.linkPerson(mira, { scopes: SCOPES })).token;
    world.rollup.calls.reset();
  });

  test('is not used while a response is fresh, for a minute, and the age of the response is returned', async () => {
    expectAge(await read(), 0, false);
    world.clock.advance(40_000);
    expectAge(await read(), 40, false);
    expect(world.rollup.calls.galaxy).toBe(1);
    world.clock.advance(20_000);
    expectAge(await read(), 0, false);
    expect(world.rollup.calls.galaxy).toBe(2);
  });

  test('is used once by a hundred concurrent callers of one account', async () => {
    const gate = createGate();
    world.rollup.switches.faults.galaxy.queue.push(gate.fault);
    const pending = Array.from({ length: 100 }, () => read());
    await gate.arrived;
    gate.release();
    for (const freshness of await Promise.all(pending)) expectAge(freshness, 0, false);
    expect(world.rollup.calls.galaxy).toBe(1);
  });

  test('is ten requests a minute; the eleventh account gets retryAfterMs, and the other fields are returned', async () => {
    for (let index = 0; index < 10; index += 1) {
      expect((await readAs(await linkNewPerson())).errors).toEqual([]);
    }
    const late = await linkNewPerson();
    const { status, data, errors } = await world.ask(ConsentedDataDocument, {}, { token: late });
    expect(status).toBe(200);
    expect(errors).toHaveLength(4);
    for (const { extensions } of errors) {
      expect(extensions['code']).toBe('RATE_LIMITED');
      expect(extensions['retryAfterMs']).toBeGreaterThan(50_000);
      expect(extensions['retryAfterMs']).toBeLessThanOrEqual(60_000);
    }
    expect(data.me?.rollupAccounts[0]?.connectedAccounts).toEqual([]);
    expect(world.rollup.calls.galaxy).toBe(10);
    const before = world.statements.filter((sql) => sql.includes('galaxy_slot')).length;
    expect((await readAs(late)).codes[0]).toBe('RATE_LIMITED');
    expect(world.statements.filter((sql) => sql.includes('galaxy_slot'))).toHaveLength(before);
    await letPass('61 seconds');
    expect((await readAs(late)).errors).toEqual([]);
  });

  test('that was reduced counts the requests before the reduction', async () => {
    const em = world.em();
    await em.execute(`update galaxy_slot set taken_at = clock_timestamp() where slot > 7`);
    expect(await acquireGalaxySlot(em, 3)).toBeGreaterThan(50_000);
    await em.execute(`update galaxy_slot set taken_at = taken_at - interval '61 seconds' where slot = 8`);
    expect(await acquireGalaxySlot(em, 3)).toBe(0);
    expect(await acquireGalaxySlot(em, 3)).toBeGreaterThan(50_000);
  });

  test('that is exhausted leaves the cached response, marked as stale, until it is too old', async () => {
    await read();
    for (let index = 0; index < 9; index += 1) await readAs(await linkNewPerson());
    world.clock.advance(120_000);
    expectAge(await read(), 120, true);
    world.clock.advance(3_480_000);
    const { codes } = await readAs(await world.rollup.mint('access', mira, { scopes: SCOPES }));
    expect(codes[0]).toBe('RATE_LIMITED');
    expect(world.rollup.calls.galaxy).toBe(10);
    await letPass('61 seconds');
    token = await world.rollup.mint('access', mira, { scopes: SCOPES });
    expectAge(await read(), 0, false);
  });

  test('is not used while Galaxy is unreachable: the cached response is served, marked as stale', async () => {
    await read();
    world.clock.advance(90_000);
    world.rollup.switches.faults.galaxy.standing = { status: 503 };
    expectAge(await read(), 90, true);
    expectAge(await read(), 90, true);
    expect(world.rollup.calls.galaxy).toBe(2);
  });

  test('a rejected key is an error even when a cached response exists', async () => {
    await read();
    world.clock.advance(90_000);
    world.rollup.switches.faults.galaxy.queue.push({ body: { errors: [{}], data: { profile: null } } });
    const { codes } = await readAs(token);
    expect(codes[0]).toBe('PROVIDER_MISCONFIGURED');
  });

  test('a cached response is never served after an unlink, nor after the grant has ended', async () => {
    await read();
    await world.em().execute(`update sealed_tokens set status = 'REAUTHENTICATION_REQUIRED'`);
    const { codes } = await readAs(token);
    expect(codes[0]).toBe('REAUTHENTICATION_REQUIRED');
    const accounts = await world.em().execute<{ id: string }[]>('select id from rollup_account');
    await world.ask(
      `mutation { unlinkRollupAccount(input: { accountId: "${accounts[0]?.id}" }) { unlinkedAccountId } }`,
      undefined,
      {
        token,
      },
    );
    mira.displayName = 'mira the second';
    await world.link(mira, { scopes: SCOPES });
    expect((await readAs(token)).data.me.rollupAccounts[0]?.profile.displayName).toBe('mira the second');
    mira.displayName = 'mira.eth';
  });

  test('requests are counted by outcome', async () => {
    const counts = async (): Promise<number[]> => {
      const metrics = await (await fetch(`${world.app.url}/metrics`)).text();
      return ['responded', 'failed', 'over_budget'].map((outcome) => {
        const series = new RegExp(
          `^rollup_accounts_galaxy_requests_total\\{outcome="${outcome}"\\} (\\d+)$`,
          'm',
        );
        return Number(series.exec(metrics)?.[1] ?? 0);
      });
    };
    const before = await counts();
    await read();
    world.clock.advance(90_000);
    world.rollup.switches.faults.galaxy.queue.push({ status: 503 });
    await read();
    world.clock.advance(400_000);
    await world.em().execute('update galaxy_slot set taken_at = clock_timestamp()');
    await read();
    expect(await counts()).toEqual(before.map((count) => count + 1));
  });

  test('with the settings of an operator: nothing served stale, one request a minute', async () => {
    const strict = await startWorld({
      env: { GALAXY_STALE_SECONDS: '0', GALAXY_CACHE_SECONDS: '30', GALAXY_REQUESTS_PER_MINUTE: '1' },
    });
    try {
      const by = (await strict.linkPerson(mira, { scopes: SCOPES })).token;
      const codes = async () => (await strict.ask(PROFILE, undefined, { token: by })).codes;
      expect([await codes(), await codes()]).toEqual([[], []]);
      expect(strict.rollup.calls.galaxy).toBe(1);
      strict.clock.advance(31_000);
      expect(await codes()).toEqual(['RATE_LIMITED', 'RATE_LIMITED']);
      expect(strict.rollup.calls.galaxy).toBe(1);
    } finally {
      await strict.close();
    }
  });

  async function linkNewPerson(): Promise<string> {
    const person = createPerson({ name: 'Somebody' });
    world.rollup.people.push(person);
    return (await world.linkPerson(person, { scopes: SCOPES })).token;
  }

  function readAs(by: string) {
    return world.ask<ProfileData, never>(PROFILE, undefined, { token: by });
  }

  async function read(): Promise<Freshness | undefined> {
    const { data, errors } = await readAs(token);
    expect(errors).toEqual([]);
    expect(data.me.rollupAccounts[0]?.profile.displayName).toBe('mira.eth');
    return data.me.rollupAccounts[0]?.galaxyFreshness;
  }

  /** With a tolerance, since the clock of the world runs on during a test. */
  function expectAge(freshness: Freshness | undefined, seconds: number, stale: boolean): void {
    expect(freshness?.stale).toBe(stale);
    expect(freshness?.ageSeconds).toBeGreaterThanOrEqual(seconds);
    expect(freshness?.ageSeconds).toBeLessThan(seconds + 20);
  }

  /** Moves the clock of the database, which the budget uses, and the clock of the server. */
  function letPass(time: string): Promise<unknown> {
    world.clock.advance(61_000);
    return world.em().execute(`update galaxy_slot set taken_at = taken_at - interval '${time}'`);
  }
});
