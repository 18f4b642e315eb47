import type { Person } from '../../src/dev/rollup-id/people.js';
import { MeDocument, RenewAccessTokenDocument, UnlinkRollupAccountDocument } from '../generated/graphql.js';
import { useWorld } from '../kit/hooks.js';

describe('unlinkRollupAccount', () => {
  const world = useWorld();
  let ben: Person;
  beforeAll(() => void ([, ben] = world.people));

  test('deletes the tokens and, with the last identity, the user', async () => {
    const { accountId, token } = await world.linkPerson();
    const { data } = await unlink(accountId, token);
    expect(data.unlinkRollupAccount).toEqual({ unlinkedAccountId: accountId, userErrors: [] });
    expect(await countRows()).toEqual({ users: 0, accounts: 0, tokens: 0 });
    expect((await world.ask(MeDocument, {}, { token })).data).toEqual({ me: null });
    const renewed = await world.ask(RenewAccessTokenDocument, { input: {} }, { token });
    expect(renewed.errors[0]?.extensions).toEqual({ code: 'NOT_LINKED' });
  });

  test('keeps the user and the other identities', async () => {
    const { accountId, token } = await world.linkPerson();
    const second = await world.linkPerson(ben, { token });
    expect((await unlink(second.accountId, token)).data.unlinkRollupAccount.userErrors).toEqual([]);
    const { data } = await world.ask(MeDocument, {}, { token });
    expect(data.me?.rollupAccounts.map(({ id }) => id)).toEqual([accountId]);
    expect(await countRows()).toEqual({ users: 1, accounts: 1, tokens: 1 });
  });

  test('returns the same for an account of another user as for an unknown account', async () => {
    const { accountId } = await world.linkPerson();
    const { token } = await world.linkPerson(ben);
    const foreign = await unlink(accountId, token);
    const unknown = await unlink('5b0ed2a4-8a6e-4b5e-9a37-1f5b3a2c9d10', token);
    expect(foreign.data).toEqual(unknown.data);
    expect(foreign.data.unlinkRollupAccount.userErrors).toMatchObject([
      { code: 'ACCOUNT_NOT_FOUND', field: 'accountId' },
    ]);
    expect(await countRows()).toEqual({ users: 2, accounts: 2, tokens: 2 });
  });

  test('of the same account twice concurrently succeeds once', async () => {
    const { accountId, token } = await world.linkPerson();
    const responses = await Promise.all([unlink(accountId, token), unlink(accountId, token)]);
    const succeeded = responses.filter(
      ({ data }) => data?.unlinkRollupAccount?.unlinkedAccountId === accountId,
    );
    expect(succeeded).toHaveLength(1);
    expect(await countRows()).toEqual({ users: 0, accounts: 0, tokens: 0 });
  });

  test('VLT-102 notes nothing to be revoked at Rollup ID, which has no endpoint for it, nor does a new link', async () => {
    const { accountId, token } = await world.linkPerson();
    await world.linkPerson();
    expect((await unlink(accountId, token)).data.unlinkRollupAccount.userErrors).toEqual([]);
    expect(world.statements.filter((sql) => sql.includes('pending_revocation'))).toEqual([]);
    expect(await world.rows('pending_revocation')).toEqual([]);
  });

  test('is rejected without a bearer token', async () => {
    const { status, errors } = await unlink('5b0ed2a4-8a6e-4b5e-9a37-1f5b3a2c9d10');
    expect([status, errors[0]?.extensions]).toEqual([401, { code: 'UNAUTHENTICATED' }]);
  });

  function unlink(accountId: string, token?: string) {
    return world.ask(UnlinkRollupAccountDocument, { input: { accountId } }, { token });
  }

  async function countRows(): Promise<unknown> {
    const [row] = await world.em().execute(
      `select (select count(*)::int from app_user) as users, (select count(*)::int from rollup_account) as accounts,
         (select count(*)::int from sealed_tokens) as tokens`,
    );
    return row;
  }
});
