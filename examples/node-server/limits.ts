/** What one server, and one client of it, may hold at a time. */

/** Why a request is not done, for its client to read. */
export class Refusal extends Error {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message);
    this.status = status;
    this.headers = headers;
  }
}

const LATER = { 'Retry-After': '1' };

/** So many of something, of which one client may hold a share only: who takes much leaves the rest to others. */
export class Quota {
  readonly #what: string;
  readonly #total: number;
  /** What one client may hold. */
  readonly each: number;
  readonly #held = new Map<string, number>();
  #taken = 0;

  /** `what` follows "too many" in refusals. `share`: of `total`, what one client may hold; at least one is. */
  constructor(what: string, total: number, share: number) {
    this.#what = what;
    this.#total = total;
    this.each = Math.max(1, Math.floor(total * share));
  }

  get taken(): number {
    return this.#taken;
  }

  /** Throws a Refusal: 429 where `client` itself holds too much, 503 where all do together. */
  take(client: string, amount = 1): void {
    const held = (this.#held.get(client) ?? 0) + amount;
    if (held > this.each && this.each < this.#total)
      throw new Refusal(429, `too many ${this.#what} from your address`, LATER);
    if (this.#taken + amount > this.#total) throw new Refusal(503, `too many ${this.#what}`, LATER);
    this.#held.set(client, held);
    this.#taken += amount;
  }

  giveBack(client: string, amount = 1): void {
    const held = (this.#held.get(client) ?? 0) - amount;
    if (held > 0) this.#held.set(client, held);
    else this.#held.delete(client);
    this.#taken -= amount;
  }
}
