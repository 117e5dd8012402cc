/** The ticket of one upload: what the gateway is told about the file, with a checksum where one is needed. */
import { HASH_LIMIT_BYTES, sha256, unhashable } from "./hashing.js";
import { address, credential, dismiss } from "./wire.js";

const MOST_PARTS = 10_000; // S3's limit

const OPENXML = "application/vnd.openxmlformats-officedocument";
const OPENDOCUMENT = "application/vnd.oasis.opendocument";
/** Media types by extension where browsers disagree (Windows calls a .csv application/vnd.ms-excel) or know none. */
const TYPES = {
  "7z": "application/x-7z-compressed",
  avif: "image/avif",
  csv: "text/csv",
  docx: `${OPENXML}.wordprocessingml.document`,
  epub: "application/epub+zip",
  flac: "audio/flac",
  gz: "application/gzip",
  heic: "image/heic",
  heif: "image/heif",
  json: "application/json",
  log: "text/plain",
  m4a: "audio/mp4",
  md: "text/markdown",
  mkv: "video/matroska",
  mov: "video/quicktime",
  odp: `${OPENDOCUMENT}.presentation`,
  ods: `${OPENDOCUMENT}.spreadsheet`,
  odt: `${OPENDOCUMENT}.text`,
  opus: "audio/ogg",
  pdf: "application/pdf",
  pptx: `${OPENXML}.presentationml.presentation`,
  tar: "application/x-tar",
  tgz: "application/gzip",
  txt: "text/plain",
  webp: "image/webp",
  woff2: "font/woff2",
  xlsx: `${OPENXML}.spreadsheetml.sheet`,
  zip: "application/zip",
};

export async function askForTicket(job, file) {
  const { options } = job;
  const canHash = Boolean(globalThis.crypto?.subtle);
  const wanted = {
    filename: file.name,
    content_type: TYPES[file.name.split(".").pop().toLowerCase()] ?? (file.type || "application/octet-stream"),
    size: file.size,
    policy: options.policy,
    metadata: options.metadata,
    part_checksums: (canHash && file.size <= MOST_PARTS * HASH_LIMIT_BYTES) || undefined,
  };
  const hash = async () => {
    job.report("hashing");
    wanted.checksum_sha256 = await sha256(file);
  };
  const post = async () => {
    const authorization = await credential(options);
    return job.ask("POST", address(options, "/v1/uploads"), { authorization, body: wanted });
  };

  // What is too large to be hashed whole may still go in parts that are not.
  if (options.checksum && (file.size <= HASH_LIMIT_BYTES || !canHash)) await hash();
  let ticket;
  try {
    ticket = await post();
  } catch (error) {
    if (error.code !== "checksum-required" || wanted.checksum_sha256) throw error;
    await hash();
    ticket = await post();
  }
  const unverified = ticket.upload ? options.checksum && !wanted.checksum_sha256 : isHashed(ticket) && !canHash;
  if (unverified) {
    dismiss(ticket.abort_url);
    throw unhashable();
  }
  const now = Date.now();
  const clock = Date.parse(ticket.server_time) - now; // a wrong clock here does no harm
  return { ...ticket, clock, deadline: Date.parse((ticket.upload ?? ticket).expires_at) - clock };
}

/** Parts that want a checksum cannot be signed before they are hashed, so none come with the ticket. */
export function isHashed({ multipart }) {
  return !multipart.parts.length;
}
