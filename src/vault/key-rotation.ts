import type { SqlEntityManager } from '@mikro-orm/sql';
import type { Timer } from '../back-off.js';
import { SealBrokenError, StartupError } from '../errors.js';
import { unwrapDataKey, wrapDataKey } from './data-key.js';
import { findServersWithout, nameServers, registerRing } from './key-registry.js';
import type { KeyRing } from './key-ring.js';
import { type AccountKey, findKeysWrappedBy, NIL_UUID, replaceDataKeys } from './key-rotation.repository.js';
import { countAccounts, findTokenKeys } from './token-key.repository.js';

/** How far a rotation is, in accounts. */
export interface KeyRotation {
  /** The key that wraps all of them in the end. */
  readonly kid: string;
  /** Wrapped anew so far. */
  readonly rewrapped: number;
  /** Left as they were, because the data key does not unwrap. */
  readonly broken: number;
  /** Still wrapped by another key. */
  readonly left: number;
}

/** What a rotation depends on; `em` is forked for every statement. */
export interface KeyRotationDeps extends Timer {
  readonly em: SqlEntityManager;
  readonly ring: KeyRing;
  /** Accounts a second at most. */
  readonly maxRate: number;
  /** Go on although a server that runs lacks the key. */
  readonly force: boolean;
  readonly onProgress: (rotation: KeyRotation) => void;
  /** Receives each account whose data key does not unwrap. */
  readonly onBroken: (accountId: string, error: SealBrokenError) => void;
}

/** Accounts a statement; no more than in a second. */
const BATCH = 500;
const MAX_PASSES = 10;
const PASS_DELAY_MS = 200;

/**
 * Wraps the data key of every account with the first key of the ring, while servers serve; no token is touched.
 *
 * Each batch is one statement that commits by itself, so it may be ended at any moment and run again, also several at
 * once. Rows that others hold or change meanwhile are looked at again, up to ten times.
 *
 * Throws `StartupError` when the ring is not one for this database, and when a server that runs lacks the key.
 */
export async function rotateKeys(deps: KeyRotationDeps): Promise<KeyRotation> {
  const { em, ring } = deps;
  await refuseServersWithout(deps);
  await registerRing(em, ring);
  const rotation = new Rotation(deps);
  for (let pass = 1; pass <= MAX_PASSES && (await rotation.count()) > 0; pass += 1) {
    if (pass > 1) await deps.sleep(PASS_DELAY_MS);
    await rotation.pass();
  }
  return rotation.state;
}

class Rotation {
  readonly #deps: KeyRotationDeps;
  readonly #broken = new Set<string>();
  readonly #startedAt: number;
  #rewrapped = 0;
  #left = 0;

  constructor(deps: KeyRotationDeps) {
    this.#deps = deps;
    this.#startedAt = deps.now();
  }

  get state(): KeyRotation {
    const { ring } = this.#deps;
    const broken = this.#broken.size;
    return { kid: ring.currentKid, rewrapped: this.#rewrapped, broken, left: Math.max(this.#left, 0) };
  }

  /** Counts what is left, without the broken ones. */
  async count(): Promise<number> {
    let others = 0;
    for (const kid of await this.#otherKids()) others += await countAccounts(this.#deps.em.fork(), kid);
    return (this.#left = others - this.#broken.size);
  }

  async pass(): Promise<void> {
    const { em, maxRate, now, sleep, onProgress } = this.#deps;
    for (const kid of await this.#otherKids()) {
      for (let after = NIL_UUID; ;) {
        const rows = await findKeysWrappedBy(em.fork(), kid, after, Math.min(BATCH, maxRate));
        const last = rows.at(-1);
        if (!last) break;
        after = last.accountId;
        await refuseServersWithout(this.#deps);
        await this.#rewrap(rows);
        onProgress(this.state);
        const dueMs = (this.#rewrapped / maxRate) * 1_000;
        await sleep(Math.max(dueMs - (now() - this.#startedAt), 0));
      }
    }
  }

  async #rewrap(rows: readonly AccountKey[]): Promise<void> {
    const { em, ring } = this.#deps;
    const pairs = rows.flatMap((read) => {
      const dataKey = this.#rewrapOne(read);
      return dataKey === undefined ? [] : [{ read, dataKey }];
    });
    const changed = await replaceDataKeys(em.fork(), ring.currentKid, pairs);
    this.#rewrapped += changed;
    this.#left -= changed;
  }

  #rewrapOne(read: AccountKey): string | undefined {
    const { ring, onBroken } = this.#deps;
    try {
      return wrapDataKey(ring, unwrapDataKey(ring, read)).dataKey;
    } catch (error) {
      if (!(error instanceof SealBrokenError)) throw error;
      if (!this.#broken.has(read.accountId)) onBroken(read.accountId, error);
      this.#broken.add(read.accountId);
      return undefined;
    }
  }

  async #otherKids(): Promise<string[]> {
    const keys = await findTokenKeys(this.#deps.em.fork());
    return keys.map(({ kid }) => kid).filter((kid) => kid !== this.#deps.ring.currentKid);
  }
}

async function refuseServersWithout({ em, ring, force }: KeyRotationDeps): Promise<void> {
  const servers = force ? [] : await findServersWithout(em, ring.currentKid);
  if (servers.length === 0) return;
  throw new StartupError(
    `Servers that run lack the key "${ring.currentKid}": ${nameServers(servers)}. What it wraps would not open there. ` +
      'Add it to the ring of every server first.',
  );
}
