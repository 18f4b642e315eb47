import type { SqlEntityManager } from '@mikro-orm/sql';
import { ReauthenticationRequiredError } from '../errors.js';
import { SingleFlight } from '../single-flight.js';
import type { AccountRecord } from './account.repository.js';
import { settleUserinfo, takeUserinfoDue } from './missed-userinfo.repository.js';
import type { UserinfoReader } from './userinfo-reader.js';

/** What reading depends on. `em` is forked for every statement. */
export interface MissedUserinfoDeps {
  readonly em: SqlEntityManager;
  /** Whose accounts are read. */
  readonly issuer: string;
  readonly userinfo: Pick<UserinfoReader, 'read'>;
  /** Called when the database failed; the next round tries again. */
  readonly onError: (error: unknown) => void;
}

const INTERVAL_MS = 5_000;
const ACCOUNTS_PER_ROUND = 20;

/**
 * Reads, in the background, the userinfo that a sign-in could not read; several processes share the work. Returns the
 * function that stops it and waits for the round in flight.
 */
export function startReadingMissedUserinfo(deps: MissedUserinfoDeps): () => Promise<void> {
  const { em, issuer, userinfo, onError } = deps;
  const rounds = new SingleFlight<void>();
  const read = async (account: AccountRecord): Promise<void> => {
    try {
      await userinfo.read(account);
    } catch (error) {
      // It cannot be read until the next sign-in, which reads it by itself.
      if (error instanceof ReauthenticationRequiredError) await settleUserinfo(em.fork(), account, {});
    }
  };
  const readDue = async (): Promise<void> => {
    const accounts = await takeUserinfoDue(em.fork(), issuer, ACCOUNTS_PER_ROUND);
    // Each failure is in the log, and its account is due again.
    await Promise.allSettled(accounts.map(read));
  };
  const timer = setInterval(() => void rounds.run('round', () => readDue().catch(onError)), INTERVAL_MS);
  return async () => {
    clearInterval(timer);
    await rounds.drain();
  };
}
