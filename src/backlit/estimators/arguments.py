"""The arguments of the estimators as settings: checked when `fit` begins, as scikit-learn asks, with one sentence each.

What they describe is built from them: the net, the update rule, the learning rate of an epoch, the penalty.
"""

from dataclasses import dataclass, field, fields
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Gt, Interval

from backlit.data import Preprocessor
from backlit.errors import SettingError
from backlit.initializers import Xavier
from backlit.layers import Chain, Dense, ReLU
from backlit.optim import SGD, Adam, Momentum, Nesterov, Rule
from backlit.protocol import Layer, Loss
from backlit.settings import Count, Fraction, NonNegative, Settings

Positive = Annotated[float, Gt(0)]


@dataclass(frozen=True)
class Arguments(Settings):
    """What an estimator was constructed with. Errors: SettingError with a sentence for every argument that is wrong."""

    abstract: ClassVar[bool] = False
    hidden_layer_sizes: tuple[Count, ...] = (100,)
    activation: Layer | None = field(default_factory=ReLU)
    solver: Literal["adam", "sgd", "lbfgs"] = "adam"
    alpha: NonNegative = 0.0001
    batch_size: Literal["auto"] | Count = "auto"
    learning_rate: Literal["constant", "invscaling", "adaptive"] = "constant"
    learning_rate_init: Positive = 0.001
    power_t: NonNegative = 0.5
    max_iter: Count = 200
    shuffle: bool = True
    tol: NonNegative = 1e-4
    verbose: bool | int = False
    warm_start: bool = False
    momentum: Fraction = 0.9
    nesterovs_momentum: bool = True
    early_stopping: bool = False
    validation_fraction: Annotated[float, Interval(gt=0, lt=1)] = 0.1
    beta_1: Fraction = 0.9
    beta_2: Fraction = 0.999
    epsilon: Positive = 1e-8
    n_iter_no_change: Annotated[float, Ge(1)] = 10
    max_fun: Count = 15000
    net: Layer | None = None
    loss: Loss | None = None
    optimizer: Rule | None = None
    preprocessing: tuple[Preprocessor, ...] = ()
    target_preprocessing: tuple[Preprocessor, ...] = ()
    engine: Literal["auto", "numpy", "xla"] = "auto"

    @classmethod
    def of(cls, estimator: Any) -> "Arguments":
        """The arguments of a Classifier or a Regressor."""
        known = {f.name for f in fields(cls)}
        return cls(**{k: _plain(k, v) for k, v in estimator.get_params(deep=False).items() if k in known})

    def check(self) -> None:
        if self.solver == "lbfgs" and self.optimizer is None:
            text = "expected 'adam' or 'sgd', got 'lbfgs', which Backlit has no rule for; write solver='adam'"
            raise SettingError([("solver", text)])

    def network(self, outputs: int) -> Layer:
        """`net`, or hidden layers with their activation and a last layer with one unit for each output.

        All weights start as Xavier draws them, as MLPClassifier's do: on small tables the larger start of He fits the
        training rows sooner and others no better.
        """
        if self.net is not None:
            return self.net
        layers: list[Layer] = []
        for units in self.hidden_layer_sizes:
            layers += [Dense(units, W=Xavier()), *([] if self.activation is None else [self.activation])]
        return Chain(*layers, Dense(outputs, W=Xavier()))

    def rule(self) -> Rule:
        """`optimizer`, or the solver with a learning rate of 1: `lr` scales its updates from outside the program."""
        if self.optimizer is not None:
            return self.optimizer
        if self.solver == "adam":
            return Adam(lr=1.0, b1=self.beta_1, b2=self.beta_2, epsilon=self.epsilon)
        if self.momentum == 0:
            return SGD(lr=1.0)
        return (Nesterov if self.nesterovs_momentum else Momentum)(lr=1.0, momentum=self.momentum)

    def lr(self, rows_seen: float, cuts: int) -> float:
        """The learning rate of the next epoch after so many rows, and so many cuts by 5 of an adaptive rate.

        With an `optimizer` it is a factor, 1: the rule has its own rate or schedule.
        """
        if self.optimizer is not None:
            return 1.0
        if self.solver == "sgd" and self.learning_rate == "invscaling" and rows_seen:
            return float(self.learning_rate_init / (rows_seen + 1.0) ** self.power_t)
        return self.learning_rate_init / 5.0**cuts

    @property
    def adaptive(self) -> bool:
        """Whether a plateau cuts the learning rate rather than ending the training."""
        return self.optimizer is None and self.solver == "sgd" and self.learning_rate == "adaptive"


def _plain(name: str, value: Any) -> Any:
    """NumPy's numbers and arrays, as a grid search hands them over, and scikit-learn's spellings, as plain values."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if name == "hidden_layer_sizes" and isinstance(value, int):
        return (value,)
    if name in ("preprocessing", "target_preprocessing") and value is None:
        return ()
    return None if name == "activation" and value == "identity" else value
