import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { ClockWatch } from './clock-watch.js';
import type { GalaxyOutcome } from './galaxy/galaxy-reader.js';
import type { RefreshEvent } from './vault/refresh-event.js';
import type { RevocationEvent } from './vault/revocation-event.js';
import type { TokenVault } from './vault/token-vault.js';

/** The metrics of one application, in a registry of its own. No label names an account. */
export interface Metrics {
  countRefresh(event: RefreshEvent): void;
  countRevocation(event: RevocationEvent): void;
  countGalaxy(outcome: GalaxyOutcome): void;
  /** Reads the gauges of a vault and of a clock at each scrape from now on. */
  watch(vault: Pick<TokenVault, 'waiting' | 'circuitOpen'>, clock: Pick<ClockWatch, 'aheadMs'>): void;
  /** For the metrics of other rooms. */
  readonly registry: Registry;
  /** Prometheus text format. */
  render(): Promise<string>;
}

/** Creates the metrics of one application; `renderMore` renders those that it shares with others. */
// oxlint-disable-next-line max-lines-per-function -- one declaration a metric
export function createMetrics(renderMore: () => Promise<string> = async () => ''): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const outcomes = new Counter({
    name: 'rollup_accounts_refreshes_total',
    help: 'Refreshes by outcome.',
    labelNames: ['outcome'],
    registers,
  });
  const duration = new Histogram({
    name: 'rollup_accounts_refresh_duration_seconds',
    help: 'How long the provider took to respond to a refresh.',
    labelNames: ['outcome'],
    buckets: [0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10],
    registers,
  });
  const takeovers = new Counter({
    name: 'rollup_accounts_lease_takeovers_total',
    help: 'Leases taken over from a process that never came back.',
    registers,
  });
  const backOffs = new Counter({
    name: 'rollup_accounts_refresh_backoffs_total',
    help: 'Times that an account was put off after a failure.',
    registers,
  });
  const revocations = new Counter({
    name: 'rollup_accounts_revocations_total',
    help: 'Attempts to revoke a refresh token that is of no use any more, by outcome.',
    labelNames: ['outcome'],
    registers,
  });
  const galaxy = new Counter({
    name: 'rollup_accounts_galaxy_requests_total',
    help: 'Requests to Galaxy by outcome; those over the budget were not sent.',
    labelNames: ['outcome'],
    registers,
  });
  for (const outcome of OUTCOMES) outcomes.inc({ outcome }, 0);
  for (const outcome of REVOCATION_OUTCOMES) revocations.inc({ outcome }, 0);
  for (const outcome of GALAXY_OUTCOMES) galaxy.inc({ outcome }, 0);
  return {
    countRefresh: (event) => {
      if (event.type === 'taken_over') takeovers.inc();
      else outcomes.inc({ outcome: event.type });
      if (event.type === 'failed') backOffs.inc();
      if ('durationMs' in event) duration.observe({ outcome: event.type }, event.durationMs / 1_000);
    },
    countRevocation: ({ type }) => revocations.inc({ outcome: type }),
    countGalaxy: (outcome) => galaxy.inc({ outcome }),
    watch: (vault, clock) => {
      gauge(registers, 'rollup_accounts_refresh_waiters', 'Callers that wait for a refresh.', () =>
        vault.waiting(),
      );
      gauge(registers, 'rollup_accounts_circuit_open', '1 while the provider rejects our credentials.', () =>
        Number(vault.circuitOpen()),
      );
      const off = "By how much the clock of this process is ahead of the database's; negative when behind.";
      gauge(registers, 'rollup_accounts_clock_off_seconds', off, () => clock.aheadMs() / 1_000);
    },
    registry,
    render: async () => (await registry.metrics()) + (await renderMore()),
  };
}

const OUTCOMES: readonly RefreshEvent['type'][] = [
  'refreshed',
  'superseded',
  'failed',
  'grant_dead',
  'subject_changed',
  'response_lost',
  'response_kept',
  'misconfigured',
  'seal_broken',
  'key_missing',
  'not_recorded',
];

const REVOCATION_OUTCOMES: readonly RevocationEvent['type'][] = [
  'revoked',
  'revocation_failed',
  'revocation_given_up',
];

const GALAXY_OUTCOMES: readonly GalaxyOutcome[] = ['responded', 'failed', 'over_budget'];

function gauge(registers: Registry[], name: string, help: string, read: () => number): void {
  const made: Gauge = new Gauge({ name, help, registers, collect: () => made.set(read()) });
}
