import { type RollupId, type RollupIdOptions, startRollupId } from '../../src/dev/rollup-id/rollup-id.js';
import { type Servers, type ServersOptions, startServers } from './servers.js';
import { startWorld, type World, type WorldOptions } from './world.js';

/**
 * Starts something before the tests of the enclosing block, and closes it after them if it was started. The returned
 * object stands for the started one: it has the same properties, and throws when one is read before the start.
 */
export function useStarted<Started extends { close(): Promise<void> }>(
  start: () => Promise<Started>,
): Started {
  let started: Started | undefined;
  beforeAll(async () => void (started = await start()));
  afterAll(() => started?.close());
  const current = (): Started => {
    if (!started) throw new Error('used before it was started, or after its start failed');
    return started;
  };
  return new Proxy({} as Started, {
    get: (_target, name) => Reflect.get(current(), name) as unknown,
    ownKeys: () => Reflect.ownKeys(current()),
    getOwnPropertyDescriptor: (_target, name) => Reflect.getOwnPropertyDescriptor(current(), name),
    set: (_target, name, value) => Reflect.set(current(), name, value),
  });
}

/** A world that is reset before each test. */
export function useWorld(options?: WorldOptions): World {
  const world = useStarted(() => startWorld(options));
  beforeEach(() => world.reset());
  return world;
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
