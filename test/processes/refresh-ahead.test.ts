import { randomUUID } from 'node:crypto';
import { waitUntil } from '../kit/eventually.js';
import { useServers } from '../kit/hooks.js';
import { renewConcurrently } from '../kit/renewals.js';
import { IN_EVERY_PROCESS } from '../kit/test-database.js';

describe('refreshing ahead of demand', () => {
  const all = useServers(4, { env: { REFRESH_AHEAD_SECONDS: '2' } });

  test(`RFR-31 while tokens are refreshed ahead ${IN_EVERY_PROCESS} and callers renew too, one expiry costs one call`, async () => {
    const people = await Promise.all(Array.from({ length: 10 }, () => all.linkExpired()));
    const requested = people.slice(0, 5);
    const renewals = await Promise.all(requested.map(({ bearer }) => renewConcurrently(all, bearer, 8)));
    for (const own of renewals) expect(new Set(own.map(({ token }) => token)).size).toBe(1);
    // No caller requests the tokens of the other five.
    await waitUntil(async () => {
      const rows = await Promise.all(people.map(({ accountId }) => all.row(accountId)));
      return rows.every((row) => row['generation'] === 2);
    });
    expect(people.map(({ sub }) => all.rollup.calls.refreshesOf(sub))).toEqual(people.map(() => 1));
  });

  test('RFR-31 an account with the expired lease of a dead process is refreshed ahead too', async () => {
    const { accountId, sub } = await all.linkPerson();
    const expiredLease = `update sealed_tokens set lease_id = ?, lease_expires_at = clock_timestamp() where account_id = ?`;
    await all.em().execute(expiredLease, [randomUUID(), accountId]);
    await all.expire(accountId);
    await waitUntil(async () => (await all.row(accountId))['generation'] === 2);
    expect(all.rollup.calls.refreshesOf(sub)).toBe(1);
  });
});
