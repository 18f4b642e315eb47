import { readFileSync } from 'node:fs';
import { parse, print } from 'graphql';
import { StartupError } from '../errors.js';

/** The parts of a GraphQL-over-HTTP request that name its document. */
export interface DocumentRequest {
  readonly query?: unknown;
  readonly documentId?: unknown;
  readonly extensions?: unknown;
}

/** Finds the trusted document that a request asks for, by id or by text; undefined when there is none. */
export type FindDocument = (request: DocumentRequest) => string | undefined;

/**
 * Reads the manifest that the code generator writes: a JSON object of SHA-256 (hex) to document text.
 *
 * Throws `StartupError` when it cannot be read. An id may be `documentId`, with or without the prefix `sha256:`,
 * or `extensions.persistedQuery.sha256Hash` as Apollo's clients send it.
 */
export function readTrustedDocuments(path: string): FindDocument {
  const byId = readManifest(path);
  const texts = new Set([...byId.values()].map((text) => normalise(text)));
  return (request) => {
    const id = idOf(request);
    if (id !== undefined) return byId.get(id);
    const { query } = request;
    const text = typeof query === 'string' ? normalise(query) : undefined;
    return text !== undefined && texts.has(text) ? String(query) : undefined;
  };
}

function readManifest(path: string): Map<string, string> {
  try {
    const manifest: unknown = JSON.parse(readFileSync(path, 'utf8'));
    if (typeof manifest !== 'object' || manifest === null) throw new Error('not an object');
    const entries = Object.entries(manifest as Record<string, unknown>);
    return new Map(entries.map(([id, text]) => [withoutPrefix(id), requireDocument(text)]));
  } catch (cause) {
    throw new StartupError('TRUSTED_DOCUMENTS names no manifest of documents that can be read.', { cause });
  }
}

function idOf({ documentId, extensions }: DocumentRequest): string | undefined {
  if (typeof documentId === 'string') return withoutPrefix(documentId);
  const persisted = member(
    typeof extensions === 'string' ? parseJson(extensions) : extensions,
    'persistedQuery',
  );
  const hash = member(persisted, 'sha256Hash');
  return typeof hash === 'string' ? withoutPrefix(hash) : undefined;
}

function withoutPrefix(id: string): string {
  return id.replace(/^sha256:/, '');
}

function member(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}

/** In a query string `extensions` is JSON text; what cannot be read names nothing. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function requireDocument(text: unknown): string {
  if (typeof text === 'string' && normalise(text) !== undefined) return text;
  throw new Error('not a document');
}

/** White space and comments make no other document. Undefined for text that does not parse. */
function normalise(text: string): string | undefined {
  try {
    return print(parse(text, { noLocation: true }));
  } catch {
    return undefined;
  }
}
