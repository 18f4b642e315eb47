import { secretsOf } from '../config.js';
import { StartupError } from '../errors.js';
import { leanFetch } from '../fetch.js';
import { createRedaction } from '../log.js';
import type { Environment } from '../settings-reader.js';
import type { CheckResult } from './doctor/check.js';
import { checkDatabase } from './doctor/database-checks.js';
import { checkGalaxy } from './doctor/galaxy-check.js';
import { checkProvider } from './doctor/provider-checks.js';
import { formatJson, formatLines } from './doctor/report.js';
import { checkSettings } from './doctor/settings-check.js';

/**
 * Checks everything that a server needs, and prints a line for each check, or one JSON document. Changes nothing.
 *
 * Throws `StartupError` when a check failed.
 */
export async function doctorCommand(env: Environment, options: { readonly json?: boolean }): Promise<void> {
  const { config, results } = checkSettings(env);
  const world = { fetch: leanFetch, now: Date.now };
  const all = [...results];
  if (config) {
    // One after the other: an embedded database takes the processor while it opens, and a response would be late.
    all.push(...(await checkDatabase(config, world)));
    all.push(...(await checkProvider(config, world)), ...(await checkGalaxy(config, world)));
  }
  const redact = createRedaction(config ? secretsOf(config) : []);
  process.stdout.write(redact(options.json ? formatJson(all) : formatLines(all)));
  complainOf(all);
}

function complainOf(results: readonly CheckResult[]): void {
  const failures = results.filter(({ status }) => status === 'failed').length;
  if (failures > 0) throw new StartupError(`${failures} of ${results.length} checks failed.`);
}
