import { jwtVerify } from 'jose';
import { openDatabase } from '../src/database/orm.js';
import { createDataKey } from '../src/vault/data-key.js';
import { sealJwe } from '../src/vault/jwe.js';
import { ask, post } from './kit/http.js';
import { measure, type Measured, report, round } from './kit/measure.js';
import { startSetting } from './kit/setting.js';
import { createSub, type SignedTokens } from './kit/tokens.js';

/**
 * What a refresh costs beyond the provider's own time, one at a time; refreshes a second, 32 at once; and what its parts
 * take alone. Each account is refreshed once, by a caller of its own. Runs on the PostgreSQL server of
 * `TEST_DATABASE_URL`; without it on the embedded database.
 */
const ACCOUNTS = Number(process.env['BENCH_ACCOUNTS'] ?? 6_400);
const ONE_BY_ONE = Math.floor(ACCOUNTS / 8);
/** As many as it takes until the code is compiled, at once and again one at a time: those take other ways. */
const WARM_UP = Math.floor(ACCOUNTS / 4);
const PARTS = 300;
const AT_ONCE = 32;
const LINK = `mutation ($input: LinkRollupAccountInput!) { linkRollupAccount(input: $input) { userErrors { code } } }`;
const RENEW = `mutation ($input: RenewAccessTokenInput!) {
  renewAccessToken(input: $input) { accessToken accessTokenExpiresAt userErrors { code } } }`;

interface Caller {
  readonly sub: string;
  readonly stored: SignedTokens;
  /** Lives longer than the stored token. */
  readonly bearer: string;
}

const setting = await startSetting();
const { mint } = setting;
const callers = Array.from({ length: ACCOUNTS }, createCaller);
await measure(callers, AT_ONCE, ({ stored }) => ask(setting.url, LINK, { input: { tokens: stored } }));
const warmedUp = callers.slice(0, WARM_UP);
await measure(warmedUp, AT_ONCE, refresh);

const provider = await measure(warmedUp, 1, askProvider);
const [alone, others] = [
  callers.slice(WARM_UP, 2 * WARM_UP + ONE_BY_ONE),
  callers.slice(2 * WARM_UP + ONE_BY_ONE),
];
await measure(alone.slice(0, WARM_UP), 1, refresh);
const oneByOne = await measure(alone.slice(WARM_UP), 1, refresh, setting.pid);
const atOnce = await measure(others, AT_ONCE, refresh, setting.pid);
const served = warmedUp.slice(0, PARTS);
const results: ({ name: string } & Partial<Measured>)[] = [
  { name: "the provider's own time", ...provider },
  { name: 'a refresh, one at a time', ...oneByOne },
  {
    name: "… beyond the provider's own time",
    p50Ms: round(oneByOne.p50Ms - provider.p50Ms),
    p95Ms: round(oneByOne.p95Ms - provider.p50Ms),
  },
  { name: `refreshes, ${AT_ONCE} at once`, ...atOnce },
  { name: 'part: a request that reads nothing', ...(await measure(served, 1, askNothing, setting.pid)) },
  { name: 'part: a stored token that is still good', ...(await measure(served, 1, refresh, setting.pid)) },
  { name: 'part: a signature verified', ...(await measureVerification()) },
  { name: 'part: a token sealed', ...(await measureSealing()) },
];
const statements = setting.settings.url === undefined ? [] : await measureStatements();
report('refresh', { ...setting.setup, accounts: ACCOUNTS, atOnce: AT_ONCE }, [...results, ...statements]);
await setting.close();

function createCaller(): Caller {
  const sub = createSub();
  // Inside the margin: the first renewal refreshes.
  return { sub, stored: mint.grant(sub, 50, 60), bearer: mint.access(sub) };
}

async function refresh({ bearer, stored }: Caller): Promise<void> {
  type Renewed = { renewAccessToken: { accessToken: string } };
  const { renewAccessToken } = await ask<Renewed>(setting.url, RENEW, { input: {} }, bearer);
  if (renewAccessToken.accessToken === stored.accessToken) throw new Error('not refreshed');
}

async function askNothing({ bearer }: Caller): Promise<void> {
  await ask(setting.url, '{ __typename }', {}, bearer);
}

/** The same form that the server sends. */
async function askProvider({ stored }: Caller): Promise<void> {
  const grant = { grant_type: 'refresh_token', refresh_token: stored.refreshToken };
  const form = new URLSearchParams({ ...grant, ...setting.credentials }).toString();
  await post(`${setting.issuer}/token`, form, { 'content-type': 'application/x-www-form-urlencoded' });
}

async function measureVerification(): Promise<Measured> {
  const key = await crypto.subtle.importKey('jwk', mint.jwk, { name: 'ECDSA', namedCurve: 'P-256' }, false, [
    'verify',
  ]);
  return measure(served, 1, ({ bearer }) => jwtVerify(bearer, key));
}

function measureSealing(): Promise<Measured> {
  const place = { table: 'sealed_tokens', column: 'access_token', account: '', kind: 'access_token' };
  const key = createDataKey();
  const context = { ...place, issuer: setting.issuer, client_id: 'bench-client' };
  return measure(served, 1, ({ bearer }) => sealJwe(bearer, key, context));
}

/** Of a small table of its own: the way to the server and back, and, with a write, to the disk. */
async function measureStatements(): Promise<({ name: string } & Measured)[]> {
  const database = await openDatabase({ ...setting.settings, poolMax: 1, timeoutMs: 5_000 });
  const em = database.em.fork();
  await em.execute('create table bench_part (id int primary key, value text)');
  await em.execute(`insert into bench_part values (1, '')`);
  const read = await measure(served, 1, () => em.execute('select value from bench_part where id = ?', [1]));
  const write = await measure(served, 1, ({ sub }) =>
    em.execute('update bench_part set value = ? where id = ?', [sub, 1]),
  );
  await database.close();
  return [
    { name: 'part: a statement that reads', ...read },
    { name: 'part: a statement that writes', ...write },
  ];
}
