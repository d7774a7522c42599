/** What `log` says of a call. */

import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";

import { AsyncLogger } from "heliograph-client";
import type { LogOptions } from "heliograph-client";

import { CHAT, Heliograph } from "./heliograph.js";
import type { Line } from "./heliograph.js";

let server: Heliograph;
before(async () => (server = await new Heliograph().start()));
after(() => server.stop());
beforeEach(() => server.requests.splice(0));

async function logged(response: unknown, options?: LogOptions): Promise<Line> {
  const logger = new AsyncLogger({ baseUrl: server.url });
  await logger.log(response, options);
  await logger.close();
  assert.deepEqual(logger.counts, { queued: 0, sent: 1, dropped: 0, refused: 0, unwritable: 0 });
  return server.lines()[0]!;
}

const at = (milliseconds: number) => ({ seconds: Math.floor(milliseconds / 1000), milliseconds: milliseconds % 1000 });

test("an answer, its model, its provider, and a request id to name it by", async () => {
  const logger = new AsyncLogger({ baseUrl: server.url });
  const id = await logger.log(CHAT);
  assert.match(id, /^[0-9a-f-]{36}$/);
  assert.equal(logger.requestIdOf(CHAT), id);
  await logger.close();
  const line = server.lines()[0]!;
  assert.deepEqual(line.providerRequest, { json: { model: CHAT.model }, meta: { "Helicone-Request-Id": id } });
  assert.deepEqual(line.providerResponse, { status: 200, json: CHAT });
  assert.equal(line.provider, "openai");
  assert.deepEqual(line.timing.startTime, line.timing.endTime);
});

test("metadata becomes Helicone's headers", async () => {
  const { providerRequest, provider } = await logged(CHAT, {
    userId: "user-123",
    properties: { feature: "chat", tier: 2, trial: false, nothing: undefined },
    sessionId: "trip-7",
    sessionPath: "/trip/hotel",
    sessionName: "Trip",
    promptId: "greeting",
    requestId: "0190c5d4-9c8b-7b1e-8f3a-0123456789ab",
    headers: { "Helicone-Omit-Request": true },
    provider: "groq",
    url: "https://api.groq.com/openai/v1/chat/completions",
    request: { model: "llama", messages: [] },
  });
  assert.deepEqual(providerRequest.meta, {
    "Helicone-User-Id": "user-123",
    "Helicone-Property-feature": "chat",
    "Helicone-Property-tier": 2,
    "Helicone-Property-trial": false,
    "Helicone-Session-Id": "trip-7",
    "Helicone-Session-Path": "/trip/hotel",
    "Helicone-Session-Name": "Trip",
    "Helicone-Prompt-Id": "greeting",
    "Helicone-Request-Id": "0190c5d4-9c8b-7b1e-8f3a-0123456789ab",
    "Helicone-Omit-Request": true,
  });
  assert.equal(providerRequest.url, "https://api.groq.com/openai/v1/chat/completions");
  assert.deepEqual(providerRequest.json, { model: "llama", messages: [] });
  assert.equal(provider, "groq");
});

test("status, cost and times as they are told", async () => {
  const startedAt = 1_764_000_000_250;
  const line = await logged(CHAT, { startedAt, endedAt: new Date(startedAt + 1_500), timeToFirstToken: 120, status: 206, cost: 0.0042 });
  assert.deepEqual(line.timing, { startTime: at(startedAt), endTime: at(startedAt + 1_500), timeToFirstToken: 120 });
  assert.equal(line.providerResponse.status, 206);
  assert.equal(line.providerResponse.cost, 0.0042);
});

const SHAPES: Record<string, [unknown, string | undefined, string | undefined]> = {
  "chat completion": [CHAT, "openai", CHAT.model],
  "legacy completion": [{ object: "text_completion", model: "davinci-002" }, "openai", "davinci-002"],
  response: [{ object: "response", model: "gpt-5" }, "openai", "gpt-5"],
  embeddings: [{ object: "list", data: [], model: "text-embedding-3-small" }, "openai", "text-embedding-3-small"],
  message: [{ type: "message", model: "claude-3-5-sonnet-20241022" }, "anthropic", "claude-3-5-sonnet-20241022"],
  "a model of one's own": [{ text: "hi" }, undefined, undefined],
  "chat chunks": [[{ object: "chat.completion.chunk", model: "gpt-4o" }], "openai", "gpt-4o"],
  "message events": [[{ type: "message_start", message: { model: "claude" } }, { type: "message_stop" }], "anthropic", "claude"],
  "response events": [[{ type: "response.created", response: { model: "gpt-5" } }], "openai", "gpt-5"],
};
for (const [name, [answer, provider, model]] of Object.entries(SHAPES)) {
  test(`whose it is, by its shape: ${name}`, async () => {
    const line = await logged(answer);
    assert.equal(line.provider, provider);
    assert.equal(line.providerRequest.json["model"], model);
    assert.deepEqual(line.providerResponse.json, Array.isArray(answer) ? { streamed_data: answer } : answer);
  });
}

test("text is told as text", async () => {
  const line = await logged("plain words");
  assert.deepEqual(line.providerResponse, { status: 200, json: {}, textBody: "plain words" });
});

test("what is altered afterwards was logged as it was", async () => {
  const logger = new AsyncLogger({ baseUrl: server.url });
  const request = { model: "gpt-4o", messages: [{ role: "user", content: "first" }] };
  void logger.log(CHAT, { request });
  request.messages.push({ role: "user", content: "second" });
  await logger.close();
  assert.deepEqual(server.lines()[0]!.providerRequest.json["messages"], [{ role: "user", content: "first" }]);
});

test("files of a request are named, not copied", async () => {
  const request = { model: "whisper-1", file: Buffer.alloc(2048), image: new Blob(["abc"]), at: new Date(0), tags: ["a"] };
  const { json } = (await logged({ text: "hi" }, { request })).providerRequest;
  const named = { file: "[Buffer, 2048 bytes]", image: "[Blob, 3 bytes]" };
  assert.deepEqual(json, { model: "whisper-1", ...named, at: "1970-01-01T00:00:00.000Z", tags: ["a"] });
});

test("a stream too long for one line keeps its beginning and its end", async () => {
  const pieces = Array.from({ length: 40 }, (_, number) => ({ number, text: "x".repeat(500_000) }));
  const told: { number: number }[] = (await logged(pieces)).providerResponse.json.streamed_data;
  const numbers = told.map((piece) => piece.number);
  assert.equal(numbers[0], 0);
  assert.deepEqual(numbers.slice(-4), [36, 37, 38, 39]);
  assert.ok(numbers.length < 40);
});

test("feedback and scores", async () => {
  const logger = new AsyncLogger({ baseUrl: server.url, apiKey: "sk-helicone-a" });
  await logger.feedback("id-1", true, "Well said.");
  await logger.feedback("id 2", null);
  await logger.score("id-1", { accuracy: 0.9, safe: true, tone: null });
  await logger.close();
  assert.deepEqual(
    server.requests.map(({ path, body, headers }) => [path, JSON.parse(body), headers.authorization, headers["content-type"]]),
    [
      ["/v1/request/id-1/feedback", { rating: true, comment: "Well said." }, "Bearer sk-helicone-a", "application/json"],
      ["/v1/request/id%202/feedback", { rating: null }, "Bearer sk-helicone-a", "application/json"],
      ["/v1/request/id-1/score", { scores: { accuracy: 0.9, safe: true, tone: null } }, "Bearer sk-helicone-a", "application/json"],
    ],
  );
});
