"""Which claims does a sentence of conflict reporting carry?

>>> import conflict_claims
>>> model = conflict_claims.load("models/transformer")  # doctest: +SKIP
>>> model.predict("Witnesses said three people were killed.")  # doctest: +SKIP
"""

import os
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, overload

from conflict_claims.errors import ClaimsError

if TYPE_CHECKING:  # heavy: imported when first used, so that `import conflict_claims` and `--help` are instant
    from conflict_claims.runtime import ClaimModel, Prediction

__version__ = "0.1.0"
__all__ = ["ClaimsError", "load", "predict", "__version__"]


def load(path: str | os.PathLike[str], *, objective: str | None = None) -> "ClaimModel":
    """Load a model folder, ready to predict; see `conflict_claims.runtime.load`."""
    from conflict_claims.runtime import load as load_model

    return load_model(path, objective=objective)


@overload
def predict(  # type: ignore[overload-overlap]  # a str is a sequence of str; the first overload wins
    text: str, model: "str | os.PathLike[str] | ClaimModel | None" = None
) -> "list[Prediction]": ...
@overload
def predict(
    text: Sequence[str], model: "str | os.PathLike[str] | ClaimModel | None" = None
) -> "list[list[Prediction]]": ...
def predict(
    text: str | Sequence[str], model: "str | os.PathLike[str] | ClaimModel | None" = None
) -> "list[Prediction] | list[list[Prediction]]":
    """Say which claims each sentence of an article, or of each of several articles, carries.

    Args:
        text: one article (or sentence), or several.
        model: a model folder or what :func:`load` returned; None takes the one that the environment variable
            CONFLICT_CLAIMS_MODEL names, else models/transformer, else models/tfidf.

    Returns:
        Predictions with `text, start, end, labels, probabilities`: a list for one text, a list of lists for several.

    Raises:
        ClaimsError: no model, a broken model, or a text that is none.
    """
    from conflict_claims.runtime import ClaimModel, default_model

    if not isinstance(model, ClaimModel):
        model = _loaded(os.fspath(model) if model is not None else str(default_model().resolve()))
    return model.predict(text)


@lru_cache(maxsize=2)
def _loaded(path: str) -> "ClaimModel":
    return load(path)
