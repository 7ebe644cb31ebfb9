"""The vectorised bootstrap gives what a plain loop over resamples gives; and it counts stories, not sentences."""

import numpy as np
import pytest

from conflict_claims import metrics
from conflict_claims.bootstrap import Ranking, Resamples, interval, intervals, resampled, risk_at

from .test_metrics import LABELS, drawn

CUT = np.array([0.5, 0.4, 0.6])


def rows_of(draws, r):
    """The rows of one resample, each as often as its story was drawn."""
    return np.repeat(np.arange(len(draws.story)), draws.weights[r][draws.story])


@pytest.mark.parametrize("ties", [False, True])
def test_every_metric_of_every_resample_is_that_of_a_plain_loop(ties, monkeypatch):
    from conflict_claims import bootstrap

    monkeypatch.setattr(bootstrap, "CELLS", 7 * 150)  # several pieces
    y, logits = drawn(3, n=150)
    y[:, 2] = 0
    y[:4, 2] = 1  # in few stories: some resamples have none
    prob = np.round(metrics.sigmoid(logits), 1 if ties else 12)
    draws = Resamples(np.arange(150) // 6, resamples=40, seed=1)
    found = resampled(y, prob, LABELS, CUT, draws)
    undefined = 0
    for r in range(40):
        rows = rows_of(draws, r)
        expected = metrics.scores(y[rows], prob[rows], LABELS, CUT)
        flat = {key: value for key, value in expected.items() if key in found}
        flat |= {f"labels.{n}.{key}": v for n, values in expected["labels"].items() for key, v in values.items()}
        assert set(found) <= set(flat)
        for key, values in found.items():
            if flat[key] is None:
                undefined += 1
                assert np.isnan(values[r]), key
            else:
                assert values[r] == pytest.approx(flat[key], abs=1e-12), key
    assert undefined


def test_risk_at_a_coverage_is_that_of_a_plain_loop():
    y, logits = drawn(4, n=90)
    sure, wrong = metrics.sigmoid(np.abs(logits[:, 0])), y[:, 0]
    draws = Resamples(np.arange(90) // 5, resamples=20)
    found = draws.along(Ranking(sure, wrong), risk_at)
    for r in range(20):
        rows = rows_of(draws, r)
        order = np.sort(-sure[rows])
        for c, share in enumerate((0.1, 0.5, 1.0)):
            surest = sure[rows] >= -order[int(np.ceil(share * len(rows) - 1e-9)) - 1]
            assert found[r, [0, 4, 9][c]] == pytest.approx(wrong[rows][surest].mean())


def test_intervals_hold_the_figure_and_shrink_with_more_stories():
    wide = {}
    for n in (60, 2000):
        y, logits = drawn(5, n=n)
        prob = metrics.sigmoid(logits)
        found = intervals(resampled(y, prob, LABELS, CUT, Resamples(np.arange(n) // 10)), LABELS)
        figures = metrics.scores(y, prob, LABELS, CUT)
        for key in ("macro_f1", "micro_f1", "exact_match", "mean_average_precision", "brier", "risk_coverage_area"):
            low, high = found[key]
            assert low < figures[key] < high, key
        for label in LABELS:
            for key in ("precision", "recall", "f1", "average_precision", "brier"):
                low, high = found["labels"][label][key]
                assert low < figures["labels"][label][key] < high, key
        wide[n] = found["macro_f1"][1] - found["macro_f1"][0]
    assert wide[2000] < wide[60] / 2


def test_rows_of_one_story_count_as_one_draw():
    y, logits = drawn(6, n=300)
    prob = metrics.sigmoid(logits)
    alone = resampled(y, prob, LABELS, CUT, Resamples(np.arange(300)))
    copied = [np.repeat(a, 5, axis=0) for a in (y, prob)]
    grouped = resampled(*copied, LABELS, CUT, Resamples(np.repeat(np.arange(300), 5)))
    for key, values in alone.items():
        assert values == pytest.approx(grouped[key]), key


def test_an_interval_of_what_is_hardly_ever_defined_is_none():
    assert interval(np.array([np.nan] * 95 + [1.0] * 5)) is None
    assert interval(np.array([np.nan] * 50 + [1.0] * 50)) == [1.0, 1.0]
