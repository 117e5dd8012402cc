/** The calls to the gateway: repeated while it cannot be reached or is busy, up to the proof of what arrived. */
import { GatewayError, refusedByGateway, refusedByProof } from "./errors.js";
import { backOff, isOnline, LONGEST_WAIT_MS, rest } from "./waiting.js";

const ASK_ATTEMPTS = 5; // per call to the gateway
const ANSWER_MS = 60_000; // the gateway's; it answers within 20 s
const PROOF_PATIENCE_MS = 600_000; // scanning and promoting

export const ARRIVED = ["uploaded", "scanning", "promoting"]; // states of an upload that lacks only its proof
export const UNDER_WAY = ["waiting", "uploading", ...ARRIVED];

export async function complete(job, url) {
  const patience = Date.now() + PROOF_PATIENCE_MS;
  job.report("completing", job.total);
  while (Date.now() < patience) {
    const status = await job.ask("POST", url, { body: {} });
    if (status.status === "stored") return status;
    if (!ARRIVED.includes(status.status)) throw refusedByProof(status);
    job.report(status.status === "scanning" ? "scanning" : "completing", job.total);
    await rest((status.retry_after ?? 1) * 1000, job.signal);
  }
  throw new GatewayError("still-working", "The file arrived, but checking it takes too long. Try again later.");
}

/** Frees what a ticket holds, as far as that works; also while the page is being closed. */
export function dismiss(url) {
  return fetch(url, { method: "DELETE", credentials: "omit", keepalive: true }).catch(() => {});
}

/** One call to the gateway, repeated while that is unreachable or busy. A ticket's own routes need no authorization. */
export async function ask(method, url, { authorization, body, signal, connected, waiting, attempts = ASK_ATTEMPTS } = {}) {
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
      wait = 1000 * refusal.retryAfter || wait;
      if (response.status === 429 && wait > LONGEST_WAIT_MS) throw refusal; // to ask any sooner is in vain
    } catch (error) {
      if (signal?.aborted || error === refusal) throw error;
      refusal = new GatewayError("network", "The gateway cannot be reached. Check the connection.", { cause: error });
    }
    if (connected && !isOnline()) {
      await connected();
      attempt = 0;
    } else {
      if (attempt === attempts) throw refusal;
      waiting?.();
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

export function address({ gateway = "" }, path) {
  return gateway.replace(/\/+$/, "") + path;
}

export async function credential({ authorization }) {
  const token = typeof authorization === "function" ? await authorization() : authorization;
  return /^Bearer /i.test(token) ? token : `Bearer ${token}`;
}
