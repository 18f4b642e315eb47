import { Agent, request } from 'node:http';

/** `fetch` would cost the load generator as much as the server spends on a query. */
const agent = new Agent({ keepAlive: true });

/** Posts over a kept connection; resolves with the body. Throws unless the response is 200. */
export function post(
  url: string,
  body: string,
  headers: Readonly<Record<string, string | number>>,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { method: 'POST', agent, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (text += chunk));
      response.once('error', reject);
      response.once('end', () =>
        response.statusCode === 200 ? resolve(text) : reject(new Error(`${response.statusCode} ${text}`)),
      );
    });
    sent.once('error', reject);
    sent.end(body);
  });
}

/** The data of a GraphQL operation. Throws when it fails, also by `userErrors`. */
export async function ask<Data>(
  url: string,
  query: string,
  variables: unknown,
  bearer?: string,
): Promise<Data> {
  const text = await post(`${url}/graphql`, JSON.stringify({ query, variables }), {
    'content-type': 'application/json',
    accept: 'application/graphql-response+json',
    ...(bearer !== undefined && { authorization: `Bearer ${bearer}` }),
  });
  const { data, errors } = JSON.parse(text) as { data: Data; errors?: unknown[] };
  // The one field of that name is a user error's.
  if (errors || text.includes('"code"')) throw new Error(text);
  return data;
}
