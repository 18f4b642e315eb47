import type { Fault } from '../../src/dev/instruments/faults.js';
import type { Actor, ActorOperations } from './actors.js';
import { eventually } from './eventually.js';
import type { Cost } from './history.js';
import type { Server, Servers } from './servers.js';
import type { TcpProxy } from './tcp-proxy.js';

/** What a random run works with. */
export interface Stage {
  readonly world: Servers;
  /** Between the servers and their database. */
  readonly proxy: TcpProxy;
  readonly actors: readonly Actor[];
  readonly operations: ActorOperations;
  /** From 0 to below 1; the only source of chance. */
  readonly random: () => number;
  /** Whether it is time to come to an end, after so many operations. */
  readonly isOver: (operations: number) => boolean;
}

const WORKERS = 8;
const CAUGHT_CALLERS = 4;
const LONGEST_EPISODE_MS = 2_000;

/** Numbers in a row that depend on nothing but the seed (mulberry32). */
export function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d_2b_79_f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Actors at work on servers that are killed and frozen, with a provider and a network that fail. */
export class RandomRun {
  /** Episodes by name, to see that something happened. */
  readonly episodes = new Map<string, number>();
  readonly #expiries = new Map<string, number>();
  readonly #faults = new Map<string, number>();
  #awake: Server[];
  #operations = 0;

  constructor(private readonly stage: Stage) {
    this.#awake = [...stage.world.servers];
  }

  /** Runs until it is over and everything is whole again. */
  async run(): Promise<void> {
    const { rollup } = this.stage.world;
    // A fault belongs to the identity whose call meets it.
    const count = rollup.calls.count.bind(rollup.calls);
    rollup.calls.count = (call, sub) => {
      count(call, sub);
      this.#calling = sub ?? '';
    };
    await Promise.all([...Array.from({ length: WORKERS }, () => this.#work()), this.#haunt()]);
    rollup.switches.faults.refresh.queue = [];
  }

  /** The servers that can be asked now. */
  get awake(): readonly Server[] {
    return this.#awake;
  }

  /** What the refreshes of each identity came to, and may have come to. */
  costs(): ReadonlyMap<string, Cost> {
    const { actors, world } = this.stage;
    return new Map(
      actors.map(({ person: { sub } }) => [
        sub,
        {
          calls: world.rollup.calls.refreshesOf(sub),
          expiries: this.#expiries.get(sub) ?? 0,
          faults: this.#faults.get(sub) ?? 0,
        },
      ]),
    );
  }

  #calling = '';

  async #work(): Promise<void> {
    const { actors, operations, isOver } = this.stage;
    while (!isOver(this.#operations)) {
      const [actor, server] = [this.#pick(actors), this.#pick(this.#awake)];
      const dice = this.stage.random();
      if (dice < 0.1) await this.#expire(actor);
      else if (dice < 0.12) await operations.unlink(server, actor);
      else if (dice < 0.18) await operations.link(server, actor);
      else await operations.read(server, actor);
      this.#operations += 1;
    }
  }

  /** A fresh token ends, or comes near its end: one refresh is due. */
  async #expire({ person: { sub } }: Actor): Promise<void> {
    const { affectedRows } = await this.stage.world.em().execute<{ affectedRows: number }>(
      `update sealed_tokens t set access_token_expires_at = clock_timestamp() + ? * interval '1 second'
       from rollup_account a where a.id = t.account_id and a.sub = ?
         and access_token_expires_at > clock_timestamp() + interval '10 minutes'`,
      [this.#pick([-1, 30]), sub],
      'run',
    );
    if (affectedRows > 0) increment(this.#expiries, sub);
  }

  async #haunt(): Promise<void> {
    const episodes = {
      kill: () => this.#kill(),
      freeze: () => this.#freeze(),
      fault: () => this.#failProvider(),
      cut: () => this.#cut(),
      outage: () => this.#outage(),
      leap: () => this.#endLeases(),
    };
    while (!this.stage.isOver(this.#operations)) {
      const name = this.#pick(Object.keys(episodes) as (keyof typeof episodes)[]);
      await this.#progress(20);
      await episodes[name]();
      increment(this.episodes, name);
    }
  }

  async #kill(): Promise<void> {
    const server = this.#withdraw();
    await server.stop('SIGKILL');
    await this.#endLeases();
    this.#awake.push(await this.stage.world.add());
  }

  /** Callers are caught in it, and answers of the provider arrive while nobody is there to take them. */
  async #freeze(): Promise<void> {
    const { actors, operations, random, world } = this.stage;
    const server = this.#withdraw();
    const { queue } = world.rollup.switches.faults.refresh;
    const caught = Array.from({ length: CAUGHT_CALLERS }, async () => {
      const actor = this.#pick(actors);
      queue.unshift({ delayMs: 300 });
      await this.#expire(actor);
      await operations.read(server, actor);
    });
    await this.#progress(4);
    server.run?.process.kill('SIGSTOP');
    await this.#endLeases();
    await this.#progress(50 + random() * 150);
    await this.#endLeases();
    server.run?.process.kill('SIGCONT');
    this.#awake.push(server);
    await Promise.all(caught);
  }

  async #failProvider(): Promise<void> {
    const onArrival = (): void => increment(this.#faults, this.#calling);
    const faults: Fault[] = [
      { status: 500, onArrival },
      { status: 429, headers: { 'retry-after': '0' }, onArrival },
      { body: '<html></html>', onArrival },
      { reset: 'before-headers', onArrival },
      { reset: 'after-headers', onArrival },
      { delayMs: 1_600, onArrival },
      // Slow is no fault.
      { delayMs: 200 },
    ];
    const { queue } = this.stage.world.rollup.switches.faults.refresh;
    for (let count = 0; count < 4; count += 1) queue.push(this.#pick(faults));
    await this.#progress(60);
  }

  async #cut(): Promise<void> {
    await this.#blameLeases();
    this.stage.proxy.cut();
    await this.#blameLeases();
  }

  async #outage(): Promise<void> {
    const { proxy } = this.stage;
    proxy.mode = 'refuse';
    await this.#cut();
    await this.#progress(10);
    proxy.mode = 'pass';
  }

  /** Whoever asks the provider now may have to ask again. */
  async #blameLeases(): Promise<void> {
    const rows: { sub: string }[] = await this.stage.world
      .em()
      .execute(
        'select a.sub from rollup_account a join sealed_tokens t on t.account_id = a.id where lease_id is not null',
      );
    for (const { sub } of rows) increment(this.#faults, sub);
  }

  /** The clock of the database leaps: what holders have not finished is anybody's. */
  async #endLeases(): Promise<void> {
    const rows: { sub: string }[] = await this.stage.world.em().execute(
      `update sealed_tokens t set lease_expires_at = clock_timestamp() from rollup_account a
       where a.id = t.account_id and lease_id is not null returning a.sub`,
    );
    for (const { sub } of rows) increment(this.#faults, sub);
  }

  /** Waits until the actors have done so much more; they cannot when the frozen one holds what they need. */
  async #progress(operations: number): Promise<void> {
    const goal = this.#operations + operations;
    const moved = (): void => {
      if (this.#operations < goal && !this.stage.isOver(this.#operations)) throw new Error('no progress');
    };
    await eventually(moved, LONGEST_EPISODE_MS).catch(() => undefined);
  }

  #withdraw(): Server {
    const server = this.#pick(this.#awake);
    this.#awake = this.#awake.filter((other) => other !== server);
    return server;
  }

  #pick<Item>(items: readonly Item[]): Item {
    return items[Math.floor(this.stage.random() * items.length)] as Item;
  }
}

function increment(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
