import type { CircuitBreaker } from './circuit-breaker.js';
import type { RefreshLeaseRepository } from './refresh-lease.repository.js';
import type { TokenCipher } from './token-cipher.js';
import type { TokenSet } from '../token-set.js';

/** Tokens that can be renewed. */
export type RenewableTokens = TokenSet & { readonly refreshToken: string };

/**
 * Asks the provider: current tokens in, new tokens out; what the answer omits is left out.
 *
 * Throws `GrantDeadError` only on the provider's clear word, `ProviderMisconfiguredError` when it refuses this
 * server's credentials, and anything else when it is not known to have answered. It keeps a deadline shorter
 * than the lease.
 */
export type RefreshTokens = (current: RenewableTokens) => Promise<TokenSet>;

/** What happened, for logs and numbers; never a token. Durations in milliseconds. */
export type RefreshEvent = { readonly accountId: string } & (
  | { readonly type: 'taken_over' | 'grant_dead' | 'answer_lost' }
  | { readonly type: 'refreshed' | 'superseded'; readonly durationMs: number }
  | {
      readonly type: 'failed';
      readonly cause: unknown;
      readonly durationMs: number;
      readonly backOffMs: number;
    }
  | { readonly type: 'misconfigured' | 'seal_broken' | 'not_recorded'; readonly cause: unknown }
);

/** Whether a provider replaces the refresh token with every use; `auto` learns it from its answers. */
export type Rotation = 'auto' | 'always' | 'never';

/** What a refresh depends on. Clock, randomness and pauses are parameters, so that tests own the time. */
export interface RefreshDeps {
  readonly store: RefreshLeaseRepository;
  readonly cipher: TokenCipher;
  readonly askProvider: RefreshTokens;
  readonly gate: CircuitBreaker;
  /** Milliseconds. */
  readonly now: () => number;
  readonly sleep: (ms: number, signal?: AbortSignal) => Promise<void>;
  readonly random: () => number;
  readonly newId: () => string;
  readonly onEvent: (event: RefreshEvent) => void;
  readonly rotation: Rotation;
  readonly marginMs: number;
  readonly leaseMs: number;
  /** How long one caller waits for a result before it gets the best there is. */
  readonly waitMs: number;
  readonly backOffBaseMs: number;
}
