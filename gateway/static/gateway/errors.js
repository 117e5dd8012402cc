/** What uploads reject with: refusals of the gateway and of the bucket, and failures found here. */

export const NO_UPLOAD = "NoSuchUpload"; // the bucket's code for a part of an upload that it does not know

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
 * - `upload-lost`: the bucket no longer knows the parts that had arrived; nothing of them is kept
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
   * @param {{status?: number, requestId?: string | null, storageCode?: string | null, retryAfter?: number | null,
   *   cause?: unknown}} [more]
   */
  constructor(code, detail, { status = 0, requestId = null, storageCode = null, retryAfter = null, cause } = {}) {
    super(detail, { cause });
    this.name = "GatewayError";
    this.code = code;
    this.detail = detail;
    /** HTTP status, 0 when there was no answer. */
    this.status = status;
    /** What to quote to the gateway's operator. */
    this.requestId = requestId;
    this.storageCode = storageCode;
    /** Seconds after which the gateway wants to be asked again, if it says so. */
    this.retryAfter = retryAfter;
    /** @type {import("../gateway.js").Entry | null} the unfinished upload, when it can be gone on with. */
    this.entry = null;
  }
}

export async function refusedByGateway(response) {
  const problem = await response.json().catch(() => ({}));
  const { status, headers } = response;
  const retryAfter = Number(headers.get("retry-after")) || null;
  return fromProblem({ code: "unexpected", detail: `The gateway answered ${status}.`, status, ...problem, retryAfter });
}

export function refusedByProof({ status, problem }) {
  return fromProblem(problem ?? { code: status, detail: `The upload was ${status}.`, status: 409 });
}

function fromProblem({ code, detail, status, request_id: requestId, retryAfter }) {
  return new GatewayError(code, detail, { status, requestId, retryAfter });
}

export function refusedByStorage({ status, code }) {
  const sentence = STORAGE_SENTENCES[code] ?? `The storage refused the upload (${code ?? status}).`;
  return new GatewayError("storage-refused", sentence, { status, storageCode: code });
}

export function unreachable() {
  return new GatewayError("storage-unreachable", "The storage cannot be reached. Try again.");
}

/** The store knows nothing of the parts any more, and nobody completed or aborted the upload. */
export function lost() {
  const sentence = "The storage no longer has what was sent of this file. Send it again.";
  return new GatewayError("upload-lost", sentence, { status: 404, storageCode: NO_UPLOAD });
}

export function expired() {
  return new GatewayError("ticket-expired", "The upload did not arrive in the time it was given. Try again.");
}

export function aborted({ reason }) {
  return new GatewayError("aborted", "The upload was cancelled.", { cause: reason });
}

/** Whether the same bytes may succeed later: nobody answered, or somebody was busy. */
export function saysNothingOfTheFile({ code, status }) {
  if (["ticket-expired", "checksum-unavailable"].includes(code)) return false;
  return [0, 408, 429].includes(status) || status >= 500;
}
