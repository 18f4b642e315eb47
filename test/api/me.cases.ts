import { MeDocument } from '../generated/graphql.js';
import { useWorld } from '../kit/hooks.js';

describe('me', () => {
  const world = useWorld();

  test('is null for an anonymous caller', async () => {
    const { status, data } = await world.ask(MeDocument);
    expect({ status, data }).toEqual({ status: 200, data: { me: null } });
  });

  test('is null when the access token is valid but its identity is not linked', async () => {
    const [person] = world.people;
    const token = await world.rollup.mint('access', person);
    const { status, data, errors } = await world.ask(MeDocument, {}, { token });
    expect({ status, data, errors }).toEqual({ status: 200, data: { me: null }, errors: [] });
  });

  test('JWT-01 returns the caller of an access token of Rollup ID, with the exact sub', async () => {
    const [person] = world.people;
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

  test('costs a constant number of statements for any number of linked identities', async () => {
    const [first, ...others] = world.people;
    const { accessToken } = await world.link(first);
    const token = accessToken ?? '';
    const one = await countStatements(token);
    for (const person of others) expect((await world.link(person, { token })).userErrors).toEqual([]);
    expect(await countStatements(token)).toBe(one);
    expect(one).toBe(3);
  });

  test('costs one statement: authentication adds none, and rejected requests cost none', async () => {
    const [person] = world.people;
    const token = (await world.linkPerson(person)).token;
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
