"""How good a net is: from net outputs and targets to the numbers a person compares."""

from backlit.evaluation.classes import Calibration, Curve, PerClass, calibration, confusion, per_class, roc
from backlit.evaluation.entities import (
    Entity,
    EntityScores,
    Score,
    are_tags,
    find_entities,
    majority,
    score_entities,
    sentences,
)
from backlit.evaluation.metrics import (
    HEADLINE,
    decide,
    interval,
    labels,
    measure,
    per_step,
    probabilities,
    real_steps,
)

__all__ = [
    "HEADLINE",
    "Calibration",
    "Curve",
    "Entity",
    "EntityScores",
    "PerClass",
    "Score",
    "are_tags",
    "calibration",
    "confusion",
    "decide",
    "find_entities",
    "interval",
    "labels",
    "majority",
    "measure",
    "per_class",
    "per_step",
    "probabilities",
    "real_steps",
    "roc",
    "score_entities",
    "sentences",
]
