// The label set: names, letters and patterns of each claim type, and the list with filters, sliders and counts.

const ABOUT = {
  casualty: "people were, were not, or may have been killed or hurt",
  territorial_control: "who holds, gains, loses, besieges or gives up a place",
  official_statement: "what an authority or a party to the conflict says",
  eyewitness: "what someone saw, heard or lived through",
};
export const COLOURS = 8;

export function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key in made && key !== "role") made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

export function claimsOf(model) {
  const taken = new Set();
  return model.labels.map((label, k) => {
    const words = label.replaceAll("_", " ");
    const title = words.charAt(0).toUpperCase() + words.slice(1);
    const letter = [...title.toUpperCase()].find((c) => /\p{L}|\d/u.test(c) && !taken.has(c)) ?? String(k + 1);
    taken.add(letter);
    const threshold = model.thresholds[label];
    return { label, title, words: words.toLowerCase(), letter, k, colour: k % COLOURS, threshold, default: threshold, about: ABOUT[label] ?? "" };
  });
}

// A line under a sentence: each claim type has a pattern besides its colour.
const PATTERNS = [
  (c) => `linear-gradient(${c} 0 0)`,
  (c) => `repeating-linear-gradient(90deg, ${c} 0 9px, transparent 9px 13px)`,
  (c) => `repeating-linear-gradient(90deg, ${c} 0 2px, transparent 2px 5px)`,
  (c) => `repeating-linear-gradient(90deg, ${c} 0 9px, transparent 9px 12px, ${c} 12px 14px, transparent 14px 17px)`,
];

export function line(claim) {
  return PATTERNS[claim.k % PATTERNS.length](`var(--claim-${claim.colour})`);
}

export function badge(claim) {
  return element("span", { className: `badge colour-${claim.colour}`, textContent: claim.letter, ariaHidden: "true" });
}

// The list beside the text. `changed` is called after a filter or a threshold moved.
export function listClaims(list, claims, filters, changed) {
  list.replaceChildren(
    ...claims.map((claim) => {
      claim.count = element("span", { className: "count" });
      claim.button = element(
        "button",
        { type: "button", className: "filter", ariaPressed: "false" },
        badge(claim),
        element("span", { className: "title", textContent: claim.title }),
        claim.count,
      );
      claim.button.children[1].style.setProperty("--lines", line(claim));
      claim.button.addEventListener("click", () => {
        filters.has(claim.label) ? filters.delete(claim.label) : filters.add(claim.label);
        claim.button.ariaPressed = String(filters.has(claim.label));
        changed();
      });
      claim.strip = element("div", { className: "strip", ariaHidden: "true" });
      claim.slider = element("input", {
        type: "range", min: "0.01", max: "0.99", step: "0.01", id: `threshold-${claim.label}`,
        ariaLabel: `Threshold of ${claim.words}`,
      });
      claim.value = element("span", { className: "value" }); // no output: the slider says its value itself
      claim.slider.addEventListener("input", () => {
        claim.threshold = Number(claim.slider.value);
        showThreshold(claim);
        changed();
      });
      showThreshold(claim, true);
      return element(
        "li",
        { className: `claim colour-${claim.colour}` },
        claim.button,
        element("p", { className: "about", textContent: claim.about }),
        element("div", { className: "threshold" }, element("div", { className: "track" }, claim.strip, claim.slider), claim.value),
      );
    }),
  );
}

export function showThreshold(claim, move = false) {
  if (move) claim.slider.value = String(claim.threshold);
  claim.slider.ariaValueText = claim.threshold.toFixed(2);
  claim.value.textContent = claim.threshold.toFixed(2);
  claim.value.classList.toggle("moved", claim.threshold !== claim.default);
}

// One tick a sentence at its probability, so that a reader sees where a threshold cuts.
export function showStrip(claim, sentences) {
  const shown = sentences.slice(0, 400);
  claim.strip.replaceChildren(
    ...shown.map((s) => {
      const tick = element("i");
      tick.style.left = `${100 * s.probabilities[claim.label]}%`;
      return tick;
    }),
  );
}
