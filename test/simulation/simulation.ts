import type { SqlEntityManager } from '@mikro-orm/sql';
import { AccountNotFoundError, ReauthenticationRequiredError } from '../../src/errors.js';
import { findKeysWrappedBy, NIL_UUID, replaceDataKeys } from '../../src/vault/key-rotation.repository.js';
import { putSealed } from '../../src/vault/sealed-tokens.repository.js';

import type { FreshAccessToken } from '../../src/token-set.js';
import { Random } from '../kit/random.js';
import { KEY_ID, NEXT_KEY_ID } from '../kit/token-rows.js';
import { EventLoop, type Host } from './event-loop.js';
import { SimulatedProvider } from './simulated-provider.js';
import { LEASE_MS, MARGIN_MS, plaintextCipher, SimulatedServers } from './simulated-servers.js';

/** Parameters of a run. */
export interface Plan {
  readonly seed: number;
  readonly rotates: boolean;
  /** The setting of the servers. */
  readonly rotation: 'auto' | 'always' | 'never';
  /** Crashes, freezes, faults of the provider and the database, unlinks and relinks; none in a fault-free run. */
  readonly faulty: boolean;
}

/** The events of a run, with times in virtual milliseconds. */
export interface History {
  readonly requests: Request[];
  /** Acknowledged links and unlinks of the account. */
  readonly links: { readonly kind: 'link' | 'unlink'; readonly begun: number; done: number }[];
  disturbances: number;
}

/** The columns that the invariants need; `leaseMs` is the remaining time of the lease, negative when it has ended. */
export interface Row {
  readonly status: string;
  readonly generation: number;
  readonly rotates: boolean;
  readonly refreshToken: string;
  readonly leaseMs: number;
}

/** One request for an access token. */
export interface Request {
  readonly begun: number;
  done: number;
  readonly result: FreshAccessToken | Error;
}

const HORIZON_MS = 40_000;
export const PERSON = 'ada';
const MERGED = 'bea';

/**
 * One run: several processes, readers and a provider, on the real engine and the real SQL. Time is virtual in the
 * database too, since `clock_timestamp()` is a function of the simulation's schema.
 */
export class Simulation {
  readonly loop = new EventLoop();
  readonly plan: Plan;
  readonly provider: SimulatedProvider;
  readonly history: History = { requests: [], links: [], disturbances: 0 };
  readonly #em: () => SqlEntityManager;
  readonly #random: Random;
  readonly #servers: SimulatedServers;
  #account = '';

  constructor(em: () => SqlEntityManager, plan: Plan) {
    const { loop } = this;
    const random = new Random(plan.seed);
    const provider = new SimulatedProvider({
      loop,
      random,
      rotates: plan.rotates,
      faultRate: plan.faulty ? 0.15 : 0,
    });
    this.plan = plan;
    this.provider = provider;
    this.#em = em;
    this.#random = random;
    this.#servers = new SimulatedServers({ em, loop, random, provider, rotation: plan.rotation });
  }

  async run(): Promise<void> {
    await this.#link(this.#random.between(-5_000, MARGIN_MS + 5_000), { alive: true, frozenUntil: 0 });
    for (let count = 0; count < 3; count += 1) this.#servers.start();
    for (let count = this.#random.between(4, 12); count > 0; count -= 1) {
      this.loop.after(this.#random.between(0, this.plan.faulty ? HORIZON_MS : 8_000), () => this.#request());
    }
    this.loop.after(this.#random.between(0, 8_000), () => this.#rotateKeys());
    if (this.plan.faulty) this.#scheduleDisturbances();
    await this.loop.run();
  }

  /** The current row; undefined when the account is unlinked. */
  async row(): Promise<Row | undefined> {
    const rows: Row[] = await this.#em().execute(
      `select status, generation, refresh_token_rotates as rotates, split_part(refresh_token, '|', 3) as "refreshToken",
         coalesce(extract(epoch from lease_expires_at)::float8 * 1000 - ?, 0) as "leaseMs" from sealed_tokens`,
      [this.loop.now],
    );
    return rows[0];
  }

  /** Requests once more without faults, after every lease and back-off has ended. */
  async requestWithoutFaults(): Promise<FreshAccessToken | Error> {
    this.loop.now += LEASE_MS + 1_000_000;
    this.provider.faultRate = 0;
    const { refresher } = this.#servers.start();
    const result = refresher.accessToken(this.#account).catch((error: Error) => error);
    await this.loop.run();
    return result;
  }

  /** Wraps the data key by another key: nothing that a refresh reads or writes. */
  async #rotateKeys(): Promise<void> {
    if (this.#isDatabaseDown()) return;
    await this.#servers.atDatabase(async () => {
      const rows = await findKeysWrappedBy(this.#em(), KEY_ID, NIL_UUID, 1);
      const changes = rows.map(({ accountId, dataKey }) => [accountId, dataKey, dataKey] as const);
      await replaceDataKeys(this.#em(), NEXT_KEY_ID, changes);
    });
  }

  #isDatabaseDown(): boolean {
    return this.loop.now < this.#servers.databaseDownUntil;
  }

  #scheduleDisturbances(): void {
    const disturbances: (() => void | Promise<void>)[] = [
      () => this.#crash(),
      () => this.#freeze(),
      () => this.#relink(),
      () => this.#unlink(),
      () => this.#failDatabase(),
      () => this.#takeKeysAway(),
      () => this.provider.merge(MERGED),
    ];
    for (let count = this.#random.between(1, 4); count > 0; count -= 1) {
      this.loop.after(this.#random.between(0, HORIZON_MS), async () => {
        this.history.disturbances += 1;
        await this.#random.pick(disturbances)();
      });
    }
  }

  #request(): void {
    const { host, refresher } = this.#random.pick(this.#servers.started);
    if (!host.alive || host.frozenUntil > this.loop.now) return;
    const begun = this.loop.now;
    const settle = (result: FreshAccessToken | Error): void => {
      this.history.requests.push({ begun, done: this.loop.now, result });
    };
    refresher.accessToken(this.#account).then(settle, settle);
  }

  #crash(): void {
    const { host } = this.#random.pick(this.#servers.started);
    host.alive = false;
    for (const grant of this.provider.grants.values()) grant.responseLost = true;
    this.#servers.start();
  }

  #freeze(): void {
    this.#random.pick(this.#servers.started).host.frozenUntil =
      this.loop.now + this.#random.between(1_000, 25_000);
  }

  /** Up again, the database stays so for long enough to take what servers retry. */
  #failDatabase(): void {
    if (this.loop.now < this.#servers.databaseDownUntil + 10_000) return;
    this.#servers.databaseDownUntil = this.loop.now + this.#random.between(200, 12_000);
  }

  #takeKeysAway(): void {
    this.provider.keysAwayUntil = this.loop.now + this.#random.between(200, 60_000);
  }

  async #relink(): Promise<void> {
    if (this.#isDatabaseDown()) return;
    await this.#link(this.#random.between(0, MARGIN_MS * 2), { alive: true, frozenUntil: 0 });
  }

  /** A link is one transaction, so the new tokens appear at a single moment. */
  async #link(remainingMs: number, host: Host): Promise<void> {
    const entry = { kind: 'link' as const, begun: this.loop.now, done: this.loop.now };
    this.history.links.push(entry);
    // An unlinked account never returns: the identity gets a new one.
    if (this.history.links.at(-2)?.kind !== 'link') this.#account = this.#servers.newId();
    const rotationKnown = this.plan.rotation === 'always' || (await this.row())?.rotates === true;
    const sealed = await plaintextCipher.sealLink(
      this.#account,
      this.provider.link(PERSON, remainingMs, rotationKnown),
    );
    await this.#servers.atDatabase(() => putSealed(this.#em(), this.#account, sealed));
    this.loop.resume(host, this.#random.between(0, 300), () => (entry.done = this.loop.now));
  }

  async #unlink(): Promise<void> {
    if (this.#isDatabaseDown()) return;
    const entry = { kind: 'unlink' as const, begun: this.loop.now, done: this.loop.now };
    this.history.links.push(entry);
    await this.#servers.atDatabase(() =>
      this.#em().execute('delete from sealed_tokens where account_id = ?', [this.#account]),
    );
  }
}

/** Whether the result is final: there is no token, and a retry does not help. */
export function isFinal(result: FreshAccessToken | Error): boolean {
  return result instanceof AccountNotFoundError || result instanceof ReauthenticationRequiredError;
}
