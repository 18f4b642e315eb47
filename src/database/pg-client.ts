import type { EventEmitter } from 'node:events';

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

export interface PgConnection extends EventEmitter {
  readonly stream: EventEmitter & {
    readonly remoteAddress?: string;
    readonly destroyed: boolean;
    destroy(): void;
  };
  connect(...address: unknown[]): void;
  requestSsl(): void;
  cancel(processID: number | null, secretKey: number | null): void;
}

export interface ClientOptions {
  readonly options?: string;
}

export type PgClientClass = new (options: ClientOptions) => PgClient;
