import { ConsentedScopesDocument, MeDocument } from '../generated/graphql.js';
import { useWorld } from '../kit/hooks.js';

describe('consentedScopes', () => {
  const world = useWorld();

  test('returns the scopes of an identity that is not linked, and does not link it', async () => {
    const { status, data, errors } = await ask(await mint(['openid', 'email']));
    expect({ status, errors }).toEqual({ status: 200, errors: [] });
    expect(data.consentedScopes).toEqual([
      {
        name: 'openid',
        title: 'OpenID',
        description: expect.any(String),
        unlocks: [],
      },
      { name: 'email', title: 'Email', description: expect.any(String), unlocks: ['User.email'] },
    ]);
    expect(await world.rows('app_user')).toEqual([]);
  });

  test('returns the scopes of the presented token, not of the stored one', async () => {
    await world.link(world.people[0], { scopes: ['openid', 'profile', 'email'] });
    const token = await mint(['openid']);
    const { data } = await world.ask(MeDocument, {}, { token });
    const stored = data.me?.rollupAccounts.flatMap(({ scopes }) => scopes.map(({ name }) => name));
    expect(stored).toEqual(['openid', 'profile', 'email']);
    expect(await names(token)).toEqual(['openid']);
  });

  test.each(['read:tea_leaves', 'constructor', '__proto__', 'OpenID'])(
    'returns the unknown scope %s with its name as its title',
    async (name) => {
      const { data } = await ask(await mint(['openid', name]));
      expect(data.consentedScopes[1]).toEqual({ name, title: name, description: null, unlocks: [] });
    },
  );

  test('keeps the order of the token', async () => {
    const orders = [
      ['email', 'openid', 'unknown', 'profile'],
      ['profile', 'unknown', 'openid', 'email'],
    ];
    for (const order of orders) expect(await names(await mint(order))).toEqual(order);
  });

  test('returns a duplicate scope once, at its first position', async () => {
    const scope = ['email', 'openid', 'email', 'tea', 'openid', 'tea'];
    expect(await names(await mint(scope))).toEqual(['email', 'openid', 'tea']);
  });

  test('describes all five scopes of Rollup ID, and unlocks only fields of the schema', async () => {
    const known = ['openid', 'profile', 'email', 'connected_accounts', 'erc_4337'];
    const { consentedScopes } = (await ask(await mint(known))).data;
    expect(consentedScopes.filter(({ name, title, description }) => name === title || !description)).toEqual(
      [],
    );
    const unlocks = consentedScopes.flatMap((scope) => scope.unlocks);
    expect(unlocks).toEqual(expect.arrayContaining(['User.name', 'User.picture', 'User.email']));
    const fields = await schemaCoordinates();
    expect(unlocks.filter((coordinate) => !fields.includes(coordinate))).toEqual([]);
  });

  test('challenges an anonymous caller with 401 and no data', async () => {
    const { status, headers, data, errors } = await ask();
    expect({ status, data }).toEqual({ status: 401, data: null });
    expect(headers.get('www-authenticate')).toBe('Bearer');
    expect(errors.map(({ extensions }) => extensions)).toEqual([{ code: 'UNAUTHENTICATED' }]);
  });

  test.each(['idToken', 'refreshToken'] as const)('rejects the %s of the same grant', async (kind) => {
    const tokens = await world.rollup.issue(world.people[0]);
    const { status, headers, errors } = await ask(tokens[kind]);
    expect([status, headers.get('www-authenticate')]).toEqual([401, 'Bearer error="invalid_token"']);
    expect(errors.map(({ extensions }) => extensions)).toEqual([{ code: 'UNAUTHENTICATED' }]);
    expect((await ask(tokens.accessToken)).status).toBe(200);
  });

  const mint = (scopes: string[]): Promise<string> =>
    world.rollup.mint('access', world.people[0], { scopes });
  const ask = (token?: string) => world.ask(ConsentedScopesDocument, {}, { token });
  const names = async (token: string): Promise<string[]> =>
    (await ask(token)).data.consentedScopes.map(({ name }) => name);

  async function schemaCoordinates(): Promise<string[]> {
    interface Introspected {
      schema: { types: { name: string; fields: { name: string }[] | null }[] };
    }
    const { data } = await world.ask<Introspected, never>(
      '{ schema: __schema { types { name fields { name } } } }',
    );
    return data.schema.types.flatMap((type) =>
      (type.fields ?? []).map((field) => `${type.name}.${field.name}`),
    );
  }
});
