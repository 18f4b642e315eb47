import {
  type ConnectionLimits,
  readClock,
  readConnectionLimits,
  readTableRights,
} from '../../database/server-facts.js';
import { failed, type Finding, ok, warning } from './check.js';
import { describeSkew, leastSkew, SET_CLOCKS } from '../../clock-skew.js';
import type { Inspection } from './inspection.js';

/** Leases and link attempts end by the clock of the database, tokens by ours. */
const MAX_SKEW_MS = 5_000;

/** What the role may do with our tables, and whether it may make those that are missing. */
export async function checkRights({ em, facts, migrations }: Inspection): Promise<Finding> {
  const { role, schema, may_create } = await facts();
  if (schema === null) {
    return failed(
      `The role "${role}" may use no schema of its search_path.`,
      `As the owner: grant usage on schema public to "${role}".`,
    );
  }
  const tables = await readTableRights(await em());
  const lacking = tables.filter(({ missing }) => missing !== '');
  if (lacking.length > 0) {
    const list = lacking.map(({ name, missing }) => `${missing} on ${name}`).join('; ');
    return failed(
      `The role "${role}" lacks ${list}.`,
      `As the owner: grant select, insert, update, delete on all tables in schema ${schema} to "${role}".`,
    );
  }
  const { pending } = await migrations();
  if (pending.length === 0) return ok(`Enough for the role "${role}" in schema ${schema}.`);
  const foreign = tables.filter(({ exists, owned }) => exists && !owned);
  if (may_create && foreign.length === 0) {
    return ok(`Enough for the role "${role}" to migrate schema ${schema}.`);
  }
  const lacks = may_create
    ? `does not own ${foreign.map(({ name }) => name).join(', ')}`
    : 'may create no table';
  return failed(
    `Migrations are missing, and in schema ${schema} the role "${role}" ${lacks}.`,
    `Run migrate with the owner of the tables, or grant create on schema ${schema} to "${role}".`,
  );
}

/** The clock of the database against ours, as exactly as the time that the question took allows. */
export async function checkDatabaseClock({ em, now }: Pick<Inspection, 'em' | 'now'>): Promise<Finding> {
  const database = await em();
  const sent = now();
  const theirs = await readClock(database);
  const skew = leastSkew({ from: theirs, to: theirs }, { from: sent, to: now() });
  if (Math.abs(skew) <= MAX_SKEW_MS) return ok('Agrees with this machine.');
  return failed(`It is ${describeSkew(skew)}.`, SET_CLOCKS);
}

/** `DATABASE_POOL_MAX` against what the server allows. */
export async function checkLimits({ em, pooler, settings }: Inspection): Promise<Finding> {
  if ((await pooler()) !== 'none') {
    return ok(
      'Those of the pooler hold, which cannot be seen from here (default_pool_size, max_client_conn).',
    );
  }
  return judgeLimits(settings.poolMax, await readConnectionLimits(await em()));
}

/** Whether a pool of this size fits, and how many processes may have one. */
export function judgeLimits(poolMax: number, limits: ConnectionLimits): Finding {
  const { max_connections, reserved, superuser, role_limit, database_limit } = limits;
  const server = max_connections - (superuser ? 0 : reserved);
  const bounds = [
    { most: server, of: 'the server' },
    ...(role_limit < 0 || superuser ? [] : [{ most: role_limit, of: 'the role' }]),
    ...(database_limit < 0 || superuser ? [] : [{ most: database_limit, of: 'the database' }]),
  ];
  const { most, of } = bounds.reduce((least, bound) => (bound.most < least.most ? bound : least));
  const processes = Math.floor(most / poolMax);
  const found = `DATABASE_POOL_MAX is ${poolMax}, and ${of} allows ${most} connections`;
  const advice = `Lower it, or raise the limit of ${of}.`;
  if (processes === 0) return failed(`${found}.`, advice);
  if (processes === 1) return warning(`${found}: enough for one process, not for two at an upgrade.`, advice);
  return ok(`${found}: enough for ${processes} processes.`);
}
