import process from 'node:process';

/**
 * Ends a worker of jest as soon as it has nothing left to do. Node would first take its heap apart, databases and all,
 * which takes longer than jest waits before it calls that a leak. A worker that something keeps awake does not come here.
 */
if (process.send) process.once('exit', () => process.kill(process.pid, 'SIGKILL'));
