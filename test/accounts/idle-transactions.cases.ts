import { UnlinkRollupAccountDocument } from '../generated/graphql.js';
import { useWorld } from '../kit/hooks.js';

/** Notes the limit in the session of every statement that changes accounts. */
const NOTE_LIMITS = [
  'create table noted (idle_limit text)',
  `create function note() returns trigger language plpgsql as $$ begin
     insert into noted values (current_setting('idle_in_transaction_session_timeout'));
     return null;
   end $$`,
  'create trigger note after insert or delete on rollup_account for each statement execute function note()',
];
const END_NOTES = ['drop trigger note on rollup_account', 'drop function note()', 'drop table noted'];

describe('the transaction of a process that freezes', () => {
  const world = useWorld();
  const run = async (statements: readonly string[]): Promise<void> => {
    for (const statement of statements) await world.em().execute(statement);
  };
  beforeEach(() => run(NOTE_LIMITS));
  afterEach(() => run(END_NOTES));

  test('is ended by PostgreSQL after five seconds, so that its row locks do not stay; no other transaction is', async () => {
    await world.linkPerson();
    const { accountId, token } = await world.linkPerson();
    const { data } = await world.ask(UnlinkRollupAccountDocument, { input: { accountId } }, { token });
    expect(data.unlinkRollupAccount.userErrors).toEqual([]);
    // A first link is a statement alone, the next one and an unlink are transactions.
    const limits = (await world.rows('noted')).map(({ idle_limit }) => idle_limit);
    expect(limits).toEqual(['0', '5s', '5s']);
    const [after] = await world
      .em()
      .execute(`select current_setting('idle_in_transaction_session_timeout') as idle_limit`);
    expect(after).toEqual({ idle_limit: '0' });
  });
});
