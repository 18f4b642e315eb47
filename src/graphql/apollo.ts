import { ApolloServer } from '@apollo/server';
import {
  ApolloServerPluginCacheControlDisabled,
  ApolloServerPluginLandingPageDisabled,
  ApolloServerPluginSchemaReportingDisabled,
  ApolloServerPluginUsageReportingDisabled,
} from '@apollo/server/plugin/disabled';
import type { GraphQLSchema } from 'graphql';
import type { RequestContext } from './context.js';
import { type DocumentLimits, limitDocument } from './document-limits.js';
import type { IsOutage } from './error-response.js';
import { createErrorFormatter, type ReportInternalError } from './format-error.js';
import { setHttpStatus } from './http-status.js';
import { limitRequests, type LimitMutations } from './request-limits.js';

/** The logger of Apollo Server itself. */
export type ApolloLogger = ApolloServer['logger'];

/** Dependencies and limits of the GraphQL server. */
export interface ApolloOptions {
  readonly schema: GraphQLSchema;
  readonly introspection: boolean;
  readonly production: boolean;
  readonly logger: ApolloLogger;
  readonly report: ReportInternalError;
  /** Redacts what looks like a token or a secret. */
  readonly withoutSecrets: (text: string) => string;
  readonly isOutage: IsOutage;
  readonly limits: DocumentLimits & { readonly tokens: number };
  readonly limitMutations: LimitMutations;
}

/** Creates and starts Apollo Server, with options for an API that holds credentials instead of a public one. */
export async function startApollo(options: ApolloOptions): Promise<ApolloServer<RequestContext>> {
  const server = new ApolloServer<RequestContext>({
    schema: options.schema,
    logger: options.logger,
    introspection: options.introspection,
    hideSchemaDetailsFromClientErrors: options.production,
    includeStacktraceInErrorResponses: false,
    csrfPrevention: true,
    allowBatchedHttpRequests: false,
    persistedQueries: false,
    maxRecursiveSelections: true,
    parseOptions: { maxTokens: options.limits.tokens },
    validationRules: [limitDocument(options.limits)],
    stopOnTerminationSignals: false,
    formatError: createErrorFormatter(options.report, options.production, options.withoutSecrets),
    plugins: [
      ApolloServerPluginCacheControlDisabled(),
      ApolloServerPluginLandingPageDisabled(),
      ApolloServerPluginSchemaReportingDisabled(),
      ApolloServerPluginUsageReportingDisabled(),
      limitRequests(options.limitMutations),
      setHttpStatus(options.isOutage),
    ],
  });
  await server.start();
  return server;
}
