/** Whoever still has something to send when the process has nothing else to do is asked to send it, for a bounded time. */

export interface Leaving {
  lastFlush(): Promise<void>;
}

const waiting = new Set<Leaving>();

/** From now on it has something to send. */
export function stay(one: Leaving): void {
  if (waiting.size === 0) process.on("beforeExit", ask);
  waiting.add(one);
}

/** It has nothing to send. */
export function leave(one: Leaving): void {
  if (waiting.delete(one) && waiting.size === 0) process.off("beforeExit", ask);
}

function ask(): void {
  for (const one of waiting) void one.lastFlush();
}
