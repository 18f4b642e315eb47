import { userInfo } from 'node:os';
import { splitUri, type UriEntry } from './uri.js';
import { findParameterProblem } from './uri-parameters.js';
import { readTls, type TlsSettings } from './url-tls.js';

/** How to reach a database: what a URL says, and a default for what it does not say. */
export interface ConnectionSettings {
  /** A name, an address without brackets, or the directory of a Unix socket. */
  readonly host: string;
  readonly port: number;
  readonly user: string;
  /** Absent: the server has to know the user by other means. */
  readonly password?: string | undefined;
  readonly database: string;
  readonly applicationName: string;
  /** Options of the session as the server takes them at its start, `schema` included. */
  readonly options?: string | undefined;
  readonly connectTimeoutMs?: number | undefined;
  readonly keepAlive: boolean;
  /** 0 leaves it to the operating system. */
  readonly keepAliveIdleMs: number;
  readonly channelBinding: boolean;
  /** Absent: in clear. */
  readonly tls?: TlsSettings | undefined;
}

/** Frozen settings, or why there are none. */
export type ParsedUrl =
  | { readonly settings: ConnectionSettings; readonly problems: readonly [] }
  | { readonly settings?: undefined; readonly problems: readonly string[] };

/**
 * Reads a connection URI of libpq (PostgreSQL manual, 34.1.1.2). Every parameter is honoured, or is a problem: a sentence
 * that names `DATABASE_URL` and the parameter, and shows no value. Nothing is taken from `PG…` variables or from files.
 */
export function parseDatabaseUrl(text: string): ParsedUrl {
  const entries = splitUri(text);
  if ('problem' in entries) return { problems: [entries.problem] };
  const values = new Map(entries.map(([name, value]) => [name, decodeURIComponent(value)]));
  const tls = readTls(values);
  const user = values.get('user') ?? findSystemUser();
  const problems = [
    // A password among the parameters that has an & ends with what looks like more parameters.
    ...findEntryProblems(entries, !/[?&](?:ssl)?password=/.test(text)),
    ...(values.has('host') ? [] : ['DATABASE_URL must name a host']),
    ...(values.has('dbname') ? [] : ['DATABASE_URL must name a database: it ends with / and the name']),
    ...(user === undefined
      ? ['DATABASE_URL must name a user: the operating system has no name for this one']
      : []),
    ...tls.problems,
  ];
  if (problems.length > 0) return { problems: [...new Set(problems)] };
  return { settings: Object.freeze(createSettings(values, user ?? '', tls.settings)), problems: [] };
}

/** The passwords in a URL, as they are and as they are written. */
export function findSecrets(text: string): readonly string[] {
  const entries = splitUri(text);
  if ('problem' in entries) return [];
  return entries
    .filter(([name]) => name === 'password' || name === 'sslpassword')
    .flatMap(([, value]) => [decodeURIComponent(value), value]);
}

function findEntryProblems(entries: readonly UriEntry[], mayShow: boolean): readonly string[] {
  const names = entries.map(([name]) => name);
  return entries.flatMap(([name, value], index) => {
    const problem = findParameterProblem(name, decodeURIComponent(value), mayShow);
    if (problem !== undefined) return [problem];
    return names.indexOf(name) < index ? [`DATABASE_URL: ${name} is given twice`] : [];
  });
}

function createSettings(
  values: ReadonlyMap<string, string>,
  user: string,
  tls: TlsSettings | undefined,
): ConnectionSettings {
  const seconds = values.get('connect_timeout');
  return {
    host: values.get('host') ?? '',
    port: Number(values.get('port') ?? 5_432),
    user,
    password: values.get('password'),
    database: values.get('dbname') ?? '',
    applicationName:
      values.get('application_name') ?? values.get('fallback_application_name') ?? 'rollup-accounts',
    options: createOptions(values.get('options'), values.get('schema')),
    connectTimeoutMs: seconds === undefined ? undefined : Number(seconds) * 1_000,
    keepAlive: values.get('keepalives') !== '0',
    keepAliveIdleMs: Number(values.get('keepalives_idle') ?? 0) * 1_000,
    channelBinding: values.get('channel_binding') === 'prefer',
    tls,
  };
}

/** White space and backslashes are escaped (PostgreSQL manual, 34.1.2, `options`). */
function createOptions(options: string | undefined, schema: string | undefined): string | undefined {
  if (schema === undefined) return options;
  const quoted = `"${schema.replaceAll('"', '""')}"`.replaceAll(/[\s\\]/g, String.raw`\$&`);
  return [...(options === undefined ? [] : [options]), `-c search_path=${quoted}`].join(' ');
}

/** As libpq does; undefined where the system has a number for the user, and no name. */
function findSystemUser(): string | undefined {
  try {
    return userInfo().username || undefined;
  } catch {
    return undefined;
  }
}
