import dns from 'node:dns';
import { existsSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { useDirectory, useServers } from '../kit/hooks.js';
import { expectBackOff } from '../kit/renewals.js';
import { startTcpProxy, type TcpProxy } from '../kit/tcp-proxy.js';
import { ON_POSTGRES } from '../kit/test-database.js';

describe('an unreachable provider', () => {
  const flag = join(useDirectory(), 'no-names');
  const loseNames = `import dns from 'node:dns';
    import { existsSync } from 'node:fs';
    const { lookup } = dns;
    dns.lookup = (name, options, done) => existsSync(${JSON.stringify(flag)})
      ? done(Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND' }))
      : lookup(name, options, done);`;
  let target: Parameters<typeof startTcpProxy>[0];
  let proxy: TcpProxy;
  const all = useServers(2, {
    env: { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(loseNames)}` },
    provider: async ({ url }) => {
      target = { targetHost: '127.0.0.1', targetPort: Number(new URL(url).port) };
      proxy = await startTcpProxy(target);
      return { url: `http://localhost:${proxy.port}` };
    },
  });
  const { lookup } = dns;
  beforeAll(() => {
    const original = lookup as (...args: unknown[]) => void;
    if (!ON_POSTGRES) Object.assign(dns, { lookup: lookUpUnless(flag, original) });
  });
  afterAll(async () => {
    Object.assign(dns, { lookup });
    await proxy?.close().catch(() => undefined);
  });

  test('RFR-08 a name that cannot be resolved: backs off, keeps the link, and recovers automatically', async () => {
    const person = await all.linkPerson();
    await writeFile(flag, '');
    proxy.cut();
    await expectBackOff(all, person, { leastMs: 5_000, arrives: false });
    await rm(flag);
    await all.elapse(person.accountId, 'retry_at');
    expect((await all.renew(all.server, person.bearer)).token).toBeTruthy();
    expect(logs()).toContain(ON_POSTGRES ? 'ENOTFOUND' : '"event":"failed"');
  });

  test('RFR-08 a refused connection: backs off and keeps the link', async () => {
    const person = await all.linkPerson();
    await proxy.close();
    await expectBackOff(all, person, { leastMs: 5_000, arrives: false });
    proxy = await startTcpProxy(target, proxy.port);
    expect(logs()).toContain(ON_POSTGRES ? 'ECONNREFUSED' : '"event":"failed"');
  });

  // In this process `fetch` throws errors of another realm, which lose their cause in the log.
  const logs = (): string => all.servers.map((server) => server.output()).join('');
});

/** The same fault as in the processes, for the server in this process. */
function lookUpUnless(path: string, lookup: (...args: unknown[]) => void) {
  return (...args: unknown[]): void => {
    const done = args.at(-1) as (error: Error) => void;
    if (existsSync(path)) done(Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND' }));
    else lookup(...args);
  };
}
