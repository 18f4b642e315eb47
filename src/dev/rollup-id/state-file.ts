import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { JWK } from 'jose';
import { parseObject } from '../../json.js';
import { replaceFile } from '../whole-file.js';
import type { GrantRecord } from './grants.js';

/** The credentials of the application. */
export interface Credentials {
  readonly clientId: string;
  readonly clientSecret: string;
  readonly galaxyKey: string;
}

/** The state that survives a restart. */
export interface StoredState extends Credentials {
  keys: JWK[];
  grants: GrantRecord[];
}

/** Reads the state of an earlier run; undefined without a file. Throws when the file is invalid. */
export function readState(path: string): StoredState | undefined {
  if (!existsSync(path)) return undefined;
  const state = parseObject(readFileSync(path, 'utf8'));
  if (!isStoredState(state)) throw new Error(`Not a state file of the embedded Rollup ID: ${path}`);
  return state;
}

/** Replaces the file atomically; only its owner can read it. */
export function writeState(path: string, state: StoredState): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  replaceFile(path, `${JSON.stringify(state, null, 2)}\n`);
}

function isStoredState(state: Partial<Record<keyof StoredState, unknown>> = {}): state is StoredState {
  const { clientId, clientSecret, galaxyKey, keys, grants } = state;
  const texts = [clientId, clientSecret, galaxyKey];
  return texts.every((text) => typeof text === 'string') && Array.isArray(keys) && Array.isArray(grants);
}
