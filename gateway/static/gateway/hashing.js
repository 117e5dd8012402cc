/** Files as they are read: opened by their handles, checked that they can be read, and hashed. */
import { GatewayError } from "./errors.js";

export const HASH_LIMIT_BYTES = 256 * 2 ** 20; // WebCrypto takes all that it hashes in memory

/** The file itself; of one that is known by its handle, the browser may ask the person whether it can be read. */
export async function read(source) {
  if (!source.getFile) return source;
  try {
    if (source.requestPermission) await source.requestPermission({ mode: "read" });
    return await source.getFile();
  } catch (cause) {
    throw unreadable(cause);
  }
}

export async function sha256(blob) {
  if (blob.size > HASH_LIMIT_BYTES || !globalThis.crypto?.subtle) throw unhashable();
  await checkReadable(blob);
  const bytes = await blob.arrayBuffer().catch((cause) => Promise.reject(unreadable(cause)));
  return btoa(String.fromCharCode(...new Uint8Array(await crypto.subtle.digest("SHA-256", bytes))));
}

export function unhashable() {
  const tooLarge = "This upload needs a checksum, and files over 256 MiB cannot be hashed in a browser.";
  const insecure = "This upload needs a checksum, which browsers compute only on https pages.";
  return new GatewayError("checksum-unavailable", globalThis.crypto?.subtle ? tooLarge : insecure);
}

/** A folder, or a file changed since it was chosen, would otherwise look like a network error. */
export async function checkReadable(blob) {
  await blob.slice(0, 1).arrayBuffer().catch((cause) => Promise.reject(unreadable(cause)));
}

function unreadable(cause) {
  return new GatewayError("file-unreadable", "The file cannot be read, or is a folder. Choose it again.", { cause });
}
