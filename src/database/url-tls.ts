import type { SecureVersion } from 'node:tls';

/** How a connection is encrypted, and what has to be verified. */
export interface TlsSettings {
  /** The names of libpq: `require` verifies nothing, `verify-ca` the chain, `verify-full` the name of the host as well. */
  readonly mode: 'require' | 'verify-ca' | 'verify-full';
  /** TLS begins at once, without asking in clear whether the server has it. */
  readonly direct: boolean;
  /** The file of the certificates to trust, or `system`; absent: those that Node trusts. */
  readonly rootCert?: string | undefined;
  /** The files of our own certificate and its key. */
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  readonly keyPassword?: string | undefined;
  readonly minVersion: SecureVersion;
  readonly maxVersion: SecureVersion;
}

type Values = ReadonlyMap<string, string>;

/** Without TLS these say something that does not happen. */
const NEED_TLS = [
  'sslrootcert',
  'sslcert',
  'sslkey',
  'sslpassword',
  'ssl_min_protocol_version',
  'ssl_max_protocol_version',
];

/** Reads what the parameters of a URL say of TLS; no settings without `sslmode`, and with problems. */
export function readTls(values: Values): {
  readonly settings?: TlsSettings | undefined;
  readonly problems: readonly string[];
} {
  const mode = modeOf(values);
  const problems = mode === undefined ? findIdle(values) : findContradictions(values, mode);
  if (mode === undefined || problems.length > 0) return { problems };
  const settings: TlsSettings = {
    mode,
    direct: values.get('sslnegotiation') === 'direct',
    rootCert: values.get('sslrootcert'),
    cert: values.get('sslcert'),
    key: values.get('sslkey'),
    keyPassword: values.get('sslpassword'),
    minVersion: versionOf(values, 'min') ?? 'TLSv1.2',
    maxVersion: versionOf(values, 'max') ?? 'TLSv1.3',
  };
  return { settings: Object.freeze(settings), problems };
}

/** As libpq: `system` means `verify-full`, and with certificates to trust `require` is `verify-ca`. */
function modeOf(values: Values): TlsSettings['mode'] | undefined {
  const rootCert = values.get('sslrootcert');
  const asked = values.get('sslmode') ?? (values.get('ssl') === 'true' ? 'require' : undefined);
  if (asked === undefined) return rootCert === 'system' ? 'verify-full' : undefined;
  if (asked === 'require') return rootCert === undefined || rootCert === 'system' ? asked : 'verify-ca';
  return asked === 'verify-ca' || asked === 'verify-full' ? asked : undefined;
}

function findIdle(values: Values): readonly string[] {
  const idle = NEED_TLS.filter((name) => values.has(name));
  if (values.get('sslnegotiation') === 'direct') idle.push('sslnegotiation');
  return idle.map((name) => `DATABASE_URL: ${name} needs TLS: add sslmode=verify-full`);
}

function findContradictions(values: Values, mode: TlsSettings['mode']): readonly string[] {
  const has = (name: string): boolean => values.has(name);
  const rules: readonly (readonly [boolean, string])[] = [
    [has('ssl') && has('sslmode'), 'ssl and sslmode are both given: keep sslmode'],
    [
      values.get('sslrootcert') === 'system' && mode !== 'verify-full',
      'sslrootcert=system needs sslmode=verify-full',
    ],
    [values.get('host')?.startsWith('/') === true, 'sslmode needs a host: a Unix socket has no TLS'],
    [has('sslcert') !== has('sslkey'), 'sslcert and sslkey need each other'],
    [has('sslpassword') && !has('sslkey'), 'sslpassword needs sslkey'],
    [
      versionOf(values, 'min') === 'TLSv1.3' && versionOf(values, 'max') === 'TLSv1.2',
      'ssl_min_protocol_version is above ssl_max_protocol_version',
    ],
  ];
  return rules.filter(([isBroken]) => isBroken).map(([, text]) => `DATABASE_URL: ${text}`);
}

function versionOf(values: Values, end: 'min' | 'max'): SecureVersion | undefined {
  const value = values.get(`ssl_${end}_protocol_version`)?.toLowerCase();
  return value === undefined ? undefined : value === 'tlsv1.2' ? 'TLSv1.2' : 'TLSv1.3';
}
