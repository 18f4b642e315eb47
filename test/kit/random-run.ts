import type { Actor, ActorOperations } from './actors.js';
import { eventually } from './eventually.js';
import type { Cost } from './history.js';
import type { Random } from './random.js';
import type { Server, Servers } from './servers.js';
import type { TcpProxy } from './tcp-proxy.js';

/** Dependencies of a random run. */
export interface RandomRunDeps {
  readonly world: Servers;
  /** Between the servers and their database. */
  readonly proxy: TcpProxy;
  readonly actors: readonly Actor[];
  readonly operations: ActorOperations;
  /** The entries of the ring, which every server has; a rotation reverses them. */
  readonly keys: string[];
  /** The only source of randomness. */
  readonly random: Random;
  /** Whether the run ends after this many operations. */
  readonly isDone: (completed: number) => boolean;
}

const WORKERS = 8;
const PROGRESS_TIMEOUT_MS = 2_000;

/** Random operations of the actors on the servers that are available, and what their refreshes may cost. */
export class RandomRun {
  readonly deps: RandomRunDeps;
  readonly #expiries = new Map<string, number>();
  readonly #faults = new Map<string, number>();
  #available: readonly Server[];
  #completed = 0;

  constructor(deps: RandomRunDeps) {
    this.deps = deps;
    this.#available = deps.world.servers;
  }

  /** Runs operations until the run is done. */
  async work(): Promise<void> {
    await Promise.all(Array.from({ length: WORKERS }, () => this.#work()));
  }

  isDone(): boolean {
    return this.deps.isDone(this.#completed);
  }

  /** The servers that get requests now. */
  get available(): readonly Server[] {
    return this.#available;
  }

  /** Removes a random server from the available ones. */
  takeServer(): Server {
    const server = this.deps.random.pick(this.#available);
    this.#available = this.#available.filter((other) => other !== server);
    return server;
  }

  /** Makes a server available. */
  addServer(server: Server): void {
    this.#available = [...this.#available, server];
  }

  /** Allows one more call for the identity, since a fault may cost one. */
  countFault(sub: string): void {
    increment(this.#faults, sub);
  }

  /** The refresh calls of each identity, and the events that allow them. */
  costs(): ReadonlyMap<string, Cost> {
    const { actors, world } = this.deps;
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

  /** Lets a fresh token expire, or come within the margin: one refresh is due. */
  async expire({ person: { sub } }: Actor): Promise<void> {
    const { affectedRows } = await this.deps.world.em().execute<{ affectedRows: number }>(
      `update sealed_tokens t set access_token_expires_at = clock_timestamp() + ? * interval '1 second'
       from rollup_account a where a.id = t.account_id and a.sub = ?
         and access_token_expires_at > clock_timestamp() + interval '10 minutes'`,
      [this.deps.random.pick([-1, 30]), sub],
      'run',
    );
    if (affectedRows > 0) increment(this.#expiries, sub);
  }

  /** Waits for this many more operations; gives up when they block on what a frozen server holds. */
  async waitForProgress(operations: number): Promise<void> {
    const goal = this.#completed + operations;
    const check = (): void => {
      if (this.#completed < goal && !this.isDone()) throw new Error('no progress');
    };
    await eventually(check, PROGRESS_TIMEOUT_MS).catch(() => undefined);
  }

  async #work(): Promise<void> {
    const { actors, operations, random } = this.deps;
    while (!this.isDone()) {
      const [actor, server] = [random.pick(actors), random.pick(this.#available)];
      const dice = random.next();
      if (dice < 0.1) await this.expire(actor);
      else if (dice < 0.12) await operations.unlink(server, actor);
      else if (dice < 0.18) await operations.link(server, actor);
      else await operations.read(server, actor);
      this.#completed += 1;
    }
  }
}

function increment(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
