import { mkdirSync, writeFileSync } from 'node:fs';
import autocannon, { type Result } from 'autocannon';
import { generateKeyPair } from 'jose';
import { createPerson } from '../src/dev/rollup-id/people.js';
import { startRollupId } from '../src/dev/rollup-id/rollup-id.js';
import makeTemplates, { dropTemplate } from '../test/kit/templates.mjs';
import { startProcess } from '../test/kit/server.js';
import { createTestDatabase } from '../test/kit/test-database.js';
import { randomKey } from '../test/kit/server-env.js';

/**
 * Throughput of the hot path: `me` requests per second on one server process with a thousand callers in turn, and
 * forged bearers rejected per second, each of which must cost less than a valid one.
 * Runs on the PostgreSQL server of `TEST_DATABASE_URL`; without it on the embedded database.
 */
const PEOPLE = 1_000;
const SECONDS = Number(process.env['BENCH_SECONDS'] ?? 10);
const CONNECTIONS = 50;
const ME = '{ me { id name email } }';
const ACCOUNTS = '{ me { id rollupAccounts { sub status scopes { name } } } }';

await makeTemplates();
const database = await createTestDatabase();
const people = Array.from({ length: PEOPLE }, (_, index) => createPerson({ name: `Person ${index}` }));
const rollup = await startRollupId({ people });
const server = await startProcess({
  ...database.env,
  NODE_ENV: 'test',
  PORT: '0',
  LOG_LEVEL: 'info',
  RATE_LIMIT_ADDRESS: '1000000',
  ROLLUP_ISSUER: rollup.url,
  ROLLUP_CLIENT_ID: rollup.clientId,
  ROLLUP_CLIENT_SECRET: rollup.clientSecret,
  ROLLUP_REDIRECT_URIS: rollup.redirectUris.join(','),
  TOKEN_KEYS: randomKey('k1'),
});
const linked = await linkEveryone();
const { privateKey } = await generateKeyPair('ES256');

const scenarios = [
  { name: 'me { id name email }', query: ME, bearers: linked },
  { name: 'me { rollupAccounts { sub scopes } }', query: ACCOUNTS, bearers: linked },
  { name: 'me, a new bearer each time', query: ME, bearers: await mintMany() },
  { name: 'forged, a new bearer each time', query: ME, bearers: await mintMany({ key: privateKey }) },
  { name: 'forged, the same bearer', query: ME, bearers: (await mintMany({ key: privateKey })).slice(0, 1) },
];
const results = [];
for (const { name, query, bearers } of scenarios) {
  const next = roundRobin(bearers);
  await measure(query, next, 1);
  const { requests, latency, non2xx, errors } = await measure(query, next, SECONDS);
  results.push({
    name,
    requestsPerSecond: requests.average,
    p50Ms: latency.p50,
    p99Ms: latency.p99,
    // Every request with a forged bearer counts here.
    rejected: non2xx,
    failed: errors,
  });
}

console.table(results);
mkdirSync('bench/results', { recursive: true });
const setup = {
  database: database.env.DATABASE_URL ? 'PostgreSQL' : 'PGlite',
  people: PEOPLE,
  connections: CONNECTIONS,
};
writeFileSync(
  'bench/results/me.json',
  `${JSON.stringify({ ...setup, node: process.version, results }, null, 2)}\n`,
);

await server.close();
await rollup.close();
await database.close();
await dropTemplate();

async function linkEveryone(): Promise<string[]> {
  const tokens: string[] = [];
  for (const person of people) {
    const issued = await rollup.issue(person, ['openid', 'profile', 'email']);
    const mutation =
      'mutation ($t: RollupTokensInput!) { linkRollupAccount(input: { tokens: $t }) { userErrors { code } } }';
    const { errors } = await server.ask(mutation, { t: issued });
    if (errors.length > 0) throw new Error(JSON.stringify(errors));
    tokens.push(issued.accessToken);
  }
  return tokens;
}

/** More bearers than requests can be sent in the time. */
function mintMany(overrides?: Parameters<typeof rollup.mint>[2]): Promise<string[]> {
  const all = Array.from({ length: Math.ceil((SECONDS + 1) * 5) }, () => people).flat();
  return Promise.all(all.map((person) => rollup.mint('access', person, overrides)));
}

function roundRobin(bearers: readonly string[]): () => string {
  let sent = 0;
  return () => bearers[sent++ % bearers.length] ?? '';
}

function measure(query: string, next: () => string, duration: number): Promise<Result> {
  return autocannon({
    url: `${server.url}/graphql`,
    connections: CONNECTIONS,
    duration,
    requests: [
      {
        method: 'POST',
        body: JSON.stringify({ query }),
        setupRequest: (request) => ({
          ...request,
          headers: { 'content-type': 'application/json', authorization: `Bearer ${next()}` },
        }),
      },
    ],
  });
}
