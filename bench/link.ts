import { ask } from './kit/http.js';
import { measure, report } from './kit/measure.js';
import { REDIRECT_URI, startSetting } from './kit/setting.js';
import { createSub, SCOPES, type SignedTokens } from './kit/tokens.js';

/**
 * Links a second of one server process, 32 at once: tokens taken over, of new identities and of known ones, and the two
 * requests of a link by code. Each of them also asks userinfo, for the email. Runs on the PostgreSQL server of
 * `TEST_DATABASE_URL`; without it on the embedded database.
 */
const LINKS = Number(process.env['BENCH_LINKS'] ?? 1_500);
/** As many as it takes until the code is compiled. */
const WARM_UP = 1_500;
const AT_ONCE = 32;
const FIELDS = `{ user { id name email } account { id sub scopes { name } } isNewUser accessToken userErrors { code } }`;
const LINK = `mutation ($input: LinkRollupAccountInput!) { linkRollupAccount(input: $input) ${FIELDS} }`;
const START = `mutation ($input: StartRollupLinkInput!) {
  startRollupLink(input: $input) { state linkToken userErrors { code } } }`;

interface Begun {
  readonly state: string;
  readonly linkToken: string;
}

const setting = await startSetting();
const subs = Array.from({ length: LINKS }, createSub);
await measure(grants(Array.from({ length: WARM_UP }, createSub), 120), AT_ONCE, takeOver);

const results = [
  { name: 'take over, new identities', ...(await measure(grants(subs, 60), AT_ONCE, takeOver, setting.pid)) },
  {
    name: 'take over, known identities',
    ...(await measure(grants(subs, 0), AT_ONCE, takeOver, setting.pid)),
  },
];
const begun: Begun[] = [];
results.push(
  { name: 'start a link', ...(await measure(subs, AT_ONCE, begin, setting.pid)) },
  { name: 'complete a link, new identities', ...(await measure(begun, AT_ONCE, complete, setting.pid)) },
);
report('link', { ...setting.setup, atOnce: AT_ONCE }, results);
await setting.close();

/** Signed before anything is measured. Each next one is younger. */
function grants(subs: readonly string[], ageSeconds: number): SignedTokens[] {
  return subs.map((sub) => setting.mint.grant(sub, 3_600, ageSeconds));
}

async function takeOver(tokens: SignedTokens): Promise<void> {
  await ask(setting.url, LINK, { input: { tokens } });
}

async function begin(): Promise<void> {
  const input = { redirectUri: REDIRECT_URI, scopes: SCOPES };
  const { startRollupLink } = await ask<{ startRollupLink: Begun }>(setting.url, START, { input });
  begun.push(startRollupLink);
}

/** The way of the browser through the provider is left out. */
async function complete({ state, linkToken }: Begun): Promise<void> {
  const url = `${REDIRECT_URI}?${new URLSearchParams({ code: createSub(), state }).toString()}`;
  await ask(setting.url, LINK, { input: { callback: { url, linkToken } } });
}
