import DataLoader from 'dataloader';
import type { AccountRecord } from '../accounts/account.repository.js';
import type { Accounts } from '../accounts/accounts.js';
import { AccountNotFoundError, NotLinkedError } from '../errors.js';
import type { GalaxyReader } from '../galaxy/galaxy-reader.js';

export type Loaders = ReturnType<typeof createLoaders>;

/** The loaders of one request: each loads in one batch what is wanted in the same tick, and caches it for that request. */
export function createLoaders(accounts: Accounts, galaxy: GalaxyReader) {
  return {
    accounts: loadMany(
      (ids) => accounts.findAccounts(ids),
      (account) => account.userId,
    ),
    tokens: loadMany(
      (ids) => accounts.findTokenStates(ids),
      (state) => state.accountId,
    ),
    galaxy: loadEach(({ id }) => galaxy.read(id).catch(rethrowUnlinked)),
    userinfo: loadEach((account) => accounts.userinfo.read(account).catch(rethrowUnlinked)),
  };
}

/** Any number of rows for each key, in the order they were found. */
function loadMany<Row>(
  find: (keys: readonly string[]) => Promise<readonly Row[]>,
  keyOf: (row: Row) => string,
): DataLoader<string, readonly Row[]> {
  return new DataLoader(async (keys) => {
    const rows = Map.groupBy(await find(keys), keyOf);
    return keys.map((key) => rows.get(key) ?? []);
  });
}

/** One call for each account; a failure is cached as well. */
function loadEach<Value>(load: (account: AccountRecord) => Promise<Value>): typeof load {
  const calls = new Map<string, Promise<Value>>();
  return (account) => {
    const call = calls.get(account.id) ?? load(account);
    calls.set(account.id, call);
    return call;
  };
}

/** The account was unlinked while the request ran. */
function rethrowUnlinked(error: unknown): never {
  throw error instanceof AccountNotFoundError ? new NotLinkedError() : error;
}
