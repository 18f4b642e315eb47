import { randomUUID } from 'node:crypto';
import { getNamedType, type GraphQLNamedType, isInputObjectType, isObjectType } from 'graphql';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import type { Person } from '../../src/dev/rollup-id/people.js';
import { createSchema } from '../../src/graphql/schema.js';
import { pseudonym } from '../../src/log.js';
import { MeDocument, RenewAccessTokenDocument, UnlinkRollupAccountDocument } from '../generated/graphql.js';
import { withSignature } from '../kit/forged-token.js';
import { useWorld } from '../kit/hooks.js';
import { connectRaw, rawRequest } from '../kit/network.js';

/** A linked person. */
interface Linked {
  readonly person: Person;
  readonly accountId: string;
  readonly token: string;
}

describe('two callers', () => {
  const world = useWorld();
  let ada: Linked;
  let ben: Linked;
  beforeEach(async () => {
    ada = await link(0);
    ben = await link(1);
  });

  test("PRV-01 another user's ids get the same response as unknown ids, in every field that takes an id", async () => {
    const schema = await createSchema();
    const inputs = Object.values(schema.getTypeMap()).filter((type) => takesId(type));
    expect(inputs.map(({ name }) => name)).toEqual(['RenewAccessTokenInput', 'UnlinkRollupAccountInput']);
    const responsesFor = async (accountId: string): Promise<unknown[]> => {
      const responses = await Promise.all(
        [RenewAccessTokenDocument, UnlinkRollupAccountDocument].map((document) =>
          world.ask(document.toString(), { input: { accountId } }, { token: ben.token }),
        ),
      );
      return responses.map(({ status, text }) => [status, text]);
    };
    const unknown = await responsesFor(randomUUID());
    expect(await responsesFor(ada.accountId)).toEqual(unknown);
    expect(JSON.stringify(unknown)).toMatch(/(ACCOUNT_NOT_FOUND.*){2}/);
    expect(await subOf(ada.token)).toBe(ada.person.sub);
  });

  test("PRV-10 another user's, an unknown and an unlinked account get the same responses, by the same statements", async () => {
    const unlinked = (await world.link(world.people[2], { token: ben.token })).account?.id ?? '';
    await world.ask(UnlinkRollupAccountDocument, { input: { accountId: unlinked } }, { token: ben.token });
    const traces = [];
    for (const accountId of [ada.accountId, randomUUID(), unlinked]) {
      world.statements.length = 0;
      const documents = [RenewAccessTokenDocument, UnlinkRollupAccountDocument].map(String);
      const responses = [];
      for (const document of documents) {
        const { status, text, headers } = await world.ask(
          document,
          { input: { accountId } },
          { token: ben.token },
        );
        responses.push({ status, text, headers: [...headers.keys()] });
      }
      // The same statements take about the same time; a test of the time itself would be flaky.
      traces.push({ responses, statements: world.statements.map(withoutIds) });
    }
    expect(traces[0]?.statements.length).toBeGreaterThan(2);
    expect(traces[1]).toEqual(traces[0]);
    expect(traces[2]).toEqual(traces[0]);
  });

  test('PRV-10 a conflicting link and an unknown link get responses of the same shape', async () => {
    const { begun, url } = await world.approve(ada.person, { scopes: ['openid'], token: ben.token });
    const conflict = await world.finish(begun, url, ben.token);
    const unknown = await world.finish(begun, url, ben.token);
    expect(conflict.userErrors.map(({ code }) => code)).toEqual(['LINKED_TO_ANOTHER_USER']);
    expect(unknown.userErrors.map(({ code }) => code)).toEqual(['LINK_NOT_FOUND']);
    const shapeOf = ({ userErrors, ...rest }: typeof conflict): unknown => [
      rest,
      userErrors.map((error) => ({ ...error, code: '', message: '' })),
    ];
    expect(shapeOf(unknown)).toEqual(shapeOf(conflict));
  });

  test('PRV-03 one changes while the other reads: each sees only their own data, and their own change at once', async () => {
    for (let round = 0; round < 20; round += 1) {
      ada.person.name = `Ada ${round}`;
      const [, ...seen] = await Promise.all([
        world.link(ada.person),
        ...[1, 2, 3].map(() => world.ask(MeDocument, {}, { token: ben.token })),
      ]);
      expect(new Set(seen.map(({ data }) => data.me?.name))).toEqual(new Set([ben.person.name]));
      expect((await world.ask(MeDocument, {}, { token: ada.token })).data.me?.name).toBe(`Ada ${round}`);
    }
  });

  describe('PRV-05 cached tokens', () => {
    test('PRV-05 that share kid, jti and a prefix are not mixed up', async () => {
      const claims = { jti: 'one' };
      const first = await world.rollup.mint('access', ada.person, { claims });
      const second = await world.rollup.mint('access', ben.person, { claims });
      expect(first.slice(0, 100)).toBe(second.slice(0, 100));
      expect(decodeProtectedHeader(first)).toEqual(decodeProtectedHeader(second));
      for (let times = 0; times < 3; times += 1) {
        expect([await subOf(first), await subOf(second)]).toEqual([ada.person.sub, ben.person.sub]);
      }
    });

    test('PRV-05 do not validate another signature, or the claims of another token', async () => {
      expect(await subOf(ada.token)).toBe(ada.person.sub);
      expect(await subOf(ben.token)).toBe(ben.person.sub);
      const signature = ada.token.split('.')[2] ?? '';
      const changed = Buffer.from(signature, 'base64url').map((byte, at) => (at === 63 ? byte ^ 1 : byte));
      expect(await statusOf(withSignature(ada.token, Buffer.from(changed)))).toBe(401);
      expect(await statusOf(withSignature(ben.token, signature))).toBe(401);
    });

    test('PRV-05 are rejected once they expire', async () => {
      const exp = (decodeJwt(ada.token).iat ?? 0) + 60;
      const token = await world.rollup.mint('access', ada.person, { claims: { exp } });
      expect(await statusOf(token)).toBe(200);
      const { jwks } = world.rollup.calls;
      world.clock.advance(exp * 1_000 + 31_000 - world.clock.now());
      expect(await statusOf(token)).toBe(401);
      expect(world.rollup.calls.jwks).toBe(jwks);
    });
  });

  test('PRV-07 a deleted user leaves no row, and only a pseudonym in the log', async () => {
    const { accountId, token, person } = ada;
    await world.start(['openid'], token);
    await world.ask(UnlinkRollupAccountDocument, { input: { accountId } }, { token });
    const left = await everyRow();
    const { sub, name, email, picture } = person;
    for (const disclosed of [sub, name, email, picture, accountId]) expect(left).not.toContain(disclosed);
    expect(left).toContain(ben.person.sub);
    const records = world.logLines.filter((line) => line.includes('"unlinked"'));
    expect(records).toHaveLength(1);
    expect(records[0]).toContain(pseudonym(sub));
  });

  test('PRV-08 only these fields can return a token or a secret, and their descriptions state it', async () => {
    const schema = await createSchema();
    const types = Object.values(schema.getTypeMap()).filter((type) => isObjectType(type));
    const fields = types.flatMap((type) =>
      type.name.startsWith('__')
        ? []
        : Object.values(type.getFields()).map((field) => ({
            type,
            field,
            returns: getNamedType(field.type),
          })),
    );
    const secret = /token|secret|code|verifier|nonce|state\b|jwt|assertion|credential/i;
    const sensitive = fields.filter(
      ({ field, returns }) => returns.name === 'String' && secret.test(field.name),
    );
    expect(sensitive.map(({ type, field }) => `${type.name}.${field.name}`).toSorted()).toEqual([
      'LinkRollupAccountPayload.accessToken',
      'RenewAccessTokenPayload.accessToken',
      'StartRollupLinkPayload.linkToken',
      'StartRollupLinkPayload.state',
    ]);
    for (const { type, field } of sensitive) {
      const mutation = fields.find(({ returns }) => returns === type)?.field;
      expect(field.description ?? mutation?.description).toMatch(/token|secret|finish|provider|callback/i);
    }
  });

  test.each([
    ['openid', ['openid'], [], ['name', 'picture', 'email']],
    ['openid and email', ['openid', 'email'], ['email'], ['name', 'picture']],
    ['openid and profile', ['openid', 'profile'], ['name', 'picture'], ['email']],
  ] as const)('PRV-09 %s: only consented claims are stored', async (_title, scopes, stored, omitted) => {
    await world.reset();
    await world.link(ada.person, { scopes });
    const [row = {}] = await world.em().execute('select * from app_user');
    for (const claim of stored) expect(row).toHaveProperty(claim, ada.person[claim]);
    for (const claim of omitted) expect(row).toHaveProperty(claim, null);
    for (const claim of omitted) expect(await everyRow()).not.toContain(ada.person[claim]);
  });

  test('PRV-11 no log record contains a sub, an email or a name', async () => {
    world.logLines.length = 0;
    await world.link(ada.person);
    await world.ask(MeDocument, {}, { token: ada.token });
    await world.ask(RenewAccessTokenDocument, { input: { minTtlSeconds: 1_800 } }, { token: ada.token });
    await world.ask(
      UnlinkRollupAccountDocument,
      { input: { accountId: ada.accountId } },
      { token: ada.token },
    );
    const { sub, name, email } = ada.person;
    const logged = world.logLines.join('\n');
    expect(logged).toContain(pseudonym(sub));
    for (const disclosed of [sub, sub.split('0x')[1], name, email]) expect(logged).not.toContain(disclosed);
  });

  test('PRV-12 pipelined requests of two callers, one of which fails, are not mixed up in a hundred rounds', async () => {
    const query = '{ me { email rollupAccounts { sub } } }';
    const openidOnly = await world.rollup.mint('access', ada.person, { scopes: ['openid'] });
    const pair = [openidOnly, ben.token].map((token) =>
      rawRequest(query, [`Authorization: Bearer ${token}`]),
    );
    const dataOf = ({ person: { sub } }: Linked, email?: string | null) => ({
      me: { email, rollupAccounts: [{ sub }] },
    });
    const connection = await connectRaw(world.app.url);
    for (let times = 0; times < 100; times += 1) {
      const [failed, good] = await connection.send(pair);
      expect([failed?.status, good?.status]).toEqual([403, 200]);
      expect(JSON.parse(failed?.body ?? '')).toMatchObject({ data: dataOf(ada, null) });
      expect(JSON.parse(good?.body ?? '')).toEqual({ data: dataOf(ben, ben.person.email) });
    }
    connection.close();
  });

  async function link(index: number): Promise<Linked> {
    const person = world.rollup.people[index];
    if (!person) throw new Error('the provider has too few people');
    const { account, accessToken } = await world.link(person);
    return { person, accountId: account?.id ?? '', token: accessToken ?? '' };
  }

  async function subOf(token: string): Promise<string | undefined> {
    return (await world.ask(MeDocument, {}, { token })).data.me?.rollupAccounts[0]?.sub;
  }

  const statusOf = async (token: string): Promise<number> =>
    (await world.ask(MeDocument, {}, { token })).status;

  function takesId(type: GraphQLNamedType): boolean {
    if (isObjectType(type) && !type.name.startsWith('__')) {
      const args = Object.values(type.getFields()).flatMap((field) => field.args);
      return args.some((argument) => getNamedType(argument.type).name === 'ID');
    }
    if (!isInputObjectType(type)) return false;
    return Object.values(type.getFields()).some((field) => getNamedType(field.type).name === 'ID');
  }

  async function everyRow(): Promise<string> {
    const em = world.em();
    const tables = await em.execute<{ name: string }[]>(
      "select table_name as name from information_schema.tables where table_schema = 'public'",
    );
    const rows = await Promise.all(tables.map(({ name }) => em.execute(`select * from "${name}"`)));
    return JSON.stringify(rows);
  }
});

/** A statement without the ids of its rows. */
function withoutIds(sql: string): string {
  return sql.replaceAll(/[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}/g, '?');
}
