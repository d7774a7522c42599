// What logging costs the thread that calls: microseconds of one call, the median of many, beside JSON.stringify of the same bodies.
import { once } from "node:events";
import http from "node:http";

import { AsyncLogger } from "heliograph-client";

const ROUNDS = 5_000;
const TOGETHER = 100;

const server = http.createServer((request, response) => request.resume().on("end", () => response.end('{"accepted":[],"refused":[]}')));
server.listen(0, "127.0.0.1");
await once(server, "listening");

function bodies(characters) {
  const text = "A word about it. ".repeat(characters / 2 / 17);
  return {
    request: { model: "gpt-4o-mini", messages: [{ role: "user", content: text }] },
    answer: {
      id: "chatcmpl-1",
      object: "chat.completion",
      model: "gpt-4o-mini-2024-07-18",
      choices: [{ index: 0, message: { role: "assistant", content: text }, finish_reason: "stop" }],
      usage: { prompt_tokens: 120, completion_tokens: 120, total_tokens: 240 },
    },
  };
}

/** What was logged is sent in between, where no clock runs. */
async function median(work, logger) {
  const took = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const began = process.hrtime.bigint();
    work();
    took.push(Number(process.hrtime.bigint() - began));
    if (round % TOGETHER === 0) await logger?.flush(60_000);
  }
  return took.sort((one, other) => one - other)[ROUNDS / 2] / 1000;
}

const rows = {};
for (const [name, characters] of Object.entries({ "1 KB": 1_000, "10 KB": 10_000, "100 KB": 100_000 })) {
  const { request, answer } = bodies(characters);
  const options = { request, userId: "user-123", properties: { feature: "chat" } };
  const logger = new AsyncLogger({ baseUrl: `http://127.0.0.1:${server.address().port}` });
  const wrapped = logger.wrap(() => answer, options);
  const stringify = await median(() => JSON.stringify(request) + JSON.stringify(answer));
  const log = await median(() => logger.log(answer, options), logger);
  const wrap = await median(() => wrapped(request), logger);
  await logger.close(60_000);
  const ratio = Number((log / stringify).toFixed(1));
  rows[name] = { "JSON.stringify, µs": stringify, "log(), µs": log, "wrapped call, µs": wrap, ratio, dropped: logger.counts.dropped };
}
console.table(rows);
server.close();
