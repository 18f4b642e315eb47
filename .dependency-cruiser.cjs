/** Words that every room shares; they import nothing but errors and each other. */
const SHARED =
  '^src/(back-off|batched|errors|fetch|json|listen-error|network|provider-call|purge|scope|single-flight|token-set|transact)\\.ts$';
/** What reads the settings of one room. */
const READER = '^src/settings-reader\\.ts$';

/** Who may import whom. A new edge between two rooms is a decision: make it here, with its reason. */
const allowed = {
  // Database and embedded provider share the data directory: the process claims it before either is there.
  '^src/server\\.ts$':
    '^src/(app|config|errors|log|settings-reader)\\.ts$|^src/(dev/embedded|database/data-directory)\\.ts$',
  '^src/app\\.ts$': '^src/(?!server\\.ts|cli/|dev/)',
  // Each room reads its own settings; config composes them.
  '^src/config\\.ts$': `^src/[^/]+/settings\\.ts$|${READER}`,
  '^src/settings-reader\\.ts$': '^src/errors\\.ts$',
  '^src/clock-skew\\.ts$': '^$',
  '^src/clock-watch\\.ts$': '^src/(clock-skew|single-flight)\\.ts$',
  '^src/log\\.ts$': '^src/errors\\.ts$',
  '^src/log-events\\.ts$': `^src/(clock-skew|errors|log)\\.ts$|^src/(accounts/accounts|http/viewer|vault/(issuer-move|key-rotation|refresh-event|resting-tokens.repository|revocation-event))\\.ts$`,
  '^src/metrics\\.ts$':
    '^src/(clock-watch|vault/(refresh-event|revocation-event|token-vault)|galaxy/galaxy-reader)\\.ts$',
  '^src/(back-off|batched|errors|fetch|json|network|scope|single-flight|token-set|transact)\\.ts$': '^$',
  '^src/purge\\.ts$': '^src/single-flight\\.ts$',
  '^src/listen-error\\.ts$': '^src/errors\\.ts$',
  '^src/provider-call\\.ts$': '^src/(errors|fetch|json)\\.ts$',
  '^src/cli/': `^src/(app|clock-skew|config|errors|log|log-events|server)\\.ts$|^src/(cli|database|galaxy|rollup|vault)/|^src/(fetch|provider-call)\\.ts$|^src/graphql/schema\\.ts$|${READER}`,
  '^src/accounts/': `^src/(accounts|vault|rollup)/|${SHARED}|${READER}`,
  '^src/galaxy/': `^src/galaxy/|${SHARED}|${READER}`,
  '^src/vault/': `^src/vault/|${SHARED}|${READER}`,
  '^src/rollup/': `^src/rollup/|${SHARED}|${READER}`,
  '^src/graphql/': `^src/(graphql|accounts|galaxy)/|${SHARED}|${READER}`,
  '^src/http/': `^src/(http|graphql)/|${SHARED}|${READER}`,
  '^src/database/': `^src/database/|^src/(accounts|galaxy|vault)/[^/]+\\.entity\\.ts$|${SHARED}|${READER}`,
  '^src/dev/': '^src/dev/|^src/(config|errors|json|listen-error|scope)\\.ts$',
};

/** Packages that only these rooms import. The types of the entity manager may travel; a driver may not. */
const packages = {
  '(@mikro-orm/(postgresql|pglite|migrations)|pg|@electric-sql)': '^src/database/',
  jose: '^src/(rollup|dev)/',
  '(fastify|@fastify)': '^src/(http|dev)/',
  'type-graphql': '^src/graphql/',
  commander: '^src/cli/',
};

const error = (name, from, to, comment) => ({ name, severity: 'error', comment, from, to });

module.exports = {
  forbidden: [
    error('no-circles', {}, { circular: true }),
    error(
      'every-file-has-a-row',
      { path: '^src/', pathNot: Object.keys(allowed) },
      { path: '.' },
      'A new root file or room needs a row above.',
    ),
    ...Object.entries(allowed).map(([from, to]) =>
      error(`room ${from}`, { path: from }, { path: '^src/', pathNot: to }),
    ),
    ...Object.entries(packages).map(([name, room]) =>
      error(`only in its room: ${name}`, { path: '^src/', pathNot: room }, { path: `node_modules/${name}/` }),
    ),
    error(
      'graphql-takes-types-only-from-repositories',
      { path: '^src/graphql/' },
      { path: '\\.repository\\.ts$', dependencyTypesNot: ['type-only'] },
      'Resolvers never see the entity manager.',
    ),
    error(
      'dev-is-lazy-and-only-for-the-server',
      { path: '^src/(?!dev/)' },
      { path: '^src/dev/', dynamic: false, dependencyTypesNot: ['type-only'] },
      'Shipped code loads the embedded provider lazily, outside production.',
    ),
    error(
      'dev-takes-only-types-from-config',
      { path: '^src/dev/' },
      { path: '^src/config\\.ts$', dependencyTypesNot: ['type-only'] },
      'The server reads the settings; the embedded parts only complete them.',
    ),
    error(
      'no-dev-dependency-in-shipped-code',
      { path: '^src/(?!dev/)' },
      { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'], dependencyTypesNot: ['type-only'] },
      'A production install does not have it.',
    ),
    error('tests-stay-outside', { path: '^src/' }, { path: '^(test|bench)/' }),
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default'] },
  },
};
