import type { DestinationStream } from 'pino';

/** Where text goes at once, such as a terminal. */
interface Output {
  write(text: string): unknown;
}

/** Terminals obey these too; the formatter lets them through. */
const C1_CONTROLS = /[\u0080-\u009f]/g;

/**
 * A destination that prints the finished lines of the log, whose secrets are redacted already, readably: for the
 * terminal of a developer. Undefined in an install without development dependencies.
 */
export async function createReadableLog(output: Output): Promise<DestinationStream | undefined> {
  const pretty = await import('pino-pretty').catch(() => undefined);
  if (!pretty) return undefined;
  const { prettyFactory } = pretty.default;
  const options = { singleLine: true, translateTime: 'SYS:HH:MM:ss' };
  const formatLine = prettyFactory({ ...options, errorLikeObjectKeys: [] });
  const formatStacks = prettyFactory(options);
  // Not through a stream of its own: what is logged right before the process exits has to be seen.
  return {
    write: (line) => {
      const format = line.includes('"stack":"') ? formatStacks : formatLine;
      output.write(format(line.replaceAll(C1_CONTROLS, '')));
    },
  };
}
