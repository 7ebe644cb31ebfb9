"""How far written text is from published text, and what gives it away."""

import math
import random
import re
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from conflict_claims.corpus.duplicates import words_of
from conflict_claims.markdown import table

SAMPLES = 3
"""Measurements on random samples are repeated this often; their mean counts."""

SHAPES: dict[str, Callable[[str], float]] = {
    "words": lambda text: len(text.split()),
    "characters a word": lambda text: len(text) / max(1, len(text.split())),
    "capital letters (%)": lambda text: 100 * sum(c.isupper() for c in text) / max(1, len(text)),
    "capitalised words (%)": lambda text: 100 * sum(w[0].isupper() for w in text.split()) / max(1, len(text.split())),
    "digits": lambda text: sum(c.isdigit() for c in text),
    "commas": lambda text: text.count(","),
    "quotation marks": lambda text: len(re.findall(r'["“”«»]', text)),
    "brackets": lambda text: len(re.findall(r"[()\[\]]", text)),
    "hyphens and dashes": lambda text: len(re.findall(r"[-–—]", text)),
    "colons and semicolons": lambda text: len(re.findall(r"[:;]", text)),
    "ends in a full stop": lambda text: float(text.rstrip().endswith(".")),
}


def distinct_trigrams(texts: Sequence[str], words: int, seed: int) -> float:
    """Share of distinct word 3-grams in `words` running words of whole texts drawn at random."""
    order = list(texts)
    random.Random(seed).shuffle(order)
    seen: set[tuple[str, ...]] = set()
    total = count = 0
    for text in order:
        if count >= words:
            break
        tokens = words_of(text)
        count += len(tokens)
        for k in range(len(tokens) - 2):
            seen.add(tuple(tokens[k : k + 3]))
            total += 1
    return len(seen) / max(1, total)


def variety(texts: Sequence[str], real: Sequence[str]) -> tuple[float, float]:
    """Share of distinct word 3-grams in both, at the number of words of the smaller one: a mean over samples."""
    words = min(sum(len(words_of(t)) for t in side) for side in (texts, real))
    ours, theirs = (
        statistics.fmean(distinct_trigrams(side, words, seed) for seed in range(SAMPLES)) for side in (texts, real)
    )
    return ours, theirs


def auc(
    texts: Sequence[str],
    real: Sequence[str],
    seed: int = 0,
    documents: tuple[Sequence[str], Sequence[str]] | None = None,
    most: int | None = None,
) -> float:
    """How well words tell the two apart: 0.5 not at all, 1.0 always.

    Logistic regression on TF-IDF of words and pairs of words, as many texts from either side, 5-fold
    cross-validation, mean over samples.

    Args:
        texts: one side.
        real: the other side.
        seed: of samples and folds.
        documents: the document of each text of either side. Those of one document then stay in one fold, because
            they share names that say nothing of the side.
        most: a limit to the texts drawn from either side.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LogisticRegression(max_iter=1000))
    return _tell_apart(model, [t.lower() for t in texts], [t.lower() for t in real], seed, documents, most)


def shape_auc(texts: Sequence[str], real: Sequence[str], seed: int = 0) -> float:
    """The same from shapes alone (lengths, capitals, digits, punctuation), by boosted trees."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    def shapes(side: Sequence[str]) -> list[list[float]]:
        return [[measure(text) for measure in SHAPES.values()] for text in side]

    return _tell_apart(HistGradientBoostingClassifier(max_iter=60, random_state=0), shapes(texts), shapes(real), seed)


def _tell_apart(
    model: Any,  # noqa: ANN401 - any estimator
    ours: list[Any],
    real: list[Any],
    seed: int,
    documents: tuple[Sequence[str], Sequence[str]] | None = None,
    most: int | None = None,
) -> float:
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, cross_val_score
    from threadpoolctl import threadpool_limits

    size = min(len(ours), len(real), most or len(ours))
    scores = []
    for sample in range(SAMPLES):
        rng = random.Random(seed + sample)
        rows = rng.sample(range(len(ours)), size), rng.sample(range(len(real)), size)
        x = [ours[i] for i in rows[0]] + [real[i] for i in rows[1]]
        splitter = StratifiedGroupKFold if documents else StratifiedKFold
        folds = splitter(5, shuffle=True, random_state=seed + sample)
        groups = [f"{k} {side[i]}" for k, side in enumerate(documents) for i in rows[k]] if documents else None
        y = [0] * size + [1] * size
        with threadpool_limits(1):  # small products: threads cost more than they bring, the more on a busy machine
            scores += list(cross_val_score(model, x, y, groups=groups, cv=folds, scoring="roc_auc"))
    return statistics.fmean(scores)


def giveaways(texts: Sequence[str], real: Sequence[str], top: int = 40) -> tuple[list[str], list[str]]:
    """Words and pairs too rare and too common in `texts`, each with its sentences per 1,000: `word real/ours`."""
    ours, theirs = (Counter(term for text in side for term in _terms(text)) for side in (texts, real))
    scored = []
    for term in set(ours) | set(theirs):
        a, b = ours[term] / len(texts), theirs[term] / len(real)
        if max(a, b) >= 0.006:
            odds = math.log(((theirs[term] + 0.5) / len(real)) / ((ours[term] + 0.5) / len(texts)))
            scored.append((odds * math.sqrt(max(a, b)), term, 1000 * b, 1000 * a))
    scored.sort()
    named = [f"{term} {b:.0f}/{a:.0f}" for _, term, b, a in scored]
    return named[::-1][:top], named[:top]


def _terms(text: str) -> set[str]:
    words = re.findall(r"[a-z]+", text.lower())
    return set(words) | {" ".join(words[i : i + 2]) for i in range(len(words) - 1)}


def describe(batches: dict[str, list[str]], real: Sequence[str]) -> tuple[dict[str, Any], str]:
    """Measure a corpus against published sentences.

    Args:
        batches: file name to its texts.
        real: published sentences.

    Returns:
        The figures (`auc`, `auc_by_batch`, `shape_auc`, `distinct_trigrams`, `words`), and the same as Markdown with
        the words and shapes that give the corpus away.
    """
    texts = [text for batch in batches.values() for text in batch]
    ours, theirs = variety(texts, real)
    quartiles = [statistics.quantiles([len(t.split()) for t in side], n=4) for side in (texts, real)]
    by_batch = {name: round(auc(batch, real), 3) for name, batch in batches.items()}
    figures = {
        "auc": round(auc(texts, real), 3),
        "auc_by_batch": by_batch,
        "shape_auc": round(shape_auc(texts, real), 3),
        "distinct_trigrams": {"corpus": round(ours, 4), "real": round(theirs, 4)},
        "words": {"corpus": quartiles[0], "real": quartiles[1]},
    }
    rare, common = giveaways(texts, real)

    def mean(measure: Callable[[str], float], side: Sequence[str]) -> str:
        return f"{statistics.fmean(map(measure, side)):.2f}"

    rows = ([name, mean(measure, texts), mean(measure, real)] for name, measure in SHAPES.items())
    shapes = table(["shape (mean)", "corpus", "published"], rows)
    batch_rows = table(["batch", "AUC"], ([name, f"{value:.3f}"] for name, value in by_batch.items()))
    return (
        figures,
        f"""# Distance to published news

A classifier of words tells the corpus from {len(real)} published sentences with an AUC of **{figures["auc"]:.3f}**
(0.5: not at all), one of shapes alone with {figures["shape_auc"]:.3f}. Share of distinct word 3-grams at equal number
of words: corpus {ours:.3f}, published {theirs:.3f}. Words a sentence, quartiles: corpus {quartiles[0]}, published
{quartiles[1]}.

{batch_rows}

Too rare in the corpus (sentences per 1,000, published/corpus): {"; ".join(rare)}.

Too common: {"; ".join(common)}.

{shapes}
""",
    )
