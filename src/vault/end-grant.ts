import { ReauthenticationRequiredError, type SealBrokenError } from '../errors.js';
import type { RefreshLeaseDeps } from './refresh-lease.js';
import type { RefreshState, SealedContent } from './sealed-row.repository.js';

type Deps = Pick<RefreshLeaseDeps, 'leases' | 'onEvent'>;

/** Ends the grant of one generation of tokens. False when the row has a later one, which is not affected. */
export async function endGrant(
  { leases, onEvent }: Deps,
  accountId: string,
  generation: number,
  type: 'grant_dead' | 'subject_changed' = 'grant_dead',
): Promise<boolean> {
  const ended = await leases.markDead(accountId, generation);
  if (ended) onEvent({ type, accountId });
  return ended;
}

/** Reports a ciphertext that does not open. True when the ring is at fault, and not the row. */
export async function reportBrokenSeal(
  { onEvent, isKnownKey }: Pick<RefreshLeaseDeps, 'onEvent' | 'isKnownKey'>,
  { accountId, keyId }: Pick<SealedContent, 'accountId' | 'keyId'>,
  cause: SealBrokenError,
): Promise<boolean> {
  const keyFault =
    cause.code === 'SEAL_UNKNOWN_KEY' ||
    (cause.code === 'SEAL_DATA_KEY' && keyId !== null && !(await isKnownKey(keyId)));
  onEvent({ type: keyFault ? 'key_missing' : 'seal_broken', accountId, cause });
  return keyFault;
}

/**
 * Ends the grant of a row whose ciphertext is damaged or was moved, and returns the error for the caller.
 *
 * A key that this process lacks, or has with other bytes than the database knows, is an operator's fault: it ends
 * nothing, and the error is no message for a user.
 *
 * @param leaseId the lease that this process holds on the row, if any.
 */
export async function endBrokenSeal(
  { leases, onEvent, isKnownKey }: Deps & Pick<RefreshLeaseDeps, 'isKnownKey'>,
  { accountId, keyId }: SealedContent,
  { generation }: RefreshState,
  cause: SealBrokenError,
  leaseId?: string,
): Promise<Error> {
  if (!(await reportBrokenSeal({ onEvent, isKnownKey }, { accountId, keyId }, cause))) {
    await leases.markDead(accountId, generation);
    return new ReauthenticationRequiredError({ cause });
  }
  if (leaseId !== undefined) await leases.release(accountId, leaseId, 0);
  return cause;
}
