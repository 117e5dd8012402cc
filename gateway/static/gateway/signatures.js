/** The signatures of parts: asked for in batches, each shortly before its part is sent. */
import { STALL_MS } from "./bucket.js";
import { expired } from "./errors.js";
import { sha256 } from "./hashing.js";

const PARTS_SIGNED_AHEAD = 12; // in one call
const HASHED_AHEAD_BYTES = 64 * 2 ** 20;

/** Presigned requests by part number; `todo` tells which parts are not on their way, `slice` gives their bytes. */
export class Signatures {
  constructor(job, entry, pace, { todo, slice }) {
    this.job = job;
    this.entry = entry;
    this.pace = pace;
    this.todo = todo;
    this.slice = slice;
    this.signed = new Map(entry.parts.map((part) => [part.part_number, this.dated(part)]));
    this.signing = null; // a promise, while the gateway is asked
  }

  /** A request that sends a part, used once: whoever sends the part again asks for another. */
  async take(number) {
    for (;;) {
      const part = this.signed.get(number);
      this.signed.delete(number);
      if (part && Date.now() < part.until) {
        this.signAhead();
        return part;
      }
      this.signing ??= this.sign([number, ...this.unsigned().filter((each) => each !== number)]);
      await this.signing;
      this.job.signal?.throwIfAborted();
    }
  }

  signAhead() {
    const numbers = this.unsigned();
    if (this.signing || !numbers.length || this.signed.size >= this.pace.lanes) return;
    this.signing = this.sign(numbers);
    this.signing.catch(() => {}); // whoever needs a part hears of it
  }

  unsigned() {
    return this.todo().slice(0, PARTS_SIGNED_AHEAD).filter((number) => !this.signed.has(number));
  }

  async sign(wanted) {
    try {
      const { hashed, partSize, urls } = this.entry;
      const most = hashed ? Math.max(1, Math.floor(HASHED_AHEAD_BYTES / partSize)) : PARTS_SIGNED_AHEAD;
      const numbers = wanted.slice(0, most);
      const body = { part_numbers: numbers };
      if (hashed) body.checksums_sha256 = await this.checksums(numbers);
      const { parts } = await this.job.ask("POST", urls.parts, { body });
      for (const part of parts) this.signed.set(part.part_number, this.dated(part));
    } catch (error) {
      throw error.status === 404 ? expired() : error;
    } finally {
      this.signing = null;
    }
  }

  async checksums(numbers) {
    const checksums = {};
    for (const number of numbers) checksums[number] = await sha256(this.slice(number));
    return checksums;
  }

  dated(part) {
    const until = Date.parse(part.expires_at) - this.entry.clock;
    return { ...part, until: Math.max(until, Date.now() + STALL_MS / 2) };
  }
}
