/**
 * The innermost cause of an error, for one line: its code, such as `ECONNREFUSED` or a SQLSTATE, or else its message.
 * The message of a database error quotes values, so of one that has a severity there is only the code.
 */
export function causeOf(error: unknown): string {
  if (!(error instanceof Error)) return 'an unknown error';
  if (error.cause instanceof Error) return causeOf(error.cause);
  const code = codeOf(error);
  if (code !== undefined) return code;
  return 'severity' in error ? 'a database error' : error.message.slice(0, 200).replace(/\.$/, '');
}

/** The code of an error of the system or of the database. */
export function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return undefined;
  return error.code;
}
