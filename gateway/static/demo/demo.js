/** The demo page: a list of cards, each an upload, over the two functions of gateway.js. */
import { policies, upload } from "../gateway.js";
import { messages } from "./messages.js";

const PARALLEL = 3; // uploads at a time; the others wait in line

const NO_PASS = `This page needs a pass. Open it by the address that “gateway dev” printed:
  the pass is in its last part, and reloading the page forgets it.`;

const ARRIVED = "The whole file had arrived, and may be stored all the same.";

const UNITS = { GiB: 2 ** 30, MiB: 2 ** 20, GB: 1e9, MB: 1e6, KB: 1e3, bytes: 1 };

const PHASES = {
  asking: "Asking for a ticket",
  hashing: "Computing the checksum",
  completing: "Checking what arrived",
};

const $ = (id) => document.getElementById(id);
const gateway = new URL("../..", document.baseURI).href; // this page is /static/demo/ of its gateway
const waiting = [];
const cards = new Set();
let running = 0;
let pass = "";
let policy = null;
const early = []; // files that came before the policy did

// The pass: it came in the fragment, which no server sees, and stays in memory alone.

async function begin() {
  const fragment = new URLSearchParams(location.hash.slice(1));
  if (!fragment.has("pass")) return pass || notice(NO_PASS);
  pass = fragment.get("pass");
  history.replaceState(null, "", location.pathname + location.search);
  try {
    const all = await policies({ gateway, authorization: pass });
    const name = fragment.get("policy") ?? "default";
    policy = all.find((each) => each.name === name) ?? (fragment.has("policy") ? null : all[0]);
    if (!policy) return notice(messages["policy-unknown"]);
    notice("");
    $("limits").textContent = limits();
    $("input").accept = [...policy.content_types, ...policy.extensions.map(dotted)].join();
    $("choose").disabled = false;
    take(early.splice(0));
  } catch (error) {
    notice(messages[error.code] ?? error.message);
  }
}

function notice(text) {
  $("notice").textContent = text;
  $("notice").hidden = !text;
  if (text) $("limits").textContent = "";
}

function limits() {
  const pictures = (type) => Number(type.startsWith("image/"));
  const types = [...policy.content_types].sort((one, other) => pictures(other) - pictures(one));
  const short = types.map((type) => type.split("/")[1]).filter((each) => each.length < 6);
  const kinds = short.map((each) => (each === "plain" ? "text" : each.toUpperCase()));
  return `${new Intl.ListFormat("en", { type: "disjunction" }).format(kinds)}, up to ${bytes(policy.max_size)} each`;
}

/** What the policy will object to, said before anything is sent; the gateway alone decides. */
function objection(file) {
  const [size, limit] = [file.size, policy.max_size].map(bytes);
  if (file.size > policy.max_size) return `This file has ${size}, and up to ${limit} are taken here.`;
  const name = file.name.toLowerCase();
  if (!policy.extensions.some((each) => name.endsWith(dotted(each)))) return messages["type-not-allowed"];
  return null;
}

// One card for each file.

function create(file) {
  const item = $("card").content.firstElementChild.cloneNode(true);
  const part = (selector) => item.querySelector(selector);
  const card = {
    file, item, outcome: "waiting", controller: null, arrived: false,
    preview: part("img"), state: part(".state"), progress: part("progress"),
    reason: part(".reason"), code: part(".code"), link: part("a"), button: part("button"),
  };
  part(".name").textContent = part(".name").title = file.name;
  part(".kind").textContent = file.name.includes(".") ? file.name.split(".").pop().slice(0, 5) : "file";
  card.progress.setAttribute("aria-label", `Upload of ${file.name}`);
  if (/^image\/(png|jpeg|gif|webp)$/.test(file.type)) show(card, URL.createObjectURL(file));
  card.button.onclick = () => (["waiting", "running"].includes(card.outcome) ? cancel(card) : enqueue(card));
  return card;
}

function enqueue(card) {
  card.controller = new AbortController();
  card.reason.hidden = card.code.hidden = true;
  card.progress.value = 0;
  card.progress.hidden = false;
  update(card, "waiting", "Waiting");
  label(card, "Cancel");
  waiting.push(card);
  next();
}

function cancel(card) {
  card.controller.abort();
  if (card.outcome !== "waiting") return;
  waiting.splice(waiting.indexOf(card), 1);
  finish(card, "cancelled", "Cancelled", messages.aborted);
}

async function next() {
  if (running === PARALLEL || !waiting.length) return;
  running += 1;
  const card = waiting.shift();
  update(card, "running", "Asking for a ticket");
  try {
    stored(card, await upload(card.file, {
      gateway,
      authorization: pass,
      policy: policy.name,
      checksum: policy.checksum === "required",
      signal: card.controller.signal,
      onProgress: (progress) => advance(card, progress),
    }));
  } catch (error) {
    failed(card, error);
  }
  running -= 1;
  next();
}

function advance(card, { phase, loaded, total }) {
  const share = total ? loaded / total : 1;
  card.progress.value = share;
  card.arrived = phase === "completing";
  update(card, "running", PHASES[phase] ?? `${Math.floor(100 * share)} % of ${bytes(total)}`);
}

function stored(card, { object, link }) {
  const picture = object.content_type.startsWith("image/");
  if (picture) show(card, link);
  card.link.href = link;
  label(card, "");
  card.link.textContent = picture ? "Open" : "Download";
  card.link.setAttribute("aria-label", `${card.link.textContent} ${card.file.name}`);
  finish(card, "stored", `Stored, ${bytes(object.size)}`);
}

function failed(card, error) {
  if (error.code === "aborted") {
    return finish(card, "cancelled", "Cancelled", card.arrived ? ARRIVED : messages.aborted);
  }
  const empty = !card.file.size && ["too-large", "content-mismatch"].includes(error.code);
  const reason = empty ? "The file is empty." : messages[error.code] ?? error.message;
  finish(card, "refused", error.status ? "Refused" : "Failed", reason);
  card.code.textContent = [error.code, error.storageCode, error.requestId].filter(Boolean).join(" · ");
  card.code.hidden = false;
}

function finish(card, outcome, state, reason = "") {
  card.progress.hidden = true;
  card.reason.textContent = reason;
  card.reason.hidden = !reason;
  if (outcome !== "stored") label(card, state === "Not sent" ? "Send anyway" : "Try again");
  update(card, outcome, state);
  $("announcer").textContent = `${card.file.name}: ${state}. ${reason}`;
}

function update(card, outcome, state) {
  card.state.textContent = state;
  if (card.outcome === outcome && card.item.dataset.outcome) return;
  card.item.dataset.outcome = card.outcome = outcome;
  summarise();
}

/** The card's one button, or its link where there is nothing left to do; the focus stays on the card. */
function label(card, text) {
  const focused = document.activeElement === card.button;
  card.button.textContent = text;
  card.button.setAttribute("aria-label", `${text} ${card.file.name}`);
  card.button.hidden = !text;
  card.link.hidden = Boolean(text);
  if (focused) (text ? card.button : card.link).focus();
}

/** Shows a picture: first the file itself, then, when it is stored, what comes back through the link. */
function show(card, address) {
  const before = card.preview.src;
  card.preview.onload = () => {
    card.preview.hidden = false;
    if (before) URL.revokeObjectURL(before);
  };
  card.preview.onerror = () => (card.preview.hidden = true);
  card.preview.src = address;
}

function summarise() {
  const all = [...cards];
  const count = (...outcomes) => all.filter((card) => outcomes.includes(card.outcome)).length;
  const parts = [
    [count("stored"), "stored"],
    [count("waiting", "running"), "to go"],
    [count("refused"), "not stored"],
    [count("cancelled"), "cancelled"],
  ];
  $("summary").textContent = parts.filter(([number]) => number).map((part) => part.join(" ")).join(" · ");
  $("uploads").hidden = !all.length;
  $("empty").hidden = Boolean(all.length);
  $("clear").hidden = all.length === count("waiting", "running");
}

function clear() {
  for (const card of cards) {
    if (["waiting", "running"].includes(card.outcome)) continue;
    URL.revokeObjectURL(card.preview.src);
    card.item.remove();
    cards.delete(card);
  }
  summarise();
  $("choose").focus();
}

/** As settings say it: 1 MB has 1,000,000 bytes, and 5 GiB stay 5 GiB. */
function bytes(number) {
  if (number === 1) return "1 byte";
  const fits = ([unit, size]) => number >= size && (!unit.endsWith("iB") || number % size === 0);
  const [unit, size] = Object.entries(UNITS).find(fits) ?? ["bytes", 1];
  const value = number / size;
  return `${value.toFixed(size > 1 && value < 10 ? 1 : 0).replace(".0", "")} ${unit}`;
}

function dotted(extension) {
  return extension.startsWith(".") ? extension : `.${extension}`;
}

// Ways in: the button, dropping anywhere on the page, pasting.

function take(files) {
  if (!policy) return early.push(...files);
  const added = [...files].map(create);
  $("list").prepend(...added.map((card) => card.item));
  for (const card of added) {
    cards.add(card);
    const problem = objection(card.file);
    if (problem) finish(card, "refused", "Not sent", problem);
    else enqueue(card);
  }
}

$("choose").onclick = () => $("input").click();
$("clear").onclick = clear;
$("input").onchange = () => {
  take($("input").files);
  $("input").value = ""; // so that the same file can be chosen again
};
document.ondragover = (event) => {
  event.preventDefault();
  $("drop").classList.add("over");
};
document.ondragleave = (event) => event.relatedTarget ?? $("drop").classList.remove("over");
document.ondrop = (event) => {
  event.preventDefault();
  $("drop").classList.remove("over");
  take(event.dataTransfer.files);
};
document.onpaste = (event) => take(event.clipboardData.files);
window.onhashchange = begin;
window.onbeforeunload = (event) => running && event.preventDefault();
begin();
