import { knownScopes } from '../scope.js';

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

/** The required scopes that are not among those held. */
export function missingScopes(required: readonly string[], held: readonly string[]): string[] {
  return required.filter((scope) => !held.includes(scope));
}

/**
 * The scopes that a field of our schema needs, by its coordinate such as `User.email`.
 *
 * Throws for a field that no scope unlocks: whoever guards it means another one.
 */
export function scopesUnlocking(coordinate: string): readonly string[] {
  const scopes = [...knownScopes].filter(([, { unlocks }]) => unlocks.includes(coordinate));
  if (scopes.length === 0) throw new Error(`no scope unlocks ${coordinate}`);
  return scopes.map(([name]) => name);
}
