import type { SqlEntityManager } from '@mikro-orm/sql';
import { StartupError } from '../errors.js';
import {
  claimLease,
  eraseSealed,
  findTokenStates,
  markAnswerLost,
  markDead,
  putRefreshed,
  putSealed,
  readSealed,
  releaseLease,
  sampleCiphertexts,
  type TokenState,
} from './sealed-tokens.repository.js';
import { kidOf, type TokenCipher } from './token-cipher.js';
import { type RefreshDeps, type RefreshStore, TokenRefresher } from './token-refresh.js';
import { sealContext, sealTokens, type TokenColumn } from './token-seal.js';
import type { FreshAccessToken, TokenSet } from './token-set.js';

/** The only door to stored tokens: puts them in, hands a fresh access token out, erases them. */
export interface TokenVault {
  /** Seals and stores the tokens of a link, inside the link's transaction. */
  put(tx: SqlEntityManager, accountId: string, tokens: TokenSet): Promise<void>;
  erase(tx: SqlEntityManager, accountId: string): Promise<boolean>;
  /** Clear state only; opens no ciphertext. */
  states(em: SqlEntityManager, accountIds: readonly string[]): Promise<TokenState[]>;
  /** See `TokenRefresher.accessToken`. */
  accessToken(accountId: string, minTtlSeconds?: number): Promise<FreshAccessToken>;
  /** Throws `StartupError` when rows name a key that the ring lacks or that has other bytes. Changes nothing. */
  checkKeys(): Promise<void>;
  drain(): Promise<void>;
}

/** @param em forked for every use; `deps` as for `TokenRefresher`. */
export function createTokenVault(em: SqlEntityManager, deps: Omit<RefreshDeps, 'store'>): TokenVault {
  const refresher = new TokenRefresher({ ...deps, store: refreshStore(em) });
  return {
    put: async (tx, accountId, tokens) =>
      putSealed(tx, accountId, await sealTokens(deps.cipher, accountId, tokens)),
    erase: eraseSealed,
    states: findTokenStates,
    accessToken: (accountId, minTtlSeconds) =>
      refresher.accessToken(accountId, minTtlSeconds === undefined ? undefined : minTtlSeconds * 1_000),
    checkKeys: () => checkKeys(em, deps.cipher),
    drain: () => refresher.drain(),
  };
}

function refreshStore(em: SqlEntityManager): RefreshStore {
  return {
    read: (accountId) => readSealed(em.fork(), accountId),
    claim: (claim) => claimLease(em.fork(), claim),
    putRefreshed: (accountId, generation, tokens) => putRefreshed(em.fork(), accountId, generation, tokens),
    release: (accountId, leaseId, pauseMs) => releaseLease(em.fork(), accountId, leaseId, pauseMs),
    markDead: (accountId, generation) => markDead(em.fork(), accountId, generation),
    markAnswerLost: (accountId, generation) => markAnswerLost(em.fork(), accountId, generation),
  };
}

async function checkKeys(em: SqlEntityManager, cipher: TokenCipher): Promise<void> {
  for (const sample of await sampleCiphertexts(em.fork())) {
    const columns: [TokenColumn, string | null][] = [
      ['access_token', sample.accessToken],
      ['id_token', sample.idToken],
      ['refresh_token', sample.refreshToken],
    ];
    const [column, sealed] = columns.find(([, text]) => text !== null && kidOf(text) === sample.kid) ?? [];
    if (!column || !sealed) continue;
    await cipher.open(sealed, sealContext(sample.accountId, column)).catch((cause: unknown) => {
      throw new StartupError(
        `Stored tokens are sealed with the key "${sample.kid}", which TOKEN_KEYS lacks or has with other bytes. ` +
          'Put that key back; nothing was changed.',
        { cause },
      );
    });
  }
}
