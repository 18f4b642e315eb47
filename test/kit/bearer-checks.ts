import type { Person } from '../../src/dev/rollup-id/people.js';
import type { MintOverrides } from '../../src/dev/rollup-id/tokens.js';
import { StartRollupLinkDocument } from '../generated/graphql.js';
import type { World } from './world.js';

/** What a test of the bearer needs again and again. */
export interface BearerChecks {
  /** The first of the provider's people. */
  person(): Person;
  /** An access token of that person. */
  mint(overrides?: MintOverrides): Promise<string>;
  rows(): Promise<unknown[][]>;
  /** The bearer is taken and the request does its work. */
  expectAccepted(token: string): Promise<void>;
  /**
   * The bearer is refused as a wrong token is: the challenge, one error, one well-formed record, nothing of the token
   * in answer or log, nothing written. Returns the milliseconds that the server took.
   */
  expectUnauthorized(token: string): Promise<number>;
}

/** Checks on a world in which one identity is linked. */
export function bearerChecks(worldOf: () => World): BearerChecks {
  const person = (): Person => {
    const [first] = worldOf().rollup.people;
    if (!first) throw new Error('the provider has nobody');
    return first;
  };
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
      const { status, data } = await begin(worldOf(), token);
      const { userErrors } = data?.startRollupLink ?? {};
      expect({ status, userErrors }).toEqual({ status: 200, userErrors: [] });
    },
    expectUnauthorized: async (token) => {
      const world = worldOf();
      const before = await rows();
      expect(before.map((table) => table.length)).toEqual([1, 1, expect.any(Number), 1]);
      world.logLines.length = 0;
      const answer = await begin(world, token);
      expect(answer.status).toBe(401);
      expect(answer.headers.get('www-authenticate')).toBe('Bearer error="invalid_token"');
      expect(JSON.parse(answer.text)).toEqual({
        errors: [{ message: expect.any(String), extensions: { code: 'UNAUTHENTICATED' } }],
      });
      const request = await requestRecord(world.logLines);
      const records = world.logLines.map((line) => JSON.parse(line) as Record<string, unknown>);
      expect(records.filter(({ status }) => status === 401)).toHaveLength(1);
      expect(records.some(({ event, reason }) => event === 'bearer_refused' && reason)).toBe(true);
      const said = [answer.text, JSON.stringify([...answer.headers]), ...world.logLines].join('\n');
      expect(piecesOf(token).filter((piece) => said.includes(piece))).toEqual([]);
      expect(await rows()).toEqual(before);
      return request.ms;
    },
  };
}

/** Anybody may begin a link, so a bearer that were merely overlooked would leave a row. */
async function begin(world: World, token: string) {
  const input = { redirectUri: world.config.rollup.redirectUris[0] ?? '', scopes: ['openid'] };
  return world.ask(StartRollupLinkDocument, { input }, { token });
}

/** The record of a request is written a little after its answer. */
async function requestRecord(lines: readonly string[]): Promise<{ readonly ms: number }> {
  for (;;) {
    const line = lines.find((text) => text.includes('"status":401'));
    if (line !== undefined) return JSON.parse(line) as { ms: number };
    await new Promise(setImmediate);
  }
}

/** The token, its parts, and every text in its header and claims; short ones are everywhere. */
function piecesOf(token: string): string[] {
  const pieces = [token, ...token.split('.')];
  for (const part of token.split('.', 2)) {
    try {
      JSON.parse(Buffer.from(part, 'base64url').toString(), (_name, value: unknown) => {
        if (typeof value === 'string') pieces.push(value, JSON.stringify(value).slice(1, -1));
        return value;
      });
    } catch {
      // No JSON, no texts.
    }
  }
  return pieces.filter((piece) => piece.length >= 8);
}
