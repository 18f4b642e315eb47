import { knownScopes, parseScope } from '../../scope.js';
import type { Person } from './people.js';
import type { ProviderState } from './provider-state.js';

const ACTIONS = ['connect', 'create', 'reconnect', 'groupconnect', 'groupemailconnect', 'group', 'preview'];

/** A validated authorization request. */
export interface AuthorizationRequest {
  readonly redirectUri: URL;
  readonly state: string;
  /** In the requested order. */
  readonly scopes: readonly string[];
  /** Whether `prompt=consent` requests the screen despite an earlier grant. */
  readonly forceConsent: boolean;
}

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
export function parseAuthorizationRequest(
  state: ProviderState,
  query: URLSearchParams,
): AuthorizationRequest {
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
  return { redirectUri, state: clientState, scopes: readScopes(query), forceConsent: prompt === 'consent' };
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

function readScopes(query: URLSearchParams): string[] {
  const requested = decodeAgain(query.get('scope') ?? '');
  const scopes = parseScope(requested);
  if (scopes.length === 0 || requested === 'null') throw new AuthorizationError('No scope requested');
  if (!scopes.every((scope) => knownScopes.has(scope))) {
    throw new AuthorizationError('Requested scope value not in the configured allowed scope list');
  }
  return [...new Set(scopes)];
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
export function approveSilently(
  state: ProviderState,
  request: AuthorizationRequest,
  sub: string | undefined,
): string | undefined {
  if (sub === undefined || request.forceConsent || !state.grants.covers(sub, request.scopes)) {
    return undefined;
  }
  return callbackWithCode(state, request, sub, request.scopes);
}

/**
 * Approves the chosen scopes and returns the callback URL. A requested `openid` is always granted; `email` only
 * if the person has one. Throws `AuthorizationError` when no scope remains.
 */
export function approveAs(
  state: ProviderState,
  request: AuthorizationRequest,
  person: Person,
  chosen: readonly string[] = request.scopes,
): string {
  const scopes = request.scopes.filter(
    (scope) =>
      scope === 'openid' || (chosen.includes(scope) && (scope !== 'email' || person.email !== undefined)),
  );
  if (scopes.length === 0) throw new AuthorizationError('No scope was allowed');
  state.grants.approve(person.sub, scopes, state.now());
  state.save();
  return callbackWithCode(state, request, person.sub, scopes);
}

function callbackWithCode(
  state: ProviderState,
  request: AuthorizationRequest,
  sub: string,
  scopes: readonly string[],
): string {
  const code = state.codes.issue({ clientId: state.clientId, sub, scopes, issuedAt: state.now() });
  const callback = new URL(request.redirectUri);
  callback.searchParams.append('code', code);
  callback.searchParams.append('state', request.state);
  return callback.href;
}

/** The callback URL of a cancelled request: without the redirect URI's query, `state` not percent-encoded. */
export function cancelledCallback(request: AuthorizationRequest): string {
  const callback = new URL(request.redirectUri);
  callback.search = `?error=access_denied&state=${request.state}`;
  return callback.href;
}
