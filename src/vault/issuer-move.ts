import { IsolationLevel, UniqueConstraintViolationException } from '@mikro-orm/core';
import type { SqlEntityManager } from '@mikro-orm/sql';
import type { Timer } from '../back-off.js';
import { SealBrokenError } from '../errors.js';
import { refuseNamesakes, refuseOldServers } from './issuer-move-checks.js';
import {
  countOfIssuer,
  lockAccountsOf,
  lockTokensOf,
  type MovedTokens,
  moveAccounts,
  moveTokens,
  type Renaming,
  type TokensToMove,
} from './issuer-move.repository.js';
import { refuseRing } from './key-registry.js';
import type { KeyRing } from './key-ring.js';
import { createTokenCipher } from './token-cipher.js';

/** How far a move is, in accounts. */
export interface IssuerMove {
  readonly moved: number;
  /** Left as they were, because their tokens do not open. */
  readonly broken: number;
  /** Still of the old issuer for another reason. */
  readonly left: number;
}

/** What a move depends on; `em` is forked for every transaction. */
export interface IssuerMoveDeps extends Renaming {
  readonly em: SqlEntityManager;
  readonly ring: KeyRing;
  /** Go on although a server runs that names the old issuer. */
  readonly force: boolean;
  readonly sleep: Timer['sleep'];
  readonly onProgress: (move: IssuerMove) => void;
  /** Receives each account whose tokens do not open. */
  readonly onBroken: (accountId: string, error: SealBrokenError) => void;
}

/** Accounts a transaction. */
const BATCH = 200;
const MAX_PASSES = 10;
const PASS_DELAY_MS = 200;

/**
 * Renames an issuer: its accounts stay those of their users, and their tokens are sealed for the new name, under the same
 * data keys. Each batch is one transaction, so it may be ended at any moment and run again, while servers run with the new
 * name.
 *
 * Throws `StartupError` when the ring is not one for this database, when an identity is linked under both names, and when
 * a server runs that names the old one.
 */
export async function moveIssuer(deps: IssuerMoveDeps): Promise<IssuerMove> {
  const { em, from, sleep } = deps;
  await refuseRing(em, deps.ring, true);
  if (!deps.force) await refuseOldServers(em, deps);
  await refuseNamesakes(em, deps);
  const broken = new Set<string>();
  let moved = 0;
  let left = await countOfIssuer(em.fork(), from);
  const state = () => ({ moved, broken: broken.size, left: Math.max(left - broken.size, 0) });
  for (let pass = 1; pass <= MAX_PASSES && left > broken.size; pass += 1) {
    if (pass > 1) await sleep(PASS_DELAY_MS);
    for await (const count of batches(deps, broken)) {
      moved += count;
      left -= count;
      deps.onProgress(state());
    }
    left = await countOfIssuer(em.fork(), from);
  }
  return state();
}

/** Moves a batch at a time, once along the index. Yields how many each moved. */
async function* batches(deps: IssuerMoveDeps, broken: Set<string>): AsyncGenerator<number> {
  for (let after: string | undefined = ''; after !== undefined;) {
    if (!deps.force) await refuseOldServers(deps.em, deps);
    const done = await moveBatch(deps, after, broken);
    after = done.last;
    yield done.moved;
  }
}

/** `last` is the last subject that was looked at; undefined when there is none, or one was linked at the new name just now. */
async function moveBatch(
  deps: IssuerMoveDeps,
  after: string,
  broken: Set<string>,
): Promise<{ readonly moved: number; readonly last: string | undefined }> {
  const move = async (tx: SqlEntityManager) => {
    const accounts = await lockAccountsOf(tx, deps, after, BATCH);
    if (accounts.length === 0) return { moved: 0, last: undefined };
    const rows = await lockTokensOf(
      tx,
      accounts.map(({ id }) => id),
    );
    const tokens = (await Promise.all(rows.map((row) => reseal(deps, row, broken)))).filter(
      (sealed) => sealed !== undefined,
    );
    await moveTokens(tx, deps.to, tokens);
    await moveAccounts(
      tx,
      deps.to,
      tokens.map(({ accountId }) => accountId),
    );
    return { moved: tokens.length, last: accounts.at(-1)?.sub };
  };
  try {
    return await deps.em.fork().transactional(move, { isolationLevel: IsolationLevel.READ_COMMITTED });
  } catch (error) {
    if (!(error instanceof UniqueConstraintViolationException)) throw error;
    return { moved: 0, last: undefined };
  }
}

/** Seals tokens for the new name. Undefined for those that do not open, which are told once. */
async function reseal(
  { ring, from, to, onBroken }: IssuerMoveDeps,
  row: TokensToMove,
  broken: Set<string>,
): Promise<MovedTokens | undefined> {
  const { accountId, clientId } = row;
  // Those of a lost key were removed.
  if (row.accessToken === null) return { accountId, accessToken: null, idToken: null, refreshToken: null };
  const old = createTokenCipher(ring, { issuer: from, clientId });
  const renamed = createTokenCipher(ring, { issuer: to, clientId });
  try {
    const { accessToken, idToken, refreshToken } = await renamed.sealRefresh(row, {
      accessToken: await old.open(row, 'accessToken'),
      idToken: row.idToken === null ? undefined : await old.open(row, 'idToken'),
      refreshToken: row.refreshToken === null ? undefined : await old.open(row, 'refreshToken'),
      scopes: [],
      // Of the result only the ciphertexts count.
      accessTokenIssuedAt: new Date(0),
      accessTokenExpiresAt: new Date(0),
    });
    return { accountId, accessToken, idToken, refreshToken };
  } catch (error) {
    if (!(error instanceof SealBrokenError)) throw error;
    if (!broken.has(accountId)) onBroken(accountId, error);
    broken.add(accountId);
    return undefined;
  }
}
