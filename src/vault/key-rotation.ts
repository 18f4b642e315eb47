import type { SqlEntityManager } from '@mikro-orm/sql';
import type { Timer } from '../back-off.js';
import { SealBrokenError } from '../errors.js';
import { unwrapDataKey, wrapDataKey } from './data-key.js';
import { refuseServers, registerRing } from './key-registry.js';
import type { KeyRing } from './key-ring.js';
import {
  type AccountKey,
  type DataKeyChange,
  findKeysWrappedBy,
  NIL_UUID,
  replaceDataKeys,
} from './key-rotation.repository.js';
import {
  deleteRevocation,
  findRevocationKeys,
  replaceRevocationKey,
} from './pending-revocation.repository.js';
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
 * Wraps the data key of every account, and of what is to be revoked, with the first key of the ring, while servers serve; no token is touched.
 *
 * Each batch is one statement that commits by itself, so it may be ended at any moment and run again, also several at
 * once. Rows that others hold or change meanwhile are looked at again, up to ten times.
 *
 * Throws `StartupError` when the ring is not one for this database, and when a server that runs
 * does not go with it.
 */
export async function rotateKeys(deps: KeyRotationDeps): Promise<KeyRotation> {
  const { em, ring, maxRate, now, sleep } = deps;
  const kid = ring.currentKid;
  await registerRing(em, ring, deps.force);
  const broken = new Set<string>();
  let rewrapped = 0;
  let left = await countOthers(deps);
  const state = () => ({ kid, rewrapped, broken: broken.size, left: Math.max(left - broken.size, 0) });
  for (let pass = 1; pass <= MAX_PASSES && left > broken.size; pass += 1) {
    if (pass > 1) await sleep(PASS_DELAY_MS);
    for await (const rows of batches(deps)) {
      if (!deps.force) await refuseServers(em, ring);
      const begunAt = now();
      const changed = await replaceDataKeys(em.fork(), kid, rewrap(deps, rows, broken));
      rewrapped += changed;
      left -= changed;
      deps.onProgress(state());
      await sleep(Math.max((changed / maxRate) * 1_000 - (now() - begunAt), 0));
    }
    left = await countOthers(deps);
  }
  await rewrapRevocations(deps);
  return state();
}

/** The same for refresh tokens that are to be revoked. One whose data key does not unwrap can never be, and is removed. */
async function rewrapRevocations({ em, ring, onBroken }: KeyRotationDeps): Promise<void> {
  for (const kid of await otherKids(em, ring)) {
    for (let after = NIL_UUID; ;) {
      const rows = await findRevocationKeys(em.fork(), kid, after, BATCH);
      for (const row of rows) {
        try {
          await replaceRevocationKey(em.fork(), row.id, wrapDataKey(ring, unwrapDataKey(ring, row)));
        } catch (error) {
          if (!(error instanceof SealBrokenError)) throw error;
          onBroken(row.accountId, error);
          await deleteRevocation(em.fork(), row.id);
        }
      }
      const last = rows.at(-1);
      if (!last) break;
      after = last.id;
    }
  }
}

/** The accounts that other keys wrap, a batch at a time. */
async function* batches({ em, ring, maxRate }: KeyRotationDeps): AsyncGenerator<AccountKey[]> {
  for (const kid of await otherKids(em, ring)) {
    for (let after = NIL_UUID; ;) {
      const rows = await findKeysWrappedBy(em.fork(), kid, after, Math.min(BATCH, maxRate));
      const last = rows.at(-1);
      if (!last) break;
      yield rows;
      after = last.accountId;
    }
  }
}

/** Wraps data keys anew; those that do not unwrap are told once, and left out. */
function rewrap(
  { ring, onBroken }: KeyRotationDeps,
  rows: readonly AccountKey[],
  broken: Set<string>,
): DataKeyChange[] {
  return rows.flatMap((row): DataKeyChange[] => {
    try {
      return [[row.accountId, row.dataKey, wrapDataKey(ring, unwrapDataKey(ring, row)).dataKey]];
    } catch (error) {
      if (!(error instanceof SealBrokenError)) throw error;
      if (!broken.has(row.accountId)) onBroken(row.accountId, error);
      broken.add(row.accountId);
      return [];
    }
  });
}

async function countOthers({ em, ring }: KeyRotationDeps): Promise<number> {
  let accounts = 0;
  for (const kid of await otherKids(em, ring)) accounts += await countAccounts(em.fork(), kid);
  return accounts;
}

async function otherKids(em: SqlEntityManager, ring: KeyRing): Promise<string[]> {
  const keys = await findTokenKeys(em.fork());
  // What a lost key wraps is left to `giveUpKey`.
  const others = keys.filter(({ kid, givenUp }) => kid !== ring.currentKid && (ring.key(kid) || !givenUp));
  return others.map(({ kid }) => kid);
}
