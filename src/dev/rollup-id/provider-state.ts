import { randomBytes } from 'node:crypto';
import { generateKeyPair, SignJWT } from 'jose';
import { CallCounts } from '../instruments/call-counts.js';
import { AuthorizationCodes } from './authorization-codes.js';
import { Grants } from './grants.js';
import { demoPeople, type Person } from './people.js';
import { SigningKeys } from './signing-keys.js';
import { readState, type StoredState, writeState } from './state-file.js';
import { defaultSwitches, type Switches } from '../instruments/switches.js';

/** The state that the endpoints of one provider share. */
export interface ProviderState {
  /** The origin, without a trailing slash; set once the provider listens. */
  url: string;
  redirectUris: readonly string[];
  readonly clientId: string;
  readonly clientSecret: string;
  readonly galaxyKey: string;
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

/** The settings of a provider. */
export interface ProviderSettings {
  readonly now?: (() => number) | undefined;
  readonly statePath?: string | undefined;
  readonly people?: readonly Person[] | undefined;
  readonly graphiqlUrl?: string | undefined;
}

/** Restores the state of an earlier run, or creates a new one. */
export async function openProviderState(settings: ProviderSettings): Promise<ProviderState> {
  const { statePath, now = Date.now } = settings;
  const stored = statePath === undefined ? undefined : readState(statePath);
  const credentials = stored ?? (await newCredentials(now()));
  const keys =
    stored === undefined ? await SigningKeys.generate(now()) : await SigningKeys.restore(stored.keys);
  const grants = new Grants(stored?.grants);
  const { clientId, clientSecret, galaxyKey } = credentials;
  const save = (): void => {
    if (statePath === undefined) return;
    writeState(statePath, {
      clientId,
      clientSecret,
      galaxyKey,
      keys: keys.toJSON(),
      grants: grants.toJSON(),
    });
  };
  save();
  return {
    url: '',
    redirectUris: [],
    clientId,
    clientSecret,
    galaxyKey,
    graphiqlUrl: settings.graphiqlUrl,
    people: [...(settings.people ?? demoPeople())],
    switches: defaultSwitches(),
    calls: new CallCounts(),
    keys,
    grants,
    codes: new AuthorizationCodes(),
    now,
    save,
  };
}

async function newCredentials(
  now: number,
): Promise<Pick<StoredState, 'clientId' | 'clientSecret' | 'galaxyKey'>> {
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
