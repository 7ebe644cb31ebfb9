"""How much a request may ask for. What is more gets a 4xx answer that names the limit."""

from dataclasses import dataclass

from conflict_claims.text import MAX_SENTENCE

MAX_TEXTS = 1000
"""Sentences in one request."""
MAX_ARTICLES = 100
"""Articles in one request."""
MAX_ARTICLE = 500_000
"""Characters of one article; one sentence has at most MAX_SENTENCE."""
MAX_SENTENCES = 2000
"""Sentences in the articles of one request."""
MAX_EXPLAINED = 1000
"""Words in a request that asks which words moved the labels: each costs a prediction of its sentence."""


@dataclass(frozen=True)
class Limits:
    """What one service takes on at once."""

    body_bytes: int = 2 * 1024 * 1024
    body_seconds: float = 30.0
    """A body that takes longer to arrive is given up."""
    waiting: int = 64
    """Requests that are read, wait or are worked on; the next one gets 503."""

    def as_dict(self) -> dict[str, int]:
        """The limits that a caller can keep to."""
        return {
            "body_bytes": self.body_bytes,
            "texts": MAX_TEXTS,
            "articles": MAX_ARTICLES,
            "article_characters": MAX_ARTICLE,
            "sentence_characters": MAX_SENTENCE,
            "sentences": MAX_SENTENCES,
            "explained_words": MAX_EXPLAINED,
            "waiting_requests": self.waiting,
        }
