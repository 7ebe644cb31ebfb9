"""Real parts for the tests: a piece of the real corpus, a tiny real encoder, models trained on them."""

import json
import os
import shutil
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
LABELS = ("casualty", "territorial_control", "official_statement", "eyewitness")
LONGEST = ("test_transformer.py", "test_pipeline.py", "test_tracking.py")


def pytest_collection_modifyitems(items):
    """The longest files first (`make test` keeps this order): else one worker ends alone with the pipeline."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


def corpus_rows(files=("batch3.jsonl",)):
    return [json.loads(line) for name in files for line in (ROOT / "data/corpus" / name).open(encoding="utf-8")]


def make_encoder(folder: Path, texts: list[str]) -> Path:
    """A BERT of a few thousand weights with a word-piece vocabulary of its own."""
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    words = BertWordPieceTokenizer(lowercase=True)
    words.train_from_iterator(texts, vocab_size=1200, show_progress=False)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words._tokenizer,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )
    config = BertConfig(
        vocab_size=1200,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=160,
    )
    import torch

    torch.manual_seed(0)
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_jsonl(path: Path, rows) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory):
    return make_encoder(tmp_path_factory.mktemp("encoder"), [row["text"] for row in corpus_rows()])


@pytest.fixture(scope="session")
def params(tiny_encoder):
    """params.yaml with the tiny encoder and little work."""
    values = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    values["train"]["transformer"] |= {
        "encoder": str(tiny_encoder),
        "epochs": 3,
        "checkpoint_every": 5,
        "threads": 1,
        "batch_size": 16,
    }
    values["train"]["transformer"] |= {"learning_rate": 3e-3, "head_learning_rate": 1e-2, "precision": "fp32"}
    values["train"]["tfidf"] |= {"C": [3], "teacher": None}
    values["train"]["transformer"] |= {"teacher": None, "freeze_embeddings": False}
    values["tracking"]["resamples"] = 500
    values["corpus"] |= {"sentences": 900, "stories": 90, "positives": {"eyewitness": 100}, "unlabelled": [0.4, 0.5]}
    values["corpus"] |= {"pair": 1, "three_labels": 1, "genres": 5, "first_genre": 0.7, "opening_share": 0.02}
    return values


@pytest.fixture
def params_file(params, tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(params), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def config(params, tmp_path_factory):
    from conflict_claims.config import load_config

    path = tmp_path_factory.mktemp("config") / "params.yaml"
    path.write_text(yaml.safe_dump(params), encoding="utf-8")
    return load_config(path)


@pytest.fixture(scope="session")
def splits(config, tmp_path_factory):
    """Real splits of one batch of the corpus, as a folder."""
    from conflict_claims.corpus.records import read_sentences, write_sentences
    from conflict_claims.corpus.split import split_by_story

    folder = tmp_path_factory.mktemp("splits")
    sentences = read_sentences(ROOT / "data/corpus/batch3.jsonl", LABELS)
    for name, part in split_by_story(sentences, LABELS, config.splits).items():
        write_sentences(part, folder / f"{name}.jsonl")
    return folder


@pytest.fixture(scope="session")
def models(config, splits, tmp_path_factory):
    """A trained model folder of each kind. A copy stays in build/test-models: .ci/run predicts with it."""
    from conflict_claims.train import train

    folder = tmp_path_factory.mktemp("models")
    for kind in ("tfidf", "transformer"):
        train(kind, splits, folder / kind, config, track=False)
    kept = ROOT / "build/test-models"
    beside = ROOT / f"build/test-models.{os.getpid()}"
    shutil.copytree(folder, beside)
    shutil.rmtree(kept, ignore_errors=True)
    with suppress(OSError):  # another process of the same test run was quicker; its copy is as good
        beside.rename(kept)
    shutil.rmtree(beside, ignore_errors=True)
    return folder


@pytest.fixture(scope="module")
def loaded_once():
    """For tests of what is around a model: `predict_files` loads each folder once."""
    from functools import lru_cache

    from conflict_claims import batch, runtime

    batch.load, before = lru_cache(runtime.load), batch.load
    yield
    batch.load = before
