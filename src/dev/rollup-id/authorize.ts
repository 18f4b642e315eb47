import { ALLOWED_SCOPES } from './discovery.js';
import type { Person } from './people.js';
import type { ProviderState } from './provider-state.js';

const ACTIONS = ['connect', 'create', 'reconnect', 'groupconnect', 'groupemailconnect', 'group', 'preview'];

/** An authorization request that passed every check. */
export interface AuthorizationRequest {
  readonly redirectUri: URL;
  readonly state: string;
  /** In the order asked for. */
  readonly scopes: readonly string[];
  /** Whether `prompt=consent` asks for the screen even after an earlier grant. */
  readonly forceConsent: boolean;
}

/** A request that ends on an error page: Rollup ID sends none of these back to the application. */
export class AuthorizationRefused extends Error {
  override readonly name = 'AuthorizationRefused';

  constructor(
    message: string,
    readonly status: 400 | 500 = 400,
  ) {
    super(message);
  }
}

/** Checks an authorization request in Rollup ID's order. Throws `AuthorizationRefused`. */
export function readAuthorization(state: ProviderState, query: URLSearchParams): AuthorizationRequest {
  const clientId = needed(query, 'client_id');
  const clientState = needed(query, 'state');
  const redirectUri = URL.parse(needed(query, 'redirect_uri'));
  if (redirectUri === null) throw new AuthorizationRefused('valid URI is required in redirect_uri param');
  const prompt = query.get('prompt') ?? '';
  if (prompt !== '' && prompt !== 'consent') {
    throw new AuthorizationRefused('The only prompt supported is "consent"');
  }
  checkAction(query);
  if (clientId !== state.clientId) {
    throw new AuthorizationRefused(
      `Could not return properties of a published application: ${clientId}`,
      500,
    );
  }
  // Only the origin counts: path and query of the redirect URI are the application's to choose.
  if (!state.redirectUris.some((known) => URL.parse(known)?.origin === redirectUri.origin)) {
    throw new AuthorizationRefused('Provided redirect URI did not match with configured redirect URI');
  }
  return { redirectUri, state: clientState, scopes: readScopes(query), forceConsent: prompt === 'consent' };
}

function needed(query: URLSearchParams, name: string): string {
  const value = query.get(name) ?? '';
  if (value === '') throw new AuthorizationRefused(`${name} is required`);
  return value;
}

function checkAction(query: URLSearchParams): void {
  const action = query.get('rollup_action')?.split('_')[0] ?? '';
  if (action !== '' && !ACTIONS.includes(action)) {
    throw new AuthorizationRefused(`only Rollup actions supported are: ${ACTIONS.join(', ')}`);
  }
  if (action === 'create' && query.get('create_type') !== 'wallet') {
    throw new AuthorizationRefused('Invalid create_type');
  }
}

function readScopes(query: URLSearchParams): string[] {
  const asked = decodedAgain(query.get('scope') ?? '');
  const scopes = asked.split(' ').filter((scope) => scope !== '');
  if (scopes.length === 0 || asked === 'null') throw new AuthorizationRefused('No scope requested');
  const allowed: readonly string[] = ALLOWED_SCOPES;
  if (!scopes.every((scope) => allowed.includes(scope))) {
    throw new AuthorizationRefused('Requested scope value not in the configured allowed scope list');
  }
  return [...new Set(scopes)];
}

// Rollup ID decodes the scope once more after the URL parser has.
function decodedAgain(scope: string): string {
  try {
    return decodeURIComponent(scope);
  } catch {
    return scope;
  }
}

/** The callback when no screen is needed, because an earlier grant of this person covers the scopes; else undefined. */
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
 * Approves some of the scopes asked for and returns the callback. `openid` is implied by the others and cannot
 * be left out; `email` is left out of the grant of a person without one, who could not choose any.
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
  if (scopes.length === 0) throw new AuthorizationRefused('Nothing was allowed');
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

/** The callback of a cancelled request: its own query is gone, and the state is not encoded again. */
export function cancelledCallback(request: AuthorizationRequest): string {
  const callback = new URL(request.redirectUri);
  callback.search = `?error=access_denied&state=${request.state}`;
  return callback.href;
}
