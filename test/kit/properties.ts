import fc from 'fast-check';
import { RUNS, SEED } from './random.js';

/** Random cases of a property by default. */
const CASES = 100;

fc.configureGlobal({ seed: SEED, numRuns: CASES * RUNS });

/** fast-check with the seed of the suite: the same cases in every run, unless `TEST_SEED` sets another. */
export { default as fc } from 'fast-check';
