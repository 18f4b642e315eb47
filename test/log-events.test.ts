import type { Person } from '../src/dev/rollup-id/people.js';
import { RenewAccessTokenDocument, UnlinkRollupAccountDocument } from './generated/graphql.js';
import { startWorld, type World } from './kit/world.js';

type Fields = Record<string, unknown>;

describe('the log', () => {
  let world: World;
  let mira: Person;
  let tomas: Person;
  beforeAll(async () => {
    world = await startWorld({ env: { TRUST_PROXY: '127.0.0.1' } });
    const [first, second] = world.rollup.people;
    if (!first || !second) throw new Error('the provider has nobody');
    [mira, tomas] = [first, second];
  });
  afterAll(() => world.close());
  beforeEach(() => world.reset());

  const PSEUDONYM = /^[\da-f]{16}$/;
  const UUID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/;
  const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

  /** Links, and forgets what was logged for it. */
  async function linked(person: Person, token?: string) {
    const { accessToken, account } = await world.link(person, token === undefined ? {} : { token });
    if (!accessToken || !account) throw new Error('not linked');
    await requestLogged();
    world.logLines.length = 0;
    return { token: accessToken, accountId: account.id };
  }
  /** The line of a request is written after its answer. */
  async function requestLogged(): Promise<void> {
    while (!world.logLines.some((line) => line.includes('"msg":"request"'))) await new Promise(setImmediate);
  }
  const records = (): Fields[] => world.logLines.map((line) => JSON.parse(line) as Fields);
  const renew = async (token: string) => world.ask(RenewAccessTokenDocument, { input: {} }, { token });

  /** The one record with these fields: when, what, how it ended, in which request; and nobody's name in any record. */
  async function expectRecord(expected: Fields): Promise<Fields> {
    await requestLogged();
    const matching = records().filter((record) =>
      Object.entries(expected).every(
        ([name, value]) => JSON.stringify(record[name]) === JSON.stringify(value),
      ),
    );
    expect(matching).toHaveLength(1);
    const [record = {}] = matching;
    expect(record).toMatchObject({
      time: expect.stringMatching(TIME),
      reqId: expect.stringMatching(UUID),
      level: expect.stringMatching(/^(info|warn|error)$/),
    });
    const requests = records().filter(({ msg }) => msg === 'request');
    expect(requests.map(({ reqId }) => reqId)).toContain(record['reqId']);
    for (const { sub, name = 'Mira', email = '@example.com' } of [mira, tomas])
      for (const told of [sub, name, email]) expect(world.logLines.join('')).not.toContain(told);
    return record;
  }

  test('HTP-27 a request of somebody tells who, as a pseudonym that stays the same', async () => {
    const { token } = await linked(mira);
    const who: unknown[] = [];
    for (const bearer of [
      token,
      await world.rollup.mint('access', mira),
      await world.rollup.mint('access', tomas),
    ]) {
      world.logLines.length = 0;
      await world.ask('{ me { id } }', {}, { token: bearer });
      who.push((await expectRecord({ msg: 'request', status: 200 }))['who']);
    }
    expect(who).toEqual([expect.stringMatching(PSEUDONYM), who[0], expect.stringMatching(PSEUDONYM)]);
    expect(who[2]).not.toBe(who[0]);
  });

  test('HTP-27 a refused bearer tells why, and nothing of the token', async () => {
    const token = await world.rollup.mint('access', mira, { claims: { aud: ['other'] } });
    await world.ask('{ me { id } }', {}, { token });
    const refused = await expectRecord({ msg: 'bearer', event: 'bearer_refused' });
    expect(refused['reason']).toMatch(/\w/);
    expect(await expectRecord({ msg: 'request', status: 401 })).toMatchObject({ reqId: refused['reqId'] });
    for (const part of token.split('.')) expect(world.logLines.join('')).not.toContain(part);
  });

  test('HTP-27 a record has nothing of the records before it in its request', async () => {
    await world.ask('{ me { id } }', {}, { token: 'x' });
    const { level: _level, time: _time, ...rest } = await expectRecord({ msg: 'request', status: 401 });
    const names = ['method', 'ms', 'msg', 'path', 'reqId', 'status'];
    expect(Object.keys(rest).toSorted()).toEqual(names);
  });

  test('HTP-27 a link tells whose identity, and for whom when somebody is signed in', async () => {
    const { token } = await linked(mira);
    await world.link(tomas, { token });
    const record = await expectRecord({ msg: 'link', event: 'linked' });
    expect(record).toMatchObject({
      who: expect.stringMatching(PSEUDONYM),
      accountId: expect.stringMatching(UUID),
    });
    expect(record['subject']).toMatch(PSEUDONYM);
    expect(record['subject']).not.toBe(record['who']);
  });

  test('HTP-27 an unlink tells whose identity and by whom', async () => {
    const { token, accountId } = await linked(mira);
    await world.ask(UnlinkRollupAccountDocument, { input: { accountId } }, { token });
    const { who, subject } = await expectRecord({ msg: 'link', event: 'unlinked', accountId });
    expect([who, subject]).toEqual([expect.stringMatching(PSEUDONYM), who]);
  });

  test('HTP-27 a conflict tells who tried', async () => {
    await linked(tomas);
    const { token } = await linked(mira);
    await world.link(tomas, { token });
    expect(await expectRecord({ msg: 'link failed' })).toMatchObject({
      who: expect.stringMatching(PSEUDONYM),
      err: { code: 'LINKED_TO_ANOTHER_USER' },
    });
  });

  test.each<[string, Fields, string]>([
    ['grant_dead', { status: 401, body: { message: 'expired token' } }, 'info'],
    ['failed', { status: 503 }, 'warn'],
    ['misconfigured', { status: 400, body: { message: 'invalid client credentials' } }, 'error'],
  ])('HTP-27 a refresh that ends as %s tells whose account', async (event, fault, level) => {
    const { accountId } = await linked(mira);
    world.clock.advance(3_600_000);
    world.rollup.switches.faults.refresh.standing = fault;
    await renew(await world.rollup.mint('access', mira));
    const record = await expectRecord({ msg: 'refresh', event, accountId });
    expect(record).toMatchObject({ level, who: expect.stringMatching(PSEUDONYM) });
  });

  test('HTP-27 a stored token that does not open tells whose account', async () => {
    const { accountId } = await linked(mira);
    world.clock.advance(3_600_000);
    await world.em().execute(`update sealed_tokens set refresh_token = access_token`);
    await renew(await world.rollup.mint('access', mira));
    const record = await expectRecord({ msg: 'refresh', event: 'seal_broken', accountId });
    expect(record).toMatchObject({ level: 'error', who: expect.stringMatching(PSEUDONYM) });
  });

  const ME = '{"query":"{ me { id } }"}';
  const POISON = '\r\n{"level":"fatal","msg":"forged"}\u001b[31m\u0000\u2028"}';
  const inUrl = encodeURIComponent(POISON);
  const post = (body: string, headers: Record<string, string> = {}) =>
    fetch(`${world.app.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body,
    });
  const ask = (body: object) => post(JSON.stringify(body));
  const complete = (query: string) =>
    ask({
      query:
        'mutation ($i: LinkRollupAccountInput!) { linkRollupAccount(input: $i) { userErrors { code } } }',
      variables: { i: { callback: { url: `https://a.example/?${query}`, linkToken: POISON } } },
    });
  test.each<[string, () => Promise<unknown>]>([
    ['the path', () => fetch(`${world.app.url}/${inUrl}`)],
    ['the query string', () => fetch(`${world.app.url}/graphql?query=${inUrl}`)],
    ['the user agent', () => post(ME, { 'user-agent': '{"level":"fatal"}\u009b31m"}' })],
    ['a forwarded address', () => post(ME, { 'x-forwarded-for': '{"level":"fatal"}\u009b31m"}' })],
    ['the key id of a bearer', async () => post(ME, { authorization: `Bearer ${await poisoned()}` })],
    ['the operation name', () => ask({ query: 'query A { me { id } }', operationName: POISON })],
    ['the document', () => ask({ query: `{ me { id } } ${POISON}` })],
    [
      'a variable',
      () => ask({ query: 'query ($a: ID!) { me { id } }', variables: { a: [POISON], [POISON]: 1 } }),
    ],
    ['error_description', () => complete(`state=x&error=${inUrl}&error_description=${inUrl}`)],
    ["the provider's words", refusedByProvider],
  ])('HTP-23 poison in %s leaves well-formed records of one line each', async (_what, act) => {
    world.logLines.length = 0;
    await act();
    await requestLogged();
    for (const line of world.logLines) {
      // Every control character would be one that the log let through unescaped.
      expect(line.slice(0, -1)).not.toMatch(/[\p{Cc}\p{Zl}]/u);
      const record = JSON.parse(line) as Record<string, unknown>;
      expect(record).toMatchObject({ time: expect.any(String), msg: expect.not.stringMatching('forged') });
      expect(record['level']).not.toBe('fatal');
    }
  });

  test('HTP-23 no record has two fields of one name', async () => {
    world.logLines.length = 0;
    await post(ME);
    await requestLogged();
    for (const line of world.logLines) {
      const names = [...line.matchAll(/(?<=[{,]")\w+(?=":)/g)].map(([name]) => name);
      expect(names).toEqual([...new Set(names)]);
    }
  });

  async function poisoned(): Promise<string> {
    const [person] = world.rollup.people;
    return person ? world.rollup.mint('access', person, { header: { kid: POISON } }) : '';
  }
  async function refusedByProvider(): Promise<void> {
    world.rollup.switches.faults.exchange.standing = {
      status: 401,
      body: { error: POISON, message: POISON },
    };
    const begun = await world.start();
    await world.finish(begun, await world.rollup.approve(begun.authorizationUrl ?? ''));
  }
});
