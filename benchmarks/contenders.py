"""What a user could take instead of us, each with the settings that its own documentation recommends.

A contender is a function from a task to (predict_proba, bytes on disk). Decisions are taken at 0.5, as all of their
tutorials do; our own models bring their thresholds.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from conflict_claims.metrics import Array

Trained = tuple[Callable[[Sequence[str]], Array], int]


@dataclass(frozen=True)
class Task:
    """What every contender is given."""

    train: tuple[list[str], Array]
    """Texts, and their 0/1 indicator of shape (n, K)."""
    validation: tuple[list[str], Array]
    labels: tuple[str, ...]
    seed: int
    encoder: str
    """The folder of the sentence encoder that all transformer contenders start from."""
    folder: Path
    """An empty folder to work in."""


NOTES = {
    "scikit-learn": "TfidfVectorizer() and LogisticRegression() one-vs-rest with all defaults, as its text tutorial.",
    "fastText": "supervised, settings of its multi-label tutorial: lr 0.5, 25 epochs, word pairs, 200,000 buckets, "
    "50 dimensions, one-vs-all loss; one thread, because only then a seed counts.",
    "spaCy": "`spacy init config --pipeline textcat_multilabel`, its CPU default (optimize: efficiency), with its own "
    "early stopping; the variant for accuracy wants word vectors that no package index carries.",
    "SetFit": "multi-output head, its default learning rates and batches of 16; made for few examples, its default of "
    "all pairs would take days here, so a step of 16 pairs for every ten sentences, 1,000 steps at most.",
    "HF Trainer": "AutoModelForSequenceClassification, problem_type multi_label_classification, TrainingArguments() "
    "with all defaults: 3 epochs, batches of 8, 5e-5, linear decay, fp32.",
    "frozen encoder": "mean-pooled, normalised sentence embeddings, LogisticRegression() one-vs-rest.",
}


def scikit_learn(task: Task) -> Trained:
    """TF-IDF and logistic regression as tutorials write it."""
    import skops.io
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(TfidfVectorizer(), OneVsRestClassifier(LogisticRegression(random_state=task.seed)))
    model.fit(*task.train)
    skops.io.dump(model, task.folder / "model.skops")
    return model.predict_proba, size_of(task.folder)


def fast_text(task: Task) -> Trained:
    """FastText's supervised classifier, one-vs-all."""
    import fasttext

    def clean(text: str) -> str:
        return " ".join(text.lower().split())

    lines = []
    for text, row in zip(*task.train, strict=True):
        names = [f"__label__{name}" for name, given in zip(task.labels, row, strict=True) if given] or ["__label__none"]
        lines.append(f"{' '.join(names)} {clean(text)}\n")
    (task.folder / "train.txt").write_text("".join(lines), encoding="utf-8")
    model = fasttext.train_supervised(
        str(task.folder / "train.txt"),
        **{"lr": 0.5, "epoch": 25, "wordNgrams": 2, "bucket": 200_000, "dim": 50, "loss": "ova"},
        **{"thread": 1, "seed": task.seed, "verbose": 0},
    )
    (task.folder / "train.txt").unlink()
    model.save_model(str(task.folder / "model.bin"))

    def predict(texts: Sequence[str]) -> Array:
        result = np.zeros((len(texts), len(task.labels)))
        for i, text in enumerate(texts):
            names, values = model.predict(clean(text), k=-1)
            found = dict(zip(names, values, strict=True))
            result[i] = [min(1.0, found.get(f"__label__{name}", 0.0)) for name in task.labels]
        return result

    return predict, size_of(task.folder)


def spacy_textcat(task: Task) -> Trained:
    """SpaCy's textcat_multilabel through its own training loop."""
    import spacy
    from spacy.cli.init_config import init_config
    from spacy.tokens import DocBin
    from spacy.training.initialize import init_nlp
    from spacy.training.loop import train as train_loop

    blank = spacy.blank("en")
    for name, (texts, y) in (("train", task.train), ("dev", task.validation)):
        docs = DocBin()
        for text, row in zip(texts, y, strict=True):
            doc = blank.make_doc(text)
            doc.cats = {label: float(given) for label, given in zip(task.labels, row, strict=True)}
            docs.add(doc)
        docs.to_disk(task.folder / f"{name}.spacy")
    config = init_config(lang="en", pipeline=["textcat_multilabel"], optimize="efficiency", gpu=False, silent=True)
    files = {"train": str(task.folder / "train.spacy"), "dev": str(task.folder / "dev.spacy"), "vectors": None}
    config["paths"] = {**config["paths"], **files}
    config["system"]["seed"] = task.seed
    nlp = init_nlp(config.interpolate())
    (task.folder / "model").mkdir()
    train_loop(nlp, task.folder / "model", stdout=(task.folder / "log.txt").open("w", encoding="utf-8"))
    best = spacy.load(task.folder / "model/model-best")

    def predict(texts: Sequence[str]) -> Array:
        return np.array([[doc.cats[label] for label in task.labels] for doc in best.pipe(texts)])

    return predict, size_of(task.folder / "model/model-best")


def set_fit(task: Task) -> Trained:
    """SetFit: contrastive pairs, then a logistic head."""
    from datasets import Dataset
    from setfit import SetFitModel, Trainer, TrainingArguments

    model = SetFitModel.from_pretrained(task.encoder, multi_target_strategy="multi-output", local_files_only=True)
    steps = min(1000, len(task.train[0]) // 10)
    arguments = TrainingArguments(
        **{"output_dir": str(task.folder / "work"), "batch_size": 16, "max_steps": steps, "seed": task.seed},
        **{"report_to": "none", "save_strategy": "no", "show_progress_bar": False},
    )
    rows = Dataset.from_dict({"text": task.train[0], "label": task.train[1].astype(int).tolist()})
    Trainer(model=model, args=arguments, train_dataset=rows).train()
    model.model_body.save(str(task.folder / "body"))

    def predict(texts: Sequence[str]) -> Array:
        by_label = model.model_head.predict_proba(model.model_body.encode(list(texts)))  # one (n, 2) for each label
        return np.stack([probabilities[:, 1] for probabilities in by_label], axis=1)

    return predict, size_of(task.folder / "body")


def hf_trainer(task: Task) -> Trained:
    """The Trainer of transformers with all of its defaults."""
    import torch
    from datasets import Dataset
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
        set_seed,
    )

    set_seed(task.seed)
    tokenizer = AutoTokenizer.from_pretrained(task.encoder)
    model = AutoModelForSequenceClassification.from_pretrained(
        task.encoder, num_labels=len(task.labels), problem_type="multi_label_classification"
    )
    columns = tokenizer(task.train[0], truncation=True, max_length=128)
    rows = Dataset.from_dict({**columns, "labels": task.train[1].astype(np.float32).tolist()})
    arguments = TrainingArguments(
        output_dir=str(task.folder / "work"), seed=task.seed, report_to=[], save_strategy="no", disable_tqdm=True
    )
    collator = DataCollatorWithPadding(tokenizer)
    Trainer(model=model, args=arguments, train_dataset=rows, data_collator=collator).train()
    model.eval()
    model.save_pretrained(task.folder / "model")

    def predict(texts: Sequence[str]) -> Array:
        parts = []
        with torch.inference_mode():
            for k in range(0, len(texts), 64):
                batch = tokenizer(
                    list(texts[k : k + 64]), truncation=True, max_length=128, padding=True, return_tensors="pt"
                )
                parts.append(torch.sigmoid(model(**batch).logits).numpy())
        return np.concatenate(parts)

    return predict, size_of(task.folder / "model")


def frozen_encoder(task: Task) -> Trained:
    """Sentence embeddings that stay as they are, and a linear head."""
    from sentence_transformers import SentenceTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    body = SentenceTransformer(task.encoder, local_files_only=True)
    head = OneVsRestClassifier(LogisticRegression(max_iter=1000, random_state=task.seed))
    head.fit(body.encode(task.train[0], normalize_embeddings=True), task.train[1])
    return (
        lambda texts: head.predict_proba(body.encode(list(texts), normalize_embeddings=True)),
        size_of(Path(task.encoder)),
    )


CONTENDERS = {
    "scikit-learn": scikit_learn,
    "fastText": fast_text,
    "spaCy": spacy_textcat,
    "SetFit": set_fit,
    "HF Trainer": hf_trainer,
    "frozen encoder": frozen_encoder,
}


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
