/** What waits to be sent, and what is being sent: bounded together, by count and by bytes. */

/** A call, or a judgement on one. */
export interface Item {
  readonly body: Buffer;
  /** Of a judgement: where it is posted. */
  readonly path?: string;
  /** In the order of their coming. */
  readonly number: number;
}

export class Lane {
  #waiting: Item[] = [];
  #underWay: Item[] = [];
  #waitingBytes = 0;

  get waiting(): number {
    return this.#waiting.length;
  }

  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  get size(): number {
    return this.#waiting.length + this.#underWay.length;
  }

  /** The number of the oldest that has not come to its end. */
  get oldest(): number {
    return this.#underWay[0]?.number ?? this.#waiting[0]?.number ?? Infinity;
  }

  add(item: Item): void {
    this.#waiting.push(item);
    this.#waitingBytes += item.body.length;
  }

  /** The oldest, as many as are allowed together; one in any case. They are under way until they are settled. */
  take(most: number, bytes: number): readonly Item[] {
    let count = 0;
    let size = 0;
    for (const item of this.#waiting) {
      if (count === most || (count > 0 && size + item.body.length > bytes)) break;
      count += 1;
      size += item.body.length;
    }
    this.#underWay = this.#waiting.splice(0, count);
    this.#waitingBytes -= size;
    return this.#underWay;
  }

  /** What was under way has come to its end, but for these, which wait again before all others. Returns the rest. */
  settle(again: ReadonlySet<Item>): readonly Item[] {
    const back = this.#underWay.filter((item) => again.has(item));
    const settled = this.#underWay.filter((item) => !again.has(item));
    this.#waiting.unshift(...back);
    this.#waitingBytes += bytesOf(back);
    this.#underWay = [];
    return settled;
  }

  /** All that there is. */
  empty(): readonly Item[] {
    const all = [...this.#underWay, ...this.#waiting];
    this.#underWay = [];
    this.#waiting = [];
    this.#waitingBytes = 0;
    return all;
  }
}

export class Outbox {
  readonly calls = new Lane();
  readonly judgements = new Lane();
  readonly #most: number;
  readonly #mostBytes: number;
  #bytes = 0;
  #number = 0;

  constructor(most: number, mostBytes: number) {
    this.#most = most;
    this.#mostBytes = mostBytes;
  }

  get size(): number {
    return this.calls.size + this.judgements.size;
  }

  /** No more than half of its room is left. */
  get fillsUp(): boolean {
    return this.size * 2 >= this.#most || this.#bytes * 2 >= this.#mostBytes;
  }

  /** Of the one that came last. */
  get newest(): number {
    return this.#number;
  }

  get oldest(): number {
    return Math.min(this.calls.oldest, this.judgements.oldest);
  }

  /** False: there is no room. */
  add(body: Buffer, path?: string): boolean {
    if (this.size >= this.#most || this.#bytes + body.length > this.#mostBytes) return false;
    this.#bytes += body.length;
    this.#number += 1;
    const item = path === undefined ? { body, number: this.#number } : { body, path, number: this.#number };
    (path === undefined ? this.calls : this.judgements).add(item);
    return true;
  }

  settle(lane: Lane, again: ReadonlySet<Item> = new Set()): number {
    return this.#gone(lane.settle(again));
  }

  empty(): number {
    return this.#gone([...this.calls.empty(), ...this.judgements.empty()]);
  }

  #gone(items: readonly Item[]): number {
    this.#bytes -= bytesOf(items);
    return items.length;
  }
}

function bytesOf(items: readonly Item[]): number {
  return items.reduce((sum, item) => sum + item.body.length, 0);
}
