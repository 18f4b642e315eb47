import { CERTIFICATE_FAULT, isDatabaseOutage } from '../../database/outage.js';
import { causeOf } from './cause.js';
import { failed, type Finding } from './check.js';

/** Five characters (PostgreSQL, appendix A). */
const SQLSTATE = /^[\dFHPX][\dA-Z]{4}$/;

const ADVICE: readonly (readonly [RegExp, string, string])[] = [
  [
    /^28/,
    'The server rejects the user or the password',
    'Check both in DATABASE_URL, and pg_hba.conf of the server.',
  ],
  [/^3D000$/, 'The database does not exist', 'Create it, or mend the name in DATABASE_URL.'],
  [
    /^25006$/,
    'The database only reads',
    'Name the primary in DATABASE_URL, and turn default_transaction_read_only off.',
  ],
  [
    /^(55P03|57014)$|^Connection terminated unexpectedly/,
    'A statement waited too long',
    'Another transaction may hold a lock (pg_stat_activity shows which), or the connection went silent.',
  ],
  [/^53300$/, 'The server has no connection left', 'Raise max_connections, or end what holds them.'],
  [/^42501$/, 'The role lacks a right', 'See the other lines, or run doctor with the role of the server.'],
  [/^57P03$/, 'The server is starting or stopping', 'Run doctor again in a moment.'],
  [
    CERTIFICATE_FAULT,
    'The certificate of the server does not verify',
    'Check the host, sslmode and sslrootcert in DATABASE_URL.',
  ],
  [
    /does not support SSL/,
    'The server has no TLS',
    'Turn ssl on at the server, or check sslmode in DATABASE_URL.',
  ],
  [SQLSTATE, 'The database rejects a statement', 'Its own log says more.'],
];

/** Whether an error is about the database: it has an SQLSTATE, or the database is away. */
export function isDatabaseError(error: unknown): boolean {
  return isDatabaseOutage(error) || SQLSTATE.test(causeOf(error));
}

/** Why a database cannot be used, by its SQLSTATE or the code of the system. */
export function explainDatabaseError(error: unknown): Finding {
  const cause = causeOf(error);
  const [, message, advice] = ADVICE.find(([codes]) => codes.test(cause)) ?? [
    undefined,
    'It cannot be reached',
    'Check host and port in DATABASE_URL, and that this machine may connect.',
  ];
  return failed(`${message}: ${cause}.`, advice);
}
