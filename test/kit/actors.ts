import { createPerson, type Person } from '../../src/dev/rollup-id/people.js';
import { type LinkRollupAccountMutation, UnlinkRollupAccountDocument } from '../generated/graphql.js';
import type { GraphqlResponse } from './graphql-client.js';
import type { History, Outcome } from './history.js';
import type { Server, Servers } from './servers.js';

/** Somebody with a bearer, linked or not. */
export interface Actor {
  readonly person: Person;
  readonly bearer: string;
  /** The account of the last link that was acknowledged. */
  accountId: string;
}

/** What actors do; each deed goes into the history and none throws. */
export interface ActorOperations {
  read(server: Server, actor: Actor): Promise<void>;
  /** By tokens; signed in when it is to be their own user's, whoever the identity leads to otherwise. */
  link(server: Server, actor: Actor, options?: { signedIn: boolean }): Promise<void>;
  unlink(server: Server, actor: Actor): Promise<void>;
  /** How often each code was answered. */
  readonly codes: Map<string, number>;
}

/** What somebody may be told whose account others link and unlink: nothing has changed by it. */
export const EXPECTED_REJECTIONS: ReadonlySet<string> = new Set([
  'NOT_LINKED',
  'ACCOUNT_NOT_FOUND',
  'LINK_NOT_FOUND',
  'LINKED_TO_ANOTHER_USER',
]);

/** Somebody new, not linked yet. */
export async function createActor({ rollup }: Servers): Promise<Actor> {
  const person = createPerson();
  const bearer = await rollup.mint('access', person, { scopes: ['openid'] });
  return { person, bearer, accountId: '' };
}

/** Asks for nothing that the scope openid does not allow. */
const LINK = `mutation ($input: LinkRollupAccountInput!) {
  linkRollupAccount(input: $input) { account { id } userErrors { code } }
}`;

/** ActorOperations through these servers. */
export function createOperations(world: Servers, history: History): ActorOperations {
  const codes = new Map<string, number>();
  const count = (code: string): string => {
    codes.set(code, (codes.get(code) ?? 0) + 1);
    return code;
  };
  async function change(
    kind: 'link' | 'unlink',
    { person }: Actor,
    run: () => Promise<string | undefined>,
  ): Promise<void> {
    await history.record(person.sub, async (): Promise<Outcome> => {
      const code = count((await run().catch(() => 'CONNECTION_LOST')) ?? 'DONE');
      if (code === 'DONE') return { kind, outcome: 'done' };
      return { kind, outcome: EXPECTED_REJECTIONS.has(code) ? 'refused' : 'unknown' };
    });
  }
  return {
    codes,
    read: async (server, { person, bearer }) => {
      await history.record(person.sub, async (): Promise<Outcome> => {
        const { token, code } = await world
          .renew(server, bearer)
          .catch(() => ({ token: undefined, code: 'CONNECTION_LOST' }));
        if (token !== undefined) return { kind: 'read', token };
        return { kind: 'read', refused: count(String(code)) };
      });
    },
    link: (server, actor, { signedIn } = { signedIn: false }) =>
      change('link', actor, async () => {
        const tokens = await issueTokens(world, actor.person);
        const token = signedIn ? actor.bearer : undefined;
        const answer = await server.ask<LinkRollupAccountMutation, unknown>(
          LINK,
          { input: { tokens } },
          { token },
        );
        const code = codeOf(answer, (data) => data.linkRollupAccount);
        if (code === undefined) actor.accountId = answer.data.linkRollupAccount.account?.id ?? '';
        return code;
      }),
    unlink: (server, actor) =>
      change('unlink', actor, async () => {
        const { bearer, accountId } = actor;
        const answer = await server.ask(
          UnlinkRollupAccountDocument,
          { input: { accountId } },
          { token: bearer },
        );
        return codeOf(answer, (data) => data.unlinkRollupAccount);
      }),
  };
}

function codeOf<Data>(
  { data, errors }: GraphqlResponse<Data>,
  payload: (data: Data) => { readonly userErrors: readonly { readonly code: string }[] },
): string | undefined {
  const [error] = errors;
  return error ? String(error.extensions['code']) : payload(data).userErrors[0]?.code;
}

async function issueTokens(
  { rollup }: Servers,
  person: Person,
): Promise<{ accessToken: string; idToken: string; refreshToken: string }> {
  const mint = (kind: 'access' | 'id' | 'refresh'): Promise<string> =>
    rollup.mint(kind, person, { scopes: ['openid'] });
  return {
    accessToken: await mint('access'),
    idToken: await mint('id'),
    refreshToken: await mint('refresh'),
  };
}
