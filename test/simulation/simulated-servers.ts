import type { SqlEntityManager } from '@mikro-orm/sql';
import { CircuitBreaker } from '../../src/vault/circuit-breaker.js';
import { refreshLeaseRepository } from '../../src/vault/refresh-lease.repository.js';
import type { RefreshLeaseRepository } from '../../src/vault/refresh-steps.js';
import type { OpenableRow, SealedName, TokenCipher } from '../../src/vault/token-cipher.js';
import { formatScope } from '../../src/scope.js';
import { KEY_ID } from '../kit/token-rows.js';
import { TokenRefresher } from '../../src/vault/token-refresher.js';
import type { Random } from '../kit/random.js';
import type { EventLoop, Host } from './event-loop.js';
import { type SimulatedProvider, TIMEOUT_MS } from './simulated-provider.js';

/** One server process with the real refresh engine. */
export interface SimulatedServer {
  readonly host: Host;
  readonly refresher: TokenRefresher;
}

/** Dependencies of the servers of one run. */
export interface SimulatedServersDeps {
  readonly em: () => SqlEntityManager;
  readonly loop: EventLoop;
  readonly random: Random;
  readonly provider: SimulatedProvider;
  readonly rotation: 'auto' | 'always' | 'never';
}

export const LEASE_MS = 6_000;
export const MARGIN_MS = 60_000;

/** The servers of one run, on the real SQL and in the virtual time of the event loop. */
export class SimulatedServers {
  readonly started: SimulatedServer[] = [];
  /** No statement is executed, and no result arrives, before this moment. */
  databaseDownUntil = 0;
  readonly #deps: SimulatedServersDeps;
  #ids = 0;

  constructor(deps: SimulatedServersDeps) {
    this.#deps = deps;
  }

  /** Starts one more. */
  start(): SimulatedServer {
    const { loop, provider, random, rotation } = this.#deps;
    const host: Host = { alive: true, frozenUntil: 0 };
    // The clocks of no two servers agree, nor with the database's.
    const aheadMs = random.between(-86_400_000, 86_400_000);
    const now = (): number => loop.now + aheadMs;
    const refresher = new TokenRefresher({
      leases: this.#storeOf(host),
      cipher: plaintextCipher,
      refreshTokens: provider.reachedFrom(host),
      verifyTokens: provider.verify,
      breaker: new CircuitBreaker({
        maxConcurrentCalls: 10,
        maxQueuedCalls: 10,
        probeIntervalMs: 30_000,
        now,
      }),
      now,
      sleep: (ms) => loop.sleep(host, ms),
      random: () => random.next(),
      newId: () => this.newId(),
      onEvent: () => undefined,
      isKnownKey: async () => true,
      onSuperseded: async () => undefined,
      rotation,
      marginMs: MARGIN_MS,
      leaseMs: LEASE_MS,
      waitMs: TIMEOUT_MS + 2_000,
      backOffBaseMs: 2_000,
    });
    const server = { host, refresher };
    this.started.push(server);
    return server;
  }

  /** The next UUID of the run. */
  newId(): string {
    return `00000000-0000-4000-8000-${String((this.#ids += 1)).padStart(12, '0')}`;
  }

  /** Runs statements at the current virtual time. */
  async atDatabase<Result>(work: () => Promise<Result>): Promise<Result> {
    const now = String(this.#deps.loop.now);
    await this.#deps.em().execute("select set_config('simulation.now', ?, false)", [now]);
    return work();
  }

  #storeOf(host: Host): RefreshLeaseRepository {
    const { em, loop, random } = this.#deps;
    const store = refreshLeaseRepository(em(), plaintextCipher.registration);
    const throwIfDown = (): void => {
      if (loop.now < this.databaseDownUntil) throw new Error('the database is down');
    };
    const remote =
      <Args extends unknown[], Result>(work: (...args: Args) => Promise<Result>) =>
      async (...args: Args): Promise<Result> => {
        const result = await loop.call(host, [random.between(0, 300), random.between(0, 300)], async () => {
          throwIfDown();
          return this.atDatabase(() => work(...args));
        });
        throwIfDown();
        return result;
      };
    return {
      read: remote((...args) => store.read(...args)),
      claim: remote((...args) => store.claim(...args)),
      putRefreshed: remote((...args) => store.putRefreshed(...args)),
      putResponse: remote((...args) => store.putResponse(...args)),
      release: remote((...args) => store.release(...args)),
      markDead: remote((...args) => store.markDead(...args)),
      markResponseLost: remote((...args) => store.markResponseLost(...args)),
    };
  }
}

/** Stores plaintext, so that a run depends on nothing but its seed. */
export const plaintextCipher: TokenCipher = {
  registration: { issuer: 'simulated', clientId: 'simulated' },
  sealLink: async (accountId, tokens) => ({
    ...plaintextCipher.registration,
    keyId: KEY_ID,
    dataKey: accountId,
    ...(await plaintextCipher.sealRefresh({ accountId, keyId: null, dataKey: null }, tokens)),
  }),
  sealRefresh: async ({ accountId }, tokens) => {
    const seal = (token: string | undefined, name: SealedName): string | null =>
      token === undefined ? null : `${placeOf(accountId, name)}${token}`;
    return {
      accessToken: seal(tokens.accessToken, 'accessToken'),
      idToken: seal(tokens.idToken, 'idToken'),
      refreshToken: seal(tokens.refreshToken, 'refreshToken'),
      scope: formatScope(tokens.scopes),
      accessTokenIssuedAt: tokens.accessTokenIssuedAt,
      accessTokenExpiresAt: tokens.accessTokenExpiresAt,
    };
  },
  sealResponse: async ({ accountId }, response) => `${placeOf(accountId, 'pendingResponse')}${response}`,
  isSameLink: (row, other) => row.accountId === other.accountId,
  open: async (row, name) => {
    const place = placeOf(row.accountId, name);
    const sealed = row[name] ?? '';
    if (row.dataKey !== row.accountId) throw new Error('a data key of another account');
    if (!sealed.startsWith(place)) throw new Error('sealed for another account or column');
    return sealed.slice(place.length);
  },
  openAll: async <Name extends SealedName>(row: OpenableRow<Name>, names: readonly Name[]) => {
    const opened = names.map(async (name) => [name, await plaintextCipher.open(row, name)] as const);
    return Object.fromEntries(await Promise.all(opened)) as Record<Name, string>;
  },
};

function placeOf(accountId: string, name: SealedName): string {
  return `${accountId}|${name}|`;
}
