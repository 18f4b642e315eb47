import type { Person } from '../../src/dev/rollup-id/people.js';
import type { GraphqlResponse } from '../kit/graphql-client.js';
import { StartRollupLinkDocument } from '../generated/graphql.js';
import { useWorld } from '../kit/hooks.js';

interface Account {
  readonly scopes: readonly { readonly name: string }[];
  readonly grantedScopes: readonly { readonly name: string }[];
  readonly missingScopes: readonly string[];
  readonly connectedAccounts: readonly unknown[] | null;
}

const QUERY = `query ($for: [String!]!) {
  me { rollupAccounts {
    scopes { name } grantedScopes { name } missingScopes(for: $for) connectedAccounts { type }
  } }
}`;
const WANTED = [
  'RollupAccount.connectedAccounts',
  'RollupAccount.smartContractWallets',
  'User.name',
  'User.id',
];

describe('incremental consent', () => {
  const world = useWorld();
  let mira: Person;
  beforeEach(() => void ([mira] = world.people));

  test('a forbidden field names its scopes, a new link grants them, and grantedScopes keeps them all', async () => {
    const first = (await world.linkPerson(mira, { scopes: ['openid', 'profile'] })).token;
    const forbidden = await ask(first);
    expect(forbidden.status).toBe(403);
    expect(forbidden.errors.map(({ path, extensions }) => [path?.at(-1), extensions])).toEqual([
      [
        'connectedAccounts',
        {
          code: 'FORBIDDEN',
          requiredScopes: ['connected_accounts'],
          missingScopes: ['connected_accounts'],
        },
      ],
    ]);
    const before = accountOf(forbidden);
    expect(before).toMatchObject({
      missingScopes: ['connected_accounts', 'erc_4337'],
      connectedAccounts: null,
    });

    const scopes = [...names(before.scopes), ...before.missingScopes];
    const second = (await world.linkPerson(mira, { scopes, token: first })).token;
    const after = await ask(second);
    expect(after.errors).toEqual([]);
    expect(accountOf(after)).toMatchObject({ missingScopes: [] });
    expect(accountOf(after).connectedAccounts?.length).toBeGreaterThan(0);
    expect(names(accountOf(after).scopes)).toEqual(['openid', 'profile', 'connected_accounts', 'erc_4337']);
    expect(world.rollup.calls.userinfo).toBe(1);

    const third = (await world.linkPerson(mira, { scopes: ['openid', 'email'] })).token;
    const narrower = accountOf(await ask(third));
    expect(names(narrower.scopes)).toEqual(['openid', 'email']);
    expect(names(narrower.grantedScopes)).toEqual([
      'openid',
      'profile',
      'connected_accounts',
      'erc_4337',
      'email',
    ]);
    expect(narrower.missingScopes).toEqual(['connected_accounts', 'erc_4337', 'profile']);
  });

  test('access depends on the scopes of the presented token, not of the stored one', async () => {
    await world.link(mira, { scopes: ['openid', 'profile', 'connected_accounts'] });
    world.rollup.calls.reset();
    const { errors } = await ask(await world.rollup.mint('access', mira, { scopes: ['openid'] }));
    expect(errors.map(({ extensions }) => extensions['missingScopes'])).toEqual([['connected_accounts']]);
    expect(world.rollup.calls.userinfo).toBe(0);
  });

  test('a bearer with fewer scopes than the account gets the missing scopes of a new token', async () => {
    await world.link(mira, { scopes: ['openid', 'profile', 'connected_accounts'] });
    const response = await ask(await world.rollup.mint('access', mira, { scopes: ['openid'] }));
    expect(accountOf(response).missingScopes).toEqual(['connected_accounts', 'erc_4337', 'profile']);
  });

  test('forceConsent shows the consent page again where an earlier consent would skip it', async () => {
    const { accessToken } = await world.link(mira, { scopes: ['openid', 'profile'] });
    const begin = async (forceConsent: boolean) => {
      const redirectUri = world.config.rollup.redirectUris[0] ?? '';
      const input = { redirectUri, scopes: ['openid', 'profile'], forceConsent };
      return (await world.ask(StartRollupLinkDocument, { input }, { token: accessToken ?? '' })).data
        .startRollupLink;
    };
    const shown = async (url: string): Promise<number> => {
      const headers = { cookie: `rollup_id_person=${encodeURIComponent(mira.sub)}` };
      return (await fetch(url, { headers, redirect: 'manual' })).status;
    };
    expect(await shown((await begin(false)).authorizationUrl ?? '')).toBe(302);
    const begun = await begin(true);
    expect(await shown(begun.authorizationUrl ?? '')).toBe(200);
    const url = await world.rollup.approve(begun.authorizationUrl ?? '', { person: mira });
    expect((await world.finish(begun, url, accessToken ?? '')).userErrors).toEqual([]);
  });

  test('a mutation sees the changes of an earlier mutation in the same request', async () => {
    const first = (await world.linkPerson(mira, { scopes: ['openid', 'profile'] })).token;
    const tokens = await world.rollup.issue(mira, ['openid', 'email']);
    const seen = 'account { scopes { name } }';
    const { data, errors } = await world.ask<Record<'before' | 'after', { account: Account }>, object>(
      `mutation ($tokens: RollupTokensInput!) {
        before: renewAccessToken(input: {}) { ${seen} }
        after: linkRollupAccount(input: { tokens: $tokens }) { ${seen} }
      }`,
      { tokens },
      { token: first },
    );
    expect(errors).toEqual([]);
    expect(names(data.before.account.scopes)).toEqual(['openid', 'profile']);
    expect(names(data.after.account.scopes)).toEqual(['openid', 'email']);
  });

  test('a scope that the stored tokens lack is FORBIDDEN even when the bearer has it', async () => {
    await world.link(mira, { scopes: ['openid'] });
    const { status, headers, errors } = await ask(
      await world.rollup.mint('access', mira, { scopes: ['openid', 'connected_accounts'] }),
    );
    expect([status, headers.get('www-authenticate')]).toEqual([200, null]);
    expect(errors.map(({ extensions }) => extensions['missingScopes'])).toEqual([['connected_accounts']]);
  });

  test.each([
    ['RollupAccount.nothing'],
    ['Nothing.id'],
    ['RollupAccount'],
    ['User.name.first'],
    [''],
    ['String.length'],
  ])('missingScopes rejects %j, which is no field of the schema', async (coordinate) => {
    const token = (await world.linkPerson(mira, { scopes: ['openid'] })).token;
    const { codes } = await world.ask(
      `query ($for: [String!]!) { me { rollupAccounts { missingScopes(for: $for) } } }`,
      { for: [coordinate] },
      { token },
    );
    expect(codes).toEqual(['BAD_USER_INPUT']);
  });

  function ask(token: string): Promise<GraphqlResponse<{ me: { rollupAccounts: Account[] } }>> {
    return world.ask(QUERY, { for: WANTED }, { token });
  }

  function accountOf({ data }: Awaited<ReturnType<typeof ask>>): Account {
    return data.me.rollupAccounts[0] as Account;
  }

  function names(scopes: Account['scopes']): string[] {
    return scopes.map(({ name }) => name);
  }
});
