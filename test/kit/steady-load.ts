import { ConsentedScopesDocument, MeDocument, RenewAccessTokenDocument } from '../generated/graphql.js';
import type { Ask } from './graphql-client.js';

const CLIENTS = 6;

/** Starts clients that send requests for `forMs` milliseconds; the result has the responses and every failure. */
export function startSteadyLoad(ask: Ask, token: string, forMs: number) {
  const end = performance.now() + forMs;
  const isDone = (): boolean => performance.now() >= end;
  const failures: unknown[] = [];
  let responses = 0;
  const requests = [
    () => ask(MeDocument, {}, { token }),
    () => ask(ConsentedScopesDocument, {}, { token }),
    () => ask(RenewAccessTokenDocument, { input: {} }, { token }),
  ];
  const client = async (first: number): Promise<void> => {
    for (let at = first; !isDone(); at += 1) {
      try {
        const { status, text, errors } = (await requests[at % requests.length]?.()) ?? { errors: [0] };
        if (status !== 200 || errors.length > 0) failures.push({ status, text });
        responses += 1;
      } catch (error) {
        failures.push(error, performance.now() - end + forMs);
      }
    }
  };
  const clients = Promise.all(Array.from({ length: CLIENTS }, (_, index) => client(index)));
  return { isDone, result: clients.then(() => ({ responses, failures })) };
}
