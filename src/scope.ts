/** A scope that Rollup ID knows, as a person may read it. */
export interface KnownScope {
  readonly title: string;
  readonly description: string;
  /** Coordinates of our schema that need the scope, such as `User.email`. */
  readonly unlocks: readonly string[];
}

/**
 * The scopes of Rollup ID, and the one place that says what each of them unlocks: the guards of the schema, what
 * `ConsentedScope.unlocks` answers and the table in the README follow it.
 *
 * `connected_accounts` and `erc_4337` work although the provider's discovery does not list them.
 */
export const knownScopes: ReadonlyMap<string, KnownScope> = new Map([
  ['openid', { title: 'OpenID', description: 'Know who you are, without any detail.', unlocks: [] }],
  [
    'profile',
    {
      title: 'Profile',
      description: 'Read your name, your picture and your public profile.',
      unlocks: [
        'User.name',
        'User.picture',
        'RollupAccount.profile',
        'RollupAccount.publicAccounts',
        'RollupAccount.authorizedApps',
        'RollupAccount.galaxyFreshness',
      ],
    },
  ],
  [
    'email',
    { title: 'Email', description: 'Read one email address that you choose.', unlocks: ['User.email'] },
  ],
  [
    'connected_accounts',
    {
      title: 'Connected accounts',
      description: 'List the accounts you connected and their identifiers.',
      unlocks: ['RollupAccount.connectedAccounts'],
    },
  ],
  [
    'erc_4337',
    {
      title: 'Smart contract wallets',
      description: 'Read your wallet addresses and transact on your behalf.',
      unlocks: ['RollupAccount.smartContractWallets'],
    },
  ],
]);

/** A scope name by its grammar (RFC 6749 §3.3 `scope-token`). */
export function isScopeName(name: string): boolean {
  return /^[\x21\x23-\x5B\x5D-\x7E]{1,200}$/.test(name);
}
