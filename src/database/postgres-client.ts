import type { EventEmitter } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { isReadOnly } from './outage.js';

/** What is used of a client of `pg`. It has no public way to send a CancelRequest that goes through TLS. */
export interface PgClient extends EventEmitter {
  readonly host: string;
  readonly port: number;
  readonly ssl: unknown;
  readonly sslNegotiation: string;
  /** Both name the backend in a CancelRequest. */
  readonly processID: number | null;
  readonly secretKey: number | null;
  readonly connection: PgConnection;
  readonly connectionParameters: object;
  query(...args: unknown[]): unknown;
  getStartupConf(): Record<string, string>;
  end(): Promise<void>;
}

interface PgConnection extends EventEmitter {
  readonly stream: { destroy(): void };
  connect(...address: unknown[]): void;
  requestSsl(): void;
  cancel(processID: number | null, secretKey: number | null): void;
}

interface ClientOptions {
  readonly options?: string;
}

export type PgClientClass = new (options: ClientOptions) => PgClient;

/** The event of a client whose statement was given up: once it is released, nothing more may be sent over it. */
export const GIVEN_UP = 'givenUp';
/** The event of a client whose server does not write (any more), with the error. */
export const READ_ONLY = 'readOnly';

/** How long a cancelled statement may take to end, before its connection counts as dead. */
const CANCEL_GRACE_MS = 1_000;
/** Delays between attempts to deliver a CancelRequest. */
const CANCEL_DELAYS_MS = [0, 1_000, 2_000, 4_000, 8_000, 16_000];
const CANCEL_TIMEOUT_MS = 5_000;

/** Values read otherwise, and literals too, would depend on what a role or a database sets. */
const SESSION = { DateStyle: 'ISO', TimeZone: 'UTC', standard_conforming_strings: 'on' };

/**
 * A client that ends at the server what it gives up: a statement that takes longer than `timeoutMs` is cancelled, and
 * fails when the server says so (SQLSTATE 57014). Until then its connection is not free, so that there are never more
 * backends than connections. A server that says nothing loses the connection a moment later.
 *
 * A CancelRequest (PostgreSQL protocol, Message Flow) needs nothing of the session, so poolers pass it on. So they do
 * with the startup parameters that this client sets: they keep them apart for each of their clients.
 *
 * @param timeoutMs 0 for no limit.
 */
export function cancellingClient(Base: PgClientClass, timeoutMs: number): PgClientClass {
  return class CancellingClient extends Base {
    readonly #options: ClientOptions;

    constructor(options: ClientOptions) {
      super(options);
      this.#options = options;
      // Variables that `pg` takes when it is given no value; it has no value for "none".
      Object.assign(this.connectionParameters, { options: options.options, replication: undefined });
    }

    override getStartupConf(): Record<string, string> {
      return { ...SESSION, ...super.getStartupConf() };
    }

    override query(...args: unknown[]): unknown {
      const result = super.query(...args);
      return result instanceof Promise ? this.#limit(result) : result;
    }

    async #limit(result: Promise<unknown>): Promise<unknown> {
      let ended = false;
      const giveUp = (): void => {
        this.emit(GIVEN_UP);
        void cancelStatement(this, () => new Base(this.#options));
        setTimeout(() => ended || this.connection.stream.destroy(), CANCEL_GRACE_MS).unref();
      };
      const timer = timeoutMs > 0 ? setTimeout(giveUp, timeoutMs) : undefined;
      try {
        return await result;
      } catch (error) {
        if (isReadOnly(error)) this.emit(READ_ONLY, error);
        throw error;
      } finally {
        ended = true;
        clearTimeout(timer);
      }
    }
  };
}

/**
 * Has the server end what a client executes. Tries again while the network is away: until then it goes on.
 *
 * @param newClient makes a client that is not connected yet, for its connection.
 */
async function cancelStatement(client: PgClient, newClient: () => PgClient): Promise<void> {
  for (const delayMs of CANCEL_DELAYS_MS) {
    await delay(delayMs, undefined, { ref: false });
    if (await sendCancel(client, newClient().connection)) return;
  }
}

/** Resolves with true when it was sent; then the server has passed the signal on, and closed the connection. */
function sendCancel(client: PgClient, connection: PgConnection): Promise<boolean> {
  const { host, port, ssl, sslNegotiation, processID, secretKey } = client;
  return new Promise((resolve) => {
    let sent = false;
    const send = (): void => {
      connection.cancel(processID, secretKey);
      sent = true;
    };
    const timer = setTimeout(() => connection.stream.destroy(), CANCEL_TIMEOUT_MS).unref();
    connection.on('error', () => connection.stream.destroy());
    connection.once('end', () => {
      clearTimeout(timer);
      resolve(sent);
    });
    connection.once('sslconnect', send);
    connection.once('connect', () => {
      if (!ssl) send();
      else if (sslNegotiation !== 'direct') connection.requestSsl();
    });
    connection.connect(...(host.startsWith('/') ? [`${host}/.s.PGSQL.${port}`] : [port, host]));
  });
}
