import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score

from conflict_claims import metrics

LABELS = ("a", "b", "c")


def drawn(seed, n=200, k=3, noise=1.0):
    rng = np.random.default_rng(seed)
    y = (rng.random((n, k)) < 0.3).astype(int)
    logits = (y * 2 - 1) * 1.5 + rng.normal(0, noise * 2, (n, k))
    return y, logits


@given(st.integers(0, 10_000))
def test_scores_agree_with_scikit_learn(seed):
    y, logits = drawn(seed, n=60)
    y[0], y[1] = 1, 0
    prob = np.round(metrics.sigmoid(logits), 1)  # many ties
    found = metrics.scores(y, prob, LABELS, np.full(3, 0.5))
    pred = prob >= 0.5
    assert found["macro_f1"] == pytest.approx(f1_score(y, pred, average="macro", zero_division=0))
    assert found["micro_f1"] == pytest.approx(f1_score(y, pred, average="micro", zero_division=0))
    assert found["exact_match"] == pytest.approx((y == pred).all(axis=1).mean())
    assert found["mean_average_precision"] == pytest.approx(average_precision_score(y, prob, average="macro"))


def test_a_label_missing_from_the_gold_data_costs_when_it_is_predicted_and_only_then():
    y = np.array([[1, 0], [0, 0]])
    assert metrics.macro_f1(y, np.array([[1, 0], [0, 0]])) == 1.0
    assert metrics.macro_f1(y, np.array([[1, 1], [0, 0]])) == 0.5
    silent = metrics.scores(y, np.array([[0.9, 0.1], [0.2, 0.1]]), ("a", "b"), np.array([0.5, 0.5]))
    assert silent["labels"]["b"]["average_precision"] is None


def test_calibration_error_is_small_for_honest_probabilities_and_large_for_boasts():
    rng = np.random.default_rng(0)
    prob = rng.random(20_000)
    y = (rng.random(20_000) < prob).astype(int)
    assert metrics.expected_calibration_error(y, prob) < 0.02
    assert metrics.expected_calibration_error(y, np.where(prob > 0.5, 1.0, 0.0)) > 0.2


def test_platt_scaling_mends_overconfidence_and_keeps_the_order():
    y, logits = drawn(1, n=4000)
    boast = logits * 5
    calibration = metrics.fit_calibration(y, boast)
    before, after = metrics.sigmoid(boast), metrics.calibrate(boast, calibration)
    for k in range(3):
        assert metrics.expected_calibration_error(y[:, k], after[:, k]) < 0.03
        assert metrics.expected_calibration_error(y[:, k], before[:, k]) > 0.1
        assert (np.argsort(after[:, k]) == np.argsort(before[:, k])).mean() > 0.99
    assert (calibration[:, 0] > 0).all()


def test_platt_scaling_never_turns_the_order_around():
    y = np.array([[1], [0], [1], [0]])
    assert metrics.fit_calibration(y, -4.0 * (y * 2 - 1)).tolist() == [[1.0, 0.0]]


def test_chosen_thresholds_are_about_as_good_as_the_best_ones():
    y, logits = drawn(2, n=3000)
    prob = metrics.sigmoid(logits - 2)
    chosen = metrics.macro_f1(y, prob >= metrics.choose_thresholds(y, prob))
    best = np.mean(
        [max(metrics.macro_f1(y[:, [k]], prob[:, [k]] >= t) for t in np.linspace(0.01, 0.99, 99)) for k in range(3)]
    )
    assert chosen > metrics.macro_f1(y, prob >= 0.5) + 0.02
    assert chosen > best - 0.01


def test_intervals_hold_the_figure_and_shrink_with_more_stories():
    wide = {}
    for n in (60, 2000):
        y, logits = drawn(5, n=n)
        story = np.arange(n) // 10
        low, high = metrics.f1_intervals(y, logits > 0, story, LABELS)["macro_f1"]
        assert low < metrics.macro_f1(y, logits > 0) < high
        wide[n] = high - low
    assert wide[2000] < wide[60] / 2


def test_rows_of_one_story_count_as_one_draw():
    y, logits = drawn(6, n=300)
    alone = metrics.f1_intervals(y, logits > 0, np.arange(300), LABELS)["macro_f1"]
    copied = [np.repeat(a, 5, axis=0) for a in (y, logits)]
    grouped = metrics.f1_intervals(copied[0], copied[1] > 0, np.repeat(np.arange(300), 5), LABELS)["macro_f1"]
    assert grouped == pytest.approx(alone)


def test_the_paired_bootstrap_knows_better_from_equal():
    y, logits = drawn(7, n=1000)
    story = np.arange(1000) // 10
    worse = logits + np.random.default_rng(1).normal(0, 2, logits.shape)
    gain, certainty = metrics.probability_better(y, logits > 0, worse > 0, story)
    assert gain > 0 and certainty > 0.99
    assert metrics.probability_better(y, logits > 0, logits > 0, story) == (0.0, 0.0)
