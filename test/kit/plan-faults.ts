import { GROWING } from './crowd.js';

/** A step of a plan, as EXPLAIN reports it with ANALYZE and BUFFERS in JSON. Rows are means of its loops. */
export interface Plan {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Index Name'?: string;
  readonly 'Index Cond'?: string;
  readonly 'Total Cost': number;
  readonly 'Actual Rows': number;
  readonly 'Actual Loops': number;
  readonly 'Rows Removed by Filter'?: number;
  readonly 'Rows Removed by Join Filter'?: number;
  readonly 'Rows Removed by Index Recheck'?: number;
  /** Pages, with those of the steps below. */
  readonly 'Shared Hit Blocks'?: number;
  readonly 'Shared Read Blocks'?: number;
  readonly Plans?: readonly Plan[];
}

/** Rows that one step may handle: a few batches. */
const MAX_ROWS = 2_000;
/**
 * Pages that a statement may touch, and for each of its rows: those of a few indexes, read and written. A whole index of
 * three hundred thousand rows has about a thousand.
 */
const [MAX_PAGES, MAX_PAGES_A_ROW] = [600, 30];
/** In units of a sequential page (`seq_page_cost`): some milliseconds. */
const MAX_COST = 5_000;

const tables: ReadonlySet<string> = new Set(GROWING);

/**
 * What grows with the number of accounts in the plan of a statement, a line each; empty when nothing does. What it did
 * counts, not what was expected: no statistics hide it. Only the cost is what was expected.
 */
export function findPlanFaults(plan: Plan): string[] {
  const steps = stepsOf(plan);
  if (!steps.some(isGrowing)) return [];
  const pages = (plan['Shared Hit Blocks'] ?? 0) + (plan['Shared Read Blocks'] ?? 0);
  const rows = Math.max(...steps.map(rowsOf));
  return [
    ...steps.filter((step) => isGrowing(step) && step['Node Type'] === 'Seq Scan').map(nameOf),
    ...steps.filter((step) => rowsOf(step) > MAX_ROWS).map((step) => `${nameOf(step)}: ${rowsOf(step)} rows`),
    ...(pages > MAX_PAGES + MAX_PAGES_A_ROW * rows ? [`${nameOf(plan)}: ${pages} pages, ${rows} rows`] : []),
    ...(plan['Total Cost'] > MAX_COST ? [`${nameOf(plan)}: cost ${plan['Total Cost']}`] : []),
  ];
}

/** The same for a count, which may read all of a table's rows from an index, and nothing else. */
export function findCountFaults(plan: Plan): string[] {
  return stepsOf(plan)
    .filter((step) => isGrowing(step) && step['Node Type'] !== 'Index Only Scan')
    .map(nameOf);
}

/** The plan as lines of text, for whoever has to mend the statement. */
export function formatPlan(plan: Plan, indent = ''): string {
  const { 'Index Cond': condition, 'Total Cost': cost, Plans: below = [] } = plan;
  const where = condition === undefined ? '' : ` where ${condition}`;
  const line = `${indent}${nameOf(plan)}${where}: ${rowsOf(plan)} rows, cost ${cost}`;
  return [line, ...below.map((step) => formatPlan(step, `${indent}  `))].join('\n');
}

function stepsOf(plan: Plan): Plan[] {
  return [plan, ...(plan.Plans ?? []).flatMap(stepsOf)];
}

function isGrowing({ 'Relation Name': table = '' }: Plan): boolean {
  return tables.has(table);
}

/** The growing tables that a plan has to do with. */
export function tablesOf(plan: Plan): string[] {
  return stepsOf(plan).flatMap((step) => (isGrowing(step) ? [step['Relation Name'] ?? ''] : []));
}

/** All rows that a step saw: a filter reads those that it removes. */
function rowsOf(step: Plan): number {
  const removed =
    (step['Rows Removed by Filter'] ?? 0) +
    (step['Rows Removed by Join Filter'] ?? 0) +
    (step['Rows Removed by Index Recheck'] ?? 0);
  return step['Actual Loops'] * Math.max(step['Actual Rows'] + removed, 1);
}

function nameOf({ 'Node Type': type, 'Relation Name': table, 'Index Name': index }: Plan): string {
  return [
    type,
    ...(table === undefined ? [] : [`of ${table}`]),
    ...(index === undefined ? [] : [`by ${index}`]),
  ].join(' ');
}
