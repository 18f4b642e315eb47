import type { FreshAccessToken, Tokens, TokenSet } from '../token-set.js';
import type { CircuitBreaker } from './circuit-breaker.js';
import type { SealedRefreshToken } from './pending-revocation.repository.js';
import type { RefreshLeaseDeps } from './refresh-lease.js';
import type { RefreshState, SealedContent } from './sealed-row.repository.js';
import type { VaultSettings } from './settings.js';
import type { TokenCipher } from './token-cipher.js';

/**
 * Calls the provider: a refresh token in, its response out, not verified yet.
 *
 * Throws `GrantDeadError` only when the provider says so explicitly, `ProviderMisconfiguredError` when it rejects this
 * server's credentials, `ClientMismatchError` when the token is another client's, and anything else when the outcome is
 * unknown. Its timeout is shorter than the lease.
 */
export type RefreshTokens = (refreshToken: string) => Promise<Tokens>;

/**
 * Verifies a response, as of the moment when it was received, and that it is about the subject of the current access
 * token; what the response omits is absent.
 *
 * Throws `SubjectMismatchError` when it verifies and is about another subject, `ProviderUnavailableError` when it cannot
 * be verified just now, and anything else when it never will.
 */
export type VerifyTokens = (
  response: Tokens,
  currentAccessToken: string,
  receivedAtMs: number,
) => Promise<TokenSet>;

type RefreshSettings = VaultSettings['refresh'];

/**
 * The settings of a refresh and what it depends on. Time and randomness are parameters, so that tests own them: `now` of
 * the timer never goes backwards, and says nothing of the time of day.
 */
export interface RefreshDeps extends RefreshLeaseDeps, RefreshSettings {
  readonly cipher: TokenCipher;
  readonly refreshTokens: RefreshTokens;
  readonly verifyTokens: VerifyTokens;
  readonly breaker: CircuitBreaker;
  /** Receives the refresh token of a response that was not stored, since the row has changed meanwhile. */
  readonly onSuperseded: (token: SealedRefreshToken) => Promise<void>;
  readonly random: () => number;
  readonly newId: () => string;
}

/** A row that was read at this moment of the timer: what has passed since then tells the time of the database. */
export interface ReadState extends RefreshState {
  readonly seenAtMs: number;
}

/** A row as this process read it. */
export interface ReadRow {
  readonly state: ReadState;
  readonly content: SealedContent;
}

/** The new token, or `undefined` when the row has changed and must be read again. */
export type Outcome = FreshAccessToken | undefined;
