// @helicone/helpers: its prompt manager with `baseUrl` set, on a prompt that is made here. Prints the body that it fills in.
import { HeliconePromptManager } from "@helicone/helpers";

const { API_URL } = process.env;
const promptBody = { model: "gpt-4o-mini", messages: [{ role: "user", content: "Where is {{hc:city:string}}?" }] };
const made = await fetch(`${API_URL}/v1/prompt-2025`, {
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify({ name: "cities", tags: [], promptBody }),
});
const { id, versionId } = (await made.json()).data;

const manager = new HeliconePromptManager({ apiKey: "sk-helicone-a", baseUrl: API_URL });
const merged = await manager.getPromptBody({ prompt_id: id, inputs: { city: "Rome" }, messages: [] });
const version = await manager.pullPromptVersion({ prompt_id: id });
const whole = await manager.pullPromptBodyByVersionId(versionId);
console.log(JSON.stringify({ merged, version: version.id === versionId, whole }));
