"""Agreement between annotators: Krippendorff's alpha for each label."""

from collections.abc import Sequence

import krippendorff
import numpy as np

from conflict_claims.corpus.records import Sentence


def alpha(sentences: Sequence[Sentence], labels: Sequence[str], first: int = 0, second: int = 1) -> dict[str, float]:
    """Krippendorff's alpha (nominal, two readings) for each label, before differences were settled.

    Args:
        sentences: sentences with at least two annotations; those with fewer are left out.
        labels: the label set.
        first: which reading is the first one.
        second: which reading is the second one.

    Returns:
        Label name to alpha; 1 is perfect agreement, 0 is chance. NaN where a label was never given by either reader.
    """
    both = [s for s in sentences if len(s.annotations) > max(first, second)]
    result = {}
    for label in labels:
        readings = np.array([[label in s.annotations[k]["labels"] for s in both] for k in (first, second)], dtype=float)
        values = krippendorff.alpha(readings, level_of_measurement="nominal") if readings.any() else float("nan")
        result[label] = float(values)
    return result
