import { randomBytes } from 'node:crypto';

/** How long a code can be exchanged, in milliseconds. */
export const CODE_LIFETIME_MS = 120_000;

/** What a code stands for; it is bound to a client and to nothing else. */
export interface CodeRecord {
  clientId: string;
  readonly sub: string;
  readonly scopes: readonly string[];
  /** In milliseconds. */
  readonly issuedAt: number;
}

/** The authorization codes. Exchanging one does not use it up: only its 120 seconds end it. */
export class Codes {
  private readonly records = new Map<string, CodeRecord>();

  /** A new code, `0x` and 48 hexadecimal digits. */
  issue(record: CodeRecord): string {
    const code = `0x${randomBytes(24).toString('hex')}`;
    this.records.set(code, record);
    return code;
  }

  /** The record of a code that has not expired; `now` in milliseconds. */
  find(code: string, now: number): CodeRecord | undefined {
    const record = this.records.get(code);
    if (record === undefined || now - record.issuedAt < CODE_LIFETIME_MS) return record;
    this.records.delete(code);
    return undefined;
  }

  /** Ends a code before its time. */
  wipe(code: string): void {
    this.records.delete(code);
  }

  /** Ends all codes. */
  clear(): void {
    this.records.clear();
  }
}
