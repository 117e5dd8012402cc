/** Where unfinished uploads are noted: IndexedDB, or else the memory of the page. */

const DATABASE_MS = 2000;

/** Entries in IndexedDB; where that is missing or fails, they last as long as the page. */
export const kept = {
  memory: new Map(),
  database: null,

  async all() {
    const stored = (await this.act("readonly", (store) => store.getAll())) ?? [];
    return [...new Map([...this.memory.values(), ...stored].map((entry) => [entry.id, entry])).values()];
  },

  async put({ parts, loaded, ...entry }) {
    this.memory.set(entry.id, { ...entry, parts: [] });
    const put = (each) => this.act("readwrite", (store) => store.put({ ...each, parts: [] }));
    if ((await put(entry)) === undefined) await put({ ...entry, handle: null });
  },

  async remove(id) {
    this.memory.delete(id);
    await this.act("readwrite", (store) => store.delete(id));
  },

  /** The result of one request; undefined when there is no database or it does not take that. */
  async act(mode, work) {
    this.database ??= openDatabase();
    const database = await this.database;
    return new Promise((resolve) => {
      try {
        const transaction = database.transaction("uploads", mode);
        const request = work(transaction.objectStore("uploads"));
        transaction.oncomplete = () => resolve(request.result ?? null);
        transaction.onabort = () => resolve(undefined);
      } catch {
        resolve(undefined);
      }
    });
  },
};

function openDatabase() {
  return new Promise((resolve) => {
    const none = () => resolve(null);
    setTimeout(none, DATABASE_MS);
    try {
      const request = indexedDB.open("signed-url-gateway", 1);
      request.onupgradeneeded = () => request.result.createObjectStore("uploads", { keyPath: "id" });
      request.onsuccess = () => resolve(request.result);
      request.onerror = none;
    } catch {
      none();
    }
  });
}
