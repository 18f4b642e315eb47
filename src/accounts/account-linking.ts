import { createHash, randomBytes } from 'node:crypto';
import { UniqueConstraintViolationException } from '@mikro-orm/core';
import type { SqlEntityManager } from '@mikro-orm/sql';
import {
  AccountNotFoundError,
  CodeRejectedError,
  LinkedToAnotherUserError,
  LinkNotFoundError,
  RedirectUriNotAllowedError,
  ScopeNotAllowedError,
} from '../errors.js';
import { type Grant, verifyGrant } from '../rollup/grant.js';
import type { RollupClient } from '../rollup/rollup-client.js';
import { isScopeName } from '../rollup/scopes.js';
import type { TokenResponse } from '../rollup/token-response.js';
import type { VerifierOptions } from '../rollup/token-verifier.js';
import type { TokenCipher } from '../vault/token-cipher.js';
import type { TokenVault } from '../vault/token-vault.js';
import {
  type AccountRecord,
  deleteAccount,
  deleteUnreachableUser,
  findAccountOfUser,
  insertAccount,
  insertUser,
  lockAccount,
  lockUser,
  updatePerson,
  type UserRecord,
} from './account.repository.js';
import { callbackFailure, cameBackTo, parseCallback } from './callback-url.js';
import { consumeLink, type PendingLinkRecord, rememberLink } from './pending-link.repository.js';

/** What a caller asks for when a link begins. */
export interface LinkRequest {
  readonly redirectUri: string;
  readonly scopes: readonly string[];
  readonly forceConsent: boolean;
}

/** Where to send the browser, and the secret that completes the link. */
export interface BegunLink {
  readonly authorizationUrl: string;
  readonly state: string;
  /** For the one who began only; never part of a URL. */
  readonly linkToken: string;
  readonly expiresAt: Date;
}

/** A completed link, and the access token of the identity for its own user. */
export interface CompletedLink {
  readonly user: UserRecord;
  readonly account: AccountRecord;
  readonly isNewUser: boolean;
  readonly accessToken: string;
  readonly accessTokenExpiresAt: Date;
  /** What the access token allows. */
  readonly scopes: readonly string[];
}

/** What linking depends on. `em` is forked for every unit of work. */
export interface LinkingDeps {
  readonly em: SqlEntityManager;
  readonly client: RollupClient;
  readonly verifier: VerifierOptions;
  readonly vault: TokenVault;
  readonly cipher: TokenCipher;
  readonly redirectUris: readonly string[];
  readonly allowedScopes: readonly string[];
  readonly linkTtlSeconds: number;
  /** Told of every link that came to nothing, with its cause. */
  readonly onFailure: (error: unknown) => void;
  /** Told of every link and unlink, with the subject. */
  readonly onChange: (change: 'linked' | 'unlinked', account: AccountRecord) => void;
}

const LINK_TRIES = 5;
const TRANSACTION_PAUSE_MS = '5000';

/** Begins, completes and ends links. No row changes unless the whole link succeeds. */
export class AccountLinking {
  constructor(private readonly deps: LinkingDeps) {}

  /**
   * Remembers an attempt and says where to send the browser.
   *
   * Throws `RedirectUriNotAllowedError`, `ScopeNotAllowedError`, `ProviderUnavailableError` or
   * `ProviderMisconfiguredError`.
   */
  begin(request: LinkRequest, userId?: string): Promise<BegunLink> {
    return this.#reporting(() => this.#begin(request, userId));
  }

  async #begin(request: LinkRequest, userId?: string): Promise<BegunLink> {
    const { em, client, cipher, redirectUris, allowedScopes, linkTtlSeconds, verifier } = this.deps;
    const { redirectUri, forceConsent } = request;
    if (!redirectUris.includes(redirectUri)) throw new RedirectUriNotAllowedError();
    const scopes = [...new Set(request.scopes)];
    const allowed = scopes.every((scope) => isScopeName(scope) && allowedScopes.includes(scope));
    if (scopes.length === 0 || !allowed) throw new ScopeNotAllowedError();
    const [state, nonce, codeVerifier, linkToken] = [secret(), secret(), secret(), secret()];
    const codeChallenge = createHash('sha256').update(codeVerifier).digest('base64url');
    const authorizationUrl = await client.authorizationUrl({
      redirectUri,
      scopes,
      state,
      nonce,
      codeChallenge,
      forceConsent,
    });
    const now = verifier.now();
    const expiresAt = new Date(now + linkTtlSeconds * 1_000);
    const attempt: PendingLinkRecord = {
      stateHash: hash(state),
      linkTokenHash: hash(linkToken),
      nonceHash: hash(nonce),
      codeVerifier: await cipher.seal(codeVerifier, verifierContext(hash(state))),
      redirectUri,
      userId: userId ?? null,
      expiresAt,
    };
    await rememberLink(em.fork(), attempt, new Date(now));
    return { authorizationUrl, state, linkToken, expiresAt };
  }

  /**
   * Completes a link from the URL that the browser came back to. The attempt is used up before the provider
   * is asked; a code is sent once and never again by itself.
   *
   * Throws `LinkNotFoundError`, `AccessDeniedError`, `CodeRejectedError`, `TokenRejectedError`,
   * `SubjectMismatchError`, `LinkedToAnotherUserError`, `ProviderUnavailableError` or
   * `ProviderMisconfiguredError`.
   */
  complete(url: string, linkToken: string, userId?: string): Promise<CompletedLink> {
    return this.#reporting(() => this.#complete(url, linkToken, userId));
  }

  async #complete(url: string, linkToken: string, userId?: string): Promise<CompletedLink> {
    const { em, client, cipher, verifier } = this.deps;
    const callback = parseCallback(url);
    const by = { stateHash: hash(callback.state), linkTokenHash: hash(linkToken), userId };
    const attempt = await consumeLink(em.fork(), { ...by, now: new Date(verifier.now()) });
    if (!attempt || !cameBackTo(callback, attempt.redirectUri)) throw new LinkNotFoundError();
    if (callback.issuer !== undefined && callback.issuer !== verifier.issuer.issuer)
      throw new CodeRejectedError();
    if ('error' in callback.result) throw callbackFailure(callback.result.error);
    const codeVerifier = await cipher.open(attempt.codeVerifier, verifierContext(attempt.stateHash));
    const { code } = callback.result;
    const response = await client.exchangeCode({ code, codeVerifier, redirectUri: attempt.redirectUri });
    const grant = await verifyGrant(response, client, verifier, attempt.nonceHash);
    return this.#store(grant, attempt.userId ?? undefined);
  }

  /** Takes over tokens that were obtained elsewhere, with the same checks as `complete`. */
  takeOver(tokens: TokenResponse, userId?: string): Promise<CompletedLink> {
    return this.#reporting(async () => {
      const grant = await verifyGrant(tokens, this.deps.client, this.deps.verifier);
      return this.#store(grant, userId);
    });
  }

  /**
   * Ends a link: the tokens are erased with the account. A user whom no identity reaches any more goes with it.
   *
   * Throws `AccountNotFoundError` when the account is not this user's.
   */
  async unlink(userId: string, accountId: string): Promise<void> {
    const unlinked = await this.#inTransaction(async (tx) => {
      const account = await findAccountOfUser(tx, userId, { id: accountId });
      if (!account || !(await deleteAccount(tx, userId, accountId))) throw new AccountNotFoundError();
      if (await lockUser(tx, userId)) await deleteUnreachableUser(tx, userId);
      return account;
    });
    this.deps.onChange('unlinked', unlinked);
  }

  /** A process that freezes or is cut off in the middle must not keep the account's row to itself. */
  #inTransaction<Result>(work: (tx: SqlEntityManager) => Promise<Result>): Promise<Result> {
    return this.deps.em.fork().transactional(async (tx) => {
      await tx.execute(`select set_config('idle_in_transaction_session_timeout', ?, true)`, [
        TRANSACTION_PAUSE_MS,
      ]);
      return work(tx);
    });
  }

  async #reporting<Result>(work: () => Promise<Result>): Promise<Result> {
    try {
      return await work();
    } catch (error) {
      this.deps.onFailure(error);
      throw error;
    }
  }

  /** Two links of one identity at once: the unique (issuer, sub) stops the second, which then finds the first. */
  async #store(grant: Grant, userId: string | undefined): Promise<CompletedLink> {
    for (let tries = 1; ; tries += 1) {
      try {
        const link = await this.#inTransaction((tx) => this.#storeOnce(tx, grant, userId));
        this.deps.onChange('linked', link.account);
        return link;
      } catch (error) {
        if (!(error instanceof UniqueConstraintViolationException) || tries >= LINK_TRIES) throw error;
      }
    }
  }

  async #storeOnce(tx: SqlEntityManager, grant: Grant, userId: string | undefined): Promise<CompletedLink> {
    const known = await lockAccount(tx, grant);
    if (known && userId !== undefined && known.userId !== userId) throw new LinkedToAnotherUserError();
    // The caller's user may have been deleted with its last identity since the link began.
    if (!known && userId !== undefined && !(await lockUser(tx, userId))) throw new LinkNotFoundError();
    const owner = known?.userId ?? userId ?? (await insertUser(tx));
    const account = known ?? (await insertAccount(tx, owner, { issuer: grant.issuer, sub: grant.sub }));
    const user = await updatePerson(tx, owner, grant.person);
    await this.deps.vault.put(tx, account.id, grant.tokens);
    const { accessToken, accessTokenExpiresAt, scopes } = grant.tokens;
    const isNewUser = !known && userId === undefined;
    return { user, account, isNewUser, accessToken, accessTokenExpiresAt, scopes };
  }
}

/** 256 random bits. */
function secret(): string {
  return randomBytes(32).toString('base64url');
}

function hash(value: string): string {
  return createHash('sha256').update(value).digest('hex');
}

function verifierContext(stateHash: string) {
  return {
    table: 'pending_link',
    column: 'code_verifier',
    account: stateHash,
    kind: 'code_verifier',
  } as const;
}
