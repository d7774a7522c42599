/** What an answer of Heliograph's means for what was sent. */

export interface Answer {
  readonly status: number;
  readonly body: string;
  /** Seconds, as the header says it. */
  readonly retryAfter?: string | undefined;
}

export interface Retry {
  readonly kind: "retry";
  readonly reason: string;
  /** Heliograph answers, and its log is away. */
  readonly logIsAway: boolean;
  readonly afterMs: number | undefined;
}

export interface Settled {
  readonly kind: "settled";
  /** Numbers of lines, from 1, that Heliograph will never take. */
  readonly refused: ReadonlySet<number>;
  /** Those that it could not take now. */
  readonly again: ReadonlySet<number>;
  /** Why the first was refused. */
  readonly reason: string;
  readonly afterMs: number | undefined;
}

/** None of it will ever be taken. */
export interface Refused {
  readonly kind: "refused";
  readonly reason: string;
}

export type Verdict = Retry | Settled | Refused;

interface RefusedLine {
  readonly line: number;
  readonly error: string;
  readonly again?: boolean;
}

const NOT_NOW = new Set([408, 425, 429]);
const SHOWN = 300;

export function verdictOf(answer: Answer): Verdict {
  const { status, body } = answer;
  const afterMs = milliseconds(answer.retryAfter);
  if (status === 503) {
    const lines = refusedLines(body);
    if (lines?.some((line) => line.again)) return settled(lines, afterMs);
  }
  if (status >= 200 && status < 300) return settled(refusedLines(body) ?? [], afterMs);
  if (status >= 500 || NOT_NOW.has(status)) {
    return { kind: "retry", reason: `it answered ${status}`, logIsAway: status === 503, afterMs };
  }
  return { kind: "refused", reason: `${status} ${body.slice(0, SHOWN)}`.trim() };
}

function settled(lines: readonly RefusedLine[], afterMs: number | undefined): Settled {
  const refused = lines.filter((line) => !line.again);
  const again = new Set(lines.filter((line) => line.again).map((line) => line.line));
  return { kind: "settled", refused: new Set(refused.map((line) => line.line)), again, reason: refused[0]?.error ?? "", afterMs };
}

function refusedLines(body: string): readonly RefusedLine[] | undefined {
  try {
    const refused = (JSON.parse(body) as { refused?: unknown }).refused;
    return Array.isArray(refused) ? (refused as RefusedLine[]) : undefined;
  } catch {
    return undefined;
  }
}

/** Dates are not sent by Heliograph. */
function milliseconds(seconds: string | undefined): number | undefined {
  const found = seconds === undefined ? NaN : Number(seconds);
  return found >= 0 ? found * 1000 : undefined;
}

const FIRST_MS = 100;
const LONGEST_MS = 30_000;

/** How long to wait before the next try, after so many: twice as long each time, between half of it and all. `chance` is from 0 to 1. */
export function pauseOf(tries: number, afterMs: number | undefined, chance: number): number {
  const pause = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(tries - 1, 20)) * (0.5 + chance / 2);
  return Math.max(pause, Math.min(afterMs ?? 0, LONGEST_MS));
}
