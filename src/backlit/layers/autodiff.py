"""A user's own layer without a backward pass."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from backlit import engine
from backlit.errors import BacklitError
from backlit.protocol import Array, Context, Layer, Shape, Tree


@dataclass(frozen=True)
class Autodiff(Layer):
    """y = fn(params, x), differentiated by JAX: only on the XLA engine, and a config file cannot name it.

    `start(key, shape)` gives the parameters for rows of `shape` ({} when left out). Written-out backward passes are
    what this library is for: `Autodiff` lets you try an idea before you derive it, and `check_gradients(...,
    engine="xla")` checks the net that holds it.
    Errors: BacklitError on the NumPy engine.

    >>> import backlit as bl
    >>> import jax.numpy as jnp
    >>> layer = bl.Autodiff(lambda params, x: jnp.sin(x))
    >>> y, _, cache = layer.forward({}, {}, jnp.zeros((2, 3)), bl.Context())
    >>> layer.backward({}, cache, jnp.ones((2, 3)))[0].tolist()[0]
    [1.0, 1.0, 1.0]
    """

    abstract: ClassVar[bool] = False
    fn: Callable[[Tree, Array], Array]
    start: Callable[[Array, Shape], Tree] | None = None

    def __post_init__(self) -> None:
        """Functions are no settings: nothing to check or to write to a file."""

    def to_plain(self) -> dict[str, Any]:
        raise BacklitError(
            "Autodiff holds a Python function and cannot be written to a file; write a layer class instead"
        )

    def init(self, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
        params = self.start(key, shape) if self.start else {}
        return engine.get("xla").output_shape(self.fn, params, shape), params, {}

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        if engine.of(x).name != "xla":
            raise BacklitError(
                "Autodiff needs JAX's differentiation: expected the XLA engine, got NumPy; use engine: xla"
            )
        return self.fn(params, x), state, x

    def backward(self, params: Tree, cache: Array, dy: Array) -> tuple[Array, Tree, Tree]:
        grads, dx = engine.get("xla").vjp(self.fn, params, cache, dy)
        return dx, grads, {}
