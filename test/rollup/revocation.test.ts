import { createIssuer } from '../../src/rollup/issuer.js';
import { createRollupClient, type RollupClient } from '../../src/rollup/rollup-client.js';
import type { Fetch } from '../../src/fetch.js';

const ISSUER = 'https://passport.example';
const LIFETIMES = { maxAgeMs: 600_000, cooldownMs: 0, staleMs: 0 };

test('VLT-102 a provider without a revocation endpoint cannot revoke, and is sent no token', async () => {
  const sent: string[] = [];
  const client = clientOf(async (url) => {
    sent.push(url);
    return Response.json(discoveryOf({}));
  });
  expect(await client.canRevoke()).toBe(false);
  expect(await client.revoke('refresh token')).toBe(false);
  expect(sent).toEqual([`${ISSUER}/.well-known/openid-configuration`]);
});

test('VLT-102 one with an endpoint can, and one whose discovery cannot be had may', async () => {
  const able = clientOf(async (_input, init) =>
    init?.method === 'POST'
      ? new Response()
      : Response.json(discoveryOf({ revocation_endpoint: `${ISSUER}/revoke` })),
  );
  expect(await able.canRevoke()).toBe(true);
  expect(await able.revoke('refresh token')).toBe(true);
  const unknown = clientOf(async () => new Response('', { status: 503 }));
  expect(await unknown.canRevoke()).toBe(true);
});

function clientOf(fetch: Fetch): RollupClient {
  const issuer = createIssuer({
    issuer: ISSUER,
    timeoutMs: 1_000,
    lifetimes: LIFETIMES,
    fetch,
    now: () => 0,
  });
  return createRollupClient({ issuer, clientId: 'client', clientSecret: 'secret', timeoutMs: 1_000, fetch });
}

function discoveryOf(more: Readonly<Record<string, string>>) {
  return {
    issuer: ISSUER,
    authorization_endpoint: `${ISSUER}/authorize`,
    token_endpoint: `${ISSUER}/token`,
    userinfo_endpoint: `${ISSUER}/userinfo`,
    jwks_uri: `${ISSUER}/jwks`,
    ...more,
  };
}
