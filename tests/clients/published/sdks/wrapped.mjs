// The SDKs themselves, calling a provider directly, with their methods wrapped by heliograph-client. Prints what each call gave.
import Anthropic from "@anthropic-ai/sdk";
import { AsyncLogger } from "heliograph-client";
import OpenAI from "openai";

const { PROVIDER_URL, TEST_TAG } = process.env;
const logger = new AsyncLogger();
const model = "gpt-4o-mini";
const claude = "claude-3-5-sonnet-20241022";
const messages = [{ role: "user", content: "Hello!" }];

/** SDKs whose calls carry the name of a scenario. */
function sdks(scenario) {
  const openai = new OpenAI({ apiKey: "sk-test-openai", baseURL: `${PROVIDER_URL}/v1`, maxRetries: 0 });
  const anthropic = new Anthropic({ apiKey: "sk-ant-test", baseURL: PROVIDER_URL, maxRetries: 0 });
  const told = {
    userId: "user-7",
    sessionId: TEST_TAG,
    sessionPath: `/${scenario}`,
    properties: { test: TEST_TAG, scenario },
  };
  for (const owner of [openai.chat.completions, openai.responses, openai.embeddings, anthropic.messages]) {
    owner.create = logger.wrap(owner.create.bind(owner), told);
  }
  return { openai, anthropic };
}

async function read(stream) {
  const pieces = [];
  for await (const piece of stream) pieces.push(piece);
  return pieces;
}

const chunked = { model, messages, stream: true, stream_options: { include_usage: true } };
const usageOf = (chunks) => chunks.find((chunk) => chunk.usage)?.usage;

const SCENARIOS = {
  async chat({ openai }) {
    const answer = await openai.chat.completions.create({ model, messages });
    await logger.feedback(logger.requestIdOf(answer), true);
    await logger.score(logger.requestIdOf(answer), { accuracy: 0.9, safe: true });
    return answer.usage;
  },
  async "chat-with-response"({ openai }) {
    const { data, response } = await openai.chat.completions.create({ model, messages }).withResponse();
    return { ...data.usage, status: response.status };
  },
  async "chat-as-response"({ openai }) {
    const response = await openai.chat.completions.create({ model, messages }).asResponse();
    return (await response.json()).usage;
  },
  async "chat-stream"({ openai }) {
    return usageOf(await read(await openai.chat.completions.create(chunked)));
  },
  async "chat-stream-tee"({ openai }) {
    const [left, right] = (await openai.chat.completions.create(chunked)).tee();
    const [one, other] = await Promise.all([read(left), read(right)]);
    return { ...usageOf(one), same: JSON.stringify(one) === JSON.stringify(other) };
  },
  async "chat-stream-readable"({ openai }) {
    const stream = await openai.chat.completions.create(chunked);
    const text = await new Response(stream.toReadableStream()).text();
    return usageOf(text.trim().split("\n").map((line) => JSON.parse(line)));
  },
  async "chat-stream-helper"({ openai }) {
    return await openai.chat.completions.stream({ model, messages, stream_options: { include_usage: true } }).totalUsage();
  },
  async "chat-stream-left"({ openai }) {
    for await (const _ of await openai.chat.completions.create(chunked)) break;
  },
  async "chat-stream-aborted"({ openai }) {
    const stream = await openai.chat.completions.create(chunked, { headers: { "x-demo-fault": "chunks=50, delay-ms=20" } });
    for await (const _ of stream) stream.controller.abort();
  },
  async "chat-parse"({ openai }) {
    const response_format = { type: "json_schema", json_schema: { name: "answer", schema: { type: "object", properties: {} } } };
    return (await openai.chat.completions.parse({ model, messages, response_format })).usage;
  },
  async response({ openai }) {
    const { usage } = await openai.responses.create({ model, input: "Hello!" });
    return { prompt_tokens: usage.input_tokens, completion_tokens: usage.output_tokens };
  },
  async "response-stream"({ openai }) {
    const { usage } = (await read(await openai.responses.create({ model, input: "Hello!", stream: true }))).at(-1).response;
    return { prompt_tokens: usage.input_tokens, completion_tokens: usage.output_tokens };
  },
  async embeddings({ openai }) {
    return (await openai.embeddings.create({ model: "text-embedding-3-small", input: "Hello!" })).usage;
  },
  async message({ anthropic }) {
    const { usage } = await anthropic.messages.create({ model: claude, max_tokens: 64, messages });
    return { prompt_tokens: usage.input_tokens, completion_tokens: usage.output_tokens };
  },
  async "message-stream"({ anthropic }) {
    const events = await read(await anthropic.messages.create({ model: claude, max_tokens: 64, messages, stream: true }));
    const began = events.find((event) => event.type === "message_start").message.usage;
    const ended = events.find((event) => event.type === "message_delta").usage;
    return { prompt_tokens: began.input_tokens, completion_tokens: ended.output_tokens };
  },
  async "message-stream-helper"({ anthropic }) {
    const { usage } = await anthropic.messages.stream({ model: claude, max_tokens: 64, messages }).finalMessage();
    return { prompt_tokens: usage.input_tokens, completion_tokens: usage.output_tokens };
  },
  async refused({ openai }) {
    const call = openai.chat.completions.create({ model, messages }, { headers: { "x-demo-fault": "status=429" } });
    const error = await call.catch((raised) => raised);
    return { raised: error instanceof OpenAI.RateLimitError };
  },
  async "refused-parse"({ openai }) {
    const call = openai.chat.completions.parse({ model, messages }, { headers: { "x-demo-fault": "status=400" } });
    return { raised: (await call.catch((raised) => raised)) instanceof OpenAI.BadRequestError };
  },
  async "refused-with-response"({ openai }) {
    const call = openai.chat.completions.create({ model, messages }, { headers: { "x-demo-fault": "status=503" } });
    return { raised: (await call.withResponse().catch((raised) => raised)) instanceof OpenAI.InternalServerError };
  },
  async overloaded({ anthropic }) {
    const request = { model: claude, max_tokens: 64, messages };
    const error = await anthropic.messages.create(request, { headers: { "x-demo-fault": "status=529" } }).catch((raised) => raised);
    return { raised: error instanceof Anthropic.APIError };
  },
  async "cut-off"({ openai }) {
    const call = openai.chat.completions.create({ model, messages }, { headers: { "x-demo-fault": "reset-before" } });
    const error = await call.catch((raised) => raised);
    return { raised: error instanceof OpenAI.APIConnectionError };
  },
  async aborted({ openai }) {
    const options = { signal: AbortSignal.abort() };
    const error = await openai.chat.completions.create({ model, messages }, options).catch((raised) => raised);
    return { raised: error instanceof OpenAI.APIUserAbortError };
  },
  async "timed-out"({ openai }) {
    const options = { timeout: 100, headers: { "x-demo-fault": "stall-before=2" } };
    const error = await openai.chat.completions.create({ model, messages }, options).catch((raised) => raised);
    return { raised: error instanceof OpenAI.APIConnectionTimeoutError };
  },
};

const gave = {};
for (const [name, scenario] of Object.entries(SCENARIOS)) gave[name] = (await scenario(sdks(name))) ?? {};
await logger.close();
console.log(JSON.stringify({ gave, counts: logger.counts }));
