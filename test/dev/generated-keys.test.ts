import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readOrCreateKeys } from '../../src/dev/generated-keys.js';
import { useDirectory } from '../kit/hooks.js';

describe('the generated keys', () => {
  const directory = useDirectory();

  test('VLT-75 are the same and whole for four processes that start at once', async () => {
    const makers = Array.from({ length: 4 }, () => fork('test/kit/key-maker.mjs'));
    await Promise.all(makers.map((maker) => once(maker, 'message')));
    const replies = makers.map(async (maker) => {
      const reply = once(maker, 'message');
      maker.send(directory);
      return (await reply) as [string[]];
    });
    const [[first], ...others] = (await Promise.all(replies)) as [[string[]], ...[string[]][]];
    expect(first.filter((keys) => !/^dev-1:[\w-]{43}$/.test(keys))).toEqual([]);
    expect(others.filter(([keys]) => keys.join() !== first.join())).toEqual([]);
    expect(readdirSync(join(directory, '0'))).toEqual(['token-keys']);
  }, 20_000);

  test('are refused with the setting where they cannot be stored', () => {
    const path = join(directory, 'file');
    writeFileSync(path, '');
    expect(() => readOrCreateKeys(path)).toThrow('DATA_DIR cannot hold the generated keys.');
  });
});
