"""What requests and answers look like: the source of the API's documentation."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Discriminator, Field, StringConstraints, Tag

from conflict_claims.serve.limits import MAX_ARTICLE, MAX_ARTICLES, MAX_TEXTS
from conflict_claims.text import MAX_SENTENCE


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    explain: bool = Field(default=False, description="Also say which words moved each label.")


class Sentences(_Form):
    """Texts that are sentences already."""

    texts: list[Annotated[str, StringConstraints(max_length=MAX_SENTENCE)]] = Field(
        min_length=1, max_length=MAX_TEXTS, examples=[["Residents said the army had retaken the town."]]
    )


class Articles(_Form):
    """Texts that are split into sentences."""

    articles: list[Annotated[str, StringConstraints(max_length=MAX_ARTICLE)]] = Field(
        min_length=1, max_length=MAX_ARTICLES, examples=[["Residents said the army had retaken the town. Prices rose."]]
    )


def _kind(value: Any) -> str:  # noqa: ANN401 - whatever JSON holds
    return "articles" if isinstance(value, Articles) or (isinstance(value, dict) and "articles" in value) else "texts"


Request = Annotated[Annotated[Sentences, Tag("texts")] | Annotated[Articles, Tag("articles")], Discriminator(_kind)]


class Word(BaseModel):
    """A word of a sentence; a weight is the log-odds that the label loses when the word is deleted."""

    word: str
    start: int = Field(description="Place in the sentence, counted in Unicode code points.")
    end: int
    weights: dict[str, float]


class Sentence(BaseModel):
    """A sentence, where it stands in its text, and what it claims."""

    text: str
    start: int = Field(description="Place in the text, counted in Unicode code points.")
    end: int
    labels: list[str] = Field(description="The labels whose probability reaches their threshold.")
    probabilities: dict[str, float]
    words: list[Word] | None = Field(default=None, description="In reading order; only where explain was asked for.")


class Answer(BaseModel):
    """For each text of the request, in its order, its sentences; none where there is nothing to read."""

    results: list[list[Sentence]]


class Problem(BaseModel):
    """Why a request was not answered, in one sentence."""

    detail: str


class Health(BaseModel):
    """`ok`: requests are answered; `stopping`: no new ones; `failed`: start the service again."""

    status: str


class Model(BaseModel):
    """The model that answers, and the limits of this service."""

    model_config = ConfigDict(protected_namespaces=())
    name: str
    kind: str
    labels: list[str]
    thresholds: dict[str, float]
    package_version: str
    corpus_fingerprint: str
    limits: dict[str, int]


def in_words(errors: list[Any]) -> str:
    """What pydantic found wrong, in one sentence: the first three places, without what stood there."""
    found = "; ".join(_in_words(error["type"], list(error["loc"])[1:], error["msg"]) for error in errors[:3])
    return found + (f"; and {len(errors) - 3} more" if len(errors) > 3 else "")


def _in_words(kind: str, place: list[Any], message: str) -> str:
    if kind == "json_invalid":
        return f"expected JSON, found something else from character {place[0]} of the body on"
    if len(place) < 2 or kind == "missing":
        return "expected a JSON object with 'texts' (sentences) or 'articles', each a list of strings"
    name, *inside = place[1:]  # the first is the form that was taken: texts or articles
    return f"{name}{''.join(f'[{part}]' for part in inside)}: {message}"
