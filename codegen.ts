import type { CodegenConfig } from '@graphql-codegen/cli';

/**
 * Typed operations for TypeScript clients. The schema is the committed one, or that of a running server:
 * `GRAPHQL_URL=http://127.0.0.1:4000/graphql npx graphql-codegen`.
 */
const config: CodegenConfig = {
  schema: process.env['GRAPHQL_URL'] ?? 'schema/schema.graphql',
  documents: 'test/operations/*.graphql',
  generates: {
    'test/generated/': {
      preset: 'client',
      presetConfig: {
        fragmentMasking: false,
        // The manifest for TRUSTED_DOCUMENTS.
        persistedDocuments: { hashAlgorithm: 'sha256' },
      },
      config: {
        documentMode: 'string',
        useTypeImports: true,
        enumsAsTypes: true,
        scalars: { DateTime: 'string', ID: 'string' },
        importExtension: '.js',
      },
    },
  },
};

export default config;
