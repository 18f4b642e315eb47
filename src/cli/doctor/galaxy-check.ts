import type { Config } from '../../config.js';
import { ProviderMisconfiguredError } from '../../errors.js';
import { checkGalaxyKey } from '../../galaxy/galaxy-key.js';
import type { Fetch } from '../../fetch.js';
import { causeOf } from './cause.js';
import { type CheckResult, failed, ok, runChecks, skipped } from './check.js';

const NAME = 'Galaxy key';

/** Whether Galaxy accepts our key, with one request of the application's budget. */
export async function checkGalaxy(
  { galaxy: { access }, rollup, provider: { timeoutMs } }: Pick<Config, 'galaxy' | 'rollup' | 'provider'>,
  { fetch }: { readonly fetch: Fetch },
): Promise<CheckResult[]> {
  if (!access) {
    const reason = rollup ? 'GALAXY_URL and GALAXY_API_KEY are not set.' : 'Embedded: a part of the server.';
    return [{ name: NAME, ...skipped(reason) }];
  }
  const run = async () => {
    try {
      await checkGalaxyKey({ ...access, timeoutMs, fetch });
      return ok('Galaxy accepts it.');
    } catch (error) {
      if (error instanceof ProviderMisconfiguredError) {
        return failed(
          `Galaxy rejects it: ${causeOf(error)}.`,
          'Set GALAXY_API_KEY to the key that the Console shows now.',
        );
      }
      return failed(
        `No usable response of Galaxy: ${causeOf(error)}.`,
        'Check GALAXY_URL, and that this machine reaches it.',
      );
    }
  };
  return runChecks([{ name: NAME, deadlineMs: timeoutMs + 1_000, run }]);
}
