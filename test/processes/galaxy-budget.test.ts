import { createPerson } from '../../src/dev/rollup-id/people.js';
import { LinkRollupAccountDocument } from '../generated/graphql.js';
import { serverAt } from '../kit/renewals.js';
import { type Server, startServers } from '../kit/servers.js';

const SCOPES = ['openid', 'profile', 'email'];

test('all servers share one budget of Galaxy, and a new one does not refill it', async () => {
  const all = await startServers(4);
  const bearers = await Promise.all(Array.from({ length: 20 }, link));
  const results = await Promise.all(bearers.map((token, index) => codesAt(serverAt(all, index), token)));
  expect(results.filter((codes) => codes.length === 0)).toHaveLength(10);
  expect(results.filter(([code]) => code === 'RATE_LIMITED')).toHaveLength(10);
  const limited = bearers.find((_, index) => results[index]?.length === 1);
  expect(await codesAt(await all.add(), limited)).toEqual(['RATE_LIMITED']);
  expect(all.rollup.calls.galaxy).toBe(10);
  await all.em().execute(`update galaxy_slot set taken_at = taken_at - interval '1 minute'`);
  expect(await codesAt(await all.add(), limited)).toEqual([]);
  await all.close();

  async function link(): Promise<string> {
    const tokens = await all.rollup.issue(createPerson({ email: 'somebody@example.com' }), SCOPES);
    const { data } = await all.server.ask(LinkRollupAccountDocument, { input: { tokens } });
    expect(data.linkRollupAccount.userErrors).toEqual([]);
    return tokens.accessToken;
  }

  async function codesAt({ ask }: Server, token: string | undefined): Promise<readonly unknown[]> {
    const query = '{ me { rollupAccounts { authorizedApps { title } } } }';
    return (await ask(query, undefined, { token })).codes;
  }
});
