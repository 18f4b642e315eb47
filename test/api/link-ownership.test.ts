import { type CryptoKey, generateKeyPair } from 'jose';
import { createPerson, type Person } from '../../src/dev/rollup-id/people.js';
import type { TokenKind } from '../../src/dev/rollup-id/tokens.js';
import {
  type LinkRollupAccountErrorCode as Code,
  LinkRollupAccountDocument,
  MeDocument,
  RenewAccessTokenDocument,
  type RollupTokensInput,
} from '../generated/graphql.js';
import type { LinkPayload } from '../kit/link-flow.js';
import { startWorld, type World } from '../kit/world.js';

const CALLBACK = { url: 'https://app.example/', linkToken: 'x' };
const TABLES = ['app_user', 'rollup_account', 'sealed_tokens'];
/** Half of them with somebody signed in. */
const ROUNDS = 25;

type Row = Record<string, unknown>;

describe('the owner of a linked identity', () => {
  let world: World;
  let mira: Person;
  let tomas: Person;
  let foreignKey: CryptoKey;
  beforeAll(async () => {
    world = await startWorld();
    foreignKey = (await generateKeyPair('ES256')).privateKey;
    const [first, second] = world.rollup.people;
    if (!first || !second) throw new Error('the provider has nobody');
    [mira, tomas] = [first, second];
  });
  afterAll(() => world.close());
  beforeEach(() => world.reset());

  const rows = async (table: string): Promise<Row[]> => world.em().execute(`select * from ${table}`);
  const everything = async (): Promise<Row[][]> => Promise.all(TABLES.map(rows));
  const counts = async (): Promise<number[]> => (await everything()).map(({ length }) => length);
  /** Links, and expects it to work. */
  async function link(person: Person, token?: string | null) {
    const { user, account, accessToken, isNewUser, userErrors } = await world.link(
      person,
      token ? { token } : {},
    );
    if (!user || !account || !accessToken) throw new Error(`not linked: ${JSON.stringify(userErrors)}`);
    return { user, account, accessToken, isNewUser };
  }
  const me = async (token: string) => (await world.ask(MeDocument, {}, { token })).data.me;
  const takeOver = async (tokens: RollupTokensInput, token?: string): Promise<LinkPayload> =>
    (await world.ask(LinkRollupAccountDocument, { input: { tokens } }, { token })).data.linkRollupAccount;

  test('LNK-19 is not changed by another user who links it, nor disclosed to them', async () => {
    const owner = await link(tomas);
    const other = await link(mira);
    const before = await everything();
    const answer = await world.link(tomas, { token: other.accessToken });
    expect(answer).toMatchObject({
      user: null,
      account: null,
      accessToken: null,
      userErrors: [{ code: 'LINKED_TO_ANOTHER_USER', field: null }],
    });
    for (const told of [owner.user.id, owner.account.id, 'Tomás', tomas.sub])
      expect(JSON.stringify(answer)).not.toContain(told);
    expect(await everything()).toEqual(before);
  });

  test('LNK-19 is not changed by another user who takes over its tokens', async () => {
    await link(tomas);
    const { accessToken } = await link(mira);
    const before = await everything();
    const { userErrors } = await takeOver(await world.rollup.issue(tomas), accessToken);
    expect(userErrors).toMatchObject([{ code: 'LINKED_TO_ANOTHER_USER' }]);
    expect(await everything()).toEqual(before);
  });

  test('LNK-19 is one of two users who link it at once, and the other one is refused', async () => {
    const users = [await link(mira), await link(tomas)];
    for (let round = 1; round <= 5; round += 1) {
      const person = createPerson();
      const bundles = [
        await world.rollup.issue(person, ['openid']),
        await world.rollup.issue(person, ['openid']),
      ];
      const answers = await Promise.all(
        bundles.map(async (tokens, index) => takeOver(tokens, users[index]?.accessToken)),
      );
      const codes = answers.flatMap(({ userErrors }) => userErrors.map(({ code }) => code));
      expect(codes).toEqual(['LINKED_TO_ANOTHER_USER']);
      expect(await counts()).toEqual([2, 2 + round, 2 + round]);
    }
  });

  test.each(['nobody', 'the user'])(
    'LNK-21 is one user with one live token set when two links complete at once and %s is signed in',
    async (who) => {
      const { accessToken } = await link(mira);
      const token = who === 'nobody' ? undefined : accessToken;
      for (let round = 0; round < ROUNDS; round += 1) {
        const person = createPerson();
        const attempt = async () => {
          const begun = await world.start(['openid'], token);
          return { begun, url: await world.rollup.approve(begun.authorizationUrl ?? '', { person }) };
        };
        const attempts = [await attempt(), await attempt()];
        const answers = await Promise.all(attempts.map(({ begun, url }) => world.finish(begun, url, token)));
        expect(answers.flatMap(({ userErrors }) => userErrors)).toEqual([]);
        expect(answers.filter(({ isNewUser }) => isNewUser)).toHaveLength(token === undefined ? 1 : 0);
        const [one, ...others] = new Set(answers.map(({ user, account }) => `${user?.id} ${account?.id}`));
        expect(others).toEqual([]);
        const bearer = answers[0]?.accessToken ?? '';
        const renewed = await world.ask(RenewAccessTokenDocument, { input: {} }, { token: bearer });
        const { accessToken: live, account } = renewed.data.renewAccessToken;
        expect(one).toContain(account?.id);
        expect(answers.map((answer) => answer.accessToken)).toContain(live);
      }
      const users = token === undefined ? 1 + ROUNDS : 1;
      expect(await counts()).toEqual([users, 1 + ROUNDS, 1 + ROUNDS]);
      expect((await rows('sealed_tokens')).filter(({ generation }) => generation === 2)).toHaveLength(ROUNDS);
    },
  );

  test.each(['anonymously', 'signed in'])('LNK-22 stays the same when they link it again %s', async (how) => {
    const first = await link(mira);
    const [before = {}] = await rows('sealed_tokens');
    const again = await link(mira, how === 'signed in' ? first.accessToken : undefined);
    expect(again.user).toEqual(first.user);
    expect(again.account).toMatchObject({ id: first.account.id, linkedAt: first.account.linkedAt });
    expect(again.isNewUser).toBe(false);
    expect(await counts()).toEqual([1, 1, 1]);
    const [after = {}] = await rows('sealed_tokens');
    expect(after['generation']).toBe(Number(before['generation']) + 1);
    for (const column of ['access_token', 'id_token', 'refresh_token']) {
      expect(before[column]).toMatch(/^eyJ/);
      expect(Object.values(after)).not.toContain(before[column]);
    }
  });

  test('LNK-23 gains a second identity when they link one while signed in, and both lead to them', async () => {
    const first = await link(mira);
    const second = await link(tomas, first.accessToken);
    expect(second.user.id).toBe(first.user.id);
    expect(second.isNewUser).toBe(false);
    expect(await counts()).toEqual([1, 2, 2]);
    for (const token of [first.accessToken, second.accessToken]) {
      const answer = await me(token);
      expect(answer?.id).toBe(first.user.id);
      expect(answer?.rollupAccounts.map(({ sub }) => sub)).toEqual([mira.sub, tomas.sub]);
    }
  });

  test('LNK-09 alone can finish what they began while signed in', async () => {
    const [owner, other] = [await link(mira), await link(tomas)];
    const person = createPerson();
    const begun = await world.start(['openid'], owner.accessToken);
    const url = await world.rollup.approve(begun.authorizationUrl ?? '', { person });
    const [before, calls] = [await everything(), world.rollup.calls.exchange];
    for (const token of [undefined, other.accessToken])
      expect((await world.finish(begun, url, token)).userErrors).toMatchObject([{ code: 'LINK_NOT_FOUND' }]);
    expect(world.rollup.calls.exchange).toBe(calls);
    expect(await everything()).toEqual(before);
    const { user, userErrors } = await world.finish(begun, url, owner.accessToken);
    expect({ id: user?.id, userErrors }).toEqual({ id: owner.user.id, userErrors: [] });
  });

  test('LNK-09 gains nothing from an attempt that was begun anonymously', async () => {
    const { user, accessToken } = await link(mira);
    const begun = await world.start();
    const url = await world.rollup.approve(begun.authorizationUrl ?? '', { person: tomas });
    const answer = await world.finish(begun, url, accessToken);
    expect(answer).toMatchObject({ userErrors: [], isNewUser: true });
    expect(answer.user?.id).not.toBe(user.id);
    expect((await me(accessToken))?.rollupAccounts.map(({ sub }) => sub)).toEqual([mira.sub]);
  });

  test("LNK-10 keeps it when an attacker answers their own attempt with the owner's code", async () => {
    const [, attacker] = [await link(mira), await link(tomas)];
    const before = await everything();
    const begun = await world.start(undefined, attacker.accessToken);
    const stolen = await world.rollup.approve((await world.start()).authorizationUrl ?? '', { person: mira });
    const url = stolen.replace(/state=.*/, `state=${begun.state}`);
    const { userErrors } = await world.finish(begun, url, attacker.accessToken);
    expect(userErrors).toMatchObject([{ code: 'LINKED_TO_ANOTHER_USER' }]);
    expect(await everything()).toEqual(before);
  });

  test('LNK-01 may be taken over with tokens from elsewhere, refresh token and all', async () => {
    const tokens = await world.rollup.issue(mira);
    const answer = await takeOver(tokens);
    expect(answer).toMatchObject({
      userErrors: [],
      isNewUser: true,
      accessToken: tokens.accessToken,
      user: { name: mira.name, email: mira.email },
      account: { sub: mira.sub, issuer: world.rollup.url, status: 'ACTIVE' },
    });
    expect((await me(tokens.accessToken))?.id).toBe(answer.user?.id);
    const renewal = { input: { minTtlSeconds: 1_800 } };
    world.clock.advance(3_000_000);
    const renewed = await world.ask(RenewAccessTokenDocument, renewal, { token: tokens.accessToken });
    expect(renewed.data.renewAccessToken.accessToken).not.toBe(tokens.accessToken);
    expect(world.rollup.calls.refresh).toBe(1);
  });

  test('LNK-17 may be taken over without a refresh token', async () => {
    const { accessToken, idToken } = await world.rollup.issue(mira);
    expect((await takeOver({ accessToken, idToken })).userErrors).toEqual([]);
    expect(await rows('sealed_tokens')).toMatchObject([{ refresh_token: null }]);
  });

  /** How one of Mira's three tokens is replaced: a kind of token, whose, and with what. */
  type Swap = [field: keyof RollupTokensInput, kind: TokenKind, how: 'other' | 'foreign' | Row];
  const elsewhere = { aud: ['another-client'] };
  const ended = { iat: 1_700_000_000, exp: 1_700_003_600 };
  test.each<[string, Code, Swap]>([
    ['LNK-14 the access token of another sub', 'SUBJECT_MISMATCH', ['accessToken', 'access', 'other']],
    ['LNK-14 the ID token of another sub', 'SUBJECT_MISMATCH', ['idToken', 'id', 'other']],
    ['LNK-17 the refresh token of another sub', 'SUBJECT_MISMATCH', ['refreshToken', 'refresh', 'other']],
    ['LNK-16 an access token by a foreign key', 'TOKEN_INVALID', ['accessToken', 'access', 'foreign']],
    ['LNK-15 an ID token by a foreign key', 'TOKEN_INVALID', ['idToken', 'id', 'foreign']],
    ['LNK-17 a refresh token by a foreign key', 'TOKEN_INVALID', ['refreshToken', 'refresh', 'foreign']],
    ['LNK-16 an expired access token', 'TOKEN_INVALID', ['accessToken', 'access', ended]],
    ['LNK-15 an expired ID token', 'TOKEN_INVALID', ['idToken', 'id', ended]],
    ['LNK-16 an access token for another audience', 'TOKEN_INVALID', ['accessToken', 'access', elsewhere]],
    ['LNK-15 an ID token for another audience', 'TOKEN_INVALID', ['idToken', 'id', elsewhere]],
    ['LNK-17 a refresh token for other audiences', 'TOKEN_INVALID', ['refreshToken', 'refresh', elsewhere]],
    ['LNK-16 an ID token in place of the access token', 'TOKEN_INVALID', ['accessToken', 'id', {}]],
    ['LNK-16 a refresh token in place of the access token', 'TOKEN_INVALID', ['accessToken', 'refresh', {}]],
    ['LNK-15 an access token in place of the ID token', 'TOKEN_INVALID', ['idToken', 'access', {}]],
    ['LNK-17 an ID token in place of the refresh token', 'TOKEN_INVALID', ['refreshToken', 'id', {}]],
  ])('is not given away for %s: %s', async (_what, code, [field, kind, how]) => {
    const overrides = how === 'foreign' ? { key: foreignKey } : { claims: how === 'other' ? {} : how };
    const scopes = ['openid']; // for which userinfo is not asked
    const swapped = await world.rollup.mint(kind, how === 'other' ? tomas : mira, { scopes, ...overrides });
    const answer = await takeOver({ ...(await world.rollup.issue(mira, scopes)), [field]: swapped });
    expect(answer).toMatchObject({ user: null, accessToken: null, userErrors: [{ code }] });
    expect(JSON.stringify(answer)).not.toContain(swapped);
    expect(await counts()).toEqual([0, 0, 0]);
  });

  test.each([
    ['neither', {}],
    ['both', { callback: CALLBACK, tokens: { accessToken: 'x', idToken: 'x' } }],
    ['one and null', { callback: CALLBACK, tokens: null }],
    ['null', { tokens: null }],
  ])('LNK-04 is asked for by callback or by tokens: %s is a bad request', async (_what, input) => {
    const { status, errors, data } = await world.ask(String(LinkRollupAccountDocument), { input });
    expect({ status, data: data ?? null }).toEqual({ status: 400, data: null });
    expect(errors).toMatchObject([
      { extensions: { code: expect.stringMatching(/^(BAD_USER_INPUT|GRAPHQL_VALIDATION_FAILED)$/) } },
    ]);
    expect(world.rollup.calls.exchange).toBe(0);
  });
});
