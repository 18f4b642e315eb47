import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Paths of a certificate and its key, in PEM. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** An authority of a single test, made by `openssl`. */
export interface Authority {
  /** The path of its own certificate. */
  readonly ca: string;
  /** @param names such as `DNS:localhost` or `IP:::1`. @param password encrypts the key. */
  issue(commonName: string, names: string, password?: string): Certificate;
  /** Removes all of its files. */
  close(): Promise<void>;
}

const EC = '-newkey ec -pkeyopt ec_paramgen_curve:prime256v1';

export function createAuthority(): Authority {
  const directory = mkdtempSync(join(tmpdir(), 'rollup-accounts-ca-'));
  const openssl = (text: string): void =>
    void execFileSync('openssl', text.split(' '), { cwd: directory, stdio: 'ignore' });
  const pathOf = (name: string): string => join(directory, name);
  openssl(`req -x509 ${EC} -nodes -keyout ca.key -out ca.crt -subj /CN=authority -days 1`);
  return {
    ca: pathOf('ca.crt'),
    issue: (commonName, names, password) => {
      const name = `${commonName}${password === undefined ? '' : '-encrypted'}`;
      const encryption = password === undefined ? '-nodes' : `-passout pass:${password}`;
      openssl(`req ${EC} ${encryption} -keyout ${name}.key -out ${name}.csr -subj /CN=${commonName}`);
      writeFileSync(pathOf('ext'), `subjectAltName=${names}`);
      openssl(
        `x509 -req -in ${name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 1 -extfile ext -out ${name}.crt`,
      );
      return { cert: pathOf(`${name}.crt`), key: pathOf(`${name}.key`) };
    },
    close: async () => rmSync(directory, { recursive: true }),
  };
}
