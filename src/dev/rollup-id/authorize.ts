import { knownScopes, parseScope } from '../../scope.js';
import type { Person } from './people.js';
import type { ProviderState } from './provider-state.js';

const ACTIONS = ['connect', 'create', 'reconnect', 'groupconnect', 'groupemailconnect', 'group', 'preview'];

/** A validated authorization request. */
export type AuthorizationRequest = ReturnType<typeof parseAuthorizationRequest>;

/** An error shown on a page: Rollup ID never redirects these to the application. */
export class AuthorizationError extends Error {
  override readonly name = 'AuthorizationError';
  readonly status: 400 | 500;

  constructor(message: string, status: 400 | 500 = 400) {
    super(message);
    this.status = status;
  }
}

/** Parses and validates an authorization request in Rollup ID's order. Throws `AuthorizationError`. */
export function parseAuthorizationRequest(state: ProviderState, query: URLSearchParams) {
  const clientId = required(query, 'client_id');
  const clientState = required(query, 'state');
  const redirectUri = URL.parse(required(query, 'redirect_uri'));
  if (redirectUri === null) throw new AuthorizationError('valid URI is required in redirect_uri param');
  const prompt = query.get('prompt') ?? '';
  if (prompt !== '' && prompt !== 'consent') {
    throw new AuthorizationError('The only prompt supported is "consent"');
  }
  checkAction(query);
  if (clientId !== state.clientId) {
    throw new AuthorizationError(`Could not return properties of a published application: ${clientId}`, 500);
  }
  // Only the origin is compared: path and query of the redirect URI are free.
  if (!state.redirectUris.some((known) => URL.parse(known)?.origin === redirectUri.origin)) {
    throw new AuthorizationError('Provided redirect URI did not match with configured redirect URI');
  }
  /** Whether the screen is requested despite an earlier grant. */
  const forceConsent = prompt === 'consent';
  return { redirectUri, state: clientState, scopes: readScopes(query), forceConsent };
}

function required(query: URLSearchParams, name: string): string {
  const value = query.get(name) ?? '';
  if (value === '') throw new AuthorizationError(`${name} is required`);
  return value;
}

function checkAction(query: URLSearchParams): void {
  const action = query.get('rollup_action')?.split('_')[0] ?? '';
  if (action !== '' && !ACTIONS.includes(action)) {
    throw new AuthorizationError(`only Rollup actions supported are: ${ACTIONS.join(', ')}`);
  }
  if (action === 'create' && query.get('create_type') !== 'wallet') {
    throw new AuthorizationError('Invalid create_type');
  }
}

/** In the requested order. */
function readScopes(query: URLSearchParams): readonly string[] {
  const requested = decodeAgain(query.get('scope') ?? '');
  const scopes = parseScope(requested);
  if (scopes.length === 0 || requested === 'null') throw new AuthorizationError('No scope requested');
  if (!scopes.every((scope) => knownScopes.has(scope))) {
    throw new AuthorizationError('Requested scope value not in the configured allowed scope list');
  }
  return scopes;
}

// Rollup ID percent-decodes the scope a second time, after the URL parser.
function decodeAgain(scope: string): string {
  try {
    return decodeURIComponent(scope);
  } catch {
    return scope;
  }
}

/** The callback URL if an earlier grant covers the scopes; undefined if the consent screen is needed. */
export function approveSilently(state: ProviderState, request: AuthorizationRequest, sub?: string) {
  const { scopes, forceConsent } = request;
  if (sub === undefined || forceConsent || !state.grants.covers(sub, scopes)) return undefined;
  return callbackWithCode(state, request, sub, scopes);
}

/**
 * Approves the chosen scopes and returns the callback URL. A requested `openid` is always granted; `email` only
 * if the person has one. Throws `AuthorizationError` when no scope remains.
 */
export function approveAs(
  state: ProviderState,
  request: AuthorizationRequest,
  person: Person,
  chosen = request.scopes,
): string {
  const has = (scope: string): boolean => scope !== 'email' || person.email !== undefined;
  const scopes = request.scopes.filter(
    (scope) => scope === 'openid' || (chosen.includes(scope) && has(scope)),
  );
  if (scopes.length === 0) throw new AuthorizationError('No scope was allowed');
  state.grants.approve(person.sub, scopes, state.now());
  state.save();
  return callbackWithCode(state, request, person.sub, scopes);
}

function callbackWithCode(
  { codes, clientId, now }: ProviderState,
  request: AuthorizationRequest,
  sub: string,
  scopes: readonly string[],
): string {
  const callback = new URL(request.redirectUri);
  callback.searchParams.append('code', codes.issue({ clientId, sub, scopes, issuedAt: now() }));
  callback.searchParams.append('state', request.state);
  return callback.href;
}

/** The callback URL of a cancelled request: without the redirect URI's query, `state` not percent-encoded. */
export function cancelledCallback(request: AuthorizationRequest): string {
  const callback = new URL(request.redirectUri);
  callback.search = `?error=access_denied&state=${request.state}`;
  return callback.href;
}
