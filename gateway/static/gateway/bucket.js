/** One presigned PUT to the bucket, and what its answer means. */

export const PUT_ATTEMPTS = 4; // per ticket; of a part that the bucket finds damaged, too
export const STALL_MS = 60_000; // without one byte of a body that has begun
const SLOWEST_BYTES_PER_MS = 50; // of what a line, or a proxy, still holds when the browser has sent it all

/** XMLHttpRequest and not fetch, which tells no progress of what is sent. Never rejects. */
export function put({ method, url, headers }, body, onLoaded, signal) {
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

export function isSuccess({ status }) {
  return status >= 200 && status < 300;
}
