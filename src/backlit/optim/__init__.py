"""Update rules, schedules and the transformations around them."""

from backlit.optim.adam import Adam, AdaMax, AdamW, AMSGrad, NAdam, RAdam
from backlit.optim.adan import Adan
from backlit.optim.adaptive import AdaDelta, AdaGrad, RMSProp
from backlit.optim.clipping import AdaptiveClip, Clip, ClipByNorm, ClipByValue, ClipEach
from backlit.optim.cycles import Restarts, Triangular
from backlit.optim.decays import Linear, OneCycle, Polynomial, WarmUpStableDecay
from backlit.optim.endless import Exponential, Harmonic, InverseTime, NaturalExponential
from backlit.optim.factored import Adafactor
from backlit.optim.large_batch import LAMB, LARS
from backlit.optim.pieces import After, Piecewise, Step
from backlit.optim.rules import SGD, Momentum, Nesterov, Rule
from backlit.optim.schedules import Constant, Cosine, Schedule, WarmUp, at
from backlit.optim.sign import Lion
from backlit.optim.transforms import L1L2, chain

__all__ = [
    "L1L2",
    "LAMB",
    "LARS",
    "SGD",
    "AMSGrad",
    "AdaDelta",
    "AdaGrad",
    "AdaMax",
    "Adafactor",
    "Adam",
    "AdamW",
    "Adan",
    "AdaptiveClip",
    "After",
    "Clip",
    "ClipByNorm",
    "ClipByValue",
    "ClipEach",
    "Constant",
    "Cosine",
    "Exponential",
    "Harmonic",
    "InverseTime",
    "Linear",
    "Lion",
    "Momentum",
    "NAdam",
    "NaturalExponential",
    "Nesterov",
    "OneCycle",
    "Piecewise",
    "Polynomial",
    "RAdam",
    "RMSProp",
    "Restarts",
    "Rule",
    "Schedule",
    "Step",
    "Triangular",
    "WarmUp",
    "WarmUpStableDecay",
    "at",
    "chain",
]
