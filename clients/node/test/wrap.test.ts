/** A wrapped method gives what it gave before, and each of its calls is logged. The SDKs themselves stand in the repository's tests. */

import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";

import { AsyncLogger } from "heliograph-client";

import { CHAT, Heliograph } from "./heliograph.js";
import type { Line } from "./heliograph.js";

let server: Heliograph;
let logger: AsyncLogger;
before(async () => (server = await new Heliograph().start()));
after(() => server.stop());
beforeEach(() => {
  server.requests.splice(0);
  logger = new AsyncLogger({ baseUrl: server.url });
});

async function line(): Promise<Line> {
  await logger.close();
  assert.equal(logger.counts.sent, 1, JSON.stringify(logger.counts));
  return server.lines()[0]!;
}

const REQUEST = { model: "gpt-4o-mini", messages: [{ role: "user", content: "Hello" }] };
const CHUNKS = [
  { object: "chat.completion.chunk", model: "gpt-4o-mini", choices: [{ delta: { content: "Hi" } }] },
  { object: "chat.completion.chunk", model: "gpt-4o-mini", choices: [], usage: { prompt_tokens: 8, completion_tokens: 2 } },
];
const EVENTS = [
  { type: "message_start", message: { model: "claude-3-5-haiku", usage: { input_tokens: 3 } } },
  { type: "message_stop" },
];

async function* pieces(of: object[] = CHUNKS): AsyncGenerator<object> {
  yield* of;
}

/** As the SDKs make them: iterators come from `iterator`, and an abort ends them quietly. */
class SdkStream {
  readonly controller = new AbortController();
  readonly #source: () => AsyncIterator<object>;

  constructor(source: () => AsyncIterator<object>) {
    this.#source = source;
  }

  iterator(): AsyncIterator<object> {
    return this.#source();
  }

  [Symbol.asyncIterator](): AsyncIterator<object> {
    return this.iterator();
  }
}

async function all(stream: AsyncIterable<object>): Promise<object[]> {
  const found: object[] = [];
  for await (const piece of stream) found.push(piece);
  return found;
}

test("a promise: the same answer, and the request as it was when it was asked", async () => {
  const request = structuredClone(REQUEST);
  const create = logger.wrap(async (_: typeof REQUEST) => CHAT, { userId: "user-1", properties: { feature: "chat" } });
  const answer = create(request);
  request.messages.push({ role: "user", content: "more" });
  assert.equal(await answer, CHAT);
  const { providerRequest, providerResponse, provider } = await line();
  assert.deepEqual(providerRequest.json, REQUEST);
  assert.equal(providerRequest.meta["Helicone-User-Id"], "user-1");
  assert.equal(providerRequest.meta["Helicone-Property-feature"], "chat");
  assert.equal(providerRequest.meta["Helicone-Request-Id"], logger.requestIdOf(CHAT));
  assert.deepEqual(providerResponse, { status: 200, json: CHAT });
  assert.equal(provider, "openai");
});

test("metadata of each call", async () => {
  const create = logger.wrap(
    async (_: typeof REQUEST, options: { user: string }) => options.user,
    (request, { user }) => ({ userId: user, properties: { model: request.model } }),
  );
  await create(REQUEST, { user: "user-2" });
  const { meta } = (await line()).providerRequest;
  assert.deepEqual([meta["Helicone-User-Id"], meta["Helicone-Property-model"]], ["user-2", "gpt-4o-mini"]);
});

test("`this`, its types and what it returns at once stay", async () => {
  class Client {
    readonly answer = CHAT;
    create(_: typeof REQUEST): typeof CHAT {
      return this.answer;
    }
  }
  const client = new Client();
  client.create = logger.wrap(client.create);
  const answer: typeof CHAT = client.create(REQUEST);
  assert.equal(answer, CHAT);
  assert.deepEqual((await line()).providerResponse.json, CHAT);
});

const STREAMS: Record<string, () => AsyncIterable<object>> = {
  generator: () => pieces(),
  "stream of an SDK": () => new SdkStream(() => pieces()),
  "iterable of its own": () => ({ [Symbol.asyncIterator]: () => pieces() }),
  "web stream": () =>
    new ReadableStream<object>({
      start(controller) {
        for (const chunk of CHUNKS) controller.enqueue(chunk);
        controller.close();
      },
    }) as unknown as AsyncIterable<object>,
};
for (const [name, make] of Object.entries(STREAMS)) {
  for (const kind of ["promised", "at once"]) {
    test(`a stream, ${kind}: ${name}`, async () => {
      const stream = make();
      const create = logger.wrap((_: object): unknown => (kind === "promised" ? Promise.resolve(stream) : stream));
      const given = (await create(REQUEST)) as AsyncIterable<object>;
      assert.equal(given, stream);
      const found = await all(given);
      assert.ok(found.every((piece, number) => piece === CHUNKS[number]));
      assert.equal(found.length, CHUNKS.length);
      const { providerResponse, timing, providerRequest } = await line();
      assert.deepEqual(providerResponse, { status: 200, json: { streamed_data: CHUNKS } });
      assert.ok(timing.timeToFirstToken! >= 0);
      assert.equal(providerRequest.meta["Helicone-Request-Id"], logger.requestIdOf(stream));
    });
  }
}

test("pieces come when they are asked for, none before", async () => {
  let made = 0;
  const create = logger.wrap(async function* () {
    for (const chunk of CHUNKS) {
      made += 1;
      yield chunk;
    }
  });
  const iterator = create()[Symbol.asyncIterator]();
  assert.equal(made, 0);
  await iterator.next();
  assert.equal(made, 1);
  assert.equal(logger.counts.queued, 0);
  await iterator.next();
  assert.equal((await iterator.next()).done, true);
  assert.equal(logger.counts.queued, 1);
  await line();
});

class OpenAIError extends Error {}
class APIError extends OpenAIError {
  readonly status = 429;
  readonly error = { message: "Slow down", type: "rate_limit" };
}
class APIUserAbortError extends Error {}
class APIConnectionTimeoutError extends Error {}

const FAILURES: Record<string, [Error, number, object]> = {
  "with a status": [new APIError("429 Slow down"), 429, { error: { message: "Slow down", type: "rate_limit" } }],
  "with a whole body": [
    Object.assign(new Error("529"), { status: 529, error: { type: "error", error: { type: "overloaded_error" } } }),
    529,
    { type: "error", error: { type: "overloaded_error" } },
  ],
  "without one": [new Error("ECONNREFUSED"), -100, { error: { type: "Error", message: "ECONNREFUSED" } }],
  timeout: [new APIConnectionTimeoutError("Too late."), -2, { error: { type: "APIConnectionTimeoutError", message: "Too late." } }],
  "cancelled by an SDK": [new APIUserAbortError("Request was aborted."), -3, {}],
  "cancelled by a signal": [new DOMException("aborted", "AbortError"), -3, {}],
};
for (const [name, [error, status, body]] of Object.entries(FAILURES)) {
  for (const kind of ["rejected", "thrown"]) {
    test(`an exception is logged with its status, and thrown on: ${name}, ${kind}`, async () => {
      const create = logger.wrap((_: object): Promise<object> => {
        if (kind === "thrown") throw error;
        return Promise.reject(error);
      });
      await assert.rejects(async () => create(REQUEST), (raised) => raised === error);
      const { providerRequest, providerResponse, provider } = await line();
      assert.deepEqual(providerResponse, { status, json: body });
      assert.deepEqual(providerRequest.json, REQUEST);
      assert.equal(provider, error instanceof OpenAIError ? "openai" : undefined);
    });
  }
}

test("a stream that breaks off is told of as far as it came", async () => {
  const error = new Error("the connection was lost");
  const create = logger.wrap(async function* () {
    yield CHUNKS[0]!;
    throw error;
  });
  await assert.rejects(() => all(create()), (raised) => raised === error);
  assert.deepEqual((await line()).providerResponse, { status: -100, json: { streamed_data: [CHUNKS[0]] } });
});

const LEFT: Record<string, [object[], number, number]> = {
  "after a piece: cancelled": [CHUNKS, 1, -3],
  "after its last: whole": [EVENTS, 2, 200],
};
for (const [name, [of, count, status]] of Object.entries(LEFT)) {
  test(`a stream that is left ${name}`, async () => {
    let closed = false;
    const create = logger.wrap(async function* () {
      try {
        yield* of;
      } finally {
        closed = true;
      }
    });
    let left = count;
    for await (const _ of create()) if ((left -= 1) === 0) break;
    assert.equal(closed, true);
    assert.deepEqual((await line()).providerResponse, { status, json: { streamed_data: of.slice(0, count) } });
  });
}

test("a stream of an SDK that was aborted ends quietly: cancelled", async () => {
  const create = logger.wrap(() => {
    const stream: SdkStream = new SdkStream(async function* () {
      yield CHUNKS[0]!;
      stream.controller.abort();
    });
    return stream;
  });
  await all(create());
  assert.equal((await line()).providerResponse.status, -3);
});

test("a call that is told of by hand", async () => {
  const call = logger.call(REQUEST, { userId: "user-3" });
  for (const chunk of CHUNKS) call.chunk(chunk);
  call.end();
  call.end();
  call.fail(new Error("too late"));
  const { providerRequest, providerResponse } = await line();
  assert.deepEqual(providerRequest.json, REQUEST);
  assert.equal(providerRequest.meta["Helicone-Request-Id"], call.requestId);
  assert.deepEqual(providerResponse.json, { streamed_data: CHUNKS });
});
