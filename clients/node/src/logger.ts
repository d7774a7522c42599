/** Tells Heliograph of calls that did not pass through it. Once a logger is made, nothing of it throws into the application or rejects. */

import { randomUUID } from "node:crypto";

import { isObject, MOST_CHARACTERS } from "./bodies.js";
import { Call } from "./call.js";
import { lineOf } from "./line.js";
import type { Metadata, Told } from "./line.js";
import { Sender } from "./sender.js";
import type { Counts } from "./sender.js";
import { settingsOf, unknownIn } from "./settings.js";
import type { LoggerOptions } from "./settings.js";
import { Warnings } from "./warnings.js";
import { watched } from "./wrap.js";
import type { Watch } from "./wrap.js";

/** Of a call that is over. Moments are dates, or milliseconds since 1970. */
export interface LogOptions extends Metadata {
  /** What was asked. Else the model, as the answer names it, is all that is told of it. */
  request?: object | undefined;
  /** HTTP's; 200. */
  status?: number | undefined;
  startedAt?: Date | number | undefined;
  /** Now. */
  endedAt?: Date | number | undefined;
  /** Milliseconds from the start. */
  timeToFirstToken?: number | undefined;
}

type Method = (...inputs: never[]) => unknown;

/** What is said of each call of a wrapped method; a function is asked at each, with what the method is called with. */
export type WrapOptions<F extends Method> = Metadata | ((...inputs: Parameters<F>) => Metadata);

const FLUSH_MS = 10_000;

export class AsyncLogger {
  readonly #sender: Sender;
  readonly #warnings: Warnings;
  readonly #requestIds = new WeakMap<object, string>();
  #unwritable = 0;

  /** Throws TypeError where an option, or a variable of the environment, cannot be understood. */
  constructor(options: LoggerOptions = {}) {
    const settings = settingsOf(options, process.env);
    this.#warnings = new Warnings(settings.onWarning);
    this.#sender = new Sender(settings, this.#warnings);
    const unknown = unknownIn(options);
    if (unknown.length > 0) {
      this.#warnings.once("option", `${unknown.join(", ")} does nothing here. To log a client's calls, wrap its method: logger.wrap(…).`);
    }
  }

  /** Does nothing: a logger is ready when it is made. For code that was written for Helicone's. */
  init(): void {}

  /** What became of what was logged. */
  get counts(): Counts {
    return { queued: this.#sender.queued, ...this.#sender.counts, unwritable: this.#unwritable };
  }

  /**
   * Logs an answer, or a list of all pieces of a stream. Resolves with the request id, at once: by then the call waits to be sent, and what
   * was given may be altered.
   */
  log(response: unknown, options: LogOptions = {}): Promise<string> {
    const requestId = this.#requestIdFor(options);
    this.#safely(() => {
      const told = options ?? {};
      const call = new Call(requestId, told.request, told, { tell: (line) => this.#tell(atMoments(line, told)), safely: run });
      if (Array.isArray(response)) {
        for (const piece of response) call.chunk(piece);
        call.end();
      } else {
        call.response(answerOf(response));
      }
      this.#remember(response, requestId);
    });
    return Promise.resolve(requestId);
  }

  /** A call that begins now. What comes of it is said by its methods. */
  call(request?: object, options: Metadata = {}): Call {
    const ear = { tell: (told: Told) => this.#tell(told), safely: (work: () => void) => this.#safely(work) };
    return new Call(this.#requestIdFor(options), request, options ?? {}, ear);
  }

  /**
   * The same method, and each of its calls is logged: `logger.wrap(client.chat.completions.create.bind(client.chat.completions))`. What it
   * returns is what the client returns; what the client throws is logged and thrown.
   */
  wrap<F extends Method>(method: F, options: WrapOptions<F> = {}): F {
    const begin = (inputs: Parameters<F>): Watch => this.#watch(inputs[0], this.#metadata(options, inputs));
    const seen = (result: unknown, watch: Watch): unknown => {
      try {
        return watched(result, watch);
      } catch (error) {
        watch.unseen(error);
        return result;
      }
    };
    return function (this: unknown, ...inputs: Parameters<F>): unknown {
      const watch = begin(inputs);
      let result: unknown;
      try {
        result = method.apply(this, inputs);
      } catch (error) {
        watch.failed(error);
        throw error;
      }
      return seen(result, watch);
    } as F;
  }

  /** Of the call that a logged answer, or the stream of a wrapped method, belongs to. */
  requestIdOf(answer: unknown): string | undefined {
    return isObject(answer) ? this.#requestIds.get(answer) : undefined;
  }

  /** Whether an answer was good; null takes that back. Resolves at once. */
  feedback(requestId: string, rating: boolean | null, comment?: string): Promise<void> {
    return this.#judge("feedback", requestId, { rating, comment });
  }

  /** Numbers and booleans by name; null takes one back. Resolves at once. */
  score(requestId: string, scores: Record<string, number | boolean | null>): Promise<void> {
    return this.#judge("score", requestId, { scores });
  }

  /** Whether all that was logged until now came to its end within `timeout` milliseconds. */
  flush(timeout = FLUSH_MS): Promise<boolean> {
    return this.#sender.flush(timeout);
  }

  /** Sends what waits, for at most `timeout` milliseconds, and takes nothing more. Resolves when that is over. */
  close(timeout = FLUSH_MS): Promise<void> {
    return this.#sender.close(timeout);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #watch(request: unknown, metadata: Metadata): Watch {
    const call = this.call(isObject(request) ? request : undefined, metadata);
    let open = false;
    return {
      opened: (stream) => {
        this.#remember(stream, call.requestId);
        return !open && (open = true);
      },
      answered: (answer) => {
        this.#remember(answer, call.requestId);
        call.response(answer);
      },
      piece: (piece) => call.chunk(piece),
      ended: () => call.end(),
      cancelled: () => call.cancel(),
      failed: (error) => call.fail(error),
      unseen: (error) => this.#unwritten(error),
    };
  }

  #metadata<F extends Method>(options: WrapOptions<F>, inputs: Parameters<F>): Metadata {
    try {
      return (typeof options === "function" ? options(...inputs) : options) ?? {};
    } catch (error) {
      this.#unwritten(error);
      return {};
    }
  }

  #requestIdFor(options: Metadata | null): string {
    try {
      return options?.requestId ?? randomUUID();
    } catch {
      return randomUUID();
    }
  }

  #remember(answer: unknown, requestId: string): void {
    if (isObject(answer)) this.#requestIds.set(answer, requestId);
  }

  #judge(kind: "feedback" | "score", requestId: string, judgement: object): Promise<void> {
    this.#safely(() => {
      if (typeof requestId !== "string" || requestId === "") throw new TypeError(`${kind}() takes a request id, as log() gives it`);
      this.#sender.add(JSON.stringify(judgement), `/v1/request/${encodeURIComponent(requestId)}/${kind}`);
    });
    return Promise.resolve();
  }

  #tell(told: Told): void {
    const line = lineOf(told);
    if (line.length > MOST_CHARACTERS) throw new RangeError(`it is longer than ${MOST_CHARACTERS} characters`);
    this.#sender.add(line);
  }

  #safely(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#unwritten(error);
    }
  }

  #unwritten(error: unknown): void {
    this.#unwritable += 1;
    this.#warnings.once("unwritable", `Heliograph is not told of a call: ${reasonOf(error)}. counts.unwritable counts such.`);
  }
}

/** Whatever was thrown, and however it resists. */
function reasonOf(error: unknown): string {
  try {
    return String((error as { message?: unknown }).message ?? error).split("\n", 1)[0] ?? "";
  } catch {
    return "it cannot be read";
  }
}

function run(work: () => void): void {
  work();
}

function atMoments(told: Told, options: LogOptions): Told {
  const endedAt = moment("endedAt", options) ?? Date.now();
  const startedAt = moment("startedAt", options) ?? endedAt;
  return { ...told, status: options.status ?? told.status, startedAt, endedAt, timeToFirstToken: options.timeToFirstToken };
}

function moment(name: "startedAt" | "endedAt", options: LogOptions): number | undefined {
  const said = options[name];
  if (said === undefined) return undefined;
  const found = said instanceof Date ? said.getTime() : said;
  if (!Number.isFinite(found)) throw new TypeError(`${name} must be a Date, or milliseconds since 1970`);
  return found;
}

function answerOf(response: unknown): object | string {
  if (typeof response === "string") return response;
  if (!isObject(response)) throw new TypeError("log() takes an answer: an object, a list of a stream's pieces, or text");
  if ("then" in response) throw new TypeError("log() was given a promise: await it first");
  if (Symbol.asyncIterator in response) throw new TypeError("log() was given a stream: wrap the method that makes it");
  return response;
}
