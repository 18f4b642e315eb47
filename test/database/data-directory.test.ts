import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { devNull } from 'node:os';
import { join } from 'node:path';
import { claimDataDirectory } from '../../src/database/data-directory.js';
import { type LockState, listenForState } from '../../src/database/lock-socket.js';
import { lockName } from '../../src/database/name-lock.js';
import { AS_PROCESS_1, type Claimer, onMessageQueues, startClaimer } from '../kit/claimers.js';
import { useDirectory } from '../kit/hooks.js';
import { needs } from '../kit/needs.js';

const REFUSED =
  'Another process uses DATA_DIR. The embedded database serves one process: set another DATA_DIR, or DATABASE_URL for several.';
const parent = useDirectory();
const claimers: Claimer[] = [];
let directory: string;
let count = 0;

beforeEach(() => {
  directory = join(parent, String((count += 1)));
  mkdirSync(directory);
});
afterEach(() => Promise.all(claimers.splice(0).map((claimer) => claimer.kill())));

function start(inside?: readonly string[]): Claimer {
  const claimer = startClaimer(inside);
  claimers.push(claimer);
  return claimer;
}

const locksIn = (path: string): string[] => readdirSync(path).filter((name) => name.startsWith('lock'));

describe('the data directory', () => {
  const modeOf = (path: string): string => (statSync(path).mode & 0o777).toString(8);

  test('STO-25 is made for its owner alone, as is its lock, which goes with the release', async () => {
    const nested = join(directory, 'nested', 'data');
    const release = await claimDataDirectory(nested);
    const [lock = '', ...others] = locksIn(nested);
    expect([nested, join(nested, lock)].map(modeOf)).toEqual(['700', '600']);
    expect(others).toEqual([]);
    release();
    expect(readdirSync(nested)).toEqual([]);
  });

  test('VLT-75 is refused while it is held, also to the process that holds it, and free after the release', async () => {
    const release = await claimDataDirectory(directory);
    await expect(claimDataDirectory(directory)).rejects.toThrow(REFUSED);
    expect(await start().claim(directory)).toMatchObject({ outcome: REFUSED });
    expect(locksIn(directory)).toHaveLength(1);
    release();
    expect(await start().claim(directory)).toMatchObject({ outcome: 'holding' });
  });

  test('VLT-75 is free as soon as its process is killed, and nothing is left of the lock', async () => {
    const killed = start();
    await killed.claim(directory);
    const [left = ''] = locksIn(directory);
    await killed.kill();
    expect(existsSync(join(directory, left))).toBe(true);
    const release = await claimDataDirectory(directory);
    expect(existsSync(join(directory, left))).toBe(false);
    release();
  });

  test('VLT-75 is not taken from a process that is frozen', async () => {
    const frozen = start();
    await frozen.claim(directory);
    frozen.process.kill('SIGSTOP');
    await expect(claimDataDirectory(directory)).rejects.toThrow(REFUSED);
    frozen.process.kill('SIGCONT');
    await expect(claimDataDirectory(directory)).rejects.toThrow(REFUSED);
    await frozen.release();
    (await claimDataDirectory(directory))();
  });

  test('VLT-75 of eight processes that claim it at once exactly one gets it, each time', async () => {
    const all = Array.from({ length: 8 }, () => start());
    const refused = Array.from({ length: 7 }, () => REFUSED);
    for (let round = 0; round < 10; round += 1) {
      const claims = await Promise.all(all.map((claimer) => claimer.claim(directory)));
      const outcomes = claims.map(({ outcome }) => outcome);
      expect(outcomes.toSorted()).toEqual([...refused, 'holding']);
      await all[outcomes.indexOf('holding')]?.release();
      expect(locksIn(directory)).toEqual([]);
    }
  });

  test('is not kept by what earlier versions and killed processes left, whatever runs under their number', async () => {
    writeFileSync(join(directory, 'lock'), String(process.ppid));
    writeFileSync(join(directory, `lock-${'0'.repeat(24)}.new`), '');
    const release = await claimDataDirectory(directory);
    expect(locksIn(directory)).toHaveLength(1);
    release();
  });

  test('may have a path that is too long for a socket', async () => {
    const long = join(directory, 'long'.repeat(40));
    const release = await claimDataDirectory(long);
    expect(locksIn(long)).toHaveLength(1);
    await expect(claimDataDirectory(long)).rejects.toThrow(REFUSED);
    release();
    expect(locksIn(long)).toEqual([]);
  });

  test('does not keep its process alive', async () => {
    const claimer = start();
    await claimer.claim(directory);
    claimer.process.disconnect();
    expect(await once(claimer.process, 'exit')).toEqual([0, null]);
  }, 20_000);

  test.each([join(devNull, 'nowhere'), '/proc'])(
    'is refused where nothing can be written: %s',
    async (path) => {
      await expect(claimDataDirectory(path)).rejects.toThrow('DATA_DIR cannot be written to.');
    },
  );
});

describe('a claim beside another one', () => {
  /** Another claimer; its id is lower or higher than any. */
  const listen = (digit: '0' | 'f', state: () => LockState) =>
    listenForState(join(directory, `lock-${digit.repeat(24)}.sock`), state);

  test('VLT-75 gives way to a lower id', async () => {
    const other = await listen('0', () => 'claiming');
    await expect(claimDataDirectory(directory)).rejects.toThrow(REFUSED);
    other.close();
  }, 20_000);

  test('VLT-75 waits for a higher id, and holds once that one is gone', async () => {
    let asked = 0;
    const other = await listen('f', () => {
      asked += 1;
      if (asked === 3) other.close();
      return 'claiming';
    });
    const release = await claimDataDirectory(directory);
    expect(asked).toBe(3);
    release();
  });

  test('VLT-75 waits for a higher id, and is refused once that one holds', async () => {
    let asked = 0;
    const other = await listen('f', () => ((asked += 1) < 3 ? 'claiming' : 'holding'));
    await expect(claimDataDirectory(directory)).rejects.toThrow(REFUSED);
    expect(asked).toBe(3);
    other.close();
  });
});

describe('a name that the kernel gives to one listener', () => {
  test('is refused while it is held, and free after the release', async () => {
    const name = join(directory, 'pipe');
    const release = await lockName(name);
    expect(await lockName(name)).toBeUndefined();
    release?.();
    const again = await lockName(name);
    expect(again).toBeDefined();
    again?.();
  });
});

needs('namespaces')('the data directory, in namespaces as containers have them', () => {
  test('VLT-75 is refused to a second process 1', async () => {
    const first = start(AS_PROCESS_1);
    const second = start(AS_PROCESS_1);
    expect(await first.claim(directory)).toEqual({ outcome: 'holding', pid: 1 });
    expect(await second.claim(directory)).toEqual({ outcome: REFUSED, pid: 1 });
    await first.release();
    expect(await second.claim(directory)).toEqual({ outcome: 'holding', pid: 1 });
  });

  test('is refused where its file system has no sockets', async () => {
    const claimer = start(onMessageQueues(directory));
    expect((await claimer.claim(directory)).outcome).toMatch(/^DATA_DIR needs a local disk: /);
  });
});
