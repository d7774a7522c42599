/** A real server on loopback that takes what a Heliograph takes, answers as its script says, and remembers. */

import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { gunzipSync } from "node:zlib";

export interface Request {
  readonly path: string;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

/** `hang` answers nothing, `cut` closes the connection. */
export type Reply = { status: number; body?: unknown; headers?: Record<string, string> } | "hang" | "cut";

export type Line = {
  providerRequest: { url?: string; json: Record<string, unknown>; meta: Record<string, string> };
  providerResponse: { status: number; json: any; textBody?: string; cost?: number };
  timing: { startTime: Clock; endTime: Clock; timeToFirstToken?: number };
  provider?: string;
};
interface Clock {
  seconds: number;
  milliseconds: number;
}

export class Heliograph {
  readonly requests: Request[] = [];
  /** The next replies; then every request is taken. */
  script: Reply[] = [];
  readonly #server = http.createServer((request, response) => void this.#take(request, response));
  #arrivals: (() => void)[] = [];

  async start(port = 0): Promise<this> {
    this.#server.listen(port, "127.0.0.1");
    await once(this.#server, "listening");
    return this;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get batches(): Request[] {
    return this.requests.filter((request) => request.path === "/v1/log/batch");
  }

  /** `epoch/number` of each batch, as they came. */
  get numbers(): string[] {
    return this.batches.map((request) => String(request.headers["heliograph-batch"]));
  }

  lines(request: Request = this.batches[0]!): Line[] {
    return request.body.trimEnd().split("\n").map((line) => JSON.parse(line) as Line);
  }

  async came(count: number): Promise<void> {
    while (this.requests.length < count) await new Promise<void>((resolve) => this.#arrivals.push(resolve));
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  async #take(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const pieces: Buffer[] = [];
    for await (const piece of request as AsyncIterable<Buffer>) pieces.push(piece);
    const raw = Buffer.concat(pieces);
    const body = (request.headers["content-encoding"] === "gzip" ? gunzipSync(raw) : raw).toString();
    this.requests.push({ path: request.url ?? "", headers: request.headers, body });
    const reply = this.script.shift() ?? { status: 200, body: { accepted: [], refused: [] } };
    if (reply === "cut") request.socket.destroy();
    else if (reply !== "hang") {
      response.writeHead(reply.status, { "content-type": "application/json", ...reply.headers });
      response.end(JSON.stringify(reply.body ?? {}));
    }
    for (const arrival of this.#arrivals.splice(0)) arrival();
  }
}

export const CHAT = {
  id: "chatcmpl-1",
  object: "chat.completion",
  model: "gpt-4o-mini-2024-07-18",
  choices: [{ index: 0, message: { role: "assistant", content: "Hi" }, finish_reason: "stop" }],
  usage: { prompt_tokens: 8, completion_tokens: 2, total_tokens: 10 },
};
