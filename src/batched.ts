import DataLoader from 'dataloader';

/** Items of one statement: so many do not make it slow for the first of them. */
const MAX_BATCH = 200;

/**
 * Has concurrent requests share a statement: whatever is asked for in one turn of the event loop is done at once. Nothing
 * is cached; a statement that fails fails for all who share it.
 *
 * @param run resolves with a result for each item, in their order.
 */
export function batched<Item, Result>(
  run: (items: readonly Item[]) => Promise<readonly Result[]>,
): (item: Item) => Promise<Result> {
  const schedule = (start: () => void): void => void setImmediate(start);
  const options = { cache: false, maxBatchSize: MAX_BATCH, batchScheduleFn: schedule };
  const loader = new DataLoader<Item, Result>(run, options);
  return (item) => loader.load(item);
}

/**
 * Lookups of rows by keys of their own, which share statements.
 *
 * @param find the rows of different keys, in any order; those that are not there are left out.
 */
export function batchedLookup<Row>(
  find: (keys: readonly string[]) => Promise<readonly Row[]>,
  keyOf: (row: Row) => string,
): (key: string) => Promise<Row | undefined> {
  return batched(async (keys: readonly string[]) => {
    const rows = new Map((await find([...new Set(keys)])).map((row) => [keyOf(row), row]));
    return keys.map((key) => rows.get(key));
  });
}
