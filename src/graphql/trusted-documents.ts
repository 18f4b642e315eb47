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
  const texts = new Set([...byId.values()].map(normalise));
  return (request) => {
    const id = idOf(request);
    if (id !== undefined) return byId.get(id);
    const { query } = request;
    return typeof query === 'string' && texts.has(normalise(query)) ? query : undefined;
  };
}

function readManifest(path: string): Map<string, string> {
  try {
    const manifest: unknown = JSON.parse(readFileSync(path, 'utf8'));
    if (typeof manifest !== 'object' || manifest === null) throw new Error('not an object');
    return new Map(Object.entries(manifest).map(([id, text]) => [id, String(text)]));
  } catch (cause) {
    throw new StartupError('TRUSTED_DOCUMENTS names no manifest of documents that can be read.', { cause });
  }
}

function idOf({ documentId, extensions }: DocumentRequest): string | undefined {
  if (typeof documentId === 'string') return documentId.replace(/^sha256:/, '');
  if (typeof extensions !== 'object' || extensions === null || !('persistedQuery' in extensions))
    return undefined;
  const { persistedQuery } = extensions;
  if (typeof persistedQuery !== 'object' || persistedQuery === null || !('sha256Hash' in persistedQuery))
    return undefined;
  return String(persistedQuery.sha256Hash);
}

/** White space and comments make no other document. Text that does not parse is nobody's. */
function normalise(text: string): string {
  try {
    return print(parse(text, { noLocation: true, maxTokens: 5_000 }));
  } catch {
    return '';
  }
}
