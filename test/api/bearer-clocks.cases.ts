import type { Person } from '../../src/dev/rollup-id/people.js';
import { MeDocument, RenewAccessTokenDocument } from '../generated/graphql.js';
import { useWorld } from '../kit/hooks.js';

describe.each([30_000, -30_000])("a server whose clock is %i ms ahead of the provider's", (aheadMs) => {
  const world = useWorld({ aheadMs });
  let person: Person;
  beforeEach(() => void ([person] = world.people));

  test('JWT-18 links, and accepts tokens that were just issued', async () => {
    for (let index = 0; index < 8; index += 1) {
      // Some comparisons use whole seconds, so try different fractions of a second.
      world.clock.advance(125);
      const { accessToken, userErrors } = await world.link(person);
      expect(userErrors).toEqual([]);
      expect(await accepts(accessToken ?? '')).toBe(true);
      expect(await accepts(await world.rollup.mint('access', person))).toBe(true);
    }
  });

  test('JWT-18 accepts every token that the provider considers unexpired, and renews it', async () => {
    const { accessToken } = await world.link(person);
    const token = accessToken ?? '';
    for (const remainingMs of [61_000, 31_000, 29_000, 10_000]) {
      const { exp } = JSON.parse(atob(token.split('.')[1] ?? '')) as { exp: number };
      world.clock.advance(exp * 1_000 - remainingMs - world.clock.now());
      expect(await accepts(token)).toBe(true);
    }
    const bearer = await world.rollup.mint('access', person);
    const { data, errors } = await world.ask(RenewAccessTokenDocument, { input: {} }, { token: bearer });
    expect(errors).toEqual([]);
    expect(await accepts(data.renewAccessToken.accessToken ?? '')).toBe(true);
    expect(world.rollup.calls.refresh).toBe(1);
  });

  async function accepts(token: string): Promise<boolean> {
    const { status, data } = await world.ask(MeDocument, {}, { token });
    return status === 200 && data.me !== null;
  }
});
