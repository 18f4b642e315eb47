/** A time that is known to lie between two others, in milliseconds since the epoch. */
export interface Between {
  readonly from: number;
  readonly to: number;
}

/** By how many milliseconds a clock is at least ahead of ours (negative: behind); 0 when both may agree. */
export function leastSkew(theirs: Between, ours: Between): number {
  if (theirs.from > ours.to) return theirs.from - ours.to;
  return theirs.to < ours.from ? theirs.to - ours.from : 0;
}

/** Such as "90 s ahead of this machine". */
export function describeSkew(skewMs: number): string {
  const seconds = Math.round(Math.abs(skewMs) / 1_000);
  return `${seconds} s ${skewMs > 0 ? 'ahead of' : 'behind'} this machine`;
}

/** What to do about it. */
export const SET_CLOCKS = 'Let both machines set their clocks from the network (NTP).';
