import { AsyncLocalStorage } from 'node:async_hooks';
import { createHash } from 'node:crypto';
import { type DestinationStream, type Logger, pino } from 'pino';
import { AppError } from './errors.js';

/** Where events go, one JSON object a line. */
export type Log = Logger;

/** Fields of every log line of a request: its id, its trace if it has one, and the caller as a pseudonym. */
export interface LogContext {
  readonly reqId: string;
  readonly trace_id?: string;
  readonly span_id?: string;
  who?: string;
}

/** Carries these fields to whatever is logged for a request. */
export const logContext = new AsyncLocalStorage<LogContext>();

/** A stable pseudonym of a subject. */
export function pseudonym(subject: string): string {
  return createHash('sha256').update(subject).digest('hex').slice(0, 16);
}

/**
 * Signed and sealed tokens, provider codes, our 256-bit secrets, and secrets in the query of URLs. None of them can fail
 * after a long run of characters: such backtracking takes quadratic time.
 */
const SECRET_SHAPES = [
  /eyJ[\w-]{8,}(?:\.[\w-]*)*/g,
  /(?<=[?&"'](?:code|state|nonce|code_verifier|client_secret|refresh_token|access_token|link_token)=)[^&"'\s\\]+/gi,
  /\b0x[\da-f]{48}\b/gi,
  /(?<![\w-])[\w-]{43}(?![\w-])/g,
];

/**
 * Creates the log. No secret is written, wherever it comes from: each finished line is searched for
 * what looks like a token, a code or a secret, and for `secrets`, the configured ones, as literal text.
 */
export function createLog(level: string, secrets: readonly string[], destination?: DestinationStream): Log {
  const redact = createRedaction(secrets);
  const options = {
    level,
    base: null,
    // A copy: pino writes the fields of the record into what it is given.
    mixin: () => ({ ...logContext.getStore() }),
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: { err: describeError },
    hooks: { streamWrite: redact },
  };
  return destination ? pino(options, destination) : pino(options);
}

/** Removes from a text what `redactSecrets` does, and these secrets, as they are and as JSON has them. */
export function createRedaction(secrets: readonly string[]): (text: string) => string {
  // In a line of JSON a quote or a backslash is escaped.
  const forms = secrets.flatMap((secret) =>
    secret.length < 8 ? [] : [secret, JSON.stringify(secret).slice(1, -1)],
  );
  const literals = [...new Set(forms)];
  return (text) =>
    literals.reduce((rest, literal) => rest.replaceAll(literal, '[redacted]'), redactSecrets(text));
}

/** Text without what looks like a token, a code or a secret of ours. */
export function redactSecrets(text: string): string {
  return SECRET_SHAPES.reduce((rest, shape) => rest.replace(shape, '[redacted]'), text);
}

/**
 * An error for the operator: what, where and why. Of a database error only its code and the names involved:
 * its message quotes the values of the row.
 */
export function describeError(error: unknown): Record<string, unknown> {
  return describe(error, stackOf);
}

/** The same without stacks, for what a user or client caused: there is nothing to look for in the code. */
export function describeOutcome(error: unknown): Record<string, unknown> {
  return describe(error, () => undefined);
}

function stackOf(error: Error): string | undefined {
  return error.stack
    ?.split('\n')
    .filter((line) => /^\s+at /.test(line))
    .slice(0, 12)
    .join('\n');
}

function describe(error: unknown, readStack: typeof stackOf): Record<string, unknown> {
  if (!(error instanceof Error)) return { type: typeof error };
  const stack = readStack(error);
  const cause = error.cause === undefined ? undefined : describe(error.cause, readStack);
  const common = { type: error.name, ...pick(error, ['code', 'reason']), stack, cause };
  if ('sqlState' in error || 'severity' in error) {
    return {
      ...common,
      cause: undefined,
      ...pick(error, ['sqlState', 'severity', 'constraint', 'table', 'routine']),
    };
  }
  return { ...common, message: error instanceof AppError ? error.message : error.message.slice(0, 500) };
}

function pick(error: Error, names: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(error).filter(([name]) => names.includes(name)));
}
