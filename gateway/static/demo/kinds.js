/** Media types as the page speaks of them: what each is called, its kind, and whether its link shows it. */

/** The extension that the gateway gives to each type. */
export const extensions = {
  "image/png": "png",
  "image/jpeg": "jpg",
  "image/gif": "gif",
  "image/webp": "webp",
  "image/avif": "avif",
  "image/heic": "heic",
  "image/heif": "heif",
  "image/tiff": "tif",
  "image/bmp": "bmp",
  "image/vnd.microsoft.icon": "ico",
  "image/svg+xml": "svg",
  "application/pdf": "pdf",
  "video/mp4": "mp4",
  "audio/mp4": "m4a",
  "video/quicktime": "mov",
  "video/webm": "webm",
  "audio/webm": "weba",
  "video/matroska": "mkv",
  "audio/mpeg": "mp3",
  "audio/wav": "wav",
  "audio/flac": "flac",
  "audio/ogg": "ogg",
  "audio/aac": "aac",
  "application/zip": "zip",
  "application/gzip": "gz",
  "application/x-7z-compressed": "7z",
  "application/x-tar": "tar",
  "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
  "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
  "application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx",
  "application/vnd.oasis.opendocument.text": "odt",
  "application/vnd.oasis.opendocument.spreadsheet": "ods",
  "application/vnd.oasis.opendocument.presentation": "odp",
  "application/epub+zip": "epub",
  "text/plain": "txt",
  "text/csv": "csv",
  "text/markdown": "md",
  "application/json": "json",
  "font/woff2": "woff2",
  "application/octet-stream": "bin",
};

const KINDS = [
  ["pictures", /^image\//],
  ["film", /^video\//],
  ["sound", /^audio\//],
  ["archives", /^application\/(zip|gzip|x-7z-compressed|x-tar)$/],
  ["text", /^text\/|^application\/json$/],
  ["fonts", /^font\//],
  ["other files", /^application\/octet-stream$/],
  ["documents", /^application\//],
];
const FEW = 9; // types that are all named

/** Whether a link shows the type, where a browser can, and does not only save it: as `inline` in media_types.py. */
export function isShown(type) {
  return /^(image|video|audio)\//.test(type) && type !== "image/svg+xml";
}

/** What is taken, in brief: each type by its name, or their kinds and how many there are. */
export function told(types) {
  const sorted = Object.keys(extensions).filter((type) => types.includes(type));
  const names = sorted.map((type) => (type === "text/plain" ? "text" : extensions[type].toUpperCase()));
  if (names.length <= FEW) return new Intl.ListFormat("en", { type: "disjunction" }).format(names);
  const kinds = new Set(sorted.map((type) => KINDS.find(([, pattern]) => pattern.test(type))[0]));
  const all = new Intl.ListFormat("en").format(kinds);
  const some = names.slice(0, 4).join(", ");
  return `${all[0].toUpperCase()}${all.slice(1)}: ${some} and ${names.length - 4} more types`;
}
