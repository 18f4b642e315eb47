import { startRollupId } from '../../src/dev/rollup-id/rollup-id.js';
import { createPerson } from '../../src/dev/rollup-id/people.js';
import { LinkRollupAccountDocument } from '../generated/graphql.js';
import { waitUntil } from '../kit/eventually.js';
import { useStarted } from '../kit/hooks.js';
import { linkPeople } from '../kit/renewals.js';
import { type LinkedPerson, startServers } from '../kit/servers.js';

describe('a wrong ROLLUP_ISSUER, with tokens that are to be refreshed ahead of demand,', () => {
  const other = useStarted(() => startRollupId());
  const all = useStarted(() => startServers(1));

  test('VLT-107 VLT-108 is told with the number of accounts; no token goes there, no row changes, and they come back', async () => {
    const resting = await linkPeople(all, 3);
    for (const { accountId } of resting) await all.expire(accountId);
    await all.server.stop();
    const before = await rowsOf(resting);
    const wrong = await all.add({
      ROLLUP_ISSUER: other.url,
      ROLLUP_CLIENT_ID: other.clientId,
      ROLLUP_CLIENT_SECRET: other.clientSecret,
      REFRESH_AHEAD_SECONDS: '1',
    });
    const told = `"event":"resting","accounts":3,"issuer":"${all.rollup.url}","clientId":"${all.rollup.clientId}"`;
    expect(wrong.output()).toContain(told);
    // One that is refreshed there shows that the others had their turn.
    const tokens = await other.issue(createPerson(), ['openid']);
    const { data } = await wrong.ask(LinkRollupAccountDocument, { input: { tokens } });
    const accountId = data.linkRollupAccount.account?.id ?? '';
    await all.expire(accountId);
    await waitUntil(async () => (await all.row(accountId))['generation'] === 2);
    for (const { bearer } of resting) {
      expect(await all.renew(wrong, bearer)).toMatchObject({ code: 'UNAUTHENTICATED' });
    }
    await wrong.stop();
    expect(other.calls).toMatchObject({ refresh: 1, exchange: 0 });
    expect(await rowsOf(resting)).toEqual(before);

    const right = await all.add();
    expect(right.output()).toContain(`"event":"resting","accounts":1,"issuer":"${other.url}"`);
    const renewals = await Promise.all(resting.map(({ bearer }) => all.renew(right, bearer)));
    expect(renewals.map(({ code }) => code)).toEqual([undefined, undefined, undefined]);
    expect(resting.map(({ sub }) => all.rollup.calls.refreshesOf(sub))).toEqual([1, 1, 1]);
  });

  test('VLT-107 nothing is told where the settings are right', async () => {
    const server = await all.add();
    await all.em().execute('delete from rollup_account where issuer <> ?', [all.rollup.url]);
    await server.stop();
    expect((await all.add()).output()).not.toContain('"event":"resting"');
  });

  const rowsOf = (persons: readonly LinkedPerson[]) =>
    Promise.all(persons.map(({ accountId }) => all.row(accountId)));
});
