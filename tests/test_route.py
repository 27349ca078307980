"""Trees of inputs, shared parameters, and what is computed again, against the same written out."""

import os
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pytest

import backlit as bl
from backlit.engine import random, tree
from backlit.errors import BacklitError, SettingError, ShapeError
from backlit.gradcheck import check_gradients
from backlit.protocol import Context, gradient, paths, signals

RNG = np.random.default_rng(0)
LEFT, RIGHT = (RNG.normal(size=(7, 5)).astype("f") for _ in range(2))
V = 9
TOKENS = RNG.integers(V, size=(7, 4))
MASK = {"a": np.ones((7, 4), "f"), "b": np.zeros((7, 3), "f")}


def close(one, other, tolerance=1e-5):
    assert tree.flatten(one).keys() == tree.flatten(other).keys()
    for path, leaf in tree.flatten(other).items():
        np.testing.assert_allclose(tree.flatten(one)[path], leaf, rtol=tolerance, atol=tolerance, err_msg=path)


def masks_seen(net, x, mask):
    """The mask that each Tanh of `net` is given, by its path."""
    _, params, state = net.init(random.key(0), tree.map(lambda a: a.shape[1:], x))
    seen = {}

    def note(layer, params, state, x, ctx):
        seen[".".join(ctx.path)] = ctx.mask
        return x, state, {}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bl.Tanh, "forward", note)
        net.forward(params, state, x, Context(mask=mask))
    return seen


# Parallel, Select, Columns


def test_parallel_gives_each_part_its_own_layer():
    net = bl.Parallel(a=bl.Dense(3), b=bl.Tanh())
    shape, params, state = net.init(random.key(0), {"b": (5,), "a": (5,)})
    y, after, _ = net.forward(params, state, {"a": LEFT, "b": RIGHT}, Context())
    assert shape == {"a": (3,), "b": (5,)}
    assert after == state == {"a": {}, "b": {}}
    close(y, {"a": LEFT @ params["a"]["W"], "b": np.tanh(RIGHT)})
    pair = bl.Parallel(bl.Dense(3), bl.Tanh())
    shape, params, state = pair.init(random.key(0), ((5,), (5,)))
    y, _, cache = pair.forward(params, state, (LEFT, RIGHT), Context())
    assert shape == ((3,), (5,))
    close(y, (LEFT @ params["dense_1"]["W"], np.tanh(RIGHT)))
    dx = pair.backward(params, cache, y)[0]
    assert isinstance(dx, tuple)


def test_a_mask_goes_with_its_part():
    x = {"a": np.ones((7, 4, 2), "f"), "b": np.ones((7, 3, 2), "f")}
    both, shared = bl.Parallel(a=bl.Tanh(), b=bl.Chain(bl.Tanh())), np.ones(7)
    assert masks_seen(both, x, MASK) == {"a": MASK["a"], "b.tanh_1": MASK["b"]}
    assert masks_seen(both, x, {"a": MASK["a"]}) == {"a": MASK["a"], "b.tanh_1": None}
    assert masks_seen(both, x, shared) == {"a": shared, "b.tanh_1": shared}
    assert masks_seen(both, x, None) == {"a": None, "b.tanh_1": None}
    pair = bl.Parallel(bl.Tanh(), second=bl.Select(1, bl.Tanh()))
    found = masks_seen(pair, (x["a"], (x["a"], x["b"])), (MASK["a"], (None, MASK["b"])))
    assert found == {"tanh_1": MASK["a"], "second.tanh_1": MASK["b"]}
    assert masks_seen(bl.Select("b", bl.Tanh()), x, MASK) == {"tanh_1": MASK["b"]}
    assert masks_seen(bl.Select("b", bl.Tanh()), x, shared) == {"tanh_1": shared}


def test_columns_cut_the_array_and_its_mask_in_the_order_given():
    x, mask = np.arange(21.0).reshape(3, 7), np.arange(21).reshape(3, 7) % 2
    net = bl.Columns({"z": 3, "a": 4}, bl.Parallel(a=bl.Tanh(), z=bl.Tanh()))
    y = net.forward(*net.init(random.key(0), (7,))[1:], x, Context())[0]
    close(y, {"z": np.tanh(x[:, :3]), "a": np.tanh(x[:, 3:])})
    close(masks_seen(net, x, mask), {"parallel_1.z": mask[:, :3], "parallel_1.a": mask[:, 3:]})
    rows = np.ones(3)
    assert masks_seen(net, x, rows) == {"parallel_1.z": rows, "parallel_1.a": rows}
    after = bl.Chain(net, bl.Select("a"), bl.Tanh())
    assert masks_seen(after, x, mask)["tanh_1"] is mask, "only the layers within see the parts"


def test_parts_are_joined_by_a_branch_of_selects():
    net = bl.Branch(bl.Select("a", bl.Dense(3)), bl.Select("b", bl.Dense(2)), join="concatenate")
    _, params, state = net.init(random.key(0), {"a": (5,), "b": (5,), "unused": (2,)})
    x = {"a": LEFT, "b": RIGHT, "unused": LEFT[:, :2]}
    y, _, cache = net.forward(params, state, x, Context())
    dx, _, _ = net.backward(params, cache, y)
    W = [params[f"select_{i}"]["dense_1"]["W"] for i in (1, 2)]
    close(y, np.concatenate([LEFT @ W[0], RIGHT @ W[1]], axis=1))
    close(dx, {"a": y[:, :3] @ W[0].T, "b": y[:, 3:] @ W[1].T, "unused": np.zeros((7, 2))})


def test_an_encoder_and_a_decoder_train_on_one_array_of_tokens():
    """The shape of every sequence-to-sequence net: columns, one net a part, a layer that takes both."""
    net = bl.Columns(
        {"source": 3, "target": 4},
        bl.Parallel(
            source=bl.Chain(bl.Embedding(V, 4), bl.Flatten()), target=bl.Chain(bl.Embedding(V, 4), bl.Dense(4))
        ),
        bl.Branch(bl.Select("source", bl.Dense(16), bl.Reshape((4, 4))), bl.Select("target")),
        bl.Dense(V),
    )
    x, y = RNG.integers(V, size=(7, 7)), RNG.integers(V, size=(7, 4))
    check = check_gradients(net, bl.SoftmaxCrossEntropy(), x, y)
    assert check.passed, str(check)
    assert len(check.leaves) == 9, "two tables, three layers, and y"


def test_signals_name_what_is_within_trees():
    net = bl.Chain(bl.Parallel(a=bl.Dense(3), b=bl.Tanh()), last=bl.Select("a", bl.Dense(2)))
    _, params, state = net.init(random.key(0), {"a": (5,), "b": (5,)})
    loss, target = bl.SquaredError(), np.zeros((7, 2), "f")
    seen = signals(gradient(net, loss, params, state, {"a": LEFT, "b": RIGHT}, target)[3])
    assert {"parallel_1.a", "parallel_1.b", "last", "last.dense_1"} <= set(seen) <= set(paths(net))
    assert not seen["parallel_1.b"][1].any(), "nothing flows to the part that nobody selects"


@pytest.mark.parametrize(
    ("net", "shape", "wanted"),
    [
        (bl.Parallel(a=bl.Tanh()), {"b": (5,)},
         "Parallel expected x with a part for each of its layers ['a'], got the shape {'b': (5,)}"),
        (bl.Parallel(bl.Tanh(), bl.Tanh()), ((5,),),
         "Parallel expected x with a part for each of its layers ['tanh_1', 'tanh_2'], got the shape ((5,),)"),
        (bl.Chain(bl.Parallel(a=bl.Tanh())), (5,),
         "parallel_1: Parallel expected x with a part for each of its layers ['a'], got the shape (5,)"),
        (bl.Parallel(a=bl.Chain(bl.Reshape((4,)))), {"a": (5,)},
         "a.reshape_1: Reshape expected rows that fit (4,), got rows of shape (5,) with 5 values"),
        (bl.Select("a"), {"b": (5,)}, "Select expected x with the part 'a', got the shape {'b': (5,)}"),
        (bl.Select(2), ((5,), (5,)), "Select expected x with the part 2, got the shape ((5,), (5,))"),
        (bl.Select(0), (5,), "Select expected x with the part 0, got the shape (5,)"),
        (bl.Columns({"a": 2, "b": 4}, bl.Select("a")), (5,),
         "Columns with {'a': 2, 'b': 4} expected rows of 6, got the shape (5,)"),
        (bl.Columns({"a": 2}, bl.Select("a")), {"a": (2,)},
         "Columns with {'a': 2} expected rows of 2, got the shape {'a': (2,)}"),
        (bl.Tied(bl.Dense(5), bl.Dense(3), ties={"dense_2.W": "dense_1.W"}), (5,),
         "Tied expected a source of the shape (5, 3) for dense_2.W, got (5, 5) from dense_1.W; "
         ".T after the path of a matrix transposes it"),
        (bl.Tied(bl.Dense(5), bl.Dense(5), ties={"dense_2": "dense_1.T"}), (5,),
         "Tied transposes matrices only, got {'W': (5, 5), 'b': (5,)} from dense_1; leave out .T"),
        (bl.Transpose(), (5,), "Transpose expected rows with the axes (1, 2), got rows of shape (5,)"),
        (bl.Pad(((1, 1), (1, 1))), (5,), "Pad with 2 widths expected rows of at least 2 axes, got (5,)"),
        (bl.Crop(((2, 3),)), (5,), "Crop of ((2, 3),) expected larger rows, got (5,)"),
        (bl.UpSample(), (5,), "UpSample expected rows such as (T, C) or (H, W, C), got (5,)"),
    ],
)  # fmt: skip
def test_shapes_that_do_not_fit(net, shape, wanted):
    with pytest.raises(ShapeError) as caught:
        net.init(random.key(0), shape)
    assert str(caught.value) == wanted


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (lambda: bl.Columns({}, bl.Select("a")), "widths: expected widths with different names"),
        (lambda: bl.Columns([("a", 1), ("a", 2)], bl.Select("a")), "widths: expected widths with different names"),
        (lambda: bl.Columns({"a": 0}, bl.Select("a")), "widths.0: expected a number greater than or equal to 1"),
        (lambda: bl.Columns({"a": 2}), "layers: expected layers within Columns that take the parts, got none"),
        (lambda: bl.Select(1.5), "part: expected text or an integer, got 1.5"),
        (lambda: bl.Pad(), "widths: expected (before, after) for one axis or more, got none"),
        (lambda: bl.Pad(((1, -1),)), "widths.0: expected a number greater than or equal to 0"),
        (lambda: bl.Tied(bl.Dense(3)), "ties: expected each place once, with its source"),
        (lambda: bl.Tied(ties=[("a.W", "b.W"), ("a.W", "c.W")]), "ties: expected each place once, with its source"),
        (lambda: bl.Tied(ties={"a.W": "b.W", "b.W": "c.W"}), "ties: expected 'b.W' not to be tied itself"),
        (lambda: bl.Tied(ties={"a.W": "b.W", "b": "c"}), "ties: expected 'b.W' not to be tied itself"),
        (lambda: bl.Tied(ties={"a.W": "a"}), "ties: expected 'a' not to be tied itself"),
        (lambda: bl.Tied(bl.Dense(3), ties={"dense_1.b": "dens_1.W"}).init(random.key(0), (5,)),
         "ties: unknown parameter 'dens_1.W'; did you mean 'dense_1.W'?"),
    ],
)  # fmt: skip
def test_settings_that_make_no_sense(make, wanted):
    with pytest.raises(SettingError) as caught:
        make()
    assert str(caught.value).startswith(wanted)


# Moved numbers


def test_moved_numbers():
    x = RNG.normal(size=(2, 3, 4, 5))

    def y(layer):
        return layer.forward({}, {}, x, Context())[0]

    np.testing.assert_array_equal(y(bl.Transpose((3, 1, 2))), x.transpose(0, 3, 1, 2))
    wide = ((0, 0), (1, 2), (0, 3), (0, 0))
    np.testing.assert_array_equal(y(bl.Pad(wide[1:3], value=0.5)), np.pad(x, wide, constant_values=0.5))
    np.testing.assert_array_equal(y(bl.Crop(((1, 0), (0, 2)))), x[:, 1:, :-2])
    np.testing.assert_array_equal(y(bl.UpSample(2)), x.repeat(2, axis=1).repeat(2, axis=2))


def test_padding_keeps_tokens_whole():
    y = bl.Pad(((2, 0),), value=3).forward({}, {}, TOKENS, Context())[0]
    assert y.dtype == TOKENS.dtype
    np.testing.assert_array_equal(y[:, :2], 3)


@pytest.mark.parametrize(
    "layer",
    [bl.WordWindow(), bl.Flatten(), bl.Reshape(), bl.Transpose(), bl.Pad(((1, 0),)), bl.Crop(((1, 0),)), bl.UpSample(),
     bl.Columns({"a": 1}, bl.Select("a"))],
    ids=lambda layer: type(layer).__name__,
)  # fmt: skip
def test_layers_that_need_the_whole_sequence_say_so(layer):
    with pytest.raises(BacklitError, match=rf"{type(layer).__name__} .* whole sequence, so it cannot go step by step"):
        layer.memory({}, 2, 3)


# Tied


def test_tied_words_are_the_output_layer_and_their_gradients_add():
    layers = {"words": bl.Embedding(V, 4), "mix": bl.Tanh(), "out": bl.Dense(V)}
    tied, apart = bl.Tied(**layers, ties={"out.W": "words.W.T"}), bl.Chain(**layers)
    _, params, state = tied.init(random.key(0), (4,))
    assert list(tree.flatten(params)) == ["out.b", "words.W"]
    W = params["words"]["W"]
    twice = {**params, "out": {**params["out"], "W": W.T}}
    loss, labels = bl.SoftmaxCrossEntropy(), RNG.integers(V, size=(7, 4))
    one, other = (gradient(n, loss, p, state, TOKENS, labels) for n, p in ((tied, params), (apart, twice)))
    assert one[0] == other[0]
    h = np.tanh(W[TOKENS])
    np.testing.assert_allclose(one[3].cache.here, h @ W.T, rtol=1e-5)
    close(one[1]["words"]["W"], other[1]["words"]["W"] + other[1]["out"]["W"].T)
    close(one[1]["out"], {"b": other[1]["out"]["b"]})


def test_siamese_nets_share_whole_layers():
    f = bl.Chain(bl.Dense(4), bl.Tanh(), bl.Dense(3))
    pair = bl.Tied(both=bl.Parallel(left=f, right=f), ties={"both.right": "both.left"})
    _, params, state = pair.init(random.key(0), {"left": (5,), "right": (5,)})
    assert params.keys() == {"both"}
    assert params["both"].keys() == {"left"}
    inner = params["both"]["left"]
    y, after, cache = pair.forward(params, state, {"left": LEFT, "right": RIGHT}, Context())
    alone = {
        name: f.forward(inner, state["both"][name], x, Context()) for name, x in (("left", LEFT), ("right", RIGHT))
    }
    close(y, {name: found[0] for name, found in alone.items()})
    assert after == state, "state is each place's own"
    dx, grads, _ = pair.backward(params, cache, y)
    back = {name: f.backward(inner, found[2], found[0]) for name, found in alone.items()}
    close(dx, {name: found[0] for name, found in back.items()})
    close(grads["both"]["left"], tree.map(lambda a, b: a + b, back["left"][1], back["right"][1]))
    close(f.forward(inner, state["both"]["left"], LEFT, Context())[0], y["left"])


def test_tied_parameters_train_as_one():
    net = bl.Tied(bl.Dense(5, b=None), bl.Tanh(), bl.Dense(5, b=None), ties={"dense_2.W": "dense_1.W.T"})
    run = bl.train(net, (LEFT, LEFT), epochs=2, batch_size=4, split={"test": 0, "validation": 0}, engine="numpy")
    assert {path: w.shape for path, w in tree.flatten(run.params).items()} == {"dense_1.W": (5, 5)}
    W = run.params["dense_1"]["W"]
    np.testing.assert_allclose(run.outputs(LEFT), np.tanh(LEFT @ W) @ W.T, rtol=1e-4, atol=1e-5)


# Remat


def test_remat_gives_the_same_pass_and_the_same_gradients():
    layers = {"first": bl.Dense(4), "norm": bl.BatchNorm(), "drop": bl.Dropout(0.5), "last": bl.Dense(3)}
    kept, again = bl.Chain(part=bl.Chain(**layers)), bl.Chain(part=bl.Remat(**layers))
    _, params, state = kept.init(random.key(0), (5,))
    loss, labels = bl.SoftmaxCrossEntropy(), RNG.integers(3, size=7)
    for train in (True, False):
        ctx = Context(train=train, root=random.key(1))
        one, other = (gradient(net, loss, params, state, LEFT, labels, ctx) for net in (again, kept))
        assert one[0] == other[0]
        close(one[1], other[1], 1e-7)
        close(one[2], other[2], 0)
        close(one[3].dx, other[3].dx, 1e-7)
        assert set(signals(one[3])) == {"part"}
        assert set(signals(other[3])) == {"part", *(f"part.{name}" for name in layers)}


def test_remat_keeps_its_input_alone():
    net = bl.Remat(bl.Dense(64), bl.SiLU(), bl.Dropout(0.5), bl.Dense(64), bl.SiLU())
    _, params, state = net.init(random.key(0), (5,))
    cache = net.forward(params, state, LEFT, Context(train=True, root=random.key(1)))[2]
    assert cache.x is LEFT
    assert tree.size(cache) == LEFT.size + 2, "x and a key"


DEEP = """
import jax, jax.numpy as jnp, backlit as bl
bl.engine.get("xla")

for block in (bl.Chain, bl.Remat):
    parts = [block(*[layer for _ in range(4) for layer in (bl.Dense(64, b=None), bl.SiLU())]) for _ in range(6)]
    net, x = bl.Chain(*parts), jnp.ones((512, 64))
    _, params, state = net.init(bl.random.key(0), (64,))
    step = jax.jit(lambda params, x: bl.gradient(net, bl.SquaredError(), params, state, x, x)[:2])
    compiled = step.lower(params, x).compile()
    print(compiled.as_text().count("tanh("), compiled.memory_analysis().temp_size_in_bytes)
"""


def test_the_compiler_does_not_undo_remat():
    """XLA's usual order for CPUs keeps many cores busy rather than memory small, so another order is asked for."""
    environment = {**os.environ, "XLA_FLAGS": "--xla_cpu_enable_concurrency_optimized_scheduler=false"}
    done = subprocess.run([sys.executable, "-c", DEEP], env=environment, capture_output=True, text=True, check=True)
    kept, again = (tuple(map(int, line.split())) for line in done.stdout.splitlines())
    assert again[0] == 2 * kept[0] == 48, "forward runs twice"
    assert again[1] < kept[1] / 2, "and what it computes is not kept"


# The gradient check on trees


class Lost(bl.Tanh):
    """dx = 0."""

    def backward(self, params, cache, dy):
        return 0 * dy, {}, {}


@dataclass(frozen=True)
class Sum(bl.Loss):
    """The sum of all parts of y; dL/dy of the part called `wrong` is not 1."""

    wrong: str = ""

    def __call__(self, y, target, weight=None):
        value = sum(a.__array_namespace__().sum(a) for a in y.values())
        return value, {name: (2.0 if name == self.wrong else 1.0) + 0 * a for name, a in y.items()}


def test_a_check_of_trees_names_the_part():
    net, x = bl.Parallel(left=bl.Dense(3), right=Lost()), {"left": LEFT, "right": RIGHT}
    found = check_gradients(net, Sum(), x, None)
    assert [leaf.path for leaf in found.leaves] == ["x.left", "x.right", "left.W", "left.b", "y.left", "y.right"]
    assert found.failed == ("x.right",)
    found = check_gradients(bl.Parallel(left=bl.Dense(3), right=bl.Tanh()), Sum(wrong="left"), x, None)
    assert "y.left" in found.failed
    assert found.verdict() == "The loss returns a wrong dL/dy, so nothing before it can be right: mend the loss first."


def test_a_layer_that_fails_on_a_tree_is_named_with_its_shapes():
    net = bl.Chain(pair=bl.Parallel(bl.Dense(3), bl.Dense(2)))
    _, params, _ = net.init(random.key(0), ((5,), (4, 5)))
    params["pair"]["dense_2"]["W"] = np.ones((6, 2))
    with pytest.raises(
        ShapeError, match=r"^pair.dense_2: Dense.forward failed for x of shape \(7, 4, 5\) with ValueError"
    ):
        check_gradients(net, bl.SquaredError(), (LEFT, np.ones((7, 4, 5))), None, params=params)
    with pytest.raises(ShapeError, match=r"Tanh.forward failed for x of shape \(\(7, 5\), \(7, 4, 5\)\) with "):
        check_gradients(bl.Chain(bl.Tanh()), bl.SquaredError(), (LEFT, np.ones((7, 4, 5))), None)
