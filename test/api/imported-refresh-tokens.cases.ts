import { randomBytes } from 'node:crypto';
import { decodeJwt } from 'jose';
import {
  type LinkRollupAccountErrorCode as Code,
  LinkRollupAccountDocument,
  RenewAccessTokenDocument,
  type RollupTokensInput,
} from '../generated/graphql.js';
import { compact } from '../kit/forged-token.js';
import { useWorld } from '../kit/hooks.js';
import type { LinkPayload } from '../kit/link-flow.js';

const DAY = 86_400;
const SCOPES = ['openid'];
/** More than open the circuit. */
const MANY_CALLS = 20;

describe('a refresh token that is imported from Rollup ID', () => {
  const world = useWorld();
  const now = () => Math.floor(world.clock.now() / 1_000);

  const obtain = () => world.rollup.issue(world.people[0], SCOPES);
  const takeOver = async (tokens: RollupTokensInput, token?: string): Promise<LinkPayload> =>
    (await world.ask(LinkRollupAccountDocument, { input: { tokens } }, { token })).data.linkRollupAccount;
  const codesOf = ({ userErrors }: LinkPayload): Code[] => userErrors.map(({ code }) => code);
  const mint = (kind: 'access' | 'id' | 'refresh', claims: Record<string, unknown> = {}) =>
    world.rollup.mint(kind, world.people[0], { scopes: SCOPES, claims });
  /** Nobody signed it, and only the provider reads it: its header names no algorithm. */
  function makeByHand(claims: Record<string, unknown>): string {
    const own = { iss: world.rollup.url, aud: [world.rollup.clientId], iat: now(), scope: 'openid' };
    return compact({ typ: 'JWT' }, { ...own, ...claims }, () => randomBytes(64));
  }
  async function expectRefused(tokens: RollupTokensInput, code: Code): Promise<void> {
    expect(codesOf(await takeOver(tokens))).toEqual([code]);
    for (const table of ['app_user', 'rollup_account', 'sealed_tokens']) {
      expect(await world.rows(table)).toEqual([]);
    }
  }

  test.each<[string, (tokens: RollupTokensInput) => Promise<string> | string]>([
    ['the very access token', ({ accessToken }) => accessToken],
    ['another access token', () => mint('access')],
    ['an access token that lives a day', () => mint('access', { exp: now() + DAY })],
    ['an access token that has ended', () => mint('access', { iat: now() - 7_200, exp: now() - 3_600 })],
    ['the very ID token', ({ idToken }) => idToken],
    ['a token that ends before it begins', () => mint('refresh', { exp: now() - 10 })],
  ])('VLT-84 is refused when it is %s, and the provider is not called', async (_title, replace) => {
    const tokens = await obtain();
    await expectRefused({ ...tokens, refreshToken: await replace(tokens) }, 'TOKEN_INVALID');
    expect(world.rollup.calls.refresh).toBe(0);
  });

  test.each<[string, () => Record<string, unknown>]>([
    ['without an end', () => ({})],
    ['that ends in 90 days', () => ({ exp: now() + 90 * DAY })],
  ])('VLT-84 is accepted %s, and the provider is not called', async (_title, claims) => {
    const tokens = { ...(await obtain()), refreshToken: await mint('refresh', claims()) };
    expect(codesOf(await takeOver(tokens))).toEqual([]);
    expect(world.rollup.calls.refresh).toBe(0);
  });

  test.each<[string, Record<string, unknown>]>([
    ['of another client', { aud: ['another-client'] }],
    ['of this client', {}],
    ['of another subject', { sub: 'urn:rollupid:identity/0xabc' }],
  ])('VLT-85 is refused when it is made by hand and says that it is %s', async (_title, claims) => {
    const tokens = await obtain();
    const { sub } = decodeJwt(tokens.accessToken);
    await expectRefused({ ...tokens, refreshToken: makeByHand({ sub, ...claims }) }, 'TOKEN_INVALID');
    expect(world.rollup.calls.refresh).toBe(1);
  });

  test('VLT-85 is nobody else’s trouble when it is made by hand', async () => {
    const linked = await world.linkPerson(world.people[1], { scopes: SCOPES });
    const tokens = await obtain();
    const refreshToken = makeByHand({ sub: decodeJwt(tokens.accessToken).sub, aud: ['another-client'] });
    for (let calls = 0; calls < MANY_CALLS; calls += 1) {
      expect(codesOf(await takeOver({ ...tokens, refreshToken }))).toEqual(['TOKEN_INVALID']);
    }
    world.clock.advance(3_000_000);
    const renewal = { input: { minTtlSeconds: 1_800 } };
    const { errors, data } = await world.ask(RenewAccessTokenDocument, renewal, linked);
    expect(errors).toEqual([]);
    expect(data.renewAccessToken.accessToken).not.toBe(linked.token);
  });

  test.each([
    [{ status: 503 }, 'PROVIDER_UNAVAILABLE'],
    [{ status: 400, body: { message: 'invalid client credentials' } }, 'PROVIDER_MISCONFIGURED'],
  ])('VLT-85 cannot be proved by the response %j: %s', async (fault, code) => {
    world.rollup.switches.faults.refresh.standing = fault;
    const tokens = { ...(await obtain()), refreshToken: 'opaque' };
    expect((await world.ask(LinkRollupAccountDocument, { input: { tokens } })).text).toContain(`"${code}"`);
    expect(await world.rows('app_user')).toEqual([]);
  });

  test('VLT-85 is stored when it proves good, with the access token of the proof and the ID token presented', async () => {
    const tokens = await obtain();
    const accessToken = await mint('access');
    world.rollup.switches.faults.refresh.standing = {
      body: { token_type: 'Bearer', access_token: accessToken },
    };
    const linked = await takeOver({ ...tokens, refreshToken: 'opaque' });
    expect(linked).toMatchObject({ userErrors: [], accessToken });
    const [{ id_token: id, refresh_token: refresh } = {}] = await world.rows('sealed_tokens');
    expect([id, refresh]).toEqual([expect.stringMatching(/^eyJ/), expect.stringMatching(/^eyJ/)]);
    expect(world.rollup.calls.refresh).toBe(1);
  });
});
