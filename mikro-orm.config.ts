import { Migrator } from '@mikro-orm/migrations';
import { loadDatabaseConfig } from './src/config.js';
import { claimDataDirectory } from './src/database/data-directory.js';
import { openDatabase, ormOptions } from './src/database/orm.js';

const settings = loadDatabaseConfig(process.env);
if (settings.url === undefined) process.once('exit', await claimDataDirectory(settings.dataDir));

// Its migrator would create a database that does not exist.
if (settings.url !== undefined) await (await openDatabase(settings)).close();

/** For the MikroORM command line (`npm run mikro-orm`): the server's own options, from the same settings. */
export default { ...ormOptions(settings), extensions: [Migrator] };
