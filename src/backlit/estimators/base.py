"""What `Classifier` and `Regressor` share: from arrays to a trained net, in scikit-learn's manner."""

import math
import warnings
from abc import abstractmethod
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, is_regressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from backlit.data import Dataset, Split, apply_all, fit_all
from backlit.data.source import names_of
from backlit.engine import random, tree
from backlit.errors import SettingError, ShapeError
from backlit.estimators.arguments import Arguments
from backlit.estimators.rounds import Plateau, Rounds, Rows, build_program, choose, outputs, precision
from backlit.evaluation.metrics import HEADLINE, measure
from backlit.labels import check_weights
from backlit.protocol import Loss, Tree, paths
from backlit.training.program import Moving


class Perceptron(BaseEstimator):  # type: ignore[misc]
    """Base of both: the arguments are stored as they come and checked when `fit` begins; what is learned ends in _."""

    @abstractmethod
    def _targets(self, y: np.ndarray, loss: Loss | None, going_on: bool) -> tuple[np.ndarray, Loss, int]:
        """Targets as the loss takes them, the loss, and how many outputs the net needs."""

    def _learn(self, X: Any, y: Any, sample_weight: Any, going_on: bool, partial: bool) -> Any:
        """fit and partial_fit: `going_on` keeps the parameters; `partial` is one epoch, and keeps the optimiser too."""
        arguments = Arguments.of(self)
        X, y = validate_data(self, X, y, accept_sparse=("csr", "csc"), dtype=(np.float64, np.float32),
                             multi_output=True, y_numeric=is_regressor(self), reset=not going_on)  # fmt: skip
        target, loss, width = self._targets(y, arguments.loss, going_on)
        weight = None
        if sample_weight is not None:
            check_weights(sample_weight, X.shape[0], "sample_weight")
            weight = np.asarray(sample_weight, dtype=np.float64)
            counts = weight > 0  # a row of weight 0 is a row that is not there
            X, target, weight = X[counts], target[counts], weight[counts]
        rows = Rows(dense(X), target, weight)
        if not going_on:
            self._begin(arguments, rows, loss, width)
        rows = Rows(self._prepared(rows.x), self._prepared_target(rows.y), weight)
        if not partial and arguments.batch_size != "auto" and arguments.batch_size > len(rows.x):
            text = f"batch_size: {arguments.batch_size} is more than the {len(rows.x)} rows; all rows are one batch"
            warnings.warn(text, stacklevel=3)
        validation = None
        if arguments.early_stopping and not partial:
            rows, validation = self._split(arguments, rows)
        self._train(arguments, rows, validation, going_on and partial, 1 if partial else arguments.max_iter)
        return self

    def _begin(self, arguments: Arguments, rows: Rows, loss: Loss, width: int) -> None:
        """Measure the preprocessing, draw the parameters, choose the engine."""
        self._seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        self._preprocessing = arguments.preprocessing
        self._target_preprocessing = arguments.target_preprocessing
        self.prepared_ = fit_all(self._preprocessing, rows.x, rows.weight)
        self.target_prepared_ = fit_all(self._target_preprocessing, rows.y, rows.weight)
        self.net_, self.criterion_, self.n_outputs_ = arguments.network(width), loss, width
        row = apply_all(self._preprocessing, self.prepared_, rows.x[:1]).shape[1:]
        try:
            out, params, state = self.net_.init(random.fold(random.key(self._seed), "init"), row)
        except ShapeError as error:
            raise error.under("net") from None
        if math.prod(out) != width:
            need = f"{width} output{'s' * (width > 1)} a row for these targets and {type(loss).__name__}"
            raise ShapeError(f"expected {need}, got {out}; end the net with Dense({width})", "net")
        batch = batch_size(arguments, len(rows.x))
        steps = arguments.max_iter * math.ceil(len(rows.x) / batch)
        self.engine_ = choose(arguments.engine, params, steps, batch)
        dtype = precision(self.engine_)
        self.params_, self.state_ = tree.cast(params, dtype), tree.cast(state, dtype)
        self.loss_curve_: list[float] = []
        self.t_ = 0.0
        self._optimizer: tuple[Tree | None, int] = (None, 0)

    def _split(self, arguments: Arguments, rows: Rows) -> tuple[Rows, Rows]:
        """Training rows and those that are held out; classes keep their proportions."""
        labels, fraction = rows.y.dtype.kind in "iu", arguments.validation_fraction
        if round(fraction * len(rows.x)) < 1:
            text = f"expected a share of at least one row, got {fraction} with n_samples = {len(rows.x)}"
            raise SettingError([("validation_fraction", f"{text}; use more rows or early_stopping=False")])
        y = rows.y if labels else np.zeros(len(rows.x), np.int32)
        names = names_of(int(y.max()) + 1) if labels else ()
        parts = Split(validation=fraction, test=0.0).apply(Dataset(np.arange(len(y))[:, None], y, names), self._seed)
        return rows.take(parts.train.x[:, 0]), rows.take(parts.validation.x[:, 0])

    def _train(self, arguments: Arguments, rows: Rows, held_out: Rows | None, keep: bool, epochs: int) -> None:
        """Run the epochs; what came out is stored as NumPy arrays. `keep`: the optimiser goes on where it stopped."""
        batch = batch_size(arguments, len(rows.x))
        l2 = arguments.alpha / (batch * rows.total / len(rows.x))  # by the rows of a batch, counted by their weights
        steps = arguments.max_iter * math.ceil(len(rows.x) / batch)
        program = build_program(self.net_, self.criterion_, arguments.rule(), l2, self.params_, steps)
        rounds = Rounds(program, self.engine_, rows, batch, arguments.shuffle, self._seed, epochs)
        moving = rounds.start(self.params_, self.state_, *(self._optimizer if keep else (None, 0)))
        moving, best, scores = self._epochs(arguments, rounds, moving, held_out, epochs)
        after = tree.map(np.asarray, moving)
        self._optimizer = (after.rule, int(after.step))
        self.params_, self.state_ = tree.map(np.asarray, best)
        self.loss_ = self.loss_curve_[-1]
        self.best_loss_ = min(self.loss_curve_) if held_out is None else None
        self.validation_scores_ = None if held_out is None else scores
        self.best_validation_score_ = None if held_out is None else max(scores)

    def _epochs(self, arguments: Arguments, rounds: Rounds, moving: Moving, held_out: Rows | None, epochs: int) -> Any:
        """What moves after the last epoch, the best (or last) parameters and state, and the validation scores."""
        plateau, cuts, stopped = Plateau(arguments.tol, arguments.n_iter_no_change), 0, False
        scores: list[float] = []
        best = (moving.params, moving.state)
        self.n_iter_ = 0
        while self.n_iter_ < epochs and not stopped:
            lr = arguments.lr(self.t_, cuts)
            moving, loss = rounds.epoch(moving, len(self.loss_curve_), lr)
            self.n_iter_, self.t_ = self.n_iter_ + 1, self.t_ + rounds.rows.total
            self.loss_curve_.append(loss)
            if held_out is not None:
                scores.append(self._measured(moving.params, moving.state, held_out))
            if plateau.seen(scores[-1] if scores else -loss) or held_out is None:
                best = (moving.params, moving.state)
            if arguments.verbose:
                print(
                    f"epoch {self.n_iter_}: loss {loss:.6f}"
                    + (f", validation score {scores[-1]:.6f}" if scores else "")
                )
            if plateau.reached:
                stopped = not arguments.adaptive or lr <= 1e-6
                plateau.stalled, cuts = 0, cuts + 1
        if not stopped and epochs > 1:
            text = (
                f"max_iter: training has not converged after {epochs} epochs; write a larger max_iter or a larger tol"
            )
            warnings.warn(text, ConvergenceWarning, stacklevel=5)
        return moving, best, scores

    def _measured(self, params: Tree, state: Tree, rows: Rows) -> float:
        """Accuracy, share of rows with all labels right, or r2, on rows that are not trained on."""
        task = self.criterion_.task
        found = outputs(self.net_, self.engine_, params, state, rows.x)
        return measure(task, found, rows.y, rows.weight)["r2" if task == "regression" else HEADLINE[task]]

    def _outputs(self, X: Any) -> np.ndarray:
        """(N, K) outputs of the net in float64 for rows as they come."""
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse=("csr",), dtype=(np.float64, np.float32), reset=False)
        step = max(1, 2**24 // max(1, X.shape[1]))  # sparse rows are made dense a few at a time
        parts = [self._prepared(dense(X[i : i + step])) for i in range(0, X.shape[0], step)]
        found = [outputs(self.net_, self.engine_, self.params_, self.state_, part) for part in parts]
        return np.concatenate(found).astype(np.float64)

    def _prepared(self, x: np.ndarray) -> np.ndarray:
        """Rows as the net takes them: preprocessed in the precision they come in, then in that of the engine."""
        prepared = apply_all(self._preprocessing, self.prepared_, x)
        return np.ascontiguousarray(prepared, dtype=precision(self.engine_))

    def _prepared_target(self, y: np.ndarray) -> np.ndarray:
        if y.dtype.kind in "iu":
            return y
        return np.asarray(apply_all(self._target_preprocessing, self.target_prepared_, y), precision(self.engine_))

    @property
    def coefs_(self) -> list[np.ndarray]:
        """W of every fully connected layer, (inputs, units), from the first to the last."""
        return [layer["W"] for layer in self._dense_layers()]

    @property
    def intercepts_(self) -> list[np.ndarray]:
        """b of every fully connected layer that has one."""
        return [layer["b"] for layer in self._dense_layers() if "b" in layer]

    @property
    def n_layers_(self) -> int:
        """Fully connected layers, and the input."""
        return len(self.coefs_) + 1

    @property
    def out_activation_(self) -> str:
        """What makes an answer of the net's outputs: 'softmax', 'logistic' or 'identity'."""
        names = {"classification": "softmax", "binary": "logistic", "multilabel": "logistic"}
        return names.get(self.criterion_.task, "identity")

    def _dense_layers(self) -> list[Tree]:
        found = []
        for path in ["", *paths(self.net_)]:
            params = self.params_
            for name in path.split(".") if path else ():
                params = params[name]
            if "W" in params and getattr(params["W"], "ndim", 0) == 2:
                found.append(params)
        return found

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def batch_size(arguments: Arguments, rows: int) -> int:
    """The batch size, at most the number of rows; 'auto' is 200."""
    return min(rows, 200 if arguments.batch_size == "auto" else arguments.batch_size)


def dense(X: Any) -> np.ndarray:
    """The rows with their zeros written out."""
    return np.asarray(X.toarray() if hasattr(X, "toarray") else X)
