import { openDatabase, type OnStatement } from '../../src/database/orm.js';
import { createTestDatabase, type TestDatabase } from './test-database.js';

/** The database that the worlds of one test file share, since starting an embedded one takes a second. */
export interface SharedDatabase extends Pick<TestDatabase, 'env'> {
  /** On a server each world has a pool of its own; the embedded one is a single connection for all. */
  readonly open: typeof openDatabase;
}

let shared: Promise<SharedDatabase & Pick<TestDatabase, 'close'>> | undefined;
let open = 0;
let over = false;

/** The same database for all callers in one test file. */
export function sharedDatabase(): Promise<SharedDatabase> {
  return (shared ??= createShared());
}

// Hooks of the file that close worlds may run after this one: the last to close takes the database along.
afterAll(async () => {
  over = true;
  await closeUnused();
});

async function closeUnused(): Promise<void> {
  if (over && open === 0) await (await shared)?.close();
}

async function createShared(): Promise<SharedDatabase & Pick<TestDatabase, 'close'>> {
  const database = await createTestDatabase();
  const { env, settings } = database;
  const listeners = new Set<OnStatement>();
  const notify: OnStatement = (sql) => listeners.forEach((listen) => listen(sql));
  const embedded =
    settings.url === undefined ? await openDatabase({ ...settings, ...EMBEDDED }, notify) : undefined;
  return {
    env,
    open: async (wanted, onStatement = () => undefined) => {
      const opened = embedded ?? (await openDatabase(wanted, onStatement));
      listeners.add(onStatement);
      open += 1;
      return {
        ...opened,
        close: async () => {
          listeners.delete(onStatement);
          if (!embedded) await opened.close();
          open -= 1;
          await closeUnused();
        },
      };
    },
    close: async () => {
      await embedded?.close();
      await database.close();
    },
  };
}

const EMBEDDED = { poolMax: 2, timeoutMs: 4_000 };
