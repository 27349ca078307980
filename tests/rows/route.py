"""Rows of the layers on trees, of shared parameters, and of what is computed again."""

import backlit as bl
from rows.base import B, I, LayerRow, O, integers, lengths, smooth

V, T = 9, 4
WORDS = {"words": (T,), "numbers": (I,)}
PAIR = {"source": (3, I), "target": (T, 2)}


def words(rng):
    return {"words": integers(V, B, T)(rng), "numbers": smooth(B, I)(rng)}


def masks(rng):
    return {"source": lengths(3, 1, longest=3)(rng), "target": lengths(2, 4, longest=T)(rng)}


LAYERS = [
    LayerRow(bl.Parallel(source=bl.Dense(O), target=bl.Chain()), PAIR, note="dict"),
    LayerRow(bl.Parallel(bl.Dropout(0.4), bl.Dropout(0.4)), ((I,), (I,)), True, note="own keys"),
    LayerRow(bl.Parallel(source=bl.WordWindow(1), target=bl.WordWindow(2)), PAIR, mask=masks, note="own masks"),
    LayerRow(bl.Parallel(bl.WordWindow(1), bl.Parallel(bl.Tanh(), bl.WordWindow(1))), ((T, 2), ((I,), (T, O))),
             mask=lengths(4, 2, 3, longest=T), note="one mask, deep"),
    LayerRow(bl.Chain(bl.Parallel(bl.Dense(O), bl.Chain()), bl.Select(1)), ((T, I), (T, 2)), steps=True),
    LayerRow(bl.Select("numbers", bl.Dense(O), bl.Tanh()), WORDS, x=words),
    LayerRow(bl.Select("words", bl.Embedding(V, O)), WORDS, x=words, note="tokens"),
    LayerRow(bl.Select(1, out=bl.WordWindow(1)), ((I,), (T, 2)), mask=lambda rng: (None, lengths(4, 2, longest=T)(rng))),
    LayerRow(bl.Branch(bl.Select("words", bl.Embedding(V, 2), bl.Flatten()), bl.Select("numbers", bl.Dense(O)),
                       join="concatenate"), WORDS, x=words),
    LayerRow(bl.Columns({"b": 3, "a": T}, bl.Parallel(a=bl.WordWindow(1), b=bl.Dense(2)), bl.Select("a", bl.WordWindow(1))),
             (3 + T, I), mask=lengths(7, 4, 5, longest=3 + T)),
    LayerRow(bl.Columns([("left", 2), ("right", 3)], bl.Parallel(left=bl.Embedding(V, O), right=bl.Embedding(V, 2))),
             (5,), x=integers(V, B, 5), mask=lambda rng: rng.random(B).round(), note="tokens"),
    LayerRow(bl.Tied(words=bl.Embedding(V, 2), mix=bl.Tanh(), out=bl.Dense(V), ties={"out.W": "words.W.T"}),
             (T,), x=integers(V, B, T), steps=True),
    LayerRow(bl.Tied(bl.Parallel(left=bl.Dense(O), right=bl.Dense(O)), bl.Branch(bl.Select("left"), bl.Select("right")),
                     ties={"parallel_1.right": "parallel_1.left"}), {"left": (I,), "right": (I,)}),
    LayerRow(bl.Tied(bl.Dense(I), bl.Tanh(), bl.Dense(I, b=None), bl.Dense(I), ties=[("dense_2.W", "dense_1.W.T"),
                     ("dense_3", "dense_1")]), note="three"),
    LayerRow(bl.Remat(bl.Remat(bl.Dense(4), bl.Dropout(0.4)), out=bl.Dense(O)), train=True),
    LayerRow(bl.Chain(bl.Remat(bl.WordWindow(1), bl.Dense(2)), bl.Remat(bl.Dropout(0.4, form="classic"))), (T, I),
             mask=lengths(4, 2, 3, longest=T)),
    LayerRow(bl.Remat(bl.Embedding(V, 2), bl.Dense(O)), (T,), x=integers(V, B, T), steps=True),
]  # fmt: skip
