/** Waiting: for a while, for the network, and longer after each attempt. */

const BACK_OFF_MS = 500; // doubles with each attempt
const LONGEST_BACK_OFF_MS = 30_000;
export const LONGEST_WAIT_MS = 60_000; // however long a Retry-After is

export function isOnline() {
  return globalThis.navigator?.onLine !== false;
}

/** Milliseconds before the next attempt, spread so that many pages do not come back at once. */
export function backOff(attempt) {
  return Math.min(BACK_OFF_MS * 2 ** (attempt - 1), LONGEST_BACK_OFF_MS) * (0.5 + Math.random());
}

/** Resolves after a while, or at an `early` event of the window; rejects when `signal` is triggered. */
export function rest(milliseconds, signal, early) {
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
