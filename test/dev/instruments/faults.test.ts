import { decodeJwt } from 'jose';
import { createGate, type Fault } from '../../../src/dev/instruments/faults.js';
import { createPerson } from '../../../src/dev/rollup-id/people.js';
import { knownError } from '../../../src/dev/rollup-id/provider-errors.js';
import { startRollupId } from '../../../src/dev/rollup-id/rollup-id.js';
import { newCode, postToken, type Reply, tokenForm, userinfo } from '../rollup-id/client.js';
import { foreignKey } from '../../kit/forged-token.js';
import { useRollupId } from '../../kit/hooks.js';

const ada = createPerson({ name: 'Ada', email: 'ada@example.com' });

describe('faults', () => {
  const rollup = useRollupId({ people: [ada] });
  let refreshToken: string;
  beforeEach(async () => ({ refreshToken } = await rollup.issue(ada)));

  const refresh = async (): Promise<Reply> => postToken(rollup, { refresh_token: refreshToken });
  async function rawRefresh(init: RequestInit = {}): Promise<Response> {
    const body = tokenForm(rollup, { refresh_token: refreshToken });
    return fetch(`${rollup.url}/token`, { method: 'POST', body, ...init });
  }

  test('applies each queued fault once, then the standing one, then none', async () => {
    const { refresh: script } = rollup.switches.faults;
    script.queue.push({ status: 502 }, knownError('UNAUTHORIZED', 'expired token'));
    script.standing = { status: 503, headers: { 'Retry-After': '7' }, body: { message: 'busy' } };
    const queued = await rawRefresh();
    expect([queued.status, await queued.text()]).toEqual([502, '']);
    expect(await refresh()).toMatchObject({ status: 401, body: { message: 'expired token' } });
    const standing = await refresh();
    expect([standing.status, standing.headers.get('retry-after')]).toEqual([503, '7']);
    expect((await refresh()).status).toBe(503);
    script.standing = undefined;
    expect((await refresh()).status).toBe(200);
    expect(rollup.calls.refresh).toBe(5);
  });

  test('applies `token` to exchange and refresh, after their own faults', async () => {
    rollup.switches.faults.exchange.queue.push({ status: 500, body: { message: 'exchange' } });
    rollup.switches.faults.token.standing = { status: 503, body: { message: 'both' } };
    const code = await newCode(rollup);
    const messages = [];
    for (const fields of [{ code }, { code }, { refresh_token: refreshToken }]) {
      messages.push((await postToken(rollup, fields)).body['message']);
    }
    expect(messages).toEqual(['exchange', 'both', 'both']);
  });

  test.each(['discovery', 'jwks', 'userinfo', 'galaxy'] as const)('applies to %s', async (point) => {
    rollup.switches.faults[point].queue.push({ status: 418 });
    const paths = {
      discovery: '/.well-known/openid-configuration',
      jwks: '/.well-known/jwks.json',
      userinfo: '/userinfo',
      galaxy: '/graphql?query=%7B__typename%7D',
    };
    expect((await fetch(rollup.url + paths[point])).status).toBe(418);
    expect(rollup.calls[point]).toBe(1);
  });

  test('holds calls at a gate until released', async () => {
    const gate = createGate();
    rollup.switches.faults.refresh.standing = gate.fault;
    let responses = 0;
    const calls = [refresh(), refresh()].map(async (call) => {
      const { status } = await call;
      responses += 1;
      return status;
    });
    await gate.arrived;
    expect(responses).toBe(0);
    gate.release();
    expect(await Promise.all(calls)).toEqual([200, 200]);
  });

  test('delays a response, which the client may abort', async () => {
    const gate = createGate();
    rollup.switches.faults.refresh.queue.push({ delayMs: 3_600_000, ...gate.fault });
    const client = new AbortController();
    const call = rawRefresh({ signal: client.signal });
    await gate.arrived;
    client.abort();
    await expect(call).rejects.toThrow('aborted');
    rollup.switches.faults.refresh.queue.push({ delayMs: 1 });
    expect((await refresh()).status).toBe(200);
  });

  test('closes the connection before the headers, after the side effects', async () => {
    rollup.switches.strict = true;
    const code = await newCode(rollup);
    rollup.switches.faults.exchange.queue.push({ reset: 'before-headers' });
    await expect(postToken(rollup, { code })).rejects.toThrow('fetch failed');
    expect((await postToken(rollup, { code })).body['message']).toBe('expired code');
  });

  test('closes the connection after the headers and half of the body', async () => {
    rollup.switches.faults.refresh.queue.push({ reset: 'after-headers' });
    const response = await rawRefresh();
    expect(response.status).toBe(200);
    await expect(response.text()).rejects.toThrow('terminated');
  });

  test('drips a body, and sends raw bytes with any content type', async () => {
    const fault: Fault = { body: '<html>', headers: { 'Content-Type': 'text/html' }, dripMs: 1 };
    rollup.switches.faults.refresh.queue.push(fault, { body: new Uint8Array([0xff, 0xfe]) });
    const dripped = await rawRefresh();
    expect(dripped.headers.get('content-type')).toBe('text/html');
    expect(await dripped.text()).toBe('<html>');
    expect(new Uint8Array(await (await rawRefresh()).arrayBuffer())).toEqual(new Uint8Array([0xff, 0xfe]));
  });

  test('redirects', async () => {
    rollup.switches.faults.refresh.queue.push({ redirectTo: 'https://elsewhere.example/' });
    const response = await rawRefresh({ redirect: 'manual' });
    expect([response.status, response.headers.get('location')]).toEqual([302, 'https://elsewhere.example/']);
  });

  test('transforms a 200 response, but no error', async () => {
    const key = await foreignKey();
    const header = { jku: 'https://hostile.example/jwks.json' };
    rollup.switches.faults.refresh.standing = {
      transform: async (body) => ({
        ...body,
        access_token: await rollup.mint('access', createPerson(), { key, header }),
        refresh_token: 'rotated',
        expires_in: 60,
      }),
    };
    const { body } = await refresh();
    expect(body).toMatchObject({ token_type: 'Bearer', refresh_token: 'rotated', expires_in: 60 });
    expect(decodeJwt(String(body['access_token'])).sub).not.toBe(ada.sub);
    expect((await userinfo(rollup, String(body['access_token']))).status).toBe(401);
    expect((await postToken(rollup, { refresh_token: 'garbage' })).body).not.toHaveProperty('expires_in');
  });

  test('changes the status of a 200 response, but of no error, and begins it with a byte order mark', async () => {
    rollup.switches.faults.refresh.standing = { successStatus: 201, byteOrderMark: true };
    const response = await rawRefresh();
    expect(response.status).toBe(201);
    const bytes = Buffer.from(await response.arrayBuffer());
    expect([...bytes.subarray(0, 4)]).toEqual([0xef, 0xbb, 0xbf, '{'.charCodeAt(0)]);
    refreshToken = 'garbage';
    expect((await rawRefresh()).status).toBe(500);
  });

  test('lets the provider close with held calls', async () => {
    const held = await startRollupId();
    const gate = createGate();
    held.switches.faults.jwks.standing = gate.fault;
    const closed = gate.arrived.then(async () => held.close());
    await expect(fetch(`${held.url}/.well-known/jwks.json`)).rejects.toThrow('fetch failed');
    await closed;
  });
});
