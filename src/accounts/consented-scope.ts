import { knownScopes } from '../rollup/scopes.js';

/** A scope that a token carries, described for a person. Names that we do not know are passed through. */
export interface ConsentedScope {
  readonly name: string;
  readonly title: string;
  readonly description: string | null;
  readonly unlocks: readonly string[];
}

/** Describes each scope by its name, in the order given. */
export function describeScopes(names: readonly string[]): ConsentedScope[] {
  return names.map((name) => {
    const known = knownScopes.get(name);
    return {
      name,
      title: known?.title ?? name,
      description: known?.description ?? null,
      unlocks: known?.unlocks ?? [],
    };
  });
}
