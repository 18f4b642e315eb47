import { randomUUID } from 'node:crypto';
import type { SqlEntityManager } from '@mikro-orm/sql';
import { createPerson } from '../../src/dev/rollup-id/people.js';
import { LinkRollupAccountDocument } from '../generated/graphql.js';
import { waitUntil } from '../kit/eventually.js';
import { useWorld } from '../kit/hooks.js';
import type { LinkPayload } from '../kit/link-flow.js';
import { onPostgres } from '../kit/needs.js';
import { WAITING_FOR_LOCKS } from '../kit/test-database.js';

describe('storing a link', () => {
  const world = useWorld();

  async function takeOver(
    person = createPerson(),
    token?: string,
    scopes = ['openid', 'profile'],
  ): Promise<LinkPayload> {
    const tokens = await world.rollup.issue(person, scopes);
    const { data } = await world.ask(LinkRollupAccountDocument, { input: { tokens } }, { token });
    return data.linkRollupAccount;
  }

  test('VLT-111 is one statement for the identity and its user, whether it is new, known or one more', async () => {
    const person = createPerson();
    const { accessToken } = await takeOver();
    for (const token of [undefined, undefined, accessToken ?? '']) {
      world.statements.length = 0;
      await takeOver(token === undefined ? person : createPerson(), token);
      const written = world.statements.filter((sql) =>
        /(insert into|update) (rollup_account|app_user)/.test(sql),
      );
      expect(written).toHaveLength(1);
    }
  });

  test('VLT-121 of a first one is one statement with its tokens: nothing is left when they cannot be stored', async () => {
    world.statements.length = 0;
    const { accessToken } = await takeOver();
    expect(world.statements.filter((sql) => /insert|update|delete|^(begin|start|commit)/i.test(sql))).toEqual(
      [
        expect.stringMatching(
          /insert into rollup_account[^]*insert into app_user[^]*insert into sealed_tokens/,
        ),
      ],
    );
    const constraint = 'alter table sealed_tokens add constraint none check (generation < 0) not valid';
    await world.em().execute(constraint);
    const persons = [createPerson(), createPerson()];
    const tokens = [undefined, accessToken ?? ''];
    for (const [at, person] of persons.entries()) {
      await expect(takeOver(person, tokens[at])).rejects.toThrow();
    }
    await world.em().execute('alter table sealed_tokens drop constraint none');
    for (const table of ['app_user', 'rollup_account', 'sealed_tokens']) {
      expect(await world.rows(table)).toHaveLength(1);
    }
    for (const [at, person] of persons.entries()) {
      expect(await takeOver(person, tokens[at])).toMatchObject({ userErrors: [], isNewUser: at === 0 });
    }
  });

  test('VLT-112 keeps the claims that it does not tell, and adds its scopes to those of earlier links', async () => {
    const [mira] = world.people;
    for (const scopes of [['openid', 'profile'], ['openid', 'email'], ['openid']]) {
      await takeOver(mira, undefined, scopes);
    }
    const { name, email } = mira ?? {};
    expect(await world.rows('app_user')).toMatchObject([{ name, email }]);
    expect(await world.rows('rollup_account')).toMatchObject([{ granted_scope: 'openid profile email' }]);
  });

  onPostgres('while another server links the same identity', () => {
    async function insertLink(tx: SqlEntityManager, userId: string, sub: string): Promise<void> {
      await tx.execute('insert into app_user (id) values (?)', [userId]);
      await tx.execute(
        'insert into rollup_account (id, user_id, issuer, sub) values (gen_random_uuid(), ?, ?, ?)',
        [userId, world.rollup.url, sub],
      );
    }

    async function countWaiting(tx: SqlEntityManager): Promise<number> {
      await tx.execute('select pg_stat_clear_snapshot()');
      return (await tx.execute(WAITING_FOR_LOCKS)).length;
    }

    test('VLT-64 many of them wait with one connection, and the others are for everybody else', async () => {
      const person = createPerson();
      const links = await world.em().transactional(async (tx) => {
        await insertLink(tx, randomUUID(), person.sub);
        const waiting = Array.from({ length: 12 }, () => takeOver(person));
        await waitUntil(async () => (await countWaiting(tx)) > 0);
        expect((await takeOver()).isNewUser).toBe(true);
        expect(await countWaiting(tx)).toBe(1);
        return { waiting };
      });
      for (const { isNewUser, userErrors } of await Promise.all(links.waiting)) {
        expect({ isNewUser, userErrors }).toEqual({ isNewUser: false, userErrors: [] });
      }
    });

    test.each(['no one', 'another user'])(
      'VLT-110 finds the user of that link when %s is signed in',
      async (who) => {
        const person = createPerson();
        const token = who === 'no one' ? undefined : ((await takeOver()).accessToken ?? '');
        const userId = randomUUID();
        const [link] = await world.em().transactional(async (tx) => {
          await insertLink(tx, userId, person.sub);
          const waiting = [takeOver(person, token)];
          await waitUntil(async () => (await countWaiting(tx)) === 1);
          return waiting;
        });
        const { user, isNewUser, userErrors } = (await link) ?? {};
        if (token === undefined) {
          expect({ id: user?.id, isNewUser, userErrors }).toEqual({
            id: userId,
            isNewUser: false,
            userErrors: [],
          });
        } else {
          expect(userErrors).toMatchObject([{ code: 'LINKED_TO_ANOTHER_USER' }]);
        }
      },
    );
  });
});
