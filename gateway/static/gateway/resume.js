/** Unfinished uploads: what is noted about one, how much of it has arrived, and that it goes on only once at a time. */
import { GatewayError } from "./errors.js";
import { kept } from "./kept.js";
import { isHashed } from "./tickets.js";
import { rest } from "./waiting.js";
import { ARRIVED, ask, UNDER_WAY } from "./wire.js";

const LOCK_MS = 500; // a page that was closed a moment ago still holds its locks

export function entryOf(ticket, file, handle, options) {
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

export function isFileOf(entry, file) {
  return ["name", "size", "lastModified"].every((fact) => entry[fact] === file[fact]);
}

/** The entry with what has arrived; null when there is nothing to go on with, or it goes on at this moment. */
export async function judge(entry) {
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
export async function alone({ id }, work) {
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
