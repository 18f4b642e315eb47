import { cancelStatement } from './cancel-request.js';
import { isReadOnly } from './outage.js';
import type { ClientOptions, PgClient, PgClientClass } from './pg-client.js';

/** The event of a client whose statement was given up: once it is released, nothing more may be sent over it. */
export const GIVEN_UP = 'givenUp';
/** The event of a client whose server does not write (any more), with the error. */
export const READ_ONLY = 'readOnly';

/** How long a cancelled statement may take to end, before its connection counts as dead. */
const CANCEL_GRACE_MS = 2_000;

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
    readonly #newClient: () => PgClient;

    constructor(options: ClientOptions) {
      super(options);
      this.#newClient = () => new Base(options);
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
        cancelStatement(this, this.#newClient, () => ended);
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
