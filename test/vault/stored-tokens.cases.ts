import { createApp } from '../../src/app.js';
import { createLog } from '../../src/log.js';
import { StartupError } from '../../src/errors.js';
import { MeDocument, RenewAccessTokenDocument } from '../generated/graphql.js';
import { useWorld } from '../kit/hooks.js';
import { randomKey } from '../kit/server-env.js';

describe('stored tokens', () => {
  const world = useWorld();

  test('are in the database only as ciphertext', async () => {
    const issued = await world.rollup.issue(world.people[0]);
    await world.ask(
      'mutation ($tokens: RollupTokensInput!) { linkRollupAccount(input: { tokens: $tokens }) { userErrors { code } } }',
      { tokens: issued },
    );
    const dump = JSON.stringify(
      await world.em().execute('select * from sealed_tokens, rollup_account, app_user'),
    );
    expect(dump).toContain('access_token');
    for (const token of Object.values(issued)) {
      for (const part of token.split('.')) expect(dump).not.toContain(part);
    }
  });

  test.each(['access_token', 'refresh_token', 'data_key'])(
    'STO-10 a %s with a flipped bit ends that link, tells the operator, and touches nobody else',
    async (column) => {
      const [victim, other] = [await world.linkPerson(), await world.linkPerson(world.people[1])];
      const place = `length(${column}) - 30`;
      const anotherCharacter = `case substr(${column}, ${place}, 1) when 'x' then 'y' else 'x' end`;
      await edit(victim.accountId, `overlay(${column} placing ${anotherCharacter} from ${place})`, column);
      if (column === 'refresh_token') world.clock.advance(3_590_000);
      expect(await renewCode(victim.token)).toBe('REAUTHENTICATION_REQUIRED');
      expect(await statusOf(victim.token)).toBe('REAUTHENTICATION_REQUIRED');
      expect(world.logLines.join('')).toContain('"event":"seal_broken"');
      expect(await renewCode(other.token)).toBeUndefined();
      expect(world.rollup.calls.refresh).toBe(column === 'refresh_token' ? 1 : 0);
    },
  );

  test.each(['left(access_token, 20)', "''", "access_token || '.AA'"])(
    'STO-11 an access token stored as %s ends that link',
    async (damage) => {
      const victim = await world.linkPerson();
      await edit(victim.accountId, damage, 'access_token');
      expect(await renewCode(victim.token)).toBe('REAUTHENTICATION_REQUIRED');
      expect(await statusOf(victim.token)).toBe('REAUTHENTICATION_REQUIRED');
    },
  );

  test('STO-11 a damaged ID token ends that link at a refresh, which would have to keep it, before anybody is asked', async () => {
    const victim = await world.linkPerson();
    await edit(victim.accountId, 'left(id_token, 20)', 'id_token');
    world.clock.advance(3_590_000);
    expect(await renewCode(victim.token)).toBe('REAUTHENTICATION_REQUIRED');
    expect(await statusOf(victim.token)).toBe('REAUTHENTICATION_REQUIRED');
    expect(world.rollup.calls.refresh).toBe(0);
  });

  test('swapped between two accounts do not open', async () => {
    const [first, second] = [await world.linkPerson(), await world.linkPerson(world.people[1])];
    await edit(
      first.accountId,
      `(select access_token from sealed_tokens where account_id = '${second.accountId}')`,
      'access_token',
    );
    expect(await renewCode(first.token)).toBe('REAUTHENTICATION_REQUIRED');
    expect(await renewCode(second.token)).toBeUndefined();
  });

  test.each([
    ['without the kid that rows use', randomKey('k9')],
    ['with the wrong bytes for it', randomKey('k1')],
  ])(
    'STO-17 VLT-04 the server refuses to start %s, says which key it needs, and changes no row',
    async (_title, keys) => {
      await world.linkPerson();
      const before = await world.rows('sealed_tokens');
      const config = { ...world.config, vault: { ...world.config.vault, keys } };
      const shared = {
        em: world.em(),
        transact: () => Promise.reject(new Error('no link is stored')),
        inTurn: () => Promise.reject(new Error('no link is stored')),
        migrate: async () => [],
        isReady: async () => true,
        readClock: async () => world.clock.now(),
        close: async () => undefined,
      };
      const starting = createApp(config, {
        log: silentLog(),
        now: world.clock.now,
        openDatabase: async () => shared,
      });
      const error = await starting.catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(StartupError);
      expect(error).toMatchObject({ message: expect.stringContaining('"k1"') });
      expect(await world.rows('sealed_tokens')).toEqual(before);
    },
  );

  async function edit(accountId: string, expression: string, column: string): Promise<void> {
    await world
      .em()
      .execute(`update sealed_tokens set ${column} = ${expression} where account_id = ?`, [accountId]);
  }

  async function renewCode(token: string): Promise<unknown> {
    return (await world.ask(RenewAccessTokenDocument, { input: {} }, { token })).codes[0];
  }

  async function statusOf(token: string): Promise<string | undefined> {
    return (await world.ask(MeDocument, {}, { token })).data.me?.rollupAccounts[0]?.status;
  }
});

function silentLog() {
  return createLog('silent', []);
}
