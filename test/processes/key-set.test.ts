import { randomUUID } from 'node:crypto';
import { createPerson } from '../../src/dev/rollup-id/people.js';
import { serverAt } from '../kit/renewals.js';
import { eventually } from '../kit/eventually.js';
import { type Servers, startServers } from '../kit/servers.js';
import { IN_EVERY_PROCESS } from '../kit/test-database.js';

const QUERY = '{ consentedScopes { name } }';
const PROCESSES = 4;
const REQUESTS = 2_000;
const CONCURRENT = 50;
const person = createPerson();

test(`JWT-28 a flood of unknown key ids costs one fetch ${IN_EVERY_PROCESS}, and valid tokens are accepted meanwhile`, async () => {
  await withServers({}, async (all) => {
    const valid = await all.rollup.mint('access', person);
    for (const { ask } of all.servers) {
      expect((await ask(QUERY, undefined, { token: valid })).status).toBe(200);
    }
    const before = all.rollup.calls.jwks;
    for (let sent = 0; sent < REQUESTS; sent += CONCURRENT) {
      const statuses = await Promise.all(
        Array.from({ length: CONCURRENT }, async (_, index) => {
          const header = { kid: randomUUID() };
          const token = index % 10 === 0 ? valid : await all.rollup.mint('access', person, { header });
          return (await serverAt(all, index).ask(QUERY, undefined, { token })).status;
        }),
      );
      expect(statuses).toEqual(statuses.map((_, index) => (index % 10 === 0 ? 200 : 401)));
    }
    expect(all.rollup.calls.jwks - before).toBeLessThanOrEqual(all.servers.length);
  });
});

test(`JWT-33 a removed key is rejected ${IN_EVERY_PROCESS}, and the new one is accepted`, async () => {
  await withServers({ JWKS_MAX_AGE_SECONDS: '1' }, async (all) => {
    const old = await all.rollup.mint('access', person);
    const statusesOf = (token: string) =>
      Promise.all(all.servers.map(async ({ ask }) => (await ask(QUERY, undefined, { token })).status));
    expect(await statusesOf(old)).toEqual(all.servers.map(() => 200));
    await all.rollup.rotateKeys({ keepOld: false });
    await eventually(async () => expect(await statusesOf(old)).toEqual(all.servers.map(() => 401)));
    const fresh = await all.rollup.mint('access', person);
    expect(await statusesOf(fresh)).toEqual(all.servers.map(() => 200));
  });
});

async function withServers(
  env: Readonly<Record<string, string>>,
  run: (all: Servers) => Promise<void>,
): Promise<void> {
  const all = await startServers(PROCESSES, { env });
  try {
    await run(all);
  } finally {
    await all.close();
  }
}
