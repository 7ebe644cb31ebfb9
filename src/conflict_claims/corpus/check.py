"""The gates: what must hold before a corpus counts. Problems name file, line, sentence and fix."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from conflict_claims.config import CorpusConfig
from conflict_claims.corpus.agreement import alpha
from conflict_claims.corpus.duplicates import near_duplicates, words_of
from conflict_claims.corpus.realism import variety
from conflict_claims.corpus.records import Sentence, read_batches, read_lines, read_texts
from conflict_claims.errors import ClaimsError
from conflict_claims.text import normalise

OVERLAP = 12
"""So many words in a row are the same in two texts only if one was copied."""


@dataclass(frozen=True)
class Located:
    """A sentence and where it stands."""

    sentence: Sentence
    place: str


def read_located(folder: Path, labels: Sequence[str]) -> list[Located]:
    """Read a corpus folder; each sentence knows its file and line."""
    located = []
    for path, sentences in read_batches(folder, labels).items():
        lines = [k for k, line in read_lines(path) if line.strip()]
        located += [Located(s, f"{path}:{k}") for s, k in zip(sentences, lines, strict=True)]
    return located


def check_corpus(
    corpus: Sequence[Located],
    labels: Sequence[str],
    config: CorpusConfig,
    against: Sequence[Path] = (),
    real: Path | None = None,
) -> list[str]:
    """Run every gate.

    Args:
        corpus: the sentences with their places.
        labels: the label set.
        config: the limits.
        against: files of other text that no sentence may share a run of 12 words with.
        real: published sentences (column `text`) that the corpus must be as varied as.

    Returns:
        The problems, one line each; empty when the corpus passes.
    """
    gates: list[Callable[[], Iterator[str]]] = [
        lambda: _ids(corpus),
        lambda: characters(corpus),
        lambda: _annotations(corpus, labels),
        lambda: _agreement(corpus, labels, config),
        lambda: _balance(corpus, labels, config),
        lambda: _genres(corpus, config),
        lambda: _lengths(corpus, config),
        lambda: _duplicates(corpus, config),
        lambda: _openings(corpus, config),
        lambda: overlap(corpus, against),
        lambda: _variety(corpus, real),
    ]
    form = [problem for gate in gates[:3] for problem in gate()]
    return form or [problem for gate in gates[3:] for problem in gate()]  # figures of malformed records mean nothing


def summary(corpus: Sequence[Located], labels: Sequence[str]) -> dict[str, Any]:
    """What passed the gates, in figures: `sentences`, `stories`, and `alpha` of each label over all batches."""
    sentences = [item.sentence for item in corpus]
    agreement = {label: round(value, 4) for label, value in alpha(sentences, labels).items()}
    return {"sentences": len(sentences), "stories": len({s.story for s in sentences}), "alpha": agreement}


def _ids(corpus: Sequence[Located]) -> Iterator[str]:
    seen: dict[str, str] = {}
    for item in corpus:
        s = item.sentence
        if s.id in seen:
            yield f"{item.place}: the id {s.id} stands already at {seen[s.id]}; give each sentence its own"
        seen.setdefault(s.id, item.place)
        if not re.fullmatch(re.escape(s.story) + r"-\d{2}", s.id):
            yield f"{item.place}: the id {s.id} does not follow its story {s.story}; expected {s.story}-NN"
        if not (s.genre and s.setting):
            yield f"{item.place}: sentence {s.id} lacks its genre or setting; fill it"


def characters(corpus: Sequence[Located]) -> Iterator[str]:
    """Sentences with invisible characters or broken encoding."""
    for item in corpus:
        if normalise(item.sentence.text) != item.sentence.text:
            yield (
                f"{item.place}: sentence {item.sentence.id} has invisible characters, doubled spaces or a decomposed "
                "letter; expected what conflict_claims.text.normalise gives"
            )
        if "\ufffd" in item.sentence.text or re.search(r"Ã.|â€", item.sentence.text):
            yield f"{item.place}: sentence {item.sentence.id} was decoded wrongly; write it again in UTF-8"


def _annotations(corpus: Sequence[Located], labels: Sequence[str]) -> Iterator[str]:
    for item in corpus:
        s, where = item.sentence, f"{item.place}: sentence {item.sentence.id}"
        try:
            readings = [frozenset(a["labels"]) for a in s.annotations]
            readers = [a["annotator"] for a in s.annotations]
        except (KeyError, TypeError):
            yield f"{where}: annotations must be objects with annotator and labels"
            continue
        unknown = set().union(*readings) - set(labels) if readings else set()
        if unknown:
            yield f"{where}: an annotation has the unknown label {min(unknown)}; expected {', '.join(labels)}"
        if len(readings) < 2 or len(set(readers)) < len(readers):
            yield f"{where}: expected at least two annotations by different readers, found {len(readings)}"
        elif readings[0] != readings[1] and len(readings) < 3:
            yield f"{where}: its two readers differ; a third reading must settle it"
        elif set(s.labels) != set(readings[-1]):
            yield f"{where}: its labels are not those of its last reading; correct one or the other"


def _batch(item: Located) -> str:
    return item.place.rsplit(":", 1)[0]


def _agreement(corpus: Sequence[Located], labels: Sequence[str], config: CorpusConfig) -> Iterator[str]:
    batches = defaultdict(list)
    for item in corpus:
        batches[_batch(item)].append(item.sentence)
    for name, sentences in batches.items():
        for label, value in alpha(sentences, labels).items():
            if value < config.alpha:
                yield f"{name}: alpha of {label} is {value:.2f}; expected at least {config.alpha}: label it again"


def _balance(corpus: Sequence[Located], labels: Sequence[str], config: CorpusConfig) -> Iterator[str]:
    sentences = [item.sentence for item in corpus]
    stories = len({s.story for s in sentences})
    if len(sentences) < config.sentences or stories < config.stories:
        found = f"{len(sentences)} sentences in {stories} stories"
        yield f"the corpus has {found}; expected at least {config.sentences} in {config.stories}"
    positives = Counter(label for s in sentences for label in s.labels)
    for label, least in config.positives.items():
        if positives[label] < least:
            yield f"{label} has {positives[label]} positives; expected at least {least}"
    none = sum(not s.labels for s in sentences) / len(sentences)
    if not config.unlabelled[0] <= none <= config.unlabelled[1]:
        low, high = config.unlabelled
        yield f"{none:.1%} of the sentences have no label; expected {low:.0%} to {high:.0%}"
    pairs = Counter(pair for s in sentences for pair in combinations(s.labels, 2))
    for pair in combinations(labels, 2):
        if pairs[pair] < config.pair:
            yield f"{' with '.join(pair)} occurs {pairs[pair]} times; expected at least {config.pair}"
    three = sum(len(s.labels) >= 3 for s in sentences)
    if three < config.three_labels:
        yield f"{three} sentences have three labels or more; expected at least {config.three_labels}"


def _genres(corpus: Sequence[Located], config: CorpusConfig) -> Iterator[str]:
    genres = Counter(item.sentence.genre for item in corpus)
    if len(genres) < config.genres:
        yield f"the corpus has {len(genres)} genres; expected at least {config.genres}"
    for k, (genre, count) in enumerate(genres.most_common()):
        share, most = count / len(corpus), config.first_genre if k == 0 else config.other_genre
        if share > most:
            yield f"{share:.1%} of the sentences are {genre}; at most {most:.0%}: write other genres"


def _lengths(corpus: Sequence[Located], config: CorpusConfig) -> Iterator[str]:
    low, high = config.words
    for item in corpus:
        words = len(item.sentence.text.split())
        if words > high:
            yield f"{item.place}: sentence {item.sentence.id} has {words} words; at most {high}: split it"
    lengths = sorted(len(item.sentence.text.split()) for item in corpus)
    if lengths and sum(n < low for n in lengths) > 0.02 * len(lengths):
        yield f"{sum(n < low for n in lengths)} sentences have fewer than {low} words; at most 2 % may"


def _duplicates(corpus: Sequence[Located], config: CorpusConfig) -> Iterator[str]:
    pairs = near_duplicates([item.sentence.text for item in corpus], config.near_duplicate)
    twins = {k for i, j, _ in pairs for k in (i, j)}
    if len(twins) <= config.near_duplicate_share * len(corpus):
        return
    for i, j, similarity in pairs:
        yield (
            f"{corpus[j].place}: sentence {corpus[j].sentence.id} is a near-duplicate ({similarity:.2f}) of "
            f"{corpus[i].sentence.id} at {corpus[i].place}; rewrite one"
        )


def _openings(corpus: Sequence[Located], config: CorpusConfig) -> Iterator[str]:
    openings = Counter(" ".join(item.sentence.text.lower().split()[:4]) for item in corpus)
    for opening, count in openings.most_common():
        if count <= config.opening_share * len(corpus):
            return
        yield f"{count} sentences begin {opening!r}; at most {config.opening_share:.1%} may: rewrite some"


def _variety(corpus: Sequence[Located], real: Path | None) -> Iterator[str]:
    if real is None:
        return
    ours, theirs = variety([item.sentence.text for item in corpus], read_texts(real))
    if ours < theirs:
        yield (
            f"{ours:.1%} of the word 3-grams are distinct, against {theirs:.1%} in {real} at the same number of words: "
            "write less alike"
        )


def overlap(corpus: Sequence[Located], against: Sequence[Path]) -> Iterator[str]:
    """Runs of words that a sentence shares with other text, whatever its format: only words count."""
    runs: dict[tuple[str, ...], Located] = {}
    for item in corpus:
        words = words_of(item.sentence.text)
        for k in range(len(words) - OVERLAP + 1):
            runs.setdefault(tuple(words[k : k + OVERLAP]), item)
    for path in _files(against):
        text = path.read_text(encoding="utf-8", errors="replace").replace("\\n", " ")
        words, reported = words_of(text), set()
        for k in range(len(words) - OVERLAP + 1):
            copied = runs.get(tuple(words[k : k + OVERLAP]))
            if copied is not None and copied.place not in reported:
                reported.add(copied.place)
                shared = " ".join(words[k : k + OVERLAP])
                yield f"{copied.place}: sentence {copied.sentence.id} shares {shared!r} with {path}; write it anew"


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from (p for p in sorted(path.rglob("*")) if p.is_file())
        elif path.is_file():
            yield path
        else:
            raise ClaimsError(f"{path}: no such file or folder to compare the corpus with")
