import { type Config, loadConfig } from '../../config.js';
import { ConfigError } from '../../errors.js';
import type { Environment } from '../../settings-reader.js';
import { type CheckResult, failed, ok } from './check.js';

/** The settings, and a line about them; without settings a line for each problem. */
export function checkSettings(env: Environment): { config?: Config; results: readonly CheckResult[] } {
  try {
    const config = loadConfig(env);
    return { config, results: [{ name: 'settings', ...ok(describe(config)) }] };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const problems = error.problems.map((problem) =>
      failed(`${problem}.`, 'docs/settings.md says what it takes.'),
    );
    const name = 'settings';
    const rest = ['database', 'provider', 'Galaxy'].map((name): CheckResult => ({
      name,
      status: 'skipped',
      message: 'Needs "settings", which failed.',
    }));
    return {
      results: [...problems.map((finding): CheckResult => Object.assign({ name }, finding)), ...rest],
    };
  }
}

function describe({ production, database, rollup, galaxy, vault }: Config): string {
  const embedded = [
    ...(database.url === undefined ? ['the database'] : []),
    ...(rollup ? [] : ['Rollup ID']),
    ...(galaxy.access || rollup ? [] : ['Galaxy']),
    ...(vault.keys === undefined ? ['the token keys'] : []),
  ];
  const mode = production ? 'Complete, for production' : 'Complete, for development';
  return embedded.length === 0 ? `${mode}.` : `${mode}; embedded: ${embedded.join(', ')}.`;
}
