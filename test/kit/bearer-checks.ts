import type { Person } from '../../src/dev/rollup-id/people.js';
import type { MintOverrides } from '../../src/dev/rollup-id/tokens.js';
import { StartRollupLinkDocument } from '../generated/graphql.js';
import type { World } from './world.js';

/** Checks of a bearer, on a world in which one identity is linked. */
export function bearerChecks(world: World) {
  /** The provider's first person. */
  const person = (): Person => world.people[0];
  const rows = (): Promise<unknown[][]> =>
    Promise.all(['app_user', 'rollup_account', 'pending_link', 'sealed_tokens'].map(world.rows));
  return {
    person,
    rows,
    /** An access token of that person. */
    mint: (overrides?: MintOverrides) => world.rollup.mint('access', person(), overrides),
    /** Expects that the bearer is accepted and the request executed. */
    expectAccepted: async (token: string): Promise<void> => {
      const { status, data } = await startLink(world, token);
      const { userErrors } = data?.startRollupLink ?? {};
      expect({ status, userErrors }).toEqual({ status: 200, userErrors: [] });
    },
    /**
     * Expects that the bearer is rejected as invalid: 401 with the challenge, one error, one well-formed log record, no
     * part of the token in response or log, nothing written.
     */
    expectUnauthorized: async (token: string): Promise<void> => {
      const before = await rows();
      expect(before.map((table) => table.length)).toEqual([1, 1, expect.any(Number), 1]);
      world.logLines.length = 0;
      const response = await startLink(world, token);
      expect(response.status).toBe(401);
      expect(response.headers.get('www-authenticate')).toBe('Bearer error="invalid_token"');
      expect(JSON.parse(response.text)).toEqual({
        errors: [{ message: expect.any(String), extensions: { code: 'UNAUTHENTICATED' } }],
      });
      await world.requestsLogged(1, 401);
      const records = world.records();
      expect(records.filter(({ status }) => status === 401)).toHaveLength(1);
      expect(records.some(({ event, reason }) => event === 'bearer_refused' && reason)).toBe(true);
      const disclosed = [response.text, JSON.stringify([...response.headers]), ...world.logLines].join('\n');
      expect(piecesOf(token).filter((piece) => disclosed.includes(piece))).toEqual([]);
      expect(await rows()).toEqual(before);
    },
  };
}

/** An anonymous caller may start a link too, so a bearer that is ignored instead of rejected would leave a row. */
async function startLink(world: World, token: string) {
  const input = { redirectUri: world.config.rollup.redirectUris[0] ?? '', scopes: ['openid'] };
  return world.ask(StartRollupLinkDocument, { input }, { token });
}

/** The token, its segments and every string in its header and claims; without short ones, which match by chance. */
function piecesOf(token: string): string[] {
  const pieces = [token, ...token.split('.')];
  for (const part of token.split('.', 2)) {
    try {
      JSON.parse(Buffer.from(part, 'base64url').toString(), (_name, value: unknown) => {
        if (typeof value === 'string') pieces.push(value, JSON.stringify(value).slice(1, -1));
        return value;
      });
    } catch {
      // A segment that is no JSON has no strings.
    }
  }
  return pieces.filter((piece) => piece.length >= 8);
}
