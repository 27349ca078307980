"""How good a net is: from net outputs and targets to the numbers a person compares."""

from backlit.evaluation.classes import Calibration, Curve, PerClass, calibration, confusion, per_class, roc
from backlit.evaluation.metrics import HEADLINE, decide, interval, labels, measure, probabilities

__all__ = [
    "HEADLINE",
    "Calibration",
    "Curve",
    "PerClass",
    "calibration",
    "confusion",
    "decide",
    "interval",
    "labels",
    "measure",
    "per_class",
    "probabilities",
    "roc",
]
