import type { FastifyRequest } from 'fastify';

/** The absolute URL of a request. */
export function urlOf(request: FastifyRequest): URL {
  return new URL(request.url, originOf(request));
}

/** The origin of a request, which is the issuer of the tokens it gets. */
export function originOf(request: FastifyRequest): string {
  return `${request.protocol}://${request.host}`;
}

/** The fields of a URL-encoded or multipart form; none for any other body, JSON included. */
export async function readForm(request: FastifyRequest): Promise<URLSearchParams> {
  const { body } = request;
  const type = request.headers['content-type'] ?? '';
  if (!Buffer.isBuffer(body)) return new URLSearchParams();
  if (type.startsWith('application/x-www-form-urlencoded')) return new URLSearchParams(body.toString('utf8'));
  if (!type.startsWith('multipart/form-data')) return new URLSearchParams();
  try {
    const form = await new Response(new Uint8Array(body), { headers: { 'content-type': type } }).formData();
    const fields = new URLSearchParams();
    for (const [name, value] of form) if (typeof value === 'string') fields.append(name, value);
    return fields;
  } catch {
    return new URLSearchParams();
  }
}
