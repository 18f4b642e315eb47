import type { Mutation } from './mutation.js';

/** Mutations of the vault. */
export const vault: readonly Mutation[] = [
  {
    breaks: 'a dead grant leaves the circuit open',
    file: 'src/vault/circuit-breaker.ts',
    from: '} else if (error instanceof GrantDeadError) {',
    to: '} else if (false) {',
    test: 'test/vault/circuit-breaker.cases.ts',
    title: 'because the credentials were accepted',
  },
];
