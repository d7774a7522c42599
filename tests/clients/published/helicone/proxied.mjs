// @helicone/helicone: its OpenAI client with `baseUrl` set, and the feedback it gives. Prints the usage that the call told.
import { randomUUID } from "node:crypto";

import { HeliconeFeedbackRating, HeliconeProxyOpenAI } from "@helicone/helicone";

const { HELIOGRAPH_URL, TEST_TAG } = process.env;
const openai = new HeliconeProxyOpenAI({
  apiKey: "sk-test-openai",
  heliconeMeta: { apiKey: "sk-helicone-a", baseUrl: `${HELIOGRAPH_URL}/v1`, user: "user-7", properties: { Plan: "pro" } },
});

const requestId = randomUUID();
const headers = { "Helicone-Session-Id": TEST_TAG, "Helicone-Request-Id": requestId };
const answer = await openai.chat.completions.create({ model: "gpt-4o-mini", messages: [{ role: "user", content: "Hello!" }] }, { headers });
await openai.helicone.logFeedback(requestId, HeliconeFeedbackRating.Positive);
console.log(JSON.stringify({ completion: answer.usage.completion_tokens }));
