import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { type App, createApp } from '../../src/app.js';
import { openDatabase } from '../../src/database/orm.js';
import { createLog } from '../../src/log.js';
import { useStarted, useWorld } from '../kit/hooks.js';
import { createTestDatabase } from '../kit/test-database.js';

const CLIENTS = 200;
const IDLE_CLIENTS = 1_000;
const PIPELINED = 300;
const PAGE_BYTES = 30 * 1024 ** 2;
const HEAD = 'POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n';

describe('a slow client', () => {
  const world = useWorld({
    env: {
      HTTP_HEADERS_TIMEOUT_MS: '500',
      HTTP_REQUEST_TIMEOUT_MS: '1000',
      HTTP_RESPONSE_TIMEOUT_MS: '4000',
    },
  });
  const app = useStarted(async (closeToo) => {
    const database = closeToo(await createTestDatabase());
    const config = { ...world.config, database: { ...world.config.database, ...database.settings } };
    const start = (): Promise<App> =>
      createApp(config, {
        log: createLog('silent', []),
        openDatabase: async () => ({ ...opened, close: async () => undefined }),
        pages: [{ path: '/large', render: async () => 'x'.repeat(PAGE_BYTES) }],
      });
    const opened = closeToo(await openDatabase(config.database));
    return { ...(await start()), start };
  });
  const sockets = new Set<Socket>();
  afterAll(() => {
    for (const socket of sockets) socket.destroy();
  });

  /** A connection of our own, what came over it so far, and its end. */
  function open(url = app.url) {
    const socket = connect({ host: '127.0.0.1', port: Number(new URL(url).port) });
    sockets.add(socket);
    const client = {
      socket,
      text: '',
      bytes: 0,
      closed: new Promise<void>((done) => socket.once('close', () => done())),
    };
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => {
      client.bytes += chunk.length;
      if (client.text.length < 1_000) client.text += chunk.toString('latin1');
    });
    return client;
  }

  /** Writes `head`, then `drop` repeatedly, until the server closes the connection. */
  function drip(head: string, drop: string) {
    const client = open();
    client.socket.write(head);
    const timer = setInterval(() => client.socket.write(drop), 100);
    client.socket.once('close', () => clearInterval(timer));
    return client;
  }

  async function expectServed(): Promise<void> {
    const response = await fetch(`${app.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', connection: 'close' },
      body: '{"query":"{ me { id } }"}',
    });
    expect([response.status, await response.json()]).toEqual([200, { data: { me: null } }]);
  }

  /** Serves others until all of these have been closed. */
  async function expectServedUntilClosed(clients: readonly { readonly socket: Socket }[]): Promise<void> {
    while (clients.some(({ socket }) => !socket.closed)) await expectServed();
    await expectServed();
  }

  const dripping: Readonly<Record<string, readonly [head: string, drop: string]>> = {
    'whose headers never end': [HEAD, 'X-Slow: 1\r\n'],
    'whose request line never ends': ['GET /', 'x'],
    'whose body never ends': [`${HEAD}Content-Length: 1000\r\n\r\n`, ' '],
    'whose chunks never end': [`${HEAD}Transfer-Encoding: chunked\r\n\r\n`, '1\r\n \r\n'],
  };
  // All wait for their limits at once, since that takes most of the time.
  const slow = new Map<string, ReturnType<typeof open>[]>();
  const idle: ReturnType<typeof open>[] = [];
  beforeAll(async () => {
    for (const [kind, [head, drop]] of Object.entries(dripping)) {
      slow.set(
        kind,
        Array.from({ length: CLIENTS }, () => drip(head, drop)),
      );
    }
    slow.set(
      'that connects and sends nothing',
      Array.from({ length: CLIENTS }, () => open()),
    );
    while (idle.length < IDLE_CLIENTS) {
      const client = open();
      idle.push(client);
      client.socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n');
      await once(client.socket, 'data');
    }
  });

  test.each([...Object.keys(dripping), 'that connects and sends nothing'])(
    `HTP-01 %s is closed, two hundred of them too, while others are served`,
    async (kind) => {
      const clients = slow.get(kind) ?? [];
      expect(clients).toHaveLength(CLIENTS);
      await expectServedUntilClosed(clients);
      // Node responds with 408 where it still can; nothing was executed.
      const texts = clients.map(({ text }) => text);
      expect(texts.filter((text) => !/^(HTTP\/1\.1 408 .*|)$/s.test(text))).toEqual([]);
    },
  );

  test('HTP-03 that reads receives all of a large response', async () => {
    expect(await (await fetch(`${app.url}/large`)).text()).toHaveLength(PAGE_BYTES);
  });

  test('HTP-04 that keeps an idle connection is closed eventually, and does not block others', async () => {
    expect(idle).toHaveLength(IDLE_CLIENTS);
    await expectServedUntilClosed(idle);
    expect(idle.filter(({ text }) => !text.includes('{"status":"ok"}'))).toEqual([]);
  });

  test('HTP-03 that sends many small requests and reads no response is disconnected as well', async () => {
    const body = JSON.stringify({
      query: '{ __schema { types { name description fields { name description } } } }',
    });
    const request = `${HEAD}Content-Length: ${body.length}\r\n\r\n${body}`;
    const client = drip(request.repeat(PIPELINED), '\r\n');
    client.socket.pause();
    await client.closed;
    await expectServed();
  });

  test('HTP-03 that does not read a large response is disconnected, so that it does not delay shutdown', async () => {
    const ending = await app.start();
    const client = open(ending.url);
    const begun = new Promise<void>((resolve) => {
      client.socket.once('data', () => {
        client.socket.pause();
        resolve();
      });
    });
    client.socket.write('GET /large HTTP/1.1\r\nHost: x\r\n\r\n');
    await begun;
    await ending.close();
    client.socket.resume();
    await client.closed;
    expect(client.text).toMatch(/^HTTP\/1\.1 200 /);
    expect(client.bytes).toBeLessThan(PAGE_BYTES);
  });
});
