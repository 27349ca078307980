"""Convolutions on both engines, against JAX's, SciPy's and published formulas; that they are in a form XLA computes fast."""

import inspect
import math

import jax
import numpy as np
import pytest
import scipy.signal
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from jax import lax
from jax.extend.core import jaxprs_in_params

import backlit as bl
from backlit import engine
from backlit.engine import convolution_numpy, convolution_xla, cpu, random
from backlit.engine.window import Window, exchanged, fit
from backlit.errors import BacklitError, SettingError, ShapeError
from backlit.settings import build

numpy, xla = engine.get("numpy"), engine.get("xla")
few = settings(max_examples=25, deadline=None)


def per_axis(rank, values):
    return st.tuples(*[values] * rank)


@st.composite
def geometries(draw, ranks=(1, 2, 3)):
    """The spatial shape, the kernel, the window, and channels in and out of a group."""
    rank = draw(st.sampled_from(ranks))
    shape = draw(per_axis(rank, st.integers(1, 7 - rank)))
    kernel = draw(per_axis(rank, st.integers(1, 5 - rank)))
    ends = st.tuples(st.integers(0, 3), st.integers(0, 3))
    window = Window(
        draw(per_axis(rank, st.integers(1, 3))),
        draw(per_axis(rank, ends)),
        draw(per_axis(rank, st.integers(1, 2))),
        draw(st.integers(1, 3)),
    )
    assume(min(window.sizes(shape, kernel)) >= 1)
    return shape, kernel, window, draw(st.integers(1, 3)), draw(st.integers(1, 3))


CASES = {
    "few products": ((5, 4), (3, 2), Window((2, 1), ((1, 0), (0, 2)), (1, 2)), 2, 3),
    "one by one": ((5, 4), (1, 1), Window((2, 1), ((1, 0), (0, 2)), (1, 1)), 4, 3),
    "canonical": ((5, 4), (3, 2), Window((2, 1), ((1, 0), (0, 2)), (1, 2)), 9, 11),
    "sequence": ((9,), (3,), Window((2,), ((1, 1),), (2,)), 18, 20),
    "volume": ((3, 4, 3), (2, 1, 3), Window((1, 2, 1), ((1, 0), (0, 0), (0, 1)), (2, 1, 1)), 9, 10),
    "groups": ((5, 4), (2, 3), Window((1, 2), ((1, 0), (2, 1)), (1, 1), 2), 9, 10),
    "depthwise": ((8, 4), (2, 2), Window((1, 2), ((1, 0), (0, 2)), (2, 1), 3), 1, 2),
    "interleaved": ((5, 4), (4, 2), Window((2, 2), ((1, 2), (0, 0)), (1, 1)), 3, 14),
    "few outputs": ((5, 4), (3, 3), Window((2, 1), ((2, 1), (1, 1)), (1, 1)), 8, 2),
    "small images": ((2, 2), (3, 3), Window((1, 1), ((1, 1), (1, 1)), (1, 1)), 9, 9),
    "much padding": ((2, 3), (2, 2), Window((1, 1), ((3, 2), (1, 3)), (1, 1)), 14, 13),
}
cases = pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))


def arrays(case, seed=0):
    """x, W and dy of a geometry, float64."""
    shape, kernel, window, inputs, outputs = case
    rng, groups = np.random.default_rng(seed), window.groups
    x = rng.normal(size=(2, *shape, groups * inputs))
    W = rng.normal(size=(*kernel, inputs, groups * outputs))
    return x, W, rng.normal(size=(2, *window.sizes(shape, kernel), groups * outputs))


QUICKLY = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
"""An oracle runs once: it need not be fast."""


def oracle(x, W, dy, window):
    """y, dx and dW by JAX, in one program."""
    letters = "DHW"[5 - x.ndim :]
    forms = f"N{letters}C", f"{letters}IO", f"N{letters}C"

    def convolve(x, W):
        return lax.conv_general_dilated(
            x, W, window.strides, window.padding, None, window.dilation, forms, window.groups
        )

    def passes(x, W, dy):
        y, back = jax.vjp(convolve, x, W)
        return y, *back(dy)

    return jax.jit(passes, compiler_options=QUICKLY)(x, W, dy)


def ours(home, x, W, dy, window):
    """y, dx and dW by an engine."""
    return (
        home.convolve(x, W, window),
        home.convolve_dx(dy, W, window, x.shape[1:-1]),
        home.convolve_dW(x, dy, window, W.shape[:-2]),
    )


def assert_same(found, wanted, tolerance=1e-11):
    for one, other in zip(found, wanted, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance * max(1.0, np.max(np.abs(other), initial=0.0)))


# The engines


def test_both_engines_have_the_same_face():
    names = {name for name, f in inspect.getmembers(convolution_numpy, inspect.isfunction)
             if f.__module__ == convolution_numpy.__name__ and not name.startswith("_")}  # fmt: skip
    assert names == {"convolve", "convolve_dx", "convolve_dW", "channel_sums"}
    for name in names:
        here, there = getattr(numpy, name), getattr(xla, name)
        assert inspect.signature(here) == inspect.signature(there)
        assert here.__doc__
        assert there.__doc__


@few
@given(geometries())
def test_numpy_agrees_with_jax(case):
    x, W, dy = arrays(case)
    with jax.enable_x64(True):
        assert_same(ours(numpy, x, W, dy, case[2]), oracle(x, W, dy, case[2]))


@cases
def test_xla_agrees_with_numpy(case):
    x, W, dy = (a.astype("f") for a in arrays(case))
    found = jax.jit(lambda *given: ours(xla, *given, case[2]))(x, W, dy)
    assert_same(found, ours(numpy, x, W, dy, case[2]), 1e-5)


@pytest.mark.parametrize("name", ["volume", "groups", "depthwise", "interleaved", "few outputs"])
def test_xla_agrees_with_numpy_on_other_devices(name, monkeypatch):
    for module in (convolution_xla, cpu):
        monkeypatch.setattr(module, "on_cpu", lambda: False)
    x, W, dy = (a.astype("f") for a in arrays(CASES[name]))
    home = convolution_xla  # not by way of the engine, which keeps what it has traced for the CPU
    found = jax.jit(lambda *given: (*ours(home, *given, CASES[name][2]), home.channel_sums(given[0])))(x, W, dy)
    assert_same(found, (*ours(numpy, x, W, dy, CASES[name][2]), numpy.channel_sums(x)), 1e-5)


@few
@given(geometries())
def test_the_three_functions_are_adjoint(case):
    x, W, dy = arrays(case)
    y, dx, dW = ours(numpy, x, W, dy, case[2])
    assert math.isclose(np.sum(y * dy), np.sum(x * dx), abs_tol=1e-9)
    assert math.isclose(np.sum(y * dy), np.sum(W * dW), abs_tol=1e-9)


def test_against_scipy():
    x, W, _ = arrays(((9, 8), (3, 2), Window((1, 1), ((0, 0), (0, 0)), (1, 1)), 4, 1))
    y = numpy.convolve(x, W, Window((1, 1), ((0, 0), (0, 0)), (1, 1)))
    found = sum(scipy.signal.correlate(x[0, :, :, c], W[:, :, c, 0], mode="valid") for c in range(4))
    np.testing.assert_allclose(y[0, :, :, 0], found, rtol=1e-12)


def test_channel_sums():
    x = np.random.default_rng(0).normal(size=(3, 4, 5, 2)).astype("f")
    for home in (numpy, xla):
        np.testing.assert_allclose(home.channel_sums(home.asarray(x)), x.sum((0, 1, 2)), rtol=1e-5)


def convolutions(program):
    """Every convolution in a traced program, loops and conditions included."""
    for step in program.eqns:
        if step.primitive.name == "conv_general_dilated":
            yield step
        for inner in jaxprs_in_params(step.params):
            yield from convolutions(inner)


@cases
def test_xla_sees_only_forms_that_are_fast_within_a_loop(case):
    """All others fall to a loop over single numbers there: hundreds of times slower."""
    program = jax.make_jaxpr(lambda *given: ours(xla, *given, case[2]))(*(a.astype("f") for a in arrays(case)))
    for step in convolutions(program.jaxpr):
        x, W = (var.aval.shape for var in step.invars)
        rank = len(x) - 2
        numbers, channels_last = step.params["dimension_numbers"], (0, rank + 1, *range(1, rank + 1))
        assert rank <= 2
        assert (numbers.lhs_spec, numbers.out_spec) == (channels_last, channels_last)
        assert numbers.rhs_spec == (rank + 1, rank, *range(rank))
        assert step.params["feature_group_count"] == step.params["batch_group_count"] == 1
        assert math.prod(W[:-2]) <= math.prod(x[1:-1]), "XLA would exchange input and kernel"


def test_a_sum_of_offsets_passes_nan_on():
    x, W = np.ones((1, 3, 1), "f"), np.full((2, 1, 1), np.nan, "f")
    y = jax.jit(lambda x, W: xla.convolve(x, W, Window((1,), ((0, 0),), (1,))))(x, W)
    assert np.all(np.isnan(y))


# The layers


def forward(layer, params, x):
    return layer.forward(params, {}, x, bl.Context())[0]


@given(st.integers(1, 9), st.integers(1, 5), st.integers(1, 4), st.integers(1, 3))
def test_same_gives_one_output_for_each_stride(n, kernel, stride, dilation):
    _, window = fit("Conv", (n, 1), kernel, stride, "same", dilation)
    assert window.sizes((n,), (kernel,)) == (-(-n // stride),)
    ((before, behind),) = window.padding
    assert behind - before in (0, 1)


def test_the_odd_zero_of_same_stands_behind():
    x = np.array([[[1.0], [2.0], [3.0]]])
    y = forward(bl.Conv(1, 2, b=None), {"W": np.array([[[1.0]], [[10.0]]])}, x)
    assert y.ravel().tolist() == [21.0, 32.0, 3.0]


@few
@given(geometries(ranks=(2,)))
def test_groups_are_convolutions_side_by_side(case):
    (_, kernel, window, inputs, outputs), (x, W, _) = case, arrays(case)
    groups, stride, pads, dilation = window.groups, window.strides, window.padding, window.dilation
    together = forward(bl.Conv(groups * outputs, kernel, stride, pads, dilation, groups, b=None), {"W": W}, x)
    apart = [
        forward(
            bl.Conv(outputs, kernel, stride, pads, dilation, b=None),
            {"W": W[..., g * outputs : (g + 1) * outputs]},
            x[..., g * inputs : (g + 1) * inputs],
        )
        for g in range(groups)
    ]
    np.testing.assert_allclose(together, np.concatenate(apart, axis=-1), atol=1e-12)
    if inputs == 1:
        depthwise = bl.DepthwiseConv(kernel, outputs, stride, pads, dilation, b=None)
        np.testing.assert_allclose(forward(depthwise, {"W": W}, x), together, atol=1e-12)


@few
@given(st.integers(1, 6), st.integers(1, 5), st.integers(1, 3), st.integers(1, 2), st.integers(0, 2), st.integers(0, 2))
def test_transposed_has_the_size_that_torch_gives(n, kernel, stride, dilation, padding, extra):
    """torch.nn.ConvTranspose1d: (L - 1) stride - 2 padding + dilation (kernel - 1) + output_padding + 1."""
    size = (n - 1) * stride - 2 * padding + dilation * (kernel - 1) + extra + 1
    assume(extra < stride and size >= 1)
    layer = bl.ConvTranspose(3, kernel, stride, padding, extra, dilation)
    shape, params, _ = layer.init(random.key(0), (n, 2))
    assert shape == (size, 3)
    x = np.random.default_rng(0).normal(size=(2, n, 2))
    z = forward(layer, params, x)
    assert z.shape == (2, size, 3)
    back = bl.Conv(2, kernel, stride, padding, dilation, b=None)
    there = {"W": exchanged(params["W"], 1)}
    y = np.random.default_rng(1).normal(size=z.shape)
    assert math.isclose(np.sum(z * y), np.sum(x * forward(back, there, y)), abs_tol=1e-6)


def test_transposed_with_same_multiplies_the_size():
    for kernel, stride in ((3, 2), (2, 2), (1, 3), (5, 1)):
        assert bl.ConvTranspose(3, kernel, stride).init(random.key(0), (4, 5, 2))[0] == (4 * stride, 5 * stride, 3)


def test_variance_counts_the_inputs_of_one_group():
    for layer, inputs in ((bl.Conv(64, 3), 32), (bl.Conv(64, 3, groups=4), 8), (bl.DepthwiseConv(3, multiplier=20), 1)):
        W = layer.init(random.key(0), (8, 8, 32))[1]["W"]
        assert abs(float(W.var()) * 9 * inputs / 2 - 1) < 0.1


def test_one_number_takes_its_axes_from_the_rows():
    for shape in ((6, 2), (6, 5, 2), (6, 5, 4, 2)):
        made, params, _ = bl.Conv(3, 2).init(random.key(0), shape)
        assert made == (*shape[:-1], 3)
        assert params["W"].shape == (*(2,) * (len(shape) - 1), 2, 3)


def test_aliases():
    for name in ("Conv1D", "Conv2D", "Conv3D"):
        assert build(bl.Layer, {"type": name, "channels": 4}) == bl.Conv(4)


ERRORS = [
    (bl.Conv(4), (784,), r"Conv expected rows \(T, C\), \(H, W, C\) or \(D, H, W, C\), got \(784,\); use Reshape"),
    (bl.Conv(4, (3, 3)), (28, 28), r"one kernel for all or one for each of 1 spatial axis.*use x\[..., None\]"),
    (bl.Conv(4, 3, stride=(2, 2)), (9, 2), "one stride for all or one for each of 1 spatial axis"),
    (bl.Conv(4, 3, padding=(1,)), (9, 9, 2), "one padding for all or one for each of 2 spatial axes"),
    (bl.Conv(4, 3, dilation=(1, 2, 1)), (9, 9, 2), "one dilation for all or one for each of 2 spatial axes"),
    (bl.Conv(4, 5, padding=1), (2, 9, 2), r"at most the padded input, \(4, 11\), got one that spans \(5, 5\); use"),
    (
        bl.Conv(4, 3, padding="valid", dilation=3),
        (6, 2),
        r"at most the padded input, \(6,\), got one that spans \(7,\)",
    ),
    (bl.Conv(4, groups=2), (9, 9, 3), "groups=2 expected a number of input channels that this divides, got 3"),
    (bl.ConvTranspose(4, groups=2), (9, 9, 3), "groups=2 expected a number of input channels that this divides, got 3"),
    (bl.ConvTranspose(4, 3, 2, 1, output_padding=2), (9, 2), "output_padding less than the stride"),
    (bl.ConvTranspose(4, 3, 2, output_padding=1), (9, 2), "output_padding less than the stride, and 0"),
    (bl.ConvTranspose(4, 1, padding=2), (4, 2), r"expected less padding than output, got \(\(2, 2\),\)"),
    (bl.DepthwiseConv(), (), r"DepthwiseConv expected rows .* got \(\)"),
]


@pytest.mark.parametrize(("layer", "shape", "text"), ERRORS, ids=[str(layer)[:60] for layer, _, _ in ERRORS])
def test_shapes_that_do_not_fit(layer, shape, text):
    with pytest.raises(ShapeError, match=text):
        layer.init(random.key(0), shape)


@pytest.mark.parametrize("kind", [bl.Conv, bl.ConvTranspose])
def test_groups_divide_the_outputs(kind):
    with pytest.raises(SettingError, match="groups: expected a divisor of channels = 4, got 3"):
        kind(4, groups=3)


def test_padding_is_not_negative():
    with pytest.raises(SettingError, match="padding: expected"):
        bl.Conv(4, padding=-1)


@pytest.mark.parametrize(
    ("layer", "shape"), [(bl.Conv(4), (6, 2)), (bl.Conv(4), (6, 5, 2)), (bl.DepthwiseConv(), (6, 2))]
)
def test_what_looks_ahead_cannot_go_step_by_step(layer, shape):
    params = layer.init(random.key(0), shape)[1]
    with pytest.raises(BacklitError, match=r"sees steps to come.*padding=\(\(2, 0\),\) look back only"):
        layer.memory(params, 3, 6)
