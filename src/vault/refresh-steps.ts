import type { SealedContent, SealedRow } from './sealed-row.repository.js';
import type { SealedColumns } from './sealed-tokens.repository.js';

/** Ciphertexts and clear columns of a refresh. `null` keeps what the row holds. */
export interface SealedRefresh extends SealedColumns {
  readonly refreshTokenRotates: boolean;
  /** Milliseconds before the next refresh; 0 for none. */
  readonly delayMs: number;
}

/** A claim of the right to refresh one generation of an account's tokens. */
export interface LeaseClaim {
  readonly accountId: string;
  readonly generation: number;
  readonly leaseId: string;
  readonly leaseMs: number;
  /** Whether an expired claim of another process may be taken over. */
  readonly takeOver: boolean;
  /** When it is made, by the clock of the database, as far as this process can tell: milliseconds since the epoch. */
  readonly madeAtMs: number;
}

/** A response of the provider that could not be verified yet. */
export interface SealedResponse {
  readonly pendingResponse: string;
  readonly leaseId: string;
  /** Milliseconds until it is looked at again. */
  readonly backOffMs: number;
}

/**
 * The row operations of a refresh: a lease, and optimistic concurrency by generation. Each is one statement that commits
 * by itself; no lock outlives it. None changes a row of another issuer or client.
 */
export interface RefreshLeaseRepository {
  /** Everything the refresh decides by, or undefined when the account is not linked. */
  read(accountId: string): Promise<SealedRow | undefined>;
  /**
   * Claims the right to refresh one generation, and returns what is sealed in the row. Undefined when another process
   * holds the lease, when the generation has changed, while a back-off lasts, and while another transaction holds the
   * row: a claim waits for nothing.
   *
   * One that is carried out after its lease would be over, by a database that was slow, claims nothing: who made it has
   * given it up, and calls nobody.
   */
  claim(claim: LeaseClaim): Promise<SealedContent | undefined>;
  /**
   * Stores new tokens, only over the generation that they were requested for.
   *
   * A holder whose lease has expired still stores them over that generation: they may be the only valid ones.
   */
  putRefreshed(accountId: string, generation: number, tokens: SealedRefresh): Promise<boolean>;
  /** Stores a response to be verified later, under the same condition, and ends the claim. */
  putResponse(accountId: string, generation: number, response: SealedResponse): Promise<boolean>;
  /**
   * Ends the claim of `leaseId` without new tokens. More than 0 for `backOffMs` counts a failure and delays the next one.
   *
   * With 0 the provider did not use the refresh token: no response was lost, whatever `markResponseLost` found, and the
   * account is active.
   *
   * @param dropResponse the response that was kept is of no use.
   */
  release(accountId: string, leaseId: string, backOffMs: number, dropResponse?: boolean): Promise<boolean>;
  /** The provider ended the grant: final, so the generation changes and no late response revives it. */
  markDead(accountId: string, generation: number): Promise<boolean>;
  /**
   * The response of a rotating provider was lost with the process that held the lease. Generation and lease stay: if
   * that process was only frozen, or cut off from the database, its `putRefreshed` or `release` makes the account
   * active again.
   */
  markResponseLost(accountId: string, generation: number): Promise<boolean>;
}
