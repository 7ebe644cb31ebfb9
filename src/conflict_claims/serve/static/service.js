// Asks the service: keeps to its limits, waits when it is busy, brings the token along.

export class Problem extends Error {}
export class TokenNeeded extends Problem {}

const PIECE = 50_000; // characters of a request: a long text shows progress, and keeps far from every limit
export const MOST = 500_000; // characters that the page takes; a table of more is for the command line
let token = "";

export function setToken(value) {
  token = value;
}

async function ask(path, options = {}) {
  const headers = { ...options.headers };
  if (token) headers.Authorization = `Bearer ${token}`;
  for (let attempt = 0; ; attempt += 1) {
    let answer;
    try {
      answer = await fetch(path, { ...options, headers });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Problem("The service does not answer. Is it still running?");
    }
    if (answer.ok) return answer.json();
    if (answer.status === 401) throw new TokenNeeded("This service asks for its token.");
    if (answer.status === 503 && attempt < 10) {
      const seconds = Number(answer.headers.get("Retry-After")) || 1;
      await new Promise((done) => setTimeout(done, 1000 * seconds));
      continue;
    }
    const said = await answer.json().catch(() => ({}));
    throw new Problem(said.detail ? `Not read: ${said.detail}.` : `The service answered with status ${answer.status}.`);
  }
}

export function model() {
  return ask("model");
}

function predict(body, signal) {
  const headers = { "Content-Type": "application/json" };
  return ask("predict", { method: "POST", headers, body: JSON.stringify(body), signal });
}

export async function explain(sentence) {
  const { results } = await predict({ texts: [sentence], explain: true });
  return results[0][0].words;
}

// Every document gets its `sentences`; offsets count code points, as Python does.
export async function read(documents, signal, progress) {
  const total = documents.reduce((sum, d) => sum + d.text.length, 0);
  if (total > MOST) {
    throw new Problem(
      `This is ${total.toLocaleString("en")} characters; the page reads up to ${MOST.toLocaleString("en")}. ` +
        "For more, use: conflict-claims predict FILE --output OUT",
    );
  }
  let done = 0;
  for (const batch of batches(documents)) {
    const { results } = await predict({ articles: batch.map((piece) => piece.text) }, signal);
    batch.forEach(({ document, text, offset }, i) => {
      for (const s of results[i]) {
        document.sentences.push({ ...s, start: s.start + offset, end: s.end + offset, document });
      }
      done += text.length;
    });
    progress(done / total);
  }
}

function* batches(documents) {
  let batch = [];
  let size = 0;
  for (const document of documents) {
    document.sentences = [];
    for (const piece of pieces(document)) {
      if (batch.length === 50 || (batch.length && size + piece.text.length > PIECE)) {
        yield batch;
        [batch, size] = [[], 0];
      }
      batch.push(piece);
      size += piece.text.length;
    }
  }
  if (batch.length) yield batch;
}

// A long text is cut where a sentence ends anyway: at an empty line, else at the end of a line, else after a full stop.
function* pieces(document) {
  let rest = document.text;
  let offset = 0;
  while (rest.length > PIECE) {
    const head = rest.slice(0, PIECE);
    const cut = ["\n\n", "\n", ". ", " "].map((mark) => head.lastIndexOf(mark) + mark.length).find((at) => at > 10) || PIECE;
    yield { document, text: rest.slice(0, cut), offset };
    offset += Array.from(rest.slice(0, cut)).length;
    rest = rest.slice(cut);
  }
  yield { document, text: rest, offset };
}
