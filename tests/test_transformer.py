import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from conflict_claims.encoders import find_encoder
from conflict_claims.errors import ClaimsError
from conflict_claims.metrics import calibrate, sigmoid
from conflict_claims.runtime import load
from conflict_claims.transformer import TransformerClassifier, loop
from conflict_claims.transformer.first_token import only_first_token

from .conftest import LABELS, ROOT, corpus_rows

TEXTS = [row["text"] for row in corpus_rows()[:60]]


def command(splits, output, params_file):
    arguments = ["train", "transformer", "--data", str(splits), "--output", str(output), "--params", str(params_file)]
    return [sys.executable, "-m", "conflict_claims.cli", *arguments, "--no-tracking"]


def weights(folder):
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def test_every_row_is_in_one_batch_of_an_epoch_and_epochs_differ():
    lengths = np.random.default_rng(0).integers(5, 60, 333).tolist()
    batches = loop.batches_of(lengths, 16, seed=1, epoch=0)
    assert sorted(i for batch in batches for i in batch) == list(range(333))
    assert max(len(batch) for batch in batches) == 16
    assert batches == loop.batches_of(lengths, 16, seed=1, epoch=0)
    assert batches != loop.batches_of(lengths, 16, seed=1, epoch=1)
    assert batches != loop.batches_of(lengths, 16, seed=2, epoch=0)


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_unlabelled_rows_are_read_once_and_labelled_ones_in_every_epoch(config, epochs):
    settings = config.train.transformer.model_copy(update={"epochs": epochs})
    ids = [[1]] * 10
    job = loop.Job(settings, ids, np.zeros((10, 4)), [], np.zeros((0, 4)), 0, None, "", once_from=3)
    read = [job.epoch_rows(epoch) for epoch in range(epochs)]
    assert all(rows[:3] == [0, 1, 2] for rows in read)
    assert sorted(row for rows in read for row in rows[3:]) == list(range(3, 10))
    assert job.__class__(settings, ids, job.y, [], job.y, 0, None, "").epoch_rows(0) == list(range(10))


def test_batches_of_some_rows_hold_those_rows_alone():
    rows = [2, 5, 7, 8]
    batches = loop.batches_of([1] * 10, 3, seed=0, epoch=0, rows=rows)
    assert sorted(row for batch in batches for row in batch) == rows


def test_batches_of_like_length_save_most_padding():
    lengths = np.random.default_rng(0).integers(5, 60, 2000).tolist()

    def padded(batches):
        return sum(max(lengths[i] for i in batch) * len(batch) for batch in batches)

    grouped = padded(loop.batches_of(lengths, 16, seed=0, epoch=0))
    shuffled = padded(np.random.default_rng(0).permutation(2000).reshape(-1, 16))
    assert grouped - sum(lengths) < 0.2 * (shuffled - sum(lengths))


def test_the_learning_rate_rises_then_falls_to_nothing():
    rates = [loop.rate_at(step, 100, 0.1) for step in range(101)]
    assert rates[9] == max(rates) == 1.0 and rates[100] == 0.0
    assert all(a < b for a, b in pairwise(rates[:10])) and all(a > b for a, b in pairwise(rates[10:]))


def test_the_head_learns_faster_and_norms_are_not_decayed(tiny_encoder, config):
    model = AutoModelForSequenceClassification.from_pretrained(tiny_encoder, num_labels=4)
    settings = config.train.transformer
    of = {id(p): group for group in loop.parameter_groups(model, settings) for p in group["params"]}
    names = dict(model.named_parameters())
    assert len(of) == len(names)
    assert of[id(names["classifier.weight"])]["initial_lr"] == settings.head_learning_rate
    assert of[id(names["bert.encoder.layer.0.output.LayerNorm.weight"])]["weight_decay"] == 0


@pytest.mark.parametrize(
    ("name", "embeddings", "layer"),
    [
        ("Bert", "bert.embeddings.word_embeddings", "bert.encoder.layer.{}.output.dense"),
        ("MPNet", "mpnet.embeddings.word_embeddings", "mpnet.encoder.layer.{}.output.dense"),
        ("DistilBert", "distilbert.embeddings.word_embeddings", "distilbert.transformer.layer.{}.ffn.lin1"),
        ("ModernBert", "model.embeddings.tok_embeddings", "model.layers.{}.mlp.Wo"),
        ("DebertaV2", "deberta.embeddings.word_embeddings", "deberta.encoder.layer.{}.output.dense"),
    ],
)
def test_a_layer_learns_slower_than_the_one_above_it_in_every_architecture(name, embeddings, layer, config):
    import transformers

    sizes = {
        "vocab_size": 100,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
    }
    if name == "DistilBert":
        sizes = {"vocab_size": 100, "dim": 32, "n_layers": 3, "n_heads": 2, "hidden_dim": 64}
    shape = getattr(transformers, f"{name}Config")(**sizes, num_labels=4, pad_token_id=0)
    model = transformers.AutoModelForSequenceClassification.from_config(shape)
    settings = config.train.transformer.model_copy(update={"learning_rate": 1.0, "layer_decay": 0.5})
    rates = {id(p): group["initial_lr"] for group in loop.parameter_groups(model, settings) for p in group["params"]}
    names = dict(model.named_parameters())
    found = [rates[id(names[f"{part}.weight"])] for part in (embeddings, *(layer.format(k) for k in range(3)))]
    assert found == [0.125, 0.25, 0.5, 1.0]


def test_a_focus_on_hard_negatives_leaves_positives_alone_and_none_is_plain_cross_entropy():
    logits = torch.tensor([[-3.0, 3.0, 1.0, -1.0]])
    weight = torch.tensor([2.0, 1.0, 1.0, 1.0])
    soft = torch.tensor([[0.0, 1.0, 0.3, 0.6]])
    plain = torch.nn.functional.binary_cross_entropy_with_logits(logits, soft, pos_weight=weight)
    assert loop.asymmetric_loss(logits, soft, weight, 0.0).item() == pytest.approx(plain.item(), rel=1e-5)
    none, every = torch.zeros(1, 4), torch.ones(1, 4)
    assert loop.asymmetric_loss(logits, every, weight, 2.0) == loop.asymmetric_loss(logits, every, weight, 0.0)

    def shares(focus):  # of the negatives' gradient, from the surest to the most mistaken
        given = torch.tensor([[-4.0, -1.0, 1.0, 4.0]], requires_grad=True)
        loop.asymmetric_loss(given, none, torch.ones(4), focus).backward()
        return (given.grad / given.grad.sum())[0]

    assert shares(2.0)[0] < shares(0.0)[0] / 10 and shares(2.0)[3] > shares(0.0)[3]


def test_onnx_torch_and_plain_transformers_say_the_same(models, config):
    folder = models / "transformer"
    light = load(folder, form="fp32")
    classifier = TransformerClassifier.from_pretrained(folder, LABELS, config.train.transformer)
    expected = calibrate(classifier.logits(TEXTS), light.manifest.calibration_array)
    assert light.predict_proba(TEXTS) == pytest.approx(expected, abs=1e-4)

    plain = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    ids = classifier.tokenizer(TEXTS[0], return_tensors="pt")
    with torch.inference_mode():
        logits = plain(input_ids=ids["input_ids"]).logits.numpy()
    assert sigmoid(logits)[0] == pytest.approx(classifier.predict_proba(TEXTS[:1])[0], abs=1e-5)
    assert plain.config.id2label == dict(enumerate(LABELS))


def test_training_learns_something(models):
    manifest = json.loads((models / "transformer/claims.json").read_text(encoding="utf-8"))
    assert manifest["validation"]["macro_f1"] > 0.4  # guessing the commonest labels gives less than 0.35


def test_the_same_seed_gives_the_same_weights_and_another_one_does_not(tiny_encoder, config):
    y = np.random.default_rng(0).integers(0, 2, (60, 4))
    found = []
    for seed in (0, 0, 1):
        settings = config.train.transformer.model_copy(update={"epochs": 1, "seed": seed})
        classifier = TransformerClassifier(LABELS, settings).fit(TEXTS, y, (TEXTS, y))
        found.append(classifier.logits(TEXTS[:4]))
    assert (found[0] == found[1]).all()
    assert not (found[0] == found[2]).all()


def test_killed_at_any_moment_the_same_command_ends_with_the_same_weights(splits, params_file, tmp_path):
    environment = os.environ | {"TQDM_DISABLE": "1"}
    subprocess.run(command(splits, tmp_path / "whole", params_file), check=True, capture_output=True, env=environment)

    killed = tmp_path / "killed"
    checkpoint = tmp_path / ".killed.checkpoint"
    kills = 0
    for least in (1, 12):  # kill -9 as soon as this many checkpoints were written
        process = subprocess.Popen(
            command(splits, killed, params_file), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
        )
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            numbers = [int(p.name[5:]) for p in checkpoint.glob("step-*") if not p.suffix]
            if max(numbers, default=0) >= least:
                process.send_signal(signal.SIGKILL)
                kills += 1
                break
            time.sleep(0.005)
        process.wait()
    assert kills == 2
    assert not killed.exists()
    done = subprocess.run(
        command(splits, killed, params_file), check=True, capture_output=True, text=True, env=environment
    )
    assert "(before this run was interrupted)" in done.stderr  # it went on, it did not begin again
    assert weights(killed) == weights(tmp_path / "whole")
    assert not checkpoint.exists()


def test_a_checkpoint_of_other_settings_is_not_continued(tiny_encoder, config, tmp_path):
    y = np.random.default_rng(0).integers(0, 2, (60, 4))
    settings = config.train.transformer.model_copy(update={"epochs": 1, "checkpoint_every": 1})
    fitted = {}
    for name, key in (("first", "a"), ("other", "b")):
        seen = []
        TransformerClassifier(LABELS, settings).fit(
            TEXTS, y, (TEXTS, y), tmp_path, key, lambda figures, before, seen=seen: seen.append(before)
        )
        fitted[name] = seen
    assert fitted == {"first": [False], "other": [False]}
    again = []
    classifier = TransformerClassifier(LABELS, settings)
    classifier.fit(TEXTS, y, (TEXTS, y), tmp_path, "b", lambda figures, before: again.append(before))
    assert again == [True]  # this one was complete already; its epoch is told again, so that the record is whole
    assert classifier.seconds > 0


def test_moving_a_sentence_between_splits_is_other_data(splits):
    from dataclasses import replace

    from conflict_claims.train import Data

    data = Data.read(splits, LABELS)
    moved = replace(data, train=data.train[:-1], validation=[*data.validation, data.train[-1]])
    assert moved.fingerprint == data.fingerprint and moved.key != data.key
    assert replace(data, train=data.train[::-1]).key != data.key
    assert replace(data, labels=data.labels[::-1]).key != data.key


@pytest.mark.parametrize("name", ["DistilBert", "MPNet", "ModernBert", "DebertaV2", "XLMRoberta"])
def test_other_architectures_are_trained_and_exported_too(name, tiny_encoder, config, tmp_path):
    import transformers

    sizes = {"vocab_size": 1200, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    if name == "DistilBert":
        sizes = {"vocab_size": 1200, "dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64}
    settings = getattr(transformers, f"{name}Config")(**sizes, pad_token_id=0, max_position_embeddings=160)
    torch.manual_seed(0)
    getattr(transformers, f"{name}Model")(settings).save_pretrained(tmp_path / "encoder")
    transformers.AutoTokenizer.from_pretrained(tiny_encoder).save_pretrained(tmp_path / "encoder")
    y = np.random.default_rng(0).integers(0, 2, (60, 4))
    update = {"encoder": str(tmp_path / "encoder"), "epochs": 1, "dropout": 0.3}
    classifier = TransformerClassifier(LABELS, config.train.transformer.model_copy(update=update))
    classifier.fit(TEXTS, y, (TEXTS, y))
    assert any(
        getattr(classifier.model.config, d, None) == 0.3 for d in ("hidden_dropout_prob", "dropout", "mlp_dropout")
    )
    (tmp_path / "model").mkdir()
    assert classifier.save_pretrained(tmp_path / "model")["onnx_largest_logit_difference"] < 1e-3


@pytest.mark.parametrize("name", ["Bert", "MPNet", "DistilBert"])
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_the_last_layer_for_the_first_token_gives_the_same_logits_and_gradients(name, attention):
    import transformers

    sizes = {"vocab_size": 100, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
    if name == "DistilBert":
        sizes = {"vocab_size": 100, "dim": 32, "n_layers": 3, "n_heads": 2, "hidden_dim": 64}
    settings = getattr(transformers, f"{name}Config")(**sizes, num_labels=4, pad_token_id=0)
    settings.initializer_range = 0.3  # as ever, attention is so even that a wrong scale or bias would not show
    settings.hidden_dropout_prob = settings.attention_probs_dropout_prob = settings.dropout = 0.0
    settings.attention_dropout = settings.seq_classif_dropout = 0.0
    torch.manual_seed(0)
    model = transformers.AutoModelForSequenceClassification.from_config(
        settings, attn_implementation="eager" if name == "MPNet" else attention
    )
    ids = torch.randint(5, 100, (4, 12))
    mask = (torch.arange(12) < torch.tensor([[12], [7], [3], [1]])).long()

    def outcome():
        model.zero_grad()
        logits = model(input_ids=ids * mask, attention_mask=mask).logits
        logits.square().sum().backward()
        return logits.detach(), {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}

    seen = []
    if name != "DistilBert":  # whose head and layers are not known: it stays as it is
        layer = model.base_model.encoder.layer[-1]
        layer.intermediate.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].shape[1]))
    logits, gradients = outcome()
    only_first_token(model)
    again, gradients_again = outcome()
    assert seen in ([12, 1], [])
    assert torch.allclose(logits, again, atol=1e-5) and logits.abs().max() > 0.1
    assert gradients.keys() == gradients_again.keys()
    rounding = 1e-6 * max(float(gradient.abs().max()) for gradient in gradients.values())  # a key's bias has none else
    for key, gradient in gradients.items():
        assert (gradient - gradients_again[key]).abs().max() <= 1e-4 * gradient.abs().max() + rounding, key


def test_two_processes_train_together_under_torchrun(splits, params_file, tmp_path):
    output = tmp_path / "together"
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    arguments = command(splits, output, params_file)[1:]
    done = subprocess.run([*launcher, *arguments], capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stderr.count("saved ") == 1
    assert load(output).predict_proba(TEXTS[:3]).shape == (3, 4)


def test_the_packaged_encoder_is_checked_by_its_sha256(monkeypatch, tmp_path):
    from conflict_claims import encoders

    folder = find_encoder("minilm")
    assert (tmp_path / folder / "config.json").is_file()
    monkeypatch.setattr(encoders, "_minilm", lambda: tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"not the release")
    with pytest.raises(ClaimsError, match="its sha256 differs"):
        find_encoder("minilm")


@pytest.mark.parametrize("name", ["minilmm", "./nowhere", "a/b/c"])
def test_an_unknown_encoder_is_refused(name):
    with pytest.raises(
        ClaimsError, match=r"unknown encoder .* expected minilm, mpnet, a preset of params.yaml, a folder"
    ):
        find_encoder(name)


BLOCKED = """
import socket, sys
def refuse(*a, **k): raise AssertionError("a socket was opened")
class Blocked(socket.socket):
    def connect(self, *a): refuse()
    connect_ex = connect
socket.socket = Blocked
socket.create_connection = socket.getaddrinfo = refuse
from conflict_claims.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_training_and_predicting_with_the_packaged_encoder_open_no_socket(splits, params, tmp_path):
    import yaml

    from conflict_claims.corpus.records import read_sentences, write_sentences

    few = tmp_path / "few"
    for name, count in (("train", 48), ("validation", 80), ("test", 10)):
        write_sentences(read_sentences(splits / f"{name}.jsonl", LABELS)[:count], few / f"{name}.jsonl")
    values = json.loads(json.dumps(params))
    values["train"]["transformer"] |= {"encoder": "minilm", "epochs": 1, "max_tokens": 32}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    for arguments in (
        ["train", "transformer", "--data", few, "--output", tmp_path / "m", "--params", tmp_path / "params.yaml"],
        ["predict", ROOT / "examples/article.txt", "--model", tmp_path / "m", "--output", tmp_path / "out.jsonl"],
    ):
        tracking = {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db"}
        done = subprocess.run(
            [sys.executable, "-c", BLOCKED, *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env=os.environ | tracking,
        )
        assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "out.jsonl").stat().st_size > 1000
