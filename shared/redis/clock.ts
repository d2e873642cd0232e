// Follows the clock of Redis: asks for it at the start and then every second, and corrects our own
// (clock.ts). If ours differs by more than a second, the log says so. Redis has the list of all
// processes whose clocks differ so much, for the readiness of the API.

import os from 'node:os';
import { correctClock, machineNowMs, nowMs } from '../clock.js';
import { ClockEstimate } from '../clock-estimate.js';
import type { Logger } from '../process/log.js';
import type { Keys } from './keys.js';
import type { Redis } from './redis.js';

const everyMs = 1000;
const disagreeMs = 1000;
/** How long a process is listed after it has last said that its clock differs. */
const listedMs = 10_000;

export interface RedisClockOptions {
  readonly redis: Redis;
  readonly keys: Keys;
  readonly role: 'api' | 'worker';
  readonly log: Logger;
  /** Is told how long Redis took to answer. */
  readonly onRoundTrip?: ((ms: number) => void) | undefined;
}

export class RedisClock {
  readonly #options: RedisClockOptions;
  readonly #estimate = new ClockEstimate();
  readonly #timer: NodeJS.Timeout;
  #isAsking = false;
  /** What Redis lists about us. */
  #listed: string | undefined;

  private constructor(options: RedisClockOptions) {
    this.#options = options;
    this.#timer = setInterval(() => void this.#follow().catch(() => {}), everyMs);
  }

  /** Corrects our clock if Redis answers, and follows that of Redis from now on. */
  static async open(options: RedisClockOptions): Promise<RedisClock> {
    const clock = new RedisClock(options);
    await clock.#follow().catch(() => {});
    return clock;
  }

  /** What is wrong with our clock, and what to do about it; undefined if nothing is. */
  get warning(): string | undefined {
    return this.#listed;
  }

  /** Returns the warnings of all processes. */
  async readWarnings(): Promise<string[]> {
    const { redis, keys } = this.#options;
    return redis.zrangebyscore(keys.clocks, Math.floor(nowMs()), '+inf');
  }

  close(): void {
    clearInterval(this.#timer);
    // Not awaited: what stays behind expires.
    if (this.#listed !== undefined) {
      this.#options.redis.zrem(this.#options.keys.clocks, this.#listed).catch(() => {});
    }
  }

  async #follow(): Promise<void> {
    // While Redis is away, one question waits for it. More would pile up.
    if (this.#isAsking) return;
    this.#isAsking = true;
    try {
      const askedAtMs = machineNowMs();
      const sentAtMs = performance.now();
      const [seconds, microseconds] = await this.#options.redis.time();
      this.#options.onRoundTrip?.(performance.now() - sentAtMs);
      const otherMs = Number(seconds) * 1000 + Number(microseconds) / 1000;
      this.#estimate.add({ askedAtMs, otherMs, answeredAtMs: machineNowMs() });
      correctClock(this.#estimate.aheadMs);
      await this.#list();
    } finally {
      this.#isAsking = false;
    }
  }

  /** Keeps the list in Redis, and says in the log when our clock begins or ceases to differ. */
  async #list(): Promise<void> {
    const { redis, keys, role, log } = this.#options;
    const { aheadMs } = this.#estimate;
    const before = this.#listed;
    this.#listed = Math.abs(aheadMs) > disagreeMs ? describe(role, aheadMs) : undefined;
    if (this.#listed !== undefined && before === undefined) {
      log.warn(
        { aheadMs: Math.round(aheadMs) },
        "the clock of this machine is not that of Redis; deadlines follow Redis' clock. Set the clocks right, for example by NTP",
      );
    }
    if (this.#listed === undefined && before !== undefined) {
      log.info('the clock of this machine is that of Redis again');
    }
    if (this.#listed === undefined && before === undefined) return;
    const commands = redis.pipeline();
    const now = Math.floor(nowMs());
    commands.zremrangebyscore(keys.clocks, '-inf', now);
    if (before !== undefined) commands.zrem(keys.clocks, before);
    if (this.#listed !== undefined) commands.zadd(keys.clocks, now + listedMs, this.#listed);
    commands.pexpire(keys.clocks, 2 * listedMs);
    await commands.exec();
  }
}

function describe(role: string, aheadMs: number): string {
  const seconds = (Math.abs(aheadMs) / 1000).toFixed(1);
  const where = `${role} ${process.pid} on ${os.hostname()}`;
  return `The clock of ${where} is ${seconds} s ${aheadMs > 0 ? 'ahead of' : 'behind'} that of Redis. Set it right, for example by NTP.`;
}
