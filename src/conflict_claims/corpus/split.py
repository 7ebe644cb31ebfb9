"""Deal whole stories out to train, validation and test, so that every label keeps its share."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from iterstrat.ml_stratifiers import MultilabelStratifiedShuffleSplit

from conflict_claims.config import SplitsConfig
from conflict_claims.corpus.duplicates import near_duplicates
from conflict_claims.corpus.records import Sentence, read_sentences, write_sentences
from conflict_claims.errors import ClaimsError
from conflict_claims.labels import to_indicator

SPLITS = ("train", "validation", "test")


def split_by_story(
    sentences: Sequence[Sentence], labels: Sequence[str], config: SplitsConfig
) -> dict[str, list[Sentence]]:
    """Deal stories out, stratified over all labels (Sechidis et al. 2011), the same way for the same seed.

    Stories that share a near-duplicate stay together. Strata are what a story is rich in: for each label, whether
    the story has more of it than the median story, and whether it is long.

    Raises:
        ClaimsError: too few stories, a label without a positive example in a split, or a leak between splits.
    """
    groups = _groups(sentences, config.near_duplicate)
    if len(groups) < 2 * len(SPLITS):
        raise ClaimsError(f"expected at least {2 * len(SPLITS)} stories to split, found {len(groups)}")
    counts = np.array([[*to_indicator((s.labels for s in group), labels).sum(axis=0), len(group)] for group in groups])
    rich = (counts > np.median(counts, axis=0)).astype(int)
    rest, test = _cut(np.arange(len(groups)), rich, config.test, config.seed)
    train, validation = _cut(rest, rich, config.validation / (1 - config.test), config.seed)
    splits = {
        name: [sentence for k in sorted(chosen) for sentence in groups[k]]
        for name, chosen in zip(SPLITS, (train, validation, test), strict=True)
    }
    check_splits(splits, labels, config.near_duplicate)
    return splits


def folds_by_story(sentences: Sequence[Sentence], config: SplitsConfig, folds: int) -> list[list[int]]:
    """Row numbers of `folds` disjoint parts of about equal size; stories that belong together share a part."""
    number = {s.id: k for k, s in enumerate(sentences)}
    groups = _groups(sentences, config.near_duplicate)
    order = np.random.default_rng(config.seed).permutation(len(groups))
    parts: list[list[int]] = [[] for _ in range(folds)]
    for k in order:
        min(parts, key=len).extend(number[s.id] for s in groups[k])
    return [sorted(part) for part in parts]


def _groups(sentences: Sequence[Sentence], threshold: float) -> list[list[Sentence]]:
    """Stories, those that share a near-duplicate joined (union-find over story names)."""
    parent = {s.story: s.story for s in sentences}

    def root(story: str) -> str:
        while parent[story] != story:
            story = parent[story]
        return story

    for i, j, _ in near_duplicates([s.text for s in sentences], threshold):
        parent[root(sentences[j].story)] = root(sentences[i].story)
    groups = defaultdict(list)
    for sentence in sentences:
        groups[root(sentence.story)].append(sentence)
    return [groups[key] for key in sorted(groups)]


def _cut(
    chosen: "np.ndarray[tuple[int], np.dtype[np.int_]]",
    rich: "np.ndarray[tuple[int, int], np.dtype[np.int_]]",
    share: float,
    seed: int,
) -> tuple["np.ndarray[tuple[int], np.dtype[np.int_]]", "np.ndarray[tuple[int], np.dtype[np.int_]]"]:
    splitter = MultilabelStratifiedShuffleSplit(n_splits=1, test_size=share, random_state=seed)
    large, small = next(splitter.split(chosen, rich[chosen]))
    return chosen[large], chosen[small]


def check_splits(splits: dict[str, list[Sentence]], labels: Sequence[str], threshold: float) -> None:
    """Fail loudly when a story or a near-duplicate lies in two splits, or a split lacks a label.

    Raises:
        ClaimsError: naming the sentences, or the label and the split.
    """
    for name, part in splits.items():
        for label, count in zip(labels, to_indicator((s.labels for s in part), labels).sum(axis=0), strict=True):
            if not count:
                raise ClaimsError(
                    f"the {name} split has no positive example of {label!r}; add sentences that carry it, or change "
                    "splits.seed or the shares"
                )
    _check_stories(splits)
    everything = [(name, s) for name, part in splits.items() for s in part]
    for i, j, similarity in near_duplicates([s.text for _, s in everything], threshold):
        if everything[i][0] != everything[j][0]:
            (a, first), (b, second) = everything[i], everything[j]
            raise ClaimsError(
                f"sentence {first.id} in {a} and {second.id} in {b} are near-duplicates ({similarity:.2f}); "
                "rewrite one or give both one story"
            )


def _check_stories(splits: dict[str, list[Sentence]]) -> None:
    home: dict[str, str] = {}
    for name, part in splits.items():
        for sentence in part:
            if home.setdefault(sentence.story, name) != name:
                raise ClaimsError(f"the story {sentence.story!r} lies in {home[sentence.story]} and in {name}")


def write_splits(splits: dict[str, list[Sentence]], folder: Path) -> None:
    """Write NAME.jsonl for each split: all are written beside before the first one takes its place."""
    for name, part in splits.items():
        write_sentences(part, folder / f".{name}.saving")
    for name in splits:
        (folder / f".{name}.saving").replace(folder / f"{name}.jsonl")


def read_splits(folder: Path, labels: Sequence[str]) -> dict[str, list[Sentence]]:
    """Read train.jsonl, validation.jsonl and test.jsonl of a folder, and check that they can be trained on.

    Near-duplicates between them are looked for when splits are made, not here.
    """
    missing = [f"{name}.jsonl" for name in SPLITS if not (folder / f"{name}.jsonl").is_file()]
    if missing:
        raise ClaimsError(f"{folder}: {', '.join(missing)} is missing; make it with `conflict-claims splits`")
    splits = {name: read_sentences(folder / f"{name}.jsonl", labels) for name in SPLITS}
    _check_stories(splits)
    for name in ("train", "validation"):
        for label, count in zip(
            labels, to_indicator((s.labels for s in splits[name]), labels).sum(axis=0), strict=True
        ):
            if not count:
                raise ClaimsError(
                    f"{folder / name}.jsonl has no positive example of {label!r}; a model cannot learn or set a "
                    "threshold for it: add sentences that carry it"
                )
    return splits
