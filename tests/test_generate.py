"""Generated sequences against the net's forward pass on the whole sequence, and against trying out every sequence."""

from itertools import product

import numpy as np
import pytest

import backlit as bl
from backlit.engine import random, tree
from backlit.errors import BacklitError, DataError, SettingError
from backlit.protocol import Context

V = 5
PROMPT = np.array([[1, 2, 3], [4, 0, 1]])
homes = pytest.mark.parametrize("home", ["numpy", "xla"])
NETS = {
    "transformer": bl.Chain(
        bl.Embedding(V, 4),
        bl.LearnedPositions(20),
        bl.TransformerEncoderBlock(2, hidden=6, causal=True, rotary=bl.RotaryPositions()),
        bl.LayerNorm(),
        bl.Dense(V),
    ),
    "lstm": bl.Chain(bl.Embedding(V, 4), bl.LSTM(6), bl.Dense(V)),
    "one token": bl.Chain(bl.Embedding(V, 4), bl.Dense(6), bl.Tanh(), bl.Dense(V)),
}
nets = pytest.mark.parametrize("net", NETS.values(), ids=NETS)


def start(net, shape=(3,)):
    """Parameters whose logits differ by more than rounding."""
    _, params, state = net.init(random.key(2), shape)
    return tree.map(lambda w: 3 * w, params), state


def logits(net, params, state, tokens):
    return np.asarray(net.forward(params, state, tokens, Context())[0], dtype=np.float64)


def log_softmax(y):
    y = y - y.max(axis=-1, keepdims=True)
    return y - np.log(np.exp(y).sum(axis=-1, keepdims=True))


@nets
@homes
def test_greedy_tokens_are_those_of_repeated_forward_passes(net, home):
    params, state = start(net)
    found = np.asarray(bl.generate(net, params, state, PROMPT, 6, random.key(0), temperature=0, engine=home))
    tokens = PROMPT
    for _ in range(6):
        best = logits(net, params, state, tokens)[:, -1].argmax(axis=-1)
        tokens = np.concatenate([tokens, best[:, None]], axis=1)
    np.testing.assert_array_equal(found, tokens)


@nets
def test_both_engines_draw_the_same_tokens(net):
    params, state = start(net)
    here, there = (bl.generate(net, params, state, PROMPT, 9, random.key(3), engine=home) for home in ("numpy", "xla"))
    np.testing.assert_array_equal(here, np.asarray(there))
    other = bl.generate(net, params, state, PROMPT, 9, random.key(4), engine="numpy")
    assert np.any(here != other)
    np.testing.assert_array_equal(here[:, :3], PROMPT)


@pytest.mark.parametrize(("temperature", "top_k"), [(1.0, None), (0.5, None), (2.0, 2)])
def test_tokens_are_drawn_from_the_distribution(temperature, top_k):
    net, rows = NETS["one token"], 4000
    params, state = start(net)
    prompt = np.full((rows, 1), 2)
    drawn = bl.generate(net, params, state, prompt, 1, random.key(0), temperature, top_k, engine="numpy")[:, 1]
    y = logits(net, params, state, prompt[:1])[0, 0] / temperature
    y[np.argsort(y)[: V - (top_k or V)]] = -np.inf
    p = np.exp(log_softmax(y))
    found = np.bincount(drawn, minlength=V) / rows
    assert np.all(np.abs(found - p) <= 4 * np.sqrt(p * (1 - p) / rows))


@homes
def test_a_row_that_drew_the_end_goes_on_with_it(home):
    net = NETS["lstm"]
    params, state = start(net)
    end = 3  # also the last token of the first prompt, which ends nothing
    free = np.asarray(bl.generate(net, params, state, PROMPT, 12, random.key(1), engine=home))
    found = np.asarray(bl.generate(net, params, state, PROMPT, 12, random.key(1), end=end, engine=home))
    assert np.any(free[:, 3:-1] == end)
    for one, other in zip(found[:, 3:], free[:, 3:], strict=True):
        at = list(other).index(end) if end in other else len(other)
        np.testing.assert_array_equal(one[: at + 1], other[: at + 1])
        assert np.all(one[at:] == end)


@homes
def test_a_wide_beam_finds_the_likeliest_of_all_sequences(home):
    net, steps, end = NETS["lstm"], 3, 2
    params, state = start(net)
    tokens, scores = bl.beam_search(net, params, state, PROMPT, steps, beams=V**2, end=end, engine=home)
    tokens, scores = np.asarray(tokens), np.asarray(scores)
    assert tokens.shape == (2, V**2, 3 + steps)
    for row, prompt in enumerate(PROMPT):
        every = {}
        for more in product(range(V), repeat=steps):
            at = more.index(end) + 1 if end in more else steps
            if any(token != end for token in more[at:]):
                continue
            whole = np.array([[*prompt, *more]])
            logp = log_softmax(logits(net, params, state, whole[:, :-1]))[0, 2:]
            every[tuple(whole[0])] = sum(logp[i, more[i]] for i in range(at))
        best = sorted(every, key=every.get, reverse=True)[:10]
        np.testing.assert_array_equal(tokens[row, :10], best)
        np.testing.assert_allclose(scores[row, :10], [every[b] for b in best], rtol=1e-4)


@nets
def test_one_beam_is_greedy(net):
    params, state = start(net)
    greedy = bl.generate(net, params, state, PROMPT, 5, random.key(0), temperature=0, engine="numpy")
    tokens, _ = bl.beam_search(net, params, state, PROMPT, 5, beams=1, engine="numpy")
    np.testing.assert_array_equal(tokens[:, 0], greedy)


@homes
@pytest.mark.parametrize("search", ["greedy", "beam"])
def test_an_encoder_decoder_writes_what_its_forward_pass_says(home, search):
    encoder = bl.Chain(bl.Embedding(7, 4), bl.SinusoidalPositions(), bl.TransformerEncoderBlock(2, hidden=6))
    embed = bl.Chain(bl.Embedding(V, 4), bl.SinusoidalPositions())
    block = bl.TransformerDecoderBlock(2, hidden=6)
    decoder = bl.Chain(bl.Parallel(x=embed, memory=bl.Chain()), block, block, bl.Select("x"), bl.Dense(V))
    source, mask = np.array([[6, 2, 3, 1], [5, 4, 0, 0]]), np.array([[1.0, 1, 1, 1], [1, 1, 0, 0]], "f")
    p, _ = start(encoder, (4,))
    memory = encoder.forward(p, encoder.init(random.key(0), (4,))[2], source, Context(mask=mask))[0]
    params, state = start(decoder, {"x": (1,), "memory": (4, 4)})
    tokens = PROMPT[:, :1]
    for _ in range(5):
        ctx = Context(mask={"x": None, "memory": mask})
        y = decoder.forward(params, state, {"x": tokens, "memory": memory}, ctx)[0]
        tokens = np.concatenate([tokens, y[:, -1:].argmax(axis=-1)], axis=1)
    given, masked = {"x": PROMPT[:, :1], "memory": memory}, {"memory": mask}
    if search == "greedy":
        key = random.key(0)
        found = bl.generate(decoder, params, state, given, 5, key, temperature=0, mask=masked, engine=home)
    else:
        found = bl.beam_search(decoder, params, state, given, 5, beams=1, mask=masked, engine=home)[0][:, 0]
    np.testing.assert_array_equal(np.asarray(found), tokens)


def test_beams_of_an_encoder_decoder_keep_their_own_memory():
    """Each beam's score is that of the forward pass on its own tokens."""
    decoder = bl.Chain(
        bl.Parallel(x=bl.Embedding(V, 4), memory=bl.Chain()),
        bl.TransformerDecoderBlock(2, hidden=6),
        bl.Select("x"),
        bl.Dense(V),
    )
    memory = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("f")
    params, state = start(decoder, {"x": (1,), "memory": (3, 4)})
    tokens, scores = bl.beam_search(decoder, params, state, {"x": PROMPT, "memory": memory}, 4, beams=3, engine="numpy")
    for beam in range(3):
        y = decoder.forward(params, state, {"x": tokens[:, beam, :-1], "memory": memory}, Context())[0]
        logp = np.take_along_axis(log_softmax(y), tokens[:, beam, 1:, None], axis=-1)[:, 2:, 0].sum(axis=1)
        np.testing.assert_allclose(scores[:, beam], logp, rtol=1e-4)


def test_programs_are_compiled_once():
    from backlit.generation import _compiled

    net = NETS["one token"]
    params, state = start(net)
    before = _compiled.cache_info().misses
    for seed in range(3):
        bl.generate(net, params, state, PROMPT, 4, random.key(seed), temperature=0.7)
    assert _compiled.cache_info().misses == before + 1


def test_mistakes():
    net = NETS["lstm"]
    params, state = start(net)
    key = random.key(0)
    for prompt in (np.zeros((2, 0), int), np.zeros(3, int), np.zeros((2, 3)), {"memory": np.zeros((2, 3))}):
        with pytest.raises(
            DataError, match=r"prompt: expected whole numbers \(B, T\) with T at least 1, got the shape"
        ):
            bl.generate(net, params, state, prompt, 4, key)
    with pytest.raises(SettingError) as found:
        bl.generate(net, params, state, PROMPT, 0, key, temperature=-1.0, top_k=0)
    assert [path for path, _ in found.value.problems] == ["steps", "temperature", "top_k"]
    assert found.value.problems[1][1] == "expected a number of at least 0, got -1.0"
    with pytest.raises(SettingError, match="beams: expected a number of at least 1, got 0"):
        bl.beam_search(net, params, state, PROMPT, 4, beams=0)
    ahead = bl.Chain(bl.Embedding(V, 4), bl.TransformerEncoderBlock(2), bl.Dense(V))
    params, state = start(ahead)
    with pytest.raises(BacklitError, match="MultiHeadAttention looks ahead"):
        bl.generate(ahead, params, state, PROMPT, 4, key)
