import { createApp } from '../../src/app.js';
import { createLog } from '../../src/log.js';
import { moveClockOf } from './clock.js';
import { createGraphqlClient } from './graphql-client.js';
import { lineSink } from './line-sink.js';
import { linkFlow } from './link-flow.js';
import { sharedDatabase } from './shared-database.js';
import type { World } from './world.js';

/** One more server of a world: the same settings, database and provider, and a clock of its own. */
export async function startBeside(world: World, now: () => number) {
  const { open } = await sharedDatabase();
  const logLines: string[] = [];
  const app = await createApp(world.config, {
    log: createLog('info', [], lineSink(logLines)),
    now,
    openDatabase: async (...settings) => {
      const database = await open(...settings);
      // On a server it has a pool of its own.
      moveClockOf(database.em);
      return database;
    },
  });
  return {
    ...linkFlow(createGraphqlClient(app.url), world.config, world.rollup),
    url: app.url,
    /** Its log records of one kind of event so far. */
    events: (event: string): Record<string, unknown>[] =>
      logLines
        .map((line) => JSON.parse(line) as Record<string, unknown>)
        .filter((record) => record['event'] === event),
    close: () => app.close(),
  };
}
