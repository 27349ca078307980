"""check_gradients: passes what is right, catches each planted fault and names the leaf, and says what it left out."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import backlit as bl
from backlit.errors import BacklitError, NonFiniteError, SettingError, ShapeError
from backlit.gradcheck import GradientCheck, check_gradients
from backlit.layers import Activation
from backlit.losses import SquaredError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(7, 5))
LABELS = RNG.integers(3, size=7)


def check(*layers: Any, loss: Any = None, **more: Any) -> GradientCheck:
    return check_gradients(bl.Chain(*layers), loss or bl.SoftmaxCrossEntropy(), X, LABELS, **more)


# Nets that are right


@pytest.mark.parametrize("difference", ["central", "forward"])
def test_a_right_net_passes_leaf_by_leaf(difference):
    found = check(bl.Dense(4), bl.Tanh(), bl.Dropout(0.3), bl.Dense(3), difference=difference)
    assert found.passed, str(found)
    assert [leaf.path for leaf in found.leaves] == ["x", "dense_1.W", "dense_1.b", "dense_2.W", "dense_2.b", "y"]
    assert all(leaf.checked == leaf.size == np.prod(leaf.shape) for leaf in found.leaves)
    assert found.failed == ()


def test_the_leaves_come_in_the_order_of_the_forward_pass():
    net = bl.Chain(zebra=bl.Dense(4), ape=bl.Chain(bl.Tanh(), bl.Dense(4)), last=bl.Dense(3))
    found = check_gradients(net, bl.SoftmaxCrossEntropy(), X, LABELS)
    assert [leaf.path for leaf in found.leaves] == [
        "x", "zebra.W", "zebra.b", "ape.dense_1.W", "ape.dense_1.b", "last.W", "last.b", "y",
    ]  # fmt: skip


def test_weights_of_rows_are_taken_into_account():
    found = check(bl.Dense(3), weight=np.array([0.0, 1, 2, 3, 4, 5, 6]))
    assert found.passed, str(found)
    assert found["x"].silent >= 5, "the row of weight 0 has no gradient"


def test_dropout_draws_the_same_mask_at_every_pass():
    assert check(bl.Dense(40), bl.Dropout(0.5), bl.Dense(3), samples=50).passed
    assert check(bl.Dense(40), bl.Dropout(0.5), bl.Dense(3), samples=50, train=False).passed


def test_params_and_state_of_the_user_are_checked_and_left_as_they_were():
    net = bl.Chain(bl.Dense(3))
    _, params, state = net.init(bl.random.key(0), (5,))
    before = {k: v.copy() for k, v in params["dense_1"].items()}
    found = check_gradients(net, bl.SoftmaxCrossEntropy(), X, LABELS, params=params, state=state)
    assert found.passed, str(found)
    for name, leaf in before.items():
        np.testing.assert_array_equal(params["dense_1"][name], leaf)
        assert params["dense_1"][name].dtype == np.float32


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_the_scale_of_the_input_does_not_matter(scale):
    found = check_gradients(bl.Chain(bl.Dense(4), bl.Tanh(), bl.Dense(2)), SquaredError(), X * scale, np.ones((7, 2)))
    assert found.passed, str(found)


def test_large_leaves_are_sampled_and_the_table_says_so():
    found = check(bl.Dense(60), bl.Tanh(), bl.Dense(3))
    assert found["dense_1.W"].checked == 200
    assert found["dense_1.W"].size == 300
    assert "sample of 200" in found.table()
    assert check(bl.Dense(60), bl.Tanh(), bl.Dense(3), samples=7)["dense_1.W"].checked == 7
    again = check(bl.Dense(60), bl.Tanh(), bl.Dense(3))
    assert again == found, "the sample is drawn from the seed"
    assert check(bl.Dense(60), bl.Tanh(), bl.Dense(3), seed=1) != found


def test_integers_have_no_gradient():
    @dataclass(frozen=True)
    class Rows(bl.Layer):
        """y = W[x], a table of rows."""

        def init(self, key, shape):
            return (2,), {"W": bl.random.normal(key, (4, 2))}, {}

        def forward(self, params, state, x, ctx):
            return params["W"][x], state, x

        def backward(self, params, cache, dy):
            grad = np.zeros((4, 2))
            np.add.at(grad, cache, dy)
            return np.zeros(cache.shape), {"W": grad}, {}

    found = check_gradients(Rows(), SquaredError(), np.array([0, 2, 2]), np.ones((3, 2)))
    assert found.passed, str(found)
    assert [leaf.path for leaf in found.leaves] == ["W", "y"]
    assert found["W"].silent == 4, "rows that were not looked up have a gradient of zero"


def test_autodiff_is_checked_on_xla_and_only_there():
    net = bl.Chain(bl.Dense(4), bl.Autodiff(lambda p, x: x * x), bl.Dense(3))
    found = check_gradients(net, bl.SoftmaxCrossEntropy(), X, LABELS, engine="xla")
    assert found.passed, str(found)
    with pytest.raises(BacklitError, match="expected the XLA engine, got NumPy"):
        check_gradients(net, bl.SoftmaxCrossEntropy(), X, LABELS)


# Planted faults: each is caught, and the right leaf named


class LostBias(bl.Dense):
    """Forgets dL/db."""

    def backward(self, params, cache, dy):
        dx, grads, deltas = super().backward(params, cache, dy)
        return dx, {**grads, "b": np.zeros_like(grads["b"])}, deltas


class Untransposed(bl.Dense):
    """dx = dy W instead of dy W^T."""

    def backward(self, params, cache, dy):
        _, grads, deltas = super().backward(params, cache, dy)
        return dy @ params["W"], grads, deltas


class TransposedGradient(bl.Dense):
    """dL/dW = delta^T x instead of x^T delta."""

    def backward(self, params, cache, dy):
        dx, grads, deltas = super().backward(params, cache, dy)
        return dx, {**grads, "W": grads["W"].T}, deltas


class WrongSign(bl.Dense):
    """dL/dW with the wrong sign."""

    def backward(self, params, cache, dy):
        dx, grads, deltas = super().backward(params, cache, dy)
        return dx, {**grads, "W": -grads["W"]}, deltas


class NoMask(bl.Dropout):
    """Scales dy, and forgets which units were dropped."""

    def backward(self, params, cache, dy):
        return dy / (1.0 - self.rate), {}, {}


class NoJacobian(bl.Softmax):
    """Passes dy through, as if softmax were the identity."""

    def backward(self, params, cache, dy):
        return dy, {}, {}


class DiagonalJacobian(bl.Softmax):
    """Only the diagonal of the Jacobian: right for sigmoid, wrong for softmax."""

    def backward(self, params, cache, dy):
        return dy * cache * (1 - cache), {}, {}


class SumForMean(bl.SoftmaxCrossEntropy):
    """dL/dy without the 1/B of the mean."""

    def __call__(self, y, target, weight=None):
        value, dy = super().__call__(y, target, weight)
        return value, dy * len(y)


class AtTheInput(bl.Tanh):
    """Differentiates at a value that is not the pre-activation."""

    def backward(self, params, cache, dy):
        return dy * (1.0 - np.tanh(cache) ** 2), {}, {}


def test_lost_bias_term():
    found = check(LostBias(4), bl.Tanh(), bl.Dense(3))
    assert found.failed == ("lost_bias_1.b",)
    assert found["lost_bias_1.b"].error > 0.99


def test_untransposed_weight_with_equal_sizes():
    found = check(bl.Dense(4), bl.Tanh(), Untransposed(4), bl.Dense(3))
    assert found.failed == ("x", "dense_1.W", "dense_1.b"), "what lies before the layer is wrong, the rest right"


def test_untransposed_weight_with_unequal_sizes():
    net = bl.Chain(bl.Dense(4), block=bl.Chain(Untransposed(6)), out=bl.Dense(3))
    where = r"^block\.untransposed_1: Untransposed\.backward failed for dy of shape \(7, 6\)"
    with pytest.raises(ShapeError, match=where):
        check_gradients(net, bl.SoftmaxCrossEntropy(), X, LABELS)


def test_transposed_gradient_of_the_weight():
    with pytest.raises(ShapeError, match=r"^transposed_gradient_1\.W: .*\(4, 5\), expected \(5, 4\); it is tr"):
        check(TransposedGradient(4), bl.Dense(3))
    found = check(bl.Dense(4), bl.Tanh(), TransposedGradient(4), bl.Dense(3))
    assert found.failed == ("transposed_gradient_1.W",)


def test_wrong_sign():
    found = check(bl.Dense(4), bl.Tanh(), WrongSign(4), bl.Dense(3))
    assert found.failed == ("wrong_sign_1.W",)
    assert found["wrong_sign_1.W"].analytic == pytest.approx(-found["wrong_sign_1.W"].numeric, rel=1e-5)


def test_forgotten_mask():
    found = check(bl.Dense(8), NoMask(0.5), bl.Dense(3))
    assert found.failed == ("x", "dense_1.W", "dense_1.b")


@pytest.mark.parametrize("wrong", [NoJacobian, DiagonalJacobian])
def test_missing_jacobian(wrong):
    net = bl.Chain(bl.Dense(4), bl.Tanh(), bl.Dense(3), wrong())
    found = check_gradients(net, SquaredError(), X, np.eye(3)[LABELS])
    assert found.failed == ("x", "dense_1.W", "dense_1.b", "dense_2.W", "dense_2.b")
    assert "nearest to the loss is dense_2.b" in str(found)


def test_batch_size_factor():
    found = check(bl.Dense(4), bl.Tanh(), bl.Dense(3), loss=SumForMean())
    assert "y" in found.failed, "the loss itself is named"
    assert found["y"].analytic == pytest.approx(7 * found["y"].numeric, rel=1e-5)
    assert "mend the loss first" in str(found)


def test_slope_at_the_wrong_place():
    assert check(bl.Dense(4), AtTheInput(), bl.Dense(3)).failed == ("x", "dense_1.W", "dense_1.b")


@pytest.mark.parametrize("difference", ["central", "forward"])
@pytest.mark.parametrize("share", [1e-2, 1e-4])
def test_small_faults_are_seen_too(difference, share):
    @dataclass(frozen=True)
    class Off(bl.Dense):
        """dL/db is off by a small share."""

        def backward(self, params, cache, dy):
            dx, grads, deltas = super().backward(params, cache, dy)
            return dx, {**grads, "b": grads["b"] * (1 + share)}, deltas

    assert check(Off(4), bl.Tanh(), bl.Dense(3), difference=difference).failed == ("off_1.b",)


# Kinks


def test_a_kink_is_left_out_and_said():
    x = np.maximum(X, 0.0)
    found = check_gradients(bl.Chain(bl.ReLU(), bl.Dense(3)), bl.SoftmaxCrossEntropy(), x, LABELS)
    assert found.passed, str(found)
    assert found["x"].kinks == np.sum(x == 0)
    assert found["x"].checked == np.sum(x > 0)
    assert f"{found['x'].kinks} at a kink left out" in found.table()
    assert found["dense_1.W"].kinks == 0


@pytest.mark.parametrize("distance", [1e-3, 8e-6, 9.5e-7, 1e-7, 1.9e-8, 1e-9, 0.0])
@pytest.mark.parametrize("side", [-1, 1])
def test_a_kink_near_by_is_no_failure(distance, side):
    x = np.array([[side * distance, 0.7], [0.4, -0.3], [-0.5, 0.6]])
    found = check_gradients(bl.Chain(bl.ReLU(), bl.Dense(4)), SquaredError(), x, np.ones((3, 4)))
    assert found.passed, str(found)
    assert found["x"].kinks <= 1
    assert found["x"].checked + found["x"].kinks == 6


def test_a_fault_is_not_taken_for_a_kink():
    class Leaky(bl.ReLU):
        """Passes too much where z > 0."""

        def backward(self, params, cache, dy):
            return np.where(cache > 0, 1.2 * dy, 0.0), {}, {}

    found = check(bl.Dense(8), Leaky(), bl.Dense(3))
    assert found.failed == ("x", "dense_1.W", "dense_1.b")
    assert sum(leaf.kinks for leaf in found.leaves) == 0


def test_a_leaf_with_nothing_but_kinks_does_not_pass():
    found = check_gradients(bl.Chain(bl.ReLU(), bl.Dense(3)), bl.SoftmaxCrossEntropy(), np.zeros((7, 5)), LABELS)
    assert found.failed == ("x",)
    assert "nothing checked" in found.table()
    assert "Nothing could be checked of x" in found.verdict()


# What it says


def test_the_table_can_be_read():
    text = str(check(WrongSign(4), bl.Tanh(), bl.Dense(3)))
    lines = text.splitlines()
    assert lines[0].split() == ["gradient", "shape", "error", "checked", "worst", "at", "backward", "difference"]
    wrong = [line for line in lines if line.startswith("WRONG")]
    assert len(wrong) == 1
    assert "wrong_sign_1.W  (5, 4)" in wrong[0]
    assert "20/20" in wrong[0]
    assert lines[-1].startswith("1 of 6 gradients are wrong. The one nearest to the loss is wrong_sign_1.W")
    assert str(check(bl.Dense(3))).splitlines()[-1].startswith("All 4 gradients are right")


def test_a_dead_leaf_is_said():
    class Off(Activation):
        """y = 0."""

        def forward(self, params, state, x, ctx):
            return 0.0 * x, state, {}

        def backward(self, params, cache, dy):
            return 0.0 * dy, {}, {}

    found = check(bl.Dense(4), Off(), bl.Dense(3))
    assert found.passed
    assert found["dense_1.W"].note == "zero everywhere"


# Layers of users that break the contract


def broken(**methods: Any) -> bl.Layer:
    class Broken(bl.Dense):
        pass

    for name, method in methods.items():
        setattr(Broken, name, method)
    return Broken(4)


def test_a_missing_gradient_is_named():
    layer = broken(backward=lambda self, params, cache, dy: (dy @ params["W"].T, {"W": cache.T @ dy}, {}))
    with pytest.raises(ShapeError, match=r"^broken_1\.b: backward returned no gradient; expected one of shape \(4,\)$"):
        check(layer, bl.Dense(3))


def test_an_unknown_gradient_is_named():
    def backward(self, params, cache, dy):
        return dy @ params["W"].T, {"W": cache.T @ dy, "b": dy.sum(0), "c": dy}, {}

    with pytest.raises(ShapeError, match=r"^broken_1\.c: .*there is no parameter of this name$"):
        check(broken(backward=backward), bl.Dense(3))


def test_no_gradients_at_all():
    layer = broken(backward=lambda self, params, cache, dy: (dy @ params["W"].T, {}, {}))
    with pytest.raises(ShapeError, match=r"^broken_1\.W: backward returned no gradient"):
        check(layer, bl.Dense(3))


def test_a_gradient_of_the_wrong_shape_is_named():
    def backward(self, params, cache, dy):
        return dy @ params["W"].T, {"W": cache.T @ dy, "b": dy.sum()}, {}

    with pytest.raises(ShapeError, match=r"^broken_1\.b: .*of shape \(\), expected \(4,\)$"):
        check(broken(backward=backward), bl.Dense(3))


def test_a_dx_of_the_wrong_shape_is_named():
    def backward(self, params, cache, dy):
        return dy, {"W": cache.T @ dy, "b": dy.sum(0)}, {}

    with pytest.raises(ShapeError, match=r"^x: .*of shape \(7, 4\), expected \(7, 5\)$"):
        check(broken(backward=backward), bl.Dense(3))


def test_a_backward_that_does_not_return_three_things():
    with pytest.raises(ShapeError, match=r"^Chain\.backward failed|^broken_1: |Broken\.backward"):
        check(broken(backward=lambda self, params, cache, dy: dy), bl.Dense(3))


def test_a_forward_that_fails_is_named():
    def forward(self, params, state, x, ctx):
        return x @ params["W"].T, state, x

    with pytest.raises(ShapeError, match=r"^broken_1: Broken\.forward failed for x of shape \(7, 5\) with ValueError"):
        check(broken(forward=forward), bl.Dense(3))


def test_a_cast_to_single_precision_is_named():
    def forward(self, params, state, x, ctx):
        return (x @ params["W"] + params["b"]).astype(np.float32), state, x

    with pytest.raises(BacklitError, match=r"^broken_1 \(Broken\): expected an output in the float64 .* got float32"):
        check(broken(forward=forward), bl.Dense(3))


def test_a_loss_that_fails_is_told():
    class Careless(SquaredError):
        """Its target does not fit."""

        def __call__(self, y, target, weight=None):
            return np.sum(y - target), y

    with pytest.raises(BacklitError, match="the loss failed with ValueError"):
        check_gradients(bl.Chain(bl.Dense(3)), Careless(), X, np.ones((7, 2)))


def test_a_loss_that_is_not_finite():
    with pytest.raises(NonFiniteError, match="the loss is nan"):
        check_gradients(bl.Chain(bl.Dense(3)), SquaredError(), X * np.nan, np.ones((7, 3)))


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ({"difference": "backward"}, "difference: expected 'central' or 'forward', got 'backward'"),
        ({"step": 0.0}, "step: expected a number greater than 0, got 0.0"),
        ({"tolerance": -1.0}, "tolerance: expected a number greater than 0, got -1.0"),
        ({"samples": 0}, "samples: expected an integer of at least 1, got 0"),
    ],
)
def test_wrong_settings_are_one_sentence(setting, sentence):
    with pytest.raises(SettingError) as caught:
        check(bl.Dense(3), **setting)
    assert str(caught.value) == sentence
