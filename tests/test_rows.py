"""Reductions of rows in the forms that are fast on each engine, and what keeps XLA from undoing a form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from backlit import engine
from backlit.engine.cpu import alone
from backlit.losses.cross_entropy import softmax

ENGINES = {name: engine.get(name) for name in engine.NAMES}
both = pytest.mark.parametrize("home", list(ENGINES.values()), ids=list(ENGINES))
widths = pytest.mark.parametrize("width", [1, 2, 15, 16, 17, 33, 65, 128])
rng = np.random.default_rng(0)


@both
@widths
def test_maximum_and_sum_of_rows(home, width):
    x = rng.normal(size=(3, 5, width))
    sent = home.asarray(x.astype("f"))
    np.testing.assert_array_equal(home.row_max(sent), x.astype("f").max(-1, keepdims=True))
    np.testing.assert_allclose(home.row_sum(sent), x.sum(-1, keepdims=True), atol=1e-5)


@both
@widths
def test_what_is_not_finite_stays_in_its_row(home, width):
    x = rng.normal(size=(4, width)).astype("f")
    x[0, width // 2], x[1, -1], x[2, 0] = np.nan, np.inf, -np.inf
    found, total = home.compile(home.row_max)(home.asarray(x)), home.compile(home.row_sum)(home.asarray(x))
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(found, x.max(-1, keepdims=True))
        np.testing.assert_allclose(total, x.sum(-1, keepdims=True), rtol=1e-4, atol=1e-5)


@widths
def test_softmax_agrees_with_jax(width):
    y = (100 * rng.normal(size=(6, width))).astype("f")
    for home in ENGINES.values():
        p, log_p = home.compile(softmax)(home.asarray(y))
        np.testing.assert_allclose(p, jax.nn.softmax(y), rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(log_p, jax.nn.log_softmax(y), rtol=1e-5, atol=1e-5)


def test_what_is_alone_is_left_in_one_piece_and_computes_the_same():
    def crosswise(x, y):
        return jnp.exp(x).T @ y, {"sum": x.sum(0)}

    def program(x, y):
        return alone(crosswise, jnp.sin(x), y)

    x, y = (rng.normal(size=(6, n)).astype("f") for n in (3, 4))
    compiled = jax.jit(program).lower(x, y).compile()
    assert "conditional" in compiled.as_text()
    for found, wanted in zip(jax.tree.leaves(compiled(x, y)), jax.tree.leaves(crosswise(np.sin(x), y)), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5)
