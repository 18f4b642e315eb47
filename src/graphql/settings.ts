import type { DeepReadonly, SettingsReader } from '../settings-reader.js';

export type GraphqlSettings = DeepReadonly<ReturnType<typeof readGraphqlSettings>>;

/** The limits of documents, and what is shown of the schema. */
export function readGraphqlSettings(read: SettingsReader) {
  return {
    introspection: read.boolean('INTROSPECTION', !read.production),
    depth: read.integer('GRAPHQL_MAX_DEPTH', 8, 1, 1_000),
    aliases: read.integer('GRAPHQL_MAX_ALIASES', 15, 0, 10_000),
    directives: read.integer('GRAPHQL_MAX_DIRECTIVES', 50, 0, 10_000),
    cost: read.integer('GRAPHQL_MAX_COST', 500, 1, 1_000_000),
    tokens: read.integer('GRAPHQL_MAX_TOKENS', 1_000, 1, 100_000),
    characters: read.integer('GRAPHQL_MAX_CHARACTERS', 15_000, 1, 1_000_000),
    /** Path of a manifest; only its documents run. */
    trustedDocuments: read.optional('TRUSTED_DOCUMENTS'),
  };
}
