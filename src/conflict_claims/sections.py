"""What a report says, made from evidence files alone: sections of paragraphs, tables and figures, in plain words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Evidence = dict[str, Any]
WATTS = 10
"""What a core with its share of memory is assumed to draw while it trains."""


@dataclass(frozen=True)
class Table:
    """Cells are text already; columns from the second on are numbers unless `words` says otherwise."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: bool = False


@dataclass(frozen=True)
class Figure:
    """A figure of `conflict_claims.figures.svgs`, by its name, of the first evidence."""

    name: str
    says: str


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it; a paragraph is a string, with `code` and **bold** as in Markdown."""

    title: str
    blocks: Sequence[str | Table | Figure]


def sections(evidence: Sequence[Evidence], behaviour: Sequence[dict[str, Any]] | None) -> list[Section]:
    """The report on one model.

    Args:
        evidence: what `evaluate --evidence` wrote of this model, one or several data sets; figures show the first.
        behaviour: what `check-behaviour --output` wrote of it.
    """
    first = evidence[0]
    made = [
        _use(first),
        Section("How good it is", [*_scores(evidence), Figure("scores", "Precision, recall and F1 of each label.")]),
        Section("How far its probabilities can be trusted", _calibration(evidence)),
        Section("How good it is where it is surest", _coverage(evidence)),
        Section("What it takes for what", _confusion(first)),
        Section("Where it is worse", _slices(evidence)),
        Section("Its surest errors", _errors(first)),
    ]
    if behaviour is not None:
        made.append(Section("Behaviour", _behaviour(behaviour)))
    return [*made, Section("Limits", LIMITS), Section("Training, version, hashes", _training(first))]


def _use(first: Evidence) -> Section:
    labels = ", ".join(f"`{name}`" for name in first["labels"])
    return Section(
        "What it is for",
        [
            f"It reads one English sentence of conflict reporting and gives a probability for each of {labels}. A "
            "label is given from its threshold on; a sentence may have none, one or several. Labels say what is "
            "claimed and who is shown to claim it, **never whether it is true**.",
            "Meant for newsrooms, monitors, researchers and data coders who sort reports: to find the sentences worth "
            "reading, not to replace the reading. Not meant for deciding about people, for targeting, for counting the "
            "dead without a reader, or for other languages and other kinds of text.",
        ],
    )


LIMITS = [
    "The corpus that it learned from is invented prose by language models, and labels of corpus and real news were "
    "given by language models of one family, not by people. Published news is harder than the test split: where both "
    "are shown, believe the real news.",
    "Every sentence is judged alone: who is meant by “he added” stands in the sentence before. English only. A "
    "sentence longer than the model's window is read up to there.",
    "Intervals say what another draw of stories from the same source would give. They say nothing of other sources, of "
    "another reading of the codebook, or of another training of the same model.",
]


def _scores(evidence: Sequence[Evidence]) -> list[str | Table | Figure]:
    blocks: list[str | Table | Figure] = [_in_words(of) for of in evidence]
    head = ("data", "sentences", "macro-F1", "micro-F1", "mAP", "no error")
    keys = ("macro_f1", "micro_f1", "mean_average_precision", "exact_match")
    rows = [(of["data"], f"{of['n']:,}", *(_spanned(of[k], of["intervals"][k]) for k in keys)) for of in evidence]
    blocks.append(Table(head, rows))
    for of in evidence:
        blocks.append(_label_scores(of))
    blocks.append(
        "In brackets: 95 % intervals, percentiles of 2,000 resamples of whole stories or documents. macro-F1 is the "
        "mean of the labels' F1, micro-F1 counts all decisions together, mAP judges the ranking before any "
        "threshold; no error: share of sentences with every label right. Thresholds are for "
        f"{evidence[0].get('objective', 'f1')}, set on validation data."
    )
    return blocks


def _label_scores(of: Evidence) -> Table:
    keys = ("precision", "recall", "f1", "average_precision")
    rows = [
        (
            f"`{name}`",
            f"{values['support']:,}",
            *(_spanned(values[k], of["intervals"]["labels"][name][k]) for k in keys),
            f"{values['threshold']:.2f}",
        )
        for name, values in of["labels"].items()
    ]
    return Table((of["data"], "support", "precision", "recall", "F1", "average precision", "threshold"), rows)


def _in_words(of: Evidence) -> str:
    parts = []
    for name, values in of["labels"].items():
        bounds = of["intervals"]["labels"][name]
        if values["precision"] is None or values["recall"] is None:
            continue
        right = f"{100 * values['precision']:.0f}{_hundred(bounds['precision'])}"
        found = f"{100 * values['recall']:.0f}{_hundred(bounds['recall'])}"
        parts.append(f"`{name}`: {right} of 100 given are right, {found} of 100 there are found")
    return f"**{of['data']}** ({of['n']:,} sentences of {of['stories']:,} stories). {'; '.join(parts)}."


def _calibration(evidence: Sequence[Evidence]) -> list[str | Table | Figure]:
    rows = []
    for of in evidence:
        for name, values in of["labels"].items():
            said, happened = _means(of["reliability"][name])
            cells = (f"{values['ece']:.3f}", f"{values['ece_by_chance']:.3f}", _spanned(values["brier"], None))
            rows.append((of["data"], f"`{name}`", *cells, f"{100 * said:.1f}", f"{100 * happened:.1f}"))
    head = ("data", "label", "ECE", "ECE by chance", "Brier", "said, of 100", "are, of 100")
    worst = [max(values["ece"] for values in of["labels"].values()) for of in evidence]
    told = "; ".join(f"at most {w:.3f} on {of['data']}" for w, of in zip(worst, evidence, strict=True))
    blocks: list[str | Table | Figure] = [
        "Of the sentences that are given 0.8, eight in ten should carry the label. ECE is the mean distance from that, "
        "over ten bins; with so few sentences even perfect probabilities would show the column “by chance”. Brier is "
        f"the mean squared error of the probabilities. ECE of a label: {told}.",
        Figure("reliability", "Each dot is a bin, as large as its share of sentences; lines are 95 % intervals."),
        Table(head, rows),
    ]
    if len(evidence) > 1:
        blocks.append(_shift(evidence[0], evidence[1]))
    else:
        blocks.append(
            "Calibration was fitted on validation stories of the same corpus. On other text probabilities may be off: "
            "label a hundred sentences of your own and run `conflict-claims evaluate`."
        )
    return blocks


def _means(bins: Sequence[dict[str, Any]]) -> tuple[float, float]:
    n = sum(b["n"] for b in bins)
    return sum(b["n"] * b["said"] for b in bins) / n, sum(b["n"] * b["happened"] for b in bins) / n


def _shift(home: Evidence, away: Evidence) -> str:
    """What happens to the probabilities on other text than the corpus, in words."""
    high: list[str] = []
    low: list[str] = []
    for name in home["labels"]:
        said, happened = _means(away["reliability"][name])
        off = away["labels"][name]["ece"] > 1.5 * away["labels"][name]["ece_by_chance"]
        if off and abs(said - happened) > 0.005:
            (high if said > happened else low).append(
                f"`{name}` (says {100 * said:.0f} of 100, {100 * happened:.0f} are)"
            )
    told = [f"it claims too much for {', '.join(high)}"] if high else []
    told += [f"it claims too little for {', '.join(low)}"] if low else []
    moved = " and ".join(told) if told else "no label is off by more than chance would explain"
    return (
        f"**Under shift.** Calibration was fitted on validation stories of the same corpus as {home['data']}, and "
        f"holds there. On {away['data']}, other text, {moved}. So on text of your own read the probabilities as an "
        "order, and as frequencies only after `conflict-claims evaluate` on a hundred sentences that you labelled."
    )


def _coverage(evidence: Sequence[Evidence]) -> list[str | Table | Figure]:
    shares = (0.5, 0.8, 0.9, 1.0)
    rows = []
    for of in evidence:
        for name, points in of["risk_coverage"].items():
            chosen = {p["coverage"]: p for p in points}
            label = "any label" if name == "any label" else f"`{name}`"
            cells = (percent(chosen[s]["risk"], chosen[s]["interval"]) for s in shares)
            rows.append((of["data"], label, *cells))
    return [
        "If a reader takes over the sentences that the model is least sure of, how many of the rest are wrong? "
        "Sureness is the model's own probability that its decisions are right.",
        Figure("risk_coverage", "Errors among the surest sentences; the band is the 95 % interval of “any label”."),
        Table(("data", "wrong, of 100", *(f"surest {100 * s:.0f} %" if s < 1 else "all" for s in shares)), rows),
        Figure("precision_recall", "What another threshold would give: less missed, or fewer false alarms."),
    ]


def _confusion(of: Evidence) -> list[str | Table | Figure]:
    labels = list(of["labels"])
    blocks: list[str | Table | Figure] = []
    for key, first, says in (
        ("given_wrongly", "given wrongly", "Where a label was given wrongly, the sentence carried:"),
        ("missed", "missed", "Where a label was missed, the model gave:"),
    ):
        rows = []
        for name in labels:
            counts = of["confusion"][name][key]
            cells = ("·" if other == name else str(counts[other]) for other in (*labels, "nothing"))
            rows.append((f"`{name}`", str(counts["sentences"]), *cells))
        blocks += [says, Table((first, "sentences", *(name.replace("_", " ") for name in labels), "nothing"), rows)]
    rows = []
    for i, a in enumerate(labels):
        for b in labels[i + 1 :]:
            true, given = (str(of["co_occurrence"][which][a][b]) for which in ("true", "given"))
            rows.append((f"`{a}` and `{b}`", true, given))
    blocks += [
        "Sentences with both labels, by the annotators and by the model:",
        Table(("pair", "true", "given"), rows),
    ]
    return blocks


def _slices(evidence: Sequence[Evidence]) -> list[str | Table | Figure]:
    blocks: list[str | Table | Figure] = [
        "Kinds of sentences, the worst first. With so many kinds some look bad by chance: believe an interval that "
        "does not reach the line. Slices marked * are small (fewer than 50 sentences or 10 stories).",
    ]
    for k, of in enumerate(evidence):
        if not of["slices"]:
            continue
        if k == 0:
            blocks.append(Figure("slices", "Share of sentences without an error; in brackets the number of sentences."))
        rows = [
            (
                f"{row['kind']}: {row['value']}{' *' * row['small']}",
                f"{row['n']:,}",
                f"{row['stories']:,}",
                percent(row["exact_match"], row["exact_match_interval"]),
                _spanned(row["micro_f1"], row["micro_f1_interval"]),
            )
            for row in of["slices"]
        ]
        blocks.append(Table((of["data"], "sentences", "stories", "no error, of 100", "micro-F1"), rows))
    return blocks


def _errors(of: Evidence) -> list[str | Table | Figure]:
    """Readable: the sentence, what was wrong, and the words that moved the model."""
    if not of["errors"]:
        return ["None."]
    if of["errors"][0]["text"] is None:
        rows = [(e["id"], f"`{e['label']}` {e['error']}", f"{e['probability']:.3f}") for e in of["errors"]]
        return ["The texts may not be shown here.", Table(("id", "error", "probability"), rows, words=True)]
    explained = any("words" in e for e in of["errors"])
    table: list[list[str]] = []
    for e in of["errors"]:
        words = ", ".join(f"{word} {weight:+.1f}" for word, weight in e.get("words", ())) or "–"
        cells = [e["text"], f"`{e['label']}` {e['error']}", f"{e['probability']:.3f}", words]
        table.append(cells if explained else cells[:3])
    told = "Up to five of each label and direction, of " + of["data"] + ", the surest first."
    if explained:
        told += " Words: those that moved the model most to the error, with the log-odds that their absence takes back."
    head = ("sentence", "error", "probability", "words")
    return [told, Table(head if explained else head[:3], table, words=True)]


def _behaviour(rows: Sequence[dict[str, Any]]) -> list[str | Table | Figure]:
    cases, failed = (sum(row[key] for row in rows) for key in ("cases", "failed"))
    ordered = sorted(rows, key=lambda row: (-row["failed"] / row["cases"], row["family"]))
    table = [
        (
            row["family"].replace("_", " "),
            row["kind"].replace("_", " "),
            str(row["cases"]),
            str(row["failed"]),
            f"{100 * row['failed'] / row['cases']:.0f} %",
        )
        for row in ordered
    ]
    return [
        f"Of {cases} cases written one by one, in {len(rows)} families, it fails {failed} "
        f"({100 * failed / cases:.0f} %): labels that it must give (minimum functionality), changes of wording that "
        "must leave a label alone (invariance), and changes that must add or remove one (direction).",
        Table(("family", "kind", "cases", "failed", "rate"), table),
    ]


def _training(of: Evidence) -> list[str | Table | Figure]:
    about = of["about"]
    training, settings = about.get("training") or {}, about["settings"]
    data = f"Learned from {about['training_stories']:,} stories of the corpus `{about['corpus_fingerprint'][:12]}`"
    data += f" ({training['sentences']:,} sentences)" if "sentences" in training else ""
    teacher = settings.get("teacher")
    if teacher:
        data += (
            ", mixed with what a larger model thinks of them and of unlabelled sentences "
            f"(`{teacher['probabilities']}`, weight {teacher['weight']:g})"
        )
    if "encoder" in settings:
        data += f"; the pretrained encoder is `{settings['encoder']}`"
    if training:
        joules = training["seconds"] * training["cores"] * WATTS
        time = (
            f"Training took {training['seconds']:,.0f} s on {training['cores']} cores ({training['processor']}), "
            f"measured. Energy: about {joules / 3600:.1f} Wh, an estimate and no measurement: {WATTS} W for each "
            "core with its share of memory, other hardware and cooling left out."
        )
    else:
        time = (
            "Training time was not recorded by the version that trained it, so no energy is estimated: train again to "
            "have both."
        )
    validation = about["validation"]
    facts = [
        ("version of conflict-claims", about["package_version"]),
        ("Git commit", about["git_commit"] or "unknown"),
        ("model format", str(about["format_version"])),
        ("corpus fingerprint", about["corpus_fingerprint"]),
        ("fingerprint of the data scored", of["data_fingerprint"]),
        *((f"sha256 of {name}", digest) for name, digest in about["files"].items()),
    ]
    return [
        f"{data}. On its validation split ({validation['n']:,} sentences, on which calibration and thresholds were "
        f"set) macro-F1 is {validation['macro_f1']:.3f}.",
        time,
        Table(("", ""), [(name, f"`{value}`") for name, value in facts], words=True),
    ]


def _spanned(value: float | None, bounds: Sequence[float] | None) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" + (f" ({bounds[0]:.2f}–{bounds[1]:.2f})" if bounds else "")


def percent(value: float, bounds: Sequence[float] | None) -> str:
    """A share as so many of 100, with its interval."""
    return f"{100 * value:.1f}" + (f" ({100 * bounds[0]:.1f}–{100 * bounds[1]:.1f})" if bounds else "")


def _hundred(bounds: Sequence[float] | None) -> str:
    return f" ({100 * bounds[0]:.0f} to {100 * bounds[1]:.0f})" if bounds else ""
