/**
 * One POST to Heliograph.
 *
 * By node:http and not by fetch: on Node 18 fetch prints a warning of its own into the application, its connections cannot be let go
 * (`unref`), and what an application puts in fetch's place, for its tests or for tracing, would see our requests.
 */

import http from "node:http";
import https from "node:https";

import type { Answer } from "./verdict.js";

const LONGEST_ANSWER = 8 << 20;

export class Post {
  readonly #base: string;
  readonly #headers: Record<string, string>;
  readonly #timeout: number;
  readonly #agent: http.Agent;
  readonly #request: typeof http.request;

  /** `timeout` is milliseconds for all of one request. Node 18 would ask `localhost` at its first address alone, often that of IPv6. */
  constructor(base: string, headers: Record<string, string>, timeout: number) {
    const scheme = base.startsWith("https:") ? https : http;
    this.#base = base;
    this.#headers = headers;
    this.#timeout = timeout;
    this.#agent = new scheme.Agent({ keepAlive: true, maxSockets: 1, autoSelectFamily: true } as http.AgentOptions);
    this.#request = scheme.request;
  }

  /** Rejects when there was no whole answer. */
  send(path: string, headers: Record<string, string>, body: Buffer, stopped: AbortSignal): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const all = { ...this.#headers, ...headers, "Content-Length": String(body.length) };
      const request = this.#request(this.#base + path, { method: "POST", agent: this.#agent, headers: all, signal: stopped });
      const timer = setTimeout(() => request.destroy(new Error(`there was no answer within ${this.#timeout} ms`)), this.#timeout).unref();
      const over = <T>(then: (value: T) => void) => (value: T): void => {
        clearTimeout(timer);
        then(value);
      };
      request.on("socket", (socket) => socket.unref());
      request.on("error", over(reject));
      request.on("response", (response) => read(response).then(over(resolve), over(reject)));
      request.end(body);
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

async function read(response: http.IncomingMessage): Promise<Answer> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of response as AsyncIterable<Buffer>) {
    size += piece.length;
    if (size <= LONGEST_ANSWER) pieces.push(piece);
  }
  const { "retry-after": retryAfter, location } = response.headers;
  const body = Buffer.concat(pieces).toString();
  return { status: response.statusCode ?? 0, body: location === undefined ? body : `to ${location}`, retryAfter };
}
