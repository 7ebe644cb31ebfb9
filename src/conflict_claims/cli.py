"""The command line: parse, load, call, write. Heavy imports stay inside, so that --help is instant."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conflict_claims import __version__
from conflict_claims.errors import ClaimsError

if TYPE_CHECKING:
    from rich.table import Table

    from conflict_claims.batch import Summary
    from conflict_claims.batch.formats import Reading
    from conflict_claims.config import Config
    from conflict_claims.explain import WordWeight
    from conflict_claims.runtime import Prediction

EXTRA_OF = {"ray": "ray"} | dict.fromkeys(("fastapi", "fastapi_offline", "prometheus_client", "uvicorn"), "serve")
"""The extra that a library comes with; others come with `train`."""
MODEL = "model folder (default: $CONFLICT_CLAIMS_MODEL, else models/transformer, else models/tfidf)"
OBJECTIVE = "what thresholds are for: f1, or with quotation marks 'recall>=0.95' or 'precision>=0.95', any number"


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns:
        The exit status: 0, 1 where `drift` left known ground, 2 for bad input (one sentence on the error stream), 3
        where rows were rejected.
    """
    arguments = _parser().parse_args(argv)
    try:
        status: int = arguments.run(arguments) or 0
    except ClaimsError as error:
        _say(f"conflict-claims: {error}")
        return 2
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("conflict_claims"):
            raise
        extra = EXTRA_OF.get(error.name or "", "train")
        _say(f"conflict-claims: {error.name} is not installed: pip install 'PATH-OF-THE-CLONE[{extra}]' brings it")
        return 2
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _say(f"conflict-claims: {where}{error.strerror or error}; nothing that was saved before is lost")
        return 2
    except KeyboardInterrupt:
        _say(
            "conflict-claims: stopped; nothing that was saved before is lost, and a training or a prediction to a file "
            "goes on when called again"
        )
        return 130
    return status


def _say(message: str) -> None:
    sys.stderr.write(message + "\n")
    sys.stderr.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="conflict-claims", description="Say which claims the sentences of conflict reporting carry."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    predict = _command(commands, "predict", _predict, "label the sentences of articles")
    predict.epilog = (
        "Exit status: 0; 2 for bad input or a failure, after which the same command goes on where it stopped; 3 where "
        "rows could not be labelled (OUTPUT.rejected.jsonl says which and why) and all others were."
    )
    predict.add_argument(
        "input",
        nargs="+",
        help=".txt (an article each), .jsonl, .csv, .tsv or .parquet, also .gz and .zst; folders of such; - for "
        "standard input, which cannot be resumed",
    )
    predict.add_argument(
        "--output", type=Path, help=".jsonl or .csv (also .gz, .zst) or .parquet; without it a table is shown"
    )
    predict.add_argument("--documents", type=Path, help="second output: the claims of each document, same formats")
    predict.add_argument("--model", type=Path, help=MODEL)
    predict.add_argument("--sentences", action="store_true", help="each row (each line of a .txt) is one sentence")
    predict.add_argument("--column", default="text", help="column of the text (default: text)")
    predict.add_argument("--id-column", help="column of the document's id (default: document or id, else file and row)")
    predict.add_argument("--format", choices=("txt", "jsonl", "csv", "tsv"), help="of standard input (default: txt)")
    predict.add_argument("--overwrite", action="store_true", help="replace an existing output")
    _with_objective(predict)
    predict.add_argument("--restart", action="store_true", help="start anew instead of going on with a stopped run")
    predict.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="ray: the cores of a Ray cluster (docs/cluster.md), from tables to a .parquet or a folder of such",
    )
    predict.add_argument("--workers", type=int, default=0, help="with ray: actors, a core each (default: all cores)")

    explain = _command(commands, "explain", _explain, "show which words moved the labels of each sentence")
    explain.add_argument("input", help="a text, or a file as predict reads it")
    explain.add_argument("--output", type=Path, help=".jsonl; without it the words are shown in colour")
    explain.add_argument("--model", type=Path, help=MODEL)
    explain.add_argument("--label", help="this label for every sentence (default: those that the sentence is given)")
    explain.add_argument("--sentences", action="store_true", help="each row is one sentence already")
    explain.add_argument("--overwrite", action="store_true", help="replace an existing output")

    serve = _command(commands, "serve", _serve, "answer over HTTP, with a page to read articles on")
    serve.add_argument("--model", type=Path, help=MODEL)
    serve.add_argument(
        "--host", default="127.0.0.1", help="address (default: 127.0.0.1, which only this machine reaches)"
    )
    serve.add_argument("--port", type=int, default=8000, help="port (default: 8000; 0: any that is free)")

    evaluate = _command(commands, "evaluate", _evaluate, "score a model on labelled sentences")
    evaluate.add_argument("model", type=Path, help="model folder")
    evaluate.add_argument(
        "--data",
        type=Path,
        default=Path("data/splits/test.jsonl"),
        help="one labelled sentence a row, .jsonl, .csv or .tsv: text and labels (default: data/splits/test.jsonl)",
    )
    evaluate.add_argument("--only", metavar="COLUMN=VALUE", help="score only the rows that have this value")
    evaluate.add_argument("--name", help="what the data is called in reports (default: the file's name)")
    evaluate.add_argument("--output", type=Path, help="metrics file to write (.json)")
    evaluate.add_argument("--plots", type=Path, help="folder for pictures")
    evaluate.add_argument("--evidence", type=Path, help="file for bins, curves, slices and the worst errors (.json)")
    evaluate.add_argument(
        "--without-text", action="store_true", help="keep sentences and their words out of --evidence"
    )
    _with_objective(evaluate)

    compare = _command(commands, "compare", _compare, "compare two models, in pairs, on labelled sentences")
    compare.add_argument("models", type=Path, nargs=2, metavar="MODEL", help="model folder")
    compare.add_argument(
        "--data",
        type=Path,
        default=Path("data/splits/test.jsonl"),
        help="labelled sentences, as for evaluate (default: data/splits/test.jsonl)",
    )
    compare.add_argument("--only", metavar="COLUMN=VALUE", help="compare on only the rows that have this value")
    compare.add_argument("--name", help="what the data is called in tables (default: the file's name)")
    compare.add_argument("--output", type=Path, help="file for the sentences that they label differently (.jsonl)")
    compare.add_argument("--metrics", type=Path, help="file for the figures (.json)")
    _with_objective(compare)

    drift = _command(commands, "drift", _drift, "say whether a model is still on known ground")
    drift.add_argument("reference", type=Path, help="what is known: texts, or what predict --output wrote")
    drift.add_argument("new", type=Path, help="what is to be judged: of either form")
    drift.add_argument("--model", type=Path, help="model folder, to label a file that holds texts alone")
    drift.add_argument("--sentences", action="store_true", help="each row is one sentence already")
    drift.add_argument("--output", type=Path, help="file for the figures (.json)")

    behaviour = _command(commands, "check-behaviour", _check_behaviour, "try a model on cases that it must get right")
    behaviour.add_argument("model", type=Path, help="model folder")
    behaviour.add_argument("--cases", type=Path, default=Path("tests/behaviour"), help="folder of .yaml files")
    behaviour.add_argument("--output", type=Path, help="rates and failures to write (.json)")
    behaviour.add_argument("--recorded", type=Path, help="rates written before; a family that got worse is an error")
    behaviour.add_argument("--slack", type=int, default=0, help="so many more cases of a family may fail (default: 0)")

    train = _command(commands, "train", _train, "train a model")
    train.add_argument("kind", choices=("tfidf", "transformer"))
    train.add_argument("--data", type=Path, default=Path("data/splits"), help="folder of splits (default: data/splits)")
    train.add_argument("--output", type=Path, help="model folder to write (default: models/KIND)")
    train.add_argument(
        "--encoder",
        help="minilm, mpnet, a preset of params.yaml, a folder or a Hub id, instead of the one in params.yaml",
    )
    train.add_argument("--overwrite", action="store_true", help="replace an existing model")
    train.add_argument("--objective", default="f1", help=f"{OBJECTIVE} (default: f1)")
    train.add_argument("--no-tracking", action="store_true", help="do not record the training in MLflow")
    _with_params(train)

    corpus = commands.add_parser("corpus", help="check and describe the corpus", description="Work on the corpus.")
    tasks = corpus.add_subparsers(title="commands", required=True, metavar="COMMAND")
    check = _command(
        tasks,
        "check",
        _check,
        "hold the corpus against its gates: sizes, agreement, copying (section corpus of params.yaml)",
    )
    check.add_argument("--corpus", type=Path, default=Path("data/corpus"))
    check.add_argument("--output", type=Path, help="figures of a corpus that passed (.json)")
    check.add_argument("--against", type=Path, nargs="*", default=[], help="text that no sentence may be copied from")
    check.add_argument("--unlabelled", type=Path, help="folder of unlabelled sentences to check too")
    check.add_argument("--real", type=Path, help="published sentences that the corpus must be as varied as")
    _with_params(check)

    realism = _command(tasks, "realism", _realism, "measure how far the corpus is from published sentences")
    realism.add_argument("--corpus", type=Path, default=Path("data/corpus"))
    realism.add_argument("--real", type=Path, required=True, help="published sentences (.jsonl, .csv, .tsv: text)")
    realism.add_argument("--output", type=Path, help="folder for realism.md and realism.json")
    _with_params(realism)

    audit = _command(tasks, "audit", _audit, "flag the labels that a cross-validated model doubts")
    audit.add_argument("--corpus", type=Path, default=Path("data/corpus"))
    audit.add_argument("--kind", choices=("tfidf", "transformer"), default="transformer")
    audit.add_argument(
        "--model", type=Path, help="ask this model instead, about the stories that it was not trained on"
    )
    audit.add_argument("--work", type=Path, default=Path("build/audit"), help="where finished folds are kept")
    audit.add_argument("--output", type=Path, default=Path("build/audit/flagged.jsonl"))
    _with_params(audit)

    stats = _command(tasks, "stats", _stats, "describe the corpus in tables and pictures")
    stats.add_argument("--corpus", type=Path, default=Path("data/corpus"))
    stats.add_argument("--output", type=Path, help="folder for stats.md and pictures")
    stats.add_argument("--insert", type=Path, help="Markdown file whose marked block is replaced by the tables")
    _with_params(stats)
    real = _command(tasks, "real-news", _real_news, "cut the labelled real news out of its publishers' files")
    real.add_argument("--sources", type=Path, required=True, help="folder of the publishers' files")
    real.add_argument("--annotations", type=Path, default=Path("data/real_news/annotations.jsonl"))
    real.add_argument("--output", type=Path, default=Path("data/real_news/sentences.jsonl"))

    curve = _command(tasks, "curve", _curve, "train on growing samples of stories and draw the learning curve")
    curve.add_argument("--data", type=Path, default=Path("data/splits"), help="folder of splits (default: data/splits)")
    curve.add_argument("--also", type=Path, nargs="*", default=[], help="other labelled files to score on")
    curve.add_argument("--sizes", type=int, nargs="*", help="sentences to train on (default: 1000 2000 4000 8000)")
    curve.add_argument("--seeds", type=int, default=3)
    curve.add_argument("--output", type=Path, default=Path("experiments/learning_curve.json"))
    _with_params(curve)

    teach = _command(commands, "teach", _teach, "write what trained models think of texts, for a smaller one to learn")
    teach.add_argument("models", type=Path, nargs="+", help="model folders, the teachers")
    teach.add_argument("--data", type=Path, default=Path("data/splits/train.jsonl"), help="labelled sentences")
    teach.add_argument(
        "--unlabelled", type=Path, default=Path("data/unlabelled"), help="folder of unlabelled sentences"
    )
    teach.add_argument("--output", type=Path, default=Path("data/teacher/mpnet.json"))

    splits = _command(commands, "splits", _splits, "deal the corpus out to train, validation and test")
    splits.add_argument("--corpus", type=Path, default=Path("data/corpus"))
    splits.add_argument("--output", type=Path, default=Path("data/splits"))
    _with_params(splits)

    report = _command(commands, "report", _report, "make the results table, and a page and card for each model")
    report.add_argument("metrics", type=Path, nargs="+", help="files that evaluate --output wrote")
    report.add_argument("--output", type=Path, help="Markdown file for the table")
    report.add_argument(
        "--insert", type=Path, nargs="+", default=[], help="Markdown files whose marked blocks are made"
    )
    report.add_argument("--evidence", type=Path, nargs="+", default=[], help="files that evaluate --evidence wrote")
    report.add_argument("--behaviour", type=Path, nargs="+", default=[], help="files MODEL.json of check-behaviour")
    report.add_argument("--compared", type=Path, nargs="+", default=[], help="files that compare --metrics wrote")
    report.add_argument("--pages", type=Path, help="folder for MODEL.html, MODEL.md (the card) and MODEL.png")
    report.add_argument(
        "--install", type=Path, nargs="+", default=[], metavar="MODEL", help="model folders that shall have the card"
    )
    report.add_argument("--no-tracking", action="store_true", help="with --install: leave MLflow alone")
    return parser


def _command(commands: Any, name: str, run: Any, text: str) -> argparse.ArgumentParser:  # noqa: ANN401
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text.capitalize() + ".")
    parser.set_defaults(run=run)
    return parser


def _with_params(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="parameters (default: params.yaml)")


def _with_objective(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--objective", help=f"{OBJECTIVE} (default: as the model was trained)")


def _config(arguments: argparse.Namespace) -> "Config":
    from conflict_claims.config import load_config

    return load_config(arguments.params)


def _check(arguments: argparse.Namespace) -> None:
    import json

    from conflict_claims.corpus.check import check_corpus, read_located, summary
    from conflict_claims.corpus.unlabelled import check_unlabelled, read_unlabelled

    config = _config(arguments)
    corpus = read_located(arguments.corpus, config.labels)
    problems = check_corpus(corpus, config.labels, config.corpus, arguments.against, arguments.real)
    if arguments.unlabelled is not None:
        unlabelled = read_unlabelled(arguments.unlabelled)
        problems += check_unlabelled(unlabelled, corpus, config.splits.near_duplicate, arguments.against)
    for problem in problems:
        _say(problem)
    if problems:
        raise ClaimsError(f"{arguments.corpus}: {len(problems)} problems; see above")
    if arguments.output is not None:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(json.dumps(summary(corpus, config.labels), indent=1) + "\n", encoding="utf-8")
    _say(f"{arguments.corpus}: {len(corpus)} sentences pass every gate")


def _stats(arguments: argparse.Namespace) -> None:
    from conflict_claims.corpus.stats import corpus_stats
    from conflict_claims.markdown import insert_block

    text = corpus_stats(arguments.corpus, _config(arguments).labels, arguments.output)
    if arguments.insert is not None:
        insert_block(arguments.insert, text, "<!-- made by conflict-claims corpus stats -->", "<!-- end of stats -->")
    sys.stdout.write(text)


def _realism(arguments: argparse.Namespace) -> None:
    import json

    from conflict_claims.corpus.realism import describe
    from conflict_claims.corpus.records import read_batches, read_texts

    batches = read_batches(arguments.corpus, _config(arguments).labels)
    ours = {path.name: [s.text for s in sentences] for path, sentences in batches.items()}
    figures, text = describe(ours, read_texts(arguments.real))
    if arguments.output is not None:
        arguments.output.mkdir(parents=True, exist_ok=True)
        (arguments.output / "realism.md").write_text(text, encoding="utf-8")
        (arguments.output / "realism.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(text)


def _audit(arguments: argparse.Namespace) -> None:
    from conflict_claims.audit import audit

    config = _config(arguments)
    flagged = audit(arguments.corpus, arguments.work, arguments.output, config, arguments.kind, arguments.model, _say)
    _say(f"{flagged} sentences to read again in {arguments.output}")


def _real_news(arguments: argparse.Namespace) -> None:
    import json

    from conflict_claims.corpus.real_news import rebuild

    rows = rebuild(arguments.annotations, arguments.sources)
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    arguments.output.write_text("".join(lines), encoding="utf-8")
    _say(f"{len(rows)} labelled sentences in {arguments.output}")


def _curve(arguments: argparse.Namespace) -> None:
    from conflict_claims.curve import SIZES, learning_curve

    learning_curve(
        arguments.data,
        arguments.output,
        _config(arguments),
        arguments.also,
        arguments.sizes or SIZES,
        arguments.seeds,
        _say,
    )


def _teach(arguments: argparse.Namespace) -> None:
    from conflict_claims.corpus.records import read_texts
    from conflict_claims.corpus.unlabelled import read_unlabelled
    from conflict_claims.distillation import teach

    texts = read_texts(arguments.data)
    texts += [item.sentence.text for item in read_unlabelled(arguments.unlabelled)]
    _say(f"{teach(arguments.models, texts, arguments.output)} texts in {arguments.output}")


def _splits(arguments: argparse.Namespace) -> None:
    from conflict_claims.corpus.records import read_corpus
    from conflict_claims.corpus.split import split_by_story, write_splits

    config = _config(arguments)
    splits = split_by_story(read_corpus(arguments.corpus, config.labels), config.labels, config.splits)
    write_splits(splits, arguments.output)
    for name, sentences in splits.items():
        _say(f"{name}: {len(sentences)} sentences in {len({s.story for s in sentences})} stories")


def _train(arguments: argparse.Namespace) -> None:
    from conflict_claims.train import train

    train(
        arguments.kind,
        arguments.data,
        arguments.output or Path("models") / arguments.kind,
        _config(arguments),
        encoder=arguments.encoder,
        objective=arguments.objective,
        overwrite=arguments.overwrite,
        track=not arguments.no_tracking,
        say=_say,
    )


def _evaluate(arguments: argparse.Namespace) -> None:
    from rich.console import Console

    from conflict_claims.evaluate import evaluate
    from conflict_claims.tables import metrics_table

    figures = evaluate(
        arguments.model,
        arguments.data,
        arguments.output,
        arguments.plots,
        arguments.only,
        evidence=arguments.evidence,
        texts=not arguments.without_text,
        name=arguments.name,
        objective=arguments.objective,
    )
    Console().print(metrics_table(figures))
    for line in figures["shortfalls"]:
        _say(line)


def _compare(arguments: argparse.Namespace) -> None:
    import json

    from rich.console import Console

    from conflict_claims.compare import compare
    from conflict_claims.tables import compare_table

    first, second = arguments.models
    found = compare(
        first,
        second,
        arguments.data,
        only=arguments.only,
        objective=arguments.objective,
        output=arguments.output,
        name=arguments.name,
    )
    if arguments.metrics is not None:
        arguments.metrics.parent.mkdir(parents=True, exist_ok=True)
        arguments.metrics.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    Console().print(compare_table(found))


def _drift(arguments: argparse.Namespace) -> int:
    """The exit status: 0 on known ground, 1 off it."""
    import json

    from rich.console import Console

    from conflict_claims.drift import drift
    from conflict_claims.runtime import load
    from conflict_claims.tables import drift_table

    model = load(arguments.model) if arguments.model is not None else None
    found = drift(arguments.reference, arguments.new, model, sentences=arguments.sentences)
    if arguments.output is not None:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    Console().print(drift_table(found))
    sys.stdout.write("".join(f"- {line}\n" for line in found["said"]))
    return 0 if found["ground"] == "known" else 1


def _check_behaviour(arguments: argparse.Namespace) -> None:
    import json

    from rich.console import Console
    from rich.table import Table

    from conflict_claims.behaviour import check_behaviour, read_families, read_recorded, worse
    from conflict_claims.runtime import load

    model = load(arguments.model)
    rows = check_behaviour(model, read_families(arguments.cases, model.labels))
    cases, failed = (sum(row[key] for row in rows) for key in ("cases", "failed"))
    table = Table(
        "family", "kind", "cases", "failed", "rate", title=f"{arguments.model}: {failed} of {cases} cases fail"
    )
    for row in sorted(rows, key=lambda row: -row["failed"] / row["cases"]):
        cells = (
            row["family"],
            row["kind"],
            str(row["cases"]),
            str(row["failed"]),
            f"{row['failed'] / row['cases']:.0%}",
        )
        table.add_row(*cells)
    Console().print(table)
    if arguments.output is not None:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if arguments.recorded is not None:
        problems = worse(rows, read_recorded(arguments.recorded), arguments.slack)
        if problems:
            raise ClaimsError("; ".join(problems))


def _predict(arguments: argparse.Namespace) -> int:
    from conflict_claims.batch.formats import Reading
    from conflict_claims.batch.progress import shown
    from conflict_claims.model_folder import read_manifest
    from conflict_claims.objective import shortfalls
    from conflict_claims.runtime import default_model, for_objective

    reading = Reading(arguments.column, arguments.id_column, arguments.sentences)
    model = arguments.model or default_model()
    manifest, cuts = for_objective(model, read_manifest(model), arguments.objective)
    for line in shortfalls(cuts, manifest.objective):
        _say(line)
    if arguments.output is None:
        return _show(arguments, model, reading)
    run = _predict_on_ray if arguments.engine == "ray" else _predict_here
    with shown(_say) as report:
        done = run(
            arguments,
            model,
            reading=reading,
            overwrite=arguments.overwrite,
            restart=arguments.restart,
            objective=arguments.objective,
            report=report,
        )
    _say(f"{done.sentences:,} sentences of {done.rows:,} rows labelled in {arguments.output}")
    if done.rejected:
        _say(f"{done.rejected:,} of the rows could not be labelled: see {arguments.output}.rejected.jsonl")
    return 3 if done.rejected else 0


def _predict_here(arguments: argparse.Namespace, model: Path, **options: Any) -> "Summary":  # noqa: ANN401
    from conflict_claims.batch import predict_files

    if arguments.workers:
        raise ClaimsError("--workers needs --engine ray; without it all cores of this machine are used")
    return predict_files(
        arguments.input,
        arguments.output,
        model,
        stdin_format=arguments.format,
        documents=arguments.documents,
        processes=0,
        **options,
    )


def _predict_on_ray(arguments: argparse.Namespace, model: Path, **options: Any) -> "Summary":  # noqa: ANN401
    from conflict_claims.batch.cluster import predict_on_ray

    if arguments.documents is not None or arguments.format is not None:
        raise ClaimsError("--documents and --format are not for --engine ray; leave them out, or the engine")
    return predict_on_ray(arguments.input, arguments.output, model, workers=arguments.workers, **options)


def _show(arguments: argparse.Namespace, model_folder: Path, reading: "Reading") -> int:
    from rich.console import Console

    from conflict_claims.batch.rows import Row, read_rows
    from conflict_claims.batch.sources import find_sources, opened
    from conflict_claims.runtime import load

    if arguments.documents is not None or arguments.engine == "ray":
        option = "--documents" if arguments.documents is not None else "--engine ray"
        raise ClaimsError(f"{option} needs --output; name a file for the sentences too")
    rejected = 0
    sources = find_sources(arguments.input, arguments.format)
    model = load(model_folder, objective=arguments.objective)
    for source in sources:
        with opened(source) as file:
            for item in read_rows(source, file, reading):
                if isinstance(item, Row):
                    predictions = model.predict(item.text, sentences=reading.sentences)
                    Console().print(_prediction_table(predictions, model.labels))
                else:
                    _say(f"{item.source}:{item.line}: {item.reason}")
                    rejected += 1
    return 3 if rejected else 0


def _prediction_table(predictions: "list[Prediction]", labels: Sequence[str]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(*("sentence", *(label.replace("_", "\n") for label in labels)), show_lines=True)
    for p in predictions:
        cells = [
            Text(f"{p.probabilities[name]:.2f}", style="bold green" if name in p.labels else "dim") for name in labels
        ]
        marked = [cell.append(" ✓") if name in p.labels else cell for name, cell in zip(labels, cells, strict=True)]
        table.add_row(Text(p.text), *marked)
    return table


def _explain(arguments: argparse.Namespace) -> None:
    from conflict_claims.batch.rows import sound_rows
    from conflict_claims.explain import explain_many, write_explained
    from conflict_claims.runtime import default_model, load

    model = load(arguments.model or default_model())
    if arguments.label is not None and arguments.label not in model.labels:
        raise ClaimsError(f"unknown label {arguments.label!r}; expected {' or '.join(model.labels)}")
    named = Path(arguments.input)
    one_word = len(arguments.input.split()) == 1  # such as a file name with a slip in it
    is_file = named.suffix if one_word else len(arguments.input) < 255 and named.is_file()
    texts = [arguments.input]
    if is_file:
        texts = [row.text for row in sound_rows(arguments.input, arguments.sentences)]
    if arguments.output is not None:
        total = write_explained(
            model, texts, arguments.output, sentences=arguments.sentences, overwrite=arguments.overwrite
        )
        _say(f"{total} sentences explained in {arguments.output}")
        return
    for text in texts:
        found = model.predict(text, sentences=arguments.sentences)
        for prediction, words in zip(found, explain_many(model, [p.text for p in found]), strict=True):
            _show_words(prediction, words, [arguments.label] if arguments.label else prediction.labels)


def _show_words(prediction: "Prediction", words: "dict[str, list[WordWeight]]", labels: Sequence[str]) -> None:
    """A sentence for each label, what speaks for it in green, what speaks against it in red, and both in figures."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    if not labels:
        console.print(Text(prediction.text), Text("  no label", style="dim"), sep="\n")
    for label in labels:
        text = Text(prediction.text)
        top = max((abs(word.weight) for word in words[label]), default=0)
        for word in words[label]:
            if abs(word.weight) > top / 4:
                strong = "bold " if abs(word.weight) > top / 2 else ""
                text.stylize(strong + ("green" if word.weight > 0 else "red"), word.start, word.end)
        ranked = sorted(words[label], key=lambda word: -abs(word.weight))[:6]
        figures = ", ".join(f"{word.word} {word.weight:+.1f}" for word in ranked)
        console.print(text, Text(f"  {label} {prediction.probabilities[label]:.2f}: {figures}", style="dim"), sep="\n")
    console.print()


def _serve(arguments: argparse.Namespace) -> None:
    from conflict_claims.runtime import default_model
    from conflict_claims.serve.server import serve

    serve(arguments.model or default_model(), arguments.host, arguments.port, _say)


def _report(arguments: argparse.Namespace) -> None:
    from conflict_claims.report import install, report

    table = report(
        arguments.metrics,
        arguments.output,
        arguments.insert,
        evidence=arguments.evidence,
        behaviour=arguments.behaviour,
        compared=arguments.compared,
        pages=arguments.pages,
    )
    sys.stdout.write(table + "\n")
    if arguments.install:
        from conflict_claims.tracking import record_report

        for folder, manifest in install(arguments.install, arguments.evidence, arguments.pages).items():
            _say(f"{folder}: the card is its README.md")
            if not arguments.no_tracking:
                record_report(manifest, arguments.pages, folder.name, _say)


if __name__ == "__main__":
    sys.exit(main())
