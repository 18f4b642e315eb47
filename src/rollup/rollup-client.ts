import { ProviderUnavailableError } from '../errors.js';
import { asText, type JsonObject } from '../json.js';
import type { Fetch } from '../fetch.js';
import { callProvider, isSuccess, type ProviderResponse, readJsonObject } from '../provider-call.js';
import { formatScope } from '../scope.js';
import type { Issuer } from './issuer.js';
import { describeResponse, exchangeError, refreshError, userinfoError } from './provider-error.js';
import { readTokenResponse, type TokenResponse } from './token-response.js';

/** The parameters of an authorization request (RFC 6749 §4.1.1, RFC 7636 §4.3, OpenID Connect Core §3.1.2.1). */
export interface AuthorizationRequest {
  readonly redirectUri: string;
  readonly scopes: readonly string[];
  readonly state: string;
  readonly nonce: string;
  /** S256 challenge. Rollup ID ignores it; a standard provider enforces it. */
  readonly codeChallenge: string;
  /** Shows the consent screen even when an earlier grant covers the scopes. */
  readonly forceConsent: boolean;
}

/** The protocol of the provider. Every call is made once, without retries. */
export interface RollupClient {
  readonly authorizationUrl: (request: AuthorizationRequest) => Promise<string>;
  /** Throws `CodeRejectedError`, `ProviderMisconfiguredError`, `ProviderUnavailableError` or `TokenRejectedError`. */
  readonly exchangeCode: (exchange: {
    code: string;
    codeVerifier: string;
    redirectUri: string;
  }) => Promise<TokenResponse>;
  /**
   * Throws `GrantDeadError`, `ClientMismatchError`, `ProviderMisconfiguredError`, `ProviderUnavailableError` or
   * `TokenRejectedError`.
   */
  readonly refresh: (refreshToken: string) => Promise<TokenResponse>;
  /**
   * The claims of the identity behind an access token, live (OpenID Connect Core §5.3).
   *
   * Throws `GrantDeadError` when the user revoked the grant, `TokenRejectedError` or `ProviderUnavailableError`.
   */
  readonly userinfo: (accessToken: string) => Promise<JsonObject>;
  /** Whether the provider has a revocation endpoint, as discovery says; true while that cannot be had. */
  readonly canRevoke: () => Promise<boolean>;
  /**
   * Revokes a refresh token (RFC 7009). False when the provider has no revocation endpoint.
   *
   * Throws `ProviderUnavailableError`.
   */
  readonly revoke: (refreshToken: string) => Promise<boolean>;
}

/** What a client depends on. `timeoutMs` in milliseconds. */
export interface RollupClientOptions {
  readonly issuer: Issuer;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly timeoutMs: number;
  readonly fetch: Fetch;
}

/** Creates a client. Its secret is sent in the body of token requests only: Rollup ID does not support HTTP Basic. */
export function createRollupClient(options: RollupClientOptions): RollupClient {
  const { issuer, clientId, timeoutMs, fetch } = options;
  return {
    authorizationUrl: async (request) =>
      authorizationUrl((await issuer.endpoints()).authorization, clientId, request),
    exchangeCode: async ({ code, codeVerifier, redirectUri }) => {
      const grant = { code, code_verifier: codeVerifier, redirect_uri: redirectUri };
      const response = await postToken(options, { grant_type: 'authorization_code', ...grant });
      if (!isSuccess(response)) throw exchangeError(response);
      return readTokenResponse(readJsonObject(response));
    },
    refresh: async (refreshToken) => {
      const response = await postToken(options, { grant_type: 'refresh_token', refresh_token: refreshToken });
      if (!isSuccess(response)) throw refreshError(response);
      return readTokenResponse(readJsonObject(response));
    },
    userinfo: async (accessToken) => {
      const url = (await issuer.endpoints()).userinfo;
      const headers = { authorization: `Bearer ${accessToken}` };
      const response = await callProvider(fetch, { url, headers, timeoutMs });
      if (response.status === 401) throw userinfoError(response);
      const claims = readJsonObject(response);
      // OpenID Connect Core §5.3.2 requires it: what has none is no userinfo.
      if (asText(claims['sub']) !== undefined) return claims;
      throw new ProviderUnavailableError(response.retryAfterMs, { cause: new Error('userinfo without sub') });
    },
    canRevoke: () => canRevoke(issuer),
    revoke: async (refreshToken) => {
      const { revocation } = await issuer.endpoints();
      if (revocation === undefined) return false;
      const form = { token: refreshToken, token_type_hint: 'refresh_token' };
      const response = await postForm(options, revocation, form);
      if (isSuccess(response)) return true;
      const cause = new Error(describeResponse(response));
      throw new ProviderUnavailableError(response.retryAfterMs, { cause });
    },
  };
}

function canRevoke(issuer: Issuer): Promise<boolean> {
  return issuer.endpoints().then(
    ({ revocation }) => revocation !== undefined,
    () => true,
  );
}

function authorizationUrl(endpoint: string, clientId: string, request: AuthorizationRequest): string {
  const url = new URL(endpoint);
  url.search = new URLSearchParams({
    response_type: 'code',
    client_id: clientId,
    redirect_uri: request.redirectUri,
    scope: formatScope(request.scopes),
    state: request.state,
    nonce: request.nonce,
    code_challenge: request.codeChallenge,
    code_challenge_method: 'S256',
    ...(request.forceConsent && { prompt: 'consent' }),
  }).toString();
  return url.href;
}

async function postToken(
  options: RollupClientOptions,
  grant: Record<string, string>,
): Promise<ProviderResponse> {
  return postForm(options, (await options.issuer.endpoints()).token, grant);
}

/** Posts a form with the client credentials. Discovery ensures that `url` is on the issuer's origin. */
function postForm(
  { clientId, clientSecret, timeoutMs, fetch }: RollupClientOptions,
  url: string,
  form: Record<string, string>,
): Promise<ProviderResponse> {
  const body = new URLSearchParams({ ...form, client_id: clientId, client_secret: clientSecret });
  return callProvider(fetch, { url, method: 'POST', body, timeoutMs });
}
