import { type Answer, json } from './response.js';
import {
  badInput,
  type ErrorAnswer,
  internalCallFailed,
  knownError,
  ProviderError,
} from './provider-errors.js';
import type { ProviderState } from './provider-state.js';
import { decodeToken, mintToken, type TokenSubject, verifyToken } from './tokens.js';

const METHOD = 'exchangeToken';

/** The fixed message when data behind a scope is gone or was never given. */
export const DATA_ERROR = 'Authorized data error. Re-authorization by user required';

/** What a form asks of `/token`. `grant_type` has no say: a refresh token that is not empty wins. */
export function tokenUse(form: URLSearchParams): 'refresh' | 'exchange' {
  return (form.get('refresh_token') ?? '') === '' ? 'exchange' : 'refresh';
}

/** Answers `/token`; `issuer` is the origin that was called. */
export async function answerToken(
  state: ProviderState,
  issuer: string,
  form: URLSearchParams,
): Promise<Answer> {
  const clientId = form.get('client_id');
  const clientSecret = form.get('client_secret');
  const grant = form.get(tokenUse(form) === 'refresh' ? 'refresh_token' : 'code') ?? '';
  if (clientId === null || clientSecret === null || grant === '') throw new ProviderError(badInput());
  if (clientId !== state.clientId || clientSecret !== state.clientSecret) {
    throw new ProviderError(knownError('BAD_REQUEST', 'invalid client credentials'));
  }
  const tokens =
    tokenUse(form) === 'refresh'
      ? await refresh(state, issuer, grant)
      : await exchange(state, issuer, grant, clientId);
  return json(tokens, 200, { 'cache-control': 'no-store', pragma: 'no-cache' });
}

async function exchange(
  state: ProviderState,
  issuer: string,
  code: string,
  clientId: string,
): Promise<Record<string, string>> {
  const record = state.codes.find(code, state.now());
  if (record === undefined) throw new ProviderError(codeError(state, 'UNAUTHORIZED', 'expired code'));
  if (record.clientId !== clientId) {
    throw new ProviderError(codeError(state, 'BAD_REQUEST', 'mismatch client id'));
  }
  const person = state.people.find(({ sub }) => sub === record.sub);
  if (record.scopes.includes('email') && person?.email === undefined) {
    throw new ProviderError(knownError('UNAUTHORIZED', DATA_ERROR));
  }
  if (state.switches.strict) state.codes.wipe(code);
  return await issueTokens(state, { issuer, sub: record.sub, scopes: record.scopes, person });
}

/** Signs the tokens that the exchange of a code gives, in the order Rollup ID writes them. */
export async function issueTokens(
  state: ProviderState,
  subject: TokenSubject,
): Promise<Record<'token_type' | 'access_token' | 'refresh_token' | 'id_token', string>> {
  const tokens = {
    token_type: 'Bearer',
    access_token: await mintToken(state, 'access', subject),
    refresh_token: await mintToken(state, 'refresh', subject),
    id_token: await mintToken(state, 'id', subject),
  };
  state.save();
  return tokens;
}

function codeError(state: ProviderState, code: 'UNAUTHORIZED' | 'BAD_REQUEST', message: string): ErrorAnswer {
  return state.switches.expiredCodeStatus === 500
    ? internalCallFailed(METHOD, message)
    : knownError(code, message);
}

// The order of the checks is Rollup ID's. `iss` is not among them, and an access token passes them all.
async function refresh(
  state: ProviderState,
  issuer: string,
  refreshToken: string,
): Promise<Record<string, string>> {
  const { aud, sub, jti, scope } = decodeToken(refreshToken, METHOD);
  if (!Array.isArray(aud) || aud[0] !== state.clientId) {
    throw new ProviderError(knownError('BAD_REQUEST', 'mismatch client id'));
  }
  if (sub === undefined) throw new ProviderError(knownError('BAD_REQUEST', 'missing subject'));
  await verifyToken(state, refreshToken);
  if (state.switches.strict && state.grants.isRefused(sub, jti)) {
    throw new ProviderError(knownError('UNAUTHORIZED', 'token verification failed'));
  }
  const subject = { issuer, sub, scopes: scopesOf(scope, METHOD) };
  return { token_type: 'Bearer', access_token: await mintToken(state, 'access', subject) };
}

/** The scopes of a token; one without `scope` is an ID token, on which the inner `method` trips. */
export function scopesOf(scope: unknown, method: string): string[] {
  if (typeof scope === 'string') return scope.split(' ').filter((name) => name !== '');
  throw new ProviderError(
    internalCallFailed(method, "Cannot read properties of undefined (reading 'split')"),
  );
}
