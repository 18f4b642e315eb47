import type { AccountRecord } from '../accounts/account.repository.js';
import type { CompletedLink } from '../accounts/store-link.js';
import type { Accounts, RenewedToken } from '../accounts/accounts.js';
import { requireConsent } from '../accounts/consent.js';
import type { BegunLink, LinkRequest } from '../accounts/link-attempt.js';
import type { UserRecord } from '../accounts/user.repository.js';
import type { Userinfo } from '../accounts/userinfo-reader.js';
import { NotLinkedError, UnauthenticatedError } from '../errors.js';
import type { GalaxyReader, GalaxyReading } from '../galaxy/galaxy-reader.js';
import type { Tokens, TokenState } from '../token-set.js';
import { createLoaders, type Loaders } from './loaders.js';
import type { OperationRecord } from './operation-record.js';
import type { DescribeScopes } from './scope-descriptions.js';

/** What the transport knows of a request. */
export interface RequestInfo {
  /** The caller's address, as far as it can be trusted. */
  readonly address: string;
  /** Aborted when the deadline of the request has passed. */
  readonly signal: AbortSignal;
  /** Filled for the log and the metrics. */
  readonly operation: OperationRecord;
}

/** The caller, from a verified access token only. */
export interface Viewer {
  readonly issuer: string;
  readonly sub: string;
  /** What the presented token allows, whatever the stored one allows. */
  readonly scopes: readonly string[];
}

/** What all requests share. */
export interface Capabilities {
  readonly accounts: Accounts;
  readonly galaxy: GalaxyReader;
  readonly describeScopes: DescribeScopes;
}

/**
 * All that a resolver can do: capabilities, no entity manager. Created for each request, so that nothing is shared.
 *
 * Apollo Server copies it with `Object.assign`, which loses fields that are private to JavaScript (`#`).
 */
export class RequestContext {
  readonly request: RequestInfo;
  readonly describeScopes: DescribeScopes;
  private readonly shared: Capabilities;
  private readonly caller: Viewer | undefined;
  private linked: Viewer | undefined;
  private loaders: Loaders | undefined;

  constructor(shared: Capabilities, caller: Viewer | undefined, request: RequestInfo) {
    this.shared = shared;
    this.caller = caller;
    this.request = request;
    this.describeScopes = shared.describeScopes;
  }

  /** The caller; after a completed link the linked identity, because its tokens were presented. */
  viewer(): Viewer | undefined {
    return this.linked ?? this.caller;
  }

  /** The caller's user; undefined for an anonymous caller, and when the identity is not linked. */
  async user(): Promise<UserRecord | undefined> {
    return this.caller && this.shared.accounts.lookUpUser(this.caller.sub);
  }

  accountsOf(userId: string): Promise<readonly AccountRecord[]> {
    return this.load.accounts.load(userId);
  }

  async tokensOf(accountId: string): Promise<TokenState> {
    const [state] = await this.load.tokens.load(accountId);
    if (!state) throw new NotLinkedError();
    return state;
  }

  /**
   * What Galaxy says of an account, requested once. `required` are the scopes of the field it is for, which the
   * account's own tokens need as well.
   *
   * Throws `ForbiddenError`, `ReauthenticationRequiredError`, `RateLimitedError`, `ProviderUnavailableError` or
   * `ProviderMisconfiguredError`.
   */
  async galaxyOf(account: AccountRecord, required: readonly string[]): Promise<GalaxyReading> {
    requireConsent(await this.tokensOf(account.id), required);
    return this.load.galaxy(account);
  }

  /** What userinfo says of an account; throws as `galaxyOf`, but for `RateLimitedError`. */
  async userinfoOf(account: AccountRecord, required: readonly string[]): Promise<Userinfo> {
    requireConsent(await this.tokensOf(account.id), required);
    return this.load.userinfo(account);
  }

  async beginLink(request: LinkRequest): Promise<BegunLink> {
    return this.shared.accounts.linking.begin(request, this.request.address, (await this.user())?.id);
  }

  async completeLink(url: string, linkToken: string): Promise<CompletedLink> {
    const { linking } = this.shared.accounts;
    return this.present(await linking.complete(url, linkToken, (await this.user())?.id));
  }

  async takeOverTokens(tokens: Tokens): Promise<CompletedLink> {
    return this.present(await this.shared.accounts.linking.takeOver(tokens, (await this.user())?.id));
  }

  /** Throws `NotLinkedError` or `AccountNotFoundError`, or what the vault throws. */
  async renewAccessToken(accountId: string | undefined, minTtlSeconds: number): Promise<RenewedToken> {
    if (!this.caller) throw new NotLinkedError();
    const renewed = await this.shared.accounts.renew(this.caller, accountId, minTtlSeconds);
    this.loaders = undefined;
    return renewed;
  }

  async unlink(accountId: string): Promise<void> {
    const user = await this.user();
    if (!user) throw new NotLinkedError();
    await this.shared.accounts.linking.unlink(user.id, accountId);
    this.shared.galaxy.invalidate(accountId);
    this.loaders = undefined;
  }

  /** Created when first used; dropped by each mutation that changes what they have loaded. */
  private get load(): Loaders {
    return (this.loaders ??= createLoaders(this.shared.accounts, this.shared.galaxy));
  }

  private present(link: CompletedLink): CompletedLink {
    const { issuer, sub } = link.account;
    this.linked = { issuer, sub, scopes: link.scopes };
    this.loaders = undefined;
    return link;
  }
}

/** Throws `UnauthenticatedError` for an anonymous caller. */
export function requireViewer(context: RequestContext): Viewer {
  const viewer = context.viewer();
  if (viewer) return viewer;
  throw new UnauthenticatedError('Sign in first: send an access token in the Authorization header.');
}
