/**
 * Uploads files from a page straight to object storage, with tickets of a signed-URL gateway.
 *
 * One ES module without dependencies or a build step: import it from the gateway, or copy it into your application.
 *
 *     import { upload, GatewayError } from "https://files.example.com/static/gateway.js";
 *
 *     const { link, object, receipt } = await upload(input.files[0], {
 *       gateway: "https://files.example.com",
 *       authorization: pass,                       // from your own back end
 *       onProgress: ({ loaded, total }) => { bar.value = loaded / total; },
 *     });
 *     image.src = link;
 *
 * What happens: the gateway is asked for a ticket, the bytes go to the bucket by the presigned requests inside it, and
 * the gateway proves what arrived and answers with the object, a receipt and a signed link. An answer lost on the way
 * is asked for again, an expired ticket is replaced, and a busy server is waited for, each a bounded number of times.
 *
 * The gateway decides which files go in parts: several at a time, each verified by its SHA-256 and signed shortly before
 * it is sent. Such an upload can be paused, waits while the browser is offline, and goes on after the page was closed:
 * `pending` lists what is unfinished. It stays one file, so that its hashed address stands for all that it does.
 */

const TICKETS = 2; // the first, and a fresh one when that expired
const PUT_ATTEMPTS = 4; // per ticket; of a part that the bucket finds damaged, too
const PART_ATTEMPTS = 15; // per part, about five minutes of a network that is down
const ASK_ATTEMPTS = 5; // per call to the gateway
const FEWEST_LANES = 3; // parts at a time
const MOST_LANES = 6; // as many connections as browsers open to one server
const PARTS_SIGNED_AHEAD = 12; // in one call
const BACK_OFF_MS = 500; // doubles with each attempt
const LONGEST_BACK_OFF_MS = 30_000;
const LONGEST_WAIT_MS = 60_000; // however long a Retry-After is
const OFFLINE_PROBE_MS = 30_000; // some browsers say "offline" on a line that works
const STALL_MS = 60_000; // without one byte of a body that has begun
const ANSWER_MS = 60_000; // the gateway's; it answers within 20 s
const SLOWEST_BYTES_PER_MS = 50; // of what a line, or a proxy, still holds when the browser has sent it all
const PROOF_PATIENCE_MS = 600_000; // scanning and promoting
const LOCK_MS = 500; // a page that was closed a moment ago still holds its locks
const DATABASE_MS = 2000;
const HASH_LIMIT_BYTES = 256 * 2 ** 20; // WebCrypto takes all that it hashes in memory
const HASHED_AHEAD_BYTES = 64 * 2 ** 20;
const MOST_PARTS = 10_000; // S3's limit

/** Media types by extension where browsers disagree (Windows calls a .csv application/vnd.ms-excel) or know none. */
const TYPES = {
  csv: "text/csv",
  json: "application/json",
  log: "text/plain",
  pdf: "application/pdf",
  txt: "text/plain",
  webp: "image/webp",
};

/** What the bucket's own error codes mean for the person who uploads. */
const STORAGE_SENTENCES = {
  AccessDenied: "The storage does not allow this upload.",
  BadDigest: "The file changed while it was being sent. Choose it again.",
  EntityTooLarge: "The file is larger than the storage takes in one piece.",
  InvalidAccessKeyId: "The storage no longer knows the credentials that signed this upload.",
  NoSuchBucket: "The storage for uploads does not exist.",
  SignatureDoesNotMatch: "What was sent is not what was granted: the file or the request changed on the way.",
  XAmzContentChecksumMismatch: "The file changed while it was being sent. Choose it again.",
};
const DAMAGED = ["BadDigest", "XAmzContentChecksumMismatch"];

const ARRIVED = ["uploaded", "scanning", "promoting"]; // states of an upload that lacks only its proof
const UNDER_WAY = ["waiting", "uploading", ...ARRIVED];

/**
 * Everything that `upload` and `policies` reject with.
 *
 * `code` is a refusal of the gateway ("too-large", "content-mismatch", …: see its HTTP interface), or one of ours:
 * - `aborted`: `signal` was triggered; `cause` is its reason
 * - `network`: the gateway cannot be reached, or this page's origin is not in its allowed origins
 * - `storage-refused`: the bucket refused the bytes; `storageCode` is its own code
 * - `storage-unreachable`: the bucket took no bytes in several attempts, or its CORS does not know this page's origin
 * - `ticket-expired`: the ticket, and a fresh one after it, expired before the bytes arrived
 * - `still-working`: the gateway has not finished its proof in ten minutes
 * - `file-unreadable`: the browser can no longer read the file, or it is a folder
 * - `file-changed`: the file is not the one that the unfinished upload began with
 * - `in-progress`: this unfinished upload goes on already, perhaps in another tab
 * - `checksum-unavailable`: a SHA-256 is required, but the file is too large to hash here or the page is not on https
 */
export class GatewayError extends Error {
  /**
   * @param {string} code
   * @param {string} detail  a sentence for people
   * @param {{status?: number, requestId?: string | null, storageCode?: string | null, cause?: unknown}} [more]
   */
  constructor(code, detail, { status = 0, requestId = null, storageCode = null, cause } = {}) {
    super(detail, { cause });
    this.name = "GatewayError";
    this.code = code;
    this.detail = detail;
    /** HTTP status, 0 when there was no answer. */
    this.status = status;
    /** What to quote to the gateway's operator. */
    this.requestId = requestId;
    this.storageCode = storageCode;
    /** @type {Entry | null} the unfinished upload, when it can be gone on with. */
    this.entry = null;
  }
}

/**
 * @typedef {object} Connection
 * @property {string} [gateway]  address of the gateway, as "https://files.example.com"; the page's own origin if absent
 * @property {string | (() => string | Promise<string>)} [authorization]
 *   a pass, JWT or API key, or a function that gives one and is called for each ticket; to go on nobody asks for it
 * @property {AbortSignal} [signal]
 *
 * @typedef {object} Progress
 * @property {"asking" | "hashing" | "uploading" | "paused" | "offline" | "completing"} phase
 * @property {number} loaded  bytes sent so far; never fewer than before, also where bytes have to be sent again
 * @property {number} total   bytes
 *
 * @typedef {object} UploadOptions
 * @property {string} [policy]                    "default" if absent
 * @property {Record<string, string>} [metadata]  at most 10 pairs and 512 bytes
 * @property {boolean} [checksum]                 let the bucket verify a SHA-256, as some policies demand anyway
 * @property {Entry} [entry]                      an unfinished upload to go on with, as `pending` lists it
 * @property {(progress: Progress) => void} [onProgress]
 *
 * @typedef {object} Task
 * @property {() => void} pause          stops the bytes; a file that is sent in one piece starts again afterwards
 * @property {() => void} resume
 * @property {Promise<Stored>} done      rejects with a GatewayError
 *
 * @typedef {object} Entry  an unfinished upload; what else it has is for this module alone
 * @property {string} id
 * @property {string} name
 * @property {number} size               bytes
 * @property {number} lastModified       as the file says
 * @property {string} policy
 * @property {number} startedAt          milliseconds since the epoch
 * @property {number} expiresAt          milliseconds since the epoch; what has arrived is dropped then
 * @property {number | null} loaded      bytes that have arrived; null when the gateway cannot be asked
 * @property {FileSystemFileHandle | null} handle  to go on without choosing the file again
 *
 * @typedef {{name: string, content_types: string[], extensions: string[], max_size: number, checksum: string,
 *   multipart_from: number | null}} Policy
 *
 * @typedef {object} Stored  the gateway's Status
 * @property {"stored"} status
 * @property {{key: string, size: number, content_type: string, filename: string, checksum_sha256: string | null}} object
 * @property {string} receipt  for your back end, which can verify it offline
 * @property {string} link     a signed address for <img src> or <a href>
 */

/**
 * Uploads one file and resolves once it is proved and stored. A failed or aborted upload is withdrawn, as far as the
 * gateway can still be reached; one that can be gone on with is kept, and is the error's `entry`.
 *
 * @param {File | FileSystemFileHandle} file
 * @param {Connection & UploadOptions} options
 * @returns {Promise<Stored>}
 * @throws {GatewayError}
 */
export function upload(file, options) {
  return start(file, options).done;
}

/**
 * The same, with a handle to pause it.
 *
 * @param {File | FileSystemFileHandle | null} file  null where all bytes of `options.entry` have arrived
 * @param {Connection & UploadOptions} options
 * @returns {Task}
 */
export function start(file, options) {
  const job = new Job(options);
  return { done: job.run(file), pause: () => job.pause(), resume: () => job.resume() };
}

/**
 * The uploads in parts that pages of this origin have begun in this browser and not finished, the newest first. Those
 * that go on at this moment are left out; those that expired or ended elsewhere are forgotten.
 *
 * @returns {Promise<Entry[]>}
 */
export async function pending() {
  const entries = await Promise.all((await kept.all()).map(judge));
  return entries.filter(Boolean).sort((one, other) => other.startedAt - one.startedAt);
}

/**
 * Gives up an unfinished upload: what has arrived is freed.
 *
 * @param {Entry} entry
 */
export async function forget(entry) {
  await Promise.all([dismiss(entry.urls.abort), kept.remove(entry.id)]);
}

/**
 * The policies that this caller may use.
 *
 * @param {Connection} connection
 * @returns {Promise<Policy[]>}
 * @throws {GatewayError}
 */
export async function policies(connection) {
  const { signal } = connection;
  const authorization = await credential(connection);
  return (await ask("GET", address(connection, "/v1/policies"), { authorization, signal })).policies;
}

// One upload.

/** From the file to its Status: pausing, progress, and what is left behind when it fails. */
class Job {
  constructor(options) {
    this.options = options;
    this.signal = options.signal;
    this.paused = false;
    this.rested = false; // paused since the ticket was given
    this.divided = false; // whether parts are being sent
    this.phase = "asking";
    this.loaded = options.entry?.loaded ?? 0;
    this.total = options.entry?.size ?? 0;
    this.halt = new AbortController(); // of the bytes on their way
    this.changed = null; // a promise, and how to resolve it
  }

  async run(source) {
    const stop = () => this.stop();
    const offline = () => this.report(this.phase);
    const online = () => {
      if (this.divided) this.renew(); // what was on its way will hardly be answered
      this.ring();
      this.report(this.phase);
    };
    this.signal?.addEventListener("abort", stop);
    globalThis.addEventListener?.("offline", offline);
    globalThis.addEventListener?.("online", online);
    try {
      const { entry } = this.options;
      return await (entry ? this.goOn(entry, source) : this.begin(source));
    } catch (error) {
      throw this.signal?.aborted ? aborted(this.signal) : error;
    } finally {
      this.over = true;
      this.signal?.removeEventListener("abort", stop);
      globalThis.removeEventListener?.("offline", offline);
      globalThis.removeEventListener?.("online", online);
    }
  }

  async begin(source) {
    const file = await read(source);
    this.total = file.size;
    for (let tickets = 0; tickets < TICKETS; tickets += this.rested ? 0 : 1) {
      this.rested = false;
      this.report("asking");
      const ticket = await askForTicket(this, file);
      const handle = source === file ? null : source;
      const status = await (ticket.multipart ? this.sendParts(ticket, file, handle) : this.sendWhole(ticket, file));
      if (status) return status;
    }
    throw expired();
  }

  async goOn(entry, source) {
    const file = source && (await read(source));
    const same = file ? isFileOf(entry, file) : entry.loaded === entry.size;
    if (!same) throw new GatewayError("file-changed", "This is not the file that the upload began with.");
    this.report("asking");
    const handle = file === source ? entry.handle : source;
    return this.finishParts({ ...entry, parts: [], handle }, file, true);
  }

  async sendWhole(ticket, file) {
    let status = null;
    try {
      status = await spend(this, ticket, file);
      return status;
    } finally {
      if (!status) dismiss(ticket.abort_url);
    }
  }

  async sendParts(ticket, file, handle) {
    const entry = entryOf(ticket, file, handle, this.options);
    try {
      return await this.finishParts(entry, file, false);
    } catch (error) {
      if (error.code === "ticket-expired") return null;
      throw error;
    }
  }

  /** Sends what is missing. The entry is kept as long as anybody can go on with it. */
  async finishParts(entry, file, begun) {
    return alone(entry, async () => {
      await kept.put(entry);
      try {
        const parts = new Parts(this, entry, file, begun);
        const status = (await parts.run()) ?? (await complete(this, entry.urls.complete));
        await kept.remove(entry.id);
        return status;
      } catch (error) {
        if (!this.signal?.aborted && saysNothingOfTheFile(error)) {
          error.entry = { ...entry, loaded: null };
        } else {
          dismiss(entry.urls.abort);
          await kept.remove(entry.id);
        }
        throw error;
      }
    });
  }

  pause() {
    if (this.paused || this.over) return;
    this.paused = this.rested = true;
    this.stop();
    this.report(this.phase);
  }

  resume() {
    if (!this.paused) return;
    this.paused = false;
    this.renew();
    this.ring();
    this.report(this.phase);
  }

  /** Passes while the upload is not paused; throws when it is aborted. */
  async ready() {
    if (this.paused) this.report("uploading");
    while (this.paused && !this.signal?.aborted) await this.change();
    this.signal?.throwIfAborted();
  }

  /** Waits until the browser is online, as far as it can tell. */
  async connected() {
    if (isOnline()) return;
    this.report("offline");
    await rest(OFFLINE_PROBE_MS, this.signal, "online");
    this.report(this.phase);
  }

  report(phase, loaded = 0) {
    if (phase !== "offline") this.phase = phase;
    this.loaded = Math.min(Math.max(this.loaded, loaded), this.total);
    const going = this.paused ? "paused" : isOnline() ? phase : "offline";
    const shown = ["uploading", "offline"].includes(phase) ? going : phase;
    this.options.onProgress?.({ phase: shown, loaded: this.loaded, total: this.total });
  }

  ask(method, url, more) {
    return ask(method, url, { ...more, signal: this.signal, connected: () => this.connected() });
  }

  stop() {
    this.halt.abort();
    this.ring();
  }

  /** Stops the bytes on their way, and lets new ones go. */
  renew() {
    this.halt.abort();
    if (!this.paused && !this.signal?.aborted) this.halt = new AbortController();
  }

  /** Resolves at the next pause, resumption, abort, or return of the network. */
  change() {
    if (!this.changed) {
      this.changed = {};
      this.changed.promise = new Promise((resolve) => (this.changed.resolve = resolve));
    }
    return this.changed.promise;
  }

  ring() {
    this.changed?.resolve();
    this.changed = null;
  }
}

async function askForTicket(job, file) {
  const { options } = job;
  const canHash = Boolean(globalThis.crypto?.subtle);
  const wanted = {
    filename: file.name,
    content_type: TYPES[file.name.split(".").pop().toLowerCase()] ?? (file.type || "application/octet-stream"),
    size: file.size,
    policy: options.policy,
    metadata: options.metadata,
    part_checksums: (canHash && file.size <= MOST_PARTS * HASH_LIMIT_BYTES) || undefined,
  };
  const hash = async () => {
    job.report("hashing");
    wanted.checksum_sha256 = await sha256(file);
  };
  const post = async () => {
    const authorization = await credential(options);
    return job.ask("POST", address(options, "/v1/uploads"), { authorization, body: wanted });
  };

  // What is too large to be hashed whole may still go in parts that are not.
  if (options.checksum && (file.size <= HASH_LIMIT_BYTES || !canHash)) await hash();
  let ticket;
  try {
    ticket = await post();
  } catch (error) {
    if (error.code !== "checksum-required" || wanted.checksum_sha256) throw error;
    await hash();
    ticket = await post();
  }
  const unverified = ticket.upload ? options.checksum && !wanted.checksum_sha256 : isHashed(ticket) && !canHash;
  if (unverified) {
    dismiss(ticket.abort_url);
    throw unhashable();
  }
  const now = Date.now();
  const clock = Date.parse(ticket.server_time) - now; // a wrong clock here does no harm
  return { ...ticket, clock, deadline: Date.parse((ticket.upload ?? ticket).expires_at) - clock };
}

/** Parts that want a checksum cannot be signed before they are hashed, so none come with the ticket. */
function isHashed({ multipart }) {
  return !multipart.parts.length;
}

// Files in one piece.

/** Sends the bytes until they are stored; null when the ticket expired before they arrived. */
async function spend(job, ticket, file) {
  for (let attempt = 1; ; ) {
    await job.ready();
    if (Date.now() >= ticket.deadline) return null;
    await checkReadable(file);
    await job.ready();
    const { signal } = job.halt;
    const answer = await put(ticket.upload, file, (loaded) => job.report("uploading", loaded), signal);
    job.signal?.throwIfAborted();
    if (isSuccess(answer)) return complete(job, ticket.complete_url);
    if (answer.expired) return null;
    if (!answer.unclear) throw refusedByStorage(answer);

    const interrupted = signal.aborted || !isOnline();
    const status = await job.ask("GET", ticket.status_url);
    if (status.status === "stored") return status;
    if (ARRIVED.includes(status.status)) return complete(job, ticket.complete_url);
    if (status.status !== "waiting") throw refusedByProof(status);
    if (interrupted) continue;
    if (attempt === PUT_ATTEMPTS) throw unreachable();
    await rest(backOff(attempt++), job.signal);
  }
}

// Files in parts.

/** The parts of one upload: which have arrived, which are on their way, and the signatures for the next. */
class Parts {
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
    this.signed = new Map(entry.parts.map((part) => [part.part_number, this.dated(part)]));
    this.signing = null;
    this.resting = null; // a promise, while no part is sent
    this.error = null; // what nobody can go on after
    this.doubt = begun; // whether parts may have arrived that we do not know of
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
    const waits = [...this.flights.values(), this.job.change()];
    await Promise.race(this.todo.length && this.resting ? [...waits, this.resting] : waits);
  }

  async send(number) {
    let request;
    try {
      request = await this.signature(number);
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
      await Promise.race([this.resting, this.job.change()]);
      return null;
    }
    this.doubt = false;
    this.failures.delete(0);
    this.pace.begin();
    if (status.status === "stored") return status;
    if (!UNDER_WAY.includes(status.status)) throw refusedByProof(status);
    if (ARRIVED.includes(status.status)) this.todo = [];
    for (const { part_number: number, size } of status.parts) {
      if (size === this.bytes(number)) this.arrive(number);
    }
    this.todo = this.todo.filter((number) => !this.arrived.has(number));
    if (this.todo.length && !this.file) throw new GatewayError("file-changed", "Choose the file of this upload again.");
    return null;
  }

  /** A request that sends a part, used once: whoever sends the part again asks for another. */
  async signature(number) {
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
    return this.todo.slice(0, PARTS_SIGNED_AHEAD).filter((number) => !this.signed.has(number));
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

  slice(number) {
    const from = (number - 1) * this.entry.partSize;
    return this.file.slice(from, from + this.bytes(number));
  }

  bytes(number) {
    return Math.min(this.entry.partSize, this.entry.size - (number - 1) * this.entry.partSize);
  }
}

/** How many parts go at a time: one more while that makes it faster, one fewer after each failure. */
class Pace {
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

// What is unfinished.

function entryOf(ticket, file, handle, options) {
  const { part_size: partSize, part_count: partCount, parts, parts_url: partsUrl } = ticket.multipart;
  return {
    id: ticket.ticket,
    name: file.name,
    size: file.size,
    lastModified: file.lastModified,
    policy: options.policy ?? "default",
    startedAt: Date.now(),
    expiresAt: ticket.deadline,
    handle,
    clock: ticket.clock,
    hashed: isHashed(ticket),
    partSize,
    partCount,
    parts,
    urls: { status: ticket.status_url, complete: ticket.complete_url, abort: ticket.abort_url, parts: partsUrl },
  };
}

function isFileOf(entry, file) {
  return ["name", "size", "lastModified"].every((fact) => entry[fact] === file[fact]);
}

/** The entry with what has arrived; null when there is nothing to go on with, or it goes on at this moment. */
async function judge(entry) {
  const release = here.has(entry.id) ? null : await lock(entry.id);
  if (!release) return null;
  release();
  let status;
  try {
    status = await ask("GET", entry.urls.status, { attempts: 1 });
  } catch (error) {
    if (error.status !== 404) return { ...entry, loaded: null };
  }
  if (UNDER_WAY.includes(status?.status)) {
    const bytes = status.parts.reduce((sum, { size }) => sum + size, 0);
    return { ...entry, loaded: ARRIVED.includes(status.status) ? entry.size : bytes };
  }
  await kept.remove(entry.id);
  return null;
}

const here = new Set(); // what goes on in this page

/** Does `work` unless the same upload goes on here or in another tab. */
async function alone({ id }, work) {
  const busy = () => new GatewayError("in-progress", "This upload goes on already, perhaps in another tab.");
  if (here.has(id)) throw busy();
  here.add(id);
  let release = null;
  try {
    release = await lock(id);
    if (!release) throw busy();
    return await work();
  } finally {
    here.delete(id);
    release?.();
  }
}

/** A function that releases the lock, or null when another page holds it. Pages on http have no locks. */
async function lock(id) {
  const request = () =>
    new Promise((resolve) => {
      const hold = (held) => (held ? new Promise(resolve) : resolve(null));
      navigator.locks.request(`signed-url-gateway ${id}`, { ifAvailable: true }, hold).catch(() => resolve(() => {}));
    });
  if (!globalThis.navigator?.locks) return () => {};
  return (await request()) ?? (await rest(LOCK_MS), request());
}

/** Entries in IndexedDB; where that is missing or fails, they last as long as the page. */
const kept = {
  memory: new Map(),
  database: null,

  async all() {
    const stored = (await this.act("readonly", (store) => store.getAll())) ?? [];
    return [...new Map([...this.memory.values(), ...stored].map((entry) => [entry.id, entry])).values()];
  },

  async put({ parts, loaded, ...entry }) {
    this.memory.set(entry.id, { ...entry, parts: [] });
    const put = (each) => this.act("readwrite", (store) => store.put({ ...each, parts: [] }));
    if ((await put(entry)) === undefined) await put({ ...entry, handle: null });
  },

  async remove(id) {
    this.memory.delete(id);
    await this.act("readwrite", (store) => store.delete(id));
  },

  /** The result of one request; undefined when there is no database or it does not take that. */
  async act(mode, work) {
    this.database ??= openDatabase();
    const database = await this.database;
    return new Promise((resolve) => {
      try {
        const transaction = database.transaction("uploads", mode);
        const request = work(transaction.objectStore("uploads"));
        transaction.oncomplete = () => resolve(request.result ?? null);
        transaction.onabort = () => resolve(undefined);
      } catch {
        resolve(undefined);
      }
    });
  },
};

function openDatabase() {
  return new Promise((resolve) => {
    const none = () => resolve(null);
    setTimeout(none, DATABASE_MS);
    try {
      const request = indexedDB.open("signed-url-gateway", 1);
      request.onupgradeneeded = () => request.result.createObjectStore("uploads", { keyPath: "id" });
      request.onsuccess = () => resolve(request.result);
      request.onerror = none;
    } catch {
      none();
    }
  });
}

// The bucket.

/** XMLHttpRequest and not fetch, which tells no progress of what is sent. Never rejects. */
function put({ method, url, headers }, body, onLoaded, signal) {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    const cancel = () => request.abort();
    let timer;
    const watch = (milliseconds) => {
      clearTimeout(timer);
      timer = setTimeout(cancel, milliseconds);
    };
    request.open(method, url);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => {
      if (event.loaded) watch(STALL_MS); // not before: it may wait in the browser's own queue
      onLoaded(event.loaded);
    };
    request.upload.onload = () => watch(STALL_MS + body.size / SLOWEST_BYTES_PER_MS);
    request.onloadend = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", cancel);
      const { status, responseText: text } = request;
      const code = /<Code>(\w+)<\/Code>/.exec(text)?.[1] ?? null;
      resolve({
        status,
        code,
        expired: (status === 400 || status === 403) && /expired/i.test(text),
        // The bytes may be there all the same: the answer was lost (0), or an earlier attempt arrived (409, 412).
        unclear: [0, 408, 409, 412, 429].includes(status) || status >= 500 || code === "RequestTimeout",
      });
    };
    signal.addEventListener("abort", cancel);
    onLoaded(0);
    request.send(body);
    if (signal.aborted) cancel();
  });
}

function isSuccess({ status }) {
  return status >= 200 && status < 300;
}

// The gateway.

async function complete(job, url) {
  const patience = Date.now() + PROOF_PATIENCE_MS;
  job.report("completing", job.total);
  while (Date.now() < patience) {
    const status = await job.ask("POST", url, { body: {} });
    if (status.status === "stored") return status;
    if (!ARRIVED.includes(status.status)) throw refusedByProof(status);
    await rest((status.retry_after ?? 1) * 1000, job.signal);
  }
  throw new GatewayError("still-working", "The file arrived, but checking it takes too long. Try again later.");
}

/** Frees what a ticket holds, as far as that works; also while the page is being closed. */
function dismiss(url) {
  return fetch(url, { method: "DELETE", credentials: "omit", keepalive: true }).catch(() => {});
}

/** One call to the gateway, repeated while that is unreachable or busy. A ticket's own routes need no authorization. */
async function ask(method, url, { authorization, body, signal, connected, attempts = ASK_ATTEMPTS } = {}) {
  const headers = {};
  if (authorization) headers.authorization = authorization;
  if (body) headers["content-type"] = "application/json";
  const init = { method, headers, body: body && JSON.stringify(body), credentials: "omit", cache: "no-store" };
  for (let attempt = 1; ; attempt++) {
    let wait = backOff(attempt);
    let refusal;
    try {
      const response = await answered(url, init, signal);
      if (response.ok) return await response.json();
      refusal = await refusedByGateway(response);
      if (![408, 429, 502, 503, 504].includes(response.status) || refusal.code === "insecure-storage") throw refusal;
      wait = 1000 * Number(response.headers.get("retry-after")) || wait;
    } catch (error) {
      if (signal?.aborted || error === refusal) throw error;
      refusal = new GatewayError("network", "The gateway cannot be reached. Check the connection.", { cause: error });
    }
    if (connected && !isOnline()) {
      await connected();
      attempt = 0;
    } else {
      if (attempt === attempts) throw refusal;
      await rest(wait, signal);
    }
  }
}

/** The response with its whole body, within a time. */
async function answered(url, init, signal) {
  const patience = new AbortController();
  const stop = () => patience.abort(signal?.reason);
  const timer = setTimeout(stop, ANSWER_MS);
  signal?.throwIfAborted();
  signal?.addEventListener("abort", stop);
  try {
    const response = await fetch(url, { ...init, signal: patience.signal });
    const { status, headers } = response;
    return new Response([204, 304].includes(status) ? null : await response.arrayBuffer(), { status, headers });
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", stop);
  }
}

async function refusedByGateway(response) {
  const problem = await response.json().catch(() => ({}));
  const { status } = response;
  return fromProblem({ code: "unexpected", detail: `The gateway answered ${status}.`, status, ...problem });
}

function refusedByProof({ status, problem }) {
  return fromProblem(problem ?? { code: status, detail: `The upload was ${status}.`, status: 409 });
}

function fromProblem({ code, detail, status, request_id: requestId }) {
  return new GatewayError(code, detail, { status, requestId });
}

function refusedByStorage({ status, code }) {
  const sentence = STORAGE_SENTENCES[code] ?? `The storage refused the upload (${code ?? status}).`;
  return new GatewayError("storage-refused", sentence, { status, storageCode: code });
}

function unreachable() {
  return new GatewayError("storage-unreachable", "The storage cannot be reached. Try again.");
}

function expired() {
  return new GatewayError("ticket-expired", "The upload did not arrive in the time it was given. Try again.");
}

function aborted({ reason }) {
  return new GatewayError("aborted", "The upload was cancelled.", { cause: reason });
}

/** Whether the same bytes may succeed later: nobody answered, or somebody was busy. */
function saysNothingOfTheFile({ code, status }) {
  if (["ticket-expired", "checksum-unavailable"].includes(code)) return false;
  return [0, 408, 429].includes(status) || status >= 500;
}

// Files.

/** The file itself; of one that is known by its handle, the browser may ask the person whether it can be read. */
async function read(source) {
  if (!source.getFile) return source;
  try {
    if (source.requestPermission) await source.requestPermission({ mode: "read" });
    return await source.getFile();
  } catch (cause) {
    throw unreadable(cause);
  }
}

async function sha256(blob) {
  if (blob.size > HASH_LIMIT_BYTES || !globalThis.crypto?.subtle) throw unhashable();
  await checkReadable(blob);
  const bytes = await blob.arrayBuffer().catch((cause) => Promise.reject(unreadable(cause)));
  return btoa(String.fromCharCode(...new Uint8Array(await crypto.subtle.digest("SHA-256", bytes))));
}

function unhashable() {
  const tooLarge = "This upload needs a checksum, and files over 256 MiB cannot be hashed in a browser.";
  const insecure = "This upload needs a checksum, which browsers compute only on https pages.";
  return new GatewayError("checksum-unavailable", globalThis.crypto?.subtle ? tooLarge : insecure);
}

/** A folder, or a file changed since it was chosen, would otherwise look like a network error. */
async function checkReadable(blob) {
  await blob.slice(0, 1).arrayBuffer().catch((cause) => Promise.reject(unreadable(cause)));
}

function unreadable(cause) {
  return new GatewayError("file-unreadable", "The file cannot be read, or is a folder. Choose it again.", { cause });
}

// The rest.

function address({ gateway = "" }, path) {
  return gateway.replace(/\/+$/, "") + path;
}

async function credential({ authorization }) {
  const token = typeof authorization === "function" ? await authorization() : authorization;
  return /^Bearer /i.test(token) ? token : `Bearer ${token}`;
}

function isOnline() {
  return globalThis.navigator?.onLine !== false;
}

/** Milliseconds before the next attempt, spread so that many pages do not come back at once. */
function backOff(attempt) {
  return Math.min(BACK_OFF_MS * 2 ** (attempt - 1), LONGEST_BACK_OFF_MS) * (0.5 + Math.random());
}

/** Resolves after a while, or at an `early` event of the window; rejects when `signal` is triggered. */
function rest(milliseconds, signal, early) {
  return new Promise((resolve, reject) => {
    const end = (settle) => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", stop);
      if (early) globalThis.removeEventListener?.(early, wake);
      settle();
    };
    const wake = () => end(resolve);
    const stop = () => end(() => reject(signal.reason));
    const timer = setTimeout(wake, Math.min(milliseconds, LONGEST_WAIT_MS));
    if (early) globalThis.addEventListener?.(early, wake);
    if (signal?.aborted) stop();
    else signal?.addEventListener("abort", stop);
  });
}
