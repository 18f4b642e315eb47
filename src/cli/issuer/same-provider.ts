import { StartupError } from '../../errors.js';
import type { Fetch } from '../../fetch.js';
import { discover } from '../../rollup/discovery.js';
import { fetchKeySet } from '../../rollup/key-set.js';
import { causeOf } from '../doctor/cause.js';

/** How the two addresses are asked. */
interface Call {
  readonly fetch: Fetch;
  readonly timeoutMs: number;
}

type Keys = Awaited<ReturnType<typeof fetchKeySet>>;

/** The keys of an issuer that answers as itself. Throws `StartupError`, with `advice`. */
async function keysOf(issuer: string, { fetch, timeoutMs }: Call, advice: string): Promise<Keys> {
  try {
    const { jwks } = await discover(issuer, fetch, timeoutMs);
    return await fetchKeySet(jwks, fetch, timeoutMs);
  } catch (error) {
    throw new StartupError(`${issuer} does not answer as an issuer: ${causeOf(error)}. ${advice}`);
  }
}

/** Throws `StartupError` unless the new address answers as an issuer. */
export async function refuseNoIssuer(to: string, call: Call): Promise<void> {
  await keysOf(to, call, 'Accounts stay where they are.');
}

/** Throws `StartupError` unless both addresses answer as issuers, and the new one has every key of the old one. */
export async function refuseOtherProvider(from: string, to: string, call: Call): Promise<void> {
  const [old, renamed] = [
    await keysOf(from, call, 'If it is gone for good, --force goes on without comparing keys.'),
    await keysOf(to, call, 'Accounts stay where they are.'),
  ];
  const missing = old.filter(
    (key) => !renamed.some(({ kid, x, y }) => kid === key.kid && x === key.x && y === key.y),
  );
  if (missing.length === 0) return;
  const kids = missing.map(({ kid = '' }) => `"${kid}"`).join(', ');
  throw new StartupError(`${to} is another provider: it lacks the signing keys ${kids} of ${from}.`);
}
