import { randomBytes, webcrypto } from 'node:crypto';
import { type CryptoKey, decodeJwt, errors, type JWTPayload, jwtVerify, type JWTVerifyGetKey } from 'jose';
import { formatScope } from '../../scope.js';
import type { Person } from './people.js';
import { internalError, rollupError } from './provider-errors.js';
import type { ProviderState } from './provider-state.js';

/** The three tokens of a grant, distinguishable by their claims only: access has `scope` and `exp`, refresh no `exp`, ID no `scope`. */
export type TokenKind = 'access' | 'refresh' | 'id';

/** Overrides of a minted token. */
export interface MintOverrides {
  /** The granted scopes; `openid profile email` by default. */
  readonly scopes?: readonly string[];
  /** Claims to set; `undefined` removes one. */
  readonly claims?: Record<string, unknown>;
  /** Header parameters to set; `undefined` removes one. The key decides the algorithm of the signature, which is empty for `alg: 'none'`. */
  readonly header?: Record<string, unknown>;
  /** A private or HMAC key; the provider's signing key by default. */
  readonly key?: CryptoKey;
}

/** The subject and issuer of a token; `issuer` is the origin of the request. */
export interface TokenSubject {
  readonly issuer: string;
  readonly sub: string;
  readonly scopes: readonly string[];
  /** The source of the profile claims of an ID token. */
  readonly person?: Person | undefined;
}

/** Signs a token of a grant. */
export async function mintToken(
  state: ProviderState,
  kind: TokenKind,
  subject: TokenSubject,
  overrides: MintOverrides = {},
): Promise<string> {
  const { kid, privateKey } = state.keys.current;
  const header = {
    alg: 'ES256',
    jku: `${subject.issuer}/.well-known/jwks.json`,
    kid,
    typ: 'JWT',
    ...overrides.header,
  };
  const claims: Record<string, unknown> = { ...claimsOf(state, kind, subject), ...overrides.claims };
  const { jti } = claims;
  if (kind === 'refresh' && typeof jti === 'string') state.grants.addRefreshToken(subject.sub, jti);
  return sign(header, claims, overrides.key ?? privateKey);
}

function claimsOf(state: ProviderState, kind: TokenKind, subject: TokenSubject): Record<string, unknown> {
  const iat = Math.floor(state.now() / 1000);
  const exp = iat + state.switches.accessTokenLifetimeSeconds;
  const scope = formatScope(subject.scopes);
  const jti = `0x${randomBytes(24).toString('hex')}`;
  const base = { iss: subject.issuer, aud: [state.clientId], sub: subject.sub, iat };
  if (kind === 'access') return { ...base, exp, jti, scope };
  if (kind === 'refresh') return { ...base, jti, scope };
  const profile = subject.scopes.includes('profile')
    ? { name: subject.person?.name, picture: subject.person?.picture }
    : {};
  return { ...base, exp, ...profile };
}

// Not jose's signer, which rejects the invalid headers that tests need.
async function sign(
  header: Record<string, unknown>,
  claims: Record<string, unknown>,
  key: CryptoKey,
): Promise<string> {
  const input = `${encode(header)}.${encode(claims)}`;
  if (header['alg'] === 'none') return `${input}.`;
  const algorithm = { name: key.algorithm.name, hash: 'SHA-256' };
  const signature = await webcrypto.subtle.sign(algorithm, key, Buffer.from(input));
  return `${input}.${Buffer.from(signature).toString('base64url')}`;
}

function encode(value: Record<string, unknown>): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

/** Decodes a token without verifying it. Throws the `ProviderError` of the internal `method`. */
export function decodeToken(token: string, method: string): JWTPayload {
  if (token.split('.').length !== 3) throw internalError(method, 'Invalid JWT');
  try {
    return decodeJwt(token);
  } catch {
    throw internalError(method, 'Failed to parse the decoded payload as JSON');
  }
}

/** Verifies signature, expiry and, if given, the issuer. Throws `ProviderError` with status 401. */
export async function verifyToken({ keys, now }: ProviderState, token: string, issuer?: string) {
  const options = { ...(issuer && { issuer }), algorithms: ['ES256'], currentDate: new Date(now()) };
  const findKey: JWTVerifyGetKey = ({ kid }) => {
    const key = keys.find(kid);
    if (key === undefined) throw new errors.JWKSNoMatchingKey();
    return key;
  };
  try {
    return (await jwtVerify(token, findKey, options)).payload;
  } catch (error) {
    throw rollupError('UNAUTHORIZED', verificationMessage(error));
  }
}

function verificationMessage(error: unknown): string {
  if (error instanceof errors.JWTExpired) return 'expired token';
  if (error instanceof errors.JWTClaimValidationFailed) return 'token claim validation failed';
  if (error instanceof errors.JWTInvalid) return 'invalid token';
  return 'token verification failed';
}

/** The `sub` of a token without verification; undefined when there is none. */
export function unverifiedSubject(token: string | null): string | undefined {
  try {
    return token === null ? undefined : decodeJwt(token).sub;
  } catch {
    return undefined;
  }
}
