/**
 * Uploads files from a page straight to object storage, with tickets of a signed-URL gateway.
 *
 * ES modules without dependencies or a build step: import this one from the gateway, or copy it into your application,
 * together with the folder `gateway` beside it.
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
 * `pending` lists what is unfinished.
 */
import { refusedByGateway } from "./gateway/errors.js";
import { Job } from "./gateway/job.js";
import { kept } from "./gateway/kept.js";
import { judge } from "./gateway/resume.js";
import { address, ask, credential, dismiss } from "./gateway/wire.js";

export { GatewayError } from "./gateway/errors.js";

/**
 * @typedef {object} Connection
 * @property {string} [gateway]  address of the gateway, as "https://files.example.com"; the page's own origin if absent
 * @property {string | (() => string | Promise<string>)} [authorization]
 *   a pass, JWT or API key, or a function that gives one and is called for each ticket; to go on nobody asks for it
 * @property {AbortSignal} [signal]
 *
 * @typedef {object} Progress
 * @property {"asking" | "hashing" | "uploading" | "paused" | "offline" | "waiting" | "completing" | "scanning"} phase
 *   "waiting": nobody answers, and it tries again after a while; "scanning": it has arrived, and is being scanned
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
 * @typedef {object} Entry  an unfinished upload; what else it has is for these modules alone
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
 * Gives up an unfinished upload: what has arrived is freed, as far as the gateway can be reached.
 *
 * @param {Entry} entry
 * @returns {Promise<boolean>}  false when it is stored already, perhaps by another tab, and stays so
 */
export async function forget(entry) {
  const [answer] = await Promise.all([dismiss(entry.urls.abort), kept.remove(entry.id)]);
  return !answer || answer.ok || (await refusedByGateway(answer)).code !== "already-stored";
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
