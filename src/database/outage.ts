/** SQLSTATE classes of an unreachable or ailing server, not of a rejected statement (PostgreSQL, appendix A). */
const OUTAGE_STATES = [
  /^08/, // connection exceptions
  /^(28|3D000)/, // the role or the database is not there any more
  /^25006$/, // the server only reads: a standby, or a primary of yesterday
  /^(40001|40P01)$/, // still after several tries
  /^(53|58)/, // out of connections, memory or disk; system errors
  /^(55P03|57014)$/, // a statement was given up
  /^57P0[1-5]$/, // the server stops, starts, or ended the session
];
/** What a socket was at when it failed, or the name could not be resolved. */
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
      ('syscall' in cause && NETWORK_CALLS.has(String(cause.syscall))) ||
      OUTAGE_WORDS.test(cause.message),
  );
}

/** Whether a server only reads, as a standby does, or a primary after a failover. */
export function isReadOnly(error: unknown): boolean {
  return sqlStateOf(error) === '25006';
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
      .find((code) => /^[\dA-Z]{5}$/.test(code)) ?? ''
  );
}

/** The SQLSTATE, or the code of the system; empty without one. */
function codeOf(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : '';
}

/** An error and its causes, the outermost first. */
function causesOf(error: unknown): Error[] {
  return error instanceof Error ? [error, ...causesOf(error.cause)] : [];
}
