const NO_CALLS = { authorize: 0, exchange: 0, refresh: 0, userinfo: 0, discovery: 0, jwks: 0, galaxy: 0 };

/** The endpoints whose calls are counted; `exchange` and `refresh` are the two uses of `/token`. */
export type CountedCall = keyof typeof NO_CALLS;
export const COUNTED_CALLS = Object.keys(NO_CALLS) as CountedCall[];

/** Requests per endpoint, counted on arrival and whether or not they succeed. */
export function createCallCounts() {
  return {
    ...NO_CALLS,
    /** Refresh calls by the unverified `sub` of the presented token. */
    refreshesBySub: new Map<string, number>(),
    /** Counts one call; `sub` is used for a refresh only. */
    count(call: CountedCall, sub?: string): void {
      this[call] += 1;
      if (call === 'refresh' && sub !== undefined) this.refreshesBySub.set(sub, this.refreshesOf(sub) + 1);
    },
    refreshesOf(sub: string): number {
      return this.refreshesBySub.get(sub) ?? 0;
    },
    reset(): void {
      Object.assign(this, NO_CALLS);
      this.refreshesBySub.clear();
    },
  };
}
