import type { AccountRecord } from '../../src/accounts/account.repository.js';
import { type Capabilities, RequestContext } from '../../src/graphql/context.js';
import { createOperationRecord } from '../../src/graphql/operation-record.js';

const CALLER = { issuer: 'https://passport.example', sub: 'urn:one', scopes: ['openid'] };

test('what is read after an unlink, within one request, is without the account, and nothing of it stays cached', async () => {
  const { context, invalidated } = createContext();
  expect(await context.accountsOf('user')).toHaveLength(2);
  await context.unlink('second');
  expect((await context.accountsOf('user')).map(({ id }) => id)).toEqual(['first']);
  expect(invalidated).toEqual(['second']);
});

/** A request of a user with two linked identities. */
function createContext() {
  const linked = ['first', 'second'].map((id) => ({ id, userId: 'user' }) as AccountRecord);
  const invalidated: string[] = [];
  const capabilities = {
    accounts: {
      lookUpUser: async () => ({ id: 'user' }),
      findAccounts: async () => [...linked],
      linking: {
        unlink: async (_userId: string, accountId: string) => {
          linked.splice(
            linked.findIndex(({ id }) => id === accountId),
            1,
          );
        },
      },
    },
    galaxy: { invalidate: (accountId: string) => void invalidated.push(accountId) },
  } as unknown as Capabilities;
  const { signal } = new AbortController();
  const request = { address: '127.0.0.1', signal, operation: createOperationRecord() };
  return { context: new RequestContext(capabilities, CALLER, request), invalidated };
}
