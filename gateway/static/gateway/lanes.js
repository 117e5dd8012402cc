/** How many parts go at a time. */

const FEWEST_LANES = 3; // parts at a time
const MOST_LANES = 6; // as many connections as browsers open to one server

/** How many parts go at a time: one more while that makes it faster, one fewer after each failure. */
export class Pace {
  constructor() {
    this.lanes = FEWEST_LANES;
    this.rate = 0;
    this.begin();
  }

  begin() {
    this.since = Date.now();
    this.parts = this.bytes = 0;
  }

  arrived(bytes) {
    this.parts += 1;
    this.bytes += bytes;
    if (this.parts < this.lanes) return;
    const rate = this.bytes / Math.max(Date.now() - this.since, 1);
    if (rate > 1.1 * this.rate) this.lanes = Math.min(this.lanes + 1, MOST_LANES);
    this.rate = rate;
    this.begin();
  }

  failed() {
    this.lanes = Math.max(this.lanes - 1, FEWEST_LANES);
    this.rate = 0;
    this.begin();
  }
}
