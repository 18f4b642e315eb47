/** Words that every room shares. */
const SHARED = '^src/(back-off|errors|json|provider-call|scope|single-flight|token-set)\\.ts$';

/** Who may import whom. A new edge between two rooms is a decision: make it here, with its reason. */
const allowed = {
  '^src/(server\\.ts$|cli/)':
    '^src/(app|log-events|config|errors|log|server|settings-reader)\\.ts$|^src/(vault/(keyring|key-rotation|token-cipher)|database/orm|http/listener|graphql/schema|cli/rotate-keys)\\.ts$',
  '^src/accounts/': `^src/(accounts|vault|rollup)/|${SHARED}`,
  '^src/galaxy/': `^src/galaxy/|${SHARED}`,
  '^src/vault/': `^src/vault/|${SHARED}`,
  '^src/rollup/': `^src/rollup/|${SHARED}`,
  '^src/graphql/': `^src/(graphql|accounts|galaxy)/|${SHARED}`,
  '^src/http/': `^src/(http|graphql)/|${SHARED}`,
  '^src/database/': `^src/database/|^src/(accounts|galaxy|vault)/[^/]+\\.entity\\.ts$|${SHARED}`,
  '^src/dev/': '^src/dev/|^src/(json|scope)\\.ts$',
  '^src/log\\.ts$': '^src/errors\\.ts$',
  '^src/metrics\\.ts$': '^src/(vault/refresh-event|galaxy/galaxy-reader)\\.ts$',
  '^src/config\\.ts$': '^src/(provider-settings|settings-reader)\\.ts$',
  '^src/provider-settings\\.ts$': '^src/(scope|settings-reader)\\.ts$',
  '^src/settings-reader\\.ts$': '^src/errors\\.ts$',
  '^src/(back-off|errors|json|scope|single-flight|token-set)\\.ts$': '^$',
  '^src/provider-call\\.ts$': '^src/(errors|json)\\.ts$',
};

module.exports = {
  forbidden: [
    { name: 'no-circles', severity: 'error', from: {}, to: { circular: true } },
    ...Object.entries(allowed).map(([from, to]) => ({
      name: `room ${from}`,
      severity: 'error',
      from: { path: from },
      to: { path: '^src/', pathNot: from.includes('server') ? `${to}|^src/dev/embedded\\.ts$` : to },
    })),
    {
      name: 'dev-is-lazy-and-only-for-the-server',
      comment:
        'Nothing that is shipped loads the embedded provider, except the server, lazily, outside production.',
      severity: 'error',
      from: { path: '^src/(?!dev/)' },
      to: { path: '^src/dev/', pathNot: '^src/dev/embedded\\.ts$' },
    },
    {
      name: 'dev-never-at-import-time',
      severity: 'error',
      from: { path: '^src/(?!dev/)' },
      to: { path: '^src/dev/', dynamic: false, dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'drivers-live-in-database',
      comment: 'The type of the entity manager may travel; a driver may not.',
      severity: 'error',
      from: { path: '^src/(?!database/)' },
      to: { path: 'node_modules/(@mikro-orm/(postgresql|pglite|migrations)|pg|@electric-sql)/' },
    },
    {
      name: 'tests-stay-outside',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^(test|bench)/' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default'] },
  },
};
