"""The regressor in scikit-learn's manner."""

from typing import Any

import numpy as np
from sklearn.base import RegressorMixin

from backlit.data import invert_all
from backlit.errors import DataError, SettingError
from backlit.estimators.base import Perceptron
from backlit.losses import SquaredError
from backlit.optim import Rule
from backlit.protocol import Layer, Loss


class Regressor(RegressorMixin, Perceptron):  # type: ignore[misc]
    """A network that predicts numbers, one or several a row, with MLPRegressor's argument names.

    The arguments are those of `Classifier`, with two differences:
    loss                   'squared_error' (SquaredError), or any loss on values, such as 'huber' or 'absolute_error'
    target_preprocessing   fitted on the targets and undone by predict: 'standardize', None, a Preprocessor, or several;
                           loss_ and loss_curve_ are in the units of the preprocessed targets

    X (N, D), dense or sparse (made dense); y (N,) or (N, K), and predict gives the shape of y.
    Errors: SettingError, ShapeError, DataError (each a ValueError) when fit begins, NonFiniteError while it runs.
    Others: MLPRegressor scales neither rows nor targets, and hardly learns targets in the hundreds by default.

    >>> import numpy as np, backlit as bl
    >>> X = np.linspace(-1, 1, 60)[:, None]
    >>> y = 1000 + 300 * X[:, 0] ** 2
    >>> model = bl.Regressor(hidden_layer_sizes=(20,), learning_rate_init=0.02, max_iter=300, tol=1e-3, random_state=0)
    >>> bool(model.fit(X, y).score(X, y) > 0.95), model.predict(X[:2]).shape
    (True, (2,))
    """

    def __init__(
        self,
        loss: Loss | str = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: str | Layer = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: int = 10,
        max_fun: int = 15000,
        net: Layer | list[Any] | None = None,
        optimizer: Rule | str | None = None,
        preprocessing: Any = "standardize",
        target_preprocessing: Any = "standardize",
        engine: str = "auto",
    ) -> None:
        self.loss = loss
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.net = net
        self.optimizer = optimizer
        self.preprocessing = preprocessing
        self.target_preprocessing = target_preprocessing
        self.engine = engine

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "Regressor":
        """Train on rows X with targets y; `sample_weight` (N,) says how much each row counts, 0 leaves it out."""
        self._learn(X, y, sample_weight, going_on=self.warm_start and hasattr(self, "params_"), partial=False)
        return self

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> "Regressor":
        """One epoch over these rows, the optimiser going on; preprocessing is fitted on the rows of the first call."""
        self._learn(X, y, sample_weight, going_on=hasattr(self, "params_"), partial=True)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Values shaped like the targets of fit, in their units."""
        found = self._outputs(X)
        found = np.asarray(invert_all(self._target_preprocessing, self.target_prepared_, found))
        return found.reshape(-1) if self._flat else found

    def _targets(self, y: Any, loss: Loss | None, going_on: bool) -> tuple[np.ndarray, Loss, int]:
        loss = loss or SquaredError()
        if loss.task != "regression":
            text = f"expected a loss on values such as SquaredError, got {type(loss).__name__}; use Classifier"
            raise SettingError([("loss", text)])
        target = np.asarray(y, dtype=np.float64).reshape(len(y), -1)
        if going_on and target.shape[1] != self.n_outputs_:
            text = f"expected {self.n_outputs_} targets a row as in the first fit, got {target.shape[1]}"
            raise DataError(f"y: {text}; use warm_start=False to start anew")
        if not going_on:
            self._flat = y.ndim == 1
        return target, loss, target.shape[1]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
