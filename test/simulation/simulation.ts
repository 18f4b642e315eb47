import type { SqlEntityManager } from '@mikro-orm/sql';
import { AccountNotFoundError, ReauthenticationRequiredError } from '../../src/errors.js';
import { CircuitBreaker } from '../../src/vault/circuit-breaker.js';
import {
  type RefreshLeaseRepository,
  refreshLeaseRepository,
} from '../../src/vault/refresh-lease.repository.js';
import { putSealed } from '../../src/vault/sealed-tokens.repository.js';
import type { TokenCipher } from '../../src/vault/token-cipher.js';
import { TokenRefresher } from '../../src/vault/token-refresher.js';
import { sealTokenSet } from '../../src/vault/sealed-token-set.js';
import type { FreshAccessToken } from '../../src/token-set.js';
import { Random } from '../kit/random.js';
import { EventLoop, type Host } from './event-loop.js';
import { SimulatedProvider, TIMEOUT_MS } from './simulated-provider.js';

/** What a run is made of. */
export interface Plan {
  readonly seed: number;
  readonly rotates: boolean;
  /** What the server is told of it. */
  readonly rotation: 'auto' | 'always' | 'never';
  /** Crashes, freezes, provider faults, unlinks and relinks; none in a fault-free run. */
  readonly faulty: boolean;
}

/** What happened, in virtual milliseconds. */
export interface History {
  readonly requests: Request[];
  /** Acknowledged links and unlinks of the account. */
  readonly links: { readonly kind: 'link' | 'unlink'; readonly begun: number; done: number }[];
  disturbances: number;
}

/** What of the row the invariants speak of; `leaseMs` until the lease ends, negative when it has. */
export interface Row {
  readonly status: string;
  readonly generation: number;
  readonly refreshToken: string;
  readonly leaseMs: number;
}

/** One request for an access token. */
export interface Request {
  readonly begun: number;
  done: number;
  readonly result: FreshAccessToken | Error;
}

const LEASE_MS = 6_000;
const MARGIN_MS = 60_000;
const HORIZON_MS = 40_000;
const PERSON = 'ada';

/**
 * One run: several processes, readers, a provider and chance, on the real engine and the real SQL. Time is
 * virtual for the database too: `clock_timestamp()` is a function of the simulation's schema.
 */
export class Simulation {
  readonly loop = new EventLoop();
  readonly chance: Random;
  readonly provider: SimulatedProvider;
  readonly history: History = { requests: [], links: [], disturbances: 0 };
  readonly #hosts: { host: Host; refresher: TokenRefresher }[] = [];
  #ids = 0;
  #account = '';

  constructor(
    private readonly em: () => SqlEntityManager,
    readonly plan: Plan,
  ) {
    this.chance = new Random(plan.seed);
    this.provider = new SimulatedProvider(this.loop, this.chance, plan.rotates, plan.faulty ? 0.15 : 0);
  }

  async run(): Promise<void> {
    await this.#link(this.chance.between(-5_000, MARGIN_MS + 5_000), { alive: true, frozenUntil: 0 });
    for (let count = 0; count < 3; count += 1) this.#boot();
    for (let count = this.chance.between(4, 12); count > 0; count -= 1) {
      this.loop.after(this.chance.between(0, this.plan.faulty ? HORIZON_MS : 8_000), () => this.#request());
    }
    if (this.plan.faulty) this.#plotDisturbances();
    await this.loop.run();
  }

  /** The row as it is now, or undefined when the account is unlinked. */
  async row(): Promise<Row | undefined> {
    const rows: Row[] = await this.em().execute(
      `select status, generation, split_part(refresh_token, '|', 3) as "refreshToken",
         coalesce(extract(epoch from lease_expires_at)::float8 * 1000 - ?, 0) as "leaseMs" from sealed_tokens`,
      [this.loop.now],
    );
    return rows[0];
  }

  /** Lets everything run out, then asks once more with nothing wrong any more. */
  async askInPeace(): Promise<FreshAccessToken | Error> {
    this.loop.now += LEASE_MS + 1_000_000;
    this.provider.faultRate = 0;
    const { refresher } = this.#boot();
    const asked = refresher.accessToken(this.#account).catch((error: Error) => error);
    await this.loop.run();
    return asked;
  }

  #plotDisturbances(): void {
    const plots = [() => this.#crash(), () => this.#freeze(), () => this.#relink(), () => this.#unlink()];
    for (let count = this.chance.between(1, 4); count > 0; count -= 1) {
      this.loop.after(this.chance.between(0, HORIZON_MS), async () => {
        this.history.disturbances += 1;
        await this.chance.pick(plots)();
      });
    }
  }

  #boot(): { host: Host; refresher: TokenRefresher } {
    const host: Host = { alive: true, frozenUntil: 0 };
    const now = (): number => this.loop.now;
    const refresher = new TokenRefresher({
      leases: this.#storeOf(host),
      cipher: clearCipher,
      refreshTokens: this.provider.reachedFrom(host),
      breaker: new CircuitBreaker({ maxConcurrentCalls: 10, probeIntervalMs: 30_000, now }),
      now,
      sleep: (ms) => this.loop.sleep(host, ms),
      random: () => this.chance.next(),
      newId: () => this.#newId(),
      onEvent: () => undefined,
      rotation: this.plan.rotation,
      marginMs: MARGIN_MS,
      leaseMs: LEASE_MS,
      waitMs: TIMEOUT_MS + 2_000,
      backOffBaseMs: 2_000,
    });
    const booted = { host, refresher };
    this.#hosts.push(booted);
    return booted;
  }

  #newId(): string {
    return `00000000-0000-4000-8000-${String((this.#ids += 1)).padStart(12, '0')}`;
  }

  #storeOf(host: Host): RefreshLeaseRepository {
    const store = refreshLeaseRepository(this.em());
    const distant =
      <Args extends unknown[], Answer>(work: (...args: Args) => Promise<Answer>) =>
      (...args: Args): Promise<Answer> =>
        this.loop.call(host, [this.chance.between(0, 300), this.chance.between(0, 300)], () =>
          this.#atDatabase(() => work(...args)),
        );
    return {
      read: distant(store.read),
      claim: distant(store.claim),
      putRefreshed: distant(store.putRefreshed),
      release: distant(store.release),
      markDead: distant(store.markDead),
      markResponseLost: distant(store.markResponseLost),
    };
  }

  async #atDatabase<Answer>(work: () => Promise<Answer>): Promise<Answer> {
    await this.em().execute("select set_config('simulation.now', ?, false)", [String(this.loop.now)]);
    return work();
  }

  #request(): void {
    const { host, refresher } = this.chance.pick(this.#hosts);
    if (!host.alive || host.frozenUntil > this.loop.now) return;
    const begun = this.loop.now;
    const settle = (result: FreshAccessToken | Error): void => {
      this.history.requests.push({ begun, done: this.loop.now, result });
    };
    refresher.accessToken(this.#account).then(settle, settle);
  }

  #crash(): void {
    const { host } = this.chance.pick(this.#hosts);
    host.alive = false;
    for (const grant of this.provider.grants.values()) grant.answerLost = true;
    this.#boot();
  }

  #freeze(): void {
    this.chance.pick(this.#hosts).host.frozenUntil = this.loop.now + this.chance.between(1_000, 25_000);
  }

  #relink(): Promise<void> {
    return this.#link(this.chance.between(0, MARGIN_MS * 2), { alive: true, frozenUntil: 0 });
  }

  /** A link is one transaction: at one moment the new tokens are there. */
  async #link(remainingMs: number, host: Host): Promise<void> {
    const entry = { kind: 'link' as const, begun: this.loop.now, done: this.loop.now };
    this.history.links.push(entry);
    // An account that was unlinked never comes back: the identity gets a new one.
    if (this.history.links.at(-2)?.kind !== 'link') this.#account = this.#newId();
    const sealed = await sealTokenSet(clearCipher, this.#account, this.provider.link(PERSON, remainingMs));
    await this.#atDatabase(() => putSealed(this.em(), this.#account, sealed));
    this.loop.resume(host, this.chance.between(0, 300), () => (entry.done = this.loop.now));
  }

  async #unlink(): Promise<void> {
    const entry = { kind: 'unlink' as const, begun: this.loop.now, done: this.loop.now };
    this.history.links.push(entry);
    await this.#atDatabase(() =>
      this.em().execute('delete from sealed_tokens where account_id = ?', [this.#account]),
    );
  }
}

/** Whether an answer means: there is no token and asking again will not help. */
export function isFinal(result: FreshAccessToken | Error): boolean {
  return result instanceof AccountNotFoundError || result instanceof ReauthenticationRequiredError;
}

/** Keeps what it is given in sight, so that a run depends on nothing but its seed. */
const clearCipher: TokenCipher = {
  currentKid: 'clear',
  kidOf: () => 'clear',
  seal: async (plaintext, { account, column }) => `${account}|${column}|${plaintext}`,
  open: async (sealed, { account, column }) => {
    const place = `${account}|${column}|`;
    if (!sealed.startsWith(place)) throw new Error('sealed for another place');
    return sealed.slice(place.length);
  },
};
