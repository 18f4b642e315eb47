import type { Person } from '../../src/dev/rollup-id/people.js';
import type { MintOverrides } from '../../src/dev/rollup-id/tokens.js';
import { StartRollupLinkDocument } from '../generated/graphql.js';
import type { World } from './world.js';

/** Checks that tests of the bearer share. */
export interface BearerChecks {
  /** The provider's first person. */
  readonly person: () => Person;
  /** An access token of that person. */
  readonly mint: (overrides?: MintOverrides) => Promise<string>;
  readonly rows: () => Promise<unknown[][]>;
  /** Expects that the bearer is accepted and the request executed. */
  readonly expectAccepted: (token: string) => Promise<void>;
  /**
   * Expects that the bearer is rejected as invalid: 401 with the challenge, one error, one well-formed log record, no
   * part of the token in response or log, nothing written. Returns the milliseconds that the server took.
   */
  readonly expectUnauthorized: (token: string) => Promise<number>;
}

/** Checks on a world in which one identity is linked. */
export function bearerChecks(worldOf: () => World): BearerChecks {
  const person = (): Person => worldOf().rollup.people[0] as Person;
  const rows = async (): Promise<unknown[][]> => {
    const tables = ['app_user', 'rollup_account', 'pending_link', 'sealed_tokens'];
    const em = worldOf().em();
    return Promise.all(tables.map((table) => em.execute(`select * from ${table} order by 1`)));
  };
  return {
    person,
    rows,
    mint: (overrides) => worldOf().rollup.mint('access', person(), overrides),
    expectAccepted: async (token) => {
      const { status, data } = await startLink(worldOf(), token);
      const { userErrors } = data?.startRollupLink ?? {};
      expect({ status, userErrors }).toEqual({ status: 200, userErrors: [] });
    },
    expectUnauthorized: async (token) => {
      const world = worldOf();
      const before = await rows();
      expect(before.map((table) => table.length)).toEqual([1, 1, expect.any(Number), 1]);
      world.logLines.length = 0;
      const response = await startLink(world, token);
      expect(response.status).toBe(401);
      expect(response.headers.get('www-authenticate')).toBe('Bearer error="invalid_token"');
      expect(JSON.parse(response.text)).toEqual({
        errors: [{ message: expect.any(String), extensions: { code: 'UNAUTHENTICATED' } }],
      });
      const request = await waitForRequestRecord(world.logLines);
      const records = world.logLines.map((line) => JSON.parse(line) as Record<string, unknown>);
      expect(records.filter(({ status }) => status === 401)).toHaveLength(1);
      expect(records.some(({ event, reason }) => event === 'bearer_refused' && reason)).toBe(true);
      const disclosed = [response.text, JSON.stringify([...response.headers]), ...world.logLines].join('\n');
      expect(piecesOf(token).filter((piece) => disclosed.includes(piece))).toEqual([]);
      expect(await rows()).toEqual(before);
      return request.ms;
    },
  };
}

/** An anonymous caller may start a link too, so a bearer that is ignored instead of rejected would leave a row. */
async function startLink(world: World, token: string) {
  const input = { redirectUri: world.config.rollup.redirectUris[0] ?? '', scopes: ['openid'] };
  return world.ask(StartRollupLinkDocument, { input }, { token });
}

/** The log record of a request is written after its response. */
async function waitForRequestRecord(lines: readonly string[]): Promise<{ readonly ms: number }> {
  for (;;) {
    const line = lines.find((text) => text.includes('"status":401'));
    if (line !== undefined) return JSON.parse(line) as { ms: number };
    await new Promise(setImmediate);
  }
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
