/** What a logger goes by, and how it is said: by option, else by environment, else by default. */

export interface LoggerOptions {
  /** Heliograph's key, `sk-helicone-…`; else `HELIOGRAPH_KEY`. Without one nothing is said of whose the calls are. */
  apiKey?: string | undefined;
  /** Where Heliograph is, either port; else `HELIOGRAPH_URL`, else `http://localhost:8787`. */
  baseUrl?: string | undefined;
  /** Calls and judgements that may wait. 10,000. */
  maxQueued?: number | undefined;
  /** Bytes that they may take. 32 MiB. */
  maxQueuedBytes?: number | undefined;
  /** Milliseconds until what waits is sent. 1,000. */
  flushInterval?: number | undefined;
  /** Milliseconds that one request may take. 10,000. */
  timeout?: number | undefined;
  /** Milliseconds for which a process that has nothing else to do waits, so that what it has logged is sent. 5,000. */
  exitTimeout?: number | undefined;
  /** Hears of each kind of loss, once. Else `process.emitWarning` does. */
  onWarning?: ((message: string) => void) | undefined;
}

export interface Settings {
  readonly apiKey: string | undefined;
  /** Without a slash at its end. */
  readonly baseUrl: string;
  readonly maxQueued: number;
  readonly maxQueuedBytes: number;
  readonly flushInterval: number;
  readonly timeout: number;
  readonly exitTimeout: number;
  readonly onWarning: ((message: string) => void) | undefined;
}

const DEFAULT_URL = "http://localhost:8787";
const TRACES = /\/v1\/trace\/log$/;
const NUMBERS = { maxQueued: 10_000, maxQueuedBytes: 32 << 20, flushInterval: 1_000, timeout: 10_000, exitTimeout: 5_000 };

/** Throws TypeError, which names the option or the variable. */
export function settingsOf(options: LoggerOptions, environment: Record<string, string | undefined>): Settings {
  const numbers = { ...NUMBERS };
  for (const name of Object.keys(NUMBERS) as (keyof typeof NUMBERS)[]) {
    const said = options[name];
    if (said === undefined) continue;
    if (typeof said !== "number" || !(said > 0)) throw new TypeError(`${name} must be a number above 0, such as ${NUMBERS[name]}`);
    numbers[name] = said;
  }
  return { ...numbers, apiKey: keyOf(options, environment), baseUrl: urlOf(options, environment), onWarning: options.onWarning };
}

function keyOf(options: LoggerOptions, environment: Record<string, string | undefined>): string | undefined {
  const [name, key] = options.apiKey !== undefined ? ["apiKey", options.apiKey] : ["HELIOGRAPH_KEY", environment["HELIOGRAPH_KEY"]];
  if (!key) return undefined;
  if (typeof key !== "string" || !/^[\x21-\x7e]+$/.test(key)) throw new TypeError(`${name} must be a key, such as sk-helicone-…`);
  return key;
}

/** `HeliconeAsyncLogger` of `@helicone/helicone` is given the whole address of its endpoint for traces. */
function urlOf(options: LoggerOptions, environment: Record<string, string | undefined>): string {
  const [name, said] = options.baseUrl !== undefined ? ["baseUrl", options.baseUrl] : ["HELIOGRAPH_URL", environment["HELIOGRAPH_URL"]];
  const url = parsed(said || DEFAULT_URL);
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.search || url.hash || url.username) {
    throw new TypeError(`${name} must be Heliograph's address, such as ${DEFAULT_URL}`);
  }
  return (url.origin + url.pathname).replace(/\/+$/, "").replace(TRACES, "");
}

function parsed(text: string): URL | undefined {
  try {
    return new URL(text);
  } catch {
    return undefined;
  }
}

const KNOWN = new Set([...Object.keys(NUMBERS), "apiKey", "baseUrl", "onWarning"]);

/** Options that do nothing here, such as `providers` of Helicone's own logger. */
export function unknownIn(options: object): string[] {
  return Object.keys(options).filter((name) => !KNOWN.has(name));
}
