import type { Mutation } from './mutation.js';

/** Mutations of the budget and the cache of Galaxy. */
export const galaxy: readonly Mutation[] = [
  {
    breaks: 'accounts with a stale response spend the whole budget',
    file: 'src/galaxy/galaxy-budget.repository.ts',
    from: 'lowPriority ? Math.ceil(perMinute / 2) : perMinute',
    to: 'perMinute',
    test: 'test/api/consented-data.cases.ts',
    title: 'of more accounts than the budget',
  },
  {
    breaks: 'the window of the budget is half a minute: slots in use',
    file: 'src/galaxy/galaxy-budget.repository.ts',
    from: "where taken_at > (select clock_timestamp() - interval '1 minute')",
    to: "where taken_at > (select clock_timestamp() - interval '30 seconds')",
    test: 'test/galaxy/galaxy-budget.cases.ts',
    title: 'a request of the last minute counts after',
  },
  {
    breaks: 'the window of the budget is half a minute: the wait',
    file: 'src/galaxy/galaxy-budget.repository.ts',
    from: "taken_at + interval '1 minute'",
    to: "taken_at + interval '30 seconds'",
    test: 'test/galaxy/galaxy-budget.cases.ts',
    title: 'a slot is free again after a minute',
  },
  {
    breaks: 'a reduced budget is spent twice',
    file: 'src/galaxy/galaxy-budget.repository.ts',
    from: 'taken) < ?',
    to: 'taken) < ? + 1000',
    test: 'test/api/galaxy-budget.cases.ts',
    title: 'that was reduced counts the requests before the reduction',
  },
  {
    breaks: 'the window of the budget is half a minute: a slot is free',
    file: 'src/galaxy/galaxy-budget.repository.ts',
    from: "taken_at <= clock_timestamp() - interval '1 minute'",
    to: "taken_at <= clock_timestamp() - interval '30 seconds'",
    test: 'test/galaxy/galaxy-budget.cases.ts',
    title: 'a request of the last minute is not forgotten',
  },
  {
    breaks: 'a stale response is served for ever',
    file: 'src/galaxy/galaxy-cache.ts',
    from: 'this.#now() - cached.fetchedAt < this.#staleMs ? cached',
    to: 'true ? cached',
    test: 'test/api/galaxy-budget.cases.ts',
    title: 'that is exhausted leaves the cached response',
  },
  {
    breaks: 'a stale response hides a rejected key',
    file: 'src/galaxy/galaxy-reader.ts',
    from: 'const temporary = error instanceof RateLimitedError || error instanceof ProviderUnavailableError;',
    to: 'const temporary = error instanceof AppError;',
    test: 'test/api/galaxy-budget.cases.ts',
    title: 'a rejected key is an error even',
  },
  {
    breaks: 'concurrent readers of an account send a request each',
    file: 'src/galaxy/galaxy-reader.ts',
    from: 'await this.#inFlight.run(accountId, () => this.#fetch(accountId))',
    to: 'await this.#fetch(accountId)',
    test: 'test/api/galaxy-budget.cases.ts',
    title: 'is used once by a hundred',
  },
];
