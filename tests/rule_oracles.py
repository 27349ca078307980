"""Update rules that Optax lacks, written once more for the tests: float64, NumPy and SciPy, from the papers' formulae.

Each gives an optax.GradientTransformation, for the rows of cases.py. A parameter called b is a vector.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax
from scipy.linalg import inv, sqrtm

from backlit.engine import tree

Step = Callable[[str, Any, Any, dict[str, Any], int], Any]


def by_parameter(step: Step) -> optax.GradientTransformation:
    """step(path, g, w, memory, t) -> update for each parameter by itself, `memory` its own dict, t from 1."""

    def init(params: Any) -> Any:
        return {"t": 0, **{path: {} for path in tree.flatten(params)}}

    def update(grads: Any, state: Any, params: Any) -> Any:
        state["t"] += 1
        values, given = tree.flatten(params), tree.flatten(jax.tree.map(np.asarray, grads))
        moves = {path: step(path, g, values[path], state[path], state["t"]) for path, g in given.items()}
        return tree.unflatten(params, moves), state

    return optax.GradientTransformation(init, update)


def adam(g: Any, memory: Any, t: int, b1: float, b2: float, epsilon: float = 1e-8) -> Any:
    """Adam's step for a learning rate of 1."""
    memory["m"] = b1 * memory.get("m", 0.0) + (1 - b1) * g
    memory["v"] = b2 * memory.get("v", 0.0) + (1 - b2) * g**2
    return memory["m"] / (1 - b1**t) / (np.sqrt(memory["v"] / (1 - b2**t)) + epsilon)


def newton_schulz(X: Any) -> Any:
    """Five steps of the iteration, done to the singular values: it is a polynomial of each of them by itself."""
    U, s, V = np.linalg.svd(X, full_matrices=False)
    s = s / np.linalg.norm(s)
    for _ in range(5):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    return (U * s) @ V


def muon(
    lr: float, momentum: float, scale: Callable[[int, int], float], decay: float = 0.0, adam_lr: float = 3e-4
) -> optax.GradientTransformation:
    """Nesterov's form; what is no matrix takes Adam."""

    def step(path: str, g: Any, w: Any, memory: Any, t: int) -> Any:
        if g.ndim == 1:
            return -adam_lr * adam(g, memory, t, 0.9, 0.999)
        memory["B"] = momentum * memory.get("B", 0.0) + (1 - momentum) * g
        ahead = (1 - momentum) * g + momentum * memory["B"]
        return -lr * (scale(*g.shape) * newton_schulz(ahead) + decay * w)

    return by_parameter(step)


def root(A: Any, times: int, damping: float) -> Any:
    """(A + damping largest eigenvalue)^(-1 / 2^times), by repeated square roots."""
    A = A + damping * np.linalg.norm(A, 2) * np.eye(len(A))
    for _ in range(times):
        A = np.real(sqrtm(A))
    return inv(A)


def shampoo(
    lr: float, b1: float = 0.9, b2: float = 0.999, graft: str = "adam", every: int = 10, decay: float = 0.0,
    long_rows: bool = False, damping: float = 1e-5,
) -> optax.GradientTransformation:  # fmt: skip
    """Both roots of a matrix, or that of its columns alone; b2 = 1 sums."""
    fresh = 1.0 if b2 == 1 else 1 - b2

    def step(path: str, g: Any, w: Any, memory: Any, t: int) -> Any:
        second = 1.0 if b2 == 1 else 1 - b2**t
        memory["m"] = b1 * memory.get("m", 0.0) + (1 - b1) * g
        memory["v"] = b2 * memory.get("v", 0.0) + fresh * g**2
        m = memory["m"] / (1 - b1**t)
        step_of_adam = m / (np.sqrt(memory["v"] / second) + 1e-8)
        if g.ndim == 1:
            return -lr * step_of_adam if graft == "adam" else -lr * m / (np.sqrt(memory["v"] / second) + 1e-8)
        memory["L"] = b2 * memory.get("L", 0.0) + fresh * g @ g.T
        memory["R"] = b2 * memory.get("R", 0.0) + fresh * g.T @ g
        if (t - 1) % every == 0:
            times = 1 if long_rows else 2
            memory["left"] = np.eye(len(g)) if long_rows else root(memory["L"] / second, times, damping)
            memory["right"] = root(memory["R"] / second, times, damping)
        u = memory["left"] @ m @ memory["right"]
        length = {"adam": step_of_adam, "sgd": m, "none": u}[graft]
        return -lr * (u * np.linalg.norm(length) / np.linalg.norm(u) + decay * w)

    return by_parameter(step)


def soap(lr: float, b1: float, b2: float, every: int, decay: float, epsilon: float) -> optax.GradientTransformation:
    """Algorithm 3 of https://arxiv.org/abs/2409.11321; the first gradient only begins the bases; signs as they come."""

    def refreshed(A: Any, Q: Any) -> Any:
        order = np.argsort(-np.diag(Q.T @ A @ Q), kind="stable")
        return np.linalg.qr(A @ Q[:, order]).Q, order

    def step(path: str, g: Any, w: Any, memory: Any, t: int) -> Any:
        shrink = lr * decay * w if g.ndim > 1 else 0.0
        if g.ndim == 1:
            return -lr * adam(g, memory, t, b1, b2, epsilon)
        if t == 1:
            memory |= {"L": (1 - b2) * g @ g.T, "R": (1 - b2) * g.T @ g, "M": 0 * g, "V": 0 * g}
            memory["P"], memory["Q"] = (np.linalg.eigh(memory[name])[1][:, ::-1] for name in ("L", "R"))
            return -shrink
        P, Q = memory["P"], memory["Q"]
        memory["M"] = b1 * memory["M"] + (1 - b1) * g
        memory["V"] = b2 * memory["V"] + (1 - b2) * (P.T @ g @ Q) ** 2
        m, v = memory["M"] / (1 - b1 ** (t - 1)), memory["V"] / (1 - b2 ** (t - 1))
        move = P @ ((P.T @ m @ Q) / (np.sqrt(v) + epsilon)) @ Q.T
        memory["L"] = b2 * memory["L"] + (1 - b2) * g @ g.T
        memory["R"] = b2 * memory["R"] + (1 - b2) * g.T @ g
        if (t - 1) % every == 0:
            memory["P"], rows = refreshed(memory["L"], P)
            memory["Q"], columns = refreshed(memory["R"], Q)
            memory["V"] = memory["V"][rows][:, columns]
        return -lr * move - shrink

    return by_parameter(step)


# The codes of 8 bits, as tables: every value that a code can have, of m (magnitudes) and of v.
TABLE_M = np.array([2.0 ** ((k >> 3) - 127) * (1 + (k & 7) / 8) for k in range(889, 1017)])
TABLE_V = np.array([2.0 ** ((k >> 3) - 127) * (1 + (k & 7) / 8) for k in range(761, 1017)])


def looked_up(y: Any, table: Any, turn: Any) -> Any:
    """y rounded down or up to a value of the table: up if its share of the gap and `turn` come to 1."""
    y = np.clip(y, table[0], table[-1])
    below = np.minimum(np.searchsorted(table, y, side="right") - 1, len(table) - 2)
    share = (y - table[below]) / (table[below + 1] - table[below])
    return table[below + (np.floor(share * 2**20) + turn >= 2**20)]


def adam_8bit(lr: float, b1: float = 0.9, b2: float = 0.999, decay: float = 0.0) -> optax.GradientTransformation:
    """Adam with means rounded after each update; a block is a column of W, and the whole of b."""

    def step(path: str, g: Any, w: Any, memory: Any, t: int) -> Any:
        shrink = lr * decay * w if g.ndim > 1 else 0.0
        m = b1 * memory.get("m", 0.0) + (1 - b1) * g
        v = b2 * memory.get("v", 0.0) + (1 - b2) * g**2
        top = abs(g).max(axis=0, keepdims=True)
        memory["S"] = b1 * memory.get("S", 0.0) + (1 - b1) * top
        memory["T"] = b2 * memory.get("T", 0.0) + (1 - b2) * top**2
        place = np.arange(memory["S"].size, dtype=np.uint64).reshape(memory["S"].shape) * 1779033703
        turn = (g.astype(np.float32).view(np.uint32) + place + (t - 1) * 1640531527) % 2**20
        size = looked_up(abs(m) / memory["S"] * (1 - 2**-15) + TABLE_M[0], TABLE_M, turn) - TABLE_M[0]
        memory["m"] = np.sign(m) * size * memory["S"]
        memory["v"] = looked_up(v / memory["T"] * (1 - 2**-20), TABLE_V, turn) * memory["T"]
        return -lr * m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + 1e-8) - shrink

    return by_parameter(step)
