import { randomBytes } from 'node:crypto';

/** How long a code can be exchanged, in milliseconds. */
const CODE_LIFETIME_MS = 120_000;

/** The grant behind a code, bound to a client but not to a redirect URI. */
interface CodeRecord {
  clientId: string;
  readonly sub: string;
  readonly scopes: readonly string[];
  /** In milliseconds. */
  readonly issuedAt: number;
}

/** The authorization codes. An exchange does not consume a code: it is valid until it expires. */
export class AuthorizationCodes extends Map<string, CodeRecord> {
  /** Issues a code: `0x` and 48 hexadecimal digits. */
  issue(record: CodeRecord): string {
    const code = `0x${randomBytes(24).toString('hex')}`;
    this.set(code, record);
    return code;
  }

  /** The record of an unexpired code; `now` in milliseconds. */
  find(code: string, now: number): CodeRecord | undefined {
    const record = this.get(code);
    if (record === undefined || now - record.issuedAt < CODE_LIFETIME_MS) return record;
    this.delete(code);
    return undefined;
  }
}
