import type { SqlEntityManager } from '@mikro-orm/sql';
import { SealBrokenError } from '../errors.js';
import type { TokenSet } from '../token-set.js';
import type { RevocationOutbox } from './revocation-outbox.js';
import { putAccessToken, putSealed, type SealedColumns } from './sealed-tokens.repository.js';
import { readSealed, type SealedRow } from './sealed-row.repository.js';
import type { TokenCipher } from './token-cipher.js';

/** How the tokens of a link came here. */
export interface LinkSource {
  /** Whether a refresh token that is replaced can be revoked. */
  readonly canRevoke: boolean;
  /** They were obtained elsewhere, with this refresh token if any: they may be older than those that are stored. */
  readonly takenOver?: { readonly refreshToken?: string | undefined } | undefined;
}

/** What became of the tokens of a link. */
export interface LinkResult {
  /** False when newer tokens of the account are stored, which stay. */
  readonly isStored: boolean;
  /** Whether `RevocationOutbox.run` is to follow the commit. */
  readonly isRevocationAdded: boolean;
}

/** What storing depends on. */
export interface LinkTokensDeps {
  readonly cipher: TokenCipher;
  readonly revocations: RevocationOutbox;
}

/**
 * Seals and stores the tokens of a link, in its transaction.
 *
 * Tokens that were obtained elsewhere never replace newer ones (`iat`), and without a refresh token they leave the stored
 * one, of the same subject and client, in its place.
 */
export async function putLinkTokens(
  { cipher, revocations }: LinkTokensDeps,
  tx: SqlEntityManager,
  accountId: string,
  tokens: TokenSet,
  { canRevoke, takenOver }: LinkSource,
): Promise<LinkResult> {
  const [row] = takenOver ? await readSealed(tx, cipher.registration, [accountId], true) : [];
  if (row?.isOurs && isOlder(tokens, row)) return { isStored: false, isRevocationAdded: false };
  const columns = row?.isOurs && tokens.refreshToken === undefined && (await sealBeside(cipher, row, tokens));
  if (columns) {
    await putAccessToken(tx, accountId, columns);
    return { isStored: true, isRevocationAdded: false };
  }
  const kept = [tokens.refreshToken, takenOver?.refreshToken].filter((token) => token !== undefined);
  const isRevocationAdded =
    canRevoke && kept.length > 0 && (await revocations.addReplaced(tx, accountId, kept));
  await putSealed(tx, accountId, await cipher.sealLink(accountId, tokens));
  return { isStored: true, isRevocationAdded };
}

function isOlder({ accessTokenIssuedAt }: TokenSet, { state }: SealedRow): boolean {
  return state.accessTokenIssuedAt !== null && accessTokenIssuedAt < state.accessTokenIssuedAt;
}

/** Undefined when there is no refresh token to stay, or one that is of no use. */
async function sealBeside(
  cipher: TokenCipher,
  { state, content }: SealedRow,
  tokens: TokenSet,
): Promise<SealedColumns | undefined> {
  if (state.status !== 'ACTIVE' || !state.isRefreshable) return undefined;
  try {
    await cipher.open(content, 'refreshToken');
    return await cipher.sealRefresh(content, tokens);
  } catch (error) {
    if (error instanceof SealBrokenError) return undefined;
    throw error;
  }
}
