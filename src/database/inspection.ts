import { existsSync } from 'node:fs';
import { MikroORM } from '@mikro-orm/core';
import type { SqlEntityManager } from '@mikro-orm/sql';
import { StartupError } from '../errors.js';
import { claimDataDirectory, embeddedPath } from './data-directory.js';
import { type Database, ormOptions } from './orm.js';
import type { DatabaseSettings } from './settings.js';

/**
 * Opens the database as it is, with one connection, to look at it: nothing is created, awaited or required. Throws
 * `StartupError` when another process holds the data directory, or when there is no embedded database in it yet.
 */
export async function openForInspection(settings: DatabaseSettings): Promise<Pick<Database, 'em' | 'close'>> {
  const release = settings.url === undefined ? await claimExisting(settings.dataDir) : () => undefined;
  try {
    const orm = await MikroORM.init(ormOptions({ ...settings, poolMax: 1 }));
    const close = async (): Promise<void> => {
      await orm.close(true);
      release();
    };
    return { em: orm.em.fork() as SqlEntityManager, close };
  } catch (cause) {
    release();
    throw cause;
  }
}

async function claimExisting(dataDir: string): Promise<() => void> {
  if (existsSync(embeddedPath(dataDir))) return claimDataDirectory(dataDir);
  throw new StartupError('There is no embedded database yet: the first start makes it.');
}
