import process from 'node:process';

/**
 * Kills a jest worker at its exit event. Node would first tear down its heap, which takes longer than jest waits before
 * it reports a leak. A worker with open handles never emits `exit`, so real leaks are still reported.
 */
if (process.send) process.once('exit', () => process.kill(process.pid, 'SIGKILL'));
