import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import {
  checkServerIdentity,
  type ConnectionOptions,
  createSecureContext,
  getCACertificates,
} from 'node:tls';
import type { TlsSettings } from './url-tls.js';

/** What `pg` gives to Node for a connection with TLS. */
export type TlsOptions = Pick<
  ConnectionOptions,
  | 'rejectUnauthorized'
  | 'checkServerIdentity'
  | 'minVersion'
  | 'maxVersion'
  | 'ca'
  | 'cert'
  | 'key'
  | 'passphrase'
>;

/** Reads the files of a connection with TLS. Each that does not hold what it should is a problem with its parameter. */
export function loadTls(
  tls: TlsSettings,
  host: string,
): { readonly options: TlsOptions; readonly problems: readonly string[] } {
  const cert = readPem('sslcert', tls.cert, isCertificate);
  const key = readPem('sslkey', tls.key, (pem) =>
    createPrivateKey({ key: pem, passphrase: tls.keyPassword ?? '' }),
  );
  const ca = tls.rootCert === 'system' ? readSystem() : readPem('sslrootcert', tls.rootCert, isCertificate);
  const options: TlsOptions = {
    ...verification(tls.mode, host),
    minVersion: tls.minVersion,
    maxVersion: tls.maxVersion,
    ...(ca.pem !== undefined && { ca: ca.pem }),
    ...(cert.pem !== undefined && { cert: cert.pem, key: key.pem, passphrase: tls.keyPassword }),
  };
  const problems = [ca, cert, key].flatMap(({ problem }) => problem ?? []);
  if (problems.length === 0 && !succeeds(() => createSecureContext(options))) {
    problems.push('sslcert and sslkey do not belong together');
  }
  return { options, problems: problems.map((problem) => `DATABASE_URL: ${problem}`) };
}

interface Pem<Text> {
  readonly pem?: Text;
  readonly problem?: string;
}

const isCertificate = (pem: string): unknown => new X509Certificate(pem);

function readPem(name: string, path: string | undefined, check: (pem: string) => unknown): Pem<string> {
  if (path === undefined) return {};
  let pem: string;
  try {
    pem = readFileSync(path, 'utf8');
  } catch {
    return { problem: `${name} names a file that cannot be read` };
  }
  if (succeeds(() => check(pem))) return { pem };
  return {
    problem:
      name === 'sslkey'
        ? 'sslkey names a file without a key that can be opened, with sslpassword if it is encrypted'
        : `${name} names a file without a certificate`,
  };
}

/** The store of the operating system, which is not the list of Node. */
function readSystem(): Pem<string[]> {
  const pem = getCACertificates('system');
  return pem.length > 0 ? { pem } : { problem: 'sslrootcert=system finds no certificates on this system' };
}

/** `pg` tells Node no name when the host is an address; Node would compare the certificate with `localhost`. */
function verification(mode: TlsSettings['mode'], host: string): TlsOptions {
  if (mode === 'require') return { rejectUnauthorized: false };
  if (mode === 'verify-ca') return { rejectUnauthorized: true, checkServerIdentity: () => undefined };
  return {
    rejectUnauthorized: true,
    checkServerIdentity: (_name, certificate) => checkServerIdentity(host, certificate),
  };
}

function succeeds(act: () => unknown): boolean {
  try {
    act();
    return true;
  } catch {
    return false;
  }
}
