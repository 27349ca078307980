"""Tokens: tables of vectors, windows, vectors from files, and what is said of a token that has no row."""

import gzip

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import backlit as bl
from backlit import engine
from backlit.engine import random
from backlit.errors import DataError, SettingError, ShapeError
from backlit.layers.tokens import check_tokens
from backlit.protocol import Context

V, D = 9, 4
TOKENS = np.array([[0, 3, 3, 8], [5, 0, 3, 1]])
DY = np.random.default_rng(0).normal(size=(*TOKENS.shape, D))


def start(layer, shape=(4,)):
    return layer.init(random.key(0), shape)[1]


# The layer


@pytest.mark.parametrize("scale", [1.0, 2.5])
def test_embedding_is_a_product_with_one_hot_rows(scale):
    layer = bl.Embedding(V, D, scale=scale)
    W = start(layer)["W"].astype(np.float64)
    one_hot = np.eye(V)[TOKENS]  # (2, 4, V)
    y, _, cache = layer.forward({"W": W}, {}, TOKENS, Context())
    dx, grads, _ = layer.backward({"W": W}, cache, DY)
    np.testing.assert_allclose(y, scale * one_hot @ W, rtol=1e-12)
    np.testing.assert_allclose(grads["W"], scale * np.einsum("btv,btd->vd", one_hot, DY), rtol=1e-12)
    assert dx.shape == TOKENS.shape
    assert not dx.any()


def test_padding_is_zero_whatever_its_row_holds_and_its_row_stays():
    layer = bl.Embedding(V, D, padding=3)
    params = start(layer)
    assert not params["W"][3].any()
    assert params["W"][2].all()
    params = {"W": params["W"] + 1.0}
    y, _, cache = layer.forward(params, {}, TOKENS, Context())
    _, grads, _ = layer.backward(params, cache, DY)
    assert not y[TOKENS == 3].any()
    assert y[TOKENS != 3].all()
    np.testing.assert_array_equal(np.flatnonzero(grads["W"].any(axis=1)), [0, 1, 5, 8])


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64])
def test_any_integer_is_a_token(dtype):
    layer = bl.Embedding(V, D, padding=0)
    params = start(layer)
    here = layer.forward(params, {}, TOKENS.astype(dtype), Context())[0]
    there = layer.forward(params, {}, jnp.asarray(TOKENS.astype(dtype)), Context())[0]
    np.testing.assert_array_equal(here, there)


@pytest.mark.parametrize("home", [engine.get("numpy"), engine.get("xla")], ids=["numpy", "xla"])
def test_scatter_add_adds_rows_named_twice(home):
    found = home.scatter_add(4, home.asarray([2, 0, 2]), home.asarray(np.arange(6.0, dtype="f").reshape(3, 2)))
    assert engine.of(found) is home
    assert found.dtype == np.float32
    assert found.tolist() == [[2, 3], [0, 0], [4, 6], [0, 0]]


def test_the_gradient_of_a_large_table_makes_no_one_hot_rows():
    layer = bl.Embedding(100_000, 2)
    tokens = jnp.asarray(np.arange(1000).reshape(10, 100))
    slope = jax.make_jaxpr(lambda dy: layer.backward({}, tokens, dy)[1]["W"])(jnp.ones((10, 100, 2)))
    sizes = [int(np.prod(v.aval.shape)) for step in slope.jaxpr.eqns for v in step.outvars]
    assert max(sizes) == 200_000


def test_embedding_says_which_token_has_no_row():
    net = bl.Chain(words=bl.Embedding(V, D))
    params = start(net)
    with pytest.raises(DataError) as caught:
        net.forward(params, {"words": {}}, np.array([[0, 1], [9, 2]]), Context())
    assert str(caught.value) == "words: Embedding expected tokens 0..8, got 9 at (1, 0); write size=10"
    with pytest.raises(DataError, match=r"got -1 at \(0, 1\); tokens start at 0"):
        net.forward(params, {"words": {}}, np.array([[0, -1]]), Context())
    for x in (np.ones((2, 3), "f"), jnp.ones((2, 3))):
        with pytest.raises(
            DataError, match=r"expected tokens of an integer dtype, got float32; write x.astype\('int32'\)"
        ):
            net.forward(params, {"words": {}}, x, Context())


def test_a_compiled_program_gives_nan_for_a_token_beyond_the_table():
    layer = bl.Embedding(V, D)
    params = start(layer)
    y = jax.jit(lambda x: layer.forward(params, {}, x, Context())[0])(jnp.asarray([[0, V]]))
    assert np.isfinite(y[0, 0]).all()
    assert np.isnan(y[0, 1]).all()


def test_padding_must_be_a_row():
    with pytest.raises(SettingError, match=r"padding: expected a token 0..8, the rows of the table, got 9"):
        bl.Embedding(V, D, padding=9)


def test_frozen_keeps_the_table():
    x = np.random.default_rng(0).integers(V, size=(40, 4), dtype=np.int32)
    data = bl.Dataset(x, x[:, 0] % 2, classes=("even", "odd"), vocabulary=tuple("abcdefghi"))
    net = bl.Chain(words=bl.Embedding(V, D), flat=bl.Flatten(), out=bl.Dense(2))
    run = bl.train(net, data, epochs=1, engine="numpy", frozen=["words"], split={"test": 0, "validation": 0})
    before = net.init(random.fold(random.key(0), "init"), (4,))[1]
    np.testing.assert_array_equal(run.params["words"]["W"], before["words"]["W"])
    assert np.any(run.params["out"]["W"] != before["out"]["W"])


# Before training


@pytest.mark.parametrize(
    ("net", "layer"),
    [
        (bl.Chain(bl.Embedding(V, D), bl.Flatten()), "embedding_1"),
        (bl.Chain(bl.Reshape((2, 2)), bl.Transpose(), words=bl.Embedding(V, D)), "words"),
        (bl.Branch(bl.Chain(bl.Embedding(V, D)), bl.Embedding(50, D)), "chain_1.embedding_1"),
        (bl.Embedding(V, D), "Embedding"),
    ],
    ids=["first", "moved", "branch", "alone"],
)
def test_check_tokens_finds_the_row_and_the_place(net, layer):
    _, params, state = net.init(random.key(0), (4,))
    x = np.random.default_rng(0).integers(V, size=(6, 4))
    check_tokens(net, params, state, x)
    x[2, 1] = x[3, 0] = V
    with pytest.raises(DataError) as caught:
        check_tokens(net, params, state, x, "corpus")
    place = "row 3, step 0 (from 0)"
    assert str(caught.value) == f"corpus: {place}: expected a token 0..8 ({layer} has 9 rows), got 9; write size=10"


def test_check_tokens_knows_the_columns_apart():
    net = bl.Columns({"all": 1, "few": 3}, bl.Parallel(all=bl.Embedding(50, D), few=bl.Embedding(V, D)))
    _, params, state = net.init(random.key(0), (4,))
    x = np.random.default_rng(0).integers(V, size=(6, 4))
    x[1, 0] = 20
    check_tokens(net, params, state, x)
    x[2, 1] = 20
    with pytest.raises(
        DataError, match=r"x: row 2, step 1 \(from 0\): expected a token 0..8 \(\S+few has 9 rows\), got 20"
    ):
        check_tokens(net, params, state, x)


def test_check_tokens_leaves_numbers_and_other_nets_alone():
    net = bl.Chain(bl.Dense(3))
    _, params, state = net.init(random.key(0), (4,))
    check_tokens(net, params, state, np.full((2, 4), 1e9))
    net = bl.Chain(bl.Embedding(V, D), bl.Autodiff(lambda params, x: jnp.sin(x)))
    _, params, state = net.init(random.key(0), (4,))
    check_tokens(net, params, state, TOKENS)
    with pytest.raises(DataError, match=r"row 0, step 3 \(from 0\): expected a token 0..8 .* got 9"):
        check_tokens(net, params, state, TOKENS + 1)


# Windows


@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize("masked", [False, True])
def test_window_puts_the_neighbours_side_by_side(size, masked):
    x = np.random.default_rng(0).normal(size=(2, 4, 3))
    mask = np.array([[1, 1, 1, 0], [1, 1, 0, 0]]) if masked else np.ones((2, 4))
    layer = bl.WordWindow(size, padding=7)
    y, _, cache = layer.forward({}, {}, x, Context(mask=mask if masked else None))
    dy = np.random.default_rng(1).normal(size=y.shape)
    wanted, dx = np.zeros((2, 4, 2 * size + 1, 3)), np.zeros_like(x)
    for b, t, k in np.ndindex(2, 4, 2 * size + 1):
        u = t + k - size
        inside = 0 <= u < 4 and mask[b, u]
        wanted[b, t, k] = x[b, u] if inside else 7
        if inside:
            dx[b, u] += dy[b, t].reshape(-1, 3)[k]
    np.testing.assert_array_equal(y, wanted.reshape(2, 4, -1))
    np.testing.assert_allclose(layer.backward({}, cache, dy)[0], dx, rtol=1e-12)


def test_window_refuses_images():
    with pytest.raises(ShapeError, match=r"WordWindow expected rows of shape \(T,\) or \(T, D\), got \(4, 4, 3\)"):
        bl.WordWindow().init(random.key(0), (4, 4, 3))


# Vectors from a file


WORDS = ("<pad>", "The", "cat", "zebra")
LINES = "the 0.5 1 2\ncat -1 2 3\n. . 7 8 9\nCat 4 5 6\n"


def draw(rule, size=4, width=3):
    return rule.draw(random.key(0), (size, width))


@pytest.fixture(params=["vectors.txt", "vectors.txt.gz"])
def file(request, tmp_path):
    path = tmp_path / request.param
    path.write_bytes(gzip.compress(LINES.encode()) if path.suffix == ".gz" else LINES.encode())
    return str(path)


def test_word_vectors_stand_in_the_order_of_the_vocabulary(file):
    found = draw(bl.WordVectors(file, (*WORDS, "Cat", ". ."), unknown="Normal"), 6)
    np.testing.assert_array_equal(found[[1, 2, 4, 5]], [[0.5, 1, 2], [-1, 2, 3], [4, 5, 6], [7, 8, 9]])
    drawn = bl.initializers.Normal().draw(random.key(0), (6, 3))
    np.testing.assert_array_equal(found[[0, 3]], drawn[[0, 3]])


def test_the_vocabulary_may_be_a_file_and_the_net_starts_with_the_vectors(file, tmp_path):
    words = tmp_path / "words.txt"
    words.write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    net = bl.Chain(bl.Embedding(4, 3, W={"type": "WordVectors", "path": file, "vocabulary": str(words)}, padding=0))
    W = start(net)["embedding_1"]["W"]
    np.testing.assert_array_equal(W[:3], [[0, 0, 0], [0.5, 1, 2], [-1, 2, 3]])


def test_a_file_may_begin_with_its_size(tmp_path):
    path = tmp_path / "vectors.vec"
    path.write_text("2 3\nthe 1 2 3 \ncat 4 5 6 \n", encoding="utf-8")
    np.testing.assert_array_equal(draw(bl.WordVectors(str(path), ("cat", "the")), 2), [[4, 5, 6], [1, 2, 3]])


@pytest.mark.parametrize(
    ("lines", "words", "width", "error", "wanted"),
    [
        (LINES, WORDS, 2, ShapeError, "line 1: expected 2 numbers after a word, the units of the layer, got 3; write units=3"),
        (LINES, WORDS, 5, ShapeError, "line 1: expected 5 numbers after a word, the units of the layer, got 3; write units=3"),
        ("the 1 2 3\ncat 4\n", WORDS, 3, ShapeError, "line 2: expected 3 numbers after a word"),
        (LINES, WORDS[:3], 3, ShapeError, "a row for each word of the vocabulary, got (4, 3); write Embedding(size=3)"),
        ("the 1 2 x\n", WORDS, 3, DataError, "line 1: expected finite numbers, got '1 2 x'; mend the line"),
        ("the 1 2 nan\n", WORDS, 3, DataError, "line 1: expected finite numbers, got '1 2 nan'; mend the line"),
        ("le 1 2 3\n", WORDS, 3, DataError, "expected vectors of words such as '<pad>', got none of the 4"),
    ],
)  # fmt: skip
def test_word_vectors_say_what_is_wrong_with_the_file(tmp_path, lines, words, width, error, wanted):
    path = tmp_path / "vectors.txt"
    path.write_text(lines, encoding="utf-8")
    with pytest.raises(error) as caught:
        draw(bl.WordVectors(str(path), words), 4, width)
    assert str(caught.value).startswith(f"{path}: ")
    assert wanted in str(caught.value)


def test_word_vectors_of_a_training_take_the_vocabulary_of_its_data(file):
    data = bl.Dataset(
        np.array([[1, 2]] * 9, "i4"), np.arange(9) % 2, classes=("a", "b"), vocabulary=("<pad>", "the", "cat")
    )
    net = bl.Chain(bl.Embedding(3, 3, W=bl.WordVectors(file)), bl.Flatten(), bl.Dense(2))
    run = bl.train(
        net, data, epochs=1, batch_size=3, engine="numpy", frozen=["embedding_1"], split={"validation": 0, "test": 0}
    )
    np.testing.assert_array_equal(run.params["embedding_1"]["W"][1:], [[0.5, 1, 2], [-1, 2, 3]])
    with pytest.raises(
        DataError, match="expected a vocabulary, got none; name its words, or train on data that has one"
    ):
        draw(bl.WordVectors(file))


def test_word_vectors_need_a_readable_file(tmp_path):
    with pytest.raises(DataError, match=r"none.txt: no such file"):
        draw(bl.WordVectors(str(tmp_path / "none.txt"), WORDS))
    for name in ("bad.gz", "bad.txt"):
        (tmp_path / name).write_bytes(b"\xff\xfe\x00 1 2")
        with pytest.raises(DataError, match=rf"{name}: expected text in UTF-8, plain or .gz, got: "):
            draw(bl.WordVectors(str(tmp_path / name), WORDS))
