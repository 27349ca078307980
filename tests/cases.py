"""One row per layer, loss, initialiser, rule and schedule, in several settings: test_contract.py and test_optim.py
check every row. Whoever adds a public class adds a row here (a layer: in rows/); a test fails until it is there.

Sizes differ on purpose (B != I != O), so that a transposed weight or a mixed-up axis cannot pass. Inputs stay away from
kinks: `smooth` draws no number near 0 or +-1.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import rule_oracles as oracles
from rows import LAYERS
from rows.base import B, Draw, I, LayerRow, O, distributions, integers, label, signs, smooth, zero_one

import backlit as bl
from backlit import initializers as start
from backlit import optim
from backlit.protocol import Loss


@dataclass(frozen=True)
class LossRow:
    """A loss, its y and its target; every row is checked without and with sample weights (`rows` of them)."""

    loss: Loss
    y: Draw
    target: Draw
    rows: int = B
    note: str = ""

    @property
    def id(self) -> str:
        return label(self.loss, self.note)

    def batch(self, seed: int = 0) -> tuple[Any, Any, Any]:
        """y, target and weight; the weights hold a zero."""
        rng = np.random.default_rng(seed)
        return self.y(rng), self.target(rng), np.concatenate([[0.0], rng.uniform(0.5, 2.0, size=self.rows - 1)])


@dataclass(frozen=True)
class InitializerRow:
    """An initialiser for `shape`, and the mean and standard deviation that its formula promises (None: not told)."""

    make: Callable[[Path], start.Initializer]
    shape: tuple[int, ...] = (40, 30)
    mean: float | None = 0.0
    std: float | None = None
    id: str = ""


@dataclass(frozen=True)
class RuleRow:
    """A transform and what Optax calls the same."""

    rule: Any
    oracle: optax.GradientTransformation = field(repr=False)
    note: str = ""

    @property
    def id(self) -> str:
        return label(self.rule, self.note)


@dataclass(frozen=True)
class ScheduleRow:
    """A schedule and an independent formula of the step."""

    schedule: optim.Schedule
    formula: Callable[[int], float] = field(repr=False)

    @property
    def id(self) -> str:
        return label(self.schedule)


# Layers that only the XLA engine can run and no file can name: everything else of the contract holds for them too.
XLA_LAYERS = [
    LayerRow(
        bl.Autodiff(lambda p, x: jnp.tanh(x @ p["W"]), lambda key, shape: {"W": bl.random.normal(key, (shape[-1], O))}),
    ),
    LayerRow(bl.Chain(bl.Dense(4), bl.Autodiff(lambda p, x: jnp.sin(x)), bl.Dense(O)), note="within"),
]


def shifted(draw: Draw, by: float) -> Draw:
    """Moved off the quarters of `smooth`, so that no difference of the two is 0, where |e| has its kink."""
    return lambda rng: draw(rng) + by


def apart(*shape: int) -> Draw:
    """As `smooth`, and no two columns ever differ by 0, 1/2 or 1: the kinks of the hinges."""
    return lambda rng: smooth(*shape)(rng) + 0.05 * np.arange(shape[-1])


LOSSES = [
    LossRow(bl.SquaredError(), smooth(B, O), smooth(B, O)),
    LossRow(bl.SquaredError(), smooth(B, 4, O), smooth(B, 4, O), note="sequence"),
    LossRow(bl.SoftmaxCrossEntropy(), smooth(B, O), integers(O, B), note="integers"),
    LossRow(bl.SoftmaxCrossEntropy(), smooth(B, O), distributions(B, O), note="soft"),
    LossRow(bl.SoftmaxCrossEntropy(), smooth(B, 4, O), integers(O, B, 4), rows=B * 4, note="sequence"),
    LossRow(bl.SoftmaxCrossEntropy(smoothing=0.1), smooth(B, O), integers(O, B)),
    LossRow(bl.SoftmaxCrossEntropy(class_weight=(1.0, 2.0, 0.5)), smooth(B, O), integers(O, B)),
    LossRow(bl.SoftmaxCrossEntropy(smoothing=0.2, class_weight=(1.0, 2.0, 0.5)), smooth(B, O), distributions(B, O)),
    LossRow(bl.SoftmaxCrossEntropy(), smooth(B, 4, 2, O), integers(O, B, 4, 2), rows=B * 8, note="image"),
    LossRow(bl.losses.NegativeLogLikelihood(), smooth(B, O), integers(O, B), note="integers"),
    LossRow(bl.losses.NegativeLogLikelihood((1.0, 2.0, 0.5)), smooth(B, O), distributions(B, O)),
    LossRow(bl.losses.NegativeLogLikelihood(), smooth(B, 4, 2, O), integers(O, B, 4, 2), rows=B * 8, note="image"),
    LossRow(bl.losses.AbsoluteError(), smooth(B, O), shifted(smooth(B, O), 0.1)),
    LossRow(bl.losses.Huber(), smooth(B, O), shifted(smooth(B, O), 0.1)),
    LossRow(bl.losses.Huber(delta=0.3), smooth(B), shifted(smooth(B, 1), 0.1), note="one column"),
    LossRow(bl.losses.BinaryCrossEntropy(), smooth(B, 1), zero_one(B), note="0/1"),
    LossRow(bl.losses.BinaryCrossEntropy(), smooth(B), signs(B), note="-1/+1"),
    LossRow(bl.losses.BinaryCrossEntropy(positive_weight=3.0), smooth(B, 1), lambda rng: rng.random((B, 1))),
    LossRow(bl.losses.MultiLabelCrossEntropy(), smooth(B, O), zero_one(B, O)),
    LossRow(bl.losses.MultiLabelCrossEntropy((1.0, 0.0, 2.0), (0.5, 1.0, 3.0)), smooth(B, O), distributions(B, O)),
    LossRow(bl.losses.KL(), smooth(B, O), distributions(B, O)),
    LossRow(bl.losses.KL((1.0, 2.0, 0.5)), smooth(B, 4, O), distributions(B, 4, O), rows=B * 4, note="sequence"),
    LossRow(bl.losses.MaxMargin(), apart(B, 2), integers(1, B), note="pair"),
    LossRow(bl.losses.MaxMargin(margin=0.5), apart(B, 1 + O), integers(1, B), note="several corrupt"),
    LossRow(bl.losses.BinaryHinge(), smooth(B, 1), signs(B)),
    LossRow(bl.losses.BinaryHinge(form="squared", positive_weight=2.0), smooth(B), zero_one(B)),
    LossRow(bl.losses.MultiClassHinge(), apart(B, O), integers(O, B)),
    LossRow(bl.losses.MultiClassHinge(class_weight=(1.0, 2.0, 0.5)), apart(B, O), integers(O, B)),
    LossRow(bl.losses.MultiClassHinge(form="max", margin=0.5), apart(B, O), integers(O, B)),
    LossRow(bl.losses.MultiClassHinge(form="max"), apart(B, 4, O), integers(O, B, 4), rows=B * 4, note="sequence"),
]


def saved_weights(folder: Path) -> start.Initializer:
    """Values from a file that this row writes."""
    np.save(folder / "W.npy", np.full((40, 30), 0.25, dtype=np.float32))
    return start.FromFile(str(folder / "W.npy"))


def word_vectors(folder: Path) -> start.Initializer:
    """Two words from a file that this row writes, and one that it lacks."""
    (folder / "vectors.txt").write_text("a 1 2\nb 3 4\n", encoding="utf-8")
    return bl.WordVectors(str(folder / "vectors.txt"), ("b", "c", "a"))


INITIALIZERS = [
    InitializerRow(lambda _: start.Zeros(), std=0.0, id="Zeros"),
    InitializerRow(lambda _: start.Constant(0.5), mean=0.5, std=0.0, id="Constant"),
    InitializerRow(lambda _: start.Normal(std=0.1, mean=1.0), mean=1.0, std=0.1, id="Normal"),
    InitializerRow(lambda _: start.Uniform(-1.0, 3.0), mean=1.0, std=4 / 12**0.5, id="Uniform"),
    InitializerRow(lambda _: start.Xavier(), std=(2 / 70) ** 0.5, id="Xavier"),
    InitializerRow(lambda _: start.Xavier("normal", fan="in"), std=(1 / 40) ** 0.5, id="Xavier-normal-in"),
    InitializerRow(lambda _: start.He(), std=(2 / 40) ** 0.5, id="He"),
    InitializerRow(lambda _: start.He("uniform"), std=(2 / 40) ** 0.5, id="He-uniform"),
    InitializerRow(lambda _: start.He(), shape=(3, 3, 20, 10), std=(2 / 180) ** 0.5, id="He-kernel"),
    InitializerRow(lambda _: start.LeCun(), std=(1 / 40) ** 0.5, id="LeCun"),
    InitializerRow(lambda _: start.Orthogonal(2.0), std=2 / 40**0.5, id="Orthogonal"),
    InitializerRow(lambda _: start.Orthogonal(), shape=(30, 40), std=1 / 40**0.5, id="Orthogonal-wide"),
    InitializerRow(saved_weights, mean=0.25, std=0.0, id="FromFile"),
    InitializerRow(word_vectors, shape=(3, 2), mean=None, id="WordVectors"),
]  # fmt: skip


def plain_adam(lr: float, b1: float = 0.9, b2: float = 0.999, epsilon: float = 1e-8) -> optax.GradientTransformation:
    """Adam without the corrections, which Optax does not have."""

    def update(grads: Any, state: Any, params: Any = None) -> Any:
        m = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, state[0], grads)
        v = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g**2, state[1], grads)
        return jax.tree.map(lambda m, v: -lr * m / (v**0.5 + epsilon), m, v), (m, v)

    return optax.GradientTransformation(lambda params: (jax.tree.map(np.zeros_like, params),) * 2, update)


_mask = {"dense": {"W": True, "b": False}}
RULES = [
    RuleRow(bl.SGD(lr=0.1), optax.sgd(0.1)),
    RuleRow(bl.SGD(lr=optim.Cosine(0.1, steps=15)), optax.sgd(optax.cosine_decay_schedule(0.1, 15))),
    RuleRow(bl.Momentum(lr=0.05, momentum=0.8), optax.sgd(0.05, momentum=0.8)),
    RuleRow(bl.Nesterov(lr=0.05, momentum=0.8), optax.sgd(0.05, momentum=0.8, nesterov=True)),
    RuleRow(bl.Adam(lr=0.05), optax.adam(0.05)),
    RuleRow(bl.Adam(lr=0.05, b1=0.7, b2=0.9, epsilon=1e-3), optax.adam(0.05, 0.7, 0.9, 1e-3)),
    RuleRow(bl.AdamW(lr=0.05, weight_decay=0.1), optax.adamw(0.05, weight_decay=0.1, mask=_mask)),
    RuleRow(bl.Adam(lr=0.05, epsilon_root=1e-3), optax.adam(0.05, eps_root=1e-3)),
    RuleRow(bl.Adam(lr=0.005, b1=0.8, corrected=False), plain_adam(0.005, 0.8)),
    RuleRow(optim.NAdam(lr=0.05), optax.nadam(0.05)),
    RuleRow(optim.RAdam(lr=0.05, b2=0.9), optax.radam(0.05, b2=0.9)),
    RuleRow(optim.AMSGrad(lr=0.05, b2=0.7), optax.amsgrad(0.05, b2=0.7)),
    RuleRow(optim.AdaMax(lr=0.05, b2=0.8), optax.adamax(0.05, b2=0.8)),
    RuleRow(optim.AdaGrad(lr=0.1, initial=0.1), optax.adagrad(0.1, 0.1, eps=1e-16)),
    RuleRow(optim.RMSProp(lr=0.02), optax.rmsprop(0.02, eps_in_sqrt=False)),
    RuleRow(optim.RMSProp(lr=0.02, centred=True, epsilon=0.01),
            optax.rmsprop(0.02, centered=True, eps=0.01, eps_in_sqrt=False)),
    RuleRow(optim.RMSProp(lr=0.02, decay=0.8, momentum=0.7),
            optax.rmsprop(0.02, 0.8, momentum=0.7, eps_in_sqrt=False)),
    RuleRow(optim.AdaDelta(decay=0.8, epsilon=1e-3), optax.adadelta(1.0, 0.8, 1e-3)),
    RuleRow(optim.Lion(lr=0.02, weight_decay=0.1), optax.lion(0.02, weight_decay=0.1, mask=_mask)),
    RuleRow(optim.LARS(lr=0.05, weight_decay=0.1, trust=0.5),
            optax.lars(0.05, 0.1, _mask, 0.5, trust_ratio_mask=_mask)),
    RuleRow(optim.LAMB(lr=0.05, weight_decay=0.1),
            optax.chain(optax.scale_by_adam(eps=1e-6), optax.add_decayed_weights(0.1, _mask),
                        optax.masked(optax.scale_by_trust_ratio(), _mask), optax.scale_by_learning_rate(0.05))),
    RuleRow(optim.Adan(lr=0.05, weight_decay=0.1), optax.adan(0.05, eps_root=0.0, weight_decay=0.1, mask=_mask)),
    RuleRow(optim.Adafactor(lr=0.1, weight_decay=0.01),
            optax.adafactor(0.1, weight_decay_rate=0.01, weight_decay_mask=_mask)),
    RuleRow(optim.Adafactor(lr=0.1, least=2, scaled=False, clip=0.5),
            optax.adafactor(0.1, 2, multiply_by_parameter_scale=False, clipping_threshold=0.5)),
    RuleRow(optim.Muon(lr=0.05, adam_lr=0.02), oracles.muon(0.05, 0.95, lambda n, p: 1.0, adam_lr=0.02)),
    RuleRow(optim.Muon(lr=0.05, momentum=0.8, scale="adam", weight_decay=0.1),
            oracles.muon(0.05, 0.8, lambda n, p: 0.2 * max(n, p) ** 0.5, 0.1)),
    RuleRow(optim.Shampoo(lr=0.02, b2=0.9, every=3, weight_decay=0.1, damping=0.01),
            oracles.shampoo(0.02, b2=0.9, every=3, decay=0.1, damping=0.01)),
    RuleRow(optim.Shampoo(lr=0.1, b1=0.0, b2=1.0, graft="none", every=1, damping=0.01),
            oracles.shampoo(0.1, 0.0, 1.0, "none", 1, damping=0.01)),
    RuleRow(optim.Shampoo(lr=0.01, graft="sgd", every=4, largest=3),
            oracles.shampoo(0.01, graft="sgd", every=4, long_rows=True)),
    RuleRow(optim.SOAP(lr=0.02, epsilon=0.1), oracles.soap(0.02, 0.95, 0.95, 10, 0.01, 0.1)),
    RuleRow(optim.SOAP(lr=0.02, b1=0.8, b2=0.9, every=1, weight_decay=0.0, epsilon=0.1),
            oracles.soap(0.02, 0.8, 0.9, 1, 0.0, 0.1)),
    RuleRow(optim.Adam8bit(lr=0.05), optax.adam(0.05), note="small arrays"),
    RuleRow(optim.Adam8bit(lr=0.05, least=1), oracles.adam_8bit(0.05)),
    RuleRow(optim.AdamW8bit(lr=0.05, b2=0.9, weight_decay=0.1, least=1), oracles.adam_8bit(0.05, b2=0.9, decay=0.1)),
    RuleRow(optim.ScheduleFreeSGD(lr=0.2, weight_decay=0.1),
            optax.contrib.schedule_free(optax.chain(optax.add_decayed_weights(0.1, _mask), optax.sgd(0.2)), 0.2)),
    RuleRow(optim.ScheduleFreeAdamW(lr=0.05), optax.contrib.schedule_free_adamw(0.05)),
    RuleRow(optim.ClipByValue(0.4), optax.clip(0.4)),
    RuleRow(optim.ClipEach(0.5), optax.stateless(lambda grads, _: jax.tree.map(
        lambda g: g * min(1.0, 0.5 / float(np.linalg.norm(g))), grads))),
    RuleRow(optim.AdaptiveClip(0.05), optax.adaptive_grad_clip(0.05)),
    RuleRow(bl.ClipByNorm(0.5), optax.clip_by_global_norm(0.5)),
    RuleRow(bl.ClipByNorm(1e6), optax.clip_by_global_norm(1e6)),
    RuleRow(optim.chain(bl.ClipByNorm(0.5), bl.Adam(lr=0.05)),
            optax.chain(optax.clip_by_global_norm(0.5), optax.adam(0.05))),
]  # fmt: skip


def _period(steps: int, end: float = 0.0) -> dict[str, float]:
    """A period of a cosine with warm restarts from 0.3, as Optax has it."""
    return {"init_value": 0.3, "peak_value": 0.3, "warmup_steps": 0, "decay_steps": steps, "end_value": end}


SCHEDULES = [
    ScheduleRow(optim.Constant(0.3), lambda t: 0.3),
    ScheduleRow(optim.Cosine(0.3, end=0.1, steps=8), lambda t: float(optax.cosine_decay_schedule(0.3, 8, 1 / 3)(t))),
    ScheduleRow(optim.WarmUp(optim.Constant(0.3), warm_up=4), lambda t: 0.3 * min(1.0, (t + 1) / 4)),
    ScheduleRow(
        optim.WarmUp(optim.Cosine(0.3, steps=8), warm_up=4),
        lambda t: min(1.0, (t + 1) / 4) * float(optax.cosine_decay_schedule(0.3, 8)(t)),
    ),
    ScheduleRow(optim.Linear(0.3, end=0.1, steps=8), lambda t: float(optax.linear_schedule(0.3, 0.1, 8)(t))),
    ScheduleRow(
        optim.Polynomial(0.3, end=0.1, power=0.9, steps=8),
        lambda t: float(optax.polynomial_schedule(0.3, 0.1, 0.9, 8)(t)),
    ),
    ScheduleRow(optim.Exponential(0.3, 0.5, every=3), lambda t: float(optax.exponential_decay(0.3, 3, 0.5)(t))),
    ScheduleRow(
        optim.Step(0.3, factor=0.2, steps=8),
        lambda t: float(optax.piecewise_constant_schedule(0.3, {4: 0.2, 6: 0.2})(t)),
    ),
    ScheduleRow(
        optim.Step(0.3, at=(0.4,), steps=8), lambda t: float(optax.piecewise_constant_schedule(0.3, {3: 0.1})(t))
    ),
    ScheduleRow(optim.OneCycle(0.3, steps=10), lambda t: float(optax.cosine_onecycle_schedule(10, 0.3)(t))),
    ScheduleRow(
        optim.OneCycle(0.3, rise=0.45, divide=5.0, final_divide=50.0, steps=8),
        lambda t: float(optax.cosine_onecycle_schedule(8, 0.3, 0.45, 5.0, 50.0)(t)),
    ),
    ScheduleRow(
        optim.WarmUp(optim.Constant(0.3), warm_up=4, shape="cosine"),
        lambda t: 0.15 * (1 - math.cos(math.pi * min(1.0, (t + 1) / 4))),
    ),
    ScheduleRow(optim.Product(0.5, optim.Linear(0.3, steps=8)), lambda t: 0.15 * (1 - min(t / 8, 1))),
    ScheduleRow(optim.ForBatch(optim.Linear(0.3, steps=8), power=0.5, batch=64), lambda t: 0.15 * (1 - min(t / 8, 1))),
    ScheduleRow(optim.NaturalExponential(0.3, rate=0.2), lambda t: 0.3 * math.exp(-0.2 * t)),
    ScheduleRow(optim.InverseTime(0.3, rate=0.2), lambda t: 0.3 / (1 + 0.2 * t)),
    ScheduleRow(optim.InverseTime(0.3, rate=0.5, power=0.5), lambda t: 0.3 / math.sqrt(1 + 0.5 * t)),
    ScheduleRow(optim.Harmonic(0.3, tau=6), lambda t: 0.3 * 6 / max(t, 6)),
    ScheduleRow(optim.Piecewise((0.3, 0.9, 0.1), at=(4, 9)), lambda t: 0.3 if t < 4 else 0.9 if t < 9 else 0.1),
    ScheduleRow(
        optim.WarmUpStableDecay(0.3, rise=0.2, fall=0.3, end=0.1, steps=10),
        lambda t: 0.3 * min(1, t / 2) - 0.2 * math.sqrt(min(1, max(0, (t - 7) / 3))),
    ),
    ScheduleRow(
        optim.WarmUpStableDecay(0.3, rise=0.0, fall=0.5, shape="linear", steps=10),
        lambda t: 0.3 * min(1, max(0, (10 - t) / 5)),
    ),
    ScheduleRow(
        optim.Restarts(0.3, period=4, end=0.1),
        lambda t: float(optax.sgdr_schedule([_period(4, 0.1)] * 5)(t)),
    ),
    ScheduleRow(
        optim.Restarts(0.3, period=2, grow=3),
        lambda t: float(optax.sgdr_schedule([_period(2), _period(6), _period(18)])(t)),
    ),
    ScheduleRow(optim.Triangular(0.1, 0.5, half=3), lambda t: 0.1 + 0.4 * (1 - abs(t % 6 / 3 - 1))),
    ScheduleRow(
        optim.Triangular(0.1, 0.5, half=2, shrink=0.5), lambda t: 0.1 + 0.4 * (1 - abs(t % 4 / 2 - 1)) / 2 ** (t // 4)
    ),
    ScheduleRow(optim.Triangular(0.1, 0.5, half=3, fade=0.9), lambda t: 0.1 + 0.4 * (1 - abs(t % 6 / 3 - 1)) * 0.9**t),
    ScheduleRow(
        optim.After(optim.Linear(0.3, steps=10), updates=5, second=optim.Exponential(0.2, 0.5, every=2)),
        lambda t: 0.3 * (1 - t / 10) if t < 5 else 0.2 * 0.5 ** ((t - 5) / 2),
    ),
]

__all__ = ["INITIALIZERS", "LAYERS", "LOSSES", "RULES", "SCHEDULES", "XLA_LAYERS", "B", "I", "LayerRow", "O"]
