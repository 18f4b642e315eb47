import { rm } from 'node:fs/promises';
import { MikroORM } from '@mikro-orm/core';
import type { SqlEntityManager } from '@mikro-orm/sql';
import { ormOptions } from '../../src/database/orm.js';
import { RUNS, SEED } from '../kit/random.js';
import { createDataDirectory } from '../kit/test-database.js';
import { insertKeys } from '../kit/token-rows.js';
import { findViolations } from './invariants.js';
import { type Plan, Simulation } from './simulation.js';

/**
 * Interleavings of readers, processes, provider outcomes, rotations of keys, crashes, freezes, database outages, unlinks
 * and relinks, on
 * the real engine and the real SQL, in virtual time. A failing run reports its seed, which `TEST_SEED` makes the first one.
 * What only a late seed would find is in the table of the SQL steps (`refresh-steps.cases.ts`).
 */
const SEEDS = 200 * RUNS;

const dataDir = createDataDirectory();
let orm: MikroORM;
const em = (): SqlEntityManager => orm.em.fork() as SqlEntityManager;

beforeAll(async () => {
  orm = await MikroORM.init(ormOptions({ dataDir, poolMax: 2, timeoutMs: 5_000 }));
  // Only the vault: no accounts, and a database clock that the simulation moves.
  await em().execute('alter table sealed_tokens drop constraint sealed_tokens_account_id_fkey');
  await insertKeys(em());
  await em().execute('create schema simulation');
  await em().execute(`create function simulation.clock_timestamp() returns timestamptz language sql stable
    as $$ select to_timestamp(current_setting('simulation.now')::float8 / 1000) $$`);
  await em().execute('set search_path = simulation, public, pg_catalog');
});
afterAll(async () => {
  await orm.close(true);
  await rm(dataDir, { recursive: true });
});

describe.each([
  ['a provider that never rotates', false],
  ['a provider that rotates and revokes on reuse', true],
])('refreshing against %s', (_title, rotates) => {
  test.each([
    ['without faults', false],
    ['with crashes, freezes, faults of the provider and the database, unlinks and relinks', true],
  ])(
    'I1 to I7 hold in every interleaving %s',
    async (_title, faulty) => {
      for (let seed = SEED; seed < SEED + SEEDS; seed += 1) {
        const rotation = seed % 2 === 0 ? 'auto' : rotates ? 'always' : 'never';
        await expectNoViolations({ seed, rotates, faulty, rotation });
      }
    },
    600_000 * RUNS,
  );
});

async function expectNoViolations(plan: Plan): Promise<void> {
  await em().execute('delete from sealed_tokens');
  const simulation = new Simulation(em, plan);
  await simulation.run();
  const violations = await findViolations(simulation);
  if (violations.length > 0) {
    throw new Error(
      `TEST_SEED=${plan.seed}: ${violations.join('; ')}\n${JSON.stringify(simulation.history)}`,
    );
  }
  expect(simulation.history.links.length).toBeGreaterThan(0);
}
