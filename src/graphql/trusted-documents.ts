import { readFileSync } from 'node:fs';
import { parse, print } from 'graphql';
import { StartupError } from '../errors.js';
import { asObject, parseObject } from '../json.js';

/** The parts of a GraphQL-over-HTTP request that name its document. */
export interface DocumentRequest {
  readonly query?: unknown;
  readonly documentId?: unknown;
  readonly extensions?: unknown;
}

/** Finds the trusted document that a request names, by id or by text; undefined when there is none. */
export type FindDocument = (request: DocumentRequest) => string | undefined;

/**
 * Reads the manifest that the code generator writes: a JSON object of SHA-256 (hex) to document text.
 *
 * Throws `StartupError` when it cannot be read. An id is `documentId`, with or without the prefix `sha256:`,
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
    const manifest = asObject(JSON.parse(readFileSync(path, 'utf8')));
    if (!manifest) throw new Error('not an object');
    return new Map(Object.entries(manifest).map(([id, text]) => [withoutPrefix(id), requireDocument(text)]));
  } catch (cause) {
    throw new StartupError('TRUSTED_DOCUMENTS names no manifest of documents that can be read.', { cause });
  }
}

function idOf({ documentId, extensions }: DocumentRequest): string | undefined {
  if (typeof documentId === 'string') return withoutPrefix(documentId);
  // In a query string `extensions` is JSON text.
  const object = typeof extensions === 'string' ? parseObject(extensions) : asObject(extensions);
  const hash = asObject(object?.['persistedQuery'])?.['sha256Hash'];
  return typeof hash === 'string' ? withoutPrefix(hash) : undefined;
}

function withoutPrefix(id: string): string {
  return id.replace(/^sha256:/, '');
}

function requireDocument(text: unknown): string {
  if (typeof text === 'string' && normalise(text) !== undefined) return text;
  throw new Error('not a document');
}

/** The document without insignificant white space and comments; undefined for text that does not parse. */
function normalise(text: string): string | undefined {
  try {
    return print(parse(text, { noLocation: true }));
  } catch {
    return undefined;
  }
}
