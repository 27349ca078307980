"""Update rules, schedules and the transformations around them."""

from backlit.optim.accumulation import Accumulate
from backlit.optim.adam import Adam, AdaMax, AdamW, AMSGrad, NAdam, RAdam
from backlit.optim.adan import Adan
from backlit.optim.adaptive import AdaDelta, AdaGrad, RMSProp
from backlit.optim.averages import EMA, SWA, Lookahead
from backlit.optim.clipping import AdaptiveClip, Clip, ClipByNorm, ClipByValue, ClipEach
from backlit.optim.constraints import MaxNorm
from backlit.optim.cycles import Restarts, Triangular
from backlit.optim.decays import Linear, OneCycle, Polynomial, WarmUpStableDecay
from backlit.optim.eight_bit import Adam8bit, AdamW8bit
from backlit.optim.endless import Exponential, Harmonic, InverseTime, NaturalExponential
from backlit.optim.factored import Adafactor
from backlit.optim.foreign import from_optax
from backlit.optim.gradients import Centralize, GradientNoise, SpectralPenalty
from backlit.optim.large_batch import LAMB, LARS
from backlit.optim.muon import Muon
from backlit.optim.objective import Objective
from backlit.optim.partition import Group
from backlit.optim.pieces import After, Piecewise, Step
from backlit.optim.rules import SGD, Asking, Momentum, Nesterov, Rule
from backlit.optim.schedule_free import ScheduleFreeAdamW, ScheduleFreeSGD
from backlit.optim.schedules import Constant, Cosine, ForBatch, Product, Schedule, WarmUp, at
from backlit.optim.second_order import (
    BFGS,
    LBFGS,
    GaussNewton,
    HessianFree,
    LevenbergMarquardt,
    Minimum,
    Newton,
    NonlinearCG,
    Wolfe,
    minimize,
)
from backlit.optim.shampoo import Shampoo
from backlit.optim.sharpness import SAM, WeightNoise
from backlit.optim.sign import Lion
from backlit.optim.soap import SOAP
from backlit.optim.sophia import Sophia
from backlit.optim.transforms import L1L2, chain
from backlit.optim.wrappers import Wrapper

__all__ = [
    "BFGS",
    "EMA",
    "L1L2",
    "LAMB",
    "LARS",
    "LBFGS",
    "SAM",
    "SGD",
    "SOAP",
    "SWA",
    "AMSGrad",
    "Accumulate",
    "AdaDelta",
    "AdaGrad",
    "AdaMax",
    "Adafactor",
    "Adam",
    "Adam8bit",
    "AdamW",
    "AdamW8bit",
    "Adan",
    "AdaptiveClip",
    "After",
    "Asking",
    "Centralize",
    "Clip",
    "ClipByNorm",
    "ClipByValue",
    "ClipEach",
    "Constant",
    "Cosine",
    "Exponential",
    "ForBatch",
    "GaussNewton",
    "GradientNoise",
    "Group",
    "Harmonic",
    "HessianFree",
    "InverseTime",
    "LevenbergMarquardt",
    "Linear",
    "Lion",
    "Lookahead",
    "MaxNorm",
    "Minimum",
    "Momentum",
    "Muon",
    "NAdam",
    "NaturalExponential",
    "Nesterov",
    "Newton",
    "NonlinearCG",
    "Objective",
    "OneCycle",
    "Piecewise",
    "Polynomial",
    "Product",
    "RAdam",
    "RMSProp",
    "Restarts",
    "Rule",
    "Schedule",
    "ScheduleFreeAdamW",
    "ScheduleFreeSGD",
    "Shampoo",
    "Sophia",
    "SpectralPenalty",
    "Step",
    "Triangular",
    "WarmUp",
    "WarmUpStableDecay",
    "WeightNoise",
    "Wolfe",
    "Wrapper",
    "at",
    "chain",
    "from_optax",
    "minimize",
]
