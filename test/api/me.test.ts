import { MeDocument } from '../generated/graphql.js';
import { startWorld, type World } from '../kit/world.js';

describe('me', () => {
  let world: World;
  beforeAll(async () => (world = await startWorld()));
  afterAll(() => world.close());
  beforeEach(() => world.reset());

  test('is null when nobody is signed in', async () => {
    const { status, data } = await world.ask(MeDocument);
    expect({ status, data }).toEqual({ status: 200, data: { me: null } });
  });

  test('is null when the access token is good but its identity is not linked', async () => {
    const [person] = world.rollup.people;
    const token = await world.rollup.mint('access', person ?? fail());
    const { status, data, errors } = await world.ask(MeDocument, {}, { token });
    expect({ status, data, errors }).toEqual({ status: 200, data: { me: null }, errors: [] });
  });

  test('JWT-01 answers the caller of a Rollup-shaped access token, the sub byte for byte', async () => {
    const [person = fail()] = world.rollup.people;
    const linked = await world.link(person);
    const { data } = await world.ask(MeDocument, {}, { token: linked.accessToken ?? '' });
    expect(linked.userErrors).toEqual([]);
    expect(data.me).toMatchObject({ id: linked.user?.id, name: person.name, email: person.email });
    expect(data.me?.rollupAccounts).toMatchObject([
      { sub: person.sub, issuer: world.rollup.url, status: 'ACTIVE', lastRefreshedAt: null },
    ]);
    expect(data.me?.rollupAccounts[0]?.scopes.map(({ name }) => name)).toEqual([
      'openid',
      'profile',
      'email',
    ]);
  });

  test('costs a constant number of statements, however many identities are linked', async () => {
    const [first = fail(), ...others] = world.rollup.people;
    const { accessToken } = await world.link(first);
    const token = accessToken ?? '';
    const one = await countStatements(token);
    for (const person of others) expect((await world.link(person, { token })).userErrors).toEqual([]);
    expect(await countStatements(token)).toBe(one);
    expect(one).toBe(3);
  });

  test('costs one statement by itself: the door adds none, and whom it refuses costs none', async () => {
    const [person = fail()] = world.rollup.people;
    const token = (await world.link(person)).accessToken ?? '';
    expect(await countStatements(token, ME)).toBe(1);
    expect(await countStatements(await world.rollup.mint('access', person), ME)).toBe(1);
    expect(await countStatements(`${token}x`, ME)).toBe(0);
    expect(await countStatements(token, '{ me { id id2: idd } }')).toBe(0);
  });

  const ME = '{ me { id name email } }';
  const ACCOUNTS = '{ me { rollupAccounts { id scopes { name } status } } }';
  async function countStatements(token: string, query = ACCOUNTS): Promise<number> {
    const before = world.statements.length;
    await world.ask(query, {}, { token });
    return world.statements.length - before;
  }
});

function fail(): never {
  throw new Error('the provider has nobody');
}
