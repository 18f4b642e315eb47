import { rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { once } from 'node:events';
import { findFreePort, listen } from '../kit/network.js';
import { runProgram } from '../kit/processes.js';
import { startProcess } from '../kit/server.js';
import { createDataDirectory } from '../kit/test-database.js';

describe('npm start', () => {
  const cleanups: (() => unknown)[] = [];
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
  });

  function createDirectory(): string {
    const directory = createDataDirectory();
    cleanups.push(() => rmSync(directory, { recursive: true }));
    return directory;
  }

  test('two copies in two folders run at once with a PORT each, and lead a browser to GraphiQL', async () => {
    const ports = [String(await findFreePort()), String(await findFreePort())];
    const copies = await Promise.all(
      ports.map((PORT) => startProcess({ PORT, DATA_DIR: createDirectory(), SHUTDOWN_DELAY_MS: '0' })),
    );
    cleanups.push(() => Promise.all(copies.map(({ close }) => close())));
    expect(copies.map(({ url }) => url)).toEqual(ports.map((port) => `http://127.0.0.1:${port}`));
    const issuers = copies.map(({ output }) => /"rollupId":"([^"]+)"/.exec(output())?.[1]);
    expect(new Set(issuers).size).toBe(2);
    for (const { url, output } of copies) {
      expect(output()).toContain(`Open ${url}/graphiql in your browser.`);
      const root = await fetch(url, { redirect: 'manual' });
      expect([root.status, root.headers.get('location')]).toEqual([302, '/graphiql']);
      expect((await fetch(url)).headers.get('content-type')).toContain('text/html');
    }
  });

  describe('on an address that it cannot have', () => {
    let taken: Server;
    let port: string;
    beforeAll(async () => {
      taken = createServer();
      port = String(await listen(taken));
    });
    afterAll(() => once(taken.close(), 'close'));

    test.each<[string, () => Record<string, string>, RegExp]>([
      ['PORT in use', () => ({ PORT: port }), /^rollup-accounts: PORT: port \d+ is in use\..*\n$/],
      [
        'ROLLUP_DEV_PORT in use',
        () => ({ PORT: '0', ROLLUP_DEV_PORT: port }),
        /^rollup-accounts: ROLLUP_DEV_PORT: port \d+ is in use\..*\n$/,
      ],
      [
        'the HOST of another machine',
        () => ({ PORT: '0', HOST: '192.0.2.1' }),
        /^rollup-accounts: HOST is not an address of this machine\..*\n$/,
      ],
    ])('%s is one line, and exit code 1', async (_what, env, line) => {
      // The log is silent: what is left is what the command itself prints.
      const run = runProgram(['serve'], { DATA_DIR: createDirectory(), LOG_LEVEL: 'silent', ...env() });
      expect(await run.exited).toBe(1);
      expect(run.output()).toMatch(line);
    });
  });
});
