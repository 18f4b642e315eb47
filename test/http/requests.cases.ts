import { once } from 'node:events';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls from 'node:tls';
import { eventually } from '../kit/eventually.js';
import { useStarted, useWorld } from '../kit/hooks.js';
import { needs } from '../kit/needs.js';
import { findFreePort, listen } from '../kit/network.js';
import { runProgram } from '../kit/processes.js';
import { startProcess } from '../kit/server.js';
import { startWorld } from '../kit/world.js';
import { createDataDirectory } from '../kit/test-database.js';
import { PRODUCTION } from '../kit/server-env.js';

const APP = 'https://app.example.com';
const BODY_LIMIT = 2_000;
const HEAD = 'POST /graphql HTTP/1.1\r\nHost: x\r\n';
const JSON_TYPE = 'Content-Type: application/json\r\n';
const ME = '{"query":"{ me { id } }"}';

/** What was received over a raw connection, and whether the server closed it. */
interface RawResponse {
  readonly status: number;
  readonly text: string;
  readonly closed: boolean;
}

/** Sends these bytes unchanged. Waits until the server closes the connection, at most two seconds. */
async function send(url: string, bytes: string): Promise<RawResponse> {
  const socket = connect({ host: '127.0.0.1', port: Number(new URL(url).port) });
  let text = '';
  let closed = false;
  socket.on('data', (chunk) => (text += chunk.toString('latin1')));
  socket.on('end', () => (closed = true));
  socket.on('error', () => (closed = true));
  socket.setTimeout(2_000, () => socket.destroy());
  socket.write(bytes, 'latin1');
  await new Promise((resolve) => socket.once('close', resolve));
  return { status: Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? 0), text, closed };
}

describe('a request', () => {
  const world = useWorld({
    env: {
      BODY_LIMIT_BYTES: String(BODY_LIMIT),
      CORS_ORIGINS: `${APP},https://other.example.com`,
      METRICS_FROM: '10.0.0.1',
      TRUST_PROXY: '127.0.0.1',
    },
  });

  const post = (body: string, headers: Record<string, string> = {}, path = '/graphql') =>
    fetch(`${world.app.url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body,
    });

  test('HTP-05 a body of exactly the limit is read, one byte more is 413', async () => {
    expect((await post(ME.padEnd(BODY_LIMIT))).status).toBe(200);
    const { status, headers } = await post(ME.padEnd(BODY_LIMIT + 1));
    expect([status, headers.get('content-type')]).toEqual([413, 'application/json; charset=utf-8']);
  });

  test.each([
    ['announced', `Content-Length: ${100 * 1024 ** 2}\r\n\r\n`, ME],
    ['in chunks', 'Transfer-Encoding: chunked\r\n\r\n', `1000\r\n${'x'.repeat(0x1000)}\r\n`],
  ])('HTP-05 a body of 100 MB, %s, is 413 and closed after its first bytes', async (_how, end, part) => {
    const { status, closed } = await send(world.app.url, HEAD + JSON_TYPE + end + part);
    expect({ status, closed }).toEqual({ status: 413, closed: true });
  });

  test('HTP-05 a compressed body is 415 before it is unpacked', async () => {
    expect((await post(ME, { 'content-encoding': 'gzip' })).status).toBe(415);
  });

  test.each([
    ['HTP-06 a header of 20 kB', `${HEAD}X: ${'x'.repeat(20_000)}\r\n\r\n`],
    ['HTP-06 2 500 headers', `${HEAD}Connection: close\r\n${'a: b\r\n'.repeat(2_500)}\r\n`],
    ['HTP-07 a URL of 17 kB', `GET /graphql?${'x'.repeat(17_000)} HTTP/1.1\r\nHost: x\r\n\r\n`],
  ])('%s is 431', async (_what, bytes) => {
    expect((await send(world.app.url, bytes)).status).toBe(431);
  });

  const length = `Content-Length: ${ME.length}\r\n`;
  test.each([
    ['a length and chunks', `${HEAD}${JSON_TYPE}${length}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
    ['two lengths', `${HEAD}${JSON_TYPE}${length}Content-Length: 3\r\n\r\n${ME}`],
    ['an unknown transfer coding', `${HEAD}${JSON_TYPE}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`],
    ['bare line feeds', `${HEAD}${JSON_TYPE}${length}\r\n${ME}`.replaceAll('\r\n', '\n')],
    ['a folded header', `${HEAD}${JSON_TYPE}X: a\r\n b\r\n${length}\r\n${ME}`],
    ['a space before a colon', `${HEAD}${JSON_TYPE}Content-Length : ${ME.length}\r\n\r\n${ME}`],
    ['no Host', `${HEAD}${JSON_TYPE}${length}\r\n${ME}`.replace('Host: x\r\n', '')],
    ['two Hosts', `${HEAD}Host: y\r\n${JSON_TYPE}${length}\r\n${ME}`],
  ])('HTP-08 %s: 400, nothing runs and the connection ends', async (_what, bytes) => {
    const { status, text, closed } = await send(world.app.url, bytes);
    expect({ status, closed, responses: text.split('HTTP/1.1 ').length - 1 }).toEqual({
      status: 400,
      closed: true,
      responses: 1,
    });
  });

  test.each(['TRACE', 'CONNECT', 'PUT', 'DELETE', 'PATCH'])('HTP-09 %s is 405 with Allow', async (method) => {
    const { status, text } = await send(
      world.app.url,
      `${method} /graphql HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
    );
    expect({ status, allow: /^allow: (.*)\r$/im.exec(text)?.[1] }).toEqual({
      status: 405,
      allow: 'GET, POST',
    });
  });

  test('HTP-09 a client that requests a tunnel and resets the connection, or keeps it open, does no harm', async () => {
    const tunnel = () => {
      const socket = connect({
        host: '127.0.0.1',
        port: Number(new URL(world.app.url).port),
        allowHalfOpen: true,
      });
      socket.on('error', () => undefined).write('CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n');
      return socket;
    };
    for (let times = 0; times < 20; times += 1) {
      const socket = tunnel();
      await once(socket, 'connect');
      socket.resetAndDestroy();
    }
    const held = tunnel();
    const chunks = (await held.toArray()) as Buffer[];
    expect(Buffer.concat(chunks).toString()).toMatch(/^HTTP\/1\.1 405 /);
    // Our half is still open: a server that waits for its end never sees a write fail.
    while (!held.closed) {
      held.write('x');
      await new Promise(setImmediate);
    }
    expect((await fetch(`${world.app.url}/healthz`)).status).toBe(200);
  });

  test('HTP-23 a client that disconnects in the middle of a request leaves no record', async () => {
    for (let times = 0; times < 20; times += 1) {
      const socket = connect({ host: '127.0.0.1', port: Number(new URL(world.app.url).port) });
      socket.on('error', () => undefined).write(HEAD);
      await once(socket, 'connect');
      socket.resetAndDestroy();
    }
    expect((await fetch(`${world.app.url}/healthz`)).status).toBe(200);
    await eventually(() => expect(world.logLines.join('')).toContain('/healthz'));
    expect(world.logLines.join('')).not.toContain('request_refused');
  });

  test('HTP-09 PROPFIND, which no route names, is 405 with Allow too', async () => {
    const response = await fetch(`${world.app.url}/graphql`, { method: 'PROPFIND' });
    expect([response.status, response.headers.get('allow')]).toEqual([405, 'GET, POST']);
  });

  test.each([
    ['a path that is nowhere', '/nowhere?code=abc123&state=def456', 404],
    ['a path that cannot be decoded', '/%zz/abc123?state=def456', 400],
  ])(
    'HTP-18 %s gets the usual response, which contains nothing of the request',
    async (_what, path, status) => {
      const response = await fetch(`${world.app.url}${path}`);
      const text = await response.text();
      expect(response.status).toBe(status);
      expect(JSON.parse(text)).toMatchObject({ errors: [{ extensions: { code: 'BAD_REQUEST' } }] });
      expect(text).not.toMatch(/abc123|def456|nowhere/);
    },
  );

  test.each([
    ['no HTTP', 'hello\r\n\r\n', 400],
    ['too large a header', `${HEAD}X: ${'x'.repeat(20_000)}\r\n\r\n`, 431],
    ['an expectation', `${HEAD}Expect: a-miracle\r\n\r\n`, 417],
    ['a tunnel', 'CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n', 405],
    ['a path that cannot be decoded', 'GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n', 400],
  ])(
    'HTP-23 %s is one record, HTP-16 and its response has the security headers',
    async (_what, bytes, status) => {
      const response = await send(world.app.url, bytes);
      expect(response).toMatchObject({ status, closed: true });
      for (const header of ['x-content-type-options: nosniff', 'cache-control: private, no-store']) {
        expect(response.text.toLowerCase()).toContain(header);
      }
      expect(world.records().filter(({ msg }) => msg === 'request')).toMatchObject([
        { event: 'request_refused', status, reason: expect.any(String) as string },
      ]);
    },
  );

  test('HTP-16 not even what Apollo Server declares cacheable may be stored', async () => {
    const persistedQuery = { version: 1, sha256Hash: 'a'.repeat(64) };
    const response = await post(JSON.stringify({ extensions: { persistedQuery } }));
    expect(response.headers.get('cache-control')).toBe('private, no-store');
  });

  test.each([
    ['evil', 'https://evil.example'],
    ['null', 'null'],
    ['a suffix twin', `${APP}.evil.example`],
    ['a prefix twin', 'https://evilapp.example.com'],
    ['another scheme', 'http://app.example.com'],
  ])('HTP-15 %s is no origin that may read a response or pass a preflight', async (_what, origin) => {
    const preflight = { 'access-control-request-method': 'POST', origin };
    const preflighted = await fetch(`${world.app.url}/graphql`, { method: 'OPTIONS', headers: preflight });
    for (const { headers } of [await post(ME, { origin }), preflighted]) {
      expect(headers.get('access-control-allow-origin')).toBeNull();
      expect(headers.get('access-control-allow-credentials')).toBeNull();
    }
  });

  test('HTP-15 an allowed origin gets itself back, varied by origin and without credentials', async () => {
    const { status, headers } = await post(ME, { origin: APP });
    expect(status).toBe(200);
    expect(headers.get('access-control-allow-origin')).toBe(APP);
    expect(headers.get('vary')).toMatch(/\bOrigin\b/i);
    expect(headers.get('vary')).toMatch(/\bAuthorization\b/i);
    expect(headers.has('access-control-allow-credentials')).toBe(false);
  });

  test('HTP-15 the preflight of an allowed origin names the methods and headers that work', async () => {
    const headers = { origin: APP, 'access-control-request-method': 'POST' };
    const response = await fetch(`${world.app.url}/graphql`, { method: 'OPTIONS', headers });
    expect(response.status).toBe(204);
    expect(response.headers.get('access-control-allow-origin')).toBe(APP);
    expect(response.headers.get('access-control-allow-methods')).toBe('GET, POST');
    expect(response.headers.get('access-control-allow-headers')).toMatch(/authorization/i);
  });

  test.each<[string, string, string, Record<string, string>, number]>([
    ['a response', ME, '/graphql', {}, 200],
    ['a rejected bearer', ME, '/graphql', { authorization: 'Bearer x' }, 401],
    ['a syntax error', '{', '/graphql', {}, 400],
    ['too large a body', ' '.repeat(BODY_LIMIT + 1), '/graphql', {}, 413],
    ['an unknown path', ME, '/nowhere', {}, 404],
  ])('HTP-16 %s carries every security header', async (_what, body, path, headers, status) => {
    const response = await post(body, { ...headers, 'x-forwarded-proto': 'https' }, path);
    expect(response.status).toBe(status);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'x-content-type-options': 'nosniff',
      'cache-control': expect.stringContaining('no-store'),
      'referrer-policy': 'no-referrer',
      'content-security-policy': expect.stringContaining("frame-ancestors 'none'"),
      'strict-transport-security': expect.stringMatching(/max-age=\d{8}/),
      'content-type': expect.stringMatching(/; charset=utf-8$/),
    });
    expect([response.headers.get('x-powered-by'), response.headers.get('server')]).toEqual([null, null]);
    expect((await post(body, headers, path)).headers.has('strict-transport-security')).toBe(false);
  });

  test.each([
    '/.env',
    '/.git/config',
    '/../../proc/self/environ',
    '/%2e%2e/%2e%2e/proc/self/environ',
    '/..%2f..%2fproc%2fself%2fenviron',
    '/metrics',
    '/debug',
    '/?inspect',
    '/json/list',
  ])('HTP-18 %s is 404 and reveals nothing', async (path) => {
    const { status, text } = await send(
      world.app.url,
      `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
    );
    expect(status).toBe(404);
    expect(text).not.toMatch(/TOKEN_KEYS|PATH=|at .*\.[jt]s:|rollup_accounts_/);
  });
});

describe('a server in a process of its own', () => {
  const directory = createDataDirectory();
  let inspectorPort: number;
  const server = useStarted(async () => {
    inspectorPort = await findFreePort();
    const env = { PORT: '0', DATA_DIR: directory, NODE_OPTIONS: `--inspect-port=${inspectorPort}` };
    return startProcess({ ...env, SHUTDOWN_DELAY_MS: '0' });
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  test('HTP-18 SIGUSR1 opens no inspector, and the server lives on', async () => {
    server.run.process.kill('SIGUSR1');
    await server.run.until('SIGUSR1 is ignored');
    expect((await fetch(`${server.url}/healthz`)).status).toBe(200);
    expect(server.output()).not.toContain('Debugger');
    await expect(fetch(`http://127.0.0.1:${inspectorPort}/json/list`)).rejects.toThrow('fetch failed');
  });

  test('HTP-16 a page cannot be framed or stored, and declares its type', async () => {
    const { status, headers } = await fetch(`${server.url}/graphiql`);
    expect(status).toBe(200);
    expect(headers.get('content-security-policy')).toContain("frame-ancestors 'none'");
    expect(headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(headers.get('cache-control')).toContain('no-store');
    expect([headers.get('x-content-type-options'), headers.get('referrer-policy')]).toEqual([
      'nosniff',
      'no-referrer',
    ]);
  });
});

describe('settings and certificates of the provider', () => {
  test('HTP-26 production refuses to start while certificates are not checked', async () => {
    const run = runProgram(['serve'], { ...PRODUCTION, NODE_TLS_REJECT_UNAUTHORIZED: '0' });
    expect(await run.exited).toBe(1);
    expect(run.output()).toContain('NODE_TLS_REJECT_UNAUTHORIZED must not be 0 in production');
  });

  needs('openssl')('a provider with a bad certificate', () => {
    let certificates: Certificates;
    beforeAll(() => void (certificates = makeCertificates()));

    test.each(['self-signed', 'foreign', 'expired'] as const)(
      'HTP-26 %s: it receives no request',
      async (what) => {
        const { authority, key, good, [what]: cert } = certificates;
        const before = tls.getCACertificates('default');
        let requests = 0;
        const server = createServer({ key, cert }, (_request, response) => {
          requests += 1;
          const endpoint = (path: string) => `${issuer}/${path}`;
          const paths = { token_endpoint: endpoint('token'), userinfo_endpoint: endpoint('userinfo') };
          const more = { authorization_endpoint: endpoint('authorize'), jwks_uri: endpoint('jwks') };
          response.setHeader('connection', 'close').end(JSON.stringify({ issuer, ...paths, ...more }));
        });
        const issuer = `https://127.0.0.1:${await listen(server)}`;
        tls.setDefaultCACertificates([authority]);
        const client = { clientId: 'client', clientSecret: 'a-client-secret-of-some-length' };
        const world = await startWorld({
          provider: { url: issuer, ...client, redirectUris: [`${APP}/callback`] },
        });
        try {
          expect((await world.start()).userErrors).toMatchObject([{ code: 'PROVIDER_UNAVAILABLE' }]);
          expect(requests).toBe(0);
          server.setSecureContext({ key, cert: good });
          expect((await world.start()).userErrors).toEqual([]);
          expect(requests).toBeGreaterThan(0);
        } finally {
          tls.setDefaultCACertificates(before);
          await world.close();
          server.close();
        }
      },
    );
  });
});

type Certificates = Record<'authority' | 'key' | 'good' | 'self-signed' | 'foreign' | 'expired', string>;

/** Certificates of 127.0.0.1, all but one with something wrong. */
function makeCertificates(): Certificates {
  const directory = mkdtempSync(join(tmpdir(), 'rollup-accounts-'));
  const openssl = (text: string) =>
    execFileSync('openssl', text.split(' '), { cwd: directory, stdio: 'ignore' });
  const read = (name: string) => readFileSync(join(directory, name), 'utf8');
  const ec = '-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes';
  const sign = (days: number, address: string, signer: string): string => {
    writeFileSync(join(directory, 'ext'), `subjectAltName=IP:${address}`);
    openssl(`x509 -req -in leaf.csr ${signer} -days ${days} -extfile ext -out leaf.crt`);
    return read('leaf.crt');
  };
  try {
    openssl(`req -x509 ${ec} -keyout ca.key -out ca.crt -subj /CN=authority -days 1`);
    openssl(`req ${ec} -keyout leaf.key -out leaf.csr -subj /CN=leaf`);
    const byAuthority = '-CA ca.crt -CAkey ca.key -CAcreateserial';
    return {
      authority: read('ca.crt'),
      key: read('leaf.key'),
      good: sign(1, '127.0.0.1', byAuthority),
      'self-signed': sign(1, '127.0.0.1', '-signkey leaf.key'),
      foreign: sign(1, '127.0.0.2', byAuthority),
      expired: sign(-1, '127.0.0.1', byAuthority),
    };
  } finally {
    rmSync(directory, { recursive: true });
  }
}
