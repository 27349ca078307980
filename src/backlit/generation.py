"""Sequences from a net: draw a token, feed it back, draw the next. For any net whose layers have `step`.

    generate       draws from the net's distribution, or takes the likeliest token (temperature 0)
    beam_search    looks for the likeliest sequences: the likeliest first token need not begin one

Each is one compiled program: a scan over time steps, with one `net.step` in each.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from backlit import engine as engines
from backlit.engine import random, tree
from backlit.errors import DataError, SettingError
from backlit.protocol import Array, Context, Layer, Tree

Home = Literal["numpy", "xla"]


def generate(
    net: Layer,
    params: Tree,
    state: Tree,
    prompt: Tree,
    steps: int,
    key: Array,
    temperature: float = 1.0,
    top_k: int | None = None,
    end: int | None = None,
    mask: Tree = None,
    engine: Home = "xla",
) -> Array:
    """The prompt and `steps` drawn tokens: (B, T + steps). y_t of the net is the logits (B, 1, V) of token t + 1.

    Token k is drawn with probability softmax(y / temperature)_k; a temperature of 0 takes the largest. `top_k` draws
    from the k largest only. A row that drew `end` goes on with it. Equal keys give equal tokens, on both engines.

    prompt: tokens (B, T), T at least 1; or, for a decoder, a dict with the tokens under "x" and, under other names, what
    each step sees whole: {"x": tokens, "memory": the encoder's output}, and `mask` {"memory": (B, S)} for its padding.
    Errors: BacklitError when a layer looks ahead; SettingError and DataError for arguments that make no sense.

    >>> import numpy as np, backlit as bl
    >>> net = bl.Chain(bl.Embedding(5, 4), bl.LSTM(6), bl.Dense(5))
    >>> _, params, state = net.init(bl.random.key(0), (3,))
    >>> bl.generate(net, params, state, np.array([[1, 2], [3, 4]]), 6, bl.random.key(1)).shape
    (2, 8)
    """
    _judge(steps=(steps, 1), temperature=(temperature, 0), top_k=(top_k, 1))
    home = engines.get(engine)
    run = _compiled(_generate, net, engine, steps, temperature, top_k, end)
    return run(*home.place((params, state, *_parts(prompt, mask), np.asarray(key))))


def beam_search(
    net: Layer,
    params: Tree,
    state: Tree,
    prompt: Tree,
    steps: int,
    beams: int = 4,
    end: int | None = None,
    mask: Tree = None,
    engine: Home = "xla",
) -> tuple[Array, Array]:
    """The `beams` likeliest sequences found, (B, beams, T + steps), best first, and ln of their probability (B, beams).

    At each step every kept sequence is continued by every token, and the `beams` best of all are kept. The probability
    is that of the tokens after the prompt, up to `end`; a sequence that ended keeps its own. Where there are fewer
    sequences than beams, the rest have probability 0.
    Other arguments and errors as for `generate`. One beam is `generate` at temperature 0.
    Others: many divide by the length, which favours longer sequences.

    >>> import numpy as np, backlit as bl
    >>> net = bl.Chain(bl.Embedding(5, 4), bl.LSTM(6), bl.Dense(5))
    >>> _, params, state = net.init(bl.random.key(0), (3,))
    >>> tokens, scores = bl.beam_search(net, params, state, np.array([[1, 2]]), 6, beams=3)
    >>> tokens.shape, bool(scores[0, 0] >= scores[0, 1])
    ((1, 3, 8), True)
    """
    _judge(steps=(steps, 1), beams=(beams, 1))
    home = engines.get(engine)
    run = _compiled(_beam_search, net, engine, steps, beams, end)
    found: tuple[Array, Array] = run(*home.place((params, state, *_parts(prompt, mask))))
    return found


def _judge(**settings: tuple[float | None, int]) -> None:
    """SettingError for each of the (value, least) pairs whose value is too small."""
    small = {name: pair for name, pair in settings.items() if pair[0] is not None and not pair[0] >= pair[1]}
    if small:
        text = "expected a number of at least {1}, got {0}"
        raise SettingError([(name, text.format(*pair)) for name, pair in small.items()])


@lru_cache(maxsize=32)
def _compiled(program: Callable[..., Any], net: Layer, engine: str, *settings: Any) -> Callable[..., Any]:
    """The program with these settings, compiled once."""
    home = engines.get(engine)

    def run(*args: Any) -> Any:
        return program(home, net, *settings, *args)

    compiled: Callable[..., Any] = home.compile(run)
    return compiled


def _parts(prompt: Tree, mask: Tree) -> tuple[Array, Tree, Tree]:
    """Tokens (B, T), what else each step is given, and Context.mask."""
    whole = prompt if isinstance(prompt, dict) else {"x": prompt}
    tokens = np.asarray(whole.get("x"))
    if tokens.ndim != 2 or tokens.shape[1] < 1 or tokens.dtype.kind not in "iu":
        text = f"expected whole numbers (B, T) with T at least 1, got the shape {tokens.shape} of {tokens.dtype}"
        raise DataError(f"prompt: {text}")
    rest = {name: part for name, part in whole.items() if name != "x"}
    return tokens.astype(np.int32), rest, None if mask is None else {"x": None, **mask}


def _generate(
    home: Any, net: Layer, steps: int, temperature: float, top_k: int | None, end: int | None,
    params: Tree, state: Tree, tokens: Array, rest: Tree, mask: Tree, key: Array,
) -> Array:  # fmt: skip
    xp, (rows, first) = tokens.__array_namespace__(), tokens.shape
    ctx = Context(mask=mask)

    def step(carry: tuple[Tree, Array], now: Tree) -> tuple[tuple[Tree, Array], Array]:
        memory, last = carry
        last = xp.where(now["t"] < first, now["given"], last)  # (B,)
        y, memory = net.step(params, state, memory, _input(last, rest), ctx)
        token = _draw(xp.reshape(y, (rows, -1)), random.fold(key, now["t"]), temperature, top_k)
        if end is not None:
            token = xp.where((last == end) & (now["t"] >= first), xp.full_like(token, end), token)
        return (memory, token), token

    memory = net.memory(params, rows, _longest(first + steps, rest))
    _, drawn = home.scan(step, (memory, tokens[:, 0]), _times(tokens, steps))  # (T + steps - 1, B)
    return xp.concat([tokens, xp.permute_dims(drawn[first - 1 :, :], (1, 0))], axis=1)


def _draw(logits: Array, key: Array, temperature: float, top_k: int | None) -> Array:
    """One token a row, (B,) int32. The largest of logits with Gumbel noise is distributed as their softmax."""
    xp = logits.__array_namespace__()
    if temperature > 0:
        if top_k is not None and top_k < logits.shape[-1]:
            least = xp.sort(logits, axis=-1)[:, -top_k, None]  # (B, 1)
            logits = xp.where(logits < least, xp.asarray(-xp.inf, dtype=logits.dtype), logits)
        noise = -xp.log(-xp.log(random.uniform(key, logits.shape, 2.0**-24)))
        logits = logits / temperature + xp.astype(noise, logits.dtype)
    return xp.astype(xp.argmax(logits, axis=-1), xp.int32)


def _beam_search(
    home: Any, net: Layer, steps: int, beams: int, end: int | None,
    params: Tree, state: Tree, tokens: Array, rest: Tree, mask: Tree,
) -> tuple[Array, Array]:  # fmt: skip
    xp, (rows, first) = tokens.__array_namespace__(), tokens.shape
    tokens, rest, mask = tree.map(lambda a: xp.repeat(a, beams, axis=0), (tokens, rest, mask))  # (B beams, ...)
    places, row = xp.arange(first + steps), xp.arange(rows)[:, None] * beams
    ctx = Context(mask=mask)

    def step(carry: tuple[Tree, Array, Array], now: Tree) -> tuple[tuple[Tree, Array, Array], Tree]:
        memory, found, scores = carry  # ..., (B beams, T + steps), (B, beams)
        t = now["t"]
        last = xp.take(found, xp.reshape(t, (1,)), axis=1)[:, 0]  # (B beams,)
        y, memory = net.step(params, state, memory, _input(last, rest), ctx)
        y = xp.reshape(y, (rows * beams, -1))
        logp = y - xp.max(y, axis=-1, keepdims=True)
        logp = logp - xp.log(xp.sum(xp.exp(logp), axis=-1, keepdims=True))  # (B beams, V)
        size = logp.shape[-1]
        if end is not None:  # a sequence that ended is continued by `end`, at no cost
            only = xp.where(xp.arange(size) == end, xp.zeros_like(logp), xp.full_like(logp, -xp.inf))
            logp = xp.where(((last == end) & (t >= first))[:, None], only, logp)
        total = xp.reshape(scores[:, :, None] + xp.reshape(logp, (rows, beams, size)), (rows, -1))  # (B, beams V)
        best = xp.argsort(-total, axis=-1, stable=True)[:, :beams]  # (B, beams)
        came = xp.reshape(row + best // size, (-1,))  # (B beams,): the sequence that each continues
        token = xp.astype(xp.reshape(best % size, (-1, 1)), found.dtype)
        grown = xp.where(places == t + 1, token, xp.take(found, came, axis=0))
        inside = t < first - 1  # still in the prompt, where all sequences of a row are alike: nothing is chosen
        scores = xp.where(inside, scores, xp.take_along_axis(total, best, axis=-1))
        memory = tree.map(lambda a: xp.take(a, came, axis=0) if a.ndim else a, memory)
        return (memory, xp.where(inside, found, grown), scores), {}

    memory = net.memory(params, rows * beams, _longest(first + steps, rest))
    found = xp.concat([tokens, xp.zeros((rows * beams, steps), dtype=tokens.dtype)], axis=1)
    # All sequences of a row begin alike, so one of them may be continued first.
    scores = xp.where(xp.arange(beams) > 0, -xp.inf, 0.0)
    scores = xp.astype(xp.broadcast_to(scores, (rows, beams)), tree.leaves(params)[0].dtype)
    (_, found, scores), _ = home.scan(step, (memory, found, scores), {"t": xp.arange(first + steps - 1)})
    return xp.reshape(found, (rows, beams, first + steps)), scores


def _times(tokens: Array, steps: int) -> Tree:
    """What a scan goes over: the time steps, and the token (B,) that the prompt gives at each, 0 beyond it."""
    xp, (rows, first) = tokens.__array_namespace__(), tokens.shape
    given = xp.concat([tokens, xp.zeros((rows, steps - 1), dtype=tokens.dtype)], axis=1)
    return {"given": xp.permute_dims(given, (1, 0)), "t": xp.arange(first + steps - 1)}


def _input(last: Array, rest: Tree) -> Tree:
    """x of one step: tokens (B, 1), beside what each step sees whole."""
    return {"x": last[:, None], **rest} if rest else last[:, None]


def _longest(steps: int, rest: Tree) -> int:
    """Room that `memory` is asked for: the sequence, or what else is seen, whichever is longer."""
    return max([steps, *(int(a.shape[1]) for a in tree.leaves(rest) if a.ndim > 1)])
