/** The tokens of one account in clear: a value, held only as long as it takes to seal or to use it. */
export interface TokenSet {
  readonly accessToken: string;
  readonly accessTokenExpiresAt: Date;
  /** What the access token allows. */
  readonly scopes: readonly string[];
  readonly idToken?: string | undefined;
  /** Absent: the access token cannot be renewed and ends at its `exp`. */
  readonly refreshToken?: string | undefined;
}

/** An access token ready for use. */
export interface FreshAccessToken {
  readonly accessToken: string;
  readonly accessTokenExpiresAt: Date;
  /** Which of the account's tokens it is; moves with every refresh and every link. */
  readonly generation: number;
}

/** Milliseconds until the access token ends; negative when it has. */
export function remainingMs(expiresAt: Date, now: number): number {
  return expiresAt.getTime() - now;
}

/** Scopes as a token carries them: one string, space-separated (RFC 6749 §3.3). */
export function formatScope(scopes: readonly string[]): string {
  return scopes.join(' ');
}

/** Reads a space-separated scope string; empty gives none. */
export function parseScope(scope: string): string[] {
  return scope.split(' ').filter((name) => name !== '');
}
