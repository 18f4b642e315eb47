import { randomUUID } from 'node:crypto';
import { createServer, type Server } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { gzipSync } from 'node:zlib';
import { createGate, type Fault } from '../../src/dev/instruments/faults.js';
import type { Person } from '../../src/dev/rollup-id/people.js';
import type { RollupId } from '../../src/dev/rollup-id/rollup-id.js';
import { createIssuer } from '../../src/rollup/issuer.js';
import { type Fetch, leanFetch } from '../../src/fetch.js';
import { verifyToken } from '../../src/rollup/token-verifier.js';
import { createAccessTokenVerifier } from '../../src/rollup/access-token-verifier.js';
import { ConsentedScopesDocument } from '../generated/graphql.js';
import { eventually } from '../kit/eventually.js';
import { ecSigner, selfSigned } from '../kit/forged-token.js';
import { listen } from '../kit/network.js';
import { useRollupId } from '../kit/hooks.js';
import { startWorld } from '../kit/world.js';

const times = { maxAgeMs: 600_000, cooldownMs: 30_000, staleMs: 86_400_000 };
const TIMEOUT_MS = 1_000;
const MEGABYTE = 1024 * 1024;

describe('the key set', () => {
  let offset = 0;
  const now = (): number => Date.now() + offset;
  const rollup = useRollupId({ now });
  const advance = (ms: number): void => void (offset += ms);

  test('JWT-28 two thousand tokens with random kids cause one fetch in each cool-down', async () => {
    const { verify } = server();
    await verify(await mint());
    expect(rollup.calls.jwks).toBe(1);
    for (let cooldown = 1; cooldown <= 3; cooldown += 1) {
      for (let sent = 0; sent < 2_000; sent += 50) {
        const kids = Array.from({ length: 50 }, () => randomUUID());
        const forged = kids.map(async (kid) => verify(await mint({ header: { kid } })));
        const results = await Promise.allSettled([...forged, mint().then(verify)]);
        expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
        advance(250);
      }
      expect(rollup.calls.jwks).toBe(1 + cooldown);
      advance(times.cooldownMs - 10_000);
    }
  });

  test('JWT-30 keys that are down at the start: 503, not ready, and ready five seconds after their return', async () => {
    let down = true;
    const fetch: Fetch = (...call) => (down ? unreachable() : leanFetch(...call));
    const world = await startWorld({ fetch, env: { JWKS_COOLDOWN_SECONDS: '30' } });
    try {
      const token = await world.rollup.mint('access', world.people[0]);
      const bearer = () => world.ask(ConsentedScopesDocument, {}, { token });
      const ready = async () => (await globalThis.fetch(`${world.app.url}/readyz`)).status;
      for (let second = 0; second < 20; second += 1) {
        const { status, headers, codes } = await bearer();
        expect([status, codes[0]]).toEqual([503, 'PROVIDER_UNAVAILABLE']);
        expect(Number(headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
        expect(await ready()).toBe(503);
        world.clock.advance(1_000);
      }
      expect((await world.ask('{ me { id } }')).status).toBe(200);
      down = false;
      world.clock.advance(5_000);
      expect([await ready(), (await bearer()).status]).toEqual([200, 200]);
    } finally {
      await world.close();
    }
  });

  describe('JWT-32 rolled over', () => {
    test('JWT-32 a new key is accepted right after a scheduled refresh, and the old one throughout', async () => {
      const { verify } = server();
      const old = await mint();
      await verify(old);
      advance(times.maxAgeMs);
      await verify(old);
      await rollup.rotateKeys();
      expect((await verify(await mint())).sub).toBe(subject().sub);
      expect((await verify(old)).sub).toBe(subject().sub);
      expect(rollup.calls.jwks).toBe(3);
    });

    test('JWT-32 a new key is accepted within five seconds after a fetch on demand, also in a flood of made-up ids', async () => {
      const { verify } = server();
      const old = await mint();
      await verify(old);
      await expectUnknown(verify, randomUUID());
      await rollup.rotateKeys();
      const young = await mint();
      await expect(verify(young)).rejects.toThrow('NO_MATCHING_KEY');
      for (let second = 0; second < 4; second += 1) {
        for (let sent = 0; sent < 100; sent += 1) await expectUnknown(verify, randomUUID());
        expect((await verify(old)).sub).toBe(subject().sub);
        advance(1_000);
      }
      expect((await verify(young)).sub).toBe(subject().sub);
      expect((await verify(old)).sub).toBe(subject().sub);
      expect(rollup.calls.jwks).toBe(3);
    });

    test('JWT-32 a made-up id that is retried costs one more fetch in a cool-down', async () => {
      const { verify } = server();
      await verify(await mint());
      for (let second = 0; second < 29; second += 1) {
        await expectUnknown(verify, 'made up');
        advance(1_000);
      }
      expect(rollup.calls.jwks).toBe(3);
    });
  });

  test('JWT-33 a token verified with the old keys while new ones were fetched is not cached', async () => {
    const { issuer, options, verify } = server();
    const young = await mint();
    const before = await issuer.keys();
    await rollup.rotateKeys({ keepOld: false });
    const held = Promise.withResolvers<void>();
    const requested = Promise.withResolvers<void>();
    let calls = 0;
    let current = before;
    const cachedVerify = createAccessTokenVerifier({
      ...options,
      issuer: {
        ...issuer,
        keys: async () => {
          calls += 1;
          const keys = current;
          if (calls === 2) {
            requested.resolve();
            await held.promise;
          }
          return keys;
        },
      },
    });
    const slow = cachedVerify(young);
    await requested.promise;
    advance(times.maxAgeMs);
    current = await issuer.keys();
    expect((await cachedVerify(await mint())).sub).toBe(subject().sub);
    held.resolve();
    expect((await slow).sub).toBe(subject().sub);
    await expect(cachedVerify(young)).rejects.toThrow('NO_MATCHING_KEY');
    await expect(verify(young)).rejects.toThrow('NO_MATCHING_KEY');
  });

  test('JWT-33 a token with a wrong signature is verified again with other keys', async () => {
    const { x = '', y = '' } = ecSigner('another').jwk;
    rollup.switches.faults.jwks.queue.push({
      transform: ({ keys }) => ({ keys: (keys as object[]).map((key) => Object.assign({}, key, { x, y })) }),
    });
    const { cachedVerify } = server();
    const token = await mint();
    for (let calls = 0; calls < 2; calls += 1) {
      await expect(cachedVerify(token)).rejects.toThrow('SIGNATURE_VERIFICATION_FAILED');
    }
    advance(times.maxAgeMs);
    expect((await cachedVerify(token)).sub).toBe(subject().sub);
  });

  test('JWT-28 an unchanged key set is the same object after a refresh, so verified tokens stay cached', async () => {
    const { issuer } = server();
    const first = await issuer.keys();
    advance(times.maxAgeMs);
    expect(await issuer.keys()).toBe(first);
    expect(rollup.calls.jwks).toBe(2);
    await rollup.rotateKeys();
    expect(await issuer.refreshKeys('new')).not.toBe(first);
  });

  test('JWT-33 a removed key is rejected by every server within the max age of the cache', async () => {
    const servers = Array.from({ length: 4 }, () => server({ ...times, maxAgeMs: 10_000 }));
    const old = await mint();
    for (const { cachedVerify } of servers) {
      await cachedVerify(old);
      advance(1_000);
    }
    await rollup.rotateKeys({ keepOld: false });
    for (const { cachedVerify } of servers.slice(1)) {
      expect((await cachedVerify(old)).sub).toBe(subject().sub);
    }
    advance(10_000);
    for (const { cachedVerify } of servers) {
      await expect(cachedVerify(old)).rejects.toThrow('NO_MATCHING_KEY');
      expect((await cachedVerify(await mint())).sub).toBe(subject().sub);
    }
  });

  describe('JWT-34 with a bad response', () => {
    const bomb = (): Fault => ({
      body: gzipSync(Buffer.alloc(200 * MEGABYTE, ' ')),
      headers: { 'content-encoding': 'gzip' },
    });
    test.each<[string, () => Fault]>([
      ['HTML', () => ({ body: '<!doctype html><p>keys', headers: { 'content-type': 'text/html' } })],
      ['50 MB', () => ({ body: Buffer.alloc(50 * MEGABYTE, ' ') })],
      ['a gzip bomb', bomb],
      // Whoever waits for its end waits longer than a test may take.
      ['one byte a second', () => ({ dripMs: 1_000 })],
      ['no keys', () => ({ body: { keys: [] } })],
      ['500', () => ({ status: 500 })],
    ])('JWT-34 %s: the last good set is kept, and at most a megabyte is read', async (_title, create) => {
      const reading = countReading();
      const { verify } = server(times, reading.fetch);
      await verify(await mint());
      advance(times.maxAgeMs);
      rollup.switches.faults.jwks.standing = create();
      expect((await verify(await mint())).sub).toBe(subject().sub);
      expect(reading.bytes()).toBeLessThan(MEGABYTE);
      expect(rollup.calls.jwks).toBe(2);
      await expect(verify(await mint({ header: { kid: 'made up' } }))).rejects.toThrow('NO_MATCHING_KEY');
      await expect(server().verify(await mint())).rejects.toMatchObject({ code: 'PROVIDER_UNAVAILABLE' });
    });

    test('JWT-34 none: bearers do not wait for it, and the keys are adopted when they arrive', async () => {
      const gate = createGate();
      const { verify } = server(times, undefined, 60_000);
      const old = await mint();
      await verify(old);
      advance(times.maxAgeMs);
      rollup.switches.faults.jwks.queue.push(gate.fault);
      for (let calls = 0; calls < 20; calls += 1) expect((await verify(old)).sub).toBe(subject().sub);
      await gate.arrived;
      await rollup.rotateKeys({ keepOld: false });
      gate.release();
      await eventually(async () => expect(verify(old)).rejects.toThrow('NO_MATCHING_KEY'));
      expect((await verify(await mint())).sub).toBe(subject().sub);
    });

    test('JWT-34 a redirect is not followed: no other host is called, the last good set is kept', async () => {
      const { verify } = server();
      await verify(await mint());
      advance(times.maxAgeMs);
      let connections = 0;
      const other = createServer((socket) => void ((connections += 1), socket.destroy()));
      const port = await listen(other);
      rollup.switches.faults.jwks.standing = { redirectTo: `http://127.0.0.1:${port}/jwks.json` };
      expect((await verify(await mint())).sub).toBe(subject().sub);
      expect(rollup.calls.jwks).toBe(2);
      await close(other);
      expect(connections).toBe(0);
    });

    test('JWT-34 a self-signed certificate: no request is sent, the last good set is kept', async () => {
      const signer = ecSigner('tls');
      const lines =
        selfSigned(signer)
          .toString('base64')
          .match(/.{1,64}/g) ?? [];
      const cert = ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n');
      const key = signer.privateKey.export({ type: 'pkcs8', format: 'pem' });
      const seen = { handshakes: 0, bytes: 0 };
      const tls = createTlsServer({ cert, key }, (socket) => {
        socket.on('data', (chunk) => void (seen.bytes += chunk.length)).on('error', () => {});
      });
      tls.on('connection', () => void (seen.handshakes += 1));
      const port = await listen(tls);
      let moved = false;
      const { verify } = server(times, (url, ...rest) => {
        const isMoved = moved && url.endsWith('jwks.json');
        return leanFetch(isMoved ? `https://127.0.0.1:${port}/` : url, ...rest);
      });
      await verify(await mint());
      advance(times.maxAgeMs);
      moved = true;
      expect((await verify(await mint())).sub).toBe(subject().sub);
      await close(tls);
      expect(seen).toEqual({ handshakes: 1, bytes: 0 });
    });
  });

  /** The state of one process: its cached keys, and a verifier that caches tokens. */
  function server(lifetimes = times, fetch: Fetch = leanFetch, timeoutMs = TIMEOUT_MS) {
    const issuer = createIssuer({ issuer: rollup.url, timeoutMs, lifetimes, fetch, now });
    const options = { issuer, clientId: rollup.clientId, now };
    return {
      issuer,
      options,
      verify: (token: string) => verifyToken(token, options),
      cachedVerify: createAccessTokenVerifier(options),
    };
  }

  async function expectUnknown(verify: (token: string) => Promise<unknown>, kid: string): Promise<void> {
    await expect(verify(await mint({ header: { kid } }))).rejects.toThrow('NO_MATCHING_KEY');
  }

  const subject = () => rollup.people[0] as Person;

  const mint = (overrides?: Parameters<RollupId['mint']>[2]): Promise<string> =>
    rollup.mint('access', subject(), overrides);
});

/** `leanFetch`, and the bytes that were read of its responses. */
function countReading(): { fetch: Fetch; bytes: () => number } {
  let bytes = 0;
  const counting: Fetch = async (...call) => {
    const response = await leanFetch(...call);
    const counted = async function* (): AsyncGenerator<Uint8Array> {
      for await (const chunk of response.body ?? []) {
        bytes += chunk.byteLength;
        yield chunk;
      }
    };
    return { ...response, body: counted() };
  };
  return { fetch: counting, bytes: () => bytes };
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => void server.close(() => resolve()));
}

async function unreachable(): Promise<never> {
  throw new TypeError('fetch failed');
}
