#!/usr/bin/env node
import { oldNode } from './node-version.js';

// Imports are evaluated first, and on an older Node they fail: the rest is imported after the check.
const problem = oldNode(process.versions.node);
if (problem === undefined) {
  const { runCommandLine } = await import('./program.js');
  const exitCode = await runCommandLine(process.argv.slice(2), process.env);
  if (exitCode !== undefined) process.exit(exitCode);
} else {
  process.stderr.write(`rollup-accounts: ${problem}\n`);
  process.exitCode = 1;
}
