import type { Mutation } from './mutation.js';

/** Mutations of the protocol of the provider. */
export const rollup: readonly Mutation[] = [
  {
    breaks: 'words of a dead grant are believed with any status',
    file: 'src/rollup/provider-error.ts',
    from: '(status === 401 && DEAD_GRANT.has(message))',
    to: 'DEAD_GRANT.has(message)',
    test: 'test/rollup/provider-error.test.ts',
    title: 'a rejected refresh',
  },
  {
    breaks: 'a client mismatch is not known for codes',
    file: 'src/rollup/provider-error.ts',
    from: `  'expired code',\n  CLIENT_MISMATCH,\n`,
    to: `  'expired code',\n`,
    test: 'test/rollup/provider-error.test.ts',
    title: 'a rejected code',
  },
  {
    breaks: 'wrong credentials are believed with any status',
    file: 'src/rollup/provider-error.ts',
    from: '(response.status === 400 && message === BAD_CREDENTIALS)',
    to: 'message === BAD_CREDENTIALS',
    test: 'test/rollup/provider-error.test.ts',
    title: 'a rejected refresh',
  },
  {
    breaks: 'a client mismatch at a refresh counts as an outage',
    file: 'src/rollup/provider-error.ts',
    from: ' || (status === 400 && message === CLIENT_MISMATCH)',
    to: '',
    test: 'test/rollup/provider-error.test.ts',
    title: 'a rejected refresh',
  },
  {
    breaks: 'every 401 of userinfo ends the grant',
    file: 'src/rollup/provider-error.ts',
    from: 'readError(response).message === REVOKED',
    to: 'true',
    test: 'test/rollup/provider-error.test.ts',
    title: 'a 401 of userinfo',
  },
  {
    breaks: 'a revocation endpoint may be of another origin',
    file: 'src/rollup/discovery.ts',
    from: ": endpoint(document, 'revocation_endpoint', issuer)",
    to: ": String(document['revocation_endpoint'])",
    test: 'test/rollup/discovery.test.ts',
    title: 'is of another origin, or no URL',
  },
  {
    breaks: 'endpoints may be of another origin',
    file: 'src/rollup/discovery.ts',
    from: 'URL.parse(value)?.origin === issuer',
    to: 'URL.canParse(value)',
    test: 'test/rollup/discovery.test.ts',
    title: 'is of another origin, or no URL',
  },
  {
    breaks: 'discovery may name another issuer',
    file: 'src/rollup/discovery.ts',
    from: "document['issuer'] !== issuer",
    to: "document['issuer'] === undefined",
    test: 'test/rollup/discovery.test.ts',
    title: 'is rejected when it is of another issuer',
  },
];
