import { GrantDeadError, ProviderUnavailableError } from '../../src/errors.js';
import type { RefreshTokens } from '../../src/vault/refresh-attempt.js';
import type { TokenSet } from '../../src/token-set.js';
import type { Random } from '../kit/random.js';
import type { EventLoop, Host } from './event-loop.js';

/** How one call goes wrong. */
export type CallFault = 'refused' | 'request lost' | 'answer lost';

/** A grant as the provider knows it. */
interface Grant {
  readonly person: string;
  refreshToken: string;
  alive: boolean;
  /** The newest refresh token reached nobody who could keep it. */
  answerLost: boolean;
}

export const LIFE_MS = 3_600_000;
export const TIMEOUT_MS = 5_000;

/** A provider that counts, with or without rotation; rotation revokes the family when a token is used again. */
export class SimulatedProvider {
  readonly grants = new Map<string, Grant>();
  calls = 0;
  faults = 0;
  reuses = 0;
  lostAnswers = 0;
  #minted = 0;

  constructor(
    private readonly loop: EventLoop,
    private readonly chance: Random,
    private readonly rotates: boolean,
    public faultRate: number,
  ) {}

  /** The tokens of a new link of `person`; the access token's remaining life is for the caller to choose. */
  link(person: string, remainingMs: number): TokenSet & { readonly refreshToken: string } {
    const refreshToken = this.#name('refresh', person);
    this.grants.set(family(refreshToken), { person, refreshToken, alive: true, answerLost: false });
    return { ...this.#accessToken(person, remainingMs), refreshToken };
  }

  grantOf(refreshToken: string): Grant {
    const grant = this.grants.get(family(refreshToken));
    if (!grant) throw new Error('nobody was given this refresh token');
    return grant;
  }

  /** The provider as a host reaches it. */
  reachedFrom(host: Host): RefreshTokens {
    return async ({ refreshToken }) => {
      const fault = this.chance.happens(this.faultRate) ? this.chance.pick(FAULTS) : undefined;
      this.calls += 1;
      if (fault) this.faults += 1;
      if (fault === 'answer lost') this.lostAnswers += 1;
      if (fault === 'request lost') return this.#timeOut(host);
      const delays = [this.chance.between(1, 800), this.chance.between(1, 800)] as const;
      const answered = this.loop.call(host, delays, async () => this.#answer(refreshToken, host, fault));
      if (fault !== 'answer lost') return answered;
      answered.catch(() => undefined);
      return this.#timeOut(host);
    };
  }

  #answer(refreshToken: string, host: Host, fault: CallFault | undefined): TokenSet {
    if (fault === 'refused') throw new ProviderUnavailableError(0);
    const grant = this.grantOf(refreshToken);
    if (this.rotates && refreshToken !== grant.refreshToken) {
      this.reuses += 1;
      grant.alive = false;
    }
    if (!grant.alive) throw new GrantDeadError();
    const access = this.#accessToken(grant.person, LIFE_MS);
    if (!this.rotates) return access;
    grant.refreshToken = `${family(refreshToken)}#${(this.#minted += 1)}`;
    grant.answerLost = fault === 'answer lost' || !host.alive;
    return { ...access, refreshToken: grant.refreshToken };
  }

  async #timeOut(host: Host): Promise<never> {
    await this.loop.sleep(host, TIMEOUT_MS);
    throw new ProviderUnavailableError(0);
  }

  #accessToken(person: string, remainingMs: number): TokenSet {
    const accessTokenExpiresAt = new Date(this.loop.now + remainingMs);
    return { accessToken: this.#name('access', person), accessTokenExpiresAt, scopes: ['openid'] };
  }

  #name(kind: string, person: string): string {
    return `${kind}-of-${person}-${(this.#minted += 1)}`;
  }
}

const FAULTS: readonly CallFault[] = ['refused', 'request lost', 'answer lost'];

function family(refreshToken: string): string {
  return refreshToken.split('#')[0] ?? '';
}
