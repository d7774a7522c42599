// openai-node and Anthropic's SDK with nothing changed but their base URL. Prints the usage that each call told.
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";

const { HELIOGRAPH_URL, TEST_TAG } = process.env;
const messages = [{ role: "user", content: "Hello!" }];

function headers(path) {
  return {
    "Helicone-User-Id": "user-7",
    "Helicone-Property-Plan": "pro",
    "Helicone-Session-Id": TEST_TAG,
    "Helicone-Session-Path": path,
  };
}

async function chat(baseURL, path) {
  const openai = new OpenAI({ apiKey: "sk-test-openai", baseURL, defaultHeaders: headers(path) });
  return (await openai.chat.completions.create({ model: "gpt-4o-mini", messages })).usage.completion_tokens;
}

async function message(baseURL, path) {
  const anthropic = new Anthropic({ apiKey: "sk-ant-test", baseURL, defaultHeaders: headers(path) });
  return (await anthropic.messages.create({ model: "claude-3-5-sonnet-20241022", max_tokens: 64, messages })).usage.output_tokens;
}

const told = {
  openai: await chat(`${HELIOGRAPH_URL}/v1`, "/openai"),
  anthropic: await message(HELIOGRAPH_URL, "/anthropic"),
};
process.env.OPENAI_BASE_URL = `${HELIOGRAPH_URL}/v1`;
process.env.ANTHROPIC_BASE_URL = HELIOGRAPH_URL;
told["openai-by-environment"] = await chat(undefined, "/openai-by-environment");
told["anthropic-by-environment"] = await message(undefined, "/anthropic-by-environment");
console.log(JSON.stringify(told));
