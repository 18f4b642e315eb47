import type { SqlPart } from './sealed-tokens.repository.js';

/** An item of a statement that changes several rows, and the types of its columns. */
export type ItemTypes<Item extends object> = Readonly<
  Record<keyof Item & string, 'boolean' | 'float8' | 'int' | 'text' | 'timestamptz' | 'uuid'>
>;

/** The items of a statement as its relation `item`. Of a single one the columns are constants to the planner. */
export function itemsAs<Item extends object>(types: ItemTypes<Item>, items: readonly Item[]): SqlPart {
  const columns = Object.entries<string>(types);
  const names = columns.map(([name]) => `"${name}"`).join(', ');
  const row = `(${columns.map(([, type]) => `?::${type}`).join(', ')})`;
  return {
    sql: `(values ${items.map(() => row).join(', ')}) as item (${names})`,
    params: items.flatMap((item) => columns.map(([name]) => item[name as keyof Item])),
  };
}
