import DataLoader from 'dataloader';

/**
 * Loads rows for keys in one statement for all that are asked for in the same tick; one value a key.
 *
 * Lives for one request: what it remembers is only ever that request's.
 */
export function loadOne<Row>(
  find: (keys: readonly string[]) => Promise<readonly Row[]>,
  keyOf: (row: Row) => string,
): DataLoader<string, Row | undefined> {
  return new DataLoader(async (keys) => {
    const rows = new Map((await find(keys)).map((row) => [keyOf(row), row]));
    return keys.map((key) => rows.get(key));
  });
}

/** As `loadOne`, for keys that have any number of rows each, in the order they were found. */
export function loadMany<Row>(
  find: (keys: readonly string[]) => Promise<readonly Row[]>,
  keyOf: (row: Row) => string,
): DataLoader<string, readonly Row[]> {
  return new DataLoader(async (keys) => {
    const rows = Map.groupBy(await find(keys), keyOf);
    return keys.map((key) => rows.get(key) ?? []);
  });
}

/** Asks once for each thing, however often and from wherever one request asks; a failure is remembered as well. */
export function loadEach<Thing extends { readonly id: string }, Value>(
  load: (thing: Thing) => Promise<Value>,
): (thing: Thing) => Promise<Value> {
  const asked = new Map<string, Promise<Value>>();
  return (thing) => {
    const known = asked.get(thing.id) ?? load(thing);
    asked.set(thing.id, known);
    return known;
  };
}
