import { decodeJwt } from 'jose';
import type { Person } from '../../src/dev/rollup-id/people.js';
import {
  LinkRollupAccountDocument,
  RenewAccessTokenDocument,
  type RenewAccessTokenInput,
} from '../generated/graphql.js';
import { useWorld } from '../kit/hooks.js';

const MARGIN_SECONDS = 60;
const LIFETIME_SECONDS = 3_600;

interface Row {
  readonly access_token: string;
  readonly refresh_token: string;
  readonly refresh_token_rotates: boolean;
  readonly id_token: string;
  readonly generation: number;
}

describe('renewAccessToken', () => {
  const world = useWorld();
  let person: Person;
  let token: string;
  let accountId: string;

  beforeEach(async () => {
    [person] = world.people;
    ({ token, accountId } = await world.linkPerson(person));
  });

  test('RFR-01 refreshes an access token near its expiry with one call, and keeps a refresh token that is not replaced', async () => {
    const before = await readRow();
    world.clock.advance((LIFETIME_SECONDS - MARGIN_SECONDS + 1) * 1_000);
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

  test('VLT-125 reads the identity with its tokens, claims and stores: three statements', async () => {
    world.clock.advance((LIFETIME_SECONDS - MARGIN_SECONDS + 1) * 1_000);
    world.statements.length = 0;
    await renew();
    expect(world.statements.slice(0, 3)).toEqual([
      expect.stringMatching(/^select[^]* from rollup_account [^]* from sealed_tokens /),
      expect.stringMatching(/^update sealed_tokens\s+set lease_id/),
      expect.stringMatching(/^update sealed_tokens set status/),
    ]);
  });

  test.each([
    ['does not call the provider for a token far from its expiry', 0, 0],
    ['calls once inside the margin', LIFETIME_SECONDS - MARGIN_SECONDS + 5, 1],
    ['does not call just outside the margin', LIFETIME_SECONDS - MARGIN_SECONDS - 5, 0],
  ])('RFR-02 %s', async (_title, elapsedSeconds, calls) => {
    world.clock.advance(elapsedSeconds * 1_000);
    const { data } = await renew();
    expect(data.renewAccessToken.accessToken).toBeTruthy();
    expect(world.rollup.calls.refresh).toBe(calls);
  });

  test('RFR-03 returns the same new token to 200 concurrent callers with one call', async () => {
    world.clock.advance((LIFETIME_SECONDS - 20) * 1_000);
    const responses = await Promise.all(Array.from({ length: 200 }, () => renew()));
    const tokens = new Set(responses.map(({ data }) => data.renewAccessToken.accessToken));
    expect(world.rollup.calls.refresh).toBe(1);
    expect([...tokens]).toHaveLength(1);
    expect(tokens.has(token)).toBe(false);
  });

  test.each(['absent', 'null', 'empty', 'the same', 'new'])(
    'RFR-14 a refresh token in the response: %s',
    async (kind) => {
      const [held, fresh] = [await world.rollup.issue(person), await world.rollup.issue(person)];
      await world.ask(LinkRollupAccountDocument, { input: { tokens: held } });
      const values = {
        absent: undefined,
        null: null,
        empty: '',
        'the same': held.refreshToken,
        new: fresh.refreshToken,
      };
      world.rollup.switches.faults.refresh.standing = {
        transform: (response) => ({ ...response, refresh_token: values[kind as keyof typeof values] }),
      };
      const before = await readRow();
      world.clock.advance((LIFETIME_SECONDS - 20) * 1_000);
      expect((await renew()).data.renewAccessToken.userErrors).toEqual([]);
      const after = await readRow();
      expect(after.generation).toBe(before.generation + 1);
      expect(after.refresh_token_rotates).toBe(kind === 'new');
      expect(after.refresh_token === before.refresh_token).toBe(kind !== 'new');
    },
  );

  test('returns a token with at least the remaining lifetime that the caller requests', async () => {
    world.clock.advance((LIFETIME_SECONDS - 300) * 1_000);
    await renew({ minTtlSeconds: 200 });
    expect(world.rollup.calls.refresh).toBe(0);
    await renew({ minTtlSeconds: 400 });
    expect(world.rollup.calls.refresh).toBe(1);
  });

  test.each([-1, 1_801, 2_147_483_647])('rejects minTtlSeconds %d', async (minTtlSeconds) => {
    const { errors } = await renew({ minTtlSeconds });
    expect(errors[0]?.extensions).toEqual({ code: 'BAD_USER_INPUT' });
  });

  test('is rejected without a bearer token, and for an identity that is not linked', async () => {
    const anonymous = await world.ask(RenewAccessTokenDocument, { input: {} });
    expect([anonymous.status, anonymous.errors[0]?.extensions]).toEqual([401, { code: 'UNAUTHENTICATED' }]);
    const stranger = await world.rollup.mint('access', world.people[1]);
    const { errors } = await world.ask(RenewAccessTokenDocument, { input: {} }, { token: stranger });
    expect(errors[0]?.extensions).toEqual({ code: 'NOT_LINKED' });
  });

  test.each([
    ['that does not exist', '5b0ed2a4-8a6e-4b5e-9a37-1f5b3a2c9d10'],
    ['with an invalid id', "1' or '1'='1"],
  ])('returns the same for an account %s as for one of another user', async (_title, id) => {
    const other = await world.linkPerson(world.people[1]);
    const unknown = await renew({ accountId: id });
    const foreign = await renew({ accountId: other.accountId });
    expect(unknown.data).toEqual(foreign.data);
    expect(foreign.data.renewAccessToken.userErrors).toMatchObject([{ code: 'ACCOUNT_NOT_FOUND' }]);
  });

  test('serves the unexpired token while the provider is down, and returns retryAfterMs after its expiry', async () => {
    world.rollup.switches.faults.refresh.standing = { status: 503, headers: { 'Retry-After': '60' } };
    world.clock.advance((LIFETIME_SECONDS - 20) * 1_000);
    expect((await renew()).data.renewAccessToken.accessToken).toBe(token);
    world.clock.advance(30_000);
    const validBearer = await world.rollup.mint('access', person);
    const { errors } = await world.ask(RenewAccessTokenDocument, { input: {} }, { token: validBearer });
    expect(errors[0]?.extensions).toMatchObject({ code: 'PROVIDER_UNAVAILABLE' });
    expect(errors[0]?.extensions['retryAfterMs']).toBeGreaterThan(0);
    expect(await readRow()).toMatchObject({ status: 'ACTIVE' });
    expect(world.rollup.calls.refresh).toBe(1);
  });

  function renew(input: RenewAccessTokenInput = {}) {
    return world.ask(RenewAccessTokenDocument, { input }, { token });
  }

  async function readRow(): Promise<Row> {
    const [row] = await world.em().execute('select * from sealed_tokens where account_id = ?', [accountId]);
    return row as Row;
  }
});
