import type { Person } from '../../src/dev/rollup-id/people.js';
import type { LinkRollupAccountMutation, RenewAccessTokenMutation } from '../generated/graphql.js';
import { useWorld } from '../kit/hooks.js';

type Renewal = RenewAccessTokenMutation['renewAccessToken'];
type Link = LinkRollupAccountMutation['linkRollupAccount'];

/** Mutations of one operation run one after the other (GraphQL specification §6.2.2). */
describe('a payload shows the state after its own mutation, whatever an earlier one of the operation has read:', () => {
  const world = useWorld();
  let ben: Person;
  beforeAll(() => void ([, ben] = world.people));

  test('a renewal', async () => {
    const { token } = await world.linkPerson();
    // Its life is shorter than the second renewal needs.
    world.clock.advance(2_000_000);
    const { data, errors } = await world.ask<{ first: Renewal; second: Renewal }, never>(
      `mutation {
        first: renewAccessToken(input: {}) { ...Payload }
        second: renewAccessToken(input: { minTtlSeconds: 1800 }) { ...Payload }
      }
      fragment Payload on RenewAccessTokenPayload { accessTokenExpiresAt account { accessTokenExpiresAt } }`,
      undefined,
      { token },
    );
    expect(errors).toEqual([]);
    for (const { account, accessTokenExpiresAt } of [data.first, data.second]) {
      expect(account?.accessTokenExpiresAt).toBe(accessTokenExpiresAt);
    }
    expect(data.second.accessTokenExpiresAt).not.toBe(data.first.accessTokenExpiresAt);
  });

  test('a link', async () => {
    const { token } = await world.linkPerson();
    const [mira] = world.people;
    const input = async (person: Person) => ({
      tokens: await world.rollup.issue(person, ['openid']),
    });
    const { data, errors } = await world.ask<{ first: Link; second: Link }, unknown>(
      `mutation ($first: LinkRollupAccountInput!, $second: LinkRollupAccountInput!) {
        first: linkRollupAccount(input: $first) { user { rollupAccounts { sub } } }
        second: linkRollupAccount(input: $second) { user { rollupAccounts { sub } } }
      }`,
      { first: await input(mira), second: await input(ben) },
      { token },
    );
    expect(errors).toEqual([]);
    const subsOf = ({ user }: Link) =>
      (user as { rollupAccounts: { sub: string }[] } | null)?.rollupAccounts.map(({ sub }) => sub);
    expect(subsOf(data.first)).toEqual([mira.sub]);
    expect(subsOf(data.second)).toEqual([mira.sub, ben.sub]);
  });
});
