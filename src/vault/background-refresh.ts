import type { SqlEntityManager } from '@mikro-orm/sql';
import { findExpiring } from './sealed-tokens.repository.js';
import type { TokenVault } from './token-vault.js';

/** What the background refresh works with. */
export interface BackgroundRefreshDeps {
  readonly em: SqlEntityManager;
  readonly vault: Pick<TokenVault, 'accessToken'>;
  /** Tokens that end within this many seconds are refreshed ahead. */
  readonly aheadSeconds: number;
  /** Told when the database could not be asked; the next round tries again. */
  readonly onError: (error: unknown) => void;
}

const ROUNDS_PER_WINDOW = 4;
const ACCOUNTS_PER_ROUND = 100;

/**
 * Refreshes tokens before anybody asks for them. It goes through the same door as everybody, so with any number of
 * processes one expiry still costs one call. Returns the way to stop it, which waits for the round under way.
 */
export function startBackgroundRefresh(deps: BackgroundRefreshDeps): () => Promise<void> {
  const { em, vault, aheadSeconds, onError } = deps;
  let round = Promise.resolve();
  let running = false;
  const refreshExpiring = async (): Promise<void> => {
    const ids = await findExpiring(em.fork(), aheadSeconds, ACCOUNTS_PER_ROUND);
    // What becomes of each is in its row and in the log already.
    await Promise.allSettled(ids.map((id) => vault.accessToken(id, aheadSeconds)));
  };
  const timer = setInterval(
    () => {
      if (running) return;
      running = true;
      round = refreshExpiring()
        .catch(onError)
        .finally(() => (running = false));
    },
    Math.max(250, (aheadSeconds * 1_000) / ROUNDS_PER_WINDOW),
  );
  return async () => {
    clearInterval(timer);
    await round;
  };
}
