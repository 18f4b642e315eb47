/** Classes of SQLSTATE and system codes that mean: the server could not be talked to, not: it refused. */
const OUTAGE_CODES =
  /^(08...|57P0[1-5]|53300|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EPIPE|ENOTFOUND|EHOSTUNREACH)$/;
/** What the driver says in words only. */
const OUTAGE_WORDS =
  /Query read timeout|timeout exceeded when trying to connect|Connection terminated|not queryable|connection error/;

/** Whether an error says that the database cannot be reached now, so that trying again later makes sense. */
export function isDatabaseOutage(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  return OUTAGE_CODES.test(code) || OUTAGE_WORDS.test(error.message) || isDatabaseOutage(error.cause);
}
