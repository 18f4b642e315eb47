import type { SqlEntityManager } from '@mikro-orm/sql';
import { SealBrokenError, StartupError } from '../errors.js';
import { openToken, tokenSealedWith } from './sealed-token-set.js';
import { type CiphertextSample, sampleCiphertexts } from './sealed-tokens.repository.js';
import type { TokenCipher } from './token-cipher.js';

/**
 * Checks that the ring has every key that rows name, or only `onlyKid`, with the right bytes, by opening a few rows of
 * each. A single damaged row is no proof of a wrong key, but no row that opens is. Changes nothing.
 *
 * Throws `StartupError`.
 */
export async function checkKeys(em: SqlEntityManager, cipher: TokenCipher, onlyKid?: string): Promise<void> {
  const samples = Map.groupBy(await sampleCiphertexts(em.fork()), ({ kid }) => kid);
  for (const [kid, rows] of samples) {
    if (onlyKid !== undefined && kid !== onlyKid) continue;
    const results = await Promise.allSettled(rows.map((row) => openSample(cipher, row)));
    if (results.some(({ status }) => status === 'fulfilled')) continue;
    throw new StartupError(
      `Stored tokens are sealed with the key "${kid}", which TOKEN_KEYS lacks or has with other bytes. ` +
        'Put that key back; nothing was changed.',
      { cause: results.find((result) => result.status === 'rejected')?.reason },
    );
  }
}

async function openSample(cipher: TokenCipher, row: CiphertextSample): Promise<string> {
  const name = tokenSealedWith(cipher, row.kid, row);
  if (name === undefined) throw new SealBrokenError('MALFORMED');
  return openToken(cipher, row.accountId, row, name);
}
