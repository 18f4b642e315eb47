import { ConsentedScopesDocument, MeDocument, RenewAccessTokenDocument } from '../generated/graphql.js';
import type { Ask } from './graphql-client.js';

const CLIENTS = 6;

/** Starts clients that send requests until they are stopped, which returns the responses and every failure. */
export function startSteadyLoad(ask: Ask, token: string) {
  const end = new AbortController();
  const failures: unknown[] = [];
  let responses = 0;
  const requests = [
    () => ask(MeDocument, {}, { token }),
    () => ask(ConsentedScopesDocument, {}, { token }),
    () => ask(RenewAccessTokenDocument, { input: {} }, { token }),
  ];
  const client = async (first: number): Promise<void> => {
    for (let at = first; !end.signal.aborted; at += 1) {
      try {
        const { status, text, errors } = (await requests[at % requests.length]?.()) ?? { errors: [0] };
        if (status !== 200 || errors.length > 0) failures.push({ status, text });
        responses += 1;
      } catch (error) {
        failures.push(error);
      }
    }
  };
  const clients = Promise.all(Array.from({ length: CLIENTS }, (_, index) => client(index)));
  return {
    stop: async () => {
      end.abort();
      await clients;
      return { responses, failures };
    },
  };
}
