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
 * What happens: the gateway is asked for a ticket, the bytes go to the bucket by the presigned request inside it, and
 * the gateway proves what arrived and answers with the object, a receipt and a signed link. An answer lost on the way
 * is asked for again, an expired ticket is replaced, and a busy server is waited for, each a bounded number of times.
 */

const TICKETS = 2; // the first, and a fresh one when that expired
const PUT_ATTEMPTS = 4; // per ticket
const ASK_ATTEMPTS = 5; // per call to the gateway
const BACK_OFF_MS = 500; // doubles with each attempt
const LONGEST_WAIT_MS = 60_000; // however long a Retry-After is
const PROOF_PATIENCE_MS = 600_000; // scanning and promoting
const HASH_LIMIT_BYTES = 256 * 2 ** 20; // WebCrypto takes the whole file in memory

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
 * - `checksum-unavailable`: a SHA-256 is required, but the file is too large to hash here or the page is not on https
 * - `multipart-unsupported`: the file needs a multipart upload, which this module does not do
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
  }
}

/**
 * @typedef {object} Connection
 * @property {string} [gateway]  address of the gateway, as "https://files.example.com"; the page's own origin if absent
 * @property {string | (() => string | Promise<string>)} authorization
 *   a pass, JWT or API key, or a function that gives one and is called for each ticket
 * @property {AbortSignal} [signal]
 *
 * @typedef {object} Progress
 * @property {"asking" | "hashing" | "uploading" | "completing"} phase
 * @property {number} loaded  bytes sent so far; starts again when the bytes are sent again
 * @property {number} total   bytes
 *
 * @typedef {object} UploadOptions
 * @property {string} [policy]                    "default" if absent
 * @property {Record<string, string>} [metadata]  at most 10 pairs and 512 bytes
 * @property {boolean} [checksum]                 let the bucket verify a SHA-256, as some policies demand anyway
 * @property {(progress: Progress) => void} [onProgress]
 *
 * @typedef {{name: string, content_types: string[], extensions: string[], max_size: number, checksum: string}} Policy
 *
 * @typedef {object} Stored  the gateway's Status
 * @property {"stored"} status
 * @property {{key: string, size: number, content_type: string, filename: string, checksum_sha256: string | null}} object
 * @property {string} receipt  for your back end, which can verify it offline
 * @property {string} link     a signed address for <img src> or <a href>
 */

/**
 * Uploads one file and resolves once it is proved and stored. A failed or aborted upload is withdrawn, as far as the
 * gateway can still be reached.
 *
 * @param {File} file
 * @param {Connection & UploadOptions} options
 * @returns {Promise<Stored>}
 * @throws {GatewayError}
 */
export async function upload(file, options) {
  const { signal, onProgress = () => {} } = options;
  const report = (phase, loaded) => onProgress({ phase, loaded, total: file.size });
  let ticket = null;
  try {
    for (let tickets = 0; tickets < TICKETS; tickets++) {
      if (ticket) dismiss(ticket);
      report("asking", 0);
      ticket = await askForTicket(file, options, report);
      const status = await spend(ticket, file, report, signal);
      if (status) return status;
    }
    throw new GatewayError("ticket-expired", "The upload did not arrive in the time it was given. Try again.");
  } catch (error) {
    if (ticket) dismiss(ticket);
    if (signal?.aborted) throw new GatewayError("aborted", "The upload was cancelled.", { cause: signal.reason });
    throw error;
  }
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

async function askForTicket(file, options, report) {
  const wanted = {
    filename: file.name,
    content_type: TYPES[file.name.split(".").pop().toLowerCase()] ?? (file.type || "application/octet-stream"),
    size: file.size,
    policy: options.policy,
    metadata: options.metadata,
  };
  const hash = async () => {
    report("hashing", 0);
    wanted.checksum_sha256 = await sha256(file);
  };
  const post = async () => {
    const authorization = await credential(options);
    return ask("POST", address(options, "/v1/uploads"), { authorization, body: wanted, signal: options.signal });
  };

  if (options.checksum) await hash();
  let ticket;
  try {
    ticket = await post();
  } catch (error) {
    if (error.code !== "checksum-required" || wanted.checksum_sha256) throw error;
    await hash();
    ticket = await post();
  }
  if (!ticket.upload) throw new GatewayError("multipart-unsupported", "The file is too large to be sent in one piece.");
  // Only the difference of two times of the server is used, so a wrong clock here does no harm.
  const lifetime = Date.parse(ticket.upload.expires_at) - Date.parse(ticket.server_time);
  return { ...ticket, deadline: Date.now() + lifetime };
}

/** Sends the bytes until they are stored; null when the ticket expired before they arrived. */
async function spend(ticket, file, report, signal) {
  for (let attempt = 1; Date.now() < ticket.deadline; attempt++) {
    await checkReadable(file);
    signal?.throwIfAborted();
    const answer = await put(ticket.upload, file, (loaded) => report("uploading", loaded), signal);
    signal?.throwIfAborted();
    if (answer.status >= 200 && answer.status < 300) return complete(ticket, file, report, signal);
    if (answer.expired) return null;
    if (!answer.unclear) throw refusedByStorage(answer);

    const status = await ask("GET", ticket.status_url, { signal });
    if (status.status === "stored") return status;
    if (["uploaded", "scanning", "promoting"].includes(status.status)) return complete(ticket, file, report, signal);
    if (status.status !== "waiting") throw refusedByProof(status);
    if (attempt === PUT_ATTEMPTS) {
      throw new GatewayError("storage-unreachable", "The storage cannot be reached. Try again.");
    }
    await pause(backOff(attempt), signal);
  }
  return null;
}

/** XMLHttpRequest and not fetch, which tells no progress of what is sent. Never rejects. */
function put({ method, url, headers }, file, onLoaded, signal) {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    const cancel = () => request.abort();
    request.open(method, url);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => onLoaded(event.loaded);
    request.onloadend = () => {
      signal?.removeEventListener("abort", cancel);
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
    signal?.addEventListener("abort", cancel);
    onLoaded(0);
    request.send(file);
  });
}

async function complete(ticket, file, report, signal) {
  const patience = Date.now() + PROOF_PATIENCE_MS;
  report("completing", file.size);
  while (Date.now() < patience) {
    const status = await ask("POST", ticket.complete_url, { body: {}, signal });
    if (status.status === "stored") return status;
    if (!["uploaded", "scanning", "promoting"].includes(status.status)) throw refusedByProof(status);
    await pause((status.retry_after ?? 1) * 1000, signal);
  }
  throw new GatewayError("still-working", "The file arrived, but checking it takes too long. Try again later.");
}

/** Frees what a ticket holds, as far as that works; also while the page is being closed. */
function dismiss(ticket) {
  fetch(ticket.abort_url, { method: "DELETE", credentials: "omit", keepalive: true }).catch(() => {});
}

/** One call to the gateway, repeated while that is unreachable or busy. A ticket's own routes need no authorization. */
async function ask(method, url, { authorization, body, signal } = {}) {
  const headers = {};
  if (authorization) headers.authorization = authorization;
  if (body) headers["content-type"] = "application/json";
  const init = { method, headers, body: body && JSON.stringify(body), credentials: "omit", cache: "no-store", signal };
  for (let attempt = 1; ; attempt++) {
    let wait = backOff(attempt);
    let refusal;
    try {
      const response = await fetch(url, init);
      if (response.ok) return await response.json();
      refusal = await refusedByGateway(response);
      if (![408, 429, 502, 503, 504].includes(response.status) || refusal.code === "insecure-storage") throw refusal;
      wait = 1000 * Number(response.headers.get("retry-after")) || wait;
    } catch (error) {
      if (signal?.aborted || error === refusal) throw error;
      refusal = new GatewayError("network", "The gateway cannot be reached. Check the connection.", { cause: error });
    }
    if (attempt === ASK_ATTEMPTS) throw refusal;
    await pause(wait, signal);
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

async function sha256(file) {
  if (file.size > HASH_LIMIT_BYTES) {
    const detail = "This upload needs a checksum, and files over 256 MiB cannot be hashed in a browser.";
    throw new GatewayError("checksum-unavailable", detail);
  }
  if (!globalThis.crypto?.subtle) {
    const detail = "This upload needs a checksum, which browsers compute only on https pages.";
    throw new GatewayError("checksum-unavailable", detail);
  }
  await checkReadable(file);
  const digest = await crypto.subtle.digest("SHA-256", await file.arrayBuffer());
  return btoa(String.fromCharCode(...new Uint8Array(digest)));
}

/** A folder, or a file changed since it was chosen, would otherwise look like a network error. */
async function checkReadable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
  } catch (cause) {
    throw new GatewayError("file-unreadable", "The file cannot be read, or is a folder. Choose it again.", { cause });
  }
}

function address({ gateway = "" }, path) {
  return gateway.replace(/\/+$/, "") + path;
}

async function credential({ authorization }) {
  const token = typeof authorization === "function" ? await authorization() : authorization;
  return /^Bearer /i.test(token) ? token : `Bearer ${token}`;
}

/** Milliseconds before the next attempt, spread so that many pages do not come back at once. */
function backOff(attempt) {
  return BACK_OFF_MS * 2 ** (attempt - 1) * (0.5 + Math.random());
}

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, Math.min(milliseconds, LONGEST_WAIT_MS));
    if (signal?.aborted) stop();
    else signal?.addEventListener("abort", stop, { once: true });
  });
}
