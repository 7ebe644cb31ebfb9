// The card of a sentence: its probabilities while it is pointed at or focused; once opened, the words that moved a label.

import { badge, element } from "./claims.js";
import { explain, Problem } from "./service.js";

const card = document.getElementById("card");
let shown = null; // the sentence
let open = false;

export function isOpen() {
  return open;
}

export function showCard(sentence, claims) {
  if (open) return;
  shown = sentence;
  card.className = "card";
  card.removeAttribute("role");
  card.replaceChildren(probabilities(sentence, claims));
  place(sentence);
}

export function hideCard(force = false) {
  if (open && !force) return;
  if (open && shown?.element) {
    shown.element.ariaExpanded = "false";
    if (card.contains(document.activeElement)) shown.element.focus();
  }
  open = false;
  shown = null;
  card.hidden = true;
}

function bar(sentence, claim) {
  const p = sentence.probabilities[claim.label];
  const given = p >= claim.threshold;
  const fill = element("span", { className: "fill" });
  fill.style.width = `${100 * p}%`;
  const cut = element("span", { className: "cut" });
  cut.style.left = `${100 * claim.threshold}%`;
  return [
    badge(claim),
    element("span", { className: "name", textContent: claim.title }),
    element("span", { className: "meter", ariaHidden: "true" }, fill, cut),
    element("span", { className: "p", textContent: p.toFixed(2) + (given ? " ✓" : "") }),
  ];
}

function probabilities(sentence, claims) {
  return element(
    "ul",
    { className: "bars" },
    ...claims.map((claim) => {
      const given = sentence.probabilities[claim.label] >= claim.threshold;
      return element("li", { className: `colour-${claim.colour}${given ? " given" : ""}` }, ...bar(sentence, claim));
    }),
  );
}

export async function openCard(sentence, claims) {
  hideCard(true);
  open = true;
  shown = sentence;
  sentence.element.ariaExpanded = "true";
  const close = element("button", { type: "button", className: "close", ariaLabel: "Close", textContent: "×" });
  close.addEventListener("click", () => hideCard(true));
  const words = element("div", { className: "words" });
  const group = element("div", { className: "bars", role: "radiogroup", ariaLabel: "Which label" });
  let label = sentence.labels[0] ?? strongest(sentence, claims).label;
  for (const claim of claims) {
    const given = sentence.probabilities[claim.label] >= claim.threshold;
    const radio = element("input", { type: "radio", name: "explained", value: claim.label, checked: claim.label === label });
    radio.addEventListener("change", () => {
      label = claim.label;
      showWords(words, sentence, claims, label);
    });
    group.append(element("label", { className: `colour-${claim.colour}${given ? " given" : ""}` }, radio, ...bar(sentence, claim)));
  }
  card.className = "card open";
  card.setAttribute("role", "dialog");
  card.setAttribute("aria-label", "Which words moved a label");
  card.replaceChildren(element("h3", { textContent: "Which words moved a label" }), close, group, words);
  words.append(element("p", { className: "hint", role: "status", textContent: "Deleting each word once …" }));
  place(sentence);
  if (getComputedStyle(card).position === "fixed") sentence.element.scrollIntoView({ block: "start" }); // above the sheet
  group.querySelector("input:checked").focus({ preventScroll: true });
  try {
    sentence.words ??= await explain(sentence.text);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    if (shown === sentence) words.replaceChildren(element("p", { className: "hint", role: "status", textContent: error.message }));
    return;
  }
  if (shown !== sentence || !open) return;
  showWords(words, sentence, claims, label);
  place(sentence);
}

function strongest(sentence, claims) {
  return claims.reduce((a, b) => (sentence.probabilities[b.label] > sentence.probabilities[a.label] ? b : a));
}

function showWords(place, sentence, claims, label) {
  const claim = claims.find((c) => c.label === label);
  const top = Math.max(0.5, ...sentence.words.map((word) => Math.abs(word.weights[label])));
  const points = Array.from(sentence.text);
  const text = element("p", { className: `sentence-words colour-${claim.colour}` });
  let last = 0;
  for (const word of sentence.words) {
    text.append(points.slice(last, word.start).join(""));
    const weight = word.weights[label];
    const strength = Math.abs(weight) / top;
    if (strength < 0.08) text.append(word.word);
    else {
      const mark = element(weight > 0 ? "mark" : "u", { textContent: word.word, title: signed(weight) });
      mark.style.setProperty("--strength", `${Math.round(10 + 55 * strength)}%`);
      text.append(mark);
    }
    last = word.end;
  }
  text.append(points.slice(last).join(""));
  const ranked = [...sentence.words].sort((a, b) => Math.abs(b.weights[label]) - Math.abs(a.weights[label])).slice(0, 5);
  const list = element("ol", { className: "ranked", ariaLabel: `Words that moved ${claim.words} most` });
  for (const word of ranked) {
    list.append(element("li", {}, element("span", { textContent: word.word }), " ", element("b", { textContent: signed(word.weights[label]) })));
  }
  const hint = `Log-odds that “${claim.words}” loses without the word. Dotted: the word speaks against it.`;
  place.replaceChildren(text, list, element("p", { className: "hint", textContent: hint }));
}

function signed(weight) {
  return (weight < 0 ? "−" : "+") + Math.abs(weight).toFixed(1);
}

// Below the sentence, or above it where there is more room. On a narrow screen the style sheet makes it a sheet.
function place(sentence) {
  card.hidden = false;
  const lines = sentence.element.getClientRects();
  const first = lines[0];
  const last = lines[lines.length - 1];
  const wide = document.documentElement.clientWidth;
  const left = Math.max(16, Math.min(last.left, wide - card.offsetWidth - 16));
  const below = last.bottom + 10;
  const above = first.top - card.offsetHeight - 10;
  const top = below + card.offsetHeight < window.innerHeight || above < 0 ? below : above;
  card.style.left = `${left + window.scrollX}px`;
  card.style.top = `${top + window.scrollY}px`;
}
