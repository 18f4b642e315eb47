/** A scope of Rollup ID, described for a person. */
export interface KnownScope {
  readonly title: string;
  readonly description: string;
}

/**
 * The scopes of Rollup ID. What each of them unlocks is declared beside the fields of the schema.
 *
 * `connected_accounts` and `erc_4337` work although the provider's discovery document does not list them.
 */
export const knownScopes: ReadonlyMap<string, KnownScope> = new Map([
  ['openid', { title: 'OpenID', description: 'Know who you are, without any detail.' }],
  ['profile', { title: 'Profile', description: 'Read your name, your picture and your public profile.' }],
  ['email', { title: 'Email', description: 'Read one email address that you choose.' }],
  [
    'connected_accounts',
    {
      title: 'Connected accounts',
      description: 'List the accounts you connected and their identifiers.',
    },
  ],
  [
    'erc_4337',
    {
      title: 'Smart contract wallets',
      description: 'Read your wallet addresses and transact on your behalf.',
    },
  ],
]);

/** A scope name by its grammar (RFC 6749 §3.3 `scope-token`). */
export function isScopeName(name: string): boolean {
  return /^[\x21\x23-\x5B\x5D-\x7E]{1,200}$/.test(name);
}

/** Scopes as a token carries them: one string, space-separated (RFC 6749 §3.3). */
export function formatScope(scopes: readonly string[]): string {
  return scopes.join(' ');
}

/** Reads a space-separated scope string, each scope once; an empty string gives none. */
export function parseScope(scope: string): string[] {
  return [...new Set(scope.split(' ').filter((name) => name !== ''))];
}

/** The required scopes that are not among the granted ones. */
export function missingScopes(required: readonly string[], granted: readonly string[]): string[] {
  return required.filter((scope) => !granted.includes(scope));
}
