"""Metrics against scikit-learn, against hand-counted numbers, and on input that does not fit."""

import sys

import numpy as np
import pytest
from sklearn import metrics as sk

from backlit.errors import DataError, MissingLibraryError, SettingError, ShapeError
from backlit.evaluation import (
    HEADLINE,
    calibration,
    confusion,
    decide,
    interval,
    measure,
    per_class,
    probabilities,
    roc,
)

RNG = np.random.default_rng(0)
ROWS, CLASSES = 83, 5
SCORES = RNG.normal(size=(ROWS, CLASSES)).astype("f")
LABELS = RNG.integers(0, CLASSES, ROWS)
LOGITS = RNG.normal(size=(ROWS, 1)).astype("f")
YES = (LOGITS[:, 0] + RNG.normal(size=ROWS) > 0).astype(int)
TAGS = RNG.integers(0, 2, (ROWS, CLASSES))
WEIGHT = RNG.uniform(0, 2, ROWS)


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
class TestMeasureAgreesWithScikitLearn:
    def test_classification(self, weight):
        expected = sk.accuracy_score(LABELS, SCORES.argmax(1), sample_weight=weight)
        assert measure("classification", SCORES, LABELS, weight)["accuracy"] == pytest.approx(expected, abs=1e-12)

    def test_one_hot_labels(self, weight):
        one_hot = np.eye(CLASSES)[LABELS]
        assert measure("classification", SCORES, one_hot, weight) == measure("classification", SCORES, LABELS, weight)

    def test_binary(self, weight):
        expected = sk.accuracy_score(YES, LOGITS[:, 0] > 0, sample_weight=weight)
        assert measure("binary", LOGITS, YES, weight)["accuracy"] == pytest.approx(expected, abs=1e-12)

    def test_binary_labels_of_a_hinge_loss(self, weight):
        assert measure("binary", LOGITS, 2 * YES - 1, weight) == measure("binary", LOGITS[:, 0], YES[:, None], weight)

    def test_multilabel(self, weight):
        got = measure("multilabel", SCORES, TAGS, weight)
        said = (SCORES > 0).astype(int)
        assert got["exact"] == pytest.approx(sk.accuracy_score(TAGS, said, sample_weight=weight), abs=1e-12)
        assert got["hamming"] == pytest.approx(sk.hamming_loss(TAGS, said, sample_weight=weight), abs=1e-12)

    @pytest.mark.parametrize("outputs", [1, 3])
    def test_regression(self, weight, outputs):
        t = RNG.normal(size=(ROWS, outputs))
        y = t + 0.3 * RNG.normal(size=(ROWS, outputs)) * np.arange(1, outputs + 1)
        got = measure("regression", y, t, weight)
        assert got["rmse"] == pytest.approx(np.sqrt(sk.mean_squared_error(t, y, sample_weight=weight)), rel=1e-12)
        assert got["mae"] == pytest.approx(sk.mean_absolute_error(t, y, sample_weight=weight), rel=1e-12)
        assert got["r2"] == pytest.approx(sk.r2_score(t, y, sample_weight=weight), rel=1e-12)


def test_weight_zero_leaves_padding_out():
    padded = np.concatenate([SCORES, np.full((4, CLASSES), np.nan, "f")])
    weight = np.r_[np.ones(ROWS), np.zeros(4)]
    expected = measure("classification", SCORES, LABELS)
    assert measure("classification", padded, np.r_[LABELS, [0] * 4], weight) == pytest.approx(expected)
    values = np.r_[1.0, 2.0, 4.0, np.nan]
    got = measure("regression", values, [1.0, 2.0, 3.0, 0.0], [1, 1, 1, 0])
    assert got == pytest.approx(measure("regression", values[:3], [1.0, 2.0, 3.0]))


def test_sequences_count_each_time_step_and_row_weights_reach_all_steps():
    y, t = SCORES[:80].reshape(16, 5, CLASSES), LABELS[:80].reshape(16, 5)
    assert measure("classification", y, t) == pytest.approx(measure("classification", SCORES[:80], LABELS[:80]))
    row = np.r_[np.ones(8), np.zeros(8)]
    assert measure("classification", y, t, row) == pytest.approx(measure("classification", y[:8], t[:8]))
    step = np.zeros((16, 5))
    step[:, :2] = 1
    assert measure("classification", y, t, step) == pytest.approx(measure("classification", y[:, :2], t[:, :2]))


def test_an_output_that_is_not_a_number_is_never_right():
    assert measure("classification", [[np.nan, 0.0]], [0]) == {"accuracy": 0.0}
    assert measure("binary", [np.nan], [0]) == {"accuracy": 0.0}
    assert measure("multilabel", [[np.nan, -1.0]], [[0, 0]]) == {"exact": 0.0, "hamming": 0.5}
    assert np.isnan(measure("regression", [np.nan, 1.0], [0.0, 1.0])["rmse"])


def test_r2_of_a_constant_target():
    assert measure("regression", [0.1] * 3, [0.1] * 3)["r2"] == 1.0
    assert measure("regression", [0.1, 0.1, 0.2], [0.1] * 3)["r2"] == 0.0


@pytest.mark.parametrize("task", ["classification", "binary", "multilabel"])
def test_probabilities_survive_any_logit(task):
    y = np.array([[1e4, -1e4, 3e4], [-1e4, -2e4, 1e4]], "f")
    p = probabilities(task, y if task != "binary" else y[:, :1])
    assert np.isfinite(p).all()
    assert ((p >= 0) & (p <= 1)).all()
    assert p.dtype == np.float32
    if task != "multilabel":
        np.testing.assert_allclose(p.sum(-1), 1, rtol=1e-6)


def test_decide_and_probabilities_agree():
    assert (decide("classification", SCORES) == probabilities("classification", SCORES).argmax(-1)).all()
    assert (decide("binary", LOGITS) == probabilities("binary", LOGITS).argmax(-1)).all()
    assert (decide("multilabel", SCORES) == (probabilities("multilabel", SCORES) > 0.5)).all()
    assert decide("regression", SCORES) is SCORES


def test_every_task_has_its_headline_metric():
    target = {"classification": LABELS, "binary": np.tile(YES[:, None], CLASSES), "multilabel": TAGS}
    for task, name in HEADLINE.items():
        assert name in measure(task, SCORES, target.get(task, SCORES))


def test_confusion_and_per_class_agree_with_scikit_learn():
    said = SCORES.argmax(1)
    said[said == 3] = 0  # a class that is never predicted
    true = np.where(LABELS == 4, 1, LABELS)  # a class without rows
    names = range(CLASSES)
    np.testing.assert_array_equal(confusion(true, said, CLASSES), sk.confusion_matrix(true, said, labels=names))
    expected = sk.precision_recall_fscore_support(true, said, labels=names, zero_division=0)
    for got, want in zip(per_class(true, said, CLASSES), expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12)


def test_per_class_of_several_labels_a_row():
    said = (SCORES > 0).astype(int)
    expected = sk.precision_recall_fscore_support(TAGS, said, zero_division=0)
    for got, want in zip(per_class(TAGS, said, CLASSES), expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12)


def test_roc_area_is_the_chance_of_ranking_a_pair_right():
    p = probabilities("classification", SCORES.astype("d"))
    curves = roc("classification", SCORES, LABELS)
    assert list(curves) == list(range(CLASSES))
    for k, curve in curves.items():
        inside, outside = p[k == LABELS, k], p[k != LABELS, k]
        assert curve.area == pytest.approx((inside[:, None] > outside).mean(), abs=1e-12)
        assert curve.false_positive_rate[[0, -1]].tolist() == curve.true_positive_rate[[0, -1]].tolist() == [0, 1]
    macro = np.mean([c.area for c in curves.values()])
    assert macro == pytest.approx(sk.roc_auc_score(LABELS, p, multi_class="ovr"), abs=1e-12)


def test_roc_of_the_other_tasks():
    assert roc("binary", LOGITS, YES)[1].area == pytest.approx(sk.roc_auc_score(YES, LOGITS[:, 0]), abs=1e-12)
    for k, curve in roc("multilabel", SCORES, TAGS).items():
        assert curve.area == pytest.approx(sk.roc_auc_score(TAGS[:, k], SCORES[:, k]), abs=1e-12)


def test_roc_leaves_out_a_class_without_rows():
    assert list(roc("classification", SCORES, np.minimum(LABELS, 2))) == [0, 1, 2]
    assert roc("binary", LOGITS, np.ones(ROWS)) == {}


def test_calibration_counts_each_row_in_its_bin():
    p = np.array([0.95, 0.91, 0.65, 0.55])
    got = calibration("binary", np.log(p / (1 - p)), [1, 0, 1, 1], bins=10)
    assert got.rows.tolist() == [1, 1, 2]
    np.testing.assert_allclose(got.confidence, [0.55, 0.65, 0.93])
    np.testing.assert_allclose(got.accuracy, [1, 1, 0.5])
    assert got.error == pytest.approx((0.45 + 0.35 + 2 * 0.43) / 4)
    sure = calibration("classification", [[100.0, 0.0]], [0])
    assert (sure.rows.tolist(), sure.error) == ([1], pytest.approx(0, abs=1e-12))


def test_interval_holds_the_share_and_shrinks_with_rows():
    low, high = interval(0.9, 100)
    assert (low, high) == pytest.approx((0.8256, 0.9448), abs=1e-4)
    assert interval(0.9, 10_000)[0] > low
    assert interval(1.0, 20)[1] == 1.0
    assert interval(0.5, 0) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: measure("clasification", SCORES, LABELS), SettingError, "did you mean 'classification'?"),
        (lambda: measure("classification", SCORES, LABELS[:-1]), ShapeError, r"\(83,\), got \(82,\)"),
        (lambda: measure("binary", LOGITS, YES[:-1]), ShapeError, r"\(83, 1\), got \(82,\)"),
        (lambda: measure("multilabel", SCORES, TAGS[:, :2]), ShapeError, r"\(83, 5\), got \(83, 2\)"),
        (lambda: measure("regression", SCORES, TAGS[:, :2]), ShapeError, r"\(83, 5\), got \(83, 2\)"),
        (lambda: measure("classification", SCORES, LABELS, WEIGHT[:7]), ShapeError, r"one weight a row.*got \(7,\)"),
        (lambda: measure("classification", SCORES, LABELS, 0 * WEIGHT), DataError, "at least one row"),
        (lambda: measure("regression", np.zeros((0, 1)), np.zeros((0, 1))), DataError, "at least one row"),
        (lambda: probabilities("regression", SCORES), SettingError, "task with probabilities"),
        (lambda: decide("sorting", SCORES), SettingError, "unknown task 'sorting'"),
        (lambda: confusion([0, 7], [0, 1], 3), DataError, "target labels from 0 to 2, got 0 to 7"),
        (lambda: confusion([0, 1], [0, -1], 3), DataError, "predicted labels from 0 to 2, got -1 to 0"),
    ],
)
def test_input_that_does_not_fit_gets_one_sentence(call, kind, words):
    with pytest.raises(kind, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_roc_without_scikit_learn_names_the_install_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.metrics", None)
    with pytest.raises(MissingLibraryError, match="pip install scikit-learn"):
        roc("binary", LOGITS, YES)
