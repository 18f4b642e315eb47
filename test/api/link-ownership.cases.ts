import { createPerson, type Person } from '../../src/dev/rollup-id/people.js';
import type { TokenKind } from '../../src/dev/rollup-id/tokens.js';
import {
  type LinkRollupAccountErrorCode as Code,
  LinkRollupAccountDocument,
  MeDocument,
  RenewAccessTokenDocument,
  type RollupTokensInput,
} from '../generated/graphql.js';
import { foreignKey } from '../kit/forged-token.js';
import { useWorld } from '../kit/hooks.js';
import type { LinkPayload } from '../kit/link-flow.js';

const CALLBACK = { url: 'https://app.example/', linkToken: 'x' };
const TABLES = ['app_user', 'rollup_account', 'sealed_tokens'];
/** Rounds of each test case. */
const ROUNDS = 25;

type Row = Record<string, unknown>;

describe('the owner of a linked identity', () => {
  const world = useWorld();
  let mira: Person;
  let tomas: Person;
  beforeAll(() => void ([mira, tomas] = world.people));

  const everything = async (): Promise<Row[][]> => Promise.all(TABLES.map(world.rows));
  const counts = async (): Promise<number[]> => (await everything()).map(({ length }) => length);
  /** Links, and expects success. */
  async function link(person: Person, token?: string | null) {
    const { user, account, accessToken, isNewUser, userErrors } = await world.link(
      person,
      token ? { token } : {},
    );
    if (!user || !account || !accessToken) throw new Error(`not linked: ${JSON.stringify(userErrors)}`);
    return { user, account, accessToken, isNewUser };
  }
  const me = async (token: string) => (await world.ask(MeDocument, {}, { token })).data.me;
  const linkTokens = async (tokens: RollupTokensInput, token?: string): Promise<LinkPayload> =>
    (await world.ask(LinkRollupAccountDocument, { input: { tokens } }, { token })).data.linkRollupAccount;

  test('LNK-19 does not change when another user links the identity, and is not disclosed to them', async () => {
    const owner = await link(tomas);
    const other = await link(mira);
    const before = await everything();
    const response = await world.link(tomas, { token: other.accessToken });
    expect(response).toMatchObject({
      user: null,
      account: null,
      accessToken: null,
      userErrors: [{ code: 'LINKED_TO_ANOTHER_USER', field: null }],
    });
    for (const secret of [owner.user.id, owner.account.id, 'Tomás', tomas.sub]) {
      expect(JSON.stringify(response)).not.toContain(secret);
    }
    expect(await everything()).toEqual(before);
  });

  test('LNK-19 does not change when another user links the identity by its tokens', async () => {
    await link(tomas);
    const { accessToken } = await link(mira);
    const before = await everything();
    const { userErrors } = await linkTokens(await world.rollup.issue(tomas), accessToken);
    expect(userErrors).toMatchObject([{ code: 'LINKED_TO_ANOTHER_USER' }]);
    expect(await everything()).toEqual(before);
  });

  test('LNK-19 is one of two users who link the identity concurrently, and the other one is rejected', async () => {
    const users = [await link(mira), await link(tomas)];
    for (let round = 1; round <= 5; round += 1) {
      const person = createPerson();
      const bundles = [
        await world.rollup.issue(person, ['openid']),
        await world.rollup.issue(person, ['openid']),
      ];
      const responses = await Promise.all(
        bundles.map(async (tokens, index) => linkTokens(tokens, users[index]?.accessToken)),
      );
      const codes = responses.flatMap(({ userErrors }) => userErrors.map(({ code }) => code));
      expect(codes).toEqual(['LINKED_TO_ANOTHER_USER']);
      expect(await counts()).toEqual([2, 2 + round, 2 + round]);
    }
  });

  test.each(['no one', 'the user'])(
    'LNK-21 is one user with one token set when two links complete concurrently and %s is signed in',
    async (who) => {
      const { accessToken } = await link(mira);
      const token = who === 'no one' ? undefined : accessToken;
      for (let round = 0; round < ROUNDS; round += 1) {
        const person = createPerson();
        const attempt = () => world.approve(person, { scopes: ['openid'], token });
        const attempts = [await attempt(), await attempt()];
        const responses = await Promise.all(
          attempts.map(({ begun, url }) => world.finish(begun, url, token)),
        );
        expect(responses.flatMap(({ userErrors }) => userErrors)).toEqual([]);
        expect(responses.filter(({ isNewUser }) => isNewUser)).toHaveLength(token === undefined ? 1 : 0);
        const [one, ...others] = new Set(responses.map(({ user, account }) => `${user?.id} ${account?.id}`));
        expect(others).toEqual([]);
        const bearer = responses[0]?.accessToken ?? '';
        const renewed = await world.ask(RenewAccessTokenDocument, { input: {} }, { token: bearer });
        const { accessToken: live, account } = renewed.data.renewAccessToken;
        expect(one).toContain(account?.id);
        expect(responses.map((response) => response.accessToken)).toContain(live);
      }
      const users = token === undefined ? 1 + ROUNDS : 1;
      expect(await counts()).toEqual([users, 1 + ROUNDS, 1 + ROUNDS]);
      expect((await world.rows('sealed_tokens')).filter(({ generation }) => generation === 2)).toHaveLength(
        ROUNDS,
      );
    },
  );

  test.each(['anonymously', 'signed in'])(
    'LNK-22 stays the same when they link the identity again %s',
    async (how) => {
      const first = await link(mira);
      const [before = {}] = await world.rows('sealed_tokens');
      const again = await link(mira, how === 'signed in' ? first.accessToken : undefined);
      expect(again.user).toEqual(first.user);
      expect(again.account).toMatchObject({ id: first.account.id, linkedAt: first.account.linkedAt });
      expect(again.isNewUser).toBe(false);
      expect(await counts()).toEqual([1, 1, 1]);
      const [after = {}] = await world.rows('sealed_tokens');
      expect(after['generation']).toBe(Number(before['generation']) + 1);
      for (const column of ['access_token', 'id_token', 'refresh_token']) {
        expect(before[column]).toMatch(/^eyJ/);
        expect(Object.values(after)).not.toContain(before[column]);
      }
    },
  );

  test('LNK-23 gains a second identity when they link one while signed in, and both identify them', async () => {
    const first = await link(mira);
    const second = await link(tomas, first.accessToken);
    expect(second.user.id).toBe(first.user.id);
    expect(second.isNewUser).toBe(false);
    expect(await counts()).toEqual([1, 2, 2]);
    for (const token of [first.accessToken, second.accessToken]) {
      const response = await me(token);
      expect(response?.id).toBe(first.user.id);
      expect(response?.rollupAccounts.map(({ sub }) => sub)).toEqual([mira.sub, tomas.sub]);
    }
  });

  test('LNK-09 is the only one who can finish a link that they started while signed in', async () => {
    const [owner, other] = [await link(mira), await link(tomas)];
    const person = createPerson();
    const { begun, url } = await world.approve(person, { scopes: ['openid'], token: owner.accessToken });
    const [before, calls] = [await everything(), world.rollup.calls.exchange];
    for (const token of [undefined, other.accessToken]) {
      expect((await world.finish(begun, url, token)).userErrors).toMatchObject([{ code: 'LINK_NOT_FOUND' }]);
    }
    expect(world.rollup.calls.exchange).toBe(calls);
    expect(await everything()).toEqual(before);
    const { user, userErrors } = await world.finish(begun, url, owner.accessToken);
    expect({ id: user?.id, userErrors }).toEqual({ id: owner.user.id, userErrors: [] });
  });

  test('LNK-09 gains no identity from a link that was started anonymously', async () => {
    const { user, accessToken } = await link(mira);
    const { begun, url } = await world.approve(tomas);
    const response = await world.finish(begun, url, accessToken);
    expect(response).toMatchObject({ userErrors: [], isNewUser: true });
    expect(response.user?.id).not.toBe(user.id);
    expect((await me(accessToken))?.rollupAccounts.map(({ sub }) => sub)).toEqual([mira.sub]);
  });

  test("LNK-10 keeps the identity when an attacker finishes their own link with the owner's code", async () => {
    const [, attacker] = [await link(mira), await link(tomas)];
    const before = await everything();
    const begun = await world.start(undefined, attacker.accessToken);
    const stolen = await world.approve(mira);
    const url = stolen.url.replace(/state=.*/, `state=${begun.state}`);
    const { userErrors } = await world.finish(begun, url, attacker.accessToken);
    expect(userErrors).toMatchObject([{ code: 'LINKED_TO_ANOTHER_USER' }]);
    expect(await everything()).toEqual(before);
  });

  test('LNK-01 may link by existing tokens, including the refresh token', async () => {
    const tokens = await world.rollup.issue(mira);
    const response = await linkTokens(tokens);
    expect(response).toMatchObject({
      userErrors: [],
      isNewUser: true,
      accessToken: tokens.accessToken,
      user: { name: mira.name, email: mira.email },
      account: { sub: mira.sub, issuer: world.rollup.url, status: 'ACTIVE' },
    });
    expect((await me(tokens.accessToken))?.id).toBe(response.user?.id);
    const renewal = { input: { minTtlSeconds: 1_800 } };
    world.clock.advance(3_000_000);
    const renewed = await world.ask(RenewAccessTokenDocument, renewal, { token: tokens.accessToken });
    expect(renewed.data.renewAccessToken.accessToken).not.toBe(tokens.accessToken);
    expect(world.rollup.calls.refresh).toBe(1);
  });

  test('LNK-17 may link by tokens without a refresh token', async () => {
    const { accessToken, idToken } = await world.rollup.issue(mira);
    expect((await linkTokens({ accessToken, idToken })).userErrors).toEqual([]);
    expect(await world.rows('sealed_tokens')).toMatchObject([{ refresh_token: null }]);
  });

  /** How one of Mira's three tokens is replaced: the field, the kind of the new token, and its subject, key or claims. */
  type Swap = [field: keyof RollupTokensInput, kind: TokenKind, how: 'other' | 'foreign' | Row];
  const otherAudience = { aud: ['another-client'] };
  const expired = { iat: 1_700_000_000, exp: 1_700_003_600 };
  test.each<[string, Code, Swap]>([
    ['LNK-14 the access token of another sub', 'SUBJECT_MISMATCH', ['accessToken', 'access', 'other']],
    ['LNK-14 the ID token of another sub', 'SUBJECT_MISMATCH', ['idToken', 'id', 'other']],
    ['LNK-17 the refresh token of another sub', 'SUBJECT_MISMATCH', ['refreshToken', 'refresh', 'other']],
    ['LNK-16 an access token by a foreign key', 'TOKEN_INVALID', ['accessToken', 'access', 'foreign']],
    ['LNK-15 an ID token by a foreign key', 'TOKEN_INVALID', ['idToken', 'id', 'foreign']],
    ['LNK-17 a refresh token by a foreign key', 'TOKEN_INVALID', ['refreshToken', 'refresh', 'foreign']],
    ['LNK-16 an expired access token', 'TOKEN_INVALID', ['accessToken', 'access', expired]],
    ['LNK-15 an expired ID token', 'TOKEN_INVALID', ['idToken', 'id', expired]],
    [
      'LNK-16 an access token for another audience',
      'TOKEN_INVALID',
      ['accessToken', 'access', otherAudience],
    ],
    ['LNK-15 an ID token for another audience', 'TOKEN_INVALID', ['idToken', 'id', otherAudience]],
    [
      'LNK-17 a refresh token for other audiences',
      'TOKEN_INVALID',
      ['refreshToken', 'refresh', otherAudience],
    ],
    ['LNK-16 an ID token in place of the access token', 'TOKEN_INVALID', ['accessToken', 'id', {}]],
    ['LNK-16 a refresh token in place of the access token', 'TOKEN_INVALID', ['accessToken', 'refresh', {}]],
    ['LNK-15 an access token in place of the ID token', 'TOKEN_INVALID', ['idToken', 'access', {}]],
    ['LNK-17 an ID token in place of the refresh token', 'TOKEN_INVALID', ['refreshToken', 'id', {}]],
  ])('is not linked by %s: %s', async (_what, code, [field, kind, how]) => {
    const overrides =
      how === 'foreign' ? { key: await foreignKey() } : { claims: how === 'other' ? {} : how };
    const scopes = ['openid']; // needs no call to userinfo
    const swapped = await world.rollup.mint(kind, how === 'other' ? tomas : mira, { scopes, ...overrides });
    const response = await linkTokens({ ...(await world.rollup.issue(mira, scopes)), [field]: swapped });
    expect(response).toMatchObject({ user: null, accessToken: null, userErrors: [{ code }] });
    expect(JSON.stringify(response)).not.toContain(swapped);
    expect(await counts()).toEqual([0, 0, 0]);
  });

  test.each([
    ['neither', {}],
    ['both', { callback: CALLBACK, tokens: { accessToken: 'x', idToken: 'x' } }],
    ['one and null', { callback: CALLBACK, tokens: null }],
    ['null', { tokens: null }],
  ])('LNK-04 needs either a callback or tokens: %s is a bad request', async (_what, input) => {
    const { status, errors, data } = await world.ask(String(LinkRollupAccountDocument), { input });
    expect({ status, data: data ?? null }).toEqual({ status: 400, data: null });
    expect(errors).toMatchObject([
      { extensions: { code: expect.stringMatching(/^(BAD_USER_INPUT|GRAPHQL_VALIDATION_FAILED)$/) } },
    ]);
    expect(world.rollup.calls.exchange).toBe(0);
  });
});
