import type { SqlPart } from './sealed-tokens.repository.js';

/** An item of a statement that changes several rows, and the types of its columns. */
export type ItemTypes<Item extends object> = Readonly<
  Record<keyof Item & string, 'boolean' | 'float8' | 'int' | 'text' | 'timestamptz' | 'uuid'>
>;

/**
 * The items of a statement as its relation `item`.
 *
 * A single one is a row of constants, which PostgreSQL plans in a third of the time: most statements of a process that is
 * not busy have one.
 */
export function itemsAs<Item extends object>(types: ItemTypes<Item>, items: readonly Item[]): SqlPart {
  const columns = Object.entries<string>(types);
  const [only] = items;
  if (only !== undefined && items.length === 1) {
    const names = columns.map(([name]) => `"${name}"`).join(', ');
    const values = columns.map(([, type]) => `?::${type}`).join(', ');
    return {
      sql: `(values (${values})) as item (${names})`,
      params: columns.map(([name]) => only[name as keyof Item]),
    };
  }
  const definition = columns.map(([name, type]) => `"${name}" ${type}`).join(', ');
  return { sql: `jsonb_to_recordset(?::jsonb) as item (${definition})`, params: [JSON.stringify(items)] };
}
