/** SQLSTATE classes and system codes of an unreachable server, not of a rejected statement. */
const OUTAGE_CODES =
  /^(08...|57P0[1-5]|53300|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EPIPE|ENOTFOUND|EHOSTUNREACH)$/;
/** Errors of the driver that have no code. */
const OUTAGE_WORDS =
  /Query read timeout|timeout exceeded when trying to connect|Connection terminated|not queryable|connection error/;

/** Whether the database is unreachable, so that a retry later may succeed. */
export function isDatabaseOutage(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  return OUTAGE_CODES.test(code) || OUTAGE_WORDS.test(error.message) || isDatabaseOutage(error.cause);
}
