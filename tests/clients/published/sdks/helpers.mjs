// @helicone/helpers with `loggingEndpoint` set, before a provider that is called directly.
import { HeliconeManualLogger } from "@helicone/helpers";
import OpenAI from "openai";

const { HELIOGRAPH_URL, PROVIDER_URL, TEST_TAG } = process.env;
const openai = new OpenAI({ apiKey: "sk-test-openai", baseURL: `${PROVIDER_URL}/v1`, maxRetries: 0 });
const logger = new HeliconeManualLogger({ apiKey: "sk-helicone-a", loggingEndpoint: HELIOGRAPH_URL });

const request = { model: "gpt-4o-mini", messages: [{ role: "user", content: "Hello!" }] };
const streamed = { ...request, stream: true, stream_options: { include_usage: true } };
const headers = (path) => ({
  "Helicone-User-Id": "user-7",
  "Helicone-Property-Plan": "pro",
  "Helicone-Session-Id": TEST_TAG,
  "Helicone-Session-Path": path,
});

await logger.logRequest(
  request,
  async (recorder) => recorder.appendResults(await openai.chat.completions.create(request)),
  headers("/request"),
  "OPENAI",
);
const stream = (await openai.chat.completions.create(streamed)).toReadableStream();
await logger.logSingleStream(streamed, stream, headers("/stream"));

const builder = logger.logBuilder(streamed, headers("/builder"));
await new Response(builder.toReadableStream(await openai.chat.completions.create(streamed))).text();
await builder.sendLog();

const failing = logger.logBuilder(request, headers("/failing"));
failing.setError(await openai.chat.completions.create(request, { headers: { "x-demo-fault": "status=429" } }).catch((error) => error));
await failing.sendLog();

await logger.logRequest(
  { _type: "tool", toolName: "scales", input: {} },
  async (recorder) => recorder.appendResults({ grams: 5 }),
  headers("/tool"),
);
