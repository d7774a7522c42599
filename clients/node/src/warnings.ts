/** What a logger has to say, each kind of it once: whoever loses calls by the thousand need not read of it a thousand times. */

export type Kind = "option" | "unreachable" | "dropped" | "refused" | "unwritable";

export class Warnings {
  readonly #told = new Set<Kind>();
  readonly #hear: (message: string) => void;

  constructor(hear: ((message: string) => void) | undefined) {
    this.#hear = hear ?? ((message) => process.emitWarning(message, { type: "HeliographWarning" }));
  }

  once(kind: Kind, message: string): void {
    if (this.#told.has(kind)) return;
    this.#told.add(kind);
    try {
      this.#hear(message);
    } catch {
      // Whoever hears of it may fail; the application goes on.
    }
  }
}
