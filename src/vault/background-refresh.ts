import type { SqlEntityManager } from '@mikro-orm/sql';
import { SingleFlight } from '../single-flight.js';
import { findExpiring } from './refresh-due.repository.js';
import type { ClientRegistration } from '../token-set.js';
import type { TokenVault } from './token-vault.js';

/** What the background refresh depends on. */
export interface BackgroundRefreshDeps {
  readonly em: SqlEntityManager;
  readonly vault: Pick<TokenVault, 'accessToken'>;
  /** Whose tokens they are. */
  readonly registration: ClientRegistration;
  /** Of the ring: what other keys wrap cannot be refreshed here. */
  readonly kids: readonly string[];
  /** Tokens that expire within this many seconds are refreshed ahead of demand; 0 for none. */
  readonly aheadSeconds: number;
  /** Called when the database failed; the next round tries again. */
  readonly onError: (error: unknown) => void;
}

const ROUNDS_PER_WINDOW = 4;
const MIN_INTERVAL_MS = 250;
const ACCOUNTS_PER_ROUND = 100;

/**
 * Refreshes tokens ahead of demand, through the same vault as every caller, so that one expiry still costs one call for
 * any number of processes. Returns the function that stops it and waits for the round in flight.
 */
export function startBackgroundRefresh(deps: BackgroundRefreshDeps): () => Promise<void> {
  const { em, vault, registration, kids, aheadSeconds, onError } = deps;
  if (aheadSeconds === 0) return async () => undefined;
  const rounds = new SingleFlight<void>();
  const refreshExpiring = async (): Promise<void> => {
    const ids = await findExpiring(em.fork(), registration, kids, aheadSeconds, ACCOUNTS_PER_ROUND);
    // Each result is in its row and in the log.
    await Promise.allSettled(ids.map((id) => vault.accessToken(id, aheadSeconds)));
  };
  const timer = setInterval(
    () => void rounds.run('round', () => refreshExpiring().catch(onError)),
    Math.max(MIN_INTERVAL_MS, (aheadSeconds * 1_000) / ROUNDS_PER_WINDOW),
  );
  return async () => {
    clearInterval(timer);
    await rounds.drain();
  };
}
