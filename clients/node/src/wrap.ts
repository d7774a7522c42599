/**
 * Looks on while a client is at work. What it returns is what the caller gets: the same answers and the same pieces, when they come.
 *
 * openai-node and Anthropic's SDK return a promise with helpers (`withResponse`, `asResponse`), which reads the answer when somebody asks.
 * That promise is handed on itself, and looked into where it parses: to await it here would read a body that the caller may want for
 * itself. Anything else that is a promise is awaited in passing.
 */

import { isObject } from "./bodies.js";

/** Hears of one call. None of its methods throws. */
export interface Watch {
  /** False: the call's stream is listened to already. */
  opened(stream: object): boolean;
  answered(answer: unknown): void;
  piece(piece: unknown): void;
  ended(): void;
  cancelled(): void;
  failed(error: unknown): void;
  /** It could not be looked at. */
  unseen(error: unknown): void;
}

type Iteration = AsyncIterator<unknown, unknown, unknown>;

type Transform = (answer: unknown, ...inputs: unknown[]) => unknown;

/** All its helpers but `asResponse` go by `parse`; the SDKs' own `parse()` and the like make another such promise by `_thenUnwrap`. */
interface Parsing extends PromiseLike<unknown> {
  parse: () => PromiseLike<unknown>;
  _thenUnwrap: (transform: Transform) => unknown;
}

/** What the caller gets in the place of `result`, which a client's method returned. */
export function watched(result: unknown, watch: Watch): unknown {
  if (isParsing(result)) {
    watchParsing(result, watch);
    return result;
  }
  if (isPromise(result)) {
    return result.then(
      (answer) => watchedAnswer(answer, watch),
      (error: unknown) => {
        watch.failed(error);
        throw error;
      },
    );
  }
  return watchedAnswer(result, watch);
}

/** No promise is made that nobody awaits: that one would be a rejection that nobody handled. */
function watchParsing(result: Parsing, watch: Watch): void {
  const { parse, _thenUnwrap: unwrap } = result;
  let parsed: Promise<unknown> | undefined;
  result.parse = () => (parsed ??= heard(() => parse.call(result), watch).then((answer) => watchedAnswer(answer, watch)));
  result._thenUnwrap = (transform) => {
    const made = unwrap.call(result, (answer, ...inputs) => transform(watchedAnswer(answer, watch), ...inputs));
    if (isParsing(made)) watchParsing(made, watch);
    return made;
  };
}

async function heard<T>(work: () => T | PromiseLike<T>, watch: Watch): Promise<T> {
  try {
    return await work();
  } catch (error) {
    watch.failed(error);
    throw error;
  }
}

/** A stream is listened to in its place: it stays what it is, with all that it can do. */
function watchedAnswer(answer: unknown, watch: Watch): unknown {
  if (!isStream(answer)) {
    watch.answered(answer);
    return answer;
  }
  try {
    if (watch.opened(answer)) listen(answer, watch);
  } catch (error) {
    watch.unseen(error);
  }
  return answer;
}

/** The SDKs' streams make all their iterators by `iterator`, those of `tee()` too. */
function listen(stream: AsyncIterable<unknown>, watch: Watch): void {
  const made = stream as unknown as { iterator?: unknown } & Partial<Iteration>;
  if (typeof made.next === "function") {
    Object.assign(stream, listening(bound(made as Iteration), stream, watch));
    return;
  }
  const name = typeof made.iterator === "function" ? "iterator" : Symbol.asyncIterator;
  const iterate = (stream as unknown as Record<PropertyKey, () => Iteration>)[name];
  if (iterate === undefined) return;
  Object.defineProperty(stream, name, {
    configurable: true,
    writable: true,
    value: () => {
      const iteration = listening(bound(iterate.call(stream)), stream, watch);
      return { ...iteration, [Symbol.asyncIterator]: () => iteration };
    },
  });
}

function bound(iteration: Iteration): Iteration {
  return {
    next: iteration.next.bind(iteration),
    ...(iteration.return && { return: iteration.return.bind(iteration) }),
    ...(iteration.throw && { throw: iteration.throw.bind(iteration) }),
  };
}

function listening(iteration: Iteration, stream: unknown, watch: Watch): Iteration {
  const { next, return: leave, throw: raise } = iteration;
  const step = async (advance: () => Promise<IteratorResult<unknown, unknown>>): Promise<IteratorResult<unknown, unknown>> => {
    const found = await heard(advance, watch);
    if (!found.done) watch.piece(found.value);
    else if (wasAborted(stream)) watch.cancelled();
    else watch.ended();
    return found;
  };
  return {
    next: (...inputs) => step(() => next(...inputs)),
    ...(leave && {
      return: (value?: unknown) => {
        watch.cancelled();
        return leave(value);
      },
    }),
    ...(raise && { throw: (error?: unknown) => step(() => raise(error)) }),
  };
}

/** The SDKs' streams end quietly when they are aborted. */
function wasAborted(stream: unknown): boolean {
  return (stream as { controller?: { signal?: { aborted?: unknown } } }).controller?.signal?.aborted === true;
}

function isParsing(result: unknown): result is Parsing {
  const { parse, _thenUnwrap: unwrap } = (isPromise(result) ? result : {}) as Partial<Parsing>;
  return typeof parse === "function" && typeof unwrap === "function";
}

function isPromise(result: unknown): result is PromiseLike<unknown> {
  return isObject(result) && typeof (result as { then?: unknown }).then === "function";
}

function isStream(answer: unknown): answer is AsyncIterable<unknown> {
  return isObject(answer) && typeof (answer as { [Symbol.asyncIterator]?: unknown })[Symbol.asyncIterator] === "function";
}
