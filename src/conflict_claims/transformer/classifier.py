"""A pretrained encoder with a linear layer on top, one logit per label."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers import logging as transformers_logging

from conflict_claims import engines
from conflict_claims.config import TransformerConfig
from conflict_claims.encoders import find_encoder
from conflict_claims.engines import Reference
from conflict_claims.errors import ClaimsError
from conflict_claims.metrics import Array, sigmoid
from conflict_claims.runtime import pad_batch
from conflict_claims.text import normalise
from conflict_claims.transformer import export, loop
from conflict_claims.transformer.checkpoint import as_os_error
from conflict_claims.transformer.first_token import only_first_token

DROPOUTS = (
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "dropout",
    "attention_dropout",
    "mlp_dropout",
    "embedding_dropout",
)
"""What architectures call the dropout of their layers."""


SAMPLE = 128
"""So many training sentences set the scales of the int8 form."""


class TransformerClassifier:
    """Any encoder that `AutoModelForSequenceClassification` knows, fine-tuned on all labels at once."""

    kind = "transformer"

    def __init__(self, labels: Sequence[str], config: TransformerConfig) -> None:
        self.labels = tuple(labels)
        self.config = config
        self.history: list[dict[str, Any]] = []
        self.seconds = 0.0
        self.model: PreTrainedModel | None = None
        self.tokenizer: PreTrainedTokenizerBase | None = None
        self._sample: list[list[int]] = []

    def fit(
        self,
        texts: Sequence[str],
        y: Array,
        validation: tuple[Sequence[str], Array],
        checkpoint_dir: Path | None = None,
        data_key: str = "",
        report: loop.Report | None = None,
        once_from: int | None = None,
    ) -> Self:
        """Fine-tune on `texts` with targets `y` (n, K); keep the epoch with the best validation macro-F1.

        Args:
            texts: sentences.
            y: 0/1 of shape (n, K), or a teacher's probabilities.
            validation: the same, 0/1, for validation, for early stopping.
            checkpoint_dir: where to save progress; a killed run goes on from there to the same weights.
            data_key: says which data this is; a checkpoint of other data or settings is not continued.
            report: called after each epoch with its figures; after a resume, first with those of the epochs before
                (then its second argument is True).
            once_from: from this text on, each is read once, in one of the epochs; those before are read in all.
        """
        loop.seed_everything(self.config.seed)
        self._load(find_encoder(self.config.encoder))
        assert self.model is not None
        job = loop.Job(
            config=self.config,
            ids=self._encode(texts),
            y=np.asarray(y, dtype=np.float32),
            validation_ids=self._encode(validation[0]),
            validation_y=np.asarray(validation[1]),
            pad=self._pad,
            checkpoint_dir=checkpoint_dir,
            key=f"{data_key}:{self.config.model_dump_json(exclude={'presets', 'checkpoint_every'})}",
            once_from=once_from,
        )
        self._sample = job.ids[:SAMPLE]
        self.history = loop.train(self.model, job, report or (lambda figures, before: None))
        self.seconds = sum(figures["seconds"] for figures in self.history)
        self.model.to("cpu", torch.float32).eval()
        return self

    def _load(self, source: str) -> None:
        transformers_logging.set_verbosity_error()
        transformers_logging.disable_progress_bar()
        try:
            settings = AutoConfig.from_pretrained(
                source,
                num_labels=len(self.labels),
                problem_type="multi_label_classification",
                id2label=dict(enumerate(self.labels)),
                label2id={name: k for k, name in enumerate(self.labels)},
            )
            for name in DROPOUTS:
                if getattr(settings, name, None) is not None:
                    setattr(settings, name, self.config.dropout)
            self.tokenizer = AutoTokenizer.from_pretrained(source)
            # On the CPU, attention written out is faster than the fused kernel for sentences (experiments/LOG.md).
            attention = {} if torch.cuda.is_available() else {"attn_implementation": "eager"}
            self.model = AutoModelForSequenceClassification.from_pretrained(
                source, config=settings, dtype=torch.float32, **attention
            )
            only_first_token(self.model)
        except (OSError, ValueError) as error:
            raise ClaimsError(
                f"the encoder {self.config.encoder!r} cannot be loaded ({str(error).splitlines()[0]}); expected "
                "minilm, mpnet, a preset of params.yaml, a folder, or a Hub id that this machine can reach"
            ) from error

    @property
    def _pad(self) -> int:
        assert self.tokenizer is not None
        return int(self.tokenizer.pad_token_id or 0)

    def _encode(self, texts: Sequence[str]) -> list[list[int]]:
        assert self.tokenizer is not None
        clean = [normalise(text) for text in texts]
        encoded = self.tokenizer(clean, truncation=True, max_length=self.config.max_tokens)
        return [list(ids) for ids in encoded["input_ids"]]

    def logits(self, texts: Sequence[str]) -> Array:
        """Logits of shape (n, K), in full precision on the CPU."""
        assert self.model is not None
        return loop.predict(self.model, self._encode(texts), self._pad, autocast=False)

    def predict_proba(self, texts: Sequence[str]) -> Array:
        """Uncalibrated probabilities of shape (n, K)."""
        return sigmoid(self.logits(texts))

    def save_pretrained(self, folder: Path, reference: Reference | None = None) -> dict[str, Any]:
        """Write transformers' own files (config.json, model.safetensors, tokenizer), model.onnx and faster forms.

        The export is checked against torch on real token ids before it counts. Faster forms are measured against
        `reference`; a file whose form fails is removed.

        Returns:
            `onnx_largest_logit_difference`, and under `forms` what was measured of each faster one that this machine
            runs.
        """
        assert self.model is not None and self.tokenizer is not None
        with as_os_error():
            self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        export.to_onnx(self.model, folder / "model.onnx")
        probe = pad_batch(self._encode(export.PROBE), self._pad)
        difference = export.check_parity(self.model, folder / "model.onnx", probe)
        forms = self._export_forms(folder, reference) if reference is not None and self._sample else {}
        return {"onnx_largest_logit_difference": difference, "forms": forms}

    def _export_forms(self, folder: Path, reference: Reference) -> dict[str, Any]:
        ids = self._encode(reference.texts)
        forms = {}
        for form in (name for name in engines.FILES if name != "fp32" and engines.runnable(name)):
            path = folder / engines.FILES[form]
            if form == "int8":
                export.quantise(folder / "model.onnx", path, [pad_batch([row], self._pad) for row in self._sample])
            forms[form] = export.measure(path, form, ids, self._pad, reference)
            if form == "int8" and not forms[form]["kept"]:
                path.unlink()
        return forms

    @classmethod
    def from_pretrained(cls, folder: Path, labels: Sequence[str], config: TransformerConfig) -> Self:
        """Read what `save_pretrained` wrote, into torch."""
        model = cls(labels, config.model_copy(update={"encoder": str(folder)}))
        model._load(str(folder))
        assert model.model is not None
        model.model.eval()
        return model
