import { randomUUID } from 'node:crypto';
import { waitUntil } from '../kit/eventually.js';
import { renewConcurrently } from '../kit/renewals.js';
import { type Servers, startServers } from '../kit/servers.js';

describe('refreshing ahead of demand', () => {
  let all: Servers;
  beforeAll(async () => (all = await startServers(4, { env: { REFRESH_AHEAD_SECONDS: '2' } })));
  afterAll(() => all.close());

  test('RFR-31 with every process looking ahead and callers asking too, one expiry still costs one call', async () => {
    const people = await Promise.all(Array.from({ length: 10 }, () => all.linkPerson()));
    for (const { accountId } of people) await all.expire(accountId);
    const asked = people.slice(0, 5);
    const answers = await Promise.all(asked.map(({ bearer }) => renewConcurrently(all, bearer, 8)));
    for (const tokens of answers) expect(new Set(tokens.map(({ token }) => token)).size).toBe(1);
    // Nobody asks for the others' tokens.
    await waitUntil(async () => {
      const rows = await Promise.all(people.map(({ accountId }) => all.row(accountId)));
      return rows.every((row) => row?.generation === 2);
    });
    expect(people.map(({ sub }) => all.rollup.calls.refreshesOf(sub))).toEqual(people.map(() => 1));
  });

  test('RFR-31 an account whose refresh was left behind by a process that died is refreshed ahead as well', async () => {
    const { accountId, sub } = await all.linkPerson();
    const leftBehind = `update sealed_tokens set lease_id = ?, lease_expires_at = clock_timestamp() where account_id = ?`;
    await all.em().execute(leftBehind, [randomUUID(), accountId]);
    await all.expire(accountId);
    await waitUntil(async () => (await all.row(accountId)).generation === 2);
    expect(all.rollup.calls.refreshesOf(sub)).toBe(1);
  });
});
