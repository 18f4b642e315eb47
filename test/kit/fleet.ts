import { setTimeout as delay } from 'node:timers/promises';
import type { SqlEntityManager } from '@mikro-orm/sql';
import { decodeJwt } from 'jose';
import { waitUntil } from './eventually.js';
import type { LinkedPerson, Server, Servers } from './servers.js';

const CLIENTS = 3;
/** Between two operations of a client, so that starting servers get the processor. */
const PAUSE_MS = 100;
/** Of so many operations one links somebody new, and two let a token expire. */
const CYCLE = 10;

/** On a busy machine a server that starts takes the processor from those that serve: no caller gives up for that. */
export const PATIENCE = {
  ROLLUP_TIMEOUT_MS: '30000',
  REFRESH_LEASE_SECONDS: '60',
  REFRESH_WAIT_MS: '60000',
  DATABASE_TIMEOUT_MS: '30000',
  OPERATION_TIMEOUT_MS: '60000',
  HTTP_RESPONSE_TIMEOUT_MS: '90000',
} as const;

/** What traffic met. */
export interface TrafficReport {
  /** The distinct codes of errors, or what else went wrong. */
  readonly errors: readonly string[];
  /** People whose refresh calls were not as many as their expiries. */
  readonly miscounted: readonly string[];
  /** Requests that got a token. */
  readonly served: number;
}

/**
 * Servers behind a load balancer, as it were: requests go to those that are up, and one that is about to stop gets no
 * more of them.
 *
 * @param em the database of the servers, past them.
 */
export class Fleet {
  readonly #world: Servers;
  readonly #em: () => SqlEntityManager;
  readonly #expiries = new Map<string, number>();
  readonly #callsBefore: ReadonlyMap<string, number>;
  readonly #errors = new Set<string>();
  readonly #inFlight = new Map<Server, number>();
  #up: Server[];
  #traffic: Promise<unknown> = Promise.resolve();
  #ending = false;
  #served = 0;

  constructor(world: Servers, servers: readonly Server[] = world.servers, em = world.em) {
    this.#world = world;
    this.#em = em;
    this.#callsBefore = new Map(world.rollup.calls.refreshesBySub);
    this.#up = [...servers];
  }

  get up(): readonly Server[] {
    return this.#up;
  }

  /** Starts a steady stream of renewals for these people and of new links, which are added to them. */
  startTraffic(people: LinkedPerson[]): void {
    this.#ending = false;
    this.#errors.clear();
    this.#traffic = Promise.all(Array.from({ length: CLIENTS }, (_, index) => this.#client(people, index)));
  }

  /** Waits until this many more tokens were served. */
  async untilServed(count: number): Promise<void> {
    const goal = this.#served + count;
    await waitUntil(() => this.#served >= goal);
  }

  /** Ends the stream. Each person renews once more, so that no expiry is left without its refresh. */
  async stopTraffic(people: readonly LinkedPerson[]): Promise<TrafficReport> {
    this.#ending = true;
    await this.#traffic;
    for (const [index, person] of people.entries()) await this.#renew(person, index);
    const { calls } = this.#world.rollup;
    const excess = (sub: string): number =>
      calls.refreshesOf(sub) - (this.#callsBefore.get(sub) ?? 0) - (this.#expiries.get(sub) ?? 0);
    const miscounted = people.map(({ sub }) => sub).filter((sub) => excess(sub) !== 0);
    return { errors: [...this.#errors].toSorted(), miscounted, served: this.#served };
  }

  /** Restarts the servers one after the other; none gets a request while it stops. Resolves with their exit codes. */
  async restart(env: Readonly<Record<string, string>>): Promise<(number | string)[]> {
    const codes: (number | string)[] = [];
    for (const server of this.#up) {
      codes.push(await this.stop(server));
      this.#up.push(await this.#world.add(env));
    }
    return codes;
  }

  /** Stops a server that gets no request any more. Resolves with the exit code. */
  async stop(server: Server): Promise<number | string> {
    this.#up = this.#up.filter((other) => other !== server);
    await waitUntil(() => (this.#inFlight.get(server) ?? 0) === 0);
    return server.stop();
  }

  /** Starts so many servers at once. */
  async start(count: number, env: Readonly<Record<string, string>>): Promise<void> {
    this.#up.push(...(await Promise.all(Array.from({ length: count }, () => this.#world.add(env)))));
  }

  async #client(people: LinkedPerson[], first: number): Promise<void> {
    for (let at = first; !this.#ending; at += CLIENTS) {
      const person = people[at % people.length];
      if (!person) throw new Error('there is nobody');
      if (at % CYCLE === 0) await this.#link(people, at);
      else if (at % CYCLE <= 2) await this.#expire(person);
      await this.#renew(person, at);
      await delay(PAUSE_MS);
    }
  }

  async #link(people: LinkedPerson[], at: number): Promise<void> {
    await this.#request(at, async (server) => {
      people.push(await this.#world.linkPerson(undefined, server));
    });
  }

  async #renew({ bearer, sub }: LinkedPerson, at: number): Promise<void> {
    await this.#request(at, async (server) => {
      const { token, code } = await this.#world.renew(server, bearer);
      if (token === undefined) this.#errors.add(String(code));
      else if (decodeJwt(token).sub !== sub) this.#errors.add('a token of somebody else');
      else this.#served += 1;
    });
  }

  async #request(at: number, send: (server: Server) => Promise<void>): Promise<void> {
    const server = this.#up[at % this.#up.length];
    if (!server) throw new Error('no server is up');
    this.#inFlight.set(server, (this.#inFlight.get(server) ?? 0) + 1);
    await send(server).catch((error: unknown) => this.#errors.add(nameOf(error)));
    this.#inFlight.set(server, (this.#inFlight.get(server) ?? 0) - 1);
  }

  /** Lets a token expire that is not due for a refresh anyway. */
  async #expire({ accountId, sub }: LinkedPerson): Promise<void> {
    const { affectedRows } = await this.#em().execute<{ affectedRows: number }>(
      `update sealed_tokens set access_token_expires_at = clock_timestamp() - interval '1 second'
       where account_id = ? and access_token_expires_at > clock_timestamp() + interval '10 minutes'`,
      [accountId],
      'run',
    );
    if (affectedRows > 0) this.#expiries.set(sub, (this.#expiries.get(sub) ?? 0) + 1);
  }
}

/** The first code in the response that a link failed with. */
function nameOf(error: unknown): string {
  return /"code":"(\w+)"/.exec(String(error))?.[1] ?? String(error);
}
