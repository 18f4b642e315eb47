/** What happened at a refresh, for logs and metrics; never a token. Durations in milliseconds. */
export type RefreshEvent = { readonly accountId: string } & (
  | { readonly type: 'taken_over' | 'grant_dead' | 'subject_changed' | 'response_lost' | 'response_kept' }
  | { readonly type: 'refreshed' | 'superseded'; readonly durationMs: number }
  | {
      readonly type: 'failed';
      readonly cause: unknown;
      readonly durationMs: number;
      readonly backOffMs: number;
    }
  | {
      readonly type: 'misconfigured' | 'seal_broken' | 'key_missing' | 'not_recorded';
      readonly cause: unknown;
    }
);
