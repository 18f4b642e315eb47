/** The tokens of a token response (RFC 6749 §5.1), not verified yet. */
export interface Tokens {
  readonly accessToken: string;
  readonly idToken?: string | undefined;
  /** Absent: the access token cannot be refreshed and ends at its `exp`. */
  readonly refreshToken?: string | undefined;
}

/** Verified tokens of one grant, in clear: held only as long as it takes to seal or to use them. */
export interface TokenSet extends Tokens {
  /** `iat` of the access token. */
  readonly accessTokenIssuedAt: Date;
  readonly accessTokenExpiresAt: Date;
  /** What the access token allows. */
  readonly scopes: readonly string[];
}

/** An access token ready for use. */
export interface FreshAccessToken {
  readonly accessToken: string;
  readonly accessTokenExpiresAt: Date;
  /** Which of the account's tokens it is; incremented by every refresh and every link. */
  readonly generation: number;
}

/** Whether the provider still accepts what is stored. */
export type TokenStatus = 'ACTIVE' | 'REAUTHENTICATION_REQUIRED';

/** The clear columns of an account's stored tokens: all that a profile read needs. */
export interface TokenState {
  readonly accountId: string;
  readonly status: TokenStatus;
  /** What the stored access token allows. */
  readonly scopes: readonly string[];
  readonly accessTokenExpiresAt: Date;
  readonly lastRefreshedAt: Date | null;
}

/** A client as an issuer knows it: tokens are of use to this one only. */
export interface ClientRegistration {
  readonly issuer: string;
  readonly clientId: string;
}
