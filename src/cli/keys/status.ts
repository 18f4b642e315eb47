import type { SqlEntityManager } from '@mikro-orm/sql';
import { loadDatabaseConfig } from '../../config.js';
import type { Environment } from '../../settings-reader.js';
import { findLiveServers, type LiveServer } from '../../vault/server-heartbeat.repository.js';
import { countAccounts, findTokenKeys, type TokenKeyRecord } from '../../vault/token-key.repository.js';
import { withDatabase } from './with-database.js';

/** A key, with what needs and what holds it. */
interface KeyStatus {
  readonly kid: string;
  /** Accounts whose data keys it wraps. */
  readonly accounts: number;
  readonly state: 'used' | 'retired' | 'given up';
  /** Servers that run with it in their ring, and those that seal with it. */
  readonly heldBy: readonly string[];
  readonly sealing: readonly string[];
}

/** Prints every key that the database knows, and the servers that run. */
export async function statusCommand(env: Environment, { json = false }: { json?: boolean }): Promise<void> {
  const { keys, servers } = await withDatabase(loadDatabaseConfig(env), readStatus);
  const rows = servers.map(({ id: _id, issuer: _issuer, ...server }) => server);
  process.stdout.write(json ? `${JSON.stringify({ keys, servers: rows })}\n` : describe(keys, rows));
}

async function readStatus(em: SqlEntityManager) {
  const servers = await findLiveServers(em.fork());
  const keys: KeyStatus[] = [];
  for (const key of await findTokenKeys(em.fork())) {
    const accounts = await countAccounts(em.fork(), key.kid);
    keys.push({ kid: key.kid, accounts, state: stateOf(key), ...holdersOf(key.kid, servers) });
  }
  return { keys, servers };
}

function stateOf({ retired, givenUp }: TokenKeyRecord): KeyStatus['state'] {
  return givenUp ? 'given up' : retired ? 'retired' : 'used';
}

function holdersOf(kid: string, servers: readonly LiveServer[]) {
  const names = (holds: (kids: readonly string[]) => boolean): string[] =>
    servers.filter(({ kids }) => holds(kids)).map(({ server }) => server);
  return { heldBy: names((kids) => kids.includes(kid)), sealing: names(([first]) => first === kid) };
}

function describe(keys: readonly KeyStatus[], servers: readonly Omit<LiveServer, 'id' | 'issuer'>[]): string {
  const keyTable = keys.map(({ kid, accounts, state, heldBy, sealing }) => [
    kid,
    String(accounts),
    state,
    `${heldBy.length} of ${servers.length} servers`,
    String(sealing.length),
  ]);
  const serverTable = servers.map(({ server, kids, seenSecondsAgo }) => [
    server,
    kids.join(', '),
    `${seenSecondsAgo} s ago`,
  ]);
  return [
    alignColumns([['key', 'accounts', 'state', 'held by', 'sealing with it'], ...keyTable]),
    alignColumns([['server', 'ring', 'seen'], ...serverTable]),
  ].join('\n');
}

function alignColumns(lines: readonly (readonly string[])[]): string {
  const width = (column: number): number => Math.max(...lines.map((cells) => cells[column]?.length ?? 0));
  const padded = (cells: readonly string[]): string =>
    cells.map((cell, column) => cell.replaceAll(/\p{Cc}/gu, '?').padEnd(width(column))).join('  ');
  return lines.map((cells) => `${padded(cells).trimEnd()}\n`).join('');
}
