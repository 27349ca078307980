"""Surfaces over two numbers on which update rules race: each with its value and its gradient, written out by hand."""

from collections.abc import Callable
from dataclasses import dataclass

from backlit.errors import unknown
from backlit.protocol import Array

Point = tuple[float, float]


@dataclass(frozen=True)
class Surface:
    """f(x, y), and its gradient; where the race begins, where the minimum is (None: there is none), what is shown.

    `value` and `slope` take x and y as numbers or arrays and give f, and the pair df/dx, df/dy.
    """

    name: str
    formula: str
    value: Callable[[Array, Array], Array]
    slope: Callable[[Array, Array], tuple[Array, Array]]
    start: Point
    minimum: Point | None
    view: tuple[Point, Point]
    source: str = ""

    def objective(self, params: dict[str, Array]) -> tuple[Array, dict[str, Array]]:
        """Value and gradient for parameters {"w": (2,)}."""
        x, y = params["w"][0], params["w"][1]
        return self.value(x, y), {"w": params["w"].__array_namespace__().stack(self.slope(x, y))}

    @property
    def heights(self) -> tuple[float, float]:
        """f at the start and at the minimum."""
        return float(self.value(*self.start)), float(self.value(*(self.minimum or self.start)))


def _beale(x: Array, y: Array) -> Array:
    return (1.5 - x + x * y) ** 2 + (2.25 - x + x * y**2) ** 2 + (2.625 - x + x * y**3) ** 2


def _beale_slope(x: Array, y: Array) -> tuple[Array, Array]:
    a, b, c = 1.5 - x + x * y, 2.25 - x + x * y**2, 2.625 - x + x * y**3
    return (
        2 * a * (y - 1) + 2 * b * (y**2 - 1) + 2 * c * (y**3 - 1),
        2 * a * x + 4 * b * x * y + 6 * c * x * y**2,
    )


SURFACES = (
    Surface(
        "bowl",
        "x²/20 + y²",
        lambda x, y: x**2 / 20 + y**2,
        lambda x, y: (x / 10, 2 * y),
        start=(-7.0, 2.0),
        minimum=(0.0, 0.0),
        view=((-8.0, 4.0), (-3.0, 3.0)),
    ),
    Surface(
        "ravine",
        "25 (x - y)² + (x + y)²/4",
        lambda x, y: 25 * (x - y) ** 2 + (x + y) ** 2 / 4,
        lambda x, y: (50 * (x - y) + (x + y) / 2, -50 * (x - y) + (x + y) / 2),
        start=(-3.0, -2.0),
        minimum=(0.0, 0.0),
        view=((-3.6, 1.4), (-3.4, 1.6)),
    ),
    Surface(
        "rosenbrock",
        "(1 - x)² + 100 (y - x²)²",
        lambda x, y: (1 - x) ** 2 + 100 * (y - x**2) ** 2,
        lambda x, y: (-2 * (1 - x) - 400 * x * (y - x**2), 200 * (y - x**2)),
        start=(-1.2, 1.0),
        minimum=(1.0, 1.0),
        view=((-1.8, 1.6), (-0.7, 2.0)),
        source="Rosenbrock 1960, https://doi.org/10.1093/comjnl/3.3.175",
    ),
    Surface(
        "beale",
        "(1.5 - x + xy)² + (2.25 - x + xy²)² + (2.625 - x + xy³)²",
        _beale,
        _beale_slope,
        start=(1.0, 1.0),
        minimum=(3.0, 0.5),
        view=((-0.4, 4.2), (-1.2, 1.6)),
        source="as test 5 of Moré, Garbow, Hillstrom 1981, https://doi.org/10.1145/355934.355936",
    ),
    Surface(
        "saddle",
        "x² - y²",
        lambda x, y: x**2 - y**2,
        lambda x, y: (2 * x, -2 * y),
        start=(-1.0, 0.001),
        minimum=None,
        view=((-1.3, 1.3), (-1.3, 1.3)),
    ),
)


def surface(name: str) -> Surface:
    """The surface called `name`."""
    names = {s.name: s for s in SURFACES}
    if name not in names:
        raise unknown("surface", name, names)
    return names[name]
