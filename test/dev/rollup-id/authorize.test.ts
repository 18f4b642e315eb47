import { decodeJwt } from 'jose';
import { createPerson } from '../../../src/dev/rollup-id/people.js';
import { authorizationUrl, newCode, postToken } from './client.js';
import { useRollupId } from '../../kit/hooks.js';

const ada = createPerson({ name: 'Ada', email: 'ada@example.com' });
const bob = createPerson({ name: 'Bob' });
const REDIRECT = 'https://app.example/callback';

describe('authorization', () => {
  const rollup = useRollupId({ people: [ada, bob], redirectUris: [REDIRECT] });

  test('returns a code and the state and keeps the query of the redirect URI', async () => {
    const redirect_uri = `${REDIRECT}?from=menu`;
    const callback = new URL(
      await rollup.approve(authorizationUrl(rollup, { redirect_uri, state: 'a b&c' })),
    );
    expect(callback.origin + callback.pathname).toBe(REDIRECT);
    expect([...callback.searchParams.keys()]).toEqual(['from', 'code', 'state']);
    expect(callback.searchParams.get('code')).toMatch(/^0x[0-9a-f]{48}$/);
    expect(callback.searchParams.get('state')).toBe('a b&c');
    expect(rollup.calls.authorize).toBe(1);
  });

  test('compares the redirect URI by origin only', async () => {
    const elsewhere = authorizationUrl(rollup, { redirect_uri: 'https://app.example/other?x=1' });
    expect(await rollup.approve(elsewhere)).toMatch(/^https:\/\/app\.example\/other\?x=1&code=0x/);
  });

  test.each([
    [{ client_id: undefined }, 'client_id is required'],
    [{ state: undefined }, 'state is required'],
    [{ redirect_uri: undefined }, 'redirect_uri is required'],
    [{ redirect_uri: 'nowhere' }, 'valid URI is required in redirect_uri param'],
    [{ prompt: 'none' }, 'The only prompt supported is "consent"'],
    [
      { rollup_action: 'dance' },
      'only Rollup actions supported are: connect, create, reconnect, groupconnect, groupemailconnect, group, preview',
    ],
    [{ rollup_action: 'create' }, 'Invalid create_type'],
    [
      { redirect_uri: 'http://app.example/callback' },
      'Provided redirect URI did not match with configured redirect URI',
    ],
    [{ scope: undefined }, 'No scope requested'],
    [{ scope: '' }, 'No scope requested'],
    [{ scope: 'null' }, 'No scope requested'],
    [{ scope: 'openid phone' }, 'Requested scope value not in the configured allowed scope list'],
  ])('shows an error page for %j', async (changes, message) => {
    const url = authorizationUrl(rollup, changes);
    const response = await fetch(url, { redirect: 'manual' });
    expect(response.status).toBe(400);
    expect(await response.text()).toContain(message.replaceAll('"', '&#34;'));
    await expect(rollup.approve(url)).rejects.toThrow(message);
  });

  test('fails with 500 for an unknown client', async () => {
    const response = await fetch(authorizationUrl(rollup, { client_id: 'f'.repeat(32) }));
    expect(response.status).toBe(500);
  });

  test('decodes the scope a second time', async () => {
    const scope = 'openid%20profile';
    const callback = new URL(await rollup.approve(authorizationUrl(rollup, { scope })));
    const { body } = await postToken(rollup, { code: callback.searchParams.get('code') ?? '' });
    expect(decodeJwt(String(body['access_token']))['scope']).toBe('openid profile');
  });

  test('grants the chosen scopes and always openid', async () => {
    const code = await newCode(rollup, { person: ada, scopes: ['email'] });
    const { body } = await postToken(rollup, { code });
    expect(decodeJwt(String(body['access_token']))).toMatchObject({ sub: ada.sub, scope: 'openid email' });
  });

  test('grants no email to a person without one', async () => {
    const { body } = await postToken(rollup, { code: await newCode(rollup, { person: bob }) });
    expect(decodeJwt(String(body['access_token']))['scope']).toBe('openid profile');
  });

  test('cancels without the query of the redirect URI and with the state unencoded', async () => {
    const redirect_uri = `${REDIRECT}?from=menu`;
    const url = authorizationUrl(rollup, { redirect_uri, state: 'a&b' });
    expect(await rollup.cancel(url)).toBe(`${REDIRECT}?error=access_denied&state=a&b`);
  });

  test('approves silently when one earlier grant covers the scopes', async () => {
    await newCode(rollup, { person: ada }, 'openid profile email');
    const code = await newCode(rollup, { person: ada, scopes: [] }, 'profile email');
    const { body } = await postToken(rollup, { code });
    expect(decodeJwt(String(body['access_token']))['scope']).toBe('profile email');
  });

  test('shows the consent screen again for more scopes, for prompt=consent and after a revocation', async () => {
    const status = async (changes: Record<string, string> = {}): Promise<number> => {
      const headers = { cookie: `rollup_id_person=${encodeURIComponent(ada.sub)}` };
      return (await fetch(authorizationUrl(rollup, changes), { headers, redirect: 'manual' })).status;
    };
    expect(await status()).toBe(200);
    await newCode(rollup, { person: ada });
    expect(await status()).toBe(302);
    expect(await status({ scope: 'openid erc_4337' })).toBe(200);
    expect(await status({ prompt: 'consent' })).toBe(200);
    rollup.revoke(ada);
    expect(await status()).toBe(200);
  });
});
