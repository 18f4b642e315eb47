import { Readable } from 'node:stream';
import { leanFetch } from '../../src/fetch.js';
import { decodeJwt } from 'jose';
import {
  LinkRollupAccountDocument,
  type LinkRollupAccountErrorCode as Code,
  MeDocument,
  type RenewAccessTokenMutation,
  RenewAccessTokenDocument,
  type RollupTokensInput,
  UnlinkRollupAccountDocument,
} from '../generated/graphql.js';
import type { LinkPayload, StartPayload } from '../kit/link-flow.js';
import { eventually } from '../kit/eventually.js';
import { useStarted } from '../kit/hooks.js';
import { type StandardProvider, startStandardProvider } from '../kit/standard-provider.js';
import { startWorld } from '../kit/world.js';
import { createStandardClient } from '../rollup/standard-client.js';

const REDIRECT_URI = 'https://app.example/callback';
const ada = { sub: 'urn:standard:ada', name: 'Ada', email: 'ada@example.com' };
const ben = { sub: 'urn:standard:ben', name: 'Ben', email: 'ben@example.com' };

/** A started link, and the callback URL. */
type Attempt = Readonly<{ begun: StartPayload; url: string }>;
type Row = Record<string, unknown>;

describe('with a standard OpenID provider', () => {
  let standard: StandardProvider;
  /** The responses of the token endpoint. */
  const tokenResponses: Row[] = [];
  /** Replaces the provider's revocation endpoint. */
  let revocation: (() => Promise<Response>) | undefined;
  const world = useStarted(async (closeToo) => {
    standard = closeToo(await startStandardProvider({ people: [ada, ben], redirectUris: [REDIRECT_URI] }));
    return startWorld({
      provider: standard,
      env: { ROLLUP_NONCE: 'required' },
      fetch: async (url, init) => {
        const isRevocation = url.endsWith('revocation');
        if (revocation && isRevocation) return revocation();
        const { body, ...response } = await leanFetch(url, init);
        if (init.method !== 'POST' || isRevocation) return { ...response, body };
        const chunks = (await Readable.from(body ?? []).toArray()) as Uint8Array[];
        tokenResponses.push(JSON.parse(Buffer.concat(chunks).toString()) as Row);
        return { ...response, body: Readable.from(chunks) };
      },
    });
  });
  beforeEach(async () => {
    await world.reset();
    standard.accessTokenLifetimeSeconds = 3_600;
    standard.calls.exchange = standard.calls.refresh = standard.calls.reuse = 0;
    tokenResponses.length = 0;
    revocation = undefined;
  });

  async function approve(sub = ada.sub, token?: string): Promise<Attempt> {
    const begun = await world.start(undefined, token);
    return { begun, url: await standard.approve(begun.authorizationUrl ?? '', { sub }) };
  }
  const finish = async ({ begun, url }: Attempt, token?: string): Promise<LinkPayload> =>
    world.finish(begun, url, token);
  const codesOf = ({ userErrors }: LinkPayload): Code[] => userErrors.map(({ code }) => code);
  async function renew(
    token: string,
    minTtlSeconds?: number,
  ): Promise<RenewAccessTokenMutation['renewAccessToken']> {
    return (await world.ask(RenewAccessTokenDocument, { input: { minTtlSeconds } }, { token })).data
      .renewAccessToken;
  }
  const codeOf = (url: string): string => new URL(url).searchParams.get('code') ?? '';
  function withCode({ begun, url }: Attempt, code: string): Attempt {
    const other = new URL(url);
    other.searchParams.set('code', code);
    return { begun, url: other.href };
  }

  test('LNK-01 links with PKCE and nonce, and me returns the identity', async () => {
    const attempt = await approve();
    const { searchParams } = new URL(attempt.begun.authorizationUrl ?? '');
    const { accessToken, account, userErrors } = await finish(attempt);
    expect(userErrors).toEqual([]);
    expect(account).toMatchObject({ sub: ada.sub, issuer: standard.url, status: 'ACTIVE' });
    expect(decodeJwt(String(tokenResponses[0]?.['id_token']))['nonce']).toBe(searchParams.get('nonce'));
    const { data } = await world.ask(MeDocument, {}, { token: accessToken ?? '' });
    expect(data.me).toMatchObject({ name: ada.name, email: ada.email });
    expect(data.me?.rollupAccounts.map(({ id }) => id)).toEqual([account?.id]);
  });

  test('LNK-05 rejects the same callback a second time without a token request', async () => {
    const attempt = await approve();
    expect(codesOf(await finish(attempt))).toEqual([]);
    const stored = await world.rows('sealed_tokens');
    expect(codesOf(await finish(attempt))).toEqual(['LINK_NOT_FOUND']);
    expect(standard.calls.exchange).toBe(1);
    expect(await world.rows('sealed_tokens')).toEqual(stored);
  });

  test('LNK-05 rejects a code that the provider reports as used', async () => {
    const first = await approve();
    expect(codesOf(await finish(first))).toEqual([]);
    const stored = await world.rows('sealed_tokens');
    expect(codesOf(await finish(withCode(await approve(), codeOf(first.url))))).toEqual(['CODE_REJECTED']);
    expect(standard.calls.exchange).toBe(2);
    expect(await world.rows('sealed_tokens')).toEqual(stored);
  });

  test('LNK-10 rejects the code of another person, which belongs to another challenge', async () => {
    const victim = await approve(ben.sub);
    expect(codesOf(await finish(withCode(await approve(), codeOf(victim.url))))).toEqual(['CODE_REJECTED']);
    expect(await world.rows('app_user')).toEqual([]);
    expect(await world.rows('sealed_tokens')).toEqual([]);
  });

  test('LNK-11 rejects an ID token with the nonce of another request', async () => {
    const begun = await world.start();
    const forged = new URL(begun.authorizationUrl ?? '');
    forged.searchParams.set('nonce', 'of-another-request');
    const url = await standard.approve(forged.href, { sub: ada.sub });
    expect(codesOf(await finish({ begun, url }))).toEqual(['TOKEN_INVALID']);
    expect(await world.rows('app_user')).toEqual([]);
  });

  test('LNK-11 rejects an ID token without a nonce when ROLLUP_NONCE is required', async () => {
    const strict = await startWorld({ env: { ROLLUP_NONCE: 'required' } });
    const [person] = strict.rollup.people;
    const link = async () => (person ? strict.link(person) : undefined);
    expect((await link())?.userErrors).toMatchObject([{ code: 'TOKEN_INVALID' }]);
    await strict.close();
    // This provider returns the nonce.
    expect(world.config.provider.nonceRequired).toBe(true);
    expect((await finish(await approve())).userErrors).toEqual([]);
  });

  test('LNK-12 rejects a callback with another issuer, without a token request', async () => {
    const { begun, url } = await approve();
    const other = new URL(url);
    expect(other.searchParams.get('iss')).toBe(standard.url);
    other.searchParams.set('iss', 'https://evil.example');
    expect(codesOf(await finish({ begun, url: other.href }))).toEqual(['CODE_REJECTED']);
    expect(standard.calls.exchange).toBe(0);
  });

  test('LNK-01 renews a token near its expiry and stores the rotated refresh token', async () => {
    standard.accessTokenLifetimeSeconds = 50;
    const { accessToken } = await finish(await approve());
    const [before] = await world.rows('sealed_tokens');
    expect(before).toMatchObject({ generation: 1, refresh_token_rotates: false });

    standard.accessTokenLifetimeSeconds = 1_000;
    const { accessToken: second, userErrors } = await renew(accessToken ?? '');
    expect(userErrors).toEqual([]);
    expect(second).not.toBe(accessToken);
    const [after] = await world.rows('sealed_tokens');
    expect(after).toMatchObject({
      generation: 2,
      refresh_token_rotates: true,
      status: 'ACTIVE',
      lease_id: null,
    });
    expect(after?.['refresh_token']).toMatch(/^eyJ/);
    expect(after?.['refresh_token']).not.toBe(before?.['refresh_token']);

    // More than these tokens live: a refresh has just shown it, and another one would not help.
    expect((await renew(second ?? '', 1_800)).accessToken).toBe(second);
    await world.em().execute('update sealed_tokens set access_token_expires_at = clock_timestamp()');
    const { accessToken: third } = await renew(second ?? '');
    expect(third).not.toBe(second);
    expect(standard.calls).toMatchObject({ refresh: 2, reuse: 0 });
    expect((await world.ask(MeDocument, {}, { token: third ?? '' })).data.me?.name).toBe(ada.name);
  });

  test('PRV-06 an unlink revokes the grant at the provider, and waits for no revocation', async () => {
    const first = await finish(await approve());
    expect((await unlink(first)).errors).toEqual([]);
    expect(await world.rows('sealed_tokens')).toEqual([]);
    await nothingPending();
    expect(await refresh()).toMatchObject({ error: 'invalid_grant' });
    expect(revocations()).toMatchObject([{ event: 'revoked', accountId: first.account?.id }]);
    const done = await finish(await approve());
    revocation = async () => new Response(null, { status: 204 });
    expect((await unlink(done)).errors).toEqual([]);
    await nothingPending();
    expect(revocations().at(-1)).toMatchObject({ event: 'revoked', accountId: done.account?.id });

    const second = await finish(await approve());
    const asked = new Promise<(response: Response) => void>((ask) => {
      revocation = () => new Promise(ask);
    });
    expect((await unlink(second)).errors).toEqual([]);
    expect(await world.rows('rollup_account')).toEqual([]);
    expect(await world.rows('pending_revocation')).toHaveLength(1);
    (await asked)(new Response('', { status: 503 }));
    await eventually(() => {
      const failed = { event: 'revocation_failed', accountId: second.account?.id, level: 'warn' };
      expect(revocations().at(-1)).toMatchObject(failed);
    });
    expect(await refresh()).toHaveProperty('access_token');
    const text = await (await fetch(`${world.app.url}/metrics`)).text();
    expect(text).toMatch(/^rollup_accounts_revocations_total\{outcome="revoked"\} [1-9]/m);
    expect(text).toMatch(/^rollup_accounts_revocations_total\{outcome="revocation_failed"\} 1$/m);
  });

  test('VLT-99 a new link of the same identity revokes the refresh token that it replaces', async () => {
    const first = await finish(await approve());
    const again = await finish(await approve());
    expect(again.account?.id).toBe(first.account?.id);
    await nothingPending();
    expect(await refresh(-2)).toMatchObject({ error: 'invalid_grant' });
    expect(await refresh(-1)).toHaveProperty('access_token');
    expect(revocations()).toMatchObject([{ event: 'revoked', accountId: first.account?.id }]);
  });

  test('VLT-99 a take-over of the same refresh token again revokes nothing', async () => {
    await finish(await approve());
    const response = tokenResponses.at(-1);
    const tokens = {
      accessToken: String(response?.['access_token']),
      idToken: String(response?.['id_token']),
      refreshToken: String(response?.['refresh_token']),
    };
    const { data } = await world.ask(LinkRollupAccountDocument, { input: { tokens } });
    expect(data.linkRollupAccount.userErrors).toEqual([]);
    expect(await world.rows('pending_revocation')).toEqual([]);
    expect(await refresh()).toHaveProperty('access_token');
  });

  test.each([
    ['that was issued to another client', `client_id = 'another'`, false],
    ['that does not open, which is logged', `data_key = 'damaged'`, true],
  ])('VLT-03 an unlink sends nobody a refresh token %s', async (_title, change, logged) => {
    const linked = await finish(await approve());
    await world.em().execute(`update sealed_tokens set ${change}`);
    let revoked = 0;
    revocation = async () => {
      revoked += 1;
      return new Response();
    };
    expect((await unlink(linked)).errors).toEqual([]);
    await nothingPending();
    expect(revoked).toBe(0);
    expect(world.logLines.some((line) => line.includes('seal_broken'))).toBe(logged);
  });

  const nothingPending = () =>
    eventually(async () => expect(await world.rows('pending_revocation')).toEqual([]));
  const revocations = (): Row[] => world.records().filter(({ msg }) => msg === 'revocation');

  /** Presents a refresh token of a response, by default of the last one. */
  async function refresh(at = -1): Promise<unknown> {
    const form = {
      grant_type: 'refresh_token',
      refresh_token: String(tokenResponses.at(at)?.['refresh_token']),
    };
    const client = { client_id: standard.clientId, client_secret: standard.clientSecret };
    const body = new URLSearchParams({ ...form, ...client });
    return (await (await fetch(`${standard.url}/token`, { method: 'POST', body })).json()) as Row;
  }

  async function unlink({ accessToken, account }: LinkPayload) {
    const input = { accountId: account?.id ?? '' };
    return world.ask(UnlinkRollupAccountDocument, { input }, { token: accessToken ?? '' });
  }

  test('LNK-01 detects a revoked grant at the next renewal, and a new link reactivates the account', async () => {
    standard.accessTokenLifetimeSeconds = 50;
    const { accessToken, account } = await finish(await approve());
    const token = accessToken ?? '';
    standard.revoke(ada.sub);
    const { errors } = await world.ask(RenewAccessTokenDocument, { input: {} }, { token });
    expect(errors).toMatchObject([{ extensions: { code: 'REAUTHENTICATION_REQUIRED' } }]);
    const again = await finish(await approve());
    expect(again).toMatchObject({ userErrors: [], isNewUser: false });
    expect(again.account).toMatchObject({ id: account?.id, status: 'ACTIVE' });
  });

  describe('VLT-85 an opaque refresh token that is imported', () => {
    /** The tokens of a sign-in that this server had no part in. */
    async function obtain(sub = ada.sub): Promise<RollupTokensInput> {
      const { exchange } = await createStandardClient(standard).signIn({ sub });
      const { accessToken, idToken = '', refreshToken } = await exchange();
      return { accessToken, idToken, refreshToken };
    }
    const takeOver = async (tokens: RollupTokensInput, token?: string): Promise<LinkPayload> =>
      (await world.ask(LinkRollupAccountDocument, { input: { tokens } }, { token })).data.linkRollupAccount;
    afterEach(() => (standard.fault = undefined));

    test('VLT-85 is used once, and what the provider returned for it is stored', async () => {
      const tokens = await obtain();
      standard.accessTokenLifetimeSeconds = 50;
      const { userErrors, accessToken } = await takeOver(tokens);
      expect(userErrors).toEqual([]);
      expect(accessToken).not.toBe(tokens.accessToken);
      expect(standard.calls).toMatchObject({ refresh: 1, reuse: 0 });
      standard.accessTokenLifetimeSeconds = 1_000;
      expect((await renew(accessToken ?? '')).accessToken).not.toBe(accessToken);
      expect(standard.calls).toMatchObject({ refresh: 2, reuse: 0 });
    });

    test.each<[string, Code, () => Promise<string | null | undefined>]>([
      ['made up', 'TOKEN_INVALID', async () => 'made up'],
      ['used', 'TOKEN_INVALID', usedToken],
      ['of another subject', 'SUBJECT_MISMATCH', async () => (await obtain(ben.sub)).refreshToken],
    ])('VLT-85 is %s: the link is refused as %s', async (_title, code, refreshToken) => {
      const tokens = { ...(await obtain()), refreshToken: await refreshToken() };
      expect(codesOf(await takeOver(tokens))).toEqual([code]);
      expect(await world.rows('app_user')).toEqual([]);
    });

    test('VLT-85 cannot be proved while the provider is down, and stays good', async () => {
      const tokens = await obtain();
      standard.fault = (kind, moment) => (kind === 'refresh' && moment === 'before' ? 'cut' : undefined);
      expect(codesOf(await takeOver(tokens))).toEqual(['PROVIDER_UNAVAILABLE']);
      expect(await world.rows('app_user')).toEqual([]);
      standard.fault = undefined;
      expect(codesOf(await takeOver(tokens))).toEqual([]);
    });

    test('VLT-85 is not spent for an identity that is linked to another user', async () => {
      const tokens = await obtain();
      expect(codesOf(await finish(await approve()))).toEqual([]);
      const { accessToken } = await finish(await approve(ben.sub));
      expect(codesOf(await takeOver(tokens, accessToken ?? ''))).toEqual(['LINKED_TO_ANOTHER_USER']);
      expect(standard.calls.refresh).toBe(0);
      expect(codesOf(await takeOver(tokens))).toEqual([]);
    });

    async function usedToken(): Promise<string | null | undefined> {
      const { refreshToken } = await obtain();
      await createStandardClient(standard).client.refresh(refreshToken ?? '');
      return refreshToken;
    }
  });
});
