/** A file in parts: sends what is missing, several at a time, each until it has arrived. */
import { isSuccess, PUT_ATTEMPTS, put } from "./bucket.js";
import {
  expired,
  GatewayError,
  lost,
  NO_UPLOAD,
  refusedByProof,
  refusedByStorage,
  saysNothingOfTheFile,
  unreachable,
} from "./errors.js";
import { checkReadable } from "./hashing.js";
import { Pace } from "./lanes.js";
import { Signatures } from "./signatures.js";
import { backOff, isOnline, rest } from "./waiting.js";
import { ARRIVED, UNDER_WAY } from "./wire.js";

const PART_ATTEMPTS = 15; // per part, about five minutes of a network that is down
const DAMAGED = ["BadDigest", "XAmzContentChecksumMismatch"];

/** The parts of one upload: which have arrived, which are on their way, and which to send next. */
export class Parts {
  constructor(job, entry, file, begun) {
    this.job = job;
    this.entry = entry;
    this.file = file;
    this.pace = new Pace();
    this.todo = Array.from({ length: entry.partCount }, (_, index) => index + 1); // numbers, in order
    this.flights = new Map(); // promises, by number
    this.sent = new Map(); // bytes on their way, by number
    this.arrived = new Set();
    this.loaded = 0; // bytes that have arrived
    this.failures = new Map(); // by number, 0 for the gateway
    this.signatures = new Signatures(job, entry, this.pace, {
      todo: () => this.todo,
      slice: (number) => this.slice(number),
    });
    this.resting = null; // a promise, while no part is sent
    this.error = null; // what nobody can go on after
    this.doubt = begun; // whether parts may have arrived that we do not know of
    this.disowned = false; // whether the bucket says that it knows no such upload
  }

  /** Sends what is missing; the Status when the upload turns out to be stored, or null when it can be completed. */
  async run() {
    const { job } = this;
    job.divided = true;
    job.renew();
    try {
      while (this.todo.length || this.flights.size) {
        await job.ready();
        const status = this.doubt ? await this.reconcile() : null;
        if (status) return status;
        if (!this.doubt) this.launch();
        if (!this.doubt) await this.event();
        if (this.error) throw this.error;
      }
      return null;
    } finally {
      job.divided = false;
      job.halt.abort();
    }
  }

  launch() {
    if (this.resting) return;
    while (this.todo.length && this.flights.size < this.pace.lanes) {
      const number = this.todo.shift();
      const flight = this.send(number)
        .catch((error) => (this.error ??= error))
        .finally(() => this.flights.delete(number));
      this.flights.set(number, flight);
    }
  }

  /** Waits until there is something to do. */
  async event() {
    if (!this.todo.length && !this.flights.size) return;
    if (this.resting && !this.flights.size) this.job.report("waiting");
    const waits = [...this.flights.values(), this.job.change()];
    await Promise.race(this.todo.length && this.resting ? [...waits, this.resting] : waits);
  }

  async send(number) {
    let request;
    try {
      request = await this.signatures.take(number);
    } catch (error) {
      if (error.code === "file-unreadable" || !saysNothingOfTheFile(error)) throw error;
      return this.fail(number, error);
    }
    const { signal } = this.job.halt;
    const answer = await put(request, this.slice(number), (loaded) => this.progress(number, loaded), signal);
    this.sent.delete(number);
    if (isSuccess(answer)) return this.arrive(number);
    if (!signal.aborted) return this.refused(number, answer);
    this.doubt = true;
    return this.putBack(number);
  }

  async refused(number, answer) {
    const { status, code } = answer;
    if (!status) await checkReadable(this.slice(number));
    if (answer.expired) return this.fail(number, refusedByStorage(answer));
    if (DAMAGED.includes(code)) return this.fail(number, refusedByStorage(answer), PUT_ATTEMPTS);
    if (status !== 404 && !answer.unclear) throw refusedByStorage(answer);
    // 429 and 503 say that nothing was taken; 404, that somebody has completed or aborted the upload.
    this.doubt ||= ![429, 503].includes(status);
    this.disowned ||= code === NO_UPLOAD;
    return this.fail(number, code ? refusedByStorage(answer) : unreachable());
  }

  /** Has a part sent again after a while, by a fresh signature; throws `error` when that was tried often enough. */
  fail(number, error, attempts = PART_ATTEMPTS) {
    this.putBack(number);
    if (!isOnline()) return;
    this.count(number, error, attempts);
    this.pace.failed();
  }

  count(number, error, attempts) {
    const failures = (this.failures.get(number) ?? 0) + 1;
    this.failures.set(number, failures);
    if (failures >= attempts) throw error;
    this.resting ??= rest(backOff(failures), null, "online").then(() => (this.resting = null));
  }

  putBack(number) {
    if (this.arrived.has(number)) return;
    this.todo.push(number);
    this.todo.sort((one, other) => one - other);
  }

  arrive(number) {
    if (this.arrived.has(number)) return;
    this.arrived.add(number);
    this.loaded += this.bytes(number);
    this.failures.delete(number);
    this.failures.delete(0);
    this.pace.arrived(this.bytes(number));
    this.progress();
  }

  progress(number = 0, loaded = 0) {
    if (number && !this.arrived.has(number)) this.sent.set(number, loaded);
    if (number && !loaded && this.failures.size) return; // only bytes that move end a silence
    const flying = [...this.sent].reduce((sum, [each, bytes]) => sum + (this.arrived.has(each) ? 0 : bytes), 0);
    this.job.report("uploading", this.loaded + flying);
  }

  /** Asks the gateway what has arrived; the Status when there is nothing left to send and nothing to complete. */
  async reconcile() {
    await this.job.connected();
    let status;
    try {
      status = await this.job.ask("GET", this.entry.urls.status);
    } catch (error) {
      if (error.status === 404) throw expired();
      if (!saysNothingOfTheFile(error)) throw error;
      this.count(0, error, PART_ATTEMPTS);
      this.job.report("waiting");
      await Promise.race([this.resting, this.job.change()]);
      return null;
    }
    this.doubt = false;
    this.failures.delete(0);
    this.pace.begin();
    if (status.status === "stored") return status;
    if (!UNDER_WAY.includes(status.status)) throw refusedByProof(status);
    if (ARRIVED.includes(status.status)) this.todo = [];
    else if (this.disowned && !status.parts.length) throw lost();
    this.disowned = false;
    for (const { part_number: number, size } of status.parts) {
      if (size === this.bytes(number)) this.arrive(number);
    }
    this.todo = this.todo.filter((number) => !this.arrived.has(number));
    if (this.todo.length && !this.file) throw new GatewayError("file-changed", "Choose the file of this upload again.");
    return null;
  }

  slice(number) {
    const from = (number - 1) * this.entry.partSize;
    return this.file.slice(from, from + this.bytes(number));
  }

  bytes(number) {
    return Math.min(this.entry.partSize, this.entry.size - (number - 1) * this.entry.partSize);
  }
}
