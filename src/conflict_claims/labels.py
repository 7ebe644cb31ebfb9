"""The label set in one fixed order: names to indicator matrix and back."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from conflict_claims.errors import ClaimsError


def to_indicator(names_of_each: Iterable[Iterable[str]], labels: Sequence[str]) -> NDArray[np.int8]:
    """Turn the label names of each text into 0/1 columns.

    Args:
        names_of_each: for each of n texts, the names of its labels, in any order.
        labels: the label set, K names; the columns stand in this order.

    Returns:
        An array of shape (n, K), dtype int8.

    Raises:
        ClaimsError: a name is not in the label set.
    """
    column = {name: k for k, name in enumerate(labels)}
    rows = [list(names) for names in names_of_each]
    matrix = np.zeros((len(rows), len(labels)), dtype=np.int8)
    for i, names in enumerate(rows):
        for name in names:
            if name not in column:
                raise ClaimsError(f"row {i + 1} has the label {name!r}; expected one of {', '.join(labels)}")
            matrix[i, column[name]] = 1
    return matrix


def to_names(indicator: NDArray[np.generic], labels: Sequence[str]) -> list[list[str]]:
    """Turn 0/1 columns of shape (n, K) into the label names of each text, in label order."""
    return [[labels[int(k)] for k in np.flatnonzero(row)] for row in np.asarray(indicator)]
