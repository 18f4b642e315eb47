import type { SqlEntityManager } from '@mikro-orm/sql';
import { SealBrokenError } from '../errors.js';
import { checkKeys } from './key-check.js';
import {
  findSealedWithOtherKeys,
  NIL_UUID,
  replaceCiphertexts,
  type SealedAccount,
} from './key-rotation.repository.js';
import { resealTokens } from './sealed-token-set.js';
import type { TokenCipher } from './token-cipher.js';

/** The result of a rotation, in accounts. */
export interface KeyRotation {
  /** The key that seals all of them now. */
  readonly kid: string;
  readonly resealed: number;
  /** Left as they were, because a ciphertext does not open. */
  readonly broken: number;
  /** Still sealed with another key, because a server that runs goes on sealing with it. */
  readonly left: number;
}

const BATCH = 100;
const MAX_PASSES = 10;

/**
 * Seals every stored token with the current key of the ring, while servers serve.
 *
 * No transaction spans more than one statement, so it may be ended at any moment and run again, also several at
 * once. Rows that change meanwhile are looked at again, up to ten times.
 *
 * Throws `StartupError`, and changes nothing, when rows that name the current key do not open with it: it has other bytes
 * than the servers' one.
 *
 * @param onBroken receives each account with a ciphertext that does not open; never its content.
 */
export async function rotateKeys(
  em: SqlEntityManager,
  cipher: TokenCipher,
  onBroken: (accountId: string, error: SealBrokenError) => void,
): Promise<KeyRotation> {
  await checkKeys(em, cipher, cipher.currentKid);
  const broken = new Set<string>();
  let resealed = 0;
  let left = 0;
  // The last pass only counts.
  for (let pass = 1; pass <= MAX_PASSES + 1; pass += 1) {
    left = 0;
    for await (const row of sealedWithOtherKeys(em, cipher.currentKid)) {
      if (broken.has(row.accountId)) continue;
      left += 1;
      if (pass > MAX_PASSES) continue;
      try {
        const sealed = await resealTokens(cipher, row.accountId, row);
        if (await replaceCiphertexts(em.fork(), row, sealed, cipher.currentKid)) resealed += 1;
      } catch (error) {
        if (!(error instanceof SealBrokenError)) throw error;
        broken.add(row.accountId);
        onBroken(row.accountId, error);
      }
    }
    if (left === 0) break;
  }
  return { kid: cipher.currentKid, resealed, broken: broken.size, left };
}

async function* sealedWithOtherKeys(em: SqlEntityManager, kid: string): AsyncGenerator<SealedAccount> {
  for (let after = NIL_UUID; ;) {
    const rows = await findSealedWithOtherKeys(em.fork(), kid, after, BATCH);
    yield* rows;
    const last = rows.at(-1);
    if (!last) return;
    after = last.accountId;
  }
}
