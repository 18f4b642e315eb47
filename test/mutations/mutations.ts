import type { Mutation } from './mutation.js';
import { rollup } from './rollup.js';
import { vault } from './vault.js';

/** Every mutation, by the room of the sources that it changes. */
export const MUTATIONS: Readonly<Record<string, readonly Mutation[]>> = { rollup, vault };
