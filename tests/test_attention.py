"""What attention, positions and Transformer blocks compute, against loops and formulas written elsewhere."""

from functools import partial

import jax
import numpy as np
import pytest

import backlit as bl
from backlit import engine
from backlit.engine import random, tree
from backlit.errors import BacklitError, SettingError, ShapeError
from backlit.protocol import Context, Seen

B, TQ, TK = 3, 4, 5
MASK = np.array([[1.0, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 0, 1, 1, 0]])


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def three(width, shared=None, values=None):
    """Queries, keys and values."""
    return {
        "query": draw(B, TQ, width, seed=1),
        "key": draw(B, TK, shared or width, seed=2),
        "value": draw(B, TK, values or shared or width, seed=3),
    }


def start(layer, x, seed=0):
    """Parameters in float64, off their start."""
    _, params, state = layer.init(random.key(seed), tree.map(lambda a: a.shape[1:], x))
    rng = np.random.default_rng(seed)
    return tree.map(lambda w: w.astype(float) + 0.1 * rng.normal(size=w.shape), params), state


def run(layer, x, mask=None, params=None):
    params = start(layer, x)[0] if params is None else params
    return layer.forward(params, start(layer, x)[1], x, Context(mask=mask))[0]


def by_loops(x, score, mask=None, causal=False):
    """Attention as its formula says it, one query and one key after another."""
    y = np.zeros((B, x["query"].shape[1], x["value"].shape[2]))
    for n in range(B):
        for i, q in enumerate(x["query"][n]):
            seen = [j for j in range(TK) if (mask is None or mask[n, j]) and (not causal or j <= i)]
            e = np.array([np.exp(score(q, x["key"][n, j])) for j in seen])
            for weight, j in zip(e / e.sum(), seen, strict=True):
                y[n, i] += weight * x["value"][n, j]
    return y


# Scores


@pytest.mark.parametrize("mask", [None, MASK], ids=["", "masked"])
@pytest.mark.parametrize("causal", [False, True], ids=["", "causal"])
@pytest.mark.parametrize("scaled", [False, True], ids=["", "scaled"])
def test_dot_product_attention_is_its_formula(mask, causal, scaled):
    x = three(6, values=2)
    y = run(bl.DotProductAttention(scaled=scaled, causal=causal), x, mask)
    scale = 6**-0.5 if scaled else 1.0
    np.testing.assert_allclose(y, by_loops(x, lambda q, k: q @ k * scale, mask, causal), rtol=1e-12)


@pytest.mark.parametrize("mask", [None, MASK], ids=["", "masked"])
def test_additive_attention_is_its_formula(mask):
    x = {**three(6, values=2), "key": draw(B, TK, 3, seed=2)}
    layer = bl.AdditiveAttention(7)
    p, _ = start(layer, x)
    y = run(layer, x, mask, p)
    np.testing.assert_allclose(y, by_loops(x, lambda q, k: p["w"] @ np.tanh(q @ p["W"] + k @ p["U"]), mask), rtol=1e-12)


@pytest.mark.parametrize("shared", [None, 1, 2], ids=["own keys", "one for all", "two heads of keys"])
@pytest.mark.parametrize("causal", [False, True], ids=["", "causal"])
def test_heads_agree_with_jax(shared, causal):
    heads, d = 4, 3
    x = three(heads * d, (shared or heads) * d)
    y = run(bl.DotProductAttention(heads, shared, causal=causal), x, MASK)
    q, k, v = (x[name].astype("f").reshape(B, -1, x[name].shape[-1] // d, d) for name in ("query", "key", "value"))
    oracle = jax.jit(partial(jax.nn.dot_product_attention, is_causal=causal))(q, k, v, mask=MASK[:, None, None, :] > 0)
    np.testing.assert_allclose(y, np.asarray(oracle).reshape(B, TQ, -1), rtol=1e-5, atol=1e-6)


def test_weights_are_distributions_over_the_keys_that_are_seen():
    x, layer = three(6), bl.DotProductAttention(2, causal=True)
    p = layer.weights(x, Context(mask=MASK))
    assert p.shape == (B, 2, TQ, TK)
    np.testing.assert_allclose(p.sum(axis=-1), 1.0)
    hidden = (MASK == 0)[:, None, None, :] | (np.arange(TK) > np.arange(TQ)[:, None])
    assert np.all(p[np.broadcast_to(hidden, p.shape)] == 0)


@pytest.mark.parametrize("layer", [bl.DotProductAttention(2), bl.AdditiveAttention(4)], ids=["dot", "additive"])
def test_a_query_that_sees_no_key_gives_zeros_and_gets_no_gradient(layer):
    x, mask = three(6), np.zeros((B, TK))
    mask[1:] = MASK[1:]
    params, state = start(layer, x)
    y, _, cache = layer.forward(params, state, x, Context(mask=mask))
    dx, grads, _ = layer.backward(params, cache, np.ones_like(y))
    assert np.all(y[0] == 0)
    assert all(np.all(leaf[0] == 0) for leaf in tree.leaves(dx))
    assert all(np.all(np.isfinite(leaf)) for leaf in tree.leaves((y, dx, grads)))


@pytest.mark.parametrize("scale", [1e3, 1e18])
def test_large_scores_do_not_overflow(scale):
    x = {name: (part * scale).astype("f") for name, part in three(6).items()}
    layer = bl.DotProductAttention()
    y, _, cache = layer.forward({}, {}, {**x, "value": x["value"] / np.float32(scale)}, Context())
    dx, _, _ = layer.backward({}, cache, np.ones_like(y))
    assert all(np.all(np.isfinite(leaf)) for leaf in tree.leaves((y, dx["value"])))


def test_dropout_drops_weights_and_scales_the_rest():
    x = {"query": np.zeros((1, 200, 2)), "key": np.ones((1, 50, 2)), "value": np.ones((1, 50, 1))}
    ctx = Context(train=True, root=random.key(0))
    y, _, cache = bl.DotProductAttention(dropout=0.5).forward({}, {}, x, ctx)
    kept = y * 50 / 2  # how many of 50 equal weights were kept
    np.testing.assert_allclose(kept, np.round(kept), atol=1e-9)
    assert abs(kept.mean() - 25) < 4 * (50 * 0.25 / 200) ** 0.5
    assert sum(leaf.size for leaf in tree.leaves(cache.dropped)) == 2, "the key draws the mask again"


# Masks


@pytest.mark.parametrize(
    "mask", [MASK, {"query": np.ones((B, TQ)), "key": MASK}, {"key": MASK}], ids=["array", "tree", "dict"]
)
def test_masks_of_keys(mask):
    x, layer = three(6), bl.DotProductAttention()
    np.testing.assert_array_equal(run(layer, x, mask), run(layer, x, MASK))
    np.testing.assert_array_equal(run(layer, x, np.ones(B)), run(layer, x))  # whole rows: no key is hidden
    np.testing.assert_array_equal(run(layer, x, {"query": np.ones((B, TQ))}), run(layer, x))


@pytest.mark.parametrize(
    ("layer", "x"),
    [
        (bl.MultiHeadAttention(2, rotary=bl.RotaryPositions()), draw(B, TK, 8)),
        (bl.TransformerEncoderBlock(2, hidden=5), draw(B, TK, 8)),
        (bl.CrossAttention(2), {"x": draw(B, TQ, 8), "memory": draw(B, TK, 3)}),
        (bl.TransformerDecoderBlock(2, hidden=5), {"x": draw(B, TQ, 8), "memory": draw(B, TK, 3)}),
    ],
    ids=["self", "encoder", "cross", "decoder"],
)
def test_padding_is_as_if_it_were_not_there(layer, x):
    params, state = start(layer, x)
    two = isinstance(x, dict)
    mask = (
        {"x": np.ones((B, TQ)), "memory": np.array([[1.0, 1, 1, 0, 0]] * B)}
        if two
        else np.array([[1.0, 1, 1, 0, 0]] * B)
    )
    short = {**x, "memory": x["memory"][:, :3]} if two else x[:, :3]
    y = layer.forward(params, state, x, Context(mask=mask))[0]
    wanted = layer.forward(params, state, short, Context())[0]
    y, wanted = (a["x"] if isinstance(a, dict) else a for a in (y, wanted))
    np.testing.assert_allclose(y[:, : wanted.shape[1]], wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    "layer",
    [bl.MultiHeadAttention(2, causal=True, rotary=bl.RotaryPositions()), bl.TransformerEncoderBlock(2, causal=True)],
    ids=["attention", "block"],
)
def test_the_future_has_no_say(layer):
    x = draw(B, TK, 8)
    params, state = start(layer, x)
    y, _, cache = layer.forward(params, state, x, Context())
    other = np.concatenate([x[:, :3], draw(B, TK - 3, 8, seed=9)], axis=1)
    np.testing.assert_allclose(layer.forward(params, state, other, Context())[0][:, :3], y[:, :3], rtol=1e-12)
    dy = np.zeros_like(y)
    dy[:, 2] = draw(B, 8, seed=4)
    dx = layer.backward(params, cache, dy)[0]
    assert np.all(dx[:, 3:] == 0)
    assert np.all(np.any(dx[:, :3] != 0, axis=-1))


# Projections


def test_multi_head_attention_is_its_formula():
    x, layer = draw(B, TK, 6), bl.MultiHeadAttention(2, width=8)
    p, _ = start(layer, x)
    q, k, v = np.split(x @ p["qkv"]["W"] + p["qkv"]["b"], 3, axis=-1)
    heads = [
        run(bl.DotProductAttention(), {"query": a, "key": b, "value": c}, MASK)
        for a, b, c in zip(*(np.split(part, 2, axis=-1) for part in (q, k, v)), strict=True)
    ]
    wanted = np.concatenate(heads, axis=-1) @ p["out"]["W"] + p["out"]["b"]
    np.testing.assert_allclose(run(layer, x, MASK, p), wanted, rtol=1e-10)
    assert layer.weights(p, x, Context(mask=MASK)).shape == (B, 2, TK, TK)


def test_cross_attention_on_itself_is_multi_head_attention():
    x = draw(B, TK, 6)
    one, two = bl.MultiHeadAttention(2), bl.CrossAttention(2)
    p, _ = start(one, x)
    W, b = p["qkv"]["W"], p["qkv"]["b"]
    q, kv = {"W": W[:, :6], "b": b[:6]}, {"W": W[:, 6:], "b": b[6:]}
    both = {"x": x, "memory": x}
    y = two.forward({"q": q, "kv": kv, "out": p["out"]}, {}, both, Context(mask=MASK))[0]
    np.testing.assert_allclose(y, run(one, x, MASK, p), rtol=1e-12)
    ctx = Context(mask={"x": None, "memory": MASK})
    weights = two.weights({"q": q, "kv": kv, "out": p["out"]}, both, ctx)
    np.testing.assert_allclose(weights, one.weights(p, x, Context(mask=MASK)), rtol=1e-12)


def test_projections_are_drawn_as_if_they_stood_apart():
    _, params, _ = bl.MultiHeadAttention(2).init(random.key(0), (TK, 100))
    limit = (6 / (100 + 100)) ** 0.5  # Xavier for 100 to 100, not for 100 to 300
    largest = np.abs(params["qkv"]["W"]).reshape(100, 3, 100).max(axis=(0, 2))
    np.testing.assert_allclose(largest, limit, rtol=0.01)


# Positions


def test_sinusoidal_positions_are_their_formula():
    D, y = 6, bl.SinusoidalPositions().forward({}, {}, np.zeros((1, 50, 6)), Context())[0][0]
    for t in (0, 1, 17, 49):
        for i in range(D // 2):
            angle = t / 10000 ** (2 * i / D)
            np.testing.assert_allclose(y[t, 2 * i : 2 * i + 2], [np.sin(angle), np.cos(angle)], atol=1e-12)


@pytest.mark.parametrize("form", ["halves", "interleaved"])
def test_rotary_positions_turn_complex_numbers(form):
    heads, d = 2, 6
    x = draw(B, TK, heads * d)
    y = bl.RotaryPositions(heads, form=form).forward({}, {}, x, Context())[0]
    parts = x.reshape(B, TK, heads, *((2, d // 2) if form == "halves" else (d // 2, 2)))
    axis = 3 if form == "halves" else 4
    z = np.take(parts, 0, axis) + 1j * np.take(parts, 1, axis)  # (B, T, heads, d/2)
    turn = np.exp(1j * np.arange(TK)[:, None, None] / 10000 ** (2 * np.arange(d // 2) / d))
    wanted = np.stack([(z * turn).real, (z * turn).imag], axis=axis).reshape(x.shape)
    np.testing.assert_allclose(y, wanted, rtol=1e-12)


def test_rotary_scores_depend_on_the_distance_alone():
    layer = bl.RotaryPositions()
    q, k = draw(1, 1, 8, seed=1), draw(1, 1, 8, seed=2)
    turned = [layer.forward({}, {}, np.repeat(a, 10, axis=1), Context())[0][0] for a in (q, k)]
    scores = turned[0] @ turned[1].T  # (10, 10)
    for distance in (-3, 0, 4):
        line = np.diagonal(scores, distance)
        np.testing.assert_allclose(line, line[0], rtol=1e-10)
    assert abs(scores[0, 0] - scores[0, 5]) > 1e-3


def test_learned_positions_have_rows_for_their_length_only():
    layer = bl.LearnedPositions(TK)
    with pytest.raises(ShapeError, match="expected at most 5 steps, got 6; shorten them or raise `length`"):
        layer.init(random.key(0), (6, 2))
    _, params, _ = layer.init(random.key(0), (3, 2))
    with pytest.raises(ShapeError, match="at most 5 steps, got 7"):
        layer.forward(params, {}, np.zeros((1, 7, 2)), Context())
    with pytest.raises(ShapeError, match="at most 5 steps, got 9"):
        layer.memory(params, 2, 9)


# Blocks


def normal(x):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)


@pytest.mark.parametrize("norm", ["before", "after"])
def test_encoder_block_is_its_formula(norm):
    x, block = draw(B, TK, 6), bl.TransformerEncoderBlock(2, hidden=5, norm=norm, activation="Tanh")
    _, p, state = block.init(random.key(0), (TK, 6))  # gamma 1 and beta 0
    p = tree.map(lambda w: w.astype(float), p)
    parts = [p["attention"], p["feed_forward"]]
    heads, network = (
        (part if norm == "before" else part["add"])[name]
        for part, name in zip(parts, ("heads", "network"), strict=True)
    )

    def attend(x):
        return run(bl.MultiHeadAttention(2), x, MASK, heads)

    def feed(x):
        return np.tanh(x @ network["up"]["W"] + network["up"]["b"]) @ network["down"]["W"] + network["down"]["b"]

    if norm == "before":
        a = x + attend(normal(x))
        wanted = a + feed(normal(a))
    else:
        a = normal(x + attend(x))
        wanted = normal(a + feed(a))
    np.testing.assert_allclose(block.forward(p, state, x, Context(mask=MASK))[0], wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("norm", ["before", "after"])
def test_decoder_block_is_its_formula(norm):
    x = {"x": draw(B, TQ, 6), "memory": draw(B, TK, 3, seed=5)}
    block = bl.TransformerDecoderBlock(2, hidden=5, norm=norm, activation="Tanh")
    _, p, state = block.init(random.key(0), {"x": (TQ, 6), "memory": (TK, 3)})
    p = tree.map(lambda w: w.astype(float), p)
    parts = [p["self_attention"]["x"], p["cross_attention"], p["feed_forward"]["x"]]
    one, two, three = (part if norm == "before" else part["add"] for part in parts)

    def first(x):
        return run(bl.MultiHeadAttention(2, causal=True), x, None, one["heads"])

    def second(a):
        return bl.CrossAttention(2).forward(two["heads"], {}, {"x": a, "memory": x["memory"]}, Context(mask=MASK))[0]

    def third(c):
        up, down = three["network"]["up"], three["network"]["down"]
        return np.tanh(c @ up["W"] + up["b"]) @ down["W"] + down["b"]

    y = x["x"]
    for f in (first, second, third):
        y = y + f(normal(y)) if norm == "before" else normal(y + f(y))
    found = block.forward(p, state, x, Context(mask={"x": None, "memory": MASK}))[0]
    np.testing.assert_allclose(found["x"], y, rtol=1e-10, atol=1e-12)
    assert found["memory"] is x["memory"]


def test_the_memory_of_chained_decoder_blocks_gets_the_gradient_of_each():
    x = {"x": draw(B, TQ, 4), "memory": draw(B, TK, 3)}
    net = bl.Chain(bl.TransformerDecoderBlock(2, hidden=3), bl.TransformerDecoderBlock(2, hidden=3), bl.Select("x"))
    params, state = start(net, x)
    labels = np.arange(B * TQ).reshape(B, TQ) % 4
    check = bl.check_gradients(net, bl.SoftmaxCrossEntropy(), x, labels, params=params, state=state, samples=10)
    assert check.passed, str(check)


def test_what_lies_within_a_block_can_be_seen():
    block, x = bl.TransformerEncoderBlock(2), draw(B, TK, 6)
    params, state = start(block, x)
    _, _, cache = block.forward(params, state, x, Context())
    assert isinstance(cache["attention"].inside["heads"].inside["qkv"], Seen)
    labels = np.arange(B * TK).reshape(B, TK) % 6
    trace = bl.gradient(block, bl.SoftmaxCrossEntropy(), params, state, x, labels)[3]
    seen = bl.signals(trace)
    assert set(seen) == set(bl.paths(block))
    for value, delta in seen.values():
        assert value.shape == delta.shape


def test_dropout_of_a_block_stands_in_four_places():
    block = bl.TransformerEncoderBlock(2, dropout=0.3)
    dropped = [p for p in bl.paths(block) if p.split(".")[-1] == "dropout"]
    assert dropped == ["attention.dropout", "feed_forward.network.dropout", "feed_forward.dropout"]
    assert block.layers[0][1]["heads"].dropout == 0.3
    assert [p for p in bl.paths(bl.TransformerEncoderBlock(2)) if "dropout" in p] == []


# Step by step


@pytest.mark.parametrize("home", ["numpy", "xla"])
@pytest.mark.parametrize("mask", [None, MASK], ids=["", "masked"])
def test_decoder_block_step_by_step(home, mask):
    xp = engine.get(home)
    block = bl.TransformerDecoderBlock(2, hidden=5, rotary=bl.RotaryPositions())
    x = {"x": draw(B, TQ, 8).astype("f"), "memory": draw(B, TK, 3).astype("f")}
    _, params, state = block.init(random.key(0), {"x": (TQ, 8), "memory": (TK, 3)})
    params, x = (tree.map(xp.asarray, t) for t in (params, x))
    ctx = Context(mask=None if mask is None else {"x": None, "memory": xp.asarray(mask.astype("f"))})
    whole = block.forward(params, state, x, ctx)[0]["x"]
    memory, found = block.memory(params, B, TK + 1), []
    step = xp.compile(lambda memory, x: block.step(params, state, memory, x, ctx))
    for t in range(TQ):
        y, memory = step(memory, {"x": x["x"][:, t : t + 1], "memory": x["memory"]})
        found.append(np.asarray(y["x"]))
    np.testing.assert_allclose(np.concatenate(found, axis=1), np.asarray(whole), rtol=1e-4, atol=1e-5)


def test_cross_attention_makes_its_keys_once():
    layer = bl.CrossAttention(2)
    x = {"x": draw(B, 1, 4), "memory": draw(B, TK, 3)}
    params, state = start(layer, x)
    _, memory = layer.step(params, state, layer.memory(params, B, TK), x, Context())
    y, _ = layer.step(params, state, memory, {**x, "memory": np.full((B, TK, 3), np.nan)}, Context())
    np.testing.assert_allclose(y, layer.forward(params, state, x, Context())[0], rtol=1e-12)
    with pytest.raises(ShapeError, match="expected a memory of at most 3 steps, got 5"):
        layer.step(params, state, layer.memory(params, B, 3), x, Context())


@pytest.mark.parametrize("layer", [bl.DotProductAttention(2), bl.AdditiveAttention(4)], ids=["dot", "additive"])
def test_a_step_of_attention_is_given_all_keys(layer):
    x = three(6)
    params, state = start(layer, x)
    one = {**x, "query": x["query"][:, 1:2]}
    y, memory = layer.step(params, state, layer.memory(params, B, TQ), one, Context(mask=MASK))
    np.testing.assert_allclose(y, layer.forward(params, state, x, Context(mask=MASK))[0][:, 1:2], rtol=1e-12)
    assert memory == {}
    with pytest.raises(ShapeError, match="expected all keys, got one"):
        layer.step(params, state, {}, tree.map(lambda a: a[:, :1], x), Context())


def test_what_looks_ahead_has_no_memory():
    _, params, _ = bl.MultiHeadAttention(2).init(random.key(0), (TK, 4))
    with pytest.raises(BacklitError, match="looks ahead and cannot go step by step; set causal: true"):
        bl.MultiHeadAttention(2).memory(params, 1, TK)
    with pytest.raises(BacklitError, match="use MultiHeadAttention"):
        bl.DotProductAttention(causal=True).memory({}, 1, TK)


# Mistakes


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: bl.MultiHeadAttention(3, width=8), "width: expected a multiple of heads = 3, got 8"),
        (lambda: bl.MultiHeadAttention(4, kv_heads=3), "kv_heads: expected a divisor of heads = 4, got 3"),
        (lambda: bl.DotProductAttention(4, kv_heads=3), "kv_heads: expected a divisor of heads = 4, got 3"),
        (lambda: bl.TransformerEncoderBlock(4, kv_heads=3), "kv_heads: expected a divisor of heads = 4, got 3"),
        (lambda: bl.TransformerEncoderBlock(2, norm="middle"), "norm: expected 'before' or 'after', got 'middle'"),
    ],
)
def test_settings_that_do_not_fit(make, text):
    with pytest.raises(SettingError, match=text):
        make()


@pytest.mark.parametrize(
    ("layer", "shape", "text"),
    [
        (
            bl.MultiHeadAttention(4),
            (TK, 6),
            "MultiHeadAttention expected features that 4 heads divide, got 6; set width",
        ),
        (bl.MultiHeadAttention(2), (6,), r"MultiHeadAttention expected rows \(T, D\), got \(6,\)"),
        (bl.MultiHeadAttention(2, rotary=bl.RotaryPositions()), (TK, 6), "D divisible by 2 heads = 4, got"),
        (bl.CrossAttention(2), (TK, 6), 'CrossAttention expected rows {"x": '),
        (bl.TransformerDecoderBlock(2), (TK, 6), 'TransformerDecoderBlock expected rows {"x": '),
        (bl.DotProductAttention(), (TK, 6), 'DotProductAttention expected rows {"query": '),
        (bl.DotProductAttention(), {"query": (4, 6), "key": (5, 5), "value": (5, 1)}, "expected keys with 6 features"),
        (
            bl.DotProductAttention(),
            {"query": (4, 6), "key": (5, 6), "value": (4, 1)},
            "expected as many values as keys",
        ),
        (bl.DotProductAttention(4), {"query": (4, 6), "key": (5, 6), "value": (5, 4)}, "query features that 4 heads"),
        (bl.DotProductAttention(2), {"query": (4, 6), "key": (5, 6), "value": (5, 1)}, "value features that 2 heads"),
        (bl.AdditiveAttention(2), {"query": (4, 6), "key": (5, 6)}, 'AdditiveAttention expected rows {"query": '),
        (bl.AdditiveAttention(2), {"query": (4, 6), "key": (5, 6), "value": (4, 1)}, "expected as many values as keys"),
        (bl.SinusoidalPositions(), (TK, 3), r"expected rows \(T, D\) with D even, got \(5, 3\)"),
        (bl.LearnedPositions(9), (TK,), r"LearnedPositions expected rows \(T, D\), got \(5,\)"),
        (bl.FeedForward(), (), "FeedForward expected rows with at least one feature axis, got scalars"),
        (bl.Chain(bl.TransformerEncoderBlock(4)), (TK, 6), "transformer_encoder_block_1.attention.heads: MultiHead"),
    ],
)
def test_shapes_that_do_not_fit(layer, shape, text):
    with pytest.raises(ShapeError, match=text):
        layer.init(random.key(0), shape)


def test_masks_that_do_not_fit():
    x = {"x": draw(B, TQ, 4), "memory": draw(B, TK, 4)}
    with pytest.raises(ShapeError, match=r"mask of the memory, one number a step, \(3, 5\), got the shape \(3, 4\)"):
        run(bl.CrossAttention(2), x, np.ones((B, TQ)))
    with pytest.raises(ShapeError, match=r"mask of the key, one number a step, \(3, 4\), got the shape \(3, 4, 1\)"):
        run(bl.MultiHeadAttention(2), x["x"], np.ones((B, TQ, 1)))
