import { loadDatabaseConfig } from './src/config.js';
import { ormOptions } from './src/database/orm.js';

/** For the MikroORM command line (`npx mikro-orm`): the same options as the server's, from the same settings. */
export default ormOptions(loadDatabaseConfig(process.env));
