import { ConsentedScopesDocument, MeDocument, RenewAccessTokenDocument } from '../generated/graphql.js';
import type { Ask } from './graphql-client.js';

/** Requests that go on while something else happens. */
export interface Load {
  /** Whether its time is over. */
  over(): boolean;
  /** How many were answered, and everything that was not as it should be. */
  readonly done: Promise<{ readonly answered: number; readonly failures: readonly unknown[] }>;
}

const CLIENTS = 6;

/** Clients that ask again and again until the time is over, each over its own connection. */
export function startSteadyLoad(ask: Ask, token: string, forMs: number): Load {
  const end = performance.now() + forMs;
  const over = (): boolean => performance.now() >= end;
  const failures: unknown[] = [];
  let answered = 0;
  const requests = [
    () => ask(MeDocument, {}, { token }),
    () => ask(ConsentedScopesDocument, {}, { token }),
    () => ask(RenewAccessTokenDocument, { input: {} }, { token }),
  ];
  const client = async (first: number): Promise<void> => {
    for (let at = first; !over(); at += 1) {
      try {
        const { status, text, errors } = (await requests[at % requests.length]?.()) ?? { errors: [0] };
        if (status !== 200 || errors.length > 0) failures.push({ status, text });
        answered += 1;
      } catch (error) {
        failures.push(error, performance.now() - end + forMs);
      }
    }
  };
  const clients = Promise.all(Array.from({ length: CLIENTS }, (_, index) => client(index)));
  return { over, done: clients.then(() => ({ answered, failures })) };
}
