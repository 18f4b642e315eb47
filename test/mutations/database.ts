import type { Mutation } from './mutation.js';

/** Mutations of the database. */
export const database: readonly Mutation[] = [
  {
    breaks: 'the data directory is open to others',
    file: 'src/database/data-directory.ts',
    from: 'mode: 0o700',
    to: 'mode: 0o755',
    test: 'test/database/data-directory.test.ts',
    title: 'STO-25 is made for its owner alone, as is its lock',
  },
  {
    breaks: 'the lock is open to others',
    file: 'src/database/data-directory.ts',
    from: 'mode: 0o600',
    to: 'mode: 0o644',
    test: 'test/database/data-directory.test.ts',
    title: 'STO-25 is made for its owner alone, as is its lock',
  },
  {
    breaks: 'a second process opens the data directory',
    file: 'src/database/data-directory.ts',
    from: "if (isAlive(Number(readFileSync(path, 'utf8')))) break;",
    to: '',
    test: 'test/database/data-directory.test.ts',
    title: 'is refused while a living process holds it, whose lock stays',
  },
  {
    breaks: 'a container that restarts refuses its own lock',
    file: 'src/database/data-directory.ts',
    from: ' || pid === process.pid',
    to: '',
    test: 'test/database/data-directory.test.ts',
    title: 'with the number of this process',
  },
  {
    breaks: 'a server that lacks a migration is ready',
    file: 'src/database/orm.ts',
    from: 'return (await orm.migrator.getPending()).length === 0;',
    to: 'return true;',
    test: 'test/http/health.cases.ts',
    title: 'HTP-13 a server that lacks a migration',
  },
];
