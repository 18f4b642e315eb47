import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { claimDataDirectory } from '../../src/database/data-directory.js';
import { useDirectory } from '../kit/hooks.js';

/** No process has it: Linux and macOS number theirs far below. */
const NO_PROCESS = 2 ** 31 - 1;

describe('the data directory', () => {
  const parent = useDirectory();
  const modeOf = (path: string): string => (statSync(path).mode & 0o777).toString(8);

  test('STO-25 is made for its owner alone, as is its lock', () => {
    const directory = join(parent, 'nested', 'data');
    const release = claimDataDirectory(directory);
    expect([directory, join(directory, 'lock')].map(modeOf)).toEqual(['700', '600']);
    release();
    expect(existsSync(join(directory, 'lock'))).toBe(false);
  });

  test('is refused while a living process holds it, whose lock stays', () => {
    const lock = join(parent, 'lock');
    writeFileSync(lock, String(process.ppid));
    expect(() => claimDataDirectory(parent)).toThrow('Another process uses DATA_DIR');
    expect(readFileSync(lock, 'utf8')).toBe(String(process.ppid));
  });

  test.each([
    ['of a process that is gone', String(NO_PROCESS)],
    ['with the number of this process, as in a container that restarts', String(process.pid)],
    ['that is empty', ''],
  ])('is taken over with a lock %s', (_title, content) => {
    writeFileSync(join(parent, 'lock'), content);
    const release = claimDataDirectory(parent);
    expect(readFileSync(join(parent, 'lock'), 'utf8')).toBe(String(process.pid));
    release();
  });
});
