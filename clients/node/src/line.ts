/** One call as Heliograph takes it: a line of `POST /v1/log/batch`. Bodies come as JSON already, written when they were seen. */

export type Plain = string | number | boolean | null | undefined;

/** Who called, and what for. */
export interface Metadata {
  userId?: Plain;
  properties?: Record<string, Plain> | undefined;
  sessionId?: Plain;
  /** `/trip/hotel`: where in the session's tree the call stands. */
  sessionPath?: Plain;
  sessionName?: Plain;
  promptId?: Plain;
  /** A UUID of your own, by which feedback names the call. Else one is drawn. */
  requestId?: string | undefined;
  /** Any other `Helicone-…` header that says something about a call. */
  headers?: Record<string, Plain> | undefined;
  /** Whose model it was, where the shape of the answer misleads: `groq`, `azure`. */
  provider?: string | undefined;
  /** Where the call went, or a name for it. */
  url?: string | undefined;
  /** What it cost, in USD, where you know better. */
  cost?: number | undefined;
}

/** All that a line says. Moments are milliseconds since 1970. */
export interface Told {
  readonly requestId: string;
  readonly metadata: Metadata;
  /** JSON. */
  readonly request: string;
  /** JSON, an object or a list. */
  readonly answer: string | undefined;
  /** Where the answer was no JSON. */
  readonly text?: string | undefined;
  readonly status: number;
  readonly provider: string | undefined;
  readonly startedAt: number;
  readonly endedAt: number;
  readonly timeToFirstToken?: number | undefined;
}

const HEADERS = [
  ["userId", "Helicone-User-Id"],
  ["sessionId", "Helicone-Session-Id"],
  ["sessionPath", "Helicone-Session-Path"],
  ["sessionName", "Helicone-Session-Name"],
  ["promptId", "Helicone-Prompt-Id"],
] as const;

export function lineOf(told: Told): string {
  const { metadata } = told;
  const request = fields({ url: text(metadata.url), json: told.request, meta: JSON.stringify(metaOf(told)) });
  const response = fields({
    status: text(told.status),
    json: told.answer ?? "{}",
    textBody: text(told.text),
    cost: text(metadata.cost),
  });
  const timing = fields({
    startTime: clock(told.startedAt),
    endTime: clock(Math.max(told.startedAt, told.endedAt)),
    timeToFirstToken: text(told.timeToFirstToken && Math.floor(told.timeToFirstToken * 1000) / 1000),
  });
  return fields({ providerRequest: request, providerResponse: response, timing, provider: text(metadata.provider ?? told.provider) });
}

function metaOf({ requestId, metadata }: Told): Record<string, Plain> {
  const meta: Record<string, Plain> = { ...metadata.headers, "Helicone-Request-Id": requestId };
  for (const [name, header] of HEADERS) {
    if (metadata[name] != null) meta[header] = metadata[name];
  }
  for (const [name, value] of Object.entries(metadata.properties ?? {})) {
    if (value != null) meta[`Helicone-Property-${name}`] = value;
  }
  return meta;
}

/** Down to microseconds: a first token is not later than the end. */
function clock(moment: number): string {
  return `{"seconds":${Math.floor(moment / 1000)},"milliseconds":${Math.floor((moment % 1000) * 1000) / 1000}}`;
}

function text(value: unknown): string | undefined {
  return value === undefined ? undefined : JSON.stringify(value);
}

/** An object of values that are JSON; what is not known is left out. */
function fields(named: Record<string, string | undefined>): string {
  const known = Object.entries(named).filter(([, value]) => value !== undefined);
  return `{${known.map(([name, value]) => `"${name}":${value}`).join(",")}}`;
}
