import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '../config.js';
import { StartupError } from '../errors.js';
import { explainListenError, isPortTaken } from '../listen-error.js';
import { replaceFile } from './whole-file.js';

const MAX_PORT = 65_535;

/** What the choice of a port depends on. */
export interface PortChoice extends Pick<Config, 'http' | 'rollupDevPort'> {
  /** The port of the last run on this data directory, which is part of the issuer of what is stored. */
  readonly remembered: number | undefined;
}

/**
 * The ports for the embedded provider, in the order in which they are tried: the one that ROLLUP_DEV_PORT sets and no
 * other. When it is not set: the remembered or the default one, the one next to PORT, and any free one, so that several
 * copies run at once with a PORT each.
 *
 * Throws `StartupError` when the one that is set is the server's own.
 */
export function providerPorts({ http, rollupDevPort, remembered }: PortChoice): readonly number[] {
  const { port, isSet } = rollupDevPort;
  if (isSet) {
    if (port !== 0 && port === http.port) throw new StartupError('ROLLUP_DEV_PORT and PORT must differ.');
    return [port];
  }
  if (http.port === 0) return [remembered ?? 0, 0];
  // The server itself listens later: its port is left to it.
  const preferred = [remembered ?? port, http.port + 1];
  return [...preferred.filter((candidate) => candidate !== http.port && candidate <= MAX_PORT), 0];
}

/** Starts on the first of these ports that is not taken. Throws `StartupError` when there is none. */
export async function startOnFirst<Started>(
  ports: readonly number[],
  start: (port: number) => Promise<Started>,
): Promise<Started> {
  const [port = 0, ...others] = ports;
  try {
    return await start(port);
  } catch (error) {
    if (others.length > 0 && isPortTaken(error)) return startOnFirst(others, start);
    throw explainListenError(error, 'ROLLUP_DEV_PORT', port);
  }
}

/** The port of the last run on this data directory; undefined when there was none. */
export function readRememberedPort(dataDir: string): number | undefined {
  try {
    const port = Number(readFileSync(pathIn(dataDir), 'utf8'));
    return Number.isInteger(port) && port > 0 && port <= MAX_PORT ? port : undefined;
  } catch {
    return undefined;
  }
}

/** Remembers the port for the next run. */
export function rememberPort(dataDir: string, port: number): void {
  replaceFile(pathIn(dataDir), `${port}\n`);
}

function pathIn(dataDir: string): string {
  return join(dataDir, 'rollup-id-port');
}
