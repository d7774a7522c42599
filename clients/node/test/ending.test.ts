/** Processes that end, fork, or are killed: real ones. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { after, before, beforeEach, test } from "node:test";

import { CHAT, Heliograph } from "./heliograph.js";

let server: Heliograph;
before(async () => (server = await new Heliograph().start()));
after(() => server.stop());
beforeEach(() => {
  server.requests.splice(0);
  server.script = [];
});

const ESM = `import { AsyncLogger } from "heliograph-client"; const CHAT = ${JSON.stringify(CHAT)};\n`;
const CJS = ESM.replace('import { AsyncLogger } from "heliograph-client"', 'const { AsyncLogger } = require("heliograph-client")');

interface Ended {
  readonly code: number | null;
  readonly stderr: string;
}

/** An application that talks to our server, from this package's folder. */
function application(source: string, kind: "module" | "commonjs" = "module", url = server.url) {
  const args = [`--input-type=${kind}`, "-e", (kind === "module" ? ESM : CJS) + source];
  const environment: NodeJS.ProcessEnv = { ...process.env, HELIOGRAPH_URL: url, HELIOGRAPH_KEY: "sk-helicone-a" };
  delete environment["NODE_TEST_CONTEXT"];
  const child = spawn(process.execPath, args, { env: environment, stdio: ["ignore", "pipe", "pipe"] });
  let stderr = "";
  child.stderr.on("data", (piece: Buffer) => (stderr += piece));
  const ended = once(child, "close").then(([code]): Ended => ({ code, stderr }));
  return { child, ended };
}

for (const kind of ["module", "commonjs"] as const) {
  test(`what was logged is sent before a process ends by itself, and nothing else is said: ${kind}`, async () => {
    const { code, stderr } = await application("new AsyncLogger().log(CHAT); new AsyncLogger().feedback('id', true);", kind).ended;
    assert.deepEqual([code, stderr], [0, ""]);
    assert.deepEqual(server.requests.map(({ path }) => path).sort(), ["/v1/log/batch", "/v1/request/id/feedback"]);
    assert.equal(server.batches[0]!.headers.authorization, "Bearer sk-helicone-a");
  });
}

test("a logger alone does not keep a process alive", async () => {
  const { code, stderr } = await application("const logger = new AsyncLogger({ flushInterval: 3_600_000 }); await logger.log(CHAT);").ended;
  assert.deepEqual([code, stderr, server.batches.length], [0, "", 1]);
});

test("nor does a Heliograph that does not answer: what was lost is said", async () => {
  server.script = ["hang"];
  const { code, stderr } = await application("new AsyncLogger({ exitTimeout: 50, timeout: 3_600_000 }).log(CHAT);").ended;
  assert.equal(code, 0);
  assert.match(stderr, /HeliographWarning: Heliograph is not told of a call: it was not taken before the process ended/);
});

test("nor one that is away", async () => {
  const away = await new Heliograph().start();
  const { url } = away;
  await away.stop();
  const { code, stderr } = await application("new AsyncLogger({ exitTimeout: 50 }).log(CHAT);", "module", url).ended;
  assert.equal(code, 0);
  assert.match(stderr, /before the process ended/);
});

test("whoever waits for a flush is waited for", async () => {
  server.script = [{ status: 500 }];
  const { code, stderr } = await application(
    "const logger = new AsyncLogger({ onWarning() {} }); logger.log(CHAT); if (await logger.flush(60_000)) console.error('sent');",
  ).ended;
  assert.deepEqual([code, stderr, server.batches.length], [0, "sent\n", 2]);
});

test("what was sent before a kill is there", async () => {
  const { child, ended } = application("await new AsyncLogger({ flushInterval: 1 }).log(CHAT); setInterval(() => {}, 1000);");
  await server.came(1);
  child.kill("SIGKILL");
  assert.equal((await ended).code, null);
  assert.equal(server.lines().length, 1);
});

test("a worker thread, and a forked process, number their batches in epochs of their own", async () => {
  const { code, stderr } = await application(`
    const { Worker } = await import("node:worker_threads");
    const { spawnSync } = await import("node:child_process");
    const inner = ${JSON.stringify(CJS)} + "const logger = new AsyncLogger(); logger.log(CHAT);";
    const logger = new AsyncLogger();
    await logger.log(CHAT);
    await logger.flush();
    await new Promise((resolve) => new Worker(inner, { eval: true, execArgv: [] }).on("exit", resolve));
    spawnSync(process.execPath, ["-e", inner]);
  `).ended;
  assert.deepEqual([code, stderr], [0, ""]);
  const numbers = server.numbers.map((number) => number.split("/"));
  assert.deepEqual(numbers.map(([, number]) => number), ["1", "1", "1"]);
  assert.equal(new Set(numbers.map(([epoch]) => epoch)).size, 3);
});
