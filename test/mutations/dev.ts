import type { Mutation } from './mutation.js';

/** Mutations of what is embedded in development. */
export const dev: readonly Mutation[] = [
  {
    breaks: 'generated keys are open to others',
    file: 'src/dev/embedded.ts',
    from: "flag: 'wx', mode: 0o600",
    to: "flag: 'wx', mode: 0o644",
    test: 'test/dev/embedded.test.ts',
    title: 'STO-25 is stored for its owner alone',
  },
  {
    breaks: 'the directory of generated keys is open to others',
    file: 'src/dev/embedded.ts',
    from: 'mode: 0o700',
    to: 'mode: 0o755',
    test: 'test/dev/embedded.test.ts',
    title: 'STO-25 is stored for its owner alone',
  },
  {
    breaks: 'ROLLUP_DEV_PORT is ignored',
    file: 'src/dev/provider-port.ts',
    from: '    return [port];',
    to: '    return [0];',
    test: 'test/dev/embedded-port.test.ts',
    title: 'is ROLLUP_DEV_PORT when that is set',
  },
  {
    breaks: 'a restart generates new keys',
    file: 'src/dev/embedded.ts',
    from: "flag: 'wx', mode: 0o600",
    to: "flag: 'w', mode: 0o600",
    test: 'test/dev/embedded.test.ts',
    title: 'survives a restart: the same keys and credentials',
  },
  {
    breaks: 'the credentials of the embedded provider are open to others',
    file: 'src/dev/rollup-id/state-file.ts',
    from: 'mode: 0o600',
    to: 'mode: 0o644',
    test: 'test/dev/embedded.test.ts',
    title: 'STO-25 is stored for its owner alone',
  },
];
