/** A request that is rejected before execution, with this HTTP status. */
export class HttpError extends Error {
  readonly statusCode: number;
  constructor(statusCode: number) {
    super(`rejected with ${statusCode}`);
    this.statusCode = statusCode;
  }
}
