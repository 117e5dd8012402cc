/** The demo page: a list of cards, each an upload, over the functions of gateway.js. */
import { forget, pending, policies, start } from "../gateway.js";
import { isShown, told as kinds } from "./kinds.js";
import { messages } from "./messages.js";

const PARALLEL = 3; // uploads at a time; the others wait in line

const NO_PASS = `This page needs a pass. Open it by the address that “gateway dev” printed:
  the pass is in its last part, and is kept until this tab is closed.`;

const NO_PASS_NEEDED = "What is unfinished goes on without one.";
const SILENCE = "No answer, trying again …";
const ARRIVED = "The whole file had arrived, and may be stored all the same.";
const GOES_ON = "What has arrived is kept.";
const CHOOSE_AGAIN = "The page was closed before all of it was sent. Choose the file again to go on.";
const BY_HANDLE = "The page was closed before all of it was sent.";

const UNITS = { GiB: 2 ** 30, MiB: 2 ** 20, GB: 1e9, MB: 1e6, KB: 1e3, bytes: 1 };

const PHASES = {
  asking: "Asking for a ticket",
  hashing: "Computing the checksum",
  completing: "Checking what arrived",
  scanning: "Scanning for viruses",
};

/** Refusals of the file itself, which is refused again however often it is sent. */
const FINAL = [
  "size-mismatch", "content-mismatch", "active-content", "archive-too-large", "infected",
  "type-not-allowed", "extension-mismatch", "too-large", "invalid-filename",
];

const $ = (id) => document.getElementById(id);
const gateway = new URL("../..", document.baseURI).href; // this page is /static/demo/ of its gateway
const waiting = [];
const cards = new Set();
const BUSY = ["waiting", "running", "paused"]; // outcomes of a card that is still at work
let wanted = null; // the card whose file is being chosen again
let pass = "";
let policy = null;
const early = []; // files that came before the policy did

// The pass: it came in the fragment, which no server sees, and is kept for reloads of this tab alone.

const session = {
  /** What was kept; "" where nothing was, or the browser keeps nothing. */
  get() {
    try {
      return sessionStorage.getItem("signed-url-gateway demo") ?? "";
    } catch {
      return "";
    }
  },

  set(text) {
    try {
      sessionStorage.setItem("signed-url-gateway demo", text);
    } catch {
      // the page works all the same, until it is reloaded
    }
  },
};

async function begin() {
  const given = location.hash.slice(1);
  const isGiven = new URLSearchParams(given).has("pass");
  if (pass && !isGiven) return;
  const fragment = new URLSearchParams(isGiven ? given : session.get());
  pass = fragment.get("pass") ?? "";
  if (!pass) return notice(NO_PASS);
  notice("");
  session.set(fragment.toString());
  if (isGiven) history.replaceState(null, "", location.pathname + location.search);
  try {
    const all = await policies({ gateway, authorization: pass });
    const name = fragment.get("policy") ?? "default";
    policy = all.find((each) => each.name === name) ?? (fragment.has("policy") ? null : all[0]);
    if (!policy) return notice(messages["policy-unknown"]);
    notice("");
    $("limits").textContent = limits();
    $("limits").title = policy.extensions.map(dotted).join(" ");
    $("input").accept = [...policy.content_types, ...policy.extensions.map(dotted)].join();
    $("choose").disabled = false;
    take(early.splice(0));
  } catch (error) {
    if (error.code === "unauthenticated") session.set("");
    notice(messages[error.code] ?? error.message);
  }
}

function notice(text) {
  $("notice").textContent = text;
  $("notice").hidden = !text;
  if (text) $("limits").textContent = "";
}

function limits() {
  return `${kinds(policy.content_types)}, up to ${bytes(policy.max_size)} each`;
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

/** `source` is the file, its handle where the browser gives one, or what is left of it in an unfinished upload. */
function create({ file = null, handle = null, entry = null }) {
  const item = $("card").content.firstElementChild.cloneNode(true);
  const part = (selector) => item.querySelector(selector);
  const { name, size } = file ?? entry;
  const card = {
    file, handle, entry, name, size, item, outcome: "waiting", controller: null, task: null, arrived: false,
    preview: part("img"), state: part(".state"), progress: part("progress"), reason: part(".reason"),
    code: part(".code"), link: part("a"), more: part(".more"), button: part(".main"),
  };
  part(".name").textContent = part(".name").title = name;
  part(".kind").textContent = name.includes(".") ? name.split(".").pop().slice(0, 5) : "file";
  card.progress.setAttribute("aria-label", `Upload of ${name}`);
  if (file && /^image\/(png|jpeg|gif|webp)$/.test(file.type)) show(card, URL.createObjectURL(file));
  cards.add(card);
  return card;
}

function enqueue(card) {
  card.controller = new AbortController();
  card.reason.hidden = card.code.hidden = true;
  card.progress.value = card.entry ? card.progress.value : 0;
  card.progress.hidden = false;
  label(card, "Cancel", () => cancel(card));
  label(card, "", null, card.more);
  update(card, "waiting", "Waiting");
  waiting.push(card);
  next();
}

function cancel(card) {
  card.controller.abort();
  if (card.outcome !== "waiting") return;
  waiting.splice(waiting.indexOf(card), 1);
  if (card.entry) discard(card);
  else finish(card, "cancelled", "Cancelled", messages.aborted);
}

function next() {
  const running = [...cards].filter((card) => card.outcome === "running").length;
  for (const card of waiting.splice(0, PARALLEL - running)) run(card);
}

async function run(card) {
  update(card, "running", PHASES.asking);
  card.task = start(card.handle ?? card.file, {
    gateway,
    authorization: pass,
    policy: policy?.name,
    checksum: policy?.checksum === "required",
    entry: card.entry ?? undefined,
    signal: card.controller.signal,
    onProgress: (progress) => advance(card, progress),
  });
  try {
    stored(card, await card.task.done);
  } catch (error) {
    failed(card, error);
  }
  next();
}

function advance(card, { phase, loaded, total }) {
  const share = total ? loaded / total : 1;
  const percent = `${Math.floor(100 * share)} %`;
  const told = { ...PHASES, paused: `Paused at ${percent}`, offline: `Offline at ${percent}, goes on by itself`, waiting: SILENCE };
  card.progress.value = share;
  if (phase !== "waiting") card.arrived = ["completing", "scanning"].includes(phase);
  const large = card.entry || (policy?.multipart_from && total >= policy.multipart_from);
  const [text, act] = phase === "paused" ? ["Resume", "resume"] : ["Pause", "pause"];
  const pausable = large && ["uploading", "paused", "offline"].includes(phase);
  if (phase !== "waiting") label(card, pausable ? text : "", () => card.task[act](), card.more);
  const said = ["paused", "offline", "scanning"].includes(phase);
  if (card.item.dataset.phase !== phase && said) tell(card, `${told[phase]}.`);
  if (card.item.dataset.phase !== phase && phase === "waiting") tell(card, SILENCE);
  card.item.dataset.phase = phase;
  update(card, phase === "paused" ? "paused" : "running", told[phase] ?? `${percent} of ${bytes(total)}`);
  if (phase === "paused") next();
}

function stored(card, { object, link }) {
  card.entry = null;
  const type = object.content_type;
  const shown = isShown(type);
  if (shown && type.startsWith("image/")) show(card, link);
  else if (shown) play(card, type.split("/")[0], link);
  card.link.href = link;
  card.link.textContent = shown ? "Open" : "Download";
  card.link.setAttribute("aria-label", `${card.link.textContent} ${card.name}`);
  card.link.hidden = false;
  finish(card, "stored", `Stored, ${bytes(object.size)}`);
}

function failed(card, error) {
  if (error.code === "aborted") {
    card.entry = null;
    return finish(card, "cancelled", "Cancelled", card.arrived ? ARRIVED : messages.aborted);
  }
  const entry = error.entry ?? card.entry;
  if (["file-changed", "file-unreadable"].includes(error.code) && entry) {
    card.entry = { ...entry, handle: null };
    return unfinished(card, messages[error.code] ?? error.message);
  }
  card.entry = error.code === "in-progress" ? entry : error.entry;
  const empty = !card.size && ["too-large", "content-mismatch"].includes(error.code);
  const reason = empty ? "The file is empty." : messages[error.code] ?? error.message;
  const busy = !error.status || error.status >= 500 || error.code === "upload-lost";
  finish(card, "refused", busy ? "Failed" : "Refused", card.entry ? `${reason} ${GOES_ON}` : reason);
  card.code.textContent = [error.code, error.storageCode, error.requestId].filter(Boolean).join(" · ");
  card.code.hidden = false;
  if (FINAL.includes(error.code)) label(card, "", null);
}

function finish(card, outcome, state, reason = "") {
  card.progress.hidden = !card.entry || outcome !== "refused";
  explain(card, reason);
  const again = state === "Not sent" ? "Send anyway" : card.entry ? "Go on" : "Try again";
  const possible = outcome !== "stored" && (card.file || card.handle || card.entry);
  label(card, possible ? again : "", () => (card.file || card.handle ? enqueue(card) : chooseAgain(card)));
  if (card.entry) label(card, "Discard", () => discard(card), card.more);
  else label(card, outcome === "stored" ? "" : "Remove", () => remove(card), card.more);
  update(card, outcome, state);
  tell(card, `${state}. ${reason}`);
}

// What is unfinished since the page was open the last time. Its ticket is all that it needs: no pass.

async function listUnfinished() {
  const entries = await pending();
  const unlisted = entries.filter(({ id }) => ![...cards].some((card) => card.entry?.id === id));
  for (const entry of unlisted) {
    const card = create({ entry, handle: entry.handle });
    $("list").append(card.item);
    card.progress.value = (entry.loaded ?? 0) / entry.size;
    if (entry.loaded === entry.size) enqueue(card);
    else unfinished(card, entry.handle ? BY_HANDLE : CHOOSE_AGAIN);
  }
  if (!pass && unlisted.length) notice(`${NO_PASS} ${NO_PASS_NEEDED}`);
}

function unfinished(card, reason) {
  const { loaded, size, handle } = card.entry;
  const arrived = loaded === null ? "" : ` at ${Math.floor((100 * loaded) / size)} % of ${bytes(size)}`;
  card.file = null;
  card.handle = handle;
  card.progress.hidden = false;
  explain(card, reason);
  label(card, handle ? "Go on" : "Choose again", () => (handle ? enqueue(card) : chooseAgain(card)));
  label(card, "Discard", () => discard(card), card.more);
  update(card, "unfinished", `Unfinished${arrived}`);
}

function chooseAgain(card) {
  wanted = card;
  $("again").click();
}

function goOn(card, { file, handle = null }) {
  Object.assign(card, { file, handle });
  enqueue(card);
}

/** The unfinished card that a file belongs to. */
function unfinishedOf({ name, size, lastModified }) {
  const same = ({ entry }) => entry.name === name && entry.size === size && entry.lastModified === lastModified;
  return [...cards].find((card) => card.entry && !BUSY.includes(card.outcome) && same(card));
}

async function discard(card) {
  const { entry } = card;
  card.entry = card.handle = null;
  card.button.onclick = card.more.onclick = null; // hidden only after the answer, so that the focus stays here
  update(card, "cancelled", "Discarding");
  if (await forget(entry)) finish(card, "cancelled", "Discarded", messages.aborted);
  else finish(card, "stored", "Stored", messages["already-stored"]);
}

// What a card shows.

function explain(card, reason) {
  card.reason.textContent = reason;
  card.reason.hidden = !reason;
}

function tell(card, text) {
  $("announcer").textContent = `${card.name}: ${text}`;
}

function update(card, outcome, state) {
  card.state.textContent = state;
  if (card.outcome === outcome && card.item.dataset.outcome) return;
  card.item.dataset.outcome = card.outcome = outcome;
  summarise();
}

/** Gives a button its text and what it does, or hides it where there is nothing to do; the focus stays on the card. */
function label(card, text, act, button = card.button) {
  const focused = document.activeElement === button;
  button.onclick = act;
  if (button.textContent === text && button.hidden === !text) return;
  button.textContent = text;
  button.setAttribute("aria-label", `${text} ${card.name}`);
  button.hidden = !text;
  if (focused && !text) [card.button, card.more, card.link].find((each) => !each.hidden)?.focus();
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

/** Lets sound or film be played from its link; what this browser cannot play is only there to open. */
function play(card, kind, address) {
  const player = document.createElement(kind);
  player.controls = true;
  player.preload = "metadata";
  player.setAttribute("aria-label", card.name);
  player.onerror = () => player.remove();
  player.src = address;
  if (kind === "video") card.preview.after(player);
  else card.progress.after(player);
}

function summarise() {
  const all = [...cards];
  const count = (...outcomes) => all.filter((card) => outcomes.includes(card.outcome)).length;
  const parts = [
    [count("stored"), "stored"],
    [count(...BUSY), "to go"],
    [count("unfinished"), "unfinished"],
    [count("refused"), "not stored"],
    [count("cancelled"), "cancelled"],
  ];
  $("summary").textContent = parts.filter(([number]) => number).map((part) => part.join(" ")).join(" · ");
  $("uploads").hidden = !all.length;
  $("empty").hidden = Boolean(all.length);
  $("clear").hidden = all.length === count(...BUSY, "unfinished");
}

function drop(card) {
  URL.revokeObjectURL(card.preview.src);
  card.item.remove();
  cards.delete(card);
}

function remove(card) {
  const neighbour = card.item.nextElementSibling ?? card.item.previousElementSibling;
  drop(card);
  summarise();
  (neighbour?.querySelector(".actions > :not([hidden])") ?? $("choose")).focus();
}

function clear() {
  for (const card of cards) if (![...BUSY, "unfinished"].includes(card.outcome)) drop(card);
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

function take(sources) {
  const fresh = sources.filter((source) => {
    const card = unfinishedOf(source.file);
    if (card) goOn(card, source);
    return !card;
  });
  if (!policy) return early.push(...fresh);
  const added = fresh.map(create);
  $("list").prepend(...added.map((card) => card.item));
  for (const card of added) {
    const problem = objection(card.file);
    if (problem) finish(card, "refused", "Not sent", problem);
    else enqueue(card);
  }
}

const plain = (files) => [...files].map((file) => ({ file }));

/** With its handle, where the browser gives one, a file need not be chosen again after a reload. */
async function dropped(items) {
  const sources = [...items].map(async (item) => {
    const file = item.getAsFile();
    const handle = await item.getAsFileSystemHandle?.().catch(() => null);
    return { file, handle: handle?.kind === "file" ? handle : null };
  });
  return (await Promise.all(sources)).filter(({ file }) => file);
}

$("choose").onclick = () => $("input").click();
$("clear").onclick = clear;
$("input").onchange = () => {
  take(plain($("input").files));
  $("input").value = ""; // so that the same file can be chosen again
};
$("again").onchange = () => {
  const [source] = plain($("again").files);
  $("again").value = "";
  if (unfinishedOf(source.file) === wanted) goOn(wanted, source);
  else unfinished(wanted, messages["file-changed"]);
};
document.ondragover = (event) => {
  event.preventDefault();
  $("drop").classList.add("over");
};
document.ondragleave = (event) => event.relatedTarget ?? $("drop").classList.remove("over");
document.ondrop = async (event) => {
  event.preventDefault();
  $("drop").classList.remove("over");
  take(await dropped([...event.dataTransfer.items].filter(({ kind }) => kind === "file")));
};
document.onpaste = (event) => take(plain(event.clipboardData.files));
window.onhashchange = begin;
window.onbeforeunload = (event) => [...cards].some(({ outcome }) => outcome === "running") && event.preventDefault();
begin();
listUnfinished();
