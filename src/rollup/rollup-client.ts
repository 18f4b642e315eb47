import {
  CodeRejectedError,
  GrantDeadError,
  ProviderMisconfiguredError,
  ProviderUnavailableError,
  TokenRejectedError,
} from '../errors.js';
import type { Issuer } from './issuer.js';
import {
  callProvider,
  type Fetch,
  parseObject,
  type ProviderAnswer,
  readJsonObject,
} from './provider-call.js';
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
  /** Claims of the identity behind an access token. Throws `TokenRejectedError` or `ProviderUnavailableError`. */
  userinfo(accessToken: string): Promise<Record<string, unknown>>;
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
        scope: request.scopes.join(' '),
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
      if (answer.status === 401)
        throw new TokenRejectedError('userinfo', { cause: new Error(describe(answer)) });
      return readJsonObject(answer);
    },
  };
}

async function postToken(
  options: RollupClientOptions,
  grant: Record<string, string>,
): Promise<ProviderAnswer> {
  const { issuer, clientId, clientSecret, timeoutMs, fetch } = options;
  const url = (await issuer.endpoints()).token;
  const body = new URLSearchParams({ ...grant, client_id: clientId, client_secret: clientSecret });
  return callProvider(fetch, { url, method: 'POST', body, timeoutMs });
}

/** Rollup ID's words for a refresh token that will never work again; all come with status 401. */
const DEAD_GRANT = new Set([
  'expired token',
  'invalid token',
  'token verification failed',
  'token claim validation failed',
  'Authorized data error. Re-authorization by user required',
]);
/** Rollup ID's words for a code that is of no use. Some versions say them with status 500. */
const BAD_CODE = new Set([
  'expired code',
  'mismatch client id',
  'missing identity name',
  'missing account name',
  'missing client id',
  'Authorized data error. Re-authorization by user required',
]);

/** What a standard provider says when this server's own request is at fault (RFC 6749 §5.2). */
const CLIENT_FAULTS = new Set([
  'invalid_client',
  'unauthorized_client',
  'unsupported_grant_type',
  'invalid_request',
  'invalid_scope',
]);

/** Rollup ID's error bodies have a `message` and no `error`; a standard provider's are the other way round. */
function refreshFailure(answer: ProviderAnswer): Error {
  const { error, message } = readError(answer);
  const options = { cause: new Error(describe(answer)) };
  if (error === 'invalid_grant' || (answer.status === 401 && DEAD_GRANT.has(message)))
    return new GrantDeadError(options);
  if (isMisconfigured(answer) || (answer.status === 400 && message === 'mismatch client id')) {
    return new ProviderMisconfiguredError(options);
  }
  return new ProviderUnavailableError(answer.retryAfterMs, options);
}

function exchangeFailure(answer: ProviderAnswer): Error {
  const { error, message } = readError(answer);
  const options = { cause: new Error(describe(answer)) };
  if (error === 'invalid_grant' || error === 'invalid_request' || BAD_CODE.has(message)) {
    return new CodeRejectedError(options);
  }
  if (isMisconfigured(answer)) return new ProviderMisconfiguredError(options);
  return new ProviderUnavailableError(answer.retryAfterMs, options);
}

function isMisconfigured(answer: ProviderAnswer): boolean {
  const { error, message } = readError(answer);
  if (CLIENT_FAULTS.has(error)) return true;
  return answer.status === 400 && message === 'invalid client credentials';
}

function readError({ status, text }: ProviderAnswer): { error: string; message: string } {
  const { error, message } = (status >= 400 && parseObject(text)) || {};
  return {
    error: typeof error === 'string' ? error : '',
    message: typeof message === 'string' ? message : '',
  };
}

/** For the log: the status and the provider's own words, cut short and only when they are from its known lists. */
function describe(answer: ProviderAnswer): string {
  const { error, message } = readError(answer);
  const known = DEAD_GRANT.has(message) || BAD_CODE.has(message) || message === 'invalid client credentials';
  return `the provider answered ${answer.status} ${known ? message : error.replaceAll(/[^a-z_]/g, '').slice(0, 40)}`.trim();
}
