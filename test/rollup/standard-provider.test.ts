import {
  CodeRejectedError,
  GrantDeadError,
  ProviderMisconfiguredError,
  ProviderUnavailableError,
  TokenRejectedError,
} from '../../src/errors.js';
import { type Grant, verifyGrant, verifyRenewal } from '../../src/rollup/grant.js';
import type { RollupClient } from '../../src/rollup/rollup-client.js';
import type { TokenResponse } from '../../src/rollup/token-response.js';
import { type StandardProvider, startStandardProvider } from '../kit/standard-provider.js';
import { createStandardClient, type StandardClient } from './standard-client.js';

const ada = {
  sub: 'urn:standard:ada',
  name: 'Ada',
  picture: 'https://img.example/ada.png',
  email: 'ada@example.com',
};
const ben = { sub: 'urn:standard:ben', name: 'Ben', email: 'ben@example.com' };
const redirectUri = 'https://app.example/callback';

describe('with a standard OpenID provider, our client', () => {
  let standard: StandardProvider;
  let ours: StandardClient;
  let client: RollupClient;
  beforeAll(async () => {
    standard = await startStandardProvider({ people: [ada, ben], redirectUris: [redirectUri] });
    ours = createStandardClient(standard);
    client = ours.client;
  });
  afterEach(() => {
    standard.fault = undefined;
    standard.accessTokenLifetimeSeconds = 3_600;
  });
  afterAll(async () => await standard.close());

  const verify = async (response: TokenResponse, nonceHash?: string): Promise<Grant> =>
    await verifyGrant(response, client, ours.options, nonceHash);
  async function newRefreshToken(sub = ada.sub): Promise<string> {
    const { exchange } = await ours.signIn({ sub });
    return (await exchange()).refreshToken ?? '';
  }

  test('links from the authorization request to the verified grant', async () => {
    const { callback, state, nonceHash, exchange } = await ours.signIn();
    expect(callback.href.split('?')[0]).toBe(redirectUri);
    expect(Object.fromEntries(callback.searchParams)).toMatchObject({ state, iss: standard.url });
    const { sub, ...person } = ada;
    const grant = await verify(await exchange(), nonceHash);
    expect(grant).toMatchObject({ issuer: standard.url, sub });
    expect(grant.person).toEqual(person);
    expect(grant.tokens.scopes).toEqual(['openid', 'profile', 'email']);
    expect(grant.tokens.refreshToken).toEqual(expect.any(String));
  });

  test('keeps what was consented to, and nothing else', async () => {
    const { exchange } = await ours.signIn({ sub: ben.sub, scopes: ['openid', 'email'] }, true);
    const grant = await verify(await exchange());
    expect(grant).toMatchObject({ sub: ben.sub, tokens: { scopes: ['openid', 'email'] } });
    expect(grant.person).toEqual({ email: ben.email });
  });

  test('reads the life of an access token from the answer', async () => {
    standard.accessTokenLifetimeSeconds = 5;
    const { exchange } = await ours.signIn();
    const left = (await verify(await exchange())).tokens.accessTokenExpiresAt.getTime() - Date.now();
    expect(left).toBeGreaterThan(1_000);
    expect(left).toBeLessThanOrEqual(5_000);
  });

  test('is refused a code with another PKCE verifier', async () => {
    const { exchange } = await ours.signIn();
    await expect(exchange('x'.repeat(43))).rejects.toThrow(CodeRejectedError);
  });

  test('is refused a code that was used, which ends the grant of its first use', async () => {
    const { exchange } = await ours.signIn();
    const { refreshToken = '' } = await exchange();
    await expect(exchange()).rejects.toThrow(CodeRejectedError);
    await expect(client.refresh(refreshToken)).rejects.toThrow(GrantDeadError);
  });

  test('takes over a rotated refresh token', async () => {
    const { exchange } = await ours.signIn();
    const first = await exchange();
    const second = await client.refresh(first.refreshToken ?? '');
    const tokens = await verifyRenewal(second, first.accessToken, ours.options);
    expect(tokens.accessToken).not.toBe(first.accessToken);
    expect(tokens.refreshToken).toEqual(expect.any(String));
    expect(tokens.refreshToken).not.toBe(first.refreshToken);
  });

  test('learns that reusing a refresh token ends the whole grant', async () => {
    const old = await newRefreshToken();
    const { refreshToken: young = '' } = await client.refresh(old);
    const before = standard.calls.reuse;
    await expect(client.refresh(old)).rejects.toThrow(GrantDeadError);
    expect(standard.calls.reuse).toBe(before + 1);
    await expect(client.refresh(young)).rejects.toThrow(GrantDeadError);
  });

  test('gets one answer at most for two uses of a refresh token at once', async () => {
    const token = await newRefreshToken();
    const results = await Promise.allSettled([client.refresh(token), client.refresh(token)]);
    const [winner, ...others] = results.filter((result) => result.status === 'fulfilled');
    expect(others).toEqual([]);
    await expect(client.refresh(winner?.value.refreshToken ?? token)).rejects.toThrow(GrantDeadError);
  });

  test('cannot tell a refresh whose answer was lost from one that never was', async () => {
    const token = await newRefreshToken(ben.sub);
    const done = (): number => standard.calls.refreshesBySub.get(ben.sub) ?? 0;
    const before = done();
    standard.fault = (kind, moment) => (kind === 'refresh' && moment === 'before' ? 'cut' : undefined);
    await expect(client.refresh(token)).rejects.toThrow(ProviderUnavailableError);
    expect(done()).toBe(before);
    standard.fault = (kind, moment) => (kind === 'refresh' && moment === 'after' ? 'cut' : undefined);
    await expect(client.refresh(token)).rejects.toThrow(ProviderUnavailableError);
    expect(done()).toBe(before + 1);
    standard.fault = undefined;
    await expect(client.refresh(token)).rejects.toThrow(GrantDeadError);
  });

  test('learns of a revoked grant at the next refresh, and other people keep theirs', async () => {
    const [adas, bens] = [await newRefreshToken(ada.sub), await newRefreshToken(ben.sub)];
    standard.revoke(ada.sub);
    await expect(client.refresh(adas)).rejects.toThrow(GrantDeadError);
    expect(await client.refresh(bens)).toHaveProperty('refreshToken');
  });

  test('rejects an ID token that was made for another request', async () => {
    const { exchange } = await ours.signIn();
    await expect(verify(await exchange(), '00'.repeat(32))).rejects.toThrow(TokenRejectedError);
  });

  test('names a wrong client secret as what it is', async () => {
    const wrong = ours.clientWith('wrong');
    await expect(wrong.refresh('any')).rejects.toThrow(ProviderMisconfiguredError);
    const exchange = { code: 'any', codeVerifier: 'x'.repeat(43), redirectUri };
    await expect(wrong.exchangeCode(exchange)).rejects.toThrow(ProviderMisconfiguredError);
  });
});
