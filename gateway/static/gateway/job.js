/** One upload from the file to its Status. */
import { aborted, expired, GatewayError, saysNothingOfTheFile } from "./errors.js";
import { read } from "./hashing.js";
import { kept } from "./kept.js";
import { Parts } from "./parts.js";
import { alone, entryOf, isFileOf } from "./resume.js";
import { spend } from "./single.js";
import { askForTicket } from "./tickets.js";
import { isOnline, rest } from "./waiting.js";
import { ask, complete, dismiss } from "./wire.js";

const TICKETS = 2; // the first, and a fresh one when that expired
const OFFLINE_PROBE_MS = 30_000; // some browsers say "offline" on a line that works

/** From the file to its Status: pausing, progress, and what is left behind when it fails. */
export class Job {
  constructor(options) {
    this.options = options;
    this.signal = options.signal;
    this.paused = false;
    this.rested = false; // paused since the ticket was given
    this.divided = false; // whether parts are being sent
    this.phase = "asking"; // what goes on between silences
    this.shown = null; // the phase that the page was told last
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
    if (!["offline", "waiting"].includes(phase)) this.phase = phase;
    this.loaded = Math.min(Math.max(this.loaded, loaded), this.total);
    const going = this.paused ? "paused" : isOnline() ? phase : "offline";
    const shown = ["uploading", "offline", "waiting"].includes(phase) ? going : phase;
    this.shown = shown;
    this.options.onProgress?.({ phase: shown, loaded: this.loaded, total: this.total });
  }

  async ask(method, url, more) {
    const silences = { connected: () => this.connected(), waiting: () => this.report("waiting") };
    const answer = await ask(method, url, { ...more, ...silences, signal: this.signal });
    if (this.shown === "waiting") this.report(this.phase);
    return answer;
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
