/** One call, from its beginning to its end, which is told of once. Nothing of it throws. */

import { isObject, Pieces, requestText } from "./bodies.js";
import type { Metadata, Told } from "./line.js";
import { CANCELLED, failureOf, isLast, modelOf, providerOf } from "./shapes.js";

/** What a call is told to. */
export interface Ear {
  tell(told: Told): void;
  /** Does the work, and keeps to itself what that throws. */
  safely(work: () => void): void;
}

export class Call {
  /** By which feedback names the call. */
  readonly requestId: string;
  readonly #ear: Ear;
  readonly #metadata: Metadata;
  #request: string | undefined;
  readonly #startedAt = Date.now();
  readonly #started = performance.now();
  readonly #pieces = new Pieces();
  #timeToFirstToken: number | undefined;
  #model: string | undefined;
  #provider: string | undefined;
  #whole = false;
  #told = false;
  /** Told of, or given up. */
  #over = false;

  /** @internal */
  constructor(requestId: string, request: unknown, metadata: Metadata, ear: Ear) {
    this.requestId = requestId;
    this.#ear = ear;
    this.#metadata = metadata;
    this.#goOn(() => {
      this.#request = isObject(request) ? requestText(request) : undefined;
    });
  }

  /** It was answered in one piece. */
  response(answer: unknown): void {
    this.#goOn(() => {
      this.#look(answer);
      this.#end(200, answer);
    });
  }

  /** A piece of a stream came. */
  chunk(piece: unknown): void {
    this.#goOn(() => {
      this.#timeToFirstToken ??= this.#elapsed();
      this.#look(piece);
      this.#whole ||= isLast(piece);
      this.#pieces.add(piece);
    });
  }

  /** The stream came to its end. */
  end(): void {
    this.#goOn(() => this.#endStream(200));
  }

  /** Nobody wants the rest. A stream that had told all is whole nonetheless. */
  cancel(): void {
    this.#goOn(() => this.#endStream(this.#whole ? 200 : CANCELLED));
  }

  /** The client threw this. */
  fail(error: unknown): void {
    this.#goOn(() => {
      const { status, answer, provider } = failureOf(error);
      this.#provider ??= provider;
      if (this.#pieces.count > 0) this.#endStream(status);
      else this.#end(status, status === CANCELLED ? undefined : answer);
    });
  }

  /** What cannot be written down ends the call: it is not told of in part. */
  #goOn(work: () => void): void {
    this.#ear.safely(() => {
      if (this.#over) return;
      this.#over = true;
      work();
      this.#over = this.#told;
    });
  }

  #look(piece: unknown): void {
    this.#provider ??= providerOf(piece);
    this.#model ??= modelOf(piece);
  }

  #endStream(status: number): void {
    this.#finish(status, this.#pieces.text(), undefined);
  }

  #end(status: number, answer: unknown): void {
    if (typeof answer === "string") this.#finish(status, undefined, answer);
    else this.#finish(status, isObject(answer) ? JSON.stringify(answer) : undefined, undefined);
  }

  #finish(status: number, answer: string | undefined, text: string | undefined): void {
    this.#told = true;
    const streamed = this.#pieces.count > 0 ? { stream: true } : {};
    this.#ear.tell({
      requestId: this.requestId,
      metadata: this.#metadata,
      request: this.#request ?? JSON.stringify({ model: this.#model, ...streamed }),
      answer,
      text,
      status,
      provider: this.#provider,
      startedAt: this.#startedAt,
      endedAt: this.#startedAt + this.#elapsed(),
      timeToFirstToken: this.#timeToFirstToken,
    });
  }

  /** Milliseconds. */
  #elapsed(): number {
    return performance.now() - this.#started;
  }
}
