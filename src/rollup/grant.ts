import { decodeJwt } from 'jose';
import { GrantDeadError, SubjectMismatchError, TokenRejectedError } from '../errors.js';
import { type AccessToken, verifyAccessToken } from './access-token.js';
import { type IdToken, readPersonClaims, verifyIdToken } from './id-token.js';
import { checkRefreshToken } from './refresh-token.js';
import type { JsonObject } from '../json.js';
import type { RollupClient } from './rollup-client.js';
import type { TokenSet } from '../token-set.js';
import { effectiveExpiry, type TokenResponse } from './token-response.js';
import type { VerifierOptions } from './token-verifier.js';

/** A verified grant: whose it is, what that person lets us know, and the tokens. */
export interface Grant {
  readonly issuer: string;
  readonly sub: string;
  readonly person: Omit<IdToken, 'sub'>;
  readonly tokens: TokenSet;
}

/**
 * Verifies every token of an answer and that all of them speak of the same subject.
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
  return { issuer: access.issuer, sub: access.sub, person, tokens };
}

/**
 * Verifies a refresh's answer against the access token it renews. What the answer omits stays omitted.
 *
 * Throws `TokenRejectedError`, `SubjectMismatchError` or `ProviderUnavailableError`.
 */
export async function verifyRenewal(
  response: TokenResponse,
  currentAccessToken: string,
  options: VerifierOptions,
): Promise<TokenSet> {
  const { access, tokens } = await verifyResponse(response, options);
  if (access.sub !== decodeJwt(currentAccessToken).sub) throw new SubjectMismatchError();
  return tokens;
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
    tokens: { accessToken, idToken, refreshToken, accessTokenExpiresAt, scopes: access.scopes },
  };
}

/** Rollup ID puts name and picture into the ID token and the email never: userinfo gives what is lacking. */
async function readPerson(
  { sub, ...fromId }: IdToken,
  scopes: readonly string[],
  accessToken: string,
  client: Pick<RollupClient, 'userinfo'>,
): Promise<Omit<IdToken, 'sub'>> {
  const lacks =
    (scopes.includes('email') && fromId.email === undefined) ||
    (scopes.includes('profile') && fromId.name === undefined && fromId.picture === undefined);
  const claims = lacks ? await readUserinfo() : { sub };
  if (claims['sub'] !== sub) throw new SubjectMismatchError();
  return consented({ ...readPersonClaims(claims), ...fromId }, scopes);

  // Both tokens are verified already: a userinfo that refuses them has nothing to add, one that is down might.
  async function readUserinfo(): Promise<JsonObject> {
    try {
      return await client.userinfo(accessToken);
    } catch (error) {
      if (error instanceof TokenRejectedError || error instanceof GrantDeadError) return { sub };
      throw error;
    }
  }
}

/** Whatever an answer carries beyond the consented scopes is not ours to keep. */
function consented(person: Omit<IdToken, 'sub'>, scopes: readonly string[]): Omit<IdToken, 'sub'> {
  const { name, picture, email } = person;
  return {
    ...(scopes.includes('profile') && name !== undefined && { name }),
    ...(scopes.includes('profile') && picture !== undefined && { picture }),
    ...(scopes.includes('email') && email !== undefined && { email }),
  };
}
