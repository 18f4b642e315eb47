import { knownScopes } from '../scope.js';

/** A scope that a token carries, described for a person. */
export interface ConsentedScope {
  readonly name: string;
  readonly title: string;
  readonly description: string | null;
  /** Schema coordinates such as `User.email`. */
  readonly unlocks: readonly string[];
}

/** Describes scopes by their names, in the order given; an unknown one by its name alone. */
export type DescribeScopes = (names: readonly string[]) => ConsentedScope[];

/** @param unlocked the schema coordinates that each scope unlocks. */
export function createScopeDescriptions(unlocked: ReadonlyMap<string, readonly string[]>): DescribeScopes {
  const describe = (name: string): ConsentedScope => {
    const { title = name, description = null } = knownScopes.get(name) ?? {};
    return { name, title, description, unlocks: unlocked.get(name) ?? [] };
  };
  return (names) => names.map(describe);
}
