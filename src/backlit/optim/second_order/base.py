"""What second-order rules share: a point that knows its value and gradient, and moves from one to the next."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

from backlit.engine import tree
from backlit.errors import SettingError
from backlit.optim.flat import ravel
from backlit.optim.objective import Objective
from backlit.optim.rules import Asking
from backlit.protocol import Array, Tree
from backlit.settings import Count, NonNegativeNumber, PositiveNumber


class Point(NamedTuple):
    """Parameters as a vector x (n,), value and gradient there, how often the loss was asked for, and how many of the
    last moves led nowhere."""

    x: Array
    value: Array
    gradient: Array
    evaluations: Array
    failures: Array

    def reached(self, x: Array, value: Array, gradient: Array, evaluations: Array, moved: Array) -> "Point":
        """The next point, after this many evaluations more."""
        xp = x.__array_namespace__()
        failures = xp.where(moved, xp.zeros_like(self.failures), self.failures + 1)
        return Point(x, value, gradient, self.evaluations + evaluations, failures)


class Flat:
    """An objective as a function of one vector."""

    def __init__(self, objective: Objective, params: Tree) -> None:
        self.objective = objective
        self.start, self.back = ravel(params)

    def __call__(self, x: Array) -> tuple[Array, Array]:
        """Value and gradient (n,)."""
        value, grads = self.objective(self.back(x))
        return x.__array_namespace__().asarray(value, dtype=x.dtype), ravel(grads)[0]

    def first(self) -> Point:
        """The point to begin at."""
        xp, (value, gradient) = self.start.__array_namespace__(), self(self.start)
        return Point(self.start, value, gradient, xp.asarray(1, dtype=xp.int32), xp.asarray(0, dtype=xp.int32))

    def curvature(self, x: Array, which: Literal["hessian", "gauss_newton"]) -> Callable[[Array], Array]:
        """v -> H v ("hessian") or G v ("gauss_newton") at this point."""
        product = self.objective.products(self.back(x), which)
        return lambda v: ravel(product(self.back(v)))[0]


@dataclass(frozen=True)
class SecondOrder(Asking):
    """Base of the rules that look at the curvature. Gradient and value are those of the objective: a transform that stands
    before such a rule in a chain (clipping) does not reach it. lr is the step of Newton's method, the first trial of a line
    search."""

    abstract: ClassVar[bool] = True
    lr: PositiveNumber = 1.0

    @abstractmethod
    def move(self, loss: Flat, point: Point, state: Tree, step: Array) -> tuple[Point, Tree]:
        """The next point and the new state."""

    def update(
        self, grads: Tree, state: Tree, params: Tree, step: Array, objective: Objective | None = None
    ) -> tuple[Tree, Tree]:
        loss = Flat(self.given(objective), params)
        point, state = self.move(loss, loss.first(), state, step)
        return loss.back(point.x - loss.start), state


@dataclass(frozen=True)
class Dense(SecondOrder):
    """Base of the rules that keep a matrix (n, n) for n parameters."""

    abstract: ClassVar[bool] = True

    def matrix_fits(self, params: Tree, limit: int) -> int:
        """n, or SettingError when that is more than `limit`."""
        n = tree.size(params)
        if n > limit:
            size = n * n * tree.leaves(params)[0].dtype.itemsize
            text = (
                f"{type(self).__name__} keeps a matrix of {n} x {n} numbers for {n} parameters, {size / 2**30:.3g} GiB: "
                f"expected at most {limit} parameters, got {n}; use LBFGS or HessianFree, or set a higher limit"
            )
            raise SettingError([("limit", text)])
        return n


@dataclass(frozen=True)
class Solved(Dense):
    """Base of the rules that solve an equation with a damped matrix anew in each step, and keep nothing."""

    abstract: ClassVar[bool] = True
    damping: NonNegativeNumber = 0.0
    limit: Count = 5000

    def init(self, params: Tree) -> Tree:
        self.matrix_fits(params, self.limit)
        return {}


def dot(a: Array, b: Array) -> Array:
    """a . b"""
    return a @ b


def length(a: Array) -> Array:
    """|a|"""
    return a.__array_namespace__().sqrt(a @ a)


def scalar(value: Any, like: Array, dtype: Any = None) -> Array:
    """A number as an array () of the engine and the precision of `like`, or of another dtype."""
    return like.__array_namespace__().asarray(value, dtype=dtype or like.dtype)
