import { createGate } from '../../src/dev/instruments/faults.js';
import type { Person } from '../../src/dev/rollup-id/people.js';
import { MeDocument, RenewAccessTokenDocument, UnlinkRollupAccountDocument } from '../generated/graphql.js';
import { useWorld } from '../kit/hooks.js';

describe('an account', () => {
  const world = useWorld();
  let ben: Person;
  beforeAll(() => void ([, ben] = world.people));

  test('is not linked to a user who was deleted while the code was exchanged', async () => {
    const { accountId, token } = await world.linkPerson();
    const { begun, url } = await world.approve(ben, { token });
    const gate = createGate();
    world.rollup.switches.faults.exchange.queue.push(gate.fault);
    const finished = world.finish(begun, url, token);
    await gate.arrived;
    await world.ask(UnlinkRollupAccountDocument, { input: { accountId } }, { token });
    expect(await world.rows('app_user')).toEqual([]);
    gate.release();
    expect((await finished).userErrors).toMatchObject([{ code: 'LINK_NOT_FOUND' }]);
    for (const table of ['app_user', 'rollup_account', 'sealed_tokens']) {
      expect(await world.rows(table)).toEqual([]);
    }
  });

  test.each(['', 'nonsense', "' or true --", '5b0ed2a4-8a6e-4b5e-9a37-1f5b3a2c9d1', '\0'])(
    'is not found by the id %j, which is none',
    async (accountId) => {
      const { token } = await world.linkPerson();
      const notFound = [{ code: 'ACCOUNT_NOT_FOUND', field: 'accountId' }];
      const renewed = await world.ask(RenewAccessTokenDocument, { input: { accountId } }, { token });
      expect(renewed.data?.renewAccessToken.userErrors).toMatchObject(notFound);
      const unlinked = await world.ask(UnlinkRollupAccountDocument, { input: { accountId } }, { token });
      expect(unlinked.data?.unlinkRollupAccount.userErrors).toMatchObject(notFound);
    },
  );

  test('of the same subject at an earlier issuer is not the caller, and cannot be renewed by them', async () => {
    const { token, userId } = await world.linkPerson();
    await world.em().execute(`update rollup_account set issuer = 'https://earlier.example'`);
    expect((await world.ask(MeDocument, {}, { token })).data).toEqual({ me: null });
    const { codes } = await world.ask(RenewAccessTokenDocument, { input: {} }, { token });
    expect(codes).toEqual(['NOT_LINKED']);
    expect((await world.linkPerson()).userId).not.toBe(userId);
  });
});
