import { ProviderUnavailableError } from '../errors.js';
import { formatScope } from '../scope.js';
import type { Issuer } from './issuer.js';
import type { JsonObject } from '../json.js';
import { callProvider, type Fetch, type ProviderResponse, readJsonObject } from '../provider-call.js';
import { describeResponse, exchangeFailure, refreshFailure, userinfoFailure } from './provider-error.js';
import { readTokenResponse, type TokenResponse } from './token-response.js';

/** What one authorization request says (RFC 6749 §4.1.1, RFC 7636 §4.3, OpenID Connect Core §3.1.2.1). */
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

/** The provider as a protocol. Every call is made once; nothing is retried here. */
export interface RollupClient {
  authorizationUrl(request: AuthorizationRequest): Promise<string>;
  /** Throws `CodeRejectedError`, `ProviderMisconfiguredError`, `ProviderUnavailableError` or `TokenRejectedError`. */
  exchangeCode(exchange: { code: string; codeVerifier: string; redirectUri: string }): Promise<TokenResponse>;
  /** Throws `GrantDeadError`, `ProviderMisconfiguredError`, `ProviderUnavailableError` or `TokenRejectedError`. */
  refresh(refreshToken: string): Promise<TokenResponse>;
  /**
   * Claims of the identity behind an access token, live (OpenID Connect Core §5.3).
   *
   * Throws `GrantDeadError` when the user revoked the grant, `TokenRejectedError` or `ProviderUnavailableError`.
   */
  userinfo(accessToken: string): Promise<JsonObject>;
  /**
   * Tells the provider that a refresh token is not needed any more (RFC 7009), where it can be told.
   *
   * Throws `ProviderUnavailableError`.
   */
  revoke(refreshToken: string): Promise<void>;
}

/** What a client is made of. */
export interface RollupClientOptions {
  readonly issuer: Issuer;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly timeoutMs: number;
  readonly fetch: Fetch;
}

/** Makes a client. Its secret goes into the body of token requests and nowhere else: Rollup ID reads no Basic. */
export function createRollupClient(options: RollupClientOptions): RollupClient {
  const { issuer, clientId, timeoutMs, fetch } = options;
  return {
    async authorizationUrl(request) {
      const url = new URL((await issuer.endpoints()).authorization);
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
    },
    async exchangeCode({ code, codeVerifier, redirectUri }) {
      const grant = {
        grant_type: 'authorization_code',
        code,
        code_verifier: codeVerifier,
        redirect_uri: redirectUri,
      };
      const answer = await postToken(options, grant);
      if (answer.status !== 200) throw exchangeFailure(answer);
      return readTokenResponse(readJsonObject(answer));
    },
    async refresh(refreshToken) {
      const answer = await postToken(options, { grant_type: 'refresh_token', refresh_token: refreshToken });
      if (answer.status !== 200) throw refreshFailure(answer);
      return readTokenResponse(readJsonObject(answer));
    },
    async userinfo(accessToken) {
      const url = (await issuer.endpoints()).userinfo;
      const headers = { authorization: `Bearer ${accessToken}` };
      const answer = await callProvider(fetch, { url, headers, timeoutMs });
      if (answer.status === 401) throw userinfoFailure(answer);
      return readJsonObject(answer);
    },
    async revoke(refreshToken) {
      const { revocation } = await issuer.endpoints();
      if (revocation === undefined) return;
      const answer = await postForm(options, revocation, {
        token: refreshToken,
        token_type_hint: 'refresh_token',
      });
      if (answer.status === 200) return;
      throw new ProviderUnavailableError(answer.retryAfterMs, { cause: new Error(describeResponse(answer)) });
    },
  };
}

async function postToken(
  options: RollupClientOptions,
  grant: Record<string, string>,
): Promise<ProviderResponse> {
  return postForm(options, (await options.issuer.endpoints()).token, grant);
}

/** Posts a form with the client's credentials in it, which goes to the issuer's own origin only. */
function postForm(
  { clientId, clientSecret, timeoutMs, fetch }: RollupClientOptions,
  url: string,
  form: Record<string, string>,
): Promise<ProviderResponse> {
  const body = new URLSearchParams({ ...form, client_id: clientId, client_secret: clientSecret });
  return callProvider(fetch, { url, method: 'POST', body, timeoutMs });
}
