import type { TypedDocumentString } from '../generated/graphql.js';

/** One entry of `errors`. */
export interface GraphqlError {
  readonly message: string;
  readonly path?: readonly (string | number)[];
  readonly extensions: Readonly<Record<string, unknown>>;
}

/** A response over HTTP. `data` has the type of the document only when `errors` is empty. */
export interface GraphqlResponse<Data> {
  readonly status: number;
  readonly headers: Headers;
  readonly data: Data;
  readonly errors: readonly GraphqlError[];
  /** The codes of the errors. */
  readonly codes: readonly unknown[];
  readonly text: string;
}

/** Sends an operation over real HTTP. */
export type Ask = <Data, Variables>(
  document: TypedDocumentString<Data, Variables> | string,
  variables?: Variables,
  options?: { readonly token?: string | undefined; readonly headers?: Readonly<Record<string, string>> },
) => Promise<GraphqlResponse<Data>>;

/** A client for the server at `url`. */
export function createGraphqlClient(url: string): Ask {
  return async <Data>(
    document: { toString(): string },
    variables?: unknown,
    { token, headers }: Parameters<Ask>[2] = {},
  ): Promise<GraphqlResponse<Data>> => {
    const response = await fetch(`${url}/graphql`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/graphql-response+json',
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
        ...headers,
      },
      body: JSON.stringify({ query: document.toString(), variables }),
    });
    const text = await response.text();
    const { data, errors = [] } = JSON.parse(text) as { data: Data; errors?: GraphqlError[] };
    const codes = errors.map(({ extensions }) => extensions?.['code']);
    return { status: response.status, headers: response.headers, data, errors, codes, text };
  };
}
