import { createHash } from 'node:crypto';
import { buildSchema } from 'graphql';
import type { LinkedAccount, Person } from './people.js';
import type { ProviderState } from './provider-state.js';

/** The part of Galaxy's schema that external applications can use. */
export const GALAXY_SCHEMA = buildSchema(/* GraphQL */ `
  scalar JSON

  type Query {
    profile(targetIdentityURN: String): Profile
    connectedAccounts(targetIdentityURN: String): [Node!]
    authorizedApps: [App]
    accountProfiles(accountURNList: [String!]!): [AccountProfile!]!
  }

  type Profile {
    displayName: String
    pfp: PFP
  }

  union PFP = StandardPFP | NFTPFP

  type StandardPFP {
    image: String
  }

  type NFTPFP {
    image: String
    isToken: Boolean
  }

  type Node {
    baseUrn: String!
    qc: JSON
    rc: JSON
  }

  type App {
    clientId: String!
    icon: String!
    title: String!
    timestamp: Float!
  }

  type AccountProfile {
    id: String!
    type: String
    address: String
    title: String
    icon: String
  }
`);

/** What the resolvers know of the caller; each throws when a guard refuses it. */
export interface GalaxyCaller {
  /** The requested `sub`, or else the one of the caller's token; throws without either. */
  readonly target: (requested?: string | null) => Promise<string>;
  /** For what needs a key only. */
  readonly authenticate: () => Promise<unknown>;
}

interface Arguments {
  targetIdentityURN?: string | null;
}

/** The resolvers of Galaxy's query type; each asks for the caller. */
export function galaxyResolvers(state: ProviderState, { target, authenticate }: GalaxyCaller) {
  const find = (sub: string): Person | undefined => state.people.find((person) => person.sub === sub);
  return {
    profile: async ({ targetIdentityURN: sub }: Arguments) => profileOf(find(await target(sub))),
    connectedAccounts: async ({ targetIdentityURN: sub }: Arguments) =>
      find(await target(sub))?.publicAccounts.map(nodeOf),
    authorizedApps: async () => appsOf(state, await target()),
    accountProfiles: async ({ accountURNList }: { accountURNList: readonly string[] }) => {
      await authenticate();
      const accounts = state.people.flatMap(({ publicAccounts }) => publicAccounts);
      return accountURNList.map((id) => profileOfAccount(accounts, id));
    },
  };
}

function profileOf(person: Person | undefined) {
  if (person === undefined) return null;
  const { pfp = person.picture === undefined ? undefined : { image: person.picture } } = person;
  return {
    displayName: person.displayName ?? person.name,
    pfp: pfp && { ...pfp, __typename: pfp.isToken === true ? 'NFTPFP' : 'StandardPFP' },
  };
}

const CRYPTO_TYPES = new Set(['eth', 'smart_contract_wallet']);

function nodeOf({ type, identifier }: LinkedAccount) {
  // Rollup ID uses keccak-256; any stable 64 digits do here.
  const digest = createHash('sha3-256').update(`urn:rollupid:idref:${type}/${identifier}`).digest('hex');
  return {
    baseUrn: `urn:rollupid:account/0x${digest}`,
    qc: { alias: identifier },
    rc: {
      addr_type: type,
      node_type: CRYPTO_TYPES.has(type) ? 'crypto' : type === 'email' ? 'vault' : 'oauth',
    },
  };
}

function profileOfAccount(accounts: readonly LinkedAccount[], id: string) {
  const account = accounts.find((candidate) => nodeOf(candidate).baseUrn === id);
  if (account === undefined) throw new Error('missing address or type');
  return { id, type: account.type, address: account.identifier, title: account.identifier, icon: null };
}

function appsOf(state: ProviderState, sub: string) {
  const timestamp = state.grants.approvedAt(sub);
  if (timestamp === undefined) return [];
  return [{ clientId: state.clientId, icon: APP_ICON, title: 'Example application', timestamp }];
}

const APP_ICON =
  'data:image/svg+xml,%3Csvg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"%3E%3Ccircle cx="4" cy="4" r="4" fill="%235b34d6"/%3E%3C/svg%3E';
