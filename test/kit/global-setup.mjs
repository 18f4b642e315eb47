import { randomInt } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import makeTemplates from './templates.mjs';

/** Jest runs it once before all tests: it prints the seed that every worker gets (`random.ts`). */
export default async function setUp() {
  const { TEST_SEED = '1', TEST_RUNS = '1' } = process.env;
  const seed = TEST_SEED === 'random' ? String(randomInt(2 ** 31)) : TEST_SEED;
  if (!/^\d{1,9}$|^[12]\d{9}$/.test(seed)) throw new Error('TEST_SEED is neither an integer nor "random"');
  if (!/^[1-9]\d{0,3}$/.test(TEST_RUNS)) throw new Error('TEST_RUNS is not an integer from 1');
  Object.assign(process.env, { TEST_SEED: seed, TEST_RUNS });
  process.stderr.write(`TEST_SEED=${seed} TEST_RUNS=${TEST_RUNS}\n`);
  const cache = mkdtempSync(join(tmpdir(), 'rollup-accounts-cache-'));
  process.once('exit', () => rmSync(cache, { recursive: true, force: true }));
  process.env['PROGRAM_CACHE'] = cache;
  await makeTemplates();
}
