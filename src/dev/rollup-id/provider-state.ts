import { randomBytes } from 'node:crypto';
import { generateKeyPair, SignJWT } from 'jose';
import { type CallCounts, createCallCounts } from '../instruments/call-counts.js';
import { AuthorizationCodes } from './authorization-codes.js';
import { Grants } from './grants.js';
import { demoPeople, type Person } from './people.js';
import { SigningKeys } from './signing-keys.js';
import { type Credentials, readState, writeState } from './state-file.js';
import { defaultSwitches, type Switches } from '../instruments/switches.js';

/** The state that the endpoints of one provider share. */
export interface ProviderState extends Credentials {
  /** The origin, without a trailing slash; set once the provider listens. */
  url: string;
  redirectUris: readonly string[];
  readonly graphiqlUrl: string | undefined;
  readonly people: Person[];
  readonly switches: Switches;
  readonly calls: CallCounts;
  readonly keys: SigningKeys;
  readonly grants: Grants;
  readonly codes: AuthorizationCodes;
  /** The clock, in milliseconds. */
  readonly now: () => number;
  /** Writes the state file, if there is one. */
  readonly save: () => void;
}

/** The settings of a provider; each has a default. */
export interface ProviderSettings {
  /** The clock, in milliseconds. */
  readonly now?: (() => number) | undefined;
  /** A JSON file that stores keys, credentials and grants, so that tokens survive a restart; memory only when absent. */
  readonly statePath?: string | undefined;
  /** The users; three demo people by default. */
  readonly people?: readonly Person[] | undefined;
  /** Linked by the pages, to run a mutation. */
  readonly graphiqlUrl?: string | undefined;
}

/** Restores the state of an earlier run, or creates a new one. */
export async function openProviderState(settings: ProviderSettings): Promise<ProviderState> {
  const { statePath, now = Date.now } = settings;
  const stored = statePath === undefined ? undefined : readState(statePath);
  const { clientId, clientSecret, galaxyKey } = stored ?? (await newCredentials(now()));
  const credentials = { clientId, clientSecret, galaxyKey };
  const keys =
    stored === undefined ? await SigningKeys.generate(now()) : await SigningKeys.restore(stored.keys);
  const grants = new Grants(stored?.grants);
  const save = (): void => {
    if (statePath === undefined) return;
    writeState(statePath, { ...credentials, keys: keys.toJSON(), grants: grants.toJSON() });
  };
  save();
  return {
    url: '',
    redirectUris: [],
    ...credentials,
    graphiqlUrl: settings.graphiqlUrl,
    people: [...(settings.people ?? demoPeople())],
    switches: defaultSwitches(),
    calls: createCallCounts(),
    keys,
    grants,
    codes: new AuthorizationCodes(),
    now,
    save,
  };
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
  return { clientId, clientSecret: randomBytes(20).toString('hex'), galaxyKey };
}
