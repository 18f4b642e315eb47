import process from 'node:process';
import { claimDataDirectory } from '../../dist/database/data-directory.js';

/**
 * Claims the data directory that a message names, or releases the one that it holds, and replies. Once its parent is
 * gone nothing keeps it alive, not even a lock.
 */
let release = () => {};

process.on('message', async ({ claim }) => {
  if (claim === undefined) {
    release();
    process.send({ outcome: 'released' });
    return;
  }
  try {
    release = await claimDataDirectory(claim);
    process.send({ outcome: 'holding', pid: process.pid });
  } catch (error) {
    process.send({ outcome: error.message, pid: process.pid });
  }
});
