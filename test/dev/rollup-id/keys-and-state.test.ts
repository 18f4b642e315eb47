import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { decodeProtectedHeader } from 'jose';
import { createPerson } from '../../../src/dev/rollup-id/people.js';
import { type RollupId, startRollupId } from '../../../src/dev/rollup-id/rollup-id.js';
import { authorizationUrl, postToken, read, userinfo } from './client.js';
import { useDirectory, useRollupId } from '../../kit/hooks.js';

const ada = createPerson({ name: 'Ada', email: 'ada@example.com' });

async function kids(rollup: RollupId): Promise<unknown[]> {
  const { body } = await read(await fetch(`${rollup.url}/.well-known/jwks.json`));
  return (body['keys'] as { kid: unknown }[]).map(({ kid }) => kid);
}

describe('the published documents and keys', () => {
  const rollup = useRollupId({ now: () => 1_700_000_000_000, people: [ada] });

  test('discovery has exactly the fields of Rollup ID', async () => {
    const { body } = await read(await fetch(`${rollup.url}/.well-known/openid-configuration`));
    expect(body).toEqual({
      issuer: rollup.url,
      authorization_endpoint: `${rollup.url}/authorize`,
      token_endpoint: `${rollup.url}/token`,
      userinfo_endpoint: `${rollup.url}/userinfo`,
      jwks_uri: `${rollup.url}/.well-known/jwks.json`,
      token_endpoint_auth_methods_supported: ['client_secret_post'],
      token_endpoint_auth_signing_alg_values_supported: ['ES256'],
      scopes_supported: ['openid', 'profile', 'email'],
      response_types_supported: ['code'],
      subject_types_supported: ['public', 'pairwise'],
      userinfo_signing_alg_values_supported: ['ES256'],
      id_token_signing_alg_values_supported: ['ES256'],
      request_object_signing_alg_values_supported: ['ES256'],
      claims_supported: ['sub', 'iss'],
      service_documentation: 'https://docs.rollup.id/',
    });
    expect(rollup.calls.discovery).toBe(1);
  });

  test('keys carry neither use nor key_ops, and no cache header', async () => {
    const { headers, body } = await read(await fetch(`${rollup.url}/.well-known/jwks.json`));
    const [key] = body['keys'] as Record<string, unknown>[];
    expect(Object.keys(key ?? {})).toEqual(['alg', 'kid', 'kty', 'crv', 'x', 'y']);
    expect(key).toMatchObject({ alg: 'ES256', kid: '1700000000000', kty: 'EC', crv: 'P-256' });
    expect(headers.has('cache-control')).toBe(false);
  });

  test('rotation adds a signing key, and invalidates tokens of keys that are not kept', async () => {
    const { refreshToken } = await rollup.issue(ada);
    await rollup.rotateKeys();
    expect(await kids(rollup)).toEqual(['1700000000001', '1700000000000']);
    expect(decodeProtectedHeader(await rollup.mint('access', ada)).kid).toBe('1700000000001');
    expect((await postToken(rollup, { refresh_token: refreshToken })).status).toBe(200);
    await rollup.rotateKeys({ keepOld: false });
    expect(await kids(rollup)).toEqual(['1700000000002']);
    expect(await postToken(rollup, { refresh_token: refreshToken })).toMatchObject({
      status: 401,
      body: { message: 'token verification failed' },
    });
  });
});

describe('the state file', () => {
  const directory = useDirectory();
  const statePath = join(directory, 'nested', 'rollup-id.json');

  test('restores client, keys and grants after a restart', async () => {
    const first = await startRollupId({ statePath, people: [ada] });
    const { refreshToken } = await first.issue(ada);
    await first.rotateKeys();
    const publishedBefore = await kids(first);
    await first.close();

    const second = await startRollupId({ statePath, people: [ada] });
    const { clientId, clientSecret, galaxyKey } = second;
    expect({ clientId, clientSecret, galaxyKey }).toEqual({
      clientId: first.clientId,
      clientSecret: first.clientSecret,
      galaxyKey: first.galaxyKey,
    });
    expect(await kids(second)).toEqual(publishedBefore);
    const { status, body } = await postToken(second, { refresh_token: refreshToken });
    expect(status).toBe(200);
    expect((await userinfo(second, String(body['access_token']))).status).toBe(200);
    const headers = { cookie: `rollup_id_person=${encodeURIComponent(ada.sub)}` };
    const silent = await fetch(authorizationUrl(second), { headers, redirect: 'manual' });
    expect(silent.status).toBe(302);
    await second.close();
  });

  test('is readable by its owner only and has no codes', async () => {
    expect(statSync(statePath).mode & 0o777).toBe(0o600);
    expect(statSync(join(directory, 'nested')).mode & 0o777).toBe(0o700);
    expect(JSON.parse(readFileSync(statePath, 'utf8'))).not.toHaveProperty('codes');
  });

  test('VLT-75 is written without touching the draft of a process with the same number', async () => {
    const path = join(directory, 'beside.json');
    const draft = `${path}.${process.pid}.tmp`;
    writeFileSync(draft, 'of another container');
    await (await startRollupId({ statePath: path })).close();
    expect(readFileSync(draft, 'utf8')).toBe('of another container');
    expect(readdirSync(directory).filter((name) => name.startsWith('beside'))).toHaveLength(2);
  });

  test('fails the start when it is invalid', async () => {
    const broken = join(directory, 'broken.json');
    writeFileSync(broken, '{"clientId":1}');
    await expect(startRollupId({ statePath: broken })).rejects.toThrow('Not a state file');
  });
});
