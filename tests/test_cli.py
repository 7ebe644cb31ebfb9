import json
import subprocess
import sys

import pytest
import yaml

from conflict_claims import __version__
from conflict_claims.cli import main

from .conftest import LABELS, ROOT, write_jsonl


def test_version_and_help(capsys):
    for arguments, expected in (
        (["--version"], __version__),
        (["--help"], "predict"),
        (["train", "--help"], "--encoder"),
    ):
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 0 and expected in capsys.readouterr().out


def test_bad_input_is_one_sentence_and_status_2(models, tmp_path, capsys):
    (tmp_path / "bad.jsonl").write_text('{"text": "x", "labels": ["x"]}\n', encoding="utf-8")
    assert main(["evaluate", str(models / "tfidf"), "--data", str(tmp_path / "bad.jsonl")]) == 2
    said = capsys.readouterr().err
    assert said.startswith("conflict-claims: ") and said.count("\n") == 1 and "bad.jsonl:1" in said


def test_a_path_that_cannot_be_written_is_one_sentence(models, splits, tmp_path, capsys):
    (tmp_path / "file").write_text("x")
    data = str(splits / "test.jsonl")
    for arguments in (
        ["evaluate", str(models / "tfidf"), "--data", data, "--output", str(tmp_path / "file/m.json")],
        ["report", str(tmp_path / "none.json")],
        ["train", "tfidf", "--data", str(splits), "--output", str(tmp_path / "file"), "--overwrite"],
        ["splits", "--params", str(tmp_path)],
    ):
        assert main(arguments) == 2, arguments
        said = capsys.readouterr().err
        assert said.startswith("conflict-claims: ") and "Traceback" not in said, said


def test_without_output_a_table_is_shown(models, capsys):
    assert main(["predict", str(ROOT / "examples/article.txt"), "--model", str(models / "tfidf")]) == 0
    shown = capsys.readouterr().out
    assert "At least nine people" in shown and "eyewitness" in shown and "0." in shown


def test_the_whole_way_with_a_label_set_of_another_domain(params, tmp_path, capsys):
    """Labels are data: two labels about weather, both kinds of model, no change of code."""
    import random

    rng = random.Random(0)
    words = {"rain": ["rain fell", "showers came", "it poured"], "wind": ["gales blew", "gusts rose", "a storm wind"]}
    rows = []
    for story in range(60):
        for k in range(6):
            names = [n for n in words if rng.random() < 0.4]
            filler = " ".join(
                rng.choice(["north", "south", "east", "west", "coast", "hills", "valley", "town"]) for _ in range(6)
            )
            text = f"{filler} {' and '.join(rng.choice(words[n]) for n in names) or 'calm'} day {story} hour {k}"
            rows.append({"id": f"{story}-{k}", "story": str(story), "text": text, "labels": names})
    write_jsonl(tmp_path / "corpus/weather.jsonl", rows)
    values = json.loads(json.dumps(params)) | {"labels": ["wind", "rain"]}
    values["splits"]["near_duplicate"] = 0.95
    values["corpus"]["positives"] = {"rain": 1}
    values["train"]["transformer"]["epochs"] = 6
    values["train"]["tfidf"]["word"]["min_df"] = 1
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    common = ["--params", str(tmp_path / "params.yaml")]
    splits = str(tmp_path / "splits")
    assert main(["splits", "--corpus", str(tmp_path / "corpus"), "--output", splits, *common]) == 0
    for kind in ("tfidf", "transformer"):
        model, metrics = tmp_path / kind, tmp_path / f"{kind}.json"
        assert main(["train", kind, "--data", splits, "--output", str(model), "--no-tracking", *common]) == 0
        assert main(["evaluate", str(model), "--data", f"{splits}/test.jsonl", "--output", str(metrics)]) == 0
        figures = json.loads(metrics.read_text())
        assert list(figures["labels"]) == ["wind", "rain"]
        assert figures["macro_f1"] > (0.9 if kind == "tfidf" else 0.5)
    (tmp_path / "in.txt").write_text("Gales blew over the coast.", encoding="utf-8")
    assert main(["predict", str(tmp_path / "in.txt"), "--model", str(tmp_path / "tfidf")]) == 0
    assert "wind" in capsys.readouterr().out


def test_without_the_training_extra_the_error_says_what_to_install(tmp_path):
    code = (
        "import sys; sys.modules['pydantic'] = None\n"
        "from conflict_claims.cli import main; sys.exit(main(['train', 'tfidf']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2 and "pip install 'PATH-OF-THE-CLONE[train]'" in done.stderr


def test_training_without_splits_says_how_to_make_them(params_file, tmp_path, capsys):
    arguments = [
        "train",
        "tfidf",
        "--data",
        str(tmp_path),
        "--output",
        str(tmp_path / "m"),
        "--params",
        str(params_file),
    ]
    assert main([*arguments, "--no-tracking"]) == 2
    assert "make it with `conflict-claims splits`" in capsys.readouterr().err


def test_label_names_of_the_repository_are_those_of_the_codebook():
    book = (ROOT / "docs/codebook.md").read_text(encoding="utf-8")
    assert all(f"## {name}" in book for name in LABELS)
