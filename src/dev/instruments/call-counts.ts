/** The endpoints whose calls are counted; `exchange` and `refresh` are the two uses of `/token`. */
export type CountedCall = 'discovery' | 'jwks' | 'authorize' | 'exchange' | 'refresh' | 'userinfo' | 'galaxy';

/** Requests per endpoint, counted on arrival and whether or not they succeed. */
export class CallCounts {
  discovery = 0;
  jwks = 0;
  authorize = 0;
  exchange = 0;
  refresh = 0;
  userinfo = 0;
  galaxy = 0;
  /** Refresh calls by the unverified `sub` of the presented token. */
  readonly refreshesBySub = new Map<string, number>();

  /** Counts one call; `sub` is used for a refresh only. */
  count(call: CountedCall, sub?: string): void {
    this[call] += 1;
    if (call === 'refresh' && sub !== undefined) {
      this.refreshesBySub.set(sub, (this.refreshesBySub.get(sub) ?? 0) + 1);
    }
  }

  /** The refresh calls made for one identity. */
  refreshesOf(sub: string): number {
    return this.refreshesBySub.get(sub) ?? 0;
  }

  /** Sets every count to zero. */
  reset(): void {
    this.discovery = this.jwks = this.authorize = this.exchange = 0;
    this.refresh = this.userinfo = this.galaxy = 0;
    this.refreshesBySub.clear();
  }
}
