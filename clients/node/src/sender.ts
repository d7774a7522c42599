/**
 * Brings what waits to Heliograph, in batches, one at a time.
 *
 * A batch has a number, and goes out unchanged until it is answered: so Heliograph, which has seen a number before, knows it again. Lines
 * that it could not take now become part of a new batch.
 */

import { randomBytes } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import { constants, gzip } from "node:zlib";

import { leave, stay } from "./exit.js";
import { Outbox } from "./outbox.js";
import type { Item, Lane } from "./outbox.js";
import { Post } from "./post.js";
import type { Settings } from "./settings.js";
import { pauseOf, verdictOf } from "./verdict.js";
import type { Refused, Settled, Verdict } from "./verdict.js";
import type { Warnings } from "./warnings.js";

/** What became of what was logged. */
export interface Counts {
  /** Waiting, or on its way. */
  queued: number;
  /** On Heliograph's durable ground. */
  sent: number;
  /** There was no room, or no time before the end. */
  dropped: number;
  /** Heliograph will not take it. */
  refused: number;
  /** It could not be written as JSON, or is too long. */
  unwritable: number;
}

const PATH = "/v1/log/batch";
const NUMBER = "Heliograph-Batch";
/** What Heliograph takes by a number. Only a call that is longer by itself goes without. */
const NUMBERED_BYTES = 4 << 20;
const MOST_LINES = 10_000;
const MOST_BYTES = 1 << 20;
const NONE: ReadonlySet<Item> = new Set();
const NEWLINE = Buffer.from("\n");
const EMPTY = Buffer.alloc(0);
const compressed = promisify(gzip);

interface Flush {
  /** The number of the item that was the newest when it began. */
  readonly until: number;
  readonly done: (all: boolean) => void;
}

export class Sender {
  readonly counts = { sent: 0, dropped: 0, refused: 0 };
  readonly #outbox: Outbox;
  readonly #post: Post;
  readonly #settings: Settings;
  readonly #warnings: Warnings;
  readonly #epoch = randomBytes(16).toString("hex");
  #batches = 0;
  #timer: NodeJS.Timeout | undefined;
  /** Ends what is under way; undefined while nothing is. */
  #run: AbortController | undefined;
  #flushes: Flush[] = [];
  #closed = false;

  constructor(settings: Settings, warnings: Warnings) {
    const authorization = settings.apiKey === undefined ? {} : { Authorization: `Bearer ${settings.apiKey}` };
    this.#settings = settings;
    this.#warnings = warnings;
    this.#outbox = new Outbox(settings.maxQueued, settings.maxQueuedBytes);
    this.#post = new Post(settings.baseUrl, authorization, settings.timeout);
  }

  get queued(): number {
    return this.#outbox.size;
  }

  /** `path` is where a judgement is posted; a call has none. */
  add(text: string, path?: string): void {
    if (this.#closed || !this.#outbox.add(Buffer.from(text), path)) {
      this.#lost(1, this.#closed ? "the logger is closed" : "as much waits already as may");
      return;
    }
    stay(this);
    this.#schedule();
  }

  /** Whether all that waits now came to its end within so many milliseconds. */
  flush(timeout: number): Promise<boolean> {
    if (this.#outbox.size === 0) return Promise.resolve(true);
    return new Promise((resolve) => {
      const flush: Flush = {
        until: this.#outbox.newest,
        done: (all) => {
          clearTimeout(timer);
          this.#flushes = this.#flushes.filter((other) => other !== flush);
          resolve(all);
        },
      };
      const timer = setTimeout(flush.done, timeout, false);
      this.#flushes.push(flush);
      this.#schedule();
    });
  }

  /** The process is about to end. */
  async lastFlush(): Promise<void> {
    if (!(await this.flush(this.#settings.exitTimeout))) this.#giveUp("it was not taken before the process ended");
  }

  async close(timeout: number): Promise<void> {
    this.#closed = true;
    if (!(await this.flush(timeout))) this.#giveUp("it was not taken before the logger was closed");
    this.#post.close();
  }

  #schedule(): void {
    if (this.#run !== undefined) return;
    if (this.#isDue()) this.#start();
    else if (this.#outbox.size > 0) this.#timer ??= setTimeout(() => this.#start(), this.#settings.flushInterval).unref();
  }

  #isDue(): boolean {
    const { calls, judgements } = this.#outbox;
    const full = calls.waitingBytes >= MOST_BYTES || calls.waiting >= MOST_LINES;
    return full || (this.#flushes.length > 0 && calls.waiting + judgements.waiting > 0);
  }

  #start(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const run = new AbortController();
    this.#run = run;
    void this.#work(run.signal)
      .catch((error: unknown) => run.signal.aborted || this.#giveUp(String(error)))
      .finally(() => {
        this.#run = undefined;
        this.#schedule();
      });
  }

  async #work(halt: AbortSignal): Promise<void> {
    do {
      await this.#sendBatch(halt);
      await this.#sendJudgements(halt);
    } while (this.#isDue());
  }

  async #sendBatch(halt: AbortSignal): Promise<void> {
    const lane = this.#outbox.calls;
    for (let setbacks = 1; lane.waiting > 0; setbacks += 1) {
      const items = lane.take(MOST_LINES, MOST_BYTES);
      const whole = Buffer.concat(items.flatMap((item) => [item.body, NEWLINE]));
      const body = await compressed(whole, { level: constants.Z_BEST_SPEED });
      const headers = {
        "Content-Type": "application/x-ndjson",
        "Content-Encoding": "gzip",
        ...(whole.length <= NUMBERED_BYTES && { [NUMBER]: `${this.#epoch}/${(this.#batches += 1)}` }),
      };
      const verdict = await this.#deliver(PATH, headers, body, halt);
      if (verdict.kind === "refused") {
        this.#refused(this.#settle(lane), verdict.reason);
        return;
      }
      const again = new Set(items.filter((_, index) => verdict.again.has(index + 1)));
      this.#refused(verdict.refused.size, verdict.reason);
      this.counts.sent += this.#settle(lane, again) - verdict.refused.size;
      if (again.size === 0) return;
      await this.#pause(setbacks, verdict.afterMs, halt);
    }
  }

  async #sendJudgements(halt: AbortSignal): Promise<void> {
    const lane = this.#outbox.judgements;
    for (let left = lane.waiting; left > 0; left -= 1) {
      const [item] = lane.take(1, MOST_BYTES);
      const verdict = await this.#deliver(item?.path ?? "", { "Content-Type": "application/json" }, item?.body ?? EMPTY, halt);
      const settled = this.#settle(lane);
      if (verdict.kind === "refused") this.#refused(settled, verdict.reason);
      else this.counts.sent += settled;
    }
  }

  /**
   * Tries until there is an answer that settles it. Rejects when it is halted.
   *
   * With a number a batch is taken by the log alone. While that is away and room gets scarce here, it goes without: Heliograph's disk takes
   * it then, and if that answer is lost, it is there twice.
   */
  async #deliver(path: string, headers: Record<string, string>, body: Buffer, halt: AbortSignal): Promise<Settled | Refused> {
    for (let tries = 1; ; tries += 1) {
      const verdict = await this.#attempt(path, headers, body, halt);
      if (verdict.kind !== "retry") return verdict;
      this.#warnings.once("unreachable", `Heliograph at ${this.#settings.baseUrl} is tried again until it takes what waits: ${verdict.reason}.`);
      if (verdict.logIsAway && this.#outbox.fillsUp) delete headers[NUMBER];
      await this.#pause(tries, verdict.afterMs, halt);
    }
  }

  async #attempt(path: string, headers: Record<string, string>, body: Buffer, halt: AbortSignal): Promise<Verdict> {
    halt.throwIfAborted();
    try {
      return verdictOf(await this.#post.send(path, headers, body, halt));
    } catch (error) {
      halt.throwIfAborted();
      const { message, code } = error as NodeJS.ErrnoException;
      return { kind: "retry", reason: message || (code ?? "no connection"), logIsAway: false, afterMs: undefined };
    }
  }

  async #pause(tries: number, afterMs: number | undefined, halt: AbortSignal): Promise<void> {
    await pause(pauseOf(tries, afterMs, Math.random()), undefined, { ref: false, signal: halt });
  }

  /** How many came to their end. */
  #settle(lane: Lane, again: ReadonlySet<Item> = NONE): number {
    const settled = this.#outbox.settle(lane, again);
    this.#tellOfProgress();
    return settled;
  }

  #refused(count: number, reason: string): void {
    if (count === 0) return;
    this.counts.refused += count;
    this.#warnings.once("refused", `Heliograph refused a call or a judgement: ${reason}. counts.refused counts such.`);
  }

  #lost(count: number, why: string): void {
    if (count === 0) return;
    this.counts.dropped += count;
    const calls = count === 1 ? "a call" : `${count} calls`;
    this.#warnings.once("dropped", `Heliograph is not told of ${calls}: ${why}. counts.dropped counts such.`);
  }

  #giveUp(why: string): void {
    this.#run?.abort();
    this.#lost(this.#outbox.empty(), why);
    for (const flush of this.#flushes) flush.done(false);
    leave(this);
  }

  #tellOfProgress(): void {
    const oldest = this.#outbox.oldest;
    for (const flush of this.#flushes) if (oldest > flush.until) flush.done(true);
    if (this.#outbox.size === 0) leave(this);
  }
}
