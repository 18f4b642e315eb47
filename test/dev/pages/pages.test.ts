import { createPerson } from '../../../src/dev/rollup-id/people.js';
import { authorizationUrl, postToken } from '../rollup-id/client.js';
import { useRollupId } from '../../kit/hooks.js';

const mallory = createPerson({ name: '<script>alert(1)</script>', email: '"&\'@example.com' });

describe('the pages', () => {
  const rollup = useRollupId({ people: [mallory], graphiqlUrl: 'http://127.0.0.1:4000/graphiql' });

  async function decide(fields: Record<string, string>): Promise<Response> {
    const request = new URL(authorizationUrl(rollup)).search;
    const body = new URLSearchParams({ request, ...fields });
    return fetch(`${rollup.url}/authorize`, { method: 'POST', body, redirect: 'manual' });
  }

  test('load no external resources and are not stored', async () => {
    const paths = ['/', '/app/callback?code=0x1&state=2', authorizationUrl(rollup).slice(rollup.url.length)];
    for (const path of paths) {
      const { status, headers } = await fetch(rollup.url + path);
      expect(status).toBe(200);
      expect(headers.get('content-security-policy')).toContain("default-src 'none'");
      expect(headers.get('cache-control')).toBe('no-store');
      expect(headers.get('referrer-policy')).toBe('no-referrer');
    }
  });

  test('escape names, emails and parameters', async () => {
    const consent = await (await fetch(authorizationUrl(rollup, { state: '"><b>' }))).text();
    expect(consent).not.toContain('<script>');
    expect(consent).not.toContain('"><b>');
    expect(consent).toContain('&#60;script&#62;');
    expect(consent).toContain('&#34;&#38;&#39;@example.com');
    expect(await (await fetch(rollup.url)).text()).not.toContain('<script>');
  });

  test('redirect from the consent form to the callback and set the session cookie', async () => {
    const response = await decide({ decision: 'approve', person: mallory.sub, scope: 'profile' });
    expect(response.status).toBe(302);
    const callback = new URL(response.headers.get('location') ?? '');
    expect((await postToken(rollup, { code: callback.searchParams.get('code') ?? '' })).status).toBe(200);
    const cookie = response.headers.get('set-cookie')?.split(';')[0] ?? '';
    const again = authorizationUrl(rollup, { scope: 'openid profile' });
    expect((await fetch(again, { headers: { cookie }, redirect: 'manual' })).status).toBe(302);
    const signedOut = await fetch(`${rollup.url}/signout`, { redirect: 'manual' });
    expect(signedOut.headers.get('set-cookie')).toContain('Max-Age=0');
  });

  test('redirect from Cancel to the callback with access_denied', async () => {
    const response = await decide({ decision: 'cancel' });
    const location = `${rollup.url}/app/callback?error=access_denied&state=state-1`;
    expect(response.headers.get('location')).toBe(location);
  });

  test('reject a form with an unknown person', async () => {
    expect((await decide({ decision: 'approve', person: 'urn:rollupid:identity/0x0' })).status).toBe(400);
  });

  test('show the complete callback URL and the next step', async () => {
    const url = `${rollup.url}/app/callback?code=0x1&state=%3C%22`;
    const shown = await (await fetch(url)).text();
    expect(shown).toContain(`${url.replaceAll('&', '&#38;')}</textarea>`);
    expect(shown).toContain('linkRollupAccount');
    expect(shown).toContain('http://127.0.0.1:4000/graphiql');
  });

  test('return 404 for a foreign host name', async () => {
    const { hostname, port } = new URL(rollup.url);
    const { request } = await import('node:http');
    const status = await new Promise((resolve, reject) => {
      const headers = { host: `attacker.example:${port}` };
      request({ hostname, port, headers }, (response) => resolve(response.resume().statusCode))
        .on('error', reject)
        .end();
    });
    expect(status).toBe(404);
  });
});
