"""A layer of your own: derive it, write forward and backward, let `check_gradients` prove it, train with it.

    python examples/own_layer.py

The layer is "snake", for signals that repeat (Ziyin, Hartwig, Ueda 2020, https://arxiv.org/abs/2006.08195), with a
frequency a that each feature learns:

    y = x + sin^2(a x) / a

Its derivation, with d sin^2(u)/du = 2 sin(u) cos(u) = sin(2u):

    dy/dx = 1 + sin(2 a x)                                      (the two factors a cancel)
    dy/da = x sin(2 a x) / a - sin^2(a x) / a^2                 (product rule)

so with delta = dL/dy:   dL/dx = delta (1 + sin(2 a x)),   dL/da = sum over rows of delta dy/da.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Gt

import backlit as bl
from backlit.protocol import Layer, need


@dataclass(frozen=True)
class Snake(Layer):
    """y = x + sin^2(a x) / a, a (D,) learned, `frequency` at the start. Shapes: x (..., D), y (..., D)."""

    frequency: Annotated[float, Gt(0)] = 1.0  # a setting is a field, and its annotation is its check

    def init(self, key, shape):
        need(len(shape) >= 1, "Snake expected rows with at least one feature axis, got scalars")
        return shape, {"a": np.full(shape[-1:], self.frequency, np.float32)}, {}

    def forward(self, params, state, x, ctx):
        xp, a = x.__array_namespace__(), params["a"]
        sine = xp.sin(a * x)  # (..., D)
        return x + sine * sine / a, state, x  # x is all that backward needs: sines are cheap to make again

    def backward(self, params, cache, dy):
        xp, a, x = cache.__array_namespace__(), params["a"], cache
        sine, slope = xp.sin(a * x), xp.sin(2.0 * a * x)  # (..., D)
        by_a = dy * (x * slope / a - sine * sine / (a * a))  # (..., D)
        return dy * (1.0 + slope), {"a": xp.sum(xp.reshape(by_a, (-1, a.shape[0])), axis=0)}, {}


@dataclass(frozen=True)
class Forgetful(Snake):
    """The same with a mistake that is easily made: the second term of the product rule is missing."""

    def backward(self, params, cache, dy):
        xp, a, x = cache.__array_namespace__(), params["a"], cache
        slope = xp.sin(2.0 * a * x)  # (..., D)
        by_a = dy * x * slope / a  # (..., D)
        return dy * (1.0 + slope), {"a": xp.sum(xp.reshape(by_a, (-1, a.shape[0])), axis=0)}, {}


def snake(params, x):
    """The forward pass alone: `Autodiff` needs no more, but it runs on XLA only."""
    import jax.numpy as jnp

    return x + jnp.sin(params["a"] * x) ** 2 / params["a"]


def main() -> None:
    rng = np.random.default_rng(0)
    x, target = rng.normal(size=(6, 3)), rng.normal(size=(6, 2))

    def net(middle: Layer) -> bl.Chain:
        return bl.Chain(bl.Dense(4, W="Xavier"), middle, bl.Dense(2, W="Xavier"))

    print("1. Is the backward right? Every number against differences of the loss, in float64:\n")
    check = bl.check_gradients(net(Snake()), bl.SquaredError(), x, target)
    print(check)
    assert check.passed

    print("\n2. What a mistake looks like:\n")
    wrong = bl.check_gradients(net(Forgetful()), bl.SquaredError(), x, target)
    print(wrong)
    assert wrong.failed == ("forgetful_1.a",)

    print("\n3. No time for a derivation? Autodiff differentiates the forward pass, compiled only:\n")
    automatic = bl.Autodiff(snake, start=lambda key, shape: {"a": np.ones(shape[-1], np.float32)})
    print(bl.check_gradients(net(automatic), bl.SquaredError(), x, target, engine="xla"))

    print("\n4. Training with it. Its settings are settings like any other, also in a file (`type: Snake`):\n")
    t = np.linspace(-6, 6, 400, dtype=np.float32)[:, None]  # (400, 1)
    y = np.sin(2 * t) + 0.5 * t
    for middle in (bl.Tanh(), Snake(), Snake(frequency=2.0)):
        layers = bl.Chain(bl.Dense(16, W="Xavier"), middle, bl.Dense(1, W="Xavier"))
        run = bl.train(layers, (t, y), optimizer=bl.Adam(lr=0.02), epochs=120, seed=1)
        print(f"   {middle!s:22} test rmse {run.result['test']['rmse']:.3f}")


if __name__ == "__main__":
    main()
