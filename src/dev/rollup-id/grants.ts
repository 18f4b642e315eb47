/** The grant of one identity to the application. The state file stores it with these names. */
export interface GrantRecord {
  sub: string;
  /** The scope sets approved since the last revocation. */
  approvals: string[][];
  /** Time of the last approval, in milliseconds. */
  approvedAt: number;
  revoked: boolean;
  /** `jti` of the refresh tokens issued since the last revocation. */
  issued: string[];
  /** `jti` of the refresh tokens issued before it, which are revoked. */
  refused: string[];
}

/** The grants to the application, by identity. */
export class Grants {
  readonly #records = new Map<string, GrantRecord>();

  constructor(records: readonly GrantRecord[] = []) {
    for (const record of records) this.#records.set(record.sub, record);
  }

  /** Records an approval; `at` in milliseconds. */
  approve(sub: string, scopes: readonly string[], at: number): void {
    const record = this.#getOrCreate(sub);
    record.revoked = false;
    record.approvedAt = at;
    if (!this.covers(sub, scopes)) record.approvals.push([...scopes]);
  }

  /** Whether one earlier approval has all these scopes, so that no consent screen is needed. */
  covers(sub: string, scopes: readonly string[]): boolean {
    const approvals = this.#records.get(sub)?.approvals ?? [];
    return approvals.some((approved) => scopes.every((scope) => approved.includes(scope)));
  }

  /** Time of the last approval, in milliseconds; undefined without an approval. */
  approvedAt(sub: string): number | undefined {
    const record = this.#records.get(sub);
    return record !== undefined && record.approvals.length > 0 ? record.approvedAt : undefined;
  }

  /** Records an issued refresh token. */
  addRefreshToken(sub: string, jti: string): void {
    this.#getOrCreate(sub).issued.push(jti);
  }

  /** Revokes the grant and its refresh tokens. */
  revoke(sub: string): void {
    const record = this.#getOrCreate(sub);
    record.revoked = true;
    record.approvals = [];
    record.refused.push(...record.issued.splice(0));
  }

  /** Whether the identity revoked the application and has not approved it again. */
  isRevoked(sub: string): boolean {
    return this.#records.get(sub)?.revoked ?? false;
  }

  /** Whether the grant was revoked after this refresh token was issued. */
  isRefreshTokenRevoked(sub: string, jti: string | undefined): boolean {
    const record = this.#records.get(sub);
    return record !== undefined && (record.revoked || (jti !== undefined && record.refused.includes(jti)));
  }

  /** Deletes all grants. */
  clear(): void {
    this.#records.clear();
  }

  /** The records, for the state file. */
  toJSON(): GrantRecord[] {
    return [...this.#records.values()];
  }

  #getOrCreate(sub: string): GrantRecord {
    const known = this.#records.get(sub);
    if (known !== undefined) return known;
    const record = { sub, approvals: [], approvedAt: 0, revoked: false, issued: [], refused: [] };
    this.#records.set(sub, record);
    return record;
  }
}
