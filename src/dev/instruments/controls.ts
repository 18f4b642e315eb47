import {
  type AuthorizationRequest,
  approveAs,
  approveSilently,
  cancelledCallback,
  parseAuthorizationRequest,
} from '../rollup-id/authorize.js';
import type { Person } from '../rollup-id/people.js';
import { newClientSecret, type ProviderState } from '../rollup-id/provider-state.js';
import { defaultSwitches } from './switches.js';
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

const DEFAULT_SCOPES: readonly string[] = ['openid', 'profile', 'email'];

/** A running provider: Passport and Galaxy on one origin. */
export type RollupId = ReturnType<typeof createControls>;

/** Creates the controls of a listening provider. `close` also ends delays and holds. */
export function createControls(state: ProviderState, close: () => Promise<void>) {
  const { url, clientId, clientSecret, galaxyKey, redirectUris, people, calls, switches } = state;
  const values = { url, clientId, clientSecret, galaxyKey, redirectUris, people, calls, switches };
  return {
    ...values,
    galaxyUrl: `${url}/graphql`,
    /** Approves, without the consent screen where an earlier grant covers the scopes; returns the callback URL. */
    approve: async (authorizationUrl: string, choice: Choice = {}) =>
      approve(state, authorizationUrl, choice),
    /** Cancels on the consent screen; returns the callback URL with `access_denied`. */
    cancel: async (authorizationUrl: string) => cancelledCallback(readRequest(state, authorizationUrl)),
    /** Signs one token with any claims, header and key. */
    mint: async (kind: TokenKind, person: Person, overrides: MintOverrides = {}) => {
      const { scopes = DEFAULT_SCOPES } = overrides;
      return mintToken(state, kind, { issuer: url, sub: person.sub, scopes, person }, overrides);
    },
    /** Issues the tokens of a code exchange. */
    issue: async (person: Person, scopes = DEFAULT_SCOPES) => {
      state.grants.approve(person.sub, scopes, state.now());
      const tokens = await issueTokens(state, { issuer: url, sub: person.sub, scopes, person });
      const { access_token, refresh_token, id_token } = tokens;
      return { accessToken: access_token, refreshToken: refresh_token, idToken: id_token };
    },
    /** Rotates the signing key. */
    rotateKeys: async ({ keepOld = true } = {}) => {
      await state.keys.rotate(state.now(), keepOld);
      state.save();
    },
    /** Makes a new client secret, which ends the old one at once, and returns it. */
    renewClientSecret: () => renewClientSecret(state),
    /** Revokes a person's grant, as they can in their settings. */
    revoke: ({ sub }: Person) => {
      state.grants.revoke(sub);
      state.save();
    },
    reset: () => reset(state),
    close,
  };
}

/** Throws `AuthorizationError`. */
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

function renewClientSecret(state: ProviderState): string {
  state.clientSecret = newClientSecret();
  state.save();
  return state.clientSecret;
}

/** Resets switches and faults and clears counts, grants and codes; keys, credentials and people stay. */
function reset(state: ProviderState): void {
  Object.assign(state.switches, defaultSwitches());
  state.calls.reset();
  state.grants.clear();
  state.codes.clear();
  state.save();
}
