import { randomBytes } from 'node:crypto';
import type { Config } from '../../config.js';
import { ProviderMisconfiguredError } from '../../errors.js';
import type { Fetch } from '../../fetch.js';
import { tryCredentials } from '../../rollup/client-credentials.js';
import { fetchKeySet } from '../../rollup/key-set.js';
import { createRollup, type Rollup } from '../../rollup/rollup.js';
import type { RollupClientSettings } from '../../rollup/settings.js';
import { CLOCK_SKEW_SECONDS } from '../../rollup/token-verifier.js';
import { causeOf } from './cause.js';
import {
  type Check,
  type CheckResult,
  failed,
  type Finding,
  ok,
  runChecks,
  skipped,
  warning,
} from './check.js';
import { describeSkew, leastSkew, SET_CLOCKS } from '../../clock-skew.js';
import { clockOf, observe, type Observed } from './observed-fetch.js';
import { checkRedirectUri } from './redirect-uri-check.js';

/** Rejecting nothing yet, but no clock that is kept. */
const NOTABLE_SKEW_MS = 5_000;
const DISCOVERY = 'provider discovery';

/** What the checks depend on. The clock in milliseconds since the epoch. */
interface World {
  readonly fetch: Fetch;
  readonly now: () => number;
}

/** Asks the provider as a server would, without anybody's token. */
export async function checkProvider(
  { rollup: settings, provider, accounts }: Pick<Config, 'rollup' | 'provider' | 'accounts'>,
  { fetch, now }: World,
): Promise<CheckResult[]> {
  if (!settings) return [{ name: 'provider', ...skipped('Embedded: a part of the server.') }];
  const { timeoutMs } = provider;
  const observed = observe(fetch, now);
  const deps = { fetch: observed.fetch, now, monotonicNow: () => performance.now() };
  const rollup = createRollup(settings, provider, deps);
  let discovered: Observed | undefined;
  const check = (name: string, run: Check['run']): Check => ({
    name,
    needs: [DISCOVERY],
    deadlineMs: 2 * timeoutMs + 1_000,
    run: () => run().catch(noResponse),
  });
  return runChecks([
    {
      ...check(DISCOVERY, async () => {
        await rollup.issuer.endpoints();
        discovered = observed.last();
        return ok(`${settings.issuer} is the issuer that it names.`);
      }),
      needs: [],
    },
    check('signing keys', () => checkKeys(rollup, observed.fetch, timeoutMs)),
    check('client credentials', () => checkCredentials(rollup, settings)),
    check('provider clock', async () => judgeClock(discovered)),
    ...settings.redirectUris.map((uri) =>
      check('redirect URI', async () => {
        const request = await authorizationRequest(rollup, uri, accounts.allowedScopes);
        return checkRedirectUri(request, uri, observed, timeoutMs);
      }),
    ),
  ]);
}

function noResponse(error: unknown): Finding {
  const cause = causeOf(error);
  if (error instanceof ProviderMisconfiguredError) {
    return failed(
      `The provider is not as the settings say: ${cause}.`,
      'Check ROLLUP_ISSUER: it is compared exactly.',
    );
  }
  return failed(
    `No usable response of the provider: ${cause}.`,
    'Check ROLLUP_ISSUER, and that this machine reaches it.',
  );
}

async function checkKeys({ issuer }: Rollup, fetch: Fetch, timeoutMs: number): Promise<Finding> {
  const keys = await fetchKeySet((await issuer.endpoints()).jwks, fetch, timeoutMs);
  return ok(`${keys.length} for ES256.`);
}

async function checkCredentials(
  { client }: Rollup,
  { redirectUris }: RollupClientSettings,
): Promise<Finding> {
  try {
    if ((await tryCredentials(client, redirectUris[0] ?? '')) === 'accepted') {
      return ok('The provider accepts them: it rejected a made-up code only.');
    }
    return warning('The response to a made-up code does not tell.', 'Sign in once to be sure.');
  } catch (error) {
    if (!(error instanceof ProviderMisconfiguredError)) throw error;
    return failed(
      `The provider rejects them: ${causeOf(error)}.`,
      'Set ROLLUP_CLIENT_ID and ROLLUP_CLIENT_SECRET to what the Console shows now.',
    );
  }
}

/** The provider's clock against ours, from a response; a second or two are lost to the resolution of `Date`. */
export function judgeClock(response: Pick<Observed, 'headers' | 'ours'> | undefined): Finding {
  const theirs = response && clockOf(response);
  if (!response || !theirs) return skipped('Its responses have no Date.');
  const skew = leastSkew(theirs, response.ours);
  if (Math.abs(skew) <= NOTABLE_SKEW_MS) return ok('Agrees with this machine.');
  const found = `It is ${describeSkew(skew)}`;
  if (Math.abs(skew) <= CLOCK_SKEW_SECONDS * 1_000) return warning(`${found}.`, SET_CLOCKS);
  return failed(`${found}: its tokens are rejected beyond ${CLOCK_SKEW_SECONDS} s.`, SET_CLOCKS);
}

function authorizationRequest(
  { client }: Rollup,
  redirectUri: string,
  scopes: readonly string[],
): Promise<string> {
  const random = (): string => randomBytes(32).toString('base64url');
  const secrets = { state: random(), nonce: random(), codeChallenge: random() };
  return client.authorizationUrl({ redirectUri, scopes, ...secrets, forceConsent: false });
}
