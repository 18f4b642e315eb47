import { createHash, timingSafeEqual } from 'node:crypto';
import { TokenRejectedError } from '../errors.js';
import { requireExpiry, verifyToken, type VerifierOptions } from './token-verifier.js';

/** Claims about a person. Absent means not consented to, or not set. */
export type PersonClaims = { readonly [Name in keyof typeof CLAIM_SCOPES]?: string };

/** The claims of a verified ID token. */
export type IdToken = PersonClaims & { readonly sub: string };

/** The stored claims, and the scope that each of them needs. */
const CLAIM_SCOPES = { name: 'profile', picture: 'profile', email: 'email' } as const;

const MAX_LIFETIME_SECONDS = 86_400;

/**
 * Verifies an ID token (OpenID Connect Core §3.1.3.7).
 *
 * @param nonceHash SHA-256 (hex) of the nonce that was sent. Rollup ID ignores nonces, so an ID token without one is
 * accepted unless `options.nonceRequired`; one with another nonce never is.
 *
 * Throws `TokenRejectedError` or `ProviderUnavailableError`.
 */
export async function verifyIdToken(
  token: string,
  options: VerifierOptions,
  nonceHash?: string,
): Promise<IdToken> {
  const claims = await verifyToken(token, options);
  if (claims['scope'] !== undefined) throw new TokenRejectedError('not an ID token');
  requireExpiry(claims, MAX_LIFETIME_SECONDS);
  checkAudience(claims.aud, claims['azp'], options.clientId);
  if (nonceHash !== undefined) checkNonce(claims['nonce'], nonceHash, options.nonceRequired);
  return { sub: claims.sub, ...readPersonClaims(claims) };
}

/** Picks the stored claims, each a non-empty string; PostgreSQL cannot store NUL. */
export function readPersonClaims(claims: Readonly<Record<string, unknown>>): PersonClaims {
  return pickClaims((name) => {
    const value = claims[name];
    const isText = typeof value === 'string' && value !== '' && value.length <= 10_000;
    return isText && !value.includes('\0') ? value : undefined;
  });
}

/** Drops the claims beyond the consented scopes. */
export function consentedClaims(claims: PersonClaims, scopes: readonly string[]): PersonClaims {
  return pickClaims((name) => (scopes.includes(CLAIM_SCOPES[name]) ? claims[name] : undefined));
}

function pickClaims(valueOf: (name: keyof PersonClaims) => string | undefined): PersonClaims {
  const names = Object.keys(CLAIM_SCOPES) as (keyof PersonClaims)[];
  return Object.fromEntries(
    names.flatMap((name): [string, string][] => {
      const value = valueOf(name);
      return value === undefined ? [] : [[name, value]];
    }),
  );
}

function checkAudience(aud: string | string[], azp: unknown, clientId: string): void {
  const audiences = Array.isArray(aud) ? aud : [aud];
  if (audiences.some((audience) => audience !== clientId)) throw new TokenRejectedError('aud');
  if (azp !== undefined && azp !== clientId) throw new TokenRejectedError('azp');
}

function checkNonce(nonce: unknown, nonceHash: string, required = false): void {
  if (nonce === undefined && !required) return;
  const actual = createHash('sha256').update(String(nonce)).digest();
  if (!timingSafeEqual(actual, Buffer.from(nonceHash, 'hex'))) throw new TokenRejectedError('nonce');
}
