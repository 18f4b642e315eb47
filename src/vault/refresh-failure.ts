import { backOffMs } from '../back-off.js';
import {
  GrantDeadError,
  ProviderMisconfiguredError,
  ProviderUnavailableError,
  ReauthenticationRequiredError,
  SealBrokenError,
  SubjectMismatchError,
} from '../errors.js';
import { endBrokenSeal, endGrant } from './end-grant.js';
import { type KeptResponse, mayStillVerify, sealResponse } from './kept-response.js';
import type { Outcome, ReadState, RefreshDeps } from './refresh-deps.js';
import type { RefreshLease } from './refresh-lease.js';
import type { SealedContent } from './sealed-row.repository.js';

/** The tokens in the row, in the clear. */
export type CurrentTokens = Readonly<Record<'accessToken' | 'refreshToken', string>>;

/** What an attempt has got so far. */
export interface Attempt {
  readonly state: ReadState;
  readonly leaseId: string;
  /** What is sealed in the row, once it is claimed. */
  content?: SealedContent;
  /** What was opened for the call. */
  current?: CurrentTokens;
  startedAt: number;
  response?: KeptResponse;
}

/** An attempt that holds the row. */
export type Claimed = Attempt & { readonly content: SealedContent };

export function isClaimed(attempt: Attempt): attempt is Claimed {
  return attempt.content !== undefined;
}

/**
 * Records why an attempt failed: in the row, in the log, and as the error for the caller. Resolves with undefined when the
 * row has changed meanwhile.
 */
export async function recordFailure(
  deps: RefreshDeps,
  lease: RefreshLease,
  attempt: Claimed,
  cause: unknown,
): Promise<Outcome> {
  const { onEvent, random, backOffBaseMs, now } = deps;
  const { state, content, leaseId, startedAt } = attempt;
  const { accountId, generation } = state;
  if (cause instanceof GrantDeadError || cause instanceof SubjectMismatchError) {
    const type = cause instanceof GrantDeadError ? 'grant_dead' : 'subject_changed';
    // Undefined: the row has a later generation, which this error is not about.
    if (!(await lease.write(() => endGrant(deps, accountId, generation, type)))) {
      return undefined;
    }
    throw new ReauthenticationRequiredError({ cause });
  }
  if (cause instanceof SealBrokenError) {
    throw await endBrokenSeal(deps, content, state, cause, leaseId);
  }
  if (cause instanceof ProviderMisconfiguredError) {
    onEvent({ type: 'misconfigured', accountId, cause });
    await lease.release(accountId, leaseId, 0);
    throw cause;
  }
  const retryAfterMs = cause instanceof ProviderUnavailableError ? cause.retryAfterMs : 0;
  const delayMs = backOffMs(state.failureCount + 1, backOffBaseMs, random(), retryAfterMs);
  onEvent({ type: 'failed', accountId, cause, durationMs: now() - startedAt, backOffMs: delayMs });
  await putOff(deps, lease, attempt, cause, delayMs);
  throw new ProviderUnavailableError(delayMs, { cause });
}

/** Ends the claim. A response that may still verify stays: it may hold the only valid refresh token. */
async function putOff(
  deps: RefreshDeps,
  lease: RefreshLease,
  { state, content, leaseId, response }: Claimed,
  cause: unknown,
  backOffMs: number,
): Promise<void> {
  const { cipher, leases, onEvent } = deps;
  const { accountId, generation, hasPendingResponse } = state;
  const isUndecided = response !== undefined && mayStillVerify(cause, state);
  if (!isUndecided || hasPendingResponse) {
    return lease.release(accountId, leaseId, backOffMs, !isUndecided && hasPendingResponse);
  }
  const pendingResponse = await sealResponse(cipher, content, response);
  const kept = { pendingResponse, leaseId, backOffMs };
  if (await lease.write(() => leases.putResponse(accountId, generation, kept))) {
    onEvent({ type: 'response_kept', accountId });
  }
}
