import { createGate, type Fault } from '../../src/dev/instruments/faults.js';
import type { Person } from '../../src/dev/rollup-id/people.js';
import { ConsentedDataDocument } from '../generated/graphql.js';
import { eventually } from '../kit/eventually.js';
import type { GraphqlError } from '../kit/graphql-client.js';
import { useWorld } from '../kit/hooks.js';

const SCOPES = ['openid', 'profile', 'connected_accounts', 'erc_4337'];
const FIELDS = ['authorizedApps', 'galaxyFreshness', 'profile', 'publicAccounts'];
const FOREIGN = "Client ID in API key doesn't match with the one in JWT.";
const NOT_FOUND = { errors: [{ code: 'NOT_FOUND', message: 'x', name: 'RollupError' }] };
const APP = { clientId: 'c', icon: 'data:,', title: 'An app', timestamp: 0 };
const NOTHING = { profile: null, connectedAccounts: null, authorizedApps: null };

describe('failures of Galaxy', () => {
  const world = useWorld();
  let mira: Person;
  let token: string;
  beforeEach(async () => {
    await linkMira();
    await ask(); // a success: failures of the test before count no longer
    await world.reset();
    await linkMira();
  });

  async function linkMira(): Promise<void> {
    world.clock.advance(4_000_000); // past every back-off and every cached response
    [mira] = world.people;
    token = (await world.linkPerson(mira, { scopes: SCOPES })).token;
  }

  const plain = (status: number, message: string): Fault => ({
    status,
    body: { errors: [{ message, path: ['profile'], extensions: { http: { status } } }], data: NOTHING },
  });
  const withFaults =
    (...errors: unknown[]) =>
    (data: Record<string, unknown> = {}): Fault => ({
      transform: (response) => ({ errors, data: { ...(response['data'] as object), ...data } }),
    });
  const tokenError = (message: string): Fault => ({
    status: 401,
    body: { errors: [{ code: 'UNAUTHORIZED', message, name: 'RollupError' }], data: NOTHING },
  });

  describe('an error response of Galaxy', () => {
    test.each<[string, string, Fault]>([
      ['the key, masked', 'PROVIDER_MISCONFIGURED', { body: { errors: [{}, {}, {}], data: NOTHING } }],
      ['the key, masked and once', 'PROVIDER_MISCONFIGURED', { body: { errors: [{}], data: NOTHING } }],
      ['no key', 'PROVIDER_MISCONFIGURED', plain(400, 'No API Key provided.')],
      ['an undecodable key', 'PROVIDER_MISCONFIGURED', plain(401, 'Unable to validate given API key.')],
      ['an old key', 'PROVIDER_MISCONFIGURED', plain(401, 'Invalid API key provided.')],
      ["another application's key", 'PROVIDER_MISCONFIGURED', plain(401, FOREIGN)],
      ['another issuer', 'PROVIDER_MISCONFIGURED', plain(400, 'The access token issuer does not match')],
      [
        'an unknown field in the query',
        'PROVIDER_MISCONFIGURED',
        { body: { errors: [{ message: 'Cannot query field "pfp"', locations: [{ line: 1, column: 1 }] }] } },
      ],
      ['the wrong URL', 'PROVIDER_MISCONFIGURED', { status: 404, body: '' }],
      ['a redirect', 'PROVIDER_MISCONFIGURED', { redirectTo: 'http://127.0.0.1:1/' }],
      ['an expired token', 'PROVIDER_UNAVAILABLE', tokenError('expired token')],
      ['a token by another key', 'PROVIDER_UNAVAILABLE', tokenError('token verification failed')],
      [
        'an undecodable token',
        'PROVIDER_UNAVAILABLE',
        { body: { errors: [{ message: 'Invalid JWT', path: ['profile'] }], data: NOTHING } },
      ],
      ['too many requests', 'PROVIDER_UNAVAILABLE', { status: 429, headers: { 'retry-after': '7' } }],
      ['a server error', 'PROVIDER_UNAVAILABLE', { status: 502, body: '<html>' }],
      ['HTML', 'PROVIDER_UNAVAILABLE', { body: '<html>' }],
      ['cut JSON', 'PROVIDER_UNAVAILABLE', { body: '{"data":{"profile":' }],
      ['no data', 'PROVIDER_UNAVAILABLE', { body: {} }],
      ['a lost connection', 'PROVIDER_UNAVAILABLE', { reset: 'after-headers' }],
      [
        'an error for each field',
        'PROVIDER_UNAVAILABLE',
        {
          body: {
            errors: ['profile', 'connectedAccounts', 'authorizedApps'].map((field) => ({
              message: 'Unexpected error.',
              path: [field],
            })),
            data: NOTHING,
          },
        },
      ],
    ])('(%s) is %s at each field of Galaxy, and the other fields are returned', async (_, code, fault) => {
      world.rollup.switches.faults.galaxy.queue.push(fault);
      const { status, data, errors, codes, text } = await ask();
      expect(status).toBe(200);
      expect(errors.map(({ path }) => String(path?.at(-1))).toSorted()).toEqual(FIELDS);
      expect(new Set(codes)).toEqual(new Set([code]));
      const waits = errors.map(({ extensions }) => extensions['retryAfterMs']);
      expect(waits.every((ms) => (code === 'PROVIDER_UNAVAILABLE' ? Number(ms) > 0 : ms === undefined))).toBe(
        true,
      );
      const account = data.me?.rollupAccounts[0];
      expect(account).toMatchObject({ profile: null, publicAccounts: null, authorizedApps: null });
      expect(account?.connectedAccounts?.length).toBeGreaterThan(0);
      expect(text).not.toContain('Unexpected error');
      expect(logged('galaxy')).toMatchObject([{ level: code === 'PROVIDER_UNAVAILABLE' ? 'warn' : 'error' }]);
      expect(await statuses()).toEqual([{ status: 'ACTIVE' }]);
    });

    test.each<[string, Fault]>([
      [
        'named by its path',
        withFaults({ message: 'Unexpected error.', path: ['authorizedApps'] })({ authorizedApps: null }),
      ],
      ['masked', withFaults({})({ authorizedApps: null })],
      [
        'of one entry',
        withFaults({ message: 'x', path: ['authorizedApps', 1] })({ authorizedApps: [APP, null] }),
      ],
      ['of one entry, masked', withFaults({})({ authorizedApps: [APP, null] })],
      [
        'below a field',
        withFaults({ message: 'x', path: ['authorizedApps', 0, 'icon'] })({ authorizedApps: [APP] }),
      ],
    ])('about one field, %s, does not affect the others', async (_, fault) => {
      world.rollup.switches.faults.galaxy.queue.push(fault);
      const { data, errors, text } = await ask();
      expect(errors.map(({ path, extensions }) => [path?.at(-1), extensions['code']])).toEqual([
        ['authorizedApps', 'PROVIDER_UNAVAILABLE'],
      ]);
      expect(data.me?.rollupAccounts[0]?.profile?.displayName).toBe('mira.eth');
      expect(data.me?.rollupAccounts[0]?.publicAccounts).toHaveLength(3);
      expect(text).not.toContain('Unexpected error');
      expect(logged('galaxy')).toMatchObject([{ level: 'warn' }]);
      world.clock.advance(Number(errors[0]?.extensions['retryAfterMs']));
      expect((await ask()).errors).toEqual([]);
    });

    test('about one field backs off exponentially, and does not evict a complete response', async () => {
      expect((await ask()).errors).toEqual([]);
      world.clock.advance(60_000);
      world.rollup.switches.faults.galaxy.standing = withFaults({})({ authorizedApps: null });
      const waits: number[] = [];
      for (let failures = 1; failures <= 3; failures += 1) {
        const { errors } = await ask();
        waits.push(Number(errors[0]?.extensions['retryAfterMs']));
        await ask();
        expect(world.rollup.calls.galaxy).toBe(1 + failures);
        world.clock.advance(waits.at(-1) ?? 0);
      }
      expectExponentialBackOff(waits);
      world.rollup.switches.faults.galaxy.standing = { status: 503 };
      const { data, errors } = await ask();
      expect(errors).toEqual([]);
      const account = data.me?.rollupAccounts[0];
      expect(account?.galaxyFreshness?.stale).toBe(true);
      expect(account?.authorizedApps).toHaveLength(1);
      await recover();
    });

    test('backs off exponentially for all accounts, and returns retryAfterMs', async () => {
      world.rollup.switches.faults.galaxy.standing = { status: 503 };
      const waits: number[] = [];
      for (let failures = 1; failures <= 3; failures += 1) {
        const { errors } = await ask();
        waits.push(Number(errors[0]?.extensions['retryAfterMs']));
        await ask();
        expect(world.rollup.calls.galaxy).toBe(failures);
        world.clock.advance(waits.at(-1) ?? 0);
      }
      expectExponentialBackOff(waits);
      world.rollup.switches.faults.galaxy.standing = undefined;
      expect((await ask()).errors).toEqual([]);
    });

    test('counts concurrent failures as one failure', async () => {
      const bearers = [token];
      for (const person of world.people.slice(1, 3)) {
        bearers.push((await world.linkPerson(person, { scopes: ['openid', 'profile'] })).token);
      }
      const gate = createGate();
      world.rollup.switches.faults.galaxy.standing = { ...gate.fault, status: 503 };
      const pending = bearers.map((bearer) => ask(bearer));
      await eventually(() => expect(world.rollup.calls.galaxy).toBe(3));
      gate.release();
      const waits = (await Promise.all(pending)).map(
        ({ errors }) => errors.find(isUnavailable)?.extensions['retryAfterMs'],
      );
      expect(Math.max(...waits.map(Number))).toBeLessThanOrEqual(7_500);
    });

    test('honours a date in Retry-After', async () => {
      const at = new Date(Date.now() + 90_000).toUTCString();
      world.rollup.switches.faults.galaxy.queue.push({ status: 503, headers: { 'retry-after': at } });
      const retryAfterMs = Number((await ask()).errors[0]?.extensions['retryAfterMs']);
      expect(retryAfterMs).toBeGreaterThan(60_000);
      expect(retryAfterMs).toBeLessThanOrEqual(90_000);
    });

    test('honours Retry-After', async () => {
      world.rollup.switches.faults.galaxy.queue.push({ status: 429, headers: { 'retry-after': '90' } });
      expect((await ask()).errors[0]?.extensions['retryAfterMs']).toBe(90_000);
      world.clock.advance(89_000);
      const left = Number((await ask()).errors[0]?.extensions['retryAfterMs']);
      expect(left).toBeGreaterThan(0);
      expect(left).toBeLessThanOrEqual(1_000);
      expect(world.rollup.calls.galaxy).toBe(1);
      world.clock.advance(1_000);
      expect((await ask()).errors).toEqual([]);
    });

    test('about the key is returned again during the back-off, without another call', async () => {
      world.rollup.switches.faults.galaxy.queue.push({ body: { errors: [{}], data: NOTHING } });
      await ask();
      const { errors } = await ask();
      expect(errors[0]?.extensions).toEqual({ code: 'PROVIDER_MISCONFIGURED' });
      expect(world.rollup.calls.galaxy).toBe(1);
    });

    test.each<[string, string, Fault]>([
      ['its token', 'PROVIDER_UNAVAILABLE', tokenError('expired token')],
      ['a token of another application', 'PROVIDER_MISCONFIGURED', plain(400, FOREIGN)],
      ['all its fields', 'PROVIDER_UNAVAILABLE', withFaults({ message: 'x' })(NOTHING)],
      ['nothing specific', 'PROVIDER_UNAVAILABLE', withFaults({})()],
      ['a person who is not found', 'PROVIDER_UNAVAILABLE', { status: 404, body: NOT_FOUND }],
      [
        'a picture that is too large',
        'PROVIDER_UNAVAILABLE',
        { body: { data: { profile: 'x'.repeat(300_000) } } },
      ],
    ])('about one account (%s) backs off exponentially for that account only', async (_, code, fault) => {
      const other = world.people[1];
      const theirs = (await world.linkPerson(other, { scopes: SCOPES })).token;
      const waits: number[] = [];
      for (let failures = 1; failures <= 3; failures += 1) {
        world.rollup.switches.faults.galaxy.queue.push(fault);
        const callsBefore = world.rollup.calls.galaxy;
        const { codes, errors } = await ask();
        expect(codes).toEqual(FIELDS.map(() => code));
        waits.push(Number(errors[0]?.extensions['retryAfterMs'] ?? 5_000 * 1.5 * 2 ** (failures - 1)));
        await ask();
        expect(world.rollup.calls.galaxy).toBe(callsBefore + 1);
        expect((await ask(theirs)).errors).toEqual([]);
        world.clock.advance(waits.at(-1) ?? 0);
      }
      expectExponentialBackOff(waits);
      expect((await ask()).errors).toEqual([]);
    });

    test('backs off for all accounts even when an earlier concurrent request succeeds afterwards', async () => {
      const other = world.people[1];
      const theirs = (await world.linkPerson(other, { scopes: SCOPES })).token;
      const gate = createGate();
      world.rollup.switches.faults.galaxy.queue.push(
        { ...gate.fault },
        { status: 429, headers: { 'retry-after': '90' } },
      );
      const earlier = ask(theirs);
      await gate.arrived;
      await ask();
      gate.release();
      expect((await earlier).errors).toEqual([]);
      expect(Number((await ask()).errors[0]?.extensions['retryAfterMs'])).toBeGreaterThan(80_000);
      expect(world.rollup.calls.galaxy).toBe(2);
      await recover();
    });
  });

  describe('the embedded Galaxy', () => {
    const misconfigured = useWorld({ env: { GALAXY_API_KEY: 'no-valid-key' } });

    test.each(['masked', 'plain'] as const)(
      'rejects a wrong key with %s errors, which is PROVIDER_MISCONFIGURED',
      async (shape) => {
        misconfigured.clock.advance(4_000_000);
        misconfigured.rollup.switches.galaxyErrors = shape;
        const { token: by } = await misconfigured.linkPerson(mira, { scopes: SCOPES });
        const { data, codes } = await misconfigured.ask(ConsentedDataDocument, {}, { token: by });
        expect(new Set(codes)).toEqual(new Set(['PROVIDER_MISCONFIGURED']));
        expect(misconfigured.rollup.calls.galaxy).toBe(1);
        expect(data.me?.rollupAccounts[0]?.smartContractWallets).toHaveLength(2);
      },
    );
  });

  function ask(by = token) {
    return world.ask(ConsentedDataDocument, {}, { token: by });
  }

  /** Expects an exponential back-off: a base of five seconds, doubled each time, with a jitter of up to half of it. */
  function expectExponentialBackOff(waits: readonly number[]): void {
    for (const [index, ms] of waits.entries()) {
      expect(ms).toBeGreaterThanOrEqual(5_000 * 2 ** index);
      expect(ms).toBeLessThanOrEqual(7_500 * 2 ** index);
    }
  }

  function isUnavailable({ extensions }: GraphqlError): boolean {
    return extensions['code'] === 'PROVIDER_UNAVAILABLE';
  }

  /** Ends the fault and lets the server fetch again. */
  async function recover(): Promise<void> {
    world.rollup.switches.faults.galaxy.standing = undefined;
    world.clock.advance(90_000);
    await world.em().execute('update galaxy_slot set taken_at = to_timestamp(0)');
    const { data, errors } = await ask();
    expect([errors, data.me?.rollupAccounts[0]?.galaxyFreshness?.stale]).toEqual([[], false]);
  }

  function statuses(): Promise<unknown> {
    return world.em().execute('select status from sealed_tokens');
  }

  function logged(message: string): Record<string, unknown>[] {
    return world.records().filter(({ msg }) => msg === message);
  }
});
