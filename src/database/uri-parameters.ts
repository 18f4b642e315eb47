import { isIP } from 'node:net';
import { SEVERAL_HOSTS } from './uri.js';

/** Says what a value must be, when it is not. */
type Check = (value: string) => string | undefined;

const matching =
  (pattern: RegExp, demand: string): Check =>
  (value) =>
    pattern.test(value) ? undefined : demand;

const oneOf = (...allowed: readonly string[]): Check => {
  const [last = '', ...others] = allowed.toReversed();
  const demand = others.length > 0 ? `${others.toReversed().join(', ')} or ${last}` : last;
  return (value) => (allowed.includes(value) ? undefined : demand);
};

const wholeNumber =
  (least: number, most: number): Check =>
  (value) =>
    /^\d{1,6}$/.test(value) && Number(value) >= least && Number(value) <= most
      ? undefined
      : `a whole number from ${least} to ${most}`;

const anything: Check = () => undefined;

const host = (value: string): string | undefined =>
  value.startsWith('/') || isIP(value) > 0 || /^[a-z\d](?:[\w.-]*[\w.])?$/i.test(value)
    ? undefined
    : 'a name, an address, or the directory of a Unix socket';

const TLS_VERSION = matching(/^TLSv1\.[23]$/i, 'TLSv1.2 or TLSv1.3');

/** What is honoured: the parameters of libpq (PostgreSQL manual, 34.1.2) that can be, and `ssl` and `schema`. */
const HONOURED: Readonly<Record<string, Check>> = {
  host,
  port: wholeNumber(1, 65_535),
  user: anything,
  password: anything,
  dbname: anything,
  // The pool has one limit of at most a minute (DATABASE_TIMEOUT_MS), and never none.
  connect_timeout: wholeNumber(1, 60),
  application_name: anything,
  fallback_application_name: anything,
  client_encoding: matching(/^(?:utf-?8|auto)$/i, 'UTF8 or auto'),
  options: matching(/^(?!-c\+)(?:(?!\+-c).)+$/, 'written with %20 for a space, not +'),
  ssl: matching(/^true$/, 'true, which is sslmode=require'),
  sslmode: matching(
    /^(?:disable|require|verify-ca|verify-full)$/,
    'disable, require, verify-ca or verify-full; allow and prefer may connect in clear',
  ),
  sslnegotiation: oneOf('postgres', 'direct'),
  sslrootcert: anything,
  sslcert: anything,
  sslkey: anything,
  sslpassword: anything,
  // `pg` sends the name of the host in any case.
  sslsni: oneOf('1'),
  ssl_min_protocol_version: TLS_VERSION,
  ssl_max_protocol_version: TLS_VERSION,
  // `pg` binds to the channel when the server offers it, and cannot demand it.
  channel_binding: oneOf('disable', 'prefer'),
  gssencmode: oneOf('disable'),
  keepalives: oneOf('0', '1'),
  keepalives_idle: wholeNumber(0, 86_400),
  // With one host there is nothing to choose. What cannot write is told at the first statement that writes.
  target_session_attrs: oneOf('any', 'read-write', 'primary'),
  load_balance_hosts: oneOf('disable'),
  schema: anything,
};

const ADVICE: Readonly<Record<string, string>> = {
  hostaddr: 'name the address as the host',
  connection_limit: 'set DATABASE_POOL_MAX',
  pool_timeout: 'set DATABASE_TIMEOUT_MS',
  statement_timeout: 'set DATABASE_TIMEOUT_MS',
  search_path: 'write schema',
};

/**
 * Why this server cannot do what a parameter asks for; undefined when it does. An unknown name is shown when it looks like
 * one, and `mayShow`: it may be a piece of a password.
 */
export function findParameterProblem(name: string, value: string, mayShow: boolean): string | undefined {
  const check = Object.hasOwn(HONOURED, name) ? HONOURED[name] : undefined;
  if (!check) {
    const shown = mayShow && /^[a-z][a-z_]{1,40}$/.test(name);
    if (!shown) return 'DATABASE_URL has a parameter that is unknown; & is %26 in a value';
    return `DATABASE_URL: ${name} is not honoured: ${ADVICE[name] ?? 'leave it out'}`;
  }
  if (value === '') return `DATABASE_URL: ${name} has no value`;
  if ((name === 'host' || name === 'port') && value.includes(',')) return SEVERAL_HOSTS;
  const demand = check(value);
  return demand === undefined ? undefined : `DATABASE_URL: ${name} must be ${demand}`;
}
