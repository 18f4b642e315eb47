import {
  type AuthorizationRequest,
  approveAs,
  approveSilently,
  cancelledCallback,
  parseAuthorizationRequest,
} from '../rollup-id/authorize.js';
import type { CallCounts } from './call-counts.js';
import type { Person } from '../rollup-id/people.js';
import type { ProviderState } from '../rollup-id/provider-state.js';
import type { Credentials } from '../rollup-id/state-file.js';
import { defaultSwitches, type Switches } from './switches.js';
import { issueTokens } from '../rollup-id/token-endpoint.js';
import { mintToken, type MintOverrides, type TokenKind } from '../rollup-id/tokens.js';

/** A person's choices on the consent screen. */
export interface Choice {
  /** The first of the people by default. */
  readonly person?: Person | undefined;
  /** The requested scopes by default. */
  readonly scopes?: readonly string[];
  /** Binds the code to another client, for tests of a client mismatch. */
  readonly codeClientId?: string;
}

/** A running provider: Passport and Galaxy on one origin. */
export interface RollupId extends Credentials {
  /** The origin, which is the issuer: no trailing slash. */
  readonly url: string;
  readonly galaxyUrl: string;
  readonly redirectUris: readonly string[];
  /** Read at each call: people can be added, and their data changed. */
  readonly people: Person[];
  readonly calls: CallCounts;
  readonly switches: Switches;
  /** Approves, without the consent screen where an earlier grant covers the scopes; returns the callback URL. Throws `AuthorizationError`. */
  approve(authorizationUrl: string, choice?: Choice): Promise<string>;
  /** Cancels on the consent screen; returns the callback URL with `access_denied`. */
  cancel(authorizationUrl: string): Promise<string>;
  /** Signs one token with any claims, header and key. */
  mint(kind: TokenKind, person: Person, overrides?: MintOverrides): Promise<string>;
  /** Issues the tokens of a code exchange; scopes are `openid profile email` by default. */
  issue(person: Person, scopes?: readonly string[]): Promise<IssuedTokens>;
  /** Rotates the signing key. The old ones stay published unless `keepOld` is false. */
  rotateKeys(options?: { keepOld?: boolean }): Promise<void>;
  /** Revokes a person's grant, as they can in their settings. */
  revoke(person: Person): void;
  /** Resets switches and faults and clears counts, grants and codes; keys, credentials and people stay. */
  reset(): void;
  /** Stops listening, closes open connections and ends delays and holds. */
  close(): Promise<void>;
}

/** The three tokens of a grant. */
export interface IssuedTokens {
  readonly accessToken: string;
  readonly refreshToken: string;
  readonly idToken: string;
}

const DEFAULT_SCOPES = ['openid', 'profile', 'email'];

/** Creates the controls of a listening provider. */
export function createControls(state: ProviderState, close: () => Promise<void>): RollupId {
  const { url, clientId, clientSecret, galaxyKey, redirectUris, people, calls, switches } = state;
  const values = { url, clientId, clientSecret, galaxyKey, redirectUris, people, calls, switches };
  return {
    ...values,
    galaxyUrl: `${url}/graphql`,
    approve: async (authorizationUrl, choice = {}) => approve(state, authorizationUrl, choice),
    cancel: async (authorizationUrl) => cancelledCallback(readRequest(state, authorizationUrl)),
    mint: async (kind, person, overrides = {}) => {
      const scopes = overrides.scopes ?? DEFAULT_SCOPES;
      return mintToken(state, kind, { issuer: url, sub: person.sub, scopes, person }, overrides);
    },
    issue: async (person, scopes = DEFAULT_SCOPES) => {
      state.grants.approve(person.sub, scopes, state.now());
      const tokens = await issueTokens(state, { issuer: url, sub: person.sub, scopes, person });
      const { access_token, refresh_token, id_token } = tokens;
      return { accessToken: access_token, refreshToken: refresh_token, idToken: id_token };
    },
    rotateKeys: async ({ keepOld = true } = {}) => {
      await state.keys.rotate(state.now(), keepOld);
      state.save();
    },
    revoke: ({ sub }) => {
      state.grants.revoke(sub);
      state.save();
    },
    reset: () => reset(state),
    close,
  };
}

function approve(state: ProviderState, authorizationUrl: string, choice: Choice): string {
  const request = readRequest(state, authorizationUrl);
  const person = choice.person ?? state.people[0];
  if (person === undefined) throw new Error('The provider has no people, so no one can approve');
  const callback =
    approveSilently(state, request, person.sub) ?? approveAs(state, request, person, choice.scopes);
  const record = state.codes.find(new URL(callback).searchParams.get('code') ?? '', state.now());
  if (record !== undefined && choice.codeClientId !== undefined) record.clientId = choice.codeClientId;
  return callback;
}

function readRequest(state: ProviderState, authorizationUrl: string): AuthorizationRequest {
  const { origin, pathname, searchParams } = new URL(authorizationUrl);
  if (origin !== state.url || pathname !== '/authorize') {
    throw new Error(`Not an authorization URL of this provider: ${origin}${pathname}`);
  }
  state.calls.count('authorize');
  return parseAuthorizationRequest(state, searchParams);
}

function reset(state: ProviderState): void {
  Object.assign(state.switches, defaultSwitches());
  state.calls.reset();
  state.grants.clear();
  state.codes.clear();
  state.save();
}
