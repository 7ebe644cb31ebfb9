"""params.yaml as a frozen, typed configuration that forbids unknown keys."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from conflict_claims.errors import ClaimsError

Share = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A section of params.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class CorpusConfig(Section):
    """The gates of the corpus: limits that `corpus check` holds."""

    sentences: Count
    stories: Count
    positives: dict[str, Count]
    unlabelled: tuple[Share, Share]
    pair: Count
    three_labels: Count
    genres: Count
    first_genre: Share
    other_genre: Share
    words: tuple[Count, Count]
    alpha: Share
    near_duplicate: Share
    near_duplicate_share: Share
    opening_share: Share


class SplitsConfig(Section):
    """How stories are dealt out to train, validation and test."""

    seed: int
    validation: Share
    test: Share
    near_duplicate: Share

    @model_validator(mode="after")
    def _leave_something_to_train_on(self) -> Self:
        if self.validation + self.test >= 0.9:
            raise ValueError("validation and test together must leave at least a tenth to train on")
        return self


class NgramConfig(Section):
    """One family of n-gram features."""

    ngram_range: tuple[Count, Count]
    min_df: Count
    max_features: Count | None = None


class TeacherConfig(Section):
    """What a model learns from larger ones."""

    probabilities: str
    unlabelled: str
    weight: Annotated[float, Field(ge=0, le=1)]


class TfidfConfig(Section):
    """The TF-IDF baseline: every value of `C` is tried on the validation split."""

    word: NgramConfig
    char: NgramConfig
    C: list[Positive] = Field(min_length=1)
    log_count_ratio: Annotated[float, Field(ge=0)] = 0.0
    seed: int
    teacher: TeacherConfig | None = None


class TransformerConfig(Section):
    """The fine-tuned encoder."""

    encoder: str
    freeze_embeddings: bool = False
    teacher: TeacherConfig | None = None
    max_tokens: Annotated[int, Field(ge=8, le=8192)]
    epochs: Count
    batch_size: Count
    learning_rate: Positive
    head_learning_rate: Positive
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    weight_decay: Annotated[float, Field(ge=0)]
    warmup: Annotated[float, Field(ge=0, lt=1)]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    class_weight_power: Annotated[float, Field(ge=0, le=1)]
    negative_focus: Annotated[float, Field(ge=0)] = 0.0
    patience: Count
    precision: Literal["auto", "bf16", "fp32"]
    threads: Annotated[int, Field(ge=0)]
    checkpoint_every: Count
    seed: int
    presets: dict[str, dict[str, Any]] = Field(default_factory=dict)

    def for_encoder(self, encoder: str | None = None) -> "TransformerConfig":
        """The section itself; or, for another encoder than its own, what `presets` says of that one on top."""
        preset = {} if encoder is None else {"encoder": encoder} | self.presets.get(encoder, {})
        values = self.model_dump(exclude={"presets"}) | preset
        return TransformerConfig.model_validate(values)


class TrainConfig(Section):
    """Both kinds of model."""

    tfidf: TfidfConfig
    transformer: TransformerConfig


class TrackingConfig(Section):
    """Where a training is recorded in MLflow."""

    experiment: str
    registered_model: str
    confidence: Share
    resamples: Count


class Config(Section):
    """The whole of params.yaml."""

    labels: tuple[str, ...] = Field(min_length=1)
    corpus: CorpusConfig
    splits: SplitsConfig
    train: TrainConfig
    tracking: TrackingConfig

    @field_validator("labels")
    @classmethod
    def _distinct(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(labels)) != len(labels) or not all(labels):
            raise ValueError("label names must be distinct and not empty")
        return labels

    @model_validator(mode="after")
    def _gates_name_labels(self) -> Self:
        unknown = set(self.corpus.positives) - set(self.labels)
        if unknown:
            raise ValueError(f"corpus.positives names {min(unknown)!r}, which is not in labels")
        return self

    def changed(self, kind: str, **changes: Any) -> "Config":  # noqa: ANN401 - whatever the section holds
        """The same with other settings for one kind of model: `tfidf` or `transformer`."""
        section = getattr(self.train, kind).model_copy(update=changes)
        return self.model_copy(update={"train": self.train.model_copy(update={kind: section})})

    def from_labels_alone(self, kind: str, **changes: Any) -> "Config":  # noqa: ANN401 - whatever the section holds
        """As `changed`, without a teacher; hard labels learn better by the plain loss (`experiments/LOG.md`)."""
        plain_loss = {"negative_focus": 0.0} if kind == "transformer" else {}
        return self.changed(kind, teacher=None, **plain_loss, **changes)


def load_config(path: Path) -> Config:
    """Read params.yaml.

    Raises:
        ClaimsError: the file is missing, is not YAML, or has an unknown, missing or impossible value.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ClaimsError(f"{path}: no such file; name the parameters with --params FILE") from None
    except IsADirectoryError:
        raise ClaimsError(f"{path} is a folder; expected a file like params.yaml") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ClaimsError(f"{path} is not valid YAML in UTF-8: {' '.join(str(error).split())}") from None
    try:
        config = Config.model_validate(values)
        for name in config.train.transformer.presets:
            config.train.transformer.for_encoder(name)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the file"
        reason = (
            "is not a known key; remove it or correct its name"
            if first["type"] == "extra_forbidden"
            else (f"{first['msg'][0].lower()}{first['msg'][1:]}, found {first['input']!r}")
        )
        raise ClaimsError(f"{path}: {key}: {reason}") from None
    return config
