import { randomUUID } from 'node:crypto';
import type { SqlEntityManager } from '@mikro-orm/sql';
import { LinkedToAnotherUserError } from '../errors.js';
import type { Grant } from '../rollup/grant.js';
import type { TokenSet } from '../token-set.js';
import type { InTurn, Transact } from '../transact.js';
import type { LinkResult, LinkSource } from '../vault/link-tokens.js';
import type { TokenVault } from '../vault/token-vault.js';
import type { AccountRecord, LinkedIdentity } from './account.repository.js';
import { type LinkRecord, putFirstLink, putLink, type StoredLink } from './link.repository.js';

/** A completed link, and the access token of the identity for its own user. */
export interface CompletedLink
  extends StoredLink, Pick<TokenSet, 'accessToken' | 'accessTokenExpiresAt' | 'scopes'> {}

/** What storing depends on. `em` is forked for every unit of work. */
export interface StoreDeps {
  readonly em: SqlEntityManager;
  readonly transact: Transact;
  readonly inTurn: InTurn;
  readonly vault: TokenVault;
  /** An identity at the issuer; undefined when it is not linked. */
  readonly findIdentity: (sub: string) => Promise<LinkedIdentity | undefined>;
  /** Receives the error of userinfo that could not be read, which fails no link. */
  readonly onUserinfoFailure: (accountId: string, error: unknown) => void;
  readonly onChange: (change: 'linked' | 'unlinked', account: AccountRecord) => void;
}

type Stored = StoredLink & Pick<LinkResult, 'isRevocationAdded'>;

const MAX_ATTEMPTS = 5;

/**
 * Stores a verified link, all of it or nothing: a first one with one statement, any other in a transaction.
 *
 * Throws `LinkedToAnotherUserError` and `LinkNotFoundError`.
 *
 * @param takenOver the tokens, when they were obtained elsewhere.
 */
export async function storeLink(
  deps: StoreDeps,
  grant: Grant,
  userId: string | undefined,
  takenOver?: LinkSource['takenOver'],
): Promise<CompletedLink> {
  const { vault, onChange, onUserinfoFailure } = deps;
  const rows = `${grant.issuer} ${grant.sub}`;
  const isKnown = (await deps.findIdentity(grant.sub)) !== undefined;
  // In turn: the insert waits for another one of the identity, and is to hold up one connection only.
  const first = isKnown ? undefined : await deps.inTurn(rows, () => storeFirst(deps, grant, userId));
  const { isRevocationAdded, ...link } = first ?? (await storeAgain(deps, rows, grant, userId, takenOver));
  onChange('linked', link.account);
  if (grant.userinfoFailure) onUserinfoFailure(link.account.id, grant.userinfoFailure);
  if (isRevocationAdded) vault.revocations.run();
  const { accessToken, accessTokenExpiresAt, scopes } = grant.tokens;
  return { ...link, accessToken, accessTokenExpiresAt, scopes };
}

/** Undefined when the identity was linked meanwhile. There is nothing to revoke. */
async function storeFirst(
  { em, vault }: StoreDeps,
  grant: Grant,
  userId: string | undefined,
): Promise<Stored | undefined> {
  const accountId = randomUUID();
  const tokens = await vault.sealFirst(accountId, grant.tokens);
  const link = await putFirstLink(em.fork(), recordOf(grant), userId ?? null, accountId, tokens);
  return link && { ...link, isRevocationAdded: false };
}

/** Of two concurrent links of one identity the second may have to be run again to see the user of the first. */
async function storeAgain(
  { transact, vault }: StoreDeps,
  rows: string,
  verified: Grant,
  userId: string | undefined,
  takenOver: LinkSource['takenOver'],
): Promise<Stored> {
  const source = { canRevoke: await vault.revocations.isPossible(), takenOver };
  let grant = verified;
  for (let tries = 1; ; tries += 1) {
    try {
      return await transact(rows, (tx) => storeOnce(tx, vault, grant, userId, source));
    } catch (error) {
      // What older tokens tell of a person is older, too.
      if (error instanceof OlderTokensError) grant = withoutClaims(grant);
      else if (!(error instanceof LinkedMeanwhileError) || tries >= MAX_ATTEMPTS) throw error;
    }
  }
}

async function storeOnce(
  tx: SqlEntityManager,
  vault: TokenVault,
  grant: Grant,
  userId: string | undefined,
  source: LinkSource,
): Promise<Stored> {
  const link = await putLink(tx, recordOf(grant), userId ?? null);
  if (!link) throw new LinkedMeanwhileError();
  if (userId !== undefined && link.user.id !== userId) throw new LinkedToAnotherUserError();
  const { isStored, isRevocationAdded } = await vault.put(tx, link.account.id, grant.tokens, source);
  if (!isStored && Object.keys(grant.person).length > 0) throw new OlderTokensError();
  return { ...link, isRevocationAdded };
}

function recordOf({ issuer, sub, person, tokens, userinfoFailure }: Grant): LinkRecord {
  return { issuer, sub, scopes: tokens.scopes, person, isUserinfoDue: userinfoFailure !== undefined };
}

function withoutClaims(grant: Grant): Grant {
  return { ...grant, person: {} };
}

/** Rolls a transaction back that is to be run again. */
class LinkedMeanwhileError extends Error {}

/** Rolls a transaction back that is to be run again, without the claims. */
class OlderTokensError extends Error {}
