import type { CompleteConfig } from '../../src/config.js';
import type { Person } from '../../src/dev/rollup-id/people.js';
import type { RollupId } from '../../src/dev/rollup-id/rollup-id.js';
import {
  LinkRollupAccountDocument,
  type LinkRollupAccountMutation,
  StartRollupLinkDocument,
  type StartRollupLinkMutation,
} from '../generated/graphql.js';
import type { Ask } from './graphql-client.js';

/** The payload of `linkRollupAccount`. */
export type LinkPayload = LinkRollupAccountMutation['linkRollupAccount'];
/** The payload of `startRollupLink`. */
export type StartPayload = StartRollupLinkMutation['startRollupLink'];

interface LinkOptions {
  readonly scopes?: readonly string[];
  /** The bearer of a signed-in user. */
  readonly token?: string | undefined;
}

interface LinkedPerson {
  readonly userId: string;
  readonly accountId: string;
  readonly token: string;
}

/** A started link, the callback URL after its approval, and the input that finishes it. */
export interface ApprovedLink {
  readonly begun: StartPayload;
  readonly url: string;
  readonly input: { readonly callback: { readonly url: string; readonly linkToken: string } };
}

/** The link flow as a client runs it. */
export interface LinkFlow {
  start(scopes?: readonly string[], token?: string): Promise<StartPayload>;
  /** Starts a link, which the person approves, the first one by default. */
  approve(person?: Person, options?: LinkOptions): Promise<ApprovedLink>;
  finish(begun: StartPayload, callbackUrl: string, token?: string): Promise<LinkPayload>;
  /** The whole flow: start, approve, finish. */
  link(person?: Person, options?: LinkOptions): Promise<LinkPayload>;
  /** The same; throws when the link fails. */
  linkPerson(person?: Person, options?: LinkOptions): Promise<LinkedPerson>;
}

/** Drives the flow through `ask`; the embedded Rollup ID approves. */
export function linkFlow(ask: Ask, config: CompleteConfig, rollup: RollupId): LinkFlow {
  const flow: LinkFlow = {
    start: async (scopes = ['openid', 'profile', 'email'], token) => {
      const input = { redirectUri: config.rollup.redirectUris[0] ?? '', scopes: [...scopes] };
      return (await ask(StartRollupLinkDocument, { input }, { token })).data.startRollupLink;
    },
    finish: async (begun, url, token) => {
      const input = { callback: { url, linkToken: begun.linkToken ?? '' } };
      return (await ask(LinkRollupAccountDocument, { input }, { token })).data.linkRollupAccount;
    },
    approve: async (person, { scopes, token } = {}) => {
      const begun = await flow.start(scopes, token);
      const url = await rollup.approve(begun.authorizationUrl ?? '', { person });
      return { begun, url, input: { callback: { url, linkToken: begun.linkToken ?? '' } } };
    },
    link: async (person, options = {}) => {
      const { begun, url } = await flow.approve(person, options);
      return flow.finish(begun, url, options.token);
    },
    linkPerson: async (person, options) => {
      const { user, account, accessToken, userErrors } = await flow.link(person, options);
      if (!user || !account || !accessToken) throw new Error(`not linked: ${JSON.stringify(userErrors)}`);
      return { userId: user.id, accountId: account.id, token: accessToken };
    },
  };
  return flow;
}
