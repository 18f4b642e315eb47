import { decodeJwt } from 'jose';
import {
  ClientMismatchError,
  GrantDeadError,
  ProviderUnavailableError,
  SubjectMismatchError,
  TokenRejectedError,
} from '../errors.js';
import { type AccessToken, verifyAccessToken } from './access-token.js';
import {
  consentedClaims,
  type IdToken,
  type PersonClaims,
  readPersonClaims,
  verifyIdToken,
} from './id-token.js';
import { checkRefreshToken } from './refresh-token.js';
import type { JsonObject } from '../json.js';
import type { RollupClient } from './rollup-client.js';
import type { TokenSet } from '../token-set.js';
import { effectiveExpiry, type TokenResponse } from './token-response.js';
import { UNKNOWN_KEY, type VerifierOptions } from './token-verifier.js';

/** A verified grant: the subject, the consented claims and the tokens. */
export interface Grant {
  readonly issuer: string;
  readonly sub: string;
  readonly person: PersonClaims;
  /** Why userinfo was not read, which would have told more about the person. */
  readonly userinfoFailure?: ProviderUnavailableError | undefined;
  readonly tokens: TokenSet;
}

/**
 * Verifies every token of a token response, and that they have the same subject. Userinfo that is unavailable fails
 * nothing.
 *
 * @param nonceHash SHA-256 (hex) of the nonce sent with the authorization request, when there was one.
 *
 * Throws `TokenRejectedError`, `SubjectMismatchError` or `ProviderUnavailableError`.
 */
export async function verifyGrant(
  response: TokenResponse,
  client: Pick<RollupClient, 'userinfo'>,
  options: VerifierOptions,
  nonceHash?: string,
): Promise<Grant> {
  const { access, id, tokens } = await verifyResponse(response, options, nonceHash);
  if (!id) throw new TokenRejectedError('no ID token');
  const person = await readPerson(id, access.scopes, response.accessToken, client);
  return { issuer: access.issuer, sub: access.sub, ...person, tokens };
}

/**
 * Verifies the response to a refresh, and that its subject is that of the current access token. A token that the response
 * omits is absent in the result.
 *
 * Throws `SubjectMismatchError` when everything verifies and is about another subject: the identity was merged into
 * another one. Throws `ProviderUnavailableError` when the keys cannot be had, or lack the one of the response, and
 * `TokenRejectedError` for a response that will never verify.
 */
export async function verifyRefreshResponse(
  response: TokenResponse,
  currentAccessToken: string,
  options: VerifierOptions,
): Promise<TokenSet> {
  const { access, tokens } = await verifyResponse(response, options).catch((error: unknown) => {
    if (error instanceof SubjectMismatchError) throw new TokenRejectedError('subjects', { cause: error });
    // It came from the provider itself, so a key that is not known yet may be a new one.
    const isNewKey = error instanceof TokenRejectedError && error.reason === UNKNOWN_KEY;
    throw isNewKey ? new ProviderUnavailableError(0, { cause: error }) : error;
  });
  if (access.sub !== decodeJwt(currentAccessToken).sub) throw new SubjectMismatchError();
  return tokens;
}

/**
 * Proves the opaque refresh token of a verified grant that this server did not obtain itself, by using it once. The tokens
 * of the response replace those of the grant; what the response omits stays.
 *
 * Throws `TokenRejectedError` or `SubjectMismatchError` when it is not of this client and this subject, and
 * `ProviderMisconfiguredError` or `ProviderUnavailableError`.
 */
export async function proveRefreshToken(
  { tokens, ...grant }: Grant,
  refreshToken: string,
  client: Pick<RollupClient, 'refresh'>,
  options: VerifierOptions,
): Promise<Grant> {
  const response = await client.refresh(refreshToken).catch((cause: unknown) => {
    const isOfTheToken = cause instanceof GrantDeadError || cause instanceof ClientMismatchError;
    throw isOfTheToken ? new TokenRejectedError('refresh token', { cause }) : cause;
  });
  const renewed = await verifyRefreshResponse(response, tokens.accessToken, options);
  const idToken = renewed.idToken ?? tokens.idToken;
  return { ...grant, tokens: { ...renewed, idToken, refreshToken: renewed.refreshToken ?? refreshToken } };
}

async function verifyResponse(
  response: TokenResponse,
  options: VerifierOptions,
  nonceHash?: string,
): Promise<{ access: AccessToken; id: IdToken | undefined; tokens: TokenSet }> {
  const { accessToken, idToken, refreshToken } = response;
  const access = await verifyAccessToken(accessToken, options);
  const id = idToken === undefined ? undefined : await verifyIdToken(idToken, options, nonceHash);
  if (id && id.sub !== access.sub) throw new SubjectMismatchError();
  if (refreshToken !== undefined) await checkRefreshToken(refreshToken, access.sub, options);
  const accessTokenExpiresAt = effectiveExpiry(response, access.expiresAt, options.now());
  return {
    access,
    id,
    tokens: {
      accessToken,
      idToken,
      refreshToken,
      accessTokenIssuedAt: access.issuedAt,
      accessTokenExpiresAt,
      scopes: access.scopes,
    },
  };
}

/** Rollup ID puts name and picture into the ID token, but never the email: missing claims are read from userinfo. */
async function readPerson(
  { sub, ...fromId }: IdToken,
  scopes: readonly string[],
  accessToken: string,
  client: Pick<RollupClient, 'userinfo'>,
): Promise<Pick<Grant, 'person' | 'userinfoFailure'>> {
  const isIncomplete =
    (scopes.includes('email') && fromId.email === undefined) ||
    (scopes.includes('profile') && fromId.name === undefined && fromId.picture === undefined);
  const { claims, userinfoFailure } = isIncomplete ? await readUserinfo() : { claims: { sub } };
  if (claims['sub'] !== sub) throw new SubjectMismatchError();
  return { person: consentedClaims({ ...readPersonClaims(claims), ...fromId }, scopes), userinfoFailure };

  // Both tokens are verified: whatever is wrong with userinfo, the claims stay missing.
  async function readUserinfo(): Promise<{ claims: JsonObject } & Pick<Grant, 'userinfoFailure'>> {
    try {
      return { claims: await client.userinfo(accessToken) };
    } catch (error) {
      if (error instanceof ProviderUnavailableError) return { claims: { sub }, userinfoFailure: error };
      if (error instanceof TokenRejectedError || error instanceof GrantDeadError) return { claims: { sub } };
      throw error;
    }
  }
}
