/// <reference lib="esnext.disposable" />

export type { Call } from "./call.js";
export type { Metadata, Plain } from "./line.js";
export { AsyncLogger } from "./logger.js";
/** By the name that Helicone's logger has. */
export { AsyncLogger as HeliconeAsyncLogger } from "./logger.js";
export type { LogOptions, WrapOptions } from "./logger.js";
export type { Counts } from "./sender.js";
export type { LoggerOptions } from "./settings.js";
