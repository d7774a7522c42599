/** Nothing that is given to a logger makes it throw or reject, but for its own settings. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { AsyncLogger } from "heliograph-client";
import type { LoggerOptions, Metadata } from "heliograph-client";

import { CHAT, Heliograph } from "./heliograph.js";

let server: Heliograph;
before(async () => (server = await new Heliograph().start()));
after(() => server.stop());

const cyclic: Record<string, unknown> = { model: "gpt-4o" };
cyclic["self"] = cyclic;
const raising = (): object => Object.defineProperty({}, "object", { get: () => assert.fail("a getter"), enumerable: true });
const resisting = new Proxy({}, { get: () => { throw resisting; }, has: () => { throw resisting; }, ownKeys: () => { throw resisting; } });
const any = (value: unknown): never => value as never;

const UNWRITABLE: Record<string, (logger: AsyncLogger) => unknown> = {
  "nothing": (logger) => logger.log(undefined),
  "null": (logger) => logger.log(null),
  "a number": (logger) => logger.log(7),
  "a promise": (logger) => logger.log(Promise.resolve(CHAT)),
  "a stream": (logger) => logger.log(new ReadableStream()),
  "a cycle": (logger) => logger.log(cyclic),
  "a BigInt": (logger) => logger.log({ tokens: 1n }),
  "a getter that throws": (logger) => logger.log(raising()),
  "what resists everything": (logger) => logger.log(resisting),
  "a piece that cannot be written": (logger) => logger.log([CHAT, cyclic]),
  "a request that cannot be written": (logger) => logger.log(CHAT, { request: cyclic }),
  "properties that cannot be read": (logger) => logger.log(CHAT, { properties: any(resisting) }),
  "a moment that is none": (logger) => logger.log(CHAT, { startedAt: any("yesterday") }),
  "a line that is too long": (logger) => logger.log({ text: "x".repeat(10_000_001) }),
  "feedback on nothing": (logger) => logger.feedback(any(undefined), true),
  "a score that cannot be written": (logger) => logger.score("id", any({ a: 1n })),
  "half a character in an id": (logger) => logger.feedback("\ud800", true),
  "a request of call()": (logger) => logger.call(cyclic).end(),
  "an answer of call()": (logger) => logger.call().response(cyclic),
  "a piece of call()": (logger) => {
    const call = logger.call();
    call.chunk(cyclic);
    call.end();
  },
  "an exception that resists": (logger) => logger.call().fail(resisting),
  "a wrapped method's answer": (logger) => logger.wrap(() => cyclic)(),
  "a wrapped method's request": (logger) => logger.wrap((_: object) => CHAT)(cyclic),
};
for (const [name, act] of Object.entries(UNWRITABLE)) {
  test(`counted, and warned of: ${name}`, async () => {
    const warnings: string[] = [];
    const logger = new AsyncLogger({ baseUrl: server.url, onWarning: (message) => warnings.push(message) });
    await act(logger);
    await logger.close();
    assert.deepEqual(logger.counts, { queued: 0, sent: 0, dropped: 0, refused: 0, unwritable: 1 });
    assert.equal(warnings.length, 1);
    assert.match(warnings[0]!, /^Heliograph is not told of a call: .+\. counts\.unwritable counts such\.$/);
  });
}

const TAKEN: Record<string, (logger: AsyncLogger) => unknown> = {
  "no options": (logger) => logger.log(CHAT, any(null)),
  "options of another kind": (logger) => logger.log(CHAT, any("user-1")),
  "odd metadata": (logger) => logger.log(CHAT, any({ userId: { a: 1 }, properties: "none", headers: 7 })),
  "a warning that nobody can hear": async (logger) => {
    await logger.log(undefined);
    await logger.log(CHAT);
  },
};
for (const [name, act] of Object.entries(TAKEN)) {
  test(`taken all the same: ${name}`, async () => {
    const logger = new AsyncLogger({ baseUrl: server.url, onWarning: () => assert.fail("nobody hears") });
    await act(logger);
    await logger.close();
    assert.equal(logger.counts.sent, 1);
  });
}

test("metadata of a wrapped call that throws costs the metadata, not the call", async () => {
  const logger = new AsyncLogger({ baseUrl: server.url, onWarning: () => {} });
  const create = logger.wrap(async () => CHAT, (): Metadata => assert.fail("no metadata"));
  assert.equal(await create(), CHAT);
  await logger.close();
  assert.deepEqual(logger.counts, { queued: 0, sent: 1, dropped: 0, refused: 0, unwritable: 1 });
});

test("a stream that cannot be listened to is handed on", async () => {
  const logger = new AsyncLogger({ baseUrl: server.url, onWarning: () => {} });
  const stream = Object.freeze({ [Symbol.asyncIterator]: () => [CHAT][Symbol.iterator]() as never });
  assert.equal(logger.wrap(() => stream)(), stream);
  assert.equal(logger.counts.unwritable, 1);
  await logger.close();
});

const MISTAKEN: Record<string, [LoggerOptions, RegExp]> = {
  "an address that is none": [{ baseUrl: "localhost:8787" }, /^baseUrl must be Heliograph's address, such as http:\/\/localhost:8787$/],
  "another scheme": [{ baseUrl: "ftp://localhost" }, /^baseUrl/],
  "a key that no header can carry": [{ apiKey: "sk-helicone-\n" }, /^apiKey must be a key/],
  "a bound of nothing": [{ maxQueued: 0 }, /^maxQueued must be a number above 0/],
  "a time that is none": [{ timeout: NaN }, /^timeout/],
};
for (const [name, [options, message]] of Object.entries(MISTAKEN)) {
  test(`settings are the one thing that throws: ${name}`, () => {
    assert.throws(() => new AsyncLogger(options), { name: "TypeError", message });
  });
}

test("of two sources the option wins, and the address of Helicone's endpoint for traces is known", async () => {
  process.env["HELIOGRAPH_URL"] = "http://127.0.0.1:1";
  process.env["HELIOGRAPH_KEY"] = "sk-helicone-env";
  try {
    for (const [options, key] of [[{}, "sk-helicone-env"], [{ apiKey: "sk-helicone-a" }, "sk-helicone-a"]] as const) {
      const logger = new AsyncLogger({ ...options, baseUrl: `${server.url}/v1/trace/log` });
      void logger.log(CHAT);
      await logger.close();
      assert.equal(server.requests.at(-1)!.headers.authorization, `Bearer ${key}`);
      assert.equal(server.requests.at(-1)!.path, "/v1/log/batch");
    }
    process.env["HELIOGRAPH_URL"] = "nowhere";
    assert.throws(() => new AsyncLogger(), { name: "TypeError", message: /^HELIOGRAPH_URL must be/ });
  } finally {
    delete process.env["HELIOGRAPH_URL"];
    delete process.env["HELIOGRAPH_KEY"];
  }
});

test("options of another logger are named", () => {
  const warnings: string[] = [];
  new AsyncLogger({ providers: {}, onWarning: (message: string) => warnings.push(message) } as LoggerOptions);
  assert.match(warnings[0]!, /^providers does nothing here\./);
});
