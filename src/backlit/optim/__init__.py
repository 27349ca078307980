"""Update rules, schedules and the transformations around them."""

from backlit.optim.decays import Exponential, Linear, OneCycle, Polynomial, Step
from backlit.optim.rules import SGD, Adam, AdamW, Momentum, Nesterov, Rule
from backlit.optim.schedules import Constant, Cosine, Schedule, WarmUp, at
from backlit.optim.transforms import L1L2, ClipByNorm, chain

__all__ = [
    "L1L2",
    "SGD",
    "Adam",
    "AdamW",
    "ClipByNorm",
    "Constant",
    "Cosine",
    "Exponential",
    "Linear",
    "Momentum",
    "Nesterov",
    "OneCycle",
    "Polynomial",
    "Rule",
    "Schedule",
    "Step",
    "WarmUp",
    "at",
    "chain",
]
