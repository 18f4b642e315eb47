import type { Mutation } from './mutation.js';
import { vault } from './vault.js';

/** Every mutation, by the room of the sources that it changes. */
export const MUTATIONS: Readonly<Record<string, readonly Mutation[]>> = { vault };
