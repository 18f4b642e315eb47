import { parseScope } from '../../scope.js';
import { json } from './response.js';
import {
  bareError,
  type ErrorCode,
  internalError,
  type ProviderError,
  rollupError,
} from './provider-errors.js';
import type { ProviderState } from './provider-state.js';
import { decodeToken, mintToken, type TokenSubject, verifyToken } from './tokens.js';

const METHOD = 'exchangeToken';

/** Rollup ID's message when the data behind a scope is missing or no longer authorized. */
export const DATA_ERROR = 'Authorized data error. Re-authorization by user required';

/** Whether a form is a refresh or a code exchange: `grant_type` is ignored, a non-empty refresh token decides. */
export function tokenRequestKind(form: URLSearchParams): 'refresh' | 'exchange' {
  return (form.get('refresh_token') ?? '') === '' ? 'exchange' : 'refresh';
}

/** Handles `/token`; `issuer` is the origin of the request. Throws `ProviderError`. */
export async function handleToken(state: ProviderState, issuer: string, form: URLSearchParams) {
  const kind = tokenRequestKind(form);
  const clientId = form.get('client_id');
  const clientSecret = form.get('client_secret');
  const grant = form.get(kind === 'refresh' ? 'refresh_token' : 'code') ?? '';
  if (clientId === null || clientSecret === null || grant === '') throw bareError('data error');
  if (clientId !== state.clientId || clientSecret !== state.clientSecret) {
    throw rollupError('BAD_REQUEST', 'invalid client credentials');
  }
  const tokens =
    kind === 'refresh' ? await refresh(state, issuer, grant) : await exchange(state, issuer, grant, clientId);
  return json(tokens, 200, { 'cache-control': 'no-store', pragma: 'no-cache' });
}

async function exchange(state: ProviderState, issuer: string, code: string, clientId: string) {
  const record = state.codes.find(code, state.now());
  if (record === undefined) throw codeError(state, 'UNAUTHORIZED', 'expired code');
  if (record.clientId !== clientId) throw codeError(state, 'BAD_REQUEST', 'mismatch client id');
  const person = state.people.find(({ sub }) => sub === record.sub);
  if (record.scopes.includes('email') && person?.email === undefined) {
    throw rollupError('UNAUTHORIZED', DATA_ERROR);
  }
  if (state.switches.strict) state.codes.delete(code);
  return issueTokens(state, { issuer, sub: record.sub, scopes: record.scopes, person });
}

/** Issues the tokens of a code exchange, in Rollup ID's order. */
export async function issueTokens(state: ProviderState, subject: TokenSubject) {
  const tokens = {
    token_type: 'Bearer',
    access_token: await mintToken(state, 'access', subject),
    refresh_token: await mintToken(state, 'refresh', subject),
    id_token: await mintToken(state, 'id', subject),
  };
  state.save();
  return tokens;
}

function codeError({ switches }: ProviderState, code: ErrorCode, message: string): ProviderError {
  return switches.expiredCodeStatus === 500 ? internalError(METHOD, message) : rollupError(code, message);
}

// Rollup ID's checks in its order: `iss` is not checked, and an access token is accepted.
async function refresh(state: ProviderState, issuer: string, refreshToken: string) {
  const { aud, sub, jti, scope } = decodeToken(refreshToken, METHOD);
  if (!Array.isArray(aud) || aud[0] !== state.clientId) {
    throw rollupError('BAD_REQUEST', 'mismatch client id');
  }
  if (sub === undefined) throw rollupError('BAD_REQUEST', 'missing subject');
  await verifyToken(state, refreshToken);
  if (state.switches.strict && state.grants.isRefreshTokenRevoked(sub, jti)) {
    throw rollupError('UNAUTHORIZED', 'token verification failed');
  }
  const subject = { issuer, sub, scopes: readScopeClaim(scope, METHOD) };
  return { token_type: 'Bearer', access_token: await mintToken(state, 'access', subject) };
}

/** The scopes of a token. An ID token has none: throws the `ProviderError` of the internal `method`. */
export function readScopeClaim(scope: unknown, method: string): string[] {
  if (typeof scope === 'string') return parseScope(scope);
  throw internalError(method, "Cannot read properties of undefined (reading 'split')");
}
