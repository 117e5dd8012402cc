/** A file in one piece: sent until it is stored or its ticket has expired. */
import { isSuccess, PUT_ATTEMPTS, put } from "./bucket.js";
import { refusedByProof, refusedByStorage, unreachable } from "./errors.js";
import { checkReadable } from "./hashing.js";
import { backOff, isOnline, rest } from "./waiting.js";
import { ARRIVED, complete } from "./wire.js";

/** Sends the bytes until they are stored; null when the ticket expired before they arrived. */
export async function spend(job, ticket, file) {
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
    job.report("waiting");
    await rest(backOff(attempt++), job.signal);
  }
}
