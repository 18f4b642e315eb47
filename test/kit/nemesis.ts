import type { Fault } from '../../src/dev/instruments/faults.js';
import { parseKeyRing } from '../../src/vault/key-ring.js';
import { rotateKeys } from '../../src/vault/key-rotation.js';
import type { RandomRun } from './random-run.js';

const FROZEN_CALLERS = 4;

/** Injects faults into a random run: kills and freezes servers, and lets the provider and the network fail. */
export class Nemesis {
  readonly #run: RandomRun;
  /** The identity whose refresh call arrived last. */
  #calling = '';

  constructor(run: RandomRun) {
    this.#run = run;
  }

  /** Injects faults until the run is done, and leaves none behind. */
  async run(): Promise<void> {
    const { random, world } = this.#run.deps;
    // A fault counts for the identity whose call meets it.
    const count = world.rollup.calls.count.bind(world.rollup.calls);
    world.rollup.calls.count = (call, sub) => {
      count(call, sub);
      this.#calling = sub ?? '';
    };
    const faults = [
      () => this.#kill(),
      () => this.#freeze(),
      () => this.#failProvider(),
      () => this.#cut(),
      () => this.#outage(),
      () => this.#expireLeases(),
      () => this.#rotateKeys(),
    ];
    while (!this.#run.isDone()) {
      await this.#run.waitForProgress(20);
      await random.pick(faults)();
    }
    world.rollup.switches.faults.refresh.queue = [];
  }

  async #kill(): Promise<void> {
    const server = this.#run.takeServer();
    await server.stop('SIGKILL');
    await this.#expireLeases();
    this.#run.addServer(await this.#run.deps.world.add());
  }

  /** Freezes a server with callers on it, so that responses of the provider arrive while it cannot read them. */
  async #freeze(): Promise<void> {
    const { actors, operations, random, world } = this.#run.deps;
    const server = this.#run.takeServer();
    const { queue } = world.rollup.switches.faults.refresh;
    const callers = Array.from({ length: FROZEN_CALLERS }, async () => {
      const actor = random.pick(actors);
      queue.unshift({ delayMs: 300 });
      await this.#run.expire(actor);
      await operations.read(server, actor);
    });
    await this.#run.waitForProgress(4);
    server.run?.process.kill('SIGSTOP');
    await this.#expireLeases();
    await this.#run.waitForProgress(50 + random.next() * 150);
    await this.#expireLeases();
    server.run?.process.kill('SIGCONT');
    this.#run.addServer(server);
    await Promise.all(callers);
  }

  /** Wraps every data key by the other key: no fault, and it costs no call. */
  async #rotateKeys(): Promise<void> {
    const { keys, world } = this.#run.deps;
    keys.reverse();
    await rotateKeys({
      em: world.em(),
      ring: parseKeyRing(keys.join(',')),
      maxRate: Number.POSITIVE_INFINITY,
      force: false,
      now: () => 0,
      sleep: async () => undefined,
      onProgress: () => undefined,
      onBroken: (accountId, error) => {
        throw new Error(`the data key of ${accountId} is broken`, { cause: error });
      },
    });
  }

  async #failProvider(): Promise<void> {
    const onArrival = (): void => this.#run.countFault(this.#calling);
    const faults: Fault[] = [
      { status: 500, onArrival },
      { status: 429, headers: { 'retry-after': '0' }, onArrival },
      { body: '<html></html>', onArrival },
      { reset: 'before-headers', onArrival },
      { reset: 'after-headers', onArrival },
      { delayMs: 1_600, onArrival },
      // A slow response within the timeout is no fault.
      { delayMs: 200 },
    ];
    const { random, world } = this.#run.deps;
    const { queue } = world.rollup.switches.faults.refresh;
    for (let count = 0; count < 4; count += 1) queue.push(random.pick(faults));
    await this.#run.waitForProgress(60);
  }

  async #cut(): Promise<void> {
    await this.#countHeldLeases();
    this.#run.deps.proxy.cut();
    await this.#countHeldLeases();
  }

  async #outage(): Promise<void> {
    const { proxy } = this.#run.deps;
    proxy.mode = 'refuse';
    await this.#cut();
    await this.#run.waitForProgress(10);
    proxy.mode = 'pass';
  }

  /** Counts a fault for every lease that is held: its holder may have to call the provider again. */
  async #countHeldLeases(): Promise<void> {
    const rows: { sub: string }[] = await this.#run.deps.world
      .em()
      .execute(
        'select a.sub from rollup_account a join sealed_tokens t on t.account_id = a.id where lease_id is not null',
      );
    for (const { sub } of rows) this.#run.countFault(sub);
  }

  /** Expires every lease, as a leap of the database clock would: any process may take the refresh over. */
  async #expireLeases(): Promise<void> {
    const rows: { sub: string }[] = await this.#run.deps.world.em().execute(
      `update sealed_tokens t set lease_expires_at = clock_timestamp() from rollup_account a
       where a.id = t.account_id and lease_id is not null returning a.sub`,
    );
    for (const { sub } of rows) this.#run.countFault(sub);
  }
}
