import { startRollupId } from '../../src/dev/rollup-id/rollup-id.js';
import { createPerson, type Person } from '../../src/dev/rollup-id/people.js';
import { LinkRollupAccountDocument } from '../generated/graphql.js';
import { onPostgres } from '../kit/needs.js';
import { type Done, openRunbook, runLine } from '../kit/runbook.js';
import { type LinkedPerson, type Server, type Servers, startServers } from '../kit/servers.js';
import { startTcpProxy, type TcpProxy } from '../kit/tcp-proxy.js';

onPostgres('a provider that gets another address', () => {
  let all: Servers;
  let proxy: TcpProxy;
  let oldIssuer: string;
  let newIssuer: string;
  let persons: Person[];
  let linked: LinkedPerson[];
  beforeEach(async () => {
    all = await startServers(1);
    oldIssuer = all.rollup.url;
    proxy = await startTcpProxy({
      targetHost: '127.0.0.1',
      targetPort: Number(new URL(oldIssuer).port),
    });
    newIssuer = `http://127.0.0.1:${proxy.port}`;
    persons = [createPerson(), createPerson(), createPerson()];
    linked = [];
    for (const person of persons) linked.push(await all.linkPerson(person));
  });
  afterEach(async () => {
    await all.close();
    await proxy.close();
  });

  test('VLT-104 VLT-105 the runbook: accounts move with their tokens, and stay those of their users', async () => {
    const book = openRunbook('A custom domain', { ROLLUP_ISSUER: newIssuer });
    const line = book.command('npx rollup-accounts issuer move');
    const running = await move(line);
    expect(running).toMatchObject({ code: 1, output: containing(`Servers run with ${oldIssuer}: `) });
    await all.server.stop();
    const done = await move(line);
    const moved = containing(`moved 3 accounts from ${oldIssuer} to ${newIssuer}\n`);
    expect(done).toMatchObject({ code: 0, output: moved });
    expect(done.output).toContain(
      '"event":"issuer_moved","outcome":"complete","moved":3,"broken":0,"left":0',
    );
    const server = await all.add(book.setting('ROLLUP_ISSUER'));
    expect(server.output()).not.toContain('"event":"resting"');
    for (const [index, { sub, accountId }] of linked.entries()) {
      const person = persons[index] ?? createPerson();
      const bearer = await mint('access', person);
      const renewal = await all.renew(server, bearer);
      expect(renewal).toMatchObject({ token: expect.any(String) as string, code: undefined });
      expect(all.rollup.calls.refreshesOf(sub)).toBe(1);
      expect(await link(server, person)).toMatchObject({ isNewUser: false, account: { id: accountId } });
    }
    expect(await move(line)).toMatchObject({ code: 0, output: containing('moved 0 accounts') });
    expect(book.left()).toEqual([]);
  });

  test('VLT-105 is told from another provider, from none, and from one that is gone', async () => {
    await all.server.stop();
    const before = await all.em().execute('select * from sealed_tokens order by account_id');
    const other = await startRollupId();
    const otherwise = await run(`issuer move ${oldIssuer} ${other.url}`);
    await other.close();
    expect(otherwise).toMatchObject({ code: 1, output: containing(`${other.url} is another provider`) });
    const nobody = await run(`issuer move ${oldIssuer} ${other.url}`);
    expect(nobody).toMatchObject({
      code: 1,
      output: containing(`${other.url} does not answer as an issuer`),
    });
    expect(await run(`issuer move ${oldIssuer} ${other.url} --force`)).toMatchObject({ code: 1 });
    expect(await run(`issuer move ${oldIssuer} ${oldIssuer}`)).toMatchObject({ code: 1 });
    expect(await run(`issuer move ${oldIssuer}/ ${newIssuer}`)).toMatchObject({
      code: 2,
      output: containing('It must be an origin'),
    });
    expect(await all.em().execute('select * from sealed_tokens order by account_id')).toEqual(before);
    const gone = await run(`issuer move http://127.0.0.1:1 ${newIssuer}`);
    expect(gone).toMatchObject({ code: 1, output: containing('--force goes on without comparing keys') });
    const forced = await run(`issuer move http://127.0.0.1:1 ${newIssuer} --force`);
    expect(forced).toMatchObject({ code: 0, output: containing('were not compared') });
  });

  test('VLT-106 what is locked is left, and moves with the next run, while a server serves the rest', async () => {
    await all.server.stop();
    const locking = all.em();
    await locking.begin();
    const [held] = linked;
    await locking.execute('select from rollup_account where id = ? for update', [held?.accountId]);
    const first = await run(`issuer move ${oldIssuer} ${newIssuer}`);
    await locking.rollback();
    expect(first).toMatchObject({ code: 1, output: containing(`1 accounts are still of ${oldIssuer}`) });
    expect(first.output).toContain('moved 2 accounts');
    const server = await all.add({ ROLLUP_ISSUER: newIssuer });
    expect(server.output()).toContain('"event":"resting","accounts":1');
    const again = await run(`issuer move ${oldIssuer} ${newIssuer}`);
    expect(again).toMatchObject({ code: 0, output: containing('moved 1 accounts') });
    const bearer = await mint('access', persons[0] ?? createPerson());
    expect(await all.renew(server, bearer)).toMatchObject({ code: undefined });
  });

  const env = () => ({
    DATABASE_URL: all.env['DATABASE_URL'] ?? '',
    TOKEN_KEYS: all.env['TOKEN_KEYS'] ?? '',
  });
  const move = (line: string): Promise<Done> =>
    runLine(line, { ...env(), OLD_ISSUER: oldIssuer, NEW_ISSUER: newIssuer });
  const run = (command: string): Promise<Done> => runLine(`npx rollup-accounts ${command}`, env());
  const mint = (kind: 'access' | 'id' | 'refresh', person: Person): Promise<string> =>
    all.rollup.mint(kind, person, { scopes: ['openid'], claims: { iss: newIssuer } });

  async function link({ ask }: Server, person: Person) {
    const tokens = {
      accessToken: await mint('access', person),
      idToken: await mint('id', person),
      refreshToken: await mint('refresh', person),
    };
    return (await ask(LinkRollupAccountDocument, { input: { tokens } })).data.linkRollupAccount;
  }
});

const containing = (text: string): string => expect.stringContaining(text) as string;
