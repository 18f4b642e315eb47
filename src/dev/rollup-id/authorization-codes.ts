import { randomBytes } from 'node:crypto';

/** How long a code can be exchanged, in milliseconds. */
export const CODE_LIFETIME_MS = 120_000;

/** The grant behind a code, bound to a client but not to a redirect URI. */
export interface CodeRecord {
  clientId: string;
  readonly sub: string;
  readonly scopes: readonly string[];
  /** In milliseconds. */
  readonly issuedAt: number;
}

/** The authorization codes. An exchange does not consume a code: it is valid until it expires. */
export class AuthorizationCodes {
  readonly #records = new Map<string, CodeRecord>();

  /** Issues a code: `0x` and 48 hexadecimal digits. */
  issue(record: CodeRecord): string {
    const code = `0x${randomBytes(24).toString('hex')}`;
    this.#records.set(code, record);
    return code;
  }

  /** The record of an unexpired code; `now` in milliseconds. */
  find(code: string, now: number): CodeRecord | undefined {
    const record = this.#records.get(code);
    if (record === undefined || now - record.issuedAt < CODE_LIFETIME_MS) return record;
    this.#records.delete(code);
    return undefined;
  }

  /** Deletes a code before it expires. */
  delete(code: string): void {
    this.#records.delete(code);
  }

  /** Deletes all codes. */
  clear(): void {
    this.#records.clear();
  }
}
