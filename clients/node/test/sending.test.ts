/** Batches, their numbers, and what becomes of them when Heliograph is away, slow, refuses, or comes again. */

import assert from "node:assert/strict";
import dns from "node:dns";
import { afterEach, beforeEach, test } from "node:test";

import { AsyncLogger } from "heliograph-client";
import type { LoggerOptions } from "heliograph-client";

import { CHAT, Heliograph } from "./heliograph.js";
import type { Reply } from "./heliograph.js";

let server: Heliograph;
let loggers: AsyncLogger[] = [];
let warnings: string[] = [];

beforeEach(async () => {
  server = await new Heliograph().start();
  warnings = [];
});
afterEach(async () => {
  await Promise.all(loggers.splice(0).map((logger) => logger.close(1)));
  await server.stop();
});

function made(options: LoggerOptions = {}): AsyncLogger {
  const logger = new AsyncLogger({ baseUrl: server.url, onWarning: (message) => warnings.push(message), ...options });
  loggers.push(logger);
  return logger;
}

/** Which calls a batch tells of, by their user. */
function users(batch: number): string[] {
  return server.lines(server.batches[batch]).map((line) => line.providerRequest.meta["Helicone-User-Id"]!);
}

test("one batch for what was logged together, with key, encoding and number", async () => {
  const logger = made({ apiKey: "sk-helicone-a" });
  for (const userId of ["a", "b", "c"]) void logger.log(CHAT, { userId });
  assert.equal(logger.counts.queued, 3);
  assert.equal(await logger.flush(), true);
  assert.deepEqual(users(0), ["a", "b", "c"]);
  const { headers } = server.batches[0]!;
  assert.equal(headers.authorization, "Bearer sk-helicone-a");
  assert.equal(headers["content-type"], "application/x-ndjson");
  assert.equal(headers["content-encoding"], "gzip");
  assert.match(String(headers["heliograph-batch"]), /^[0-9a-f]{32}\/1$/);
});

test("without a key none is shown", async () => {
  const logger = made();
  void logger.log(CHAT);
  await logger.flush();
  assert.equal(server.batches[0]!.headers.authorization, undefined);
});

test("by a name whose first address, of IPv6, is one where nobody listens", async () => {
  const { lookup } = dns;
  const found = [{ address: "::1", family: 6 }, { address: "127.0.0.1", family: 4 }];
  const resolve = (_: string, options: dns.LookupAllOptions, done: (...told: unknown[]) => void): void =>
    options.all ? done(null, found) : done(null, "::1", 6);
  Object.assign(dns, { lookup: resolve });
  try {
    const logger = made({ baseUrl: `http://localhost:${server.port}` });
    void logger.log(CHAT);
    assert.equal(await logger.flush(), true);
    assert.deepEqual([logger.counts.sent, warnings], [1, []]);
  } finally {
    dns.lookup = lookup;
  }
});

test("batches are numbered one after the other, each logger in an epoch of its own", async () => {
  const [one, other] = [made(), made()];
  for (const logger of [one, one, other]) {
    void logger.log(CHAT);
    await logger.flush();
  }
  const [first, second, third] = server.numbers.map((number) => number.split("/"));
  assert.deepEqual([first![1], second![1], third![1]], ["1", "2", "1"]);
  assert.equal(first![0], second![0]);
  assert.notEqual(first![0], third![0]);
});

test("it is sent by itself, after a while", async () => {
  void made({ flushInterval: 1 }).log(CHAT, { userId: "a" });
  await server.came(1);
  assert.deepEqual(users(0), ["a"]);
});

test("it is sent at once when there is a batch full", async () => {
  const logger = made({ flushInterval: 3_600_000 });
  for (let count = 0; count < 3; count += 1) void logger.log({ text: "x".repeat(400_000) });
  await server.came(1);
  assert.equal(await logger.flush(), true);
  assert.deepEqual(server.batches.map((batch) => server.lines(batch).length), [2, 1]);
});

const PASSING: Record<string, Reply> = {
  "500": { status: 500 },
  "502 of a proxy between": { status: 502, body: "bad gateway" },
  "503 without lines": { status: 503, body: { error: "The event log takes nothing now." } },
  "429": { status: 429, headers: { "retry-after": "0" } },
  "the connection was cut": "cut",
  "no answer in time": "hang",
};
for (const [name, reply] of Object.entries(PASSING)) {
  test(`sent again unchanged, under its number: ${name}`, async () => {
    server.script = [reply, reply];
    const logger = made({ timeout: 1_000 });
    void logger.log(CHAT, { userId: "a" });
    const flushed = logger.flush(60_000);
    await server.came(1);
    void logger.log(CHAT, { userId: "b" });
    assert.equal(await flushed, true);
    await logger.flush();
    assert.deepEqual(server.batches.map((_, number) => users(number)), [["a"], ["a"], ["a"], ["b"]]);
    assert.deepEqual(server.numbers.map((number) => number.split("/")[1]), ["1", "1", "1", "2"]);
    assert.deepEqual(logger.counts, { queued: 0, sent: 2, dropped: 0, refused: 0, unwritable: 0 });
    assert.equal(warnings.length, 1);
    assert.match(warnings[0]!, /tried again/);
  });
}

test("lines that the log could not take now are a new batch with a new number", async () => {
  const refused = [
    { line: 1, error: "timing.endTime is in the future", field: "timing.endTime" },
    { line: 3, error: "The event log takes nothing now.", again: true },
  ];
  server.script = [{ status: 503, headers: { "retry-after": "0" }, body: { accepted: [{ line: 2, "helicone-id": "x" }], refused } }];
  const logger = made();
  for (const userId of ["a", "b", "c"]) void logger.log(CHAT, { userId });
  assert.equal(await logger.flush(), true);
  assert.deepEqual([users(0), users(1)], [["a", "b", "c"], ["c"]]);
  assert.deepEqual(server.numbers.map((number) => number.split("/")[1]), ["1", "2"]);
  assert.deepEqual(logger.counts, { queued: 0, sent: 2, dropped: 0, refused: 1, unwritable: 0 });
  assert.deepEqual(warnings, [
    "Heliograph refused a call or a judgement: timing.endTime is in the future. counts.refused counts such.",
  ]);
});

test("lines that are refused are counted, and warned of once", async () => {
  const refusing = (...lines: number[]): Reply => ({ status: 200, body: { refused: lines.map((line) => ({ line, error: "no" })) } });
  server.script = [refusing(1, 2), refusing(1)];
  const logger = made();
  for (let batch = 0; batch < 2; batch += 1) {
    void logger.log(CHAT);
    void logger.log(CHAT);
    await logger.flush();
  }
  assert.deepEqual(logger.counts, { queued: 0, sent: 1, dropped: 0, refused: 3, unwritable: 0 });
  assert.equal(warnings.length, 1);
});

const FINAL: Record<string, Reply> = {
  "an unknown key": { status: 401, body: { error: "unknown key" } },
  "a Heliograph that knows no batches": { status: 404, body: "Not Found" },
  "an address that moved": { status: 308, headers: { location: "https://elsewhere.example/" } },
};
for (const [name, reply] of Object.entries(FINAL)) {
  test(`not sent again: ${name}`, async () => {
    server.script = [reply, reply];
    const logger = made();
    void logger.log(CHAT);
    void logger.feedback("id", true);
    assert.equal(await logger.flush(), true);
    assert.equal(server.requests.length, 2);
    assert.equal(logger.counts.refused, 2);
    assert.equal(warnings.length, 1);
  });
}

test("judgements are tried again too", async () => {
  server.script = ["cut", { status: 503 }];
  const logger = made();
  void logger.feedback("id", true);
  assert.equal(await logger.flush(), true);
  assert.deepEqual(server.requests.map((request) => request.path), Array(3).fill("/v1/request/id/feedback"));
  assert.equal(logger.counts.sent, 1);
});

test("a Heliograph that is away gets all when it comes", async () => {
  const { port } = server;
  const logger = made();
  await server.stop();
  void logger.log(CHAT, { userId: "a" });
  assert.equal(await logger.flush(50), false);
  assert.match(warnings[0]!, /ECONNREFUSED/);
  server = await new Heliograph().start(port);
  assert.equal(await logger.flush(60_000), true);
  assert.deepEqual(users(0), ["a"]);
});

const BOUNDS: Record<string, [LoggerOptions, string[]]> = {
  "by count": [{ maxQueued: 2 }, ["a", "b"]],
  "by bytes": [{ maxQueuedBytes: 900 }, ["a"]],
};
for (const [name, [options, kept]] of Object.entries(BOUNDS)) {
  test(`when as much waits as may, the newest is dropped: ${name}`, async () => {
    const logger = made(options);
    for (const userId of ["a", "b", "c", "d"]) void logger.log(CHAT, { userId });
    assert.equal(logger.counts.dropped, 4 - kept.length);
    assert.equal(warnings.length, 1);
    await logger.flush();
    assert.deepEqual(users(0), kept);
    void logger.log(CHAT, { userId: "e" });
    await logger.flush();
    assert.deepEqual(users(1), ["e"]);
  });
}

test("what is on its way counts as waiting", async () => {
  server.script = ["hang"];
  const logger = made({ maxQueued: 2 });
  void logger.log(CHAT);
  void logger.log(CHAT);
  void logger.flush(1);
  await server.came(1);
  void logger.log(CHAT);
  assert.equal(logger.counts.dropped, 1);
});

test("closing has an end, and what was not sent by then is counted", async () => {
  server.script = ["hang"];
  const logger = made();
  void logger.log(CHAT);
  await logger.close(50);
  assert.deepEqual(logger.counts, { queued: 0, sent: 0, dropped: 1, refused: 0, unwritable: 0 });
  assert.match(warnings.at(-1)!, /before the logger was closed/);
});

test("a closed logger takes nothing", async () => {
  const logger = made();
  await logger.close();
  await logger.log(CHAT);
  await logger.feedback("id", true);
  assert.equal(logger.counts.dropped, 2);
  assert.equal(server.requests.length, 0);
});

test("leaving a block closes it", async () => {
  const logger = made();
  void logger.log(CHAT);
  await logger[Symbol.asyncDispose]();
  assert.equal(logger.counts.sent, 1);
});

test("while the log is away and room gets scarce, a batch goes without its number", async () => {
  server.script = [{ status: 503 }, { status: 503 }];
  const logger = made({ maxQueued: 4 });
  void logger.log(CHAT, { userId: "a" });
  await server.came(1);
  void logger.log(CHAT, { userId: "b" });
  assert.equal(await logger.flush(), true);
  assert.match(server.numbers[0]!, /\/1$/);
  assert.deepEqual([server.numbers[1], users(1)], ["undefined", ["a"]]);
  assert.match(server.numbers.at(-1)!, /\/2$/);
});
