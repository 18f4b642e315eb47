import {
  GrantDeadError,
  ProviderUnavailableError,
  SubjectMismatchError,
  TokenRejectedError,
} from '../../src/errors.js';
import type { RefreshTokens, VerifyTokens } from '../../src/vault/refresh-deps.js';
import type { TokenSet } from '../../src/token-set.js';
import type { Random } from '../kit/random.js';
import type { EventLoop, Host } from './event-loop.js';

/** How one call fails. */
export type CallFault = 'rejected' | 'request lost' | 'response lost';

/** A grant at the provider. */
interface Grant {
  person: string;
  /** Whether the servers knew at the link that this provider rotates. */
  readonly rotationKnown: boolean;
  refreshToken: string;
  alive: boolean;
  /** Whether the newest refresh token reached no process that could store it. */
  responseLost: boolean;
}

/** Dependencies and behaviour of a provider. */
export interface SimulatedProviderOptions {
  readonly loop: EventLoop;
  readonly random: Random;
  readonly rotates: boolean;
  readonly faultRate: number;
}

const LIFETIME_MS = 3_600_000;
const SKEW_MS = 30_000;
export const TIMEOUT_MS = 5_000;

/** A provider that counts calls, with or without rotation; with it, reuse of a refresh token revokes its family. */
export class SimulatedProvider {
  readonly grants = new Map<string, Grant>();
  calls = 0;
  faults = 0;
  /** Uses of a refresh token that was replaced, by servers that could know it. */
  reuses = 0;
  lostResponses = 0;
  /** Nothing can be verified before this moment: the key set is away. */
  keysAwayUntil = 0;
  readonly #issued = new Map<string, TokenSet>();
  #minted = 0;

  /** The probability that a call fails. */
  faultRate: number;
  readonly #loop: EventLoop;
  readonly #random: Random;
  readonly #rotates: boolean;

  constructor({ loop, random, rotates, faultRate }: SimulatedProviderOptions) {
    this.#loop = loop;
    this.#random = random;
    this.#rotates = rotates;
    this.faultRate = faultRate;
  }

  /** The tokens of a new link of `person`, whose access token expires after `remainingMs`. */
  link(
    person: string,
    remainingMs: number,
    rotationKnown: boolean,
  ): TokenSet & { readonly refreshToken: string } {
    const refreshToken = this.#name('refresh', person);
    this.grants.set(family(refreshToken), {
      person,
      rotationKnown,
      refreshToken,
      alive: true,
      responseLost: false,
    });
    return { ...this.#accessToken(person, remainingMs), refreshToken };
  }

  grantOf(refreshToken: string): Grant {
    const grant = this.grants.get(family(refreshToken));
    if (!grant) throw new Error('the provider never issued this refresh token');
    return grant;
  }

  /** The refresh call of a host to this provider. */
  reachedFrom(host: Host): RefreshTokens {
    return async (refreshToken) => {
      const fault = this.#random.happens(this.faultRate) ? this.#random.pick(FAULTS) : undefined;
      this.calls += 1;
      if (fault) this.faults += 1;
      if (fault === 'response lost') this.lostResponses += 1;
      if (fault === 'request lost') return this.#timeOut(host);
      const delays = [this.#random.between(1, 800), this.#random.between(1, 800)] as const;
      const response = this.#loop.call(host, delays, async () => this.#refresh(refreshToken, host, fault));
      if (fault !== 'response lost') return response;
      response.catch(() => undefined);
      return this.#timeOut(host);
    };
  }

  #refresh(refreshToken: string, host: Host, fault: CallFault | undefined): TokenSet {
    if (fault === 'rejected') throw new ProviderUnavailableError(0);
    const grant = this.grantOf(refreshToken);
    if (this.#rotates && refreshToken !== grant.refreshToken) {
      // Until a first response was stored, nobody can know that the token of the link works only once.
      if (grant.rotationKnown || refreshToken.includes('#')) this.reuses += 1;
      grant.alive = false;
    }
    if (!grant.alive) throw new GrantDeadError();
    const access = this.#accessToken(grant.person, LIFETIME_MS);
    if (!this.#rotates) return access;
    grant.refreshToken = `${family(refreshToken)}#${(this.#minted += 1)}`;
    grant.responseLost = fault === 'response lost' || !host.alive;
    return { ...access, refreshToken: grant.refreshToken };
  }

  /** The person of every grant is merged into another one, and keeps the refresh tokens. */
  merge(person: string): void {
    for (const grant of this.grants.values()) grant.person = person;
  }

  /** What a server does with a response: everything that is judged by a time is judged by the one that it names. */
  readonly verify: VerifyTokens = async ({ accessToken, refreshToken }, current, receivedAtMs) => {
    if (this.#loop.now < this.keysAwayUntil) throw new ProviderUnavailableError(0);
    const issued = this.#issued.get(accessToken);
    if (!issued) throw new TokenRejectedError('signature');
    if (issued.accessTokenIssuedAt.getTime() > receivedAtMs + SKEW_MS) throw new TokenRejectedError('iat');
    if (issued.accessTokenExpiresAt.getTime() <= receivedAtMs - SKEW_MS) throw new TokenRejectedError('exp');
    if (personOf(accessToken) !== personOf(current)) throw new SubjectMismatchError();
    return { ...issued, refreshToken };
  };

  async #timeOut(host: Host): Promise<never> {
    await this.#loop.sleep(host, TIMEOUT_MS);
    throw new ProviderUnavailableError(0);
  }

  #accessToken(person: string, remainingMs: number): TokenSet {
    const accessTokenExpiresAt = new Date(this.#loop.now + remainingMs);
    const tokens = {
      accessToken: this.#name('access', person),
      accessTokenIssuedAt: new Date(this.#loop.now + Math.min(0, remainingMs - LIFETIME_MS)),
      accessTokenExpiresAt,
      scopes: ['openid'],
    };
    this.#issued.set(tokens.accessToken, tokens);
    return tokens;
  }

  #name(kind: string, person: string): string {
    return `${kind}-of-${person}-${(this.#minted += 1)}`;
  }
}

const FAULTS: readonly CallFault[] = ['rejected', 'request lost', 'response lost'];

function family(refreshToken: string): string {
  return refreshToken.split('#')[0] ?? '';
}

function personOf(accessToken: string): string | undefined {
  return accessToken.split('-')[2];
}
