import { createPerson, type Person } from '../../src/dev/rollup-id/people.js';
import { type LinkRollupAccountMutation, UnlinkRollupAccountDocument } from '../generated/graphql.js';
import type { GraphqlResponse } from './graphql-client.js';
import type { History, Outcome } from './history.js';
import type { Server, Servers } from './servers.js';

/** A caller with a bearer; linked or not. */
export interface Actor {
  readonly person: Person;
  readonly bearer: string;
  /** The account of the last acknowledged link. */
  accountId: string;
}

export type ActorOperations = ReturnType<typeof createOperations>;

/** Errors that concurrent links and unlinks of one account may cause; an operation that fails so has changed nothing. */
export const EXPECTED_REJECTIONS: ReadonlySet<string> = new Set([
  'NOT_LINKED',
  'ACCOUNT_NOT_FOUND',
  'LINK_NOT_FOUND',
  'LINKED_TO_ANOTHER_USER',
]);

/** A new actor, not linked yet. */
export async function createActor({ rollup }: Servers): Promise<Actor> {
  const person = createPerson();
  const bearer = await rollup.mint('access', person, { scopes: ['openid'] });
  return { person, bearer, accountId: '' };
}

/** Selects only fields that the scope `openid` allows. */
const LINK = `mutation ($input: LinkRollupAccountInput!) {
  linkRollupAccount(input: $input) { account { id } userErrors { code } }
}`;

/** What actors do on these servers. Each operation is recorded in the history, and none throws. */
export function createOperations(world: Servers, history: History) {
  /** How often each error code was returned; `DONE` for a success. */
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
      return { kind, outcome: EXPECTED_REJECTIONS.has(code) ? 'rejected' : 'unknown' };
    });
  }
  return {
    codes,
    read: async (server: Server, { person, bearer }: Actor): Promise<void> => {
      await history.record(person.sub, async (): Promise<Outcome> => {
        const { token, code } = await world
          .renew(server, bearer)
          .catch(() => ({ token: undefined, code: 'CONNECTION_LOST' }));
        if (token !== undefined) return { kind: 'read', token };
        return { kind: 'read', rejected: count(String(code)) };
      });
    },
    /** Links by tokens; signed in, to the actor's own user, otherwise to the user that the identity leads to. */
    link: (server: Server, actor: Actor, { signedIn } = { signedIn: false }): Promise<void> =>
      change('link', actor, async () => {
        const tokens = await issueTokens(world, actor.person);
        const token = signedIn ? actor.bearer : undefined;
        const response = await server.ask<LinkRollupAccountMutation, unknown>(
          LINK,
          { input: { tokens } },
          { token },
        );
        const code = codeOf(response, (data) => data.linkRollupAccount);
        if (code === undefined) actor.accountId = response.data.linkRollupAccount.account?.id ?? '';
        return code;
      }),
    unlink: (server: Server, actor: Actor): Promise<void> =>
      change('unlink', actor, async () => {
        const { bearer, accountId } = actor;
        const response = await server.ask(
          UnlinkRollupAccountDocument,
          { input: { accountId } },
          { token: bearer },
        );
        return codeOf(response, (data) => data.unlinkRollupAccount);
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
