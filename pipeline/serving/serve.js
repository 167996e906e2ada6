"use strict";
const byId = (id) => document.getElementById(id);
const settings = document.querySelector("main").dataset;
const MAX_BYTES = Number(settings.fileBytes);
const MAX_FILES = Number(settings.batchFiles);
const GONE = "ffpipe serve does not answer. If it was ended, start it again in the terminal and open the address that it prints.";
let chosen = [];
let sending = null;
const shown = new Map();

// ---- words

function make(tag, options, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(options || {})) {
    if (name === "class") element.className = value;
    else if (name === "on") element.addEventListener("click", value);
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

// What cannot be seen in a name, or would turn its direction, is shown as an escape.
function inert(text) {
  return text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, (c) => "\\u" + c.codePointAt(0).toString(16).padStart(4, "0"));
}

function size(bytes) {
  for (const [unit, power] of [["GiB", 3], ["MiB", 2], ["KiB", 1]]) {
    if (bytes >= 1024 ** power) return (bytes / 1024 ** power).toFixed(1) + " " + unit;
  }
  return bytes + " bytes";
}

const files = (count) => count + (count === 1 ? " file" : " files");
function say(text) { byId("said").textContent = text; }
function complain(lines) { byId("notice").textContent = lines.join("\n"); }

// ---- choosing

async function entriesOf(entry, path) {
  const name = path + entry.name;
  if (entry.isFile) {
    const file = await new Promise((done, failed) => entry.file(done, failed));
    return [{ file, name, hidden: path !== "" && entry.name.startsWith(".") }];
  }
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((done, failed) => reader.readEntries(done, failed));
    if (!some.length) return found;
    for (const inner of some) found.push(...(await entriesOf(inner, name + "/")));
  }
}

function fromInput(input) {
  const found = Array.from(input.files, (file) => {
    const name = file.webkitRelativePath || file.name;
    return { file, name, hidden: name.includes("/") && file.name.startsWith(".") };
  });
  input.value = "";
  return found;
}

async function fromDrop(transfer) {
  const entries = Array.from(transfer.items, (item) => item.webkitGetAsEntry && item.webkitGetAsEntry()).filter(Boolean);
  const loose = Array.from(transfer.files, (file) => ({ file, name: file.name, hidden: false }));
  if (!entries.length) return loose;
  const found = [];
  for (const entry of entries) found.push(...(await entriesOf(entry, "")));
  return found;
}

function choose(found) {
  const lines = [];
  const hidden = found.filter((one) => one.hidden).length;
  if (hidden) lines.push(files(hidden) + " with a hidden name left out.");
  for (const one of found.filter((each) => !each.hidden)) {
    if (one.file.size > MAX_BYTES) lines.push(inert(one.name) + ": " + size(one.file.size) + " is too large; a file may have " + size(MAX_BYTES) + ".");
    else chosen.push(one);
  }
  if (chosen.length > MAX_FILES) {
    lines.push("A batch may have " + files(MAX_FILES) + "; " + (chosen.length - MAX_FILES) + " left out.");
    chosen = chosen.slice(0, MAX_FILES);
  }
  complain(lines);
  showChosen();
}

function showChosen() {
  byId("chosen").hidden = !chosen.length || sending !== null;
  byId("chosen-title").textContent = files(chosen.length) + " chosen";
  byId("score").textContent = "Score " + files(chosen.length);
  byId("list").replaceChildren(...chosen.map((one) => make("li", {}, make("bdi", { class: "name" }, inert(one.name)), make("span", { class: "size" }, size(one.file.size)))));
}

// ---- asking the server

async function ask(method, path) {
  let answer;
  try {
    answer = await fetch(path, { method, cache: "no-store" });
  } catch {
    throw new Error(GONE);
  }
  const told = answer.status === 204 ? {} : await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(told.error || "the server answered " + answer.status);
  return told;
}

function send(path, file, progress) {
  return new Promise((done, failed) => {
    const request = new XMLHttpRequest();
    sending.request = request;
    request.open("PUT", path);
    request.upload.onprogress = (event) => progress(event.loaded);
    request.onabort = () => failed(new Error("stopped"));
    request.onerror = () => failed(new Error("it could not be sent; it may have changed, or " + GONE));
    request.onload = () => {
      if (request.status === 201) return done();
      let told = {};
      try { told = JSON.parse(request.responseText); } catch { told = {}; }
      return failed(new Error(told.error || "the server answered " + request.status));
    };
    request.send(file);
  });
}

async function score() {
  const batch = chosen;
  const total = batch.reduce((sum, one) => sum + one.file.size, 0) || 1;
  let before = 0;
  let sent = 0;
  const refused = [];
  complain([]);
  sending = { request: null, stopped: false };
  chosen = [];
  showChosen();
  byId("sending").hidden = false;
  byId("abort").focus();
  let id = null;
  try {
    id = (await ask("POST", "api/batches")).id;
    for (const [index, one] of batch.entries()) {
      const tell = (loaded) => {
        byId("sending-bar").value = (before + Math.min(loaded, one.file.size)) / total;
        byId("sending-text").textContent = "Sending file " + (index + 1) + " of " + batch.length + ", " + Math.floor((100 * (before + loaded)) / total) + " %";
      };
      tell(0);
      const name = one.name.toWellFormed ? one.name.toWellFormed() : one.name;
      try {
        await send("api/batches/" + id + "/files?name=" + encodeURIComponent(name), one.file, tell);
        sent += 1;
      } catch (error) {
        if (sending.stopped) throw error;
        refused.push(inert(one.name) + ": " + error.message);
      }
      before += one.file.size;
    }
    if (!sent) throw new Error("no file could be sent");
    await ask("POST", "api/batches/" + id + "/start");
    say(files(sent) + " sent; scoring begins.");
  } catch (error) {
    if (id !== null) await ask("DELETE", "api/batches/" + id).catch(() => ({}));
    if (!sending.stopped) refused.push(error.message);
    chosen = batch;
  }
  sending = null;
  byId("sending").hidden = true;
  complain(refused);
  showChosen();
  byId("files").focus();
  look();
}

// ---- batches

const STATES = {
  queued: (b) => (b.ahead ? "Waiting: " + b.ahead + " before it" : "Waiting"),
  running: (b) => (b.stage ? b.stage[0].toUpperCase() + b.stage.slice(1) : "Starting") + (b.total ? ": " + b.done + " of " + files(b.total) + " done" : ""),
  done: (b) => b.summary,
  failed: (b) => "Not scored: " + b.error,
  stopped: () => "Stopped. What is scored by then is kept; it can go on.",
};

async function act(method, path, then) {
  try {
    await ask(method, path);
    if (then) say(then);
  } catch (error) {
    complain([error.message]);
  }
  look();
}

function verdicts(batch) {
  const head = ["File", "Verdict", "Score", "Reason"].map((text) => make("th", { scope: "col" }, text));
  const rows = batch.rows.map((row) => make("tr", {},
    make("th", { scope: "row" }, make("a", { href: "reports/" + batch.id + "/" + row.page }, make("bdi", {}, inert(row.name)))),
    make("td", {}, make("span", { class: "verdict " + row.kind }, make("span", { class: "mark", "aria-hidden": "true" }, row.mark), " " + row.verdict)),
    make("td", { class: "number" }, row.score),
    make("td", { class: "reason" }, (row.status === "ok" ? "" : row.status + ": ") + inert(row.reason))));
  const table = make("table", { class: "verdicts" }, make("caption", {}, "Verdicts, in the order in which the files came"), make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows));
  return make("div", { class: "wide", role: "region", "aria-label": "Verdicts", tabindex: "0" }, table);
}

function waiting(batch) {
  const names = batch.uploads.map((one) => make("li", {}, make("bdi", { class: "name" }, inert(one.name)), make("span", { class: "size" }, size(one.bytes))));
  return make("ul", { class: "list" }, ...names);
}

function links(batch) {
  const found = batch.files.flatMap((name) => [" ", make("a", { href: "files/" + batch.id + "/" + name, download: name }, name)]);
  return make("p", { class: "files" }, "Tables:", ...found);
}

function actions(batch, title) {
  const path = "api/batches/" + batch.id;
  const about = { type: "button", class: "button", "aria-describedby": title };
  const found = [];
  if (batch.state === "done") found.push(make("a", { class: "button main", href: "reports/" + batch.id + "/index.html", "aria-describedby": title }, "Open the report"));
  if (batch.state === "queued" || batch.state === "running") found.push(make("button", { ...about, on: () => act("POST", path + "/cancel", "Stopped.") }, "Stop"));
  else {
    if (batch.state !== "done") found.push(make("button", { ...about, on: () => act("POST", path + "/start", "Scoring goes on.") }, "Go on"));
    found.push(make("button", { ...about, on: () => remove(batch, path) }, "Remove"));
  }
  return make("p", { class: "actions" }, ...found.flatMap((one) => [one, " "]));
}

function remove(batch, path) {
  if (confirm("Delete everything of this batch: its files, its report, and the crops and tables of its scoring run?")) act("DELETE", path, "Removed.");
}

function article(batch) {
  const title = "batch-" + batch.id;
  const when = new Date(batch.created).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
  const kept = batch.state === "done" ? (batch.kept ? "Its uploaded files are kept." : "Its uploaded files were deleted.") : "";
  const parts = [make("h3", { id: title }, files(batch.uploads.length) + ", " + when), make("p", { class: "state" + (batch.state === "failed" ? " problem" : "") })];
  if (batch.state === "running") parts.push(make("progress", { "aria-label": "Files scored", value: "0", max: "1" }));
  parts.push(batch.state === "done" ? verdicts(batch) : waiting(batch));
  parts.push(actions(batch, title));
  if (batch.state === "done") parts.push(links(batch), make("p", { class: "soft" }, kept));
  return make("article", { class: "batch", "aria-labelledby": title }, ...parts);
}

function update(batch) {
  const before = shown.get(batch.id);
  if (!before || before.state !== batch.state) {
    const element = article(batch);
    if (before) before.element.replaceWith(element);
    else byId("batches").prepend(element);
    shown.set(batch.id, { state: batch.state, element });
    if (before && batch.state === "done") say("Scored: " + batch.summary);
    if (before && batch.state === "failed") say("A batch failed: " + batch.error);
  }
  const { element } = shown.get(batch.id);
  const text = inert(STATES[batch.state](batch));
  if (element.querySelector(".state").textContent !== text) element.querySelector(".state").textContent = text;
  const bar = element.querySelector("progress");
  // Never without a value: a bar that only moves is drawn all the time, by the processor that the scoring needs.
  if (bar) { bar.max = batch.total || 1; bar.value = batch.done; }
}

let timer = null;
async function look() {
  clearTimeout(timer);
  let pause = 4000;
  try {
    const { batches } = await ask("GET", "api/batches");
    for (const [id, one] of shown) {
      if (!batches.some((batch) => batch.id === id)) { one.element.remove(); shown.delete(id); }
    }
    for (const batch of batches.slice().reverse()) update(batch);
    byId("none").hidden = batches.length > 0;
    if (byId("notice").textContent === GONE) complain([]);
    if (batches.some((batch) => batch.state === "queued" || batch.state === "running")) pause = 700;
  } catch (error) {
    complain([error.message]);
  }
  timer = setTimeout(look, pause);
}

// ---- events

const drop = byId("drop");
const carriesFiles = (event) => event.dataTransfer && event.dataTransfer.types.includes("Files");
for (const type of ["dragenter", "dragover"]) {
  // Everywhere: a file that misses the field would otherwise be opened instead of this page.
  window.addEventListener(type, (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    drop.classList.add("over");
  });
}
window.addEventListener("dragleave", (event) => { if (!event.relatedTarget) drop.classList.remove("over"); });
window.addEventListener("drop", async (event) => {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  drop.classList.remove("over");
  if (sending) return complain(["Files are being sent; wait until they are, or stop that."]);
  try {
    choose(await fromDrop(event.dataTransfer));
  } catch (error) {
    complain(["what was dropped cannot be read: " + error.message]);
  }
});
for (const id of ["files", "folder"]) byId(id).addEventListener("change", () => choose(fromInput(byId(id))));
byId("score").addEventListener("click", score);
byId("clear").addEventListener("click", () => { chosen = []; complain([]); showChosen(); byId("files").focus(); });
byId("abort").addEventListener("click", () => { sending.stopped = true; if (sending.request) sending.request.abort(); });
look();
