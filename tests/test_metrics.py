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
    assert chosen > best - 0.02  # a standard error is given away for strictness


def test_thresholds_are_stricter_the_less_the_validation_data_can_tell():
    """They lie above the cuts of the best F1, further up on little data, and never far."""
    y, logits = drawn(2, n=20_000)
    prob = metrics.sigmoid(logits)
    grid = np.linspace(0.01, 0.99, 99)
    best = np.array([grid[np.argmax([metrics.macro_f1(y[:, [k]], prob[:, [k]] >= t) for t in grid])] for k in range(3)])
    little = (
        np.array([metrics.choose_thresholds(y[i : i + 300], prob[i : i + 300]) for i in range(0, 3000, 300)]) - best
    )
    much = metrics.choose_thresholds(y, prob) - best
    assert much.mean() > 0.03
    assert little.mean() > much.mean() + 0.03
    assert (little.mean(axis=0) < 0.3).all()


def test_stricter_thresholds_are_right_more_often_where_claims_are_rarer():
    """Most positives are left out, as in news beside a corpus: F1 is higher there than at the best cut of validation."""
    y, logits = drawn(3, n=20_000)
    prob, rng = metrics.sigmoid(logits), np.random.default_rng(0)
    chosen = metrics.choose_thresholds(y[:2000], prob[:2000])
    cuts = [metrics._best_cut(y[:2000, k], prob[:2000, k]) for k in range(3)]
    for k in range(3):
        rare = (y[:, k] == 0) | (rng.random(len(y)) < 0.4)
        assert metrics.macro_f1(y[rare][:, [k]], prob[rare][:, [k]] >= chosen[k]) > metrics.macro_f1(
            y[rare][:, [k]], prob[rare][:, [k]] >= cuts[k]
        )


def test_the_area_under_risk_and_coverage_is_the_mean_risk_over_all_shares():
    wrong, sureness = np.array([0, 1, 0, 1]), np.array([0.9, 0.8, 0.7, 0.6])
    assert metrics.risk_coverage_area(wrong, sureness) == pytest.approx(np.mean([0, 1 / 2, 1 / 3, 2 / 4]))
    assert metrics.risk_coverage_area(wrong, np.full(4, 0.5)) == 0.5  # nothing is surer than anything: no order helps
    assert metrics.risk_coverage_area(wrong, -sureness) > 0.5


def test_confidence_is_the_probability_that_the_decision_is_right():
    found = metrics.confidence(np.array([[0.9, 0.2, 0.4]]), np.array([0.5, 0.5, 0.3]))
    assert found.tolist() == [[0.9, 0.8, 0.4]]


def test_an_honest_model_shows_the_calibration_error_of_chance():
    rng = np.random.default_rng(0)
    prob = rng.random(500)
    by_chance = metrics.ece_by_chance(prob)
    honest = [metrics.expected_calibration_error((rng.random(500) < prob).astype(int), prob) for _ in range(100)]
    assert by_chance == pytest.approx(np.mean(honest), rel=0.1)
    assert metrics.ece_by_chance(np.repeat(prob, 100)) < by_chance / 4
