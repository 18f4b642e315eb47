import { join } from 'node:path';
import process from 'node:process';
import { readOrCreateKeys } from '../../dist/dev/generated-keys.js';

/** Reads or generates the keys of a hundred directories, and replies with them. */
process.on('message', (directory) => {
  process.send(Array.from({ length: 100 }, (_, index) => readOrCreateKeys(join(directory, String(index)))));
  process.disconnect();
});
process.send('ready');
