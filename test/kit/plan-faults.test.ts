import { findCountFaults, findPlanFaults, formatPlan, type Plan } from './plan-faults.js';

/** A step that handles one row at little cost. */
function step(type: string, change: Partial<Plan> = {}): Plan {
  return { 'Node Type': type, 'Total Cost': 8, 'Actual Rows': 1, 'Actual Loops': 1, ...change };
}

const account = { 'Relation Name': 'rollup_account', 'Index Name': 'rollup_account_pkey' };
const found = step('Index Scan', account);

describe('nothing grows in the plan of', () => {
  test.each<[string, Plan]>([
    ['a row by its key', found],
    [
      'a bounded list, sorted',
      step('Sort', { Plans: [step('Index Scan', { ...account, 'Actual Rows': 2_000 })] }),
    ],
    ['a catalog of the database', step('Seq Scan', { 'Relation Name': 'pg_class', 'Actual Rows': 9_000 })],
    ['a table of a few rows', step('Seq Scan', { 'Relation Name': 'token_key' })],
    [
      'a batch that touches its indexes',
      step('Index Scan', { ...account, 'Actual Rows': 500, 'Shared Hit Blocks': 9_000 }),
    ],
    ['what was never reached', step('Index Scan', { ...account, 'Actual Rows': 0, 'Actual Loops': 0 })],
  ])('%s', (_what, plan) => {
    expect(findPlanFaults(plan)).toEqual([]);
  });
});

describe('something grows in the plan of', () => {
  test.each<[string, Plan, string]>([
    ['a table that is read', step('Seq Scan', { 'Relation Name': 'app_user' }), 'Seq Scan of app_user'],
    [
      'rows that a filter removes',
      step('Index Scan', { ...account, 'Rows Removed by Filter': 300_000 }),
      'Index Scan of rollup_account by rollup_account_pkey: 300001 rows',
    ],
    [
      'rows that a recheck removes',
      step('Bitmap Heap Scan', { 'Relation Name': 'app_user', 'Rows Removed by Index Recheck': 3_000 }),
      'Bitmap Heap Scan of app_user: 3001 rows',
    ],
    [
      'one row, again and again',
      step('Nested Loop', { Plans: [step('Index Scan', { ...account, 'Actual Loops': 3_000 })] }),
      'Index Scan of rollup_account by rollup_account_pkey: 3000 rows',
    ],
    [
      'no row, again and again',
      step('Index Scan', { ...account, 'Actual Rows': 0, 'Actual Loops': 3_000 }),
      'Index Scan of rollup_account by rollup_account_pkey: 3000 rows',
    ],
    [
      'a sort of what is not in a table',
      step('Sort', { 'Actual Rows': 9_000, Plans: [found] }),
      'Sort: 9000 rows',
    ],
    [
      'rows that a join removes',
      step('Nested Loop', { 'Rows Removed by Join Filter': 5_000, Plans: [found] }),
      'Nested Loop: 5001 rows',
    ],
    [
      'an index that is read to its end for one row',
      step('Index Scan', { ...account, 'Shared Hit Blocks': 500, 'Shared Read Blocks': 700 }),
      'Index Scan of rollup_account by rollup_account_pkey: 1200 pages, 1 rows',
    ],
    [
      'a plan that is expected to be expensive',
      step('Limit', { 'Total Cost': 13_368, Plans: [found] }),
      'Limit: cost 13368',
    ],
  ])('%s', (_what, plan, fault) => {
    expect(findPlanFaults(plan)).toEqual([fault]);
  });
});

test('a count reads an index alone', () => {
  const rows = { ...account, 'Actual Rows': 300_000 };
  expect(findCountFaults(step('Aggregate', { Plans: [step('Index Only Scan', rows)] }))).toEqual([]);
  expect(findCountFaults(step('Aggregate', { Plans: [step('Index Scan', rows)] }))).toEqual([
    'Index Scan of rollup_account by rollup_account_pkey',
  ]);
});

test('a plan is shown as a tree', () => {
  const scan = step('Index Scan', { ...account, 'Index Cond': '(id = $1)' });
  expect(formatPlan(step('Limit', { Plans: [scan] }))).toBe(
    'Limit: 1 rows, cost 8\n' +
      '  Index Scan of rollup_account by rollup_account_pkey where (id = $1): 1 rows, cost 8',
  );
});
