import { ProviderUnavailableError, TokenRejectedError } from '../errors.js';
import type { Tokens } from '../token-set.js';
import type { RefreshState } from './sealed-row.repository.js';
import type { KeyedRow, OpenableRow, TokenCipher } from './token-cipher.js';

/** A response of the provider, and when it was received by the clock of the database: milliseconds since the epoch. */
export interface KeptResponse {
  readonly tokens: Tokens;
  readonly receivedAtMs: number;
}

/** How often a response is looked at whose key the provider does not publish, while its other keys can be had. */
const MAX_LOOKS = 5;

/** Seals a response to be verified later. */
export function sealResponse(cipher: TokenCipher, row: KeyedRow, response: KeptResponse): Promise<string> {
  return cipher.sealResponse(row, JSON.stringify(response));
}

/** Opens the response that a row holds. Throws `SealBrokenError`. */
export async function openResponse(
  cipher: TokenCipher,
  row: OpenableRow<'pendingResponse'>,
): Promise<KeptResponse> {
  return JSON.parse(await cipher.open(row, 'pendingResponse')) as KeptResponse;
}

/** Whether a response that did not verify may do so later: the keys are away, or its key is not published yet. */
export function mayStillVerify(error: unknown, { failureCount }: RefreshState): boolean {
  if (!(error instanceof ProviderUnavailableError)) return false;
  return !(error.cause instanceof TokenRejectedError) || failureCount < MAX_LOOKS;
}
