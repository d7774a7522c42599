// @helicone/helicone: its HeliconeAsyncLogger with `baseUrl` set, beside a client of openai's that talks to the provider itself.
import { HeliconeAsyncLogger } from "@helicone/helicone";
import OpenAI from "openai";

const { HELIOGRAPH_URL, PROVIDER_URL, TEST_TAG } = process.env;
const logger = new HeliconeAsyncLogger({
  apiKey: "sk-helicone-a",
  baseUrl: `${HELIOGRAPH_URL}/v1/trace/log`,
  providers: { openAI: OpenAI },
  headers: {
    "Helicone-Session-Id": TEST_TAG,
    "Helicone-User-Id": "user-7",
    "Helicone-Property-Plan": "pro",
  },
});
logger.init();

const openai = new OpenAI({ apiKey: "sk-test-openai", baseURL: `${PROVIDER_URL}/v1` });
const answer = await openai.chat.completions.create({ model: "gpt-4o-mini", messages: [{ role: "user", content: "Hello!" }] });
console.log(JSON.stringify({ completion: answer.usage.completion_tokens }));
