import { isIPv6 } from 'node:net';
import { Redis } from 'ioredis';
import {
  RateLimiterMemory,
  RateLimiterRedis,
  RateLimiterRes,
  type RateLimiterAbstract,
} from 'rate-limiter-flexible';
import { RateLimitedError } from '../errors.js';

/** How many a minute, for each signed-in subject and for each address. */
export interface RateLimits {
  readonly subjectPerMinute: number;
  readonly addressPerMinute: number;
  /** Shared by several processes; without it each counts for itself. */
  readonly redisUrl: string | undefined;
}

/** Who is counted. */
export interface Caller {
  readonly address: string;
  readonly subject: string | undefined;
}

/** Counts what callers do. */
export interface RateLimiter {
  /** Throws `RateLimitedError` when a caller has no room for `points` more. */
  consume(caller: Caller, points: number): Promise<void>;
  close(): Promise<void>;
}

/**
 * Counts in Redis when there is one, in memory otherwise. While Redis is away each process counts in memory: a
 * limiter that fails must neither lock everybody out nor let everything through.
 */
export function createRateLimiter(limits: RateLimits, onError: (error: unknown) => void): RateLimiter {
  const redis = limits.redisUrl === undefined ? undefined : connect(limits.redisUrl, onError);
  const bySubject = limiter('subject', limits.subjectPerMinute, redis);
  const byAddress = limiter('address', limits.addressPerMinute, redis);
  return {
    async consume({ address, subject }, points) {
      await consume(byAddress, networkOf(address), points);
      if (subject !== undefined) await consume(bySubject, subject, points);
    },
    close: async () => redis?.disconnect(),
  };
}

/**
 * Whom an address stands for: an IPv4 address for itself, an IPv6 address for its network of 64 bits, which is the
 * least that anybody is given (RFC 6177).
 */
function networkOf(address: string): string {
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*$/, '');
  if (!isIPv6(plain)) return plain;
  const [head = '', tail] = plain.split('::');
  const groups = head === '' ? [] : head.split(':');
  const zeros = tail === undefined ? 0 : 8 - groups.length - tail.split(':').length;
  return [...groups, ...Array<string>(Math.max(0, zeros)).fill('0')].slice(0, 4).join(':');
}

function connect(url: string, onError: (error: unknown) => void): Redis {
  const redis = new Redis(url, {
    enableOfflineQueue: false,
    maxRetriesPerRequest: 1,
    commandTimeout: 500,
    // A connection over which nothing comes is given up; what was not answered was counted elsewhere by then.
    socketTimeout: 2_000,
    autoResendUnfulfilledCommands: false,
  });
  redis.on('error', onError);
  return redis;
}

function limiter(kind: string, points: number, redis: Redis | undefined): RateLimiterAbstract {
  const options = { keyPrefix: `rollup-accounts:${kind}`, points, duration: 60 };
  const memory = new RateLimiterMemory(options);
  return redis ? new RateLimiterRedis({ ...options, storeClient: redis, insuranceLimiter: memory }) : memory;
}

async function consume(limiter: RateLimiterAbstract, key: string, points: number): Promise<void> {
  try {
    await limiter.consume(key, points);
  } catch (refused) {
    if (refused instanceof RateLimiterRes) throw new RateLimitedError(Math.max(1, refused.msBeforeNext));
    throw refused;
  }
}
