"""Every loss against an oracle that shares no code with it: naive formulas differentiated by JAX, scikit-learn, SciPy,
closed forms, published numbers. Central differences over every loss run in test_contract.py."""

import doctest
import math
from pathlib import Path

import array_api_strict as strict
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import sklearn.metrics

import backlit as bl
from backlit.errors import SettingError, ShapeError
from backlit.losses import (
    KL,
    AbsoluteError,
    BinaryCrossEntropy,
    BinaryHinge,
    Huber,
    MaxMargin,
    MultiClassHinge,
    MultiLabelCrossEntropy,
    SoftmaxCrossEntropy,
    SquaredError,
)
from backlit.protocol import Loss, gradient
from backlit.settings import build

B, K = 6, 4
RNG = np.random.default_rng(0)
Y = RNG.normal(size=(B, K)) * 2
LOGIT = RNG.normal(size=B) * 2
VALUES = RNG.normal(size=(B, K))
LABELS = np.array([3, 0, 2, 2, 1, 3])
SOFT = RNG.dirichlet(np.ones(K), size=B)
MANY = (RNG.random((B, K)) < 0.5).astype(float)
YES = np.array([1, 0, 0, 1, 1, 0])
WEIGHT = np.array([0.5, 2.0, 0.0, 1.0, 3.0, 0.25])
PER_CLASS = (1.0, 0.2, 3.0, 0.7)


# Naive formulas: l of one row y with target t, as a textbook writes it. JAX differentiates them.


def ln_softmax(y):
    return jnp.log(jnp.exp(y) / jnp.sum(jnp.exp(y)))


def ln_sigmoid(y):
    return jnp.log(1 / (1 + jnp.exp(-y)))


def huber(y, t, delta=0.7):
    e = jnp.abs(y - t)
    return jnp.sum(jnp.where(e <= delta, e**2 / 2, delta * (e - delta / 2)))


def smoothed(y, t):
    return -jnp.sum((0.8 * jax.nn.one_hot(t, K, dtype=y.dtype) + 0.2 / K) * ln_softmax(y))


def binary(y, t, c=1.0):
    return -c * t * ln_sigmoid(y) - (1 - t) * ln_sigmoid(-y)


def multilabel(y, t, w=1.0, c=1.0):
    return jnp.sum(jnp.asarray(w) * binary(y, t, jnp.asarray(c)))


def others(y, t, margin):
    return jnp.where(jnp.arange(K) == t, -jnp.inf, margin + y - y[t])


NAIVE = [
    (SquaredError(), Y, VALUES, lambda y, t: jnp.sum((y - t) ** 2) / 2),
    (SquaredError(), LOGIT, VALUES[:, 0], lambda y, t: (y - t) ** 2 / 2),
    (AbsoluteError(), Y, VALUES, lambda y, t: jnp.sum(jnp.abs(y - t))),
    (Huber(0.7), Y, VALUES, huber),
    (BinaryCrossEntropy(), LOGIT, YES, binary),
    (BinaryCrossEntropy(), LOGIT, SOFT[:, 0], binary),
    (BinaryCrossEntropy(positive_weight=2.5), LOGIT, YES, lambda y, t: binary(y, t, 2.5)),
    (MultiLabelCrossEntropy(), Y, MANY, multilabel),
    (MultiLabelCrossEntropy(PER_CLASS, (2.0, 1.0, 0.5, 4.0)), Y, SOFT,
     lambda y, t: multilabel(y, t, PER_CLASS, (2.0, 1.0, 0.5, 4.0))),
    (SoftmaxCrossEntropy(), Y, LABELS, lambda y, t: -ln_softmax(y)[t]),
    (SoftmaxCrossEntropy(), Y, SOFT, lambda y, t: -jnp.sum(t * ln_softmax(y))),
    (SoftmaxCrossEntropy(smoothing=0.2), Y, LABELS, smoothed),
    (KL(), Y, SOFT, lambda y, t: jnp.sum(t * (jnp.log(t) - ln_softmax(y)))),
    (MaxMargin(), Y[:, :2], np.zeros(B), lambda y, _: jnp.maximum(0, 1 + y[1] - y[0])),
    (MaxMargin(margin=0.4), Y, np.zeros(B), lambda y, _: jnp.sum(jnp.maximum(0, 0.4 + y[1:] - y[0]))),
    (BinaryHinge(), LOGIT, 2 * YES - 1, lambda y, t: jnp.maximum(0, 1 - t * y)),
    (BinaryHinge(form="squared", positive_weight=3.0), LOGIT, 2 * YES - 1,
     lambda y, t: jnp.where(t > 0, 3, 1) * jnp.maximum(0, 1 - t * y) ** 2),
    (MultiClassHinge(margin=0.6), Y, LABELS, lambda y, t: jnp.sum(jnp.maximum(0, others(y, t, 0.6)))),
    (MultiClassHinge(form="max"), Y, LABELS, lambda y, t: jnp.maximum(0, jnp.max(others(y, t, 1.0)))),
]  # fmt: skip


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
@pytest.mark.parametrize(("loss", "y", "target", "row"), NAIVE, ids=[str(case[0]) for case in NAIVE])
def test_value_and_gradient_are_those_of_the_naive_formula(loss, y, target, row, weight):
    with jax.enable_x64(True):

        def naive(y):
            rows = jax.vmap(row)(y, jnp.asarray(target))
            return jnp.sum(rows * (1.0 if weight is None else weight)) / (B if weight is None else weight.sum())

        value, slope = jax.jit(jax.value_and_grad(naive))(jnp.asarray(y))
    got, dy = loss(y, target, weight)
    np.testing.assert_allclose(got, value, rtol=1e-12)
    np.testing.assert_allclose(dy, slope, rtol=1e-10, atol=1e-14)


# Weights


EVERY = [case[:3] for case in NAIVE] + [
    (SoftmaxCrossEntropy(class_weight=PER_CLASS), Y, LABELS),
    (KL(class_weight=PER_CLASS), Y, SOFT),
    (MultiClassHinge(class_weight=PER_CLASS), Y, LABELS),
]
every = pytest.mark.parametrize(("loss", "y", "target"), EVERY, ids=[str(case[0]) for case in EVERY])


@every
def test_no_weights_are_weights_of_one(loss, y, target):
    value, dy = loss(y, target)
    ones, slope = loss(y, target, np.ones(B))
    np.testing.assert_allclose(value, ones, rtol=1e-14)
    np.testing.assert_allclose(dy, slope, rtol=1e-14)


@every
def test_a_row_of_weight_zero_vanishes_whatever_it_holds(loss, y, target):
    spoiled = np.concatenate([y, np.full_like(y[:2], np.nan)])
    value, dy = loss(spoiled, np.concatenate([target, target[:2]]), np.array([1.0] * B + [0.0] * 2))
    rest, slope = loss(y, target)
    np.testing.assert_allclose(value, rest, rtol=1e-14)
    np.testing.assert_allclose(dy[:B], slope, rtol=1e-14)
    np.testing.assert_array_equal(dy[B:], 0)


@every
def test_no_row_counts(loss, y, target):
    value, dy = loss(y, target, np.zeros(B))
    assert value == 0
    np.testing.assert_array_equal(dy, 0)


@every
def test_a_weight_of_two_is_the_row_twice(loss, y, target):
    value, dy = loss(y, target, np.array([2, 1, 1, 1, 1, 1]))
    twice, slope = loss(np.concatenate([y, y[:1]]), np.concatenate([target, target[:1]]))
    np.testing.assert_allclose(value, twice, rtol=1e-14)
    np.testing.assert_allclose(dy[0], slope[0] + slope[-1], rtol=1e-14)
    np.testing.assert_allclose(dy[1:], slope[1:-1], rtol=1e-14)


def test_one_weight_a_sequence_counts_for_all_its_steps():
    y, labels = RNG.normal(size=(3, 2, K)), RNG.integers(K, size=(3, 2))
    whole = np.array([1.0, 0.0, 2.0])
    for loss in (SoftmaxCrossEntropy(), KL(), MultiClassHinge()):
        for steps in (np.repeat(whole, 2), np.repeat(whole, 2).reshape(3, 2)):
            np.testing.assert_allclose(loss(y, labels, whole)[0], loss(y, labels, steps)[0], rtol=1e-14)
            np.testing.assert_allclose(loss(y, labels, whole)[1], loss(y, labels, steps)[1], rtol=1e-14)


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
def test_class_weights_of_integer_labels(weight):
    w, sample = np.asarray(PER_CLASS), np.ones(B) if weight is None else weight
    log_p = scipy.special.log_softmax(Y, axis=1)
    for smoothing in (0.0, 0.3):
        rows = [
            -(1 - smoothing) * w[k] * log_p[i, k] - smoothing / K * np.sum(w * log_p[i]) for i, k in enumerate(LABELS)
        ]
        expected = np.sum(sample * rows) / np.sum(sample * w[LABELS])
        loss = SoftmaxCrossEntropy(smoothing, PER_CLASS)
        np.testing.assert_allclose(loss(Y, LABELS, weight)[0], expected, rtol=1e-13)
        one_hot = np.eye(K)[LABELS]
        np.testing.assert_allclose(loss(Y, one_hot, weight)[0], expected, rtol=1e-13)
        np.testing.assert_allclose(loss(Y, one_hot, weight)[1], loss(Y, LABELS, weight)[1], rtol=1e-13)


@pytest.mark.parametrize("loss", [SoftmaxCrossEntropy, KL, MultiClassHinge])
def test_class_weights_are_sample_weights_of_each_class(loss):
    sample = np.asarray(PER_CLASS)[LABELS]
    value, dy = loss(class_weight=PER_CLASS)(Y, LABELS, WEIGHT)
    other, slope = loss()(Y, LABELS, WEIGHT * sample)
    np.testing.assert_allclose(value, other, rtol=1e-13)
    np.testing.assert_allclose(dy, slope, rtol=1e-12, atol=1e-16)


def test_kl_keeps_its_minimum_under_class_weights():
    value, dy = KL(class_weight=PER_CLASS)(np.log(SOFT), SOFT)
    np.testing.assert_allclose(value, 0, atol=1e-15)
    np.testing.assert_allclose(dy, 0, atol=1e-15)


# Other people's code and numbers


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
def test_cross_entropies_are_scikit_learns_log_loss(weight):
    p = scipy.special.softmax(Y, axis=1)
    expected = sklearn.metrics.log_loss(LABELS, p, labels=range(K), sample_weight=weight)
    np.testing.assert_allclose(SoftmaxCrossEntropy()(Y, LABELS, weight)[0], expected, rtol=1e-12)
    expected = sklearn.metrics.log_loss(YES, scipy.special.expit(LOGIT), sample_weight=weight)
    np.testing.assert_allclose(BinaryCrossEntropy()(LOGIT, YES, weight)[0], expected, rtol=1e-12)


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
def test_hinges_are_scikit_learns_hinge_loss(weight):
    expected = sklearn.metrics.hinge_loss(YES, LOGIT, sample_weight=weight)
    np.testing.assert_allclose(BinaryHinge()(LOGIT, YES, weight)[0], expected, rtol=1e-13)
    expected = sklearn.metrics.hinge_loss(LABELS, Y, labels=range(K), sample_weight=weight)
    np.testing.assert_allclose(MultiClassHinge("max")(Y, LABELS, weight)[0], expected, rtol=1e-13)


def test_kl_is_scipys_relative_entropy():
    sparse = np.where(SOFT > 0.2, SOFT, 0.0)
    sparse /= sparse.sum(axis=1, keepdims=True)
    expected = scipy.special.rel_entr(sparse, scipy.special.softmax(Y, axis=1)).sum(axis=1).mean()
    np.testing.assert_allclose(KL()(Y, sparse)[0], expected, rtol=1e-13)


def test_huber_and_squared_error_are_scipys_and_scikit_learns():
    expected = scipy.special.huber(0.5, Y - VALUES).sum(axis=1).mean()
    np.testing.assert_allclose(Huber(0.5)(Y, VALUES)[0], expected, rtol=1e-13)
    mean_squared = sklearn.metrics.mean_squared_error(VALUES, Y, sample_weight=WEIGHT)
    np.testing.assert_allclose(SquaredError()(Y, VALUES, WEIGHT)[0], mean_squared * K / 2, rtol=1e-13)
    mean_absolute = sklearn.metrics.mean_absolute_error(VALUES, Y, sample_weight=WEIGHT)
    np.testing.assert_allclose(AbsoluteError()(Y, VALUES, WEIGHT)[0], mean_absolute * K, rtol=1e-13)


def test_softmax_loss_published_by_cs231n():
    # Scores and loss of the two-layer net in CS231n assignment 2 (2020), FullyConnectedNets.ipynb, cell 18.
    scores = np.array([
        [11.53165108, 12.2917344, 13.05181771, 13.81190102, 14.57198434, 15.33206765, 16.09215096],
        [12.05769098, 12.74614105, 13.43459113, 14.1230412, 14.81149128, 15.49994135, 16.18839143],
        [12.58373087, 13.20054771, 13.81736455, 14.43418138, 15.05099822, 15.66781506, 16.2846319],
    ])  # fmt: skip
    np.testing.assert_allclose(SoftmaxCrossEntropy()(scores, [0, 5, 1])[0], 3.4702243556, rtol=5e-9)


def test_losses_of_random_scores_published_by_cs231n():
    # Same notebook, cell 16: tiny scores of 10 classes give ln 10 = 2.3 with softmax and 9 margins of 1 with the hinge.
    rng = np.random.RandomState(231)
    scores, labels = 0.001 * rng.randn(50, 10), rng.randint(10, size=50)
    np.testing.assert_allclose(SoftmaxCrossEntropy()(scores, labels)[0], 2.3, atol=0.01)
    np.testing.assert_allclose(MultiClassHinge()(scores, labels)[0], 9, atol=0.01)


def test_logistic_and_least_squares_losses_published_by_cs231n():
    # CS231n assignment 3 (2024), gan-checks.npz and Generative_Adversarial_Networks.ipynb.
    real = np.array([
        0.9348731096217853, -1.0169891625223137, -0.5730476939393363, -0.8816270356958762, -1.4012938925983567,
        -1.4539569266944938, -1.542397547964014, -0.5727332515501994, 0.9858442941304029, 0.13312152437312422,
    ]).reshape(10, 1)  # fmt: skip
    fake = np.array([
        -1.8086586792257076, 0.09030055369905954, -0.44289020393777767, -0.0787936751879477, -0.3765504411101933,
        0.3208474241671663, -0.28590836517263224, 1.013762805378476, 0.9924143914567469, 0.3939434608511722,
    ]).reshape(10, 1)  # fmt: skip
    ones, zeros = np.ones(10), np.zeros(10)
    for loss, critic, maker in (
        (BinaryCrossEntropy(), 1.8423983904443109, 0.771286196423346),
        (SquaredError(), 1.8770293614440594, 0.816954786997558),
    ):
        np.testing.assert_allclose(loss(real, ones)[0] + loss(fake, zeros)[0], critic, rtol=1e-6)
        np.testing.assert_allclose(loss(fake, ones)[0], maker, rtol=1e-6)


# Extreme logits


BIG = 1e4
MULTI = [[BIG, -BIG, 0.0], [-BIG, BIG, BIG], [-BIG, -BIG, -BIG]]
EXTREME = [
    (SoftmaxCrossEntropy(), MULTI, [0, 0, 1], (2 * BIG + math.log(2) + math.log(3)) / 3,
     [[0, 0, 0], [-1, 0.5, 0.5], [1 / 3, -2 / 3, 1 / 3]]),
    (SoftmaxCrossEntropy(), [[BIG, -BIG]], [[0.25, 0.75]], 1.5 * BIG, [[0.75, -0.75]]),
    (KL(), [[BIG, -BIG]], [[0.0, 1.0]], 2 * BIG, [[1, -1]]),
    (KL(), [[BIG, -BIG]], [[1.0, 0.0]], 0, [[0, 0]]),
    (BinaryCrossEntropy(), [BIG, BIG, -BIG, -BIG], [1, 0, 1, 0], BIG / 2, [0, 1, -1, 0]),
    (BinaryCrossEntropy(), [BIG, -BIG], [0.25, 0.25], BIG / 2, [0.75, -0.25]),
    (MultiLabelCrossEntropy(), [[BIG, BIG, -BIG, -BIG]], [[1, 0, 1, 0]], 2 * BIG, [[0, 1, -1, 0]]),
    (MaxMargin(), [[BIG, -BIG], [-BIG, BIG], [BIG, BIG]], [0, 0, 0], (2 * BIG + 2) / 3, [[0, 0], [-1, 1], [-1, 1]]),
    (BinaryHinge(), [BIG, BIG, -BIG, -BIG], [1, 0, 1, 0], (BIG + 1) / 2, [0, 1, -1, 0]),
    (BinaryHinge(form="squared"), [BIG, -BIG], [1, 1], (BIG + 1) ** 2 / 2, [0, -2 * (BIG + 1)]),
    (MultiClassHinge(), MULTI, [0, 0, 1], (2 * (2 * BIG + 1) + 2) / 3, [[0, 0, 0], [-2, 1, 1], [1, -2, 1]]),
    (MultiClassHinge("max"), MULTI, [0, 0, 1], (2 * BIG + 2) / 3, [[0, 0, 0], [-1, 1, 0], [1, -1, 0]]),
    (SquaredError(), [[BIG]], [[-BIG]], 2 * BIG**2, [[2 * BIG]]),
    (AbsoluteError(), [[BIG]], [[-BIG]], 2 * BIG, [[1]]),
    (Huber(), [[BIG]], [[-BIG]], 2 * BIG - 0.5, [[1]]),
]  # fmt: skip


@pytest.mark.parametrize("asarray", [np.asarray, jnp.asarray, strict.asarray], ids=["numpy", "xla", "strict"])
@pytest.mark.parametrize(("loss", "y", "target", "value", "slopes"), EXTREME, ids=[str(case[0]) for case in EXTREME])
def test_extreme_logits_in_single_precision(loss, y, target, value, slopes, asarray):
    target = np.asarray(target)
    target = target.astype(np.float32) if target.dtype.kind == "f" else target
    got, dy = loss(asarray(np.asarray(y, dtype=np.float32)), asarray(target))
    got, dy = np.asarray(got), np.asarray(dy)
    assert got.dtype == dy.dtype == np.float32
    np.testing.assert_allclose(got, value, rtol=1e-6)
    np.testing.assert_allclose(dy, np.asarray(slopes) / len(y), rtol=1e-6, atol=1e-30)


def test_a_class_ruled_out_by_minus_infinity():
    y = np.array([[0.0, -np.inf, 0.0]])
    for loss in (SoftmaxCrossEntropy(), KL()):
        value, dy = loss(y, np.array([2]))
        np.testing.assert_allclose(value, math.log(2), rtol=1e-15)
        np.testing.assert_allclose(dy, [[0.5, 0, -0.5]])


def test_small_probabilities_keep_their_digits():
    for y in (-30.0, -60.0):
        value, dy = BinaryCrossEntropy()(np.array([y], "f"), np.array([0]))
        np.testing.assert_allclose(value, math.exp(y), rtol=1e-5)
        np.testing.assert_allclose(dy, [math.exp(y)], rtol=1e-5)


# Kinks and forms


def test_slopes_at_the_kinks_are_zero():
    np.testing.assert_array_equal(AbsoluteError()(np.zeros(3), np.zeros(3))[1], 0)
    np.testing.assert_array_equal(BinaryHinge()(np.array([1.0, -1.0]), np.array([1, -1]))[1], 0)
    np.testing.assert_array_equal(MaxMargin(0.5)(np.array([[1.0, 0.5]]), None)[1], 0)
    np.testing.assert_array_equal(MultiClassHinge()(np.array([[2.0, 1.0, 1.0]]), np.array([0]))[1], 0)


def test_of_equal_rivals_the_first_is_counted():
    dy = MultiClassHinge("max")(np.array([[0.0, 2.0, 2.0]]), np.array([0]))[1]
    np.testing.assert_array_equal(dy, [[-1, 1, 0]])
    dy = MultiClassHinge("max")(np.array([[2.0, 2.0, 2.0]]), np.array([0]))[1]
    np.testing.assert_array_equal(dy, [[-1, 1, 0]])


def test_targets_may_be_written_in_several_ways():
    column = LOGIT.reshape(-1, 1)
    for loss in (BinaryCrossEntropy(), BinaryHinge(), BinaryHinge("squared")):
        value, dy = loss(LOGIT, YES)
        for y in (LOGIT, column):
            for target in (YES, YES.reshape(-1, 1), 2 * YES - 1, YES.astype(bool), YES.tolist()):
                got, slope = loss(y, target)
                assert got == value
                assert slope.shape == y.shape
                np.testing.assert_array_equal(slope.ravel(), dy)
    for loss in (SoftmaxCrossEntropy(), KL(), MultiClassHinge()):
        value, dy = loss(Y, LABELS)
        for target in (LABELS.reshape(-1, 1), LABELS.astype("uint8"), LABELS.astype(float), np.eye(K)[LABELS]):
            assert loss(Y, target)[0] == value
            np.testing.assert_array_equal(loss(Y, target)[1], dy)


def test_more_classes_than_a_byte_can_count():
    y = np.zeros((1, 300))
    dy = SoftmaxCrossEntropy()(y, np.array([7], dtype=np.uint8))[1]
    assert np.flatnonzero(dy < 0).tolist() == [7]


def test_numpy_targets_and_weights_serve_compiled_outputs():
    loss = SoftmaxCrossEntropy(class_weight=PER_CLASS)
    value, dy = loss(jnp.asarray(Y, "float32"), LABELS, WEIGHT.astype("f"))
    expected, slope = loss(Y, LABELS, WEIGHT)
    assert value.dtype == dy.dtype == np.float32
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    np.testing.assert_allclose(dy, slope, rtol=1e-5, atol=1e-7)


def test_maximum_margin_scores_true_and_corrupt_with_the_same_parameters():
    net = bl.Chain(bl.Dense(3), bl.Tanh(), bl.Dense(1), bl.Flatten())
    shape, params, state = net.init(bl.random.key(0), (2, 5))
    assert shape == (2,)
    x = RNG.normal(size=(B, 2, 5))
    value, grads, _, trace = gradient(net, MaxMargin(), params, state, x, None, bl.Context())
    s, _, seen = net.forward(params, state, x[:, :1], bl.Context())
    s_c, _, seen_c = net.forward(params, state, x[:, 1:], bl.Context())
    gap = 1 + s_c - s
    np.testing.assert_allclose(value, np.maximum(0, gap).mean(), rtol=1e-12)
    delta = (gap > 0) / B  # dJ/ds_c = -dJ/ds
    assert delta.any()
    up, down = net.backward(params, seen_c, delta)[1], net.backward(params, seen, -delta)[1]
    np.testing.assert_allclose(grads["dense_1"]["W"], up["dense_1"]["W"] + down["dense_1"]["W"], rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(grads["dense_2"]["b"], 0, atol=1e-15)
    assert trace.dx.shape == x.shape


# Tasks, names, errors


def test_every_loss_says_what_its_outputs_mean():
    tasks = {
        "regression": [SquaredError, AbsoluteError, Huber],
        "binary": [BinaryCrossEntropy, BinaryHinge],
        "multilabel": [MultiLabelCrossEntropy],
        "classification": [SoftmaxCrossEntropy, KL, MultiClassHinge],
        "ranking": [MaxMargin],
    }
    assert {loss: loss.task for kind in tasks.values() for loss in kind} == {
        loss: task for task, kind in tasks.items() for loss in kind
    }


@pytest.mark.parametrize(
    ("name", "loss"),
    [
        ("mse", SquaredError()),
        ("MAE", AbsoluteError()),
        ("bce", BinaryCrossEntropy()),
        ("cross_entropy", SoftmaxCrossEntropy()),
        ("kl", KL()),
        ("hinge", BinaryHinge()),
        ("max-margin", MaxMargin()),
        ({"type": "MultiClassHinge", "form": "max"}, MultiClassHinge("max")),
        ({"type": "SoftmaxCrossEntropy", "class_weight": [1, 2]}, SoftmaxCrossEntropy(class_weight=(1.0, 2.0))),
    ],
)
def test_losses_by_name(name, loss):
    assert build(Loss, name) == loss


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Huber(0), "delta: expected a number greater than 0, got 0"),
        (lambda: MaxMargin(-1.0), "margin: expected a number greater than 0, got -1.0"),
        (lambda: SoftmaxCrossEntropy(smoothing=1.0), "smoothing: expected a number less than 1, got 1.0"),
        (
            lambda: SoftmaxCrossEntropy(class_weight=(1.0, -2.0)),
            "class_weight.1: expected a number greater than or equal",
        ),
        (lambda: MultiClassHinge(form="mean"), "form: expected 'sum' or 'max', got 'mean'"),
        (lambda: BinaryCrossEntropy(positive_weight=0.0), "positive_weight: expected a number greater than 0"),
    ],
)
def test_wrong_settings(make, text):
    with pytest.raises(SettingError) as error:
        make()
    assert text in str(error.value)


@pytest.mark.parametrize(
    ("loss", "y", "target", "weight", "text"),
    [
        (
            SquaredError(),
            (3, 1),
            (3, 3),
            None,
            "SquaredError expected a target of the shape of the outputs, (3, 1), got",
        ),
        (
            AbsoluteError(),
            (3,),
            (2,),
            None,
            "AbsoluteError expected a target of the shape of the outputs, (3,), got (2,)",
        ),
        (Huber(), (3, 2), (3,), None, "Huber expected a target of the shape of the outputs, (3, 2), got (3,)"),
        (SquaredError(), (3, 2), (3, 2), (2,), "weight: expected one number a row, shape (3,), got (2,)"),
        (SoftmaxCrossEntropy(), (3, 4), (2,), None, "SoftmaxCrossEntropy expected integer labels of shape (3,) or a"),
        (KL(), (3, 4), (3, 5), None, "KL expected integer labels of shape (3,) or a distribution over the classes"),
        (MultiClassHinge(), (3, 4), (3, 2), None, "of shape (3, 4), got a target of shape (3, 2)"),
        (
            BinaryCrossEntropy(),
            (3, 2),
            (3,),
            None,
            "BinaryCrossEntropy expected one output a row, shape (B,) or (B, 1)",
        ),
        (
            BinaryHinge(),
            (3, 2),
            (3,),
            None,
            "got (3, 2); end the net with Dense(1), or use a loss over several outputs",
        ),
        (MultiLabelCrossEntropy(), (3, 2), (3,), None, "MultiLabelCrossEntropy expected a target of the shape"),
        (MaxMargin(), (3,), (3,), None, "MaxMargin expected the true and the corrupt score side by side, shape (B, 2)"),
        (MaxMargin(), (3, 2, 1), (3,), None, "got (3, 2, 1); end the net with Dense(1), Flatten()"),
    ],
)
def test_shapes_that_do_not_fit(loss, y, target, weight, text):
    weight = weight and np.ones(weight)
    with pytest.raises(ShapeError) as error:
        loss(np.ones(y), np.ones(target), weight)
    assert text in str(error.value)
    with pytest.raises(ShapeError):
        jax.jit(loss)(jnp.ones(y), jnp.ones(target), weight)


@pytest.mark.parametrize(
    ("loss", "setting"),
    [
        (SoftmaxCrossEntropy(class_weight=(1, 2)), "class_weight"),
        (KL(class_weight=(1, 2)), "class_weight"),
        (MultiClassHinge(class_weight=(1, 2)), "class_weight"),
        (MultiLabelCrossEntropy(label_weight=(1, 2)), "label_weight"),
        (MultiLabelCrossEntropy(positive_weight=(1, 2)), "positive_weight"),
    ],
)
def test_one_weight_for_each_class(loss, setting):
    with pytest.raises(SettingError) as error:
        loss(Y, SOFT)
    assert str(error.value) == f"{setting}: expected 4 numbers, one for each output of a row, got 2"


def test_the_worked_page_runs_as_it_stands():
    page = Path(__file__).parents[1] / "docs" / "derivations" / "losses.md"
    failed, tried = doctest.testfile(str(page), module_relative=False)
    assert tried > 15
    assert not failed
