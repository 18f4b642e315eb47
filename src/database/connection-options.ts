import { ConfigError } from '../errors.js';
import { type ConnectionSettings, parseDatabaseUrl } from './database-url.js';
import { loadTls, type TlsOptions } from './tls-files.js';

/** The options of MikroORM and of `pg` (`driverOptions`) that lead to a database. */
export interface ConnectionOptions {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string | (() => string);
  readonly dbName: string;
  readonly driverOptions: {
    readonly ssl: false | TlsOptions;
    readonly sslnegotiation: 'postgres' | 'direct';
    readonly enableChannelBinding: boolean;
    readonly application_name: string;
    readonly options?: string;
    readonly connectionTimeoutMillis?: number;
    readonly keepAlive: boolean;
    readonly keepAliveInitialDelayMillis: number;
  };
}

/** Everything that is wrong with a URL, and with the files that it names. */
export function findUrlProblems(url: string): readonly string[] {
  const { settings, problems } = parseDatabaseUrl(url);
  return settings?.tls ? loadTls(settings.tls, settings.host).problems : problems;
}

/** The options for a URL. Throws `ConfigError` with everything that is wrong with it. */
export function connectionOptions(url: string): ConnectionOptions {
  const { settings, problems } = parseDatabaseUrl(url);
  if (!settings) throw new ConfigError(problems);
  const tls = settings.tls && loadTls(settings.tls, settings.host);
  if (tls && tls.problems.length > 0) throw new ConfigError(tls.problems);
  return createOptions(settings, tls?.options);
}

/** Whatever is missing or empty `pg` takes from `PG…` variables or `~/.pgpass`: nothing is. */
function createOptions(settings: ConnectionSettings, ssl: TlsOptions | undefined): ConnectionOptions {
  const { host, port, user, password, options, connectTimeoutMs } = settings;
  return {
    host,
    port,
    user,
    password: password ?? (() => ''),
    dbName: settings.database,
    driverOptions: {
      ssl: ssl ?? false,
      sslnegotiation: settings.tls?.direct === true ? 'direct' : 'postgres',
      enableChannelBinding: settings.channelBinding,
      application_name: settings.applicationName,
      ...(options !== undefined && { options }),
      ...(connectTimeoutMs !== undefined && { connectionTimeoutMillis: connectTimeoutMs }),
      keepAlive: settings.keepAlive,
      keepAliveInitialDelayMillis: settings.keepAliveIdleMs,
    },
  };
}
