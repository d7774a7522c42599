/** What an answer, or a piece of a stream, tells by its shape alone. Nothing here throws but what a getter of the answer throws. */

/** Names that the fields of an answer have at its root. */
interface Root {
  readonly object?: unknown;
  readonly type?: unknown;
  readonly model?: unknown;
  readonly choices?: unknown;
  readonly data?: unknown;
  readonly message?: Root;
  readonly response?: Root;
}

const OPENAI = new Set(["chat.completion", "chat.completion.chunk", "text_completion", "response"]);
const LAST = new Set(["message_stop", "response.completed", "response.incomplete", "response.failed"]);

/** Whose API an answer is in. Other makers speak it too: then `provider` has to be said. */
export function providerOf(answer: unknown): string | undefined {
  const root = rootOf(answer);
  if (root === undefined) return undefined;
  if (OPENAI.has(root.object as string)) return "openai";
  if (root.object === "list" && Array.isArray(root.data)) return "openai";
  if (root.type === "message" || root.type === "message_start") return "anthropic";
  return typeof root.type === "string" && root.type.startsWith("response.") ? "openai" : undefined;
}

/** Anthropic's streams name it in `message`, those of OpenAI's responses in `response`. */
export function modelOf(answer: unknown): string | undefined {
  const root = rootOf(answer);
  const model = root?.model ?? root?.message?.model ?? root?.response?.model;
  return typeof model === "string" ? model : undefined;
}

/** Whether a stream says that this was all. Chat completions do not: their usage comes behind what looks like the end. */
export function isLast(piece: unknown): boolean {
  return LAST.has(rootOf(piece)?.type as string);
}

function rootOf(answer: unknown): Root | undefined {
  return typeof answer === "object" && answer !== null ? (answer as Root) : undefined;
}

export interface Failure {
  /** HTTP's, or what stands for it where there was none. */
  readonly status: number;
  readonly answer: unknown;
  readonly provider: string | undefined;
}

export const CANCELLED = -3;
const TIMED_OUT = -2;
const FAILED = -100;
const CANCELLATIONS = new Set(["AbortError", "APIUserAbortError"]);
const TIMEOUTS = new Set(["TimeoutError", "APIConnectionTimeoutError", "HeadersTimeoutError", "BodyTimeoutError"]);

const FAMILIES: Record<string, string> = { OpenAIError: "openai", AnthropicError: "anthropic" };

/** An exception of a client: `status` and `error`, the answer's body, as openai-node and Anthropic's SDK have them. */
export function failureOf(error: unknown): Failure {
  const raised = (typeof error === "object" && error !== null ? error : {}) as Record<string, unknown>;
  const classes = classesOf(raised);
  const told = { type: classes[0] ?? "Error", message: String(raised["message"] ?? error) };
  return {
    status: statusOf(raised["status"] ?? raised["statusCode"], [String(raised["name"]), ...classes]),
    answer: bodyOf(raised["error"]) ?? { error: told },
    provider: classes.map((name) => FAMILIES[name]).find((family) => family !== undefined),
  };
}

function statusOf(said: unknown, names: readonly string[]): number {
  if (names.some((name) => CANCELLATIONS.has(name))) return CANCELLED;
  if (typeof said === "number" && said >= 100 && said <= 599) return Math.floor(said);
  return names.some((name) => TIMEOUTS.has(name)) ? TIMED_OUT : FAILED;
}

/** The names of its class, and of those above. */
function classesOf(raised: object): string[] {
  const names: string[] = [];
  for (let above: unknown = raised; above instanceof Object; above = Object.getPrototypeOf(above)) {
    if (Object.hasOwn(above, "constructor")) names.push(above.constructor.name);
  }
  return names;
}

/** OpenAI's SDK gives what stands in `error`, Anthropic's the whole body. */
function bodyOf(said: unknown): object | undefined {
  if (typeof said !== "object" || said === null) return undefined;
  return "error" in said ? said : { error: said };
}
