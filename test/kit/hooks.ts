import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type RollupId, type RollupIdOptions, startRollupId } from '../../src/dev/rollup-id/rollup-id.js';
import { type Servers, type ServersOptions, startServers } from './servers.js';
import { startWorld, type World, type WorldOptions } from './world.js';

interface Closable {
  close(): Promise<void>;
}

/**
 * Starts something before the tests of the enclosing block, and closes it after them if it was started. The returned
 * object stands for the started one: it has the same properties, and throws when one is read before the start.
 * `closeToo` registers something that the started one needs; it is closed afterwards, also when the start fails.
 */
export function useStarted<Started extends Closable>(
  start: (closeToo: <Other extends Closable>(other: Other) => Other) => Promise<Started>,
): Started {
  let started: Started | undefined;
  const others: Closable[] = [];
  beforeAll(async () => {
    started = await start((other) => {
      others.unshift(other);
      return other;
    });
  });
  afterAll(async () => {
    await started?.close();
    for (const other of others) await other.close();
  });
  const current = (): Started => {
    if (!started) throw new Error('used before it was started, or after its start failed');
    return started;
  };
  return new Proxy({} as Started, {
    get: (_target, name) => Reflect.get(current(), name) as unknown,
    set: (_target, name, value) => Reflect.set(current(), name, value),
    ownKeys: () => Reflect.ownKeys(current()),
    getOwnPropertyDescriptor: (_target, name) => Reflect.getOwnPropertyDescriptor(current(), name),
  });
}

/** The worlds of this test file, by their options. */
const worlds = new Map<unknown, Promise<World>>();
afterAll(async () => {
  for (const world of worlds.values()) await (await world).close();
});

/** A world that is reset before each test. Blocks of one file that ask for the same options share it. */
export function useWorld(options: WorldOptions = {}): World {
  const key = options.fetch ?? JSON.stringify(options);
  const world = useStarted(async () => {
    const started = worlds.get(key) ?? startWorld(options);
    worlds.set(key, started);
    return { ...(await started), close: async () => undefined };
  });
  beforeEach(() => world.reset());
  return world;
}

/** A temporary directory, which is removed after the tests of the enclosing block. */
export function useDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'rollup-accounts-'));
  afterAll(() => rmSync(directory, { recursive: true }));
  return directory;
}

/** Several servers, whose provider is reset before each test. */
export function useServers(count: number, options?: ServersOptions): Servers {
  const servers = useStarted(() => startServers(count, options));
  beforeEach(() => servers.rollup.reset());
  return servers;
}

/** The embedded Rollup ID, which is reset before each test. */
export function useRollupId(options?: RollupIdOptions): RollupId {
  const rollup = useStarted(() => startRollupId(options));
  beforeEach(() => rollup.reset());
  return rollup;
}
