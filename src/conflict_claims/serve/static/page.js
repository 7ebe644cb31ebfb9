// The page: what is pasted or dropped is read by the service and shown in place; all else happens in the browser.

import { hideCard, isOpen, openCard, showCard } from "./card.js";
import { badge, claimsOf, element, line, listClaims, showStrip, showThreshold } from "./claims.js";
import { documentsOf, save, toCsv, toJsonl } from "./files.js";
import { model as askModel, Problem, read, setToken, TokenNeeded } from "./service.js";

const $ = (id) => document.getElementById(id);
const filters = new Set();
let claims = [];
let sentences = [];
let reading = null; // the AbortController of what is being read
let again = null; // what to do once the token is there
let speaking = 0;

// messages

function say(text) {
  $("status").textContent = text;
}

function fail(error) {
  if (error.name === "AbortError") return;
  if (!(error instanceof Problem)) throw error;
  say("");
  $("problem").textContent = error.message;
  $("problem").hidden = error instanceof TokenNeeded;
  $("token-form").hidden = !(error instanceof TokenNeeded);
  if (error instanceof TokenNeeded) $("token").focus();
}

function clear() {
  $("problem").hidden = $("token-form").hidden = true;
}

async function attempt(work) {
  again = work;
  clear();
  try {
    await work();
  } catch (error) {
    fail(error);
  }
}

// reading

async function readDocuments(documents) {
  if (!documents.some((d) => d.text.trim())) throw new Problem("There is nothing to read yet. Paste a text or choose a file.");
  if (!claims.length) await loadModel();
  reading?.abort();
  const mine = (reading = new AbortController());
  $("read").disabled = true;
  say("Reading …");
  try {
    await read(documents, mine.signal, (share) => share < 1 && say(`Reading … ${Math.round(100 * share)} %`));
  } finally {
    if (reading === mine) $("read").disabled = false;
  }
  if (reading !== mine) return;
  sentences = documents.flatMap((d) => d.sentences);
  showDocuments(documents);
  claims.forEach((claim) => showStrip(claim, sentences));
  $("desk").hidden = true;
  $("reader").hidden = false;
  update();
  window.scrollTo(0, 0);
  (sentences[0]?.element ?? $("back")).focus({ preventScroll: true });
  hideCard(true);
}

// Text enters the page as text nodes alone: whatever is pasted stays text.
function showDocuments(documents) {
  $("article").replaceChildren(
    ...documents.map((d) => {
      const points = Array.from(d.text);
      const body = element("div", { className: "document" });
      let last = 0;
      for (const sentence of d.sentences) {
        sentence.place = element("span", { className: "place" }, sentenceElement(sentence));
        body.append(points.slice(last, sentence.start).join(""), sentence.place);
        last = sentence.end;
      }
      body.append(points.slice(last).join("").trimEnd());
      const head = documents.length > 1 ? [element("h2", { textContent: d.columns.title || `Row ${d.row}` })] : [];
      return element("section", {}, ...head, body);
    }),
  );
  if (sentences.length) sentences[0].element.tabIndex = 0;
}

function sentenceElement(sentence) {
  sentence.marks = element("span", { className: "marks" });
  sentence.element = element("span", { className: "sentence", role: "button", tabIndex: -1, ariaExpanded: "false" }, sentence.text, sentence.marks);
  sentence.element.setAttribute("aria-describedby", "card");
  sentence.element.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && showCard(sentence, claims));
  sentence.element.addEventListener("pointerleave", () => hideCard());
  sentence.element.addEventListener("focus", () => {
    sentences.forEach((other) => (other.element.tabIndex = other === sentence ? 0 : -1));
    showCard(sentence, claims);
  });
  sentence.element.addEventListener("blur", () => hideCard());
  sentence.element.addEventListener("click", () => String(getSelection()) || openCard(sentence, claims).catch(fail));
  sentence.element.addEventListener("keydown", (event) => move(event, sentence));
  return sentence.element;
}

function move(event, sentence) {
  if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    openCard(sentence, claims).catch(fail);
    return;
  }
  const shown = sentences.filter((s) => !s.place.hidden);
  const at = shown.indexOf(sentence);
  const next = { ArrowDown: at + 1, ArrowRight: at + 1, ArrowUp: at - 1, ArrowLeft: at - 1, Home: 0, End: shown.length - 1 }[event.key];
  if (next === undefined) return;
  event.preventDefault();
  shown[Math.max(0, Math.min(next, shown.length - 1))].element.focus();
}

// labels, filters, counts: recomputed here from the probabilities

function update() {
  for (const sentence of sentences) {
    const given = claims.filter((claim) => sentence.probabilities[claim.label] >= claim.threshold);
    sentence.labels = given.map((claim) => claim.label);
    mark(sentence, given);
    const chosen = !filters.size || sentence.labels.some((label) => filters.has(label));
    sentence.element.classList.toggle("dimmed", !chosen);
    sentence.place.hidden = !chosen && $("only").checked;
  }
  $("article").classList.toggle("gaps", $("only").checked && filters.size > 0);
  for (const claim of claims) claim.count.textContent = String(sentences.filter((s) => s.labels.includes(claim.label)).length);
  const none = sentences.filter((s) => !s.labels.length).length;
  $("summary").textContent = `${count(sentences.length, "sentence")}, ${sentences.length - none} with a claim`;
  $("reset").hidden = claims.every((claim) => claim.threshold === claim.default);
  clearTimeout(speaking); // a slider moves many times; what it came to is said once
  speaking = setTimeout(() => say(`${$("summary").textContent}: ${claims.map((c) => `${c.count.textContent} ${c.words}`).join(", ")}`), 400);
}

function count(n, noun) {
  return `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;
}

function mark(sentence, given) {
  const style = sentence.element.style;
  const key = given.map((claim) => claim.k).join();
  if (sentence.key === key) return;
  sentence.key = key;
  sentence.element.classList.toggle("labelled", given.length > 0);
  style.setProperty("--lines", given.map(line).join(",") || "none");
  style.setProperty("--places", given.map((_, i) => `0 calc(100% - ${4 * (given.length - 1 - i)}px)`).join(",") || "0 0");
  const lead = given.reduce((a, b) => (a && sentence.probabilities[a.label] >= sentence.probabilities[b.label] ? a : b), null);
  style.setProperty("--lead", lead ? `var(--claim-${lead.colour})` : "transparent");
  sentence.marks.replaceChildren(...given.map(badge));
  if (given.length) {
    const words = given.map((claim) => claim.words).join(", ");
    sentence.marks.append(element("span", { className: "hidden", textContent: ` (${words})` }));
  }
}

// wiring

async function loadModel() {
  const found = await askModel();
  claims = claimsOf(found);
  $("model").textContent = found.name;
  listClaims($("claims"), claims, filters, () => {
    hideCard(true);
    update();
  });
}

function back() {
  reading?.abort();
  hideCard(true);
  clear();
  $("reader").hidden = true;
  $("desk").hidden = false;
  say("");
  $("text").focus();
  $("text").select();
}

$("read").addEventListener("click", () => attempt(() => readDocuments([{ text: $("text").value, row: 1, columns: {} }])));
$("text").addEventListener("keydown", (event) => event.key === "Enter" && (event.ctrlKey || event.metaKey) && $("read").click());
$("choose").addEventListener("click", () => $("file").click());
$("file").addEventListener("change", () => {
  const [file] = $("file").files;
  if (file) attempt(async () => readDocuments(await documentsOf(file)));
  $("file").value = "";
});
$("sample").addEventListener("click", async () => {
  $("text").value = await (await fetch("static/sample.txt")).text();
  $("read").click();
});
$("back").addEventListener("click", back);
$("only").addEventListener("change", () => update());
$("reset").addEventListener("click", () => {
  claims.forEach((claim) => {
    claim.threshold = claim.default;
    showThreshold(claim, true);
  });
  update();
  claims[0]?.slider.focus();
});
$("sliders").addEventListener("click", () => {
  $("sliders").ariaExpanded = String($("reader").classList.toggle("sliders"));
});
$("csv").addEventListener("click", () => save("claims.csv", "text/csv;charset=utf-8", toCsv(sentences, claims.map((c) => c.label))));
$("jsonl").addEventListener("click", () => save("claims.jsonl", "application/x-ndjson", toJsonl(sentences)));
$("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  setToken($("token").value.trim());
  attempt(again);
});
document.addEventListener("keydown", (event) => event.key === "Escape" && hideCard(true));
document.addEventListener("pointerdown", (event) => {
  if (isOpen() && !event.target.closest("#card, .sentence")) hideCard(true);
});

for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    $("drop").hidden = false;
  });
}
document.addEventListener("dragleave", (event) => event.relatedTarget === null && ($("drop").hidden = true));
document.addEventListener("drop", (event) => {
  $("drop").hidden = true;
  const [file] = event.dataTransfer.files;
  if (!file) return;
  event.preventDefault();
  attempt(async () => readDocuments(await documentsOf(file)));
});

attempt(loadModel);
