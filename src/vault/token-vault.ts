import type { SqlEntityManager } from '@mikro-orm/sql';
import { StartupError } from '../errors.js';
import { endGrant } from './refresh-attempt.js';
import type { RefreshDeps } from './refresh-deps.js';
import { refreshLeaseRepository } from './refresh-lease.repository.js';
import {
  findTokenStates,
  putSealed,
  readSealed,
  sampleCiphertexts,
  type CiphertextSample,
} from './sealed-tokens.repository.js';
import type { TokenCipher } from './token-cipher.js';
import { TokenRefresher } from './token-refresher.js';
import { sealContext, sealTokens, type TokenColumn } from './token-seal.js';
import type { FreshAccessToken, TokenSet, TokenState } from '../token-set.js';

/** The only door to stored tokens: puts them in and hands a fresh access token out; they go with their account. */
export interface TokenVault {
  /** Seals and stores the tokens of a link, inside the link's transaction. */
  put(tx: SqlEntityManager, accountId: string, tokens: TokenSet): Promise<void>;
  /** The refresh token, to be revoked with the link that ends; undefined when there is none or it does not open. */
  refreshToken(tx: SqlEntityManager, accountId: string): Promise<string | undefined>;
  /** Clear state only; opens no ciphertext. */
  states(em: SqlEntityManager, accountIds: readonly string[]): Promise<TokenState[]>;
  /** See `TokenRefresher.accessToken`. */
  accessToken(accountId: string, minTtlSeconds?: number): Promise<FreshAccessToken>;
  /**
   * Takes the provider's word, given elsewhere than at a refresh, that the grant behind these tokens is dead. Tokens
   * of a later generation are not touched: false when there are such.
   */
  endGrant(accountId: string, generation: number): Promise<boolean>;
  /** Throws `StartupError` when rows name a key that the ring lacks or that has other bytes. Changes nothing. */
  checkKeys(): Promise<void>;
  drain(): Promise<void>;
  /** Callers that wait for a refresh now. */
  waiting(): number;
  /** Whether the provider refuses this server's credentials. */
  circuitOpen(): boolean;
}

/** @param em forked for every use; `deps` as for `TokenRefresher`. */
export function createTokenVault(em: SqlEntityManager, deps: Omit<RefreshDeps, 'store'>): TokenVault {
  const store = refreshLeaseRepository(em);
  const refresher = new TokenRefresher({ ...deps, store });
  return {
    put: async (tx, accountId, tokens) =>
      putSealed(tx, accountId, await sealTokens(deps.cipher, accountId, tokens)),
    refreshToken: async (tx, accountId) => {
      const sealed = (await readSealed(tx, accountId))?.refreshToken ?? null;
      if (sealed === null) return undefined;
      return deps.cipher.open(sealed, sealContext(accountId, 'refresh_token')).catch(() => undefined);
    },
    states: findTokenStates,
    accessToken: (accountId, minTtlSeconds) =>
      refresher.accessToken(accountId, minTtlSeconds === undefined ? undefined : minTtlSeconds * 1_000),
    endGrant: (accountId, generation) => endGrant({ store, onEvent: deps.onEvent }, accountId, generation),
    checkKeys: () => checkKeys(em, deps.cipher),
    drain: () => refresher.drain(),
    waiting: () => refresher.waiting,
    circuitOpen: () => deps.gate.circuitOpen,
  };
}

/**
 * Tries every key that rows name, or only one, on a few of them: one damaged row says nothing about a key, but no
 * opening row does. Throws `StartupError`.
 */
export async function checkKeys(em: SqlEntityManager, cipher: TokenCipher, onlyKid?: string): Promise<void> {
  const samples = Map.groupBy(await sampleCiphertexts(em.fork()), ({ kid }) => kid);
  for (const [kid, rows] of samples) {
    if (onlyKid !== undefined && kid !== onlyKid) continue;
    const tries = await Promise.allSettled(rows.map((row) => openSample(cipher, row)));
    if (tries.some(({ status }) => status === 'fulfilled')) continue;
    throw new StartupError(
      `Stored tokens are sealed with the key "${kid}", which TOKEN_KEYS lacks or has with other bytes. ` +
        'Put that key back; nothing was changed.',
      { cause: tries.find((tried) => tried.status === 'rejected')?.reason },
    );
  }
}

async function openSample(cipher: TokenCipher, row: CiphertextSample): Promise<string> {
  const columns: [TokenColumn, string | null][] = [
    ['access_token', row.accessToken],
    ['id_token', row.idToken],
    ['refresh_token', row.refreshToken],
  ];
  const [column, sealed] = columns.find(([, text]) => text !== null && cipher.kidOf(text) === row.kid) ?? [];
  return cipher.open(sealed ?? '', sealContext(row.accountId, column ?? 'access_token'));
}
