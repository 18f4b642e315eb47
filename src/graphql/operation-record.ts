import { asObject, asObjects, asText, parseObject } from '../json.js';

/** What the log and the metrics learn of a request to GraphQL: never its document or its variables. */
export interface OperationRecord {
  /** When Apollo Server began with it, by `performance.now()`; undefined for a request that it never processed. */
  startedAt: number | undefined;
  /** `query`, `mutation` or `subscription`; undefined unless a valid document has this operation. */
  type: string | undefined;
  /** A GraphQL name of any length that the client chose; undefined for an anonymous operation. */
  name: string | undefined;
  /** The codes of the response's errors, each one once. */
  codes: readonly string[];
}

const NO_CODES: readonly string[] = [];

/** The record of a request that has just arrived. */
export function createOperationRecord(): OperationRecord {
  return { startedAt: undefined, type: undefined, name: undefined, codes: NO_CODES };
}

/** Adds the codes of errors of the response. */
export function addCodes(record: OperationRecord, errors: readonly object[]): void {
  const codes = asObjects(errors).map(({ extensions }) => asText(asObject(extensions)?.['code']));
  record.codes = [...new Set([...record.codes, ...codes.filter((code) => code !== undefined)])];
}

/**
 * Adds the codes of a response without an operation: Apollo Server rejects what is no GraphQL request before its
 * plugins see it.
 */
export function addRejection(record: OperationRecord, body: string): void {
  if (record.startedAt === undefined) addCodes(record, asObjects(parseObject(body)?.['errors']));
}
