import { useWorld } from '../kit/hooks.js';

const QUERY = `{ me { rollupAccounts { profile { displayName } galaxyFreshness { fetchedAt ageSeconds stale } } } }`;
const MINUTES_20 = 1_200_000;

interface Freshness {
  readonly fetchedAt: string;
  readonly ageSeconds: number;
  readonly stale: boolean;
}

interface Data {
  me: { rollupAccounts: { galaxyFreshness: Freshness }[] };
}

describe.each([
  ['back', MINUTES_20],
  ['forward', -MINUTES_20],
])('a server whose clock is set %s by twenty minutes', (_where, byMs) => {
  const world = useWorld();
  beforeEach(async () => {
    // Past what other tests left in the cache.
    world.clock.advance(4_000_000);
    await world.linkPerson(world.people[0], { scopes: ['openid', 'profile'] });
    world.rollup.calls.reset();
  });

  afterEach(() => world.clock.setBack(-byMs));

  test('VLT-95 serves what Galaxy responded for a minute, neither longer nor shorter, and knows its age', async () => {
    const { fetchedAt } = await read();
    world.clock.setBack(byMs);
    world.clock.advance(50_000);
    const cached = await read();
    expect(cached).toMatchObject({ fetchedAt, stale: false });
    expect(cached.ageSeconds).toBeGreaterThanOrEqual(50);
    expect(cached.ageSeconds).toBeLessThan(60);
    world.clock.advance(10_000);
    const again = await read();
    expect(again.ageSeconds).toBeLessThan(10);
    expect(Math.abs(Date.parse(again.fetchedAt) - world.clock.now())).toBeLessThan(10_000);
    expect(world.rollup.calls.galaxy).toBe(2);
  });

  test('VLT-95 serves a stale response for an hour', async () => {
    await read();
    world.rollup.switches.faults.galaxy.standing = { status: 503 };
    world.clock.setBack(byMs);
    world.clock.advance(3_500_000);
    expect((await read()).stale).toBe(true);
    world.clock.advance(100_000);
    expect(await codes()).toContain('PROVIDER_UNAVAILABLE');
  });

  test('VLT-95 asks Galaxy again when the back-off is over', async () => {
    world.rollup.switches.faults.galaxy.queue.push({ status: 429, headers: { 'retry-after': '90' } });
    await ask();
    world.clock.setBack(byMs);
    world.clock.advance(80_000);
    const [error] = (await ask()).errors;
    expect(error?.extensions['retryAfterMs']).toBeLessThanOrEqual(10_000);
    expect(world.rollup.calls.galaxy).toBe(1);
    world.clock.advance(10_000);
    expect(await codes()).toEqual([]);
    expect(world.rollup.calls.galaxy).toBe(2);
  });

  async function ask() {
    // Of the time that the server takes it to be.
    const iat = Math.floor(world.clock.now() / 1_000) - 10;
    const claims = { iat, exp: iat + 3_600 };
    const token = await world.rollup.mint('access', world.people[0], {
      scopes: ['openid', 'profile'],
      claims,
    });
    return world.ask<Data, never>(QUERY, undefined, { token });
  }

  async function codes(): Promise<readonly unknown[]> {
    return (await ask()).codes;
  }

  async function read(): Promise<Freshness> {
    const { data, errors } = await ask();
    expect(errors).toEqual([]);
    const [account] = data.me.rollupAccounts;
    if (!account) throw new Error('no account');
    return account.galaxyFreshness;
  }
});
