import {
  CodeRejectedError,
  GrantDeadError,
  ProviderMisconfiguredError,
  ProviderUnavailableError,
  TokenRejectedError,
} from '../../src/errors.js';
import { type Grant, verifyGrant, verifyRefreshResponse } from '../../src/rollup/grant.js';
import type { RollupClient } from '../../src/rollup/rollup-client.js';
import type { TokenResponse } from '../../src/rollup/token-response.js';
import { useStarted } from '../kit/hooks.js';
import { startStandardProvider } from '../kit/standard-provider.js';
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
  const standard = useStarted(() =>
    startStandardProvider({ people: [ada, ben], redirectUris: [redirectUri] }),
  );
  let ours: StandardClient;
  let client: RollupClient;
  beforeAll(() => {
    ours = createStandardClient(standard);
    client = ours.client;
  });
  afterEach(() => {
    standard.fault = undefined;
    standard.accessTokenLifetimeSeconds = 3_600;
  });

  const verify = (response: TokenResponse, nonceHash?: string): Promise<Grant> =>
    verifyGrant(response, client, ours.options, nonceHash);
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

  test('keeps the consented claims only', async () => {
    const { exchange } = await ours.signIn({ sub: ben.sub, scopes: ['openid', 'email'] }, true);
    const grant = await verify(await exchange());
    expect(grant).toMatchObject({ sub: ben.sub, tokens: { scopes: ['openid', 'email'] } });
    expect(grant.person).toEqual({ email: ben.email });
  });

  test('reads the lifetime of an access token from the response', async () => {
    standard.accessTokenLifetimeSeconds = 5;
    const { exchange } = await ours.signIn();
    const left = (await verify(await exchange())).tokens.accessTokenExpiresAt.getTime() - Date.now();
    expect(left).toBeGreaterThan(1_000);
    expect(left).toBeLessThanOrEqual(5_000);
  });

  test('cannot exchange a code with another PKCE verifier', async () => {
    const { exchange } = await ours.signIn();
    await expect(exchange('x'.repeat(43))).rejects.toThrow(CodeRejectedError);
  });

  test('cannot exchange a code twice, and the second attempt ends the grant', async () => {
    const { exchange } = await ours.signIn();
    const { refreshToken = '' } = await exchange();
    await expect(exchange()).rejects.toThrow(CodeRejectedError);
    await expect(client.refresh(refreshToken)).rejects.toThrow(GrantDeadError);
  });

  test('adopts a rotated refresh token', async () => {
    const { exchange } = await ours.signIn();
    const first = await exchange();
    const second = await client.refresh(first.refreshToken ?? '');
    const tokens = await verifyRefreshResponse(second, first.accessToken, ours.options);
    expect(tokens.accessToken).not.toBe(first.accessToken);
    expect(tokens.refreshToken).toEqual(expect.any(String));
    expect(tokens.refreshToken).not.toBe(first.refreshToken);
  });

  test('ends the whole grant by reusing a refresh token', async () => {
    const old = await newRefreshToken();
    const { refreshToken: young = '' } = await client.refresh(old);
    const before = standard.calls.reuse;
    await expect(client.refresh(old)).rejects.toThrow(GrantDeadError);
    expect(standard.calls.reuse).toBe(before + 1);
    await expect(client.refresh(young)).rejects.toThrow(GrantDeadError);
  });

  test('succeeds at most once with two concurrent uses of a refresh token', async () => {
    const token = await newRefreshToken();
    const results = await Promise.allSettled([client.refresh(token), client.refresh(token)]);
    const [success, ...others] = results.filter((result) => result.status === 'fulfilled');
    expect(others).toEqual([]);
    await expect(client.refresh(success?.value.refreshToken ?? token)).rejects.toThrow(GrantDeadError);
  });

  test('cannot distinguish a refresh with a lost response from one that never arrived', async () => {
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

  test('sees a revoked grant at the next refresh, and the grants of others go on', async () => {
    const [adaToken, benToken] = [await newRefreshToken(ada.sub), await newRefreshToken(ben.sub)];
    standard.revoke(ada.sub);
    await expect(client.refresh(adaToken)).rejects.toThrow(GrantDeadError);
    expect(await client.refresh(benToken)).toHaveProperty('refreshToken');
  });

  test('rejects an ID token of another request', async () => {
    const { exchange } = await ours.signIn();
    await expect(verify(await exchange(), '00'.repeat(32))).rejects.toThrow(TokenRejectedError);
  });

  test('reports a wrong client secret as a misconfiguration', async () => {
    const wrong = ours.clientWith('wrong');
    await expect(wrong.refresh('any')).rejects.toThrow(ProviderMisconfiguredError);
    const exchange = { code: 'any', codeVerifier: 'x'.repeat(43), redirectUri };
    await expect(wrong.exchangeCode(exchange)).rejects.toThrow(ProviderMisconfiguredError);
  });
});
