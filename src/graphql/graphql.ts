import type { ApolloServer } from '@apollo/server';
import { fieldsByScope } from './access.js';
import { type ApolloOptions, startApollo } from './apollo.js';
import { type Capabilities, RequestContext, type RequestInfo, type Viewer } from './context.js';
import { createSchema } from './schema.js';
import { createScopeDescriptions } from './scope-descriptions.js';
import type { GraphqlSettings } from './settings.js';
import { type FindDocument, readTrustedDocuments } from './trusted-documents.js';

/** The public API, ready to be served. */
export interface Graphql {
  readonly apollo: ApolloServer<RequestContext>;
  readonly createContext: (viewer: Viewer | undefined, request: RequestInfo) => RequestContext;
  /** Present: only these documents run. */
  readonly findDocument: FindDocument | undefined;
}

/** What the room depends on. */
export type GraphqlDeps = Omit<Capabilities, 'describeScopes'> &
  Omit<ApolloOptions, 'schema' | 'introspection' | 'limits'>;

/** Throws `StartupError` when the manifest of trusted documents cannot be read. */
export async function createGraphql(
  { introspection, trustedDocuments, ...limits }: GraphqlSettings,
  { accounts, galaxy, ...options }: GraphqlDeps,
): Promise<Graphql> {
  const schema = await createSchema();
  const describeScopes = createScopeDescriptions(fieldsByScope(schema));
  const shared = { accounts, galaxy, describeScopes };
  return {
    apollo: await startApollo({ ...options, schema, introspection, limits }),
    createContext: (viewer, request) => new RequestContext(shared, viewer, request),
    findDocument: trustedDocuments === undefined ? undefined : readTrustedDocuments(trustedDocuments),
  };
}
