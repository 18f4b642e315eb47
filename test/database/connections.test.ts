import { connect, createServer } from 'node:net';
import { openDatabase } from '../../src/database/orm.js';
import { eventually } from '../kit/eventually.js';
import { useStarted } from '../kit/hooks.js';
import { onPostgres } from '../kit/needs.js';
import { listen } from '../kit/network.js';
import { startDatabaseProxy, type TcpProxy } from '../kit/tcp-proxy.js';
import { createTestDatabase, type TestDatabase } from '../kit/test-database.js';

const TIMEOUT_MS = 1_000;
const POOL_MAX = 1;
/** The type byte of an ErrorResponse (PostgreSQL protocol, Message Formats). */
const ERROR_RESPONSE = 'E'.charCodeAt(0);

let database: TestDatabase;
let proxy: TcpProxy | undefined;
const opened = useStarted(async (closeToo) => {
  database = closeToo(await createTestDatabase());
  const direct = database.settings.url;
  const proxied = direct === undefined ? undefined : await startDatabaseProxy(direct);
  proxy = proxied && closeToo(proxied.proxy);
  const settings = { ...database.settings, url: proxied?.url };
  return openDatabase({ ...settings, poolMax: POOL_MAX, timeoutMs: TIMEOUT_MS });
});

test('failed transactions release their pool connections', async () => {
  for (let round = 0; round <= POOL_MAX; round += 1) {
    const failing = opened.em.fork().transactional(async (tx) => tx.execute('select 1 / 0'));
    await expect(failing).rejects.toThrow('division by zero');
  }
  await expectFreePool();
});

onPostgres('RFR-21 a pool connection is released when', () => {
  test.each<[string, (network: TcpProxy) => Promise<void>]>([
    ['the connection is lost during a transaction', loseInMidTransaction],
    ['BEGIN gets no response', holdBegin],
    ['a statement of a transaction gets no response', holdStatement],
    ['COMMIT gets no response', holdCommit],
  ])('%s', async (_title, fail) => {
    if (!proxy) throw new Error('PostgreSQL runs behind a proxy');
    for (let round = 0; round <= POOL_MAX; round += 1) {
      await eventually(() => opened.em.fork().execute('select 1'));
      await expect(fail(proxy)).rejects.toThrow(/ECONNRESET|terminated/);
      proxy.mode = 'pass';
    }
    await expectFreePool();
  });

  test('a statement takes too long, and the next one does not get its connection', async () => {
    const pid = 'select pg_backend_pid() as pid';
    const before = await opened.em.fork().execute(pid);
    await expect(opened.em.fork().execute('select pg_sleep(60)')).rejects.toThrow('canceling statement');
    expect(await opened.em.fork().execute(pid)).not.toEqual(before);
  });

  test('a connection becomes silent after an error', async () => {
    const network = await startSilencingNetwork(database.settings.url);
    const settings = { ...database.settings, url: network.url };
    const silenced = await openDatabase({ ...settings, poolMax: POOL_MAX, timeoutMs: TIMEOUT_MS });
    const run = (sql: string): Promise<unknown> => silenced.em.fork().execute(sql);
    await expect(run('select 1 / 0')).rejects.toThrow('division by zero');
    await expect(run('select 1')).rejects.toThrow('terminated');
    await eventually(() => run('select 1'));
    await silenced.close();
    network.close();
  });
});

async function loseInMidTransaction(network: TcpProxy): Promise<void> {
  await opened.em.fork().transactional(async (tx) => {
    await tx.execute('select 1');
    network.cut();
    await tx.execute('select 1');
  });
}

async function holdBegin(network: TcpProxy): Promise<void> {
  network.mode = 'hold';
  await opened.em.fork().transactional(async (tx) => tx.execute('select 1'));
}

async function holdStatement(network: TcpProxy): Promise<void> {
  await opened.em.fork().transactional(async (tx) => {
    await tx.execute('select 1');
    network.mode = 'hold';
    await tx.execute('select 1');
  });
}

async function holdCommit(network: TcpProxy): Promise<void> {
  await opened.em.fork().transactional(async (tx) => {
    await tx.execute('select 1');
    network.mode = 'hold';
  });
}

/** Fails when connections leak, since a leaked one never returns to the pool. */
async function expectFreePool(): Promise<void> {
  await eventually(() => opened.em.fork().transactional(async (tx) => tx.execute('select 1')));
}

/** A network that silently drops every connection after the first error that the server sends over it. */
async function startSilencingNetwork(direct = ''): Promise<{ url: string; close(): void }> {
  const url = new URL(direct);
  const target = { host: url.hostname, port: Number(url.port || 5432) };
  const relay = createServer((client) => {
    const server = connect(target);
    let silent = false;
    client.on('error', () => server.destroy()).on('close', () => server.destroy());
    client.pipe(server);
    server.on('data', (bytes) => {
      if (silent) return;
      silent = bytes[0] === ERROR_RESPONSE;
      client.write(silent ? bytes.subarray(0, 1 + bytes.readUInt32BE(1)) : bytes);
    });
  });
  url.host = `127.0.0.1:${await listen(relay)}`;
  return { url: url.href, close: () => void relay.close() };
}
