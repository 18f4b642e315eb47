import { Redis } from 'ioredis';
import {
  RateLimiterMemory,
  RateLimiterRedis,
  RateLimiterRes,
  type RateLimiterAbstract,
} from 'rate-limiter-flexible';
import { RateLimitedError } from '../errors.js';
import { networkOf } from '../network.js';
import type { HttpSettings } from './settings.js';

const WINDOW_SECONDS = 60;

/** The keys that are counted. */
export interface Caller {
  readonly address: string;
  readonly subject: string | undefined;
}

/** Limits the rate of callers. */
export interface RateLimiter {
  /** Throws `RateLimitedError` when `points` more exceed a limit of the caller. */
  consume(caller: Caller, points: number): Promise<void>;
  close(): Promise<void>;
}

/**
 * Counts in Redis when it is configured, in memory otherwise. While Redis is unreachable each process counts in
 * memory: a failing limiter must neither reject nor admit every request.
 */
export function createRateLimiter(
  limits: HttpSettings['rateLimits'],
  onError: (error: unknown) => void,
): RateLimiter {
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

function connect(url: string, onError: (error: unknown) => void): Redis {
  const redis = new Redis(url, {
    enableOfflineQueue: false,
    maxRetriesPerRequest: 1,
    commandTimeout: 500,
    // An idle connection is closed; commands without a reply were counted in memory by then.
    socketTimeout: 2_000,
    autoResendUnfulfilledCommands: false,
  });
  redis.on('error', onError);
  return redis;
}

function limiter(kind: string, points: number, redis: Redis | undefined): RateLimiterAbstract {
  const options = { keyPrefix: `rollup-accounts:${kind}`, points, duration: WINDOW_SECONDS };
  const memory = new RateLimiterMemory(options);
  return redis ? new RateLimiterRedis({ ...options, storeClient: redis, insuranceLimiter: memory }) : memory;
}

async function consume(limiter: RateLimiterAbstract, key: string, points: number): Promise<void> {
  try {
    await limiter.consume(key, points);
  } catch (rejection) {
    if (!(rejection instanceof RateLimiterRes)) throw rejection;
    // In memory the window ends by a timer, and what remains of it is told by a clock that may have been set back.
    throw new RateLimitedError(Math.min(Math.max(1, rejection.msBeforeNext), WINDOW_SECONDS * 1_000));
  }
}
