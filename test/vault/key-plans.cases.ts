import type { SqlEntityManager } from '@mikro-orm/sql';
import { findKeysWrappedBy, NIL_UUID, replaceDataKeys } from '../../src/vault/key-rotation.repository.js';
import { countAccounts, endAccountsOf, isNeeded } from '../../src/vault/token-key.repository.js';
import { KEY_ID, NEXT_KEY_ID } from '../kit/token-rows.js';
import { useVaultDatabase } from '../kit/vault-database.js';

const ACCOUNTS = 20_000;

interface Plan {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Index Name'?: string;
  readonly 'Index Cond'?: string;
  readonly Plans?: readonly Plan[];
}

/** Statistics from before a rotation say that every account needs the old key. */
describe('what asks for the accounts of a key, right after a rotation', () => {
  const database = useVaultDatabase();
  beforeEach(async () => {
    const em = database.em();
    await em.execute(
      `insert into sealed_tokens (account_id, issuer, client_id, key_id, data_key, access_token, scope,
         access_token_expires_at, status, generation)
       select gen_random_uuid(), 'issuer', 'client', ?, 'wrapped', 'sealed', 'openid', clock_timestamp(), 'ACTIVE', 1
       from generate_series(1, ?)`,
      [KEY_ID, ACCOUNTS],
    );
    await em.execute('analyze sealed_tokens');
    await em.execute('update sealed_tokens set key_id = ?', [NEXT_KEY_ID]);
  });

  test.each<[string, (em: SqlEntityManager) => Promise<unknown>]>([
    ['VLT-04 the check of a ring', (em) => isNeeded(em, KEY_ID)],
    ['VLT-02 a rotation', (em) => findKeysWrappedBy(em, KEY_ID, NIL_UUID, 500)],
    ['VLT-09 the count of accounts', (em) => countAccounts(em, KEY_ID)],
    ['VLT-11 the end of a lost key', (em) => endAccountsOf(em, KEY_ID, 500)],
  ])('%s walks along an index, and sorts nothing', async (_title, ask) => {
    const steps = await stepsOf(ask);
    expect(steps.filter((step) => !ALONG_AN_INDEX.test(step))).toEqual([]);
    expect(steps.some((step) => step.includes('sealed_tokens_key_id_index'))).toBe(true);
  });

  test('VLT-02 a rotation finds the rows of a batch by their ids', async () => {
    const steps = await stepsOf((em) => replaceDataKeys(em, NEXT_KEY_ID, [[NIL_UUID, 'read', 'rewrapped']]));
    expect(steps.filter((step) => step !== 'Sort' && !ALONG_AN_INDEX.test(step))).toEqual([]);
  });

  /** What the plans of the statements do with the table: scans of it, and sorts. */
  async function stepsOf(ask: (em: SqlEntityManager) => Promise<unknown>): Promise<string[]> {
    const steps: string[] = [];
    await ask(explaining(database.em(), steps));
    return steps;
  }
});

/** A bitmap is made from the condition of an index, too. */
const ALONG_AN_INDEX = /^(Index (Only )?Scan of sealed_tokens_\w+ from |Bitmap Heap Scan )/;

/** Collects the steps of each statement before it is carried out. */
function explaining(em: SqlEntityManager, steps: string[]): SqlEntityManager {
  const execute = em.execute.bind(em);
  const transactional = em.transactional.bind(em);
  em.execute = (async (sql: string, params: unknown[], method: 'all') => {
    if (sql.includes('sealed_tokens')) {
      const rows = await execute<{ 'QUERY PLAN': { Plan: Plan }[] }[]>(
        `explain (format json) ${sql}`,
        params,
      );
      for (const { Plan: plan } of rows[0]?.['QUERY PLAN'] ?? []) collect(plan, steps);
    }
    return execute(sql, params, method);
  }) as typeof em.execute;
  em.transactional = ((work: (tx: SqlEntityManager) => Promise<unknown>) =>
    transactional((tx) => work(explaining(tx, steps)))) as typeof em.transactional;
  return em;
}

function collect(plan: Plan, steps: string[]): void {
  const node = plan['Node Type'];
  if (node.includes('Sort')) steps.push(node);
  if (plan['Relation Name'] === 'sealed_tokens' && node !== 'ModifyTable') {
    const from = plan['Index Cond'] === undefined ? '' : ` from ${plan['Index Cond']}`;
    steps.push(`${node} of ${plan['Index Name'] ?? 'the table'}${from}`);
  }
  for (const inner of plan.Plans ?? []) collect(inner, steps);
}
