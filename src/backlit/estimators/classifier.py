"""The classifier in scikit-learn's manner."""

from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import column_or_1d

from backlit.errors import DataError, SettingError, received
from backlit.estimators.base import Perceptron, dense
from backlit.evaluation.metrics import decide, probabilities
from backlit.losses import MultiLabelCrossEntropy, SoftmaxCrossEntropy
from backlit.optim import Rule
from backlit.protocol import Layer, Loss


class Classifier(ClassifierMixin, Perceptron):  # type: ignore[misc]
    """A network that tells classes apart, with scikit-learn's methods and MLPClassifier's argument names.

    hidden_layer_sizes   units of each hidden layer
    activation           after each of them: 'relu', 'tanh', 'logistic', 'identity', or any activation of Backlit
    solver               'adam' (beta_1, beta_2, epsilon) or 'sgd' (momentum, nesterovs_momentum)
    learning_rate        for 'sgd': learning_rate_init as it is ('constant'), divided by rows_seen^power_t
                         ('invscaling'), or divided by 5 at every plateau ('adaptive')
    alpha                L2 penalty, alpha / (2 batch) sum w^2; biases are left alone
    batch_size           rows a step; 'auto' is 200, or all when there are fewer
    max_iter, shuffle    epochs at most; a new order every epoch
    tol                  stop when the loss has not fallen by this much for more than n_iter_no_change epochs
    early_stopping       stop by the score on a validation_fraction of the rows instead, and return the best parameters;
                         partial_fit does not look at it
    random_state         seed, or None for another start at every fit
    verbose, warm_start  print a line every epoch; fit goes on from the parameters that are there
    max_fun              belongs to MLPClassifier's 'lbfgs'; 'adam' and 'sgd' do not look at it

    net           a Layer (or a list of layers) in place of hidden_layer_sizes and activation, the last layer included
    loss          by default SoftmaxCrossEntropy, or MultiLabelCrossEntropy for y (N, K) of 0 and 1
    optimizer     a Rule in place of solver and all that belongs to it
    preprocessing fitted on the training rows: 'standardize', None, a Preprocessor, or several
    engine        'numpy' (float64), 'xla' (float32, compiled), or 'auto': NumPy for small problems

    X (N, D), dense or sparse (made dense); y (N,) of labels of any kind, or (N, K) of 0 and 1 for several labels a row.
    Errors: SettingError, ShapeError, DataError (each a ValueError) when fit begins, NonFiniteError while it runs.
    Others: MLPClassifier does not standardise, has one output for two classes, and draws biases at random.

    >>> from sklearn.datasets import load_iris
    >>> import backlit as bl
    >>> X, y = load_iris(return_X_y=True)
    >>> model = bl.Classifier((16,), max_iter=100, learning_rate_init=0.02, tol=1e-3, random_state=0).fit(X, y)
    >>> bool(model.score(X, y) > 0.95), model.predict_proba(X[:2]).shape, [W.shape for W in model.coefs_]
    (True, (2, 3), [(4, 16), (16, 3)])
    """

    classes_: np.ndarray

    def __init__(
        self,
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
        loss: Loss | str | None = None,
        optimizer: Rule | str | None = None,
        preprocessing: Any = "standardize",
        engine: str = "auto",
    ) -> None:
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
        self.loss = loss
        self.optimizer = optimizer
        self.preprocessing = preprocessing
        self.engine = engine

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "Classifier":
        """Train on rows X with labels y; `sample_weight` (N,) says how much each row counts, 0 leaves it out."""
        self._learn(X, y, sample_weight, going_on=self.warm_start and hasattr(self, "params_"), partial=False)
        return self

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> "Classifier":
        """One epoch over these rows, the optimiser going on; the first call needs all `classes` that will ever come.

        The preprocessing is fitted on the rows of the first call.
        """
        going_on = hasattr(self, "params_")
        if not going_on:
            if classes is None:
                raise DataError("classes: the first partial_fit expected all classes that will come, got None; "
                                "write classes=numpy.unique(y)")  # fmt: skip
            self._announced = np.unique(np.asarray(classes))
        elif classes is not None and not np.array_equal(np.unique(np.asarray(classes)), self.classes_):
            text = f"expected those of the first call, {received(self.classes_.tolist())}"
            raise DataError(f"classes: {text}, got {received(np.unique(np.asarray(classes)).tolist())}; leave them out")
        try:
            self._learn(X, y, sample_weight, going_on=going_on, partial=True)
        finally:
            self.__dict__.pop("_announced", None)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """(N,) labels, or (N, K) of 0 and 1 where rows have several."""
        found = decide(*self._answer(X))
        return found if self._multilabel else self.classes_[found]

    def predict_proba(self, X: Any) -> np.ndarray:
        """(N, K) probability of each class, in the order of classes_; of each label where rows have several.

        After a hinge loss these are margins pressed into 0..1, not frequencies.
        """
        found = probabilities(*self._answer(X))
        return found[:, : len(self.classes_)]

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """The logarithm of predict_proba, -inf where that is 0."""
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(self.predict_proba(X)))

    @property
    def _multilabel(self) -> bool:
        return bool(self.criterion_.task == "multilabel")

    def _answer(self, X: Any) -> tuple[str, np.ndarray]:
        found = self._outputs(X)  # first: it says when nothing was fitted yet
        return self.criterion_.task, found

    def _targets(self, y: Any, loss: Loss | None, going_on: bool) -> tuple[np.ndarray, Loss, int]:
        check_classification_targets(y)
        several = type_of_target(y) == "multilabel-indicator"
        if several:
            target, classes = dense(y).astype(np.float64), np.arange(y.shape[1])
        else:
            labels = column_or_1d(y, warn=True)
            classes = self.classes_ if going_on else getattr(self, "_announced", np.unique(labels))
            target = encoded(labels, classes)
        if going_on and (several != self._multilabel or len(classes) != len(self.classes_)):
            text = f"expected labels as in the first fit, {received(self.classes_.tolist())}, got others"
            raise DataError(f"y: {text}; use warm_start=False to start anew")
        if not going_on:
            self.classes_ = classes
        loss = loss or (MultiLabelCrossEntropy() if several else SoftmaxCrossEntropy())
        name, task = type(loss).__name__, loss.task
        if task not in ("classification", "binary", "multilabel") or several != (task == "multilabel"):
            need = "MultiLabelCrossEntropy, since rows have several labels" if several else "SoftmaxCrossEntropy"
            raise SettingError([("loss", f"expected a loss on classes such as {need}, got {name}")])
        if task == "binary":
            if len(classes) > 2:
                text = f"expected a loss on several classes, since y has {len(classes)}, got {name}, which is for two"
                raise SettingError([("loss", f"{text}; use SoftmaxCrossEntropy or MultiClassHinge")])
            return target.astype(np.float64), loss, 1
        return target, loss, len(classes)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


def encoded(labels: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """(N,) int32 positions of the labels in the sorted `classes`; DataError for one that is not among them."""
    known = np.isin(labels, classes)
    if not known.all():
        row = int(np.argmin(known))
        text = f"expected one of the classes {received(classes.tolist())}, got {received(labels[row])}"
        raise DataError(f"y: row {row} (from 0): {text}; name all classes in the first partial_fit, or fit anew")
    return np.searchsorted(classes, labels).astype(np.int32)
