"""The loss of a batch as a function of the parameters, for rules that ask for it elsewhere or for its curvature.

Derivatives of the gradient are taken in forward mode over the hand-written backward pass: a product of the Hessian with a
vector costs about two gradients, whatever the number of parameters. On NumPy they are central differences (engine.jvp).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from backlit import engine
from backlit.engine import tree
from backlit.errors import BacklitError
from backlit.optim.flat import ravel
from backlit.protocol import Array, Context, Layer, Loss, Tree

Function = Callable[[Tree], tuple[Array, Tree]]
"""From parameters to a value and its gradient."""


class Model(NamedTuple):
    """A loss of outputs of the parameters, in the pieces that Gauss-Newton needs.

    forward(params) -> y, cache;   backward(params, cache, dy) -> grads;   loss(y) -> value, dy
    """

    forward: Callable[[Tree], tuple[Array, Any]]
    backward: Callable[[Tree, Any, Array], Tree]
    loss: Callable[[Array], tuple[Array, Array]]


@dataclass(frozen=True)
class Objective:
    """value, grads = objective(params); and products with the Hessian H and the Gauss-Newton matrix G.

        hvp(params, v)             H v,  H = d grads / d params
        gauss_newton(params, v)    G v,  G = J^T H_L J,  J = dy / d params,  H_L = d dy / dy: H without the curvature of
                                   the net; never indefinite where the loss is convex in y. A penalty adds its Hessian
        hessian, gauss_newton_matrix, jacobian    H, G and J, one product for each row: for small nets

    function    all there is of a plain one: hvp works, what needs y raises BacklitError
    model       outputs and their loss: Objective.of builds it from a net, Objective.composed from functions
    penalty     params -> value, grads, such as L1L2

    Every call sees the same rows and draws the same random numbers. Source of G: Schraudolph 2002,
    https://doi.org/10.1162/08997660260028683; of H v by forward over backward: Pearlmutter 1994,
    https://doi.org/10.1162/neco.1994.6.1.147

    >>> import backlit as bl, numpy as np
    >>> from backlit.optim import Objective
    >>> bowl = Objective(lambda p: (1.5 * float(p["w"] @ p["w"]), {"w": 3.0 * p["w"]}))
    >>> bowl.hvp({"w": np.array([1.0, 2.0])}, {"w": np.array([1.0, 0.0])})["w"].round(6).tolist()
    [3.0, 0.0]
    """

    function: Function | None = None
    model: Model | None = None
    penalty: Function | None = None

    @classmethod
    def of(
        cls,
        net: Layer,
        loss: Loss,
        state: Tree,
        x: Array,
        target: Array,
        ctx: Context = Context(),
        weight: Array | None = None,
        penalty: Function | None = None,
    ) -> "Objective":
        """The loss of a net on these rows."""

        def forward(params: Tree) -> tuple[Array, Tree]:
            y, _, cache = net.forward(params, state, x, ctx)
            return y, cache

        def backward(params: Tree, cache: Tree, dy: Array) -> Tree:
            return net.backward(params, cache, dy)[1]

        return cls(model=Model(forward, backward, lambda y: loss(y, target, weight)), penalty=penalty)

    @classmethod
    def composed(
        cls,
        forward: Callable[[Tree], tuple[Array, Any]],
        backward: Callable[[Tree, Any, Array], Tree],
        loss: Callable[[Array], tuple[Array, Array]] | None = None,
    ) -> "Objective":
        """forward(params) -> y, cache; backward(params, cache, dy) -> J^T dy; loss(y) -> value, dy, or else |y|^2 / 2.

        Without a loss y are the residuals of a least squares problem.
        """
        return cls(model=Model(forward, backward, loss or _half_square))

    def __call__(self, params: Tree) -> tuple[Array, Tree]:
        """The value and its gradient, shaped like `params`."""
        value, grads = self._without_penalty(params)
        if self.penalty is not None:
            more, slopes = self.penalty(params)
            value, grads = value + more, tree.map(lambda g, s: g + s, grads, slopes)
        return value, grads

    def hvp(self, params: Tree, v: Tree) -> Tree:
        """H v."""
        return self.products(params, "hessian")(v)

    def gauss_newton(self, params: Tree, v: Tree) -> Tree:
        """G v; BacklitError for a plain function, which has no outputs."""
        return self.products(params, "gauss_newton")(v)

    def products(self, params: Tree, curvature: Literal["hessian", "gauss_newton"]) -> Callable[[Tree], Tree]:
        """v -> H v or G v, for many v at the same parameters: what does not depend on v is computed once."""
        if curvature == "gauss_newton":
            return self._gauss_newton(params)
        return lambda v: _along(lambda p: self(p)[1], params, v)

    def hessian(self, params: Tree) -> Array:
        """H (n, n), rows and columns in the order of `ravel`."""
        return self.matrix(self.products(params, "hessian"), params)

    def gauss_newton_matrix(self, params: Tree) -> Array:
        """G (n, n). For a log-likelihood such as softmax with cross-entropy it is Fisher's information matrix."""
        return self.matrix(self.products(params, "gauss_newton"), params)

    def jacobian(self, params: Tree) -> Array:
        """J (outputs, n) of all outputs, flat, a row by one backward pass: for few outputs."""
        model = self._need_model("jacobian")
        y, cache = model.forward(params)
        unit = _identity(y, int(y.size))

        def row(_: Any, dy: Array) -> tuple[Any, Array]:
            grads = model.backward(params, cache, y.__array_namespace__().reshape(dy, y.shape))
            return _, ravel(grads)[0]

        rows: Array = engine.of(y).scan(row, unit[0, :1], unit)[1]
        return rows

    def matrix(self, product: Callable[[Tree], Tree], params: Tree) -> Array:
        """The symmetric matrix (n, n) of a linear map of trees like `params`, from one product for each of n."""
        x, back = ravel(params)

        def row(_: Any, v: Array) -> tuple[Any, Array]:
            return _, ravel(product(back(v)))[0]

        rows = engine.of(x).scan(row, x[:1], _identity(x, int(x.size)))[1]
        return 0.5 * (rows + rows.T)

    def _without_penalty(self, params: Tree) -> tuple[Array, Tree]:
        if self.model is None:
            return self._need_function()(params)
        y, cache = self.model.forward(params)
        value, dy = self.model.loss(y)
        return value, self.model.backward(params, cache, dy)

    def _gauss_newton(self, params: Tree) -> Callable[[Tree], Tree]:
        """v -> G v, with the forward pass that backward needs computed once."""
        model = self._need_model("gauss_newton")
        y, cache = model.forward(params)

        def product(v: Tree) -> Tree:
            dy = _along(lambda p: model.forward(p)[0], params, v)
            grads = model.backward(params, cache, _along(lambda y: model.loss(y)[1], y, dy))
            if self.penalty is None:
                return grads
            slopes = self.penalty
            return tree.map(lambda g, s: g + s, grads, _along(lambda p: slopes(p)[1], params, v))

        return product

    def _need_model(self, name: str) -> Model:
        if self.model is None:
            text = "expected an objective with outputs, got a plain function of the parameters"
            raise BacklitError(f"{name}: {text}; use Objective.of(net, loss, ...) or Objective.composed")
        return self.model

    def _need_function(self) -> Function:
        if self.function is None:
            raise BacklitError(
                "Objective: expected a function or a model, got neither; use Objective.of(net, loss, ...)"
            )
        return self.function


def _along(fn: Callable[[Any], Any], at: Any, v: Any) -> Any:
    """The derivative of `fn` at this point along v."""
    return engine.of(tree.leaves(at)[0]).jvp(fn, at, v)[1]


def _identity(like: Array, n: int) -> Array:
    return like.__array_namespace__().eye(n, dtype=like.dtype)


def _half_square(y: Array) -> tuple[Array, Array]:
    return 0.5 * y.__array_namespace__().sum(y * y), y
