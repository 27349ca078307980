"""Attention: heads stand side by side, padding is a mask of keys, what went before is the front of the sequence."""

import math
from typing import Any

import numpy as np

import backlit as bl
from onnx_cases.case import Case, DoesNotApply, Work, adapter, refuse, through


@adapter("DotProductAttention", "Attention", "FlexAttention")
def attention(case: Case) -> Work:
    settings = case.settings
    refuse(settings.get("softcap"), "scores are bounded by a tanh")
    refuse("score_mod" in settings or "prob_mod" in settings, "a graph within the case computes with the scores")
    heads, shared = settings.get("q_num_heads"), settings.get("kv_num_heads")
    q, k, v = (split(case[name], n) for name, n in (("Q", heads), ("K", shared), ("V", shared)))  # (B, heads, T, d)
    if case.get("past_key") is not None:
        k, v = (np.concatenate([case[f"past_{name}"], new], axis=2) for name, new in (("key", k), ("value", v)))
    lengths = case.get("nonpad_kv_seqlen")
    aligned = lengths is not None and bool(settings.get("is_causal"))  # the last query stands at the last real key
    if aligned:
        k, v = (moved(a, lengths, axis=2) for a in (k, v))
    before = (
        k.shape[2] - q.shape[2] if aligned or case.get("past_key") is not None else 0
    )  # steps before the first query
    sees = visible(case, (*q.shape[:3], k.shape[2]), before, aligned)
    keys, causal = as_settings(sees, before)
    layer = bl.DotProductAttention(q.shape[1], k.shape[1], scaled="scale" not in settings, causal=causal)
    # Another factor of the scores is one of the queries, as their projection would hold it.
    q = q * np.asarray(settings.get("scale", 1.0), dtype=q.dtype)
    if causal:
        q = np.concatenate([np.zeros((*q.shape[:2], before, q.shape[3]), q.dtype), q], axis=2)
    x = {"query": joined(q), "key": joined(k), "value": joined(v)}
    start = q.shape[2] - sees.shape[2]

    def back(y: Any) -> Any:
        y = y[:, start:]  # (B, Tq, heads e)
        return y if case["Q"].ndim == 3 else split(y, q.shape[1])

    return through(layer, x, back=back, mask={"key": keys.astype(q.dtype)})


def split(x: Any, heads: int | None) -> Any:
    """(B, T, heads d) -> (B, heads, T, d); four axes stay as they are."""
    return x if x.ndim == 4 else np.moveaxis(x.reshape(*x.shape[:2], heads, -1), 1, 2)


def joined(x: Any) -> Any:
    """(B, heads, T, d) -> (B, T, heads d)."""
    return np.moveaxis(x, 1, 2).reshape(x.shape[0], x.shape[2], -1)


def moved(x: Any, lengths: Any, axis: int) -> Any:
    """Each row's real steps moved to the end, where the newest query stands."""
    return np.stack([np.roll(row, row.shape[axis - 1] - n, axis - 1) for row, n in zip(x, lengths, strict=True)])


def visible(case: Case, shape: tuple[int, ...], before: int, aligned: bool) -> Any:
    """True where a query may look, (B, heads, Tq, Tk), from all settings and inputs that restrict it."""
    settings, mask, lengths = case.settings, case.get("attn_mask"), case.get("nonpad_kv_seqlen")
    queries, keys = np.arange(shape[2])[:, None] + before, np.arange(shape[3])
    gap, sees = keys - queries, np.ones(shape, dtype=bool)
    if settings.get("is_causal"):
        sees &= gap <= 0
    left, right = settings.get("left_window_size", -1), settings.get("right_window_size", -1)
    sees &= (left < 0) | (gap >= -left)
    sees &= (right < 0) | (gap <= right)
    if lengths is not None:
        real = keys < lengths[:, None]  # (B, Tk)
        sees &= (moved(real, lengths, axis=1) if aligned else real)[:, None, None, :]
    if mask is not None:
        refuse(mask.dtype != bool and set(np.unique(mask)) - {0.0, -math.inf}, "numbers are added to the scores")
        may = mask if mask.dtype == bool else mask == 0
        may = np.pad(may, [(0, 0)] * (may.ndim - 1) + [(0, shape[3] - may.shape[-1])])
        may = np.broadcast_to(may, shape)
        sees &= moved(may, lengths, axis=3) if aligned else may
    return sees


def as_settings(sees: Any, before: int) -> tuple[Any, bool]:
    """The mask of keys (B, Tk), and whether attention is causal, that mean the same."""
    keys = sees.any(axis=(1, 2))  # (B, Tk)
    past = np.arange(sees.shape[3]) <= np.arange(sees.shape[2])[:, None] + before  # (Tq, Tk)
    for causal in (False, True):
        if np.array_equal(sees, np.broadcast_to(keys[:, None, None, :] & (past | (not causal)), sees.shape)):
            return keys, causal
    raise DoesNotApply("a mask of its own for every query or head, or a window: the layer's mask is one of keys")


@adapter("RotaryPositions", "RotaryEmbedding")
def rotary(case: Case) -> Work:
    x, cos, sin = case["X"], case["cos_cache"], case["sin_cache"]
    refuse(not np.allclose(cos**2 + sin**2, 1.0, atol=1e-5), "its cosines and sines are random numbers, of no angle")
    layer = bl.RotaryPositions(x.shape[1], form="interleaved" if case.settings["interleaved"] else "halves")
    return through(layer, joined(x), back=lambda y: split(y, x.shape[1]))
