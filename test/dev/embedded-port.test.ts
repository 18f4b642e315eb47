import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../../src/config.js';
import { embed } from '../../src/dev/embedded.js';
import { StartupError } from '../../src/errors.js';
import { findFreePort } from '../kit/network.js';

describe('the port of the embedded Rollup ID', () => {
  const cleanups: (() => unknown)[] = [];
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
  });

  function createDirectory(): string {
    const directory = mkdtempSync(join(tmpdir(), 'rollup-accounts-'));
    cleanups.push(() => rmSync(directory, { recursive: true }));
    return directory;
  }

  /** Starts what the settings lack, which happens before the server listens. */
  async function start(directory: string, env: Readonly<Record<string, string>> = {}) {
    const embedded = await embed(loadConfig({ PORT: '0', DATA_DIR: directory, ...env }));
    const { config, rollupIdUrl: url = '', close } = embedded;
    cleanups.push(close);
    /** What the server does once it listens; returns the warnings. */
    const listening = (): string[] => {
      const warnings: string[] = [];
      embedded.rememberProvider((text) => warnings.push(text));
      return warnings;
    };
    return { config, url, port: new URL(url).port, close, listening };
  }

  /** The same for a server that listens. */
  async function run(directory: string, env?: Readonly<Record<string, string>>) {
    const embedded = await start(directory, env);
    return { ...embedded, warnings: embedded.listening() };
  }

  /** Takes a port until the end of the test, or until `release`. Who else has it may keep it. */
  async function take(port: string): Promise<() => Promise<void>> {
    const server = createServer().listen(Number(port), '127.0.0.1');
    await once(server, 'listening').catch(() => undefined);
    const release = async (): Promise<void> => {
      if (server.listening) await once(server.close(), 'close');
    };
    cleanups.push(release);
    return release;
  }

  const freePort = async (): Promise<string> => String(await findFreePort());

  test('two copies run at once with a PORT each, and find their own port again', async () => {
    const [left, right] = [createDirectory(), createDirectory()];
    const [one, two] = [
      await run(left, { PORT: await freePort() }),
      await run(right, { PORT: await freePort() }),
    ];
    expect(one.url).not.toBe(two.url);
    for (const { config, url, warnings, close } of [one, two]) {
      expect(config.rollup).toMatchObject({ issuer: url, redirectUris: [`${url}/app/callback`] });
      expect((await fetch(`${url}/.well-known/jwks.json`)).status).toBe(200);
      expect(warnings).toEqual([]);
      await close();
    }
    // In the other order, and with other values of PORT.
    const again = [await run(right), await run(left, { PORT: await freePort() })];
    expect(again).toMatchObject([
      { url: two.url, warnings: [] },
      { url: one.url, warnings: [] },
    ]);
  });

  test('is another one when the default is taken', async () => {
    await take('4001');
    expect((await run(createDirectory(), { PORT: await freePort() })).port).not.toBe('4001');
  });

  test('is another one when it is the PORT of the server, which listens later', async () => {
    const directory = createDirectory();
    const { port, close } = await run(directory);
    await close();
    const moved = await run(directory, { PORT: port });
    expect(moved.config.http.port).toBe(Number(port));
    expect(moved.port).not.toBe(port);
    expect(moved.warnings).toHaveLength(1);
  });

  test('moves with a warning when the remembered one is taken, and ROLLUP_DEV_PORT moves it back', async () => {
    const directory = createDirectory();
    const first = await run(directory);
    await first.close();
    const release = await take(first.port);
    const moved = await run(directory);
    expect(moved.port).not.toBe(first.port);
    expect(moved.warnings).toEqual([
      expect.stringMatching(`from port ${first.port} to ${moved.port}.*ROLLUP_DEV_PORT=${first.port} `),
    ]);
    await moved.close();
    await release();
    // The identities of the last run count, so it does not move back by itself.
    const stayed = await run(directory);
    expect(stayed).toMatchObject({ port: moved.port, warnings: [] });
    await stayed.close();
    const back = await run(directory, { ROLLUP_DEV_PORT: first.port });
    expect(back.port).toBe(first.port);
    await back.close();
    expect(await run(directory)).toMatchObject({ port: first.port, warnings: [] });
  });

  test('stays remembered through a start that failed before the server listened', async () => {
    const directory = createDirectory();
    const first = await run(directory);
    const failed = await start(directory);
    expect(failed.port).not.toBe(first.port);
    await failed.close();
    await first.close();
    expect((await run(directory)).port).toBe(first.port);
  });

  test('is ROLLUP_DEV_PORT when that is set, and no other one when that is taken', async () => {
    const directory = createDirectory();
    const port = await freePort();
    const { close, ...first } = await run(directory, { ROLLUP_DEV_PORT: port, PORT: '0' });
    expect(first.port).toBe(port);
    await close();
    await take(port);
    const failure: unknown = await start(directory, { ROLLUP_DEV_PORT: port }).catch(
      (error: unknown) => error,
    );
    expect(failure).toBeInstanceOf(StartupError);
    expect(failure).toMatchObject({
      message: expect.stringContaining(`ROLLUP_DEV_PORT: port ${port} is in use`),
    });
  });

  test('is refused as ROLLUP_DEV_PORT when the server listens there', async () => {
    const port = await freePort();
    const starting = start(createDirectory(), { PORT: port, ROLLUP_DEV_PORT: port });
    await expect(starting).rejects.toThrow('ROLLUP_DEV_PORT and PORT must differ');
  });
});
