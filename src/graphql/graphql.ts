import { ApolloServer } from '@apollo/server';
import {
  ApolloServerPluginCacheControlDisabled,
  ApolloServerPluginLandingPageDisabled,
  ApolloServerPluginSchemaReportingDisabled,
  ApolloServerPluginUsageReportingDisabled,
} from '@apollo/server/plugin/disabled';
import type { GraphQLSchema } from 'graphql';
import { fieldsByScope } from './access.js';
import { type Capabilities, RequestContext, type RequestInfo, type Viewer } from './context.js';
import { limitDocument } from './document-limits.js';
import type { IsOutage } from './error-response.js';
import { createErrorFormatter, type ReportInternalError } from './format-error.js';
import { setHttpStatus } from './http-status.js';
import { recordOperations } from './record-operations.js';
import { limitRequests, type LimitMutations } from './request-limits.js';
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

/** What Apollo Server depends on. */
export interface ApolloDeps {
  readonly production: boolean;
  readonly logger: ApolloServer['logger'];
  readonly report: ReportInternalError;
  /** Redacts what looks like a token or a secret. */
  readonly redactSecrets: (text: string) => string;
  readonly isOutage: IsOutage;
  readonly limitMutations: LimitMutations;
}

/** Throws `StartupError` when the manifest of trusted documents cannot be read. */
export async function createGraphql(
  settings: GraphqlSettings,
  { accounts, galaxy, ...deps }: ApolloDeps & Omit<Capabilities, 'describeScopes'>,
): Promise<Graphql> {
  const { trustedDocuments } = settings;
  const schema = await createSchema();
  const shared = { accounts, galaxy, describeScopes: createScopeDescriptions(fieldsByScope(schema)) };
  return {
    apollo: await startApollo(schema, settings, deps),
    createContext: (viewer, request) => new RequestContext(shared, viewer, request),
    findDocument: trustedDocuments === undefined ? undefined : readTrustedDocuments(trustedDocuments),
  };
}

/** Creates and starts Apollo Server, with options for an API that holds credentials instead of a public one. */
export async function startApollo(
  schema: GraphQLSchema,
  settings: GraphqlSettings,
  { production, logger, report, redactSecrets, isOutage, limitMutations }: ApolloDeps,
): Promise<ApolloServer<RequestContext>> {
  const server = new ApolloServer<RequestContext>({
    schema,
    logger,
    introspection: settings.introspection,
    hideSchemaDetailsFromClientErrors: production,
    includeStacktraceInErrorResponses: false,
    csrfPrevention: true,
    allowBatchedHttpRequests: false,
    persistedQueries: false,
    maxRecursiveSelections: true,
    parseOptions: { maxTokens: settings.tokens },
    validationRules: [limitDocument(settings)],
    stopOnTerminationSignals: false,
    formatError: createErrorFormatter(report, production, redactSecrets),
    plugins: [
      ApolloServerPluginCacheControlDisabled(),
      ApolloServerPluginLandingPageDisabled(),
      ApolloServerPluginSchemaReportingDisabled(),
      ApolloServerPluginUsageReportingDisabled(),
      limitRequests(limitMutations),
      setHttpStatus(isOutage),
      recordOperations(),
    ],
  });
  await server.start();
  return server;
}
