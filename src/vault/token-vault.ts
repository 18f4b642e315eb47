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
  type CiphertextSample,
  type TokenState,
} from './sealed-tokens.repository.js';
import type { TokenCipher } from './token-cipher.js';
import type { RefreshDeps, RefreshStore } from './refresh-attempt.js';
import { TokenRefresher } from './token-refresh.js';
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
  /** Callers that wait for a refresh now. */
  waiting(): number;
  /** Whether the provider refuses this server's credentials. */
  circuitOpen(): boolean;
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
    waiting: () => refresher.waiting,
    circuitOpen: () => deps.gate.circuitOpen,
  };
}

/** The rows of the database as the refresh uses them: each step a unit of work of its own. */
export function refreshStore(em: SqlEntityManager): RefreshStore {
  return {
    read: (accountId) => readSealed(em.fork(), accountId),
    claim: (claim) => claimLease(em.fork(), claim),
    putRefreshed: (accountId, generation, tokens) => putRefreshed(em.fork(), accountId, generation, tokens),
    release: (accountId, leaseId, pauseMs) => releaseLease(em.fork(), accountId, leaseId, pauseMs),
    markDead: (accountId, generation) => markDead(em.fork(), accountId, generation),
    markAnswerLost: (accountId, generation) => markAnswerLost(em.fork(), accountId, generation),
  };
}

/**
 * Tries every key that rows name on a few of them: one damaged row says nothing about a key, but no opening row
 * does.
 */
async function checkKeys(em: SqlEntityManager, cipher: TokenCipher): Promise<void> {
  const samples = Map.groupBy(await sampleCiphertexts(em.fork()), ({ kid }) => kid);
  for (const [kid, rows] of samples) {
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
