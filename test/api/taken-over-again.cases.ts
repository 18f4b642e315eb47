import {
  LinkRollupAccountDocument,
  MeDocument,
  RenewAccessTokenDocument,
  type RollupTokensInput,
} from '../generated/graphql.js';
import { useWorld } from '../kit/hooks.js';
import type { LinkPayload } from '../kit/link-flow.js';

const SCOPES = ['openid', 'profile'];

describe('tokens that are taken over again', () => {
  const world = useWorld();
  /** Tokens of the first person, issued so many seconds ago. */
  const issue = async (secondsAgo: number, name = 'Ada'): Promise<RollupTokensInput> => {
    const iat = Math.floor(world.clock.now() / 1_000) - secondsAgo;
    const mint = (kind: 'access' | 'id' | 'refresh', claims: Record<string, unknown>) =>
      world.rollup.mint(kind, world.people[0], { scopes: SCOPES, claims: { iat, ...claims } });
    return {
      accessToken: await mint('access', { exp: iat + 3_600 }),
      idToken: await mint('id', { exp: iat + 3_600, name }),
      refreshToken: await mint('refresh', {}),
    };
  };
  const takeOver = async (tokens: RollupTokensInput): Promise<LinkPayload> => {
    const { data } = await world.ask(LinkRollupAccountDocument, { input: { tokens } });
    expect(data.linkRollupAccount.userErrors).toEqual([]);
    return data.linkRollupAccount;
  };
  const stored = async () => (await world.rows('sealed_tokens'))[0] ?? {};
  const edit = (change: string) => world.em().execute(`update sealed_tokens set ${change}`);
  const renew = async (token: string) => world.ask(RenewAccessTokenDocument, { input: {} }, { token });

  test('VLT-116 and are older than the stored ones replace neither them nor what they told of the person', async () => {
    const newer = await issue(10, 'Ada the Second');
    const { user } = await takeOver(newer);
    const before = await stored();
    const again = await takeOver(await issue(11, 'Ada the First'));
    expect(again).toMatchObject({ user: { id: user?.id, name: 'Ada the Second' }, isNewUser: false });
    expect(await stored()).toEqual(before);
    const { data } = await world.ask(MeDocument, {}, { token: newer.accessToken });
    expect(data.me?.name).toBe('Ada the Second');
  });

  test('VLT-116 and are older do not bring back a grant that has ended', async () => {
    await takeOver(await issue(10));
    await edit(`status = 'REAUTHENTICATION_REQUIRED', generation = generation + 1`);
    expect((await takeOver(await issue(11))).account?.status).toBe('REAUTHENTICATION_REQUIRED');
  });

  test.each([9, 10])('VLT-116 and are as old or newer (%d s) replace the stored ones', async (secondsAgo) => {
    await takeOver(await issue(10, 'Ada the First'));
    const before = await stored();
    await takeOver(await issue(secondsAgo, 'Ada the Second'));
    expect(await stored()).toMatchObject({ generation: 2, status: 'ACTIVE' });
    expect((await stored())['refresh_token']).not.toBe(before['refresh_token']);
  });

  test('VLT-117 without a refresh token leave the stored one, which goes on', async () => {
    await takeOver(await issue(100));
    const before = await stored();
    const { refreshToken: _none, ...tokens } = await issue(10);
    await takeOver(tokens);
    const after = await stored();
    expect(after).toMatchObject({ refresh_token: before['refresh_token'], generation: 1, status: 'ACTIVE' });
    expect(after['access_token']).not.toBe(before['access_token']);
    await edit('access_token_expires_at = clock_timestamp()');
    const { data, errors } = await renew(tokens.accessToken);
    expect(errors).toEqual([]);
    expect(data.renewAccessToken.accessToken).not.toBe(tokens.accessToken);
    expect(world.rollup.calls.refresh).toBe(1);
  });

  test.each([
    ['of a grant that has ended', `status = 'REAUTHENTICATION_REQUIRED'`],
    ['of another client', `client_id = 'another'`],
    ['that does not open', `refresh_token = 'damaged'`],
  ])('VLT-117 without a refresh token leave none %s', async (_title, change) => {
    await takeOver(await issue(100));
    await edit(change);
    const { refreshToken: _none, ...tokens } = await issue(10);
    await takeOver(tokens);
    expect(await stored()).toMatchObject({ refresh_token: null, status: 'ACTIVE' });
  });
});
