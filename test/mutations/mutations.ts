import { accounts } from './accounts.js';
import { answers } from './answers.js';
import { cli } from './cli.js';
import { database } from './database.js';
import { dev } from './dev.js';
import { galaxy } from './galaxy.js';
import { graphql } from './graphql.js';
import { http } from './http.js';
import { keys } from './keys.js';
import type { Mutation } from './mutation.js';
import { process } from './process.js';
import { revocations } from './revocations.js';
import { rollup } from './rollup.js';
import { settings } from './settings.js';
import { tokens } from './tokens.js';
import { vault } from './vault.js';

/** Every mutation, by the room of the sources that it changes. */
export const MUTATIONS: Readonly<Record<string, readonly Mutation[]>> = {
  accounts,
  answers,
  cli,
  database,
  dev,
  galaxy,
  graphql,
  http,
  keys,
  process,
  revocations,
  rollup,
  settings,
  tokens,
  vault,
};
