import type { DeepReadonly, SettingsReader } from '../settings-reader.js';

export type HttpSettings = DeepReadonly<ReturnType<typeof readHttpSettings>>;

/** The listener, its limits, and the rate limits. */
export function readHttpSettings(read: SettingsReader) {
  return {
    host: read.text('HOST', '127.0.0.1'),
    port: read.integer('PORT', 4000, 0, 65_535),
    corsOrigins: read.origins('CORS_ORIGINS'),
    maxHeaderBytes: read.integer('HTTP_MAX_HEADER_BYTES', 16_384, 1_024, 1_000_000),
    headersTimeoutMs: read.integer('HTTP_HEADERS_TIMEOUT_MS', 10_000, 100, 600_000),
    requestTimeoutMs: read.integer('HTTP_REQUEST_TIMEOUT_MS', 20_000, 100, 600_000),
    responseTimeoutMs: read.integer('HTTP_RESPONSE_TIMEOUT_MS', 30_000, 100, 600_000),
    operationTimeoutMs: read.integer('OPERATION_TIMEOUT_MS', 20_000, 1, 600_000),
    maxConcurrentRequests: read.integer('MAX_CONCURRENT_REQUESTS', 1_000, 1, 100_000),
    /** Addresses and CIDR blocks whose `X-Forwarded-*` headers are trusted. */
    trustProxy: read.addresses('TRUST_PROXY', []),
    metricsFrom: read.addresses('METRICS_FROM', ['127.0.0.1', '::1']),
    bodyLimitBytes: read.integer('BODY_LIMIT_BYTES', 100_000, 1_000, 10_000_000),
    shutdownGraceMs: read.integer('SHUTDOWN_GRACE_MS', 10_000, 0, 600_000),
    shutdownDelayMs: read.integer('SHUTDOWN_DELAY_MS', 500, 0, 600_000),
    /** Points a minute, for each signed-in subject and each address. */
    rateLimits: {
      subjectPerMinute: read.integer('RATE_LIMIT_SUBJECT', 600, 1, 1_000_000),
      addressPerMinute: read.integer('RATE_LIMIT_ADDRESS', 6_000, 1, 10_000_000),
      /** Shared by several processes; without it each process counts separately. */
      redisUrl: read.url('REDIS_URL', ['redis', 'rediss']),
    },
  };
}
