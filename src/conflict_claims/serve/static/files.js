// Files in: text, or a table with a column `text`. Tables out: CSV and JSONL.

import { Problem } from "./service.js";

export async function documentsOf(file) {
  if (file.size > 4_000_000) throw new Problem(`${file.name} is too large for this page. Use: conflict-claims predict`);
  let text;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
  } catch {
    throw new Problem(`${file.name} is not UTF-8 text. Save it as UTF-8 (plain text, CSV or JSONL) and try again.`);
  }
  const ending = file.name.toLowerCase().split(".").pop();
  if (ending === "csv" || ending === "tsv") return fromTable(readTable(text, ending === "csv" ? "," : "\t", file.name), file.name);
  if (ending === "jsonl" || ending === "ndjson") return fromTable(readLines(text, file.name), file.name);
  return [{ text, row: 1, columns: {} }];
}

function fromTable(rows, name) {
  if (!rows.length) throw new Problem(`${name} has no rows.`);
  return rows.map(({ values, line }, i) => {
    const { text, ...columns } = values;
    if (text === undefined) {
      throw new Problem(`${name}, line ${line}: expected a column "text", found ${Object.keys(values).join(", ") || "none"}.`);
    }
    if (typeof text !== "string" || !text.trim()) throw new Problem(`${name}, line ${line}: expected a text, found none.`);
    return { text, row: i + 1, columns };
  });
}

function readLines(text, name) {
  const rows = [];
  text.split("\n").forEach((line, i) => {
    if (!line.trim()) return;
    let values;
    try {
      values = JSON.parse(line);
    } catch {
      throw new Problem(`${name}, line ${i + 1}: broken JSON.`);
    }
    if (values === null || typeof values !== "object" || Array.isArray(values)) {
      throw new Problem(`${name}, line ${i + 1}: expected a JSON object.`);
    }
    rows.push({ values, line: i + 1 });
  });
  return rows;
}

function readTable(text, mark, name) {
  const [head, ...rows] = cells(text.replace(/^\ufeff/, ""), mark, name);
  return rows.map(({ values, line }) => {
    if (values.length !== head.values.length) {
      throw new Problem(`${name}, line ${line}: expected ${head.values.length} columns, found ${values.length}.`);
    }
    return { values: Object.fromEntries(head.values.map((column, k) => [column, values[k]])), line };
  });
}

// RFC 4180: cells between quotes may hold the separator, line ends, and quotes written twice.
function cells(text, mark, name) {
  const rows = [];
  const pattern = new RegExp(`(?:"((?:[^"]|"")*)"|([^"${mark}\\r\\n]*))(${mark}|\\r\\n|\\n|\\r|$)`, "y");
  let values = [];
  let line = 1;
  while (pattern.lastIndex < text.length || values.length) {
    const at = pattern.lastIndex;
    const found = pattern.exec(text);
    if (!found) throw new Problem(`${name}, line ${line}: broken ${mark === "," ? "CSV" : "TSV"}, a quote is out of place.`);
    values.push(found[1] === undefined ? found[2] : found[1].replaceAll('""', '"'));
    if (found[3] !== mark) {
      if (values.length > 1 || values[0]) rows.push({ values, line });
      values = [];
    }
    line += found[0].split("\n").length - 1;
    pattern.lastIndex = at + found[0].length;
    if (found[3] === "" && pattern.lastIndex >= text.length) break;
  }
  return rows.length ? rows : [{ values: [], line: 1 }];
}

// A spreadsheet takes a cell that begins like this for a formula, and runs it.
function harmless(value) {
  const text = typeof value === "string" ? value : typeof value === "object" ? JSON.stringify(value) : value;
  return typeof text === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
}

function cell(value) {
  const text = String(harmless(value ?? ""));
  return /[",\r\n;]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

const OWN = ["row", "text", "start", "end", "labels", "probabilities"];

function kept(columns, names) {
  const own = new Set([...OWN, ...names]);
  return Object.fromEntries(Object.entries(columns).map(([name, value]) => [own.has(name) ? `input_${name}` : name, value]));
}

export function toCsv(sentences, names) {
  const extra = [...new Set(sentences.flatMap((s) => Object.keys(kept(s.document.columns, names))))];
  const head = [...extra, "row", "text", "start", "end", "labels", ...names];
  const lines = sentences.map((s) => {
    const columns = kept(s.document.columns, names);
    const own = [s.document.row, s.text, s.start, s.end, s.labels.join(";"), ...names.map((n) => s.probabilities[n].toFixed(4))];
    return [...extra.map((name) => columns[name]), ...own];
  });
  return [head, ...lines].map((line) => line.map(cell).join(",") + "\r\n").join("");
}

export function toJsonl(sentences) {
  return sentences
    .map((s) => {
      const { text, start, end, labels, probabilities } = s;
      return JSON.stringify({ ...kept(s.document.columns, []), row: s.document.row, text, start, end, labels, probabilities }) + "\n";
    })
    .join("");
}

export function save(name, type, content) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
