import { mkdirSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { openDatabase } from '../src/database/orm.js';
import { checkValueOf, createDataKey, wrapDataKey } from '../src/vault/data-key.js';
import { parseKeyRing } from '../src/vault/key-ring.js';
import { runProgram } from '../test/kit/processes.js';
import { randomKey } from '../test/kit/server-env.js';
import makeTemplates, { dropTemplate } from '../test/kit/templates.mjs';
import { createTestDatabase } from '../test/kit/test-database.js';

/**
 * How fast keys rotate: accounts a second of `rollup-accounts keys rotate`, the start of the process and the count
 * included. Rows are as large as real ones. Runs on the PostgreSQL server of `TEST_DATABASE_URL`; without it on the
 * embedded database.
 */
const ACCOUNTS = Number(process.env['BENCH_ACCOUNTS'] ?? 40_000);
const BATCH = 1_000;
/** A sealed token of Rollup ID: a JWS of about 700 characters as JWE. */
const SEALED_CHARACTERS = 1_300;

await makeTemplates();
const created = await createTestDatabase();
const [k1, k2] = [randomKey('k1'), randomKey('k2')];
const database = await openDatabase({ ...created.settings, poolMax: 2, timeoutMs: 60_000 });
await fill();
await database.close();

const run = runProgram(['keys', 'rotate'], { ...created.env, TOKEN_KEYS: `${k2},${k1}` });
const startedAt = performance.now();
if ((await run.exited) !== 0) throw new Error(run.output());
const seconds = (performance.now() - startedAt) / 1_000;
const results = [
  {
    name: 'keys rotate',
    accounts: ACCOUNTS,
    seconds: Number(seconds.toFixed(1)),
    accountsPerSecond: Math.round(ACCOUNTS / seconds),
  },
];
console.table(results);
mkdirSync('bench/results', { recursive: true });
const setup = { database: created.env.DATABASE_URL ? 'PostgreSQL' : 'PGlite', node: process.version };
writeFileSync('bench/results/rotate.json', `${JSON.stringify({ ...setup, results }, null, 2)}\n`);
await created.close();
await dropTemplate();

async function fill(): Promise<void> {
  const em = database.em.fork();
  const ring = parseKeyRing(k1);
  await em.execute(`insert into token_key (kid, check_value) values ('k1', ?)`, [
    checkValueOf(ring.key('k1') ?? Buffer.of()),
  ]);
  await em.execute(`insert into app_user (id) values (gen_random_uuid())`);
  for (let filled = 0; filled < ACCOUNTS; filled += BATCH) {
    const keys = Array.from({ length: BATCH }, () => wrapDataKey(ring, createDataKey()).dataKey);
    await em.execute(
      `with account as (
         insert into rollup_account (id, user_id, issuer, sub)
         select gen_random_uuid(), app_user.id, 'https://issuer.example', gen_random_uuid() from app_user, generate_series(1, ?)
         returning id)
       insert into sealed_tokens (account_id, issuer, client_id, key_id, data_key, access_token, id_token, refresh_token,
         scope, access_token_expires_at, status, generation)
       select id, 'https://issuer.example', 'client', 'k1', (string_to_array(?, ','))[row_number() over ()],
         ?, ?, ?, 'openid', clock_timestamp(), 'ACTIVE', 1 from account`,
      [BATCH, keys.join(','), sealed(), sealed(), sealed()],
    );
  }
}

/** Random, so that it does not compress better than ciphertext. */
function sealed(): string {
  return randomBytes(SEALED_CHARACTERS).toString('base64url').slice(0, SEALED_CHARACTERS);
}
