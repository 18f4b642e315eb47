import { decodeJwt } from 'jose';
import type { Person } from '../../src/dev/rollup-id/people.js';
import {
  LinkRollupAccountDocument,
  RenewAccessTokenDocument,
  type RenewAccessTokenInput,
} from '../generated/graphql.js';
import { startWorld, type World } from '../kit/world.js';

const MARGIN_SECONDS = 60;
const LIFE_SECONDS = 3_600;

describe('renewAccessToken', () => {
  let world: World;
  let person: Person;
  let token: string;
  let accountId: string;

  beforeAll(async () => (world = await startWorld()));
  afterAll(() => world.close());
  beforeEach(async () => {
    await world.reset();
    [person] = world.rollup.people as [Person];
    const linked = await world.link(person);
    token = linked.accessToken ?? '';
    accountId = linked.account?.id ?? '';
  });

  test('RFR-01 refreshes an access token near its end with one call, and keeps the refresh token it was not given anew', async () => {
    const before = await readRow();
    world.clock.advance((LIFE_SECONDS - MARGIN_SECONDS + 1) * 1_000);
    const { data } = await renew();
    expect(data.renewAccessToken.userErrors).toEqual([]);
    expect(data.renewAccessToken.accessToken).not.toBe(token);
    expect(decodeJwt(data.renewAccessToken.accessToken ?? '').sub).toBe(person.sub);
    expect(world.rollup.calls.refresh).toBe(1);
    const after = await readRow();
    expect(after).toMatchObject({
      refresh_token: before.refresh_token,
      id_token: before.id_token,
      generation: before.generation + 1,
      lease_id: null,
      refresh_token_rotates: false,
    });
    expect(after.access_token).not.toBe(before.access_token);
    expect(data.renewAccessToken.account?.lastRefreshedAt).not.toBeNull();
  });

  test.each([
    ['does not ask the provider for a token far from its end', 0, 0],
    ['asks once inside the margin', LIFE_SECONDS - MARGIN_SECONDS + 5, 1],
    ['does not ask just outside the margin', LIFE_SECONDS - MARGIN_SECONDS - 5, 0],
  ])('RFR-02 %s', async (_title, elapsedSeconds, calls) => {
    world.clock.advance(elapsedSeconds * 1_000);
    const { data } = await renew();
    expect(data.renewAccessToken.accessToken).toBeTruthy();
    expect(world.rollup.calls.refresh).toBe(calls);
  });

  test('RFR-03 gives 200 callers at once the same new token for one call', async () => {
    world.clock.advance((LIFE_SECONDS - 20) * 1_000);
    const answers = await Promise.all(Array.from({ length: 200 }, () => renew()));
    const tokens = new Set(answers.map(({ data }) => data.renewAccessToken.accessToken));
    expect(world.rollup.calls.refresh).toBe(1);
    expect([...tokens]).toHaveLength(1);
    expect(tokens.has(token)).toBe(false);
  });

  test.each(['absent', 'null', 'empty', 'the same', 'new'])(
    'RFR-14 a refresh token in the answer: %s',
    async (kind) => {
      const [held, fresh] = [await world.rollup.issue(person), await world.rollup.issue(person)];
      await world.ask(LinkRollupAccountDocument, { input: { tokens: held } });
      const answered = {
        absent: undefined,
        null: null,
        empty: '',
        'the same': held.refreshToken,
        new: fresh.refreshToken,
      };
      world.rollup.switches.faults.refresh.standing = {
        transform: (answer) => ({ ...answer, refresh_token: answered[kind as keyof typeof answered] }),
      };
      const before = await readRow();
      world.clock.advance((LIFE_SECONDS - 20) * 1_000);
      expect((await renew()).data.renewAccessToken.userErrors).toEqual([]);
      const after = await readRow();
      expect(after.generation).toBe(before.generation + 1);
      expect(after.refresh_token_rotates).toBe(kind === 'new');
      expect(after.refresh_token === before.refresh_token).toBe(kind !== 'new');
    },
  );

  test('asks for at least the life that the caller wants', async () => {
    world.clock.advance((LIFE_SECONDS - 300) * 1_000);
    await renew({ minTtlSeconds: 200 });
    expect(world.rollup.calls.refresh).toBe(0);
    await renew({ minTtlSeconds: 400 });
    expect(world.rollup.calls.refresh).toBe(1);
  });

  test.each([-1, 1_801, 2_147_483_647])('refuses minTtlSeconds %d', async (minTtlSeconds) => {
    const { errors } = await renew({ minTtlSeconds });
    expect(errors[0]?.extensions).toEqual({ code: 'BAD_USER_INPUT' });
  });

  test('is refused without a bearer token, and for an identity that is not linked', async () => {
    const anonymous = await world.ask(RenewAccessTokenDocument, { input: {} });
    expect([anonymous.status, anonymous.errors[0]?.extensions]).toEqual([401, { code: 'UNAUTHENTICATED' }]);
    const stranger = await world.rollup.mint('access', world.rollup.people[1] as Person);
    const { errors } = await world.ask(RenewAccessTokenDocument, { input: {} }, { token: stranger });
    expect(errors[0]?.extensions).toEqual({ code: 'NOT_LINKED' });
  });

  test.each([
    ['of nobody', '5b0ed2a4-8a6e-4b5e-9a37-1f5b3a2c9d10'],
    ['that is no id', "1' or '1'='1"],
  ])('answers an account %s like one of another user', async (_title, id) => {
    const other = await world.link(world.rollup.people[1] as Person);
    const unknown = await renew({ accountId: id });
    const foreign = await renew({ accountId: other.account?.id ?? '' });
    expect(unknown.data).toEqual(foreign.data);
    expect(foreign.data.renewAccessToken.userErrors).toMatchObject([{ code: 'ACCOUNT_NOT_FOUND' }]);
  });

  test('serves the token that still lives while the provider is down, and says when to come back after that', async () => {
    world.rollup.switches.faults.refresh.standing = { status: 503, headers: { 'Retry-After': '7' } };
    world.clock.advance((LIFE_SECONDS - 20) * 1_000);
    expect((await renew()).data.renewAccessToken.accessToken).toBe(token);
    world.clock.advance(30_000);
    const stillGood = await world.rollup.mint('access', person);
    const { errors } = await world.ask(RenewAccessTokenDocument, { input: {} }, { token: stillGood });
    expect(errors[0]?.extensions).toMatchObject({ code: 'PROVIDER_UNAVAILABLE' });
    expect(errors[0]?.extensions['retryAfterMs']).toBeGreaterThan(0);
    expect(await readRow()).toMatchObject({ status: 'ACTIVE' });
    expect(world.rollup.calls.refresh).toBe(1);
  });

  function renew(input: RenewAccessTokenInput = {}) {
    return world.ask(RenewAccessTokenDocument, { input }, { token });
  }

  async function readRow(): Promise<Record<string, unknown> & { generation: number }> {
    const [row] = await world.em().execute('select * from sealed_tokens where account_id = ?', [accountId]);
    return row as Record<string, unknown> & { generation: number };
  }
});
