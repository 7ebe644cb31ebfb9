"""What is in the corpus: the tables and pictures of its datasheet."""

import re
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from conflict_claims.corpus.agreement import alpha
from conflict_claims.corpus.places import REGIONS, decade_of, region_of
from conflict_claims.corpus.records import Sentence, read_batches
from conflict_claims.markdown import table

CUES = {
    "casualty": r"attack|bomb|fighting|clash|shell|gunm[ae]n|explo|accident|crash|threat|violence|weapon",
    "territorial_control": r"\bbase|front|border|troops|deploy|offensive|control|captur|seiz|forces|withdr|positions",
    "official_statement": r"\b(said|says|told|according|reported|accus|warn|urg)|government|ministry|army|police",
    "eyewitness": r"resident|villager|witness|survivor|refugee|displaced|\bI\b|\bwe\b|famil|local",
}
"""Words that go with a label; an unlabelled sentence that has them is a near miss."""


def near_misses(sentences: Iterable[Sentence]) -> int:
    """How many unlabelled sentences have words of a label."""
    cue = re.compile("|".join(CUES.values()), re.IGNORECASE)
    return sum(not s.labels and bool(cue.search(s.text)) for s in sentences)


def describe(batches: dict[str, list[Sentence]], labels: Sequence[str]) -> str:
    """The datasheet's tables in Markdown.

    Args:
        batches: file name to its sentences.
        labels: the label set.
    """
    sentences = [s for batch in batches.values() for s in batch]
    n, words = len(sentences), [len(s.text.split()) for s in sentences]
    quartiles = ", ".join(f"{q:.0f}" for q in statistics.quantiles(words, n=4))
    none = sum(not s.labels for s in sentences)
    near = near_misses(sentences) / max(1, none)
    three = sum(len(s.labels) >= 3 for s in sentences)
    pairs = Counter(pair for s in sentences for pair in combinations(s.labels, 2))
    pair_rows = [(" + ".join(pair), pairs[pair]) for pair in combinations(labels, 2)]
    genres = Counter(s.genre for s in sentences)
    genre_rows = [(genre, count, f"{count / n:.1%}") for genre, count in genres.most_common()]
    places: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for s in {s.story: s for s in sentences}.values():
        places[region_of(s.setting)][decade_of(s.setting)] += 1
    decades = sorted({d for counter in places.values() for d in counter})
    parts = [
        f"{n:,} sentences in {len({s.story for s in sentences}):,} stories; {none / n:.1%} without a label, "
        f"{near:.0%} of these with words of a label; {three} with three labels or four. "
        f"Words a sentence: quartiles {quartiles}, longest {max(words)}.",
        "**Labels**\n\n" + table(["label", "sentences", "share"], _label_rows(sentences, labels)),
        "**Pairs of labels**\n\n" + table(["pair", "sentences"], pair_rows),
        "**Batches and agreement** (Krippendorff's alpha between the first two readers, before "
        "differences were settled)\n\n"
        + table(["file", "sentences", "stories", "settled by a third reading", *labels], _batch_rows(batches, labels)),
        f"**Label audit**: {_audited(sentences)}",
        "**Genres**\n\n" + table(["genre", "sentences", "share"], genre_rows),
        "**Stories by region and decade of the setting**\n\n"
        + table(["region", *decades], [(r, *(places[r][d] for d in decades)) for r in REGIONS if r in places]),
    ]
    return "\n\n".join(parts) + "\n"


def _label_rows(sentences: list[Sentence], labels: Sequence[str]) -> list[tuple[object, ...]]:
    count = Counter(label for s in sentences for label in s.labels)
    rows: list[tuple[object, ...]] = [(name, count[name], f"{count[name] / len(sentences):.1%}") for name in labels]
    none = sum(not s.labels for s in sentences)
    return [*rows, ("none", none, f"{none / len(sentences):.1%}")]


def _batch_rows(batches: dict[str, list[Sentence]], labels: Sequence[str]) -> Iterable[tuple[object, ...]]:
    for name, sentences in batches.items():
        settled = sum(len(_before_audit(s)) > 2 for s in sentences)
        values = (f"{value:.3f}" for value in alpha(sentences, labels).values())
        yield (name, len(sentences), len({s.story for s in sentences}), settled, *values)


AUDIT = "audit"
"""The reader's name in the annotations of sentences that the label audit had read again."""


def _before_audit(sentence: Sentence) -> list[dict[str, Any]]:
    return [a for a in sentence.annotations if a["annotator"] != AUDIT]


def _audited(sentences: Iterable[Sentence]) -> str:
    """How many sentences were read again in the label audit, and what changed."""
    again = [s for s in sentences if len(_before_audit(s)) < len(s.annotations)]
    changes = [set(s.labels) ^ set(_before_audit(s)[-1]["labels"]) for s in again]
    return (
        f"{len(again)} sentences that a model doubted were read again; {sum(map(bool, changes))} of them "
        f"changed, {sum(map(len, changes))} labels in all."
    )


def draw(sentences: list[Sentence], labels: Sequence[str], folder: Path) -> None:
    """Write labels.png, lengths.png and genres.png into a folder."""
    from conflict_claims.plots import bars, histogram

    folder.mkdir(parents=True, exist_ok=True)
    rows = _label_rows(sentences, labels)
    bars({str(r[0]).replace("_", " "): int(str(r[1])) for r in rows}, "sentences", folder / "labels.png")
    genres = Counter(s.genre for s in sentences)
    bars(dict(genres.most_common()), "sentences", folder / "genres.png")
    histogram([len(s.text.split()) for s in sentences], "words a sentence", folder / "lengths.png")


def corpus_stats(corpus: Path, labels: Sequence[str], output: Path | None = None) -> str:
    """The tables of a corpus folder; with `output`, stats.md and the pictures are written there."""
    batches = {path.name: sentences for path, sentences in read_batches(corpus, labels).items()}
    text = describe(batches, labels)
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        (output / "stats.md").write_text(f"# The corpus in figures\n\n{text}", encoding="utf-8")
        draw([s for batch in batches.values() for s in batch], labels, output)
    return text
