/** Bodies become JSON when they are seen: whoever goes on with a list of messages does not alter what was asked before. */

/** No line may be longer; Heliograph takes 10 Mi characters, metadata and all. */
export const MOST_CHARACTERS = 10_000_000;
/** Of a stream's pieces, so that a line still holds what stands around them. */
const MOST_OF_A_STREAM = 8_000_000;
/** Pieces at its end that are kept in any case: usage stands there. */
const LAST_PIECES = 4;

/** A request's body. Files and bytes at its root are named, not copied. Throws what JSON.stringify throws. */
export function requestText(request: unknown): string {
  if (!isObject(request)) return "{}";
  const files = Object.entries(request).filter(([, value]) => isObject(value) && !isPlain(value));
  const told = files.length ? { ...request, ...Object.fromEntries(files.map(([name, file]) => [name, named(file)])) } : request;
  return JSON.stringify(told) ?? "{}";
}

function isPlain(value: object): boolean {
  if (Array.isArray(value)) return true;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype || ("toJSON" in value && !ArrayBuffer.isView(value));
}

function named(file: unknown): string {
  const { constructor, byteLength, size } = file as { constructor?: { name?: string }; byteLength?: number; size?: number };
  const bytes = byteLength ?? size;
  return `[${constructor?.name ?? "object"}${typeof bytes === "number" ? `, ${bytes} bytes` : ""}]`;
}

export function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

/** The pieces of a stream, as JSON. What is too much for one line is left out of its middle. */
export class Pieces {
  readonly #first: string[] = [];
  #last: string[] = [];
  #characters = 0;

  get count(): number {
    return this.#first.length + this.#last.length;
  }

  /** Throws what JSON.stringify throws. */
  add(piece: unknown): void {
    const text = JSON.stringify(piece);
    if (text === undefined) return;
    if (this.#last.length === 0 && this.#characters + text.length <= MOST_OF_A_STREAM) {
      this.#characters += text.length;
      this.#first.push(text);
      return;
    }
    this.#last = [...this.#last, text].slice(-LAST_PIECES);
  }

  /** As Heliograph reads a stream in pieces. */
  text(): string {
    return `{"streamed_data":[${[...this.#first, ...this.#last].join(",")}]}`;
  }
}
