import { randomBytes } from 'node:crypto';
import { generateKeyPair, SignJWT } from 'jose';
import { createCallCounts } from '../instruments/call-counts.js';
import { AuthorizationCodes } from './authorization-codes.js';
import { Grants } from './grants.js';
import { demoPeople, type Person } from './people.js';
import { SigningKeys } from './signing-keys.js';
import { type Credentials, readState, writeState } from './state-file.js';
import { defaultSwitches } from '../instruments/switches.js';

/** The settings of a provider; each has a default. */
export interface ProviderSettings {
  /** The clock, in milliseconds. */
  readonly now?: () => number;
  /** A JSON file that stores keys, credentials and grants, so that tokens survive a restart; memory only when absent. */
  readonly statePath?: string;
  /** The users; three demo people by default. */
  readonly people?: readonly Person[];
  /** Linked by the pages, to run a mutation. */
  readonly graphiqlUrl?: string | undefined;
}

/** The state that the endpoints of one provider share. */
export type ProviderState = Awaited<ReturnType<typeof openProviderState>>;

/** Restores the state of an earlier run, or creates a new one. */
export async function openProviderState(settings: ProviderSettings) {
  const { statePath, now = Date.now, people = demoPeople(), graphiqlUrl } = settings;
  const stored = statePath === undefined ? undefined : readState(statePath);
  const { clientId, clientSecret, galaxyKey } = stored ?? (await newCredentials(now()));
  const keys = await (stored ? SigningKeys.restore(stored.keys) : SigningKeys.generate(now()));
  const grants = new Grants(stored?.grants);
  const state = {
    clientId,
    clientSecret,
    galaxyKey,
    /** The origin, without a trailing slash; set once the provider listens, like `redirectUris`. */
    url: '',
    redirectUris: [] as readonly string[],
    graphiqlUrl,
    people: [...people],
    switches: defaultSwitches(),
    calls: createCallCounts(),
    keys,
    grants,
    codes: new AuthorizationCodes(),
    /** The clock, in milliseconds. */
    now,
    /** Writes the state file, if there is one. */
    save: (): void => {
      if (statePath === undefined) return;
      const credentials = { clientId, clientSecret: state.clientSecret, galaxyKey };
      writeState(statePath, { ...credentials, keys: keys.toJSON(), grants: grants.toJSON() });
    },
  };
  state.save();
  return state;
}

/** A client secret as Rollup ID makes them. */
export function newClientSecret(): string {
  return randomBytes(20).toString('hex');
}

async function newCredentials(now: number): Promise<Credentials> {
  const clientId = randomBytes(16).toString('hex');
  // Galaxy compares an API key with the stored one, so the key pair that signed it is not needed again.
  const { privateKey } = await generateKeyPair('ES256');
  const galaxyKey = await new SignJWT({})
    .setProtectedHeader({ alg: 'ES256' })
    .setSubject(`urn:rollupid:application/${clientId}`)
    .setIssuedAt(Math.floor(now / 1000))
    .setJti(`0x${randomBytes(24).toString('hex')}`)
    .sign(privateKey);
  return { clientId, clientSecret: newClientSecret(), galaxyKey };
}
