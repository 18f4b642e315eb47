import { AppError } from '../errors.js';

/** SQLSTATE classes of an unreachable or ailing server, not of a rejected statement (PostgreSQL, appendix A). */
const OUTAGE_STATES = [
  /^08/, // connection exceptions
  /^(28|3D000)/, // the role or the database is not there any more
  /^25006$/, // the server only reads: a standby, or a primary of yesterday
  /^25P0[34]$/, // a session was ended because its transaction was idle or too long
  /^(40001|40P01)$/, // still after several tries
  /^(53|58)/, // out of connections, memory or disk; system errors
  /^(55P03|57014)$/, // a statement was given up
  /^57P0[1-5]$/, // the server stops, starts, or ended the session
];
/** Codes of a certificate that does not verify (Node.js, tls and OpenSSL). */
export const CERTIFICATE_FAULT = /^(ERR_TLS_CERT|CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_)/;
/** Codes of the network and of name resolution. */
const NETWORK_FAULT =
  /^E(AI_\w+|NOTFOUND|TIMEDOUT|PIPE|CONN\w+|NET\w+|HOST\w+|ADDRNOTAVAIL|PROTO|NODATA|SERVFAIL)$/;
/** What a socket was at when it failed for another reason, such as a Unix socket that is not there. */
const NETWORK_CALLS = new Set(['connect', 'getaddrinfo', 'read', 'write', 'shutdown']);
/** Errors of the driver that have neither. */
const OUTAGE_WORDS =
  /timeout exceeded when trying to connect|Connection terminated|not queryable|connection error|SSL connection/;

const MAX_TRIES = 5;

/** Whether the database is unreachable or ailing, so that a retry later may succeed. */
export function isDatabaseOutage(error: unknown): boolean {
  return causesOf(error).some(
    (cause) =>
      OUTAGE_STATES.some((state) => state.test(codeOf(cause))) ||
      CERTIFICATE_FAULT.test(codeOf(cause)) ||
      NETWORK_FAULT.test(codeOf(cause)) ||
      ('syscall' in cause && NETWORK_CALLS.has(String(cause.syscall))) ||
      OUTAGE_WORDS.test(cause.message),
  );
}

/** Whether a server only reads, as a standby does, or a primary after a failover. */
export function isReadOnly(error: unknown): boolean {
  return sqlStateOf(error) === '25006';
}

/** Whether a statement got no response in time, from the server or from a pooler without a free connection. */
export function isGivenUp(error: unknown): boolean {
  return /^57014|query_wait_timeout|Connection terminated unexpectedly/m.test(faultsOf(error));
}

/**
 * Runs what may be run again, since all of it was rolled back, and again when a concurrent transaction made it
 * impossible: a serialization failure or a deadlock (PostgreSQL 13.5).
 */
export async function retrySerializationFailures<Result>(run: () => Promise<Result>): Promise<Result> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await run();
    } catch (error) {
      if (!/^40(001|P01)$/.test(sqlStateOf(error)) || tries >= MAX_TRIES) throw error;
    }
  }
}

/** The SQLSTATE of an error or of its cause; empty when there is none. */
export function sqlStateOf(error: unknown): string {
  return (
    causesOf(error)
      .map(codeOf)
      .find((code) => /^(?=.*\d)[\dA-Z]{5}$/.test(code)) ?? ''
  );
}

/** The code and the message of an error and of each of its causes, a line each. */
export function faultsOf(error: unknown): string {
  return causesOf(error)
    .map((cause) => `${codeOf(cause)} ${cause.message}`)
    .join('\n');
}

/** The SQLSTATE, or the code of the system; empty without one. */
function codeOf(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : '';
}

/**
 * An error and its causes, the outermost first; of one that stands for several, such as addresses, those too. What an error
 * of ours was caused by is not about the database: it may be a provider's network.
 */
function causesOf(error: unknown): Error[] {
  if (!(error instanceof Error) || error instanceof AppError) return [];
  const several = error instanceof AggregateError ? error.errors : [];
  return [error, ...several.flatMap(causesOf), ...causesOf(error.cause)];
}
