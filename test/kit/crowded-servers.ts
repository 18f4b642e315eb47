import { type CompleteConfig, loadConfig } from '../../src/config.js';
import { openDatabase } from '../../src/database/orm.js';
import { insertAttempts, insertCrowd, prepareTables } from './crowd.js';
import { linkFlow } from './link-flow.js';
import { findCountFaults, findPlanFaults, formatPlan } from './plan-faults.js';
import { type Explained, startPlanProxy } from './plan-proxy.js';
import { runProgram } from './processes.js';
import { type Done, endOf } from './runbook.js';
import { type Server, type Servers, startServers } from './servers.js';

type Env = Readonly<Record<string, string>>;

/** A database with a crowd of accounts, and programs whose statements are looked at. */
export interface CrowdedServers {
  readonly all: Servers;
  /** Every statement so far. */
  readonly plans: readonly Explained[];
  start(env: Env): Promise<Server>;
  /** Runs a command of the program to its end. */
  run(command: string, env: Env): Promise<Done>;
  /**
   * Of the statements since the last call those whose work grows with the crowd: what grows, the statement and its plan.
   *
   * @param counts the beginnings of statements that may count a table in an index.
   */
  faults(counts?: readonly string[]): string[];
  close(): Promise<void>;
}

/**
 * Starts it; statistics are those of nearly empty tables.
 *
 * @param keys `TOKEN_KEYS`; the first of them wraps the data keys of the crowd.
 */
export async function startCrowded(keys: string): Promise<CrowdedServers> {
  const all = await startServers(1, { env: { TOKEN_KEYS: keys, GALAXY_REQUESTS_PER_MINUTE: '1' } });
  const direct = all.env['DATABASE_URL'] ?? '';
  // A row in each table.
  await all.linkPerson();
  await linkFlow(all.server.ask, loadConfig(all.env) as CompleteConfig, all.rollup).start();
  await all.server.stop();
  await fill(direct, all.env, keys.split(':')[0] ?? '');
  const proxy = await startPlanProxy(direct);
  const looked = { ...all.env, DATABASE_URL: proxy.url };
  let seen = 0;
  return {
    all,
    plans: proxy.plans,
    start: (env) => all.add({ ...looked, ...env }),
    run: (command, env) => endOf(runProgram(command.split(' '), { ...looked, ...env })),
    faults: (counts = []) => {
      const since = proxy.plans.slice(seen);
      seen += since.length;
      // The same statement with other values is shown once.
      const found = since.map((explained) => [
        withoutValues(explained.statement),
        explain(explained, counts),
      ]);
      return [...new Map(found as [string, string][]).values()].filter((text) => text !== '');
    },
    close: async () => {
      await all.close();
      await proxy.close();
    },
  };
}

function explain({ statement, plan }: Explained, counts: readonly string[]): string {
  // A plan that is asked for is not carried out.
  if (statement.startsWith('explain ')) return '';
  const mayCount = counts.some((beginning) => statement.startsWith(beginning));
  const faults = mayCount ? findCountFaults(plan) : findPlanFaults(plan);
  return faults.length === 0 ? '' : [...faults, statement, formatPlan(plan)].join('\n');
}

function withoutValues(statement: string): string {
  return statement.replaceAll(/'[^']*'|\b\d+\b/g, '?');
}

async function fill(url: string, env: Env, kid: string): Promise<void> {
  const database = await openDatabase({ url, dataDir: '', poolMax: 4, timeoutMs: 60_000 });
  const em = () => database.em.fork();
  await prepareTables(em());
  const registration = { issuer: env['ROLLUP_ISSUER'] ?? '', clientId: env['ROLLUP_CLIENT_ID'] ?? '' };
  await Promise.all([insertCrowd(em, registration, kid), insertAttempts(em())]);
  await database.close();
}
