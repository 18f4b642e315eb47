import { randomUUID } from 'node:crypto';
import type { SqlEntityManager } from '@mikro-orm/sql';
import { SingleFlight } from '../single-flight.js';
import { refuseRing, registerRing } from './key-registry.js';
import type { KeyRing } from './key-ring.js';
import { deleteHeartbeat, putHeartbeat, SERVER_GONE_AFTER_SECONDS } from './server-heartbeat.repository.js';

/** What a server that holds keys depends on. `em` is forked for every use. */
export interface KeyHolderDeps {
  readonly em: SqlEntityManager;
  readonly ring: KeyRing;
  /** Host and process id, for an operator to recognize. */
  readonly server: string;
  /** The issuer that its settings name. */
  readonly issuer: string;
  /** Called when the database failed; the next heartbeat tries again. */
  readonly onError: (error: unknown) => void;
}

const BEATS_PER_LIFE = 6;

/**
 * Checks the ring of a server that starts, and notes from then on that it runs with it. Returns the function that ends
 * that.
 *
 * Throws `StartupError` when the ring is not one for this database, or when this server and one that runs could not open
 * what the other seals. Of two servers that start at once, at least one sees the other.
 */
export async function holdKeys({
  em,
  ring,
  server,
  issuer,
  onError,
}: KeyHolderDeps): Promise<() => Promise<void>> {
  await registerRing(em, ring);
  const holder = { id: randomUUID(), server, kids: ring.kids, issuer };
  await putHeartbeat(em.fork(), holder);
  // What was done meanwhile by another server, or by a command, is seen here or there.
  await refuseRing(em, ring).catch(async (error: unknown) => {
    await deleteHeartbeat(em.fork(), holder.id);
    throw error;
  });
  const beats = new SingleFlight<void>();
  const timer = setInterval(
    () => void beats.run('beat', () => putHeartbeat(em.fork(), holder).catch(onError)),
    (SERVER_GONE_AFTER_SECONDS * 1_000) / BEATS_PER_LIFE,
  );
  return async () => {
    clearInterval(timer);
    await beats.drain();
    // One that stays is gone in half a minute.
    await deleteHeartbeat(em.fork(), holder.id).catch(onError);
  };
}
